namespace Kernels.Study;

/// <content>
/// Of several shards: by mean and variance of the whole batch. The running values are those of the network that is evaluated.
/// </content>
internal sealed partial class BatchNormLayer
{
    public override LayerGroup Together(IReadOnlyList<Layer> shards, Layer evaluated, ShardSetup setup) =>
        new Synchronized([.. shards.Cast<BatchNormLayer>()], (BatchNormLayer)evaluated, setup);

    private DeviceTensor<float> Normalize(DeviceStream stream, DeviceTensor<float> x, DeviceTensor<float> statistics)
    {
        _x = x;
        DeviceTensor<float> y = Rows(_y, x);
        SyncBatchNorm.Apply(stream, x, _gamma.Value, _beta.Value, statistics, y);
        if (hasRelu) Relu.Forward(stream, y, y);
        return y;
    }

    /// <summary>The sums that the gradient of each shard needs of all, and the shard's part of those of the parameters.</summary>
    private void Reduce(DeviceStream stream, DeviceTensor<float> statistics, DeviceTensor<float> dy, DeviceTensor<float> sums)
    {
        if (hasRelu) Relu.Backward(stream, Rows(_y, dy), dy, dy);
        SyncBatchNorm.ReduceGradient(stream, _x, statistics, dy, sums, _gamma.Gradient, _beta.Gradient);
    }

    private sealed class Synchronized : LayerGroup
    {
        private const int ParameterCount = 2;

        private readonly BatchNormLayer[] _shards;
        private readonly BatchNormLayer _evaluated;
        private readonly RankLink _link;
        private readonly ShardRecords _moments;
        private readonly ShardRecords _sums;
        private readonly DeviceTensor<float> _statistics;

        public Synchronized(BatchNormLayer[] shards, BatchNormLayer evaluated, ShardSetup setup)
        {
            (_shards, _evaluated, _link) = (shards, evaluated, setup.Link);
            long channels = evaluated._mean.Length;
            _moments = new ShardRecords(setup, SyncBatchNorm.MomentRows, channels);
            _sums = new ShardRecords(setup, SyncBatchNorm.GradientRows, channels);
            _statistics = setup.Device.Allocate<float>(evaluated._statistics.Shape);
        }

        public override void Forward(ShardStep step, DeviceTensor<float>?[] x)
        {
            for (int i = 0; i < x.Length; i++)
            {
                if (x[i] is { } rows)
                    SyncBatchNorm.Statistics(step.Stream, rows, _moments.Own(i));
                else
                    step.Stream.Fill(_moments.Own(i), 0);
            }

            DeviceTensor<float> moments = _moments.Gather(step.Stream, _link, "moments of a batch");
            SyncBatchNorm.Finish(step.Stream, moments, _statistics, _evaluated._mean, _evaluated._variance);
            for (int i = 0; i < x.Length; i++)
                if (x[i] is { } rows) x[i] = _shards[i].Normalize(step.Stream, rows, _statistics);
        }

        public override bool Backward(ShardStep step, DeviceTensor<float>?[] dy)
        {
            for (int i = 0; i < dy.Length; i++)
            {
                if (dy[i] is { } gradient)
                    _shards[i].Reduce(step.Stream, _statistics, gradient, _sums.Own(i));
                else
                    step.Stream.Fill(_sums.Own(i), 0);
            }

            step.GradientsDone(ParameterCount);
            DeviceTensor<float> sums = _sums.Gather(step.Stream, _link, "sums of a normalization's gradient");
            for (int i = 0; i < dy.Length; i++)
            {
                if (dy[i] is { } gradient)
                {
                    SyncBatchNorm.ApplyGradient(
                        step.Stream, _shards[i]._x, _shards[i]._gamma.Value, _statistics, gradient, sums, gradient);
                }
            }

            return true;
        }

        public override void Dispose()
        {
            _moments.Dispose();
            _sums.Dispose();
            _statistics.Dispose();
        }
    }
}
