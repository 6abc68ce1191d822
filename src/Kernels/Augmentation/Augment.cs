using Kernels.Devices;

namespace Kernels;

/// <summary>
/// Augmentation of a batch of images in one pass: y = (colors(x at the mapped place) - mean) / deviation, with a map, a list of colour ops
/// and an erased box of its own for each sample.
/// </summary>
/// <remarks>
/// <para>
/// An image sees, in this order: crop, flips, shift, rotation, scale and shear as one affine map and one interpolation; the ops of
/// <see cref="AugmentPolicy.Automatic"/>; brightness, contrast, saturation and hue; posterize, solarize, sharpness, autocontrast, equalize;
/// normalization; an erased box. What needs statistics of the image takes those of the image as it is then. Colours lie in [0, white] and
/// are clamped after each op; nothing is rounded before the output is stored. Bytes have white at 255, floating-point images at 1.
/// </para>
/// <para>
/// What is drawn for a sample is a function of (seed, epoch, sample, op): the key's seed, its offset, the sample's number, the op. So a
/// sample becomes the same bits in any batch, at any place in it, on any device. Sharpness counts once in a list.
/// </para>
/// <para>
/// Types: images of bytes, float, Half, BFloat16 or double in; float, Half, BFloat16 or double out. Arithmetic is in float, for double
/// outputs in double. A whole-pixel map without colours or normalization moves bits: the identity, flips and quarter turns are exact.
/// </para>
/// <para>
/// Every method throws <see cref="ArgumentException"/> for shapes that do not fit, channels that an op has no meaning for, tensors that
/// overlap or live on another device, and <see cref="ArgumentOutOfRangeException"/> for settings out of range, before anything is launched.
/// </para>
/// </remarks>
public static partial class Augment
{
    /// <summary>Numbers of a row of the table: the map (6), the count of colour ops, their codes (8) and values (8), the box (4).</summary>
    public const int TableWidth = 27;

    /// <summary>Colour ops of a row.</summary>
    public const int MostColors = 8;

    /// <summary>STATISTICS_LENGTH in the text.</summary>
    private const int StatisticsLength = 768;

    /// <summary>TILE_SIDE in the text.</summary>
    private const int TileSide = 32;

    /// <summary>Columns of a band, BAND_TILES tiles of them in the text.</summary>
    private const int BandWidth = 4 * TileSide;

    /// <summary>PART_TILES in the text.</summary>
    private const int PartTiles = 4;

    private static readonly KernelDefinition<AugmentTableArguments> DrawKernel = EntryPoints.AugmentTable.Fixed(CpuDraw);

    private static readonly KernelDefinition<AugmentApplyArguments> ApplyKernel =
        EntryPoints.AugmentApply.Float<CpuApply>(switches: ["HAS_COLORS", "HAS_BYTES"]);

    private static readonly KernelDefinition<AugmentStatisticsArguments> StatisticsKernel =
        EntryPoints.AugmentStatistics.Float<CpuStatistics>(switches: ["HAS_BYTES"]);

    private static readonly KernelDefinition<AugmentStatisticsJoinArguments> JoinKernel =
        EntryPoints.AugmentStatisticsJoin.Float<CpuStatisticsJoin>();

    /// <summary>Draws the table of a batch and applies it.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Images, [batch, channels, height, width], or as the layout says.</param>
    /// <param name="sampleIds">The samples' numbers, [batch]; null to count from <see cref="AugmentOptions.FirstSample"/>.</param>
    /// <param name="y">Output, of the batch and channels of <paramref name="x"/>, of any height and width.</param>
    /// <param name="policy">What is drawn.</param>
    /// <param name="key">Seed and epoch.</param>
    /// <param name="options">Reading, normalization, layout.</param>
    public static void Forward<TIn, TOut>(
        DeviceStream stream, DeviceTensor<TIn> x, DeviceTensor<ulong>? sampleIds, DeviceTensor<TOut> y, AugmentPolicy policy,
        RandomKeySource key, AugmentOptions options = default)
        where TIn : unmanaged
        where TOut : unmanaged => Forward("Augment.Forward", stream, x, sampleIds, y, policy, key, options);

    /// <summary>Draws the table of a batch.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="sampleIds">The samples' numbers, [batch]; null to count from <see cref="AugmentOptions.FirstSample"/>.</param>
    /// <param name="table">Output, [batch, <see cref="TableWidth"/>].</param>
    /// <param name="inputSize">Height and width of the images, each in [1, 2^20].</param>
    /// <param name="outputSize">Height and width of the output, each in [1, 2^20].</param>
    /// <param name="policy">What is drawn.</param>
    /// <param name="key">Seed and epoch.</param>
    /// <param name="options">The number of the first sample.</param>
    public static void Draw(
        DeviceStream stream, DeviceTensor<ulong>? sampleIds, DeviceTensor<float> table, Size2d inputSize, Size2d outputSize,
        AugmentPolicy policy, RandomKeySource key, AugmentOptions options = default)
    {
        const string Name = "Augment.Draw";
        Check.Tensor(Name, stream, table, nameof(table));
        Check.Rank(Name, table, nameof(table), 2);
        Check.Shape(Name, table, nameof(table), table.Shape[0], TableWidth);
        AugmentChecks.Size(Name, inputSize, nameof(inputSize));
        AugmentChecks.Size(Name, outputSize, nameof(outputSize));
        AugmentChecks.Policy(Name, policy, inputSize, outputSize, channels: 3);
        AugmentChecks.SampleIds(Name, stream, sampleIds, table.Shape[0]);
        if (sampleIds is not null) Check.Disjoint(Name, sampleIds, nameof(sampleIds), table, nameof(table));
        Check.Key(Name, stream, key, nameof(key));
        LaunchDraw(stream, sampleIds, table.Argument, table.Shape[0], inputSize, outputSize, policy, automaticChannels: 3, key, options);
    }

    /// <summary>Applies a table that was drawn, or made, before.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Images, [batch, channels, height, width], or as the layout says.</param>
    /// <param name="table">A row for each sample, [batch, <see cref="TableWidth"/>], as <see cref="Draw"/> writes it.</param>
    /// <param name="y">Output, of the batch and channels of <paramref name="x"/>, of any height and width.</param>
    /// <param name="statistics">
    /// Colour ops of a row that may need statistics of the image: contrast, autocontrast, equalize. Those of a row beyond so many are left
    /// out.
    /// </param>
    /// <param name="options">Reading, normalization, layout.</param>
    public static void Apply<TIn, TOut>(
        DeviceStream stream, DeviceTensor<TIn> x, DeviceTensor<float> table, DeviceTensor<TOut> y, int statistics = 0,
        AugmentOptions options = default)
        where TIn : unmanaged
        where TOut : unmanaged
    {
        const string Name = "Augment.Apply";
        AugmentImages images = AugmentImages.Of(Name, stream, x, y, options);
        Check.Tensor(Name, stream, table, nameof(table));
        Check.Shape(Name, table, nameof(table), images.Batch, TableWidth);
        Check.Disjoint(Name, table, nameof(table), y, nameof(y));
        if (statistics is < 0 or > MostColors)
            throw new ArgumentOutOfRangeException(nameof(statistics), statistics, $"{Name}: a row has 0 to {MostColors} colour ops.");
        LaunchApply(
            stream, images, x, table.Argument, TableWidth, y, images.HasColors ? statistics : 0, hasColors: true, options);
    }

    internal static void Forward<TIn, TOut>(
        string op, DeviceStream stream, DeviceTensor<TIn> x, DeviceTensor<ulong>? sampleIds, DeviceTensor<TOut> y, AugmentPolicy policy,
        RandomKeySource key, AugmentOptions options)
        where TIn : unmanaged
        where TOut : unmanaged
    {
        AugmentImages images = AugmentImages.Of(op, stream, x, y, options);
        AugmentChecks.Policy(op, policy, images.InputSize, images.OutputSize, images.Channels);
        AugmentChecks.SampleIds(op, stream, sampleIds, images.Batch);
        if (sampleIds is not null) Check.Disjoint(op, sampleIds, nameof(sampleIds), y, nameof(y));
        Check.Key(op, stream, key, nameof(key));
        if (y.Length == 0) return;
        using ScratchPool.Lease<float> table = stream.RentScratch<float>(images.Batch * TableWidth);
        LaunchDraw(
            stream, sampleIds, table.Argument, images.Batch, images.InputSize, images.OutputSize, policy, (int)images.Channels, key,
            options);
        bool hasColors = policy.MostColors > 0 || policy.Cutout > 0;
        if (RejectResident(stream, images, x, y, policy.IsOfPixels, options) is null)
            LaunchResident(stream, images, x, table.Argument, TableWidth, y, policy.MostStatistics, options);
        else
            LaunchApply(stream, images, x, table.Argument, TableWidth, y, policy.MostStatistics, hasColors, options);
    }

    internal static void LaunchApply<TIn, TOut>(
        DeviceStream stream, in AugmentImages images, DeviceTensor<TIn> x, TensorArgument table, int tableWidth, DeviceTensor<TOut> y,
        int statisticCount, bool hasColors, in AugmentOptions options, bool isNormalized = false)
        where TIn : unmanaged
        where TOut : unmanaged
    {
        if (y.Length == 0) return;
        AugmentColorArguments color = images.Color(statisticCount);
        AugmentMapArguments map = images.Map(options, isNormalized);
        (long down, long across) = (Tiles(images.OutputSize.Height), Tiles(images.OutputSize.Width));
        AugmentImageArguments image = WithRowsOf(images.Image, across);
        bool isTakenOnTheWay = stream.Device.Kind == DeviceKind.Cpu && IsKept(image, y.DType == DType.Float64);
        bool isTakenFirst = statisticCount > 0 && !isTakenOnTheWay;
        using ScratchPool.Lease<TOut> statistics =
            RealBuffer<TOut>.RentScratch(stream, isTakenFirst ? images.Batch * statisticCount * StatisticsLength : 1);
        TensorArgument kept = isTakenFirst ? new TensorArgument(statistics.Buffer.Memory, 0) : default;
        if (isTakenFirst)
            LaunchStatistics(stream, images, x, table, tableWidth, y, down * across, image, map, color, kept);

        // A group takes three channels of a band, at most.
        long bands = (images.OutputSize.Width + BandWidth - 1) / BandWidth, sampleJobs = down * bands * ((images.Channels + 2) / 3);
        InvariantDivisor sample = InvariantDivisor.Of(sampleJobs);
        AugmentOutput output = AugmentOutput.Of(images, y, options);
        stream.Launch(
            ApplyKernel,
            new KernelVariant(y.DType, Switches: (hasColors ? 1u : 0) | (x.DType == DType.UInt8 ? 2u : 0)),
            LaunchShape.GroupPerRow(images.Batch * sampleJobs),
            new AugmentApplyArguments
            {
                X = images.InBytes(x),
                Table = table,
                TableWidth = (uint)tableWidth,
                Statistics = kept,
                Y = y.Argument,
                Jobs = (ulong)(images.Batch * sampleJobs),
                SampleInverse = sample.Inverse,
                SampleShift = sample.Shift,
                SampleJobs = (uint)sampleJobs,
                YPixel = output.Pixel,
                YChannel = output.Channel,
                HasFours = output.HasFours ? 1u : 0,
                Erased = options.Erased,
                AugmentImage = WithRowsOf(image, bands),
                AugmentMap = map,
                AugmentColor = color,
                Normalize = images.Normalize(options),
            });
    }

    private static long Tiles(long side) => (side + TileSide - 1) / TileSide;

    private static AugmentImageArguments WithRowsOf(in AugmentImageArguments image, long pieces)
    {
        (uint inverse, uint shift) = AugmentImages.Divisor(pieces);
        return image with { RowInverse = inverse, RowShift = shift };
    }

    /// <summary>
    /// What the ops of all lists need of their images, the first of each list, then the second, which sees what the first made. Parts are
    /// cut by the image's size alone.
    /// </summary>
    private static void LaunchStatistics<TIn, TOut>(
        DeviceStream stream, in AugmentImages images, DeviceTensor<TIn> x, TensorArgument table, int tableWidth, DeviceTensor<TOut> y,
        long sampleTiles, in AugmentImageArguments image, in AugmentMapArguments map, in AugmentColorArguments color, TensorArgument kept)
        where TIn : unmanaged
        where TOut : unmanaged
    {
        long sampleParts = (sampleTiles + PartTiles - 1) / PartTiles;
        using ScratchPool.Lease<TOut> found =
            RealBuffer<TOut>.RentScratch(stream, images.Batch * sampleParts * StatisticsLength);
        TensorArgument parts = new(found.Buffer.Memory, 0);
        InvariantDivisor sample = InvariantDivisor.Of(sampleParts);
        for (uint statistic = 0; statistic < color.StatisticCount; statistic++)
        {
            stream.Launch(
                StatisticsKernel,
                new KernelVariant(y.DType, Switches: x.DType == DType.UInt8 ? 1u : 0),
                LaunchShape.GroupPerRow(images.Batch * sampleParts),
                new AugmentStatisticsArguments
                {
                    X = images.InBytes(x),
                    Table = table,
                    TableWidth = (uint)tableWidth,
                    Statistics = kept,
                    Parts = parts,
                    Jobs = (ulong)(images.Batch * sampleParts),
                    SampleInverse = sample.Inverse,
                    SampleShift = sample.Shift,
                    SampleParts = (uint)sampleParts,
                    Statistic = statistic,
                    AugmentImage = image,
                    AugmentMap = map,
                    AugmentColor = color,
                });
            stream.Launch(
                JoinKernel,
                new KernelVariant(y.DType),
                LaunchShape.GroupPerRow(images.Batch),
                new AugmentStatisticsJoinArguments
                {
                    Parts = parts,
                    Table = table,
                    TableWidth = (uint)tableWidth,
                    Statistics = kept,
                    Samples = (ulong)images.Batch,
                    SampleParts = (uint)sampleParts,
                    Statistic = statistic,
                    Channels = image.Channels,
                    Pixels = image.OutHeight * image.OutWidth,
                    AugmentColor = color,
                });
        }
    }

    private static void LaunchDraw(
        DeviceStream stream, DeviceTensor<ulong>? sampleIds, TensorArgument table, long samples, Size2d input, Size2d output,
        AugmentPolicy policy, int automaticChannels, RandomKeySource key, in AugmentOptions options)
    {
        if (samples == 0) return;
        stream.Launch(
            DrawKernel,
            new KernelVariant(DType.Float32),
            LaunchShape.Items(samples, DrawKernel),
            new AugmentTableArguments
            {
                SampleIds = sampleIds?.Argument ?? default,
                FirstSample = options.FirstSample,
                Key = key.Argument,
                Table = table,
                Samples = (ulong)samples,
                Height = (uint)input.Height,
                Width = (uint)input.Width,
                OutHeight = (uint)output.Height,
                OutWidth = (uint)output.Width,
                FlipHorizontal = AugmentDrawing.Threshold(policy.HorizontalFlip),
                FlipVertical = AugmentDrawing.Threshold(policy.VerticalFlip),
                DrawCrop = AugmentDrawing.Crop(policy, input, output),
                DrawAffine = AugmentDrawing.Affine(policy),
                DrawAuto = AugmentDrawing.Auto(policy.Automatic, output, automaticChannels),
                DrawColor = AugmentDrawing.Color(policy),
                DrawBox = AugmentDrawing.Box(policy),
            });
    }
}
