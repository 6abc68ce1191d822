using Kernels.Interop;

namespace Kernels.Tests.PtxMachine;

/// <summary>A kernel that does something wrong, or just does not.</summary>
/// <param name="Name">What it does.</param>
/// <param name="Body">Its instructions; <see cref="PtxText"/> says what the registers hold.</param>
/// <param name="Report">A part of what must be reported; null where nothing may be.</param>
/// <param name="Status">What the driver answers.</param>
internal sealed record PtxFault(string Name, string Body, string? Report, CudaStatus Status = CudaStatus.LaunchFailed)
{
    public uint Threads { get; init; } = 32;

    public uint Groups { get; init; } = 1;

    /// <summary>All groups are there at once.</summary>
    public bool IsCooperative { get; init; }

    /// <summary>Nothing writes the memory before the launch.</summary>
    public bool IsFresh { get; init; }

    /// <summary>Functions that the kernel calls.</summary>
    public string Functions { get; init; } = "";

    private const string CopyWord = "cp.async.ca.shared.global [%r3], [%rd1], 4;";
    private const string WriteShared = "st.shared.u32 [%r3], %r0;";
    private const string Neighbour = "xor.b32 %r4, %r2, 4; mov.u32 %r5, tile; add.u32 %r5, %r5, %r4;";
    private const string FarNeighbour = "xor.b32 %r4, %r2, 128; mov.u32 %r5, tile; add.u32 %r5, %r5, %r4;";

    /// <summary>One thread of each group writes the group's word.</summary>
    private const string WriteOfGroup =
        """
        setp.eq.u32 %p0, %r0, 33;
        mul.wide.u32 %rd2, %r1, 4;
        add.s64 %rd2, %rd0, %rd2;
        add.u32 %r4, %r1, 1;
        @%p0 st.global.u32 [%rd2+64], %r4;

        """;

    /// <summary>Another adds up the words of four groups.</summary>
    private const string SumOfGroups =
        """
        setp.ne.u32 %p4, %r0, 40;
        @%p4 bra $end;
        ld.global.v4.u32 {%r4, %r5, %r6, %r7}, [%rd0+64];
        add.u32 %r4, %r4, %r5;
        add.u32 %r6, %r6, %r7;
        add.u32 %r4, %r4, %r6;
        setp.ne.u32 %p5, %r4, 10;
        @%p5 trap;
        $end:
        """;

    /// <summary>
    /// A barrier of the grid: the first group adds what makes the top bit change when all others have added 1, and all wait for that, so
    /// that the counter is ready for the next one.
    /// </summary>
    private static string GridBarrier(string before = "bar.sync 0;", string order = "acq_rel", string after = "bar.sync 0;") =>
        $"""
        {before}
        setp.ne.u32 %p1, %r0, 0;
        @%p1 bra $done;
        setp.eq.u32 %p2, %r1, 0;
        mov.u32 %r5, %nctaid.x;
        mov.u32 %r6, 0x80000001;
        sub.u32 %r5, %r6, %r5;
        selp.u32 %r5, %r5, 1, %p2;
        atom.add.{order}.gpu.global.u32 %r6, [%rd0], %r5;
        $wait:
        ld.acquire.gpu.global.u32 %r7, [%rd0];
        xor.b32 %r7, %r7, %r6;
        setp.ge.s32 %p3, %r7, 0;
        @%p3 bra $wait;
        $done:
        {after}

        """;

    /// <summary>The same of every two groups, which have a counter of their own.</summary>
    private const string BarrierOfPairs =
        """
        bar.sync 0;
        setp.ne.u32 %p1, %r0, 0;
        @%p1 bra $done;
        and.b32 %r5, %r1, 1;
        setp.eq.u32 %p2, %r5, 0;
        mov.u32 %r5, 0x7fffffff;
        selp.u32 %r5, %r5, 1, %p2;
        shr.u32 %r6, %r1, 1;
        mul.wide.u32 %rd3, %r6, 4;
        add.s64 %rd3, %rd0, %rd3;
        atom.add.acq_rel.gpu.global.u32 %r6, [%rd3], %r5;
        $wait:
        ld.acquire.gpu.global.u32 %r7, [%rd3];
        xor.b32 %r7, %r7, %r6;
        setp.ge.s32 %p3, %r7, 0;
        @%p3 bra $wait;
        $done:
        bar.sync 0;

        """;

    /// <summary>Groups from <paramref name="first"/> on read the word of another.</summary>
    private static string WordOfAnother(int apart, int first) =>
        $"""
        setp.ne.u32 %p4, %r0, 40;
        @%p4 bra $end;
        setp.lt.u32 %p4, %r1, {first};
        @%p4 bra $end;
        xor.b32 %r4, %r1, {apart};
        mul.wide.u32 %rd3, %r4, 4;
        add.s64 %rd3, %rd0, %rd3;
        ld.global.u32 %r5, [%rd3+64];
        add.u32 %r4, %r4, 1;
        setp.ne.u32 %p5, %r5, %r4;
        @%p5 trap;
        $end:
        """;

    public static IReadOnlyList<PtxFault> All { get; } =
    [
        new("a barrier of the grid", WriteOfGroup + GridBarrier() + SumOfGroups, null, CudaStatus.Success)
        { Threads = 64, Groups = 4, IsCooperative = true },
        new("two of them, the second before words are written again",
            WriteOfGroup + GridBarrier() + SumOfGroups + GridBarrier().Replace("$", "$again", StringComparison.Ordinal)
                + "add.u32 %r4, %r1, 5; @%p0 st.global.u32 [%rd2+64], %r4;",
            null, CudaStatus.Success)
        { Threads = 64, Groups = 4, IsCooperative = true },
        new("words are written again without the second",
            WriteOfGroup + GridBarrier() + SumOfGroups + "add.u32 %r4, %r1, 5; @%p0 st.global.u32 [%rd2+64], %r4;", "in this launch")
        { Threads = 64, Groups = 4, IsCooperative = true },
        new("a barrier of the grid that releases nothing", WriteOfGroup + GridBarrier(order: "relaxed") + SumOfGroups, "in this launch")
        { Threads = 64, Groups = 4, IsCooperative = true },
        new("no barrier of the group ahead of it: words are read before they are written",
            WriteOfGroup + GridBarrier(before: "") + SumOfGroups, "trap")
        { Threads = 64, Groups = 4, IsCooperative = true },
        new("no barrier of the group behind it", WriteOfGroup + GridBarrier(after: "") + SumOfGroups, "in this launch")
        { Threads = 64, Groups = 4, IsCooperative = true },
        new("a barrier to which one group does not come",
            "setp.eq.u32 %p0, %r1, 2; @%p0 bra $end;" + GridBarrier() + "$end:", "waits for a word", CudaStatus.LaunchTimeout)
        { Threads = 64, Groups = 4, IsCooperative = true },
        new("a barrier of pairs of groups", WriteOfGroup + BarrierOfPairs + WordOfAnother(apart: 1, first: 0), null, CudaStatus.Success)
        { Threads = 64, Groups = 4, IsCooperative = true },
        new("a word of another pair", WriteOfGroup + BarrierOfPairs + WordOfAnother(apart: 2, first: 2), "in this launch")
        { Threads = 64, Groups = 4, IsCooperative = true },
        new("more groups than fit at once", "", null, CudaStatus.CooperativeLaunchTooLarge)
        { Threads = 1024, Groups = 5, IsCooperative = true },
        new("the last word", "st.global.u32 [%rd1], %r0;", null, CudaStatus.Success) { Threads = 64 },
        new("one word too far",
            "st.global.u32 [%rd1+4], %r0;", "thread (63, 0, 0) of group (0, 0, 0): writes 4 bytes at", CudaStatus.IllegalAddress)
        { Threads = 64 },
        new("an address before all memory",
            "mov.u64 %rd2, 64; ld.global.u32 %r4, [%rd2];", "which is no device memory", CudaStatus.IllegalAddress),
        new("a word at an odd address", "ld.global.u32 %r4, [%rd1+2];", "is not aligned", CudaStatus.MisalignedAddress),
        new("four words at an address of two",
            "ld.global.v4.u32 {%r4, %r5, %r6, %r7}, [%rd0+8];", "is not aligned", CudaStatus.MisalignedAddress),
        new("device memory that nothing wrote", "ld.global.u32 %r4, [%rd1];", "device memory at") { IsFresh = true },
        new("device memory that the kernel wrote", "st.global.u32 [%rd1], %r0; ld.global.u32 %r4, [%rd1];", null, CudaStatus.Success)
        { IsFresh = true },
        new("shared memory that nothing wrote", "ld.shared.u32 %r4, [%r3];", "shared memory at 0 that nothing wrote"),
        new("half of a shared word that was written by half", "st.shared.u16 [%r3], %h0; ld.shared.u32 %r4, [%r3];", "that nothing wrote"),
        new("beyond shared memory",
            "st.shared.u32 [%r3+256], %r0;", "writes 4 bytes at 256 of 256 bytes of shared memory", CudaStatus.IllegalAddress),
        new("a neighbour's word without a barrier",
            $"{WriteShared} {Neighbour} ld.shared.u32 %r6, [%r5];", "wrote, with no barrier between"),
        new("the same behind a barrier of the warp",
            $"{WriteShared} bar.warp.sync -1; {Neighbour} ld.shared.u32 %r6, [%r5];", null, CudaStatus.Success),
        new("the same behind a shuffle, which orders nothing",
            $"{WriteShared} shfl.sync.bfly.b32 %r6, %r0, 1, 31, -1; {Neighbour} ld.shared.u32 %r6, [%r5];", "with no barrier between"),
        new("another warp's word behind a barrier of the warp",
            $"{WriteShared} bar.sync 0; {WriteShared} bar.warp.sync -1; {FarNeighbour} ld.shared.u32 %r6, [%r5];",
            "with no barrier between")
        { Threads = 64 },
        new("the same behind a barrier", $"{WriteShared} bar.sync 0; {FarNeighbour} ld.shared.u32 %r6, [%r5];", null, CudaStatus.Success)
        { Threads = 64 },
        new("a word that is read, then written, without a barrier",
            $"{WriteShared} bar.sync 0; {FarNeighbour} ld.shared.u32 %r6, [%r5]; st.shared.u32 [%r3], %r0;", "with no barrier between")
        { Threads = 64 },
        new("halves of a word",
            "mul.lo.u32 %r4, %r0, 2; mov.u32 %r5, tile; add.u32 %r5, %r5, %r4; mov.u16 %h0, 1; st.shared.u16 [%r5], %h0;",
            null, CudaStatus.Success),
        new("one shared word from all", "mov.u32 %r5, tile; st.shared.u32 [%r5], %r0;", "wrote, with no barrier between"),
        new("one shared word from all, by atomics",
            "mov.u32 %r5, tile; setp.eq.u32 %p0, %r0, 0; @%p0 st.shared.u32 [%r5], 0; bar.sync 0; atom.shared.add.u32 %r4, [%r5], 1;",
            null, CudaStatus.Success),
        new("two groups write one word", "st.global.u32 [%rd1], %r0;", "wrote in this launch") { Groups = 2 },
        new("two groups update one word", "red.global.add.u32 [%rd1], 1;", null, CudaStatus.Success) { Groups = 2 },
        new("a group reads what another writes",
            "setp.eq.u32 %p0, %r1, 0; @%p0 st.global.u32 [%rd0], %r0; @!%p0 ld.global.u32 %r4, [%rd0];", "in this launch")
        { Groups = 2, Threads = 1 },
        new("two groups write halves of a word",
            "mul.wide.u32 %rd2, %r1, 2; add.s64 %rd2, %rd0, %rd2; mov.u16 %h0, 1; st.global.u16 [%rd2], %h0;", null, CudaStatus.Success)
        { Groups = 2, Threads = 1 },
        new("a barrier that half of a warp meets", "setp.lt.u32 %p0, %r0, 16; @%p0 bra $A; bar.sync 0; bra $B; $A: bar.sync 0; $B:",
            "divergent barrier"),
        new("a barrier that one of two warps meets elsewhere",
            "setp.lt.u32 %p0, %r0, 32; @%p0 bra $A; bar.sync 0; bra $B; $A: bar.sync 0; $B:", "divergent barrier") { Threads = 64 },
        new("a barrier behind the end of some", "setp.lt.u32 %p0, %r0, 40; @%p0 bra $A; ret; $A: bar.sync 0;", null, CudaStatus.Success)
        { Threads = 64 },
        new("a shuffle with lanes that have ended",
            "setp.lt.u32 %p0, %r0, 16; @%p0 bra $A; ret; $A: shfl.sync.bfly.b32 %r4, %r0, 1, 31, -1;",
            "which have ended"),
        new("a shuffle that half of its lanes pass by",
            "setp.lt.u32 %p0, %r0, 16; @%p0 bra $A; bar.sync 0; ret; $A: shfl.sync.bfly.b32 %r4, %r0, 1, 31, -1;", "which are elsewhere",
            CudaStatus.LaunchTimeout),
        new("a shuffle that reads beyond its lanes",
            "setp.lt.u32 %p0, %r0, 16; @!%p0 bra $A; shfl.sync.idx.b32 %r4, %r0, 20, 31, 65535; $A:", "takes no part in the shuffle"),
        new("a copy that runs beside the code, read before it is waited for",
            $"{CopyWord} cp.async.commit_group; ld.shared.u32 %r4, [%r3];", "that nothing wrote"),
        new("the younger of two copies, read when the older is there",
            $"{CopyWord} cp.async.commit_group; cp.async.ca.shared.global [%r3+128], [%rd1], 4; cp.async.commit_group; "
            + "cp.async.wait_group 1; ld.shared.u32 %r4, [%r3+128];",
            "that nothing wrote"),
        new("a neighbour's copy without a barrier",
            $"{CopyWord} cp.async.wait_all; {Neighbour} ld.shared.u32 %r6, [%r5];", "with no barrier between"),
        new("the same behind a barrier",
            $"{CopyWord} cp.async.wait_all; bar.sync 0; {Neighbour} ld.shared.u32 %r6, [%r5];", null, CudaStatus.Success),
        new("a row of a matrix that other lanes wrote, without a barrier",
            $"{WriteShared} mov.u32 %r5, tile; ldmatrix.sync.aligned.m8n8.x1.shared.b16 {{%r4}}, [%r5];", "with no barrier between"),
        new("a branch by an index that has no target",
            "targets: .branchtargets $A; brx.idx %r0, targets; $A:", "trap"),
        new("a function that calls itself",
            "call again;", "again calls itself, or calls are too deep", CudaStatus.InvalidPtx)
        { Functions = ".func again { call again; ret; } " },
        new("a loop without an end", "$A: bra $A;", "does not come to an end", CudaStatus.LaunchTimeout),
        new("an instruction that is not known", "tex.1d.v4.f32.s32 {%f0, %f1, %f2, %f3}, [%rd0, {%r0}];",
            "probe, probe.cl:7: ", CudaStatus.InvalidPtx),
    ];
}
