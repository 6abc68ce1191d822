using Kernels.Inspection;
using Xunit;

namespace Kernels.Tests.Inspection;

/// <summary>Loops, the ways through them, and what a way costs.</summary>
public sealed class FlowTests
{
    private static readonly PathSearch Search = new(MostLoaded: 64, MostStored: 64, MostMarks: default);

    private static readonly FlowGraph Graph = new(SassListing.Parse(ListingTests.Sass)["scale"]);

    private static CodeLoop Loop => Graph.Loops[1];

    /// <summary>The jump to itself behind the end is reached by nothing, so no loop.</summary>
    [Fact]
    public void LoopsAreFoundFromBackEdges()
    {
        Assert.Equal([0, 1], Graph.Loops.Select(loop => loop.Depth));
        Assert.Equal(3, Graph.Blocks[Loop.Header].First);
    }

    [Fact]
    public void LoopsNest()
    {
        // 0: enter, 1: outer, 2: inner turns on itself, 3: back to 1, 4: end.
        KernelCode code = new("nested", [Plain(), Plain(), Jump(2, guard: "P0"), Jump(1, guard: "P1"), Jump(-1)]);
        FlowGraph graph = new(code);
        Assert.Equal([0, 1, 2], graph.Loops.Select(loop => loop.Depth));
        Assert.Equal([1, 2], graph.Loops.Skip(1).Select(loop => graph.Blocks[loop.Header].First));

        TurnPath outer = Assert.Single(TurnPaths.Of(graph, graph.Loops[1], Search));
        Assert.Equal((1, 2), (outer.Detours, outer.InstructionCount)); // without what the inner loop does
    }

    /// <summary>
    /// A turn stores 16 bytes, or the tail's 2, or nothing. The tail's accesses are made or not together, as they stand under one
    /// predicate.
    /// </summary>
    [Fact]
    public void AWayIsFoundForEachAmount() => Assert.Equal(
        [(0, 0), (2, 2), (16, 16), (18, 18)],
        TurnPaths.Of(Graph, Loop, Search).Select(path => (path.LoadedBytes, path.StoredBytes)).Order());

    /// <summary>Where a branch goes by the predicate of accesses before it, both follow it.</summary>
    [Fact]
    public void ABranchFollowsItsPredicate()
    {
        KernelCode code = new("predicated",
        [
            new("P0", "STG.E.128", ["[R2.64]", "R4"]), Jump(3, guard: "P0"), new("", "STG.E", ["[R2.64]", "R4"]), Jump(-1),
        ]);
        FlowGraph graph = new(code);
        Assert.Equal([4, 16], TurnPaths.Of(graph, graph.Loops[0], Search).Select(path => path.StoredBytes).Order());
    }

    /// <summary>
    /// A branch leaves out what is marked: the longest way has it, the shortest has not, and where marks are told apart both count.
    /// </summary>
    [Fact]
    public void WaysAreToldApartByMarks()
    {
        FlowGraph graph = new(new("marked",
        [
            Jump(3, guard: "P0"), new("", "FFMA.SAT", ["R0", "R0", "R1", "R2"]), new("", "LDS", ["R1", "[R3]"]), Jump(0, guard: "P1"),
            Jump(-1),
        ]));
        Assert.Equal([4], Lengths(Search));
        Assert.Equal([2], Lengths(Search with { IsOfShortest = true }));
        PathSearch marked = Search with { MostMarks = new Marks(Kept: 1, Saturated: 1) };
        Assert.Equal([2, 4], Lengths(marked));
        Assert.Equal(
            [default, new Marks(Kept: 1, Saturated: 1)],
            TurnPaths.Of(graph, graph.Loops[1], marked).OrderBy(path => path.InstructionCount).Select(path => path.Marks));

        IEnumerable<int> Lengths(PathSearch search) =>
            TurnPaths.Of(graph, graph.Loops[1], search).Select(path => path.InstructionCount).Order();
    }

    [Fact]
    public void APassIsMatchedByItsBytes()
    {
        Pass pass = new("elements", new Traffic(1), new Traffic(1));
        PassCost cost = PassCost.Match(Graph, TurnPaths.Of(Graph, Loop, Search), pass, DType.BFloat16)!;
        Assert.Equal((8, "1x16", "1x8 2x4"), (cost.Elements, cost.Widths(stores: false), cost.Widths(stores: true)));
        Assert.Equal((1, 1, 6), (cost.Count(Pipe.Fma), cost.Count(Pipe.Alu), cost.Count(Pipe.Lsu)));
        Assert.Equal(new Sectors(3, 48, 16), cost.SectorsOf(stores: true));
        Assert.Equal(new Sectors(1, 16, 16), cost.SectorsOf(stores: false));
        Assert.True(cost.Clocks > Gpu.MemoryLatency);
        Assert.Null(PassCost.Match(Graph, TurnPaths.Of(Graph, Loop, Search), pass with { Reads = new Traffic(3) }, DType.BFloat16));
    }

    /// <summary>
    /// Two stores of 16 bytes to a lane's 32 touch each sector twice; the same register with another address is another place.
    /// </summary>
    [Fact]
    public void SectorsAreThoseOfAWarp()
    {
        Instruction[] halves = [Store("STG.E.128", "[R4.64]"), Store("STG.E.128", "[R4.64+0x10]")];
        Assert.Equal(new Sectors(2, 64, 32), Sectors.Of(halves, halves));
        Instruction[] apart = [halves[0], new("", "IADD3", ["R4", "R4", "0x10", "RZ"]), Store("STG.E.128", "[R4.64]")];
        Assert.Equal(new Sectors(2, 32, 32), Sectors.Of(apart, [apart[0], apart[2]]));
    }

    [Theory]
    [InlineData(32, 0, 256, 8, "threads")]
    [InlineData(40, 0, 256, 6, "registers")]
    [InlineData(64, 0, 256, 4, "registers")]
    [InlineData(94, 0, 256, 2, "registers")]
    [InlineData(32, 48 << 10, 256, 4, "shared")]
    [InlineData(16, 0, 32, 32, "threads")]
    public void OccupancyIsTheLeastOfThree(int registers, int sharedBytes, int groupSize, int groups, string limit)
    {
        Occupancy occupancy = Occupancy.Of(new ResourceUsage(registers, 0, sharedBytes), groupSize);
        Assert.Equal((groups, limit), (occupancy.Groups, occupancy.Limit));
        Assert.Equal(groups * groupSize / 2048.0, occupancy.Share);
    }

    /// <summary>A load, and two additions that wait for it and for each other; what does not wait is issued meanwhile.</summary>
    [Fact]
    public void TheCriticalPathWaits()
    {
        Instruction load = new("", "LDG.E.64", ["R4", "[R2.64]"]);
        Instruction[] turn =
            [load, new("", "FADD", ["R8", "R9", "R10"]), new("", "FADD", ["R6", "R5", "R4"]), new("", "FADD", ["R7", "R6", "R6"])];
        Assert.Equal(1 + Gpu.MemoryLatency + Gpu.ArithmeticLatency, CriticalPath.Clocks(turn, [load]));
        Assert.Equal(1 + (2 * Gpu.ArithmeticLatency), CriticalPath.Clocks(turn, []));
    }

    private static Instruction Plain() => new("", "FADD", ["R0", "R0", "R1"]);

    private static Instruction Store(string opcode, string address) => new("", opcode, [address, "R8"]);

    private static Instruction Jump(int target, string guard = "") => target < 0
        ? new("", "EXIT", []) { FallsThrough = false }
        : new(guard, "BRA", [$"{target}"]) { Targets = [target] };
}
