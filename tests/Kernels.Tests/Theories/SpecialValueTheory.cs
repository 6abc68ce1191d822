using Kernels.Tests.Support;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Theories;

/// <summary>
/// NaN, infinities, -0, subnormal and extreme values in each floating-point input come out as the reference says: NaN where it has NaN,
/// infinities where it has them or where the stored type overflows, +0 where something is masked or dropped, and nothing of it in other
/// elements or rows.
/// </summary>
/// <remarks>
/// One call takes all values at once, each between usual neighbours, wherever that tells them apart: the reference says how far an element
/// reaches. Where it reaches all results, each value has a call of its own; where it reaches a row, whole rows of it are tried too.
/// </remarks>
public abstract class SpecialValueTheory
{
    /// <summary>
    /// How far below the largest number the extreme value of a sum stays. Float sums of float products may overflow on the way where the
    /// reference's double sums do not, rightly; 2^14 is more than the longest sum of the cases times its other factor, so with it neither
    /// does. Half does not need it: its sums are floats.
    /// </summary>
    private const int SumHeadroom = 1 << 14;

    private protected static IEnumerable<TensorSpec> FloatInputs(Trial trial) =>
        trial.Specs.Where(spec => CaseRows.ReadsFloats(spec) && spec.Length > 0);

    private protected static void Verify(CaseRun run, Trial trial, TensorSpec input)
    {
        // The values one after another, from the first element on, and again and again. The period is odd at the smallest gap, so each
        // value comes into each lane of a vector.
        Trial Mixed(NamedValue[] values, int gap)
        {
            int period = (gap * values.Length) + 1;
            return Change($"{gap} apart", values, index => index % period % gap == 0 && index % period / gap < values.Length
                ? index % period / gap : -1);
        }

        Trial Change(string places, NamedValue[] values, Func<int, int> indexOf) => run.Vary(
            trial, $"{input.Name}: {string.Join(' ', values.Select(value => value.Name))} {places}", Changed(input, values, indexOf));

        // State fits the other inputs: another finite value in its place is no input that must be computed well.
        bool isFixed = trial.Problem.HasExtremes || run.Op.IsStateOrSetting(input.Name);
        // Apart, as what is right beside an extreme value is right to within its rounding.
        NamedValue[] special = [.. isFixed ? NotFinite : [.. NotFinite, new("-0", -0.0), new("subnormal", Subnormal(run.DType))]];
        NamedValue[] extremes = isFixed ? [] : Extremes(trial);

        Trial dense = Mixed(special, gap: 2);
        bool staysInPlace = input.Length >= special.Length * 2 && IsTelling(dense, trial);
        Trial mixed = staysInPlace || input.Length < special.Length
            ? dense
            : Mixed(special, (int)(input.Length - 1) / (special.Length - 1));
        bool isMixed = staysInPlace || (input.Length >= special.Length && (!IsArithmetic(run.DType) || IsTelling(mixed, trial)));
        if (isMixed) run.Verify(mixed, $"special values among others of {input.Name}");
        if (staysInPlace && !isFixed) run.Verify(Mixed(extremes, gap: 2), $"extremes among others of {input.Name}");
        NamedValue[] alone = [.. isMixed ? [] : special, .. staysInPlace ? [] : extremes];
        foreach (NamedValue value in alone)
            run.Verify(Change("in every third", [value], index => index % 3 == 0 ? 0 : -1), $"{value.Name} in every third of {input.Name}");

        if (staysInPlace || input.Length == 1 || run.DType != DType.Float32 || run.IsInterpreted) return;
        foreach (NamedValue value in (IEnumerable<NamedValue>)[.. special, .. extremes])
            run.Verify(Change("all over", [value], _ => 0), $"{value.Name} all over {input.Name}");
    }

    /// <summary>
    /// The types that are calculated in. The others run the same texts and differ by how elements are loaded and stored, which values
    /// among others show.
    /// </summary>
    private static bool IsArithmetic(DType dtype) => dtype is DType.Float32 or DType.Float64;

    private protected static NamedValue[] NotFinite { get; } =
        [new("NaN", double.NaN), new("+Inf", double.PositiveInfinity), new("-Inf", double.NegativeInfinity)];

    private static NamedValue[] Extremes(Trial trial)
    {
        bool sums = trial.Specs.Any(spec => spec.Tolerance.Floor > 0) && trial.DType != DType.Float16;
        double extreme = Elements.Round(trial.DType, trial.Op.LargestInput(trial.DType) / (sums ? SumHeadroom : 1));
        return [new("largest", extreme), new("lowest", -extreme)];
    }

    /// <summary>True when most of each result stays finite, so that no value hides what becomes of the others.</summary>
    private static bool IsTelling(Trial mixed, Trial usual) => mixed.Results.Where(spec => spec.DType.IsFloat()).All(spec =>
        mixed.Expected[spec.Name].Zip(usual.Expected[spec.Name]).Count(pair => !double.IsFinite(pair.First) && double.IsFinite(pair.Second))
            <= spec.Length / 2);

    /// <summary>Puts values in place of those elements of an input for which there is an index.</summary>
    private protected static Func<TensorSpec, TensorSpec> Changed(TensorSpec input, NamedValue[] values, Func<int, int> indexOf) => spec =>
    {
        // Terms as large as the value cancel to within their own rounding.
        double magnitude = values.Max(value => double.IsFinite(value.Value) ? Math.Max(1, Math.Abs(value.Value)) : 1);
        Tolerance tolerance = spec.Tolerance with { Floor = spec.Tolerance.Floor * magnitude };
        if (spec.Name != input.Name) return spec with { Tolerance = tolerance };
        double[] changed = [.. spec.Values.Select((usual, i) => indexOf(i) is >= 0 and var index ? values[index].Value : usual)];
        return spec with { Values = changed, Tolerance = tolerance };
    };

    /// <summary>A quarter of the smallest normal number, which has few enough bits for every type.</summary>
    private static double Subnormal(DType dtype) => dtype switch
    {
        DType.Float16 => Math.ScaleB(1, -16),
        DType.Float32 or DType.BFloat16 => Math.ScaleB(1, -128),
        _ => Math.ScaleB(1, -1024),
    };

    private protected readonly record struct NamedValue(string Name, double Value);
}

/// <inheritdoc/>
public abstract class SpecialValueTheory<TShare>(TestDevices devices) : SpecialValueTheory
    where TShare : IShare
{
    private static readonly TrialShelf Shelf = new();

    public static TheoryData<string, string, DType> Rows => Share.Of<TShare>(CaseRows.WithFloatInputs);

    [Theory]
    [MemberData(nameof(Rows))]
    public void SpecialValues_ComeOutAsInTheReference(string deviceId, string op, DType dtype)
    {
        using CaseRun run = new(devices, deviceId, op, dtype, Shelf);
        foreach (Trial trial in run.SmallProblems.Select(run.Try))
        {
            foreach (TensorSpec input in FloatInputs(trial)) Verify(run, trial, input);
        }

        run.AssertNoFailures();
    }
}

/// <inheritdoc/>
public sealed class SpecialValueTheoryOfEvenRows(TestDevices devices) : SpecialValueTheory<EvenPlaces>(devices);

/// <inheritdoc/>
public sealed class SpecialValueTheoryOfOddRows(TestDevices devices) : SpecialValueTheory<OddPlaces>(devices);

/// <summary>The check itself.</summary>
public sealed class SpecialValueTheoryOfLapses(TestDevices devices) : SpecialValueTheory
{
    /// <summary>Colours are clamped, which leaves no NaN to lose.</summary>
    private const string Clamping = "color-jitter";

    /// <summary>
    /// An op that loses NaN, and one of single elements that clamps infinities, is seen in one of its problems.
    /// </summary>
    [Theory]
    [MemberData(nameof(CaseRows.FloatsOnTheCpu), MemberType = typeof(CaseRows))]
    public void LapsesAreSeen(string deviceId, string op)
    {
        using CaseRun run = new(devices, deviceId, op, DType.Float32);
        bool answersNaN = run.SmallProblems.Select(run.Try).Any(AnswersNaN);
        Assert.Equal(op != Clamping, answersNaN);
        if (answersNaN) Assert.True(IsSeen(value => float.IsNaN(value) ? 0 : value), "NaN was lost");
        if (run.Op.OfLength(1) is not null)
            Assert.True(IsSeen(value => Math.Clamp(value, float.MinValue, float.MaxValue)), "infinities were clamped");

        bool IsSeen(Func<float, float> lapse)
        {
            LapsingCase lapsing = new(run.Op, lapse);
            foreach (Trial trial in run.SmallProblems.Select(run.Try))
            {
                using CaseRun lapses = new(devices, deviceId, op, DType.Float32);
                foreach (TensorSpec input in FloatInputs(trial)) Verify(lapses, trial with { Op = lapsing }, input);
                if (lapses.HasFailed) return true;
            }

            return false;
        }
    }

    private static bool AnswersNaN(Trial trial) => FloatInputs(trial)
        .Select(input => trial.With(Changed(input, [NotFinite[0]], _ => 0)))
        .Any(changed => changed.Results.Any(spec => changed.Expected[spec.Name].Any(double.IsNaN)));
}
