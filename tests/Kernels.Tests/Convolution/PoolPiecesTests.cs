using System.Numerics;
using Xunit;

namespace Kernels.Tests.Convolution;

/// <summary>
/// Pooling of maps that cores of the CPU share, each from somewhere in the middle of one: floats, in vectors and with rows that are kept
/// for the next, against doubles, element by element. All sums are of small integers, so exact in both; of what is largest some are NaN or
/// infinite, in some of the rows.
/// </summary>
public sealed class PoolPiecesTests
{
    [Theory]
    [InlineData(2, 2, 0, TensorLayout.ChannelsFirst, 2, 243)] // side by side
    [InlineData(2, 2, 0, TensorLayout.ChannelsFirst, 2, 256)] // in rows of whole vectors, made where they go
    [InlineData(3, 2, 1, TensorLayout.ChannelsFirst, 2, 243)] // overlapping, in two phases
    [InlineData(3, 1, 1, TensorLayout.ChannelsFirst, 2, 243)]
    [InlineData(3, 4, 1, TensorLayout.ChannelsFirst, 2, 243)] // in more phases than windows have columns
    [InlineData(3, 2, 1, TensorLayout.ChannelsLast, 2, 243)]
    [InlineData(3, 3, 1, TensorLayout.ChannelsLast, 18, 27)] // no row is shared; a vector and a rest
    [InlineData(2, 2, 0, TensorLayout.ChannelsLast, 32, 27)] // whole vectors
    [InlineData(5, 1, 2, TensorLayout.ChannelsLast, 18, 27)] // so many columns that their parts of windows are kept
    [InlineData(5, 1, 2, TensorLayout.ChannelsFirst, 23, 20)] // narrow maps side by side, of the last fewer
    [InlineData(3, 2, 1, TensorLayout.ChannelsFirst, 31, 13)]
    [InlineData(2, 3, 0, TensorLayout.ChannelsFirst, 31, 13)]
    [InlineData(3, 1, 1, TensorLayout.ChannelsFirst, 11, 32)] // in rows of whole vectors
    [InlineData(5, 1, 2, TensorLayout.ChannelsFirst, 2, 243)]
    [InlineData(5, 1, 2, TensorLayout.ChannelsFirst, 180, 1)] // columns that reach over both sides of a map
    [InlineData(3, 1, 1, TensorLayout.ChannelsLast, 320, 27)] // whole lines of memory, past the caches
    public void FloatsAreWhatDoublesAre(int window, int stride, int padding, TensorLayout layout, int channels, int width)
    {
        // 3 pieces of 65,536 elements or fewer, which no plane begins with.
        long[] shape = layout == TensorLayout.ChannelsFirst ? [1, channels, 303, width] : [1, 303, width, channels];
        using Device device = Device.Open("cpu");
        using DeviceStream stream = device.CreateStream();
        foreach (bool isMaximum in new[] { true, false })
        {
            double[] floats = Run<float>(stream, shape, window, stride, padding, layout, isMaximum);
            Assert.Equal(Run<double>(stream, shape, window, stride, padding, layout, isMaximum), floats);
        }
    }

    /// <summary>Results, indices and gradients, one after the other.</summary>
    private static double[] Run<T>(
        DeviceStream stream, long[] shape, int window, int stride, int padding, TensorLayout layout, bool isMaximum)
        where T : unmanaged, INumber<T>
    {
        MaxPool2dOptions options = new() { Stride = stride, Padding = padding, Layout = layout };
        using DeviceTensor<T> x = Numbers(shape, 7, hasNan: isMaximum), dx = stream.Device.Allocate<T>(shape);
        long[] outputs = MaxPool2d.OutputShape(shape, window, options);
        using DeviceTensor<T> y = stream.Device.Allocate<T>(outputs), dy = Numbers(outputs, 5);
        using DeviceTensor<byte> indices = stream.Device.Allocate<byte>(outputs);
        if (isMaximum)
        {
            MaxPool2d.Forward(stream, x, y, indices, window, options);
            MaxPool2d.Backward(stream, indices, dy, dx, window, options);
        }
        else
        {
            // A divisor of 4 is exact.
            AveragePool2dOptions average = new() { Stride = stride, Padding = padding, Layout = layout, Divisor = 4 };
            AveragePool2d.Forward(stream, x, y, window, average);
            AveragePool2d.Backward(stream, dy, dx, window, average);
        }

        IEnumerable<double> taps = isMaximum ? indices.ToArray(stream).Select(tap => (double)tap) : [];
        return [.. y.ToArray(stream).Concat(dx.ToArray(stream)).Select(double.CreateChecked), .. taps];

        DeviceTensor<T> Numbers(long[] shape, int seed, bool hasNan = false)
        {
            Random random = new(seed);
            T[] values = new T[shape.Aggregate(1L, (product, size) => product * size)];
            for (int i = 0; i < values.Length; i++)
            {
                int value = random.Next(-9, 10);
                bool hasOthers = hasNan && i / shape[^1] % 16 < 4;
                values[i] = T.CreateChecked(
                    hasOthers && value == 9 ? double.NaN : hasOthers && value < -6 ? double.NegativeInfinity : value);
            }

            return stream.Device.Upload<T>(values, shape);
        }
    }
}
