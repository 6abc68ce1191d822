namespace Kernels.Study;

/// <summary>How numbers are added up over ranks.</summary>
internal enum SumMode
{
    /// <summary>By a fixed tree over a fixed number of shards: the same bits for any number of ranks.</summary>
    FixedTree,

    /// <summary>By the transport's own all-reduce, with one shard a rank: the same to rounding.</summary>
    AllReduce,
}

/// <summary>A sum over all shards of all ranks, of as many numbers from each.</summary>
internal abstract class ShardSum : IDisposable
{
    /// <summary>The sum, on every rank.</summary>
    public abstract DeviceTensor<float> Sum { get; }

    public static ShardSum Create(Device device, RankLink link, SumMode mode, long length, string purpose) =>
        mode == SumMode.FixedTree ? new Tree(device, link, length, purpose) : new Plain(device, link, length, purpose);

    /// <summary>The numbers of a shard of this rank, gone after <see cref="Add"/>.</summary>
    public abstract DeviceTensor<float> Part(int shard);

    public abstract void Add(DeviceStream stream);

    public abstract void Dispose();

    private sealed class Tree(Device device, RankLink link, long length, string purpose) : ShardSum
    {
        private readonly FixedOrderSum<float> _sum = new(link.Collective, device, link.Plan.Shards, length, purpose);

        public override DeviceTensor<float> Sum => _sum.Sum;

        public override DeviceTensor<float> Part(int shard) => _sum.Part(shard);

        public override void Add(DeviceStream stream) => _sum.AllReduce(stream);

        public override void Dispose() => _sum.Dispose();
    }

    /// <summary>The sum takes the place of the rank's one shard.</summary>
    private sealed class Plain(Device device, RankLink link, long length, string purpose) : ShardSum
    {
        public override DeviceTensor<float> Sum { get; } = device.Allocate<float>(length);

        public override DeviceTensor<float> Part(int shard) => Sum;

        public override void Add(DeviceStream stream) => link.Collective.AllReduce(stream, Sum, Sum, purpose);

        public override void Dispose() => Sum.Dispose();
    }
}
