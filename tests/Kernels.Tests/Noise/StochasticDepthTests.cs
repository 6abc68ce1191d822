using Kernels.Tests.Support;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Noise;

/// <summary>
/// Stochastic depth and the rows that it keeps: the compact way gives the bits of the fused one, dropped rows are not read, the rules are
/// the papers'.
/// </summary>
public sealed class StochasticDepthTests(TestDevices devices)
{
    private const double P = 0.4;
    private static readonly RandomKey Key = new(20260101, 3);

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void GatherAndScatter_GiveTheBitsOfTheFusedForm(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        foreach (long run in (long[])[24, 13])
        {
            const int Rows = 50;
            using DeviceTensor<float> x = Uniform(stream, "x", Rows, run), f = Uniform(stream, "f", Rows, run);
            using DeviceTensor<float> fused = stream.Device.Allocate<float>(Rows, run),
                assembled = stream.Device.Allocate<float>(Rows, run);
            using DeviceTensor<int> rows = stream.Device.Allocate<int>(Rows), kept = stream.Device.Allocate<int>(1);
            StochasticDepth.Forward(stream, x, f, fused, P, Key);

            KeptRows.List(stream, rows, kept, P, Key);
            int[] onHost = KeptRows.OnHost(Rows, P, Key);
            Assert.Equal(onHost.Length, kept.ToArray(stream)[0]);
            Assert.Equal(onHost, rows.ToArray(stream)[..onHost.Length]);

            using DeviceTensor<float> compact = stream.Device.Allocate<float>(onHost.Length, run);
            KeptRows.Gather(stream, f, rows, compact);
            KeptRows.ScatterAdd(stream, x, compact, rows, assembled, StochasticDepth.TrainingScale(P));
            Assert.Equal(fused.ToArray(stream), assembled.ToArray(stream));

            KeptRows.ScatterAdd(stream, x, compact, rows, x, StochasticDepth.TrainingScale(P));
            Assert.Equal(fused.ToArray(stream), x.ToArray(stream));
        }
    }

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void DroppedRowsOfTheBranch_AreNotRead(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        const int Rows = 40, Run = 19;
        int[] keptRows = KeptRows.OnHost(Rows, P, Key);
        float[] branch = [.. Enumerable.Range(0, Rows * Run).Select(i => keptRows.Contains(i / Run) ? 1f : float.NaN)];
        using DeviceTensor<float> x = Uniform(stream, "x", Rows, Run), f = stream.Device.Upload<float>(branch, Rows, Run);
        using DeviceTensor<float> y = stream.Device.Allocate<float>(Rows, Run);
        float[] before = x.ToArray(stream);
        StochasticDepth.Forward(stream, x, f, y, P, Key);
        float[] after = y.ToArray(stream);
        Assert.DoesNotContain(float.NaN, after);
        for (int i = 0; i < after.Length; i++)
        {
            if (!keptRows.Contains(i / Run)) Assert.Equal(before[i], after[i]);
        }
    }

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void WrongIndices_AreReported(string deviceId)
    {
        // A device of its own: data errors come out wherever a stream is next synchronised.
        using Device device = Device.Open(devices.Open(deviceId).Id);
        using DeviceStream stream = device.CreateStream();
        using DeviceTensor<float> x = Uniform(stream, "x", 5, 3), f = Uniform(stream, "f", 3, 3);
        foreach ((int[] indices, long gathered, long scattered) in ((int[], long, long)[])[([0, 5, 1], 1, 1), ([-2, 1, 4], 0, 0),
            ([3, 1, 4], -1, 1), ([0, 2, 2], -1, 2), ([0, -1, 3], -1, 2)])
        {
            using DeviceTensor<int> rows = device.Upload<int>(indices, 3);
            KeptRows.Gather(stream, x, rows, f);
            Assert.Equal(gathered, Reported(stream));
            KeptRows.ScatterAdd(stream, x, f, rows, x, 1);
            Assert.Equal(scattered, Reported(stream));
        }
    }

    [Fact]
    public void LinearDecay_FollowsThePaperOrTimm()
    {
        Assert.Equal([0.125, 0.25, 0.375, 0.5], StochasticDepth.LinearDecay(4, 0.5, DepthIndexing.FromOne));
        Assert.Equal([0, 0.25, 0.5], StochasticDepth.LinearDecay(3, 0.5, DepthIndexing.FromZero));

        // One block: the paper's drops with the full probability, timm's never. Survival 0 at the end is a probability like any other.
        Assert.Equal([0.5], StochasticDepth.LinearDecay(1, 0.5, DepthIndexing.FromOne));
        Assert.Equal([0], StochasticDepth.LinearDecay(1, 0.5, DepthIndexing.FromZero));
        Assert.Equal([0.5, 1], StochasticDepth.LinearDecay(2, 1, DepthIndexing.FromOne));
        Assert.Empty(StochasticDepth.LinearDecay(0, 0.5, DepthIndexing.FromZero));
        Assert.Throws<ArgumentOutOfRangeException>("blocks", () => StochasticDepth.LinearDecay(-1, 0.5, DepthIndexing.FromOne));
        Assert.Throws<ArgumentOutOfRangeException>(
            "lastDropProbability", () => StochasticDepth.LinearDecay(3, double.NaN, DepthIndexing.FromOne));
        Assert.Throws<ArgumentOutOfRangeException>("indexing", () => StochasticDepth.LinearDecay(3, 0.5, (DepthIndexing)7));
        Assert.Throws<ArgumentOutOfRangeException>("scaling", () => StochasticDepth.TrainingScale(0.5, (DropoutScaling)7));
    }

    [Fact]
    public void TrainingScale_IsTheRealisedOne()
    {
        Assert.Equal(65536.0 / 39322, StochasticDepth.TrainingScale(P));
        Assert.Equal(1, StochasticDepth.TrainingScale(P, DropoutScaling.Original));
        Assert.Equal(0, StochasticDepth.TrainingScale(1));
    }

    /// <summary>The index that the next synchronisation reports, or -1.</summary>
    private static long Reported(DeviceStream stream)
    {
        try
        {
            stream.Synchronize();
            return -1;
        }
        catch (DeviceDataException e)
        {
            Assert.Contains("KeptRows", e.Message);
            return e.Index;
        }
    }

    private static DeviceTensor<float> Uniform(DeviceStream stream, string name, long rows, long run) =>
        stream.Device.Upload<float>([.. Elements.Uniform(DType.Float32, rows * run, 1, name).Select(value => (float)value)], rows, run);
}
