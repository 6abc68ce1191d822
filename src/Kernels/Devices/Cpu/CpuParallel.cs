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

        int workers = (int)Math.Min(count, Environment.ProcessorCount);
        bool isFull = workers == Environment.ProcessorCount;
        CpuTeam.Run(count, workers, i =>
        {
            bool isInside = _isInside;
            _isInside = isFull;
            try
            {
                body(i);
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
