using Kernels.Devices;

namespace Kernels;

/// <summary>The gradient's treatment of the random decision of <see cref="AdaptiveDropout"/>.</summary>
public enum AdaptiveEstimator
{
    /// <summary>The mask is a constant: dx = m * dy, dpre = 0. What the paper's backpropagation through the kept units does.</summary>
    MaskConstant,

    /// <summary>
    /// The mask in the forward pass, its probability in the gradient of the decision: dx = m * dy, dpre = alpha * pi * (1 - pi) * x * dy.
    /// </summary>
    StraightThrough,

    /// <summary>
    /// The gradient of the expected output, that is of <see cref="AdaptiveDropout.Infer"/>: dx = pi * dy, dpre = alpha * pi * (1 -
    /// pi) * x * dy. Draws nothing.
    /// </summary>
    Expectation,
}

/// <summary>
/// Adaptive dropout (standout): a unit is kept with the probability pi = sigmoid(alpha * pre + beta) that its own pre-activation gives.
/// Training y = m * x, P(m = 1) = pi; inference y = pi * x.
/// </summary>
/// <remarks>
/// <para>
/// x is the unit's activation, pre the pre-activation of the belief network, which the paper ties to the layer's own: pre = w v with alpha
/// and beta as the affine map between the two. Element i (plus the global start) takes <see cref="Philox.Lane">lane</see> i and is kept iff
/// u + u * exp(-z) &lt; 65536, with u = lane + 1/2 and z = alpha * pre + beta. This is calculated in float, whatever is stored, by
/// functions that give the same bits on every device, so masks are the same everywhere.
/// </para>
/// <para>
/// Kept elements are not scaled: the probabilities belong to the model, and inference multiplies by them. Dropped elements are +0, also
/// where x is NaN or infinite; a pre that is NaN drops its unit in training and gives NaN at inference. Types: float, Half, BFloat16,
/// double; any shape, including empty.
/// </para>
/// <para>J. Ba and B. Frey, "Adaptive dropout for training deep neural networks", NeurIPS 2013.</para>
/// <para>
/// Every method throws <see cref="ArgumentException"/> for shapes that differ, tensors that overlap in part or live on another device, and
/// <see cref="ArgumentOutOfRangeException"/> for an alpha or beta that is not finite, before anything is launched.
/// </para>
/// </remarks>
public static partial class AdaptiveDropout
{
    private static readonly KernelDefinition<AdaptiveDropoutForwardArguments> ForwardKernel =
        EntryPoints.AdaptiveDropoutForward.Float<CpuForward>(vectorWidths: [1, 8]);

    private static readonly KernelDefinition<AdaptiveDropoutInferArguments> InferKernel =
        EntryPoints.AdaptiveDropoutInfer.Float<CpuInfer>(vectorWidths: [1, 8]);

    private static readonly KernelDefinition<AdaptiveDropoutBackwardArguments> BackwardKernel =
        EntryPoints.AdaptiveDropoutBackward.Float<CpuBackward>(vectorWidths: [1, 8]);

    private static readonly KernelDefinition<AdaptiveDropoutPerElementArguments> PerElementKernel =
        EntryPoints.AdaptiveDropoutPerElement.Float<CpuPerElement>(vectorWidths: [1, 8]);

    /// <summary>Training: y = m * x.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Activations, any shape.</param>
    /// <param name="pre">Pre-activations that set the keep probabilities, shape of <paramref name="x"/>; may be
    /// <paramref name="x"/>.</param>
    /// <param name="y">Output, shape of <paramref name="x"/>; may be <paramref name="x"/> or <paramref name="pre"/>.</param>
    /// <param name="alpha">Factor of the pre-activation.</param>
    /// <param name="beta">Shift: with pre = 0 a unit is kept with the probability sigmoid(beta).</param>
    /// <param name="key">Random key; one offset for each call.</param>
    /// <param name="globalStart">Index of the first element in the whole tensor of which the argument is a shard.</param>
    public static void Forward<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> pre, DeviceTensor<T> y, double alpha, double beta, RandomKeySource key,
        ulong globalStart = 0)
        where T : unmanaged
    {
        const string Op = "AdaptiveDropout.Forward";
        Check.Elementwise(Op, stream, x, nameof(x), y, nameof(y));
        Check.Elementwise(Op, stream, pre, nameof(pre), y, nameof(y));
        CheckMap(Op, alpha, beta);
        CheckDraw(Op, stream, x.Length, key, globalStart);
        if (x.Length == 0) return;
        stream.Launch(
            ForwardKernel,
            new KernelVariant(x.DType, VectorWidth(globalStart, x.IsVectorAligned && pre.IsVectorAligned && y.IsVectorAligned)),
            Blocks(x.Length, ForwardKernel),
            new AdaptiveDropoutForwardArguments
            {
                X = x.Argument,
                Pre = pre.Argument,
                Y = y.Argument,
                Count = (ulong)x.Length,
                Start = globalStart,
                Alpha = alpha,
                Beta = beta,
                Key = key.Argument,
            });
    }

    /// <summary>Inference: y = pi * x, the expected output of training.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Activations, any shape.</param>
    /// <param name="pre">Pre-activations, shape of <paramref name="x"/>; may be <paramref name="x"/>.</param>
    /// <param name="y">Output, shape of <paramref name="x"/>; may be <paramref name="x"/> or <paramref name="pre"/>.</param>
    /// <param name="alpha">As in training.</param>
    /// <param name="beta">As in training.</param>
    public static void Infer<T>(DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> pre, DeviceTensor<T> y, double alpha, double beta)
        where T : unmanaged
    {
        const string Op = "AdaptiveDropout.Infer";
        Check.Elementwise(Op, stream, x, nameof(x), y, nameof(y));
        Check.Elementwise(Op, stream, pre, nameof(pre), y, nameof(y));
        CheckMap(Op, alpha, beta);
        if (x.Length == 0) return;
        stream.Launch(
            InferKernel,
            new KernelVariant(x.DType, VectorWidth(0, x.IsVectorAligned && pre.IsVectorAligned && y.IsVectorAligned)),
            Blocks(x.Length, InferKernel),
            new AdaptiveDropoutInferArguments
            {
                X = x.Argument,
                Pre = pre.Argument,
                Y = y.Argument,
                Count = (ulong)x.Length,
                Alpha = alpha,
                Beta = beta,
            });
    }

    /// <summary>The gradients of the forward call that had the same key, alpha, beta and start, by an estimator.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Activations of the forward call.</param>
    /// <param name="pre">Pre-activations of the forward call.</param>
    /// <param name="dy">Gradient of the output.</param>
    /// <param name="dx">Gradient of the activations, shape of <paramref name="x"/>; may be one of the inputs.</param>
    /// <param name="dPre">Gradient of the pre-activations, shape of <paramref name="x"/>, or null when it is not needed; may be an input
    /// other than
    /// that in place of which <paramref name="dx"/> stands.</param>
    /// <param name="alpha">As in forward.</param>
    /// <param name="beta">As in forward.</param>
    /// <param name="estimator">How the random decision is differentiated.</param>
    /// <param name="key">As in forward.</param>
    /// <param name="globalStart">As in forward.</param>
    public static void Backward<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> pre, DeviceTensor<T> dy, DeviceTensor<T> dx, DeviceTensor<T>? dPre,
        double alpha, double beta, AdaptiveEstimator estimator, RandomKeySource key, ulong globalStart = 0)
        where T : unmanaged
    {
        const string Op = "AdaptiveDropout.Backward";
        CheckResult(dx, nameof(dx));
        if (dPre is not null)
        {
            CheckResult(dPre, nameof(dPre));
            Check.Disjoint(Op, dx, nameof(dx), dPre, nameof(dPre));
        }

        if (!Enum.IsDefined(estimator))
            throw new ArgumentOutOfRangeException(nameof(estimator), estimator, $"{Op}: unknown {nameof(estimator)}.");
        CheckMap(Op, alpha, beta);
        CheckDraw(Op, stream, x.Length, key, globalStart);
        if (x.Length == 0) return;

        // A gradient of 0 everywhere needs no look at x; it is filled afterwards, as it may take the place of an input.
        bool isZero = estimator == AdaptiveEstimator.MaskConstant;
        DeviceTensor<T>? written = isZero ? null : dPre;
        bool aligned = x.IsVectorAligned && pre.IsVectorAligned && dy.IsVectorAligned && dx.IsVectorAligned
            && written?.IsVectorAligned != false;
        stream.Launch(
            BackwardKernel,
            new KernelVariant(x.DType, VectorWidth(globalStart, aligned)),
            Blocks(x.Length, BackwardKernel),
            new AdaptiveDropoutBackwardArguments
            {
                X = x.Argument,
                Pre = pre.Argument,
                Dy = dy.Argument,
                Dx = dx.Argument,
                Dpre = written?.Argument ?? default,
                Count = (ulong)x.Length,
                Start = globalStart,
                Alpha = alpha,
                Beta = beta,
                Expectation = estimator == AdaptiveEstimator.Expectation ? 1u : 0,
                Key = key.Argument,
            });
        if (isZero && dPre is not null) stream.Fill(dPre, default);

        void CheckResult(DeviceTensor<T> result, string name)
        {
            Check.Elementwise(Op, stream, x, nameof(x), result, name);
            Check.Elementwise(Op, stream, pre, nameof(pre), result, name);
            Check.Elementwise(Op, stream, dy, nameof(dy), result, name);
        }
    }

    /// <summary>
    /// Dropout with a keep probability of its own for each element: y = m * x (or m * x / q), P(m = 1) = q = T/65536 with
    /// T = round(65536 * probability), which is clamped to [1, 65535] for probabilities between 0 and 1.
    /// </summary>
    /// <remarks>
    /// An element is kept iff its lane &lt; T, numbered as in <see cref="Forward"/>. A probability of at least 1 keeps; one that is NaN or
    /// at most 0 drops.
    /// </remarks>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input, any shape.</param>
    /// <param name="keepProbabilities">Probability to keep each element, shape of <paramref name="x"/>.</param>
    /// <param name="y">Output, shape of <paramref name="x"/>; may be <paramref name="x"/> or <paramref name="keepProbabilities"/>.</param>
    /// <param name="key">Random key; one offset for each call.</param>
    /// <param name="options">Scaling and shard start.</param>
    public static void ForwardPerElement<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> keepProbabilities, DeviceTensor<T> y, RandomKeySource key,
        DropoutOptions options = default)
        where T : unmanaged => ApplyPerElement("AdaptiveDropout.ForwardPerElement", stream, x, keepProbabilities, y, key, options);

    /// <summary>Gradient of <see cref="ForwardPerElement"/>: dx = m * dy (or m * dy / q). The probabilities are constants.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="dy">Gradient of the output, any shape.</param>
    /// <param name="keepProbabilities">As in forward.</param>
    /// <param name="dx">Gradient of the input, shape of <paramref name="dy"/>; may be <paramref name="dy"/> or
    /// <paramref name="keepProbabilities"/>.</param>
    /// <param name="key">As in forward.</param>
    /// <param name="options">As in forward.</param>
    public static void BackwardPerElement<T>(
        DeviceStream stream, DeviceTensor<T> dy, DeviceTensor<T> keepProbabilities, DeviceTensor<T> dx, RandomKeySource key,
        DropoutOptions options = default)
        where T : unmanaged => ApplyPerElement("AdaptiveDropout.BackwardPerElement", stream, dy, keepProbabilities, dx, key, options);

    private static void ApplyPerElement<T>(
        string op, DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> keepProbabilities, DeviceTensor<T> y, RandomKeySource key,
        DropoutOptions options)
        where T : unmanaged
    {
        ulong globalStart = options.GlobalStart;
        Check.Elementwise(op, stream, x, nameof(x), y, nameof(y));
        Check.Elementwise(op, stream, keepProbabilities, nameof(keepProbabilities), y, nameof(y));
        Check.Defined(op, options.Scaling, nameof(options.Scaling));
        CheckDraw(op, stream, x.Length, key, globalStart);
        if (x.Length == 0) return;
        bool aligned = x.IsVectorAligned && keepProbabilities.IsVectorAligned && y.IsVectorAligned;
        stream.Launch(
            PerElementKernel,
            new KernelVariant(x.DType, VectorWidth(globalStart, aligned)),
            Blocks(x.Length, PerElementKernel),
            new AdaptiveDropoutPerElementArguments
            {
                X = x.Argument,
                Probabilities = keepProbabilities.Argument,
                Y = y.Argument,
                Count = (ulong)x.Length,
                Start = globalStart,
                Inverted = options.Scaling == DropoutScaling.Inverted ? 1u : 0,
                Key = key.Argument,
            });
    }

    private static void CheckMap(string op, double alpha, double beta)
    {
        Check.Finite(op, alpha, nameof(alpha));
        Check.Finite(op, beta, nameof(beta));
    }

    private static void CheckDraw(string op, DeviceStream stream, long count, RandomKeySource key, ulong globalStart)
    {
        Check.Key(op, stream, key, nameof(key));
        Check.IndexRange(op, count, globalStart);
    }

    private static int VectorWidth(ulong start, bool aligned) => aligned && start % Philox.LanesPerBlock == 0 ? Philox.LanesPerBlock : 1;

    private static LaunchShape Blocks(long count, KernelDefinition kernel) => LaunchShape.Items((count / Philox.LanesPerBlock) + 2, kernel);
}
