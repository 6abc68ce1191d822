using Kernels.Reference;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Convolution;

/// <summary>
/// Convolutions of many result channels, which the CPU device makes without patches, and results that it stores past the caches. Inputs are
/// multiples of 1/8, so every order of the sums is exact, and so is the comparison.
/// </summary>
public sealed class WideConvolutionTests(TestDevices devices)
{
    /// <summary>The problems; channels are counted in each group.</summary>
    private static readonly Conv2dReference[] Problems =
    [
        Of(2, 20, 15, 27, 44, 5, 3) with { Groups = 2, Stride = (2, 2), Padding = (2, 1, 1, 1) },

        // Several slices of taps, bands of rows and panels of channels; the last panel is of one vector.
        Of(1, 64, 30, 28, 48, 3, 3) with { Padding = (1, 1, 1, 1) },
        Of(2, 24, 5, 31, 32, 2, 3) with { Stride = (1, 3), Dilation = (2, 2), Padding = (0, 0, 20, 3) },

        // Gradients in several phases, of which with a filter smaller than the stride some meet no taps.
        Of(3, 32, 9, 14, 20, 3, 3) with { Stride = (2, 2), Padding = (1, 0, 1, 1) },
        Of(1, 32, 14, 21, 16, 2, 2) with { Stride = (3, 3) },

        // Pixels of whole KiB, which lie apart from each other.
        Of(3, 256, 7, 7, 16, 3, 3) with { Padding = (1, 1, 1, 1) },

        // More than 8 MiB, of results with a bias and of gradients, which tiles store where they belong.
        Of(1, 1, 272, 256, 32, 1, 1),
        Of(1, 32, 272, 256, 2, 1, 1),
        Of(1, 1, 272, 256, 1, 3, 3) with { Groups = 32, Padding = (1, 1, 1, 1) },

        // Depthwise, of several whole vectors of channels and a rest; filters that lie over both sides, and rows of few pixels.
        Of(2, 1, 6, 19, 1, 3, 3) with { Groups = 130, Padding = (1, 1, 1, 1) },
        Of(2, 1, 5, 33, 1, 3, 3) with { Groups = 3, Padding = (1, 1, 1, 1) },
        Of(1, 1, 9, 11, 1, 2, 5) with { Groups = 133, Stride = (1, 2), Dilation = (2, 1), Padding = (1, 0, 3, 1) },

        // Depthwise, lines of taps: two columns for each result and one, more taps than a line has, results and taps that do not follow
        // each other, results that meet no taps or no pixel; a vector of channels and a part of another, and two parts.
        Of(2, 1, 9, 23, 1, 5, 5) with { Groups = 37, Stride = (2, 2), Padding = (2, 1, 2, 3) },
        Of(1, 1, 7, 20, 1, 3, 9) with { Groups = 32, Padding = (1, 1, 4, 4) },
        Of(1, 1, 6, 26, 1, 2, 17) with { Groups = 5, Stride = (1, 2), Padding = (0, 1, 9, 7) },
        Of(2, 1, 10, 21, 1, 3, 4) with { Groups = 20, Stride = (1, 3), Dilation = (1, 2) },
        Of(1, 1, 12, 23, 1, 3, 3) with { Groups = 33, Stride = (2, 2), Dilation = (2, 3), Padding = (2, 2, 3, 3) },
        Of(1, 1, 9, 10, 1, 2, 1) with { Groups = 18, Stride = (3, 3) },
        Of(1, 1, 5, 6, 1, 3, 3) with { Groups = 48, Dilation = (2, 2), Padding = (5, 4, 7, 6) },

        // Gradients of several blocks of channels that share a filter, and of several slices; some of their tiles lie in two images.
        Of(2, 390, 8, 9, 20, 1, 1),

        // One tap a channel: pixels read where they lie, but panels over two images, and those of channels whole pages apart.
        Of(3, 40, 8, 11, 29, 1, 1),
        Of(1, 70, 32, 32, 13, 1, 1),
        Of(2, 14, 9, 9, 34, 3, 3) with { Padding = (1, 1, 1, 1) },

        // So many pixels that the filter's gradient is made in splits of them, of one image and of many.
        Of(1, 2, 363, 364, 3, 3, 3) with { Padding = (1, 1, 1, 1) },
        Of(450, 8, 18, 18, 16, 2, 1),

        // The filter's gradient in bands of an image that share rows, in splits that begin within one; tiles of taps of several channels.
        Of(1, 3, 335, 141, 16, 5, 5) with { Stride = (2, 2), Padding = (2, 1, 2, 1), Dilation = (2, 1) },
        Of(1, 16, 34, 257, 16, 3, 3) with { Padding = (1, 1, 1, 1) },

        // The filter's gradient in several blocks of channels and of outputs; the last panel is of a part of a vector.
        Of(2, 96, 10, 11, 155, 3, 2) with { Padding = (1, 1, 1, 0) },
    ];

    public static TheoryData<int, bool> Rows =>
        [.. from problem in Enumerable.Range(0, Problems.Length) from last in (bool[])[false, true] select (problem, last)];

    [Theory]
    [MemberData(nameof(Rows))]
    public void Results_AreThoseOfTheReference(int problem, bool channelsLast)
    {
        using DeviceStream stream = devices.CreateStream("cpu");
        Conv2dReference convolution = Problems[problem] with { ChannelsLast = channelsLast };
        long outputs = (long)convolution.Groups * convolution.Outputs;
        long[] xShape = convolution.XShape(), yShape = convolution.YShape(), filterShape = convolution.FilterShape();
        Conv2dOptions options = convolution.Options();
        double[] x = Values(0, xShape), filter = Values(1, filterShape), bias = Values(2, outputs), dy = Values(3, yShape);
        double[] y = new double[dy.Length], dx = new double[x.Length], dFilter = new double[filter.Length], dBias = new double[outputs];
        convolution.Forward(x, filter, bias, y, rectifies: true);
        convolution.BackwardData(filter, dy, dx);
        convolution.BackwardFilter(x, dy, dFilter, dBias);

        using DeviceTensor<float> xTensor = stream.Upload(x, xShape), filterTensor = stream.Upload(filter, filterShape);
        using DeviceTensor<float> biasTensor = stream.Upload(bias, outputs);
        using DeviceTensor<float> dyTensor = stream.Upload(dy, yShape), yTensor = stream.Device.Allocate<float>(yShape);
        using DeviceTensor<float> dxTensor = stream.Device.Allocate<float>(xShape), dBiasTensor = stream.Device.Allocate<float>(outputs);
        using DeviceTensor<float> dFilterTensor = stream.Device.Allocate<float>(filterShape);
        Conv2d.ForwardRelu(stream, xTensor, filterTensor, biasTensor, yTensor, options);
        Conv2d.BackwardData(stream, filterTensor, dyTensor, dxTensor, options);
        Conv2d.BackwardFilter(stream, xTensor, dyTensor, dFilterTensor, dBiasTensor, options);
        Assert.Equal(y, yTensor.ToArray(stream).Select(value => (double)value));
        Assert.Equal(dx, dxTensor.ToArray(stream).Select(value => (double)value));
        Assert.Equal(dFilter, dFilterTensor.ToArray(stream).Select(value => (double)value));
        Assert.Equal(dBias, dBiasTensor.ToArray(stream).Select(value => (double)value));
    }

    /// <summary>
    /// Pixels at the sides leave out what lies outside, but for filters with which zeros there make NaN; the filter's gradient likewise.
    /// </summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void ZerosOutside_TimesInfinity_AreNan(bool channelsLast)
    {
        using DeviceStream stream = devices.CreateStream("cpu");
        Conv2dReference convolution = Of(1, 16, 5, 14, 32, 3, 3) with { Padding = (1, 1, 1, 1), ChannelsLast = channelsLast };
        long[] xShape = convolution.XShape(), yShape = convolution.YShape(), filterShape = convolution.FilterShape();
        double[] x = Values(0, xShape), filter = Values(1, filterShape), y = new double[5 * 14 * 32];

        // One tap at the top right of the last output.
        filter[(31 * 144) + (channelsLast ? 2 * 16 : 2)] = double.PositiveInfinity;
        convolution.Forward(x, filter, [], y, rectifies: false);
        using DeviceTensor<float> xTensor = stream.Upload(x, xShape), filterTensor = stream.Upload(filter, filterShape);
        using DeviceTensor<float> yTensor = stream.Device.Allocate<float>(yShape);
        Conv2dOptions options = convolution.Options();
        Conv2d.Forward(stream, xTensor, filterTensor, null, yTensor, options);
        Assert.Equal(y, yTensor.ToArray(stream).Select(value => (double)value));
        Assert.Contains(y, double.IsNaN);

        // One pixel of the last output at the bottom, between the sides.
        double[] dy = Values(2, yShape), dFilter = new double[filter.Length], dBias = new double[32];
        dy[channelsLast ? (((4 * 14) + 6) * 32) + 31 : (((31 * 5) + 4) * 14) + 6] = double.PositiveInfinity;
        convolution.BackwardFilter(x, dy, dFilter, dBias);
        using DeviceTensor<float> dyTensor = stream.Upload(dy, yShape);
        Conv2d.BackwardFilter(stream, xTensor, dyTensor, filterTensor, null, options);
        Assert.Equal(dFilter, filterTensor.ToArray(stream).Select(value => (double)value));
        Assert.Contains(dFilter, double.IsNaN);
    }

    /// <summary>An element that is not finite reaches what its taps see and nothing else, also at the end of a vector of a row.</summary>
    [Theory]
    [InlineData(3, false)]
    [InlineData(3, true)]
    [InlineData(5, false)]
    [InlineData(5, true)]
    public void DepthwiseInfinities_StayWhereTheyAreSeen(int side, bool channelsLast)
    {
        const int Channels = 37, Height = 5, Width = 19;
        using DeviceStream stream = devices.CreateStream("cpu");
        int padding = side / 2;
        Conv2dReference convolution = Of(1, 1, Height, Width, 1, side, side) with
        {
            Groups = Channels,
            Padding = (padding, padding, padding, padding),
            ChannelsLast = channelsLast,
        };
        long[] shape = convolution.XShape(), filterShape = convolution.FilterShape();
        Conv2dOptions options = convolution.Options();
        double[] x = Values(0, shape), filter = Values(1, filterShape), dy = Values(2, shape);
        double[] y = new double[x.Length], dx = new double[x.Length], dFilter = new double[filter.Length], dBias = new double[Channels];
        x[At(0, 2, Width - 1)] = x[At(1, 0, 15)] = x[At(2, Height - 1, 0)] = double.PositiveInfinity;
        dy[At(3, 3, Width - 1)] = dy[At(4, Height - 1, 16)] = dy[At(36, 2, 0)] = double.NegativeInfinity;
        filter[(5 * side * side) + 2] = filter[(35 * side * side) + 4] = double.PositiveInfinity;
        convolution.Forward(x, filter, [], y, rectifies: false);
        convolution.BackwardData(filter, dy, dx);
        convolution.BackwardFilter(x, dy, dFilter, dBias);

        using DeviceTensor<float> xTensor = stream.Upload(x, shape), filterTensor = stream.Upload(filter, filterShape);
        using DeviceTensor<float> dyTensor = stream.Upload(dy, shape), results = stream.Device.Allocate<float>(shape);
        using DeviceTensor<float> sums = stream.Device.Allocate<float>(filterShape), biasSums = stream.Device.Allocate<float>(Channels);
        Conv2d.Forward(stream, xTensor, filterTensor, null, results, options);
        Assert.Equal(y, results.ToArray(stream).Select(value => (double)value));
        Conv2d.BackwardData(stream, filterTensor, dyTensor, results, options);
        Assert.Equal(dx, results.ToArray(stream).Select(value => (double)value));
        Conv2d.BackwardFilter(stream, xTensor, dyTensor, sums, biasSums, options);
        Assert.Equal(dFilter, sums.ToArray(stream).Select(value => (double)value));
        Assert.Equal(dBias, biasSums.ToArray(stream).Select(value => (double)value));

        int At(int channel, int row, int column) =>
            channelsLast ? (((row * Width) + column) * Channels) + channel : (((channel * Height) + row) * Width) + column;
    }

    private static Conv2dReference Of(int batch, int inputs, int height, int width, int outputs, int filterHeight, int filterWidth) => new()
    {
        Batch = batch,
        Groups = 1,
        Inputs = inputs,
        Height = height,
        Width = width,
        Outputs = outputs,
        FilterHeight = filterHeight,
        FilterWidth = filterWidth,
        Stride = (1, 1),
        Dilation = (1, 1),
        Padding = (0, 0, 0, 0),
        ChannelsLast = false,
    };

    /// <summary>Eighths from -1 to 1.</summary>
    private static double[] Values(int seed, params long[] shape)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, (int)shape.Aggregate(1L, (a, b) => a * b)).Select(_ => random.Next(-8, 9) / 8.0)];
    }
}
