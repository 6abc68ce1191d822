using System.Runtime.CompilerServices;

namespace Kernels.Devices;

/// <summary>
/// A list of tensors as one launch sees it (<c>tensor_list.h</c>): two tables in device memory that say for every tile its tensor and for
/// every tensor where it lies, uploaded once. A tensor of the list can have a second one of its shape beside it (its gradient), and each
/// has a place in flat buffers with room for the whole list (its state).
/// </summary>
/// <remarks>
/// CPU and CUDA have one address space, so offsets from the first tensor reach all others and a list is one launch. In OpenCL a cl_mem is a
/// world of its own: tensors are taken together where they share their buffers, and a list has as many launches as there are pairs of
/// buffers.
/// </remarks>
internal sealed class TensorTable<T> : IDisposable
    where T : unmanaged
{
    /// <summary>Words of an entry; TENSOR_WORDS in the text.</summary>
    public const int Words = 8;

    /// <summary>
    /// Elements of a tile: two passes of a group over eight elements an item, which hides the lookup, and small enough to share short
    /// lists.
    /// </summary>
    public const long TileLength = 4096;

    /// <summary>Flat places start on this many elements, so that their accesses are as wide as those of the tensors.</summary>
    private const long FlatAlignment = 16;

    private readonly Run[] _runs;
    private readonly DeviceMemory[] _memory;
    private readonly long[] _flatOffsets;
    private readonly DeviceTensor<ulong> _tensors;
    private readonly DeviceTensor<uint> _tiles;

    /// <param name="op">For messages.</param>
    /// <param name="device">The device of all tensors.</param>
    /// <param name="first">The tensors.</param>
    /// <param name="firstName">What messages call them.</param>
    /// <param name="second">The tensors beside them, or null for none.</param>
    /// <param name="secondName">What messages call those.</param>
    /// <param name="groups">For each tensor which settings hold for it; empty for 0.</param>
    /// <param name="tileLength">For each tensor its tile, null for <see cref="TileLength"/>.</param>
    /// <exception cref="ArgumentException">Shapes differ, tensors overlap, or one is on another device.</exception>
    public TensorTable(
        string op, Device device, IReadOnlyList<DeviceTensor<T>> first, string firstName, IReadOnlyList<DeviceTensor<T>>? second,
        string secondName,
        ReadOnlySpan<uint> groups, Func<int, long>? tileLength = null)
    {
        CheckTensors(op, device, first, firstName);
        if (second is not null)
        {
            CheckTensors(op, device, second, secondName);
            if (second.Count != first.Count)
                throw new ArgumentException($"{op}: there are {first.Count} {firstName} and {second.Count} {secondName}.", secondName);
            for (int i = 0; i < first.Count; i++) Check.Shape(op, second[i], $"{secondName}[{i}]", first[i].Shape);
        }

        CheckDisjoint(op, [.. first.Select(tensor => (tensor, firstName)), .. (second ?? []).Select(tensor => (tensor, secondName))]);
        Count = first.Count;
        _flatOffsets = new long[Count];
        for (int i = 0; i < Count; i++)
        {
            _flatOffsets[i] = FlatLength;
            FlatLength += (first[i].Length + FlatAlignment - 1) / FlatAlignment * FlatAlignment;
        }

        List<ulong> entries = [];
        List<uint> tiles = [];
        List<Run> runs = [];
        foreach (IGrouping<(nint, nint), int> run in Enumerable.Range(0, Count).Where(i => first[i].Length > 0)
            .GroupBy(i => RunOf(first[i], second?[i])))
        {
            DeviceTensor<T> firstBase = first[run.First()];
            DeviceTensor<T>? secondBase = second?[run.First()];
            long start = tiles.Count;
            foreach (int i in run)
            {
                long length = tileLength?.Invoke(i) ?? TileLength;
                long count = (first[i].Length + length - 1) / length;
                bool aligned = first[i].IsVectorAligned && second?[i].IsVectorAligned != false && (length % 8 == 0 || count == 1);
                for (long tile = 0; tile < count; tile++) tiles.Add((uint)(entries.Count / Words));
                entries.AddRange(
                [
                    Distance(firstBase, first[i]), secondBase is null
                        ? 0 : Distance(secondBase, second![i]), (ulong)_flatOffsets[i], (ulong)first[i].Length,
                    (ulong)(tiles.Count - count), (ulong)length, (uint)i | (ulong)(groups.IsEmpty ? 0 : groups[i]) << 32, aligned ? 1u : 0,
                ]);
            }

            runs.Add(new Run(new TensorArgument(firstBase.Buffer.Memory, 0), secondBase is null
                ? default : new TensorArgument(secondBase.Buffer.Memory, 0),
                start, tiles.Count - start));
        }

        _runs = [.. runs];
        TileCount = tiles.Count;
        _memory = [.. first.Concat(second ?? []).Select(tensor => tensor.Buffer.Memory).Distinct()];
        _tensors = device.Upload<ulong>([.. entries], entries.Count);
        try
        {
            _tiles = device.Upload<uint>([.. tiles], tiles.Count);
        }
        catch
        {
            _tensors.Dispose();
            throw;
        }
    }

    /// <summary>Tensors, the empty ones included.</summary>
    public int Count { get; }

    /// <summary>Tiles of all tensors.</summary>
    public long TileCount { get; }

    /// <summary>Elements of a flat buffer for the whole list, with gaps for alignment.</summary>
    public long FlatLength { get; private set; }

    /// <summary>The launches that cover the list; one on the CPU and on CUDA.</summary>
    public ReadOnlySpan<Run> Runs => _runs;

    /// <summary>The list as the launch of <paramref name="run"/> takes it.</summary>
    public TensorListArguments ListOf(in Run run) => new()
    {
        Tensors = _tensors.Argument,
        Tiles = _tiles.Argument,
        FirstTile = (ulong)run.FirstTile,
        TileCount = (ulong)run.TileCount,
    };

    /// <summary>The place of tensor <paramref name="index"/> in a flat buffer.</summary>
    public long FlatOffset(int index) => _flatOffsets[index];

    /// <summary>The stream works on the list's device and neither was disposed.</summary>
    public void CheckStream(string op, DeviceStream stream) => Check.Tensor(op, stream, _tensors, "list of tensors");

    /// <summary>
    /// Keeps the memory of all tensors from being freed until the lease is disposed, and as long as a graph that is being captured on the
    /// stream.
    /// </summary>
    /// <exception cref="ObjectDisposedException">A tensor, or the table, was disposed.</exception>
    public Lease Hold(string op, DeviceStream stream)
    {
        Lease lease = new(op, _memory);
        try
        {
            foreach (DeviceMemory memory in _memory) stream.KeepForGraph(memory);
            return lease;
        }
        catch
        {
            lease.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        _tensors.Dispose();
        _tiles.Dispose();
    }

    private static void CheckTensors(string op, Device device, IReadOnlyList<DeviceTensor<T>> tensors, string name)
    {
        for (int i = 0; i < tensors.Count; i++)
        {
            if (tensors[i] is null) throw new ArgumentNullException(name, $"{op}: {name}[{i}] is null.");
            if (tensors[i].Buffer.Memory.IsDisposed) throw new ObjectDisposedException(name, $"{op}: {name}[{i}] was disposed.");
            if (tensors[i].Device != device)
                throw new ArgumentException($"{op}: {name}[{i}] is on {tensors[i].Device}, expected {device}.", name);
        }
    }

    /// <summary>Neighbours in memory decide for all.</summary>
    private static void CheckDisjoint(string op, IReadOnlyList<(DeviceTensor<T> Tensor, string List)> tensors)
    {
        (DeviceTensor<T> Tensor, string List)[] sorted =
        [
            .. tensors.Where(entry => entry.Tensor.Length > 0)
                .OrderBy(entry => entry.Tensor.Buffer.Memory.AddressSpace).ThenBy(entry => entry.Tensor.FirstByte),
        ];
        foreach (((DeviceTensor<T> a, string aList), (DeviceTensor<T> b, string bList)) in sorted.Zip(sorted.Skip(1)))
        {
            if (a.Overlaps(b)) throw new ArgumentException($"{op}: {a} of {aList} and {b} of {bList} overlap in memory.", bList);
        }
    }

    private static (nint, nint) RunOf(DeviceTensor<T> first, DeviceTensor<T>? second) =>
        (first.Buffer.Memory.AddressSpace, second?.Buffer.Memory.AddressSpace ?? 0);

    /// <summary>
    /// Elements from the start of <paramref name="origin"/>'s memory to the first element of <paramref name="tensor"/>, modulo 2^64.
    /// </summary>
    public static ulong Distance(DeviceTensor<T> origin, DeviceTensor<T> tensor)
    {
        long bytes = tensor.FirstByte - origin.Buffer.Memory.Address;
        int size = Unsafe.SizeOf<T>();
        if (bytes % size != 0) throw new ArgumentException($"{tensor} does not lie a whole number of elements from {origin}.");
        return (ulong)(bytes / size);
    }

    /// <summary>One launch: the base pointers that offsets count from, and its tiles.</summary>
    public readonly record struct Run(TensorArgument First, TensorArgument Second, long FirstTile, long TileCount);

    /// <summary>References to the memory of a list.</summary>
    public readonly ref struct Lease : IDisposable
    {
        private readonly DeviceMemory[] _memory;
        private readonly int _held;

        public Lease(string op, DeviceMemory[] memory)
        {
            _memory = memory;
            try
            {
                for (; _held < memory.Length; _held++) memory[_held].Hold();
            }
            catch (ObjectDisposedException)
            {
                Dispose();
                throw new ObjectDisposedException(op, $"{op}: a tensor of the list was disposed.");
            }
        }

        public void Dispose()
        {
            for (int i = 0; i < _held; i++) _memory[i].DangerousRelease();
        }
    }
}
