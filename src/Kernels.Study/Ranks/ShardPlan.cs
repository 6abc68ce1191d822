namespace Kernels.Study;

/// <summary>
/// How the batches of a run are cut into shards, and which of them this rank computes: neighbours, as many on each rank. Where a shard
/// begins and ends depends on the number of shards alone, never on that of ranks.
/// </summary>
internal sealed record ShardPlan
{
    /// <exception cref="ArgumentException">The shards cannot be dealt evenly to the ranks.</exception>
    public ShardPlan(int shards, int ranks, int rank)
    {
        if (shards < 1 || shards % ranks != 0)
            throw new ArgumentException($"{shards} shards of a batch cannot be dealt evenly to {ranks} ranks.", nameof(shards));
        (Shards, Ranks, Rank) = (shards, ranks, rank);
    }

    public int Shards { get; }

    public int Ranks { get; }

    public int Rank { get; }

    /// <summary>How many shards this rank computes.</summary>
    public int Count => Shards / Ranks;

    /// <summary>The first of them.</summary>
    public int First => Rank * Count;

    /// <summary>The rows of a shard in a batch of so many; a batch of fewer rows than shards leaves shards empty.</summary>
    public RowRange RowsOf(int shard, long rows) => Rows(shard, shard + 1, rows);

    /// <summary>The rows of all shards of this rank.</summary>
    public RowRange OwnRows(long rows) => Rows(First, First + Count, rows);

    /// <summary>The rows of the largest shard of a batch.</summary>
    public int MostRows(int rows) => (rows + Shards - 1) / Shards;

    private RowRange Rows(int shard, int end, long rows)
    {
        long first = rows * shard / Shards;
        return new RowRange(first, (rows * end / Shards) - first);
    }
}

/// <summary>Rows of a batch.</summary>
internal readonly record struct RowRange(long First, long Count);
