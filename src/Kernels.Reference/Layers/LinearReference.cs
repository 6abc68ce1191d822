namespace Kernels.Reference;

/// <summary>The linear layer y = x wᵀ + b: x [rows, in], w [out, in], b [out], y [rows, out].</summary>
public static class LinearReference
{
    /// <summary>y[r, o] = b[o] + sum over i of x[r, i] w[o, i]. An empty bias is none.</summary>
    public static void Forward(
        ReadOnlySpan<double> x, ReadOnlySpan<double> weight, ReadOnlySpan<double> bias, Span<double> y, int rows, int inputs, int outputs)
    {
        for (int row = 0; row < rows; row++)
        {
            for (int output = 0; output < outputs; output++)
            {
                double sum = bias.IsEmpty ? 0 : bias[output];
                for (int input = 0; input < inputs; input++) sum += x[(row * inputs) + input] * weight[(output * inputs) + input];
                y[(row * outputs) + output] = sum;
            }
        }
    }

    /// <summary>dx = dy w, dw = dyᵀ x, db = sum of the rows of dy.</summary>
    public static void Backward(
        ReadOnlySpan<double> x, ReadOnlySpan<double> weight, ReadOnlySpan<double> dy,
        Span<double> dx, Span<double> dWeight, Span<double> dBias, int rows, int inputs, int outputs)
    {
        dx.Clear();
        dWeight.Clear();
        dBias.Clear();
        for (int row = 0; row < rows; row++)
        {
            for (int output = 0; output < outputs; output++)
            {
                double gradient = dy[(row * outputs) + output];
                dBias[output] += gradient;
                for (int input = 0; input < inputs; input++)
                {
                    dx[(row * inputs) + input] += gradient * weight[(output * inputs) + input];
                    dWeight[(output * inputs) + input] += gradient * x[(row * inputs) + input];
                }
            }
        }
    }
}
