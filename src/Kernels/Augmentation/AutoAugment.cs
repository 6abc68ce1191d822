namespace Kernels;

/// <summary>Images go through a random list of ops for each sample.</summary>
/// <remarks>
/// One case of <see cref="Augment"/>, which says how images are read, drawn for and refused. E. Cubuk, B. Zoph, J. Shlens and Q. Le,
/// "RandAugment: practical automated data augmentation with a reduced search space", NeurIPS 2020; S. Müller and F. Hutter,
/// "TrivialAugment: tuning-free yet state-of-the-art data augmentation", ICCV 2021.
/// </remarks>
public static class AutoAugment
{
    /// <summary>Draws for each sample and applies it.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Images, [batch, channels, height, width], or as the layout says.</param>
    /// <param name="sampleIds">The samples' numbers, [batch]; null to count from <see cref="AugmentOptions.FirstSample"/>.</param>
    /// <param name="y">Output, of the batch and channels of <paramref name="x"/>.</param>
    /// <param name="policy">How many ops, of which magnitude, out of which.</param>
    /// <param name="key">Seed and epoch.</param>
    /// <param name="options">Reading, normalization, layout.</param>
    public static void Forward<TIn, TOut>(
        DeviceStream stream, DeviceTensor<TIn> x, DeviceTensor<ulong>? sampleIds, DeviceTensor<TOut> y, AutoAugmentPolicy policy,
        RandomKeySource key,
        AugmentOptions options = default)
        where TIn : unmanaged
        where TOut : unmanaged => Augment.Forward(
        "AutoAugment.Forward", stream, x, sampleIds, y,
        new AugmentPolicy { Automatic = policy ?? throw new ArgumentNullException(nameof(policy), "AutoAugment.Forward: policy is null.") },
        key, options);
}
