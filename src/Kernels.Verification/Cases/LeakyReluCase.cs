using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>Leaky ReLU, forward and backward.</summary>
public sealed class LeakyReluCase : ActivationCase
{
    /// <summary>The slope of discriminators.</summary>
    public const float Slope = 0.2f;

    public override string Op => "leaky-relu";

    public override IReadOnlyList<BadInput> BadInputs { get; } =
    [
        new("shapes differ", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(4), y = device.Allocate<float>(5);
            LeakyRelu.Forward(stream, x, y, Slope);
        }),
        new("a negative slope", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(4);
            LeakyRelu.Forward(stream, x, x, -0.1);
        }),
        new("a slope that is no number", typeof(ArgumentOutOfRangeException), (device, stream) =>
        {
            using DeviceTensor<float> x = device.Allocate<float>(4);
            LeakyRelu.Backward(stream, x, x, x, double.NaN);
        }),
        new("partial overlap in backward", typeof(ArgumentException), (device, stream) =>
        {
            using DeviceBuffer<float> buffer = device.AllocateBuffer<float>(16);
            using DeviceTensor<float> dy = device.Allocate<float>(8);
            LeakyRelu.Backward(stream, buffer.View(0, 8), dy, buffer.View(1, 8), Slope);
        }),
    ];

    protected override double LeastOutput => -1;

    protected override Tolerance ValueTolerance { get; } = new(1, 2, 0, "a product with a rounded slope");

    protected override Tolerance GradientTolerance => ValueTolerance;

    protected override void Forward<T>(DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y) =>
        LeakyRelu.Forward(stream, x, y, Slope);

    protected override void Backward<T>(DeviceStream stream, DeviceTensor<T> y, DeviceTensor<T> dy, DeviceTensor<T> dx) =>
        LeakyRelu.Backward(stream, y, dy, dx, Slope);

    protected override void Forward(double[] x, double[] y) => ActivationReference.LeakyRelu(x, y, Slope);

    protected override void Backward(double[] y, double[] dy, double[] dx) => ActivationReference.LeakyReluGradient(y, dy, dx, Slope);
}
