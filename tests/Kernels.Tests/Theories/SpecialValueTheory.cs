using Kernels.Tests.Support;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Theories;

/// <summary>
/// NaN, infinities, -0, subnormal and extreme values at the ends, in the middle and everywhere of each floating-point input come out as the
/// reference says: NaN where it has NaN, infinities where it has them or where the stored type overflows, +0 where something is masked or
/// dropped, and nothing of it in other rows.
/// </summary>
public sealed class SpecialValueTheory(TestDevices devices)
{
    /// <summary>
    /// How far below the largest number the extreme value of a sum stays. Float sums of float products may overflow on the way where the
    /// reference's double sums do not, rightly; 2^14 is more than the longest sum of the cases times its other factor, so with it neither
    /// does. Half does not need it: its sums are floats.
    /// </summary>
    private const int SumHeadroom = 1 << 14;

    [Theory]
    [MemberData(nameof(CaseRows.WithFloatInputs), MemberType = typeof(CaseRows))]
    public void SpecialValues_ComeOutAsInTheReference(string deviceId, string op, DType dtype)
    {
        using CaseRun run = new(devices, deviceId, op, dtype);
        foreach (Trial trial in run.SmallProblems.Select(run.Try))
        {
            bool sums = trial.Specs.Any(spec => spec.Tolerance.Floor > 0);
            bool byThemselves = dtype == DType.Float32 && !run.IsInterpreted;
            foreach (TensorSpec input in trial.Specs.Where(spec => CaseRows.ReadsFloats(spec) && spec.Length > 0))
            {
                // State fits the other inputs: another finite value in its place is no input that must be computed well.
                bool isFixed = trial.Problem.HasExtremes || run.Op.IsStateOrSetting(input.Name);
                foreach ((string name, double value) in Values(run.Op, dtype, sums, isFixed))
                {
                    foreach ((string position, IEnumerable<int> indices) in Positions(byThemselves, (int)input.Length))
                        run.Verify(trial.With(spec => Change(spec, input.Name, indices, value)), $"{name} {position} of {input.Name}");
                }
            }
        }

        run.AssertNoFailures();
    }

    private static IEnumerable<(string Name, double Value)> Values(OpCase op, DType dtype, bool sums, bool isFixed)
    {
        double extreme = Elements.Round(dtype, op.LargestInput(dtype) / (sums && dtype != DType.Float16 ? SumHeadroom : 1));
        yield return ("NaN", double.NaN);
        yield return ("+Inf", double.PositiveInfinity);
        yield return ("-Inf", double.NegativeInfinity);
        if (isFixed) yield break;
        yield return ("-0", -0.0);
        yield return ("subnormal", Subnormal(dtype));
        yield return ("largest", extreme);
        yield return ("lowest", -extreme);
    }

    /// <summary>
    /// Float gets all elements, then single ones among others. The other types run the same text and differ by how elements are loaded,
    /// calculated with and stored; every third element shows that in any lane, head and tail, between neighbours that must stay as they
    /// are, in half the time. So it is on the machine for PTX.
    /// </summary>
    private static IEnumerable<(string Position, IEnumerable<int> Indices)> Positions(bool byThemselves, int length)
    {
        if (!byThemselves)
        {
            yield return ("in every third element", Enumerable.Range(0, length).Where(index => index % 3 == 0));
            yield break;
        }

        yield return ("all", Enumerable.Range(0, length));
        if (length == 1) yield break;
        yield return ("in the middle and at the ends", new[] { 0, length / 2, length - 1 }.Distinct());
    }

    private static TensorSpec Change(TensorSpec spec, string input, IEnumerable<int> indices, double value)
    {
        // Terms as large as the value cancel to within their own rounding.
        double magnitude = double.IsFinite(value) ? Math.Max(1, Math.Abs(value)) : 1;
        Tolerance tolerance = spec.Tolerance with { Floor = spec.Tolerance.Floor * magnitude };
        if (spec.Name != input) return spec with { Tolerance = tolerance };
        double[] values = [.. spec.Values];
        foreach (int index in indices) values[index] = value;
        return spec with { Values = values, Tolerance = tolerance };
    }

    /// <summary>A quarter of the smallest normal number, which has few enough bits for every type.</summary>
    private static double Subnormal(DType dtype) => dtype switch
    {
        DType.Float16 => Math.ScaleB(1, -16),
        DType.Float32 or DType.BFloat16 => Math.ScaleB(1, -128),
        _ => Math.ScaleB(1, -1024),
    };
}
