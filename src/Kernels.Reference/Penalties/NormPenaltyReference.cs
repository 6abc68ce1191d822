namespace Kernels.Reference;

/// <summary>L1, L2 and elastic-net penalties.</summary>
public static class NormPenaltyReference
{
    /// <summary>
    /// l1 * sum |w| + c * l2 * sum w^2 of one tensor, c = 1/2 for the half convention, else 1; adds scale * (l1 * sign(w) + 2 * c * l2 * w)
    /// to the gradients unless there are none. What a strength of 0 would multiply is not looked at.
    /// </summary>
    public static double Apply(ReadOnlySpan<double> weights, Span<double> gradients, double l1, double l2, bool half, double gradientScale)
    {
        // A strength of 0 does not look at the weights. l2 stands between the factors of the square, which alone may overflow.
        double factor = half ? 0.5 : 1, value = 0;
        foreach (double w in weights) value += (l1 > 0 ? l1 * Math.Abs(w) : 0) + (l2 > 0 ? factor * w * l2 * w : 0);
        for (int i = 0; i < gradients.Length; i++)
        {
            gradients[i] += gradientScale
                * ((l1 > 0 ? l1 * OptimizerReference.Sign(weights[i]) : 0) + (l2 > 0 ? 2 * factor * l2 * weights[i] : 0));
        }

        return value;
    }
}
