using Kernels.Devices;

namespace Kernels;

/// <summary>
/// Over which cells <see cref="DropBlock"/> makes up for those it dropped: kept ones are multiplied by cells / kept cells.
/// </summary>
public enum DropBlockNormalization
{
    /// <summary>Over all maps of the call, as the authors' code does; a shard counts its own.</summary>
    Batch,

    /// <summary>Over the maps of each sample.</summary>
    Sample,

    /// <summary>Over each map.</summary>
    Map,

    /// <summary>
    /// By the expected share instead of the counted one: 1 / (1 - <see cref="DropBlockPlan.DropProbability"/>). Nothing is counted.
    /// </summary>
    Expected,

    /// <summary>Not at all.</summary>
    None,
}

/// <summary>What stands in the dropped blocks.</summary>
public enum DropBlockFill
{
    /// <summary>+0.</summary>
    Zero,

    /// <summary>Standard normal numbers, unscaled. They have no gradient.</summary>
    Noise,
}

/// <summary>
/// Settings of <see cref="DropBlock"/>; the default drops each channel's blocks on its own, to zero, and normalises over the batch.
/// </summary>
public readonly record struct DropBlockOptions
{
    /// <summary>Where the channels are. The same cells of the same channels are dropped in either layout.</summary>
    public TensorLayout Layout { get; init; }

    /// <summary>
    /// Whether the channels of a sample share one mask. The paper's authors found a mask of its own for each to work better.
    /// </summary>
    public bool SharedChannels { get; init; }

    /// <summary>How the scale of the kept cells is found.</summary>
    public DropBlockNormalization Normalization { get; init; }

    /// <summary>What stands in the dropped blocks.</summary>
    public DropBlockFill Fill { get; init; }

    /// <summary>
    /// Index of the first sample in the whole batch of which the argument is a shard, so that the shards' masks together are the mask of
    /// the whole.
    /// </summary>
    public ulong GlobalStart { get; init; }
}

/// <summary>
/// DropBlock: training sets whole blocks of a map to 0 and multiplies the rest by cells / kept cells; the identity at inference. One, two
/// or three spatial axes.
/// </summary>
/// <remarks>
/// <para>
/// Wherever a block fits into its map it is dropped with probability gamma, which <see cref="DropBlockRate"/> finds from the drop
/// probability; <see cref="Plan"/> reports gamma and the share that is really dropped. A block covers cells s to s + size - 1 of each axis
/// from its start s; it is centred on cell s + size / 2 (rounded down), so even sizes reach one cell further before the centre than behind
/// it. A block larger than the map is clamped to it.
/// </para>
/// <para>
/// Positions are numbered in the dense order [sample, channel, depth, height, width] over those where the block fits, without the channel
/// where channels share a mask. Position i starts a block iff its 32 random bits are below round(gamma * 2^32): the upper 16 are lane i mod
/// 8 of Philox block i / 8, the lower 16 that lane of block 2^60 + i / 8. Noise: element i of the tensor in memory order takes normal i mod
/// 4 (see <see cref="GaussianNoise"/>) of block 2^61 + i / 4. A shard counts on from its first sample. The mask depends on neither device
/// nor layout; backward draws it again, or takes what <see cref="ForwardWithMask"/> kept: a bit for each cell.
/// </para>
/// <para>
/// Dropped cells are filled also where x is NaN or infinite. A unit of normalisation in which nothing is left has scale 0 and is all
/// filling, never NaN. A rate of 0 copies and a rate of 1 writes zeros, both without drawing. Types: float, Half, BFloat16, double; the
/// product is rounded once. The destination may be the source; tensors without elements are a no-op.
/// </para>
/// <para>G. Ghiasi, T.-Y. Lin and Q. V. Le, "DropBlock: a regularization method for convolutional networks", NeurIPS 2018.</para>
/// <para>
/// Every method throws <see cref="ArgumentException"/> for shapes that differ or have other than three to five dimensions, a block of the
/// wrong number of sizes, tensors that overlap in part or live on another device, and <see cref="ArgumentOutOfRangeException"/> for a size
/// below 1, before anything is launched.
/// </para>
/// </remarks>
public static unsafe partial class DropBlock
{
    private const string ForwardName = "DropBlock.Forward";
    private const string BackwardName = "DropBlock.Backward";
    private const uint NoiseSwitch = 1;

    /// <summary>
    /// Philox blocks of the seeds' lower halves and of the noise. A call has less than 2^62 elements, so the ranges do not meet.
    /// </summary>
    private const ulong LowerHalves = 1UL << 60;
    private const ulong NoiseBlocks = 1UL << 61;

    /// <summary>Words of 64 cells that a work group makes at a time, one each item: the group size of all these kernels.</summary>
    private const int Tile = 128;

    private const int CellsPerWord = 64;

    /// <summary>Words of them that may be there for what reaches from them into the others alone.</summary>
    private const long MostHalo = Tile / 2;

    /// <summary>Tiles of a unit whose counts one work item adds; a group adds more.</summary>
    private const long TilesPerItem = 4;

    private static readonly KernelDefinition<DropBlockDrawArguments> DrawKernel = EntryPoints.DropBlockDraw.Fixed(CpuDraw, groupSize: Tile);

    private static readonly KernelDefinition<DropBlockSpreadArguments> SpreadKernel =
        EntryPoints.DropBlockSpread.Fixed(CpuSpread, groupSize: Tile);

    private static readonly KernelDefinition<DropBlockScaleArguments> ScaleKernel =
        EntryPoints.DropBlockScale.Float<CpuScale>(groupSize: Tile);

    private static readonly KernelDefinition<DropBlockApplyArguments> ApplyKernel =
        EntryPoints.DropBlockApply.Float<CpuApply>(vectorWidths: [1, 8], switches: ["FILL_NOISE"], groupSize: Tile);

    /// <summary>Training: y = m * x * cells / kept cells.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input: [batch, channels, ...] or [batch, ..., channels] with one to three spatial axes.</param>
    /// <param name="y">Output, shape of <paramref name="x"/>; may be <paramref name="x"/>.</param>
    /// <param name="blockSize">Cells of a block along each spatial axis, or one size for all.</param>
    /// <param name="rate">How much to drop.</param>
    /// <param name="key">Random key; one offset for each call.</param>
    /// <param name="options">Layout, shared channels, normalisation, filling, shard.</param>
    public static void Forward<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y, ReadOnlySpan<long> blockSize, DropBlockRate rate, RandomKeySource key,
        DropBlockOptions options = default)
        where T : unmanaged
    {
        Check.Elementwise(ForwardName, stream, x, nameof(x), y, nameof(y));
        Apply(ForwardName, stream, x, y, blockSize, rate, key, options);
    }

    /// <summary>
    /// Gradient: dx = m * dy * cells / kept cells with the mask of the forward call that had the same arguments; 0 in the blocks, whatever
    /// fills them.
    /// </summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="dy">Gradient of the output.</param>
    /// <param name="dx">Gradient of the input, shape of <paramref name="dy"/>; may be <paramref name="dy"/>.</param>
    /// <param name="blockSize">As in forward.</param>
    /// <param name="rate">As in forward.</param>
    /// <param name="key">As in forward.</param>
    /// <param name="options">As in forward.</param>
    public static void Backward<T>(
        DeviceStream stream, DeviceTensor<T> dy, DeviceTensor<T> dx, ReadOnlySpan<long> blockSize, DropBlockRate rate, RandomKeySource key,
        DropBlockOptions options = default)
        where T : unmanaged
    {
        Check.Elementwise(BackwardName, stream, dy, nameof(dy), dx, nameof(dx));
        Apply(BackwardName, stream, dy, dx, blockSize, rate, key, options with { Fill = DropBlockFill.Zero });
    }

    /// <summary>
    /// Writes the mask of a call as bits: bit i mod 32 of word i / 32, lowest first, is 1 where cell i is kept. Cells are numbered in the
    /// dense order [sample, channel, depth, height, width] whatever the layout, without the channel where channels share a mask.
    /// </summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="mask">Output, shape [ceil(cells / 32)]; bits past the end are 0.</param>
    /// <param name="shape">Shape of the call's input.</param>
    /// <param name="blockSize">As in forward.</param>
    /// <param name="rate">As in forward.</param>
    /// <param name="key">As in forward.</param>
    /// <param name="options">As in forward.</param>
    public static void ExportMask(
        DeviceStream stream, DeviceTensor<uint> mask, ReadOnlySpan<long> shape, ReadOnlySpan<long> blockSize, DropBlockRate rate,
        RandomKeySource key,
        DropBlockOptions options = default)
    {
        const string Op = "DropBlock.ExportMask";
        Check.Tensor(Op, stream, mask, nameof(mask));
        Check.Key(Op, stream, key, nameof(key));
        Maps maps = Maps.Of(Op, shape, nameof(shape), options);
        Check.Shape(Op, mask, nameof(mask), Dropout.MaskWords(maps.MaskCells));
        if (maps.MaskCells == 0) return;
        DropBlockGeometry geometry = DropBlockGeometry.Create(Op, maps.Spatial(shape), blockSize);
        MaskPasses.Of(stream, geometry).Launch(stream, mask.Argument, maps, geometry, DropBlockGamma.Plan(geometry, rate), key, default);
    }

    /// <summary>What a rate comes to for a map and a block: the realised gamma and the expected share of dropped cells. Cached.</summary>
    /// <param name="map">Cells along each spatial axis, one to three of them.</param>
    /// <param name="blockSize">Cells of a block along each spatial axis, or one size for all.</param>
    /// <param name="rate">How much to drop.</param>
    public static DropBlockPlan Plan(ReadOnlySpan<long> map, ReadOnlySpan<long> blockSize, DropBlockRate rate) =>
        DropBlockGamma.Plan(DropBlockGeometry.Create("DropBlock.Plan", map, blockSize), rate);

    private static void Apply<T>(
        string op, DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y, ReadOnlySpan<long> blockSize, DropBlockRate rate,
        RandomKeySource key, DropBlockOptions options)
        where T : unmanaged
    {
        Check.Key(op, stream, key, nameof(key));
        Maps maps = Maps.Of(op, x.Shape, nameof(x), options);
        if (x.Length == 0) return;
        DropBlockGeometry geometry = DropBlockGeometry.Create(op, maps.Spatial(x.Shape), blockSize);
        DropBlockPlan plan = DropBlockGamma.Plan(geometry, rate);
        if (plan.Gamma == 0)
        {
            stream.Copy(x, y);
            return;
        }

        if (plan.Gamma == 1 && options.Fill == DropBlockFill.Zero)
        {
            stream.Fill(y, default);
            return;
        }

        Units units = Units.Of(maps, options.Normalization);
        using ScratchPool.Lease<uint> mask = stream.RentScratch<uint>(Dropout.MaskWords(maps.MaskCells));
        using ScratchPool.Lease<double> scales = stream.RentScratch<double>(units.Count);
        DrawMask(stream, maps, geometry, plan, key, units, mask.Argument, scales.Argument, x.DType);
        double scale = FixedScale(options.Normalization, plan);
        LaunchApply(stream, maps, x, y, mask.Argument, units.Count > 0 ? scales.Argument : default, scale, key, options);
    }

    private static void LaunchApply<T>(
        DeviceStream stream, in Maps maps, DeviceTensor<T> x, DeviceTensor<T> y, TensorArgument mask, TensorArgument scales, double scale,
        RandomKeySource key, DropBlockOptions options)
        where T : unmanaged
    {
        Lines lines = Lines.Of(maps, Units.Of(maps, options.Normalization), options);
        InvariantDivisor inner = InvariantDivisor.Of((long)lines.Inner), outer = InvariantDivisor.Of((long)lines.Outer);
        stream.Launch(
            ApplyKernel,
            new KernelVariant(
                x.DType, x.IsVectorAligned && y.IsVectorAligned ? 8 : 1, options.Fill == DropBlockFill.Noise ? NoiseSwitch : 0),
            LaunchShape.Items((x.Length + 7) / 8, ApplyKernel),
            new DropBlockApplyArguments
            {
                X = x.Argument,
                Y = y.Argument,
                Mask = mask,
                Scales = scales,
                Count = (ulong)x.Length,
                Inner = inner.Value,
                InnerInverse = inner.Inverse,
                InnerShift = inner.Shift,
                Outer = outer.Value,
                OuterInverse = outer.Inverse,
                OuterShift = outer.Shift,
                MaskInner = lines.Mask.Inner,
                MaskOuter = lines.Mask.Outer,
                MaskSample = lines.Mask.Sample,
                ScaleInner = lines.Scale.Inner,
                ScaleOuter = lines.Scale.Outer,
                ScaleSample = lines.Scale.Sample,
                Scale = scale,
                NoiseStart = options.GlobalStart * (ulong)(maps.Channels * maps.Cells),
                Key = key.Argument,
            });
    }

    /// <summary>The scale where no cells are counted.</summary>
    private static double FixedScale(DropBlockNormalization normalization, DropBlockPlan plan) =>
        normalization == DropBlockNormalization.Expected && plan.DropProbability < 1 ? 1 / (1 - plan.DropProbability) : 1;

    /// <summary>The keep bits of all maps, and from their count the scale of each unit where there are units.</summary>
    private static void DrawMask(
        DeviceStream stream, in Maps maps, in DropBlockGeometry geometry, DropBlockPlan plan, RandomKeySource key, in Units units,
        TensorArgument mask, TensorArgument scales, DType dtype)
    {
        MaskPasses passes = MaskPasses.Of(stream, geometry);
        long tiles = (maps.MaskCells + passes.TileCells - 1) / passes.TileCells;
        long tileUnits = units.Count > 0 ? ((passes.TileCells - 1) / units.Cells) + 2 : 0;
        using ScratchPool.Lease<uint> counts = stream.RentScratch<uint>(tiles * tileUnits);
        CountArguments count = units.Count == 0 ? default : new CountArguments
        {
            Counts = counts.Argument,
            UnitCells = (ulong)units.Cells,
            TileUnits = (ulong)tileUnits,
        };
        passes.Launch(stream, mask, maps, geometry, plan, key, count);
        if (units.Count == 0) return;
        bool byGroup = units.Cells / passes.TileCells >= TilesPerItem;
        stream.Launch(
            ScaleKernel,
            new KernelVariant(dtype),
            byGroup ? LaunchShape.GroupPerRow(units.Count) : LaunchShape.Items(units.Count, ScaleKernel),
            new DropBlockScaleArguments
            {
                Counts = counts.Argument,
                Scales = scales,
                Units = (ulong)units.Count,
                UnitCells = (ulong)units.Cells,
                TileCells = (ulong)passes.TileCells,
                TileUnits = (ulong)tileUnits,
                ByGroup = byGroup ? 1u : 0,
            });
    }

    /// <summary>The keep bits of all maps: what is drawn and spread at once, and what is spread from memory after it.</summary>
    private readonly record struct MaskPasses(SpreadArguments First, List<SpreadArguments> Others, long Halo)
    {
        /// <summary>Cells of a tile of the last pass, which counts.</summary>
        public long TileCells => CellsPerWord * (Others.Count == 0 ? Tile - Halo : Tile);

        /// <summary>
        /// The halo are the words before a tile that reach into it in the first pass. A group makes them with its tile, in whose memory
        /// there is room for so many; the CPU makes them beside pieces of any length.
        /// </summary>
        public static MaskPasses Of(DeviceStream stream, in DropBlockGeometry geometry)
        {
            List<SpreadArguments> passes = SpreadArguments.For(geometry);
            long halo = (passes[0].Reach + CellsPerWord - 1) / CellsPerWord;
            if (stream.Device.Kind == DeviceKind.Cpu) return new(passes[0], passes[1..], 0);
            return halo <= MostHalo ? new(passes[0], passes[1..], halo) : new(SpreadArguments.Nothing, passes, 0);
        }

        public void Launch(
            DeviceStream stream, TensorArgument mask, in Maps maps, in DropBlockGeometry geometry, DropBlockPlan plan, RandomKeySource key,
            CountArguments count)
        {
            long words = 2 * ((maps.MaskCells + 63) / 64);
            using ScratchPool.Lease<uint> seeds = stream.RentScratch<uint>(Others.Count > 0 ? words : 1);
            using ScratchPool.Lease<uint> other = stream.RentScratch<uint>(Others.Count > 1 ? words : 1);
            long tileCells = CellsPerWord * (Tile - Halo);
            stream.Launch(
                DrawKernel,
                new KernelVariant(DType.Float32),
                new LaunchShape((maps.MaskCells + tileCells - 1) / tileCells),
                new DropBlockDrawArguments
                {
                    Target = Others.Count == 0 ? mask : seeds.Argument,
                    Cells = (ulong)maps.MaskCells,
                    Depth = (ulong)geometry.Depth,
                    Height = (ulong)geometry.Height,
                    Width = (ulong)geometry.Width,
                    SeedDepth = (ulong)geometry.SeedDepth,
                    SeedHeight = (ulong)geometry.SeedHeight,
                    SeedWidth = (ulong)geometry.SeedWidth,
                    FirstUnit = maps.GlobalStart * (ulong)(maps.MaskChannels * geometry.Positions),
                    Threshold = plan.Threshold,
                    Halo = (uint)Halo,
                    Spread = First,
                    Invert = Others.Count == 0 ? 1u : 0,
                    Count = Others.Count == 0 ? count : default,
                    Key = key.Argument,
                });
            for (int pass = 0; pass < Others.Count; pass++)
            {
                bool last = pass == Others.Count - 1;
                (TensorArgument source, TensorArgument target) = pass % 2 == 0
                    ? (seeds.Argument, other.Argument) : (other.Argument, seeds.Argument);
                stream.Launch(
                    SpreadKernel,
                    new KernelVariant(DType.Float32),
                    LaunchShape.Items(words / 2, SpreadKernel),
                    new DropBlockSpreadArguments
                    {
                        Source = source,
                        Target = last ? mask : target,
                        Cells = (ulong)maps.MaskCells,
                        Spread = Others[pass],
                        Invert = last ? 1u : 0,
                        Count = last ? count : default,
                    });
            }
        }
    }

    /// <summary>A tensor seen as maps; MaskChannels is 1 where the channels share a mask.</summary>
    private readonly record struct Maps(long Samples, long Channels, long Cells, long MaskChannels, TensorLayout Layout, ulong GlobalStart)
    {
        /// <summary>A call numbers its elements, and draws for them, in less than 2^62.</summary>
        private const ulong IndexLimit = 1UL << 62;

        /// <summary>
        /// The CPU has a word for each channel of a run of cells, and five words for each 64 cells that a block reaches over, in arrays.
        /// </summary>
        private const long MostChannels = 1L << 30;
        private const long MostCells = 1L << 34;

        public long MaskCells => Samples * MaskChannels * Cells;

        public static Maps Of(string op, ReadOnlySpan<long> shape, string name, DropBlockOptions options)
        {
            if (shape.Length is < 3 or > 5)
            {
                throw new ArgumentException(
                    $"{op}: {name} has the shape {TensorShape.Format(shape)}, expected batch, channels and one to three spatial axes.",
                    name);
            }

            Check.Defined(op, options.Layout, nameof(options.Layout));
            Check.Defined(op, options.Normalization, nameof(options.Normalization));
            Check.Defined(op, options.Fill, nameof(options.Fill));
            bool first = options.Layout == TensorLayout.ChannelsFirst;
            long channels = shape[first ? 1 : ^1];
            ReadOnlySpan<long> spatial = first ? shape[2..] : shape[1..^1];
            long maskChannels = options.SharedChannels ? 1 : channels;
            Maps maps = new(shape[0], channels, TensorShape.Count(spatial), maskChannels, options.Layout, options.GlobalStart);
            if (channels > MostChannels || maps.Cells > MostCells)
            {
                throw new ArgumentException(
                    $"{op}: {name} has the shape {TensorShape.Format(shape)}, more than 2^30 channels or 2^34 cells of a map.", name);
            }

            if ((UInt128)options.GlobalStart + (ulong)maps.Samples >= IndexLimit / (ulong)Math.Max(1, channels * maps.Cells))
            {
                throw new ArgumentOutOfRangeException(
                    nameof(options), options.GlobalStart, $"{op}: samples from there exceed 2^62 elements.");
            }

            return maps;
        }

        public ReadOnlySpan<long> Spatial(ReadOnlySpan<long> shape) => Layout == TensorLayout.ChannelsFirst ? shape[2..] : shape[1..^1];
    }

    /// <summary>
    /// Units of normalisation: how many, of how many cells each, and how many of them the next sample or channel is away.
    /// </summary>
    private readonly record struct Units(long Count, long Cells, long OfSample, long OfChannel)
    {
        public static Units Of(in Maps maps, DropBlockNormalization normalization) => normalization switch
        {
            DropBlockNormalization.Batch => new(1, maps.MaskCells, 0, 0),
            DropBlockNormalization.Sample => new(maps.Samples, maps.MaskChannels * maps.Cells, 1, 0),
            DropBlockNormalization.Map =>
                new(maps.Samples * maps.MaskChannels, maps.Cells, maps.MaskChannels, maps.MaskChannels == 1 ? 0 : 1),
            _ => default,
        };
    }

    private readonly record struct Strides(ulong Inner, ulong Outer, ulong Sample);

    /// <summary>
    /// x as [samples, outer, inner], with the strides of mask and scales in that order. Channels first, the maps of a sample that share a
    /// scale but not a mask are one long line of inner elements; all samples are, where they share it as well.
    /// </summary>
    private readonly record struct Lines(ulong Inner, ulong Outer, Strides Mask, Strides Scale)
    {
        public static Lines Of(in Maps maps, in Units units, DropBlockOptions options)
        {
            (ulong channels, ulong cells) = ((ulong)maps.Channels, (ulong)maps.Cells);
            (ulong unitsOfSample, ulong unitsOfChannel) = ((ulong)units.OfSample, (ulong)units.OfChannel);
            ulong bitsOfSample = (ulong)maps.MaskChannels * cells, bitsOfChannel = options.SharedChannels ? 0 : cells;
            if (options.Layout == TensorLayout.ChannelsLast)
                return new(channels, cells, new(bitsOfChannel, 1, bitsOfSample), new(unitsOfChannel, 0, unitsOfSample));
            if (options.SharedChannels || unitsOfChannel > 0)
                return new(cells, channels, new(1, bitsOfChannel, bitsOfSample), new(0, unitsOfChannel, unitsOfSample));
            if (unitsOfSample > 0) return new(channels * cells, 1, new(1, 0, bitsOfSample), new(0, 0, unitsOfSample));
            return new((ulong)maps.MaskCells, 1, new(1, 0, 0), default);
        }
    }
}
