using Kernels.Devices;

namespace Kernels;

/// <content>
/// The way over CUDA's tensor cores (<c>kernels/cuda/conv2d.*.cu</c>): the half types, whose products are exact in float, with channels
/// last in eights; other layouts are packed. Float is not for them: tf32 would drop 13 bits of its operands.
/// </content>
public static partial class Conv2d
{
    /// <summary>Elements that are copied at a time: channels of a group come in as many.</summary>
    private const int Chunk = 8;

    private const int TensorGroupSize = 128;
    /// <summary>Sides of a tile of the product; the second is that of wide ones.</summary>
    private const int NarrowTile = 64;
    private const int WideTile = 128;

    /// <summary>Depth of a slice of a tile, and slices in shared memory.</summary>
    private const int SliceDepth = 64;
    private const int Stages = 3;

    /// <summary>Beyond what a launch asks for: the tables of the texts.</summary>
    private const int TensorTableBytes = 2 << 10;

    /// <summary>A tap is a bit for its row and one for its column.</summary>
    private const int MostTapBits = 32;

    /// <summary>Groups that a large GPU holds at a time, with wide tiles and with others, and the least pixels of a split.</summary>
    private const long WideGroups = 264;
    private const long NarrowGroups = 396;
    private const long PixelsOfTensorSplit = 256;

    /// <summary>Multiply-adds that take the portable kernels longer than tensor cores with packing before and after them.</summary>
    private const double LeastPackedWork = 1 << 23;

    private const uint WideSwitch = 1;
    private const uint BackwardSwitch = 2;

    private static readonly DType[] Halves = [DType.Float16, DType.BFloat16];

    private static readonly KernelDefinition<Conv2dGatherArguments> TensorGatherKernel =
        EntryPoints.Conv2dGatherMma.Cuda<TensorGather>(Halves, TensorGroupSize, TensorSharedBytes, switches: ["WIDE", "BACKWARD"]);

    private static readonly KernelDefinition<Conv2dBackwardFilterArguments> TensorBackwardFilterKernel =
        EntryPoints.Conv2dBackwardFilterMma.Cuda<TensorBackwardFilter>(Halves, TensorGroupSize, TensorSharedBytes, switches: ["WIDE"]);

    /// <summary>Why tensor cores leave a problem to the portable kernels, or null where they take it.</summary>
    /// <param name="device">Where it is to run.</param>
    /// <param name="dtype">The stored type.</param>
    /// <param name="shape">The problem.</param>
    /// <param name="layout">Of all tensors.</param>
    /// <param name="isAligned">All of them lie on 16 bytes.</param>
    internal static string? RejectTensorCores(
        Device device, DType dtype, in Conv2dShapeArguments shape, TensorLayout layout, bool isAligned)
    {
        if (device.RejectTensorCores(SharedBytesOf(WideTile) + TensorTableBytes) is { } reason) return reason;
        if (dtype is not (DType.Float16 or DType.BFloat16)) return $"{dtype.ShortName()} is summed as it is";
        if (shape.IsDepthwise || shape.XChannels == 0) return $"{shape.XChannels} channels in a group are nothing to multiply by a matrix";
        if (shape.FilterHeight + shape.FilterWidth > MostTapBits)
            return $"a filter of {shape.FilterHeight} x {shape.FilterWidth} has more than {MostTapBits} rows and columns together";
        double work = (double)shape.YPixels * shape.YChannels * shape.Groups * shape.PerOutput;
        bool isPacked = isAligned && layout == TensorLayout.ChannelsLast && shape.XChannels % Chunk == 0 && shape.YChannels % Chunk == 0;
        if (!isPacked && work < LeastPackedWork) return $"{work} multiply-adds are not worth packing";
        double pixels = Math.Max((double)shape.XHeight * shape.XWidth, (double)shape.YHeight * shape.YWidth) * shape.Batch;
        double channels = (double)shape.Groups * InChunks(Math.Max(shape.XChannels, shape.YChannels));
        return pixels >= int.MaxValue || pixels * channels / Chunk >= uint.MaxValue ? "offsets have more than 32 bits" : null;
    }

    /// <summary>y from x or dx from dy: 128 pixels x 64 or 128 channels a group.</summary>
    private static void TensorCoreGather<T>(
        DeviceStream stream, in Conv2dShapeArguments shape, TensorLayout layout, DeviceTensor<T> image, DeviceTensor<T> filter,
        DeviceTensor<T>? bias, DeviceTensor<T> result, bool backward, bool rectifies)
        where T : unmanaged
    {
        using Packed<T> packedImage = PackedMaps(stream, image, shape, isX: !backward, layout);
        using Packed<T> packedFilter = PackedFilter(stream, filter, shape, layout);
        using Packed<T> packedResult = PackedMaps(stream, result, shape, isX: backward, layout);
        using Packed<T>? packedBias = PackedBias(stream, bias, shape);
        packedImage.Read(stream);
        packedFilter.Read(stream);
        packedBias?.Read(stream);
        Conv2dShapeArguments packed = InChunks(shape);
        long channels = backward ? packed.XChannels : packed.YChannels;
        bool isWide = channels > NarrowTile;
        long height = backward ? Tiles(shape.XHeight, shape.StrideY) : shape.YHeight;
        long width = backward ? Tiles(shape.XWidth, shape.StrideX) : shape.YWidth;
        long phases = backward ? (long)Math.Min(shape.StrideY, shape.XHeight) * Math.Min(shape.StrideX, shape.XWidth) : 1;
        long pixelTiles = Tiles((long)shape.Batch * height * width, WideTile);
        stream.Launch(
            TensorGatherKernel,
            new KernelVariant(result.DType, Switches: (isWide ? WideSwitch : 0) | (backward ? BackwardSwitch : 0)),
            new LaunchShape(Tiles(channels, isWide ? WideTile : NarrowTile) * (long)shape.Groups * phases * pixelTiles),
            new Conv2dGatherArguments
            {
                Image = packedImage.Argument,
                Filter = packedFilter.Argument,
                Bias = packedBias?.Argument ?? bias?.Argument ?? default,
                Result = packedResult.Argument,
                Conv2dShape = packed,
                Backward = backward ? 1u : 0u,
                HasBias = bias is null ? 0u : 1u,
                HasRelu = rectifies ? 1u : 0u,
            });
        packedResult.Write(stream);
    }

    /// <summary>The gradients of filter and bias; the latter may be null.</summary>
    private static void TensorCoreFilterGradient<T>(
        DeviceStream stream, in Conv2dShapeArguments shape, TensorLayout layout, DeviceTensor<T> x, DeviceTensor<T> dy,
        DeviceTensor<T> dFilter, DeviceTensor<T>? dBias)
        where T : unmanaged
    {
        using Packed<T> packedX = PackedMaps(stream, x, shape, isX: true, layout);
        using Packed<T> packedDy = PackedMaps(stream, dy, shape, isX: false, layout);
        using Packed<T> packedFilter = PackedFilter(stream, dFilter, shape, layout);
        using Packed<T>? packedBias = PackedBias(stream, dBias, shape);
        packedX.Read(stream);
        packedDy.Read(stream);
        Conv2dShapeArguments packed = InChunks(shape);
        (bool isWide, long tiles, long splits, long pixels) = TensorSplits(packed);
        long biasLength = dBias is null ? 0 : packed.Outputs;
        long parts = splits > 1 ? splits * (packedFilter.Length + biasLength) : 0;
        using ScratchPool.Lease<T> partial = RealBuffer<T>.RentScratch(stream, parts);
        TensorArgument filterPart = splits > 1 ? partial.Argument : default;
        TensorArgument biasPart = splits > 1
            ? filterPart with { Offset = filterPart.Offset + (ulong)(splits * packedFilter.Length) } : default;
        TensorArgument filterSum = packedFilter.Argument, biasSum = packedBias?.Argument ?? dBias?.Argument ?? default;
        stream.Launch(
            TensorBackwardFilterKernel,
            new KernelVariant(x.DType, Switches: isWide ? WideSwitch : 0),
            new LaunchShape(tiles * splits),
            new Conv2dBackwardFilterArguments
            {
                X = packedX.Argument,
                Dy = packedDy.Argument,
                Dfilter = filterSum,
                Dbias = biasSum,
                Partial = filterPart,
                BiasPartial = biasPart,
                Conv2dShape = packed,
                HasBias = dBias is null ? 0u : 1u,
                Splits = (ulong)splits,
                PixelsPerSplit = (ulong)pixels,
            });
        if (splits > 1)
        {
            PartialSums.Reduce(stream, x.DType, filterPart, filterSum, packedFilter.Length, splits);
            if (dBias is not null) PartialSums.Reduce(stream, x.DType, biasPart, biasSum, packed.Outputs, splits);
        }

        packedFilter.Write(stream);
        packedBias?.Write(stream);
    }

    private static int TensorSharedBytes(KernelVariant variant) =>
        SharedBytesOf((variant.Switches & WideSwitch) != 0 ? WideTile : NarrowTile);

    /// <summary>The slices of a tile of 128 by so many.</summary>
    private static int SharedBytesOf(int side) => Stages * SliceDepth * (WideTile + side) * sizeof(ushort);

    private static Conv2dShapeArguments InChunks(in Conv2dShapeArguments shape) =>
        shape with { XChannels = (uint)InChunks(shape.XChannels), YChannels = (uint)InChunks(shape.YChannels) };

    /// <summary>How the filter's gradient is cut: by the problem alone, so that the order of the sums does not depend on the GPU.</summary>
    private static (bool IsWide, long Tiles, long Splits, long Pixels) TensorSplits(in Conv2dShapeArguments shape)
    {
        bool isWide = shape.YChannels > NarrowTile;
        long tiles = Tiles(shape.YChannels, isWide ? WideTile : NarrowTile) * Tiles(shape.PerOutput, WideTile) * (long)shape.Groups;
        long most = Math.Max(1, (isWide ? WideGroups : NarrowGroups) / tiles);
        long splits = Math.Clamp(shape.YPixels / PixelsOfTensorSplit, 1, most);
        long pixels = Tiles(Tiles(shape.YPixels, splits), SliceDepth) * SliceDepth;
        return (isWide, tiles, splits, pixels);
    }

    private readonly struct TensorGather : ICpuKernel<Conv2dGatherArguments>
    {
        public static void Run<T>(in KernelVariant variant, in Conv2dGatherArguments arguments)
            where T : unmanaged => CpuGather.Run<T>(variant with { Switches = ChannelsLastSwitch }, arguments);
    }

    private readonly struct TensorBackwardFilter : ICpuKernel<Conv2dBackwardFilterArguments>
    {
        public static void Run<T>(in KernelVariant variant, in Conv2dBackwardFilterArguments arguments)
            where T : unmanaged => CpuBackwardFilter.Run<T>(variant with { Switches = ChannelsLastSwitch }, arguments);
    }
}
