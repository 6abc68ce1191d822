namespace Kernels.Study;

/// <summary>
/// Batch normalization of maps: by the batch in training, by running statistics with PyTorch's conventions in an evaluation; with or
/// without a ReLU in the same pass. Factors start at 1, what is added at 0; neither is regularized.
/// </summary>
internal sealed partial class BatchNormLayer(bool hasRelu) : Layer
{
    private static readonly RandomKey NoKey = new(0, 0);

    private Parameter _gamma = null!;
    private Parameter _beta = null!;
    private DeviceTensor<float> _mean = null!;
    private DeviceTensor<float> _variance = null!;
    private DeviceTensor<float> _statistics = null!;
    private DeviceTensor<float> _y = null!;
    private DeviceTensor<float> _x = null!;

    public override IEnumerable<DeviceTensor<float>> Statistics => [_mean, _variance];

    public override LayerInput Build(LayerInput input)
    {
        long channels = input.Shape[0];
        _gamma = Unregularized(input.Device, start: 1, channels);
        _beta = Unregularized(input.Device, start: 0, channels);
        _mean = Filled(input.Device, 0, channels);
        _variance = Filled(input.Device, 1, channels);
        _statistics = Allocate(input.Device, 3, channels);
        _y = Buffer(input, input.Shape);
        return input with { NeedsGradient = true };
    }

    public override DeviceTensor<float> Forward(DeviceStream stream, in TrainingStep? step, DeviceTensor<float> x)
    {
        _x = x;
        DeviceTensor<float> y = Rows(_y, x);
        if (hasRelu && step is null)
            BatchNormRelu.Infer(stream, x, _gamma.Value, _beta.Value, _mean, _variance, y);
        else if (hasRelu)
            BatchNormRelu.Forward(stream, x, _gamma.Value, _beta.Value, y, _statistics, _mean, _variance, dropProbability: 0, NoKey);
        else if (step is null)
            BatchNorm.Infer(stream, x, _gamma.Value, _beta.Value, _mean, _variance, y);
        else
            BatchNorm.Forward(stream, x, _gamma.Value, _beta.Value, y, _statistics, _mean, _variance);
        return y;
    }

    public override DeviceTensor<float> Backward(in TrainingStep step, DeviceTensor<float> dy)
    {
        (DeviceTensor<float> gamma, DeviceTensor<float> beta) = (_gamma.Value, _beta.Value);
        if (hasRelu)
        {
            BatchNormRelu.Backward(
                step.Stream, _x, gamma, beta, _statistics, dy, dy, _gamma.Gradient, _beta.Gradient, dropProbability: 0, NoKey);
        }
        else
        {
            BatchNorm.Backward(step.Stream, _x, gamma, _statistics, dy, dy, _gamma.Gradient, _beta.Gradient);
        }

        return dy;
    }
}
