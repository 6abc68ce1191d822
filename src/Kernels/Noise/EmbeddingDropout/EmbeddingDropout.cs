using Kernels.Devices;

namespace Kernels;

/// <summary>What embedding dropout decides about.</summary>
public enum EmbeddingDropoutScope
{
    /// <summary>Word types: all occurrences of an id in the call are kept or dropped together (AWD-LSTM). The unit is the id.</summary>
    Batch,

    /// <summary>
    /// Word types of each sequence (Gal and Ghahramani); the ids have the shape [sequences, length].
    /// The unit is sequence * vocabulary + id.
    /// </summary>
    Sequence,

    /// <summary>Each position alone. The unit is the position in the dense order of the ids.</summary>
    Position,
}

/// <summary>Settings of <see cref="EmbeddingDropout"/>; the default decides about word types of the whole batch.</summary>
public readonly record struct EmbeddingDropoutOptions
{
    /// <summary>What is decided about.</summary>
    public EmbeddingDropoutScope Scope { get; init; }

    /// <summary>An id whose row never receives a gradient. In the forward pass it is gathered and dropped like any other.</summary>
    public int? PaddingIndex { get; init; }

    /// <summary>
    /// For a shard of the ids, where it starts in the whole: its first sequence for the scope of sequences, its first position for that of
    /// positions.
    /// </summary>
    public ulong GlobalStart { get; init; }
}

/// <summary>
/// Embedding dropout, the gather fused with dropout of whole rows: y[n] = m(unit of n) * table[id[n]] / q in training, with P(m = 1) = q;
/// the plain gather at inference.
/// </summary>
/// <remarks>
/// <para>
/// Unit u takes <see cref="Philox.Lane">lane</see> u and is kept iff lane &lt; T, q = T/65536 (<see cref="KeepThreshold"/>). The decision
/// is made for each id that is met: no mask of the vocabulary and no copy of the table exists. Dropped rows are +0 and are not read. p = 0
/// gathers and p = 1 writes zeros, both without drawing.
/// </para>
/// <para>
/// Backward sorts the positions by id on the device and adds the rows of each id in the order of their positions, so the gradient has the
/// same bits in every run. It adds to what the caller's tensor holds and touches only rows whose id occurs. Scratch memory: 16 bytes an id.
/// </para>
/// <para>
/// An id outside the table gives a row of zeros and no gradient, and the next synchronisation of the stream throws a
/// <see cref="DeviceDataException"/> with its position. Types: float, Half, BFloat16, double; sums in float (double for double), rounded
/// once. Empty ids and rows are valid.
/// </para>
/// <para>
/// S. Merity, N. S. Keskar and R. Socher, "Regularizing and optimizing LSTM language models", ICLR 2018; Y. Gal and Z. Ghahramani, "A
/// theoretically grounded application of dropout in recurrent neural networks", NeurIPS 2016.
/// </para>
/// <para>
/// Every method throws, before anything is launched, <see cref="ArgumentException"/> for shapes that do not fit, a result that overlaps an
/// argument, or a tensor on another device, and <see cref="ArgumentOutOfRangeException"/> for a probability that is NaN or outside [0, 1]
/// or a padding index outside the table.
/// </para>
/// </remarks>
public static partial class EmbeddingDropout
{
    private const int GroupSize = KernelDefinition.DefaultGroupSize;

    /// <summary>Rows that one item adds at most where it cuts; PIECE in the text.</summary>
    private const int Piece = 32;

    private static readonly KernelDefinition<EmbeddingDropoutForwardArguments> ForwardKernel =
        EntryPoints.EmbeddingDropoutForward.Float<CpuForward>(vectorWidths: [1, 8]);

    private static readonly KernelDefinition<EmbeddingDropoutScatterArguments> ScatterKernel =
        EntryPoints.EmbeddingDropoutScatter.Float<CpuScatter>(vectorWidths: [1, 8]);

    private static readonly KernelDefinition<EmbeddingDropoutJoinArguments> JoinKernel =
        EntryPoints.EmbeddingDropoutJoin.Float<CpuJoin>(vectorWidths: [1, 8]);

    /// <summary>Training.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="ids">Rows to gather, any shape ([sequences, length] for the scope of sequences), each in [0, vocabulary).</param>
    /// <param name="table">Shape [vocabulary, width].</param>
    /// <param name="y">Output, the shape of <paramref name="ids"/> with the width appended; overlaps no input.</param>
    /// <param name="dropProbability">Probability p to drop a unit, in [0, 1].</param>
    /// <param name="key">Random key; one offset for each call.</param>
    /// <param name="options">Scope and shard start.</param>
    public static void Forward<T>(
        DeviceStream stream, DeviceTensor<int> ids, DeviceTensor<T> table, DeviceTensor<T> y, double dropProbability, RandomKeySource key,
        EmbeddingDropoutOptions options = default)
        where T : unmanaged => Gather("EmbeddingDropout.Forward", stream, ids, table, y, dropProbability, key, options);

    /// <summary>Inference: y[n] = table[id[n]].</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="ids">Rows to gather, any shape, each in [0, vocabulary).</param>
    /// <param name="table">Shape [vocabulary, width].</param>
    /// <param name="y">Output, the shape of <paramref name="ids"/> with the width appended; overlaps no input.</param>
    public static void Infer<T>(DeviceStream stream, DeviceTensor<int> ids, DeviceTensor<T> table, DeviceTensor<T> y)
        where T : unmanaged => Gather("EmbeddingDropout.Infer", stream, ids, table, y, dropProbability: 0, new RandomKey(0, 0), default);

    /// <summary>
    /// Gradient: dTable[id] += sum of m * dy[n] / q over the id's positions, with the decisions of the forward call that had the same
    /// arguments.
    /// </summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="ids">As in forward.</param>
    /// <param name="dy">Gradient of the output.</param>
    /// <param name="dTable">Gradient of the table, shape [vocabulary, width], which is added to; overlaps no input.</param>
    /// <param name="dropProbability">As in forward.</param>
    /// <param name="key">As in forward.</param>
    /// <param name="options">As in forward, and the padding index.</param>
    public static void Backward<T>(
        DeviceStream stream, DeviceTensor<int> ids, DeviceTensor<T> dy, DeviceTensor<T> dTable, double dropProbability, RandomKeySource key,
        EmbeddingDropoutOptions options = default)
        where T : unmanaged
    {
        const string Op = "EmbeddingDropout.Backward";
        Check.FloatTensor(Op, stream, dy, nameof(dy));
        Check.FloatTensor(Op, stream, dTable, nameof(dTable));
        CheckShapes(Op, stream, ids, dTable, nameof(dTable), dy, nameof(dy));
        Check.Disjoint(Op, ids, nameof(ids), dTable, nameof(dTable));
        Check.Disjoint(Op, dy, nameof(dy), dTable, nameof(dTable));
        Units units = CheckUnits(Op, stream, ids, dTable.Shape[0], dropProbability, key, options);
        if (dy.Length == 0) return;

        long count = ids.Length;
        using ScratchPool.Lease<ulong> first = stream.RentScratch<ulong>(count);
        using ScratchPool.Lease<ulong> second = stream.RentScratch<ulong>(count);
        using DataErrorSlot error = ErrorSlot(stream, Op, dTable.Shape[0]);
        stream.Launch(
            SortKernel,
            new KernelVariant(DType.Float32),
            new LaunchShape((count + SortTile - 1) / SortTile),
            new EmbeddingDropoutSortArguments
            {
                Ids = ids.Argument,
                Keys = first.Argument,
                Error = error.Argument,
                Count = (ulong)count,
                Vocabulary = (ulong)dTable.Shape[0],
                Padding = options.PaddingIndex is { } padding ? (ulong)padding : ulong.MaxValue,
                Start = options.GlobalStart,
                Period = units.Period,
                Stride = units.Stride,
                IdStride = units.IdStride,
                Threshold = units.Threshold.Value,
                Key = key.Argument,
            });
        TensorArgument keys = Merge(stream, first.Argument, second.Argument, count);
        RowGroups rows = new(dTable.Shape[1]);
        KernelVariant variant = new(dy.DType, rows.VectorWidth(dy.IsVectorAligned && dTable.IsVectorAligned));
        bool cuts = CutsLongRuns(stream.Device) && count > Piece;
        long pieces = (count + Piece - 1) / Piece;
        using ScratchPool.Lease<T> partial = RealBuffer<T>.RentScratch(stream, cuts ? 2 * pieces * dTable.Shape[1] : 0);
        stream.Launch(
            ScatterKernel,
            variant,
            rows.Launch(count),
            new EmbeddingDropoutScatterArguments
            {
                Keys = keys,
                Dy = dy.Argument,
                Dtable = dTable.Argument,
                Partial = cuts ? partial.Argument : default,
                Count = (ulong)count,
                Width = (ulong)dTable.Shape[1],
                Octets = rows.Octets,
                RowsPerGroup = rows.RowsPerGroup,
                Cuts = cuts ? 1u : 0,
                Scale = units.Threshold.Scale,
            });
        if (!cuts) return;
        stream.Launch(
            JoinKernel,
            variant,
            rows.Launch(pieces),
            new EmbeddingDropoutJoinArguments
            {
                Keys = keys,
                Partial = partial.Argument,
                Dtable = dTable.Argument,
                Count = (ulong)count,
                Width = (ulong)dTable.Shape[1],
                Octets = rows.Octets,
                RowsPerGroup = rows.RowsPerGroup,
                Scale = units.Threshold.Scale,
            });
    }

    /// <summary>
    /// On a GPU that waits long for memory a frequent id would take longer than all others together: its rows are added in pieces.
    /// </summary>
    private static bool CutsLongRuns(Device device) => device.Kind == DeviceKind.Cuda;

    private static void Gather<T>(
        string op, DeviceStream stream, DeviceTensor<int> ids, DeviceTensor<T> table, DeviceTensor<T> y, double dropProbability,
        RandomKeySource key, EmbeddingDropoutOptions options)
        where T : unmanaged
    {
        Check.FloatTensor(op, stream, table, nameof(table));
        Check.FloatTensor(op, stream, y, nameof(y));
        CheckShapes(op, stream, ids, table, nameof(table), y, nameof(y));
        Check.Disjoint(op, ids, nameof(ids), y, nameof(y));
        Check.Disjoint(op, table, nameof(table), y, nameof(y));
        Units units = CheckUnits(op, stream, ids, table.Shape[0], dropProbability, key, options);
        if (y.Length == 0) return;

        RowGroups rows = new(table.Shape[1]);
        using DataErrorSlot error = ErrorSlot(stream, op, table.Shape[0]);
        stream.Launch(
            ForwardKernel,
            new KernelVariant(table.DType, rows.VectorWidth(table.IsVectorAligned && y.IsVectorAligned)),
            rows.Launch(ids.Length),
            new EmbeddingDropoutForwardArguments
            {
                Ids = ids.Argument,
                Table = table.Argument,
                Y = y.Argument,
                Error = error.Argument,
                Count = (ulong)ids.Length,
                Vocabulary = (ulong)table.Shape[0],
                Width = (ulong)table.Shape[1],
                Octets = rows.Octets,
                RowsPerGroup = rows.RowsPerGroup,
                Start = options.GlobalStart,
                Period = units.Period,
                Stride = units.Stride,
                IdStride = units.IdStride,
                Threshold = units.Threshold.Value,
                Scale = units.Threshold.Scale,
                Key = key.Argument,
            });
    }

    private static void CheckShapes<T>(
        string op, DeviceStream stream, DeviceTensor<int> ids, DeviceTensor<T> table, string tableName, DeviceTensor<T> y, string yName)
        where T : unmanaged
    {
        Check.Tensor(op, stream, ids, nameof(ids));
        Check.Rank(op, table, tableName, 2);
        Check.Shape(op, y, yName, [.. ids.Shape, table.Shape[1]]);

        // An id is 31 bits, a position 32: a key of the sort holds both. The CPU sorts the keys in an array.
        if (table.Shape[0] > int.MaxValue || table.Shape[1] > int.MaxValue)
        {
            throw new ArgumentException(
                $"{op}: {tableName} has the shape {TensorShape.Format(table.Shape)}, more than 2^31 - 1 rows or columns.", tableName);
        }

        if (ids.Length > Array.MaxLength)
            throw new ArgumentException($"{op}: {nameof(ids)} has {ids.Length} elements, more than {Array.MaxLength}.", nameof(ids));
    }

    private static Units CheckUnits(
        string op, DeviceStream stream, DeviceTensor<int> ids, long vocabulary, double dropProbability, RandomKeySource key,
        EmbeddingDropoutOptions options)
    {
        Check.Probability(op, dropProbability, nameof(dropProbability));
        Check.Key(op, stream, key, nameof(key));
        if (options.PaddingIndex is { } padding && (padding < 0 || padding >= vocabulary))
        {
            throw new ArgumentOutOfRangeException(
                nameof(options), padding, $"{op}: {nameof(options.PaddingIndex)} lies in [0, {vocabulary}).");
        }

        (ulong period, ulong stride, ulong idStride) = (1UL, 0UL, 1UL);
        switch (options.Scope)
        {
            case EmbeddingDropoutScope.Batch:
                break;
            case EmbeddingDropoutScope.Sequence:
                Check.Rank(op, ids, nameof(ids), 2);
                (period, stride) = ((ulong)Math.Max(1, ids.Shape[1]), (ulong)vocabulary);
                break;
            case EmbeddingDropoutScope.Position:
                (stride, idStride) = (1, 0);
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(options), options.Scope, $"{op}: unknown {nameof(options.Scope)}.");
        }

        UInt128 end = ((UInt128)options.GlobalStart + (ulong)ids.Length + 1) * Math.Max(1, stride);
        if (end > ulong.MaxValue - 64)
        {
            throw new ArgumentOutOfRangeException(
                nameof(options), options.GlobalStart, $"{op}: the units from {nameof(options.GlobalStart)} on exceed 2^64.");
        }

        return new Units(KeepThreshold.FromDropProbability(dropProbability), period, stride, idStride);
    }

    private static DataErrorSlot ErrorSlot(DeviceStream stream, string op, long vocabulary) =>
        stream.DataErrorSlot(op, $"of ids lies outside the table of {vocabulary} rows");

    /// <summary>The threshold, and which unit position n has: (start + n / period) * stride + id * idStride.</summary>
    private readonly record struct Units(KeepThreshold Threshold, ulong Period, ulong Stride, ulong IdStride);

    /// <summary>How rows of a width are dealt to work groups: eight elements an item, as many rows a group as it has items for.</summary>
    private readonly record struct RowGroups(long Width)
    {
        public uint Octets => (uint)((Width + 7) / 8);

        public uint RowsPerGroup => Math.Max(1, GroupSize / Octets);

        public int VectorWidth(bool aligned) => aligned && Width % 8 == 0 ? 8 : 1;

        public LaunchShape Launch(long rows) => new((rows + RowsPerGroup - 1) / RowsPerGroup);
    }
}
