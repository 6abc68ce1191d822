using Kernels.Devices;

namespace Kernels;

/// <summary>Mean squared error: loss = the mean over all elements of (prediction - target)^2; value and gradient in one pass.</summary>
/// <remarks>
/// <para>
/// d prediction = scale * 2 (prediction - target) / count; the gradient of the targets is its negative. The loss of no elements is 0.
/// </para>
/// <para>
/// Predictions, targets and gradients are float, Half, BFloat16 or double. The loss and its gradient are float, double for double, as is
/// the arithmetic; gradients are rounded once. Sums have an order that depends on the number of elements alone. NaN and infinities reach
/// the loss and their own gradients; a loss gradient that is not finite counts as NaN.
/// </para>
/// <para>
/// Every method throws <see cref="ArgumentException"/> for shapes or types that do not fit, a result that overlaps an argument, or a tensor
/// on another device, before anything is launched.
/// </para>
/// </remarks>
public static partial class MeanSquaredError
{
    private const int ElementsPerBlock = 8;

    /// <summary>Blocks of the least part, two for each work item, and in whole turns of a group beyond.</summary>
    private const long LeastBlocks = 512, BlocksOfTurn = 256;

    /// <summary>More parts than fill a large GPU, and few enough for one group to add.</summary>
    private const long MostParts = 4096;

    private static readonly KernelDefinition<MeanSquaredErrorArguments> Kernel =
        EntryPoints.MeanSquaredError.Float<CpuParts>(vectorWidths: [1, 8]);

    /// <summary>The loss.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="predictions">Any shape.</param>
    /// <param name="targets">Shape of <paramref name="predictions"/>.</param>
    /// <param name="loss">Result, shape [1].</param>
    internal static void Forward<T, TReal>(
        DeviceStream stream, DeviceTensor<T> predictions, DeviceTensor<T> targets, DeviceTensor<TReal> loss)
        where T : unmanaged
        where TReal : unmanaged
    {
        CheckArguments("MeanSquaredError.Forward", stream, predictions, targets, loss);
        Launch(stream, predictions, targets, null, loss, null, 0, false);
    }

    /// <summary>The loss and the gradient of the predictions, in one pass.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="predictions">Any shape.</param>
    /// <param name="targets">Shape of <paramref name="predictions"/>.</param>
    /// <param name="lossGradient">A factor of the gradient in device memory, shape [1]; null for 1.</param>
    /// <param name="loss">Result, shape [1]; not scaled.</param>
    /// <param name="dPredictions">Gradient, shape of <paramref name="predictions"/>; may be <paramref name="predictions"/> unless it
    /// accumulates.</param>
    /// <param name="gradientScale">Factor of the gradient, finite: the weight of this loss among others, or a loss scale.</param>
    /// <param name="accumulates">True to add the gradient to what is in <paramref name="dPredictions"/>.</param>
    internal static void ForwardBackward<T, TReal>(
        DeviceStream stream, DeviceTensor<T> predictions, DeviceTensor<T> targets, DeviceTensor<TReal>? lossGradient,
        DeviceTensor<TReal> loss, DeviceTensor<T> dPredictions, double gradientScale, bool accumulates = false)
        where T : unmanaged
        where TReal : unmanaged
    {
        const string Op = "MeanSquaredError.ForwardBackward";
        CheckArguments(Op, stream, predictions, targets, loss);
        Check.Elementwise(Op, stream, predictions, nameof(predictions), dPredictions, nameof(dPredictions));
        if (accumulates) Check.Disjoint(Op, predictions, nameof(predictions), dPredictions, nameof(dPredictions));
        Check.Disjoint(Op, targets, nameof(targets), dPredictions, nameof(dPredictions));
        Check.Disjoint(Op, loss, nameof(loss), dPredictions, nameof(dPredictions));
        Check.Finite(Op, gradientScale, nameof(gradientScale));
        if (lossGradient is not null)
        {
            Check.Tensor(Op, stream, lossGradient, nameof(lossGradient));
            Check.Shape(Op, lossGradient, nameof(lossGradient), 1);
            Check.Disjoint(Op, lossGradient, nameof(lossGradient), dPredictions, nameof(dPredictions));
            Check.Disjoint(Op, lossGradient, nameof(lossGradient), loss, nameof(loss));
        }

        Launch(stream, predictions, targets, lossGradient, loss, dPredictions, gradientScale, accumulates);
    }

    private static void CheckArguments<T, TReal>(
        string op, DeviceStream stream, DeviceTensor<T> predictions, DeviceTensor<T> targets, DeviceTensor<TReal> loss)
        where T : unmanaged
        where TReal : unmanaged
    {
        Check.FloatTensor(op, stream, predictions, nameof(predictions));
        Check.FloatTensor(op, stream, targets, nameof(targets));
        Check.FloatTensor(op, stream, loss, nameof(loss));
        Check.Shape(op, targets, nameof(targets), predictions.Shape);
        Check.Shape(op, loss, nameof(loss), 1);
        Check.Disjoint(op, predictions, nameof(predictions), loss, nameof(loss));
        Check.Disjoint(op, targets, nameof(targets), loss, nameof(loss));
    }

    private static void Launch<T, TReal>(
        DeviceStream stream, DeviceTensor<T> predictions, DeviceTensor<T> targets, DeviceTensor<TReal>? lossGradient,
        DeviceTensor<TReal> loss, DeviceTensor<T>? gradient, double gradientScale, bool accumulates)
        where T : unmanaged
        where TReal : unmanaged
    {
        long count = predictions.Length, blocks = (count + ElementsPerBlock - 1) / ElementsPerBlock;
        long turns = (blocks + (MostParts * BlocksOfTurn) - 1) / (MostParts * BlocksOfTurn);
        long partBlocks = Math.Max(LeastBlocks, turns * BlocksOfTurn), parts = Math.Max(1, (blocks + partBlocks - 1) / partBlocks);
        bool isWide = predictions.IsVectorAligned && targets.IsVectorAligned && gradient?.IsVectorAligned != false;
        using ScratchPool.Lease<T> sums = RealBuffer<T>.RentScratch(stream, parts > 1 ? parts : 0);
        stream.Launch(
            Kernel,
            new KernelVariant(predictions.DType, isWide ? ElementsPerBlock : 1),
            LaunchShape.GroupPerRow(parts),
            new MeanSquaredErrorArguments
            {
                Predictions = predictions.Argument,
                Targets = targets.Argument,
                LossGradient = lossGradient?.Argument ?? default,
                Gradient = gradient?.Argument ?? default,
                Sums = parts > 1 ? sums.Argument : loss.Argument,
                Count = (ulong)count,
                Parts = (ulong)parts,
                PartBlocks = (ulong)partBlocks,
                Share = count == 0 ? 0 : 1.0 / count,
                Slope = count == 0 ? 0 : gradientScale * 2 / count,
                Accumulates = accumulates ? 1u : 0,
            });
        if (parts == 1) return;
        stream.Launch(
            NormPenaltyKernels.Value, new KernelVariant(predictions.DType), LaunchShape.GroupPerRow(1),
            new NormPenaltyValueArguments { Sums = sums.Argument, Value = loss.Argument, TileCount = (ulong)parts });
    }
}
