namespace Kernels.Reference;

/// <summary>Gradients of a parameter that is used several times.</summary>
public static class TiedGradientsReference
{
    /// <summary>gradient = the sum of its uses, with what is there if that is asked.</summary>
    public static void Sum(IReadOnlyList<double[]> uses, Span<double> gradient, bool adds)
    {
        for (int i = 0; i < gradient.Length; i++)
        {
            double sum = adds ? gradient[i] : 0;
            foreach (double[] use in uses) sum += use[i];
            gradient[i] = sum;
        }
    }
}
