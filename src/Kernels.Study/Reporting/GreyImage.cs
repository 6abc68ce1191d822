using System.Buffers.Binary;
using System.IO.Compression;
using System.IO.Hashing;

namespace Kernels.Study;

/// <summary>A picture of grey levels, black 0 and white 1, as PNG (ISO/IEC 15948).</summary>
internal static class GreyImage
{
    /// <summary>An address that contains the picture.</summary>
    public static string DataUri(int width, int height, Func<int, int, double> levelAt) =>
        $"data:image/png;base64,{Convert.ToBase64String(Png(width, height, levelAt))}";

    /// <summary>Images of clothing, an image after the other, in so many rows.</summary>
    public static string SheetUri(byte[] levels, int rows)
    {
        const int Side = FashionMnist.Side;
        int columns = levels.Length / (rows * FashionMnist.Pixels);
        return DataUri(
            columns * Side, rows * Side,
            (x, y) => levels[(((y / Side * columns) + (x / Side)) * FashionMnist.Pixels) + (y % Side * Side) + (x % Side)] / 255.0);
    }

    public static byte[] Png(int width, int height, Func<int, int, double> levelAt)
    {
        byte[] header = new byte[13];
        BinaryPrimitives.WriteInt32BigEndian(header, width);
        BinaryPrimitives.WriteInt32BigEndian(header.AsSpan(4), height);
        header[8] = 8; // bits of a level; what follows are zeros: grey, deflate, the usual filters, no interlacing
        using MemoryStream file = new();
        file.Write([0x89, (byte)'P', (byte)'N', (byte)'G', 0x0d, 0x0a, 0x1a, 0x0a]);
        WriteChunk(file, "IHDR"u8, header);
        WriteChunk(file, "IDAT"u8, Compressed(width, height, levelAt));
        WriteChunk(file, "IEND"u8, []);
        return file.ToArray();
    }

    /// <summary>Each row behind a byte that says it is not filtered.</summary>
    private static byte[] Compressed(int width, int height, Func<int, int, double> levelAt)
    {
        using MemoryStream compressed = new();
        using (ZLibStream stream = new(compressed, CompressionLevel.SmallestSize))
        {
            byte[] row = new byte[1 + width];
            for (int y = 0; y < height; y++)
            {
                for (int x = 0; x < width; x++) row[1 + x] = (byte)Math.Round(255 * Math.Clamp(levelAt(x, y), 0, 1));
                stream.Write(row);
            }
        }

        return compressed.ToArray();
    }

    private static void WriteChunk(MemoryStream file, ReadOnlySpan<byte> type, ReadOnlySpan<byte> content)
    {
        byte[] chunk = new byte[4 + type.Length + content.Length + 4];
        BinaryPrimitives.WriteInt32BigEndian(chunk, content.Length);
        type.CopyTo(chunk.AsSpan(4));
        content.CopyTo(chunk.AsSpan(4 + type.Length));
        uint check = Crc32.HashToUInt32(chunk.AsSpan(4, type.Length + content.Length));
        BinaryPrimitives.WriteUInt32BigEndian(chunk.AsSpan(chunk.Length - 4), check);
        file.Write(chunk);
    }
}
