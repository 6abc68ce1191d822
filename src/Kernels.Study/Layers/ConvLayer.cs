namespace Kernels.Study;

/// <summary>
/// Convolution with filters of 3 x 3 and a padding of one, so that maps keep their size. Weights start as those of a linear layer with as
/// many inputs as a filter has weights. In front of a batch normalization it needs no bias. With or without a ReLU in the same pass: then
/// no layer after it may write over its output.
/// </summary>
internal sealed class ConvLayer(int outputs, bool hasBias, bool hasRelu, double initialScale = 1) : Layer
{
    private const int Size = 3;
    private static readonly Conv2dOptions Options = new() { Padding = (1, 1, 1, 1) };

    private Parameter _filter = null!;
    private Parameter? _bias;
    private DeviceTensor<float> _y = null!;
    private DeviceTensor<float>? _dx;
    private DeviceTensor<float> _x = null!;
    private DeviceTensor<float> _result = null!;

    public override LayerInput Build(LayerInput input)
    {
        (long channels, long height, long width) = (input.Shape[0], input.Shape[1], input.Shape[2]);
        double bound = initialScale * Math.Sqrt(6.0 / (channels * Size * Size));
        _filter = Weights(input.Device, bound, outputs, channels, Size, Size);
        _bias = hasBias ? Unregularized(input.Device, start: 0, outputs) : null;
        _y = Buffer(input, outputs, height, width);
        _dx = input.NeedsGradient ? Buffer(input, input.Shape) : null;
        return input with { Shape = [outputs, height, width], NeedsGradient = true };
    }

    public override DeviceTensor<float> Forward(DeviceStream stream, in TrainingStep? step, DeviceTensor<float> x)
    {
        _x = x;
        _result = Rows(_y, x);
        if (hasRelu)
            Conv2d.ForwardRelu(stream, x, _filter.Value, _bias?.Value, _result, Options);
        else
            Conv2d.Forward(stream, x, _filter.Value, _bias?.Value, _result, Options);
        return _result;
    }

    public override DeviceTensor<float>? Backward(in TrainingStep step, DeviceTensor<float> dy)
    {
        if (hasRelu) Relu.Backward(step.Stream, _result, dy, dy);
        Conv2d.BackwardFilter(step.Stream, _x, dy, _filter.Gradient, _bias?.Gradient, Options);
        if (_dx is null) return null;
        DeviceTensor<float> dx = Rows(_dx, dy);
        Conv2d.BackwardData(step.Stream, _filter.Value, dy, dx, Options);
        return dx;
    }
}
