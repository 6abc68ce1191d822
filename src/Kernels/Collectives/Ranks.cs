namespace Kernels;

/// <summary>Ranks in messages.</summary>
internal static class Ranks
{
    private const int MostNamed = 16;

    /// <summary>"rank 3", "ranks 1, 2 and 5".</summary>
    public static string Names(IReadOnlyList<int> ranks)
    {
        if (ranks.Count == 1) return $"rank {ranks[0]}";
        if (ranks.Count > MostNamed) return $"ranks {string.Join(", ", ranks.Take(MostNamed))} and {ranks.Count - MostNamed} more";
        return $"ranks {string.Join(", ", ranks.SkipLast(1))} and {ranks[^1]}";
    }
}
