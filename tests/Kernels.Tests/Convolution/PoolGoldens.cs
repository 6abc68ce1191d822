using System.Text.Json;
using System.Text.Json.Serialization;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Convolution;

/// <summary>Pooling against values from PyTorch, made by <c>tests/goldens/pool2d.py</c>, in both layouts.</summary>
public sealed class PoolGoldens(TestDevices devices)
{
    private static readonly GoldenFile Golden = Read();

    /// <summary>Windows, strides, padding, dilation and rounding: values, which of several equal ones counts, and the gradient.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void MaxPool_IsThatOfPyTorch(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        foreach (Case golden in Golden.Maximum)
        {
            foreach (TensorLayout layout in Enum.GetValues<TensorLayout>()) CheckMaximum(stream, golden, layout);
        }
    }

    /// <summary>NaN and infinities: of two NaN the last counts, of equal infinities the first.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void SpecialValuesAndTies_AreThoseOfPyTorch(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceTensor<float> x = stream.Device.Upload<float>([.. Golden.Special.X.Select(value => (float)value)], 1, 1, 2, 10);
        using DeviceTensor<float> y = stream.Device.Allocate<float>(1, 1, 1, 5);
        using DeviceTensor<byte> indices = stream.Device.Allocate<byte>(1, 1, 1, 5);
        MaxPool2d.Forward(stream, x, y, indices, 2);
        Assert.Equal(Golden.Special.Y, y.ToArray(stream).Select(value => (double)value));
        Assert.Equal(Golden.Special.Places, indices.ToArray(stream).Select((tap, column) => (10 * (tap / 2)) + (2 * column) + (tap % 2)));
    }

    /// <summary>What windows are divided by: with and without the padding, what hangs over in neither, or a given number.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void AveragePool_IsThatOfPyTorch(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        foreach (Case golden in Golden.Average)
        {
            foreach (TensorLayout layout in Enum.GetValues<TensorLayout>()) CheckAverage(stream, golden, layout);
        }
    }

    /// <summary>Windows of two over five columns, the last of which hangs over: it is divided by the one element that it has.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void WhatHangsOver_NeverCounts(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceTensor<float> x = stream.Device.Upload<float>([1, 2, 3, 4, 5], 1, 1, 1, 5);
        using DeviceTensor<float> y = stream.Device.Allocate<float>(1, 1, 1, 3);
        AveragePool2d.Forward(stream, x, y, (1, 2), new() { CeilMode = true });
        Assert.Equal([1.5f, 3.5f, 5], y.ToArray(stream));
        Assert.Equal(Golden.Overhang, y.ToArray(stream).Select(value => (double)value));
    }

    private static void CheckAverage(DeviceStream stream, Case golden, TensorLayout layout)
    {
        const double Tolerance = 1e-6;
        long[] shape = Shape(golden.Height, golden.Width, layout), outputShape = Shape(golden.OutputHeight, golden.OutputWidth, layout);
        Size2d window = new(golden.WindowHeight, golden.WindowWidth);
        AveragePool2dOptions options = new()
        {
            Stride = new Size2d(golden.StrideHeight, golden.StrideWidth),
            Padding = Padding2d.Symmetric(golden.PaddingHeight, golden.PaddingWidth),
            CeilMode = golden.Ceil,
            ExcludesPadding = !golden.CountsPadding,
            Divisor = golden.Divisor,
            Layout = layout,
        };
        Assert.Equal(outputShape, AveragePool2d.OutputShape(shape, window, options));
        using DeviceTensor<float> x = stream.Device.Upload<float>(Values(golden.X, shape, layout), shape),
            dy = stream.Device.Upload<float>(Values(golden.Dy, outputShape, layout), outputShape);
        using DeviceTensor<float> y = stream.Device.Allocate<float>(outputShape), dx = stream.Device.Allocate<float>(shape);
        AveragePool2d.Forward(stream, x, y, window, options);
        AveragePool2d.Backward(stream, dy, dx, window, options);
        Assert.All(InOrder(y.ToArray(stream), outputShape, layout).Zip(golden.Y), AssertClose);
        Assert.All(InOrder(dx.ToArray(stream), shape, layout).Zip(golden.Dx), AssertClose);

        static void AssertClose((double Actual, double Expected) pair) => Assert.Equal(pair.Expected, pair.Actual, Tolerance);
    }

    private static void CheckMaximum(DeviceStream stream, Case golden, TensorLayout layout)
    {
        long[] shape = Shape(golden.Height, golden.Width, layout), outputShape = Shape(golden.OutputHeight, golden.OutputWidth, layout);
        Size2d window = new(golden.WindowHeight, golden.WindowWidth);
        MaxPool2dOptions options = new()
        {
            Stride = new Size2d(golden.StrideHeight, golden.StrideWidth),
            Padding = Padding2d.Symmetric(golden.PaddingHeight, golden.PaddingWidth),
            Dilation = new Size2d(golden.DilationHeight, golden.DilationWidth),
            CeilMode = golden.Ceil,
            Layout = layout,
        };
        Assert.Equal(outputShape, MaxPool2d.OutputShape(shape, window, options));
        using DeviceTensor<float> x = stream.Device.Upload<float>(Values(golden.X, shape, layout), shape),
            dy = stream.Device.Upload<float>(Values(golden.Dy, outputShape, layout), outputShape);
        using DeviceTensor<float> y = stream.Device.Allocate<float>(outputShape), dx = stream.Device.Allocate<float>(shape);
        using DeviceTensor<byte> indices = stream.Device.Allocate<byte>(outputShape);
        MaxPool2d.Forward(stream, x, y, indices, window, options);
        MaxPool2d.Backward(stream, indices, dy, dx, window, options);

        Assert.Equal(golden.Y, InOrder(y.ToArray(stream), outputShape, layout));
        Assert.Equal(golden.Dx, InOrder(dx.ToArray(stream), shape, layout));
        int[] taps = InOrder([.. indices.ToArray(stream).Select(tap => (int)tap)], outputShape, layout);
        Assert.Equal(golden.Places!, taps.Select((tap, output) =>
        {
            (int row, int column) = Math.DivRem(output % (golden.OutputHeight * golden.OutputWidth), golden.OutputWidth);
            (int r, int s) = Math.DivRem(tap, golden.WindowWidth);
            int h = (row * golden.StrideHeight) - golden.PaddingHeight + (r * golden.DilationHeight);
            return (h * golden.Width) + (column * golden.StrideWidth) - golden.PaddingWidth + (s * golden.DilationWidth);
        }));
    }

    private static long[] Shape(int height, int width, TensorLayout layout) => layout == TensorLayout.ChannelsFirst
        ? [Golden.Batch, Golden.Channels, height, width] : [Golden.Batch, height, width, Golden.Channels];

    /// <summary>Eighths as floats, in the order of the layout.</summary>
    private static float[] Values(int[] eighths, long[] shape, TensorLayout layout)
    {
        float[] values = new float[eighths.Length];
        int[] places = InOrder([.. Enumerable.Range(0, eighths.Length)], shape, layout);
        for (int i = 0; i < values.Length; i++) values[places[i]] = eighths[i] / 8f;
        return values;
    }

    private static double[] InOrder(float[] values, long[] shape, TensorLayout layout) =>
        InOrder([.. values.Select(value => (double)value)], shape, layout);

    /// <summary>Elements of a tensor in the order [batch, channels, height, width].</summary>
    private static TValue[] InOrder<TValue>(TValue[] values, long[] shape, TensorLayout layout)
    {
        if (layout == TensorLayout.ChannelsFirst) return values;
        int cells = (int)(shape[1] * shape[2]), channels = (int)shape[3];
        return
        [
            .. from sample in Enumerable.Range(0, (int)shape[0])
               from channel in Enumerable.Range(0, channels)
               from cell in Enumerable.Range(0, cells)
               select values[(((sample * cells) + cell) * channels) + channel],
        ];
    }

    private static GoldenFile Read()
    {
        JsonSerializerOptions options = new(JsonSerializerDefaults.Web)
        {
            NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
        };
        string path = Path.Combine(AppContext.BaseDirectory, "data", "goldens", "pool2d.json");
        return JsonSerializer.Deserialize<GoldenFile>(File.ReadAllText(path), options)!;
    }

    private sealed record Case(
        int Height, int Width, int WindowHeight, int WindowWidth, int StrideHeight, int StrideWidth, int PaddingHeight, int PaddingWidth,
        int DilationHeight, int DilationWidth, bool Ceil, int[] X, int OutputHeight, int OutputWidth, double[] Y, int[] Dy, double[] Dx)
    {
        public bool CountsPadding { get; init; }

        public int? Divisor { get; init; }

        public int[]? Places { get; init; }
    }

    private sealed record SpecialCase(double[] X, double[] Y, int[] Places);

    private sealed record GoldenFile(int Batch, int Channels, Case[] Maximum, Case[] Average, SpecialCase Special, double[] Overhang);
}
