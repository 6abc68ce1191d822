using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using Kernels.Interop;
using static Kernels.Interop.Mpi;

namespace Kernels;

/// <summary>
/// A rank under MPI. Calls that wait are nonblocking ones that are asked for, so that a rank that died or never comes is noticed. Before
/// data is exchanged each rank sends its call to each other one: who is missing, left or does something else is known by that.
/// </summary>
internal sealed unsafe class MpiCollective : HostCollective
{
    /// <summary>Elements of one MPI call, whose counts are 32 bits wide.</summary>
    private const int MostAtOnce = 1 << 30;

    private const int CallTag = 1, PartTag = 2;

    /// <summary>Ranks may come late to a call; in it they make progress only as they ask.</summary>
    private static readonly TimeSpan BusyBefore = TimeSpan.FromMilliseconds(20), BusyWithin = TimeSpan.FromSeconds(2);

    private readonly MpiRuntime _runtime;
    private readonly MpiHandles _handles;
    private readonly nint _communicator;
    private readonly CollectiveCall* _calls; // one of each rank; the place of this rank is what it sends
    private readonly nint[] _sends, _receives;
    private int _ranksPerNode;
    private nint _scratch;
    private long _scratchBytes;

    private MpiCollective(MpiRuntime runtime, nint communicator, int rank, int rankCount, CollectiveOptions options)
        : base(rank, rankCount, options)
    {
        (_runtime, _handles, _communicator) = (runtime, runtime.Handles, communicator);
        _calls = (CollectiveCall*)NativeMemory.AllocZeroed((nuint)rankCount, (nuint)sizeof(CollectiveCall));
        _sends = new nint[rankCount];
        _receives = new nint[rankCount];
        runtime.Begin();
    }

    /// <summary>For tests: what a rank does when all ranks have come to a call, before it takes part in it.</summary>
    internal Action? HaveMet { get; set; }

    public override string Transport => $"MPI ({_runtime.Version})";

    public override int RanksPerNode => Options.RanksPerNode ?? _ranksPerNode;

    private bool ComparesCalls => Options.ComparesCalls ?? true;

    /// <summary>A group of all processes that the launcher started, or of those with the same color.</summary>
    public static MpiCollective Open(CollectiveOptions options, int? color = null)
    {
        MpiRuntime runtime = MpiRuntime.Start(options.TimeLimit);
        nint communicator = 0, request = 0, world = runtime.Handles.World;
        lock (MpiRuntime.Calls)
        {
            if (color is int chosen)
            {
                runtime.ThrowIfFailed(MPI_Comm_split(world, chosen, 0, &communicator), nameof(MPI_Comm_split));
            }
            else
            {
                runtime.ThrowIfFailed(MPI_Comm_idup(world, &communicator, &request), nameof(MPI_Comm_idup));
            }
        }

        long start = Stopwatch.GetTimestamp();
        if (color is null && (runtime.Poll(&request, start, options.TimeLimit, BusyBefore, out int status) || status != Success))
        {
            throw new CollectiveException(
                status != Success
                    ? $"MPI_Comm_idup failed: {MpiRuntime.ErrorText(status)}"
                    : $"MPI_Comm_idup did not finish within {options.TimeLimit.TotalSeconds:0.###} s: a rank did not open the group.",
                call: nameof(MPI_Comm_idup));
        }

        int rank, count;
        lock (MpiRuntime.Calls)
        {
            runtime.ThrowIfFailed(MPI_Comm_set_errhandler(communicator, runtime.Handles.ErrorsReturn), nameof(MPI_Comm_set_errhandler));
            runtime.ThrowIfFailed(MPI_Comm_rank(communicator, &rank), nameof(MPI_Comm_rank));
            runtime.ThrowIfFailed(MPI_Comm_size(communicator, &count), nameof(MPI_Comm_size));
        }

        MpiCollective group = new(runtime, communicator, rank, count, options);
        if (options.RanksPerNode is null) group.FindNodes();
        return group;
    }

    private protected override bool Reaches(Device device, in CollectiveCall call) => base.Reaches(device, call)
        || (Options.PassesDevicePointers && device.Kind == DeviceKind.Cuda && call.Kind != CollectiveKind.ReduceScatter
            && (call.Kind != CollectiveKind.AllReduce || TypeOf(call.DType) != 0));

    private protected override void BarrierCore(in CollectiveCall call)
    {
        Meet(call);
        if (ComparesCalls) return; // who has all ranks' calls knows that they have come
        nint request = 0;
        lock (MpiRuntime.Calls) ThrowIfFailed(call, MPI_Ibarrier(_communicator, &request), nameof(MPI_Ibarrier));
        Finish(call, &request, nameof(MPI_Ibarrier));
    }

    private protected override void Exchange(in CollectiveCall call, nint source, nint destination)
    {
        Meet(call);
        if (call.Bytes == 0) return;
        if (call.Groups.Size > 0)
        {
            ExchangeInGroups(call, source, destination);
            return;
        }

        switch (call.Kind)
        {
            case CollectiveKind.AllReduce: AllReduce(call, source, destination); break;
            case CollectiveKind.ReduceScatter: ReduceScatter(call, source, destination); break;
            case CollectiveKind.AllGather:
                bool isInPlace = source == destination + (nint)(Rank * call.Bytes);
                AllGather(call, isInPlace ? _handles.InPlace : source, destination, call.Bytes);
                break;
            case CollectiveKind.AllToAll: AllToAll(call, source, destination, call.Bytes); break;
            case CollectiveKind.Broadcast: Broadcast(call, Rank == call.Root ? source : destination); break;
        }
    }

    private protected override void AbortCore(string reason)
    {
        Console.Error.WriteLine(Failure!.Message);
        _runtime.Abort(_communicator);
    }

    private protected override void DisposeCore()
    {
        if (Failure is not null) return; // others may still read and write what belongs to this rank
        if (Leave()) _runtime.End(HasLeft);
        NativeMemory.AlignedFree((void*)_scratch);
        base.DisposeCore();
    }

    /// <summary>Ranks on machines of one name are on one node.</summary>
    private void FindNodes()
    {
        ulong[] machines = new ulong[RankCount];
        ulong own = BitConverter.ToUInt64(SHA256.HashData(Encoding.UTF8.GetBytes(Environment.MachineName)));
        CollectiveCall call = new(CollectiveKind.AllGather, 0, DType.UInt64, 1, 0, "names of machines");
        fixed (ulong* all = machines) AllGather(call, (nint)(&own), (nint)all, sizeof(ulong));
        _ranksPerNode = RankGroups.PerNode(machines);
    }

    private void AllReduce(in CollectiveCall call, nint source, nint destination)
    {
        nint type = TypeOf(call.DType);
        if (type == 0)
        {
            AddUpPieces(call, source, destination);
            return;
        }

        for (long first = 0; first < call.Count; first += MostAtOnce)
        {
            int count = (int)Math.Min(MostAtOnce, call.Count - first);
            nint start = (nint)(first * call.DType.SizeInBytes()), request = 0;
            nint from = source == destination ? _handles.InPlace : source + start;
            lock (MpiRuntime.Calls)
            {
                int status = MPI_Iallreduce(from, destination + start, count, type, _handles.Sum, _communicator, &request);
                ThrowIfFailed(call, status, nameof(MPI_Iallreduce));
            }

            Finish(call, &request, nameof(MPI_Iallreduce));
        }
    }

    private void ReduceScatter(in CollectiveCall call, nint source, nint destination)
    {
        nint type = TypeOf(call.DType);
        if (type == 0)
        {
            nint received = Scratch(RankCount * call.Bytes);
            AllToAll(call, source, received, call.Bytes);
            HostSum.Sum(call.DType, PartsOf(received, call.Bytes), destination, call.Count);
            return;
        }

        // The destination may be a part of the source, which MPI does not allow.
        nint result = Scratch(call.Bytes), request = 0;
        lock (MpiRuntime.Calls)
        {
            int status = MPI_Ireduce_scatter_block(
                source, result, CountOf(call, call.Count), type, _handles.Sum, _communicator, &request);
            ThrowIfFailed(call, status, nameof(MPI_Ireduce_scatter_block));
        }

        Finish(call, &request, nameof(MPI_Ireduce_scatter_block));
        Copy(result, destination, call.Bytes);
    }

    /// <summary>The sum of a type that MPI does not know: each rank adds up a piece for all.</summary>
    private void AddUpPieces(in CollectiveCall call, nint source, nint destination)
    {
        long count = (call.Count + RankCount - 1) / RankCount, piece = count * call.DType.SizeInBytes(), whole = RankCount * piece;
        nint padded = Scratch((2 * whole) + piece), received = padded + (nint)whole, sum = received + (nint)whole;
        Copy(source, padded, call.Bytes);
        NativeMemory.Clear((void*)(padded + (nint)call.Bytes), (nuint)(whole - call.Bytes));
        AllToAll(call, padded, received, piece);
        HostSum.Sum(call.DType, PartsOf(received, piece), sum, count);
        AllGather(call, sum, padded, piece);
        Copy(padded, destination, call.Bytes);
    }

    private void AllGather(in CollectiveCall call, nint source, nint destination, long bytes)
    {
        nint request = 0;
        lock (MpiRuntime.Calls)
        {
            int count = CountOf(call, bytes);
            int status = MPI_Iallgather(
                source, count, _handles.Byte, destination, count, _handles.Byte, _communicator, &request);
            ThrowIfFailed(call, status, nameof(MPI_Iallgather));
        }

        Finish(call, &request, nameof(MPI_Iallgather));
    }

    private void AllToAll(in CollectiveCall call, nint source, nint destination, long bytes)
    {
        nint request = 0;
        lock (MpiRuntime.Calls)
        {
            int count = CountOf(call, bytes);
            int status = MPI_Ialltoall(source, count, _handles.Byte, destination, count, _handles.Byte, _communicator, &request);
            ThrowIfFailed(call, status, nameof(MPI_Ialltoall));
        }

        Finish(call, &request, nameof(MPI_Ialltoall));
    }

    /// <summary>
    /// Ranks of a group send each other, and themselves, their parts, or of a gather the one that they have: the memory may be a GPU's.
    /// </summary>
    private void ExchangeInGroups(in CollectiveCall call, nint source, nint destination)
    {
        RankGroups groups = call.Groups;
        int count = CountOf(call, call.Bytes);
        nint[] requests = new nint[2 * groups.Size];
        for (int place = 0; place < groups.Size; place++)
        {
            int rank = groups.Member(Rank, place);
            nint part = (nint)(place * call.Bytes), from = call.Kind == CollectiveKind.AllGather ? source : source + part;
            nint to = destination + part;
            if (from == to) continue; // its own, in place

            fixed (nint* started = &requests[2 * place])
            {
                lock (MpiRuntime.Calls)
                {
                    int status = MPI_Irecv((void*)to, count, _handles.Byte, rank, PartTag, _communicator, started);
                    ThrowIfFailed(call, status, nameof(MPI_Irecv));
                    status = MPI_Isend((void*)from, count, _handles.Byte, rank, PartTag, _communicator, started + 1);
                    ThrowIfFailed(call, status, nameof(MPI_Isend));
                }
            }
        }

        foreach (nint request in requests)
        {
            nint pending = request;
            if (pending != 0) Finish(call, &pending, nameof(MPI_Irecv));
        }
    }

    private void Broadcast(in CollectiveCall call, nint buffer)
    {
        for (long first = 0; first < call.Bytes; first += MostAtOnce)
        {
            int count = (int)Math.Min(MostAtOnce, call.Bytes - first);
            nint request = 0;
            lock (MpiRuntime.Calls)
            {
                int status = MPI_Ibcast(buffer + (nint)first, count, _handles.Byte, call.Root, _communicator, &request);
                ThrowIfFailed(call, status, nameof(MPI_Ibcast));
            }

            Finish(call, &request, nameof(MPI_Ibcast));
        }
    }

    /// <summary>Waits until all ranks have sent their calls, which must be the same.</summary>
    private void Meet(in CollectiveCall call)
    {
        if (!ComparesCalls) return;
        List<int> missing = Swap(call, Options.TimeLimit);
        if (missing.Count > 0)
        {
            throw Fail(Failed(
                call, $"{Ranks.Names(missing)} did not come within {Options.TimeLimit.TotalSeconds:0.###} s.", missing));
        }

        ReadOnlySpan<CollectiveCall> calls = new(_calls, RankCount);
        for (int rank = 0; rank < RankCount; rank++)
        {
            if (calls[rank].Kind != CollectiveKind.Leave) continue;
            throw Fail(Failed(call, $"rank {rank} left the group: {calls[rank].Text}.", [rank]));
        }

        for (int rank = 1; rank < RankCount; rank++)
        {
            if (!calls[rank].Equals(calls[0])) throw Fail(Differs(call, calls));
        }

        HaveMet?.Invoke();
    }

    /// <summary>Sends this rank's call to all others and takes theirs; returns the ranks that sent none within the limit.</summary>
    private List<int> Swap(in CollectiveCall call, TimeSpan limit)
    {
        long start = Stopwatch.GetTimestamp();
        BeginSwap(call);
        List<int> missing = [];
        for (int rank = 0; rank < RankCount; rank++)
        {
            if (rank == Rank) continue;
            if (IsLate(rank, start, limit, out int status)) missing.Add(rank);
            if (status != Success) throw FailedBy(call, status, "exchanging calls", rank);
        }

        return missing;
    }

    private void BeginSwap(in CollectiveCall call)
    {
        _calls[Rank] = call;
        lock (MpiRuntime.Calls)
        {
            fixed (nint* sends = _sends, receives = _receives)
            {
                for (int rank = 0; rank < RankCount; rank++)
                {
                    if (rank == Rank) continue;
                    int bytes = sizeof(CollectiveCall);
                    int status = MPI_Isend(_calls + Rank, bytes, _handles.Byte, rank, CallTag, _communicator, sends + rank);
                    ThrowIfFailed(call, status, nameof(MPI_Isend));
                    status = MPI_Irecv(_calls + rank, bytes, _handles.Byte, rank, CallTag, _communicator, receives + rank);
                    ThrowIfFailed(call, status, nameof(MPI_Irecv));
                }
            }
        }
    }

    /// <summary>Waits for another rank's call, and until it has this one's; true when that takes longer than the limit.</summary>
    private bool IsLate(int rank, long start, TimeSpan limit, out int status)
    {
        fixed (nint* send = &_sends[rank], receive = &_receives[rank])
        {
            bool isLate = _runtime.Poll(receive, start, limit, BusyBefore, out status);
            if (!isLate && status == Success) isLate = _runtime.Poll(send, start, limit, BusyBefore, out status);
            return isLate;
        }
    }

    /// <summary>
    /// Tells the others, whose next call then fails at once. They need not be there to take it: it is waited for when the process ends.
    /// </summary>
    private bool Leave()
    {
        if (!ComparesCalls || RankCount == 1) return true;
        try
        {
            BeginSwap(new CollectiveCall(CollectiveKind.Leave, 0, DType.UInt8, 0, 0, "disposed"));
            return true;
        }
        catch (CollectiveException)
        {
            return false; // it cannot be told
        }
    }

    /// <summary>The others have this rank's last word, and it has theirs.</summary>
    private bool HasLeft(TimeSpan limit)
    {
        long start = Stopwatch.GetTimestamp();
        for (int rank = 0; rank < RankCount && ComparesCalls; rank++)
        {
            if (rank != Rank && (IsLate(rank, start, limit, out int status) || status != Success)) return false;
        }

        return true;
    }

    /// <summary>Waits for a call of MPI that all ranks have to make.</summary>
    private void Finish(in CollectiveCall call, nint* request, string name)
    {
        bool isLate = _runtime.Poll(request, Stopwatch.GetTimestamp(), Options.TimeLimit, BusyWithin, out int status);
        if (status != Success) throw FailedBy(call, status, name, null);
        if (!isLate) return;
        string limit = $"{Options.TimeLimit.TotalSeconds:0.###} s";
        if (!ComparesCalls) throw Fail(Failed(call, $"not all ranks came within {limit}.", libraryCall: name));
        // All had come. Who ran out of time, too, says so now; who does not has died, or hangs.
        CollectiveCall late = new(CollectiveKind.Leave, 0, DType.UInt8, 0, 0, $"{call} did not end within {limit}");
        List<int> silent = Swap(late, TimeSpan.FromSeconds(Math.Min(2, Options.TimeLimit.TotalSeconds)));
        string who = silent.Count == 0 ? "all ranks wait in it." : $"of {Ranks.Names(silent)} nothing is heard any more.";
        throw Fail(Failed(call, $"it did not end within {limit}: {who}", silent, libraryCall: name));
    }

    private CollectiveException FailedBy(in CollectiveCall call, int status, string name, int? rank) => Fail(Failed(
        call, $"{name}{(rank is null ? "" : $" with rank {rank}")} failed: {MpiRuntime.ErrorText(status)}",
        rank is int other ? [other] : null,
        MpiRuntime.ErrorText(status), name));

    private void ThrowIfFailed(in CollectiveCall call, int status, string name)
    {
        if (status != Success) throw FailedBy(call, status, name, null);
    }

    /// <summary>MPI's type, or 0 where sums are ours.</summary>
    private nint TypeOf(DType dtype) => dtype switch
    {
        DType.Float32 => _handles.Float,
        DType.Float64 => _handles.Double,
        _ => 0,
    };

    private int CountOf(in CollectiveCall call, long count)
    {
        if (count <= int.MaxValue) return (int)count;
        throw new NotSupportedException(
            $"{call} on {this}: MPI exchanges at most 2^31 - 1 bytes with a rank; call with parts of the tensor.");
    }

    private nint[] PartsOf(nint whole, long bytes)
    {
        nint[] parts = new nint[RankCount];
        for (int rank = 0; rank < RankCount; rank++) parts[rank] = whole + (nint)(rank * bytes);
        return parts;
    }

    private nint Scratch(long bytes)
    {
        if (bytes <= _scratchBytes) return _scratch;
        NativeMemory.AlignedFree((void*)_scratch);
        (_scratch, _scratchBytes) = (0, 0);
        _scratch = (nint)NativeMemory.AlignedAlloc((nuint)bytes, 64);
        _scratchBytes = bytes;
        return _scratch;
    }

    private static void Copy(nint source, nint destination, long bytes) =>
        Buffer.MemoryCopy((void*)source, (void*)destination, bytes, bytes);
}
