namespace Kernels.Reference;

/// <summary>The strengths that hold for a parameter at one step, each 0 for none.</summary>
/// <param name="Rate">Learning rate.</param>
/// <param name="CoupledDecay">L2 that joins the gradient.</param>
/// <param name="DecoupledDecay">L2 that shrinks the weight before the step.</param>
/// <param name="ProximalDecay">L2 that shrinks the weight after the step.</param>
/// <param name="SubgradientL1">L1 that joins the gradient.</param>
/// <param name="ProximalL1">L1 by soft threshold after the step.</param>
/// <param name="MaximumNorm">Longest a row may be.</param>
public sealed record OptimizerTerms(
    double Rate, double CoupledDecay = 0, double DecoupledDecay = 0, double ProximalDecay = 0, double SubgradientL1 = 0,
    double ProximalL1 = 0,
    double MaximumNorm = 0);

/// <summary>The steps around an optimizer's own rule.</summary>
public static class OptimizerReference
{
    /// <summary>The move of the weight at an index for a gradient: the optimizer's own rule, which updates its state.</summary>
    public delegate double Direction(int index, double gradient);

    /// <summary>The 2-norm of some values: they are divided by the largest, so that no square overflows or vanishes.</summary>
    public static double Norm(ReadOnlySpan<double> values)
    {
        double largest = 0, sum = 0;
        foreach (double value in values) largest = Math.Max(largest, Math.Abs(value));
        if (largest == 0 || !double.IsFinite(largest)) return largest;
        foreach (double value in values) sum += value / largest * (value / largest);
        return largest * Math.Sqrt(sum);
    }

    /// <summary>
    /// The factor of the gradients so that their norm, loss scale taken off, is at most <paramref name="maximumNorm"/> (0 for no limit).
    /// </summary>
    public static double GradientFactor(double norm, double lossScale, double maximumNorm)
    {
        double factor = 1 / lossScale;
        return maximumNorm > 0 ? factor * Math.Min(1, maximumNorm / ((norm * factor) + 1e-6)) : factor;
    }

    /// <summary>One step of one parameter; w moves by -rate * direction.</summary>
    /// <param name="weights">The weights, updated.</param>
    /// <param name="gradients">Their gradients.</param>
    /// <param name="gradientFactor">What gradients are multiplied by.</param>
    /// <param name="terms">Rate, decay, penalties.</param>
    /// <param name="rowLength">Elements of a row, the unit of the maximum norm.</param>
    /// <param name="direction">The rule.</param>
    /// <param name="round">Rounding to the stored type, in which rows are measured.</param>
    public static void Step(
        Span<double> weights, ReadOnlySpan<double> gradients, double gradientFactor, OptimizerTerms terms, int rowLength,
        Direction direction, Func<double, double> round)
    {
        for (int i = 0; i < weights.Length; i++)
        {
            double w = weights[i];
            // A term that is absent does not look at the weight, which may be infinite.
            double decay = terms.CoupledDecay == 0 ? 0 : terms.CoupledDecay * w, penalty = terms.SubgradientL1 == 0
                ? 0 : terms.SubgradientL1 * Sign(w);
            double g = (gradientFactor * gradients[i]) + decay + penalty;
            w = ((1 - (terms.Rate * terms.DecoupledDecay)) * w) - (terms.Rate * direction(i, g));
            weights[i] = SoftThreshold(w, terms.Rate * terms.ProximalL1) / (1 + (terms.Rate * terms.ProximalDecay));
        }

        for (int row = 0; terms.MaximumNorm > 0 && row < weights.Length; row += rowLength)
        {
            Span<double> own = weights.Slice(row, rowLength);
            for (int i = 0; i < own.Length; i++) own[i] = round(own[i]);
            double norm = Norm(own);
            for (int i = 0; norm > terms.MaximumNorm && i < own.Length; i++) own[i] *= terms.MaximumNorm / norm;
        }
    }

    /// <summary>The minimum over x of threshold * |x| + (x - w)^2 / 2.</summary>
    public static double SoftThreshold(double w, double threshold)
    {
        if (double.IsNaN(w) || threshold == 0) return w;
        return w > threshold ? w - threshold : w < -threshold ? w + threshold : 0;
    }

    /// <summary>
    /// The moving average d * a + (1 - d) * w, written so that it stays where the weight is. One that is not finite has not begun and
    /// begins with the weight.
    /// </summary>
    public static double Average(double average, double weight, double decay)
    {
        double difference = weight - average;
        if (!double.IsFinite(average)) return weight;
        return double.IsFinite(difference) ? average + ((1 - decay) * difference) : (decay * average) + ((1 - decay) * weight);
    }

    /// <summary>-1, 0 or 1; NaN for NaN.</summary>
    public static double Sign(double x) => double.IsNaN(x) ? x : Math.Sign(x);
}
