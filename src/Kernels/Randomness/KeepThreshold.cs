namespace Kernels;

/// <summary>
/// A drop probability as the kernels use it. A random 16-bit lane keeps its element iff lane &lt; T with T = round((1 - p) * 65536), so the
/// realised keep probability T/65536 differs from 1 - p by at most 2^-17, and scaling by its exact reciprocal gives E[y] = x.
/// </summary>
/// <remarks>For 0 &lt; p &lt; 1, T is clamped to [1, 65535]; p = 0 and p = 1 are exact and draw nothing.</remarks>
public readonly record struct KeepThreshold
{
    private const int Steps = 1 << 16;

    private KeepThreshold(uint value) => Value = value;

    /// <summary>T, from 0 (drop all) to 65536 (keep all).</summary>
    public uint Value { get; }

    /// <summary>The realised probability to keep an element, T/65536.</summary>
    public double KeepProbability => (double)Value / Steps;

    /// <summary>The realised probability to drop an element, 1 - T/65536.</summary>
    public double DropProbability => (double)(Steps - Value) / Steps;

    /// <summary>The factor of a kept element under inverted dropout: 65536/T; 0 when all is dropped.</summary>
    public double Scale => Value == 0 ? 0 : (double)Steps / Value;

    internal bool KeepsAll => Value == Steps;

    internal bool DropsAll => Value == 0;

    /// <summary>The threshold for dropping with probability <paramref name="dropProbability"/>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The probability is NaN or outside [0, 1].</exception>
    public static KeepThreshold FromDropProbability(double dropProbability)
    {
        if (!(dropProbability is >= 0 and <= 1))
            throw new ArgumentOutOfRangeException(nameof(dropProbability), dropProbability, "a drop probability lies in [0, 1]");
        if (dropProbability == 0) return new(Steps);
        if (dropProbability == 1) return new(0);
        double rounded = Math.Floor(((1 - dropProbability) * Steps) + 0.5);
        return new((uint)Math.Clamp(rounded, 1, Steps - 1));
    }
}
