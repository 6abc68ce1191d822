using Kernels.Devices;

namespace Kernels;

/// <summary>The shape of a convolution, checked; the record that its kernels share.</summary>
internal readonly partial record struct Conv2dShapeArguments
{
    /// <summary>Sizes and settings along an axis lie below this, so that coordinates are 32-bit integers.</summary>
    private const long AxisLimit = 1 << 29;

    /// <summary>Each input channel is a group of its own: there is nothing to multiply by a matrix.</summary>
    public bool IsDepthwise => XChannels == 1 && Groups > 1;

    public long FilterArea => (long)FilterHeight * FilterWidth;

    /// <summary>Elements of the filter for one output channel.</summary>
    public long PerOutput => FilterArea * XChannels;

    public long Outputs => (long)Groups * YChannels;

    public long Inputs => (long)Groups * XChannels;

    public long YPixels => (long)Batch * YHeight * YWidth;

    /// <summary>The shape of y.</summary>
    public long[] YShape(TensorLayout layout) => layout == TensorLayout.ChannelsLast
        ? [(long)Batch, YHeight, YWidth, Outputs] : [(long)Batch, Outputs, YHeight, YWidth];

    /// <summary>The same convolution with maps of one row, where a filter of one tap sees each pixel alone.</summary>
    public Conv2dShapeArguments InOneRow()
    {
        ulong pixels = (ulong)XHeight * XWidth;
        bool isPointwise = (FilterHeight, FilterWidth, StrideY, StrideX) == (1, 1, 1, 1) && (XHeight, XWidth) == (YHeight, YWidth);
        if (!isPointwise || pixels > int.MaxValue) return this;
        return this with { XHeight = 1, YHeight = 1, XWidth = (uint)pixels, YWidth = (uint)pixels, PaddingTop = 0, PaddingLeft = 0 };
    }

    /// <summary>A convolution without inputs whose output is the input of this one: all it has is the gradient of a bias.</summary>
    public Conv2dShapeArguments BiasOfX() => this with
    {
        Groups = 1,
        XChannels = 0,
        YChannels = (uint)Inputs,
        YHeight = XHeight,
        YWidth = XWidth,
        FilterHeight = 1,
        FilterWidth = 1,
    };

    /// <summary>Checks settings and shapes of x and filter, and derives that of y.</summary>
    /// <param name="op">For messages.</param>
    /// <param name="x">Shape of the input.</param>
    /// <param name="xName">For messages.</param>
    /// <param name="filter">Shape of the filter.</param>
    /// <param name="filterName">For messages.</param>
    /// <param name="options">The settings.</param>
    public static Conv2dShapeArguments Of(
        string op, ReadOnlySpan<long> x, string xName, ReadOnlySpan<long> filter, string filterName, in Conv2dOptions options)
    {
        (Size2d stride, Size2d dilation, long groups) = Settings(op, options);
        Padding2d padding = options.Padding;
        bool last = options.Layout == TensorLayout.ChannelsLast;
        (long channels, long height, long width) = last ? (x[3], x[1], x[2]) : (x[1], x[2], x[3]);
        (long inputs, long filterHeight, long filterWidth) = last ? (filter[3], filter[1], filter[2]) : (filter[1], filter[2], filter[3]);
        long outputs = filter[0];
        if (channels % groups != 0 || outputs % groups != 0)
        {
            throw new ArgumentException(
                $"{op}: {groups} groups do not divide both the {channels} channels of {xName} {TensorShape.Format(x)} and "
                + $"the {outputs} outputs of {filterName} {TensorShape.Format(filter)}.",
                xName);
        }

        if (inputs != channels / groups)
        {
            throw new ArgumentException(
                $"{op}: {filterName} {TensorShape.Format(filter)} has {inputs} inputs; {xName} {TensorShape.Format(x)} has "
                + $"{channels / groups} channels in each of {groups} groups ({options.Layout}).",
                filterName);
        }

        long yHeight = Places(height, filterHeight, stride.Height, dilation.Height, padding.Top, padding.Bottom, x, filter);
        long yWidth = Places(width, filterWidth, stride.Width, dilation.Width, padding.Left, padding.Right, x, filter);
        double taps = (double)filterHeight * filterWidth * Math.Max(inputs, outputs / groups);
        if (taps >= int.MaxValue)
            throw new ArgumentException($"{op}: sums over {filterName} {TensorShape.Format(filter)} have 2^31 terms or more.", filterName);
        return new Conv2dShapeArguments
        {
            Batch = (ulong)x[0],
            Groups = (ulong)groups,
            XChannels = (uint)inputs,
            XHeight = (uint)height,
            XWidth = (uint)width,
            YChannels = (uint)(outputs / groups),
            YHeight = (uint)yHeight,
            YWidth = (uint)yWidth,
            FilterHeight = (uint)filterHeight,
            FilterWidth = (uint)filterWidth,
            StrideY = (uint)stride.Height,
            StrideX = (uint)stride.Width,
            DilationY = (uint)dilation.Height,
            DilationX = (uint)dilation.Width,
            PaddingTop = (uint)padding.Top,
            PaddingLeft = (uint)padding.Left,
        };

        long Places(
            long size, long taps, long stride, long dilation, long before, long after, ReadOnlySpan<long> xShape,
            ReadOnlySpan<long> filterShape)
        {
            if (size >= AxisLimit || size + before + after >= AxisLimit)
            {
                throw new ArgumentException(
                    $"{op}: {xName} {TensorShape.Format(xShape)} with its padding has a side of 2^29 or more.", xName);
            }

            if (taps < 1) throw new ArgumentException($"{op}: {filterName} {TensorShape.Format(filterShape)} has no taps.", filterName);
            if (taps >= AxisLimit || ((taps - 1) * dilation) + 1 > size + before + after)
            {
                throw new ArgumentException(
                    $"{op}: {filterName} {TensorShape.Format(filterShape)} with dilation {dilation} is larger than {xName} "
                    + $"{TensorShape.Format(xShape)} with padding {before} and {after}.",
                    filterName);
            }

            return ((size + before + after - ((taps - 1) * dilation) - 1) / stride) + 1;
        }
    }

    /// <summary>The settings, which are in their ranges.</summary>
    public static (Size2d Stride, Size2d Dilation, long Groups) Settings(string op, in Conv2dOptions options)
    {
        (Size2d stride, Size2d dilation, Padding2d padding) = (options.Stride ?? 1, options.Dilation ?? 1, options.Padding);
        Check.Defined(op, options.Layout, nameof(options.Layout));
        Check.Defined(op, options.Algorithm, nameof(options.Algorithm));
        InRange(stride.Height, 1, "options.Stride.Height");
        InRange(stride.Width, 1, "options.Stride.Width");
        InRange(dilation.Height, 1, "options.Dilation.Height");
        InRange(dilation.Width, 1, "options.Dilation.Width");
        InRange(padding.Top, 0, "options.Padding.Top");
        InRange(padding.Bottom, 0, "options.Padding.Bottom");
        InRange(padding.Left, 0, "options.Padding.Left");
        InRange(padding.Right, 0, "options.Padding.Right");
        if (options.Groups < 1)
            throw new ArgumentOutOfRangeException("options.Groups", options.Groups, $"{op}: options.Groups is at least 1.");
        return (stride, dilation, options.Groups ?? 1);

        void InRange(long value, long least, string name)
        {
            if (value < least || value >= AxisLimit)
                throw new ArgumentOutOfRangeException(name, value, $"{op}: {name} is at least {least} and below 2^29.");
        }
    }

    /// <summary>A shape of four dimensions.</summary>
    public static ReadOnlySpan<long> Maps(string op, ReadOnlySpan<long> shape, string name)
    {
        if (shape.Length != 4) throw new ArgumentException($"{op}: {name} {TensorShape.Format(shape)} has not 4 dimensions.", name);
        return shape.ContainsAnyInRange(long.MinValue, -1)
            ? throw new ArgumentException($"{op}: a dimension of {name} {TensorShape.Format(shape)} is negative.", name) : shape;
    }

    /// <summary>The side of a map lies below <see cref="AxisLimit"/>.</summary>
    public static void CheckSide(string op, long side, ReadOnlySpan<long> shape, string name)
    {
        if (side >= AxisLimit)
            throw new ArgumentException($"{op}: {name} {TensorShape.Format(shape)} has a side of 2^29 or more.", name);
    }
}
