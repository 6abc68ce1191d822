namespace Kernels.Reference;

/// <summary>The matrix product, row-major.</summary>
public static class MatMulReference
{
    /// <summary>c[m, n] = sum over k of op(a)[m, k] op(b)[k, n]; a is stored [m, k] or [k, m], b [k, n] or [n, k].</summary>
    public static void Multiply(
        ReadOnlySpan<double> a, ReadOnlySpan<double> b, Span<double> c, int m, int n, int k, bool transposeA = false,
        bool transposeB = false)
    {
        for (int row = 0; row < m; row++)
        {
            for (int column = 0; column < n; column++)
            {
                double sum = 0;
                for (int i = 0; i < k; i++)
                {
                    double left = transposeA ? a[(i * m) + row] : a[(row * k) + i];
                    double right = transposeB ? b[(column * k) + i] : b[(i * n) + column];
                    sum += left * right;
                }

                c[(row * n) + column] = sum;
            }
        }
    }
}
