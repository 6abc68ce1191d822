namespace Kernels.Inspection;

/// <summary>What a turn of a loop costs.</summary>
/// <param name="Name">The pass, or the loop where it is none.</param>
/// <param name="Turn">The instructions that are issued.</param>
/// <param name="Path">The way through the loop.</param>
/// <param name="Elements">Elements that a lane handles in a turn; null where nothing tells.</param>
internal sealed record PassCost(string Name, IReadOnlyList<Instruction> Turn, TurnPath Path, int? Elements)
{
    /// <summary>Elements of a turn: those of a Philox block, or of 16 bytes of a half type.</summary>
    public const int UsualElements = 8;

    // Else what a compiler unrolls.
    private static readonly int[] PossibleElements = [UsualElements, 16, 4, 2, 1];

    private const int MostSpecial = 8;

    // What is read for a row on the way, such as its place or its bias.
    private const int MostExtra = 64;

    /// <summary>The search for ways that passes could match; for the one that touches most where there are none.</summary>
    public static PathSearch SearchFor(IReadOnlyList<Pass> passes, DType dtype)
    {
        if (passes.Count == 0) return PathSearch.OfMost;
        int loaded = passes.Max(pass => pass.Reads.Bytes(dtype) + pass.Again.Bytes(dtype));
        int stored = passes.Max(pass => pass.Writes.Bytes(dtype));
        // More than the usual number fit into registers only where an element is small.
        int elements = Math.Max(
            passes.Max(pass => pass.Elements), loaded + stored <= UsualElements ? PossibleElements.Max() : UsualElements);
        int beside = passes.Max(pass => pass.Beside);
        Marks marks = new(
            passes.Any(pass => pass.Exponentials > 0) ? MostSpecial : 0, passes.Max(pass => pass.Marks.Kept),
            passes.Max(pass => pass.Marks.Saturated));
        return new PathSearch((elements * loaded) + beside + MostExtra, elements * stored, marks);
    }

    /// <summary>
    /// The way through a loop in which a turn moves what a pass says of so many elements; null where there is none. Stores and loads show
    /// how many they are: what is stored must fit exactly, and of what is loaded there may be more, such as the row's bias.
    /// </summary>
    public static PassCost? Match(FlowGraph graph, IReadOnlyCollection<TurnPath> paths, Pass pass, DType dtype)
    {
        int stored = pass.Writes.Bytes(dtype), loaded = pass.Reads.Bytes(dtype) + pass.Again.Bytes(dtype);
        (TurnPath path, int elements) = PossibleElements.Prepend(pass.Elements)
            .SelectMany((elements, rank) => paths.Where(path => path.StoredBytes == elements * stored
                    && (stored == 0
                        ? path.LoadedBytes == (elements * loaded) + pass.Beside
                        : path.LoadedBytes >= (elements * loaded) + pass.Beside)
                    && path.Marks.Cover(pass.Marks with { Special = Math.Min(elements * pass.Exponentials, MostSpecial) })
                    && (!pass.TakesKept || InstructionsOf(graph, path).Any(LoadsShared)))
                .Select(path => (Path: path, Elements: elements, Rank: rank)))
            .OrderBy(fit => fit.Path.Detours)
            .ThenBy(fit => fit.Rank > 0)
            .ThenBy(fit => (double)fit.Path.Accesses / fit.Elements)
            .ThenBy(fit => ((double)fit.Path.LoadedBytes / fit.Elements) - loaded)
            .ThenBy(fit => (double)fit.Path.Forbidden / fit.Elements)
            .ThenBy(fit => fit.Rank)
            .ThenByDescending(fit => fit.Path.InstructionCount)
            .Select(fit => (fit.Path, fit.Elements))
            .FirstOrDefault();
        return path is null ? null : new PassCost(pass.Name, InstructionsOf(graph, path), path, elements);
    }

    /// <summary>The way through a loop that touches most memory, where nothing is known of it.</summary>
    public static PassCost? OfLoop(FlowGraph graph, IReadOnlyCollection<TurnPath> paths, string name)
    {
        TurnPath? path = paths.OrderBy(path => path.Detours).ThenByDescending(path => path.LoadedBytes + path.StoredBytes)
            .ThenByDescending(path => path.InstructionCount).FirstOrDefault();
        return path is null ? null : new PassCost(name, InstructionsOf(graph, path), path, null);
    }

    /// <summary>
    /// The loads or stores of global memory that are carried out: where the way's bytes say that predicates forbid some, those that the
    /// same predicate forbids are left out together.
    /// </summary>
    public IReadOnlyList<Instruction> Accesses(bool stores)
    {
        List<Instruction> accesses = [.. Turn.Where(instruction =>
            instruction.Access is { Space: MemorySpace.Global } access && access.IsStore == stores)];
        int surplus = accesses.Sum(Bytes) - (stores ? Path.StoredBytes : Path.LoadedBytes);
        IGrouping<string, Instruction>[] guards =
            [.. accesses.Where(access => access.IsGuarded).GroupBy(access => access.Guard).OrderBy(group => group.Max(Bytes))];
        foreach (IGrouping<string, Instruction> guarded in guards)
        {
            int bytes = guarded.Sum(Bytes);
            if (bytes > surplus) continue;
            surplus -= bytes;
            accesses.RemoveAll(access => access.Guard == guarded.Key);
        }

        return accesses;
    }

    /// <summary>Clocks that a warp alone takes for the turn, behind one like it: what that has loaded for it is on its way.</summary>
    public int Clocks
    {
        get
        {
            IReadOnlyList<Instruction> loads = Accesses(stores: false);
            return CriticalPath.Clocks([.. Turn, .. Turn], loads) - CriticalPath.Clocks(Turn, loads);
        }
    }

    public Sectors SectorsOf(bool stores) => Sectors.Of(Turn, Accesses(stores));

    public int Count(Pipe pipe) => Turn.Count(instruction => Pipes.Of(instruction) == pipe);

    /// <summary>Widths of the loads or stores of global memory with their number: <c>2x16</c>, the widest first.</summary>
    public string Widths(bool stores) => string.Join(' ', Accesses(stores)
        .GroupBy(Bytes)
        .OrderByDescending(width => width.Key)
        .Select(width => $"{width.Count()}x{width.Key}"));

    // Compilers put such loads that are never carried out in front of asynchronous copies.
    private static bool LoadsShared(Instruction instruction) =>
        instruction is { IsGuarded: false, Access: { Space: MemorySpace.Shared, IsStore: false } };

    private static int Bytes(Instruction access) => access.Access!.Bytes;

    private static List<Instruction> InstructionsOf(FlowGraph graph, TurnPath path) =>
        [.. path.Blocks.Where(block => !IsInnerLoop(graph, path, block)).SelectMany(block => graph.InstructionsOf(graph.Blocks[block]))];

    // A block that heads a loop inside the path's own stands for that loop, whose turns are not known.
    private static bool IsInnerLoop(FlowGraph graph, TurnPath path, int block) =>
        graph.Loops.Any(loop => loop.Parent == path.Loop && loop.Header == block);
}
