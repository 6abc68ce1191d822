namespace Kernels;

/// <summary>
/// Groups of one size that ranks exchange in among themselves, all at the same time: the ranks of a node, say, or those that have the same
/// place in their nodes. Every rank is in one of them.
/// </summary>
/// <param name="Size">Ranks of a group.</param>
/// <param name="Stride">From one rank of a group to the next: 1 for neighbours.</param>
public readonly record struct RankGroups(int Size, int Stride = 1)
{
    /// <summary>The place of a rank in its group.</summary>
    public int PlaceOf(int rank) => rank / Stride % Size;

    /// <summary>The rank that has a place in the group of <paramref name="rank"/>.</summary>
    public int Member(int rank, int place) => rank + ((place - PlaceOf(rank)) * Stride);

    internal void Validate(string op, int rankCount)
    {
        if (Size < 1 || Stride < 1 || rankCount % ((long)Size * Stride) != 0)
            throw new ArgumentException($"{op}: {rankCount} ranks do not make groups of {Size} with a stride of {Stride}.", "groups");
    }

    /// <summary>How many neighbours are on each machine; all ranks where that is not the same everywhere.</summary>
    /// <param name="machines">That of each rank.</param>
    internal static int PerNode(ReadOnlySpan<ulong> machines)
    {
        int size = 1;
        while (size < machines.Length && machines[size] == machines[0]) size++;
        if (machines.Length % size != 0) return machines.Length;
        for (int first = 0; first < machines.Length; first += size)
        {
            bool isNode = !machines.Slice(first, size).ContainsAnyExcept(machines[first]);
            if (!isNode || (first > 0 && machines[first] == machines[first - 1])) return machines.Length;
        }

        return size;
    }
}
