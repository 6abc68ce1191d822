using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>DropBlock over one, two and three axes in both layouts, with every rate, normalisation and filling.</summary>
public sealed class DropBlockCase : OpCase
{
    private static readonly RandomKey Key = new(0xd0b1_0c4b_10c5, 11);

    public override string Op => "drop-block";

    public override bool TakesKey => true;

    public override IReadOnlyList<Problem> Problems { get; } =
    [
        new DropBlockProblem("forward", [0, 3, 8, 8], [3], "an empty batch", 0.2),
        new DropBlockProblem("forward", [2, 3, 0, 8], [3], "maps without cells", 0.2),
        new DropBlockProblem("forward", [1, 1, 1], [1], "one element", 0.5),
        new DropBlockProblem("forward", [2, 3, 14, 14], [7], "a stage of ResNet", 0.1),
        new DropBlockProblem("forward", [3, 5, 7, 7], [7], "a block as large as the map: all of it or nothing", 0.3),
        new DropBlockProblem("forward", [2, 4, 5, 6], [9], "a block larger than the map is clamped", 0.3),
        new DropBlockProblem("forward", [4, 7, 7, 5], [2], "an even block, small maps across words", 0.2),
        new DropBlockProblem("forward", [2, 3, 11, 13], [4, 2], "another size along each axis", 0.3),
        new DropBlockProblem("forward", [3, 4, 37], [5], "one axis, prime", 0.2),
        new DropBlockProblem("forward", [1, 2, 1000], [301], "one axis, a block of several words", 0.4),
        new DropBlockProblem("forward", [1, 1, 70001], [33], "one long map: several chunks of a core", 0.3),
        new DropBlockProblem("forward", [2, 2, 5, 6, 7], [3], "three axes", 0.3),
        new DropBlockProblem("forward", [1, 2, 11, 12, 13], [9, 10, 11], "three axes, several passes", 0.4),
        new DropBlockProblem("forward", [1, 3, 40, 70], [23, 37], "two axes, several passes, rows of more than a word", 0.3),
        new DropBlockProblem("forward", [1, 1, 300, 300], [7], "one large map", 0.1),
        new DropBlockProblem("forward", [2, 14, 14, 3], [7], "channels last: the cells of the first stage", 0.1)
        {
            Layout = TensorLayout.ChannelsLast,
        },
        new DropBlockProblem("forward", [2, 9, 9, 66], [3], "channels last, more channels than a word", 0.2)
        {
            Layout = TensorLayout.ChannelsLast, Normalization = DropBlockNormalization.Map,
        },
        new DropBlockProblem("forward", [2, 37, 20], [5], "channels last, one axis", 0.2)
        {
            Layout = TensorLayout.ChannelsLast, Normalization = DropBlockNormalization.Sample,
        },
        new DropBlockProblem("forward", [1, 5, 4, 6, 5], [2], "channels last, three axes", 0.2)
        {
            Layout = TensorLayout.ChannelsLast, Fill = DropBlockFill.Noise,
        },
        new DropBlockProblem("forward", [3, 6, 9, 9], [3], "shared channels", 0.2) { SharedChannels = true },
        new DropBlockProblem("forward", [3, 9, 9, 6], [3], "shared channels, channels last", 0.2)
        {
            SharedChannels = true, Layout = TensorLayout.ChannelsLast, Normalization = DropBlockNormalization.Map,
        },
        new DropBlockProblem("forward", [3, 5, 9, 9], [3], "a scale for each sample", 0.3)
        {
            Normalization = DropBlockNormalization.Sample,
        },
        new DropBlockProblem("forward", [2, 2, 140, 140], [9], "samples of more tiles than one item adds", 0.3)
        {
            Normalization = DropBlockNormalization.Sample,
        },
        new DropBlockProblem("forward", [3, 5, 7, 7], [3], "a scale for each map", 0.3) { Normalization = DropBlockNormalization.Map },
        new DropBlockProblem("forward", [16, 5, 2, 2], [2], "maps that are all dropped", 0.7)
        {
            Normalization = DropBlockNormalization.Map,
        },
        new DropBlockProblem("forward", [3, 5, 9, 9], [3], "the expected scale", 0.3) { Normalization = DropBlockNormalization.Expected },
        new DropBlockProblem("forward", [3, 5, 9, 9], [3], "no scale", 0.3) { Normalization = DropBlockNormalization.None },
        new DropBlockProblem("forward", [3, 5, 9, 9], [3], "noise", 0.3) { Fill = DropBlockFill.Noise },
        new DropBlockProblem("forward", [3, 5, 9, 9], [3], "the paper's gamma", 0.3) { Rule = "paper" },
        new DropBlockProblem("forward", [3, 5, 9, 9], [3], "gamma itself", 0.01) { Rule = "gamma" },
        new DropBlockProblem("forward", [2, 4, 64, 64], [3], "gamma below 2^-16: the lower halves decide", 1e-5) { Rule = "gamma" },
        new DropBlockProblem("forward", [9, 40, 20, 20], [2], "gamma just above 2^-3: some upper halves leave it open",
            0.125 + Math.ScaleB(1, -17))
        {
            Rule = "gamma",
        },
        new DropBlockProblem("forward", [2, 3, 9, 9], [3], "p = 0 copies", 0),
        new DropBlockProblem("forward", [2, 3, 9, 9], [3], "p = 1 writes zeros", 1),
        new DropBlockProblem("forward", [2, 3, 9, 9], [3], "p = 1 writes noise", 1) { Fill = DropBlockFill.Noise },
        new DropBlockProblem("forward", [3, 5, 7, 9], [3], "a shard", 0.2) { GlobalStart = 1_000_003 },
        new DropBlockProblem("forward", [3, 5, 7, 9], [3], "a shard with noise, off a draw", 0.2)
        {
            GlobalStart = (1UL << 40) + 3, Fill = DropBlockFill.Noise,
        },
        new DropBlockProblem("backward", [2, 3, 14, 14], [7], "a stage of ResNet", 0.1),
        new DropBlockProblem("backward", [3, 5, 9, 9], [3], "noise has no gradient", 0.3)
        {
            Fill = DropBlockFill.Noise, Normalization = DropBlockNormalization.Map,
        },
        new DropBlockProblem("backward", [2, 9, 9, 5], [3], "channels last", 0.2)
        {
            Layout = TensorLayout.ChannelsLast, Normalization = DropBlockNormalization.Sample,
        },
        new DropBlockProblem("forward-with-mask", [2, 3, 14, 14], [7], "a stage of ResNet, the mask kept", 0.1),
        new DropBlockProblem("forward-with-mask", [3, 5, 9, 9], [3], "noise, the mask kept", 0.3)
        {
            Fill = DropBlockFill.Noise, Normalization = DropBlockNormalization.Map,
        },
        new DropBlockProblem("backward-with-mask", [2, 3, 14, 14], [7], "a stage of ResNet, with the mask of forward", 0.1),
        new DropBlockProblem("backward-with-mask", [3, 5, 9, 9], [3], "noise has no gradient, with the mask of forward", 0.3)
        {
            Fill = DropBlockFill.Noise, Normalization = DropBlockNormalization.Map,
        },
        new DropBlockProblem("backward-with-mask", [2, 9, 9, 5], [3], "channels last, with the mask of forward", 0.2)
        {
            Layout = TensorLayout.ChannelsLast, Normalization = DropBlockNormalization.Sample,
        },
        new DropBlockProblem("backward-with-mask", [3, 5, 9, 9], [3], "the expected scale, with the mask of forward", 0.3)
        {
            Normalization = DropBlockNormalization.Expected,
        },
        new DropBlockProblem("forward-with-mask", [2, 3, 9, 9], [3], "p = 1 writes zeros, a mask too", 1),
        new DropBlockProblem("forward-with-mask", [2, 3, 9, 9], [3], "p = 0 drops nothing, the mask is there", 0),
        new DropBlockProblem("forward-with-mask", [3, 5, 9, 9], [3], "the expected scale, kept", 0.3)
        {
            Normalization = DropBlockNormalization.Expected,
        },
        new DropBlockProblem("backward-with-mask", [3, 9, 9, 6], [3], "shared channels, channels last, with the mask of forward", 0.2)
        {
            SharedChannels = true, Layout = TensorLayout.ChannelsLast, Normalization = DropBlockNormalization.Map,
        },
        new DropBlockProblem("mask", [3, 5, 7, 9], [3], "the mask, a tail of bits", 0.2),
        new DropBlockProblem("mask", [3, 7, 9, 5], [3], "the same mask, channels last", 0.2) { Layout = TensorLayout.ChannelsLast },
        new DropBlockProblem("mask", [3, 5, 7, 9], [3], "p = 1: no bit", 1),
    ];

    public override IReadOnlyList<Problem> BenchProblems { get; } =
    [
        new DropBlockProblem("forward", [32, 64, 56, 56], [7], "ResNet's first stage", 0.1),
        new DropBlockProblem("forward", [32, 64, 56, 56], [7], "a scale for each map", 0.1) { Normalization = DropBlockNormalization.Map },
        new DropBlockProblem("forward", [32, 56, 56, 64], [7], "channels last", 0.1) { Layout = TensorLayout.ChannelsLast },
        new DropBlockProblem("forward", [32, 1024, 14, 14], [7], "ResNet's third stage", 0.1),
        new DropBlockProblem("backward", [32, 64, 56, 56], [7], "ResNet's first stage", 0.1),
        new DropBlockProblem("forward-with-mask", [32, 64, 56, 56], [7], "ResNet's first stage", 0.1),
        new DropBlockProblem("backward-with-mask", [32, 64, 56, 56], [7], "ResNet's first stage", 0.1),
    ];

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("p is NaN", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [1, 1, 4], [2], () => DropBlockRate.Exact(double.NaN))),
        new("p above 1", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [1, 1, 4], [2], () => DropBlockRate.Paper(1.1))),
        new("gamma below 0", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [1, 1, 4], [2], () => DropBlockRate.FromGamma(-0.1))),
        new("no spatial axis", typeof(ArgumentException), (device, stream) => Forward(device, stream, [4, 4], [2])),
        new("four spatial axes", typeof(ArgumentException), (device, stream) => Forward(device, stream, [1, 1, 2, 2, 2, 2], [2])),
        new("no block size", typeof(ArgumentException), (device, stream) => Forward(device, stream, [1, 1, 4, 4], [])),
        new("too many block sizes", typeof(ArgumentException), (device, stream) => Forward(device, stream, [1, 1, 4], [2, 2])),
        new("a block of 0", typeof(ArgumentOutOfRangeException), (device, stream) => Forward(device, stream, [1, 1, 4], [0])),
        new("more channels than words in an array", typeof(ArgumentException), (device, stream) =>
            Forward(device, stream, [0, (1L << 30) + 1, 4], [2])),
        new("a map longer than an array of its words", typeof(ArgumentException), (device, stream) =>
            Forward(device, stream, [0, 1, (1L << 34) + 1], [2])),
        new("no such layout", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [1, 1, 4], [2], options: new() { Layout = (TensorLayout)7 })) { Argument = "Layout" },
        new("no such normalisation", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [1, 1, 4], [2], options: new() { Normalization = (DropBlockNormalization)7 }))
        {
            Argument = "Normalization",
        },
        new("no such filling", typeof(ArgumentOutOfRangeException), (device, stream) =>
            Forward(device, stream, [1, 1, 4], [2], options: new() { Fill = (DropBlockFill)7 })) { Argument = "Fill" },
        new("shapes differ", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(1, 2, 4);
            using DeviceTensor<float> y = device.Allocate<float>(2, 1, 4);
            DropBlock.Forward(stream, x, y, [2], DropBlockRate.Exact(0.1), Key);
        }),
        new("partial overlap", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceBuffer<float> buffer = device.AllocateBuffer<float>(16);
            DropBlock.Forward(stream, buffer.View(0, 1, 1, 8), buffer.View(4, 1, 1, 8), [2], DropBlockRate.Exact(0.1), Key);
        }),
        new("shard beyond 2^62 elements", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(1, 1, 4);
            DropBlock.Forward(stream, x, x, [2], DropBlockRate.Exact(0.1), Key, new DropBlockOptions { GlobalStart = 1UL << 60 });
        }),
        new("mask of a wrong shape", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<uint> mask = device.Allocate<uint>(1);
            DropBlock.ExportMask(stream, mask, [1, 3, 4, 4], [2], DropBlockRate.Exact(0.1), Key);
        }),
        new("scales of another number", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(2, 3, 4, 4), scales = device.Allocate<float>(2);
            using DeviceTensor<uint> mask = device.Allocate<uint>(Dropout.MaskWords(96));
            DropBlock.ForwardWithMask(stream, x, x, mask, scales, [2], DropBlockRate.Exact(0.1), Key);
        }),
        new("scales of another type", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> dy = device.Allocate<float>(2, 3, 4, 4);
            using DeviceTensor<double> scales = device.Allocate<double>(1);
            using DeviceTensor<uint> mask = device.Allocate<uint>(Dropout.MaskWords(96));
            DropBlock.BackwardWithMask(stream, dy, mask, scales, dy);
        }),
    ];

    public override IReadOnlyList<(string Source, string Destination)> InPlacePairs(Problem problem) => problem.Entry switch
    {
        "forward" or "forward-with-mask" => [("x", "y")],
        "backward" or "backward-with-mask" => [("dy", "dx")],
        _ => [],
    };

    public override Problem? ForwardOf(Problem problem) =>
        problem is DropBlockProblem { Entry: "backward" } backward ? backward with { Entry = "forward" } : null;

    public override IReadOnlyList<TensorSpec> Tensors(Problem problem, DType dtype, ulong seed)
    {
        DropBlockProblem p = (DropBlockProblem)problem;
        if (p.Entry == "mask") return [new TensorSpec("mask", DType.UInt32, [Dropout.MaskWords(p.MaskCells)], TensorRole.Output, [])];
        (string source, string destination) = InPlacePairs(problem)[0];
        Tolerance tolerance = source == "x" && p.Fill == DropBlockFill.Noise && p.Rate > 0
            ? GaussianNoiseCase.Noise(1, dtype)
            : p.Normalization == DropBlockNormalization.Expected
            ? new Tolerance(1, 32, 0, "the expected share is a sum of powers in double, in another order")
            : new Tolerance(1, 3, 0, "the scale is a quotient in the arithmetic type, the product is rounded to the stored one");
        TensorSpec x = Input(source, dtype, p.Shape, seed), y = Output(destination, dtype, p.Shape, tolerance);
        if (!p.HasMask) return [x, y];
        DType real = dtype == DType.Float64 ? DType.Float64 : DType.Float32;
        Tolerance quotient = p.Normalization == DropBlockNormalization.Expected ? tolerance : new(1, 0, 0, "a quotient");
        long[] words = [Dropout.MaskWords(p.MaskCells)], scales = [DropBlock.ScaleCount(p.Shape, p.Options)];
        if (source == "x")
            return [x, y, new TensorSpec("mask", DType.UInt32, words, TensorRole.Output, []), Output("scales", real, scales, quotient)];
        bool[] keep = Keep(p);
        return
        [
            x, new TensorSpec("mask", DType.UInt32, words, TensorRole.Input, Words(keep)),
            new TensorSpec("scales", real, scales, TensorRole.Input, Scales(p, keep)),
            Output(destination, dtype, p.Shape, new Tolerance(1, 1, 0, "one product")),
        ];
    }

    public override void Run<T>(DeviceStream stream, Problem problem, DeviceTensors tensors)
    {
        DropBlockProblem p = (DropBlockProblem)problem;
        switch (p.Entry)
        {
            case "forward":
                DropBlock.Forward(stream, tensors.Get<T>("x"), tensors.Get<T>("y"), p.Block, p.DropBlockRate, tensors.Key(Key), p.Options);
                break;
            case "backward":
                DropBlock.Backward(stream, tensors.Get<T>("dy"), tensors.Get<T>("dx"), p.Block, p.DropBlockRate, tensors.Key(Key),
                    p.Options);
                break;
            case "forward-with-mask" or "backward-with-mask":
                if (typeof(T) == typeof(double))
                    RunWithMask<T, double>(stream, p, tensors);
                else
                    RunWithMask<T, float>(stream, p, tensors);
                break;
            default:
                DropBlock.ExportMask(stream, tensors.Get<uint>("mask"), p.Shape, p.Block, p.DropBlockRate, tensors.Key(Key), p.Options);
                break;
        }
    }

    private static void RunWithMask<T, TReal>(DeviceStream stream, DropBlockProblem p, DeviceTensors tensors)
        where T : unmanaged
        where TReal : unmanaged
    {
        DeviceTensor<uint> mask = tensors.Get<uint>("mask");
        DeviceTensor<TReal> scales = tensors.Get<TReal>("scales");
        if (p.Entry == "backward-with-mask")
        {
            DropBlock.BackwardWithMask(stream, tensors.Get<T>("dy"), mask, scales, tensors.Get<T>("dx"), p.Options);
            return;
        }

        DropBlock.ForwardWithMask(
            stream, tensors.Get<T>("x"), tensors.Get<T>("y"), mask, scales, p.Block, p.DropBlockRate, tensors.Key(Key), p.Options);
    }

    public override void Reference(Problem problem, ReferenceValues values)
    {
        DropBlockProblem p = (DropBlockProblem)problem;
        if (p.MaskCells == 0) return;
        bool[] keep = Keep(p);
        if (p.Entry == "mask")
        {
            Words(keep).CopyTo(values["mask"].AsSpan());
            return;
        }

        double[] scales = Scales(p, keep);
        if (p.Entry == "forward-with-mask")
        {
            Words(keep).CopyTo(values["mask"].AsSpan());
            scales.CopyTo(values["scales"].AsSpan());
        }
        else if (p.HasMask)
        {
            scales = values["scales"];
        }

        (int samples, int channels, int cells) = ((int)p.Shape[0], p.Channels, p.Cells);
        int maskChannels = p.SharedChannels ? 1 : channels, unitCells = UnitCells(p);
        (string source, string destination) = InPlacePairs(problem)[0];
        for (int sample = 0; sample < samples; sample++)
        {
            for (int channel = 0; channel < channels; channel++)
            {
                for (int cell = 0; cell < cells; cell++)
                {
                    int bit = (((sample * maskChannels) + (p.SharedChannels ? 0 : channel)) * cells) + cell;
                    int i = p.Layout == TensorLayout.ChannelsFirst
                        ? (((sample * channels) + channel) * cells) + cell
                        : (((sample * cells) + cell) * channels) + channel;
                    double scale = scales[unitCells == 0 ? 0 : bit / unitCells];
                    bool noise = p.Fill == DropBlockFill.Noise && source == "x";
                    ulong index = (p.GlobalStart * (ulong)(channels * cells)) + (ulong)i;
                    values[destination][i] = keep[bit] ? scale * values[source][i]
                        : noise ? DropBlockReference.Noise(Key.Seed, Key.Offset, index)
                        : 0;
                }
            }
        }
    }

    private static bool[] Keep(DropBlockProblem p)
    {
        int maskChannels = p.SharedChannels ? 1 : p.Channels;
        (int[] map, int[] block, double threshold) = Blocks(p);
        return DropBlockReference.Keep(
            (int)p.Shape[0] * maskChannels, map, block, threshold, Key.Seed, Key.Offset, p.GlobalStart * (ulong)maskChannels);
    }

    private static (int[] Map, int[] Block, double Threshold) Blocks(DropBlockProblem p)
    {
        int[] map = p.Spatial, block = [.. map.Select((size, axis) => Math.Min(size, p.BlockOf(axis)))];
        double gamma = p.Rule switch
        {
            "exact" => DropBlockReference.ExactGamma(map, block, p.Rate),
            "paper" => DropBlockReference.PaperGamma(map, block, p.Rate),
            _ => p.Rate,
        };
        return (map, block, DropBlockReference.Threshold(gamma));
    }

    private static double[] Words(bool[] keep)
    {
        double[] words = new double[Dropout.MaskWords(keep.Length)];
        for (int i = 0; i < keep.Length; i++) words[i / 32] += keep[i] ? 1u << (i % 32) : 0;
        return words;
    }

    /// <summary>Cells that share a counted scale; 0 where none is counted.</summary>
    private static int UnitCells(DropBlockProblem p) => p.Normalization switch
    {
        DropBlockNormalization.Batch => (int)p.MaskCells,
        DropBlockNormalization.Sample => (p.SharedChannels ? 1 : p.Channels) * p.Cells,
        DropBlockNormalization.Map => p.Cells,
        _ => 0,
    };

    private static double[] Scales(DropBlockProblem p, bool[] keep)
    {
        if (UnitCells(p) is > 0 and int unitCells) return DropBlockReference.Scales(keep, unitCells);
        if (p.Normalization == DropBlockNormalization.None) return [1];
        (int[] map, int[] block, double threshold) = Blocks(p);
        return [1 / (1 - DropBlockReference.DropProbability(map, block, threshold / 4294967296.0))];
    }

    private static void Forward(
        Device device, DeviceStream stream, long[] shape, long[] block, Func<DropBlockRate>? rate = null,
        DropBlockOptions options = default)
    {
        using DeviceTensor<float> x = device.Allocate<float>(shape);
        DropBlock.Forward(stream, x, x, block, rate is null ? DropBlockRate.Exact(0.1) : rate(), Key, options);
    }
}

/// <summary>A call of DropBlock.</summary>
/// <param name="Block">Its size along each axis, or one for all.</param>
/// <param name="Rate">The drop probability, or gamma itself.</param>
public sealed record DropBlockProblem(string Entry, long[] Shape, long[] Block, string Reason, double Rate) : Problem(Entry, Reason)
{
    /// <summary>How gamma is found: <c>exact</c>, <c>paper</c> or <c>gamma</c>.</summary>
    public string Rule { get; init; } = "exact";

    public TensorLayout Layout { get; init; }

    public bool SharedChannels { get; init; }

    public DropBlockNormalization Normalization { get; init; }

    public DropBlockFill Fill { get; init; }

    public ulong GlobalStart { get; init; }

    public override string Text
    {
        get
        {
            string[] settings =
            [
                string.Join('x', Shape), $"block={string.Join('x', Block)}", $"{(Rule == "gamma" ? "gamma" : "p")}={Rate:0.#####}",
                Rule == "paper" ? "paper" : "", Normalization.ToString().ToLowerInvariant(),
                Layout == TensorLayout.ChannelsLast ? "channels last" : "", SharedChannels ? "shared" : "",
                Fill == DropBlockFill.Noise ? "noise" : "",
            ];
            return string.Join(' ', settings.Where(text => text.Length > 0));
        }
    }

    internal DropBlockRate DropBlockRate => Rule switch
    {
        "exact" => DropBlockRate.Exact(Rate),
        "paper" => DropBlockRate.Paper(Rate),
        _ => DropBlockRate.FromGamma(Rate),
    };

    internal DropBlockOptions Options => new()
    {
        Layout = Layout,
        SharedChannels = SharedChannels,
        Normalization = Normalization,
        Fill = Fill,
        GlobalStart = GlobalStart,
    };

    /// <summary>Whether mask and scales are tensors of the call.</summary>
    internal bool HasMask => Entry.EndsWith("-with-mask", StringComparison.Ordinal);

    internal int Channels => (int)Shape[Layout == TensorLayout.ChannelsFirst ? 1 : ^1];

    /// <summary>The spatial axes as three.</summary>
    internal int[] Spatial
    {
        get
        {
            long[] axes = Layout == TensorLayout.ChannelsFirst ? Shape[2..] : Shape[1..^1];
            return [.. Enumerable.Repeat(1, 3 - axes.Length), .. axes.Select(axis => (int)axis)];
        }
    }

    internal int Cells => Spatial.Aggregate(1, (product, axis) => product * axis);

    internal long MaskCells => Shape[0] * (SharedChannels ? 1 : Channels) * Cells;

    /// <summary>The block's size along one of three axes.</summary>
    internal int BlockOf(int axis) => axis < 5 - Shape.Length ? 1 : (int)Block[Block.Length == 1 ? 0 : axis - (5 - Shape.Length)];

    public override long Bytes(int elementBytes) =>
        Entry == "mask" ? MaskCells / 8 : 2 * elementBytes * Shape.Aggregate(1L, (product, dimension) => product * dimension);
}
