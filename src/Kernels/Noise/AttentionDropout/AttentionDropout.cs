using Kernels.Devices;

namespace Kernels;

/// <summary>Settings of <see cref="AttentionDropout"/>; the default is neither causal nor a shard.</summary>
public readonly record struct AttentionDropoutOptions
{
    /// <summary>
    /// True when query i sees only keys k &lt;= i + keys - queries: the mask is aligned at the bottom right, so that the last query sees
    /// all keys. With more queries than keys the first ones see none.
    /// </summary>
    public bool Causal { get; init; }

    /// <summary>
    /// Index of the first score in the whole tensor of which the argument is a shard (of the batch, or of the heads of one batch entry), so
    /// that the shards' masks together are the mask of the whole.
    /// </summary>
    public ulong GlobalStart { get; init; }
}

/// <summary>
/// Attention dropout in one pass over rows: y = m * softmax(z) / q over the keys, z = scale * scores + mask, with m drawn per element, P(m
/// = 1) = q.
/// </summary>
/// <remarks>
/// <para>
/// Scores have the shape [batch, heads, queries, keys]. Score (b, h, i, k) takes the decision of element
/// ((b * heads + h) * queries + i) * keys + k (plus <see cref="AttentionDropoutOptions.GlobalStart"/>) as <see cref="Dropout"/> defines it,
/// whatever is masked. Nothing is stored for backward, not even a number a row: <see cref="Backward"/> calculates the softmax and draws the
/// mask again, each row while it is in registers or cache.
/// </para>
/// <para>
/// A key is masked where it lies past its batch entry's length, where the causal rule hides it, where the additive mask is -infinity
/// (whatever the score), and where the score itself gives z = -infinity. Masked keys get +0, forward and backward; those past length or
/// causal limit are not even read. A row of masked keys gives zeros. NaN or +infinity among the others gives NaN for the kept keys of that
/// row alone. p = 0 and p = 1 draw nothing; p = 1 gives zeros, forward and backward.
/// </para>
/// <para>
/// Types: float, Half, BFloat16, double; sums and exponentials in float (double for double), results rounded once. Any sizes, also 0, up to
/// 2^24 keys. The additive mask has the scores' type and the shape [queries, keys], or [batch, heads, queries, keys] where each of the
/// first three may be 1; its gradient, where it is a learned bias of the full shape, is that of the scores divided by scale.
/// </para>
/// <para>A. Vaswani et al., "Attention is all you need", NeurIPS 2017; the recomputation follows T. Dao et al., "FlashAttention", NeurIPS
/// 2022.</para>
/// <para>
/// Every method throws <see cref="ArgumentException"/> for shapes that do not fit, tensors that overlap otherwise than stated or live on
/// another device, and <see cref="ArgumentOutOfRangeException"/> for a probability outside [0, 1] or a scale that is not finite, before
/// anything is launched. A key length outside [0, keys] is found on the device: the next synchronisation throws
/// <see cref="DeviceDataException"/> with the batch entry.
/// </para>
/// </remarks>
public static unsafe partial class AttentionDropout
{
    private const string ForwardName = "AttentionDropout.Forward";
    private const string BackwardName = "AttentionDropout.Backward";

    private const int GroupSize = 128;

    /// <summary>Groups of each kernel that a multiprocessor of a CUDA device has registers for.</summary>
    private const int ResidentForward = 5, ResidentBackward = 3;

    /// <summary>The largest logit, the sum of exponentials, and that of their products with gradients.</summary>
    private const int ForwardSums = 2, BackwardSums = 3;

    private static readonly KernelDefinition<AttentionDropoutForwardArguments> ForwardKernel =
        EntryPoints.AttentionDropoutForward.Float<CpuForward>(vectorWidths: [1, 8], groupSize: GroupSize);

    private static readonly KernelDefinition<AttentionDropoutBackwardArguments> BackwardKernel =
        EntryPoints.AttentionDropoutBackward.Float<CpuBackward>(vectorWidths: [1, 8], groupSize: GroupSize);

    /// <summary>y = m * softmax(scale * scores + mask) / q.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="scores">Products of queries and keys, shape [batch, heads, queries, keys].</param>
    /// <param name="keyLengths">The number of keys of each batch entry that are no padding, shape [batch], each in [0, keys]; null when all
    /// are.</param>
    /// <param name="mask">Added to the scaled scores, -infinity where masked; see the remarks for its shapes. Null for none.</param>
    /// <param name="y">
    /// Dropped probabilities, shape of <paramref name="scores"/>; may be <paramref name="scores"/> where backward is not needed.
    /// </param>
    /// <param name="scale">Factor of the scores, 1/sqrt(head size) as a rule; finite.</param>
    /// <param name="dropProbability">Probability p to drop an element, in [0, 1].</param>
    /// <param name="key">Random key; one offset for each call.</param>
    /// <param name="options">Causal mask and shard start.</param>
    public static void Forward<T>(
        DeviceStream stream, DeviceTensor<T> scores, DeviceTensor<int>? keyLengths, DeviceTensor<T>? mask, DeviceTensor<T> y, double scale,
        double dropProbability, RandomKeySource key, AttentionDropoutOptions options = default)
        where T : unmanaged
    {
        Check.Elementwise(ForwardName, stream, scores, nameof(scores), y, nameof(y));
        CheckRows(ForwardName, stream, scores, scale, dropProbability, key, options, keyLengths, mask);
        CheckDisjoint(ForwardName, y, nameof(y), keyLengths, mask);

        KeepThreshold threshold = KeepThreshold.FromDropProbability(dropProbability);
        using DataErrorSlot error = ErrorSlot(ForwardName, stream, scores, keyLengths);
        if (scores.Length == 0) return;
        KernelVariant variant = Variant(scores, TakesVectors(scores, options, mask) && y.IsVectorAligned);
        AttentionArguments rows = Rows(scores, scale, threshold, key, options, keyLengths, mask, error.Argument);
        SoftmaxSplit split = SoftmaxSplit.Of(stream.Device, ForwardKernel, variant, (long)rows.Rows, scores.Shape[3], ResidentForward);
        using ScratchPool.Lease<byte>? sums = split.Rent(stream, scores.DType, ForwardSums);
        AttentionDropoutForwardArguments arguments = new() { Scores = scores.Argument, Y = y.Argument, Attention = rows };
        foreach (bool sumsOnly in split.Passes)
        {
            AttentionArguments attention = rows with { Split = split.Arguments(sums, sumsOnly) };
            stream.Launch(ForwardKernel, variant, split.Shape, arguments with { Attention = attention });
        }
    }

    /// <summary>dScores = scale * P * (dP - sum over the row's keys of dP * P), with dP = m * dy / q and P calculated again.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="scores">As in forward.</param>
    /// <param name="keyLengths">As in forward.</param>
    /// <param name="mask">As in forward.</param>
    /// <param name="dy">Gradient of the dropped probabilities, shape of <paramref name="scores"/>.</param>
    /// <param name="dScores">
    /// Gradient of the scores, shape of <paramref name="scores"/>; may be <paramref name="dy"/> or <paramref name="scores"/>.
    /// </param>
    /// <param name="scale">As in forward.</param>
    /// <param name="dropProbability">As in forward.</param>
    /// <param name="key">As in forward.</param>
    /// <param name="options">As in forward.</param>
    public static void Backward<T>(
        DeviceStream stream, DeviceTensor<T> scores, DeviceTensor<int>? keyLengths, DeviceTensor<T>? mask, DeviceTensor<T> dy,
        DeviceTensor<T> dScores, double scale, double dropProbability, RandomKeySource key, AttentionDropoutOptions options = default)
        where T : unmanaged
    {
        Check.Elementwise(BackwardName, stream, scores, nameof(scores), dScores, nameof(dScores));
        Check.Elementwise(BackwardName, stream, dy, nameof(dy), dScores, nameof(dScores));
        CheckRows(BackwardName, stream, scores, scale, dropProbability, key, options, keyLengths, mask);
        CheckDisjoint(BackwardName, dScores, nameof(dScores), keyLengths, mask);

        KeepThreshold threshold = KeepThreshold.FromDropProbability(dropProbability);
        if (threshold.DropsAll)
        {
            stream.Fill(dScores, default);
            return;
        }

        if (scores.Length == 0) return;
        using DataErrorSlot error = ErrorSlot(BackwardName, stream, scores, keyLengths);
        KernelVariant variant =
            Variant(scores, TakesVectors(scores, options, mask) && dy.IsVectorAligned && dScores.IsVectorAligned);
        AttentionArguments rows = Rows(scores, scale, threshold, key, options, keyLengths, mask, error.Argument);
        SoftmaxSplit split = SoftmaxSplit.Of(stream.Device, BackwardKernel, variant, (long)rows.Rows, scores.Shape[3], ResidentBackward);
        using ScratchPool.Lease<byte>? sums = split.Rent(stream, scores.DType, BackwardSums);
        AttentionDropoutBackwardArguments arguments = new()
        {
            Scores = scores.Argument,
            Dy = dy.Argument,
            Dscores = dScores.Argument,
            Attention = rows,
        };
        foreach (bool sumsOnly in split.Passes)
        {
            AttentionArguments attention = rows with { Split = split.Arguments(sums, sumsOnly) };
            stream.Launch(BackwardKernel, variant, split.Shape, arguments with { Attention = attention });
        }
    }

    private static void CheckRows<T>(
        string op, DeviceStream stream, DeviceTensor<T> scores, double scale, double dropProbability, in RandomKeySource key,
        AttentionDropoutOptions options, DeviceTensor<int>? keyLengths, DeviceTensor<T>? mask)
        where T : unmanaged
    {
        Check.Rank(op, scores, nameof(scores), 4);
        Check.SoftmaxRow(op, scores, nameof(scores));
        Check.Finite(op, scale, nameof(scale));
        Check.Probability(op, dropProbability, nameof(dropProbability));
        Check.Key(op, stream, key, nameof(key));
        Check.IndexRange(op, scores.Length, options.GlobalStart);
        if (keyLengths is not null)
        {
            Check.Tensor(op, stream, keyLengths, nameof(keyLengths));
            Check.Shape(op, keyLengths, nameof(keyLengths), scores.Shape[0]);
        }

        if (mask is null) return;
        Check.FloatTensor(op, stream, mask, nameof(mask));
        bool fits = mask.Shape.Length == 2
            ? mask.Shape.SequenceEqual(scores.Shape[2..])
            : mask.Shape.Length == 4 && mask.Shape[3] == scores.Shape[3];
        for (int axis = 0; fits && mask.Shape.Length == 4 && axis < 3; axis++)
            fits = mask.Shape[axis] == 1 || mask.Shape[axis] == scores.Shape[axis];
        if (!fits)
        {
            throw new ArgumentException(
                $"{op}: {nameof(mask)} has the shape {TensorShape.Format(mask.Shape)}, expected {TensorShape.Format(scores.Shape[2..])} or "
                + $"{TensorShape.Format(scores.Shape)} with 1 for any of the first three.",
                nameof(mask));
        }
    }

    private static void CheckDisjoint<T>(
        string op, DeviceTensor<T> result, string name, DeviceTensor<int>? keyLengths, DeviceTensor<T>? mask)
        where T : unmanaged
    {
        if (keyLengths is not null) Check.Disjoint(op, keyLengths, nameof(keyLengths), result, name);
        if (mask is not null) Check.Disjoint(op, mask, nameof(mask), result, name);
    }

    /// <summary>True when rows start on 16 bytes and on a Philox block, results aside.</summary>
    private static bool TakesVectors<T>(DeviceTensor<T> scores, AttentionDropoutOptions options, DeviceTensor<T>? mask)
        where T : unmanaged =>
        scores.Shape[3] % Philox.LanesPerBlock == 0 && options.GlobalStart % Philox.LanesPerBlock == 0 && scores.IsVectorAligned
        && mask?.IsVectorAligned != false;

    private static DataErrorSlot ErrorSlot<T>(string op, DeviceStream stream, DeviceTensor<T> scores, DeviceTensor<int>? keyLengths)
        where T : unmanaged =>
        keyLengths is null ? default : stream.DataErrorSlot(op, $"of {nameof(keyLengths)} lies outside [0, {scores.Shape[3]}]");

    private static KernelVariant Variant<T>(DeviceTensor<T> scores, bool vectors)
        where T : unmanaged =>
        new(scores.DType, vectors ? Philox.LanesPerBlock : 1);

    private static AttentionArguments Rows<T>(
        DeviceTensor<T> scores, double scale, KeepThreshold threshold, in RandomKeySource key,
        AttentionDropoutOptions options, DeviceTensor<int>? keyLengths, DeviceTensor<T>? mask, TensorArgument error)
        where T : unmanaged
    {
        (long heads, long queries, long keys) = (scores.Shape[1], scores.Shape[2], scores.Shape[3]);
        long rows = scores.Shape[0] * heads * queries;

        // A dimension that is broadcast has the stride 0; a mask of two dimensions is one that is broadcast over batch and heads.
        ReadOnlySpan<long> shape = mask is null ? [] : mask.Shape.Length == 4 ? mask.Shape : [1, 1, queries, keys];
        (long batchStride, long headStride, long queryStride) = (0, 0, 0);
        if (mask is not null)
        {
            queryStride = shape[2] == 1 ? 0 : keys;
            headStride = shape[1] == 1 ? 0 : shape[2] * keys;
            batchStride = shape[0] == 1 ? 0 : shape[1] * shape[2] * keys;
        }

        return new AttentionArguments
        {
            KeyLengths = keyLengths?.Argument ?? default,
            Mask = mask?.Argument ?? default,
            Error = error,
            Rows = (ulong)rows,
            Heads = (ulong)heads,
            Queries = (ulong)queries,
            Keys = (ulong)keys,
            MaskBatchStride = (ulong)batchStride,
            MaskHeadStride = (ulong)headStride,
            MaskQueryStride = (ulong)queryStride,
            Causal = options.Causal ? 1u : 0u,
            Scale = scale,
            Start = options.GlobalStart,
            Threshold = threshold.Value,
            KeepScale = threshold.Scale,
            Key = key.Argument,
            Split = default, // of the pass
        };
    }
}
