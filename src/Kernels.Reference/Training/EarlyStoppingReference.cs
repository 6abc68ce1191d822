namespace Kernels.Reference;

/// <summary>The settings of early stopping; NaN and 0 mean that a criterion is not used.</summary>
public sealed record EarlyStoppingRules
{
    /// <summary>Higher metrics are better.</summary>
    public bool Maximize { get; init; }

    /// <summary>Stops at this many evaluations in a row without improvement.</summary>
    public int Patience { get; init; }

    /// <summary>By more than this a metric must beat the best.</summary>
    public double MinimumDelta { get; init; }

    /// <summary>The minimum delta is a fraction of the best metric's magnitude.</summary>
    public bool RelativeDelta { get; init; }

    /// <summary>Evaluations that stop nothing and that patience does not count.</summary>
    public int WarmUp { get; init; }

    /// <summary>To be reached within the patience.</summary>
    public double Baseline { get; init; } = double.NaN;

    /// <summary>Evaluations that gave NaN are left out of the history.</summary>
    public bool IgnoreNaN { get; init; }

    /// <summary>NaN stops.</summary>
    public bool StopAtNaN { get; init; }

    /// <summary>A worse metric stops.</summary>
    public double Divergence { get; init; } = double.NaN;

    /// <summary>A metric at least as good stops.</summary>
    public double Goal { get; init; } = double.NaN;

    /// <summary>Alpha of GL.</summary>
    public double GeneralizationLoss { get; init; } = double.NaN;

    /// <summary>Alpha of PQ.</summary>
    public double ProgressQuotient { get; init; } = double.NaN;

    /// <summary>s of UP.</summary>
    public int SuccessiveStrips { get; init; }

    /// <summary>k of PQ and UP.</summary>
    public int StripLength { get; init; } = 5;
}

/// <summary>
/// Early stopping as a function of the whole history: every question is asked of all metrics so far, nothing is carried from one evaluation
/// to the next.
/// </summary>
public static class EarlyStoppingReference
{
    /// <summary>Reasons in their order; the number of a reason is its place, from 1, and 0 is none.</summary>
    public static IReadOnlyList<string> Reasons { get; } =
    [
        "NotANumber", "GoalReached", "Diverged", "BaselineNotReached", "PatienceExhausted", "GeneralizationLoss", "ProgressQuotient",
        "SuccessiveStrips",
    ];

    /// <summary>After each evaluation: the number of the reason to stop, and which evaluation so far is the best (-1: none).</summary>
    public static void Run(
        EarlyStoppingRules rules, ReadOnlySpan<double> metrics, ReadOnlySpan<double> trainingErrors, Span<double> reasons,
        Span<double> best)
    {
        for (int t = 0; t < metrics.Length; t++)
        {
            int[] counted = Counted(rules, metrics[..(t + 1)]);
            double[] errors = new double[counted.Length], training = new double[counted.Length];
            for (int i = 0; i < counted.Length; i++)
            {
                errors[i] = rules.Maximize ? -metrics[counted[i]] : metrics[counted[i]];
                training[i] = trainingErrors[counted[i]];
            }

            int bestCounted = Best(rules, errors);
            best[t] = bestCounted < 0 ? -1 : counted[bestCounted];
            reasons[t] = Reason(rules, errors, training);
        }
    }

    /// <summary>The evaluations that are not ignored.</summary>
    private static int[] Counted(EarlyStoppingRules rules, ReadOnlySpan<double> metrics)
    {
        List<int> counted = [];
        for (int i = 0; i < metrics.Length; i++)
        {
            if (!(rules.IgnoreNaN && double.IsNaN(metrics[i]))) counted.Add(i);
        }

        return [.. counted];
    }

    /// <summary>
    /// The first finite error, or the last after it that is lower than the best before it by more than the minimum delta.
    /// </summary>
    private static int Best(EarlyStoppingRules rules, ReadOnlySpan<double> errors)
    {
        for (int i = errors.Length - 1; i >= 0; i--)
        {
            if (!double.IsFinite(errors[i])) continue;
            int before = Best(rules, errors[..i]);
            if (before < 0) return i;
            double delta = rules.RelativeDelta ? rules.MinimumDelta * Math.Abs(errors[before]) : rules.MinimumDelta;
            return errors[before] - errors[i] > delta ? i : before;
        }

        return -1;
    }

    private static int Reason(EarlyStoppingRules rules, ReadOnlySpan<double> errors, ReadOnlySpan<double> training)
    {
        double sign = rules.Maximize ? -1 : 1;
        if (errors.Length <= rules.WarmUp) return 0;
        double error = errors[^1];
        if (rules.StopAtNaN && double.IsNaN(error)) return 1;
        if (double.IsFinite(error) && error <= sign * rules.Goal) return 2;
        if (error > sign * rules.Divergence) return 3;

        // Evaluations that patience counts, and those of them since the last improvement.
        int patient = errors.Length - rules.WarmUp;
        int sinceBest = errors.Length - 1 - Best(rules, errors);
        if (!double.IsNaN(rules.Baseline) && patient >= rules.Patience && !(Lowest(errors) <= sign * rules.Baseline)) return 4;
        if (rules.Patience > 0 && Math.Min(patient, sinceBest) >= rules.Patience) return 5;

        double loss = 100 * Excess(error, Lowest(errors));
        if (loss > rules.GeneralizationLoss) return 6;
        int k = rules.StripLength;
        if (errors.Length % k != 0) return 0;
        double progress = Progress(training[^k..]);
        if (loss > 0 && progress == 0 && !double.IsNaN(rules.ProgressQuotient)) return 7;
        if (loss / progress > rules.ProgressQuotient) return 7;
        return rules.SuccessiveStrips > 0 && IncreasesIn(errors, k, rules.SuccessiveStrips) ? 8 : 0;
    }

    /// <summary>The lowest finite error, or NaN.</summary>
    private static double Lowest(ReadOnlySpan<double> errors)
    {
        double lowest = double.NaN;
        foreach (double error in errors)
        {
            if (double.IsFinite(error) && !(error >= lowest)) lowest = error;
        }

        return lowest;
    }

    /// <summary>1000 (mean / minimum - 1).</summary>
    private static double Progress(ReadOnlySpan<double> strip)
    {
        double sum = 0, minimum = strip[0];
        foreach (double error in strip)
        {
            sum += error;
            minimum = Math.Min(minimum, error);
        }

        return 1000 * Math.Max(0, Excess(sum / strip.Length, minimum));
    }

    /// <summary>UP: the s-th strip ends higher than the strip before it, and so does each of the s - 1 strips before.</summary>
    private static bool IncreasesIn(ReadOnlySpan<double> errors, int k, int s) =>
        s == 0 || (errors.Length > k && errors[^1] > errors[^(k + 1)] && IncreasesIn(errors[..^k], k, s - 1));

    /// <summary>By how much a value exceeds a reference, in units of its magnitude.</summary>
    private static double Excess(double value, double reference) => value == reference ? 0 : (value - reference) / Math.Abs(reference);
}
