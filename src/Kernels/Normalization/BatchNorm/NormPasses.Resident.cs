using System.Numerics;
using Kernels.Devices;

namespace Kernels;

/// <content>
/// The forward pass that reads x once, into CUDA's shared memory (<c>kernels/cuda/batch_norm.resident.cu</c>).
/// </content>
internal static partial class NormPasses
{
    private static readonly KernelDefinition<BatchNormResidentArguments> ResidentPlanes =
        EntryPoints.BatchNormResidentPlanes.Cuda<CpuResident>(
            ResidentTypes, KernelDefinition.DefaultGroupSize, ResidentParts.MostBytesOf, [Philox.LanesPerBlock]);

    private static readonly KernelDefinition<BatchNormResidentArguments> ResidentColumns =
        EntryPoints.BatchNormResidentColumns.Cuda<CpuResident>(
            ResidentTypes, KernelDefinition.DefaultGroupSize, ResidentParts.MostBytesOf, [Philox.LanesPerBlock]);

    private static DType[] ResidentTypes => [DType.Float32, DType.Float16, DType.BFloat16];

    /// <summary>Why the launches of several take a forward pass, or null where one launch does.</summary>
    /// <param name="stream">Where it is to run.</param>
    /// <param name="geometry">Its shape.</param>
    /// <param name="dtype">The stored type.</param>
    /// <param name="vectors">All tensors are eights on 16 bytes.</param>
    /// <param name="epilogue">What follows.</param>
    internal static string? RejectResident(
        DeviceStream stream, in NormGeometry geometry, DType dtype, bool vectors, in NormEpilogue epilogue)
    {
        Device device = stream.Device;
        if (device.RejectResidentKernels() is { } reason) return reason;
        if (!ResidentTypes.Contains(dtype)) return $"{dtype.ShortName()} is for verification";
        if (!vectors) return "not all tensors are eights of columns on 16 bytes";
        if (geometry.Sets != 1 || geometry.Count == 0) return $"there are {geometry.Sets} sets of {geometry.Count} elements a channel";
        if (geometry.Lengths.IsPresent || epilogue.Blocks.Drops) return "lengths and blocks have masks";
        ResidentParts parts = ResidentParts.Of(geometry, dtype);
        if (parts.Splits > 1 && stream.Queue.IsBorrowed) return "its owner may launch at once what he captured and what comes later";
        long groups = parts.Splits > 1 ? parts.Jobs(geometry) : 1;
        long held = device.ResidentGroups(Resident(geometry), ResidentVariant(dtype), parts.SharedBytes);
        return held < groups ? $"the device holds {held} groups of {parts.SharedBytes} bytes, of {groups}" : null;
    }

    private static void ForwardResident<T, TReal>(DeviceStream stream, in NormGeometry geometry, in BatchNormForwardArguments arguments)
        where T : unmanaged
        where TReal : unmanaged
    {
        DType dtype = DTypes.Of<T>();
        ResidentParts parts = ResidentParts.Of(geometry, dtype);
        bool isShared = parts.Splits > 1;
        using ScratchPool.Lease<TReal> partial = stream.RentScratch<TReal>(isShared ? parts.Splits * MomentRows * geometry.Channels : 0);
        stream.Launch(
            Resident(geometry),
            ResidentVariant(dtype),
            new LaunchShape(parts.Jobs(geometry)) { SharedBytes = parts.SharedBytes, IsCooperative = isShared },
            new BatchNormResidentArguments
            {
                BatchNormForward = arguments,
                Partial = isShared ? partial.Argument : default,
                Counter = isShared ? stream.GridCounter : default,
                Splits = (ulong)parts.Splits,
                Part = (ulong)parts.Part,
                Tiles = (ulong)parts.Tiles,
                Wide = parts.Wide,
            });
    }

    private static KernelDefinition<BatchNormResidentArguments> Resident(in NormGeometry geometry) =>
        geometry.HasPlanes ? ResidentPlanes : ResidentColumns;

    private static KernelVariant ResidentVariant(DType dtype) => new(dtype, Philox.LanesPerBlock);

    private readonly struct CpuResident : ICpuKernel<BatchNormResidentArguments>
    {
        public static void Run<T>(in KernelVariant variant, in BatchNormResidentArguments arguments)
            where T : unmanaged => CpuForward.Run<T>(variant, arguments.BatchNormForward);
    }
}

/// <summary>
/// What each group keeps: a part of <paramref name="Part"/> places of a channel, or of so many rows of a tile of 8 *
/// <paramref name="Wide"/> columns. By the problem alone, so that the order of the sums does not depend on the GPU.
/// </summary>
internal readonly record struct ResidentParts(long Splits, long Part, long Tiles, uint Wide, int SharedBytes)
{
    /// <summary>What leaves room in 227 KB for the tables of the texts.</summary>
    private const int MostBytes = 200 << 10;

    /// <summary>Groups that a large GPU holds of the largest.</summary>
    private const long LargeGroups = 128;

    /// <summary>Blocks of eight that an item takes, before there are several parts for the sake of more groups.</summary>
    private const long FewestBlocks = 2;

    private const long MostWide = 32;

    public static int MostBytesOf(KernelVariant variant) => MostBytes / BytesOfBlocks(variant.DType) * BytesOfBlocks(variant.DType);

    public static ResidentParts Of(in NormGeometry geometry, DType dtype)
    {
        const long Group = KernelDefinition.DefaultGroupSize;
        long blocks = NormParts.CeilingOf(geometry.Columns, Philox.LanesPerBlock);
        long wide = geometry.HasPlanes ? 1 : Math.Min((long)BitOperations.RoundUpToPowerOf2((ulong)blocks), MostWide);
        long tiles = geometry.HasPlanes ? 1 : NormParts.CeilingOf(blocks, wide), deep = Group / wide;
        long pieces = geometry.HasPlanes ? geometry.Outer * PlaneParts.BlocksOf(geometry.Inner) : geometry.Outer;
        long others = geometry.HasPlanes ? geometry.Channels : tiles;
        long fewest = NormParts.CeilingOf(pieces, MostBytes / BytesOfBlocks(dtype) * deep);
        long splits = Math.Clamp(LargeGroups / others, fewest, Math.Max(fewest, pieces / (FewestBlocks * deep)));
        long part = NormParts.CeilingOf(NormParts.CeilingOf(pieces, splits), deep) * deep;
        return new ResidentParts(
            NormParts.CeilingOf(pieces, part), part, tiles, (uint)wide, (int)(part / deep) * BytesOfBlocks(dtype));
    }

    /// <summary>Groups.</summary>
    public long Jobs(in NormGeometry geometry) => Splits * (geometry.HasPlanes ? geometry.Channels : Tiles);

    /// <summary>A block of each item.</summary>
    private static int BytesOfBlocks(DType dtype) =>
        KernelDefinition.DefaultGroupSize * Philox.LanesPerBlock * dtype.SizeInBytes();
}
