namespace Kernels.Inspection;

/// <summary>The most that a kernel of matrix products can reach.</summary>
/// <param name="Cost">The loop that multiplies.</param>
/// <param name="OfPeak">
/// Its multiply-adds beside the most that the units for them make, tensor cores where it uses them; 1 is the most.
/// </param>
/// <param name="Bound">What is busy all the time when it gets there.</param>
internal sealed record ProductShare(PassCost Cost, double OfPeak, string Bound)
{
    /// <summary>Of the loop with the most products; null where no loop multiplies.</summary>
    public static ProductShare? Of(IEnumerable<PassCost> loops)
    {
        PassCost? cost = loops.MaxBy(Products);
        if (cost is null || Products(cost) == 0) return null;
        int warp = Gpu.WarpLanes, tensor = cost.Count(Pipe.Tensor), fma = cost.Count(Pipe.Fma), heavy = cost.Count(Pipe.FmaHeavy);
        double peak = tensor > 0
            ? (double)tensor * Gpu.WarpProductFmas / Gpu.TensorFmas : (double)Multiplications(cost) * warp / Gpu.FmaLanes;
        (double Clocks, string Name)[] bounds =
        [
            ((double)cost.Turn.Count * warp / Gpu.IssueLanes, "issue"),
            (peak / (tensor > 0 ? Gpu.WarpProductShare : 1), tensor > 0 ? "tensor cores" : "FMA"),
            (Math.Max((double)heavy / Gpu.FmaHeavyLanes, (double)(heavy + fma) / Gpu.FmaLanes) * warp, "FMA"),
            ((double)cost.Count(Pipe.Alu) * warp / Gpu.AluLanes, "ALU"),
            (cost.Turn.Where(instruction => Pipes.Of(instruction) == Pipe.Lsu).Sum(LoadStoreClocks), "shared memory"),
        ];
        (double longest, string name) = bounds.MaxBy(bound => bound.Clocks);
        return new ProductShare(cost, peak / longest, name);
    }

    private static int Products(PassCost cost) => (cost.Count(Pipe.Tensor) * Gpu.WarpProductFmas) + Multiplications(cost);

    private static int Multiplications(PassCost cost) =>
        cost.Turn.Count(instruction => instruction.Opcode.StartsWith("FFMA", StringComparison.Ordinal));

    private static double LoadStoreClocks(Instruction instruction) =>
        Gpu.WarpLanes * Math.Max(1.0 / Gpu.LsuLanes, (double)(instruction.Access?.Bytes ?? 0) / Gpu.L1Bytes);
}
