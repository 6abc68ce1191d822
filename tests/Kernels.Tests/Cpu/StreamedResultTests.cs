using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Cpu;

/// <summary>
/// Results of more than 8 MiB, which the CPU device stores past the caches where rows let it: against the same call in place, which never
/// does, or against sums and selections made here.
/// </summary>
public sealed class StreamedResultTests(TestDevices devices)
{
    private static readonly RandomKey Key = new(7, 5);

    [Theory]
    [InlineData(TensorLayout.ChannelsFirst, 0.0)]
    [InlineData(TensorLayout.ChannelsLast, 2.0)]
    public void Cutout_IsWhatItIsInPlace(TensorLayout layout, double fill)
    {
        // Rows of no whole lines, so that holes and what is left of rows begin and end anywhere.
        long[] shape = layout == TensorLayout.ChannelsFirst ? [23, 3, 251, 253] : [23, 251, 253, 3];
        using DeviceStream stream = devices.CreateStream("cpu");
        Check<float>(value => value);
        Check<Half>(value => (Half)value);

        void Check<T>(Func<float, T> of)
            where T : unmanaged
        {
            T[] values = [.. Numbers(shape.Aggregate(1L, (a, b) => a * b)).Select(of)];
            using DeviceTensor<T> x = stream.Device.Upload<T>(values, shape), y = stream.Device.Allocate<T>(shape);
            CutoutOptions options = new() { Layout = layout, Fill = fill };
            Cutout.Forward(stream, x, null, y, 100, Key, options);
            Cutout.Forward(stream, x, null, x, 100, Key, options);
            Assert.Equal(x.ToArray(stream), y.ToArray(stream));
        }
    }

    [Fact]
    public void CutMix_SelectsByBoxes()
    {
        (int count, int height, int width) = (12, 421, 431);
        float[] values = Numbers(count * height * width);
        using DeviceStream stream = devices.CreateStream("cpu");
        using DeviceTensor<float> x = stream.Device.Upload<float>(values, count, 1, height, width);
        using DeviceTensor<float> y = stream.Device.Allocate<float>(count, 1, height, width);
        int[] pairs = [.. Enumerable.Range(0, count).SelectMany(i => (int[])[(i + 5) % count, (i + count - 5) % count])];
        int[] boxes = [.. Enumerable.Range(0, count).SelectMany(i => (int[])[i, 3 * i, 400 - i, 100 + (7 * i)])];
        using DeviceTensor<int> pairTensor = stream.Device.Upload<int>(pairs, count, 2);
        using DeviceTensor<int> boxTensor = stream.Device.Upload<int>(boxes, count, 4);
        CutMix.Forward(stream, x, pairTensor, boxTensor, y);
        float[] mixed = y.ToArray(stream);
        for (int i = 0; i < mixed.Length; i++)
        {
            (int image, int row, int column) = (i / (height * width), i / width % height, i % width);
            Span<int> box = boxes.AsSpan(4 * image, 4);
            bool isInside = row >= box[0] && row < box[2] && column >= box[1] && column < box[3];
            int source = isInside ? i + ((pairs[2 * image] - image) * height * width) : i;
            if (mixed[i] != values[source]) Assert.Fail($"image {image}, row {row}, column {column}");
        }
    }

    [Fact]
    public void TiedGradients_AreSums()
    {
        const int Length = (1 << 21) + 37;
        using DeviceStream stream = devices.CreateStream("cpu");
        float[][] values = [.. Enumerable.Range(0, 3).Select(i => Numbers(Length, i))];
        DeviceTensor<float>[] uses = [.. values.Select(use => stream.Device.Upload<float>(use, Length))];
        using DeviceTensor<float> gradient = stream.Device.Allocate<float>(Length);
        using TiedGradients<float> tied = new(stream.Device, [gradient], [uses]);
        tied.Sum(stream);
        Assert.Equal(Enumerable.Range(0, Length).Select(i => values.Sum(use => use[i])), gradient.ToArray(stream));
        foreach (DeviceTensor<float> use in uses) use.Dispose();
    }

    [Fact]
    public void SpectralNorm_DividesBySigma()
    {
        // The matrix is rows of one vector, some turned round: its largest singular value is known.
        (int rows, int columns) = (1029, 2052);
        float[] row = Numbers(columns), weight = new float[rows * columns];
        for (int i = 0; i < weight.Length; i++) weight[i] = i / columns % 3 == 0 ? -row[i % columns] : row[i % columns];
        double expected = Math.Sqrt(rows * row.Sum(value => (double)value * value));
        using DeviceStream stream = devices.CreateStream("cpu");
        using DeviceTensor<float> w = stream.Device.Upload<float>(weight, rows, columns), y = stream.Device.Allocate<float>(rows, columns);
        using DeviceTensor<float> u = stream.Device.Upload<float>(Numbers(rows), rows), v = stream.Device.Upload<float>(row, columns);
        using DeviceTensor<float> sigma = stream.Device.Allocate<float>(1);
        SpectralNorm.Forward(stream, w, u, v, sigma, y);
        float found = sigma.ToArray(stream)[0];
        Assert.InRange(found / expected, 1 - 1e-5, 1 + 1e-5);
        Assert.Equal(weight.Select(value => value / found), y.ToArray(stream));

        // dW = (dY - <W, dY> / sigma u v') / sigma, and of dY = W nothing is left along u v', which is all of W.
        SpectralNorm.Backward(stream, w, u, v, sigma, w, y);
        double largest = weight.Max(Math.Abs) / found;
        Assert.All(y.ToArray(stream), value => Assert.InRange(value / largest, -1e-4, 1e-4));
    }

    [Fact]
    public void ChannelDropout_IsWhatItIsInPlace()
    {
        using DeviceStream stream = devices.CreateStream("cpu");
        ChannelDropoutOptions options = new() { Layout = TensorLayout.ChannelsLast, GlobalStart = 5 };
        Check(Numbers(3 * 11003 * 64), 11003);
        Check<Half>([.. Numbers(3 * 22001 * 64).Select(value => (Half)value)], 22001);

        void Check<T>(T[] values, long rows)
            where T : unmanaged
        {
            using DeviceTensor<T> x = stream.Device.Upload<T>(values, 3, rows, 64), y = stream.Device.Allocate<T>(3, rows, 64);
            ChannelDropout.Forward(stream, x, y, 0.3, Key, options);
            ChannelDropout.Forward(stream, x, x, 0.3, Key, options);
            Assert.Equal(x.ToArray(stream), y.ToArray(stream));
        }
    }

    /// <summary>Where there are more than two cores; less store these as any other.</summary>
    [Fact]
    public void GaussianDropout_IsWhatItIsInPlace()
    {
        const int Length = (1 << 21) + 51;
        using DeviceStream stream = devices.CreateStream("cpu");
        using DeviceTensor<float> x = stream.Device.Upload<float>(Numbers(Length), Length), y = stream.Device.Allocate<float>(Length);
        using DeviceTensor<float> factors = stream.Device.Allocate<float>(Length), dx = stream.Device.Allocate<float>(Length);
        GaussianDropout.ForwardWithFactors(stream, x, y, factors, 0.3, Key);
        GaussianDropout.BackwardWithFactors(stream, x, factors, dx);
        GaussianDropout.Forward(stream, x, x, 0.3, Key);
        Assert.Equal(x.ToArray(stream), y.ToArray(stream));
        Assert.Equal(x.ToArray(stream), dx.ToArray(stream));
    }

    /// <summary>Small whole numbers without 0, whose sums are exact.</summary>
    private static float[] Numbers(long count, int seed = 0)
    {
        Random random = new(seed);
        float[] numbers = new float[count];
        for (long i = 0; i < count; i++) numbers[i] = random.Next(1, 9) * (random.Next(2) == 0 ? -1 : 1);
        return numbers;
    }
}
