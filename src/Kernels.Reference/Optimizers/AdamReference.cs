namespace Kernels.Reference;

/// <summary>Adam's rule (Kingma and Ba, 2015); AdamW's is the same with decoupled decay.</summary>
public static class AdamReference
{
    /// <summary>
    /// m = beta1 * m + (1 - beta1) * g; v = beta2 * v + (1 - beta2) * g^2; the direction at step t = 1, 2, ... is (m / (1 -
    /// beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon). With AMSGrad the largest v so far takes the place of v.
    /// </summary>
    public static double Direction(
        double gradient, ref double first, ref double second, ref double largest, double beta1, double beta2, double epsilon,
        bool usesLargest, ulong step)
    {
        first = (beta1 * first) + ((1 - beta1) * gradient);
        second = (beta2 * second) + ((1 - beta2) * gradient * gradient);
        if (usesLargest) largest = Math.Max(largest, second);
        double corrected = (usesLargest ? largest : second) / (1 - Math.Pow(beta2, step));
        return first / (1 - Math.Pow(beta1, step)) / (Math.Sqrt(corrected) + epsilon);
    }
}
