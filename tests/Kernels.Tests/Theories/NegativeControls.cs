using Kernels.Tests.Support;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Theories;

/// <summary>The checks of the other theories fail when an op is broken: a check that cannot fail proves nothing.</summary>
public sealed class NegativeControls(TestDevices devices)
{
    [Theory]
    [MemberData(nameof(CaseRows.Controls), MemberType = typeof(CaseRows))]
    public void BrokenOp_FailsVerification(string deviceId, string op, DType dtype)
    {
        using CaseRun run = new(devices, deviceId, op, dtype);
        int caught = 0;
        foreach (Defect defect in Enum.GetValues<Defect>().Except([Defect.DoesNotRepeat]))
        {
            BrokenCase broken = new(run.Op, defect);
            foreach (Problem problem in run.SmallProblems.Where(problem => broken.Target(problem, dtype) is not null))
            {
                if (Verifier.Verify(run.Stream, broken, problem, dtype).Passed)
                    run.Fail(problem, $"{defect}", "passed");
                else
                    caught++;
            }
        }

        run.AssertNoFailures();
        Assert.NotEqual(0, caught);
    }

    [Theory]
    [MemberData(nameof(CaseRows.Controls), MemberType = typeof(CaseRows))]
    public void UnrepeatableOp_FailsTheRepeatCheck(string deviceId, string op, DType dtype)
    {
        using CaseRun run = new(devices, deviceId, op, dtype);
        BrokenCase broken = new(run.Op, Defect.DoesNotRepeat);
        foreach (Problem problem in run.SmallProblems.Where(problem => broken.Target(problem, dtype) is not null))
        {
            if (RepeatTheory.Repeats(run.Stream, broken, problem, dtype)) run.Fail(problem, "", "passed");
        }

        run.AssertNoFailures();
    }

    [Theory]
    [MemberData(nameof(CaseRows.WithGradients), MemberType = typeof(CaseRows))]
    public void BrokenGradient_FailsTheGradientCheck(string deviceId, string op)
    {
        using CaseRun run = new(devices, deviceId, op, DType.Float64);

        // The forward call keeps working: only a problem that has one is a gradient.
        BrokenCase broken = new(run.Op, Defect.FarOff) { Harms = problem => run.Op.ForwardOf(problem) is not null };
        foreach (Problem problem in run.SmallProblems.Where(problem => broken.Target(problem, DType.Float64) is not null && broken.Harms(problem)))
        {
            if (GradientCheck.Failure(run.Stream, broken, problem) is null) run.Fail(problem, "", "passed");
        }

        run.AssertNoFailures();
    }
}
