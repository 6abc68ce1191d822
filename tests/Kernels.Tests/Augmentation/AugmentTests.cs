using Kernels.Tests.Support;
using Kernels.Verification;
using Kernels.Verification.Cases;
using Xunit;

namespace Kernels.Tests.Augmentation;

/// <summary>What augmentation promises beyond its formula.</summary>
public sealed class AugmentTests(TestDevices devices)
{
    private static readonly RandomKey Key = new(Seed: 11, Offset: 4);

    private static readonly AugmentPolicy Everything = new()
    {
        Crop = AugmentCrop.Resized,
        HorizontalFlip = 0.5,
        VerticalFlip = 0.5,
        ShiftX = (-2, 2),
        Rotation = (-30, 30),
        Scale = (0.8, 1.2),
        ShearX = (-10, 10),
        Automatic = new AutoAugmentPolicy(2, null, 31, AugmentSpace.RandAugment),
        Brightness = (0.6, 1.4),
        Contrast = (0.6, 1.4),
        Saturation = (0.6, 1.4),
        Hue = (-0.1, 0.1),
        ShufflesColors = true,
        Posterize = 0.5,
        Sharpness = 0.5,
        SharpnessFactor = (0, 2),
        Cutout = 0.5,
        CutoutSize = 5,
    };

    /// <summary>Every op that draws, and the fused one: a sample alone, at another place and among others has the same bits.</summary>
    public static TheoryData<string, string> DrawingOps => new(
        from device in TestDevices.Rows.Select(row => row.Data)
        from op in OpCase.All.OfType<AugmentOpCase>()
        select (device, op.Op));

    [Theory]
    [MemberData(nameof(DrawingOps))]
    public void ASample_IsTheSameInAnyBatchOrderAndShard(string deviceId, string op)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        AugmentOpCase tested = OpCase.All.OfType<AugmentOpCase>().Single(known => known.Op == op);
        AugmentProblem problem = tested.Problems.Cast<AugmentProblem>().First() with { Bytes8 = false, HasSampleIds = true };
        long[] shape = [7, .. problem.Shape[1..]];
        ulong[] numbers = [3, 1UL << 63, 17, 4, 1000000007, 0, 8];
        long count = shape.Aggregate(1L, (a, b) => a * b);
        float[] images = [.. Elements.Uniform(DType.Float32, count, 1, "images", 0, 1).Select(value => (float)value)];
        int length = images.Length / 7;
        float[] whole = Run(numbers, images);
        int[] order = [6, 2, 0];
        float[] part = Run([.. order.Select(i => numbers[i])], [.. order.SelectMany(i => images[(i * length)..((i + 1) * length)])]);
        int outLength = whole.Length / 7;
        Assert.Equal([.. order.SelectMany(i => whole[(i * outLength)..((i + 1) * outLength)])], part);

        float[] Run(ulong[] ids, float[] values)
        {
            using DeviceTensor<float> x = stream.Device.Upload<float>(values, [ids.Length, .. problem.Shape[1..]]);
            using DeviceTensor<ulong> sampleIds = stream.Device.Upload<ulong>(ids, ids.Length);
            using DeviceTensor<float> y = stream.Device.Allocate<float>([ids.Length, .. problem.OutputShape[1..]]);
            tested.CallOn(stream, problem, x, sampleIds, y);
            return y.ToArray(stream);
        }
    }

    /// <summary>A group of a GPU may keep images that are drawn for and applied in one call, and none that a table is applied to.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void Forward_IsDrawAndApplyToTheBit(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        byte[] bytes = [.. Elements.Integers(3 * 3 * 64 * 50, 256, 1, "images").Select(level => (byte)level)];
        using DeviceTensor<byte> x = stream.Device.Upload<byte>(bytes, 3, 3, 64, 50);
        AugmentPolicy blends = new()
        {
            Crop = AugmentCrop.Resized,
            Rotation = (-20, 20),
            Brightness = (0.6, 1.4),
            Contrast = (0.6, 1.4),
            Saturation = (0.6, 1.4),
            ShufflesColors = true,
            Cutout = 0.5,
            CutoutSize = 40,
        };
        AugmentPolicy[] policies = [blends, blends with { Hue = (-0.1, 0.1), Posterize = 0.5 }, Everything];

        // Rows of whole fours of columns, and others.
        (int Width, AugmentOptions Options)[] settings =
        [
            (100, default), (102, default), (100, new() { Border = ImageBorder.Edge }),
            (100, new() { Interpolation = ImageInterpolation.Nearest }),
        ];
        foreach ((AugmentPolicy policy, (int width, AugmentOptions options)) in
            policies.SelectMany(policy => settings.Select(setting => (policy, setting))))
        {
            using DeviceTensor<float> table = stream.Device.Allocate<float>(3, Augment.TableWidth);
            using DeviceTensor<float> y = stream.Device.Allocate<float>(3, 3, 100, width);
            using DeviceTensor<float> applied = stream.Device.Allocate<float>(3, 3, 100, width);
            Augment.Forward(stream, x, null, y, policy, Key, options);
            Augment.Draw(stream, null, table, (64, 50), (100, width), policy, Key, options);
            Augment.Apply(stream, x, table, applied, statistics: Augment.MostColors, options);
            Assert.Equal(applied.ToArray(stream), y.ToArray(stream));
        }
    }

    /// <summary>All that a policy can ask for, on each device the same decisions: the tables are the CPU's.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void Tables_AreThoseOfTheCpu(string deviceId)
    {
        Assert.Equal(Table("cpu"), Table(deviceId));

        float[] Table(string id)
        {
            using DeviceStream stream = devices.CreateStream(id);
            using DeviceTensor<float> table = stream.Device.Allocate<float>(64, Augment.TableWidth);
            Augment.Draw(stream, null, table, (30, 40), (24, 32), Everything, Key);
            return table.ToArray(stream);
        }
    }

    /// <summary>A sample that another epoch, seed or number would give is another one.</summary>
    [Fact]
    public void SeedEpochAndNumber_Matter()
    {
        using DeviceStream stream = devices.CreateStream("cpu");
        using DeviceTensor<float> table = stream.Device.Allocate<float>(2, Augment.TableWidth);
        float[] first = Row(Key);
        Assert.NotEqual(first, Row(Key.Next()));
        Assert.NotEqual(first, Row(Key with { Seed = 12 }));
        Assert.NotEqual(first, table.ToArray(stream)[Augment.TableWidth..]);

        float[] Row(RandomKey key)
        {
            Augment.Draw(stream, null, table, 16, 16, Everything, key);
            return table.ToArray(stream)[..Augment.TableWidth];
        }
    }

    /// <summary>Four quarter turns, and two flips, give back the bits, where the image is not square too.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void FourQuarterTurns_AreTheIdentity(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        float[] values = [.. Enumerable.Range(0, 2 * 5 * 8).Select(i => (i % 7 == 0 ? -1 : 1) * MathF.Sqrt(i))];
        using DeviceTensor<float> upright = stream.Device.Upload<float>(values, 1, 2, 5, 8);
        using DeviceTensor<float> turned = stream.Device.Allocate<float>(1, 2, 8, 5);
        for (int turn = 0; turn < 2; turn++)
        {
            Rotate.Forward(stream, upright, null, turned, 90, Key);
            Rotate.Forward(stream, turned, null, upright, 90, Key);
            float[] expected = turn == 0 ? [.. values.Chunk(40).SelectMany(plane => plane.Reverse())] : values;
            Assert.Equal(expected, upright.ToArray(stream));
        }
    }

    /// <summary>
    /// From bin to bin each op changes an image no less than before, from nothing on, and leaves no image black; in all three sets.
    /// </summary>
    [Theory]
    [InlineData(AugmentSpace.RandAugment)]
    [InlineData(AugmentSpace.TrivialAugmentWide)]
    [InlineData(AugmentSpace.Narrow)]
    public void EveryBin_IsStrongerThanTheOneBefore(AugmentSpace space)
    {
        const int Bins = 31, Samples = 300;
        using DeviceStream stream = devices.CreateStream("cpu");
        using DeviceTensor<float> table = stream.Device.Allocate<float>(Samples, Augment.TableWidth);
        byte[] gradient = [.. Enumerable.Range(0, 3 * 32 * 32).Select(i => (byte)(40 + (i % 32 * 4) + (i / 32 % 32 * 2)))];
        byte[] images = [.. Enumerable.Repeat(gradient, Samples).SelectMany(image => image)];
        using DeviceTensor<byte> x = stream.Device.Upload<byte>(images, Samples, 3, 32, 32);
        using DeviceTensor<float> y = stream.Device.Allocate<float>(Samples, 3, 32, 32);
        float[][]? before = null;
        for (int bin = 0; bin < Bins; bin++)
        {
            Augment.Draw(stream, null, table, 32, 32, new AugmentPolicy { Automatic = new(1, bin, Bins, space) }, Key);
            Augment.Apply(stream, x, table, y, statistics: 1);
            Assert.All(y.ToArray(stream).Chunk(3 * 32 * 32), image => Assert.Contains(image, value => value > 1 / 255f));
            float[][] rows = [.. table.ToArray(stream).Chunk(Augment.TableWidth)];
            if (bin == 0)
                Assert.All(rows.Where(row => row[7] is not (6 or 7 or 8)), row => Assert.Equal(0, Strength(row), 1e-6));
            if (before is not null)
                Assert.All(rows.Zip(before), pair => Assert.True(Strength(pair.First) >= Strength(pair.Second) - 1e-6));
            before = rows;
        }

        // The distance from the identity: of the map's coefficients, or of the op's value from its neutral one.
        static double Strength(float[] row)
        {
            double map = new[] { row[0] - 1, row[1], row[2], row[3], row[4] - 1, row[5] }.Sum(number => Math.Abs(number));
            return map + (int)row[7] switch
            {
                0 or 7 or 8 => 0,
                5 => 8 - row[15],
                6 => 255 - row[15],
                _ => Math.Abs(row[15] - 1),
            };
        }
    }

    /// <summary>Empty batches are a valid no-op.</summary>
    [Fact]
    public void AnEmptyBatch_IsANoOp()
    {
        using DeviceStream stream = devices.CreateStream("cpu");
        using DeviceTensor<byte> x = stream.Device.Allocate<byte>(0, 3, 8, 8);
        using DeviceTensor<float> y = stream.Device.Allocate<float>(0, 3, 8, 8);
        using DeviceTensor<float> table = stream.Device.Allocate<float>(0, Augment.TableWidth);
        Augment.Forward(stream, x, null, y, Everything, Key);
        Augment.Draw(stream, null, table, 8, 8, Everything, Key);
        Augment.Apply(stream, x, table, y, statistics: 3);
    }
}
