namespace Kernels;

/// <summary>Settings of a group of ranks; the same on all of them.</summary>
public sealed record CollectiveOptions
{
    /// <summary>How long a rank waits for the others in one call, and when the group is made.</summary>
    public TimeSpan TimeLimit { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>
    /// Whether ranks compare their calls before they exchange data, so that different lengths, types or calls are an error on all of them.
    /// Under MPI that costs a message to and from every other rank, under NCCL a small gather and a wait for the stream; in-process
    /// nothing. Null: yes under MPI, no under NCCL, where other calls than the rest make end by the time limit at best.
    /// </summary>
    public bool? ComparesCalls { get; init; }

    /// <summary>
    /// Gives MPI the addresses of CUDA tensors instead of pinned copies in host memory. For libraries that were built for it: others crash.
    /// </summary>
    public bool PassesDevicePointers { get; init; }

    /// <summary>
    /// Ranks of a node, which are neighbours, as many in each: null for what the transport finds (see
    /// <see cref="ICollective.RanksPerNode"/>). On it depends by which way <see cref="FixedOrderSum{T}"/> adds up, never what comes out.
    /// </summary>
    public int? RanksPerNode { get; init; }

    internal void Validate()
    {
        if (TimeLimit <= TimeSpan.Zero || TimeLimit > TimeSpan.FromDays(1))
        {
            throw new ArgumentOutOfRangeException(
                nameof(TimeLimit), TimeLimit, $"CollectiveOptions: {nameof(TimeLimit)} is positive and at most a day.");
        }
    }
}
