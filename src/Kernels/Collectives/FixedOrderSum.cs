using System.Numerics;

namespace Kernels;

/// <summary>
/// A sum over logical shards of the work, in an order that depends on their number alone: the same bits on 1, 2, 4 or 8 ranks, over every
/// transport, on the same kind of device.
/// </summary>
/// <typeparam name="T">Stored type: float, Half, BFloat16 or double; sums are in float (double for double).</typeparam>
/// <remarks>
/// <para>
/// Rank r holds the shards from r n / ranks on, n / ranks of them, and writes the values of each into its <see cref="Part"/>.
/// <see cref="AllReduce"/> adds them up in <see cref="Sum"/> on every rank, in a fixed binary tree over shards: neighbours, then
/// neighbouring sums. Float and double give the tree's sums as they are; half types are rounded once, with more than eight shards once for
/// each eight.
/// </para>
/// <para>
/// Pieces of the parts go to the rank that adds them up (<see cref="ICollective.AllToAll{T}(DeviceStream, DeviceTensor{T}, DeviceTensor{T},
/// RankGroups, string)"/>), and the sums of pieces to all (<see cref="ICollective.AllGather{T}(DeviceStream, DeviceTensor{T},
/// DeviceTensor{T}, RankGroups, string)"/>). A rank whose number of shards is a power of two holds a whole subtree: of float and double it
/// adds that up first. What it sends is then 2 (n - 1) / n of the tensor on n ranks, as many bytes as any all-reduce moves.
/// </para>
/// <para>
/// Likewise a node (<see cref="ICollective.RanksPerNode"/>) whose shards are a power of two: its ranks add up first, each a piece of the
/// node's sum, and then those with the same place in their nodes a piece of that. Of n values n / k cross the nodes' borders from each of
/// k ranks of a node, and n / k back. The bits are the same.
/// </para>
/// </remarks>
public sealed class FixedOrderSum<T> : IDisposable
    where T : unmanaged
{
    private const string Op = "FixedOrderSum";

    /// <summary>Pieces start on this many elements, so that they are read in wide accesses.</summary>
    private const long Alignment = 16;

    private readonly ICollective _collective;
    private readonly string? _purpose;
    private readonly long _length;
    private readonly DeviceTensor<T> _parts; // [local shards, whole]
    private readonly DeviceTensor<T> _whole; // the sum, with what lies behind its values
    private readonly TreeSum<T>? _ownSum; // of all parts: the sum where there is one rank, else the first level's source
    private readonly DeviceTensor<T> _sent; // [parts or their sum, whole]
    private readonly List<Level> _levels = [];
    private bool _cleared;

    /// <summary>The sum over <paramref name="shardCount"/> shards of tensors of <paramref name="length"/> elements.</summary>
    /// <param name="collective">The ranks; stays the caller's.</param>
    /// <param name="device">Where the parts and the sum lie.</param>
    /// <param name="shardCount">A multiple of the number of ranks; the same on all.</param>
    /// <param name="length">Elements of a shard's tensor; the same on all ranks.</param>
    /// <param name="purpose">What the sum is for, in error messages.</param>
    /// <exception cref="ArgumentException">The shards cannot be dealt evenly to the ranks.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The length is negative, or there is no shard.</exception>
    /// <exception cref="OutOfDeviceMemoryException">The device has too little free memory.</exception>
    public FixedOrderSum(ICollective collective, Device device, int shardCount, long length, string? purpose = null)
    {
        ArgumentNullException.ThrowIfNull(collective);
        ArgumentNullException.ThrowIfNull(device);
        ArgumentOutOfRangeException.ThrowIfLessThan(shardCount, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        int ranks = collective.RankCount;
        if (shardCount % ranks != 0)
        {
            throw new ArgumentException(
                $"{Op}: {shardCount} shards cannot be dealt evenly to {ranks} ranks.", nameof(shardCount));
        }

        (_collective, _purpose, _length) = (collective, purpose, length);
        (ShardCount, PartCount) = (shardCount, shardCount / ranks);
        FirstShard = collective.Rank * PartCount;
        long unit = ranks == 1 ? 1 : ranks * Alignment, whole = (length + unit - 1) / unit * unit;
        _parts = device.Allocate<T>(PartCount, whole);
        _whole = device.Allocate<T>(whole);
        Sum = _whole.Buffer.View(0, length);
        bool isSubtree = BitOperations.IsPow2(PartCount) && (typeof(T) == typeof(float) || typeof(T) == typeof(double));
        _sent = ranks == 1 ? _whole : isSubtree && PartCount > 1 ? device.Allocate<T>(1, whole) : _parts;
        if (_sent != _parts)
            _ownSum = new TreeSum<T>(device, [.. Enumerable.Range(0, PartCount).Select(Part)], _sent.Buffer.View(0, length));
        if (ranks == 1) return;
        int perNode = collective.RanksPerNode;
        bool goesByNodes = isSubtree && perNode > 1 && perNode < ranks && BitOperations.IsPow2(perNode);
        _levels.Add(new Level(device, _sent, new RankGroups(goesByNodes ? perNode : ranks)));
        if (goesByNodes)
            _levels.Add(new Level(device, _levels[0].Piece.Reshape(1, whole / perNode), new RankGroups(ranks / perNode, perNode)));
    }

    /// <summary>How many shards there are.</summary>
    public int ShardCount { get; }

    /// <summary>The first shard that this rank holds.</summary>
    public int FirstShard { get; }

    /// <summary>How many shards this rank holds.</summary>
    public int PartCount { get; }

    /// <summary>The sum over all shards, after <see cref="AllReduce"/>; a view, of the length given.</summary>
    public DeviceTensor<T> Sum { get; }

    /// <summary>Where the values of shard <see cref="FirstShard"/> + <paramref name="index"/> go; a view.</summary>
    /// <exception cref="ArgumentOutOfRangeException">This rank holds no such shard.</exception>
    public DeviceTensor<T> Part(int index)
    {
        if (index < 0 || index >= PartCount)
            throw new ArgumentOutOfRangeException(nameof(index), index, $"{Op}: this rank holds {PartCount} shards.");
        return _parts.Buffer.View(index * _parts.Shape[1], _length);
    }

    /// <summary>
    /// Sum = the sum of all shards' parts, on every rank. Ordered in the stream as the calls of <see cref="ICollective"/> are.
    /// </summary>
    /// <exception cref="ArgumentException">The stream belongs to another device.</exception>
    /// <exception cref="CollectiveException">A rank is missing or made another call, or the transport failed.</exception>
    public void AllReduce(DeviceStream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        if (_levels.Count > 0) ClearEnds(stream);
        _ownSum?.Run(stream);
        foreach (Level level in _levels) level.Add(stream, _collective, _purpose);
        for (int i = _levels.Count - 1; i >= 0; i--)
            _collective.AllGather(stream, _levels[i].Piece, i == 0 ? _whole : _levels[i - 1].Piece, _levels[i].Groups, _purpose);
    }

    /// <summary>Frees the tensors.</summary>
    public void Dispose()
    {
        _levels.ForEach(level => level.Dispose());
        _ownSum?.Dispose();
        _sent.Dispose();
        _parts.Dispose();
        _whole.Dispose();
    }

    /// <summary>What lies behind the values of a row travels and is added up, too, and nobody writes it.</summary>
    private void ClearEnds(DeviceStream stream)
    {
        if (_cleared) return;
        long length = _sent.Shape[1];
        for (int index = 0; index < _sent.Shape[0]; index++)
            stream.Fill(_sent.Buffer.View((index * length) + _length, length - _length), default);
        _cleared = true;
    }

    /// <summary>The sum over the ranks of each group, of which each has a piece then.</summary>
    private sealed class Level : IDisposable
    {
        private readonly DeviceTensor<T> _source; // [rows, ranks * piece]
        private readonly DeviceTensor<T> _received; // [rows, ranks * piece]
        private readonly TreeSum<T> _sum;

        public Level(Device device, DeviceTensor<T> source, RankGroups groups)
        {
            (_source, Groups) = (source, groups);
            int rows = (int)source.Shape[0];
            long piece = source.Shape[1] / groups.Size;
            _received = device.Allocate<T>(source.Shape);
            Piece = device.Allocate<T>(piece);
            // In the order of shards: rank by rank, and its own in their order.
            IEnumerable<DeviceTensor<T>> pieces = Enumerable.Range(0, rows * groups.Size)
                .Select(place => _received.Buffer.View((((place % rows) * groups.Size) + (place / rows)) * piece, piece));
            _sum = new TreeSum<T>(device, [.. pieces], Piece);
        }

        public RankGroups Groups { get; }

        /// <summary>This rank's piece of its group's sum.</summary>
        public DeviceTensor<T> Piece { get; }

        public void Add(DeviceStream stream, ICollective collective, string? purpose)
        {
            for (int row = 0; row < _source.Shape[0]; row++)
                collective.AllToAll(stream, _source.Slice(row, 1), _received.Slice(row, 1), Groups, purpose);
            _sum.Run(stream);
        }

        public void Dispose()
        {
            _sum.Dispose();
            _received.Dispose();
            Piece.Dispose();
        }
    }
}

/// <summary>The sum of tensors of one length in a fixed binary tree, eight at a time.</summary>
internal sealed class TreeSum<T> : IDisposable
    where T : unmanaged
{
    private const int AtOnce = 8;

    private readonly List<TiedGradients<T>> _passes = [];
    private readonly List<DeviceTensor<T>> _sums = [];

    public TreeSum(Device device, DeviceTensor<T>[] sources, DeviceTensor<T> sum)
    {
        while (sources.Length > AtOnce)
        {
            DeviceTensor<T> sums = device.Allocate<T>((sources.Length + AtOnce - 1) / AtOnce, sum.Length);
            _sums.Add(sums);
            IEnumerable<int> places = Enumerable.Range(0, (int)sums.Shape[0]);
            DeviceTensor<T>[] rows = [.. places.Select(place => sums.Buffer.View(place * sum.Length, sum.Length))];
            _passes.Add(new TiedGradients<T>(device, rows, sources.Chunk(AtOnce).ToArray()));
            sources = rows;
        }

        _passes.Add(new TiedGradients<T>(device, [sum], [sources]));
    }

    public void Run(DeviceStream stream)
    {
        foreach (TiedGradients<T> pass in _passes) pass.Sum(stream);
    }

    public void Dispose()
    {
        _passes.ForEach(pass => pass.Dispose());
        _sums.ForEach(sums => sums.Dispose());
    }
}
