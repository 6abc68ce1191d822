namespace Kernels.Devices.Cpu;

/// <summary>
/// Runs independent pieces of an op on all cores. How many pieces there are depends on the problem alone and each writes its own part of
/// the result, so results do not depend on the number of threads.
/// </summary>
internal static class CpuParallel
{
    /// <summary>
    /// Elements of an elementwise op that one core takes at a time: worth a hand-over, and small enough to share the work evenly.
    /// </summary>
    public const long ElementsPerChunk = 1 << 16;

    /// <summary>A core takes a quarter of its share of what is left at a time: the last pieces go out one by one.</summary>
    private const long Parts = 4;

    private static readonly ParallelOptions Options = new() { MaxDegreeOfParallelism = Environment.ProcessorCount };

    /// <summary>Whether this thread has a piece of a loop that gives every core one.</summary>
    [ThreadStatic]
    private static bool _isInside;

    /// <summary>Cores that a loop may have.</summary>
    public static int Workers => _isInside ? 1 : Environment.ProcessorCount;

    /// <summary>
    /// Calls <paramref name="body"/> for 0 to count - 1; inline when there is only one piece or one core, or where all cores have pieces of
    /// a loop around this one.
    /// </summary>
    public static void For(long count, Action<long> body)
    {
        if (count <= 1 || Workers == 1)
        {
            for (long i = 0; i < count; i++) body(i);
            return;
        }

        // The runtime's own loops hand out ever larger parts, and leave the last of them to one core.
        long workers = Math.Min(count, Environment.ProcessorCount), next = 0;
        Parallel.For(0, workers, Options, worker =>
        {
            bool isInside = _isInside;
            _isInside = workers == Environment.ProcessorCount;
            try
            {
                while (true)
                {
                    long first = Volatile.Read(ref next);
                    if (first >= count) break;
                    long end = first + Math.Max(1, (count - first) / (Parts * workers));
                    if (Interlocked.CompareExchange(ref next, end, first) != first) continue;
                    for (long i = first; i < end; i++) body(i);
                }
            }
            finally
            {
                _isInside = isInside;
            }
        });
    }

    /// <summary>
    /// Splits [0, count) into ranges of <paramref name="chunk"/> elements (the last may be shorter) and calls <paramref name="body"/> with
    /// the start and end of each.
    /// </summary>
    public static void ForRange(long count, long chunk, Action<long, long> body)
    {
        if (count <= chunk)
        {
            if (count > 0) body(0, count);
            return;
        }

        // Not count + chunk - 1, nor (i + 1) * chunk, which may be past the last long.
        For(((count - 1) / chunk) + 1, i => body(i * chunk, count - (i * chunk) <= chunk ? count : (i + 1) * chunk));
    }
}
