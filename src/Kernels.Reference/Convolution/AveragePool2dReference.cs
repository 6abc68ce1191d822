namespace Kernels.Reference;

/// <summary>Average pooling: the sum of a window over a divisor.</summary>
public static class AveragePool2dReference
{
    /// <summary>y = the sum of the elements of a window that lie in the map, over its divisor.</summary>
    /// <param name="shape">How windows lie.</param>
    /// <param name="divisor">What windows are divided by.</param>
    /// <param name="x">Input.</param>
    /// <param name="y">Output.</param>
    public static void Forward(Pool2dShape shape, PoolDivisor divisor, double[] x, double[] y) =>
        shape.ForEachWindow((plane, row, column, i) =>
        {
            double sum = 0;
            ForEachTap(shape, row, column, (h, w) => sum += x[shape.X(plane, h, w, i)]);
            y[shape.Y(plane, row, column, i)] = sum / divisor.Of(shape, row, column);
        });

    /// <summary>dx = the sum of dy over the divisor, over the windows that an element is in.</summary>
    /// <param name="shape">How windows lie.</param>
    /// <param name="divisor">What windows are divided by.</param>
    /// <param name="dy">Gradient of the output.</param>
    /// <param name="dx">Gradient of the input.</param>
    public static void Backward(Pool2dShape shape, PoolDivisor divisor, double[] dy, double[] dx) =>
        shape.ForEachWindow((plane, row, column, i) =>
        {
            double part = dy[shape.Y(plane, row, column, i)] / divisor.Of(shape, row, column);
            ForEachTap(shape, row, column, (h, w) => dx[shape.X(plane, h, w, i)] += part);
        });

    private static void ForEachTap(Pool2dShape shape, int row, int column, Action<int, int> call)
    {
        for (int r = 0; r < shape.Window.Height; r++)
        {
            for (int s = 0; s < shape.Window.Width; s++)
            {
                if (shape.IsInside(shape.H(row, r), shape.W(column, s))) call(shape.H(row, r), shape.W(column, s));
            }
        }
    }
}

/// <summary>What a window is divided by: a given number, or the taps in the map, or those in the map and its padding.</summary>
/// <param name="Given">The given number, or null.</param>
/// <param name="CountsPadding">Whether taps in the padding count.</param>
/// <param name="Bottom">Rows of padding after the map.</param>
/// <param name="Right">Columns of padding after the map.</param>
public sealed record PoolDivisor(double? Given, bool CountsPadding, int Bottom, int Right)
{
    internal double Of(Pool2dShape shape, int row, int column)
    {
        if (Given is { } given) return given;
        int count = 0;
        for (int r = 0; r < shape.Window.Height; r++)
        {
            for (int s = 0; s < shape.Window.Width; s++)
            {
                (int h, int w) = (shape.H(row, r), shape.W(column, s));
                bool isPadded = h < shape.Height + Bottom && w < shape.Width + Right;
                count += shape.IsInside(h, w) || (CountsPadding && isPadded) ? 1 : 0;
            }
        }

        return count;
    }
}
