using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;

namespace Kernels.Study;

/// <summary>
/// The state of a run in a file of at most 2 GB: named sections of numbers or text. It is written beside the file and renamed, so that at
/// any moment the file is a whole one, the last or the one before.
/// </summary>
/// <remarks>
/// Little-endian: eight letters, the version, the number of sections; for each its name, its type, its shape, and its numbers; the SHA-256
/// of all that.
/// </remarks>
internal sealed class Checkpoint
{
    private const uint Version = 1;

    private static readonly byte[] Letters = "KRNLCKPT"u8.ToArray();

    private readonly Dictionary<string, Section> _sections = [];

    /// <summary>The type of a section's numbers, as the file has it.</summary>
    private enum Kind : byte
    {
        Text,
        Byte,
        Int32,
        Int64,
        UInt64,
        Float,
        Double,
    }

    public IReadOnlyCollection<string> Names => _sections.Keys;

    public bool Has(string name) => _sections.ContainsKey(name);

    public void Set(string name, string text) => _sections[name] = new Section(Kind.Text, [], Encoding.UTF8.GetBytes(text));

    /// <param name="name">The section; one of this name is replaced.</param>
    /// <param name="values">Bytes, int, long, ulong, float or double.</param>
    /// <param name="shape">Of the values; a list of them where none is given.</param>
    public void Set<T>(string name, ReadOnlySpan<T> values, params ReadOnlySpan<long> shape)
        where T : unmanaged
    {
        long[] dimensions = shape.IsEmpty ? [values.Length] : shape.ToArray();
        if (dimensions.Aggregate(1L, (left, right) => left * right) != values.Length)
            throw new ArgumentException($"{name}: {values.Length} values are not of the shape [{string.Join(", ", dimensions)}].");
        _sections[name] = new Section(KindOf<T>(), dimensions, MemoryMarshal.AsBytes(values).ToArray());
    }

    /// <summary>The numbers of a tensor. Waits for the stream.</summary>
    public void Set<T>(DeviceStream stream, string name, DeviceTensor<T> tensor)
        where T : unmanaged => Set<T>(name, tensor.ToArray(stream), tensor.Shape);

    /// <exception cref="DatasetException">There is no such section, or it is no text.</exception>
    public string Text(string name) => Encoding.UTF8.GetString(Find(name, Kind.Text).Bytes);

    /// <exception cref="DatasetException">There is no such section, or its numbers are of another type.</exception>
    public T[] Values<T>(string name)
        where T : unmanaged => MemoryMarshal.Cast<byte, T>(Find(name, KindOf<T>()).Bytes).ToArray();

    /// <summary>Queues the upload of a section to a tensor of the same type and shape.</summary>
    /// <exception cref="DatasetException">There is no such section, or it does not fit.</exception>
    public void Load<T>(DeviceStream stream, string name, DeviceTensor<T> tensor)
        where T : unmanaged
    {
        Section section = Find(name, KindOf<T>());
        if (!tensor.Shape.SequenceEqual(section.Shape))
            throw Wrong($"{name} has the shape [{string.Join(", ", section.Shape)}], expected {tensor}");
        stream.Upload(MemoryMarshal.Cast<byte, T>(section.Bytes), tensor);
    }

    /// <summary>Replaces the file as a whole.</summary>
    /// <exception cref="DatasetException">It cannot be written. What was there before still is.</exception>
    public void Save(string path)
    {
        string beside = $"{path}.new";
        try
        {
            using (FileStream file = new(beside, FileMode.Create, FileAccess.Write))
            {
                byte[] content = Content();
                file.Write(content);
                file.Write(SHA256.HashData(content));
                file.Flush(flushToDisk: true);
            }

            File.Move(beside, path, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DatasetException(path, $"cannot be written: {e.Message}", e);
        }
    }

    /// <exception cref="DatasetException">There is no such file, it is no checkpoint, of another version, or damaged.</exception>
    public static Checkpoint Load(string path) => Parse(path, Read(path));

    /// <summary>A file as it is, to be parsed here or elsewhere.</summary>
    /// <exception cref="DatasetException">It cannot be read.</exception>
    public static byte[] Read(string path)
    {
        try
        {
            return File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DatasetException(path, $"cannot be read: {e.Message}", e);
        }
    }

    /// <param name="path">Where the bytes come from, for errors.</param>
    /// <param name="file">What <see cref="Read"/> gave.</param>
    /// <exception cref="DatasetException">The bytes are no checkpoint, one of another version, or damaged.</exception>
    public static Checkpoint Parse(string path, byte[] file)
    {
        int length = file.Length - SHA256.HashSizeInBytes;
        if (length < Letters.Length || !file.AsSpan().StartsWith(Letters)) throw new DatasetException(path, "not a checkpoint");
        if (!SHA256.HashData(file.AsSpan(0, length)).AsSpan().SequenceEqual(file.AsSpan(length)))
            throw new DatasetException(path, "damaged: its checksum is not that of its content");
        using BinaryReader reader = new(new MemoryStream(file, Letters.Length, length - Letters.Length), Encoding.UTF8);
        uint version = reader.ReadUInt32();
        if (version != Version) throw new DatasetException(path, $"a checkpoint of version {version}; this program reads {Version}");
        Checkpoint checkpoint = new() { Path = path };
        for (int rest = reader.ReadInt32(); rest > 0; rest--)
        {
            string name = reader.ReadString();
            Kind kind = (Kind)reader.ReadByte();
            long[] shape = new long[reader.ReadByte()];
            for (int i = 0; i < shape.Length; i++) shape[i] = reader.ReadInt64();
            checkpoint._sections[name] = new Section(kind, shape, reader.ReadBytes(reader.ReadInt32()));
        }

        return checkpoint;
    }

    private string Path { get; init; } = "checkpoint";

    private static Kind KindOf<T>()
        where T : unmanaged => default(T) switch
        {
            byte => Kind.Byte,
            int => Kind.Int32,
            long => Kind.Int64,
            ulong => Kind.UInt64,
            float => Kind.Float,
            double => Kind.Double,
            _ => throw new ArgumentException($"A checkpoint keeps no {typeof(T).Name}."),
        };

    private byte[] Content()
    {
        using MemoryStream content = new();
        using BinaryWriter writer = new(content, Encoding.UTF8);
        writer.Write(Letters);
        writer.Write(Version);
        writer.Write(_sections.Count);
        foreach ((string name, Section section) in _sections)
        {
            writer.Write(name);
            writer.Write((byte)section.Kind);
            writer.Write(checked((byte)section.Shape.Length));
            foreach (long size in section.Shape) writer.Write(size);
            writer.Write(section.Bytes.Length);
            writer.Write(section.Bytes);
        }

        writer.Flush();
        return content.ToArray();
    }

    private Section Find(string name, Kind kind)
    {
        if (!_sections.TryGetValue(name, out Section? section)) throw Wrong($"has no {name}");
        return section.Kind == kind ? section : throw Wrong($"{name} is {section.Kind}, expected {kind}");
    }

    private DatasetException Wrong(string reason) => new(Path, reason);

    private sealed record Section(Kind Kind, long[] Shape, byte[] Bytes);
}
