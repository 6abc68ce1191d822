namespace Kernels.Inspection;

/// <summary>The most that a kernel can reach on a GPU.</summary>
/// <param name="FractionOfCopy">Its rate, in the fewest bytes that it must move, beside that of a copy; 1 is the most.</param>
/// <param name="Bound">What is busy all the time when it gets there.</param>
internal sealed record Ceiling(double FractionOfCopy, string Bound)
{
    /// <summary>
    /// The longest of the times that each part of a multiprocessor needs for an element, as if all worked side by side without a gap
    /// (Williams et al., "Roofline", 2009), and the time of a warp that waits for itself, shared by the warps that are resident (Volkov,
    /// "Understanding Latency Hiding on GPUs", 2016).
    /// </summary>
    public static Ceiling Of(Gpu gpu, KernelInspection kernel)
    {
        DType dtype = kernel.Variant.DType;
        double bytes = kernel.Passes.Sum(pass => pass.Reads.Bytes(dtype) + pass.Writes.Bytes(dtype));
        double memory = bytes / gpu.CopyBytesPerClock;
        IEnumerable<double> sectors = kernel.Passes.Zip(kernel.Costs, (pass, cost) => SectorClocks(pass, cost, dtype));
        int threads = kernel.Occupancy.Groups * kernel.Kernel.GroupSize;
        (double Clocks, string Name)[] bounds =
        [
            (memory, "memory"),
            (Sum(cost => (double)cost.Turn.Count / Gpu.IssueLanes), "issue"),
            (Sum(cost => Math.Max(
                (double)cost.Count(Pipe.FmaHeavy) / Gpu.FmaHeavyLanes,
                (double)(cost.Count(Pipe.FmaHeavy) + cost.Count(Pipe.Fma)) / Gpu.FmaLanes)), "FMA"),
            (Sum(cost => (double)cost.Count(Pipe.Alu) / Gpu.AluLanes), "ALU"),
            (Sum(cost => (double)cost.Count(Pipe.Xu) / Gpu.XuLanes), "XU"),
            (Sum(cost => (double)cost.Count(Pipe.Fp64) / Gpu.Fp64Lanes), "FP64"),
            (Sum(LoadStoreClocks), "LSU"),
            (kernel.KnowsSectors ? sectors.Sum() : 0, "L2 sectors"),
            (Sum(cost => (double)cost.Clocks / threads), "latency"),
        ];
        (double longest, string name) = bounds.MaxBy(bound => bound.Clocks);
        return new Ceiling(memory / longest, name);

        double Sum(Func<PassCost, double> clocks) => kernel.Costs.Sum(cost => clocks(cost) / cost.Elements!.Value);
    }

    private static double LoadStoreClocks(PassCost cost) => cost.Turn.Where(instruction => Pipes.Of(instruction) == Pipe.Lsu).Sum(
        instruction => Math.Max(1.0 / Gpu.LsuLanes, (double)(instruction.Access?.Bytes ?? 0) / Gpu.L1Bytes));

    // What is loaded is in L1 after the first request, whole; a store goes to L2 as it is.
    private static double SectorClocks(Pass pass, PassCost cost, DType dtype)
    {
        double loaded = (double)(pass.Reads.Bytes(dtype) + pass.Again.Bytes(dtype)) / Gpu.SectorBytes;
        double stored = (double)cost.SectorsOf(stores: true).Touched / (Gpu.WarpLanes * cost.Elements!.Value);
        return (loaded + stored) / Gpu.SectorsPerClock;
    }
}
