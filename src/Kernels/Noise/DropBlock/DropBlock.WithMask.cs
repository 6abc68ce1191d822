using Kernels.Cpu;
using Kernels.Devices;

namespace Kernels;

/// <content>Calls that keep their mask for backward, where reading a bit a cell takes less time than drawing again.</content>
public static unsafe partial class DropBlock
{
    /// <summary>How many scales a call has: one for all, or one for each sample or map that is normalised on its own.</summary>
    /// <param name="shape">Shape of the call's input.</param>
    /// <param name="options">As in forward.</param>
    public static long ScaleCount(ReadOnlySpan<long> shape, DropBlockOptions options = default) =>
        ScaleCount(Maps.Of("DropBlock.ScaleCount", shape, nameof(shape), options), options);

    /// <summary>
    /// Training, with the mask kept for <see cref="BackwardWithMask"/>: y = m * x * scale, as <see cref="Forward"/> makes it.
    /// </summary>
    /// <typeparam name="T">Type of the maps: float, Half, BFloat16 or double.</typeparam>
    /// <typeparam name="TReal">Type of the scales: float, for double maps double.</typeparam>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input: [batch, channels, ...] or [batch, ..., channels] with one to three spatial axes.</param>
    /// <param name="y">Output, shape of <paramref name="x"/>; may be <paramref name="x"/>.</param>
    /// <param name="mask">Output, shape [ceil(cells / 32)]: the mask as <see cref="ExportMask"/> writes it.</param>
    /// <param name="scales">
    /// Output, shape [<see cref="ScaleCount(ReadOnlySpan{long}, DropBlockOptions)"/>]: what kept cells are multiplied by, in the order of
    /// samples, and of maps in a sample.
    /// </param>
    /// <param name="blockSize">Cells of a block along each spatial axis, or one size for all.</param>
    /// <param name="rate">How much to drop.</param>
    /// <param name="key">Random key; one offset for each call.</param>
    /// <param name="options">Layout, shared channels, normalisation, filling, shard.</param>
    public static void ForwardWithMask<T, TReal>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y, DeviceTensor<uint> mask, DeviceTensor<TReal> scales,
        ReadOnlySpan<long> blockSize, DropBlockRate rate, RandomKeySource key, DropBlockOptions options = default)
        where T : unmanaged
        where TReal : unmanaged
    {
        const string Op = "DropBlock.ForwardWithMask";
        Check.Elementwise(Op, stream, x, nameof(x), y, nameof(y));
        Check.Key(Op, stream, key, nameof(key));
        Maps maps = CheckMask(Op, stream, x, nameof(x), y, nameof(y), mask, scales, options);
        if (x.Length == 0) return;
        DropBlockGeometry geometry = DropBlockGeometry.Create(Op, maps.Spatial(x.Shape), blockSize);
        DropBlockPlan plan = DropBlockGamma.Plan(geometry, rate);
        Units units = Units.Of(maps, options.Normalization);
        if (units.Count == 0) stream.Fill(scales, CpuElement.FromDouble<TReal>(FixedScale(options.Normalization, plan)));
        DrawMask(stream, maps, geometry, plan, key, units, mask.Argument, scales.Argument, x.DType);
        LaunchApply(stream, maps, x, y, mask.Argument, scales.Argument, 0, key, options);
    }

    /// <summary>Gradient with the mask that forward kept: dx = m * dy * scale; 0 in the blocks, whatever fills them.</summary>
    /// <typeparam name="T">Type of the maps: float, Half, BFloat16 or double.</typeparam>
    /// <typeparam name="TReal">Type of the scales: float, for double maps double.</typeparam>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="dy">Gradient of the output.</param>
    /// <param name="mask">That of <see cref="ForwardWithMask"/>.</param>
    /// <param name="scales">Those of <see cref="ForwardWithMask"/>.</param>
    /// <param name="dx">Gradient of the input, shape of <paramref name="dy"/>; may be <paramref name="dy"/>.</param>
    /// <param name="options">As in forward.</param>
    public static void BackwardWithMask<T, TReal>(
        DeviceStream stream, DeviceTensor<T> dy, DeviceTensor<uint> mask, DeviceTensor<TReal> scales, DeviceTensor<T> dx,
        DropBlockOptions options = default)
        where T : unmanaged
        where TReal : unmanaged
    {
        const string Op = "DropBlock.BackwardWithMask";
        Check.Elementwise(Op, stream, dy, nameof(dy), dx, nameof(dx));
        Maps maps = CheckMask(Op, stream, dy, nameof(dy), dx, nameof(dx), mask, scales, options);
        if (dy.Length == 0) return;
        DropBlockOptions gradient = options with { Fill = DropBlockFill.Zero };
        LaunchApply(stream, maps, dy, dx, mask.Argument, scales.Argument, 0, default(RandomKey), gradient);
    }

    private static long ScaleCount(in Maps maps, DropBlockOptions options) => options.Normalization switch
    {
        DropBlockNormalization.Sample or DropBlockNormalization.Map => Units.Of(maps, options.Normalization).Count,
        _ => 1,
    };

    private static Maps CheckMask<T, TReal>(
        string op, DeviceStream stream, DeviceTensor<T> x, string xName, DeviceTensor<T> y, string yName, DeviceTensor<uint> mask,
        DeviceTensor<TReal> scales, DropBlockOptions options)
        where T : unmanaged
        where TReal : unmanaged
    {
        Maps maps = Maps.Of(op, x.Shape, xName, options);
        Check.Tensor(op, stream, mask, nameof(mask));
        Check.Shape(op, mask, nameof(mask), Dropout.MaskWords(maps.MaskCells));
        Check.Tensor(op, stream, scales, nameof(scales));
        Check.Real(op, x, scales, nameof(scales));
        Check.Shape(op, scales, nameof(scales), ScaleCount(maps, options));
        Check.Disjoint(op, x, xName, mask, nameof(mask));
        Check.Disjoint(op, y, yName, mask, nameof(mask));
        Check.Disjoint(op, x, xName, scales, nameof(scales));
        Check.Disjoint(op, y, yName, scales, nameof(scales));
        Check.Disjoint(op, mask, nameof(mask), scales, nameof(scales));
        return maps;
    }
}
