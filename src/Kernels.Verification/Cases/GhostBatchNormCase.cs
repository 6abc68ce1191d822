namespace Kernels.Verification;

/// <summary>Ghost batch normalization: samples in sets that are normalized by themselves.</summary>
public sealed class GhostBatchNormCase : BatchNormCase
{
    public override string Op => "ghost-batch-norm";

    public override IReadOnlyList<Problem> Problems { get; } = [.. OfEntry("forward"), .. OfEntry("backward")];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new BatchNormProblem("forward", [32, 64, 56, 56], "ResNet's first stage") { GhostSize = 8 },
        new BatchNormProblem("backward", [32, 64, 56, 56], "ResNet's first stage") { GhostSize = 8 },
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("ghosts that do not divide the batch", typeof(ArgumentOutOfRangeException), (device, stream) => Call(device, stream, 4)),
        new("ghosts of no samples", typeof(ArgumentOutOfRangeException), (device, stream) => Call(device, stream, 0)),
        new("one value a channel", typeof(ArgumentException), (device, stream) => Call(device, stream, 1)),
        new("statistics of one set", typeof(ArgumentException), (device, stream) => Call(device, stream, 3, sets: 1)),
    ];

    public override Problem? OfLength(long length) => null;

    private static IEnumerable<Problem> OfEntry(string entry) =>
    [
        new BatchNormProblem(entry, [0, 3, 4], "no samples") { GhostSize = 2, HasRunning = false },
        new BatchNormProblem(entry, [8, 3], "few values of a channel") { GhostSize = 4 },
        new BatchNormProblem(entry, [6, 8], "one set of all") { GhostSize = 6 },
        new BatchNormProblem(entry, [6, 5, 5, 5], "odd maps") { GhostSize = 2 },
        new BatchNormProblem(entry, [4, 8, 5, 5], "maps that begin inside blocks, no gamma, no beta")
        {
            GhostSize = 1, HasGamma = false, HasBeta = false, HasRunning = false,
        },
        new BatchNormProblem(entry, [6, 3, 4, 24], "channels last") { GhostSize = 3, Layout = TensorLayout.ChannelsLast },
        new BatchNormProblem(entry, [2, 2, 2051], "several parts of each set") { GhostSize = 1 },
    ];

    private static void Call(Device device, DeviceStream stream, long ghostSize, long sets = 2)
    {
        using DeviceTensor<float> x = device.Allocate<float>(6, 4), y = device.Allocate<float>(6, 4);
        using DeviceTensor<float> statistics = device.Allocate<float>(3, sets, 4);
        GhostBatchNorm.Forward(stream, x, null, null, y, statistics, null, null, ghostSize);
    }
}
