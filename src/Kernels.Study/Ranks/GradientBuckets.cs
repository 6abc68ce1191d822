namespace Kernels.Study;

/// <summary>
/// The gradients of a network in few long tensors, the last layers first: as soon as a backward pass has filled one, its sum over all
/// shards is on its way while the pass goes on.
/// </summary>
internal sealed class GradientBuckets : IDisposable
{
    /// <summary>What is sent at once where there is more, in bytes: as much as in PyTorch.</summary>
    public const long UsualBytes = 25_000_000;

    // A parameter starts on a whole line of memory, wherever the one before ends.
    private const long Alignment = 64;

    private readonly RankLink _link;
    private readonly List<Bucket> _buckets = [];
    private readonly int _parameters;
    private int _left;
    private int _next;

    /// <param name="device">The networks'.</param>
    /// <param name="link">The ranks.</param>
    /// <param name="shards">A network for each shard of this rank: their gradients move into the tensors.</param>
    /// <param name="summed">The network whose gradients are the sums.</param>
    /// <param name="mode">Of the sums.</param>
    /// <param name="bytes">How long a bucket is at least, but for the last.</param>
    public GradientBuckets(
        Device device, RankLink link, IReadOnlyList<Network> shards, Network summed, SumMode mode, long bytes = UsualBytes)
    {
        _link = link;
        _parameters = summed.Parameters.Count;
        for (int end = _parameters, first; end > 0; end = first)
        {
            first = end;
            long length = 0;
            while (first > 0 && length * sizeof(float) < bytes) length += Padded(summed.Parameters[--first]);
            ShardSum sum = ShardSum.Create(device, link, mode, length, "gradients");
            _buckets.Add(new Bucket(first, sum));
            Move(sum.Sum, summed, first, end);
            for (int shard = 0; shard < shards.Count; shard++) Move(sum.Part(shard), shards[shard], first, end);
        }

        // Between two parameters nothing is ever written, and it is added up all the same.
        using DeviceStream stream = device.CreateStream();
        for (int shard = 0; shard < shards.Count; shard++) Clear(stream, shard);
        stream.Synchronize();
    }

    /// <summary>Sums that a step needs.</summary>
    public int Count => _buckets.Count;

    /// <summary>A pass begins. Shards without rows add zeros.</summary>
    public void Begin(DeviceStream stream, IReadOnlyList<TrainingStep?> steps)
    {
        (_left, _next) = (_parameters, 0);
        for (int shard = 0; shard < steps.Count; shard++)
            if (steps[shard] is null) Clear(stream, shard);
    }

    /// <summary>So many parameters more have their gradients: the last ones of those that had none.</summary>
    public void Done(DeviceStream stream, int count)
    {
        _left -= count;
        while (_next < _buckets.Count && _buckets[_next].First >= _left) _link.Post(stream, _buckets[_next++].Sum.Add);
    }

    /// <summary>The pass is over: work of the stream from here on sees the sums.</summary>
    public void End(DeviceStream stream)
    {
        Done(stream, _left);
        _link.Join(stream);
    }

    public void Dispose()
    {
        foreach (Bucket bucket in _buckets) bucket.Sum.Dispose();
    }

    private static long Padded(Parameter parameter) => (parameter.Value.Length + Alignment - 1) / Alignment * Alignment;

    /// <summary>Moves the gradients of the parameters from <paramref name="first"/> on into a tensor.</summary>
    private static void Move(DeviceTensor<float> tensor, Network network, int first, int end)
    {
        long place = 0;
        foreach (Parameter parameter in network.Parameters.Take(first..end))
        {
            parameter.MoveGradient(tensor.Slice(place, parameter.Value.Length));
            place += Padded(parameter);
        }
    }

    private void Clear(DeviceStream stream, int shard)
    {
        foreach (Bucket bucket in _buckets) stream.Fill(bucket.Sum.Part(shard), 0);
    }

    /// <summary>The sum of the gradients of the parameters from <paramref name="First"/> on to those of the bucket before.</summary>
    private sealed record Bucket(int First, ShardSum Sum);
}
