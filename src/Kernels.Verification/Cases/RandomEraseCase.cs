using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>Random erasing with numbers and with noise, forward and backward, in both layouts.</summary>
public sealed class RandomEraseCase : OpCase
{
    private const uint OpNumber = 9;

    private static readonly RandomKey Key = new(0x6572_6173_6500, 6);

    public override string Op => "random-erase";

    public override bool TakesKey => true;

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new RandomEraseProblem("forward", [0, 1, 4, 4], "no images"),
        new RandomEraseProblem("forward", [2, 1, 1, 1], "one pixel, in which nothing fits"),
        new RandomEraseProblem("forward", [7, 3, 5, 3], "odd sides"),
        new RandomEraseProblem("forward", [5, 1, 28, 28], "images of the study, numbered, some left alone")
        {
            HasIds = true, Skip = 0.5, Fill = 0.25,
        },
        new RandomEraseProblem("forward", [9, 2, 3, 16], "three boxes, sides cut to the image's")
        {
            Boxes = 3, Clips = true, Area = (0.5, 1), Aspect = (0.001, 1000),
        },
        new RandomEraseProblem("forward", [7, 3, 5, 3], "noise, odd sides") { Noise = 0.5, FirstSample = 1UL << 35 },
        new RandomEraseProblem("forward", [13, 3, 4, 10], "noise, whole octets, channels last")
        {
            Noise = 2, Layout = TensorLayout.ChannelsLast, Boxes = 2, Area = (0.3, 0.9),
        },
        new RandomEraseProblem("backward", [7, 3, 5, 3], "odd sides, what was noise") { Noise = 0.5 },
        new RandomEraseProblem("backward", [13, 4, 4, 10], "whole octets, channels last") { Layout = TensorLayout.ChannelsLast, Fill = 1 },
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new RandomEraseProblem("forward", [256, 3, 224, 224], "a batch of ImageNet"),
        new RandomEraseProblem("forward", [256, 3, 224, 224], "noise") { Noise = 1 },
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("an area that is reversed", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(device, stream, (0.4, 0.1), 1)),
        new("an area above 1", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(device, stream, (0.4, 1.1), 1)),
        new("an area that is NaN", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(device, stream, (0, double.NaN), 1)),
        new("an aspect of 0", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(device, stream, (0, 1), (0, 1))),
        new("an aspect that is reversed", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, (0, 1), (3, 0.3))),
        new("a probability above 1", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, (0, 1), 1, new RandomEraseOptions { SkipProbability = 2 })),
        new("boxes below 0", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, (0, 1), 1, new RandomEraseOptions { MoreBoxes = -1 })),
        new("a number and noise", typeof(ArgumentException), (device, stream) =>
            Forward(device, stream, (0, 1), 1, new RandomEraseOptions { Fill = 1, NoiseDeviation = 1 })),
        new("a fill that is NaN", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, (0, 1), 1, new RandomEraseOptions { Fill = double.NaN })) { Argument = "Fill" },
        new("a negative deviation", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, (0, 1), 1, new RandomEraseOptions { NoiseDeviation = -1 })),
    ];

    public override IReadOnlyList<(string Source, string Destination)> InPlacePairs(Problem problem) =>
        problem.Entry == "forward" ? [("x", "y")] : [("dy", "dx")];

    public override Problem? ForwardOf(Problem problem) => problem.Entry == "backward" ? problem with { Entry = "forward" } : null;

    public override ArgumentUse UseOf(Problem problem, string tensor) =>
        tensor == "sampleIds" ? ArgumentUse.Optional : ArgumentUse.Required;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        RandomEraseProblem p = (RandomEraseProblem)problem;
        Tolerance tolerance = GaussianNoiseCase.Noise(p.Noise, dtype);
        List<TensorSpec> specs = p.Entry == "forward"
            ? [Input("x", dtype, p.Shape, seed), Output("y", dtype, p.Shape, tolerance)]
            : [Input("dy", dtype, p.Shape, seed), Output("dx", dtype, p.Shape, Tolerance.Exact)];
        if (p.HasIds)
            specs.Add(new TensorSpec("sampleIds", DType.UInt64, [p.Shape[0]], TensorRole.Input, [.. p.Ids.Select(id => (double)id)]));
        return specs;
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        RandomEraseProblem p = (RandomEraseProblem)problem;
        DeviceTensor<ulong>? ids = p.HasIds ? tensors.Get<ulong>("sampleIds") : null;
        if (p.Entry == "forward")
            RandomErase.Forward(stream, tensors.Get<T>("x"), ids, tensors.Get<T>("y"), p.Area, p.Aspect, tensors.Key(Key), p.Options);
        else
            RandomErase.Backward(stream, tensors.Get<T>("dy"), ids, tensors.Get<T>("dx"), p.Area, p.Aspect, tensors.Key(Key), p.Options);
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        RandomEraseProblem p = (RandomEraseProblem)problem;
        ImageReference images = ErasedImages.Of(p.Shape, p.Layout);
        int[] boxes = EraseReference.RandomBoxes(
            p.Ids, p.Boxes, p.Area, p.Aspect, p.Skip, p.Clips, images.Height, images.Width, Key.Seed, Key.Offset, OpNumber);
        if (p.Entry == "backward")
        {
            EraseReference.Fill(values["dy"], boxes, p.Boxes, values["dx"], images, 0);
        }
        else if (p.Noise > 0)
        {
            EraseReference.Noise(
                values["x"], boxes, p.Boxes, values["y"], images, p.Noise, p.Ids, Key.Seed, Key.Offset, OpNumber);
        }
        else
        {
            EraseReference.Fill(values["x"], boxes, p.Boxes, values["y"], images, p.Fill);
        }
    }

    private static void Forward(
        Device device, DeviceStream stream, AugmentRange area, AugmentRange aspect, RandomEraseOptions options = default)
    {
        using DeviceTensor<float> x = device.Allocate<float>(2, 1, 4, 4);
        RandomErase.Forward(stream, x, null, x, area, aspect, Key, options);
    }
}

/// <summary>A call of random erasing.</summary>
public sealed record RandomEraseProblem(string Entry, long[] Shape, string Reason) : Problem(Entry, Reason)
{
    public TensorLayout Layout { get; init; }

    public bool HasIds { get; init; }

    public int Boxes { get; init; } = 1;

    public bool Clips { get; init; }

    public (double Low, double High) Area { get; init; } = (0.02, 0.4);

    public (double Low, double High) Aspect { get; init; } = (0.3, 1 / 0.3);

    public double Fill { get; init; }

    public double Noise { get; init; }

    public double Skip { get; init; }

    public ulong FirstSample { get; init; }

    public override string Text =>
        $"{string.Join('x', Shape)}{(Layout == TensorLayout.ChannelsLast ? " NHWC" : "")}{(Noise > 0 ? " noise" : "")}";

    internal ulong[] Ids =>
        [.. Enumerable.Range(0, (int)Shape[0]).Select(image => HasIds ? (ulong)(image * 7919 % 2000) : FirstSample + (ulong)image)];

    internal RandomEraseOptions Options => new()
    {
        MoreBoxes = Boxes - 1,
        Fill = Noise > 0 ? 0 : Fill,
        NoiseDeviation = Noise,
        SkipProbability = Skip,
        ClipSides = Clips,
        Layout = Layout,
        FirstSample = FirstSample,
    };

    /// <summary>Each element is read, but for those of the rectangle, and written.</summary>
    public override long Bytes(int elementBytes) => 2 * elementBytes * Shape.Aggregate(1L, (product, length) => product * length);
}
