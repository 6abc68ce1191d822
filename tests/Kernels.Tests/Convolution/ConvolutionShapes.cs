using Kernels.Reference;

namespace Kernels.Tests.Convolution;

/// <summary>What the API wants of a convolution that is described for the reference.</summary>
internal static class ConvolutionShapes
{
    public static long[] XShape(this Conv2dReference p) => Maps(p, (long)p.Groups * p.Inputs, p.Height, p.Width);

    public static long[] YShape(this Conv2dReference p) => Maps(p, (long)p.Groups * p.Outputs, p.OutputHeight, p.OutputWidth);

    public static long[] FilterShape(this Conv2dReference p) => p.ChannelsLast
        ? [(long)p.Groups * p.Outputs, p.FilterHeight, p.FilterWidth, p.Inputs]
        : [(long)p.Groups * p.Outputs, p.Inputs, p.FilterHeight, p.FilterWidth];

    public static Conv2dOptions Options(this Conv2dReference p) => new()
    {
        Stride = p.Stride,
        Dilation = p.Dilation,
        Padding = p.Padding,
        Groups = p.Groups,
        Layout = p.ChannelsLast ? TensorLayout.ChannelsLast : TensorLayout.ChannelsFirst,
    };

    public static DeviceTensor<float> Upload(this DeviceStream stream, double[] values, params long[] shape) =>
        stream.Device.Upload<float>([.. values.Select(value => (float)value)], shape);

    private static long[] Maps(Conv2dReference p, long channels, long height, long width) =>
        p.ChannelsLast ? [p.Batch, height, width, channels] : [p.Batch, channels, height, width];
}
