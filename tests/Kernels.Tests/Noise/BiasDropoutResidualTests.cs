using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Noise;

/// <summary>What the case table cannot hold: shards that make a whole, and the op as the three it replaces.</summary>
public sealed class BiasDropoutResidualTests(TestDevices devices)
{
    private static readonly RandomKey Key = new(10, 11);

    public static TheoryData<string> Devices => TestDevices.Rows;

    [Theory]
    [MemberData(nameof(Devices))]
    public void Shards_MakeTheWhole(string deviceId)
    {
        const int Rows = 90, First = 13, Columns = 21;
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceTensor<float> x = Values(stream, Rows, Columns), residual = Values(stream, Rows, Columns);
        using DeviceTensor<float> whole = stream.Device.Allocate<float>(x.Shape), parts = stream.Device.Allocate<float>(x.Shape);
        BiasDropoutResidualOptions options = new() { RowDropProbability = 0.3 };

        BiasDropoutResidual.Forward(stream, x, null, null, residual, whole, 0.2, Key, options);
        BiasDropoutResidual.Forward(
            stream, x.Slice(0, First), null, null, residual.Slice(0, First), parts.Slice(0, First), 0.2, Key, options);
        BiasDropoutResidual.Forward(
            stream, x.Slice(First, Rows - First), null, null, residual.Slice(First, Rows - First), parts.Slice(First, Rows - First), 0.2,
            Key,
            options with { GlobalStart = First });
        Bits.AssertEqual<float>(whole.ToArray(stream), parts.ToArray(stream));
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void WithoutParameters_IsDropoutAndASum(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceTensor<float> x = Values(stream, 7, 45), residual = Values(stream, 7, 45), y = stream.Device.Allocate<float>(7, 45);
        BiasDropoutResidual.Forward(stream, x, null, null, residual, y, 0.4, Key);
        Dropout.Forward(stream, x, x, 0.4, Key);
        Assert.Equal(x.ToArray(stream).Zip(residual.ToArray(stream), (dropped, past) => dropped + past), y.ToArray(stream), (a, b) =>
            Math.Abs(a - b) < 1e-6);
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void ADroppedRow_IsItsResidual_AndKeptRowsAreScaledByTheRealisedReciprocal(string deviceId)
    {
        const int Rows = 4000, Columns = 3;
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceTensor<float> x = stream.Device.Allocate<float>(Rows, Columns), residual = stream.Device.Allocate<float>(Rows, Columns);
        stream.Fill(x, 1);
        stream.Fill(residual, 5);
        BiasDropoutResidual.Forward(stream, x, null, null, residual, residual, 0, Key, new BiasDropoutResidualOptions
        {
            RowDropProbability = 0.25,
        });

        float[][] rows = [.. residual.ToArray(stream).Chunk(Columns)];
        float scaled = 5 + (float)KeepThreshold.FromDropProbability(0.25).Scale;
        Assert.All(rows, row => Assert.True(row.All(value => value == 5) || row.All(value => value == scaled)));

        // 5 sigma of 4,000 draws.
        Assert.InRange(rows.Count(row => row[0] == 5) / (double)Rows, 0.25 - 0.035, 0.25 + 0.035);
    }

    private static DeviceTensor<float> Values(DeviceStream stream, int rows, int columns) =>
        stream.Device.Upload<float>([.. Enumerable.Range(0, rows * columns).Select(i => (i * 7 % 11) - 4.5f)], [rows, columns]);
}
