namespace Kernels.Reference;

/// <summary>Leaky ReLU, tanh and sigmoid, and their gradients from their outputs.</summary>
public static class ActivationReference
{
    /// <summary>y = slope * x where x &lt;= 0, else x; NaN stays NaN.</summary>
    public static void LeakyRelu(ReadOnlySpan<double> x, Span<double> y, double slope)
    {
        for (int i = 0; i < x.Length; i++) y[i] = x[i] <= 0 ? slope * x[i] : x[i];
    }

    /// <summary>dx = slope * dy where y &lt;= 0, else dy.</summary>
    public static void LeakyReluGradient(ReadOnlySpan<double> y, ReadOnlySpan<double> dy, Span<double> dx, double slope)
    {
        for (int i = 0; i < y.Length; i++) dx[i] = y[i] <= 0 ? slope * dy[i] : dy[i];
    }

    /// <summary>y = tanh x.</summary>
    public static void Tanh(ReadOnlySpan<double> x, Span<double> y)
    {
        for (int i = 0; i < x.Length; i++) y[i] = Math.Tanh(x[i]);
    }

    /// <summary>dx = dy (1 - y^2).</summary>
    public static void TanhGradient(ReadOnlySpan<double> y, ReadOnlySpan<double> dy, Span<double> dx)
    {
        for (int i = 0; i < y.Length; i++) dx[i] = dy[i] * ((1 - y[i]) * (1 + y[i]));
    }

    /// <summary>y = 1 / (1 + e^-x).</summary>
    public static void Sigmoid(ReadOnlySpan<double> x, Span<double> y)
    {
        for (int i = 0; i < x.Length; i++) y[i] = 1 / (1 + Math.Exp(-x[i]));
    }

    /// <summary>dx = dy y (1 - y).</summary>
    public static void SigmoidGradient(ReadOnlySpan<double> y, ReadOnlySpan<double> dy, Span<double> dx)
    {
        for (int i = 0; i < y.Length; i++) dx[i] = dy[i] * (y[i] * (1 - y[i]));
    }
}
