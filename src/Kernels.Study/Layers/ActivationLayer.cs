namespace Kernels.Study;

/// <summary>A function of each cell, in place: no layer before it goes back by its own output.</summary>
internal abstract class InPlaceLayer : Layer
{
    private DeviceTensor<float> _y = null!;

    public override LayerInput Build(LayerInput input) => input;

    public override DeviceTensor<float> Forward(DeviceStream stream, in TrainingStep? step, DeviceTensor<float> x)
    {
        _y = x;
        Apply(stream, x);
        return x;
    }

    public override DeviceTensor<float> Backward(in TrainingStep step, DeviceTensor<float> dy)
    {
        ApplyGradient(step.Stream, _y, dy);
        return dy;
    }

    protected abstract void Apply(DeviceStream stream, DeviceTensor<float> x);

    /// <summary>Carries the gradient back, in place, by the output <paramref name="y"/>.</summary>
    protected abstract void ApplyGradient(DeviceStream stream, DeviceTensor<float> y, DeviceTensor<float> gradient);
}

/// <summary>ReLU.</summary>
internal sealed class ActivationLayer : InPlaceLayer
{
    protected override void Apply(DeviceStream stream, DeviceTensor<float> x) => Relu.Forward(stream, x, x);

    protected override void ApplyGradient(DeviceStream stream, DeviceTensor<float> y, DeviceTensor<float> gradient) =>
        Relu.Backward(stream, y, gradient, gradient);
}

/// <summary>y = x where x is positive, elsewhere a share of it.</summary>
internal sealed class LeakyReluLayer(double negativeSlope) : InPlaceLayer
{
    protected override void Apply(DeviceStream stream, DeviceTensor<float> x) => LeakyRelu.Forward(stream, x, x, negativeSlope);

    protected override void ApplyGradient(DeviceStream stream, DeviceTensor<float> y, DeviceTensor<float> gradient) =>
        LeakyRelu.Backward(stream, y, gradient, gradient, negativeSlope);
}

/// <summary>The hyperbolic tangent.</summary>
internal sealed class TanhLayer : InPlaceLayer
{
    protected override void Apply(DeviceStream stream, DeviceTensor<float> x) => Tanh.Forward(stream, x, x);

    protected override void ApplyGradient(DeviceStream stream, DeviceTensor<float> y, DeviceTensor<float> gradient) =>
        Tanh.Backward(stream, y, gradient, gradient);
}
