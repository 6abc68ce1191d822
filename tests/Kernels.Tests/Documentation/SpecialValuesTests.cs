using System.Text;
using Kernels.Tests.Support;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Documentation;

/// <summary>
/// The page of special values says what every op makes of an input that is NaN, infinite or -0, and every device does it.
/// </summary>
public sealed class SpecialValuesTests(TestDevices devices)
{
    private const string PagePath = $"{Page.Folder}/special_values.md";

    private static readonly string[] OnOtherPages =
        ["adam", "adamw", "lion", "norm-penalty", "rmsprop", "sgd", "soft-sharing", "tied-gradients"];

    private static readonly double[] Columns = [double.NaN, double.PositiveInfinity, double.NegativeInfinity, -0.0];

    /// <summary>What is tried, the same on every device.</summary>
    private static readonly Lazy<Filling[]> Fillings = new(() => [.. AllFillings()]);

    /// <summary>
    /// A row for each input and what depends on it: the input is the special value throughout, the others are as in the op's case.
    /// </summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void TheDeviceDoesWhatTheTableSays(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        string text = string.Concat(Fillings.Value.Select(filling => Rows(stream, filling)));
        Assert.True(Repository.Read(PagePath).Contains(text, StringComparison.Ordinal), $"{PagePath} should have the table\n{text}");
    }

    /// <summary>Nothing special in the inputs but -infinity, which masks.</summary>
    private static bool IsUsual(Trial trial) =>
        !trial.Problem.HasExtremes && trial.Specs.All(spec => spec.Values.All(value => value < double.PositiveInfinity));

    private static IEnumerable<string> Inputs(Trial trial) =>
        trial.Specs.Where(spec => CaseRows.ReadsFloats(spec) && spec.Length > 0).Select(spec => spec.Name);

    /// <summary>
    /// Of each entry and input the largest problem in which nothing that depends on the input is NaN without it: the largest has most of
    /// every kind of element.
    /// </summary>
    private static IEnumerable<Filling> AllFillings() =>
        from op in OpCase.All
        where !OnOtherPages.Contains(op.Op)
        from entry in op.Problems.Where(CaseRun.IsSmall).GroupBy(problem => problem.Entry)
        let trials = entry.OrderByDescending(problem => problem.Bytes(4))
            .Select(problem => new Trial(op, problem, DType.Float32)).Where(IsUsual).ToArray()
        from input in trials.SelectMany(Inputs).Distinct()
        select trials.Where(trial => Inputs(trial).Contains(input)).Select(trial => new Filling(trial, input))
            .First(filling => !filling.Results.Any(result => filling.Trial.Expected[result].Any(double.IsNaN)));

    /// <summary>The rows of an input; results that fare alike share one.</summary>
    private static string Rows(DeviceStream stream, Filling filling)
    {
        (Trial trial, string input) = (filling.Trial, filling.Input);
        Dictionary<string, double[]>[] columns = [.. Columns.Select(value => Run(stream, Filled(trial, input, value)))];
        ReferenceValues right = trial.Expected, rightOfNaN = filling.OfNaN;
        StringBuilder rows = new();
        foreach (IGrouping<string, string> alike in filling.Results.GroupBy(Cells))
            rows.Append($"| {trial.Op} | {trial.Problem.Entry} | {input} | {string.Join(", ", alike)} | {alike.Key} |\n");
        return rows.ToString();

        string Cells(string result)
        {
            // What is 0 with the usual input and with NaN is selected, not calculated.
            bool[] selected = [.. right[result].Zip(rightOfNaN[result], (usual, ofNaN) => usual == 0 && ofNaN == 0)];
            IEnumerable<string> calculated = columns.Select(column => Kinds(column[result].Where((_, i) => !selected[i])));
            return string.Join(" | ", [.. calculated, Kinds(columns.SelectMany(column => column[result].Where((_, i) => selected[i])))]);
        }
    }

    private static Trial Filled(Trial trial, string input, double value) =>
        trial.With(spec => spec.Name == input ? spec with { Values = [.. spec.Values.Select(_ => value)] } : spec);

    private static Dictionary<string, double[]> Run(DeviceStream stream, Trial trial)
    {
        using GuardedTensors tensors = new(stream, trial.Specs);
        trial.Op.Run(stream, trial.Problem, trial.DType, tensors);
        return trial.Results.Where(spec => spec.DType.IsFloat())
            .ToDictionary(spec => spec.Name, spec => Elements.FromBytes(spec.DType, tensors.Read(spec.Name)));
    }

    private static string Kinds(IEnumerable<double> values)
    {
        string kinds = string.Join(", ", values.Select(Kind).Distinct().OrderBy(kind => Array.IndexOf(Order, kind)));
        kinds = kinds.Replace("+Inf, -Inf", "±Inf", StringComparison.Ordinal).Replace("+0, -0", "±0", StringComparison.Ordinal);
        return kinds.Length == 0 ? "–" : kinds;
    }

    /// <summary>An input filled with special values.</summary>
    private sealed record Filling(Trial Trial, string Input)
    {
        public ReferenceValues OfNaN { get; } = Filled(Trial, Input, double.NaN).Expected;

        /// <summary>What depends on the input, as a NaN shows.</summary>
        public IEnumerable<string> Results => Trial.Results.Where(spec => spec.DType.IsFloat()).Select(spec => spec.Name)
            .Where(name => !OfNaN[name].SequenceEqual(Trial.Expected[name]));
    }

    private static readonly string[] Order = ["NaN", "+Inf", "-Inf", "finite", "+0", "-0"];

    private static string Kind(double value) => value switch
    {
        double.NaN => "NaN",
        double.PositiveInfinity => "+Inf",
        double.NegativeInfinity => "-Inf",
        0 => double.IsNegative(value) ? "-0" : "+0",
        _ => "finite",
    };
}
