namespace Kernels;

/// <summary>Where the channels of a tensor of maps are.</summary>
public enum TensorLayout
{
    /// <summary>[batch, channels, ...]: NCL, NCHW, NCDHW.</summary>
    ChannelsFirst,

    /// <summary>[batch, ..., channels]: NLC, NHWC, NDHWC.</summary>
    ChannelsLast,
}
