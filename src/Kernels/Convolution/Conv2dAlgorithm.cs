namespace Kernels;

/// <summary>How sums of a convolution may be made.</summary>
public enum Conv2dAlgorithm
{
    /// <summary>Each result is the sum of its taps' products.</summary>
    Direct,

    /// <summary>
    /// Where the device has it, by Winograd's minimal filtering: 4x4 results at once of transformed pixels and taps, with a quarter of the
    /// multiplications; elsewhere as <see cref="Direct"/>. The CPU has it, with vectors of 256 bits or more, for y, dx and the gradient of
    /// the filter in float, with 3x3 taps, stride and dilation 1, 16 channels of a group or more on either side and 32 tiles or more.
    /// Rounding errors have two to three times the root mean square (kernels/docs/conv2d.md says what bounds them), and a NaN, an infinity
    /// or an overflow may reach all results of a tile. A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR
    /// 2016.
    /// </summary>
    Winograd,
}
