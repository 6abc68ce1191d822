namespace Kernels.Reference;

/// <summary>Losses of generative adversarial networks: means over the logits of a side.</summary>
public static class GanLossReference
{
    /// <summary>
    /// The discriminator's: losses of real and generated logits and their shares above 0 in <paramref name="summary"/>, the gradients times
    /// <paramref name="scale"/>.
    /// </summary>
    public static void Discriminator(
        ReadOnlySpan<double> real, ReadOnlySpan<double> generated, Span<double> summary, Span<double> dReal, Span<double> dGenerated,
        double scale, bool hinge)
    {
        (double positiveReal, double positiveGenerated) = (0, 0);
        summary.Clear();
        for (int i = 0; i < real.Length; i++)
        {
            summary[0] += (hinge ? Hinge(-real[i]) : Softplus(-real[i])) / real.Length;
            positiveReal += real[i] > 0 ? 1 : 0;
            if (dReal.Length > 0) dReal[i] = -scale * (hinge ? HingeSlope(-real[i]) : SoftplusSlope(-real[i])) / real.Length;
        }

        for (int i = 0; i < generated.Length; i++)
        {
            summary[1] += (hinge ? Hinge(generated[i]) : Softplus(generated[i])) / generated.Length;
            positiveGenerated += generated[i] > 0 ? 1 : 0;
            if (dGenerated.Length > 0)
                dGenerated[i] = scale * (hinge ? HingeSlope(generated[i]) : SoftplusSlope(generated[i])) / generated.Length;
        }

        summary[2] = positiveReal / Math.Max(1, real.Length);
        summary[3] = positiveGenerated / Math.Max(1, generated.Length);
    }

    /// <summary>The generator's: its loss and the share of logits above 0 in <paramref name="summary"/>.</summary>
    public static void Generator(
        ReadOnlySpan<double> generated, Span<double> summary, Span<double> dGenerated, double scale, bool hinge)
    {
        double positive = 0;
        summary.Clear();
        for (int i = 0; i < generated.Length; i++)
        {
            summary[0] += (hinge ? -generated[i] : Softplus(-generated[i])) / generated.Length;
            positive += generated[i] > 0 ? 1 : 0;
            if (dGenerated.Length > 0) dGenerated[i] = -scale * (hinge ? 1 : SoftplusSlope(-generated[i])) / generated.Length;
        }

        summary[1] = positive / Math.Max(1, generated.Length);
    }

    /// <summary>max(0, 1 + z); NaN stays NaN.</summary>
    private static double Hinge(double z) => z <= -1 ? 0 : 1 + z;

    private static double HingeSlope(double z) => z <= -1 ? 0 : 1;

    /// <summary>log(1 + e^z), with log(1 + t) = 2 artanh(t / (2 + t)), which keeps the digits of a small t.</summary>
    private static double Softplus(double z)
    {
        double t = Math.Exp(-Math.Abs(z));
        return (2 * Math.Atanh(t / (2 + t))) + (z < 0 ? 0 : z);
    }

    private static double SoftplusSlope(double z) => 1 / (1 + Math.Exp(-z));
}
