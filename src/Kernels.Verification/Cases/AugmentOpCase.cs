using Kernels.Reference;

namespace Kernels.Verification.Cases;

/// <summary>What the ops share that draw for each sample of a batch of images and apply it.</summary>
public abstract class AugmentOpCase : OpCase
{
    private protected static readonly RandomKey Key = new(Seed: 0x5eed_0001_0000_0007, Offset: 3);

    /// <summary>A place between pixels, whose coordinates are rounded to float.</summary>
    private protected static readonly Tolerance Interpolated = new(1, 64, 1, "pixels weighed by coordinates in float");

    /// <summary>A byte by the white level's reciprocal.</summary>
    private protected static readonly Tolerance Scaled = new(1, 2, 0, "a product with a rounded reciprocal");

    /// <summary>Colours that a few ops made.</summary>
    private protected static readonly Tolerance Colored = new(1, 24, 1, "a few products and differences of colours");

    public override IReadOnlyList<DType> DTypes { get; } = [DType.Float32, DType.Float16, DType.BFloat16];

    public sealed override IReadOnlyList<Problem> Problems => ForwardProblems;

    public override IReadOnlyList<Problem> BenchProblems =>
        [ForwardProblems[0] with { Shape = [64, 3, 224, 224], Out = (224, 224), Bytes8 = true, HasSampleIds = false }];

    public override double LargestInput(DType dtype) => Math.Min(1e30, Elements.Largest(dtype) / 4);

    public override ArgumentUse UseOf(Problem problem, string tensor) =>
        tensor == "sample_ids" ? ArgumentUse.Optional : ArgumentUse.Required;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        AugmentProblem p = (AugmentProblem)problem;
        List<TensorSpec> specs = [p.Images(dtype, seed)];
        if (p.HasSampleIds)
        {
            double[] ids = [.. Enumerable.Range(0, (int)p.Shape[0]).Select(i => (double)((i * 2654435761L) + 12))];
            specs.Add(new TensorSpec("sample_ids", DType.UInt64, [p.Shape[0]], TensorRole.Input, ids));
        }

        specs.Add(Output("y", dtype, p.OutputShape, p.Tolerance));
        return specs;
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        AugmentProblem p = (AugmentProblem)problem;
        DeviceTensor<ulong>? ids = p.HasSampleIds ? tensors.Get<ulong>("sample_ids") : null;
        if (p.Bytes8)
            Call(stream, p, tensors.Get<byte>("x"), ids, tensors.Get<T>("y"));
        else
            Call(stream, p, tensors.Get<T>("x"), ids, tensors.Get<T>("y"));
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        AugmentProblem p = (AugmentProblem)problem;
        ulong[] ids = p.HasSampleIds
            ? [.. values["sample_ids"].Select(id => (ulong)id)]
            : [.. Enumerable.Range(0, (int)p.Shape[0]).Select(i => p.Options.FirstSample + (ulong)i)];
        DrawAndApply(p, ids, Key, values);
    }

    internal static void DrawAndApply(AugmentProblem p, ulong[] ids, RandomKey key, ReferenceValues values)
    {
        double[] table = new double[ids.Length * AugmentReference.TableWidth];
        AugmentDrawReference.Draw(p.Geometry, DrawsOf(p.Policy, p), ids, key.Seed, key.Offset, table);
        AugmentSettings settings = p.Settings with { Statistics = Augment.MostColors };
        AugmentReference.Apply(p.Geometry, settings, values["x"], table, AugmentReference.TableWidth, values["y"]);
    }

    /// <summary>Calls the op on tensors of the caller.</summary>
    public void CallOn(DeviceStream stream, AugmentProblem p, DeviceTensor<float> x, DeviceTensor<ulong> ids, DeviceTensor<float> y) =>
        Call(stream, p, x, ids, y);

    private protected abstract IReadOnlyList<AugmentProblem> ForwardProblems { get; }

    private protected abstract void Call<TIn, T>(
        DeviceStream stream, AugmentProblem p, DeviceTensor<TIn> x, DeviceTensor<ulong>? ids, DeviceTensor<T> y)
        where TIn : unmanaged
        where T : unmanaged;

    /// <summary>A call with tensors of these shapes that must be refused.</summary>
    private protected static BadInput Bad(
        string name, Type exception, Action<DeviceStream, DeviceTensor<float>, DeviceTensor<float>> call, long[]? shape = null,
        long[]? outputShape = null) => new(name, exception, (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(shape ?? [2, 3, 4, 5]);
            using DeviceTensor<float> y = device.Allocate<float>(outputShape ?? [2, 3, 4, 5]);
            call(stream, x, y);
        });

    /// <summary>A policy as the reference takes it.</summary>
    internal static AugmentDraws DrawsOf(AugmentPolicy policy, AugmentProblem p)
    {
        Padding2d pad = policy.Padding;
        return new AugmentDraws
        {
            Crop = (int)policy.Crop,
            Padding = ((int)pad.Top, (int)pad.Bottom, (int)pad.Left, (int)pad.Right),
            Area = Pair(policy.Area),
            Aspect = Pair(policy.Aspect),
            Flip = (policy.HorizontalFlip, policy.VerticalFlip),
            ShiftX = Pair(policy.ShiftX),
            ShiftY = Pair(policy.ShiftY),
            WholeShifts = policy.WholeShifts,
            Rotation = Pair(policy.Rotation),
            Scale = Pair(policy.Scale),
            ShearX = Pair(policy.ShearX),
            ShearY = Pair(policy.ShearY),
            Jitter = [Changed(policy.Brightness, 1), Changed(policy.Contrast, 1), Changed(policy.Saturation, 1), Changed(policy.Hue, 0)],
            Shuffles = policy.ShufflesColors,
            Posterize = (policy.Posterize, policy.PosterizeBits),
            Solarize = (policy.Solarize, policy.SolarizeThreshold),
            Sharpness = (policy.Sharpness, policy.SharpnessFactor.Low, policy.SharpnessFactor.High),
            Autocontrast = policy.Autocontrast,
            Equalize = policy.Equalize,
            Cutout = (policy.Cutout, (int)policy.CutoutSize.Height, (int)policy.CutoutSize.Width),
            Automatic = policy.Automatic is { } automatic ? AutoOf(automatic, p) : null,
        };

        static (double Low, double High) Pair(AugmentRange range) => (range.Low, range.High);

        static (double Low, double High)? Changed(AugmentRange range, double none) => range == none ? null : Pair(range);
    }

    private static AutoDraws AutoOf(AutoAugmentPolicy policy, AugmentProblem p)
    {
        int[] ops = [.. Enumerable.Range(0, 14).Where(op => op != 7 || p.Geometry.Channels == 3)];
        (double width, double height) = (p.Out.Width, p.Out.Height);
        return policy.Space switch
        {
            AugmentSpace.RandAugment => new AutoDraws(policy.Ops, policy.Magnitude, policy.Bins, ops)
            {
                Shear = 0.3,
                X = 150.0 / 331 * width,
                Y = 150.0 / 331 * height,
                Degrees = 30,
                Factor = 0.9,
                Bits = 4,
            },
            AugmentSpace.TrivialAugmentWide => new AutoDraws(policy.Ops, policy.Magnitude, policy.Bins, ops)
            {
                Shear = 0.99,
                X = Math.Min(32, 0.75 * width),
                Y = Math.Min(32, 0.75 * height),
                Degrees = 135,
                Factor = 0.99,
                Bits = 6,
            },
            _ => new AutoDraws(policy.Ops, policy.Magnitude, policy.Bins, [.. ops.Where(op => op is not (11 or 13))])
            {
                Shear = 0.2,
                X = width / 8,
                Y = height / 8,
                Degrees = 15,
                Factor = 0.5,
                Bits = 4,
            },
        };
    }
}

/// <summary>A call over a batch of images.</summary>
/// <param name="Shape">That of x.</param>
/// <param name="Out">Rows and columns of y.</param>
public sealed record AugmentProblem(string Entry, long[] Shape, Size2d Out, string Reason) : Problem(Entry, Reason)
{
    public AugmentPolicy Policy { get; init; } = new();

    public AugmentOptions Options { get; init; }

    /// <summary>Whether x is of bytes.</summary>
    public bool Bytes8 { get; init; }

    /// <summary>Whether floating-point images have the 256 levels of bytes.</summary>
    public bool HasLevels { get; init; }

    public bool HasSampleIds { get; init; }

    public Tolerance Tolerance { get; init; } = Tolerance.Exact;

    /// <summary>Rows of the table that are applied; empty where it is drawn.</summary>
    public double[][] Rows { get; init; } = [];

    /// <summary>The setting that is worth showing.</summary>
    public string Setting { get; init; } = "";

    public override string Text
    {
        get
        {
            string[] settings =
            [
                string.Join('x', Shape), $"to {Out}", Bytes8 ? "bytes" : "", Setting,
                Options.Interpolation == ImageInterpolation.Nearest ? "nearest" : "",
                Options.Border == ImageBorder.Constant ? "" : Options.Border == ImageBorder.Edge ? "edge" : "reflect",
                Options.AlignCorners ? "corners" : "",
                Options.Layout == TensorLayout.ChannelsLast ? "channels last" : "",
                (Options.OutputLayout ?? Options.Layout) == Options.Layout ? "" : $"to {Options.OutputLayout}",
            ];
            return string.Join(' ', settings.Where(text => text.Length > 0));
        }
    }

    public bool IsLast => Options.Layout == TensorLayout.ChannelsLast;

    public bool IsOutputLast => (Options.OutputLayout ?? Options.Layout) == TensorLayout.ChannelsLast;

    public long Channels => IsLast ? Shape[3] : Shape[1];

    public long[] OutputShape => IsOutputLast ? [Shape[0], Out.Height, Out.Width, Channels] : [Shape[0], Channels, Out.Height, Out.Width];

    internal AugmentShape Geometry => new(
        (int)Shape[0], (int)Channels, (int)(IsLast ? Shape[1] : Shape[2]), (int)(IsLast ? Shape[2] : Shape[3]), (int)Out.Height,
        (int)Out.Width)
    {
        IsChannelsLast = IsLast,
        IsOutputChannelsLast = IsOutputLast,
    };

    internal AugmentSettings Settings => new()
    {
        IsNearest = Options.Interpolation == ImageInterpolation.Nearest,
        Border = (int)Options.Border,
        AlignCorners = Options.AlignCorners,
        Fill = Options.Fill,
        White = Bytes8 ? 255 : 1,
        Mean = Options.Mean?.ToArray(),
        Deviation = Options.Deviation?.ToArray(),
        Erased = Options.Erased,
    };

    public override long Bytes(int elementBytes) =>
        (Shape.Aggregate(1L, (a, b) => a * b) * (Bytes8 ? 1 : elementBytes)) + (OutputShape.Aggregate(1L, (a, b) => a * b) * elementBytes);

    internal TensorSpec Images(DType dtype, ulong seed)
    {
        long count = Shape.Aggregate(1L, (a, b) => a * b);
        DType type = Bytes8 ? DType.UInt8 : dtype;
        double[] values = Bytes8 || HasLevels
            ? Elements.Integers(count, 256, seed, "x") : Elements.Uniform(dtype, count, seed, "x", 0, 1);
        if (!Bytes8 && HasLevels) values = [.. values.Select(level => Elements.Round(dtype, level / 255))];
        return new TensorSpec("x", type, Shape, TensorRole.Input, values);
    }
}
