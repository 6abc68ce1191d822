using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>The logistic function, forward and backward.</summary>
public sealed class SigmoidCase : ActivationCase
{
    public override string Op => "sigmoid";

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("shapes differ", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(4), y = device.Allocate<float>(5);
            Sigmoid.Forward(stream, x, y);
        }),
        new("partial overlap in backward", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceBuffer<float> buffer = device.AllocateBuffer<float>(16);
            using DeviceTensor<float> dy = device.Allocate<float>(8);
            Sigmoid.Backward(stream, buffer.View(0, 8), dy, buffer.View(1, 8));
        }),
    ];

    protected override double LeastOutput => 0;

    protected override Tolerance ValueTolerance { get; } = new(1, 16, 0, "an exponential and a quotient");

    protected override Tolerance GradientTolerance { get; } = new(1, 4, 0, "a product with a slope");

    protected override void Forward<T>(DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y) => Sigmoid.Forward(stream, x, y);

    protected override void Backward<T>(DeviceStream stream, DeviceTensor<T> y, DeviceTensor<T> dy, DeviceTensor<T> dx) =>
        Sigmoid.Backward(stream, y, dy, dx);

    protected override void Forward(double[] x, double[] y) => ActivationReference.Sigmoid(x, y);

    protected override void Backward(double[] y, double[] dy, double[] dx) => ActivationReference.SigmoidGradient(y, dy, dx);
}
