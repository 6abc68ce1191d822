using System.Runtime.Intrinsics;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <summary>Settings of <see cref="Sgd"/>.</summary>
public readonly record struct SgdOptions
{
    /// <summary>Step size, finite and at least 0.</summary>
    public required double LearningRate { get; init; }

    /// <summary>Share of the velocity that is kept, finite and at least 0; 0 needs no velocity tensor.</summary>
    public double Momentum { get; init; }

    /// <summary>Coupled L2: the gradient of (decay / 2) * |w|^2 is added to the gradient. Finite and at least 0.</summary>
    public double WeightDecay { get; init; }

    /// <summary>The new gradient enters the velocity with 1 - dampening. Finite and at least 0.</summary>
    public double Dampening { get; init; }

    /// <summary>Looks ahead along the velocity; needs momentum and no dampening.</summary>
    public bool Nesterov { get; init; }

    /// <summary>True at the first step of a parameter: the velocity is set, not read, so it need not be cleared before.</summary>
    public bool FirstStep { get; init; }
}

/// <summary>Stochastic gradient descent with momentum and coupled L2, in one pass over memory.</summary>
/// <remarks>
/// g' = g + decay * w; v = momentum * v + (1 - dampening) * g' (v = g' at the first step); w -= rate * v, or rate * (g' + momentum * v) with
/// Nesterov. The results are those of PyTorch's SGD. Types: float, Half, BFloat16, double; arithmetic in float (double for double). I. Sutskever, J. Martens,
/// G. Dahl and G. Hinton, "On the importance of initialization and momentum in deep learning", ICML 2013.
/// </remarks>
public static unsafe class Sgd
{
    private const string Op = "Sgd.Step";
    private const uint MomentumSwitch = 1;

    private static readonly KernelDefinition<StepArguments> Kernel =
        KernelDefinition<StepArguments>.Float<StepOnCpu>("portable/sgd.cl", "sgd_step", switches: ["HAS_MOMENTUM"]);

    /// <summary>One step of one parameter.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="parameter">The parameter w, any shape; updated in place.</param>
    /// <param name="gradient">Its gradient g, same shape.</param>
    /// <param name="velocity">The velocity v, same shape; updated in place. Null only without momentum.</param>
    /// <param name="options">Rate, momentum, decay.</param>
    /// <exception cref="ArgumentException">The shapes differ, tensors overlap, one is on another device, or momentum lacks its velocity.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A setting is negative, NaN or infinite.</exception>
    public static void Step<T>(
        DeviceStream stream, DeviceTensor<T> parameter, DeviceTensor<T> gradient, DeviceTensor<T>? velocity, in SgdOptions options)
        where T : unmanaged
    {
        Check.FloatTensor(Op, stream, parameter, nameof(parameter));
        Check.FloatTensor(Op, stream, gradient, nameof(gradient));
        Check.Shape(Op, gradient, nameof(gradient), parameter.Shape);
        Check.Disjoint(Op, parameter, nameof(parameter), gradient, nameof(gradient));
        Check.AtLeast(Op, options.LearningRate, nameof(options.LearningRate), 0);
        Check.AtLeast(Op, options.Momentum, nameof(options.Momentum), 0);
        Check.AtLeast(Op, options.WeightDecay, nameof(options.WeightDecay), 0);
        Check.AtLeast(Op, options.Dampening, nameof(options.Dampening), 0);
        bool hasMomentum = options.Momentum > 0;
        if (options.Nesterov && (!hasMomentum || options.Dampening != 0))
            throw new ArgumentException($"{Op}: Nesterov needs momentum and no dampening.", nameof(options));
        if (hasMomentum)
        {
            if (velocity is null) throw new ArgumentNullException(nameof(velocity), $"{Op}: momentum {options.Momentum} needs a velocity.");
            Check.FloatTensor(Op, stream, velocity, nameof(velocity));
            Check.Shape(Op, velocity, nameof(velocity), parameter.Shape);
            Check.Disjoint(Op, parameter, nameof(parameter), velocity, nameof(velocity));
            Check.Disjoint(Op, gradient, nameof(gradient), velocity, nameof(velocity));
        }

        if (parameter.Length == 0) return;
        stream.Launch(
            Kernel,
            new KernelVariant(parameter.DType, Switches: hasMomentum ? MomentumSwitch : 0),
            LaunchShape.Items(parameter.Length, Kernel),
            new StepArguments(
                parameter.Argument, gradient.Argument, hasMomentum ? velocity!.Argument : default, (ulong)parameter.Length,
                options.FirstStep ? 1u : 0, options.Nesterov ? 1u : 0, options.LearningRate, options.Momentum, 1 - options.Dampening, options.WeightDecay));
    }

    internal readonly record struct StepArguments(
        TensorArgument Parameter, TensorArgument Gradient, TensorArgument Velocity, ulong Count, uint FirstStep, uint Nesterov, double Rate,
        double Momentum, double GradientShare, double Decay) : IKernelArguments
    {
        public void Bind<TBinder>(ref TBinder binder)
            where TBinder : struct, IArgumentBinder, allows ref struct
        {
            binder.Tensor(Parameter);
            binder.Tensor(Gradient);
            binder.Tensor(Velocity);
            binder.UInt64(Count);
            binder.UInt32(FirstStep);
            binder.UInt32(Nesterov);
            binder.Real(Rate);
            binder.Real(Momentum);
            binder.Real(GradientShare);
            binder.Real(Decay);
        }
    }

    private readonly struct StepOnCpu : ICpuKernel<StepArguments>
    {
        public static void Run<T>(in KernelVariant variant, in StepArguments arguments)
            where T : unmanaged
        {
            StepArguments a = arguments;
            bool hasMomentum = (variant.Switches & MomentumSwitch) != 0;
            CpuParallel.ForRange((long)a.Count, CpuParallel.ElementsPerChunk, (first, end) =>
            {
                T* parameter = a.Parameter.Pointer<T>();
                T* gradient = a.Gradient.Pointer<T>();
                T* velocity = a.Velocity.Pointer<T>();
                if (typeof(T) == typeof(double))
                    Doubles(a, (double*)parameter, (double*)gradient, (double*)velocity, first, end, hasMomentum);
                else
                    Floats(a, parameter, gradient, velocity, first, end, hasMomentum);
            });
        }

        private static void Doubles(in StepArguments a, double* parameter, double* gradient, double* velocity, long first, long end, bool hasMomentum)
        {
            for (long i = first; i < end; i++)
            {
                double slope = gradient[i] + (a.Decay * parameter[i]);
                double step = slope;
                if (hasMomentum)
                {
                    velocity[i] = a.FirstStep != 0 ? slope : (a.Momentum * velocity[i]) + (a.GradientShare * slope);
                    step = a.Nesterov != 0 ? slope + (a.Momentum * velocity[i]) : velocity[i];
                }

                parameter[i] -= a.Rate * step;
            }
        }

        private static void Floats<T>(in StepArguments a, T* parameter, T* gradient, T* velocity, long first, long end, bool hasMomentum)
            where T : unmanaged
        {
            Vector512<float> rate = Vector512.Create((float)a.Rate), momentum = Vector512.Create((float)a.Momentum);
            Vector512<float> share = Vector512.Create((float)a.GradientShare), decay = Vector512.Create((float)a.Decay);
            for (long i = first; i < end; i += CpuElement.Width)
            {
                int count = (int)Math.Min(CpuElement.Width, end - i);
                Vector512<float> weight = CpuElement.Load(parameter + i, count);
                Vector512<float> slope = Vector512.FusedMultiplyAdd(decay, weight, CpuElement.Load(gradient + i, count));
                Vector512<float> step = slope;
                if (hasMomentum)
                {
                    Vector512<float> speed = a.FirstStep != 0
                        ? slope
                        : Vector512.FusedMultiplyAdd(momentum, CpuElement.Load(velocity + i, count), share * slope);
                    CpuElement.Store(velocity + i, speed, count);
                    step = a.Nesterov != 0 ? Vector512.FusedMultiplyAdd(momentum, speed, slope) : speed;
                }

                CpuElement.Store(parameter + i, Vector512.FusedMultiplyAdd(-rate, step, weight), count);
            }
        }
    }
}
