using Kernels.Devices;
using Kernels.Tests.FakeDriver;
using Kernels.Tests.SeededFaults;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Oclgrind;

/// <summary>What is run on Oclgrind, a simulator that watches each access of each work item; it writes what it finds to a log.</summary>
public sealed class OclgrindScenarios : Scenario
{
    internal const string Library = "/usr/lib/oclgrind/liboclgrind-rt.so";
    internal const string LogVariable = "OCLGRIND_LOG";

    private const int LargestFailure = 2000;

    /// <summary>
    /// What can be simulated in half a minute on one core, in bytes of a problem's tensors: float in every kernel, and of each entry one
    /// problem in a half type, which takes the way of eight elements at a time with the fewest bytes and differs by how they are loaded and
    /// stored.
    /// </summary>
    private static readonly (DType DType, long LargestBytes)[] Selection = [(DType.Float32, 500), (DType.BFloat16, 1300)];

    /// <summary>
    /// Optimizers share all but their rule, for which one element is enough; rows of a largest norm are run in one of them.
    /// </summary>
    private static readonly (string Op, long LargestBytes) OptimizerLists = ("sgd", 2100);

    public OclgrindScenarios()
        : base("KERNELS_LIBOPENCL", Library)
    {
    }

    /// <summary>Every op in its small problems: right results, no data race, nothing outside a buffer, no misuse of OpenCL.</summary>
    [Fact(Explicit = true)]
    public void EveryOpIsClean()
    {
        List<string> failures = [];
        int problems = 0;
        using Device device = Device.Open("opencl:0");
        Assert.Contains("Oclgrind", device.Name, StringComparison.Ordinal);
        using DeviceStream stream = device.CreateStream();
        using StreamReader log = OpenLog();
        foreach (OpCase op in OpCase.All)
        {
            int before = problems;
            foreach (Trial trial in Selected(op))
            {
                string name = $"{op} {trial.DType.ShortName()} {trial.Problem}";
                Step(name);
                ProblemResult result = Verifier.Verify(stream, trial);
                if (!result.Passed) failures.Add($"{name}: {result.Failure}");
                if (log.ReadToEnd() is { Length: > 0 } found) failures.Add($"{name}: {Shortened(found)}");
                problems++;
            }

            Assert.True(problems > before, $"{op} has no problem that is small enough");
        }

        Report($"{problems} problems of {OpCase.All.Count} ops");
        Assert.Empty(failures);
    }

    /// <summary>The check itself: barriers that are taken away are missed.</summary>
    [Fact(Explicit = true)]
    public void RemovedBarriersAreReported()
    {
        SeededFault[] faults = [.. SeededFault.All.Where(RemovesABarrier)];
        Assert.True(faults.Length >= 3);
        Assert.All(faults, fault => Assert.Contains("data race at local memory", Found(fault), StringComparison.Ordinal));
        Report($"{faults.Length} barriers");
    }

    private static bool RemovesABarrier(SeededFault fault) =>
        fault.Right.Contains("BARRIER()", StringComparison.Ordinal) && !fault.Wrong.Contains("BARRIER()", StringComparison.Ordinal);

    /// <summary>What the log says of the problems that show the fault, up to the first of which it says anything.</summary>
    private string Found(SeededFault fault)
    {
        Step(fault.Name);
        KernelSource.Rewrite = (file, text) =>
            file == fault.File ? text.Replace(fault.Right, fault.Wrong, StringComparison.Ordinal) : text;
        try
        {
            OpCase op = OpCase.All.Single(op => op.Op == fault.Op);
            using Device device = Device.Open("opencl:0");
            using DeviceStream stream = device.CreateStream();
            using StreamReader log = OpenLog();
            return op.Problems.Where(problem => problem.Reason == fault.At)
                .Select(problem => Verifier.Verify(stream, new Trial(op, problem, fault.DType)))
                .Select(_ => log.ReadToEnd())
                .FirstOrDefault(found => found.Length > 0) ?? "";
        }
        finally
        {
            KernelSource.Rewrite = null;
        }
    }

    private static IEnumerable<Trial> Selected(OpCase op) =>
        from selected in Selection
        where op.DTypes.Contains(selected.DType)
        let largest = op.Op == OptimizerLists.Op ? OptimizerLists.LargestBytes : selected.LargestBytes
        let small = op.Problems.Where(problem => problem.Bytes(selected.DType.SizeInBytes()) <= largest)
        let problems = small.Any() ? small : [op.Problems.MinBy(problem => problem.Bytes(1))!]
        from problem in selected.DType == DType.Float32
            ? problems
            : problems.GroupBy(problem => problem.Entry).Select(entry => entry.MaxBy(problem => problem.Bytes(1))!)
        select new Trial(op, problem, selected.DType);

    private static StreamReader OpenLog() =>
        new(new FileStream(Environment.GetEnvironmentVariable(LogVariable)!, FileMode.OpenOrCreate, FileAccess.Read, FileShare.ReadWrite));

    private static string Shortened(string found) => found.Length <= LargestFailure ? found : found[..LargestFailure];
}
