namespace Kernels.Inspection;

/// <summary>Instructions that are always carried out one after the other.</summary>
/// <param name="First">Index of the first instruction.</param>
/// <param name="End">Index behind the last.</param>
internal sealed record BasicBlock(int First, int End)
{
    /// <summary>Blocks that may come next.</summary>
    public List<int> Successors { get; } = [];

    /// <summary>Blocks that may have come before.</summary>
    public List<int> Predecessors { get; } = [];
}

/// <summary>A loop, or the whole kernel, which every other lies in.</summary>
/// <param name="Header">The block that each turn begins with.</param>
/// <param name="Blocks">All its blocks, those of loops inside it included.</param>
internal sealed record CodeLoop(int Header, IReadOnlySet<int> Blocks)
{
    /// <summary>The smallest loop around it; null for the kernel.</summary>
    public CodeLoop? Parent { get; set; }

    public bool IsKernel => Parent is null;

    public int Depth => Parent is null ? 0 : Parent.Depth + 1;
}

/// <summary>
/// Blocks and loops of a kernel. A loop is found from its back edges, which go to a block that every way to them has passed: what
/// compilers move out of line, such as the path of a tail, is seen as part of it all the same.
/// </summary>
internal sealed class FlowGraph
{
    private readonly SortedSet<int> _reached;

    public FlowGraph(KernelCode code)
    {
        Code = code;
        Blocks = CutIntoBlocks(code.Instructions);
        _reached = Reached();
        Loops = FindLoops();
    }

    public KernelCode Code { get; }

    public IReadOnlyList<BasicBlock> Blocks { get; }

    /// <summary>The kernel first, then its loops, outer ones before those inside.</summary>
    public IReadOnlyList<CodeLoop> Loops { get; }

    public IEnumerable<Instruction> InstructionsOf(BasicBlock block)
    {
        for (int i = block.First; i < block.End; i++) yield return Code.Instructions[i];
    }

    private static List<BasicBlock> CutIntoBlocks(IReadOnlyList<Instruction> code)
    {
        SortedSet<int> starts = [0];
        for (int i = 0; i < code.Count; i++)
        {
            if (!code[i].IsJump) continue;
            starts.UnionWith(code[i].Targets);
            if (i + 1 < code.Count) starts.Add(i + 1);
        }

        int[] firsts = [.. starts];
        int[] ends = [.. firsts.Skip(1), code.Count];
        List<BasicBlock> blocks = [.. firsts.Zip(ends, (first, end) => new BasicBlock(first, end))];
        for (int b = 0; b < blocks.Count; b++)
        {
            Instruction last = code[blocks[b].End - 1];
            IEnumerable<int> next = last.Targets.Select(target => Array.BinarySearch(firsts, target));
            if (last.FallsThrough && b + 1 < blocks.Count) next = next.Append(b + 1);
            foreach (int successor in next.Distinct())
            {
                blocks[b].Successors.Add(successor);
                blocks[successor].Predecessors.Add(b);
            }
        }

        return blocks;
    }

    private List<CodeLoop> FindLoops()
    {
        List<HashSet<int>> dominators = Dominators();
        Dictionary<int, HashSet<int>> loops = [];
        foreach (int b in _reached)
        {
            foreach (int header in Blocks[b].Successors.Where(successor => dominators[b].Contains(successor)))
            {
                if (!loops.TryGetValue(header, out HashSet<int>? body)) loops[header] = body = [header];
                AddWhatReaches(b, body);
            }
        }

        List<CodeLoop> found = [new CodeLoop(0, _reached)];
        foreach ((int header, HashSet<int> body) in loops.OrderByDescending(loop => loop.Value.Count).ThenBy(loop => loop.Key))
            found.Add(new CodeLoop(header, body) { Parent = found.Last(outer => outer.Blocks.IsSupersetOf(body)) });
        return found;
    }

    private void AddWhatReaches(int block, HashSet<int> body)
    {
        Stack<int> open = new([block]);
        while (open.TryPop(out int next))
        {
            if (!body.Add(next)) continue;
            foreach (int before in Blocks[next].Predecessors.Where(_reached.Contains)) open.Push(before);
        }
    }

    /// <summary>Behind the last instruction stands a jump to itself that nothing reaches, and so may more.</summary>
    private SortedSet<int> Reached()
    {
        SortedSet<int> reached = [];
        Stack<int> open = new([0]);
        while (open.TryPop(out int block))
        {
            if (!reached.Add(block)) continue;
            foreach (int next in Blocks[block].Successors) open.Push(next);
        }

        return reached;
    }

    /// <summary>For each block those that every way to it passes.</summary>
    private List<HashSet<int>> Dominators()
    {
        List<HashSet<int>> dominators = [.. Blocks.Select((_, b) => b == 0 ? new HashSet<int> { 0 } : [.. _reached])];
        for (bool changed = true; changed;)
        {
            changed = false;
            foreach (int b in _reached.Skip(1))
            {
                HashSet<int> common = [.. _reached];
                foreach (int before in Blocks[b].Predecessors.Where(_reached.Contains)) common.IntersectWith(dominators[before]);
                common.Add(b);
                if (common.Count == dominators[b].Count) continue;
                dominators[b] = common;
                changed = true;
            }
        }

        return dominators;
    }
}
