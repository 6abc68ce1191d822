namespace Kernels;

/// <summary>
/// Settings of <see cref="Conv2d"/> and <see cref="Conv2dTranspose"/>; the default is stride 1, no padding, one group, over [batch,
/// channels, height, width].
/// </summary>
public readonly record struct Conv2dOptions
{
    /// <summary>From one place of the filter to the next, at least 1; null for 1.</summary>
    public Size2d? Stride { get; init; }

    /// <summary>Zeros around the map, at least 0. They take part in the arithmetic: 0 times infinity is NaN.</summary>
    public Padding2d Padding { get; init; }

    /// <summary>From one tap of the filter to the next, at least 1; null for 1.</summary>
    public Size2d? Dilation { get; init; }

    /// <summary>
    /// Groups of channels, at least 1; null for 1. The outputs of each see its inputs alone. As many as there are input channels make a
    /// depthwise convolution.
    /// </summary>
    public long? Groups { get; init; }

    /// <summary>
    /// The layout of the maps and of the filter: [batch, channels, height, width] with [outputs, inputs, height, width], or [batch, height,
    /// width, channels] with [outputs, height, width, inputs].
    /// </summary>
    public TensorLayout Layout { get; init; }

    /// <summary>How the output and the gradients of input and filter may be made.</summary>
    public Conv2dAlgorithm Algorithm { get; init; }
}
