using Kernels.Devices;

namespace Kernels;

/// <summary>
/// The rows that <see cref="StochasticDepth"/> keeps under the same key and probability: their list, and the way of their elements to a
/// compact tensor and back, so that the branch of a residual block is calculated for them alone.
/// </summary>
/// <remarks>
/// <code>
/// KeptRows.List(stream, rows, kept, dropProbability, key);   // on the device; KeptRows.OnHost where the host must know how many
/// KeptRows.Gather(stream, x, rows, keptX);                   // then f = branch(keptX)
/// KeptRows.ScatterAdd(stream, x, f, rows, y, StochasticDepth.TrainingScale(dropProbability));
/// </code>
/// <para>
/// y has the bits of <see cref="StochasticDepth.Forward"/>. The list ascends, so sums need no atomics and every run gives the same bits.
/// <see cref="Gather"/> and
/// <see cref="ScatterAdd"/> are each other's gradient: that of the gathered rows is scattered (without x), that of f is gathered with
/// the same scale.
/// </para>
/// <para>
/// A list may be longer than the rows are many: -1 after the last row stands for none, is gathered as zeros and scattered nowhere. An index
/// that is neither -1 nor a row, or in <see cref="ScatterAdd"/> does not come after the one before it, makes the next synchronisation throw
/// <see cref="DeviceDataException"/>; gathered, it gives zeros. Types: float, Half, BFloat16, double.
/// </para>
/// <para>
/// Every method throws, before anything is launched, <see cref="ArgumentException"/> for shapes that do not fit and tensors that overlap
/// otherwise than stated or live on another device, and <see cref="ArgumentOutOfRangeException"/> for a probability that is NaN or outside
/// [0, 1] or a scale that is not finite.
/// </para>
/// </remarks>
public static partial class KeptRows
{
    /// <summary>A group lists a tile at a time: eight rows for each item.</summary>
    private const long TileRows = 8 * KernelDefinition.DefaultGroupSize;

    /// <summary>As many pieces of a list as keep a large GPU busy; each group adds the counts of all.</summary>
    private const long MostPieces = 1024;

    /// <summary>Elements of a row that a group scatters: enough to hide the bisection.</summary>
    private const long PartLength = 8192;

    private static readonly KernelDefinition<KeptRowsCountArguments> CountKernel = EntryPoints.KeptRowsCount.Fixed(CpuCount);

    private static readonly KernelDefinition<KeptRowsListArguments> ListKernel = EntryPoints.KeptRowsList.Fixed(CpuList);

    private static readonly KernelDefinition<KeptRowsGatherArguments> GatherKernel =
        EntryPoints.KeptRowsGather.Float<CpuGather>(vectorWidths: [1, 8]);

    private static readonly KernelDefinition<KeptRowsScatterAddArguments> ScatterKernel =
        EntryPoints.KeptRowsScatterAdd.Float<CpuScatter>(vectorWidths: [1, 8]);

    /// <summary>Lists the kept rows on the device: ascending indices, -1 after the last, and how many they are.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="rows">Output, shape [number of rows]; at most 2^31 - 1.</param>
    /// <param name="kept">Output, shape [1].</param>
    /// <param name="dropProbability">Probability p to drop a row, in [0, 1].</param>
    /// <param name="key">Random key, that of <see cref="StochasticDepth"/>.</param>
    /// <param name="globalStart">Index of the first row in the whole batch of which this is a shard.</param>
    public static void List(
        DeviceStream stream, DeviceTensor<int> rows, DeviceTensor<int> kept, double dropProbability, RandomKeySource key,
        ulong globalStart = 0)
    {
        const string Op = "KeptRows.List";
        Check.Tensor(Op, stream, rows, nameof(rows));
        Check.Tensor(Op, stream, kept, nameof(kept));
        Check.Rank(Op, rows, nameof(rows), 1);
        Check.Shape(Op, kept, nameof(kept), 1);
        Check.Disjoint(Op, rows, nameof(rows), kept, nameof(kept));
        Check.Probability(Op, dropProbability, nameof(dropProbability));
        Check.Key(Op, stream, key, nameof(key));
        Check.IndexRange(Op, rows.Length, globalStart);
        if (rows.Length > int.MaxValue) throw new ArgumentException($"{Op}: {rows} has more rows than an int can number.", nameof(rows));
        // The CPU makes a list in one go; groups need to know what those before them list.
        long count = rows.Length, shares = stream.Device.Kind == DeviceKind.Cpu ? 1 : MostPieces;
        long pieceRows = Math.Max(2, (count + (shares * TileRows) - 1) / (shares * TileRows)) * TileRows;
        KeptListArguments list = new()
        {
            Count = (ulong)count,
            Pieces = (ulong)Math.Max(1, (count + pieceRows - 1) / pieceRows),
            PieceRows = (ulong)pieceRows,
            Start = globalStart,
            Threshold = KeepThreshold.FromDropProbability(dropProbability).Value,
            Key = key.Argument,
        };
        bool cut = list.Pieces > 1;
        using ScratchPool.Lease<uint> counts = stream.RentScratch<uint>(cut ? (long)list.Pieces : 0);
        if (cut)
        {
            stream.Launch(
                CountKernel, new KernelVariant(DType.Float32), new LaunchShape((long)list.Pieces),
                new KeptRowsCountArguments { Counts = counts.Argument, KeptList = list });
        }

        stream.Launch(
            ListKernel,
            new KernelVariant(DType.Float32),
            new LaunchShape((long)list.Pieces),
            new KeptRowsListArguments
            {
                Rows = rows.Argument,
                Kept = kept.Argument,
                Counts = cut ? counts.Argument : default,
                KeptList = list,
            });
    }

    /// <summary>The same list, without padding, for a host that must know how many rows there are.</summary>
    /// <param name="count">Number of rows.</param>
    /// <param name="dropProbability">Probability p to drop a row, in [0, 1].</param>
    /// <param name="key">Random key, that of <see cref="StochasticDepth"/>.</param>
    /// <param name="globalStart">Index of the first row in the whole batch of which this is a shard.</param>
    public static int[] OnHost(int count, double dropProbability, RandomKey key, ulong globalStart = 0)
    {
        const string Op = "KeptRows.OnHost";
        if (count < 0) throw new ArgumentOutOfRangeException(nameof(count), count, $"{Op}: {nameof(count)} is at least 0.");
        Check.Probability(Op, dropProbability, nameof(dropProbability));
        Check.IndexRange(Op, count, globalStart);
        uint threshold = KeepThreshold.FromDropProbability(dropProbability).Value;
        return [.. Enumerable.Range(0, count).Where(row => Keeps(key, globalStart + (ulong)row, threshold))];
    }

    /// <summary>result[i] = scale * source[rows[i]].</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="source">[rows, ...].</param>
    /// <param name="rows">Indices, shape [at least the rows of <paramref name="result"/>]; those beyond are not read.</param>
    /// <param name="result">Output, [rows to gather, ...].</param>
    /// <param name="scale">Factor, 1 for the rows themselves.</param>
    public static void Gather<T>(
        DeviceStream stream, DeviceTensor<T> source, DeviceTensor<int> rows, DeviceTensor<T> result, double scale = 1)
        where T : unmanaged
    {
        const string Op = "KeptRows.Gather";
        Check.FloatTensor(Op, stream, source, nameof(source));
        Check.FloatTensor(Op, stream, result, nameof(result));
        Check.Disjoint(Op, source, nameof(source), result, nameof(result));
        (long sourceRows, long run) = CheckRows(Op, stream, source, nameof(source), rows, result, nameof(result));
        Check.Disjoint(Op, rows, nameof(rows), result, nameof(result));
        Check.Finite(Op, scale, nameof(scale));
        if (result.Length == 0) return;
        InvariantDivisor divisor = InvariantDivisor.Of(run);
        int width = run % 8 == 0 && source.IsVectorAligned && result.IsVectorAligned ? 8 : 1;
        using DataErrorSlot error = stream.DataErrorSlot(Op, $"of {nameof(rows)} is neither -1 nor one of {sourceRows} rows");
        stream.Launch(
            GatherKernel,
            new KernelVariant(source.DType, width),
            LaunchShape.Items(result.Length / width, GatherKernel),
            new KeptRowsGatherArguments
            {
                Source = source.Argument,
                Rows = rows.Argument,
                Result = result.Argument,
                Error = error.Argument,
                SourceRows = (ulong)sourceRows,
                Count = (ulong)result.Length,
                Run = divisor.Value,
                RunInverse = divisor.Inverse,
                RunShift = divisor.Shift,
                Scale = scale,
            });
    }

    /// <summary>y = x + scale * f[i] in the rows rows[i], y = x in the others.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">[rows, ...], or null for zeros.</param>
    /// <param name="f">[kept rows, ...].</param>
    /// <param name="rows">
    /// Ascending indices, -1 after the last, shape [at least the rows of <paramref name="f"/>]; those beyond are not read.
    /// </param>
    /// <param name="y">Output, shape of <paramref name="x"/>; may be <paramref name="x"/>, whose other rows then cost nothing.</param>
    /// <param name="scale">Factor, <see cref="StochasticDepth.TrainingScale(double, DropoutScaling)"/>.</param>
    public static void ScatterAdd<T>(
        DeviceStream stream, DeviceTensor<T>? x, DeviceTensor<T> f, DeviceTensor<int> rows, DeviceTensor<T> y, double scale)
        where T : unmanaged
    {
        const string Op = "KeptRows.ScatterAdd";
        Check.FloatTensor(Op, stream, f, nameof(f));
        Check.FloatTensor(Op, stream, y, nameof(y));
        if (x is not null) Check.Elementwise(Op, stream, x, nameof(x), y, nameof(y));
        Check.Disjoint(Op, f, nameof(f), y, nameof(y));
        (long yRows, long run) = CheckRows(Op, stream, y, nameof(y), rows, f, nameof(f));
        Check.Disjoint(Op, rows, nameof(rows), y, nameof(y));
        Check.Finite(Op, scale, nameof(scale));
        if (y.Length == 0) return;
        long parts = (run + PartLength - 1) / PartLength;
        bool vectors = run % 8 == 0 && x?.IsVectorAligned != false && f.IsVectorAligned && y.IsVectorAligned;
        using DataErrorSlot error =
            stream.DataErrorSlot(Op, $"of {nameof(rows)} is neither -1 nor one of {yRows} rows, or does not come after the one before it");
        stream.Launch(
            ScatterKernel,
            new KernelVariant(y.DType, vectors ? 8 : 1),
            LaunchShape.GroupPerRow(yRows * parts),
            new KeptRowsScatterAddArguments
            {
                X = x?.Argument ?? default,
                F = f.Argument,
                Rows = rows.Argument,
                Y = y.Argument,
                Error = error.Argument,
                TargetRows = (ulong)yRows,
                Kept = (ulong)f.Shape[0],
                Run = (ulong)run,
                Parts = (ulong)parts,
                PartLength = (ulong)PartLength,
                Scale = scale,
            });
    }

    /// <summary>The rule of <see cref="StochasticDepth"/>.</summary>
    private static bool Keeps(RandomKey key, ulong row, uint threshold) =>
        threshold is 0 or > ushort.MaxValue ? threshold != 0 : Philox.Lane(key, row) < threshold;

    /// <summary>Rows of the whole tensor, and elements of a row.</summary>
    private static (long Rows, long Run) CheckRows<T>(
        string op, DeviceStream stream, DeviceTensor<T> whole, string wholeName, DeviceTensor<int> rows, DeviceTensor<T> compact,
        string compactName)
        where T : unmanaged
    {
        Check.Tensor(op, stream, rows, nameof(rows));
        Check.Rank(op, rows, nameof(rows), 1);
        if (whole.Shape.Length == 0) throw new ArgumentException($"{op}: {wholeName} is a scalar and has no rows.", wholeName);
        if (compact.Shape.Length != whole.Shape.Length || !compact.Shape[1..].SequenceEqual(whole.Shape[1..]))
        {
            throw new ArgumentException(
                $"{op}: {compactName} has the shape {TensorShape.Format(compact.Shape)}, which is not rows of {wholeName}, "
                + $"{TensorShape.Format(whole.Shape)}.", compactName);
        }

        // Rows are numbered in int, and so are their places in a list.
        if (Math.Max(whole.Shape[0], compact.Shape[0]) > int.MaxValue)
        {
            throw new ArgumentException(
                $"{op}: {wholeName} has the shape {TensorShape.Format(whole.Shape)}, {compactName} {TensorShape.Format(compact.Shape)}: "
                + "more rows than an int can number.",
                wholeName);
        }

        if (rows.Length < compact.Shape[0])
        {
            throw new ArgumentException(
                $"{op}: {nameof(rows)} has {rows.Length} indices for the {compact.Shape[0]} rows of {compactName}.", nameof(rows));
        }

        return (whole.Shape[0], TensorShape.Count(whole.Shape[1..]));
    }
}
