using Kernels.Cpu;
using Kernels.Devices;

namespace Kernels;

/// <summary>The activation that follows a layer.</summary>
public enum DropConnectActivation
{
    /// <summary>a(u) = u.</summary>
    Identity,

    /// <summary>a(u) = max(u, 0); NaN stays NaN.</summary>
    Relu,

    /// <summary>a(u) = tanh(u).</summary>
    Tanh,

    /// <summary>a(u) = 1 / (1 + exp(-u)).</summary>
    Sigmoid,
}

public static partial class DropConnect
{
    private static readonly KernelDefinition<DropConnectInferenceArguments> InferenceKernel =
        EntryPoints.DropConnectInference.Float<CpuInference>(vectorWidths: [1, 8]);

    /// <summary>
    /// Inference: y = the mean over <paramref name="samples"/> of a(u), u drawn from the normal distribution with the mean and variance of
    /// the training pre-activation under random masks.
    /// </summary>
    /// <remarks>
    /// <para>
    /// Under original scaling (Wan et al., section 3.2) u ~ N(q (w x + b), q (1 - q) (w^2 x^2 + b^2)), squares element by element. A layer
    /// trained under inverted scaling computes u / q, so there u ~ N(w x + b, (1 - q)/q (w^2 x^2 + b^2)). Pass the options of training.
    /// This is not the same as a mean network, y = a(w x + b), unless a is linear.
    /// </para>
    /// <para>
    /// Sample s of example b and output o is normal number (b * outputs + o) * samples + s as <see cref="GaussianNoise"/> numbers them.
    /// Where the variance is 0 (p = 0 among others) nothing is drawn and y = a(mean). p = 1 gives a(0) everywhere.
    /// </para>
    /// </remarks>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input, shape [batch, in].</param>
    /// <param name="weight">Shape [out, in].</param>
    /// <param name="bias">Shape [out], or null for none.</param>
    /// <param name="y">Output, shape [batch, out]; overlaps no other argument.</param>
    /// <param name="mean">Receives the mean of u, shape [batch, out], or null.</param>
    /// <param name="variance">Receives the variance of u, shape [batch, out], or null.</param>
    /// <param name="dropProbability">The probability of training.</param>
    /// <param name="activation">What follows the layer.</param>
    /// <param name="samples">How many samples are averaged, at least 1.</param>
    /// <param name="key">Random key; one offset for each call.</param>
    /// <param name="options">The options of training.</param>
    public static void Infer<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> weight, DeviceTensor<T>? bias, DeviceTensor<T> y, DeviceTensor<T>? mean,
        DeviceTensor<T>? variance, double dropProbability, DropConnectActivation activation, long samples, RandomKeySource key,
        DropConnectOptions options = default)
        where T : unmanaged
    {
        const string Op = "DropConnect.Infer";
        Layer layer = Layer.Of(Op, stream, x, weight, y, nameof(y));
        layer.CheckBias(stream, bias);
        layer.CheckResult(stream, y, nameof(y), [layer.Examples, layer.Outputs], x, weight, bias);
        if (mean is not null) layer.CheckResult(stream, mean, nameof(mean), y.Shape, x, weight, bias, y);
        if (variance is not null) layer.CheckResult(stream, variance, nameof(variance), y.Shape, x, weight, bias, y, mean);
        if (!Enum.IsDefined(activation))
            throw new ArgumentOutOfRangeException(nameof(activation), activation, $"{Op}: unknown {nameof(activation)}.");
        if (samples < 1) throw new ArgumentOutOfRangeException(nameof(samples), samples, $"{Op}: {nameof(samples)} is at least 1.");
        KeepThreshold threshold = Threshold(layer, stream, dropProbability, key, options);
        layer.CheckIndices(options, samples);
        if (threshold.DropsAll)
        {
            double atZero = activation == DropConnectActivation.Sigmoid ? 0.5 : 0;
            stream.Fill(y, CpuElement.FromDouble<T>(atZero));
            if (mean is not null) stream.Fill(mean, default);
            if (variance is not null) stream.Fill(variance, default);
            return;
        }

        if (y.Length == 0) return;
        double keep = threshold.KeepProbability;
        bool inverted = options.Scaling == DropoutScaling.Inverted;
        stream.Launch(
            InferenceKernel,
            layer.Variant(x, weight),
            new LaunchShape(layer.ForwardTiles),
            new DropConnectInferenceArguments
            {
                X = x.Argument,
                Weight = weight.Argument,
                Bias = bias?.Argument ?? default,
                Y = y.Argument,
                Mean = mean?.Argument ?? default,
                Variance = variance?.Argument ?? default,
                Examples = (ulong)layer.Examples,
                Inputs = (ulong)layer.Inputs,
                Outputs = (ulong)layer.Outputs,
                Slices = layer.ForwardSlices,
                FirstPair = layer.FirstPair(options),
                Samples = (ulong)samples,
                Activation = (uint)activation,
                MeanScale = inverted ? 1 : keep,
                VarianceScale = inverted ? (1 - keep) / keep : keep * (1 - keep),
                Key = key.Argument,
            });
    }
}
