namespace Kernels.Study;

/// <summary>
/// Nodes of GPUs with a network card each, as NCCL's own model sees them: a call takes a fixed time, one for each of its steps from GPU to
/// GPU, and the bytes over a bandwidth.
/// </summary>
/// <remarks>
/// Latencies are those of NCCL's <c>src/graph/tuning.cc</c>, bandwidths what its authors give for H100 with NDR: 370 GB/s on the bus within
/// a node without NVLink SHARP (NVIDIA/nccl-tests#212), 47 GB/s for a card of 400 Gb/s (NVIDIA/nccl-tests#290). Times in seconds.
/// </remarks>
internal sealed record ClusterModel
{
    // Of rings: a call, a step within a node, a step between nodes; the share of the bandwidth that is left.
    private static readonly Protocol[] Rings =
        [new(3.6e-6, 0.47e-6, 2.7e-6, 0.25), new(10e-6, 1.9e-6, 4e-6, 0.92), new(8.4e-6, 3.4e-6, 9.6e-6, 1)];

    private static readonly Protocol[] Trees = [new(4.4e-6, 0.52e-6, 5e-6, 0.9 / 3.8), new(4.4e-6, 1.2e-6, 8.5e-6, 0.9 * 0.915)];

    /// <summary>GPUs of a node.</summary>
    public int NodeSize { get; init; } = 8;

    public double NodeBandwidth { get; init; } = 370e9;

    public double CardBandwidth { get; init; } = 47e9;

    /// <summary>Messages that a GPU has on their way at once.</summary>
    public int MessagesAtOnce { get; init; } = 8;

    private double BusBandwidth => Math.Min(NodeBandwidth, NodeSize * CardBandwidth);

    /// <summary>The sum of a tensor on every GPU, by NCCL.</summary>
    public double AllReduce(int gpus, double bytes)
    {
        int nodes = Nodes(gpus);
        double ring = Ring(Rings, 2 * (gpus - 1), 2 * (nodes - 1), 2 * bytes * (gpus - 1) / gpus, Bandwidth(gpus));
        double tree = Trees.Min(p =>
            p.Call + (2 * (((gpus / nodes) - 1) * p.NodeStep)) + (2 * Math.Log2(nodes) * p.CardStep) +
            (2 * bytes / (p.Share * Bandwidth(gpus))));
        return Math.Min(ring, tree);
    }

    /// <summary>Parts of a tensor of so many bytes in all to every GPU.</summary>
    public double AllGather(int gpus, double bytes) =>
        gpus == 1 ? 0 : Ring(Rings, gpus - 1, Nodes(gpus) - 1, bytes * (gpus - 1) / gpus, Bandwidth(gpus));

    /// <summary>From each GPU to each a part of the tensor.</summary>
    public double AllToAll(int gpus, double bytes)
    {
        if (gpus == 1) return 0;
        int near = Math.Min(gpus, NodeSize) - 1, far = gpus - 1 - near;
        double messages = ((near * Rings[0].NodeStep) + (far * Rings[0].CardStep)) / MessagesAtOnce;
        return Rings[0].Call + messages + Math.Max(bytes * near / gpus / NodeBandwidth, bytes * far / gpus / CardBandwidth);
    }

    /// <summary>The sum in a fixed order, each piece by one GPU of all.</summary>
    public double FixedSum(int gpus, double bytes) => AllToAll(gpus, bytes) + AllGather(gpus, bytes);

    /// <summary>
    /// The same bits by nodes: pieces are summed within a node, where the shards of a node are a subtree, and an eighth of them between the
    /// GPUs that have the same place in their nodes.
    /// </summary>
    public double FixedSumByNodes(int gpus, double bytes)
    {
        int nodes = Nodes(gpus);
        double share = bytes / NodeSize;
        double between = nodes == 1
            ? 0
            : Rings[0].Call + ((nodes - 1) * Rings[0].CardStep / MessagesAtOnce) + (share * (nodes - 1) / nodes / CardBandwidth) +
                Ring(Rings, nodes - 1, nodes - 1, share * (nodes - 1) / nodes, CardBandwidth);
        return FixedSum(Math.Min(gpus, NodeSize), bytes) + between;
    }

    /// <summary>Records of shards to every GPU, first within nodes, one for each node then between them.</summary>
    public double GatherByNodes(int gpus, double bytesOfShard, int shards)
    {
        int nodes = Nodes(gpus);
        double within = AllGather(Math.Min(gpus, NodeSize), bytesOfShard * shards / nodes);
        return nodes == 1 ? within : within + Ring(Rings, nodes - 1, nodes - 1, bytesOfShard * (nodes - 1), CardBandwidth);
    }

    private static double Ring(Protocol[] protocols, int steps, int far, double bytes, double bandwidth) =>
        protocols.Min(p => p.Call + ((steps - far) * p.NodeStep) + (far * p.CardStep) + (bytes / (p.Share * bandwidth)));

    private int Nodes(int gpus) => Math.Max(1, gpus / NodeSize);

    private double Bandwidth(int gpus) => gpus <= NodeSize ? NodeBandwidth : BusBandwidth;

    private sealed record Protocol(double Call, double NodeStep, double CardStep, double Share);
}

/// <summary>A network as the cost of its training on many GPUs sees it.</summary>
internal sealed record NetworkSize(string Name, long Parameters, IReadOnlyList<long> Normalized)
{
    /// <summary>The network of cnn+everything.</summary>
    public static NetworkSize Cnn { get; } = new("cnn+everything", 72_666, [16, 16, 32, 32, 64, 64]);

    /// <summary>He et al., 2016: 53 layers of batch normalization.</summary>
    public static NetworkSize ResNet50 { get; } =
        new("ResNet-50", 25_557_032, [64, .. Stage(3, 64), .. Stage(4, 128), .. Stage(6, 256), .. Stage(3, 512)]);

    private static IEnumerable<long> Stage(int blocks, long width) =>
        Enumerable.Repeat((long[])[width, width, 4 * width], blocks).SelectMany(block => block).Append(4 * width);
}

/// <summary>
/// What the calls of a training step take on many GPUs, in milliseconds: gradients as NCCL adds them, in a fixed order over all GPUs, and
/// by nodes; the statistics of batch normalization likewise, which nothing hides.
/// </summary>
internal sealed record StepCost(
    string Network, int Gpus, double Gradients, double FixedGradients, double FixedGradientsByNodes, double Statistics,
    double StatisticsByNodes)
{
    /// <summary>With a shard on each GPU.</summary>
    public static StepCost Of(ClusterModel cluster, NetworkSize network, int gpus)
    {
        double bytes = network.Parameters * sizeof(float);
        return new StepCost(
            network.Name, gpus, Milliseconds(cluster.AllReduce(gpus, bytes)), Milliseconds(cluster.FixedSum(gpus, bytes)),
            Milliseconds(cluster.FixedSumByNodes(gpus, bytes)),
            Milliseconds(ForEachRecord(record => cluster.AllGather(gpus, record * gpus))),
            Milliseconds(ForEachRecord(record => cluster.GatherByNodes(gpus, record, gpus))));

        double ForEachRecord(Func<double, double> gather) => network.Normalized.Sum(channels =>
            gather(SyncBatchNorm.MomentRows * channels * sizeof(float)) + gather(SyncBatchNorm.GradientRows * channels * sizeof(float)));
    }

    private static double Milliseconds(double seconds) => Math.Round(1e3 * seconds, 3);
}
