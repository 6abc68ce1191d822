namespace Kernels.Reference;

/// <summary>SGD with momentum and coupled L2, as PyTorch defines it.</summary>
public static class SgdReference
{
    /// <summary>
    /// g' = g + decay * w; v = g' at the first step, else momentum * v + (1 - dampening) * g'; w -= rate * (nesterov ? g' + momentum * v : v). Without
    /// momentum v is g' and is not stored.
    /// </summary>
    public static void Step(
        Span<double> parameter, ReadOnlySpan<double> gradient, Span<double> velocity,
        double rate, double momentum, double decay, double dampening, bool nesterov, bool firstStep)
    {
        for (int i = 0; i < parameter.Length; i++)
        {
            double slope = gradient[i] + (decay * parameter[i]);
            double step = slope;
            if (momentum > 0)
            {
                velocity[i] = firstStep ? slope : (momentum * velocity[i]) + ((1 - dampening) * slope);
                step = nesterov ? slope + (momentum * velocity[i]) : velocity[i];
            }

            parameter[i] -= rate * step;
        }
    }
}
