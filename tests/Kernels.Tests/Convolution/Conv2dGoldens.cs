using System.Text.Json;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Convolution;

/// <summary>
/// Convolutions, transposed ones and their gradients as PyTorch has them (<c>tests/goldens/conv2d.py</c>): strides, dilations, groups, odd
/// and uneven sizes, depthwise, output padding. Inputs are multiples of 1/8, so every order of the sums is exact, and so is the
/// comparison. With channels last the same numbers come out in their other places.
/// </summary>
public sealed class Conv2dGoldens(TestDevices devices)
{
    private static readonly GoldenCase[] Cases = JsonSerializer.Deserialize<GoldenCase[]>(
        File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "data", "goldens", "conv2d.json")), JsonSerializerOptions.Web)!;

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void Results_AreThoseOfPyTorch(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        foreach (GoldenCase golden in Cases)
        {
            AssertEqual(stream, golden, TensorLayout.ChannelsFirst);
            AssertEqual(stream, golden, TensorLayout.ChannelsLast);
        }
    }

    private static void AssertEqual(DeviceStream stream, GoldenCase golden, TensorLayout layout)
    {
        Conv2dOptions options = new()
        {
            Stride = (golden.Stride[0], golden.Stride[1]),
            Dilation = (golden.Dilation[0], golden.Dilation[1]),
            Padding = (golden.Padding[0], golden.Padding[1], golden.Padding[2], golden.Padding[3]),
            Groups = golden.Groups,
            Layout = layout,
        };
        bool isTransposed = golden.OutputPadding is not null;
        long[] outputs = [golden.DBias.Length], yShape = Shape(golden.YShape);
        Assert.Equal(yShape, golden.OutputPadding is { } more
            ? Conv2dTranspose.OutputShape(Shape(golden.X), Shape(golden.Filter), options, (more[0], more[1]))
            : Conv2d.OutputShape(Shape(golden.X), Shape(golden.Filter), options));
        using DeviceTensor<float> x = Upload(0, golden.X), filter = Upload(1, golden.Filter), bias = Upload(2, outputs);
        using DeviceTensor<float> dy = Upload(3, golden.YShape), y = stream.Device.Allocate<float>(yShape);
        using DeviceTensor<float> dx = stream.Device.Allocate<float>(x.Shape), dFilter = stream.Device.Allocate<float>(filter.Shape);
        using DeviceTensor<float> dBias = stream.Device.Allocate<float>(outputs);
        if (isTransposed)
        {
            Conv2dTranspose.Forward(stream, x, filter, bias, y, options);
            Conv2dTranspose.BackwardData(stream, filter, dy, dx, options);
            Conv2dTranspose.BackwardFilter(stream, x, dy, dFilter, dBias, options);
        }
        else
        {
            Conv2d.Forward(stream, x, filter, bias, y, options);
            Conv2d.BackwardData(stream, filter, dy, dx, options);
            Conv2d.BackwardFilter(stream, x, dy, dFilter, dBias, options);
        }

        AssertIs(golden.Y, golden.YShape, y);
        AssertIs(golden.Dx, golden.X, dx);
        AssertIs(golden.DFilter, golden.Filter, dFilter);
        AssertIs(golden.DBias, outputs, dBias);

        bool IsMaps(long[] shape) => layout == TensorLayout.ChannelsLast && shape.Length == 4;

        long[] Shape(long[] shape) => IsMaps(shape) ? [shape[0], shape[2], shape[3], shape[1]] : shape;

        DeviceTensor<float> Upload(int number, long[] shape)
        {
            float[] values = [.. Enumerable.Range(0, (int)shape.Aggregate(1L, (product, dimension) => product * dimension))
                .Select(i => ((((37 * i) + (11 * number) + (i / 5)) % 17) - 8) / 8f)];
            return stream.Device.Upload<float>(Arrange(values, shape), Shape(shape));
        }

        void AssertIs(int[] expected, long[] shape, DeviceTensor<float> actual) =>
            Assert.Equal(Arrange(expected, shape).Select(value => value / 64f), actual.ToArray(stream));

        T[] Arrange<T>(T[] values, long[] shape)
        {
            if (!IsMaps(shape)) return values;
            long area = shape[2] * shape[3];
            T[] arranged = new T[values.Length];
            for (long i = 0; i < values.Length; i++)
            {
                long n = i / area / shape[1], channel = i / area % shape[1], pixel = i % area;
                arranged[(((n * area) + pixel) * shape[1]) + channel] = values[i];
            }

            return arranged;
        }
    }

    private sealed record GoldenCase(
        long[] X, long[] Filter, long Groups, long[] Stride, long[] Dilation, long[] Padding, long[] YShape, int[] Y, int[] Dx,
        int[] DFilter, int[] DBias, long[]? OutputPadding);
}
