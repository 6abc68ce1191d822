namespace Kernels.Inspection;

/// <summary>How many groups of a kernel a multiprocessor holds at once, and what there is no more of.</summary>
/// <param name="Groups">Groups at once.</param>
/// <param name="Limit">What sets the number: registers, shared, threads.</param>
/// <param name="Share">Resident threads as a share of the most there can be.</param>
internal sealed record Occupancy(int Groups, string Limit, double Share)
{
    public static Occupancy Of(ResourceUsage usage, int groupSize)
    {
        int warps = (groupSize + Gpu.WarpLanes - 1) / Gpu.WarpLanes;
        int registersPerWarp = RoundUp(Math.Max(usage.Registers, 1) * Gpu.WarpLanes, Gpu.RegisterUnit);
        // Registers belong to a quarter of the multiprocessor, and warps are dealt to quarters whole.
        int warpsByRegisters = 4 * (Gpu.RegistersPerMultiprocessor / 4 / registersPerWarp);
        (int Groups, string Limit)[] limits =
        [
            (Math.Min(Gpu.ThreadsPerMultiprocessor / groupSize, Gpu.GroupsPerMultiprocessor), "threads"),
            (warpsByRegisters / warps, "registers"),
            (Gpu.SharedBytesPerMultiprocessor / (usage.SharedBytes + Gpu.ReservedSharedBytes), "shared"),
        ];
        (int groups, string limit) = limits.MinBy(limit => limit.Groups);
        return new Occupancy(groups, limit, (double)groups * groupSize / Gpu.ThreadsPerMultiprocessor);
    }

    private static int RoundUp(int value, int unit) => (value + unit - 1) / unit * unit;
}
