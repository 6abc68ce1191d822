using Kernels.Tests.Support;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Theories;

/// <summary>Every gradient is the derivative of its forward call, by central differences in double precision on the same device.</summary>
public sealed class GradientTheory(TestDevices devices)
{
    [Theory]
    [MemberData(nameof(CaseRows.WithGradients), MemberType = typeof(CaseRows))]
    public void Gradient_IsTheDerivativeOfForward(string deviceId, string op)
    {
        using CaseRun run = new(devices, deviceId, op, DType.Float64);
        foreach (Problem problem in run.Op.Problems.Where(problem => run.Op.ForwardOf(problem) is not null))
        {
            if (GradientCheck.Failure(run.Stream, run.Op, problem) is { } failure) run.Fail(problem, "", failure);
        }

        run.AssertNoFailures();
    }
}
