using System.Collections;

namespace Kernels.Inspection;

/// <summary>One way through a turn of a loop, and the global memory it touches.</summary>
/// <param name="Loop">The loop.</param>
/// <param name="Blocks">The blocks it passes, in order; the header of a loop inside stands for all of that.</param>
/// <param name="LoadedBytes">Bytes a lane loads.</param>
/// <param name="StoredBytes">Bytes a lane stores.</param>
/// <param name="Marks">Instructions that tell it from other ways, as many as were looked for.</param>
/// <param name="Accesses">Loads and stores of global memory that are carried out.</param>
/// <param name="Forbidden">Those whose predicate forbids them.</param>
/// <param name="Detours">Inner loops and calls on the way, whose instructions are not counted.</param>
/// <param name="InstructionCount">Instructions that are issued.</param>
internal sealed record TurnPath(
    CodeLoop Loop, IReadOnlyList<int> Blocks, int LoadedBytes, int StoredBytes, Marks Marks, int Accesses, int Forbidden,
    int Detours, int InstructionCount);

/// <summary>Which ways are of interest: what touches more is not followed to its end.</summary>
/// <param name="MostLoaded">Bytes that a lane loads in a turn.</param>
/// <param name="MostStored">Bytes that it stores.</param>
/// <param name="MostMarks">Up to how many marks ways with other numbers of them are told apart too.</param>
internal sealed record PathSearch(int MostLoaded, int MostStored, Marks MostMarks)
{
    /// <summary>
    /// The one way that touches most memory, whatever that is. Accesses under predicates are made, as long as none forbids the other: to
    /// tell all that some of them may be makes ways beyond number.
    /// </summary>
    public static PathSearch OfMost { get; } = new(int.MaxValue, int.MaxValue, default) { IsOfMost = true };

    public bool IsOfMost { get; private init; }

    /// <summary>Of ways alike the shortest counts, else the longest.</summary>
    public bool IsOfShortest { get; init; }
}

/// <summary>
/// Finds the ways through a turn of a loop, one for each amount of memory that a turn can touch: that without detours and with the fewest,
/// so widest, accesses, and among equals the longest, as nothing is known of the branches, or the shortest where they are known.
/// </summary>
internal static class TurnPaths
{
    /// <summary>The ways through a turn. Empty where every way ends in leaving the loop.</summary>
    /// <param name="graph">The kernel.</param>
    /// <param name="loop">One of its loops.</param>
    /// <param name="search">What is looked for.</param>
    public static IReadOnlyCollection<TurnPath> Of(FlowGraph graph, CodeLoop loop, PathSearch search)
    {
        Body body = new(graph, loop);
        Dictionary<int, Ways> reaching = new() { [body.Start] = new Ways(search) { new Way(null, body.Start) } };
        Ways ends = new(search);
        foreach (int node in body.InOrder)
        {
            // Where every way to a block touched too much, none comes to it.
            if (!reaching.TryGetValue(node, out Ways? before)) continue;
            foreach (Way way in Through(graph, body, node, before, search))
            {
                // The last predicate of the block, where accesses under the same one were made or not.
                bool? jumps = body.IsInnerLoop(node) ? null : way.Jumps(graph.Code.Instructions[graph.Blocks[node].End - 1]);
                Way left = way with { Decided = "" };
                foreach ((int next, bool isJump) in body.Edges(node).Where(edge => jumps is null || edge.IsJump == jumps))
                {
                    if (next == Body.End)
                    {
                        ends.Keep(left);
                        continue;
                    }

                    if (!reaching.TryGetValue(next, out Ways? known)) reaching[next] = known = new Ways(search);
                    known.Keep(left);
                }
            }
        }

        return [.. ends.Select(way => way.ToPath(loop))];
    }

    private static Ways Through(FlowGraph graph, Body body, int node, Ways before, PathSearch search)
    {
        Ways ways = new(search);
        BasicBlock block = graph.Blocks[node];
        foreach (Way way in before)
        {
            ways.Keep(body.IsInnerLoop(node)
                ? way with { Last = node, Before = way, Detours = way.Detours + 1 }
                : way with { Last = node, Before = way, Instructions = way.Instructions + block.End - block.First });
        }

        return body.IsInnerLoop(node)
            ? ways
            : graph.InstructionsOf(block).Aggregate(ways, (known, instruction) => Past(instruction, known, search));
    }

    private static Ways Past(Instruction instruction, Ways ways, PathSearch search)
    {
        if (instruction.IsCall) return ways.Changed(way => way with { Detours = way.Detours + 1 });
        Marks marks = default(Marks).Plus(Marks.Of(instruction), search.MostMarks);
        if (marks != default) return ways.Changed(way => way with { Marks = way.Marks.Plus(marks, search.MostMarks) });
        if (instruction.Access is not { Space: MemorySpace.Global } access)
        {
            return ways.Any(way => instruction.Written.Any(way.Mentions)) ? ways.Changed(way => way.Without(instruction.Written)) : ways;
        }

        Ways touched = new(search);
        foreach (Way way in ways)
        {
            // An access under a predicate is made or not, and so are all under the same one.
            bool? known = instruction.IsGuarded ? way.DecisionOf(instruction.Guard) : true;
            if (known != false) touched.Keep(way.Made(access).Deciding(instruction.Guard, true));
            if (known == false || (known is null && !search.IsOfMost))
                touched.Keep((way with { Forbidden = way.Forbidden + 1 }).Deciding(instruction.Guard, false));
        }

        return touched;
    }

    /// <summary>The best way for each amount that was touched.</summary>
    private sealed class Ways(PathSearch search) : IEnumerable<Way>
    {
        private readonly Dictionary<(int, int, Marks, string), Way> _best = [];

        public void Add(Way way) => Keep(way);

        public void Keep(Way way)
        {
            if (way.Loaded > search.MostLoaded || way.Stored > search.MostStored) return;
            (int, int, Marks, string) key = search.IsOfMost ? (0, 0, default, "") : (way.Loaded, way.Stored, way.Marks, way.Decided);
            if (!_best.TryGetValue(key, out Way? other) || (search.IsOfMost ? way.TouchesMoreThan(other) : way.IsBetterThan(other, search)))
                _best[key] = way;
        }

        public Ways Changed(Func<Way, Way> change)
        {
            Ways changed = new(search);
            foreach (Way way in this) changed.Keep(change(way));
            return changed;
        }

        public IEnumerator<Way> GetEnumerator() => _best.Values.GetEnumerator();

        IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
    }

    /// <param name="Before">How it came to the last block.</param>
    /// <param name="Last">The last block.</param>
    private sealed record Way(Way? Before, int Last)
    {
        public int Loaded { get; init; }

        public int Stored { get; init; }

        public Marks Marks { get; init; }

        public int Accesses { get; init; }

        public int Forbidden { get; init; }

        public int Detours { get; init; }

        public int Instructions { get; init; }

        /// <summary>The predicates of this block that hold, each between spaces; one that does not hold stands with a !.</summary>
        public string Decided { get; init; } = "";

        public bool IsBetterThan(Way other, PathSearch search)
        {
            int sign = search.IsOfShortest ? 1 : -1;
            return (Detours, Accesses, Forbidden, sign * Instructions)
                .CompareTo((other.Detours, other.Accesses, other.Forbidden, sign * other.Instructions)) < 0;
        }

        public bool TouchesMoreThan(Way other) => (Detours, -Loaded - Stored, -Instructions)
            .CompareTo((other.Detours, -other.Loaded - other.Stored, -other.Instructions)) < 0;

        public Way Made(MemoryAccess access) => access.IsStore
            ? this with { Stored = Stored + access.Bytes, Accesses = Accesses + 1 }
            : this with { Loaded = Loaded + access.Bytes, Accesses = Accesses + 1 };

        public bool Mentions(string register) => Decided.Length > 0 && DecisionOf(register) is not null;

        public bool? DecisionOf(string guard) =>
            Decided.Contains($" {guard} ", StringComparison.Ordinal) ? true
            : Decided.Contains($" {Opposite(guard)} ", StringComparison.Ordinal) ? false
            : null;

        public Way Deciding(string guard, bool holds) => guard.Length == 0 || DecisionOf(guard) is not null
            ? this
            : this with { Decided = $"{Decided} {(holds ? guard : Opposite(guard))} " };

        /// <summary>The way behind an instruction that writes these registers.</summary>
        public Way Without(IEnumerable<string> written) => this with
        {
            Decided = written.Aggregate(Decided, (decided, register) => decided
                .Replace($" {register} ", "", StringComparison.Ordinal).Replace($" !{register} ", "", StringComparison.Ordinal)),
        };

        /// <summary>Whether the last instruction of a block jumps; null where nothing tells.</summary>
        public bool? Jumps(Instruction last) =>
            last is { IsGuarded: true, Targets.Count: > 0, FallsThrough: true, Operands.Count: 1 } ? DecisionOf(last.Guard) : null;

        public TurnPath ToPath(CodeLoop loop)
        {
            List<int> blocks = [];
            for (Way? way = this; way?.Before is not null; way = way.Before) blocks.Add(way.Last);
            blocks.Reverse();
            return new TurnPath(loop, blocks, Loaded, Stored, Marks, Accesses, Forbidden, Detours, Instructions);
        }

        private static string Opposite(string guard) => guard.StartsWith('!') ? guard[1..] : $"!{guard}";
    }

    /// <summary>The blocks of a loop that lie in no loop inside it; each of those stands as one node, by its header's number.</summary>
    private sealed class Body
    {
        /// <summary>Where an edge goes that ends the turn, or the kernel.</summary>
        public const int End = -1;

        private readonly FlowGraph _graph;
        private readonly CodeLoop _loop;
        private readonly Dictionary<int, int> _nodes = [];
        private readonly Dictionary<int, HashSet<(int Next, bool IsJump)>> _edges = [];
        private readonly HashSet<int> _innerLoops = [];

        public Body(FlowGraph graph, CodeLoop loop)
        {
            (_graph, _loop) = (graph, loop);
            foreach (int block in loop.Blocks)
            {
                CodeLoop? inner = graph.Loops.FirstOrDefault(other => other.Parent == loop && other.Blocks.Contains(block));
                _nodes[block] = inner?.Header ?? block;
                if (inner is not null) _innerLoops.Add(inner.Header);
            }

            foreach (int block in loop.Blocks) AddEdges(block);
            InOrder = Sorted();
        }

        public int Start => _nodes[_loop.Header];

        /// <summary>Nodes, each after all that come before it.</summary>
        public IReadOnlyList<int> InOrder { get; }

        public bool IsInnerLoop(int node) => _innerLoops.Contains(node);

        /// <summary>Where a node leads, and whether by a jump.</summary>
        public IReadOnlySet<(int Next, bool IsJump)> Edges(int node)
        {
            if (!_edges.TryGetValue(node, out HashSet<(int, bool)>? edges)) _edges[node] = edges = [];
            return edges;
        }

        private void AddEdges(int block)
        {
            HashSet<(int, bool)> edges = (HashSet<(int, bool)>)Edges(_nodes[block]);
            IReadOnlyList<int> successors = _graph.Blocks[block].Successors;
            if (_loop.IsKernel && successors.Count == 0) edges.Add((End, false));
            foreach (int next in successors.Where(_loop.Blocks.Contains))
            {
                bool isJump = next != block + 1;
                if (next == _loop.Header && !_loop.IsKernel) edges.Add((End, isJump));
                else if (_nodes[next] != _nodes[block]) edges.Add((_nodes[next], isJump));
            }
        }

        private List<int> Sorted()
        {
            List<int> finished = [];
            HashSet<int> seen = [];
            Visit(Start);
            finished.Reverse();
            return finished;

            void Visit(int node)
            {
                if (!seen.Add(node)) return;
                foreach ((int next, _) in Edges(node).Where(edge => edge.Next != End)) Visit(next);
                finished.Add(node);
            }
        }
    }
}
