using Kernels.Devices;

namespace Kernels;

/// <summary>
/// Nearest-neighbour upsampling by integers: each cell of a map becomes a block of factor.Height x factor.Width equal ones.
/// </summary>
/// <remarks>
/// <para>
/// y[h, w] = x[h / factor.Height, w / factor.Width], rounded down. The gradient of a cell is the sum over its block, row by row, in float
/// (double for double): the sum of windows side by side, as forward is its gradient, so both are the kernels of
/// <see cref="AveragePool2d"/> with a divisor of 1. -0 becomes +0. Types: float, Half, BFloat16, double.
/// </para>
/// <para>A. Odena, V. Dumoulin and C. Olah, "Deconvolution and checkerboard artifacts", Distill 2016.</para>
/// <para>
/// Every method throws <see cref="ArgumentException"/> for shapes that do not fit, tensors that overlap or live on another device, and
/// <see cref="ArgumentOutOfRangeException"/> for a factor below 1 or a layout that does not exist, before anything is launched.
/// </para>
/// </remarks>
public static class NearestUpsample
{
    private const string ForwardName = "NearestUpsample.Forward", BackwardName = "NearestUpsample.Backward";

    /// <summary>The shape of the output for an input.</summary>
    /// <param name="shape">Shape of x: [batch, channels, height, width], or as the layout says.</param>
    /// <param name="factor">How many times each row and each column is repeated, at least 1.</param>
    /// <param name="layout">The place of the channels.</param>
    public static long[] OutputShape(ReadOnlySpan<long> shape, Size2d factor, TensorLayout layout = TensorLayout.ChannelsFirst) =>
        OutputShape("NearestUpsample.OutputShape", shape, nameof(shape), factor, layout);

    /// <summary>y = x with each row and each column repeated.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input, [batch, channels, height, width], or as <paramref name="layout"/> says.</param>
    /// <param name="y">Output, shape as <see cref="OutputShape(ReadOnlySpan{long}, Size2d, TensorLayout)"/> says.</param>
    /// <param name="factor">How many times each row and each column is repeated, at least 1.</param>
    /// <param name="layout">The place of the channels.</param>
    public static void Forward<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y, Size2d factor, TensorLayout layout = TensorLayout.ChannelsFirst)
        where T : unmanaged
    {
        CheckMaps(ForwardName, stream, x, nameof(x), y, nameof(y), factor, layout);
        if (x.Length == 0) return;
        AveragePool2d.LaunchSumGradient(stream, Blocks(ForwardName, y, nameof(y), factor, layout), x, y);
    }

    /// <summary>Gradient: dx = the sum of dy over the block of each cell.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="dy">Gradient of the output.</param>
    /// <param name="dx">Gradient of the input, shape of the forward call's input.</param>
    /// <param name="factor">As in forward.</param>
    /// <param name="layout">As in forward.</param>
    public static void Backward<T>(
        DeviceStream stream, DeviceTensor<T> dy, DeviceTensor<T> dx, Size2d factor, TensorLayout layout = TensorLayout.ChannelsFirst)
        where T : unmanaged
    {
        CheckMaps(BackwardName, stream, dx, nameof(dx), dy, nameof(dy), factor, layout);
        if (dx.Length == 0) return;
        AveragePool2d.LaunchSum(stream, Blocks(BackwardName, dy, nameof(dy), factor, layout), dy, dx);
    }

    /// <summary>The blocks of the larger map, as windows side by side.</summary>
    private static Pool2d Blocks<T>(string op, DeviceTensor<T> maps, string name, Size2d factor, TensorLayout layout)
        where T : unmanaged => Pool2d.Of(op, maps.Shape, name, factor, strides: null, default, dilations: null, ceil: false, layout);

    private static void CheckMaps<T>(
        string op, DeviceStream stream, DeviceTensor<T> small, string smallName, DeviceTensor<T> large, string largeName, Size2d factor,
        TensorLayout layout)
        where T : unmanaged
    {
        Check.FloatTensor(op, stream, small, smallName);
        Check.FloatTensor(op, stream, large, largeName);
        Check.Shape(op, large, largeName, OutputShape(op, small.Shape, smallName, factor, layout));
        Check.Disjoint(op, small, smallName, large, largeName);
    }

    private static long[] OutputShape(string op, ReadOnlySpan<long> shape, string name, Size2d factor, TensorLayout layout)
    {
        Check.Defined(op, layout, nameof(layout));
        if (factor.Height < 1 || factor.Width < 1)
            throw new ArgumentOutOfRangeException(nameof(factor), factor, $"{op}: the factor is {factor}, expected at least 1.");
        if (shape.Length != 4)
            throw new ArgumentException($"{op}: {name} has the shape {TensorShape.Format(shape)}, expected 4 dimensions.", name);
        int rows = layout == TensorLayout.ChannelsFirst ? 2 : 1;
        if (factor.Width > int.MaxValue / factor.Height || shape[rows] > int.MaxValue / factor.Height
            || shape[rows + 1] > int.MaxValue / factor.Width || (layout == TensorLayout.ChannelsLast && shape[3] > int.MaxValue))
        {
            throw new ArgumentException(
                $"{op}: {name} has the shape {TensorShape.Format(shape)}, the factor is {factor}; rows and columns of the larger map, "
                + "cells of a block, and channels that come last are at most 2^31 - 1.",
                nameof(factor));
        }

        long[] output = shape.ToArray();
        output[rows] *= factor.Height;
        output[rows + 1] *= factor.Width;
        return output;
    }
}
