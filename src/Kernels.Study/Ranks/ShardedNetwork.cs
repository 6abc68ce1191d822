namespace Kernels.Study;

/// <summary>
/// A network over the shards of this rank: one for each, with buffers and gradients of its own, all with the parameters of the network that
/// is evaluated, whose gradients are the sums over all shards of all ranks.
/// </summary>
internal sealed class ShardedNetwork : IDisposable
{
    private readonly List<Network> _shards = [];
    private readonly LayerGroup _layers;
    private readonly GradientBuckets _gradients;

    /// <param name="setup">The shards, and the rows of the largest.</param>
    /// <param name="evaluated">Has the parameters and the statistics.</param>
    /// <param name="layers">The same layers anew.</param>
    /// <param name="features">Of an example.</param>
    /// <param name="mode">Of the sums.</param>
    /// <param name="bucketBytes">Gradients that are sent at once.</param>
    public ShardedNetwork(
        ShardSetup setup, Network evaluated, Func<IReadOnlyList<Layer>> layers, int features, SumMode mode,
        long bucketBytes = GradientBuckets.UsualBytes)
    {
        for (int i = 0; i < setup.Plan.Count; i++)
        {
            Network shard = new(setup.Device, layers(), features, setup.MaximumRows);
            _shards.Add(shard);
            foreach ((Parameter own, Parameter shared) in shard.Parameters.Zip(evaluated.Parameters)) own.ShareValue(shared);
        }

        _gradients = new GradientBuckets(setup.Device, setup.Link, _shards, evaluated, mode, bucketBytes);
        _layers = _shards[0].Layers.Together([.. _shards.Select(shard => shard.Layers)], evaluated.Layers, setup);
    }

    /// <summary>Replaces images by logits.</summary>
    public void Forward(ShardStep step, DeviceTensor<float>?[] rows) => _layers.Forward(step, rows);

    /// <summary>The buffer for the gradient of a shard's logits.</summary>
    public DeviceTensor<float> LogitGradient(int shard, long rows) => _shards[shard].LogitGradient(rows);

    /// <summary>
    /// Fills the gradients of the network that is evaluated, by those of the logits of all shards; work of the stream from here on sees
    /// them.
    /// </summary>
    public void Backward(ShardStep step)
    {
        DeviceTensor<float>?[] gradients = [.. step.Steps.Select((shard, i) =>
            shard is { } some ? _shards[i].LogitGradient(some.Samples.Length) : null)];
        _gradients.Begin(step.Stream, step.Steps);
        _layers.Backward(step with { GradientsDone = count => _gradients.Done(step.Stream, count) }, gradients);
        _gradients.End(step.Stream);
    }

    public void Dispose()
    {
        _layers.Dispose();
        foreach (Network shard in _shards) shard.Dispose();
        _gradients.Dispose();
    }
}
