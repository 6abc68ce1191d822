using Kernels.Devices;

namespace Kernels;

/// <summary>
/// A call of pooling: its tensor as [planes, height, width, inner], and the windows. Channels first, a plane is a channel of an example and
/// inner is 1; channels last, a plane is an example and inner its channels.
/// </summary>
internal readonly record struct Pool2d(long Planes, long Inner, WindowAxis Rows, WindowAxis Columns, long[] OutputShape)
{
    /// <summary>The names of parameters that messages give.</summary>
    public const string WindowName = "window", OptionsName = "options";

    /// <summary>Taps of a window.</summary>
    public long Taps => Rows.Taps * Columns.Taps;

    /// <summary>Windows of 2x2 side by side, all in the map, channels first in rows of whole eights.</summary>
    public bool IsPairs => HalvesEights && Rows is { Taps: 2, Before: 0 } && Columns is { Taps: 2, Before: 0 }
        && 2 * Rows.Outputs <= Rows.Size;

    /// <summary>Windows of 3x3, one apart, channels first.</summary>
    public bool IsTriples => Inner == 1 && Rows is { Taps: 3, Stride: 1, Dilation: 1 } && Columns is { Taps: 3, Stride: 1, Dilation: 1 };

    /// <summary>Windows of 3x3, two apart, behind a row and a column of padding, channels first in rows of whole eights.</summary>
    public bool IsOverlappingTriples => HalvesEights && Rows is { Taps: 3, Before: 1 } && Columns is { Taps: 3, Before: 1 };

    private bool HalvesEights => Inner == 1 && Columns.Size % 8 == 0 && 2 * Columns.Outputs == Columns.Size
        && Rows is { Stride: 2, Dilation: 1 } && Columns is { Stride: 2, Dilation: 1 };

    public PoolWindowArguments Window => new()
    {
        Height = (uint)Rows.Size,
        Width = (uint)Columns.Size,
        OutHeight = (uint)Rows.Outputs,
        OutWidth = (uint)Columns.Outputs,
        WindowHeight = (uint)Rows.Taps,
        WindowWidth = (uint)Columns.Taps,
        StrideY = (uint)Rows.Stride,
        StrideX = (uint)Columns.Stride,
        PadTop = (uint)Rows.Before,
        PadLeft = (uint)Columns.Before,
        DilationY = (uint)Rows.Dilation,
        DilationX = (uint)Columns.Dilation,
    };

    public PoolStrideArguments Strides
    {
        get
        {
            (InvariantDivisor rows, InvariantDivisor columns) = (InvariantDivisor.Of(Rows.Stride), InvariantDivisor.Of(Columns.Stride));
            return new PoolStrideArguments
            {
                StrideYInverse = rows.Inverse,
                StrideYShift = rows.Shift,
                StrideXInverse = columns.Inverse,
                StrideXShift = columns.Shift,
            };
        }
    }

    /// <exception cref="ArgumentException">The shape is none of maps, or windows cannot lie on it.</exception>
    public static Pool2d Of(
        string op, ReadOnlySpan<long> shape, string name, Size2d window, Size2d? strides, Padding2d padding, Size2d? dilations, bool ceil,
        TensorLayout layout)
    {
        if (shape.Length != 4)
            throw new ArgumentException($"{op}: {name} has the shape {TensorShape.Format(shape)}, expected 4 dimensions.", name);
        if (layout is not (TensorLayout.ChannelsFirst or TensorLayout.ChannelsLast))
            throw new ArgumentOutOfRangeException(OptionsName, layout, $"{op}: unknown layout.");
        bool first = layout == TensorLayout.ChannelsFirst;
        (long height, long width) = first ? (shape[2], shape[3]) : (shape[1], shape[2]);
        Size2d stride = strides ?? window, dilation = dilations ?? 1;
        WindowAxis rows = WindowAxis.Of(
            op, "rows", height, window.Height, stride.Height, dilation.Height, padding.Top, padding.Bottom, ceil, WindowName, OptionsName);
        WindowAxis columns = WindowAxis.Of(
            op, "columns", width, window.Width, stride.Width, dilation.Width, padding.Left, padding.Right, ceil, WindowName, OptionsName);
        if (window.Height * window.Width > int.MaxValue || (!first && shape[3] > int.MaxValue))
        {
            throw new ArgumentException(
                $"{op}: {name} has the shape {TensorShape.Format(shape)} and a window {window}; taps and channels are at most 2^31 - 1.",
                WindowName);
        }

        if (Math.Max(rows.FirstEmpty(), columns.FirstEmpty()) >= 0)
        {
            (string axis, long empty) = rows.FirstEmpty() >= 0 ? ("rows", rows.FirstEmpty()) : ("columns", columns.FirstEmpty());
            throw new ArgumentException(
                $"{op}: {name} has the shape {TensorShape.Format(shape)}; of the windows along its {axis}, number {empty} lies wholly in "
                + "the padding.",
                OptionsName);
        }

        return first
            ? new Pool2d(checked(shape[0] * shape[1]), 1, rows, columns, [shape[0], shape[1], rows.Outputs, columns.Outputs])
            : new Pool2d(shape[0], shape[3], rows, columns, [shape[0], rows.Outputs, columns.Outputs, shape[3]]);
    }

    /// <summary>The jobs of a kernel that goes cell by cell, each in chunks of so many neighbours of inner.</summary>
    public PoolChunksArguments Chunks(long columns, long rows, int vectorWidth)
    {
        InvariantDivisor chunks = InvariantDivisor.Of(Inner / vectorWidth);
        return new PoolChunksArguments
        {
            PoolLines = Lines(columns, rows),
            Chunks = (uint)chunks.Value,
            ChunksInverse = chunks.Inverse,
            ChunksShift = chunks.Shift,
        };
    }

    /// <summary>How the number of a job is taken apart.</summary>
    public static PoolLinesArguments Lines(long columns, long rows)
    {
        (InvariantDivisor byColumns, InvariantDivisor byRows) = (InvariantDivisor.Of(columns), InvariantDivisor.Of(rows));
        return new PoolLinesArguments
        {
            Columns = (uint)columns,
            ColumnsInverse = byColumns.Inverse,
            ColumnsShift = byColumns.Shift,
            Rows = (uint)rows,
            RowsInverse = byRows.Inverse,
            RowsShift = byRows.Shift,
        };
    }
}
