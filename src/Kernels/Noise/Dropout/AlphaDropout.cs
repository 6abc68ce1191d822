using Kernels.Cpu;
using Kernels.Devices;

namespace Kernels;

/// <summary>
/// Alpha dropout: dropped elements take the value that the SELU activation saturates at, and an affine map restores mean and variance.
/// </summary>
/// <remarks>
/// <para>
/// With s = -lambda * alpha = -1.7580993408473766 and the realised keep probability q: y = a * (m x + (1 - m) s) + b, where a = (q + s^2 q
/// (1 - q))^(-1/2) and b = -a (1 - q) s, so that inputs of mean 0 and variance 1 give outputs of mean 0 and variance 1. The identity at
/// inference. Backward: dx = a * dy where kept, else 0.
/// </para>
/// <para>
/// Element i takes the decision of <see cref="Dropout"/>: the same key gives the same mask. A dropped NaN or infinity becomes the constant.
/// p = 0 copies without drawing; p = 1 writes zeros, the limit of the map. Types: float, Half, BFloat16, double; any shape; the destination
/// may be the source.
/// </para>
/// <para>G. Klambauer, T. Unterthiner, A. Mayr and S. Hochreiter, "Self-normalizing neural networks", NeurIPS 2017.</para>
/// <para>
/// Every method throws <see cref="ArgumentException"/> for shapes that differ, tensors that overlap in part or live on another device, and
/// <see cref="ArgumentOutOfRangeException"/> for a probability that is NaN or outside [0, 1], before anything is launched.
/// </para>
/// </remarks>
public static unsafe class AlphaDropout
{
    /// <summary>-lambda * alpha of SELU: the value its negative branch tends to.</summary>
    public const double SaturationValue = -1.7580993408473766;

    private static readonly KernelDefinition<AlphaDropoutArguments> Kernel =
        EntryPoints.AlphaDropout.Float<CpuAlpha>(vectorWidths: [1, 8]);

    /// <summary>The affine map for a drop probability: scale a, shift b, and the value a * s + b of a dropped element.</summary>
    public static (double Scale, double Shift, double Dropped) Map(double dropProbability)
    {
        KeepThreshold threshold = KeepThreshold.FromDropProbability(dropProbability);
        if (threshold.DropsAll) return (0, 0, 0);
        double keep = threshold.KeepProbability;
        double scale = 1 / Math.Sqrt(keep + (SaturationValue * SaturationValue * keep * (1 - keep)));
        double shift = -scale * (1 - keep) * SaturationValue;
        return (scale, shift, (scale * SaturationValue) + shift);
    }

    /// <summary>Training: y = a * (m x + (1 - m) s) + b.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input, any shape.</param>
    /// <param name="y">Output, shape of <paramref name="x"/>; may be <paramref name="x"/>.</param>
    /// <param name="dropProbability">Probability p to drop an element, in [0, 1].</param>
    /// <param name="key">Random key; one offset for each call.</param>
    /// <param name="globalStart">Index of the first element in the whole tensor of which the argument is a shard.</param>
    public static void Forward<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y, double dropProbability, RandomKeySource key, ulong globalStart = 0)
        where T : unmanaged
    {
        const string Op = "AlphaDropout.Forward";
        Check.Elementwise(Op, stream, x, nameof(x), y, nameof(y));
        Check.Probability(Op, dropProbability, nameof(dropProbability));
        (double scale, double shift, double dropped) = Map(dropProbability);
        Apply(Op, stream, x, y, dropProbability, scale, shift, dropped, key, globalStart);
    }

    /// <summary>Gradient: dx = a * dy where the forward call with the same key, probability and start kept the element, else 0.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="dy">Gradient of the output, any shape.</param>
    /// <param name="dx">Gradient of the input, shape of <paramref name="dy"/>; may be <paramref name="dy"/>.</param>
    /// <param name="dropProbability">As in forward.</param>
    /// <param name="key">As in forward.</param>
    /// <param name="globalStart">As in forward.</param>
    public static void Backward<T>(
        DeviceStream stream, DeviceTensor<T> dy, DeviceTensor<T> dx, double dropProbability, RandomKeySource key, ulong globalStart = 0)
        where T : unmanaged
    {
        const string Op = "AlphaDropout.Backward";
        Check.Elementwise(Op, stream, dy, nameof(dy), dx, nameof(dx));
        Check.Probability(Op, dropProbability, nameof(dropProbability));
        Apply(Op, stream, dy, dx, dropProbability, Map(dropProbability).Scale, 0, 0, key, globalStart);
    }

    private static void Apply<T>(
        string op, DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y, double dropProbability,
        double scale, double shift, double dropped, RandomKeySource key, ulong globalStart)
        where T : unmanaged
    {
        Check.Key(op, stream, key, nameof(key));
        Check.IndexRange(op, x.Length, globalStart);
        KeepThreshold threshold = KeepThreshold.FromDropProbability(dropProbability);
        if (threshold.KeepsAll)
        {
            stream.Copy(x, y);
            return;
        }

        if (threshold.DropsAll)
        {
            stream.Fill(y, default);
            return;
        }

        if (x.Length == 0) return;
        bool wholeBlocks = globalStart % Philox.LanesPerBlock == 0 && x.IsVectorAligned && y.IsVectorAligned;
        stream.Launch(
            Kernel,
            new KernelVariant(x.DType, wholeBlocks ? Philox.LanesPerBlock : 1),
            LaunchShape.Items((x.Length / Philox.LanesPerBlock) + 2, Kernel),
            new AlphaDropoutArguments
            {
                X = x.Argument,
                Y = y.Argument,
                Count = (ulong)x.Length,
                Start = globalStart,
                Threshold = threshold.Value,
                Scale = scale,
                Shift = shift,
                Dropped = dropped,
                Key = key.Argument,
            });
    }

    private readonly struct CpuAlpha : ICpuKernel<AlphaDropoutArguments>
    {
        public static void Run<T>(in KernelVariant variant, in AlphaDropoutArguments arguments)
            where T : unmanaged
        {
            AlphaDropoutArguments a = arguments;
            AffineMap map = new(a.Scale, a.Shift, a.Dropped);
            CpuKeepMap.Run(a.X.Pointer<T>(), a.Y.Pointer<T>(), (long)a.Count, a.Start, a.Threshold, a.Key.Resolve(), map);
        }
    }
}
