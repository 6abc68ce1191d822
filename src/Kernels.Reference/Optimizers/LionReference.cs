namespace Kernels.Reference;

/// <summary>Lion's rule (Chen et al., 2023).</summary>
public static class LionReference
{
    /// <summary>The direction is sign(beta1 * m + (1 - beta1) * g); then m = beta2 * m + (1 - beta2) * g.</summary>
    public static double Direction(double gradient, ref double moment, double beta1, double beta2)
    {
        double direction = OptimizerReference.Sign((beta1 * moment) + ((1 - beta1) * gradient));
        moment = (beta2 * moment) + ((1 - beta2) * gradient);
        return direction;
    }
}
