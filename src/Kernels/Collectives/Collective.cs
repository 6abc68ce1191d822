using System.Diagnostics;
using Kernels.Devices;

namespace Kernels;

/// <summary>
/// What all transports share: preconditions, the numbering of calls, counters, and that a group which failed once stays failed.
/// </summary>
internal abstract class Collective : ICollective
{
    private readonly Lock _calling = new();
    private CollectiveException? _failure;
    private long _calls;
    private int _disposed;

    protected Collective(int rank, int rankCount, CollectiveOptions options)
    {
        options.Validate();
        (Rank, RankCount, Options) = (rank, rankCount, options);
        if (options.RanksPerNode is not { } perNode) return;
        if (perNode < 1 || rankCount % perNode != 0)
        {
            throw new ArgumentOutOfRangeException(
                nameof(options), perNode, $"CollectiveOptions: {rankCount} ranks are not {nameof(options.RanksPerNode)} on each node.");
        }
    }

    public int Rank { get; }

    public int RankCount { get; }

    public virtual int RanksPerNode => Options.RanksPerNode ?? RankCount;

    public abstract string Transport { get; }

    public CollectiveCounters Counters { get; } = new();

    protected CollectiveOptions Options { get; }

    /// <summary>What ended the group, or null.</summary>
    protected CollectiveException? Failure => Volatile.Read(ref _failure);

    public void AllReduce<T>(DeviceStream stream, DeviceTensor<T> source, DeviceTensor<T> destination, string? purpose)
        where T : unmanaged
    {
        const string op = "AllReduce";
        CheckTensors(op, stream, source, destination);
        CheckSummed(op, source);
        CheckLength(op, nameof(destination), destination.Length, source.Length, $"the source has {source.Length}");
        CheckOverlap(op, source, destination, destination);
        Run(CollectiveKind.AllReduce, source.Length, 0, purpose, stream, source, destination);
    }

    public void AllGather<T>(DeviceStream stream, DeviceTensor<T> source, DeviceTensor<T> destination, string? purpose)
        where T : unmanaged => AllGather(stream, source, destination, new RankGroups(RankCount), purpose);

    public void AllGather<T>(
        DeviceStream stream, DeviceTensor<T> source, DeviceTensor<T> destination, RankGroups groups, string? purpose)
        where T : unmanaged
    {
        const string op = "AllGather";
        CheckTensors(op, stream, source, destination);
        groups.Validate(op, RankCount);
        CheckMultiple(op, nameof(destination), destination.Length, groups.Size, source.Length, "the source");
        CheckOverlap(op, source, destination, PartOf(destination, groups));
        Run(CollectiveKind.AllGather, source.Length, 0, purpose, stream, source, destination, groups);
    }

    public void ReduceScatter<T>(DeviceStream stream, DeviceTensor<T> source, DeviceTensor<T> destination, string? purpose)
        where T : unmanaged
    {
        const string op = "ReduceScatter";
        CheckTensors(op, stream, source, destination);
        CheckSummed(op, source);
        CheckMultiple(op, nameof(source), source.Length, RankCount, destination.Length, "the destination");
        CheckOverlap(op, destination, source, PartOf(source, new RankGroups(RankCount)));
        Run(CollectiveKind.ReduceScatter, destination.Length, 0, purpose, stream, source, destination);
    }

    public void AllToAll<T>(DeviceStream stream, DeviceTensor<T> source, DeviceTensor<T> destination, string? purpose)
        where T : unmanaged => AllToAll(stream, source, destination, new RankGroups(RankCount), purpose);

    public void AllToAll<T>(
        DeviceStream stream, DeviceTensor<T> source, DeviceTensor<T> destination, RankGroups groups, string? purpose)
        where T : unmanaged
    {
        const string op = "AllToAll";
        CheckTensors(op, stream, source, destination);
        groups.Validate(op, RankCount);
        CheckLength(op, nameof(destination), destination.Length, source.Length, $"the source has {source.Length}");
        if (source.Length % groups.Size != 0)
        {
            throw new ArgumentException(
                $"{op}: the source has {source.Length} elements, which are no multiple of the {groups.Size} ranks.", nameof(source));
        }

        Check.Disjoint(op, source, nameof(source), destination, nameof(destination));
        Run(CollectiveKind.AllToAll, source.Length / groups.Size, 0, purpose, stream, source, destination, groups);
    }

    public void Broadcast<T>(DeviceStream stream, DeviceTensor<T> tensor, int root, string? purpose)
        where T : unmanaged
    {
        const string op = "Broadcast";
        Check.Tensor(op, stream, tensor, nameof(tensor));
        stream.CheckQueues($"{op}: {Transport}");
        if (root < 0 || root >= RankCount)
            throw new ArgumentOutOfRangeException(nameof(root), root, $"{op}: the ranks are 0 to {RankCount - 1}.");
        Run(CollectiveKind.Broadcast, tensor.Length, root, purpose, stream, tensor, tensor);
    }

    public void Barrier(string? purpose)
    {
        lock (_calling)
        {
            CollectiveCall call = NextCall(CollectiveKind.Barrier, DType.UInt8, 0, 0, purpose);
            long start = Stopwatch.GetTimestamp();
            BarrierCore(call);
            Counters.Add(0, 0, Stopwatch.GetElapsedTime(start));
        }
    }

    public void Synchronize(DeviceStream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        ThrowIfUnusable();
        SynchronizeCore(stream);
        ThrowIfUnusable();
    }

    public void Abort(string reason)
    {
        ArgumentNullException.ThrowIfNull(reason);
        ObjectDisposedException.ThrowIf(Volatile.Read(ref _disposed) != 0, this);
        Fail(new CollectiveException($"rank {Rank} of {RankCount} ({Transport}) ended the group: {reason}", [Rank]));
        AbortCore(reason);
    }

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0) DisposeCore();
    }

    public override string ToString() => $"rank {Rank} of {RankCount} ({Transport})";

    private protected abstract void RunCore(in CollectiveCall call, DeviceStream stream, in TensorBytes source, in TensorBytes destination);

    private protected abstract void BarrierCore(in CollectiveCall call);

    private protected virtual void SynchronizeCore(DeviceStream stream) => stream.Synchronize();

    private protected abstract void AbortCore(string reason);

    private protected abstract void DisposeCore();

    /// <summary>Notes what ended the group; only the first is kept, and returned.</summary>
    private protected CollectiveException Fail(CollectiveException failure) =>
        Interlocked.CompareExchange(ref _failure, failure, null) ?? failure;

    /// <summary>Those that ranks exchange in: one of all ranks, or several.</summary>
    private protected RankGroups GroupsOf(in CollectiveCall call) => call.Groups.Size > 0 ? call.Groups : new RankGroups(RankCount);

    /// <summary>The error of a call that this rank takes part in.</summary>
    private protected CollectiveException Failed(
        in CollectiveCall call, string what, IReadOnlyList<int>? culprits = null, string? status = null, string? libraryCall = null) =>
        new($"{call} on {this}: {what}", culprits, status, libraryCall, call.Kind.ToString());

    /// <summary>The error of a call that other ranks made otherwise: names the first whose call is not that of rank 0.</summary>
    private protected CollectiveException Differs(in CollectiveCall own, ReadOnlySpan<CollectiveCall> calls)
    {
        int other = 1;
        while (calls[other].Equals(calls[0])) other++;
        return Failed(own, $"the ranks made different calls: rank 0 {calls[0]}, rank {other} {calls[other]}.", [other]);
    }

    private void Run<T>(
        CollectiveKind kind, long count, int root, string? purpose, DeviceStream stream, DeviceTensor<T> source,
        DeviceTensor<T> destination, RankGroups groups = default)
        where T : unmanaged
    {
        lock (_calling)
        {
            CollectiveCall call = NextCall(kind, source.DType, count, root, purpose, groups.Size == RankCount ? default : groups);
            long start = Stopwatch.GetTimestamp();
            RunCore(call, stream, TensorBytes.Of(source), TensorBytes.Of(destination));
            if (kind != CollectiveKind.Broadcast || root != Rank) stream.Wrote(destination);
            (long sent, long received) = Traffic(call);
            Counters.Add(sent, received, Stopwatch.GetElapsedTime(start));
        }
    }

    private CollectiveCall NextCall(
        CollectiveKind kind, DType dtype, long count, int root, string? purpose, RankGroups groups = default)
    {
        ThrowIfUnusable();
        return new CollectiveCall(kind, ++_calls, dtype, count, root, purpose, groups);
    }

    private void ThrowIfUnusable()
    {
        ObjectDisposedException.ThrowIf(Volatile.Read(ref _disposed) != 0, this);
        if (Failure is { } failure)
        {
            throw new CollectiveException(
                $"The group of {this} ended earlier: {failure.Message}", failure.Culprits, failure.Status, failure.Call, failure.Op,
                failure);
        }
    }

    /// <summary>What this rank sends and receives at least.</summary>
    private (long Sent, long Received) Traffic(in CollectiveCall call)
    {
        long others = GroupsOf(call).Size - 1;
        return call.Kind switch
        {
            CollectiveKind.AllReduce => (2 * call.Bytes * others / RankCount, 2 * call.Bytes * others / RankCount),
            CollectiveKind.Broadcast => call.Root == Rank ? (others > 0 ? call.Bytes : 0, 0) : (0, call.Bytes),
            _ => (call.Bytes * others, call.Bytes * others),
        };
    }

    private void CheckTensors<T>(string op, DeviceStream stream, DeviceTensor<T> source, DeviceTensor<T> destination)
        where T : unmanaged
    {
        Check.Tensor(op, stream, source, nameof(source));
        Check.Tensor(op, stream, destination, nameof(destination));
        stream.CheckQueues($"{op}: {Transport}");
    }

    private static void CheckSummed<T>(string op, DeviceTensor<T> source)
        where T : unmanaged
    {
        if (!source.DType.IsFloat())
        {
            throw new ArgumentException(
                $"{op}: source stores {source.DType.ShortName()}; sums are of floating-point types.", nameof(source));
        }
    }

    private static void CheckLength(string op, string name, long length, long expected, string why)
    {
        if (length != expected) throw new ArgumentException($"{op}: {name} has {length} elements, {why}.", name);
    }

    private static void CheckMultiple(string op, string name, long length, int parts, long part, string partName)
    {
        if (length / parts != part || length % parts != 0)
        {
            throw new ArgumentException(
                $"{op}: {name} has {length} elements, not {parts} times the {part} of {partName}.", name);
        }
    }

    /// <summary>The part of a tensor that is this rank's in its group.</summary>
    private DeviceTensor<T> PartOf<T>(DeviceTensor<T> whole, RankGroups groups)
        where T : unmanaged
    {
        long count = whole.Length / groups.Size;
        return whole.Reshape(whole.Length).Slice(groups.PlaceOf(Rank) * count, count);
    }

    /// <summary>The smaller tensor is the allowed part of the larger, or apart from it.</summary>
    private static void CheckOverlap<T>(string op, DeviceTensor<T> small, DeviceTensor<T> large, DeviceTensor<T> allowed)
        where T : unmanaged
    {
        if (!small.IsSameMemoryAs(allowed)) Check.Disjoint(op, small, "source", large, "destination");
    }
}
