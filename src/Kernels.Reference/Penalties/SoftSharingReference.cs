namespace Kernels.Reference;

/// <summary>The penalty that draws two tensors together.</summary>
public static class SoftSharingReference
{
    /// <summary>
    /// (strength / 2) * sum of (a - b)^2; adds scale * strength * (a - b) to the gradient of a and its negative to that of b, where there
    /// are such. A strength of 0 looks at no element.
    /// </summary>
    public static double Apply(
        ReadOnlySpan<double> a, ReadOnlySpan<double> b, Span<double> da, Span<double> db, double strength, double gradientScale)
    {
        if (strength == 0) return 0;
        double value = 0;
        for (int i = 0; i < a.Length; i++)
        {
            // Halves, and the strength between the factors of the square: either alone may overflow.
            double half = (a[i] / 2) - (b[i] / 2);
            value += 2 * half * strength * half;
            double slope = 2 * strength * half;
            if (!da.IsEmpty) da[i] += gradientScale * slope;
            if (!db.IsEmpty) db[i] -= gradientScale * slope;
        }

        return value;
    }
}
