using Kernels.Devices;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Normalization;

/// <summary>The forward pass in one launch, whose groups wait for each other: when it is chosen, and that its bits stay.</summary>
public sealed class ResidentBatchNormTests(TestDevices devices)
{
    /// <summary>Maps in two parts of a channel that begin inside blocks; rows in three parts of two tiles.</summary>
    private static readonly long[] Maps = [3, 2, 2740], Rows = [50, 264];

    /// <summary>Of which nothing waits: a channel fits into a group.</summary>
    private static readonly long[] Alone = [2, 1, 2104];

    /// <summary>Launches between grids of other sizes, and replays, find the counter of the barrier as the first one did.</summary>
    [Fact]
    public void OneLaunchRepeatsItsBits()
    {
        using DeviceStream stream = CreateStream();
        foreach (long[] shape in (long[][])[Maps, Rows])
        {
            using Call call = new(stream, shape, offset: 0);
            using Call other = new(stream, shape == Maps ? Rows : Maps, offset: 0);
            Assert.Equal(1, call.CountLaunches());
            call.Run();
            float[] y = call.Y.ToArray(stream), statistics = call.Statistics.ToArray(stream);
            using DeviceGraph graph = stream.Capture(() =>
            {
                call.Run();
                other.Run();
            });
            for (int replay = 0; replay < 3; replay++)
            {
                stream.Fill(call.Y, float.NaN);
                if (replay == 1) call.Run();
                graph.Launch(stream);
                Assert.Equal(y, call.Y.ToArray(stream));
                Assert.Equal(statistics, call.Statistics.ToArray(stream));
            }
        }
    }

    /// <summary>Off 16 bytes there are three launches: the same draws, and sums in another order.</summary>
    [Fact]
    public void ThreeLaunchesComeToTheSame()
    {
        using DeviceStream stream = CreateStream();
        foreach (long[] shape in (long[][])[Maps, Rows, Alone])
        {
            using Call one = new(stream, shape, offset: 0), three = new(stream, shape, offset: 1);
            Assert.Equal((1, 3), (one.CountLaunches(), three.CountLaunches()));
            one.Run();
            three.Run();
            foreach ((float a, float b) in one.Y.ToArray(stream).Zip(three.Y.ToArray(stream))) Assert.InRange(a - b, -4e-6f, 4e-6f);
            foreach ((float a, float b) in one.Statistics.ToArray(stream).Zip(three.Statistics.ToArray(stream)))
                Assert.InRange(a - b, -1e-6f, 1e-6f);
        }
    }

    /// <summary>A large GPU has 132 multiprocessors with 227 KB for a group, of which the texts take 25 for tables.</summary>
    [Theory]
    [InlineData(32, 64, 56 * 56, "f32", 2, 128, 200 << 10)]
    [InlineData(32 * 56 * 56, 64, 1, "f32", 126, 126, 200 << 10)]
    [InlineData(64 * 56 * 56, 64, 1, "bf16", 128, 128, 196 << 10)]
    [InlineData(32, 512, 14 * 14, "f32", 1, 512, 32 << 10)]
    [InlineData(512, 4096, 1, "bf16", 8, 128, 32 << 10)]
    [InlineData(256, 256, 56 * 56, "bf16", 8, 2048, 196 << 10)]
    public void PartsFillALargeGpu(long outer, long channels, long inner, string type, long splits, long groups, int bytes)
    {
        NormGeometry geometry = new(1, outer, channels, inner);
        ResidentParts parts = ResidentParts.Of(geometry, type == "f32" ? DType.Float32 : DType.BFloat16);
        Assert.Equal((splits, groups, bytes), (parts.Splits, parts.Jobs(geometry), parts.SharedBytes));
    }

    [Fact]
    public void WhatItDoesNotTakeIsSaid()
    {
        using DeviceStream stream = CreateStream();
        NormGeometry maps = new(1, 3, 2, 2740);
        Assert.Null(Reject(maps));
        Assert.Contains("verification", Reject(maps, DType.Float64), StringComparison.Ordinal);
        Assert.Contains("16 bytes", Reject(maps, vectors: false), StringComparison.Ordinal);
        Assert.Contains("2 sets", Reject(maps with { Sets = 2 }), StringComparison.Ordinal);
        Assert.Contains("holds", Reject(maps with { Outer = 1 << 20 }), StringComparison.Ordinal);
        using DeviceTensor<int> lengths = stream.Device.Upload<int>([1, 2, 3], 3);
        Assert.Contains("masks", Reject(maps with { Lengths = lengths.Argument }), StringComparison.Ordinal);
        using DeviceStream borrowed = stream.Device.WrapStream(stream.NativeHandle);
        Assert.Contains("owner", Reject(maps, other: borrowed), StringComparison.Ordinal);
        using Device cpu = Device.Open("cpu");
        using DeviceStream onCpu = cpu.CreateStream();
        Assert.Contains("CUDA", Reject(maps, other: onCpu), StringComparison.Ordinal);

        string? Reject(
            in NormGeometry geometry, DType dtype = DType.Float32, bool vectors = true, DeviceStream? other = null) =>
            NormPasses.RejectResident(other ?? stream, geometry, dtype, vectors, NormEpilogue.None);
    }

    private DeviceStream CreateStream()
    {
        DeviceStream stream = devices.CreateStream("cuda:0");
        string? reason = stream.Device.RejectResidentKernels();
        if (reason is not null) stream.Dispose();
        Assert.SkipWhen(reason is not null, $"cuda:0: {reason}");
        return stream;
    }

    /// <summary>With residual, ReLU and dropout behind it.</summary>
    private sealed class Call : IDisposable
    {
        private static readonly RandomKey Key = new(5, 7);

        private readonly DeviceStream _stream;
        private readonly DeviceTensor<float> _x, _residual, _y;

        public Call(DeviceStream stream, long[] shape, int offset)
        {
            Random random = new(3);
            long length = TensorShape.Count(shape), channels = shape[1];
            _stream = stream;
            _x = Values(length + offset);
            _residual = Values(length + offset);
            _y = stream.Device.Allocate<float>(length + offset);
            X = _x.Slice(offset, length).Reshape(shape);
            Residual = _residual.Slice(offset, length).Reshape(shape);
            Y = _y.Slice(offset, length).Reshape(shape);
            Statistics = stream.Device.Allocate<float>(3, channels);

            // Elements are the same wherever they begin.
            DeviceTensor<float> Values(long count) => stream.Device.Upload<float>(
                [.. new float[offset], .. Enumerable.Range(0, (int)(count - offset)).Select(_ => random.NextSingle() + 1)], count);
        }

        public DeviceTensor<float> Y { get; }

        public DeviceTensor<float> Statistics { get; }

        private DeviceTensor<float> X { get; }

        private DeviceTensor<float> Residual { get; }

        /// <summary>Of a run that is only captured, for others launch on the device too.</summary>
        public int CountLaunches()
        {
            using DeviceGraph graph = _stream.Capture(Run);
            return graph.KernelCount;
        }

        public void Run() => BatchNormAddRelu.Forward(
            _stream, X, Residual, null, null, Y, Statistics, null, null, dropProbability: 0.25, Key);

        public void Dispose()
        {
            _x.Dispose();
            _residual.Dispose();
            _y.Dispose();
            Statistics.Dispose();
        }
    }
}
