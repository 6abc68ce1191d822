using Kernels.Devices;

namespace Kernels;

/// <summary>
/// Synchronized batch normalization: <see cref="BatchNorm"/> of a batch that lies in shards, on one device or on many, with mean and
/// variance over all of them. Between its steps records of a few numbers a channel are gathered, by whatever carries them.
/// </summary>
/// <remarks>
/// <para>
/// Forward: <c>Statistics</c> gives the moments of a shard, [5, channels]; those of all shards, [shards, 5, channels], are gathered on
/// every rank; <c>Finish</c> merges them into statistics and running values, and <c>Apply</c> normalizes the shard. Backward:
/// <c>ReduceGradient</c> gives the shard's sums, [3, channels], which are gathered as [shards, 3, channels], or added up by a transport
/// that can; <c>ApplyGradient</c> gives dx. Where there are many shards, <c>Merge</c> makes one record of a part of them, say of a node's.
/// </para>
/// <para>
/// Everything is weighted by the elements of a shard: a shard may have any number of samples, none included, and its result is that of one
/// big batch but for rounding. Rows of a record of moments are count, mean, what its rounding left, the sum of squared distances from the
/// mean, and that sum times 2^-180 (2^-1200 in double), which does not overflow; those of a record of gradients are sum of dy, sum of dy (x
/// - mean), and count. Counts are exact up to 2^24 elements a channel in float.
/// </para>
/// <para>
/// Records are merged in a tree over their places in the list, which depends on nothing but their number: the same records in the same
/// order give the same bits on every rank. With the batch in a fixed number of shards results so do not depend on the ranks that hold
/// them. Moments of one record are that record.
/// </para>
/// <para>
/// Gradients of gamma and beta are those of the shard, to be added up over the shards as all other gradients are. A channel of one element
/// in all shards, which no rank can know of before the merge, is normalized to beta; fewer than two leave the running values as they are.
/// All else is as for <see cref="BatchNorm"/>.
/// </para>
/// </remarks>
public static partial class SyncBatchNorm
{
    /// <summary>Rows of a record of moments.</summary>
    public const int MomentRows = NormPasses.MomentRows;

    /// <summary>Rows of a record of gradients.</summary>
    public const int GradientRows = NormPasses.GradientRows;

    /// <summary>Moments of a shard: count, mean and squares of each channel.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input, two to five dimensions; may be empty.</param>
    /// <param name="moments">Output, shape [5, channels].</param>
    /// <param name="options">Layout and lengths.</param>
    internal static void Statistics<T, TReal>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<TReal> moments, BatchNormOptions options)
        where T : unmanaged
        where TReal : unmanaged
    {
        const string Op = "SyncBatchNorm.Statistics";
        Check.FloatTensor(Op, stream, x, nameof(x));
        NormGeometry geometry = NormChecks.Geometry(Op, stream, x, nameof(x), options);
        NormChecks.Channel(Op, stream, moments, nameof(moments), x, nameof(x), MomentRows, geometry.Channels);
        NormChecks.ApartFromLengths<T, TReal>(Op, options, null, nameof(x), (moments, nameof(moments)));
        if (NormChecks.IsEmpty(stream, geometry, moments)) return;
        NormPasses.Statistics<T, TReal>(stream, geometry, x, moments.Argument, statistics: default, running: default, epsilon: 1);
    }

    /// <summary>Moments of several shards as one record, for a tree of several levels.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="moments">Records of the shards, shape [shards, 5, channels].</param>
    /// <param name="merged">Output, shape [5, channels].</param>
    internal static void Merge<TReal>(DeviceStream stream, DeviceTensor<TReal> moments, DeviceTensor<TReal> merged)
        where TReal : unmanaged
    {
        const string Op = "SyncBatchNorm.Merge";
        NormGeometry geometry = Records(Op, stream, moments, nameof(moments), MomentRows);
        NormChecks.Channel(Op, stream, merged, nameof(merged), moments, nameof(moments), MomentRows, geometry.Channels);
        if (geometry.Channels == 0) return;
        NormPasses.Merge<TReal>(
            stream, geometry, moments.Argument, moments.Shape[0], merged.Argument, statistics: default, running: default, epsilon: 1);
    }

    /// <summary>Merges the moments of all shards into statistics, and moves the running values on by them.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="moments">Records of all shards, shape [shards, 5, channels].</param>
    /// <param name="statistics">Output for the steps that follow, shape [3, channels], as <see cref="BatchNorm"/> gives them.</param>
    /// <param name="runningMean">Running mean, shape [channels], or null.</param>
    /// <param name="runningVariance">Running variance, shape [channels]; null when <paramref name="runningMean"/> is.</param>
    /// <param name="options">Epsilon, and how running values move on.</param>
    internal static void Finish<TReal>(
        DeviceStream stream, DeviceTensor<TReal> moments, DeviceTensor<TReal> statistics, DeviceTensor<TReal>? runningMean,
        DeviceTensor<TReal>? runningVariance, BatchNormOptions options)
        where TReal : unmanaged
    {
        const string Op = "SyncBatchNorm.Finish";
        options.Validate(Op);
        NormGeometry geometry = Records(Op, stream, moments, nameof(moments), MomentRows);
        NormChecks.Results<TReal, TReal>(
            Op, stream, geometry, moments, nameof(moments), moments, nameof(moments), gamma: null, beta: null, statistics, runningMean,
            runningVariance, [BatchNorm.StatisticRows, geometry.Channels]);
        if (geometry.Channels == 0) return;
        NormPasses.Merge<TReal>(
            stream, geometry, moments.Argument, moments.Shape[0], record: default, statistics.Argument,
            NormChecks.Running(runningMean, runningVariance, options), options.Epsilon);
    }

    /// <summary>Normalizes a shard: y = gamma * xhat + beta.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input, two to five dimensions; may be empty.</param>
    /// <param name="gamma">Factor of each channel, shape [channels], or null for 1.</param>
    /// <param name="beta">What is added to each channel, shape [channels], or null for 0.</param>
    /// <param name="statistics">What <c>Finish</c> gave.</param>
    /// <param name="y">Output, shape of <paramref name="x"/>.</param>
    /// <param name="options">Layout and lengths.</param>
    internal static void Apply<T, TReal>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<TReal>? gamma, DeviceTensor<TReal>? beta, DeviceTensor<TReal> statistics,
        DeviceTensor<T> y, BatchNormOptions options)
        where T : unmanaged
        where TReal : unmanaged
    {
        const string Op = "SyncBatchNorm.Apply";
        NormChecks.Pair(Op, stream, x, nameof(x), y, nameof(y));
        Check.Disjoint(Op, x, nameof(x), y, nameof(y));
        NormGeometry geometry = NormChecks.Geometry(Op, stream, x, nameof(x), options);
        NormChecks.Inputs(Op, stream, geometry, y, nameof(y), gamma, beta);
        NormChecks.Channel(Op, stream, statistics, nameof(statistics), y, nameof(y), BatchNorm.StatisticRows, geometry.Channels);
        NormChecks.ApartFromLengths<T, TReal>(Op, options, y, nameof(y));
        NormEpilogue epilogue = NormChecks.NoEpilogue(Op, options);
        if (x.Length == 0) return;
        NormPasses.Apply(
            stream, geometry, x, residual: null, NormPasses.Channels(geometry, statistics, gamma, beta), y, isVariance: false, epsilon: 1,
            epilogue);
    }

    /// <summary>What dx of all shards needs from this one, and the shard's part of the gradients of gamma and beta.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">As in forward.</param>
    /// <param name="statistics">What <c>Finish</c> gave.</param>
    /// <param name="dy">Gradient of the output.</param>
    /// <param name="sums">Output, shape [3, channels].</param>
    /// <param name="dGamma">The shard's gradient of gamma, shape [channels], or null when it is not needed.</param>
    /// <param name="dBeta">The shard's gradient of beta, shape [channels], or null when it is not needed.</param>
    /// <param name="options">Layout and lengths.</param>
    internal static void ReduceGradient<T, TReal>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<TReal> statistics, DeviceTensor<T> dy, DeviceTensor<TReal> sums,
        DeviceTensor<TReal>? dGamma, DeviceTensor<TReal>? dBeta, BatchNormOptions options)
        where T : unmanaged
        where TReal : unmanaged
    {
        const string Op = "SyncBatchNorm.ReduceGradient";
        NormGeometry geometry = Gradient(Op, stream, x, statistics, dy, options);
        NormChecks.Channel(Op, stream, sums, nameof(sums), x, nameof(x), GradientRows, geometry.Channels);
        if (dGamma is not null) NormChecks.Channel(Op, stream, dGamma, nameof(dGamma), x, nameof(x), geometry.Channels);
        if (dBeta is not null) NormChecks.Channel(Op, stream, dBeta, nameof(dBeta), x, nameof(x), geometry.Channels);
        (DeviceTensor<TReal>?, string)[] results = [(sums, nameof(sums)), (dGamma, nameof(dGamma)), (dBeta, nameof(dBeta))];
        NormChecks.AllDisjoint(Op, dy, nameof(dy), [(statistics, nameof(statistics))], results);
        NormChecks.ApartFromLengths<T, TReal>(Op, options, null, nameof(x), results);
        NormEpilogue epilogue = NormChecks.NoEpilogue(Op, options);
        if (NormChecks.IsEmpty(stream, geometry, sums, dGamma, dBeta)) return;
        NormPasses.Gradients(
            stream, geometry, x, y: null, NormPasses.Channels(geometry, statistics, gamma: null, beta: null), statistics, dy, sums.Argument,
            corrections: default, dGamma, dBeta, epilogue);
    }

    /// <summary>
    /// dx of a shard = gamma * inverse deviation * (dy - sum of dy / n - xhat * sum of dy xhat / n), with sums and n over all shards.
    /// </summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">As in forward.</param>
    /// <param name="gamma">As in forward.</param>
    /// <param name="statistics">What <c>Finish</c> gave.</param>
    /// <param name="dy">Gradient of the output.</param>
    /// <param name="sums">What <c>ReduceGradient</c> gave for all shards, shape [shards, 3, channels], or [1, 3, channels] with their
    /// sum.</param>
    /// <param name="dx">Gradient of x, shape of <paramref name="x"/>; may be <paramref name="dy"/>.</param>
    /// <param name="options">Layout and lengths.</param>
    internal static void ApplyGradient<T, TReal>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<TReal>? gamma, DeviceTensor<TReal> statistics, DeviceTensor<T> dy,
        DeviceTensor<TReal> sums, DeviceTensor<T> dx, BatchNormOptions options)
        where T : unmanaged
        where TReal : unmanaged
    {
        const string Op = "SyncBatchNorm.ApplyGradient";
        NormGeometry geometry = Gradient(Op, stream, x, statistics, dy, options);
        NormChecks.Pair(Op, stream, dy, nameof(dy), dx, nameof(dx));
        Check.Disjoint(Op, x, nameof(x), dx, nameof(dx));
        NormChecks.Inputs(Op, stream, geometry, dx, nameof(dx), gamma, beta: null);
        NormGeometry records = Records(Op, stream, sums, nameof(sums), GradientRows);
        NormChecks.Channel(
            Op, stream, sums, nameof(sums), dx, nameof(dx), sums.Shape[0], GradientRows, geometry.Channels);
        Check.Disjoint(Op, dx, nameof(dx), statistics, nameof(statistics));
        NormChecks.ApartFromLengths<T, TReal>(Op, options, dx, nameof(dx));
        NormEpilogue epilogue = NormChecks.NoEpilogue(Op, options);
        if (x.Length == 0) return;
        using ScratchPool.Lease<TReal> corrections = stream.RentScratch<TReal>(2 * geometry.Channels);
        NormPasses.MergeGradients<TReal, TReal>(
            stream, records, sums.Argument, sums.Shape[0], statistics, record: default, corrections.Argument, null, null);
        NormPasses.ApplyGradient(
            stream, geometry, x, y: null, NormPasses.Channels(geometry, statistics, gamma, beta: null), corrections.Argument, dy, dx,
            dResidual: null, epilogue);
    }

    /// <summary>Records of at least one shard.</summary>
    private static NormGeometry Records<TReal>(string op, DeviceStream stream, DeviceTensor<TReal> records, string name, int rows)
        where TReal : unmanaged
    {
        Check.FloatTensor(op, stream, records, name);
        if (records.Shape.Length != 3 || records.Shape[0] == 0 || records.Shape[1] != rows)
        {
            throw new ArgumentException(
                $"{op}: {name} has the shape {TensorShape.Format(records.Shape)}, expected shards, {rows} rows, and channels.", name);
        }

        return new NormGeometry(Sets: 1, Outer: 1, records.Shape[2], Inner: 1);
    }

    /// <summary>What both steps of backward read.</summary>
    private static NormGeometry Gradient<T, TReal>(
        string op, DeviceStream stream, DeviceTensor<T> x, DeviceTensor<TReal> statistics, DeviceTensor<T> dy, in BatchNormOptions options)
        where T : unmanaged
        where TReal : unmanaged
    {
        Check.FloatTensor(op, stream, x, nameof(x));
        Check.FloatTensor(op, stream, dy, nameof(dy));
        Check.Shape(op, x, nameof(x), dy.Shape);
        NormGeometry geometry = NormChecks.Geometry(op, stream, x, nameof(x), options);
        Check.FloatTensor(op, stream, statistics, nameof(statistics));
        Check.Shape(op, statistics, nameof(statistics), BatchNorm.StatisticRows, geometry.Channels);
        return geometry;
    }
}
