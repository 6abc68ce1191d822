using Kernels.Devices;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Normalization;

/// <summary>Passes in one launch, whose groups wait for each other: when they are chosen, and that their bits stay.</summary>
public sealed class ResidentBatchNormTests(TestDevices devices)
{
    /// <summary>Maps in two parts of a channel, that begin inside blocks or inside chunks; rows in three parts of two tiles.</summary>
    private static readonly long[] Maps = [3, 2, 2740], OddMaps = [4, 2, 2742], Rows = [100, 136];

    /// <summary>Ten channels in two parts, and nine tiles: more than the machine's two multiprocessors hold at once.</summary>
    private static readonly long[] MapsInTurn = [1, 10, 8196], RowsInTurn = [66, 1152];

    /// <summary>Of which nothing waits: a channel fits into a group.</summary>
    private static readonly long[] Alone = [2, 1, 2104];

    /// <summary>Of so many blocks that items go on copying while they add up; half of a large GPU's groups keep a channel each.</summary>
    private static readonly long[] LongMaps = [1, 67, 33208], LongRows = [290, 8584];

    /// <summary>What follows the normalization; y is given to the gradients of a sum with a residual, draws to the others.</summary>
    public enum Pass
    {
        /// <summary>Residual, ReLU and dropout.</summary>
        Forward,

        /// <summary>Of ReLU and dropout, which are found out anew.</summary>
        Gradients,

        /// <summary>Of a residual too.</summary>
        GradientsOfSum,
    }

    public static TheoryData<Pass> Passes => [.. Enum.GetValues<Pass>()];

    /// <summary>Launches between teams of other sizes, and replays, find the counters of the barrier as the first one did.</summary>
    [Theory]
    [MemberData(nameof(Passes))]
    public void OneLaunchRepeatsItsBits(Pass pass)
    {
        using DeviceStream stream = CreateStream();
        (long[], long[])[] pairs = [(Maps, Rows), (MapsInTurn, Rows), (RowsInTurn, Maps)];
        foreach ((long[] shape, long[] otherShape) in pairs)
        {
            using Call call = new(stream, pass, shape, offset: 0), other = new(stream, Pass.Forward, otherShape, offset: 0);
            Assert.Equal(1, call.CountLaunches());
            call.Run();
            float[][] results = call.Download();
            using DeviceGraph graph = stream.Capture(() =>
            {
                call.Run();
                other.Run();
            });
            for (int replay = 0; replay < 3; replay++)
            {
                call.Forget();
                if (replay == 1) call.Run();
                graph.Launch(stream);
                Assert.Equal(results, call.Download());
            }
        }
    }

    /// <summary>Off 16 bytes there are three launches: the same draws, and sums in another order.</summary>
    [Theory]
    [MemberData(nameof(Passes))]
    public void ThreeLaunchesComeToTheSame(Pass pass)
    {
        using DeviceStream stream = CreateStream();
        foreach (long[] shape in (long[][])[Maps, Rows, MapsInTurn, RowsInTurn, Alone, LongMaps, LongRows])
        {
            using Call one = new(stream, pass, shape, offset: 0), three = new(stream, pass, shape, offset: 1);
            Assert.Equal((1, 3), (one.CountLaunches(), three.CountLaunches()));
            one.Run();
            three.Run();
            foreach ((float[] of, float[] others) in one.Download().Zip(three.Download()))
            {
                // Sums of a channel are larger than what each of its elements has to do with them.
                float rounding = of.Length == shape[1] ? 2e-4f : 4e-6f;
                foreach ((float a, float b) in of.Zip(others)) Assert.InRange(a - b, -rounding, rounding);
            }
        }
    }

    /// <summary>
    /// A gradient may take the place of dy, with the same bits: whose maps begin inside chunks, of which other groups read the rest, has
    /// three launches either way.
    /// </summary>
    [Fact]
    public void GradientsTakeThePlaceOfDy()
    {
        using DeviceStream stream = CreateStream();
        foreach ((long[] shape, int launches) in ((long[], int)[])[([3, 2, 2744], 1), (Maps, 1), (Rows, 1), (OddMaps, 3)])
        {
            using Call apart = new(stream, Pass.Gradients, shape, offset: 0);
            using Call inPlace = new(stream, Pass.Gradients, shape, offset: 0, overwrites: true);
            Assert.Equal((launches, launches), (apart.CountLaunches(), inPlace.CountLaunches()));
            apart.Run();
            inPlace.Run();
            foreach ((float[] of, float[] others) in apart.Download().Zip(inPlace.Download())) Assert.Equal(of, others);
        }
    }

    /// <summary>
    /// A large GPU has 132 multiprocessors with 227 KB for a group, of which the texts take 11 for tables. Backward keeps two tensors.
    /// </summary>
    [Theory]
    [InlineData(32, 64, 56 * 56, "f32", 1, 2, 128, 196 << 10)]
    [InlineData(32 * 56 * 56, 64, 1, "f32", 1, 132, 132, 191 << 10)]
    [InlineData(64 * 56 * 56, 64, 1, "bf16", 1, 132, 132, 381 << 9)]
    [InlineData(32, 512, 14 * 14, "f32", 1, 1, 512, 26 << 10)]
    [InlineData(512, 4096, 1, "bf16", 1, 4, 128, 32 << 10)]
    [InlineData(256, 256, 56 * 56, "bf16", 1, 8, 128, 196 << 10)]
    [InlineData(32, 64, 56 * 56, "f32", 2, 4, 132, 196 << 10)]
    [InlineData(32, 64, 56 * 56, "bf16", 2, 2, 128, 196 << 10)]
    [InlineData(32, 256, 28 * 28, "f32", 2, 1, 256, 196 << 10)]
    [InlineData(32 * 56 * 56, 64, 1, "bf16", 2, 132, 132, 191 << 10)]
    public void PartsFillALargeGpu(long outer, long channels, long inner, string type, int kept, long splits, long groups, int bytes)
    {
        NormGeometry geometry = new(1, outer, channels, inner);
        ResidentParts parts = ResidentParts.Of(geometry, type == "f32" ? DType.Float32 : DType.BFloat16, kept);
        Assert.Equal((splits, groups, bytes), (parts.Splits, parts.Groups(geometry, held: 132), parts.SharedBytes));
    }

    [Fact]
    public void WhatItDoesNotTakeIsSaid()
    {
        using DeviceStream stream = CreateStream();
        NormGeometry maps = new(1, 3, 2, 2740);
        Assert.Null(Reject(maps));
        Assert.Null(Reject(maps, kept: NormPasses.KeptBackward));
        Assert.Null(Reject(maps with { Inner = 2744 }, DType.BFloat16, kept: NormPasses.KeptBackward));
        Assert.Contains("inside chunks", Reject(maps, DType.BFloat16, kept: NormPasses.KeptBackward), StringComparison.Ordinal);
        Assert.Contains("inside chunks", Reject(maps with { Inner = 2742 }, kept: NormPasses.KeptBackward), StringComparison.Ordinal);
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
            in NormGeometry geometry, DType dtype = DType.Float32, bool vectors = true, DeviceStream? other = null,
            int kept = NormPasses.KeptForward) =>
            NormPasses.RejectResident(other ?? stream, geometry, dtype, vectors, NormEpilogue.None, kept, out _);
    }

    private DeviceStream CreateStream()
    {
        DeviceStream stream = devices.CreateStream("cuda:0");
        string? reason = stream.Device.RejectResidentKernels();
        if (reason is not null) stream.Dispose();
        Assert.SkipWhen(reason is not null, $"cuda:0: {reason}");
        return stream;
    }

    /// <summary>A pass over values that are the same wherever they begin.</summary>
    private sealed class Call : IDisposable
    {
        private static readonly RandomKey Key = new(5, 7);

        private readonly Random _random = new(3);
        private readonly List<IDisposable> _memory = [];
        private readonly DeviceStream _stream;
        private readonly Pass _pass;
        private readonly int _offset;
        private readonly DeviceTensor<float> _x, _other, _y, _dy, _result, _statistics, _dGamma, _dBeta;

        public Call(DeviceStream stream, Pass pass, long[] shape, int offset, bool overwrites = false)
        {
            (_stream, _pass, _offset) = (stream, pass, offset);
            long channels = shape[1];
            _x = Values(shape, 1);
            _dy = Values(shape, -0.5f);
            _y = Values(shape, -0.5f);
            _other = Values(shape, 0);
            _result = overwrites ? _dy : Values(shape, 0);
            float[] statistics = [.. Enumerable.Range(0, 3 * (int)channels).Select(i => i < channels ? 1.5f : i < 2 * channels ? 0 : 3.4f)];
            _statistics = Keep(stream.Device.Upload<float>(statistics, 3, channels));
            _dGamma = Keep(stream.Device.Allocate<float>(channels));
            _dBeta = Keep(stream.Device.Allocate<float>(channels));
        }

        /// <summary>Of a run that is only captured, for others launch on the device too.</summary>
        public int CountLaunches()
        {
            using DeviceGraph graph = _stream.Capture(Run);
            return graph.KernelCount;
        }

        public void Run()
        {
            switch (_pass)
            {
                case Pass.Forward:
                    BatchNormAddRelu.Forward(
                        _stream, _x, _other, null, null, _result, _statistics, null, null, dropProbability: 0.25, Key);
                    break;
                case Pass.Gradients:
                    BatchNormRelu.Backward(
                        _stream, _x, null, null, _statistics, _dy, _result, _dGamma, _dBeta, dropProbability: 0.25, Key);
                    break;
                default:
                    BatchNormAddRelu.Backward(
                        _stream, _x, _y, null, _statistics, _dy, _result, _other, _dGamma, _dBeta, dropProbability: 0.25);
                    break;
            }
        }

        public float[][] Download() => [.. Results.Select(result => result.ToArray(_stream))];

        public void Forget()
        {
            foreach (DeviceTensor<float> result in Results) _stream.Fill(result, float.NaN);
        }

        public void Dispose() => _memory.ForEach(memory => memory.Dispose());

        private DeviceTensor<float>[] Results => _pass switch
        {
            Pass.Forward => [_result, _statistics],
            Pass.Gradients => [_result, _dGamma, _dBeta],
            _ => [_result, _other, _dGamma, _dBeta],
        };

        private DeviceTensor<float> Values(long[] shape, float least)
        {
            long length = TensorShape.Count(shape);
            float[] values = [.. new float[_offset], .. Enumerable.Range(0, (int)length).Select(_ => _random.NextSingle() + least)];
            return Keep(_stream.Device.Upload<float>(values, values.Length)).Slice(_offset, length).Reshape(shape);
        }

        private DeviceTensor<float> Keep(DeviceTensor<float> tensor)
        {
            _memory.Add(tensor);
            return tensor;
        }
    }
}
