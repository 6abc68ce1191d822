namespace Kernels.Study;

/// <summary>ReLU, in place: no layer before it goes back by its own output.</summary>
internal sealed class ActivationLayer : Layer
{
    private DeviceTensor<float> _y = null!;

    public override LayerInput Build(LayerInput input) => input;

    public override DeviceTensor<float> Forward(DeviceStream stream, in TrainingStep? step, DeviceTensor<float> x)
    {
        _y = x;
        Relu.Forward(stream, x, x);
        return x;
    }

    public override DeviceTensor<float> Backward(in TrainingStep step, DeviceTensor<float> dy)
    {
        Relu.Backward(step.Stream, _y, dy, dy);
        return dy;
    }
}
