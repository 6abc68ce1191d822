namespace Kernels.Reference;

/// <summary>Spectral normalization of a matrix by power iteration.</summary>
/// <param name="Rows">Rows of the weight, its first dimension.</param>
/// <param name="Columns">Columns, all other dimensions together.</param>
public sealed record SpectralNormReference(int Rows, int Columns)
{
    /// <summary>One step: u = W v and v = W' u, each of length 1, or divided by epsilon where it is shorter.</summary>
    public void Iterate(double[] weight, double[] u, double[] v, double epsilon)
    {
        for (int row = 0; row < Rows; row++)
            u[row] = Enumerable.Range(0, Columns).Sum(column => weight[(row * Columns) + column] * v[column]);
        Normalize(u, epsilon);
        for (int column = 0; column < Columns; column++)
            v[column] = Enumerable.Range(0, Rows).Sum(row => weight[(row * Columns) + column] * u[row]);
        Normalize(v, epsilon);
    }

    /// <summary>sigma = u' W v.</summary>
    public double Sigma(double[] weight, double[] u, double[] v)
    {
        double sigma = 0;
        for (int row = 0; row < Rows; row++)
            sigma += u[row] * Enumerable.Range(0, Columns).Sum(column => weight[(row * Columns) + column] * v[column]);

        return sigma;
    }

    /// <summary>dW = (dy - (sum of dy W) / sigma u v') / sigma.</summary>
    public void Backward(double[] weight, double[] u, double[] v, double sigma, double[] dy, double[] dweight)
    {
        double overlap = weight.Zip(dy, (w, gradient) => w * gradient).Sum();
        for (int row = 0; row < Rows; row++)
        {
            for (int column = 0; column < Columns; column++)
            {
                int index = (row * Columns) + column;
                dweight[index] = (dy[index] - (overlap / sigma * u[row] * v[column])) / sigma;
            }
        }
    }

    private static void Normalize(double[] vector, double epsilon)
    {
        double largest = vector.Max(Math.Abs), scale = largest > 0 && double.IsFinite(largest) ? largest : 1;
        double length = scale * Math.Sqrt(vector.Sum(value => value / scale * (value / scale)));
        for (int i = 0; i < vector.Length; i++) vector[i] /= Math.Max(length, epsilon);
    }
}
