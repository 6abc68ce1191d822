namespace Kernels.Reference;

/// <summary>L1, L2 and elastic-net penalties.</summary>
public static class NormPenaltyReference
{
    /// <summary>
    /// l1 * sum |w| + c * l2 * sum w^2 of one tensor, c = 1/2 for the half convention, else 1; adds scale * (l1 * sign(w) + 2 * c * l2 * w) to the gradients
    /// unless there are none. A tensor of strength 0 has the value 0, and a strength of 0 leaves its sum out.
    /// </summary>
    public static double Apply(ReadOnlySpan<double> weights, Span<double> gradients, double l1, double l2, bool half, double gradientScale)
    {
        double magnitudes = 0, squares = 0;
        foreach (double w in weights)
        {
            magnitudes += Math.Abs(w);
            squares += w * w;
        }

        double factor = half ? 0.5 : 1;
        for (int i = 0; i < gradients.Length && (l1 > 0 || l2 > 0); i++)
            gradients[i] += gradientScale * ((l1 * OptimizerReference.Sign(weights[i])) + (2 * factor * l2 * weights[i]));
        return (l1 > 0 ? l1 * magnitudes : 0) + (l2 > 0 ? factor * l2 * squares : 0);
    }
}
