using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>The draws of CutMix, the pasted boxes, and their gradient, in both layouts.</summary>
public sealed class CutMixCase : OpCase
{
    private const uint OpNumber = 11;

    private static readonly RandomKey Key = new(0x6375_746d_6978, 4);

    public override string Op => "cutmix";

    public override bool TakesKey => true;

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new CutMixProblem("draw", [1, 1, 1, 1], "one pixel"),
        new CutMixProblem("draw", [61, 1, 28, 28], "images of the study")
        {
            Mixing = CutMixProblem.Mixed(61) with { HasIds = true, HasLabels = true },
        },
        new CutMixProblem("draw", [300, 1, 5, 224], "sides of different lengths, one box for the batch")
        {
            Mixing = CutMixProblem.Mixed(300) with { HasIds = true, OfBatch = true },
        },
        new CutMixProblem("draw", [61, 1, 28, 28], "partners of the same class, some skipped")
        {
            Mixing = CutMixProblem.Mixed(61) with { HasIds = true, HasLabels = true, SameClass = true, Skip = 0.4 },
        },
        new CutMixProblem("forward", [0, 1, 4, 4], "no images"),
        new CutMixProblem("forward", [1, 1, 1, 1], "one pixel"),
        new CutMixProblem("forward", [7, 3, 5, 3], "odd sides"),
        new CutMixProblem("forward", [13, 3, 2, 12], "whole octets over two rows, a tail"),
        new CutMixProblem("forward", [13, 2, 4, 3], "channels last") { Layout = TensorLayout.ChannelsLast },
        new CutMixProblem("forward", [3, 5, 4, 8], "partners from a data set") { PoolImages = 11 },
        new CutMixProblem("backward", [7, 3, 5, 3], "odd sides"),
        new CutMixProblem("backward", [13, 3, 2, 12], "whole octets over two rows, a tail"),
        new CutMixProblem("backward", [13, 2, 4, 3], "channels last") { Layout = TensorLayout.ChannelsLast },
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new CutMixProblem("forward", [256, 3, 224, 224], "a batch of ImageNet"),
        new CutMixProblem("backward", [256, 3, 224, 224], "a batch of ImageNet"),
        new CutMixProblem("forward", [256, 224, 224, 3], "channels last") { Layout = TensorLayout.ChannelsLast },
        new CutMixProblem("forward", [2000, 1, 28, 28], "the study's images"),
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("alpha is 0", typeof(ArgumentOutOfRangeException), (device, stream) => Draw(device, stream, 28, 28, 0)),
        new("no rows", typeof(ArgumentOutOfRangeException), (device, stream) => Draw(device, stream, 0, 28, 1)),
        new("a side beyond 32,768", typeof(ArgumentOutOfRangeException), (device, stream) => Draw(device, stream, 28, 32769, 1)),
        new("three dimensions", typeof(ArgumentException), (device, stream) => Forward(device, stream, [4, 3, 3], [4, 2], [4, 4])),
        new("boxes of a wrong shape", typeof(ArgumentException), (device, stream) =>
            Forward(device, stream, [4, 1, 3, 3], [4, 2], [4, 2])),
        new("pairs of a wrong shape", typeof(ArgumentException), (device, stream) =>
            Forward(device, stream, [4, 1, 3, 3], [4], [4, 4])),
        new("no such layout", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [4, 1, 3, 3], [4, 2], [4, 4], (TensorLayout)5)),
        new("rows beyond 32,768 pixels", typeof(ArgumentException), (device, stream) =>
            Forward(device, stream, [0, 1, 3, 40000], [0, 2], [0, 4])),
    ];

    public override Problem? ForwardOf(Problem problem) => problem.Entry == "backward" ? problem with { Entry = "forward" } : null;

    public override ArgumentUse UseOf(Problem problem, string tensor) =>
        tensor is "sampleIds" or "labels" or "otherLabels" ? ArgumentUse.Optional : ArgumentUse.Required;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        CutMixProblem p = (CutMixProblem)problem;
        if (p.Entry == "draw")
        {
            List<TensorSpec> specs = MixupCase.DrawTensors(p.Mixing, DType.Float32);
            specs.Add(new TensorSpec("shares", dtype == DType.Float64 ? DType.Float64 : DType.Float32, [p.Images], TensorRole.Output, []));
            specs.Add(new TensorSpec("boxes", DType.Int32, [p.Images, 4], TensorRole.Output, []));
            return specs;
        }

        TensorSpec pairs = new("pairs", DType.Int32, [p.Images, 2], TensorRole.Input, Pairs(p));
        TensorSpec boxes = new("boxes", DType.Int32, [p.Images, 4], TensorRole.Input, Boxes(p));
        if (p.Entry == "backward")
        {
            Tolerance sum = new(1, 1, 2, "two gradients of a pixel may cancel");
            return [Input("dy", dtype, p.Shape, seed), pairs, boxes, Output("dx", dtype, p.Shape, sum)];
        }

        List<TensorSpec> forward = [Input("x", dtype, p.Shape, seed), pairs, boxes, Output("y", dtype, p.Shape, Tolerance.Exact)];
        if (p.PoolImages > 0) forward.Insert(1, Input("pool", dtype, [p.PoolImages, .. p.Shape[1..]], seed));
        return forward;
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        CutMixProblem p = (CutMixProblem)problem;
        DeviceTensor<int> pairs = tensors.Get<int>("pairs"), boxes = tensors.Get<int>("boxes");
        switch (p.Entry)
        {
            case "draw" when typeof(T) == typeof(double): Draw<double>(stream, p, tensors, pairs, boxes); break;
            case "draw": Draw<float>(stream, p, tensors, pairs, boxes); break;
            case "forward" when p.PoolImages > 0:
                CutMix.Forward(stream, tensors.Get<T>("x"), tensors.Get<T>("pool"), pairs, boxes, tensors.Get<T>("y"), p.Layout);
                break;
            case "forward": CutMix.Forward(stream, tensors.Get<T>("x"), pairs, boxes, tensors.Get<T>("y"), p.Layout); break;
            default: CutMix.Backward(stream, tensors.Get<T>("dy"), pairs, boxes, tensors.Get<T>("dx"), p.Layout); break;
        }
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        CutMixProblem p = (CutMixProblem)problem;
        ImageReference images = ErasedImages.Of(p.Shape, p.Layout);
        switch (p.Entry)
        {
            case "draw":
                MixupCase.DrawReference(p.Mixing, values, Key, OpNumber, (row, lambda, words) =>
                {
                    int[] box = MixingReference.Box(lambda, words[2], words[3], images.Height, images.Width);
                    for (int edge = 0; edge < 4; edge++) values["boxes"][(4 * row) + edge] = box[edge];
                    values["shares"][row] = MixingReference.Share(box, images.Height, images.Width);
                });
                break;
            case "forward":
                MixingReference.Paste(
                    values["x"], p.PoolImages > 0 ? values["pool"] : values["x"], values.Integers("pairs"), values.Integers("boxes"),
                    values["y"], images);
                break;
            default:
                MixingReference.PasteBackward(values["dy"], values.Integers("pairs"), values.Integers("boxes"), values["dx"], images);
                break;
        }
    }

    /// <summary>Partners two images on, one without, or any of a data set.</summary>
    private static double[] Pairs(CutMixProblem p)
    {
        double[] pairs = new double[2 * p.Images];
        for (int image = 0; image < p.Images; image++)
        {
            pairs[2 * image] = p.PoolImages > 0 ? (image * 5) % p.PoolImages : (image + 2) % p.Images;
            pairs[(2 * image) + 1] = p.PoolImages > 0 ? -1 : (image + (2 * p.Images) - 2) % p.Images;
        }

        if (p.PoolImages > 0) pairs[2] = -1;
        return pairs;
    }

    /// <summary>Boxes of every kind: in the middle, at a border and beyond it, the whole image, none.</summary>
    private static double[] Boxes(CutMixProblem p)
    {
        ImageReference images = ErasedImages.Of(p.Shape, p.Layout);
        (int height, int width) = (images.Height, images.Width);
        double[][] kinds =
        [
            [1, 1, height - 1, width - 1], [0, 0, height, width], [height / 2, -1, height + 2, width / 2], [0, width / 2, 1, width + 1],
            [2, 2, 2, 2],
        ];
        return [.. Enumerable.Range(0, (int)p.Images).SelectMany(image => kinds[image % kinds.Length])];
    }

    private static void Draw<TReal>(
        DeviceStream stream, CutMixProblem p, DeviceTensors tensors, DeviceTensor<int> pairs, DeviceTensor<int> boxes)
        where TReal : unmanaged
    {
        MixupProblem m = p.Mixing;
        CutMix.Draw(
            stream, m.HasIds ? tensors.Get<ulong>("sampleIds") : null, m.HasLabels ? tensors.Get<int>("labels") : null, pairs,
            m.HasLabels ? tensors.Get<int>("otherLabels") : null, tensors.Get<TReal>("shares"), boxes, p.Shape[2], p.Shape[3], m.Alpha,
            tensors.Key(Key),
            m.Options);
    }

    private static void Draw(Device device, DeviceStream stream, long height, long width, double alpha)
    {
        using DeviceTensor<int> pairs = device.Allocate<int>(4, 2), boxes = device.Allocate<int>(4, 4);
        using DeviceTensor<float> shares = device.Allocate<float>(4);
        CutMix.Draw(stream, null, null, pairs, null, shares, boxes, height, width, alpha, Key);
    }

    private static void Forward(
        Device device, DeviceStream stream, long[] shape, long[] pairsShape, long[] boxesShape, TensorLayout layout = default)
    {
        using DeviceTensor<float> x = device.Allocate<float>(shape), y = device.Allocate<float>(shape);
        using DeviceTensor<int> pairs = device.Allocate<int>(pairsShape), boxes = device.Allocate<int>(boxesShape);
        CutMix.Forward(stream, x, pairs, boxes, y, layout);
    }
}

/// <summary>A call of CutMix.</summary>
public sealed record CutMixProblem : Problem
{
    public CutMixProblem(string entry, long[] shape, string reason)
        : base(entry, reason)
    {
        Shape = shape;
        Mixing = Mixed(shape[0]);
    }

    public long[] Shape { get; }

    public long Images => Shape[0];

    public TensorLayout Layout { get; init; }

    public int PoolImages { get; init; }

    public MixupProblem Mixing { get; init; }

    /// <summary>The draw for so many rows.</summary>
    internal static MixupProblem Mixed(long rows) => new("draw", rows, 1, "boxes") { Alpha = 1 };

    public override string Text => $"{string.Join('x', Shape)}{(Layout == TensorLayout.ChannelsLast ? " NHWC" : "")}";

    /// <summary>Each element is read once, from the image or its partner, and written. A draw writes a few numbers for each row.</summary>
    public override long Bytes(int elementBytes) =>
        Entry == "draw" ? Images * 40 : 2 * elementBytes * Shape.Aggregate(1L, (product, length) => product * length);
}
