namespace Kernels.Devices;

/// <summary>
/// How the rows of a softmax are split among work items (<c>softmax.h</c>): a team takes a row. Long rows that are too few to keep a GPU
/// busy are cut into pieces that teams take like rows; the kernel is launched twice then, first for the sums of the pieces.
/// </summary>
/// <param name="Rows">The rows.</param>
/// <param name="GroupSize">Work items of a group.</param>
/// <param name="TeamLog2">Those of a team, a power of two.</param>
/// <param name="Pieces">Pieces of a row; 1 where rows are taken whole.</param>
/// <param name="PieceSize">Columns of a piece, the last one apart.</param>
internal readonly record struct SoftmaxSplit(long Rows, int GroupSize, int TeamLog2, long Pieces, long PieceSize)
{
    /// <summary>Rows of fewer chunks take no longer than a launch more.</summary>
    private const int LeastChunks = 4;

    /// <summary>Once for whole rows; for pieces the sums go ahead.</summary>
    public ReadOnlySpan<bool> Passes => Pieces == 1 ? [false] : [true, false];

    /// <summary>Groups for all pieces.</summary>
    public LaunchShape Shape => new(((Rows * Pieces) + (GroupSize >> TeamLog2) - 1) / (GroupSize >> TeamLog2));

    /// <summary>
    /// A team is as small as holds the row in registers, where that is no more than a group. Wide accesses of CUDA are those of pairs. Rows
    /// are cut into as many pieces as fill the device at once, and no more than a group has items, which add their sums.
    /// </summary>
    public static SoftmaxSplit Of(
        Device device, KernelDefinition kernel, KernelVariant variant, long rows, long columns, int residentGroups)
    {
        int groupSize = kernel.GroupSize;
        bool isCuda = device.Kind == DeviceKind.Cuda, isWide = variant.VectorWidth > 1;
        long perItem = !isCuda ? 8 : isWide ? 32 : 16;
        int teamLog2 = isCuda && isWide ? 1 : 0;
        while (1 << teamLog2 < groupSize && perItem << teamLog2 < columns) teamLog2++;

        long chunkSize = perItem * groupSize, chunks = (columns + chunkSize - 1) / chunkSize;
        long pieces = Math.Min(groupSize, (long)device.ComputeUnits * residentGroups / rows);
        if (pieces < 2 || chunks < LeastChunks) return new(rows, groupSize, teamLog2, 1, columns);
        long size = (chunks + pieces - 1) / pieces * chunkSize;
        return new(rows, groupSize, teamLog2, (columns + size - 1) / size, size);
    }

    /// <summary>What a kernel is told; <paramref name="sums"/> is what <see cref="Rent"/> gave.</summary>
    public SplitArguments Arguments(ScratchPool.Lease<byte>? sums, bool sumsOnly) => new()
    {
        Pieces = sums?.Argument ?? default,
        TeamLog2 = (uint)TeamLog2,
        PieceCount = (uint)Pieces,
        PieceSize = (uint)PieceSize,
        SumsOnly = sumsOnly ? 1u : 0,
    };

    /// <summary>Memory for so many sums of each piece; null where rows are whole.</summary>
    public ScratchPool.Lease<byte>? Rent(DeviceStream stream, DType dtype, int sums) => Pieces == 1
        ? null
        : stream.RentScratch<byte>(Rows * Pieces * sums * (dtype == DType.Float64 ? sizeof(double) : sizeof(float)));
}
