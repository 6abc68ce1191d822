using System.Buffers.Binary;
using System.IO.Compression;
using System.IO.Hashing;
using System.Security.Cryptography;

namespace Kernels.Study;

/// <summary>
/// One gzip-compressed file in the IDX format of the MNIST family: two zero bytes, a type code, the number of dimensions, the
/// dimensions as big-endian 32-bit counts, then the elements. Only unsigned bytes occur here.
/// </summary>
internal sealed class IdxFile
{
    private const byte UnsignedByte = 0x08;

    // Ten times the largest file of the data set: a damaged header or a hostile archive cannot exhaust memory.
    private const long MaximumLength = 512L << 20;

    private readonly byte[] _bytes;
    private readonly int _headerLength;

    private IdxFile(byte[] bytes, int[] dimensions)
    {
        _bytes = bytes;
        Dimensions = dimensions;
        _headerLength = HeaderLength(dimensions.Length);
    }

    public IReadOnlyList<int> Dimensions { get; }

    public ReadOnlySpan<byte> Elements => _bytes.AsSpan(_headerLength);

    /// <summary>
    /// SHA-256 of the uncompressed content, in lower-case hexadecimal. The content is hashed because packagers recompress: the
    /// archives of Debian and of upstream differ in their gzip headers and in nothing else.
    /// </summary>
    public string Sha256 => Convert.ToHexStringLower(SHA256.HashData(_bytes));

    public static IdxFile Read(string path, int dimensionCount)
    {
        try
        {
            return Parse(path, Decompress(path, File.ReadAllBytes(path)), dimensionCount);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new DatasetException(path, "the file is missing", e);
        }
        catch (InvalidDataException e)
        {
            throw new DatasetException(path, "not a gzip file, or a damaged one", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DatasetException(path, $"cannot be read: {e.Message}", e);
        }
    }

    /// <summary>Checks an uncompressed IDX file; <paramref name="path"/> only names it in errors.</summary>
    public static IdxFile Parse(string path, byte[] content, int dimensionCount)
    {
        int headerLength = HeaderLength(dimensionCount);
        if (content.Length < headerLength)
        {
            throw new DatasetException(path, $"{content.Length:N0} bytes are too few for an IDX header of {headerLength} bytes");
        }

        if (content[0] != 0 || content[1] != 0 || content[2] != UnsignedByte || content[3] != dimensionCount)
        {
            uint magic = BinaryPrimitives.ReadUInt32BigEndian(content);
            int expected = (UnsignedByte << 8) | dimensionCount;
            throw new DatasetException(path, $"not the expected IDX file: it starts with 0x{magic:x8} instead of 0x{expected:x8}");
        }

        int[] dimensions = new int[dimensionCount];
        long elements = 1L;
        for (int i = 0; i < dimensionCount; i++)
        {
            uint dimension = BinaryPrimitives.ReadUInt32BigEndian(content.AsSpan(4 + (4 * i)));
            if (dimension == 0 || dimension > MaximumLength / elements)
            {
                throw new DatasetException(path, $"dimension {i} of its header is {dimension:N0}");
            }

            dimensions[i] = (int)dimension;
            elements *= dimension;
        }

        if (content.Length - headerLength != elements)
        {
            throw new DatasetException(
                path, $"holds {content.Length - headerLength:N0} elements where its header promises {elements:N0}");
        }

        return new IdxFile(content, dimensions);
    }

    /// <summary>
    /// Unpacks a gzip file of one member (RFC 1952), as all publishers of these files make it. <see cref="GZipStream"/> takes a member that
    /// is cut off for a whole one, and overlooks what follows a member; so the trailer, which has the content's CRC-32 and length, must be
    /// the file's end.
    /// </summary>
    private static byte[] Decompress(string path, byte[] compressed)
    {
        using GZipStream gzip = new(new MemoryStream(compressed), CompressionMode.Decompress);
        using MemoryStream unpacked = new();
        byte[] buffer = new byte[1 << 16];
        int read;
        while ((read = gzip.Read(buffer)) > 0)
        {
            if (unpacked.Length + read > MaximumLength)
            {
                throw new DatasetException(path, $"unpacks to more than {MaximumLength:N0} bytes");
            }

            unpacked.Write(buffer, 0, read);
        }

        byte[] content = unpacked.ToArray();
        Span<byte> trailer = stackalloc byte[8];
        BinaryPrimitives.WriteUInt32LittleEndian(trailer, Crc32.HashToUInt32(content));
        BinaryPrimitives.WriteInt32LittleEndian(trailer[4..], content.Length);
        int end = compressed.AsSpan().IndexOf(trailer);
        if (end < 0 || end != compressed.Length - trailer.Length)
        {
            throw new DatasetException(path, "not exactly one gzip member: it was cut off on the way here, or something follows it");
        }

        return content;
    }

    private static int HeaderLength(int dimensionCount) => 4 + (4 * dimensionCount);
}
