namespace Kernels.Study;

/// <summary>Images of one channel from rows of pixels; to be the first of the layers.</summary>
internal sealed class ImageLayer(int height) : Layer
{
    private IReadOnlyList<long> _shape = [];

    public override LayerInput Build(LayerInput input)
    {
        _shape = [1, height, input.Features / height];
        return input with { Shape = _shape };
    }

    public override DeviceTensor<float> Forward(DeviceStream stream, in TrainingStep? step, DeviceTensor<float> x) =>
        x.Reshape([x.Shape[0], .. _shape]);

    public override DeviceTensor<float> Backward(in TrainingStep step, DeviceTensor<float> dy) => dy;
}

/// <summary>Max pooling over windows of 2 x 2 side by side; a last row or column has a smaller window.</summary>
internal sealed class MaxPoolLayer : Layer
{
    private static readonly Size2d Window = 2;
    private static readonly MaxPool2dOptions Options = new() { CeilMode = true };

    private DeviceTensor<byte> _indices = null!;
    private DeviceTensor<float> _y = null!;
    private DeviceTensor<float> _dx = null!;

    public override LayerInput Build(LayerInput input)
    {
        long[] shape = MaxPool2d.OutputShape([input.MaximumRows, .. input.Shape], Window, Options);
        _indices = input.Device.Allocate<byte>(shape);
        _y = Buffer(input, shape[1..]);
        _dx = Buffer(input, input.Shape);
        return input with { Shape = shape[1..] };
    }

    public override DeviceTensor<float> Forward(DeviceStream stream, in TrainingStep? step, DeviceTensor<float> x)
    {
        DeviceTensor<float> y = Rows(_y, x);
        if (step is null)
            MaxPool2d.Infer(stream, x, y, Window, Options);
        else
            MaxPool2d.Forward(stream, x, y, _indices.Slice(0, x.Shape[0]), Window, Options);
        return y;
    }

    public override DeviceTensor<float> Backward(in TrainingStep step, DeviceTensor<float> dy)
    {
        DeviceTensor<float> dx = Rows(_dx, dy);
        MaxPool2d.Backward(step.Stream, _indices.Slice(0, dy.Shape[0]), dy, dx, Window, Options);
        return dx;
    }

    public override void Dispose()
    {
        _indices?.Dispose();
        base.Dispose();
    }
}

/// <summary>The mean of each map.</summary>
internal sealed class GlobalAverageLayer : Layer
{
    private DeviceTensor<float> _y = null!;
    private DeviceTensor<float> _dx = null!;

    public override LayerInput Build(LayerInput input)
    {
        _y = Buffer(input, input.Shape[0]);
        _dx = Buffer(input, input.Shape);
        return input with { Shape = [input.Shape[0]] };
    }

    public override DeviceTensor<float> Forward(DeviceStream stream, in TrainingStep? step, DeviceTensor<float> x)
    {
        DeviceTensor<float> y = Rows(_y, x);
        AveragePool2d.ForwardGlobal(stream, x, y);
        return y;
    }

    public override DeviceTensor<float> Backward(in TrainingStep step, DeviceTensor<float> dy)
    {
        DeviceTensor<float> dx = Rows(_dx, dy);
        AveragePool2d.BackwardGlobal(step.Stream, dy, dx);
        return dx;
    }
}
