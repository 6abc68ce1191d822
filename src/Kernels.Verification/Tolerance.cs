namespace Kernels.Verification;

/// <summary>
/// The largest distance of a value from the reference: error = |actual - expected| / (|expected| + floor) at most
/// <paramref name="Roundings"/> times the unit roundoff of the type. The floor is the size of the terms where terms cancel (a sum of
/// products, say), else the smallest normal number.
/// </summary>
/// <param name="Roundings">Roundings to the stored type that the result may have seen.</param>
/// <param name="ArithmeticRoundings">Roundings to the arithmetic type (float, or double for double).</param>
/// <param name="Floor">Size of the terms.</param>
/// <param name="Cause">Why more than the rounding of the result is allowed.</param>
public sealed record Tolerance(double Roundings, double ArithmeticRoundings, double Floor, string Cause)
{
    /// <summary>Bits, NaN against NaN, zeros of either sign against each other.</summary>
    public static Tolerance Exact { get; } = new(0, 0, 0, "exact");

    /// <summary>The limit for a stored type.</summary>
    public double Limit(DType dtype) =>
        (Roundings * UnitRoundoff(dtype)) + (ArithmeticRoundings * UnitRoundoff(dtype == DType.Float64 ? DType.Float64 : DType.Float32));

    /// <summary>
    /// The error of one value in the units of <see cref="Limit"/>; infinite when one is NaN or infinite and the other is not the same.
    /// </summary>
    public double Error(double actual, double expected, DType dtype)
    {
        if (double.IsNaN(actual) && double.IsNaN(expected)) return 0;
        if (actual == expected) return 0;
        if (!double.IsFinite(actual) || !double.IsFinite(expected))
            return IsOverflow(actual, expected, dtype) ? 0 : double.PositiveInfinity;
        return Math.Abs(actual - expected) / (Math.Abs(expected) + Math.Max(Floor, SmallestNormal(dtype)));
    }

    /// <summary>Half the distance between 1 and the next number.</summary>
    public static double UnitRoundoff(DType dtype) => dtype switch
    {
        DType.Float32 => Math.ScaleB(1, -24),
        DType.Float16 => Math.ScaleB(1, -11),
        DType.BFloat16 => Math.ScaleB(1, -8),
        DType.Float64 => Math.ScaleB(1, -53),
        _ => 0,
    };

    private static double SmallestNormal(DType dtype) => dtype switch
    {
        DType.Float16 => Math.ScaleB(1, -14),
        DType.Float32 or DType.BFloat16 => Math.ScaleB(1, -126),
        _ => Math.ScaleB(1, -1022),
    };

    /// <summary>The reference is double: what overflows the stored type is an infinity there, rightly.</summary>
    private static bool IsOverflow(double actual, double expected, DType dtype) =>
        double.IsInfinity(actual) && actual == Elements.Round(dtype, expected);
}
