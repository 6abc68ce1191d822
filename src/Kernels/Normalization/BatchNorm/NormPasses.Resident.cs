using System.Numerics;
using Kernels.Devices;

namespace Kernels;

/// <content>
/// The passes that read what they need once, into CUDA's shared memory (<c>kernels/cuda/batch_norm.resident.cu</c> and
/// <c>batch_norm.resident_backward.cu</c>).
/// </content>
internal static partial class NormPasses
{
    /// <summary>Tensors that are kept: x, and dy with it.</summary>
    internal const int KeptForward = 1, KeptBackward = 2;

    /// <summary>CHUNK_BYTES in the text: what is copied at a time.</summary>
    private const int ChunkBytes = 16;

    private static readonly KernelDefinition<BatchNormResidentArguments> ResidentPlanes =
        Resident<BatchNormResidentArguments, CpuResident>(EntryPoints.BatchNormResidentPlanes);

    private static readonly KernelDefinition<BatchNormResidentArguments> ResidentColumns =
        Resident<BatchNormResidentArguments, CpuResident>(EntryPoints.BatchNormResidentColumns);

    private static readonly KernelDefinition<BatchNormResidentBackwardArguments> ResidentBackwardPlanes =
        Resident<BatchNormResidentBackwardArguments, CpuResidentBackward>(EntryPoints.BatchNormResidentBackwardPlanes);

    private static readonly KernelDefinition<BatchNormResidentBackwardArguments> ResidentBackwardColumns =
        Resident<BatchNormResidentBackwardArguments, CpuResidentBackward>(EntryPoints.BatchNormResidentBackwardColumns);

    private static DType[] ResidentTypes => [DType.Float32, DType.Float16, DType.BFloat16];

    /// <summary>Why the launches of several take a pass, or null where one launch does.</summary>
    /// <param name="stream">Where it is to run.</param>
    /// <param name="geometry">Its shape.</param>
    /// <param name="dtype">The stored type.</param>
    /// <param name="vectors">All tensors are eights on 16 bytes.</param>
    /// <param name="epilogue">What follows.</param>
    /// <param name="kept">Tensors that are kept.</param>
    /// <param name="shape">That launch.</param>
    internal static string? RejectResident(
        DeviceStream stream, in NormGeometry geometry, DType dtype, bool vectors, in NormEpilogue epilogue, int kept, out LaunchShape shape)
    {
        shape = default;
        Device device = stream.Device;
        if (device.RejectResidentKernels() is { } reason) return reason;
        if (!ResidentTypes.Contains(dtype)) return $"{dtype.ShortName()} is for verification";
        if (!vectors) return "not all tensors are eights of columns on 16 bytes";
        if (geometry.Sets != 1 || geometry.Count == 0) return $"there are {geometry.Sets} sets of {geometry.Count} elements a channel";
        if (geometry.Lengths.IsPresent || epilogue.Blocks.Drops) return "lengths and blocks have masks";
        // A gradient may take the place of dy, and has the same bits where it does not.
        if (kept == KeptBackward && geometry.HasPlanes && geometry.Inner % (ChunkBytes / dtype.SizeInBytes()) != 0)
            return "planes begin inside chunks, of which other groups read the rest";
        ResidentParts parts = ResidentParts.Of(geometry, dtype, kept);
        if (parts.Splits > 1 && stream.Queue.IsBorrowed) return "its owner may launch at once what he captured and what comes later";
        long held = device.ResidentGroups(Resident(geometry, kept), ResidentVariant(dtype, epilogue), parts.SharedBytes);
        if (held < parts.Splits) return $"the device holds {held} groups of {parts.SharedBytes} bytes, of {parts.Splits} for a channel";
        shape = new LaunchShape(parts.Groups(geometry, held)) { SharedBytes = parts.SharedBytes, IsCooperative = parts.Splits > 1 };
        return null;
    }

    private static void ForwardResident<T, TReal>(
        DeviceStream stream, in NormGeometry geometry, in LaunchShape shape, in NormEpilogue epilogue,
        in BatchNormForwardArguments arguments)
        where T : unmanaged
        where TReal : unmanaged
    {
        ResidentParts parts = ResidentParts.Of(geometry, DTypes.Of<T>(), KeptForward);
        using ScratchPool.Lease<TReal> partial = stream.RentScratch<TReal>(parts.Rows(MomentRows) * geometry.Channels);
        stream.Launch(
            geometry.HasPlanes ? ResidentPlanes : ResidentColumns,
            ResidentVariant(DTypes.Of<T>(), epilogue),
            shape,
            new BatchNormResidentArguments { BatchNormForward = arguments, ResidentTeam = Team(stream, parts, partial.Argument) });
    }

    private static void BackwardResident<T, TReal>(
        DeviceStream stream, in NormGeometry geometry, in LaunchShape shape, in NormEpilogue epilogue,
        in BatchNormBackwardArguments arguments)
        where T : unmanaged
        where TReal : unmanaged
    {
        ResidentParts parts = ResidentParts.Of(geometry, DTypes.Of<T>(), KeptBackward);
        using ScratchPool.Lease<TReal> partial = stream.RentScratch<TReal>(parts.Rows(GradientRows) * geometry.Channels);
        stream.Launch(
            geometry.HasPlanes ? ResidentBackwardPlanes : ResidentBackwardColumns,
            ResidentVariant(DTypes.Of<T>(), epilogue),
            shape,
            new BatchNormResidentBackwardArguments
            {
                BatchNormBackward = arguments,
                ResidentTeam = Team(stream, parts, partial.Argument),
            });
    }

    private static ResidentTeamArguments Team(DeviceStream stream, in ResidentParts parts, TensorArgument partial) => new()
    {
        Partial = parts.Splits > 1 ? partial : default,
        Counters = parts.Splits > 1 ? stream.GroupCounters : default,
        Splits = (ulong)parts.Splits,
        Part = (ulong)parts.Part,
        Tiles = (ulong)parts.Tiles,
        Wide = parts.Wide,
    };

    private static KernelDefinition<TArguments> Resident<TArguments, TCpu>(EntryPoint<TArguments> entryPoint)
        where TArguments : struct, IKernelArguments
        where TCpu : ICpuKernel<TArguments> => entryPoint.Cuda<TCpu>(
            ResidentTypes, ResidentParts.Group, static _ => ResidentParts.MostBytes, [Philox.LanesPerBlock], Masks);

    private static KernelDefinition Resident(in NormGeometry geometry, int kept) => kept == KeptForward
        ? geometry.HasPlanes ? ResidentPlanes : ResidentColumns
        : geometry.HasPlanes ? ResidentBackwardPlanes : ResidentBackwardColumns;

    private static KernelVariant ResidentVariant(DType dtype, in NormEpilogue epilogue) =>
        new(dtype, Philox.LanesPerBlock, epilogue.HasMasks ? 1u : 0);

    private readonly struct CpuResident : ICpuKernel<BatchNormResidentArguments>
    {
        public static void Run<T>(in KernelVariant variant, in BatchNormResidentArguments arguments)
            where T : unmanaged => CpuForward.Run<T>(variant, arguments.BatchNormForward);
    }

    private readonly struct CpuResidentBackward : ICpuKernel<BatchNormResidentBackwardArguments>
    {
        public static void Run<T>(in KernelVariant variant, in BatchNormResidentBackwardArguments arguments)
            where T : unmanaged => CpuBackward.Run<T>(variant, arguments.BatchNormBackward);
    }
}

/// <summary>
/// What each group keeps: a part of <paramref name="Part"/> places of a channel, or of so many rows of a tile of 8 *
/// <paramref name="Wide"/> columns, of one tensor or two. By the problem alone, so that the order of the sums does not depend on the GPU.
/// </summary>
internal readonly record struct ResidentParts(long Splits, long Part, long Tiles, uint Wide, int SharedBytes)
{
    /// <summary>Work items of a group: as the memory of a multiprocessor is one group's, it has enough of them to keep it busy.</summary>
    public const int Group = 512;

    /// <summary>What leaves room in 227 KB for the tables of the texts.</summary>
    public const int MostBytes = 208 << 10;

    /// <summary>Groups that a large GPU holds of the largest.</summary>
    private const long LargeGroups = 132;

    /// <summary>Blocks that neighbours take side by side: whole warps have whole lines of memory.</summary>
    private const long Warp = 32;

    /// <summary>The same 128 columns as in the kernels' text.</summary>
    private const long MostWide = 16;

    public static ResidentParts Of(in NormGeometry geometry, DType dtype, int kept)
    {
        long blocks = NormParts.CeilingOf(geometry.Columns, Philox.LanesPerBlock);
        long wide = geometry.HasPlanes ? 1 : Math.Min((long)BitOperations.RoundUpToPowerOf2((ulong)blocks), MostWide);
        long tiles = geometry.HasPlanes ? 1 : NormParts.CeilingOf(blocks, wide), deep = Group / wide;
        long pieces = geometry.HasPlanes ? geometry.Outer * PlaneParts.BlocksOf(geometry.Inner) : geometry.Outer;
        long others = geometry.HasPlanes ? geometry.Channels : tiles, unit = Warp / wide;

        // Of a place, or of a row of a tile.
        long bytes = kept * wide * Philox.LanesPerBlock * dtype.SizeInBytes();
        long fewest = NormParts.CeilingOf(pieces, MostBytes / bytes);
        // No more for the sake of more groups than leave a block for each item.
        long splits = Math.Clamp(LargeGroups / others, fewest, Math.Max(fewest, pieces / deep));
        long part = NormParts.CeilingOf(NormParts.CeilingOf(pieces, splits), unit) * unit;
        return new ResidentParts(NormParts.CeilingOf(pieces, part), part, tiles, (uint)wide, (int)(part * bytes));
    }

    /// <summary>
    /// Groups of a launch: one for each channel or tile of which nothing waits; else as many teams as the device holds at once, which
    /// take those in turn.
    /// </summary>
    public long Groups(in NormGeometry geometry, long held)
    {
        long others = geometry.HasPlanes ? geometry.Channels : Tiles;
        return Splits == 1 ? others : Splits * Math.Min(Math.Min(others, held / Splits), GroupCounters.Count);
    }

    /// <summary>Rows over the channels that the parts of sums of so many take.</summary>
    public long Rows(int rows) => Splits > 1 ? Splits * rows : 0;
}
