namespace Kernels.Inspection;

/// <summary>
/// The sectors of 32 bytes that the requests of a warp touch, told from the code: a lane's accesses to one place follow each other without
/// a gap, and the next lane begins where it ends. That holds where elements are dealt to lanes in order. What a simulator counts of a run
/// can take this place.
/// </summary>
/// <param name="Requests">Loads, or stores, of a warp in a turn.</param>
/// <param name="Touched">Sectors that each touches, summed over them.</param>
/// <param name="Least">The fewest that as many bytes lie in.</param>
internal sealed record Sectors(int Requests, int Touched, int Least)
{
    /// <param name="turn">All instructions of a turn.</param>
    /// <param name="requests">Those of them that are counted.</param>
    public static Sectors Of(IReadOnlyList<Instruction> turn, IReadOnlyList<Instruction> requests)
    {
        List<(string Place, long Offset, int Bytes)> accesses = [];
        Dictionary<string, int> versions = [];
        foreach (Instruction instruction in turn)
        {
            if (requests.Any(request => ReferenceEquals(request, instruction)))
            {
                (string address, long offset) = MemoryAccess.AddressOf(instruction);
                accesses.Add(($"{address} {versions.GetValueOrDefault(address)}", offset, instruction.Access!.Bytes));
            }

            // Another address in the same register is another place.
            foreach (string address in instruction.Written.SelectMany(register => (string[])[register, $"{register}.64"]))
                versions[address] = versions.GetValueOrDefault(address) + 1;
        }

        (int touched, int least) = (0, 0);
        foreach (List<(long Offset, int Bytes)> run in accesses.GroupBy(access => access.Place)
            .SelectMany(place => Runs(place.Select(access => (access.Offset, access.Bytes)))))
        {
            long start = run[0].Offset, stride = run[^1].Offset + run[^1].Bytes - start;
            foreach ((long offset, int bytes) in run)
            {
                touched += Touches(offset - start, bytes, stride);
                least += bytes * Gpu.WarpLanes / Gpu.SectorBytes;
            }
        }

        return new Sectors(accesses.Count, touched, least);
    }

    private static IEnumerable<List<(long Offset, int Bytes)>> Runs(IEnumerable<(long Offset, int Bytes)> accesses)
    {
        List<(long Offset, int Bytes)> run = [];
        foreach ((long Offset, int Bytes) access in accesses.Distinct().OrderBy(access => access.Offset))
        {
            if (run.Count > 0 && access.Offset != run[^1].Offset + run[^1].Bytes)
            {
                yield return run;
                run = [];
            }

            run.Add(access);
        }

        if (run.Count > 0) yield return run;
    }

    private static int Touches(long offset, int bytes, long stride)
    {
        HashSet<long> sectors = [];
        for (int lane = 0; lane < Gpu.WarpLanes; lane++)
        {
            long first = (lane * stride) + offset;
            for (long sector = first / Gpu.SectorBytes; sector <= (first + bytes - 1) / Gpu.SectorBytes; sector++) sectors.Add(sector);
        }

        return sectors.Count;
    }
}
