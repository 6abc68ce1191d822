namespace Kernels.Reference;

/// <summary>Alpha dropout (Klambauer et al., NeurIPS 2017) with the realised keep probability q = T/65536.</summary>
public static class AlphaDropoutReference
{
    private const double Saturation = -1.7580993408473766;

    /// <summary>y = a * (keep ? x : s) + b with a = (q + s^2 q (1 - q))^(-1/2), b = -a (1 - q) s.</summary>
    public static void Forward(
        ReadOnlySpan<double> x, Span<double> y, double dropProbability, ulong seed, ulong offset, ulong globalStart = 0)
    {
        double keep = DropoutReference.Threshold(dropProbability) / 65536.0;
        if (keep == 0)
        {
            y.Clear();
            return;
        }

        double scale = Scale(keep);
        double shift = -scale * (1 - keep) * Saturation;
        for (int i = 0; i < x.Length; i++)
        {
            bool kept = keep == 1 || DropoutReference.Keeps(dropProbability, seed, offset, globalStart + (ulong)i);
            y[i] = (scale * (kept ? x[i] : Saturation)) + shift;
        }
    }

    /// <summary>dx = keep ? a * dy : 0.</summary>
    public static void Backward(
        ReadOnlySpan<double> dy, Span<double> dx, double dropProbability, ulong seed, ulong offset, ulong globalStart = 0)
    {
        double keep = DropoutReference.Threshold(dropProbability) / 65536.0;
        for (int i = 0; i < dy.Length; i++)
        {
            bool kept = keep == 1 || (keep > 0 && DropoutReference.Keeps(dropProbability, seed, offset, globalStart + (ulong)i));
            dx[i] = kept ? Scale(keep) * dy[i] : 0;
        }
    }

    private static double Scale(double keep) => 1 / Math.Sqrt(keep + (Saturation * Saturation * keep * (1 - keep)));
}
