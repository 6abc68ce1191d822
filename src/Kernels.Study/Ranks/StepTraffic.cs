namespace Kernels.Study;

/// <summary>What a rank's calls are made of in a step: how many there are, and the bytes that it sends.</summary>
internal readonly record struct StepTraffic(int Calls, long BytesSent)
{
    private const int GradientAlignment = 64;
    private const int PieceAlignment = 16;

    public static StepTraffic operator +(StepTraffic left, StepTraffic right) =>
        new(left.Calls + right.Calls, left.BytesSent + right.BytesSent);

    /// <summary>Of a network whose gradients are one bucket.</summary>
    /// <param name="parameters">Their lengths.</param>
    /// <param name="normalized">Channels of each layer of batch normalization.</param>
    /// <param name="plan">Shards and ranks; the shards of a rank are a power of two.</param>
    /// <param name="mode">Of the sums.</param>
    public static StepTraffic Of(IEnumerable<long> parameters, IEnumerable<long> normalized, ShardPlan plan, SumMode mode)
    {
        StepTraffic sum = Gradients(parameters.Sum(length => RoundUp(length, GradientAlignment)), plan.Ranks, mode);
        foreach (long channels in normalized)
            sum += Gather(plan, SyncBatchNorm.MomentRows * channels) + Gather(plan, SyncBatchNorm.GradientRows * channels);
        return sum;
    }

    private static StepTraffic Gradients(long length, int ranks, SumMode mode)
    {
        if (mode == SumMode.AllReduce) return new StepTraffic(1, 2 * length * sizeof(float) * (ranks - 1) / ranks);
        if (ranks == 1) return default;

        // A piece for each other rank, and the sum of the own one to all.
        long piece = RoundUp(length, (long)ranks * PieceAlignment) / ranks;
        return new StepTraffic(2, 2 * piece * sizeof(float) * (ranks - 1));
    }

    private static StepTraffic Gather(ShardPlan plan, long length) =>
        new(1, plan.Count * length * sizeof(float) * (plan.Ranks - 1));

    private static long RoundUp(long value, long unit) => (value + unit - 1) / unit * unit;
}
