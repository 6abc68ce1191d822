using Kernels.Reference;

namespace Kernels.Verification.Cases;

/// <summary>The fused op: tables as they are drawn, and tables applied.</summary>
public sealed class AugmentCase : OpCase
{
    private static readonly RandomKey Key = new(Seed: 0x5eed_0002_0000_0009, Offset: 5);

    private static readonly double[] Identity = [1, 0, 0, 0, 1, 0];

    /// <summary>Numbers that float holds exactly, so that kernel and reference read the same places.</summary>
    private static readonly double[] Slanted = [0.75, -0.375, 0.3125, 0.25, 1.125, -1.4375];

    private static readonly Tolerance Drawn = new(0, 16, 1, "sines, exponentials and products of float");

    private static readonly Tolerance Places = new(1, 8, 1, "pixels weighed by their distances");

    private static readonly Tolerance Colors = new(1, 24, 1, "a few products and differences of colours");

    private static readonly Tolerance Means = new(1, 128, 1, "differences from a mean of many pixels");

    private static readonly AugmentOptions ChannelsLast = new() { Layout = TensorLayout.ChannelsLast };

    public override string Op => "augment";

    public override bool TakesKey => true;

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        Apply([2, 3, 5, 7], (5, 7), "the identity moves bits", [Identity, Identity], "identity"),
        Apply([2, 1, 4, 6], (6, 4), "quarter turns move bits, not square", [[0, 1, 0, -1, 0, 0], [0, -1, 0, 1, 0, 0]], "quarter turns"),
        Apply([1, 2, 35, 17], (35, 17), "a flip and a shift of whole pixels, beyond one vector", [[-1, 0, 3, 0, 1, -2]], "whole pixels"),
        Apply([1, 3, 9, 40], (10, 39), "all taps inside, or some", [Slanted], "slanted") with { Tolerance = Places },
        Apply([1, 3, 9, 40], (10, 39), "bytes", [Slanted], "slanted") with
        {
            Bytes8 = true, Tolerance = Places, Options = new() { Fill = 128, Mean = [0.5], Deviation = [0.25] },
        },
        Apply([1, 9, 40, 3], (10, 36), "bytes, channels last, fours of a row", [Slanted], "slanted") with
        {
            Bytes8 = true, Tolerance = Places, Options = ChannelsLast,
        },
        Apply([1, 9, 20, 3], (10, 19), "bytes, channels last", [Slanted], "slanted") with
        {
            Bytes8 = true, Tolerance = Places, Options = ChannelsLast with { OutputLayout = TensorLayout.ChannelsFirst },
        },
        Apply([1, 3, 9, 40], (10, 39), "bytes, whose edge goes on", [Slanted], "slanted") with
        {
            Bytes8 = true, Tolerance = Places, Options = new() { Border = ImageBorder.Edge },
        },
        Apply([1, 6, 7, 3], (5, 18), "bytes, mirrored, the nearest", [[1.5, 0.25, 2, -0.5, 1, 3]], "far out") with
        {
            Bytes8 = true, Tolerance = Places,
            Options = ChannelsLast with { Border = ImageBorder.Reflect, Interpolation = ImageInterpolation.Nearest },
        },
        Apply([2, 3, 40, 140], (36, 136), "fours of a row, two bands", [Slanted, [-1, 0, 0, 0, 1, 0.5]], "slanted, turned round") with
        {
            Bytes8 = true, Tolerance = Places,
        },
        Apply(
            [2, 3, 12, 16], (12, 16), "a shift by whole columns and parts of a row",
            [[1, 0, 2, 0, 1, 0.25], [1, 0, 0.5, 0, 1, 1]], "shifts")
            with { Tolerance = Places },
        Apply([1, 2, 8, 8], (8, 20), "the edge goes on", [[1.5, 0.25, 2, -0.5, 1, 3]], "far out") with
        {
            Tolerance = Places, Options = new() { Border = ImageBorder.Edge },
        },
        Apply([1, 1, 4, 6], (9, 18), "mirrored again and again", [[2.25, 0.25, 2, -0.5, 1.25, 3]], "far out") with
        {
            Tolerance = Places, Options = new() { Border = ImageBorder.Reflect },
        },
        Apply([1, 1, 5, 5], (7, 17), "mirrored about pixels", [[1.25, 0.25, 2, -0.5, 1.25, 3]], "far out") with
        {
            Tolerance = Places, Options = new() { Border = ImageBorder.Reflect, AlignCorners = true },
        },
        Apply([1, 1, 40, 36], (40, 36), "nearest; the last elements for places before them", [[0.984375, 0, 0, 0, 0.984375, 0]], "nearest")
            with { Options = new() { Interpolation = ImageInterpolation.Nearest } },
        Apply([1, 2, 7, 20], (7, 20), "nearest; halves go to even numbers", [[0.5, 0, 0.25, 0, 1.5, 0]], "nearest") with
        {
            Options = new() { Interpolation = ImageInterpolation.Nearest },
        },
        Apply(
            [2, 3, 6, 9], (6, 9), "every colour op, a box",
            [
                Row(Identity, [(8, 0), (1, 1.25), (3, 0.5), (9, 1.5), (2, 1.5), (4, 0.125)], [2, 1, 5, 4]),
                Row(Identity, [(8, 0), (9, 0.25), (2, 0.5), (6, 128), (1, 0.75)], [0, 0, 0, 0]),
            ],
            "colours") with { Tolerance = Colors, Options = new() { Erased = 0.5 } },
        Apply(
            [2, 3, 18, 17], (18, 17), "levels, a curve from levels",
            [
                Row(Identity, [(5, 3), (7, 0)], [0, 0, 0, 0]),
                Row([-1, 0, 0, 0, 1, 0], [(7, 0), (5, 5), (6, 64)], [0, 0, 6, 9]),
            ],
            "levels") with
        {
            Bytes8 = true, Tolerance = Colors,
        },
        Apply(
            [2, 3, 70, 90], (70, 90), "more than one part of an image, tiles whose neighbours are sharpened",
            [
                Row(Identity, [(7, 0), (9, 1.5), (8, 0), (2, 0.5)], [40, 30, 60, 70]),
                Row([-1, 0, 0, 0, 1, 0], [(2, 1.5), (9, 0.25), (8, 0)], [0, 0, 0, 0]),
            ],
            "parts") with
        {
            Bytes8 = true, Tolerance = Colors,
        },
        Apply([1, 5, 6, 9], (6, 9), "a box in five channels", [Row(Identity, [], [2, 1, 5, 4])], "box"),
        Draw([6, 3, 32, 32], (28, 28), "maps of all kinds", new AugmentPolicy
        {
            Crop = AugmentCrop.Resized, HorizontalFlip = 0.5, VerticalFlip = 0.5, ShiftX = (-2, 2), ShiftY = (-3, 3), Rotation = (-45, 45),
            Scale = (0.5, 2), ShearX = (-10, 10), ShearY = (-10, 10), Cutout = 0.5, CutoutSize = (9, 8),
        }),
        Draw([9, 3, 16, 24], (16, 24), "colours of all kinds", new AugmentPolicy
        {
            Brightness = (0.5, 1.5), Contrast = (0.5, 1.5), Saturation = (0.5, 1.5), Hue = (-0.25, 0.25), ShufflesColors = true,
            Posterize = 0.5, Solarize = 0.5, Sharpness = 0.5, SharpnessFactor = (0, 2), Equalize = 0.5,
        }),
        Draw([40, 3, 32, 32], (32, 32), "all ops of a policy", new AugmentPolicy { Automatic = AutoAugmentPolicy.TrivialAugment }) with
        {
            HasSampleIds = true,
        },
        Kept([3, 3, 64, 50], (100, 100), "a group keeps an image, blends in any order", new AugmentPolicy
        {
            HorizontalFlip = 0.5, Scale = 2, ShiftX = 7.25, Brightness = 1.5, Contrast = 0.5, Saturation = 2, ShufflesColors = true,
            Cutout = 0.5, CutoutSize = 30,
        }) with
        {
            Options = new() { Mean = [0.5, 0.25, 0.75], Deviation = [0.25, 0.5, 0.75] },
        },
        Kept([3, 64, 50, 3], (97, 102), "a group keeps an image, no whole tiles, contrast before and after others", new AugmentPolicy
        {
            VerticalFlip = 0.5, ShiftY = -20.5, Contrast = 1.5, Hue = 0.25, Posterize = 0.5, Solarize = 0.5, ShufflesColors = true,
        }) with
        {
            Options = ChannelsLast with { OutputLayout = TensorLayout.ChannelsFirst },
        },
        Kept([2, 1, 48, 50], (100, 100), "a group keeps an image, grey, the nearest", new AugmentPolicy { Contrast = 0.5, Scale = 2 }) with
        {
            Options = new() { Interpolation = ImageInterpolation.Nearest },
        },
        Kept([1, 1, 48, 50], (100, 100), "a group keeps an image, grey", new AugmentPolicy { Contrast = 0.5, Scale = 2, ShiftX = 0.25 }),
        Kept([1, 3, 240, 240], (100, 98), "a group keeps an image, too large for a word a pixel", new AugmentPolicy
        {
            Scale = 0.5, ShiftX = 7.25, Brightness = 1.5, Contrast = 0.5, Saturation = 2,
        }),
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        Bench("crop, flip, rotation, colours, cutout", new AugmentPolicy
        {
            Crop = AugmentCrop.Resized, HorizontalFlip = 0.5, Rotation = (-15, 15), Brightness = (0.6, 1.4), Contrast = (0.6, 1.4),
            Saturation = (0.6, 1.4), Cutout = 1, CutoutSize = 56,
        }),
        Bench("crop and flip of whole pixels", new AugmentPolicy
        {
            Crop = AugmentCrop.Window, Padding = 8, HorizontalFlip = 0.5,
        }),
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("a table of another width", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(2, 3, 4, 5), y = device.Allocate<float>(2, 3, 4, 5);
            using DeviceTensor<float> table = device.Allocate<float>(2, 6);
            Augment.Apply(stream, x, table, y);
        }),
        new("nine colour ops", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> table = device.Allocate<float>(2, Augment.TableWidth);
            AugmentPolicy policy = new() { Automatic = new(8, 9, 31, AugmentSpace.RandAugment), Equalize = 0.5 };
            Augment.Draw(stream, null, table, 8, 8, policy, Key);
        }),
        new("more statistics than ops", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(2, 3, 4, 5), y = device.Allocate<float>(2, 3, 4, 5);
            using DeviceTensor<float> table = device.Allocate<float>(2, Augment.TableWidth);
            Augment.Apply(stream, x, table, y, statistics: 9);
        }),
        new("images without pixels", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(2, 3, 0, 5), y = device.Allocate<float>(2, 3, 4, 5);
            Augment.Forward(stream, x, null, y, new AugmentPolicy(), Key);
        }),
        new("a table of one dimension", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> table = device.Allocate<float>(Augment.TableWidth);
            Augment.Draw(stream, null, table, 8, 8, new AugmentPolicy(), Key);
        }),
        new("a drawn table of another width", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> table = device.Allocate<float>(2, 6);
            Augment.Draw(stream, null, table, 8, 8, new AugmentPolicy(), Key);
        }),
        new("ids of another batch", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> table = device.Allocate<float>(2, Augment.TableWidth);
            using DeviceTensor<ulong> ids = device.Allocate<ulong>(3);
            Augment.Draw(stream, ids, table, 8, 8, new AugmentPolicy(), Key);
        }),
        new("ids in the table", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> table = device.Allocate<float>(2, Augment.TableWidth);
            DeviceTensor<ulong> ids = new DeviceBuffer<ulong>(table.Buffer.Memory, 2).View(0, 2);
            Augment.Draw(stream, ids, table, 8, 8, new AugmentPolicy(), Key);
        })
        {
            Says = "overlap",
        },
        new("no policy", typeof(ArgumentNullException), (device, stream) =>
        {
            using DeviceTensor<float> table = device.Allocate<float>(2, Augment.TableWidth);
            Augment.Draw(stream, null, table, 8, 8, null!, Key);
        }),
        Bad("a negative height of the cutout", typeof(ArgumentOutOfRangeException), new AugmentPolicy { CutoutSize = (-1, 2) }),
        Bad("a negative width of the cutout", typeof(ArgumentOutOfRangeException), new AugmentPolicy { CutoutSize = (2, -1) }),
        Bad("negative padding below", typeof(ArgumentOutOfRangeException), new AugmentPolicy { Padding = (0, -1, 0, 0) }),
        Bad("negative padding on the left", typeof(ArgumentOutOfRangeException), new AugmentPolicy { Padding = (0, 0, -1, 0) }),
        Bad("negative padding on the right", typeof(ArgumentOutOfRangeException), new AugmentPolicy { Padding = (0, 0, 0, -1) }),
        .. from size in (Size2d[])[(-8, 8), (8, 0), ((1 << 20) + 1, 8), (8, 1L << 40)]
           from isInput in (bool[])[true, false]
           select new BadInput($"{(isInput ? "images" : "an output")} of {size}", typeof(ArgumentOutOfRangeException), (device, stream) =>
           {
               using DeviceTensor<float> table = device.Allocate<float>(2, Augment.TableWidth);
               Augment.Draw(stream, null, table, isInput ? size : 8, isInput ? 8 : size, new AugmentPolicy(), Key);
           })
           {
               Argument = isInput ? "inputSize" : "outputSize",
           },
        Bad("no such layout", typeof(ArgumentOutOfRangeException), new AugmentPolicy(), new() { Layout = (TensorLayout)7 }) with
        {
            Argument = "Layout",
        },
        Bad("no such layout of the output", typeof(ArgumentOutOfRangeException), new AugmentPolicy(), new()
        {
            OutputLayout = (TensorLayout)7,
        }) with
        {
            Argument = "OutputLayout",
        },
        Bad("no such interpolation", typeof(ArgumentOutOfRangeException), new AugmentPolicy(),
            new() { Interpolation = (ImageInterpolation)7 }),
        Bad("no such border", typeof(ArgumentOutOfRangeException), new AugmentPolicy(), new() { Border = (ImageBorder)7 }),
        Bad("a fill that is NaN", typeof(ArgumentOutOfRangeException), new AugmentPolicy(), new() { Fill = double.NaN }),
        Bad("an erased value that is infinite", typeof(ArgumentOutOfRangeException), new AugmentPolicy(),
            new() { Erased = double.PositiveInfinity }),
        .. from outside in OutsideTheirRange
           select Bad(outside.Setting, typeof(ArgumentOutOfRangeException), outside.Policy),
    ];

    /// <summary>Policies with one setting just outside its range, at each end that can be left.</summary>
    private static IEnumerable<(string Setting, AugmentPolicy Policy)> OutsideTheirRange =>
    [
        ("no such crop", new() { Crop = (AugmentCrop)7 }),
        ("padding above beyond 2^20", new() { Padding = ((1 << 20) + 1, 0, 0, 0) }),
        ("padding below beyond 2^20", new() { Padding = (0, (1 << 20) + 1, 0, 0) }),
        ("padding on the left beyond 2^20", new() { Padding = (0, 0, (1 << 20) + 1, 0) }),
        ("padding on the right beyond 2^20", new() { Padding = (0, 0, 0, (1 << 20) + 1) }),
        ("negative padding above", new() { Padding = (-1, 0, 0, 0) }),
        ("an area of 0", new() { Area = (0, 1) }),
        ("an area beyond the image", new() { Area = (0.5, 1.001) }),
        ("an aspect of 0", new() { Aspect = (0, 1) }),
        ("an aspect beyond a million", new() { Aspect = (1, 1.001e6) }),
        ("columns below -2^20", new() { ShiftX = (-(1 << 20) - 1, 0) }),
        ("columns beyond 2^20", new() { ShiftX = (0, (1 << 20) + 1) }),
        ("rows below -2^20", new() { ShiftY = (-(1 << 20) - 1, 0) }),
        ("rows beyond 2^20", new() { ShiftY = (0, (1 << 20) + 1) }),
        ("a rotation below -3600", new() { Rotation = (-3601, 0) }),
        ("a rotation beyond 3600", new() { Rotation = (0, 3601) }),
        ("a scale of 0", new() { Scale = (0, 1) }),
        ("a scale beyond 1000", new() { Scale = (1, 1001) }),
        ("a horizontal shear of -90", new() { ShearX = (-90, 0) }),
        ("a horizontal shear of 90", new() { ShearX = (0, 90) }),
        ("a vertical shear of -90", new() { ShearY = (-90, 0) }),
        ("a vertical shear of 90", new() { ShearY = (0, 90) }),
        ("a negative brightness", new() { Brightness = (-0.1, 1) }),
        ("a negative contrast", new() { Contrast = (-0.1, 1) }),
        ("a negative saturation", new() { Saturation = (-0.1, 1) }),
        ("a negative sharpness", new() { SharpnessFactor = (-0.1, 1) }),
        ("a hue below half a circle back", new() { Hue = (-0.51, 0) }),
        ("a hue beyond half a circle", new() { Hue = (0, 0.51) }),
        ("a lower bound of minus infinity", new() { Brightness = (double.NegativeInfinity, 1) }),
        ("an upper bound of infinity", new() { Brightness = (1, double.PositiveInfinity) }),
        ("a share flipped beyond 1", new() { HorizontalFlip = 1.5 }),
        ("a share flipped upside down beyond 1", new() { VerticalFlip = 1.5 }),
        ("a share posterized beyond 1", new() { Posterize = 1.5 }),
        ("a share solarized beyond 1", new() { Solarize = 1.5 }),
        ("a share sharpened beyond 1", new() { Sharpness = 1.5 }),
        ("a share of autocontrast beyond 1", new() { Autocontrast = 1.5 }),
        ("a share equalized beyond 1", new() { Equalize = 1.5 }),
        ("a share cut out beyond 1", new() { Cutout = 1.5 }),
        ("no bits left", new() { PosterizeBits = 0 }),
        ("nine bits left", new() { PosterizeBits = 9 }),
        ("a negative threshold", new() { SolarizeThreshold = -1 }),
        ("a threshold beyond white", new() { SolarizeThreshold = 257 }),
        ("a threshold that is NaN", new() { SolarizeThreshold = double.NaN }),
        ("a cutout of 2^31 rows", new() { CutoutSize = (1L << 31, 1) }),
        ("a cutout of 2^31 columns", new() { CutoutSize = (1, 1L << 31) }),
        ("nine ops of a list", new() { Automatic = new(9, 9, 31, AugmentSpace.RandAugment) }),
        ("bins beyond 2^20", new() { Automatic = new(2, 9, (1 << 20) + 1, AugmentSpace.RandAugment) }),
        ("a negative magnitude", new() { Automatic = new(2, -1, 31, AugmentSpace.RandAugment) }),
        ("a magnitude of as many as there are bins", new() { Automatic = new(2, 31, 31, AugmentSpace.RandAugment) }),
        ("no such space", new() { Automatic = new(2, 9, 31, (AugmentSpace)7) }),
    ];

    private static BadInput Bad(string name, Type exception, AugmentPolicy policy, AugmentOptions options = default) =>
        new(name, exception, (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(2, 3, 4, 5), y = device.Allocate<float>(2, 3, 4, 5);
            Augment.Forward(stream, x, null, y, policy, Key, options);
        });

    public override double LargestInput(DType dtype) => Math.Min(1e30, Elements.Largest(dtype) / 4);

    public override bool IsStateOrSetting(string input) => input == "table";

    public override ArgumentUse UseOf(Problem problem, string tensor) =>
        tensor == "sample_ids" ? ArgumentUse.Optional : ArgumentUse.Required;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        AugmentProblem p = (AugmentProblem)problem;
        long[] tableShape = [p.Shape[0], Augment.TableWidth];
        switch (p.Entry)
        {
            case "apply":
                double[] rows = [.. p.Rows.SelectMany(row => row.Concat(new double[Augment.TableWidth - row.Length]))];
                return
                [
                    p.Images(dtype, seed), new TensorSpec("table", DType.Float32, tableShape, TensorRole.Input, rows),
                    Output("y", dtype, p.OutputShape, p.Tolerance),
                ];
            case "draw":
                TensorSpec table = Output("table", DType.Float32, tableShape, Drawn);
                double[] ids = [.. Enumerable.Range(0, (int)p.Shape[0]).Select(i => (double)((i * 2654435761L) + 12))];
                return p.HasSampleIds ? [new TensorSpec("sample_ids", DType.UInt64, [p.Shape[0]], TensorRole.Input, ids), table] : [table];
            default: return [p.Images(dtype, seed), Output("y", dtype, p.OutputShape, p.Tolerance)];
        }
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        AugmentProblem p = (AugmentProblem)problem;
        switch (p.Entry)
        {
            case "apply" when p.Bytes8:
                Augment.Apply(stream, tensors.Get<byte>("x"), tensors.Get<float>("table"), tensors.Get<T>("y"), StatisticsOf(p), p.Options);
                break;
            case "apply":
                Augment.Apply(stream, tensors.Get<T>("x"), tensors.Get<float>("table"), tensors.Get<T>("y"), StatisticsOf(p), p.Options);
                break;
            case "draw":
                DeviceTensor<ulong>? ids = p.HasSampleIds ? tensors.Get<ulong>("sample_ids") : null;
                Augment.Draw(
                    stream, ids, tensors.Get<float>("table"), (p.Geometry.Height, p.Geometry.Width), p.Out, p.Policy, tensors.Key(Key),
                    p.Options);
                break;
            default:
                Augment.Forward(stream, tensors.Get<byte>("x"), null, tensors.Get<T>("y"), p.Policy, tensors.Key(Key), p.Options);
                break;
        }
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        AugmentProblem p = (AugmentProblem)problem;
        if (p.Entry == "apply")
        {
            AugmentSettings settings = p.Settings with { Statistics = StatisticsOf(p) };
            AugmentReference.Apply(p.Geometry, settings, values["x"], values["table"], Augment.TableWidth, values["y"]);
            return;
        }

        ulong[] ids = p.HasSampleIds
            ? [.. values["sample_ids"].Select(id => (ulong)id)] : [.. Enumerable.Range(0, (int)p.Shape[0]).Select(i => (ulong)i)];
        if (p.Entry == "forward")
        {
            AugmentOpCase.DrawAndApply(p, ids, Key, values);
            return;
        }

        AugmentDraws draws = AugmentOpCase.DrawsOf(p.Policy, p);
        AugmentDrawReference.Draw(p.Geometry, draws, ids, Key.Seed, Key.Offset, values["table"]);
    }

    private static int StatisticsOf(AugmentProblem p) => p.Rows.Any(row => row.Length > 6) ? 3 : 0;

    private static AugmentProblem Apply(long[] shape, Size2d output, string reason, double[][] rows, string setting) =>
        new("apply", shape, output, reason) { Rows = rows, Setting = setting };

    private static AugmentProblem Draw(long[] shape, Size2d output, string reason, AugmentPolicy policy) =>
        new("draw", shape, output, reason) { Policy = policy };

    /// <summary>Bytes, drawn for and applied, of images that a group may keep whole.</summary>
    private static AugmentProblem Kept(long[] shape, Size2d output, string reason, AugmentPolicy policy) =>
        new("forward", shape, output, reason) { Policy = policy, Bytes8 = true, Tolerance = Means, Setting = reason };

    private static AugmentProblem Bench(string setting, AugmentPolicy policy) => new("forward", [256, 3, 224, 224], (224, 224), "a batch")
    {
        Bytes8 = true,
        Policy = policy,
        Options = new() { Mean = [0.485, 0.456, 0.406], Deviation = [0.229, 0.224, 0.225] },
        Setting = setting,
    };

    private static double[] Row(double[] map, (int Code, double Value)[] colors, double[] box)
    {
        double[] row = new double[Augment.TableWidth];
        map.CopyTo(row, 0);
        row[6] = colors.Length;
        for (int i = 0; i < colors.Length; i++) (row[7 + i], row[15 + i]) = colors[i];
        box.CopyTo(row, 23);
        return row;
    }
}
