using System.Runtime.Intrinsics;
using Kernels.Reference;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Convolution;

/// <summary>
/// Winograd's minimal filtering on the CPU: within the bound that kernels/docs/conv2d.md states, tile by tile, and nothing beyond its tile.
/// </summary>
public sealed class WinogradTests(TestDevices devices)
{
    /// <summary>Results of a tile along an axis, and what it sees.</summary>
    private const int Side = 4, Seen = 6;

    /// <summary>Roundings besides those of the sum over the channels: of the two transforms in front of it and the one behind.</summary>
    private const int TransformRoundings = 28;

    private const string NoTransforms = "with vectors of 128 bits nothing is transformed";

    /// <summary>The transforms' matrices, by absolute value.</summary>
    private static readonly double[,] Pixels = Magnitudes(
    [
        [81 / 64d, 0, -45 / 16d, 0, 1, 0],
        [0, -27 / 16d, -9 / 4d, 3 / 4d, 1, 0],
        [0, 27 / 16d, -9 / 4d, -3 / 4d, 1, 0],
        [0, -27 / 32d, -9 / 16d, 3 / 2d, 1, 0],
        [0, 27 / 32d, -9 / 16d, -3 / 2d, 1, 0],
        [0, 81 / 64d, 0, -45 / 16d, 0, 1],
    ]);

    private static readonly double[,] Taps = Magnitudes(
    [
        [64 / 81d, 0, 0],
        [-128 / 243d, -32 / 81d, -8 / 27d],
        [-128 / 243d, 32 / 81d, -8 / 27d],
        [32 / 243d, 16 / 81d, 8 / 27d],
        [32 / 243d, -16 / 81d, 8 / 27d],
        [0, 0, 1],
    ]);

    private static readonly double[,] Results = Magnitudes(
    [
        [1, 1, 1, 1, 1, 0],
        [0, 3 / 4d, -3 / 4d, 3 / 2d, -3 / 2d, 0],
        [0, 9 / 16d, 9 / 16d, 9 / 4d, 9 / 4d, 0],
        [0, 27 / 64d, -27 / 64d, 27 / 8d, -27 / 8d, 1],
    ]);

    /// <summary>The problems; channels are counted in each group.</summary>
    private static readonly Conv2dReference[] Problems =
    [
        // Tiles that reach over every side, of images that share a task; channels that fill neither a vector nor a panel.
        Of(3, 20, 13, 11, 36) with { Padding = (0, 2, 1, 0) },
        Of(2, 64, 30, 28, 48) with { Padding = (1, 1, 1, 1) },

        // Tiles of the last layers of networks, in groups.
        Of(9, 32, 7, 7, 17) with { Groups = 2, Padding = (1, 1, 1, 1) },

        // More columns than are made together; one row of tiles, which would be two splits.
        Of(1, 17, 3, 700, 16) with { Padding = (1, 1, 0, 3) },

        // Two splits of the tiles for the filter's gradient.
        Of(4, 16, 30, 25, 17) with { Padding = (1, 1, 1, 1) },

        // Several slices of inputs, whose pixels lie whole KiB apart.
        Of(4, 512, 12, 12, 16) with { Padding = (2, 2, 2, 2) },
    ];

    public static TheoryData<int, bool> Rows =>
        [.. from problem in Enumerable.Range(0, Problems.Length) from last in (bool[])[false, true] select (problem, last)];

    [Theory]
    [MemberData(nameof(Rows))]
    public void ErrorsAreWithinTheBound(int problem, bool channelsLast)
    {
        using DeviceStream stream = devices.CreateStream("cpu");
        Conv2dReference p = Problems[problem] with { ChannelsLast = channelsLast };
        double[] x = Values(0, p.Batch * p.Groups * p.Inputs * p.Height * p.Width), filter = Values(1, p.Groups * p.Outputs * p.Inputs * 9);
        double[] dy = Values(2, p.Batch * p.Groups * p.Outputs * p.OutputHeight * p.OutputWidth), bias = Values(3, p.Groups * p.Outputs);
        double[] y = new double[dy.Length], dx = new double[x.Length];
        double[] dFilter = new double[filter.Length], dBias = new double[bias.Length];
        p.Forward(x, filter, bias, y, rectifies: false);
        p.BackwardData(filter, dy, dx);
        p.BackwardFilter(x, dy, dFilter, dBias);
        (float[] actualY, float[] actualDx, float[] actualFilter, float[] actualBias) =
            Run(stream, p, x, filter, bias, dy, Conv2dAlgorithm.Winograd);
        if (Vector256.IsHardwareAccelerated)
        {
            // Else sums of taps were measured.
            (float[] sumsY, float[] sumsDx, float[] sumsFilter, _) = Run(stream, p, x, filter, bias, dy, Conv2dAlgorithm.Direct);
            Assert.NotEqual(sumsY, actualY);
            Assert.NotEqual(sumsDx, actualDx);
            Assert.NotEqual(sumsFilter, actualFilter);
        }

        (long, long) xSize = (p.Height, p.Width), ySize = (p.OutputHeight, p.OutputWidth);
        AssertWithin(p, x, xSize, p.Inputs, (p.Padding.Top, p.Padding.Left), isTurned: false, filter, bias, y, ySize, p.Outputs, actualY);
        AssertWithin(
            p, dy, ySize, p.Outputs, (2 - p.Padding.Top, 2 - p.Padding.Left), isTurned: true, filter, [], dx, xSize, p.Inputs, actualDx);
        AssertFilterWithin(p, x, dy, dFilter, actualFilter);
        double limit = 1e-6 * dy.Length / dBias.Length;
        for (int i = 0; i < dBias.Length; i++) Assert.InRange(actualBias[i] - dBias[i], -limit, limit);
    }

    /// <summary>Tiles that a cache does not hold together are multiplied in several turns.</summary>
    [Theory]
    [InlineData(false, 14, 64, 64)] // of splits
    [InlineData(true, 14, 64, 64)]
    [InlineData(false, 23, 272, 112)] // of all cores, where the sums take more than the cache of one
    [InlineData(true, 23, 272, 112)]
    public void GradientsOfFiltersAreThoseOfSumsOfTaps(bool channelsLast, int batch, int inputs, int outputs)
    {
        Assert.SkipUnless(Vector256.IsHardwareAccelerated, NoTransforms);
        using DeviceStream stream = devices.CreateStream("cpu");
        Conv2dReference p = Of(batch, inputs, 14, 14, outputs) with { Padding = (1, 1, 1, 1), ChannelsLast = channelsLast };
        double[] x = Values(0, batch * inputs * 14 * 14), dy = Values(2, batch * outputs * 14 * 14), bias = new double[outputs];
        double[] filter = new double[outputs * inputs * 9];
        (_, _, float[] expected, _) = Run(stream, p, x, filter, bias, dy, Conv2dAlgorithm.Direct);
        (_, _, float[] actual, _) = Run(stream, p, x, filter, bias, dy, Conv2dAlgorithm.Winograd);
        Assert.NotEqual(expected, actual);
        double error = Math.Sqrt(expected.Zip(actual, (a, b) => Math.Pow(a - b, 2)).Sum() / expected.Sum(a => Math.Pow(a, 2)));
        Assert.InRange(error, 0, 1e-5);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void InfinitiesReachTheResultsOfTheirTiles(bool channelsLast)
    {
        Assert.SkipUnless(Vector256.IsHardwareAccelerated, NoTransforms);
        using DeviceStream stream = devices.CreateStream("cpu");
        Conv2dReference p = Of(3, 16, 14, 14, 16) with { Padding = (1, 1, 1, 1), ChannelsLast = channelsLast };
        double[] x = Values(0, 3 * 16 * 14 * 14), filter = Values(1, 16 * 16 * 9), dy = Values(2, x.Length);

        // Row 4 is the last that the tiles of rows 0 to 3 see, and goes into the last of those alone; the tile of column 9 has 8 to 11.
        x[Index(p, 1, 5, 4, 9, 16, 14, 14)] = double.PositiveInfinity;
        (float[] y, _, _, _) = Run(stream, p, x, filter, new double[16], dy, Conv2dAlgorithm.Winograd);
        for (int i = 0; i < y.Length; i++)
        {
            (int n, _, int row, int column) = Place(p, i, 16, 14, 14);
            Assert.Equal(n == 1 && row is >= 3 and < 8 && column is >= 8 and < 12, !float.IsFinite(y[i]));
        }
    }

    /// <summary>What kernels/docs/conv2d.md says of both algorithms.</summary>
    [Fact]
    public void ErrorsOfNormalNumbersAreFewTimesThoseOfSumsOfTaps()
    {
        Assert.SkipUnless(Vector256.IsHardwareAccelerated, NoTransforms);
        using DeviceStream stream = devices.CreateStream("cpu");
        Conv2dReference p = Of(4, 64, 18, 18, 16);
        double[] x = Normal(0, 4 * 64 * 18 * 18), filter = Normal(1, 16 * 64 * 9), dy = Normal(2, 4 * 16 * 16 * 16), none = new double[16];
        double[] y = new double[dy.Length], sizes = new double[dy.Length];
        double[] dFilter = new double[filter.Length], filterSizes = new double[filter.Length];
        p.Forward(x, filter, none, y, rectifies: false);
        p.Forward([.. x.Select(Math.Abs)], [.. filter.Select(Math.Abs)], none, sizes, rectifies: false);
        p.BackwardFilter(x, dy, dFilter, []);
        p.BackwardFilter([.. x.Select(Math.Abs)], [.. dy.Select(Math.Abs)], filterSizes, []);
        (double sums, double filterSums) = Errors(Conv2dAlgorithm.Direct);
        (double tiles, double filterTiles) = Errors(Conv2dAlgorithm.Winograd);
        Assert.InRange(sums, 0.2, 0.6);
        Assert.InRange(tiles, 0.7, 1.0);
        Assert.InRange(filterSums, 0.15, 0.35);
        Assert.InRange(filterTiles, 0.5, 0.8);

        (double Y, double Filter) Errors(Conv2dAlgorithm algorithm)
        {
            (float[] actual, _, float[] actualFilter, _) = Run(stream, p, x, filter, none, dy, algorithm);
            return (Error(actual, y, sizes), Error(actualFilter, dFilter, filterSizes));
        }

        static double Error(float[] actual, double[] expected, double[] sizes) =>
            Math.Sqrt(actual.Select((value, i) => Math.Pow((value - expected[i]) / sizes[i], 2)).Average()) / Math.ScaleB(1, -24);

        static double[] Normal(int stream, int count)
        {
            Random random = new(stream);
            return
            [
                .. Enumerable.Range(0, count).Select(_ =>
                    (double)(float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()))),
            ];
        }
    }

    /// <summary>What Winograd is not for is made as it is elsewhere.</summary>
    [Theory]
    [InlineData(2, 3, 16, 16)]
    [InlineData(1, 5, 16, 16)]
    [InlineData(1, 3, 15, 16)]
    [InlineData(1, 3, 16, 15)]
    public void OtherConvolutionsHaveTheirBits(int stride, int side, int inputs, int outputs)
    {
        using DeviceStream stream = devices.CreateStream("cpu");
        Conv2dReference p = Of(3, inputs, 14, 14, outputs) with { FilterHeight = side, FilterWidth = side, Stride = (stride, stride) };
        double[] x = Values(0, 3 * inputs * 14 * 14), filter = Values(1, outputs * inputs * side * side);
        double[] dy = Values(2, 3 * outputs * p.OutputHeight * p.OutputWidth), bias = Values(3, outputs);
        (float[] expectedY, float[] expectedDx, float[] expectedFilter, float[] expectedBias) =
            Run(stream, p, x, filter, bias, dy, Conv2dAlgorithm.Direct);
        (float[] y, float[] dx, float[] dFilter, float[] dBias) = Run(stream, p, x, filter, bias, dy, Conv2dAlgorithm.Winograd);
        Assert.Equal(expectedY, y);
        Assert.Equal(expectedDx, dx);
        Assert.Equal(expectedFilter, dFilter);
        Assert.Equal(expectedBias, dBias);
    }

    private static (float[] Y, float[] Dx, float[] DFilter, float[] DBias) Run(
        DeviceStream stream, Conv2dReference p, double[] x, double[] filter, double[] bias, double[] dy, Conv2dAlgorithm algorithm)
    {
        Conv2dOptions options = p.Options() with { Algorithm = algorithm };
        using DeviceTensor<float> xTensor = stream.Upload(x, p.XShape()), filterTensor = stream.Upload(filter, p.FilterShape());
        using DeviceTensor<float> biasTensor = stream.Upload(bias, bias.Length), dyTensor = stream.Upload(dy, p.YShape());
        using DeviceTensor<float> yTensor = stream.Device.Allocate<float>(p.YShape());
        using DeviceTensor<float> dxTensor = stream.Device.Allocate<float>(p.XShape());
        Conv2d.Forward(stream, xTensor, filterTensor, biasTensor, yTensor, options);
        Conv2d.BackwardData(stream, filterTensor, dyTensor, dxTensor, options);
        using DeviceTensor<float> dFilter = stream.Device.Allocate<float>(p.FilterShape());
        using DeviceTensor<float> dBias = stream.Device.Allocate<float>(bias.Length);
        Conv2d.BackwardFilter(stream, xTensor, dyTensor, dFilter, dBias, options);
        return (yTensor.ToArray(stream), dxTensor.ToArray(stream), dFilter.ToArray(stream), dBias.ToArray(stream));
    }

    /// <summary>
    /// |y' - y| is at most (channels + <see cref="TransformRoundings"/>) u |A^T| (sum over channels of |G| |w| |G^T| . |B^T| |x| |B|) |A|,
    /// and what the bias and its sum are rounded by.
    /// </summary>
    private static void AssertWithin(
        Conv2dReference p, double[] maps, (long Height, long Width) size, int channels, (int Top, int Left) padding, bool isTurned,
        double[] filter, double[] bias, double[] expected, (long Height, long Width) resultSize, int results, float[] actual)
    {
        double unit = Math.ScaleB(1, -24), worst = 0;
        double[][,] factors = new double[p.Groups * results * channels][,];
        for (int i = 0; i < factors.Length; i++)
        {
            (int g, int k, int c) = (i / (results * channels), i / channels % results, i % channels);
            (int output, int input) = isTurned ? ((g * channels) + c, k) : ((g * results) + k, c);
            double[,] taps = new double[3, 3];
            for (int tap = 0; tap < 9; tap++)
            {
                (int row, int column) = isTurned ? (2 - (tap / 3), 2 - (tap % 3)) : (tap / 3, tap % 3);
                taps[tap / 3, tap % 3] = Math.Abs(filter[FilterIndex(p, output, input, row, column)]);
            }

            factors[i] = Sandwich(Taps, taps);
        }

        foreach ((int n, int g, int top, int left) in
            from n in Enumerable.Range(0, p.Batch)
            from g in Enumerable.Range(0, p.Groups)
            from down in Enumerable.Range(0, (int)(resultSize.Height + Side - 1) / Side)
            from right in Enumerable.Range(0, (int)(resultSize.Width + Side - 1) / Side)
            select (n, g, down * Side, right * Side))
        {
            double[][,] seen = new double[channels][,];
            for (int c = 0; c < channels; c++)
            {
                (int channel, int all) = ((g * channels) + c, p.Groups * channels);
                seen[c] = Sandwich(Pixels, TileOf(p, maps, size, n, channel, all, top - padding.Top, left - padding.Left, Seen));
            }

            for (int k = 0; k < results; k++)
            {
                double[,] sums = new double[Seen, Seen];
                for (int c = 0; c < channels; c++)
                {
                    double[,] factor = factors[(((g * results) + k) * channels) + c];
                    for (int i = 0; i < Seen * Seen; i++)
                        sums[i / Seen, i % Seen] += factor[i / Seen, i % Seen] * seen[c][i / Seen, i % Seen];
                }

                double[,] most = Sandwich(Results, sums);
                for (int i = 0; i < Side * Side; i++)
                {
                    (int row, int column) = (top + (i / Side), left + (i % Side));
                    if (row >= resultSize.Height || column >= resultSize.Width) continue;
                    int at = Index(p, n, (g * results) + k, row, column, p.Groups * results, resultSize.Height, resultSize.Width);
                    double limit = (channels + TransformRoundings) * most[i / Side, i % Side];
                    if (bias.Length > 0) limit += Math.Abs(bias[(g * results) + k]) + Math.Abs(expected[at]);
                    worst = Math.Max(worst, Math.Abs(actual[at] - expected[at]) / (unit * limit));
                }
            }
        }

        // It is a bound for the worst of all inputs. Errors of random ones cancel, but never all of them.
        Assert.InRange(worst, double.Epsilon, 0.02);
    }

    /// <summary>
    /// |dw' - dw| is at most (tiles + <see cref="TransformRoundings"/>) u |G^T| (sum over tiles of |A| |dy| |A^T| . |B^T| |x| |B|) |G|.
    /// </summary>
    private static void AssertFilterWithin(Conv2dReference p, double[] x, double[] dy, double[] expected, float[] actual)
    {
        (int down, int across) = ((p.OutputHeight + Side - 1) / Side, (p.OutputWidth + Side - 1) / Side);
        (int inputs, int outputs, int tiles) = (p.Groups * p.Inputs, p.Groups * p.Outputs, p.Batch * down * across);
        double[][] seen = OfTiles(x, (p.Height, p.Width), inputs, (p.Padding.Top, p.Padding.Left), Seen, Pixels);
        double[][] given = OfTiles(dy, (p.OutputHeight, p.OutputWidth), outputs, default, Side, Transposed(Results));
        double[,] gradients = Transposed(Taps);
        double unit = Math.ScaleB(1, -24), worst = 0;
        foreach ((int output, int input) in from k in Enumerable.Range(0, outputs) from c in Enumerable.Range(0, p.Inputs) select (k, c))
        {
            double[,] sums = new double[Seen, Seen];
            double[] left = given[output], right = seen[(output / p.Outputs * p.Inputs) + input];
            for (int i = 0; i < left.Length; i++) sums[i % (Seen * Seen) / Seen, i % Seen] += left[i] * right[i];
            double[,] most = Sandwich(gradients, sums);
            for (int tap = 0; tap < 9; tap++)
            {
                int at = FilterIndex(p, output, input, tap / 3, tap % 3);
                double limit = unit * (tiles + TransformRoundings) * most[tap / 3, tap % 3];
                worst = Math.Max(worst, Math.Abs(actual[at] - expected[at]) / limit);
            }
        }

        Assert.InRange(worst, double.Epsilon, 0.02);

        // Of each channel all tiles, one after the other.
        double[][] OfTiles(
            double[] maps, (long Height, long Width) size, int channels, (int Top, int Left) padding, int side, double[,] matrix)
        {
            double[][] all = new double[channels][];
            for (int channel = 0; channel < channels; channel++)
            {
                all[channel] =
                [
                    .. from n in Enumerable.Range(0, p.Batch)
                       from tile in Enumerable.Range(0, down * across)
                       let top = (tile / across * Side) - padding.Top
                       let left = (tile % across * Side) - padding.Left
                       from value in Sandwich(matrix, TileOf(p, maps, size, n, channel, channels, top, left, side)).Cast<double>()
                       select value,
                ];
            }

            return all;
        }
    }

    /// <summary>Absolute values of a tile; outside the map are zeros.</summary>
    private static double[,] TileOf(
        Conv2dReference p, double[] maps, (long Height, long Width) size, int n, int channel, int channels, int top, int left, int side)
    {
        double[,] tile = new double[side, side];
        for (int i = 0; i < side * side; i++)
        {
            (int row, int column) = (top + (i / side), left + (i % side));
            bool isInside = row >= 0 && row < size.Height && column >= 0 && column < size.Width;
            tile[i / side, i % side] = isInside ? Math.Abs(maps[Index(p, n, channel, row, column, channels, size.Height, size.Width)]) : 0;
        }

        return tile;
    }

    private static double[,] Transposed(double[,] matrix)
    {
        double[,] transposed = new double[matrix.GetLength(1), matrix.GetLength(0)];
        for (int i = 0; i < matrix.GetLength(0); i++)
        {
            for (int j = 0; j < matrix.GetLength(1); j++) transposed[j, i] = matrix[i, j];
        }

        return transposed;
    }

    private static double[] Values(int stream, long count)
    {
        Random random = new(stream);
        return [.. Enumerable.Range(0, (int)count).Select(_ => (double)(float)((random.NextDouble() * 4) - 2))];
    }

    private static Conv2dReference Of(int batch, int inputs, int height, int width, int outputs) => new()
    {
        Batch = batch,
        Groups = 1,
        Inputs = inputs,
        Height = height,
        Width = width,
        Outputs = outputs,
        FilterHeight = 3,
        FilterWidth = 3,
        Stride = (1, 1),
        Dilation = (1, 1),
        Padding = default,
        ChannelsLast = false,
    };

    private static double[,] Magnitudes(double[][] rows)
    {
        double[,] matrix = new double[rows.Length, rows[0].Length];
        for (int i = 0; i < rows.Length; i++)
        {
            for (int j = 0; j < rows[0].Length; j++) matrix[i, j] = Math.Abs(rows[i][j]);
        }

        return matrix;
    }

    /// <summary>m a m^T.</summary>
    private static double[,] Sandwich(double[,] m, double[,] a)
    {
        (int rows, int inner) = (m.GetLength(0), m.GetLength(1));
        double[,] half = new double[rows, inner], whole = new double[rows, rows];
        for (int i = 0; i < rows; i++)
        {
            for (int j = 0; j < inner; j++)
            {
                for (int k = 0; k < inner; k++) half[i, j] += m[i, k] * a[k, j];
            }
        }

        for (int i = 0; i < rows; i++)
        {
            for (int j = 0; j < rows; j++)
            {
                for (int k = 0; k < inner; k++) whole[i, j] += half[i, k] * m[j, k];
            }
        }

        return whole;
    }

    private static int Index(Conv2dReference p, int n, int channel, int row, int column, int channels, long height, long width) =>
        (int)(p.ChannelsLast
            ? (((((n * height) + row) * width) + column) * channels) + channel
            : (((((long)n * channels) + channel) * height + row) * width) + column);

    private static (int N, int Channel, int Row, int Column) Place(Conv2dReference p, int index, int channels, int height, int width) =>
        p.ChannelsLast
            ? (index / (channels * height * width), index % channels, index / (channels * width) % height, index / channels % width)
            : (index / (channels * height * width), index / (height * width) % channels, index / width % height, index % width);

    private static int FilterIndex(Conv2dReference p, int output, int input, int row, int column) => p.ChannelsLast
        ? (((output * 9) + (row * 3) + column) * p.Inputs) + input
        : (((output * p.Inputs) + input) * 9) + (row * 3) + column;
}
