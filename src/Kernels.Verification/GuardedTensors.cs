using System.Runtime.InteropServices;

namespace Kernels.Verification;

/// <summary>
/// The tensors of one problem in device memory, each between two guard zones whose bytes are checked afterwards. Outputs start as NaN (or a marked
/// integer), so that an element nobody wrote is seen. An element offset moves every tensor off its natural alignment.
/// </summary>
public sealed class GuardedTensors : DeviceTensors, IDisposable
{
    private const int GuardBytes = 4096;
    private const byte GuardByte = 0xA5;

    /// <summary>As a float, half or bfloat16 of any width this is a NaN, as an integer no sensible value.</summary>
    private const byte PoisonByte = 0xFF;

    private readonly DeviceStream _stream;
    private readonly Dictionary<string, Entry> _entries = [];

    /// <param name="stream">Stream that uploads and downloads.</param>
    /// <param name="specs">The tensors.</param>
    /// <param name="elementOffset">Elements by which each tensor starts off its guard zone's end.</param>
    /// <param name="inPlace">Pairs (source, destination) that share their memory.</param>
    public GuardedTensors(
        DeviceStream stream, IReadOnlyList<TensorSpec> specs, int elementOffset = 0, IReadOnlyList<(string Source, string Destination)>? inPlace = null)
    {
        _stream = stream;
        foreach (TensorSpec spec in specs)
        {
            if (inPlace?.Where(pair => pair.Destination == spec.Name).Select(pair => pair.Source).FirstOrDefault() is { } source)
            {
                _entries[spec.Name] = new Entry(spec, _entries[source].Tensor, _entries[source].Start, Owns: false);
                continue;
            }

            _entries[spec.Name] = spec.DType switch
            {
                DType.Float32 => Create<float>(spec, elementOffset),
                DType.Float16 => Create<Half>(spec, elementOffset),
                DType.BFloat16 => Create<BFloat16>(spec, elementOffset),
                DType.Float64 => Create<double>(spec, elementOffset),
                DType.UInt8 => Create<byte>(spec, elementOffset),
                DType.Int32 => Create<int>(spec, elementOffset),
                DType.UInt32 => Create<uint>(spec, elementOffset),
                DType.UInt64 => Create<ulong>(spec, elementOffset),
                _ => throw new ArgumentOutOfRangeException(nameof(specs), spec.DType, "unknown data type"),
            };
        }
    }

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
        if (all.AsSpan(0, entry.Start).ContainsAnyExcept(GuardByte)) throw new GuardViolationException($"{name}: bytes before the tensor were written");
        if (all.AsSpan(entry.Start + length).ContainsAnyExcept(GuardByte)) throw new GuardViolationException($"{name}: bytes after the tensor were written");
        return all.AsSpan(entry.Start, length).ToArray();
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

    private Entry Create<T>(TensorSpec spec, int elementOffset)
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
            body.Fill(PoisonByte);
        else
            Elements.ToBytes(spec.DType, spec.Values).CopyTo(body);
        DeviceBuffer<T> buffer = _stream.Device.AllocateBuffer<T>(total);
        _stream.Upload(MemoryMarshal.Cast<byte, T>(bytes), buffer.View(0, total));
        return new Entry(spec, buffer.View(start, spec.Shape), (int)start * size, Owns: true) { Buffer = buffer };
    }

    private byte[] Download<T>(DeviceTensor<T> tensor)
        where T : unmanaged
    {
        T[] all = new T[tensor.Buffer.Length];
        _stream.Download(tensor.Buffer.View(0, tensor.Buffer.Length), all);
        return MemoryMarshal.AsBytes(all.AsSpan()).ToArray();
    }

    private sealed record Entry(TensorSpec Spec, object Tensor, int Start, bool Owns)
    {
        public object? Buffer { get; init; }
    }
}

/// <summary>A kernel wrote where it must not.</summary>
public sealed class GuardViolationException(string message) : Exception(message);
