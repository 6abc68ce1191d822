using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>Differentiable augmentation, forward and backward, in both layouts.</summary>
public sealed class DifferentiableAugmentCase : OpCase
{
    private const uint OpNumber = 15;

    private static readonly RandomKey Key = new(0x6469_6666_6175, 4);

    public override string Op => "differentiable-augment";

    public override bool TakesKey => true;

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new DifferentiableAugmentProblem("forward", [0, 1, 4, 4], "no images"),
        new DifferentiableAugmentProblem("forward", [3, 1, 1, 1], "one pixel"),
        new DifferentiableAugmentProblem("forward", [7, 3, 5, 3], "odd sides") { FirstSample = 1UL << 40 },
        new DifferentiableAugmentProblem("forward", [5, 4, 6, 2], "channels last") { Layout = TensorLayout.ChannelsLast },
        new DifferentiableAugmentProblem("forward", [5, 1, 28, 28], "images of the study, numbered, a probability in memory")
        {
            HasIds = true, Probability = 0.625, IsInMemory = true,
        },
        new DifferentiableAugmentProblem("forward", [2, 1, 88, 96], "two tiles, a mean of two parts"),
        new DifferentiableAugmentProblem("backward", [7, 3, 5, 3], "odd sides") { FirstSample = 1UL << 40 },
        new DifferentiableAugmentProblem("backward", [5, 4, 6, 2], "channels last") { Layout = TensorLayout.ChannelsLast },
        new DifferentiableAugmentProblem("backward", [5, 1, 28, 28], "images of the study, numbered, a probability in memory")
        {
            HasIds = true, Probability = 0.625, IsInMemory = true,
        },
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new DifferentiableAugmentProblem("forward", [256, 3, 128, 128], "a batch of a GAN"),
        new DifferentiableAugmentProblem("backward", [256, 3, 128, 128], "a batch of a GAN"),
        new DifferentiableAugmentProblem("forward", [64, 1, 28, 28], "the study's images"),
        new DifferentiableAugmentProblem("backward", [64, 1, 28, 28], "the study's images"),
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("in place", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(2, 1, 4, 4);
            DifferentiableAugment.Forward(stream, x, null, null, x, DifferentiablePolicy.DiffAugment, Key);
        }),
        new("no policy", typeof(ArgumentNullException), (device, stream) => Forward(device, stream, [2, 1, 4, 4], null!)),
        new("a reversed range", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [2, 1, 4, 4], new DifferentiablePolicy { Contrast = (1.5, 0.5) })),
        new("a brightness that is NaN", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [2, 1, 4, 4], new DifferentiablePolicy { Brightness = double.NaN })),
        new("a shift by more than the image", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [2, 1, 4, 4], new DifferentiablePolicy { Translation = 1.25 })),
        new("a hole below 0", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [2, 1, 4, 4], new DifferentiablePolicy { Cutout = -0.5 })),
        new("a probability above 1", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [2, 1, 4, 4], new DifferentiablePolicy { Probability = 1.5 })),
        new("three dimensions", typeof(ArgumentException), (device, stream) =>
            Forward(device, stream, [2, 4, 4], DifferentiablePolicy.DiffAugment)),
        new("no such layout", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [2, 1, 4, 4], DifferentiablePolicy.DiffAugment, new() { Layout = (TensorLayout)3 })),
        new("samples beyond 2^64", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [2, 1, 4, 4], DifferentiablePolicy.DiffAugment, new() { FirstSample = ulong.MaxValue })),
        new("a probability for each image", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(2, 1, 4, 4), y = device.Allocate<float>(2, 1, 4, 4);
            using DeviceTensor<float> probability = device.Allocate<float>(2);
            DifferentiableAugment.Forward(stream, x, null, probability, y, DifferentiablePolicy.DiffAugment, Key);
        }),
    ];

    public override double LargestInput(DType dtype) => Elements.Largest(dtype) / 8;

    public override bool IsStateOrSetting(string input) => input == "probability";

    public override ArgumentUse UseOf(Problem problem, string tensor) =>
        tensor is "sampleIds" or "probability" ? ArgumentUse.Optional : ArgumentUse.Required;

    public override Problem? ForwardOf(Problem problem) => problem.Entry == "backward" ? problem with { Entry = "forward" } : null;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        DifferentiableAugmentProblem p = (DifferentiableAugmentProblem)problem;
        (string source, string result) = p.Entry == "forward" ? ("x", "y") : ("dy", "dx");
        Tolerance sums = new(1, 16, 4, "a sum of four terms that may cancel, two of them means");
        List<TensorSpec> specs = [Input(source, dtype, p.Shape, seed)];
        if (p.HasIds)
            specs.Add(new TensorSpec("sampleIds", DType.UInt64, [p.Shape[0]], TensorRole.Input, [.. p.Ids.Select(id => (double)id)]));
        if (p.IsInMemory) specs.Add(new TensorSpec("probability", DType.Float32, [1], TensorRole.Input, [p.Probability]));
        specs.Add(Output(result, dtype, p.Shape, sums));
        return specs;
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        DifferentiableAugmentProblem p = (DifferentiableAugmentProblem)problem;
        DeviceTensor<ulong>? ids = p.HasIds ? tensors.Get<ulong>("sampleIds") : null;
        DeviceTensor<float>? probability = p.IsInMemory ? tensors.Get<float>("probability") : null;
        if (p.Entry == "forward")
        {
            DifferentiableAugment.Forward(stream, tensors.Get<T>("x"), ids, probability, tensors.Get<T>("y"), p.Policy, tensors.Key(Key),
                p.Options);
        }
        else
        {
            DifferentiableAugment.Backward(stream, tensors.Get<T>("dy"), ids, probability, tensors.Get<T>("dx"), p.Policy,
                tensors.Key(Key), p.Options);
        }
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        DifferentiableAugmentProblem p = (DifferentiableAugmentProblem)problem;
        ImageReference images = ErasedImages.Of(p.Shape, p.Layout);
        double probability = p.IsInMemory ? values["probability"][0] : p.Probability;
        DifferentiableDraw[] draws =
        [
            .. p.Ids.Select(id => DifferentiableAugmentReference.Draw(
                Key.Seed, Key.Offset, id, OpNumber, p.Settings, probability, images.Channels, images.Height, images.Width)),
        ];
        if (p.Entry == "forward")
            DifferentiableAugmentReference.Forward(values["x"], values["y"], images, draws);
        else
            DifferentiableAugmentReference.Backward(values["dy"], values["dx"], images, draws);
    }

    private static void Forward(
        Device device, DeviceStream stream, long[] shape, DifferentiablePolicy policy, DifferentiableAugmentOptions options = default)
    {
        using DeviceTensor<float> x = device.Allocate<float>(shape), y = device.Allocate<float>(shape);
        DifferentiableAugment.Forward(stream, x, null, null, y, policy, Key, options);
    }
}

/// <summary>A call of differentiable augmentation with DiffAugment's strengths.</summary>
public sealed record DifferentiableAugmentProblem(string Entry, long[] Shape, string Reason) : Problem(Entry, Reason)
{
    public TensorLayout Layout { get; init; }

    public bool HasIds { get; init; }

    public double Probability { get; init; } = 0.75;

    public bool IsInMemory { get; init; }

    public ulong FirstSample { get; init; }

    public override string Text => $"{string.Join('x', Shape)}{(Layout == TensorLayout.ChannelsLast ? " NHWC" : "")} p={Probability}";

    internal ulong[] Ids =>
        [.. Enumerable.Range(0, (int)Shape[0]).Select(image => HasIds ? (ulong)(image * 7919 % 2000) : FirstSample + (ulong)image)];

    internal DifferentiablePolicy Policy => DifferentiablePolicy.DiffAugment with { Probability = IsInMemory ? 0 : Probability };

    internal DifferentiableSettings Settings => new((-0.5, 0.5), (0, 2), (0.5, 1.5), 0.125, 0.5);

    internal DifferentiableAugmentOptions Options => new() { Layout = Layout, FirstSample = FirstSample };

    /// <summary>Each element is read and written; where contrast reads an image before, a cache may have it.</summary>
    public override long Bytes(int elementBytes) => 2 * elementBytes * Shape.Aggregate(1L, (product, length) => product * length);
}
