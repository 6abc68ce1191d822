namespace Kernels;

/// <summary>
/// One rank's end of a group of ranks that exchange tensors: threads of a process, processes under MPI, GPUs under NCCL. Made by
/// <see cref="Collectives"/>.
/// </summary>
/// <remarks>
/// <para>
/// Every rank makes the same calls in the same order, with the same lengths and data types; tensors may lie on different devices, but for
/// NCCL. A call is ordered in its stream: it reads what earlier work of the stream has written, and later work of the stream sees its
/// result. Transports over host memory (in-process, MPI) block the calling thread until the result is there or on its way to the device;
/// NCCL queues and returns. To overlap communication with computation give it a stream of its own, joined to the other by events: a GPU
/// goes on with what is queued; a CPU device needs a thread of its own for it. One thread at a time calls, and all calls of all ranks have
/// one order.
/// </para>
/// <para>
/// Nothing waits longer than <see cref="CollectiveOptions.TimeLimit"/>. A rank that is missing, left, or made another call ends the call on
/// all ranks with a <see cref="CollectiveException"/> that names it; the group cannot be used after that. Tensors of no elements are valid,
/// and still count as a call. Calls cannot be captured in a graph.
/// </para>
/// <para>
/// Sums are over ranks, in float (double for double) where the transport is ours: in-process sums, and half types under MPI, are added up
/// in a fixed binary tree over ranks and rounded once. MPI adds float and double in an order of its own, NCCL all types, half types with
/// a rounding at each step. <see cref="FixedOrderSum{T}"/> gives the same bits for any number of ranks over every transport.
/// </para>
/// </remarks>
public interface ICollective : IDisposable
{
    /// <summary>This rank: 0 to <see cref="RankCount"/> - 1.</summary>
    int Rank { get; }

    /// <summary>How many ranks there are.</summary>
    int RankCount { get; }

    /// <summary>
    /// How many ranks are on each node: neighbours, the first ones on the first node. All of them where it is one node, or where nodes
    /// have different numbers of ranks. MPI finds it by the names of machines; other transports know what
    /// <see cref="CollectiveOptions.RanksPerNode"/> says.
    /// </summary>
    int RanksPerNode { get; }

    /// <summary>What carries the data, for people: <c>in-process</c>, <c>MPI (Open MPI 4.1.4)</c>, <c>NCCL 2.27.3</c>.</summary>
    string Transport { get; }

    /// <summary>Calls, bytes and waiting so far.</summary>
    CollectiveCounters Counters { get; }

    /// <summary>destination = the sum of all ranks' sources, on every rank.</summary>
    /// <param name="stream">Queue that the call is ordered in.</param>
    /// <param name="source">Values of a floating-point type.</param>
    /// <param name="destination">As many values; may be the source.</param>
    /// <param name="purpose">What the call is for, in error messages; the same on all ranks.</param>
    /// <exception cref="ArgumentException">Lengths differ, tensors overlap in part, or are on another device than the stream.</exception>
    /// <exception cref="InvalidOperationException">The stream is being captured.</exception>
    /// <exception cref="CollectiveException">A rank is missing or made another call, or the transport failed.</exception>
    void AllReduce<T>(DeviceStream stream, DeviceTensor<T> source, DeviceTensor<T> destination, string? purpose = null)
        where T : unmanaged;

    /// <summary>destination = the sources of all ranks, one behind the other in the order of ranks, on every rank.</summary>
    /// <param name="stream">Queue that the call is ordered in.</param>
    /// <param name="source">Values of any type, as many on every rank.</param>
    /// <param name="destination"><see cref="RankCount"/> times as many; the source may be this rank's own part of it.</param>
    /// <param name="purpose">What the call is for, in error messages; the same on all ranks.</param>
    /// <inheritdoc cref="AllReduce" path="/exception"/>
    void AllGather<T>(DeviceStream stream, DeviceTensor<T> source, DeviceTensor<T> destination, string? purpose = null)
        where T : unmanaged;

    /// <summary><see cref="AllGather{T}(DeviceStream, DeviceTensor{T}, DeviceTensor{T}, string)"/> within groups of ranks.</summary>
    /// <param name="stream">Queue that the call is ordered in.</param>
    /// <param name="source">Values of any type, as many on every rank.</param>
    /// <param name="destination">As many times as many as a group has ranks; the source may be this rank's own part of it.</param>
    /// <param name="groups">The groups, the same on all ranks; all take part at the same time.</param>
    /// <param name="purpose">What the call is for, in error messages; the same on all ranks.</param>
    /// <inheritdoc cref="AllReduce" path="/exception"/>
    void AllGather<T>(
        DeviceStream stream, DeviceTensor<T> source, DeviceTensor<T> destination, RankGroups groups, string? purpose = null)
        where T : unmanaged;

    /// <summary>The sum of all ranks' sources, cut into as many parts as there are ranks: destination = this rank's part.</summary>
    /// <param name="stream">Queue that the call is ordered in.</param>
    /// <param name="source">Values of a floating-point type, <see cref="RankCount"/> times as many as the destination has.</param>
    /// <param name="destination">May be this rank's own part of the source.</param>
    /// <param name="purpose">What the call is for, in error messages; the same on all ranks.</param>
    /// <inheritdoc cref="AllReduce" path="/exception"/>
    void ReduceScatter<T>(DeviceStream stream, DeviceTensor<T> source, DeviceTensor<T> destination, string? purpose = null)
        where T : unmanaged;

    /// <summary>
    /// Source and destination have a part for each rank: part j of this rank's source becomes part (this rank) of rank j's destination.
    /// </summary>
    /// <param name="stream">Queue that the call is ordered in.</param>
    /// <param name="source">Values of any type, a multiple of <see cref="RankCount"/>.</param>
    /// <param name="destination">As many values; shares no memory with the source.</param>
    /// <param name="purpose">What the call is for, in error messages; the same on all ranks.</param>
    /// <inheritdoc cref="AllReduce" path="/exception"/>
    void AllToAll<T>(DeviceStream stream, DeviceTensor<T> source, DeviceTensor<T> destination, string? purpose = null)
        where T : unmanaged;

    /// <summary><see cref="AllToAll{T}(DeviceStream, DeviceTensor{T}, DeviceTensor{T}, string)"/> within groups of ranks.</summary>
    /// <param name="stream">Queue that the call is ordered in.</param>
    /// <param name="source">Values of any type, a part for each rank of the group.</param>
    /// <param name="destination">As many values; shares no memory with the source.</param>
    /// <param name="groups">The groups, the same on all ranks; all take part at the same time.</param>
    /// <param name="purpose">What the call is for, in error messages; the same on all ranks.</param>
    /// <inheritdoc cref="AllReduce" path="/exception"/>
    void AllToAll<T>(
        DeviceStream stream, DeviceTensor<T> source, DeviceTensor<T> destination, RankGroups groups, string? purpose = null)
        where T : unmanaged;

    /// <summary>The tensor of rank <paramref name="root"/> goes to all others.</summary>
    /// <param name="stream">Queue that the call is ordered in.</param>
    /// <param name="tensor">Values of any type: read on the root, written elsewhere.</param>
    /// <param name="root">The rank that sends.</param>
    /// <param name="purpose">What the call is for, in error messages; the same on all ranks.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such rank.</exception>
    /// <inheritdoc cref="AllReduce" path="/exception"/>
    void Broadcast<T>(DeviceStream stream, DeviceTensor<T> tensor, int root = 0, string? purpose = null)
        where T : unmanaged;

    /// <summary>Returns when all ranks have called it. Work of streams is not waited for.</summary>
    /// <param name="purpose">What the call is for, in error messages; the same on all ranks.</param>
    /// <exception cref="CollectiveException">A rank is missing or made another call, or the transport failed.</exception>
    void Barrier(string? purpose = null);

    /// <summary>
    /// Waits for the stream and for this rank's calls in it, as <see cref="DeviceStream.Synchronize"/> does, and throws what went wrong in
    /// them: NCCL's failures come to light here or in the next call.
    /// </summary>
    /// <exception cref="CollectiveException">A call failed; the values that it was to give are not there.</exception>
    /// <exception cref="DeviceException">Other work of the stream failed.</exception>
    void Synchronize(DeviceStream stream);

    /// <summary>
    /// Ends the group: all other ranks' calls throw with the reason, those under way at once. Under MPI it ends all processes, this one
    /// too, and does not return. May be called by any thread, also while another is in a call.
    /// </summary>
    /// <param name="reason">Why, for the messages of the others.</param>
    void Abort(string reason);
}
