namespace Kernels;

/// <summary>Settings of <see cref="Conv2d"/>; the default is a plain convolution: stride 1, no padding, one group, NCHW.</summary>
public readonly record struct Conv2dOptions
{
    /// <summary>The default settings.</summary>
    public Conv2dOptions()
    {
    }

    /// <summary>The step from one place of the filter to the next, at least 1.</summary>
    public (long Y, long X) Stride { get; init; } = (1, 1);

    /// <summary>The distance between neighbouring taps of the filter, at least 1.</summary>
    public (long Y, long X) Dilation { get; init; } = (1, 1);

    /// <summary>Zeros around the input, at least 0. They take part in the arithmetic: 0 times infinity is NaN.</summary>
    public (long Top, long Bottom, long Left, long Right) Padding { get; init; }

    /// <summary>
    /// Groups of channels: the outputs of each see its inputs alone. As many as there are input channels make a depthwise convolution.
    /// </summary>
    public long Groups { get; init; } = 1;

    /// <summary>
    /// The layout of the maps and of the filter: [batch, channels, height, width] with [outputs, inputs, height, width], or [batch, height,
    /// width, channels] with [outputs, height, width, inputs].
    /// </summary>
    public TensorLayout Layout { get; init; }
}
