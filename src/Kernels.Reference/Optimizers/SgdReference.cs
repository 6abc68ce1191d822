namespace Kernels.Reference;

/// <summary>SGD's rule, as PyTorch defines it.</summary>
public static class SgdReference
{
    /// <summary>
    /// v = g at the first step, else momentum * v + (1 - dampening) * g; the direction is v, or g + momentum * v with Nesterov, or g
    /// without momentum, which stores no v.
    /// </summary>
    public static double Direction(double gradient, ref double velocity, double momentum, double dampening, bool nesterov, bool firstStep)
    {
        if (momentum == 0) return gradient;
        velocity = firstStep ? gradient : (momentum * velocity) + ((1 - dampening) * gradient);
        return nesterov ? gradient + (momentum * velocity) : velocity;
    }
}
