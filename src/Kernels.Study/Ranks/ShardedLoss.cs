namespace Kernels.Study;

/// <summary>What the loss of a shard reads and writes.</summary>
internal readonly record struct ShardRows(
    DeviceTensor<float> Logits, CrossEntropyTargets Targets, DeviceTensor<float> Losses, DeviceTensor<float> LogitGradient);

/// <summary>
/// The losses of a batch in shards, and the gradient of their mean over the whole batch: what it divides by is added up over all shards
/// before. Then gradients are only ever summed, whatever the shards have: few rows, none, ignored ones, or weights.
/// </summary>
internal sealed class ShardedLoss : IDisposable
{
    private readonly RankLink _link;
    private readonly CrossEntropyOptions _options;
    private readonly DeviceTensor<float>? _classWeights;
    private readonly ShardSum? _divisor;

    /// <param name="device">The ranks' device.</param>
    /// <param name="link">The ranks.</param>
    /// <param name="mode">Of the sum.</param>
    /// <param name="options">Of the loss; it is not reduced.</param>
    /// <param name="classWeights">Of the classes; null for ones.</param>
    public ShardedLoss(Device device, RankLink link, SumMode mode, CrossEntropyOptions options, DeviceTensor<float>? classWeights = null)
    {
        (_link, _options, _classWeights) = (link, options, classWeights);

        // Where every row counts once, all ranks know how many there are.
        if (options.IgnoreIndex is not null || classWeights is not null)
            _divisor = ShardSum.Create(device, link, mode, 1, "divisor of the mean loss");
    }

    /// <param name="stream">Queue to run in.</param>
    /// <param name="shards">The shards of this rank; null for one without rows.</param>
    /// <param name="rows">Of the whole batch.</param>
    public void Run(DeviceStream stream, IReadOnlyList<ShardRows?> shards, long rows)
    {
        if (_divisor is not null) AddDivisors(stream, _divisor, shards);
        foreach (ShardRows shard in shards.OfType<ShardRows>())
        {
            if (_divisor is null)
            {
                CrossEntropy.ForwardBackward(
                    stream, shard.Logits, shard.Targets, _classWeights, lossGradient: null, shard.Losses, shard.LogitGradient,
                    normalizer: null, 1.0 / rows, _options);
            }
            else
            {
                CrossEntropy.ForwardBackwardShard(
                    stream, shard.Logits, shard.Targets, _classWeights, _divisor.Sum, lossGradient: null, shard.Losses,
                    shard.LogitGradient, gradientScale: 1, _options);
            }
        }
    }

    public void Dispose() => _divisor?.Dispose();

    private void AddDivisors(DeviceStream stream, ShardSum divisor, IReadOnlyList<ShardRows?> shards)
    {
        for (int i = 0; i < shards.Count; i++)
        {
            if (shards[i] is { } shard)
                CrossEntropy.Normalizer(stream, shard.Logits, shard.Targets, _classWeights, divisor.Part(i), _options);
            else
                stream.Fill(divisor.Part(i), 0);
        }

        _link.Call(stream, divisor.Add);
    }
}
