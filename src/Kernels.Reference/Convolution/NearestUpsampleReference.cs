namespace Kernels.Reference;

/// <summary>Nearest-neighbour upsampling by integers.</summary>
public static class NearestUpsampleReference
{
    /// <summary>y[h, w] = x[h / rows, w / columns] of maps [planes, height, width, inner] of x.</summary>
    public static void Forward(double[] x, double[] y, int planes, int height, int width, int inner, int rows, int columns) =>
        ForEachOutput(planes, height, width, inner, rows, columns, (from, to) => y[to] = x[from]);

    /// <summary>dx = the sum of dy over the block of a cell.</summary>
    public static void Backward(double[] dy, double[] dx, int planes, int height, int width, int inner, int rows, int columns) =>
        ForEachOutput(planes, height, width, inner, rows, columns, (to, from) => dx[to] += dy[from]);

    private static void ForEachOutput(int planes, int height, int width, int inner, int rows, int columns, Action<int, int> call)
    {
        for (int plane = 0; plane < planes; plane++)
        {
            for (int h = 0; h < height * rows; h++)
            {
                for (int w = 0; w < width * columns; w++)
                {
                    for (int i = 0; i < inner; i++)
                    {
                        int small = (((((plane * height) + (h / rows)) * width) + (w / columns)) * inner) + i;
                        int large = (((((plane * height * rows) + h) * width * columns) + w) * inner) + i;
                        call(small, large);
                    }
                }
            }
        }
    }
}
