using Kernels.Interop;
using Kernels.Tests.FakeDriver;
using Kernels.Tests.Support;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.PtxMachine;

/// <summary>What the machine for PTX calculates, reports and counts.</summary>
public sealed class PtxMachineScenarios : Scenario
{
    /// <summary>Of a problem's tensors, were their elements bytes.</summary>
    private const long LargestBytes = 200_000;

    /// <summary>Problems that missed a barrier: they are asked first, as they see more of a file's barriers than others.</summary>
    private readonly HashSet<Problem> _telling = [];

    public PtxMachineScenarios()
        : base("KERNELS_LIBCUDA", StandIns.Cuda)
    {
        FakeCuda.Reset();
    }

    [Fact(Explicit = true)]
    public void InstructionsCalculateAsDocumented()
    {
        List<string> wrong = [];
        foreach (PtxInstruction row in PtxInstruction.All)
        {
            Step(row.ToString());
            if (row.Failure() is { } failure) wrong.Add($"{row}: {failure}");
        }

        foreach (PtxProgram program in PtxProgram.All)
        {
            Step(program.ToString());
            if (program.Failure() is { } failure) wrong.Add($"{program}: {failure}");
        }

        Assert.True(wrong.Count == 0, string.Join('\n', wrong));
        Report($"{PtxInstruction.All.Count} instructions, {PtxProgram.All.Count} programs");
    }

    [Fact(Explicit = true)]
    public void FaultsAreReported()
    {
        List<string> wrong = [];
        foreach (PtxFault fault in PtxFault.All)
        {
            Step(fault.Name);
            (CudaStatus status, _, string[] violations) =
                PtxText.Run(fault.Body, fault.IsFresh ? null : new uint[64], fault.Threads, fault.Groups, functions: fault.Functions,
                isCooperative: fault.IsCooperative);
            bool isReported = fault.Report is null
                ? violations.Length == 0
                : violations.Any(text => Contains(text, "probe") && Contains(text, fault.Report));
            if (!isReported || status != fault.Status) wrong.Add($"{fault.Name}: {status}, {string.Join("; ", violations)}");
        }

        Assert.True(wrong.Count == 0, string.Join('\n', wrong));
        int sound = PtxFault.All.Count(fault => fault.Report is null);
        Report($"{PtxFault.All.Count - sound} faults, {sound} kernels without");
    }

    /// <summary>Numbers that can be counted by hand.</summary>
    [Fact(Explicit = true)]
    public void RequestsAreCounted()
    {
        // Words in a row: 4 sectors. Every eighth word: 32 sectors, and in shared memory 8 words of each of 4 banks.
        const string Body =
            """
            ld.global.u32 %r4, [%rd1];
            mul.wide.u32 %rd2, %r0, 32;
            add.s64 %rd2, %rd0, %rd2;
            ld.global.u32 %r5, [%rd2];
            st.global.u32 [%rd1], %r5;
            st.shared.u32 [%r3], %r0;
            bar.sync 0;
            and.b32 %r4, %r0, 7;
            mul.lo.u32 %r4, %r4, 32;
            mov.u32 %r5, tile;
            add.u32 %r5, %r5, %r4;
            setp.lt.u32 %p0, %r4, 128;
            @%p0 ld.shared.u32 %r6, [%r5];
            setp.lt.u32 %p0, %r0, 7;
            @%p0 bra $A;
            add.s32 %r6, %r6, 1;
            $A:
            """;
        PtxCounts counts = default;
        PtxText.Run(Body, new uint[256], beforeReset: () => counts = FakeCuda.Counts("probe")!.Value);
        Assert.Equal((1UL, 1UL, 32UL), (counts.Launches, counts.Groups, counts.Threads));
        Assert.Equal((2UL, 36UL, 256UL), (counts.LoadRequests, counts.LoadSectors, counts.LoadBytes));
        Assert.Equal((1UL, 4UL, 128UL), (counts.StoreRequests, counts.StoreSectors, counts.StoreBytes));
        Assert.Equal((2UL, 2UL), (counts.SharedRequests, counts.SharedWavefronts));
        Assert.Equal((1UL, 1UL), (counts.Barriers, counts.DivergentBranches));
    }

    /// <summary>
    /// Every barrier in the texts that CUDA compiles, taken away one at a time. One that nobody misses is a hole in the checks, or can go.
    /// </summary>
    [Fact(Explicit = true)]
    public void RemovedBarriersAreReported()
    {
        List<string> missed = [];
        foreach (RemovedBarrier barrier in RemovedBarrier.All)
        {
            Step(barrier.ToString());
            string? report = FirstReport(barrier);
            Report($"{barrier}: {report}");
            if (report is null || !Contains(report, barrier.Report)) missed.Add($"{barrier}: {report ?? "nothing is reported"}");
        }

        Assert.True(missed.Count == 0, string.Join('\n', missed));
        Report($"{RemovedBarrier.All.Count} barriers");
    }

    /// <summary>One group goes over all that a launch has for many, three share it unevenly.</summary>
    [Fact(Explicit = true)]
    public void AnyNumberOfGroupsGivesTheSameResults()
    {
        List<string> failures = [];
        using Device device = Device.Open("cuda:0");
        using DeviceStream stream = device.CreateStream();
        foreach (OpCase op in OpCase.All)
        {
            foreach (Problem problem in op.Problems.Where(CaseRun.IsSmall))
            {
                Step($"{op} {problem}");
                Trial trial = new(op, problem, op.DTypes[0]);
                foreach (uint groups in (ReadOnlySpan<uint>)[1, 3])
                {
                    FakeCuda.LimitGroups(groups);
                    ProblemResult result = Verifier.Verify(stream, trial);
                    if (!result.Passed) failures.Add($"{op} {problem} with {groups}: {result.Failure ?? $"error {result.Error}"}");
                }
            }
        }

        Assert.True(failures.Count == 0, string.Join('\n', failures));
    }

    /// <summary>What cuBLAS multiplied gets its bias from a kernel that runs nowhere else.</summary>
    [Fact(Explicit = true)]
    public void BiasIsAddedAfterCuBlas()
    {
        OpCase op = OpCase.All.Single(op => op.Op == "linear");
        using Device device = Device.Open("cuda:0");
        using DeviceStream stream = device.CreateStream();
        foreach (DType dtype in op.DTypes)
        {
            foreach (Problem problem in op.Problems.Where(CaseRun.IsSmall))
            {
                Step($"{problem} {dtype}");
                ProblemResult result = Verifier.Verify(stream, new Trial(op, problem, dtype));
                Assert.True(result.Passed, $"{problem} {dtype}: {result.Failure ?? $"error {result.Error}"}");
            }
        }

        Assert.NotNull(FakeCuda.Counts("linear_add_bias"));
    }

    private static bool Contains(string text, string part) => text.Contains(part, StringComparison.Ordinal);

    private static bool IsShort(Problem problem) => problem.Bytes(1) <= LargestBytes;

    /// <summary>Runs a problem without looking at its results: the machine watches how they come about.</summary>
    private static void Run(DeviceStream stream, OpCase op, Problem problem, DType dtype)
    {
        using GuardedTensors tensors = new(stream, op.Tensors(problem, dtype, Verifier.DefaultSeed));
        try
        {
            op.Run(stream, problem, dtype, tensors);
            stream.Synchronize();
        }
        catch (DeviceException)
        {
            // The machine says more of it.
        }
    }

    private string? FirstReport(RemovedBarrier barrier)
    {
        FakeCuda.RemoveBarrier(barrier.File, barrier.Line);
        try
        {
            // One group has all turns: what is left over at the end of one shows in the next. Only what many groups leave to a last one
            // takes many.
            foreach (uint groups in (ReadOnlySpan<uint>)[1, 0])
            {
                foreach (OpCase op in barrier.Ops)
                {
                    FakeCuda.LimitGroups(groups);
                    using Device device = Device.Open("cuda:0");
                    using DeviceStream stream = device.CreateStream();
                    foreach (Problem problem in op.Problems.Where(IsShort)
                        .OrderByDescending(_telling.Contains).ThenByDescending(CaseRun.IsSmall)
                        .ThenByDescending(problem => problem.Flops).ThenByDescending(problem => problem.Bytes(1)))
                    {
                        Step($"{barrier} in {problem}");
                        Run(stream, op, problem, barrier.TypeOf(op));
                        if (FakeCuda.Violations is not [{ } first, ..]) continue;
                        _telling.Add(problem);
                        return $"{problem}: {first}";
                    }
                }
            }

            return null;
        }
        finally
        {
            FakeCuda.Reset();
        }
    }
}
