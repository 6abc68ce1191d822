namespace Kernels;

/// <summary>Interpolation in feature space: y = x + l (neighbour - x), towards a row of the same class.</summary>
/// <remarks>
/// <para>
/// The neighbour is a uniform one of those of the row (word 0 of draw 0 of its sample), l is uniform in its range (word 1), the sum is (1 -
/// l) x + l neighbour in one fused multiply-add of a rounded product. All of it follows from key, sample number and neighbours, so a sample
/// fares alike in every batch, order and shard. A row without neighbours is copied.
/// </para>
/// <para>
/// Features are data here, so there is no gradient. Types: float, Half, BFloat16, double; tensors without elements are a no-op. T. DeVries
/// and G. W. Taylor, "Dataset augmentation in feature space", ICLR workshop 2017.
/// </para>
/// <para>
/// Throws <see cref="ArgumentException"/> for shapes that do not fit, tensors that overlap or live on another device, and
/// <see cref="ArgumentOutOfRangeException"/> for a range that is reversed or out of bounds; a neighbour that is neither -1 nor a row throws
/// <see cref="DeviceDataException"/> at the next synchronisation.
/// </para>
/// </remarks>
public static class FeatureInterpolate
{
    /// <summary>y = (1 - l) x + l pool[neighbour].</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">[rows, ...].</param>
    /// <param name="sampleIds">Number of each row's sample, [rows]; null: they are numbered from <paramref name="firstSample"/> on.</param>
    /// <param name="pool">Where the neighbours are, [pool rows, ...]; may be <paramref name="x"/>.</param>
    /// <param name="neighbours">Rows of the pool for each row, [rows, most], -1 after the last: <see cref="SameClassNeighbours"/>.</param>
    /// <param name="y">Output, shape of <paramref name="x"/>.</param>
    /// <param name="step">l, in [0, 1]; the paper's is 0.5.</param>
    /// <param name="key">Random key: seed, and the epoch as offset.</param>
    /// <param name="firstSample">Number of the first row's sample where no sample numbers are given.</param>
    public static void Forward<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<ulong>? sampleIds, DeviceTensor<T> pool, DeviceTensor<int> neighbours,
        DeviceTensor<T> y, AugmentRange step, RandomKeySource key, ulong firstSample = 0)
        where T : unmanaged
    {
        const string Op = "FeatureInterpolate.Forward";
        FeatureStep.Apply(Op, AugmentKey.FeatureInterpolate, stream, x, sampleIds, pool, neighbours, y, step, 1, 1, key, firstSample);
    }
}
