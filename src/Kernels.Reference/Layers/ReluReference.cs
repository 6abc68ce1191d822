namespace Kernels.Reference;

/// <summary>ReLU: max(x, 0), NaN stays NaN.</summary>
public static class ReluReference
{
    /// <summary>y = 0 where x &lt;= 0, else x.</summary>
    public static void Forward(ReadOnlySpan<double> x, Span<double> y)
    {
        for (int i = 0; i < x.Length; i++) y[i] = x[i] <= 0 ? 0 : x[i];
    }

    /// <summary>dx = 0 where y &lt;= 0, else dy.</summary>
    public static void Backward(ReadOnlySpan<double> y, ReadOnlySpan<double> dy, Span<double> dx)
    {
        for (int i = 0; i < y.Length; i++) dx[i] = y[i] <= 0 ? 0 : dy[i];
    }
}
