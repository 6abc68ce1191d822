namespace Kernels.Study;

/// <summary>How ranks work together, besides how many there are.</summary>
internal sealed record RankSettings
{
    /// <summary>As many ranks as a usual machine has GPUs.</summary>
    public const int UsualShards = 8;

    /// <summary>Shards of a batch where sums have a fixed order.</summary>
    public int Shards { get; init; } = UsualShards;

    public SumMode Mode { get; init; }

    /// <summary>Gradients that are sent at once, at least.</summary>
    public long BucketBytes { get; init; } = GradientBuckets.UsualBytes;

    /// <summary>
    /// With these settings NCCL carries the data between CUDA devices, one for each rank; null where the ranks' own group does.
    /// </summary>
    public CollectiveOptions? Nccl { get; init; }

    /// <summary>Where the state of runs is kept after each epoch, a file for each run, until it is done; null for nowhere.</summary>
    public string? CheckpointPath { get; init; }

    /// <summary>With one shard a rank where the transport adds.</summary>
    public int ShardsOf(int ranks) => Mode == SumMode.AllReduce ? ranks : Shards;

    /// <summary>What the bits of a run depend on.</summary>
    public string Description => Mode == SumMode.AllReduce ? "all-reduce" : $"{Shards} shards";
}

/// <summary>What ranks have cost, for each step of training.</summary>
/// <param name="Ranks">How many.</param>
/// <param name="Shards">Of a batch.</param>
/// <param name="Mode">Of the sums.</param>
/// <param name="Transport">What carried the data.</param>
/// <param name="Steps">How many were measured.</param>
/// <param name="Seconds">Of a step.</param>
/// <param name="Waited">Seconds of a step in which the rank did nothing but talk to others.</param>
/// <param name="Calls">To other ranks.</param>
/// <param name="BytesSent">By one rank.</param>
internal sealed record RankUse(
    int Ranks, int Shards, SumMode Mode, string Transport, long Steps, double Seconds, double Waited, double Calls, double BytesSent);
