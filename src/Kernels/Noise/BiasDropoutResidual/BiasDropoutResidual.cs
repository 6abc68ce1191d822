using Kernels.Devices;

namespace Kernels;

/// <summary>Settings of <see cref="BiasDropoutResidual"/>; the default drops no rows and is no shard.</summary>
public readonly record struct BiasDropoutResidualOptions
{
    /// <summary>
    /// Probability to drop a whole row (drop path, stochastic depth per example), in [0, 1]. Kept rows are scaled by the realised
    /// reciprocal.
    /// </summary>
    public double RowDropProbability { get; init; }

    /// <summary>
    /// Index of the first row in the whole tensor of which the arguments are a shard, so that the shards' masks together are the mask of
    /// the whole.
    /// </summary>
    public ulong GlobalStart { get; init; }
}

/// <summary>
/// The end of a residual branch in one pass: y = residual + r * channelScale * m * (x + bias) / q, with m drawn per element, P(m = 1) = q,
/// and r per row.
/// </summary>
/// <remarks>
/// <para>
/// For x of shape [rows, columns]. Element (n, d) takes the decision of element (s + n) * columns + d as <see cref="Dropout"/> defines it,
/// with s =
/// <see cref="BiasDropoutResidualOptions.GlobalStart"/>. Row n takes lane (s + n) mod 8 of Philox block 2^63 + (s + n) / 8 of the same key,
/// a block that no element
/// reaches; r is 65536/T' where that lane is below T', else 0. Neither mask is stored: <see cref="Backward"/> draws them again.
/// </para>
/// <para>
/// A dropped element or row is its residual as it is, also where x is NaN or infinite; x of a dropped row is not read. p = 0 and p = 1 draw
/// nothing; when either probability is 1 the residual is copied. Types: float, Half, BFloat16, double, calculated in float (double for
/// double) and rounded once. Any sizes, also 0. y may be x or the residual.
/// </para>
/// <para>
/// The gradient of the residual is dy itself: it is not written, use dy. Gradients of bias and channel scale are summed in two stages in a
/// fixed order, so they are the same bits in every run on a device.
/// </para>
/// <para>
/// D. Narayanan et al., "Efficient large-scale language model training on GPU clusters using Megatron-LM", SC 2021; G. Huang et al., "Deep
/// networks with stochastic depth", ECCV 2016; channel scale: H. Touvron et al., "Going deeper with image transformers", ICCV 2021.
/// </para>
/// <para>
/// Every method throws <see cref="ArgumentException"/> for shapes that do not fit, tensors that overlap otherwise than stated or live on
/// another device, and
/// <see cref="ArgumentOutOfRangeException"/> for a probability that is NaN or outside [0, 1], before anything is launched.
/// </para>
/// </remarks>
public static unsafe partial class BiasDropoutResidual
{
    private const uint ScaleGradientSwitch = 1;
    private const int TileColumns = 256;
    private const int StripRows = 64;

    /// <summary>Jobs that keep a large GPU busy: eight groups for each of its cores, twice over.</summary>
    private const long Jobs = 2048;

    private static readonly KernelDefinition<BiasDropoutResidualForwardArguments> ForwardKernel =
        EntryPoints.BiasDropoutResidualForward.Float<CpuForward>(vectorWidths: [1, 8]);

    private static readonly KernelDefinition<BiasDropoutResidualBackwardArguments> BackwardKernel =
        EntryPoints.BiasDropoutResidualBackward.Float<CpuBackward>(vectorWidths: [1, 8], switches: ["SCALE_GRADIENT"]);

    /// <summary>y = residual + r * channelScale * m * (x + bias) / q.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">What the branch computed, shape [rows, columns].</param>
    /// <param name="bias">Shape [columns], or null for none.</param>
    /// <param name="channelScale">Factor of each column (LayerScale), shape [columns], or null for 1.</param>
    /// <param name="residual">What goes past the branch, shape [rows, columns].</param>
    /// <param name="y">Output, shape [rows, columns]; may be <paramref name="x"/> (unless its scale needs a gradient) or
    /// <paramref name="residual"/>.</param>
    /// <param name="dropProbability">Probability p to drop an element, in [0, 1].</param>
    /// <param name="key">Random key; one offset for each call.</param>
    /// <param name="options">Row drop and shard start.</param>
    public static void Forward<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T>? bias, DeviceTensor<T>? channelScale, DeviceTensor<T> residual,
        DeviceTensor<T> y, double dropProbability, RandomKeySource key, BiasDropoutResidualOptions options = default)
        where T : unmanaged
    {
        const string Op = "BiasDropoutResidual.Forward";
        Check.Elementwise(Op, stream, x, nameof(x), y, nameof(y));
        Check.Elementwise(Op, stream, residual, nameof(residual), y, nameof(y));
        CheckCommon(Op, stream, x, nameof(x), dropProbability, key, options);
        CheckParameter(Op, stream, bias, nameof(bias), y, nameof(y));
        CheckParameter(Op, stream, channelScale, nameof(channelScale), y, nameof(y));

        (KeepThreshold elements, KeepThreshold rows) = Thresholds(dropProbability, options);
        if (elements.DropsAll || rows.DropsAll)
        {
            stream.Copy(residual, y);
            return;
        }

        if (x.Length == 0) return;
        bool vectors = TakesVectors(x, y, bias, channelScale) && residual.IsVectorAligned;
        stream.Launch(
            ForwardKernel,
            new KernelVariant(x.DType, vectors ? Philox.LanesPerBlock : 1),
            new LaunchShape(Tiles(x.Shape[1]) * Strips(x.Shape[0], options.GlobalStart)),
            new BiasDropoutResidualForwardArguments
            {
                X = x.Argument,
                Residual = residual.Argument,
                Y = y.Argument,
                Bias = bias?.Argument ?? default,
                ChannelScale = channelScale?.Argument ?? default,
                Rows = (ulong)x.Shape[0],
                Columns = (ulong)x.Shape[1],
                StartRow = options.GlobalStart,
                Threshold = elements.Value,
                RowThreshold = rows.Value,
                Scale = elements.Scale * rows.Scale,
                Key = key.Argument,
            });
    }

    /// <summary>
    /// dx = r * channelScale * m * dy / q, dBias = sum over the rows of dx, dChannelScale = sum over the rows of r * m * (x +
    /// bias) * dy / q. The gradient of the residual is
    /// <paramref name="dy"/>.
    /// </summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">As in forward; needed for <paramref name="dChannelScale"/> only, and overlaps <paramref name="dx"/> in no
    /// element.</param>
    /// <param name="bias">As in forward; needed for <paramref name="dChannelScale"/> only.</param>
    /// <param name="channelScale">As in forward.</param>
    /// <param name="dy">Gradient of the output, shape [rows, columns].</param>
    /// <param name="dx">Gradient of x, shape [rows, columns]; may be <paramref name="dy"/> where the residual needs no gradient.</param>
    /// <param name="dBias">Gradient of the bias, shape [columns], or null when it is not needed.</param>
    /// <param name="dChannelScale">Gradient of the channel scale, shape [columns], or null when it is not needed.</param>
    /// <param name="dropProbability">As in forward.</param>
    /// <param name="key">As in forward.</param>
    /// <param name="options">As in forward.</param>
    public static void Backward<T>(
        DeviceStream stream, DeviceTensor<T>? x, DeviceTensor<T>? bias, DeviceTensor<T>? channelScale, DeviceTensor<T> dy,
        DeviceTensor<T> dx, DeviceTensor<T>? dBias, DeviceTensor<T>? dChannelScale, double dropProbability, RandomKeySource key,
        BiasDropoutResidualOptions options = default)
        where T : unmanaged
    {
        const string Op = "BiasDropoutResidual.Backward";
        Check.Elementwise(Op, stream, dy, nameof(dy), dx, nameof(dx));
        CheckCommon(Op, stream, dy, nameof(dy), dropProbability, key, options);
        CheckParameter(Op, stream, bias, nameof(bias), dx, nameof(dx));
        CheckParameter(Op, stream, channelScale, nameof(channelScale), dx, nameof(dx));
        CheckParameter(Op, stream, dBias, nameof(dBias), dx, nameof(dx));
        CheckParameter(Op, stream, dChannelScale, nameof(dChannelScale), dx, nameof(dx));
        foreach ((DeviceTensor<T>? result, string name) in (ReadOnlySpan<(DeviceTensor<T>?, string)>)[(dBias, nameof(dBias)),
            (dChannelScale, nameof(dChannelScale))])
        {
            if (result is null) continue;
            Check.Disjoint(Op, dy, nameof(dy), result, name);
            if (bias is not null) Check.Disjoint(Op, bias, nameof(bias), result, name);
            if (channelScale is not null) Check.Disjoint(Op, channelScale, nameof(channelScale), result, name);
        }

        if (dChannelScale is not null)
        {
            if (channelScale is null)
                throw new ArgumentNullException(nameof(channelScale), $"{Op}: {nameof(dChannelScale)} needs {nameof(channelScale)}.");
            if (x is null) throw new ArgumentNullException(nameof(x), $"{Op}: {nameof(dChannelScale)} needs {nameof(x)}.");
        }

        if (x is not null)
        {
            Check.FloatTensor(Op, stream, x, nameof(x));
            Check.Shape(Op, x, nameof(x), dy.Shape);
            Check.Disjoint(Op, x, nameof(x), dx, nameof(dx));
            if (dBias is not null) Check.Disjoint(Op, x, nameof(x), dBias, nameof(dBias));
            if (dChannelScale is not null) Check.Disjoint(Op, x, nameof(x), dChannelScale, nameof(dChannelScale));
        }

        if (dBias is not null && dChannelScale is not null) Check.Disjoint(Op, dBias, nameof(dBias), dChannelScale, nameof(dChannelScale));
        (KeepThreshold elements, KeepThreshold rows) = Thresholds(dropProbability, options);
        if (dy.Length == 0 || elements.DropsAll || rows.DropsAll)
        {
            stream.Fill(dx, default);
            if (dBias is not null) stream.Fill(dBias, default);
            if (dChannelScale is not null) stream.Fill(dChannelScale, default);
            return;
        }

        (long columns, long tiles, long strips) = (dy.Shape[1], Tiles(dy.Shape[1]), Strips(dy.Shape[0], options.GlobalStart));
        bool sums = dBias is not null || dChannelScale is not null;
        long splits = sums ? Math.Min(strips, Math.Clamp(Jobs / tiles, 16, 512)) : strips;
        int sumBytes = dy.DType == DType.Float64 ? sizeof(double) : sizeof(float);
        using ScratchPool.Lease<byte> partialBias = stream.RentScratch<byte>(dBias is null ? 0 : splits * columns * sumBytes);
        using ScratchPool.Lease<byte> partialScale = stream.RentScratch<byte>(dChannelScale is null ? 0 : splits * columns * sumBytes);
        bool vectors = TakesVectors(dy, dx, dChannelScale is null ? null : bias, channelScale)
            && (dChannelScale is null || x!.IsVectorAligned);
        stream.Launch(
            BackwardKernel,
            new KernelVariant(dy.DType, vectors ? Philox.LanesPerBlock : 1, dChannelScale is null ? 0 : ScaleGradientSwitch),
            new LaunchShape(tiles * splits),
            new BiasDropoutResidualBackwardArguments
            {
                Dy = dy.Argument,
                X = dChannelScale is null ? default : x!.Argument,
                Dx = dx.Argument,
                Bias = dChannelScale is null ? default : bias?.Argument ?? default,
                ChannelScale = channelScale?.Argument ?? default,
                PartialBias = dBias is null ? default : partialBias.Argument,
                PartialScale = dChannelScale is null ? default : partialScale.Argument,
                Rows = (ulong)dy.Shape[0],
                Columns = (ulong)columns,
                Splits = (ulong)splits,
                StartRow = options.GlobalStart,
                Threshold = elements.Value,
                RowThreshold = rows.Value,
                Scale = elements.Scale * rows.Scale,
                Key = key.Argument,
            });
        if (dBias is not null) PartialSums.Reduce(stream, partialBias.Argument, dBias, splits);
        if (dChannelScale is not null) PartialSums.Reduce(stream, partialScale.Argument, dChannelScale, splits);
    }

    private static void CheckCommon<T>(
        string op, DeviceStream stream, DeviceTensor<T> x, string name, double dropProbability, in RandomKeySource key,
        BiasDropoutResidualOptions options)
        where T : unmanaged
    {
        Check.Rank(op, x, name, 2);
        Check.Probability(op, dropProbability, nameof(dropProbability));
        Check.Probability(op, options.RowDropProbability, nameof(options.RowDropProbability));
        Check.Key(op, stream, key, nameof(key));

        // Loops step past the end by as many rows as there are, at most, and rounded up to strips and draws; that too is counted in 64
        // bits.
        UInt128 end = ((UInt128)options.GlobalStart + (2 * (ulong)x.Shape[0]) + (2 * StripRows)) * (ulong)Math.Max(1, x.Shape[1]);
        if (end > ulong.MaxValue - 64)
        {
            throw new ArgumentOutOfRangeException(
                nameof(options), options.GlobalStart,
                $"{op}: {TensorShape.Format(x.Shape)} from that {nameof(options.GlobalStart)} on exceeds 2^64 elements.");
        }
    }

    private static void CheckParameter<T>(
        string op, DeviceStream stream, DeviceTensor<T>? parameter, string name, DeviceTensor<T> result, string resultName)
        where T : unmanaged
    {
        if (parameter is null) return;
        Check.FloatTensor(op, stream, parameter, name);
        Check.Shape(op, parameter, name, result.Shape[1]);
        Check.Disjoint(op, parameter, name, result, resultName);
    }

    private static (KeepThreshold Elements, KeepThreshold Rows) Thresholds(double dropProbability, BiasDropoutResidualOptions options) =>
        (KeepThreshold.FromDropProbability(dropProbability), KeepThreshold.FromDropProbability(options.RowDropProbability));

    /// <summary>True when eight columns start on 16 bytes and on a Philox block.</summary>
    private static bool TakesVectors<T>(DeviceTensor<T> a, DeviceTensor<T> b, DeviceTensor<T>? bias, DeviceTensor<T>? channelScale)
        where T : unmanaged =>
        a.Shape[1] % Philox.LanesPerBlock == 0 && a.IsVectorAligned && b.IsVectorAligned
        && bias?.IsVectorAligned != false && channelScale?.IsVectorAligned != false;

    private static long Tiles(long columns) => (columns + TileColumns - 1) / TileColumns;

    /// <summary>Strips of the whole tensor that the rows touch.</summary>
    private static long Strips(long rows, ulong startRow) =>
        (long)(((startRow + (ulong)rows + StripRows - 1) / StripRows) - (startRow / StripRows));
}
