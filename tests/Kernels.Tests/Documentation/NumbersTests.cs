using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Kernels.Tests.Support;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Documentation;

/// <summary>The page of numbers says what the cases allow, and what devices agree on bit for bit.</summary>
public sealed partial class NumbersTests(TestDevices devices)
{
    private const string PagePath = $"{Page.Folder}/numbers.md";

    private static readonly DType[] Columns = [DType.Float32, DType.Float16, DType.BFloat16, DType.Float64];

    [Fact]
    public void TheTolerancesAreThoseOfTheCases()
    {
        StringBuilder table = new();
        foreach (OpCase op in OpCase.All)
        {
            TensorSpec[][] results = [.. Columns.Select(dtype => op.DTypes.Contains(dtype) ? Results(op, dtype) : [])];
            IEnumerable<string> names = results[0].Select(result => result.Name).Distinct();
            foreach (IGrouping<string, string> row in names.GroupBy(name => Cells(name, results)))
                table.Append(CultureInfo.InvariantCulture, $"| {op} | {string.Join(", ", row)} | {row.Key} |\n");
        }

        string text = table.ToString();
        Assert.True(Repository.Read(PagePath).Contains(text, StringComparison.Ordinal), $"{PagePath} should have the table\n{text}");
    }

    /// <summary>Where the page promises the CPU's bits on every device, a device has them.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void TheDeviceHasTheBitsOfTheCpu(string deviceId)
    {
        Device device = devices.Open(deviceId);
        using DeviceStream stream = device.CreateStream(), cpu = devices.CreateStream("cpu");
        MatchCollection promises = Promise().Matches(Repository.Read(PagePath));
        Assert.NotEmpty(promises);
        foreach (Match promise in promises)
        {
            OpCase op = CaseRows.Op(promise.Groups["op"].Value);
            foreach (string entry in promise.Groups["entries"].Value.Split(", "))
            {
                // The largest of the small ones: what differs, differs in most elements.
                IEnumerable<Problem> small = op.Problems.Where(problem => problem.Entry == entry && CaseRun.IsSmall(problem));
                Problem problem = small.MaxBy(problem => problem.Bytes(4))!;
                foreach (DType dtype in op.DTypes.Where(dtype => Verifier.Supports(device, dtype)))
                {
                    Trial trial = new(op, problem, dtype);
                    Bits.AssertEqual<byte>(Verifier.OutputBytes(cpu, trial), Verifier.OutputBytes(stream, trial),
                        $"{op} {problem} {dtype}");
                }
            }
        }
    }

    private static TensorSpec[] Results(OpCase op, DType dtype) =>
        [.. op.Problems.SelectMany(problem => op.Tensors(problem, dtype, 0)).Where(spec => spec.Role != TensorRole.Input)];

    private static string Cells(string name, TensorSpec[][] results)
    {
        TensorSpec[][] named = [.. results.Select(column => column.Where(result => result.Name == name).ToArray())];
        Tolerance widest = named[0].MaxBy(result => result.Tolerance.Limit(result.DType))!.Tolerance;
        string terms = named[0].Any(result => result.Tolerance.Floor > 0) ? "value and terms" : "value";
        return string.Join(" | ", [.. named.Select(Range), .. widest == Tolerance.Exact ? ["", ""] : new[] { terms, widest.Cause }]);
    }

    /// <summary>The least and the largest of a result's limits over the problems.</summary>
    private static string Range(TensorSpec[] results)
    {
        if (results.Length == 0) return "–";
        string[] ends = [.. new[] { results.Min(Limit), results.Max(Limit) }
            .Select(limit => limit == 0 ? "exact" : limit.ToString("0.0e-0", CultureInfo.InvariantCulture)).Distinct()];
        return string.Join(" to ", ends);
    }

    private static double Limit(TensorSpec result) => result.Tolerance.Limit(result.DType);

    [GeneratedRegex(@"^\| (?<op>[a-z][a-z-]+) \| (?<entries>[a-z][a-z ,-]+) \| (?!why)[^|]+ \|$", RegexOptions.Multiline)]
    private static partial Regex Promise();
}
