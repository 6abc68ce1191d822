using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Kernels.Verification;

/// <summary>
/// The tensors of one problem in device memory, each between two guard zones whose bytes are checked afterwards. Outputs start as NaN (or a
/// marked integer), so that an element nobody wrote is seen. An element offset moves every tensor off its natural alignment.
/// </summary>
public sealed class GuardedTensors : DeviceTensors, IDisposable
{
    private const int GuardBytes = 4096;
    private const byte GuardByte = 0xA5;

    /// <summary>
    /// Repeated, a NaN in every floating-point type, and not one that a device computes (those have all or few of their bits set); as an
    /// integer no sensible value.
    /// </summary>
    private const ushort Poison = 0x7FFD;

    private readonly DeviceStream _stream;
    private readonly Dictionary<string, Entry> _entries = [];

    /// <param name="stream">Stream that uploads and downloads.</param>
    /// <param name="specs">The tensors.</param>
    /// <param name="elementOffset">Elements by which each tensor starts off its guard zone's end.</param>
    /// <param name="inPlace">Pairs (source, destination) that share their memory.</param>
    public GuardedTensors(
        DeviceStream stream, IReadOnlyList<TensorSpec> specs, int elementOffset = 0,
        IReadOnlyList<(string Source, string Destination)>? inPlace = null)
    {
        _stream = stream;
        Specs = [.. specs.Select(spec => spec.DType.IsFloat() ? spec with { Values = [] } : spec)];
        try
        {
            Create(specs, elementOffset, inPlace);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public override IReadOnlyList<TensorSpec> Specs { get; }

    public override DeviceTensor<T> Get<T>(string name) => (DeviceTensor<T>)_entries[name].Tensor;

    /// <summary>The bytes of a tensor; throws when a guard zone was written to or an input changed.</summary>
    public byte[] Read(string name)
    {
        Entry entry = _entries[name];
        byte[] all = entry.Tensor switch
        {
            DeviceTensor<float> tensor => Download(tensor),
            DeviceTensor<Half> tensor => Download(tensor),
            DeviceTensor<BFloat16> tensor => Download(tensor),
            DeviceTensor<double> tensor => Download(tensor),
            DeviceTensor<byte> tensor => Download(tensor),
            DeviceTensor<int> tensor => Download(tensor),
            DeviceTensor<uint> tensor => Download(tensor),
            _ => Download((DeviceTensor<ulong>)entry.Tensor),
        };
        int length = (int)entry.Spec.Length * entry.Spec.DType.SizeInBytes();
        if (all.AsSpan(0, entry.Start).ContainsAnyExcept(GuardByte))
            throw new GuardViolationException($"{name}: bytes before the tensor were written");
        if (all.AsSpan(entry.Start + length).ContainsAnyExcept(GuardByte))
            throw new GuardViolationException($"{name}: bytes after the tensor were written");
        return all.AsSpan(entry.Start, length).ToArray();
    }

    /// <summary>The first element of a floating-point output that has the bytes it had before the call; -1 where there is none.</summary>
    internal static int FirstPoison(ReadOnlySpan<byte> bytes, int elementSize)
    {
        ReadOnlySpan<ushort> words = MemoryMarshal.Cast<byte, ushort>(bytes);
        if (!words.Contains(Poison)) return -1;
        int wordsOfElement = elementSize / sizeof(ushort);
        for (int i = 0; i < words.Length; i += wordsOfElement)
        {
            if (!words.Slice(i, wordsOfElement).ContainsAnyExcept(Poison)) return i / wordsOfElement;
        }

        return -1;
    }

    /// <summary>Checks that no input changed (unless an output shares its memory).</summary>
    public void CheckInputs(IReadOnlyList<(string Source, string Destination)>? inPlace = null)
    {
        foreach (Entry entry in _entries.Values)
        {
            bool mayChange = entry.Spec.Role != TensorRole.Input || inPlace?.Any(pair => pair.Source == entry.Spec.Name) == true;
            if (!mayChange && !Read(entry.Spec.Name).AsSpan().SequenceEqual(Elements.ToBytes(entry.Spec.DType, entry.Spec.Values)))
                throw new GuardViolationException($"{entry.Spec.Name}: an input was written");
        }
    }

    public void Dispose()
    {
        foreach (Entry entry in _entries.Values)
        {
            if (entry.Owns) ((IDisposable)entry.Buffer!).Dispose();
        }
    }

    private void Create(IReadOnlyList<TensorSpec> specs, int elementOffset, IReadOnlyList<(string Source, string Destination)>? inPlace)
    {
        foreach (TensorSpec spec in specs)
        {
            if (inPlace?.Where(pair => pair.Destination == spec.Name).Select(pair => pair.Source).FirstOrDefault() is { } source)
            {
                _entries[spec.Name] = new Entry(spec, _entries[source].Tensor, _entries[source].Start, Owns: false);
                continue;
            }

            switch (spec.DType)
            {
                case DType.Float32: Create<float>(spec, elementOffset); break;
                case DType.Float16: Create<Half>(spec, elementOffset); break;
                case DType.BFloat16: Create<BFloat16>(spec, elementOffset); break;
                case DType.Float64: Create<double>(spec, elementOffset); break;
                case DType.UInt8: Create<byte>(spec, elementOffset); break;
                case DType.Int32: Create<int>(spec, elementOffset); break;
                case DType.UInt32: Create<uint>(spec, elementOffset); break;
                case DType.UInt64: Create<ulong>(spec, elementOffset); break;
                default: throw new ArgumentOutOfRangeException(nameof(specs), spec.DType, "unknown data type");
            }
        }
    }

    private void Create<T>(TensorSpec spec, int elementOffset)
        where T : unmanaged
    {
        int size = spec.DType.SizeInBytes();
        int guard = GuardBytes / size;
        long start = guard + elementOffset;
        long total = start + spec.Length + guard;
        byte[] bytes = new byte[total * size];
        bytes.AsSpan().Fill(GuardByte);
        Span<byte> body = bytes.AsSpan((int)start * size, (int)spec.Length * size);
        if (spec.Role == TensorRole.Output)
            MemoryMarshal.Cast<byte, ushort>(body).Fill(Poison);
        else
            Elements.ToBytes(spec.DType, spec.Values).CopyTo(body);
        DeviceBuffer<T> buffer = _stream.Device.AllocateBuffer<T>(total);
        // In the table before the upload, so that it is freed if that fails.
        _entries[spec.Name] = new Entry(spec, buffer.View(start, spec.Shape), (int)start * size, Owns: true) { Buffer = buffer };
        _stream.Upload(MemoryMarshal.Cast<byte, T>(bytes), buffer.View(0, total));
    }

    private byte[] Download<T>(DeviceTensor<T> tensor)
        where T : unmanaged
    {
        byte[] all = new byte[tensor.Buffer.Length * Unsafe.SizeOf<T>()];
        _stream.Download(tensor.Buffer.View(0, tensor.Buffer.Length), MemoryMarshal.Cast<byte, T>(all.AsSpan()));
        return all;
    }

    private sealed record Entry(TensorSpec Spec, object Tensor, int Start, bool Owns)
    {
        public object? Buffer { get; init; }
    }
}

/// <summary>A kernel wrote where it must not.</summary>
public sealed class GuardViolationException(string message) : Exception(message);
