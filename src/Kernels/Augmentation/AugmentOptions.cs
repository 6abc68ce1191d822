namespace Kernels;

/// <summary>How a place between pixels is read.</summary>
public enum ImageInterpolation
{
    /// <summary>The four pixels around it, weighed by distance.</summary>
    Bilinear,

    /// <summary>The nearest pixel; halfway, the one of the even number.</summary>
    Nearest,
}

/// <summary>What lies outside of an image.</summary>
public enum ImageBorder
{
    /// <summary>One value everywhere, <see cref="AugmentOptions.Fill"/>.</summary>
    Constant,

    /// <summary>The nearest pixel of the image.</summary>
    Edge,

    /// <summary>The image mirrored, again and again; about what, <see cref="AugmentOptions.AlignCorners"/> says.</summary>
    Reflect,
}

/// <summary>Bounds that a number is drawn between.</summary>
/// <param name="Low">The least.</param>
/// <param name="High">The largest; no less than <paramref name="Low"/>.</param>
public readonly record struct AugmentRange(double Low, double High)
{
    /// <summary>Always this number.</summary>
    public static implicit operator AugmentRange(double value) => new(value, value);

    /// <summary>The least, then the largest.</summary>
    public static implicit operator AugmentRange((double Low, double High) bounds) => new(bounds.Low, bounds.High);

    /// <summary>For messages: <c>[0.5, 2]</c>.</summary>
    public override string ToString() => $"[{Low}, {High}]";
}

/// <summary>How images are read, normalized and stored; the default is bilinear, zeros outside, no normalization, channels first.</summary>
public readonly record struct AugmentOptions
{
    /// <summary>The place of the channels in the input.</summary>
    public TensorLayout Layout { get; init; }

    /// <summary>The place of the channels in the output; null for that of the input.</summary>
    public TensorLayout? OutputLayout { get; init; }

    /// <summary>How a place between pixels is read.</summary>
    public ImageInterpolation Interpolation { get; init; }

    /// <summary>What lies outside of the image.</summary>
    public ImageBorder Border { get; init; }

    /// <summary>The value outside for <see cref="ImageBorder.Constant"/>, in the units of the input: 0 to 255 for bytes.</summary>
    public double Fill { get; init; }

    /// <summary>
    /// Where normalized coordinates -1 and 1 lie: in the middle of the first and of the last pixel, or, when false, at the outer edges of
    /// these. Reflection is about the same places.
    /// </summary>
    public bool AlignCorners { get; init; }

    /// <summary>
    /// What is subtracted from each channel, in units of white (bytes have white at 255, floating-point images at 1): one number for each
    /// of up to four channels, or one for all; null for 0.
    /// </summary>
    public IReadOnlyList<double>? Mean { get; init; }

    /// <summary>What each channel is divided by, as <see cref="Mean"/>; null for 1.</summary>
    public IReadOnlyList<double>? Deviation { get; init; }

    /// <summary>The value of erased pixels, in the units of the output: 0 is the mean.</summary>
    public double Erased { get; init; }

    /// <summary>The number of the batch's first sample where no numbers are given.</summary>
    public ulong FirstSample { get; init; }
}
