using Kernels.Devices;

namespace Kernels;

/// <summary>Settings of <see cref="DropConnect"/>; the default is inverted scaling of a whole batch.</summary>
public readonly record struct DropConnectOptions
{
    /// <summary>
    /// The place where the layer makes up for the dropped weights: training or inference. Inference takes the scaling of training.
    /// </summary>
    public DropoutScaling Scaling { get; init; }

    /// <summary>
    /// Number of the first example in the whole batch of which the argument is a shard, so that the shards' masks together are the mask of
    /// the whole.
    /// </summary>
    public ulong GlobalStart { get; init; }
}

/// <summary>
/// DropConnect: a linear layer that drops each weight and each bias anew for every example, y[b, o] = (sum over i of m[b, o, i] w[o, i]
/// x[b, i] + m'[b, o] bias[o]) / q in training, with P(m = 1) = P(m' = 1) = q; a moment-matched normal distribution at inference
/// (<see cref="Infer"/>).
/// </summary>
/// <remarks>
/// <para>
/// Weight (o, i) of example b has the mask index (b * outputs + o) * inputs + i, its bias 2^63 + b * outputs + o; index k takes
/// <see cref="Philox.Lane">lane</see> k and is kept iff lane &lt; T, q = T/65536 (<see cref="KeepThreshold"/>). The bits are drawn where
/// they are used: no mask of batch * outputs * inputs exists anywhere, and
/// <see cref="Backward"/> draws the same again. One key serves weights and bias; it may be in device memory.
/// </para>
/// <para>
/// A dropped product counts as +0, also where weight or input is NaN or infinite. p = 0 is <see cref="Linear"/>, p = 1 gives zeros, both
/// without drawing. Types: float, Half, BFloat16, double; sums in float (double for double) in a fixed order, so that every run gives the
/// same bits. Dimensions of 0 are valid.
/// </para>
/// <para>
/// L. Wan, M. Zeiler, S. Zhang, Y. LeCun and R. Fergus, "Regularization of neural networks using DropConnect", ICML 2013. (What
/// EfficientNet calls drop connect is stochastic depth.)
/// </para>
/// <para>
/// Every method throws <see cref="ArgumentException"/> for shapes that do not fit, a result that overlaps an argument, or a tensor on
/// another device, and
/// <see cref="ArgumentOutOfRangeException"/> for a probability that is NaN or outside [0, 1] or a shard whose masks would exceed the index
/// range, before anything is launched.
/// </para>
/// </remarks>
public static partial class DropConnect
{
    /// <summary>First mask index of the biases. The lower half of the index range belongs to the weights.</summary>
    private const ulong BiasMask = 1UL << 63;

    private const int GroupSize = KernelDefinition.DefaultGroupSize;

    // What a group takes, as in the text.
    private const int OutputTile = 8;
    private const int InputTile = 64;
    private const int BiasTile = 32;

    private static readonly KernelDefinition<DropConnectForwardArguments> ForwardKernel =
        EntryPoints.DropConnectForward.Float<CpuForward>(vectorWidths: [1, 8]);

    private static readonly KernelDefinition<DropConnectGradientArguments> GradientKernel =
        EntryPoints.DropConnectGradient.Float<CpuGradient>(vectorWidths: [1, 8]);

    private static readonly KernelDefinition<DropConnectBiasGradientArguments> BiasGradientKernel =
        EntryPoints.DropConnectBiasGradient.Float<CpuBiasGradient>();

    /// <summary>Training.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input, shape [batch, in].</param>
    /// <param name="weight">Shape [out, in].</param>
    /// <param name="bias">Shape [out], or null for none.</param>
    /// <param name="y">Output, shape [batch, out]; overlaps no input.</param>
    /// <param name="dropProbability">Probability p to drop a weight of an example, in [0, 1].</param>
    /// <param name="key">Random key; one offset for each call.</param>
    /// <param name="options">Scaling and shard start.</param>
    public static void Forward<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> weight, DeviceTensor<T>? bias, DeviceTensor<T> y, double dropProbability,
        RandomKeySource key, DropConnectOptions options = default)
        where T : unmanaged
    {
        const string Op = "DropConnect.Forward";
        Layer layer = Layer.Of(Op, stream, x, weight, y, nameof(y));
        layer.CheckBias(stream, bias);
        layer.CheckResult(stream, y, nameof(y), [layer.Examples, layer.Outputs], x, weight, bias);
        KeepThreshold threshold = Threshold(layer, stream, dropProbability, key, options);
        if (threshold.KeepsAll)
        {
            Linear.Forward(stream, x, weight, bias, y);
            return;
        }

        if (threshold.DropsAll)
        {
            stream.Fill(y, default);
            return;
        }

        if (y.Length == 0) return;
        stream.Launch(
            ForwardKernel,
            layer.Variant(x, weight),
            new LaunchShape(layer.ForwardTiles),
            new DropConnectForwardArguments
            {
                X = x.Argument,
                Weight = weight.Argument,
                Bias = bias?.Argument ?? default,
                Y = y.Argument,
                Examples = (ulong)layer.Examples,
                Inputs = (ulong)layer.Inputs,
                Outputs = (ulong)layer.Outputs,
                Slices = layer.ForwardSlices,
                FirstPair = layer.FirstPair(options),
                Threshold = threshold.Value,
                Scale = Scale(threshold, options),
                Key = key.Argument,
            });
    }

    /// <summary>The gradients of the forward call that had the same key, probability and options.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input of the forward call, shape [batch, in].</param>
    /// <param name="weight">Shape [out, in].</param>
    /// <param name="dy">Gradient of the output, shape [batch, out].</param>
    /// <param name="dx">Gradient of the input, shape [batch, in], or null when it is not needed.</param>
    /// <param name="dWeight">Gradient of the weight, shape [out, in].</param>
    /// <param name="dBias">Gradient of the bias, shape [out], or null for a layer without one.</param>
    /// <param name="dropProbability">As in forward.</param>
    /// <param name="key">As in forward.</param>
    /// <param name="options">As in forward.</param>
    public static void Backward<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> weight, DeviceTensor<T> dy,
        DeviceTensor<T>? dx, DeviceTensor<T> dWeight, DeviceTensor<T>? dBias, double dropProbability, RandomKeySource key,
        DropConnectOptions options = default)
        where T : unmanaged
    {
        const string Op = "DropConnect.Backward";
        Layer layer = Layer.Of(Op, stream, x, weight, dy, nameof(dy));
        layer.CheckResult(stream, dWeight, nameof(dWeight), weight.Shape, x, weight, dy);
        if (dx is not null) layer.CheckResult(stream, dx, nameof(dx), x.Shape, x, weight, dy, dWeight);
        if (dBias is not null) layer.CheckResult(stream, dBias, nameof(dBias), [layer.Outputs], x, weight, dy, dWeight, dx);
        KeepThreshold threshold = Threshold(layer, stream, dropProbability, key, options);
        if (threshold.KeepsAll)
        {
            Linear.Backward(stream, x, weight, dy, dx, dWeight, dBias);
            return;
        }

        if (threshold.DropsAll)
        {
            stream.Fill(dWeight, default);
            if (dx is not null) stream.Fill(dx, default);
            if (dBias is not null) stream.Fill(dBias, default);
            return;
        }

        double scale = Scale(threshold, options);
        (long examples, long outputs) = (layer.Examples, layer.Outputs);
        if (dx is not null) Gradient(dx, source: weight, rows: examples, terms: outputs, rowStride: outputs, termStride: 1);
        Gradient(dWeight, source: x, rows: outputs, terms: examples, rowStride: 1, termStride: outputs);
        if (dBias is null || outputs == 0) return;
        stream.Launch(
            BiasGradientKernel,
            new KernelVariant(dy.DType),
            new LaunchShape(Tiles(outputs, BiasTile)),
            new DropConnectBiasGradientArguments
            {
                Dy = dy.Argument,
                Dbias = dBias.Argument,
                Examples = (ulong)examples,
                Outputs = (ulong)outputs,
                FirstPair = layer.FirstPair(options),
                Threshold = threshold.Value,
                Scale = scale,
                Key = key.Argument,
            });

        void Gradient(DeviceTensor<T> result, DeviceTensor<T> source, long rows, long terms, long rowStride, long termStride)
        {
            if (result.Length == 0) return;
            int slices = Slices(terms, 16);
            stream.Launch(
                GradientKernel,
                layer.Variant(source, result),
                new LaunchShape(Tiles(rows, GroupSize * 8 / InputTile / slices) * Tiles(layer.Inputs, InputTile)),
                new DropConnectGradientArguments
                {
                    Dy = dy.Argument,
                    Source = source.Argument,
                    Result = result.Argument,
                    Rows = (ulong)rows,
                    Terms = (ulong)terms,
                    Inputs = (ulong)layer.Inputs,
                    Slices = (uint)slices,
                    RowStride = (ulong)rowStride,
                    TermStride = (ulong)termStride,
                    FirstPair = layer.FirstPair(options),
                    Threshold = threshold.Value,
                    Scale = scale,
                    Key = key.Argument,
                });
        }
    }

    private static long Tiles(long count, int tile) => (count + tile - 1) / tile;

    /// <summary>
    /// Work items that share a sum of so many terms, with eight for each at least. Nothing else decides, so that an example has the same
    /// bits in any batch.
    /// </summary>
    private static int Slices(long terms, int most)
    {
        int slices = 1;
        while (slices < most && terms >= 16 * slices) slices *= 2;
        return slices;
    }

    private static double Scale(KeepThreshold threshold, DropConnectOptions options) =>
        options.Scaling == DropoutScaling.Inverted ? threshold.Scale : 1;

    private static KeepThreshold Threshold(
        Layer layer, DeviceStream stream, double dropProbability, RandomKeySource key, DropConnectOptions options)
    {
        Check.Probability(layer.Op, dropProbability, nameof(dropProbability));
        Check.Key(layer.Op, stream, key, nameof(key));
        Check.Defined(layer.Op, options.Scaling, nameof(options.Scaling));
        layer.CheckIndices(options, layer.Inputs);
        return KeepThreshold.FromDropProbability(dropProbability);
    }

    /// <summary>The sizes of a call, and the checks that its entries share.</summary>
    private readonly record struct Layer(string Op, long Examples, long Inputs, long Outputs)
    {
        public static Layer Of<T>(
            string op, DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> weight, DeviceTensor<T> y, string yName)
            where T : unmanaged
        {
            Check.FloatTensor(op, stream, x, nameof(x));
            Check.FloatTensor(op, stream, weight, nameof(weight));
            Check.FloatTensor(op, stream, y, yName);
            Check.Rank(op, x, nameof(x), 2);
            Check.Rank(op, weight, nameof(weight), 2);
            Layer layer = new(op, x.Shape[0], x.Shape[1], weight.Shape[0]);
            Check.Shape(op, weight, nameof(weight), layer.Outputs, layer.Inputs);
            Check.Shape(op, y, yName, layer.Examples, layer.Outputs);
            return layer;
        }

        public void CheckBias<T>(DeviceStream stream, DeviceTensor<T>? bias)
            where T : unmanaged
        {
            if (bias is null) return;
            Check.FloatTensor(Op, stream, bias, nameof(bias));
            Check.Shape(Op, bias, nameof(bias), Outputs);
        }

        /// <summary>A result of this shape that shares no memory with any of the others.</summary>
        public void CheckResult<T>(
            DeviceStream stream, DeviceTensor<T> result, string name, ReadOnlySpan<long> shape,
            params ReadOnlySpan<DeviceTensor<T>?> others)
            where T : unmanaged
        {
            Check.FloatTensor(Op, stream, result, name);
            Check.Shape(Op, result, name, shape);
            foreach (DeviceTensor<T>? other in others)
            {
                if (other is not null) Check.Disjoint(Op, other, "another argument", result, name);
            }
        }

        /// <summary>
        /// The shard's masks, <paramref name="perPair"/> indices for each pair of example and output, stay below those of the biases.
        /// </summary>
        public void CheckIndices(DropConnectOptions options, long perPair)
        {
            UInt128 end = ((UInt128)options.GlobalStart + (ulong)Examples) * (ulong)Math.Max(1, Outputs);
            if (end > BiasMask || end * (ulong)Math.Max(1, perPair) > BiasMask - 64)
            {
                throw new ArgumentOutOfRangeException(
                    nameof(options), options.GlobalStart,
                    $"{Op}: {Examples} examples from {nameof(options.GlobalStart)} on have more than 2^63 mask indices.");
            }
        }

        public ulong FirstPair(DropConnectOptions options) => options.GlobalStart * (ulong)Outputs;

        /// <summary>Work items that share a result of the forward pass and of inference, whose terms are eights of inputs.</summary>
        public uint ForwardSlices => (uint)Slices(Inputs / Philox.LanesPerBlock, 8);

        public long ForwardTiles => Tiles(Examples, GroupSize / OutputTile / (int)ForwardSlices) * Tiles(Outputs, OutputTile);

        /// <summary>Wide where rows of inputs are whole eights on aligned addresses.</summary>
        public KernelVariant Variant<T>(DeviceTensor<T> first, DeviceTensor<T> second)
            where T : unmanaged
        {
            bool wide = Inputs % Philox.LanesPerBlock == 0 && first.IsVectorAligned && second.IsVectorAligned;
            return new(first.DType, wide ? Philox.LanesPerBlock : 1);
        }
    }
}
