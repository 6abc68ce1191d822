namespace Kernels;

/// <summary>
/// Whose draws are whose in augmentation, as <c>kernels/portable/augment_key.h</c> has it: they follow from the key, the number of the
/// sample in its data set and the op, and from nothing else.
/// </summary>
internal static class AugmentKey
{
    public const uint Flip = 1;
    public const uint Crop = 2;
    public const uint Translate = 3;
    public const uint Rotate = 4;
    public const uint Affine = 5;
    public const uint ColorJitter = 6;
    public const uint AutoAugment = 7;
    public const uint Cutout = 8;
    public const uint RandomErase = 9;
    public const uint Mixup = 10;
    public const uint CutMix = 11;
    public const uint FeatureNoise = 12;
    public const uint FeatureInterpolate = 13;
    public const uint FeatureExtrapolate = 14;
    public const uint DifferentiableAugment = 15;
    public const uint Posterize = 16;
    public const uint Solarize = 17;
    public const uint Equalize = 18;
    public const uint AutoContrast = 19;
    public const uint Sharpness = 20;

    /// <summary>Draw number <paramref name="draw"/> of an op: Philox block op * 2^32 + draw of the sample's own key.</summary>
    public static (uint W0, uint W1, uint W2, uint W3) Draw(RandomKey key, ulong sample, uint op, uint draw) =>
        Philox.Block(key.Derive(sample), ((ulong)op << 32) | draw);

    /// <summary>In [0, 1), a multiple of 2^-24.</summary>
    public static float UnitOf(uint word) => (word >> 8) * 5.9604644775390625e-8f;

    /// <summary>From low on, below high.</summary>
    public static float Between(float unit, float low, float high) => MathF.FusedMultiplyAdd(unit, high - low, low);
}
