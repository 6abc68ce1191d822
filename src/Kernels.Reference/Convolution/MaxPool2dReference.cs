namespace Kernels.Reference;

/// <summary>
/// How windows lie over maps. A tensor is [planes, height, width, inner], one row of it for each plane and inner index.
/// </summary>
public sealed record Pool2dShape(int Planes, int Height, int Width, int Inner, int OutHeight, int OutWidth)
{
    /// <summary>Rows and columns of a window.</summary>
    public required (int Height, int Width) Window { get; init; }

    /// <summary>From one window to the next.</summary>
    public required (int Height, int Width) Stride { get; init; }

    /// <summary>From one tap of a window to the next.</summary>
    public required (int Height, int Width) Dilation { get; init; }

    /// <summary>Rows above the map and columns left of it.</summary>
    public required (int Top, int Left) Padding { get; init; }

    /// <summary>The number of windows along an axis, as PyTorch counts them.</summary>
    public static int Outputs(int size, int window, int stride, int before, int after, int dilation, bool ceil)
    {
        double steps = (double)(size + before + after - (dilation * (window - 1)) - 1) / stride;
        int outputs = (int)(ceil ? Math.Ceiling(steps) : Math.Floor(steps)) + 1;
        bool startsBeyond = (outputs - 1) * stride >= size + before;
        return ceil && startsBeyond ? outputs - 1 : outputs;
    }

    /// <summary>Place of an element of x.</summary>
    internal int X(int plane, int h, int w, int i) => (((((plane * Height) + h) * Width) + w) * Inner) + i;

    /// <summary>Place of an element of y.</summary>
    internal int Y(int plane, int row, int column, int i) => (((((plane * OutHeight) + row) * OutWidth) + column) * Inner) + i;

    internal int H(int row, int r) => (row * Stride.Height) - Padding.Top + (r * Dilation.Height);

    internal int W(int column, int s) => (column * Stride.Width) - Padding.Left + (s * Dilation.Width);

    internal bool IsInside(int h, int w) => h >= 0 && h < Height && w >= 0 && w < Width;

    /// <summary>Calls for each window.</summary>
    internal void ForEachWindow(Action<int, int, int, int> call)
    {
        for (int plane = 0; plane < Planes; plane++)
        {
            for (int row = 0; row < OutHeight; row++)
            {
                for (int column = 0; column < OutWidth; column++)
                {
                    for (int i = 0; i < Inner; i++) call(plane, row, column, i);
                }
            }
        }
    }
}

/// <summary>Max pooling: the first of several largest counts, of several NaN the last.</summary>
public static class MaxPool2dReference
{
    /// <summary>y = the largest element of each window, and its number there.</summary>
    public static void Forward(Pool2dShape shape, double[] x, double[] y, double[]? indices)
    {
        shape.ForEachWindow((plane, row, column, i) =>
        {
            (double best, int at) = (double.NegativeInfinity, -1);
            for (int r = 0; r < shape.Window.Height; r++)
            {
                for (int s = 0; s < shape.Window.Width; s++)
                {
                    (int h, int w) = (shape.H(row, r), shape.W(column, s));
                    if (!shape.IsInside(h, w)) continue;
                    double value = x[shape.X(plane, h, w, i)];
                    if (at < 0 || value > best || double.IsNaN(value)) (best, at) = (value, (r * shape.Window.Width) + s);
                }
            }

            y[shape.Y(plane, row, column, i)] = best;
            if (indices is not null) indices[shape.Y(plane, row, column, i)] = at;
        });
    }

    /// <summary>dx = the sum of dy over the windows whose index is the element's.</summary>
    public static void Backward(Pool2dShape shape, double[] indices, double[] dy, double[] dx)
    {
        shape.ForEachWindow((plane, row, column, i) =>
        {
            int output = shape.Y(plane, row, column, i);
            (int r, int s) = Math.DivRem((int)indices[output], shape.Window.Width);
            dx[shape.X(plane, shape.H(row, r), shape.W(column, s), i)] += dy[output];
        });
    }
}
