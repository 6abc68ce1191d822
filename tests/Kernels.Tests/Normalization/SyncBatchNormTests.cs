using Kernels.Tests.Support;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Normalization;

/// <summary>
/// Synchronized batch normalization from end to end: a batch in uneven shards against the same batch in one piece, on every device. The
/// transport is memory: each shard writes its record into the list that all of them read.
/// </summary>
public sealed class SyncBatchNormTests(TestDevices devices)
{
    private static readonly BatchNormOptions ChannelsLast = new() { Layout = TensorLayout.ChannelsLast };

    /// <summary>One, two, three and eight shards, some empty; maps of one launch and of several, and channels side by side.</summary>
    private static readonly (long[] Shape, long[] Shards, BatchNormOptions Options, double Centre, double Reach)[] Batches =
    [
        ([11, 3, 5, 5], [11], default, 0, 2),
        ([11, 3, 5, 5], [4, 7], default, 0, 2),
        ([11, 4, 6, 3], [10, 0, 1], ChannelsLast, 0, 2),
        ([29, 5, 9], [1, 9, 0, 2, 3, 8, 1, 5], default, 0, 2),
        ([5, 2, 2101], [2, 0, 3], default, 1e6, 2),
        ([40, 3], [13, 20, 7], default, 3, 1e-4),
    ];

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void AnyShards_AreOneBigBatch(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        foreach ((long[] shape, long[] shards, BatchNormOptions options, double centre, double reach) in Batches)
        {
            using Batch batch = new(stream, shape, options, centre, reach);
            Results expected = batch.Whole(), actual = batch.InShards(shards);
            string text = $"{string.Join('x', shape)} in {string.Join('+', shards)}";
            AssertClose(expected.Y, actual.Y, 4e-6 * (1 + (Math.Abs(centre) * 1e-6)), $"y of {text}");
            AssertClose(expected.Dx, actual.Dx, 4e-6 * expected.Dx.Max(Math.Abs), $"dx of {text}");
            double ofSums = 1e-5 * expected.Y.Length / expected.DGamma.Length;
            AssertClose(expected.DGamma, actual.DGamma, ofSums, $"dgamma of {text}");
            AssertClose(expected.DBeta, actual.DBeta, ofSums, $"dbeta of {text}");
            AssertClose(expected.Running, actual.Running, 1e-6 * (1 + Math.Abs(centre)), $"running values of {text}");
        }
    }

    /// <summary>
    /// The same shards give the same bits on every rank, whichever ranks hold them, so that one device with all of them stands for any
    /// number; records of no elements behind the others change nothing, nor does a list of one record that was merged from one.
    /// </summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void RecordsDecideTheBits(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using Batch batch = new(stream, [13, 3, 5, 5], default, 0, 2);
        Results once = batch.InShards([3, 4, 0, 6]);
        Assert.Equal(once, batch.InShards([3, 4, 0, 6]));
        Assert.Equal(once, batch.InShards([3, 4, 0, 6, 0, 0]));
        Results whole = batch.InShards([13]);
        Assert.Equal(whole, batch.InShards([13, 0]));
        Assert.Equal(whole, batch.InShards([13], mergesFirst: true));
    }

    /// <summary>Whatever the shards, as their means are not apart.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void ConstantChannels_AreExactlyBeta(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using Batch batch = new(stream, [9, 2, 7], default, 0.1, 0);
        Assert.All(batch.InShards([2, 0, 6, 1]).Y.Select((y, i) => (y, i)), pair =>
            Assert.Equal(batch.Beta[pair.i / 7 % 2], pair.y));
    }

    /// <summary>One element in all shards has no deviation: its channel is beta, and running values stay as they are.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void OneElementInAll_LeavesRunningValuesAlone(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        using Batch batch = new(stream, [1, 3], default, 0, 2);
        Results results = batch.InShards([0, 1]);
        Assert.Equal([0, 0, 0, 1, 1, 1], results.Running);
        Assert.Equal(batch.Beta, results.Y);
    }

    private static void AssertClose(float[] expected, float[] actual, double tolerance, string text)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
        {
            Assert.True(
                Math.Abs(expected[i] - actual[i]) <= tolerance, $"{text}: element {i} is {actual[i]:R}, in one piece {expected[i]:R}");
        }
    }

    /// <summary>All that a training step gives.</summary>
    private sealed record Results(float[] Y, float[] Dx, float[] DGamma, float[] DBeta, float[] Running, float[] Statistics)
    {
        public bool Equals(Results? other) => other is not null && All.SequenceEqual(other.All);

        public override int GetHashCode() => Y.Length;

        private IEnumerable<int> All =>
            new[] { Y, Dx, DGamma, DBeta, Running, Statistics }.SelectMany(values => values).Select(BitConverter.SingleToInt32Bits);
    }

    /// <summary>A batch and its gradient.</summary>
    private sealed class Batch : IDisposable
    {
        private readonly DeviceStream _stream;
        private readonly BatchNormOptions _options;
        private readonly long _channels;
        private readonly DeviceTensor<float> _x, _dy, _gamma, _beta;

        public Batch(DeviceStream stream, long[] shape, BatchNormOptions options, double centre, double reach)
        {
            _stream = stream;
            _options = options;
            _channels = options.Layout == TensorLayout.ChannelsLast ? shape[^1] : shape[1];
            long length = shape.Aggregate((a, b) => a * b);
            _x = Upload("x", length, centre, reach).Reshape(shape);
            _dy = Upload("dy", length, 0, 2).Reshape(shape);
            _gamma = Upload("gamma", _channels, 0, 2);
            _beta = Upload("beta", _channels, 0, 2);
            Beta = _beta.ToArray(stream);
        }

        public float[] Beta { get; }

        public Results Whole()
        {
            using DeviceTensor<float> y = Like(_x), dx = Like(_x), statistics = Allocate(3, _channels), running = Running();
            using DeviceTensor<float> dGamma = Allocate(_channels), dBeta = Allocate(_channels);
            BatchNorm.Forward(_stream, _x, _gamma, _beta, y, statistics, Row(running, 0), Row(running, 1), _options);
            BatchNorm.Backward(_stream, _x, _gamma, statistics, _dy, dx, dGamma, dBeta, _options);
            return new Results(Read(y), Read(dx), Read(dGamma), Read(dBeta), Read(running), Read(statistics));
        }

        public Results InShards(long[] shards, bool mergesFirst = false)
        {
            using DeviceTensor<float> y = Like(_x), dx = Like(_x), statistics = Allocate(3, _channels), running = Running();
            using DeviceTensor<float> moments = Allocate(shards.Length, SyncBatchNorm.MomentRows, _channels);
            using DeviceTensor<float> merged = Allocate(1, SyncBatchNorm.MomentRows, _channels);
            using DeviceTensor<float> sums = Allocate(shards.Length, SyncBatchNorm.GradientRows, _channels);
            using DeviceTensor<float> dGamma = Allocate(shards.Length, _channels), dBeta = Allocate(shards.Length, _channels);
            (long First, long Count)[] places = [.. shards.Select((count, i) => (shards[..i].Sum(), count))];
            for (int i = 0; i < shards.Length; i++)
                SyncBatchNorm.Statistics(_stream, Shard(_x, places[i]), moments.Slice(i, 1).Reshape(5, _channels), _options);
            if (mergesFirst) SyncBatchNorm.Merge(_stream, moments, merged.Reshape(5, _channels));
            SyncBatchNorm.Finish(
                _stream, mergesFirst ? merged : moments, statistics, Row(running, 0), Row(running, 1), _options);
            for (int i = 0; i < shards.Length; i++)
            {
                SyncBatchNorm.Apply(_stream, Shard(_x, places[i]), _gamma, _beta, statistics, Shard(y, places[i]), _options);
                SyncBatchNorm.ReduceGradient(
                    _stream, Shard(_x, places[i]), statistics, Shard(_dy, places[i]), sums.Slice(i, 1).Reshape(3, _channels),
                    Row(dGamma, i), Row(dBeta, i), _options);
            }

            for (int i = 0; i < shards.Length; i++)
            {
                SyncBatchNorm.ApplyGradient(
                    _stream, Shard(_x, places[i]), _gamma, statistics, Shard(_dy, places[i]), sums, Shard(dx, places[i]), _options);
            }

            return new Results(
                Read(y), Read(dx), SumOfRows(Read(dGamma)), SumOfRows(Read(dBeta)), Read(running), Read(statistics));
        }

        public void Dispose()
        {
            foreach (DeviceTensor<float> tensor in new[] { _x, _dy, _gamma, _beta }) tensor.Dispose();
        }

        private static DeviceTensor<float> Shard(DeviceTensor<float> tensor, (long First, long Count) place) =>
            tensor.Slice(place.First, place.Count);

        private DeviceTensor<float> Row(DeviceTensor<float> rows, long row) => rows.Slice(row, 1).Reshape(_channels);

        private float[] SumOfRows(float[] rows) =>
            [.. Enumerable.Range(0, (int)_channels).Select(c => rows.Where((_, i) => i % _channels == c).Sum())];

        private DeviceTensor<float> Running() =>
            _stream.Device.Upload<float>([.. Enumerable.Range(0, 2 * (int)_channels).Select(i => i < _channels ? 0f : 1f)], 2, _channels);

        private DeviceTensor<float> Upload(string name, long length, double centre, double reach)
        {
            double[] values = reach == 0
                ? [.. Enumerable.Repeat(centre, (int)length)]
                : Elements.Uniform(DType.Float32, length, 7, name, centre - reach, centre + reach);
            return _stream.Device.Upload<float>([.. values.Select(value => (float)value)], length);
        }

        private DeviceTensor<float> Like(DeviceTensor<float> tensor) => _stream.Device.Allocate<float>(tensor.Shape);

        private DeviceTensor<float> Allocate(params long[] shape) => _stream.Device.Allocate<float>(shape);

        private float[] Read(DeviceTensor<float> tensor) => tensor.ToArray(_stream);
    }
}
