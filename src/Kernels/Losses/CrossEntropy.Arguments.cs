using Kernels.Devices;

namespace Kernels;

public static partial class CrossEntropy
{
    /// <summary>What says what a row should be and counts, probabilities apart.</summary>
    internal readonly record struct TargetArguments(
        TensorArgument Labels, TensorArgument OtherLabels, TensorArgument LabelShares, TensorArgument ClassWeights, uint Ignores, uint IgnoreIndex);

    internal readonly record struct RowArguments(
        TensorArgument Logits, TargetArguments Target, TensorArgument Probabilities, TensorArgument Normalizer, TensorArgument LossGradient,
        TensorArgument Losses, TensorArgument Gradient, TensorArgument Error, ulong Rows, ulong Classes, uint Team, ulong LossGradientStride, double Smoothing,
        uint OthersOnly, double LsePenalty, double Penalty, uint HasThreshold, double Threshold, double EmptyMean, double GradientScale) : IKernelArguments
    {
        public void Bind<TBinder>(ref TBinder binder)
            where TBinder : struct, IArgumentBinder, allows ref struct
        {
            (TensorArgument labels, TensorArgument otherLabels, TensorArgument labelShares, TensorArgument classWeights, uint ignores, uint ignoreIndex) = Target;
            binder.Tensor(Logits);
            binder.Tensor(labels);
            binder.Tensor(otherLabels);
            binder.Tensor(labelShares);
            binder.Tensor(Probabilities);
            binder.Tensor(classWeights);
            binder.Tensor(Normalizer);
            binder.Tensor(LossGradient);
            binder.Tensor(Losses);
            binder.Tensor(Gradient);
            binder.Tensor(Error);
            binder.UInt64(Rows);
            binder.UInt64(Classes);
            binder.UInt32(Team);
            binder.UInt64(LossGradientStride);
            binder.UInt32(ignores);
            binder.UInt32(ignoreIndex);
            binder.Real(Smoothing);
            binder.UInt32(OthersOnly);
            binder.Real(LsePenalty);
            binder.Real(Penalty);
            binder.UInt32(HasThreshold);
            binder.Real(Threshold);
            binder.Real(EmptyMean);
            binder.Real(GradientScale);
        }
    }

    internal readonly record struct NormalizerArguments(
        TargetArguments Target, TensorArgument Sums, ulong Rows, ulong Parts, ulong Chunk, ulong Classes, uint Soft) : IKernelArguments
    {
        public void Bind<TBinder>(ref TBinder binder)
            where TBinder : struct, IArgumentBinder, allows ref struct
        {
            (TensorArgument labels, TensorArgument otherLabels, TensorArgument labelShares, TensorArgument classWeights, uint ignores, uint ignoreIndex) = Target;
            binder.Tensor(labels);
            binder.Tensor(otherLabels);
            binder.Tensor(labelShares);
            binder.Tensor(classWeights);
            binder.Tensor(Sums);
            binder.UInt64(Rows);
            binder.UInt64(Parts);
            binder.UInt64(Chunk);
            binder.UInt64(Classes);
            binder.UInt32(Soft);
            binder.UInt32(ignores);
            binder.UInt32(ignoreIndex);
        }
    }

    internal readonly record struct SumArguments(
        TensorArgument Values, TensorArgument Normalizer, TensorArgument Sums, ulong Count, ulong Parts, ulong Chunk, double Factor, double EmptyMean)
        : IKernelArguments
    {
        public void Bind<TBinder>(ref TBinder binder)
            where TBinder : struct, IArgumentBinder, allows ref struct
        {
            binder.Tensor(Values);
            binder.Tensor(Normalizer);
            binder.Tensor(Sums);
            binder.UInt64(Count);
            binder.UInt64(Parts);
            binder.UInt64(Chunk);
            binder.Real(Factor);
            binder.Real(EmptyMean);
        }
    }
}
