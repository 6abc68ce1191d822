namespace Kernels.Reference;

/// <summary>RMSprop's rule, as PyTorch defines it, with a variance of at least 0.</summary>
public static class RmsPropReference
{
    /// <summary>
    /// v = alpha * v + (1 - alpha) * g^2; s = g / (sqrt(v) + epsilon), centered g / (sqrt(v - m^2) + epsilon) with m = alpha * m + (1 -
    /// alpha) * g. The direction is s, or with momentum u = momentum * u + s.
    /// </summary>
    public static double Direction(
        double gradient, ref double second, ref double velocity, ref double mean, double alpha, double epsilon, double momentum,
        bool centered)
    {
        second = (alpha * second) + ((1 - alpha) * gradient * gradient);
        double variance = second;
        if (centered)
        {
            mean = (alpha * mean) + ((1 - alpha) * gradient);
            // An infinite second moment stays so, whatever the square of the mean.
            if (double.IsFinite(variance)) variance = Math.Max(0, variance - (mean * mean));
        }

        double step = gradient / (Math.Sqrt(variance) + epsilon);
        if (momentum == 0) return step;
        velocity = (momentum * velocity) + step;
        return velocity;
    }
}
