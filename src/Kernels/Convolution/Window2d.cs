namespace Kernels;

/// <summary>A number for each axis of a map, such as the size of a window or its stride. A single number counts for both.</summary>
/// <param name="Height">Along the rows' axis.</param>
/// <param name="Width">Along the columns' axis.</param>
public readonly record struct Size2d(long Height, long Width)
{
    /// <summary>The same number for both axes.</summary>
    public static implicit operator Size2d(long both) => new(both, both);

    /// <summary>Rows, then columns.</summary>
    public static implicit operator Size2d((long Y, long X) sizes) => new(sizes.Y, sizes.X);

    /// <summary>For messages: <c>2x3</c>.</summary>
    public override string ToString() => $"{Height}x{Width}";
}

/// <summary>Rows and columns around a map. A single number counts for all sides.</summary>
/// <param name="Top">Rows before the first.</param>
/// <param name="Bottom">Rows after the last.</param>
/// <param name="Left">Columns before the first.</param>
/// <param name="Right">Columns after the last.</param>
public readonly record struct Padding2d(long Top, long Bottom, long Left, long Right)
{
    /// <summary>As many rows above as below, as many columns on the left as on the right.</summary>
    /// <param name="vertical">Rows above, and below.</param>
    /// <param name="horizontal">Columns on the left, and on the right.</param>
    public static Padding2d Symmetric(long vertical, long horizontal) => new(vertical, vertical, horizontal, horizontal);

    /// <summary>The same on all sides.</summary>
    public static implicit operator Padding2d(long all) => new(all, all, all, all);

    /// <summary>Each side its own.</summary>
    public static implicit operator Padding2d((long Top, long Bottom, long Left, long Right) sides) =>
        new(sides.Top, sides.Bottom, sides.Left, sides.Right);
}

/// <summary>How windows lie along one axis of a map.</summary>
/// <param name="Size">Elements of the map.</param>
/// <param name="Taps">Elements of a window.</param>
/// <param name="Stride">From one window to the next.</param>
/// <param name="Dilation">From one tap to the next.</param>
/// <param name="Before">Elements of padding before the map.</param>
/// <param name="After">And after it.</param>
/// <param name="Outputs">Windows.</param>
internal readonly record struct WindowAxis(long Size, long Taps, long Stride, long Dilation, long Before, long After, long Outputs)
{
    /// <summary>Kernels count elements of an axis, padding included, in 32 bits with a sign.</summary>
    private const long Most = int.MaxValue;

    /// <summary>From the first tap of a window to the last.</summary>
    public long Reach => (Taps - 1) * Dilation;

    /// <summary>
    /// The axis of a call. <paramref name="ceil"/> admits a last window that hangs over the end, if it starts in the map or in the padding
    /// before it.
    /// </summary>
    /// <exception cref="ArgumentException">The numbers make no sense; the message says which and why.</exception>
    public static WindowAxis Of(
        string op, string axis, long size, long taps, long stride, long dilation, long before, long after, bool ceil, string windowName,
        string optionsName)
    {
        if (taps is < 1 or > Most)
            throw new ArgumentOutOfRangeException(windowName, taps, $"{op}: the window has {taps} {axis}, expected 1 to 2^31 - 1.");
        CheckRange(stride, 1, "stride");
        CheckRange(dilation, 1, "dilation");
        CheckRange(before, 0, "padding before the map");
        CheckRange(after, 0, "padding after the map");
        long extent = ((taps - 1) * dilation) + 1, padded = size + before + after;
        if (padded is < 0 or > Most)
            throw new ArgumentException($"{op}: {size} {axis} with a padding of {before} and {after} are more than 2^31 - 1.", optionsName);
        if (extent > padded)
        {
            throw new ArgumentException(
                $"{op}: a window reaches over {extent} {axis}, the map with its padding has {padded}.", windowName);
        }

        long outputs = ((padded - extent + (ceil ? stride - 1 : 0)) / stride) + 1;
        if (ceil && (outputs - 1) * stride >= size + before) outputs--;
        return new WindowAxis(size, taps, stride, dilation, before, after, outputs);

        void CheckRange(long value, long least, string what)
        {
            if (value < least || value > Most)
            {
                throw new ArgumentOutOfRangeException(
                    optionsName, value, $"{op}: the {what} of the {axis} is {value}, expected {least} to 2^31 - 1.");
            }
        }
    }

    /// <summary>The first window that has no element of the map, or -1.</summary>
    public long FirstEmpty()
    {
        // The first tap that is not in the padding before the map is less than a dilation into it.
        long ahead = Dilation <= Size ? Math.Min(1, Before) : (Before + Stride - 1) / Stride;
        for (long output = 0; output < Math.Min(ahead, Outputs); output++)
        {
            long start = (output * Stride) - Before, tap = (-start + Dilation - 1) / Dilation;
            if (tap >= Taps || start + (tap * Dilation) >= Size) return output;
        }

        return ((Outputs - 1) * Stride) - Before >= Size ? Outputs - 1 : -1;
    }
}
