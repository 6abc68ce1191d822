namespace Kernels.Devices;

/// <summary>
/// How long rows of a softmax are cut where they are too few to keep a GPU busy: into pieces that teams of work items take like rows. The
/// kernel is launched twice then, first for the sums of the pieces (<c>softmax.h</c>).
/// </summary>
/// <param name="Count">Pieces of a row; 1 where rows are taken whole.</param>
/// <param name="Size">Columns of a piece, the last one apart.</param>
internal readonly record struct SoftmaxPieces(long Count, long Size)
{
    /// <summary>Rows of fewer chunks take no longer than a launch more.</summary>
    private const int LeastChunks = 4;

    /// <summary>Work items that keep a compute unit busy.</summary>
    private const int ItemsPerUnit = 512;

    /// <summary>Once for whole rows; for pieces the sums go ahead.</summary>
    public ReadOnlySpan<bool> Passes => Count == 1 ? [false] : [true, false];

    /// <summary>Columns that a work item holds in registers (<c>softmax.h</c>).</summary>
    private static int ColumnsPerItem(Device device, KernelVariant variant) =>
        device.Kind != DeviceKind.Cuda ? 8 : variant.VectorWidth == 8 ? 32 : 16;

    /// <summary>
    /// The work items that share a row: a power of two, as few as hold it in registers where that is no more than a group. Wide accesses of
    /// CUDA are those of pairs.
    /// </summary>
    public static uint Team(Device device, KernelVariant variant, long columns, int groupSize)
    {
        uint team = device.Kind == DeviceKind.Cuda && variant.VectorWidth == 8 ? 2u : 1;
        while (team < groupSize && team * ColumnsPerItem(device, variant) < columns) team *= 2;
        return team;
    }

    /// <summary>Pieces for rows that a whole group takes a chunk at a time: as many as the group has items, to add their sums.</summary>
    public static SoftmaxPieces Of(Device device, KernelVariant variant, long rows, long columns, int groupSize)
    {
        long chunkSize = (long)ColumnsPerItem(device, variant) * groupSize;
        bool keepsBusy = rows * groupSize >= (long)device.ComputeUnits * ItemsPerUnit;
        long chunks = (columns + chunkSize - 1) / chunkSize;
        if (keepsBusy || chunks < LeastChunks) return new(1, columns);
        long size = (chunks + groupSize - 1) / groupSize * chunkSize;
        return new((columns + size - 1) / size, size);
    }

    /// <summary>Groups for all pieces of rows that teams of items take.</summary>
    public LaunchShape Shape(long rows, int groupSize, uint team) => new(((rows * Count) + (groupSize / team) - 1) / (groupSize / team));

    /// <summary>What a kernel is told; <paramref name="sums"/> is what <see cref="Rent"/> gave.</summary>
    public PieceArguments Arguments(ScratchPool.Lease<byte>? sums, bool sumsOnly) => new()
    {
        Pieces = sums?.Argument ?? default,
        PieceCount = (uint)Count,
        PieceSize = (uint)Size,
        SumsOnly = sumsOnly ? 1u : 0,
    };

    /// <summary>Memory for so many sums of each piece of each row; null where none is needed.</summary>
    public ScratchPool.Lease<byte>? Rent(DeviceStream stream, DType dtype, long rows, int sums) => Count == 1
        ? null
        : stream.RentScratch<byte>(rows * Count * sums * (dtype == DType.Float64 ? sizeof(double) : sizeof(float)));
}
