using Kernels.Devices;
using Kernels.Tests.Support;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.SeededFaults;

/// <summary>
/// A check that cannot fail is no check. Each row plants one bug of a kind that really happened somewhere into a kernel's text, and the
/// op's case must notice on OpenCL, or on CUDA where its text is for that alone, by its results, and pass again without it.
/// </summary>
public sealed class SeededFaultTests(TestDevices devices)
{
    private static readonly double[] SpecialValues = [double.NaN, double.PositiveInfinity];

    public static TheoryData<string> Faults { get; } = [.. SeededFault.All.Select(fault => fault.ToString())];

    [Theory]
    [MemberData(nameof(Faults))]
    public void VerificationFindsTheFault(string name)
    {
        SeededFault fault = SeededFault.All.Single(fault => fault.ToString() == name);
        DeviceKind kind = fault.File.StartsWith("cuda/", StringComparison.Ordinal) ? DeviceKind.Cuda : DeviceKind.OpenCl;
        DeviceDescription? description = TestDevices.All.FirstOrDefault(d => d.Kind == kind && d.Available);
        Assert.SkipWhen(description is null, $"no {kind} device");
        // Kernels are known by what changed their text too, so rows have nothing in common but the context.
        Device device = devices.Open(description.Id);

        (Attempt? attempt, ProblemResult result) = WithFault(fault, () => FirstFailure(device, fault));
        Assert.True(attempt is not null, $"{fault}: verification passed with the fault in place.");
        Assert.True(result.Trouble is null, $"{fault}: the text with the fault does not run: {result.Failure}");
        Assert.True(
            attempt.Trial.Problem.Reason == fault.At || fault.RemovesBarrier,
            $"{fault}: found by '{attempt.Trial.Problem}', after the problems before it.");
        TestContext.Current.TestOutputHelper?.WriteLine($"found by '{attempt.Trial.Problem}': {result.Failure}");

        using DeviceStream stream = device.CreateStream();
        Assert.Null(attempt.Run(stream).Failure);
    }

    /// <summary>Every text has a bug of its own that is noticed.</summary>
    [Fact]
    public void EveryTextHasAFault()
    {
        IEnumerable<string> texts = KernelCatalog.All.Select(kernel => kernel.File).Distinct();
        Assert.Empty(texts.Except(SeededFault.All.Select(fault => fault.File)));
    }

    /// <summary>A problem that was renamed would be searched for among all others, which takes as long as all of them.</summary>
    [Fact]
    public void EveryPlaceIsAProblem() => Assert.All(
        SeededFault.All, fault =>
            Assert.Contains(fault.At, OpCase.All.Single(op => op.Op == fault.Op).Problems.Select(problem => problem.Reason)));

    private static T WithFault<T>(SeededFault fault, Func<T> search)
    {
        int replacements = 0;
        KernelSource.Rewrite = (file, text) =>
        {
            if (file != fault.File) return text;
            int found = text.Split(fault.Right).Length - 1;
            Assert.True(found > 0, $"'{fault.Right}' does not stand in {file} any more; bring the fault up to date.");
            replacements += found;
            return text.Replace(fault.Right, fault.Wrong, StringComparison.Ordinal);
        };
        try
        {
            T result = search();
            Assert.True(replacements > 0, $"{fault}: no kernel with the fault was compiled.");
            return result;
        }
        finally
        {
            KernelSource.Rewrite = null;
        }
    }

    private static (Attempt? Attempt, ProblemResult Result) FirstFailure(Device device, SeededFault fault)
    {
        using DeviceStream stream = device.CreateStream();
        foreach (Attempt attempt in Attempts(OpCase.All.Single(op => op.Op == fault.Op), fault))
        {
            ProblemResult result = attempt.Run(stream);
            if (!result.Passed) return (attempt, result);
        }

        return (null, new ProblemResult(0, 0, 0, null));
    }

    /// <summary>
    /// Every problem, and where the op works in place also with special values and in place. The fault's own problem has them in any case.
    /// </summary>
    private static IEnumerable<Attempt> Attempts(OpCase op, SeededFault fault)
    {
        foreach (Problem problem in op.Problems.OrderByDescending(problem => problem.Reason == fault.At))
        {
            Trial trial = new(op, problem, fault.DType);
            yield return new Attempt(trial, InPlace: false);
            bool worksInPlace = op.InPlacePairs(problem).Count > 0;
            foreach (double value in worksInPlace || problem.Reason == fault.At ? SpecialValues : [])
                yield return new Attempt(trial.With(spec => WithEveryThird(spec, value)), InPlace: false);
            if (worksInPlace) yield return new Attempt(trial, InPlace: true);
        }
    }

    private static TensorSpec WithEveryThird(TensorSpec spec, double value)
    {
        if (spec.Role == TensorRole.Output || !spec.DType.IsFloat()) return spec;
        return spec with { Values = [.. spec.Values.Select((v, i) => i % 3 == 0 ? value : v)] };
    }

    private sealed record Attempt(Trial Trial, bool InPlace)
    {
        public ProblemResult Run(DeviceStream stream) => Verifier.Verify(stream, Trial, inPlace: InPlace);
    }
}
