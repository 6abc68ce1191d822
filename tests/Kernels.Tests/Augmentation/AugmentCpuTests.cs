using Kernels.Reference;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Augmentation;

/// <summary>The ways in which the CPU reads images and takes their statistics: all give one result.</summary>
public sealed class AugmentCpuTests(TestDevices devices)
{
    private static readonly RandomKey Key = new(Seed: 3, Offset: 1);

    /// <summary>
    /// A batch of many images is made image by image, few are made by bands of rows; maps that turn, and maps that move, are read in
    /// other ways.
    /// </summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void ManyImages_AreMadeLikeFew(bool turns)
    {
        AugmentPolicy policy = new()
        {
            HorizontalFlip = 0.5,
            ShiftX = (-3, 3),
            ShiftY = (-3, 3),
            WholeShifts = true,
            Rotation = turns ? (-90, 90) : 0,
            Brightness = (0.5, 1.5),
        };
        using DeviceStream stream = devices.CreateStream("cpu");
        byte[] images = [.. Enumerable.Range(0, 70 * 3 * 40 * 37).Select(i => (byte)(i * 2654435761L >> 9))];
        float[] many = Run(images, 0);
        int length = images.Length / 70;
        foreach (int sample in (int[])[0, 13, 69])
            Assert.Equal(many[(sample * length)..((sample + 1) * length)], Run(images[(sample * length)..((sample + 1) * length)], sample));

        float[] Run(byte[] values, int firstSample)
        {
            long[] shape = [values.Length / (3 * 40 * 37), 3, 40, 37];
            using DeviceTensor<byte> x = stream.Device.Upload<byte>(values, shape);
            using DeviceTensor<float> y = stream.Device.Allocate<float>(shape);
            Augment.Forward(stream, x, null, y, policy, Key, new() { FirstSample = (ulong)firstSample });
            return y.ToArray(stream);
        }
    }

    /// <summary>What is calculated in double is not rounded to float on the way out.</summary>
    [Fact]
    public void ImagesOfDouble_BecomeDouble()
    {
        using DeviceStream stream = devices.CreateStream("cpu");
        using DeviceTensor<double> x = stream.Device.Allocate<double>(2, 3, 4, 5), same = stream.Device.Allocate<double>(2, 3, 4, 5);
        using DeviceTensor<float> y = stream.Device.Allocate<float>(2, 3, 4, 5);
        ArgumentException refused = Assert.Throws<ArgumentException>("y", () =>
            Augment.Forward(stream, x, null, y, new AugmentPolicy(), new RandomKey(1, 2)));
        Assert.Contains("become double", refused.Message, StringComparison.Ordinal);
        Augment.Forward(stream, x, null, same, new AugmentPolicy(), new RandomKey(1, 2));
    }

    /// <summary>An image that is too large for a cache is read once for each op that needs statistics, another is kept.</summary>
    [Fact]
    public void StatisticsOfALargeImage_AreThoseOfTheReference()
    {
        (int height, int width) = (1030, 1031);
        float[] values = [.. Enumerable.Range(0, height * width).Select(i => (i * 2654435761L >> 8 & 1023) / 1500f)];
        float[] row = new float[Augment.TableWidth];
        (row[0], row[4], row[6]) = (-1, 1, 4);
        (row[7], row[8], row[9], row[10]) = (8, 9, 2, 7);   // autocontrast, sharpness, contrast, equalize
        (row[15], row[16], row[17], row[18]) = (0, 1.25f, 1.5f, 0);
        using DeviceStream stream = devices.CreateStream("cpu");
        using DeviceTensor<float> x = stream.Device.Upload<float>(values, 1, 1, height, width);
        using DeviceTensor<float> table = stream.Device.Upload<float>(row, 1, Augment.TableWidth);
        using DeviceTensor<float> y = stream.Device.Allocate<float>(x.Shape);
        Augment.Apply(stream, x, table, y, statistics: 3);

        double[] expected = new double[values.Length];
        AugmentReference.Apply(
            new AugmentShape(1, 1, height, width, height, width), new AugmentSettings { Statistics = 3 },
            [.. values.Select(value => (double)value)], [.. row.Select(value => (double)value)], Augment.TableWidth, expected);
        float[] actual = y.ToArray(stream);

        // A value on the border of two levels may take either.
        int apart = actual.Where((value, i) => !(Math.Abs(value - expected[i]) < 1e-5)).Count();
        Assert.InRange(apart, 0, values.Length / 10000);
    }
}
