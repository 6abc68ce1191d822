using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>Cutout, forward and backward, in both layouts.</summary>
public sealed class CutoutCase : OpCase
{
    private const uint OpNumber = 8;

    private static readonly RandomKey Key = new(0x6375_746f_7574, 2);

    public override string Op => "cutout";

    public override bool TakesKey => true;

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new CutoutProblem("forward", [0, 1, 4, 4], 2, "no images"),
        new CutoutProblem("forward", [3, 2, 0, 4], 2, "empty images"),
        new CutoutProblem("forward", [1, 1, 1, 1], 1, "one pixel"),
        new CutoutProblem("forward", [7, 3, 5, 3], 3, "odd sides, some clipped"),
        new CutoutProblem("forward", [13, 3, 2, 12], 3, "whole octets over two rows, a tail"),
        new CutoutProblem("forward", [13, 2, 4, 3], 2, "channels last") { Layout = TensorLayout.ChannelsLast },
        new CutoutProblem("forward", [5, 1, 28, 28], 14, "images of the study, numbered, filled") { HasIds = true, Fill = -0.5 },
        new CutoutProblem("forward", [9, 1, 8, 8], 3, "three holes, some images left alone") { Holes = 3, Skip = 0.4 },
        new CutoutProblem("forward", [4, 2, 4, 4], 1 << 20, "larger than the image"),
        new CutoutProblem("forward", [4, 2, 4, 4], 0, "a side of 0 copies") { FirstSample = 1UL << 40 },
        new CutoutProblem("backward", [7, 3, 5, 3], 3, "odd sides, some clipped"),
        new CutoutProblem("backward", [13, 2, 4, 3], 2, "channels last") { Layout = TensorLayout.ChannelsLast, Fill = 2 },
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new CutoutProblem("forward", [256, 3, 224, 224], 112, "a batch of ImageNet"),
        new CutoutProblem("forward", [256, 224, 224, 3], 112, "channels last") { Layout = TensorLayout.ChannelsLast },
        new CutoutProblem("forward", [2000, 1, 28, 28], 14, "the study's images"),
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("a side below 0", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(device, stream, [2, 1, 4, 4], -1)),
        new("a probability above 1", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [2, 1, 4, 4], 1, new CutoutOptions { SkipProbability = 2 })),
        new("holes below 0", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [2, 1, 4, 4], 1, new CutoutOptions { MoreHoles = -1 })),
        new("a filling that is NaN", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [2, 1, 4, 4], 1, new CutoutOptions { Fill = double.NaN })),
        new("no such layout", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [2, 1, 4, 4], 1, new CutoutOptions { Layout = (TensorLayout)3 })),
        new("three dimensions", typeof(ArgumentException), (device, stream) => Forward(device, stream, [2, 4, 4], 1)),
        new("samples beyond 2^64", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [2, 1, 4, 4], 1, new CutoutOptions { FirstSample = ulong.MaxValue })),
        new("numbers of a wrong shape", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(2, 1, 4, 4);
            using DeviceTensor<ulong> ids = device.Allocate<ulong>(3);
            Cutout.Forward(stream, x, ids, x, 1, Key);
        }),
        new("partial overlap", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceBuffer<float> buffer = device.AllocateBuffer<float>(16);
            Cutout.Forward(stream, buffer.View(0, 1, 1, 2, 4), null, buffer.View(4, 1, 1, 2, 4), 1, Key);
        }),
    ];

    public override IReadOnlyList<(string Source, string Destination)> InPlacePairs(Problem problem) =>
        problem.Entry == "forward" ? [("x", "y")] : [("dy", "dx")];

    public override Problem? ForwardOf(Problem problem) => problem.Entry == "backward" ? problem with { Entry = "forward" } : null;

    public override ArgumentUse UseOf(Problem problem, string tensor) =>
        tensor == "sampleIds" ? ArgumentUse.Optional : ArgumentUse.Required;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        CutoutProblem p = (CutoutProblem)problem;
        (string source, string result) = p.Entry == "forward" ? ("x", "y") : ("dy", "dx");
        List<TensorSpec> specs = [Input(source, dtype, p.Shape, seed), Output(result, dtype, p.Shape, Tolerance.Exact)];
        if (p.HasIds)
            specs.Add(new TensorSpec("sampleIds", DType.UInt64, [p.Shape[0]], TensorRole.Input, [.. p.Ids.Select(id => (double)id)]));
        return specs;
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        CutoutProblem p = (CutoutProblem)problem;
        DeviceTensor<ulong>? ids = p.HasIds ? tensors.Get<ulong>("sampleIds") : null;
        if (p.Entry == "forward")
            Cutout.Forward(stream, tensors.Get<T>("x"), ids, tensors.Get<T>("y"), p.Side, tensors.Key(Key), p.Options);
        else
            Cutout.Backward(stream, tensors.Get<T>("dy"), ids, tensors.Get<T>("dx"), p.Side, tensors.Key(Key), p.Options);
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        CutoutProblem p = (CutoutProblem)problem;
        ImageReference images = ErasedImages.Of(p.Shape, p.Layout);
        int[] boxes = EraseReference.CutoutBoxes(
            p.Ids, p.Holes, p.Side, p.Skip, images.Height, images.Width, Key.Seed, Key.Offset, OpNumber);
        if (p.Entry == "forward")
            EraseReference.Fill(values["x"], boxes, p.Holes, values["y"], images, p.Fill);
        else
            EraseReference.Fill(values["dy"], boxes, p.Holes, values["dx"], images, 0);
    }

    private static void Forward(Device device, DeviceStream stream, long[] shape, long side, CutoutOptions options = default)
    {
        using DeviceTensor<float> x = device.Allocate<float>(shape);
        Cutout.Forward(stream, x, null, x, side, Key, options);
    }
}

/// <summary>A call of cutout.</summary>
public sealed record CutoutProblem(string Entry, long[] Shape, int Side, string Reason) : Problem(Entry, Reason)
{
    public TensorLayout Layout { get; init; }

    public bool HasIds { get; init; }

    public int Holes { get; init; } = 1;

    public double Fill { get; init; }

    public double Skip { get; init; }

    public ulong FirstSample { get; init; }

    public override string Text => $"{string.Join('x', Shape)}{(Layout == TensorLayout.ChannelsLast ? " NHWC" : "")} side={Side}";

    internal ulong[] Ids =>
        [.. Enumerable.Range(0, (int)Shape[0]).Select(image => HasIds ? (ulong)(image * 7919 % 2000) : FirstSample + (ulong)image)];

    internal CutoutOptions Options => new()
    {
        MoreHoles = Holes - 1,
        Fill = Fill,
        SkipProbability = Skip,
        Layout = Layout,
        FirstSample = FirstSample,
    };

    /// <summary>Each element is read, but for those of the hole, and written.</summary>
    public override long Bytes(int elementBytes) => 2 * elementBytes * Shape.Aggregate(1L, (product, length) => product * length);
}

/// <summary>The shape of a tensor of images as the reference has it.</summary>
internal static class ErasedImages
{
    public static ImageReference Of(long[] shape, TensorLayout layout) => layout == TensorLayout.ChannelsFirst
        ? new((int)shape[0], (int)shape[1], (int)shape[2], (int)shape[3], false)
        : new((int)shape[0], (int)shape[3], (int)shape[1], (int)shape[2], true);
}
