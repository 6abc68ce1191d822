using Kernels.Devices;

namespace Kernels;

/// <summary>
/// Weight dropout: one mask a step for a weight matrix, shared by all examples and time steps, w' = m * w / q with P(m = 1) = q. At
/// inference the weight is used as it is.
/// </summary>
/// <remarks>
/// <para>
/// This is <see cref="Dropout"/> of the weight: element i (plus the global start) takes <see cref="Philox.Lane">lane</see> i. AWD-LSTM
/// applies it to the hidden-to-hidden matrices of a recurrent net before the sequence is run, and the optimizer keeps updating w itself;
/// <see cref="DropConnect"/> draws a mask for each example instead.
/// </para>
/// <para>
/// Dropped elements are +0, NaN and infinities included. p = 0 copies, p = 1 writes zeros, both without drawing. Types: float, Half,
/// BFloat16, double; any shape, including empty. S. Merity, N. S. Keskar and R. Socher, "Regularizing and optimizing LSTM language models",
/// ICLR 2018.
/// </para>
/// <para>
/// Both methods throw <see cref="ArgumentException"/> for shapes that differ, tensors that overlap in part or live on another device, and
/// <see cref="ArgumentOutOfRangeException"/> for a probability that is NaN or outside [0, 1], before anything is launched.
/// </para>
/// </remarks>
public static class DropWeight
{
    /// <summary>Training: the weight to use for this step.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="weight">The layer's weight, any shape.</param>
    /// <param name="dropped">Receives the weight of this step, shape of <paramref name="weight"/>; may be
    /// <paramref name="weight"/>.</param>
    /// <param name="dropProbability">Probability p to drop an element, in [0, 1].</param>
    /// <param name="key">Random key; one offset for each step and weight.</param>
    /// <param name="globalStart">Index of the first element in the whole weight of which the argument is a shard.</param>
    public static void Forward<T>(
        DeviceStream stream, DeviceTensor<T> weight, DeviceTensor<T> dropped, double dropProbability, RandomKeySource key,
        ulong globalStart = 0)
        where T : unmanaged
    {
        const string Op = "DropWeight.Forward";
        Check.Elementwise(Op, stream, weight, nameof(weight), dropped, nameof(dropped));
        CheckDraw(Op, stream, weight.Length, dropProbability, key, globalStart);
        Dropout.Forward(stream, weight, dropped, dropProbability, key, new DropoutOptions { GlobalStart = globalStart });
    }

    /// <summary>
    /// Gradient of the weight, m / q times that of the step's weight, with the mask of the forward call that had the same key, probability
    /// and start.
    /// </summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="dDropped">Gradient of the step's weight, summed over examples and time steps; any shape.</param>
    /// <param name="dWeight">Gradient of the weight, shape of <paramref name="dDropped"/>; may be <paramref name="dDropped"/>.</param>
    /// <param name="dropProbability">As in forward.</param>
    /// <param name="key">As in forward.</param>
    /// <param name="globalStart">As in forward.</param>
    public static void Backward<T>(
        DeviceStream stream, DeviceTensor<T> dDropped, DeviceTensor<T> dWeight, double dropProbability, RandomKeySource key,
        ulong globalStart = 0)
        where T : unmanaged
    {
        const string Op = "DropWeight.Backward";
        Check.Elementwise(Op, stream, dDropped, nameof(dDropped), dWeight, nameof(dWeight));
        CheckDraw(Op, stream, dDropped.Length, dropProbability, key, globalStart);
        Dropout.Backward(stream, dDropped, dWeight, dropProbability, key, new DropoutOptions { GlobalStart = globalStart });
    }

    private static void CheckDraw(
        string op, DeviceStream stream, long count, double dropProbability, RandomKeySource key, ulong globalStart)
    {
        Check.Probability(op, dropProbability, nameof(dropProbability));
        Check.Key(op, stream, key, nameof(key));
        Check.IndexRange(op, count, globalStart);
    }
}
