using Kernels.Devices;

namespace Kernels;

/// <summary>Settings of <see cref="DifferentiableAugment"/>; by default channels first, and samples numbered from 0.</summary>
public readonly record struct DifferentiableAugmentOptions
{
    /// <summary>Where the channels are. The same pixels are shifted and cut in either layout.</summary>
    public TensorLayout Layout { get; init; }

    /// <summary>Number of the first image's sample where no sample numbers are given.</summary>
    public ulong FirstSample { get; init; }
}

/// <summary>
/// Differentiable augmentation for adversarial training: brightness, saturation, contrast, translation and cutout of each image, and the
/// gradient with respect to the images.
/// </summary>
/// <remarks>
/// <code>
/// x1 = x + b                                        b in Brightness
/// x2 = m + s (x1 - m), m = the pixel's mean of x1   s in Saturation
/// x3 = M + c (x2 - M), M = the image's mean of x2   c in Contrast
/// x4[r, k] = x3[r + down, k + across], 0 outside    within Translation
/// y = 0 in a box, else x4                           Cutout
/// </code>
/// <para>
/// Values are of any range and nothing is clamped. The three colour ops are one sum, y = c s x + c (1 - s) m + (1 - c) M + b with the means
/// of x, so no more than one pass over the images comes before that which writes them, for images whose contrast changes. Backward draws
/// the same again and is the exact adjoint of the linear part: the means of the gradients are spread over what they are means of.
/// </para>
/// <para>
/// Everything follows from key and sample number alone, so a sample is treated alike in every batch, order and shard, and on every device.
/// Draw 0 of the sample (words 0 to 2) gives b, s and c, in steps of 2^-24 of their ranges; draw 1 the rows and columns of the shift
/// (words 0 and 1) and of the box (2 and 3); a transform takes place where the lane of draw 2 with its number (0 to 4, in the order above)
/// is below 65536 p. p is <see cref="DifferentiablePolicy.Probability"/>, or in device memory, where a captured step may change it: there
/// NaN stands for 0 and more than 1 for 1. A sample that nothing happens to is copied bit for bit.
/// </para>
/// <para>
/// NaN and infinities in a box, or shifted out, are gone; else saturation spreads them over the pixel and contrast over the image. Types:
/// float, Half, BFloat16, double; arithmetic in float, or double; tensors without elements are a no-op. S. Zhao, Z. Liu, J. Lin, J.-Y. Zhu
/// and S. Han, "Differentiable augmentation for data-efficient GAN training", NeurIPS 2020; the probability: T. Karras, M. Aittala, J.
/// Hellsten, S. Laine, J. Lehtinen and T. Aila, "Training generative adversarial networks with limited data", NeurIPS 2020.
/// </para>
/// <para>
/// Every method throws <see cref="ArgumentException"/> for shapes that do not fit, tensors that overlap or live on another device, and
/// <see cref="ArgumentOutOfRangeException"/> for a range that is reversed, a share or probability outside [0, 1], before anything is
/// launched.
/// </para>
/// </remarks>
public static unsafe partial class DifferentiableAugment
{
    /// <summary>ROW_LENGTH and ROW_DRAWN in the text.</summary>
    private const int RowLength = 18, RowDrawn = 10;

    private const int MostParts = RowLength - RowDrawn;

    /// <summary>Elements of an image that a group adds up, where parts are few enough.</summary>
    private const long PartLength = 1 << 13;

    /// <summary>Elements of a plane that a group takes at a time.</summary>
    private const long TurnLength = 8 * KernelDefinition.DefaultGroupSize;

    /// <summary>TILE in the text.</summary>
    private const long TileLength = 4 * TurnLength;

    private static readonly KernelDefinition<DifferentiableAugmentDrawArguments> DrawKernel =
        EntryPoints.DifferentiableAugmentDraw.Float<CpuDraw>(vectorWidths: [1, 8]);

    private static readonly KernelDefinition<DifferentiableAugmentApplyArguments> ApplyKernel =
        EntryPoints.DifferentiableAugmentApply.Float<CpuApply>(vectorWidths: [1, 8]);

    /// <summary>Augments images.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Images: [batch, channels, height, width] or [batch, height, width, channels].</param>
    /// <param name="sampleIds">
    /// Number of each image's sample, shape [batch]; null: they are numbered from
    /// <see cref="DifferentiableAugmentOptions.FirstSample"/> on.
    /// </param>
    /// <param name="probability">
    /// The probability of a transform in device memory, one element; null: <see cref="DifferentiablePolicy.Probability"/>.
    /// </param>
    /// <param name="y">Output, shape of <paramref name="x"/>.</param>
    /// <param name="policy">What is drawn.</param>
    /// <param name="key">Random key: seed, and the step or the epoch as offset.</param>
    /// <param name="options">Layout, numbers.</param>
    public static void Forward<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<ulong>? sampleIds, DeviceTensor<float>? probability, DeviceTensor<T> y,
        DifferentiablePolicy policy, RandomKeySource key, DifferentiableAugmentOptions options = default)
        where T : unmanaged =>
        Apply(
            "DifferentiableAugment.Forward", stream, x, nameof(x), sampleIds, probability, y, nameof(y), policy, key, options,
            backward: false);

    /// <summary>The gradient with respect to the images of the forward call that had the same arguments.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="dy">Gradient of the output.</param>
    /// <param name="sampleIds">As in forward.</param>
    /// <param name="probability">As in forward.</param>
    /// <param name="dx">Gradient of the input, shape of <paramref name="dy"/>.</param>
    /// <param name="policy">As in forward.</param>
    /// <param name="key">As in forward.</param>
    /// <param name="options">As in forward.</param>
    public static void Backward<T>(
        DeviceStream stream, DeviceTensor<T> dy, DeviceTensor<ulong>? sampleIds, DeviceTensor<float>? probability, DeviceTensor<T> dx,
        DifferentiablePolicy policy, RandomKeySource key, DifferentiableAugmentOptions options = default)
        where T : unmanaged =>
        Apply(
            "DifferentiableAugment.Backward", stream, dy, nameof(dy), sampleIds, probability, dx, nameof(dx), policy, key, options,
            backward: true);

    private static void Apply<T>(
        string op, DeviceStream stream, DeviceTensor<T> x, string xName, DeviceTensor<ulong>? sampleIds,
        DeviceTensor<float>? probability, DeviceTensor<T> y, string yName, DifferentiablePolicy policy, RandomKeySource key,
        in DifferentiableAugmentOptions options, bool backward)
        where T : unmanaged
    {
        ImageShape image = Erasure.CheckImages(op, stream, x, xName, sampleIds, y, yName, options.Layout, options.FirstSample);
        Check.Disjoint(op, x, xName, y, yName);
        if (probability is not null)
        {
            Check.Tensor(op, stream, probability, nameof(probability));
            Check.Shape(op, probability, nameof(probability), 1);
            Check.Disjoint(op, probability, nameof(probability), y, yName);
        }

        if (policy is null) throw new ArgumentNullException(nameof(policy), $"{op}: {nameof(policy)} is null.");
        policy.Validate(op);
        Check.Key(op, stream, key, nameof(key));
        if (x.Length == 0) return;
        long planes = image.Layout == TensorLayout.ChannelsLast ? 1 : image.Channels, plane = image.Run / planes;
        long parts = policy.Contrast == (AugmentRange)1 ? 1 : Math.Clamp(((image.Run - 1) / PartLength) + 1, 1, MostParts);
        long turns = (plane + (TurnLength * parts) - 1) / (TurnLength * parts), partLength = TurnLength * turns;
        parts = (plane + partLength - 1) / partLength;
        InvariantDivisor part = InvariantDivisor.Of(parts);
        InvariantDivisor tile = InvariantDivisor.Of((plane + TileLength - 1) / TileLength);
        InvariantDivisor row = InvariantDivisor.Of(image.Width * image.Pixel), pixel = InvariantDivisor.Of(image.Pixel);
        KernelVariant variant = new(x.DType, plane % 8 == 0 && x.IsVectorAligned && y.IsVectorAligned ? 8 : 1);
        ShiftedImageArguments shape = new()
        {
            Plane = (ulong)plane,
            Planes = (uint)planes,
            Height = (uint)image.Height,
            Width = (uint)image.Width,
            RowLength = (uint)row.Value,
            RowLengthInverse = row.Inverse,
            RowLengthShift = row.Shift,
            Pixel = (uint)pixel.Value,
            PixelInverse = pixel.Inverse,
            PixelShift = pixel.Shift,
        };
        using ScratchPool.Lease<T> rows = RealBuffer<T>.RentScratch(stream, image.Images * RowLength);
        stream.Launch(
            DrawKernel,
            variant,
            LaunchShape.GroupPerRow(image.Images * parts),
            new DifferentiableAugmentDrawArguments
            {
                X = x.Argument,
                SampleIds = sampleIds?.Argument ?? default,
                Probability = probability?.Argument ?? default,
                Rows = rows.Argument,
                Groups = (ulong)(image.Images * parts),
                Parts = part.Value,
                PartsInverse = part.Inverse,
                PartsShift = part.Shift,
                PartLength = (ulong)partLength,
                Weight = 1.0 / image.Run,
                FirstSample = options.FirstSample,
                Op = AugmentKey.DifferentiableAugment,
                Backward = backward ? 1u : 0,
                Chance = policy.Probability,
                ShiftedImage = shape,
                Transform = policy.Transforms(image),
                Key = key.Argument,
            });
        stream.Launch(
            ApplyKernel,
            variant,
            LaunchShape.GroupPerRow(image.Images * (long)tile.Value),
            new DifferentiableAugmentApplyArguments
            {
                X = x.Argument,
                Rows = rows.Argument,
                Y = y.Argument,
                Tiles = (ulong)image.Images * tile.Value,
                SampleTiles = tile.Value,
                SampleInverse = tile.Inverse,
                SampleShift = tile.Shift,
                Parts = (uint)parts,
                ChannelWeight = 1.0 / image.Channels,
                Backward = backward ? 1u : 0,
                ShiftedImage = shape,
            });
    }
}
