namespace Kernels;

/// <summary>Extrapolation in feature space: y = x + l (x - neighbour), away from a row of the same class.</summary>
/// <remarks>
/// As <see cref="FeatureInterpolate"/>, with draws of its own: the sum is (1 + l) x - l neighbour. In the paper it is the one that helps
/// most, with l = 0.5. T. DeVries and G. W. Taylor, "Dataset augmentation in feature space", ICLR workshop 2017.
/// </remarks>
public static class FeatureExtrapolate
{
    /// <summary>The largest step.</summary>
    private const double MostStep = 1000;

    /// <summary>y = (1 + l) x - l pool[neighbour].</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">[rows, ...].</param>
    /// <param name="sampleIds">Number of each row's sample, [rows]; null: they are numbered from <paramref name="firstSample"/> on.</param>
    /// <param name="pool">Where the neighbours are, [pool rows, ...]; may be <paramref name="x"/>.</param>
    /// <param name="neighbours">Rows of the pool for each row, [rows, most], -1 after the last: <see cref="SameClassNeighbours"/>.</param>
    /// <param name="y">Output, shape of <paramref name="x"/>.</param>
    /// <param name="step">l, in [0, 1000]; the paper's is 0.5.</param>
    /// <param name="key">Random key: seed, and the epoch as offset.</param>
    /// <param name="firstSample">Number of the first row's sample where no sample numbers are given.</param>
    public static void Forward<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<ulong>? sampleIds, DeviceTensor<T> pool, DeviceTensor<int> neighbours,
        DeviceTensor<T> y, AugmentRange step, RandomKeySource key, ulong firstSample = 0)
        where T : unmanaged
    {
        const string Op = "FeatureExtrapolate.Forward";
        FeatureStep.Apply(
            Op, AugmentKey.FeatureExtrapolate, stream, x, sampleIds, pool, neighbours, y, step, MostStep, -1, key, firstSample);
    }
}
