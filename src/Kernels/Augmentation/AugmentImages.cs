using Kernels.Devices;

namespace Kernels;

/// <summary>The images of a call as kernels take them.</summary>
internal readonly record struct AugmentImages(
    long Batch, long Channels, Size2d InputSize, Size2d OutputSize, TensorLayout Layout, DType InputType)
{
    /// <summary>A side, in pixels: coordinates in float still tell half pixels apart.</summary>
    internal const long LongestSide = 1 << 20;

    /// <summary>Kernels count the elements of one image in 32 bits with a sign.</summary>
    private const long LargestImage = int.MaxValue;

    /// <summary>Colour ops have a meaning for grey and for red, green and blue.</summary>
    public bool HasColors => Channels is 1 or 3;

    /// <summary>Of an image, as bytes.</summary>
    public long Bytes => Channels * InputSize.Height * InputSize.Width;

    public double White => InputType == DType.UInt8 ? 255 : 1;

    public AugmentImageArguments Image
    {
        get
        {
            (uint inverse, uint shift) = Divisor(OutputSize.Width);
            return new AugmentImageArguments
            {
                InputType = InputType switch
                {
                    DType.UInt8 => 0,
                    DType.Float16 => 1,
                    DType.BFloat16 => 2,
                    DType.Float32 => 3,
                    _ => 4,
                },
                Channels = (uint)Channels,
                Height = (uint)InputSize.Height,
                Width = (uint)InputSize.Width,
                OutHeight = (uint)OutputSize.Height,
                OutWidth = (uint)OutputSize.Width,
                XPixel = Layout == TensorLayout.ChannelsLast ? (uint)Channels : 1,
                XChannel = Layout == TensorLayout.ChannelsLast ? 1 : (uint)(InputSize.Height * InputSize.Width),
                RowInverse = inverse,
                RowShift = shift,
            };
        }
    }

    /// <summary>As <see cref="InvariantDivisor"/>, for numbers below 2^31: floor(2^(31 + shift) / divisor) + 1, and the shift.</summary>
    public static (uint Inverse, uint Shift) Divisor(long divisor)
    {
        int shift = divisor <= 1 ? 0 : 64 - System.Numerics.BitOperations.LeadingZeroCount((ulong)divisor - 1);
        return ((uint)((1UL << (31 + shift)) / (ulong)Math.Max(1, divisor)) + 1, (uint)shift);
    }

    /// <exception cref="ArgumentException">They do not fit each other, or overlap.</exception>
    public static AugmentImages Of<TIn, TOut>(
        string op, DeviceStream stream, DeviceTensor<TIn> x, DeviceTensor<TOut> y, in AugmentOptions options, string xName = "x",
        string yName = "y")
        where TIn : unmanaged
        where TOut : unmanaged
    {
        Check.Tensor(op, stream, x, xName);
        if (x.DType != DType.UInt8) Check.FloatTensor(op, stream, x, xName);
        Check.FloatTensor(op, stream, y, yName);
        if (x.DType == DType.Float64 && y.DType != DType.Float64)
        {
            throw new ArgumentException(
                $"{op}: {xName} stores f64 and {yName} {y.DType.ShortName()}; images of double become double.", yName);
        }

        Check.Rank(op, x, xName, 4);
        Check.Rank(op, y, yName, 4);
        Check.Defined(op, options.Layout, nameof(options.Layout));
        Check.Defined(op, options.Interpolation, nameof(options.Interpolation));
        Check.Defined(op, options.Border, nameof(options.Border));
        TensorLayout outputLayout = options.OutputLayout ?? options.Layout;
        Check.Defined(op, outputLayout, nameof(options.OutputLayout));
        Check.Finite(op, options.Fill, nameof(options.Fill));
        Check.Finite(op, options.Erased, nameof(options.Erased));
        (long channels, Size2d input) = SizesOf(x.Shape, options.Layout);
        (long outputChannels, Size2d output) = SizesOf(y.Shape, outputLayout);
        if (y.Shape[0] != x.Shape[0] || outputChannels != channels)
        {
            throw new ArgumentException(
                $"{op}: {yName} has the shape {TensorShape.Format(y.Shape)}, expected the {x.Shape[0]} images of {channels} channels that "
                + $"{xName} has, which has the shape {TensorShape.Format(x.Shape)}.",
                yName);
        }

        CheckSize(op, x, xName, channels, input);
        CheckSize(op, y, yName, channels, output);
        if (y.Length > 0 && x.Length == 0)
            throw new ArgumentException($"{op}: {xName} has the shape {TensorShape.Format(x.Shape)}, which has no pixels to read.", xName);
        Check.Disjoint(op, x, xName, y, yName);
        CheckChannelNumbers(op, options.Mean, nameof(options.Mean), channels, isDivisor: false);
        CheckChannelNumbers(op, options.Deviation, nameof(options.Deviation), channels, isDivisor: true);
        return new AugmentImages(x.Shape[0], channels, input, output, options.Layout, x.DType);
    }

    /// <summary>The tensor counted in bytes, as kernels take images of any type.</summary>
    public TensorArgument InBytes<T>(DeviceTensor<T> x)
        where T : unmanaged => new(x.Buffer.Memory, (ulong)(x.Offset * x.DType.SizeInBytes()));

    /// <summary>What a map's numbers are in pixels, and what lies outside of the image.</summary>
    public AugmentMapArguments Map(in AugmentOptions options, bool isNormalized)
    {
        bool corners = options.AlignCorners;
        double across = Ratio(InputSize.Width, OutputSize.Width), down = Ratio(InputSize.Height, OutputSize.Height);
        double skewX = Ratio(InputSize.Width, OutputSize.Height), skewY = Ratio(InputSize.Height, OutputSize.Width);
        (double spanX, double spanY) = (Span(InputSize.Width), Span(InputSize.Height));
        return new AugmentMapArguments
        {
            UnitA = isNormalized ? across : 1,
            UnitB = isNormalized ? skewX : 1,
            UnitC = isNormalized ? 0.5 * spanX : 1,
            UnitD = isNormalized ? skewY : 1,
            UnitE = isNormalized ? down : 1,
            UnitF = isNormalized ? 0.5 * spanY : 1,
            IsNearest = options.Interpolation == ImageInterpolation.Nearest ? 1u : 0,
            Border = (uint)options.Border,
            ReflectLow = corners ? 0 : -0.5,
            SpanX = spanX,
            SpanY = spanY,
            Fill = options.Fill,
        };

        double Span(long size) => corners ? size - 1 : size;

        double Ratio(long input, long output) => Span(output) > 0 ? Span(input) / Span(output) : 0;
    }

    public AugmentColorArguments Color(int statistics) => new()
    {
        White = White,
        Levels = 255 / White,
        StatisticCount = (uint)statistics,
    };

    /// <summary>
    /// (v / white - mean) / deviation as one fused multiply-add; -0 is added where there is no mean, so that a sign of 0 stays.
    /// </summary>
    public NormalizeArguments Normalize(in AugmentOptions options)
    {
        (IReadOnlyList<double>? means, IReadOnlyList<double>? deviations) = (options.Mean, options.Deviation);
        double white = White;
        return new NormalizeArguments
        {
            Scale0 = Scale(0),
            Scale1 = Scale(1),
            Scale2 = Scale(2),
            Scale3 = Scale(3),
            Shift0 = Shift(0),
            Shift1 = Shift(1),
            Shift2 = Shift(2),
            Shift3 = Shift(3),
        };

        double Scale(int channel) => 1 / (white * Of(deviations, channel, 1));

        double Shift(int channel) => -(Of(means, channel, 0) / Of(deviations, channel, 1));

        static double Of(IReadOnlyList<double>? numbers, int channel, double none) =>
            numbers is null ? none : numbers[Math.Min(channel, numbers.Count - 1)];
    }

    private static (long Channels, Size2d Size) SizesOf(ReadOnlySpan<long> shape, TensorLayout layout) =>
        layout == TensorLayout.ChannelsFirst ? (shape[1], new Size2d(shape[2], shape[3])) : (shape[3], new Size2d(shape[1], shape[2]));

    private static void CheckSize<T>(string op, DeviceTensor<T> tensor, string name, long channels, Size2d size)
        where T : unmanaged
    {
        if (size.Height > LongestSide || size.Width > LongestSide)
        {
            throw new ArgumentException(
                $"{op}: {name} has the shape {TensorShape.Format(tensor.Shape)}; a side has at most 2^20 pixels.", name);
        }

        // Both sides are checked, so that only the channels can make the product too large.
        long pixels = size.Height * size.Width;
        if (pixels > 0 && channels > LargestImage / pixels)
        {
            throw new ArgumentException(
                $"{op}: {name} has the shape {TensorShape.Format(tensor.Shape)}; an image has at most 2^31 - 1 elements.", name);
        }
    }

    private static void CheckChannelNumbers(string op, IReadOnlyList<double>? numbers, string name, long channels, bool isDivisor)
    {
        if (numbers is null) return;
        if (numbers.Count != 1 && (numbers.Count != channels || channels > 4))
        {
            throw new ArgumentException(
                $"{op}: {name} has {numbers.Count} numbers for {channels} channels; it has one, or one for each of up to four.", name);
        }

        foreach (double number in numbers)
        {
            Check.Finite(op, number, name);
            if (isDivisor && !(number > 0)) throw new ArgumentOutOfRangeException(name, number, $"{op}: {name} is positive.");
        }
    }
}

/// <summary>How elements of the output lie: how far pixels and channels are apart; whether four columns may be stored together.</summary>
internal readonly record struct AugmentOutput(uint Pixel, uint Channel, bool HasFours)
{
    public static AugmentOutput Of<T>(in AugmentImages images, DeviceTensor<T> y, in AugmentOptions options)
        where T : unmanaged
    {
        bool isLast = (options.OutputLayout ?? options.Layout) == TensorLayout.ChannelsLast;
        return new AugmentOutput(
            isLast ? (uint)images.Channels : 1,
            isLast ? 1 : (uint)(images.OutputSize.Height * images.OutputSize.Width),
            y.IsVectorAligned && images.OutputSize.Width % 4 == 0 && (!isLast || images.Channels is 1 or 3));
    }
}
