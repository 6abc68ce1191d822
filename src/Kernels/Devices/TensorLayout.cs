namespace Kernels;

/// <summary>The place of the channels in a tensor of maps.</summary>
public enum TensorLayout
{
    /// <summary>[batch, channels, ...]: NCL, NCHW, NCDHW.</summary>
    ChannelsFirst,

    /// <summary>[batch, ..., channels]: NLC, NHWC, NDHWC.</summary>
    ChannelsLast,
}
