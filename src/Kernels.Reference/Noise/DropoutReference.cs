namespace Kernels.Reference;

/// <summary>
/// Dropout as specified: element i is kept iff its 16 random bits are below T = round((1 - p) * 65536), clamped to [1, 65535] for 0 &lt; p
/// &lt; 1. p = 0 keeps all, p = 1 drops all. N. Srivastava et al., JMLR 15, 2014.
/// </summary>
public static class DropoutReference
{
    /// <summary>T, from 0 to 65536.</summary>
    public static int Threshold(double dropProbability)
    {
        if (dropProbability == 0) return 65536;
        if (dropProbability == 1) return 0;
        return Math.Clamp((int)Math.Floor(((1 - dropProbability) * 65536) + 0.5), 1, 65535);
    }

    /// <summary>True when element <paramref name="index"/> of the whole tensor is kept.</summary>
    public static bool Keeps(double dropProbability, ulong seed, ulong offset, ulong index) =>
        PhiloxReference.Lane(seed, offset, index) < Threshold(dropProbability);

    /// <summary>
    /// y = keep ? scale * x : 0, with scale 65536/T when <paramref name="inverted"/>, else 1. Backward is the same map of dy.
    /// </summary>
    public static void Apply(
        ReadOnlySpan<double> x, Span<double> y, double dropProbability, ulong seed, ulong offset, ulong globalStart = 0,
        bool inverted = true)
    {
        int threshold = Threshold(dropProbability);
        double scale = inverted && threshold > 0 ? 65536.0 / threshold : 1;
        for (int i = 0; i < x.Length; i++)
            y[i] = Keeps(dropProbability, seed, offset, globalStart + (ulong)i) ? scale * x[i] : 0;
    }

    /// <summary>Inference: y = x when <paramref name="inverted"/>, else y = x * T/65536.</summary>
    public static void Infer(ReadOnlySpan<double> x, Span<double> y, double dropProbability, bool inverted)
    {
        double scale = inverted ? 1 : Threshold(dropProbability) / 65536.0;
        for (int i = 0; i < x.Length; i++) y[i] = scale * x[i];
    }
}
