using Kernels.Devices;

namespace Kernels;

/// <content>
/// The launch that keeps images in CUDA's shared memory (<c>kernels/cuda/augment.resident.cu</c>), in the place of those for statistics and
/// of the one that applies.
/// </content>
public static partial class Augment
{
    /// <summary>Bytes of an image that are kept, which leaves room in 227 KB for the tables of the text.</summary>
    private const int MostResidentBytes = 216 << 10;

    /// <summary>MOST_PARTS in the text.</summary>
    private const long MostResidentParts = 32;

    /// <summary>Tiles of an image that three teams of 256 items share well; for smaller ones a group is more than they need.</summary>
    private const long FewestResidentTiles = 16;

    private const int ResidentGroupSize = 768;

    private static readonly KernelDefinition<AugmentResidentArguments> ResidentKernel =
        EntryPoints.AugmentResident.Cuda<CpuResident>(
            [DType.Float32, DType.Float16, DType.BFloat16], ResidentGroupSize, static _ => MostResidentBytes, switches: ["HAS_WORDS"]);

    /// <summary>
    /// Why the launches of several take a call, or null where one launch does. It is told by images and policy alone; both ways make the
    /// same bits.
    /// </summary>
    private static string? RejectResident<TIn, TOut>(
        DeviceStream stream, in AugmentImages images, DeviceTensor<TIn> x, DeviceTensor<TOut> y, bool isOfPixels, in AugmentOptions options)
        where TIn : unmanaged
        where TOut : unmanaged
    {
        if (stream.Device.RejectResidentKernels() is { } reason) return reason;
        if (x.DType != DType.UInt8 || y.DType == DType.Float64) return "only bytes are few enough";
        if (!images.HasColors) return $"there are {images.Channels} channels";
        if (!isOfPixels) return "an op looks at neighbours or at levels";
        long tiles = Tiles(images.OutputSize.Height) * Tiles(images.OutputSize.Width);
        if (tiles < FewestResidentTiles || tiles > MostResidentParts * PartTiles) return $"there are {tiles} tiles";
        if (images.Bytes % 16 != 0 || !x.IsVectorAligned) return "images are not on 16 bytes";
        (KernelVariant variant, long bytes) = Resident(images, y.DType, options);
        return bytes > MostResidentBytes || stream.Device.ResidentGroups(ResidentKernel, variant, (int)bytes) == 0
            ? $"a group cannot keep {bytes} bytes" : null;
    }

    /// <summary>
    /// How a group keeps an image, and in how many bytes: a word for each pixel of three channels where that fits, and where more than the
    /// nearest is read.
    /// </summary>
    private static (KernelVariant Variant, long Bytes) Resident(in AugmentImages images, DType dtype, in AugmentOptions options)
    {
        long words = sizeof(uint) * images.InputSize.Height * images.InputSize.Width;
        return images.Channels == 3 && words <= MostResidentBytes && options.Interpolation != ImageInterpolation.Nearest
            ? (new KernelVariant(dtype, Switches: 1), words) : (new KernelVariant(dtype), images.Bytes);
    }

    private static void LaunchResident<TIn, TOut>(
        DeviceStream stream, in AugmentImages images, DeviceTensor<TIn> x, TensorArgument table, int tableWidth, DeviceTensor<TOut> y,
        int statisticCount, in AugmentOptions options)
        where TIn : unmanaged
        where TOut : unmanaged
    {
        (long down, long across) = (Tiles(images.OutputSize.Height), Tiles(images.OutputSize.Width));
        AugmentOutput output = AugmentOutput.Of(images, y, options);
        (KernelVariant variant, long bytes) = Resident(images, y.DType, options);
        stream.Launch(
            ResidentKernel,
            variant,
            LaunchShape.GroupPerRow(images.Batch) with { SharedBytes = (int)bytes },
            new AugmentResidentArguments
            {
                X = images.InBytes(x),
                Table = table,
                TableWidth = (uint)tableWidth,
                Y = y.Argument,
                Samples = (ulong)images.Batch,
                Parts = (uint)((down * across + PartTiles - 1) / PartTiles),
                YPixel = output.Pixel,
                YChannel = output.Channel,
                HasFours = output.HasFours ? 1u : 0,
                Erased = options.Erased,
                AugmentImage = WithRowsOf(images.Image, across),
                AugmentMap = images.Map(options, isNormalized: false),
                AugmentColor = images.Color(statisticCount),
                Normalize = images.Normalize(options),
            });
    }

    private readonly struct CpuResident : ICpuKernel<AugmentResidentArguments>
    {
        public static void Run<T>(in KernelVariant variant, in AugmentResidentArguments arguments)
            where T : unmanaged => CpuApply.Run<T>(
                variant with { Switches = 1 },
                new AugmentApplyArguments
                {
                    X = arguments.X,
                    Table = arguments.Table,
                    TableWidth = arguments.TableWidth,
                    Y = arguments.Y,
                    Statistics = default,
                    Jobs = arguments.Samples,
                    SampleJobs = 1,
                    SampleInverse = 0,
                    SampleShift = 0,
                    YPixel = arguments.YPixel,
                    YChannel = arguments.YChannel,
                    HasFours = arguments.HasFours,
                    Erased = arguments.Erased,
                    AugmentImage = arguments.AugmentImage,
                    AugmentMap = arguments.AugmentMap,
                    AugmentColor = arguments.AugmentColor,
                    Normalize = arguments.Normalize,
                });
    }
}
