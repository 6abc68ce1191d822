using Kernels.Devices;

namespace Kernels;

/// <summary>
/// Mixup: y[i] = lambda x[i] + (1 - lambda) x[partner of i], with the loss mixed alike; on images or hidden states, of any rank.
/// </summary>
/// <remarks>
/// <code>
/// Mixup.Draw(stream, sampleIds, labels, pairs, otherLabels, shares, alpha: 0.2, key);
/// Mixup.Forward(stream, x, pairs, shares, mixed);
/// CrossEntropy.Forward(stream, logits, CrossEntropyTargets.Mixed(labels, otherLabels, shares), ...);
/// </code>
/// <para>
/// Lambda is Beta(a, a) distributed, in multiples of 2^-24, so that lambda and 1 - lambda are exact: (1 + sign(cos v) sqrt(1 - q)) / 2 with
/// q = p / (p + (1 - p) cos^2 v), p = u^(1/a), where words 0 and 1 of draw 0 of the sample give u in (0, 1] and v in [0, 2 pi) (Bailey's
/// polar method in Devroye's form; no rejection). Every device has the same bits.
/// </para>
/// <para>
/// The partner is that of a keyed permutation (a Feistel network on the next power of two, repeated until the result is a row), over the
/// batch's rows in the order of their sample numbers, whatever the order they come in. Lambda follows from key and sample alone; the
/// permutation from the key and the batch's lowest sample number, so a row's result is the same in any order of the same batch, and on
/// every shard that draws for the whole batch and takes its slice. Partners from a data set (<see cref="MixingOptions.PoolRows"/>) depend
/// on no batch. A row may be its own partner, as in any random permutation.
/// </para>
/// <para>
/// A term of weight 0 is not read: NaN in the partner of a row with lambda 1 does not reach it, and lambda 1 copies. Sums are one fused
/// multiply-add, rounded once to the stored type. Types: float, Half, BFloat16, double; tensors without elements are a no-op.
/// </para>
/// <para>
/// H. Zhang, M. Cisse, Y. N. Dauphin and D. Lopez-Paz, "mixup: beyond empirical risk minimization", ICLR 2018; hidden states: V. Verma et
/// al., "Manifold mixup", ICML 2019.
/// </para>
/// <para>
/// Every method throws <see cref="ArgumentException"/> for shapes that do not fit, tensors that overlap or live on another device, and
/// <see cref="ArgumentOutOfRangeException"/> for a setting out of its range, before anything is launched. A row number in
/// <c>pairs</c>, or a sample number, that does not exist throws <see cref="DeviceDataException"/> at the next synchronisation.
/// </para>
/// </remarks>
public static unsafe partial class Mixup
{
    private const string ForwardName = "Mixup.Forward";
    private const string BackwardName = "Mixup.Backward";

    private static readonly KernelDefinition<MixupApplyArguments> ApplyKernel =
        EntryPoints.MixupApply.Float<CpuApply>(vectorWidths: [1, 8]);

    /// <summary>Draws partners and lambdas for the rows of a batch.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="sampleIds">
    /// Number of each row's sample, shape [rows]; null: the samples are numbered from <see cref="MixingOptions.FirstSample"/> on.
    /// </param>
    /// <param name="labels">
    /// Classes, shape [rows], or of the data set, [pool rows]; null where neither the partners' labels nor partners of a class are wanted.
    /// </param>
    /// <param name="pairs">Output [rows, 2]: each row's partner, and the row whose partner it is (-1 with a data set).</param>
    /// <param name="otherLabels">Output [rows], the partners' labels; null where they are not wanted.</param>
    /// <param name="shares">Output [rows], lambda: float, or double for double tensors.</param>
    /// <param name="alpha">The parameter a of Beta(a, a), above 0.</param>
    /// <param name="key">Random key: seed, and the epoch as offset.</param>
    /// <param name="options">Mode, probability to skip, classes, data set, numbers.</param>
    public static void Draw<TReal>(
        DeviceStream stream, DeviceTensor<ulong>? sampleIds, DeviceTensor<int>? labels, DeviceTensor<int> pairs,
        DeviceTensor<int>? otherLabels, DeviceTensor<TReal> shares, double alpha, RandomKeySource key, MixingOptions options = default)
        where TReal : unmanaged =>
        MixingDraw.Launch(
            "Mixup.Draw", AugmentKey.Mixup, stream, sampleIds, labels, pairs, otherLabels, shares, null, 0, 0, alpha, key, options);

    /// <summary>y[i] = shares[i] x[i] + (1 - shares[i]) x[partner of i].</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">[rows, ...].</param>
    /// <param name="pairs">Partners, from <see cref="Draw{TReal}"/>: [rows, 2]. A partner of -1 leaves shares[i] x[i].</param>
    /// <param name="shares">Lambdas, [rows]: float, or double for double tensors.</param>
    /// <param name="y">Output, shape of <paramref name="x"/>.</param>
    public static void Forward<T, TReal>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<int> pairs, DeviceTensor<TReal> shares, DeviceTensor<T> y)
        where T : unmanaged
        where TReal : unmanaged => Apply(ForwardName, stream, x, nameof(x), x, pairs, shares, y, nameof(y), backward: false);

    /// <summary>y[i] = shares[i] x[i] + (1 - shares[i]) pool[partner of i].</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">[rows, ...].</param>
    /// <param name="pool">Where the partners are: a data set, or the whole batch of which x is a shard; [pool rows, ...].</param>
    /// <param name="pairs">Partners, from <see cref="Draw{TReal}"/> or a slice of them: [rows, 2].</param>
    /// <param name="shares">Lambdas, [rows]: float, or double for double tensors.</param>
    /// <param name="y">Output, shape of <paramref name="x"/>.</param>
    public static void Forward<T, TReal>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> pool, DeviceTensor<int> pairs, DeviceTensor<TReal> shares,
        DeviceTensor<T> y)
        where T : unmanaged
        where TReal : unmanaged => Apply(ForwardName, stream, x, nameof(x), pool, pairs, shares, y, nameof(y), backward: false);

    /// <summary>
    /// Gradient within a batch: dx[i] = shares[i] dy[i] + (1 - shares[j]) dy[j], where j is the row whose partner i is.
    /// </summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="dy">Gradient of the output, [rows, ...].</param>
    /// <param name="pairs">As in forward.</param>
    /// <param name="shares">As in forward.</param>
    /// <param name="dx">Gradient of the input, shape of <paramref name="dy"/>.</param>
    public static void Backward<T, TReal>(
        DeviceStream stream, DeviceTensor<T> dy, DeviceTensor<int> pairs, DeviceTensor<TReal> shares, DeviceTensor<T> dx)
        where T : unmanaged
        where TReal : unmanaged => Apply(BackwardName, stream, dy, nameof(dy), dy, pairs, shares, dx, nameof(dx), backward: true);

    private static void Apply<T, TReal>(
        string op, DeviceStream stream, DeviceTensor<T> x, string xName, DeviceTensor<T> pool, DeviceTensor<int> pairs,
        DeviceTensor<TReal> shares, DeviceTensor<T> y, string yName, bool backward)
        where T : unmanaged
        where TReal : unmanaged
    {
        long poolRows = PairedRows.Check(op, stream, x, xName, pool, pairs, y, yName);
        Check.Tensor(op, stream, shares, nameof(shares));
        Check.Shape(op, shares, nameof(shares), x.Shape[0]);
        Check.Disjoint(op, shares, nameof(shares), y, yName);
        DType expected = x.DType == DType.Float64 ? DType.Float64 : DType.Float32;
        if (shares.DType != expected)
        {
            throw new ArgumentException(
                $"{op}: {nameof(shares)} stores {shares.DType.ShortName()}, expected {expected.ShortName()} for {x.DType.ShortName()}.",
                nameof(shares));
        }

        if (x.Length == 0) return;
        using DataErrorSlot error = stream.DataErrorSlot(op, $"of {nameof(pairs)} is neither -1 nor one of {poolRows} rows");
        Launch(stream, x, pool, pairs.Argument, shares.Argument, y, error, poolRows, backward);
    }

    /// <summary>Sums of the rows of two tensors that fit.</summary>
    internal static void Launch<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> pool, TensorArgument pairs, TensorArgument shares, DeviceTensor<T> y,
        DataErrorSlot error, long poolRows, bool backward)
        where T : unmanaged
    {
        long run = x.Length / x.Shape[0];
        InvariantDivisor divisor = InvariantDivisor.Of(run);
        bool octets = run % 8 == 0 && x.IsVectorAligned && pool.IsVectorAligned && y.IsVectorAligned;
        stream.Launch(
            ApplyKernel,
            new KernelVariant(x.DType, octets ? 8 : 1),
            LaunchShape.Items((x.Length / 8) + 1, ApplyKernel),
            new MixupApplyArguments
            {
                X = x.Argument,
                Pool = pool.Argument,
                Pairs = pairs,
                Shares = shares,
                Y = y.Argument,
                Error = error.Argument,
                Count = (ulong)x.Length,
                Run = divisor.Value,
                RunInverse = divisor.Inverse,
                RunShift = divisor.Shift,
                PoolRows = (ulong)poolRows,
                Backward = backward ? 1u : 0,
            });
    }
}

/// <summary>What an op on pairs of rows asks of its tensors.</summary>
internal static class PairedRows
{
    /// <summary>Rows, their partners' rows, the pairs and a result that is neither; gives the number of rows to choose from.</summary>
    public static long Check<T>(
        string op, DeviceStream stream, DeviceTensor<T> x, string xName, DeviceTensor<T> pool, DeviceTensor<int> pairs,
        DeviceTensor<T> y, string yName)
        where T : unmanaged
    {
        Devices.Check.Tensor(op, stream, pairs, nameof(pairs));
        long poolRows = CheckRows(op, stream, x, xName, pool, y, yName);
        Devices.Check.Shape(op, pairs, nameof(pairs), x.Shape[0], 2);
        Devices.Check.Disjoint(op, pairs, nameof(pairs), y, yName);
        return poolRows;
    }

    /// <summary>The same without the pairs.</summary>
    public static long CheckRows<T>(
        string op, DeviceStream stream, DeviceTensor<T> x, string xName, DeviceTensor<T> pool, DeviceTensor<T> y, string yName)
        where T : unmanaged
    {
        Devices.Check.Elementwise(op, stream, x, xName, y, yName);
        Devices.Check.FloatTensor(op, stream, pool, nameof(pool));
        if (x.Shape.Length == 0) throw new ArgumentException($"{op}: {xName} is a scalar and has no rows.", xName);
        if (pool.Shape.Length != x.Shape.Length || !pool.Shape[1..].SequenceEqual(x.Shape[1..]))
        {
            throw new ArgumentException(
                $"{op}: {nameof(pool)} has the shape {TensorShape.Format(pool.Shape)}, which is not rows like those of {xName}, "
                + $"{TensorShape.Format(x.Shape)}.", nameof(pool));
        }

        if (Math.Max(x.Shape[0], pool.Shape[0]) > int.MaxValue)
        {
            throw new ArgumentException(
                $"{op}: {xName} has the shape {TensorShape.Format(x.Shape)}, {nameof(pool)} {TensorShape.Format(pool.Shape)}: more rows "
                + "than an int can number.", xName);
        }

        Devices.Check.Disjoint(op, x, xName, y, yName);
        Devices.Check.Disjoint(op, pool, nameof(pool), y, yName);
        return pool.Shape[0];
    }
}
