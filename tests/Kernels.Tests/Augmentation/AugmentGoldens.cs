using System.Text.Json;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Augmentation;

/// <summary>Affine maps against PyTorch, ops against torchvision: values made by <c>tests/goldens/augment.py</c>.</summary>
public sealed class AugmentGoldens(TestDevices devices)
{
    private static readonly GoldenFile Golden = Read();

    /// <summary>Both conventions of corners, both interpolations, all borders; values and both gradients.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void Affine_IsThatOfPyTorch(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        foreach (AffineGolden golden in Golden.Affine)
        {
            using DeviceTensor<float> x = Eighths(stream, golden.X, 1, 2, golden.Height, golden.Width);
            using DeviceTensor<float> matrix = stream.Device.Upload<float>([.. golden.Matrix.Select(value => (float)value)], 1, 2, 3);
            using DeviceTensor<float> y = stream.Device.Allocate<float>(1, 2, golden.Rows, golden.Columns);
            Affine.Forward(stream, x, matrix, y, OptionsOf(golden));
            AssertClose(golden.Y, y.ToArray(stream), golden.ToString());
            using DeviceTensor<float> dy = Eighths(stream, golden.Dy, 1, 2, golden.Rows, golden.Columns);
            using DeviceTensor<float> dx = stream.Device.Allocate<float>(x.Shape), dmatrix = stream.Device.Allocate<float>(1, 2, 3);
            Affine.Backward(stream, matrix, dy, dx, OptionsOf(golden));
            AssertClose(golden.Dx, dx.ToArray(stream), $"dx of {golden}");
            Affine.BackwardMatrices(stream, x, matrix, dy, dmatrix, OptionsOf(golden));
            AssertClose(golden.Dmatrix, dmatrix.ToArray(stream), $"dmatrix of {golden}");
        }
    }

    /// <summary>
    /// Each op of RandAugment, weak and strong, in both directions: drawn as a policy draws it, applied to bytes. Maps move the same
    /// pixels; colours differ by the rounding to levels, which torchvision does after each step.
    /// </summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void OpsOfPolicies_AreThoseOfTorchvision(string deviceId)
    {
        const int Samples = 400;
        using DeviceStream stream = devices.CreateStream(deviceId);
        Size2d size = (Golden.Height, Golden.Width);
        byte[] image = [.. Golden.Image.Select(value => (byte)value)];
        using DeviceTensor<byte> x = stream.Device.Upload<byte>(image, 1, 3, Golden.Height, Golden.Width);
        using DeviceTensor<float> y = stream.Device.Allocate<float>(1, 3, Golden.Height, Golden.Width);
        using DeviceTensor<float> table = stream.Device.Allocate<float>(Samples, Augment.TableWidth);
        AugmentOptions options = new() { Interpolation = ImageInterpolation.Nearest };
        foreach (IGrouping<int, OpGolden> magnitude in Golden.Ops.GroupBy(op => op.Magnitude))
        {
            AugmentPolicy policy = new() { Automatic = new AutoAugmentPolicy(1, magnitude.Key, 31, AugmentSpace.RandAugment) };
            Augment.Draw(stream, null, table, size, size, policy, new RandomKey(Seed: 7, Offset: 0));
            float[][] rows = [.. table.ToArray(stream).Chunk(Augment.TableWidth)];
            foreach (OpGolden golden in magnitude)
            {
                float[] row = rows.First(row => Is(row, golden));
                using DeviceTensor<float> own = stream.Device.Upload<float>(row, 1, Augment.TableWidth);
                Augment.Apply(stream, x, own, y, statistics: 1, options);
                double limit = golden.Name switch
                {
                    // Of these the grey, or the mean of the neighbours, is rounded to a level, too.
                    "Color" or "Contrast" or "Sharpness" => 2,
                    "Brightness" or "AutoContrast" => 1.01,
                    _ => 0.01,
                };
                float[] levels = [.. y.ToArray(stream).Select(value => 255 * value)];
                Assert.All(
                    levels.Zip(golden.Y),
                    pair => Assert.True(
                        Math.Abs(pair.First - pair.Second) <= limit, $"{golden.Name} {golden.Sign}: {pair.First}, not {pair.Second}"));
            }
        }
    }

    /// <summary>Whether a row of the table is a draw of the op with its sign.</summary>
    private static bool Is(float[] row, OpGolden golden)
    {
        (float code, float value) = (row[7], row[15]);
        bool isPlain = row is [1, 0, 0, 0, 1, 0, ..];
        return golden.Name switch
        {
            "Identity" => isPlain && row[6] == 0,
            "ShearX" => row[0] == 1 && Math.Sign(row[1]) == golden.Sign,
            "ShearY" => row[0] == 1 && Math.Sign(row[3]) == golden.Sign,
            "TranslateX" => row[0] == 1 && row[1] == 0 && Math.Sign(row[2]) == -golden.Sign,
            "TranslateY" => row[0] == 1 && row[3] == 0 && Math.Sign(row[5]) == -golden.Sign,
            "Rotate" => row[0] != 1 && Math.Sign(row[3]) == golden.Sign,
            "Brightness" => code == 1 && Math.Sign(value - 1) == golden.Sign,
            "Color" => code == 3 && Math.Sign(value - 1) == golden.Sign,
            "Contrast" => code == 2 && Math.Sign(value - 1) == golden.Sign,
            "Sharpness" => code == 9 && Math.Sign(value - 1) == golden.Sign,
            "Posterize" => code == 5,
            "Solarize" => code == 6,
            "AutoContrast" => code == 8,
            "Equalize" => code == 7,
            _ => throw new InvalidDataException(golden.Name),
        };
    }

    private static AugmentOptions OptionsOf(AffineGolden golden) => new()
    {
        AlignCorners = golden.Corners,
        Interpolation = golden.Nearest ? ImageInterpolation.Nearest : ImageInterpolation.Bilinear,
        Border = (ImageBorder)golden.Border,
    };

    private static DeviceTensor<float> Eighths(DeviceStream stream, int[] values, params long[] shape) =>
        stream.Device.Upload<float>([.. values.Select(value => value / 8f)], shape);

    private static void AssertClose(double[] expected, float[] actual, string what)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < actual.Length; i++)
        {
            double limit = 2e-5 * Math.Max(1, Math.Abs(expected[i]));
            Assert.True(Math.Abs(expected[i] - actual[i]) <= limit, $"{what}: [{i}] is {actual[i]}, not {expected[i]}");
        }
    }

    private static GoldenFile Read()
    {
        string path = Path.Combine(AppContext.BaseDirectory, "data", "goldens", "augment.json");
        return JsonSerializer.Deserialize<GoldenFile>(File.ReadAllText(path), JsonSerializerOptions.Web)!;
    }

    private sealed record AffineGolden(
        int Height, int Width, int Rows, int Columns, bool Corners, bool Nearest, int Border, double[] Matrix, int[] X, double[] Y,
        int[] Dy, double[] Dx, double[] Dmatrix)
    {
        public override string ToString() =>
            $"{Height}x{Width} to {Rows}x{Columns} corners={Corners} nearest={Nearest} border={Border}";
    }

    private sealed record OpGolden(string Name, int Magnitude, int Sign, int[] Y);

    private sealed record GoldenFile(AffineGolden[] Affine, int Height, int Width, int[] Image, OpGolden[] Ops);
}
