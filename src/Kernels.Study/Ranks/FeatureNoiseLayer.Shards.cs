namespace Kernels.Study;

/// <content>Of several shards: by the deviations of the whole batch, for which every rank sees all of its features.</content>
internal sealed partial class FeatureNoiseLayer
{
    public override LayerGroup Together(IReadOnlyList<Layer> shards, Layer evaluated, ShardSetup setup) =>
        new OfWholeBatch([.. shards.Cast<FeatureNoiseLayer>()], setup);

    private sealed class OfWholeBatch : LayerGroup
    {
        private readonly FeatureNoiseLayer[] _layers;
        private readonly ShardSetup _setup;
        private readonly ShardRecords _features;
        private readonly DeviceTensor<float> _batch;

        public OfWholeBatch(FeatureNoiseLayer[] layers, ShardSetup setup)
        {
            (_layers, _setup) = (layers, setup);
            long width = layers[0]._deviations.Shape[1];
            _features = new ShardRecords(setup, setup.MaximumRows, width);
            _batch = setup.Device.Allocate<float>((long)setup.MaximumRows * setup.Plan.Shards, width);
        }

        public override void Forward(ShardStep step, DeviceTensor<float>?[] x)
        {
            for (int i = 0; i < x.Length; i++)
                if (x[i] is { } rows) step.Stream.Copy(rows, _features.Own(i).Slice(0, rows.Shape[0]).Reshape(rows.Shape));
            DeviceTensor<float> all = _features.Gather(step.Stream, _setup.Link, "features of a batch");
            for (int shard = 0; shard < _setup.Plan.Shards; shard++)
            {
                (long first, long count) = _setup.Plan.RowsOf(shard, step.Rows);
                if (count == 0) continue;
                DeviceTensor<float> record = all.Slice(shard, 1).Reshape(all.Shape[1], all.Shape[2]);
                step.Stream.Copy(record.Slice(0, count), _batch.Slice(first, count));
            }

            DeviceTensor<float> deviations = _layers[0]._deviations;
            FeatureNoise.Deviations(step.Stream, _batch.Slice(0, step.Rows), step.Labels, deviations);
            for (int i = 0; i < x.Length; i++)
            {
                if (x[i] is not { } rows) continue;
                x[i] = Rows(_layers[i]._y, rows);
                _layers[i].AddNoise(step.Steps[i]!.Value, rows, deviations, x[i]!);
            }
        }

        public override bool Backward(ShardStep step, DeviceTensor<float>?[] dy) => true;

        public override void Dispose()
        {
            _features.Dispose();
            _batch.Dispose();
        }
    }
}
