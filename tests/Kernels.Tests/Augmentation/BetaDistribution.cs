namespace Kernels.Tests.Augmentation;

/// <summary>The distribution Beta(a, a).</summary>
internal static class BetaDistribution
{
    private const int Panels = 100;

    /// <summary>
    /// The probability of numbers up to x: the integral of t^(a-1) (1-t)^(a-1) by Simpson's rule, below a = 1 over t^a, which takes the
    /// pole at 0 away, and by symmetry beyond 1/2.
    /// </summary>
    public static double Cumulative(double x, double a) => x switch
    {
        <= 0 => 0,
        >= 1 => 1,
        > 0.5 => 1 - Cumulative(1 - x, a),
        _ => Integral(x, a) / (2 * Integral(0.5, a)),
    };

    private static double Integral(double x, double a)
    {
        double end = a < 1 ? Math.Pow(x, a) : x, step = end / Panels, sum = 0;
        for (int i = 0; i <= Panels; i++)
        {
            double t = a < 1 ? Math.Pow(i * step, 1 / a) : i * step;
            sum += (i is 0 or Panels ? 1 : i % 2 == 0 ? 2 : 4) * Math.Pow(1 - t, a - 1) * (a < 1 ? 1 / a : Math.Pow(t, a - 1));
        }

        return sum * step / 3;
    }
}
