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
        Trial[] controls = run.Controls;
        bool hasInputs = run.Op.Problems.Any(problem => new BrokenCase(run.Op, Defect.WritesInput).Target(problem, dtype) is not null);
        Defect[] elsewhere = hasInputs ? [Defect.DoesNotRepeat] : [Defect.DoesNotRepeat, Defect.WritesInput];
        foreach (Defect defect in Enum.GetValues<Defect>().Except(elsewhere))
        {
            BrokenCase broken = new(run.Op, defect);
            AssertCaught(run, broken, controls, trial => !Verifier.Verify(run.Stream, trial).Passed);
        }
    }

    [Theory]
    [MemberData(nameof(CaseRows.Controls), MemberType = typeof(CaseRows))]
    public void UnrepeatableOp_FailsTheRepeatCheck(string deviceId, string op, DType dtype)
    {
        using CaseRun run = new(devices, deviceId, op, dtype);
        AssertCaught(run, new BrokenCase(run.Op, Defect.DoesNotRepeat), run.Controls, trial => !RepeatTheory.Repeats(run.Stream, trial));
    }

    [Theory]
    [MemberData(nameof(CaseRows.WithGradients), MemberType = typeof(CaseRows))]
    public void BrokenGradient_FailsTheGradientCheck(string deviceId, string op)
    {
        using CaseRun run = new(devices, deviceId, op, DType.Float64);

        // The forward call keeps working: only a problem that has one is a gradient.
        BrokenCase broken = new(run.Op, Defect.FarOff) { Harms = problem => run.Op.ForwardOf(problem) is not null };
        IEnumerable<Trial> shortest = run.Op.Problems.Where(broken.Harms).GroupBy(problem => problem.Entry)
            .Select(entry => entry.Where(problem => broken.Target(problem, DType.Float64) is not null).MinBy(problem => problem.Bytes(1)))
            .OfType<Problem>().Select(run.Try);
        AssertCaught(run, broken, shortest, trial => GradientCheck.Failure(run.Stream, broken, trial.Problem) is not null);
    }

    /// <summary>The check finds every problem that the defect can harm, and there is one.</summary>
    private static void AssertCaught(CaseRun run, BrokenCase broken, IEnumerable<Trial> trials, Func<Trial, bool> isCaught)
    {
        Trial[] harmed = [.. trials.Where(trial => broken.Target(trial.Problem, trial.DType) is not null)];
        Assert.True(harmed.Length > 0, $"{broken.Defect} harms no problem of {run.Op}");
        foreach (Trial trial in harmed.Where(trial => !isCaught(trial with { Op = broken })))
            run.Fail(trial.Problem, $"{broken.Defect}", "passed");
        run.AssertNoFailures();
    }
}
