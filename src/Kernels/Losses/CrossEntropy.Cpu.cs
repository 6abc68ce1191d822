using System.Buffers;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <remarks>
/// On the CPU a row is gone through three times, for its largest logit, the sums and the gradient, of which all but the first find it in a
/// cache. The exponentials are kept in a buffer in between. Vectors of sixteen do the classes; the few numbers of a row are calculated with
/// in double.
/// </remarks>
public static unsafe partial class CrossEntropy
{
    private const int Width = CpuElement.Width;
    private const int ShortestStreamedRow = 1024;

    private static double FiniteOrNaN(double value) => double.IsFinite(value) ? value : double.NaN;

    /// <summary>What the labels of one row say.</summary>
    private readonly record struct RowTarget(int Label, int OtherLabel, double Share, double OtherShare, bool Ignored, bool Invalid)
    {
        public static RowTarget Read<TReal>(in TargetArguments a, long row, long classes, bool soft)
            where TReal : unmanaged
        {
            int* labels = a.Labels.Pointer<int>(), others = a.OtherLabels.Pointer<int>();
            if (labels == null) return new RowTarget(-1, -1, 0, 0, false, false);
            bool ignores = a.Ignores != 0;
            int label = labels[row], ignored = (int)a.IgnoreIndex;
            bool labelIgnored = ignores && label == ignored;
            if (soft) return new RowTarget(-1, -1, 0, 0, labelIgnored, false);
            bool labelInvalid = !labelIgnored && (label < 0 || label >= classes);
            if (others == null) return new RowTarget(labelIgnored ? -1 : label, -1, labelIgnored ? 0 : 1, 0, labelIgnored, labelInvalid);

            int other = others[row];
            bool otherIgnored = ignores && other == ignored, otherInvalid = !otherIgnored && (other < 0 || other >= classes);
            double share = FiniteOrNaN(CpuElement.ToDouble(a.LabelShares.Pointer<TReal>()[row]));
            return new RowTarget(
                labelIgnored ? -1 : label, otherIgnored ? -1 : other, labelIgnored ? 0 : share, otherIgnored ? 0 : 1 - share,
                labelIgnored && otherIgnored,
                labelInvalid || otherInvalid);
        }

        public double Of(long k) => (k == Label ? Share : 0) + (k == OtherLabel ? OtherShare : 0);
    }

    /// <summary>Sums over a row: z - largest is x, e its exponential.</summary>
    private struct RowSums
    {
        public double Largest;
        public double Sum;
        public double Moment;
        public double Count;
        public Differences Spread;
        public Differences Target;
    }

    /// <summary>
    /// Sums of weights and of weights times x. Differences of finite doubles reach twice the largest number, and their sum over a row more:
    /// what lies beyond 2^64 is summed apart, in units of 2^32.
    /// </summary>
    private record struct Differences(double Weight, double Sum)
    {
        private const double Unit = 1L << 32;
        private const double Farthest = -Unit * Unit;
        private double _beyond;

        /// <summary>-infinity stays, also in a row of masked classes.</summary>
        public void Add(double weight, double z, double largest)
        {
            double x = double.IsNegativeInfinity(z) ? z : z - largest;
            if (x < Farthest)
            {
                _beyond += weight * ((z / Unit) - (largest / Unit) - (Farthest / Unit));
                x = Farthest;
            }

            Weight += weight;
            Sum += weight * x;
        }

        /// <summary>Their part of the loss for a factor that is not 0.</summary>
        public readonly double Loss(double factor, double logSum) => (factor * ((Weight * logSum) - Sum)) - (factor * _beyond * Unit);
    }

    /// <summary>What follows from the sums: the loss, and what the gradient of each class is made of.</summary>
    private readonly struct RowFactors
    {
        public readonly double Loss;
        public readonly double Kept;
        public readonly double Spread;
        public readonly double Total;
        public readonly double Push;

        /// <summary>Added to z - largest it is log p + H.</summary>
        public readonly double Surprise;

        public RowFactors(in CrossEntropyArguments a, in RowSums sums, in RowTarget target)
        {
            bool soft = a.Probabilities.IsPresent;
            double share = soft ? 1 : target.Share + target.OtherShare, weight = soft ? 1 : sums.Target.Weight;
            double receivers = a.OthersOnly != 0 ? sums.Count - 1 : sums.Count, perClass = receivers > 0 ? a.Smoothing / receivers : 0;
            Kept = 1 - (a.OthersOnly != 0 ? perClass * sums.Count : a.Smoothing);
            Spread = share * perClass;
            double logSum = Math.Log(sums.Sum), logSumExp = sums.Largest + logSum;
            if (Kept != 0)
            {
                Loss = sums.Target.Loss(Kept, logSum);
                Total = Kept * sums.Target.Weight;
            }

            if (Spread != 0)
            {
                Loss += sums.Spread.Loss(Spread, logSum);
                Total += Spread * sums.Spread.Weight;
            }

            if (a.LsePenalty != 0)
            {
                Loss += weight * a.LsePenalty * logSumExp * logSumExp;
                Total += weight * 2 * a.LsePenalty * logSumExp;
            }

            if (a.Penalty != 0)
            {
                double entropy = logSum - (sums.Moment / sums.Sum);
                bool enough = a.HasThreshold != 0 && entropy >= a.Threshold;
                Push = enough ? 0 : weight * a.Penalty;
                if (!enough) Loss += Push * (a.Threshold - entropy);
                Surprise = entropy - logSum;
            }

            // Also where nothing of the target is left that could be NaN.
            if (!(sums.Sum > 0)) Loss = double.NaN;
        }
    }

    private readonly struct CpuRows : ICpuKernel<CrossEntropyArguments>
    {
        public static void Run<T>(in KernelVariant variant, in CrossEntropyArguments arguments)
            where T : unmanaged
        {
            CrossEntropyArguments a = arguments;
            (long rows, long classes) = ((long)a.Rows, (long)a.Classes);
            T* gradient = a.Gradient.Pointer<T>();

            // Short rows would be mostly heads and tails of lines.
            bool streaming = gradient != null && gradient != a.Logits.Pointer<T>() && (nuint)gradient % (nuint)sizeof(T) == 0
                && classes * sizeof(T) >= ShortestStreamedRow && rows * classes * sizeof(T) >= CpuStreaming.ThresholdBytes;
            CpuParallel.ForRange(rows, Math.Max(1, CpuParallel.ElementsPerChunk / classes), (first, end) =>
            {
                if (typeof(T) == typeof(double))
                    RowsInDouble(a, first, end);
                else
                    RowsInFloat<T>(a, first, end, streaming);
            });
        }

        private static void RowsInFloat<T>(in CrossEntropyArguments a, long first, long end, bool streaming)
            where T : unmanaged
        {
            int classes = (int)a.Classes;
            double scale = GradientScale<float>(a);
            float[] buffer = ArrayPool<float>.Shared.Rent(classes + (2 * Width));
            fixed (float* e = buffer)
            {
                for (long row = first; row < end; row++)
                {
                    T* z = a.Logits.Pointer<T>() + (row * classes);
                    T* gradient = a.Gradient.IsPresent ? a.Gradient.Pointer<T>() + (row * classes) : null;
                    RowTarget target = RowTarget.Read<float>(a.Target, row, classes, a.Probabilities.IsPresent);
                    if (Skips<T, float>(a, target, row, gradient)) continue;

                    ClassInputs<T> inputs = new(a, z, row);
                    RowSums sums = SumsOf(inputs, Largest(z, classes), e);
                    AddLabels(a, target, z, ref sums);
                    RowFactors factors = new(a, sums, target);
                    a.Losses.Pointer<float>()[row] = (float)factors.Loss;
                    if (gradient == null) continue;

                    double rowScale = scale * LossGradient<float>(a, row);
                    T label = Slope(a, factors, sums, target, z, e, target.Label, rowScale);
                    T other = Slope(a, factors, sums, target, z, e, target.OtherLabel, rowScale);
                    StoreSlopes(inputs, sums, factors, rowScale, e, gradient, streaming);
                    if (target.Label >= 0) gradient[target.Label] = label;
                    if (target.OtherLabel >= 0) gradient[target.OtherLabel] = other;
                }
            }

            ArrayPool<float>.Shared.Return(buffer);
        }

        /// <summary>The gradient of a label's class, from the logits before anything is written.</summary>
        private static T Slope<T>(
            in CrossEntropyArguments a, in RowFactors factors, in RowSums sums, in RowTarget target, T* z, float* e, int k, double scale)
            where T : unmanaged
        {
            if (k < 0 || float.IsNegativeInfinity(CpuElement.ToSingle(z[k]))) return default;
            double x = CpuSoftmax.Exponent(CpuElement.ToSingle(z[k]) - sums.Largest);
            return CpuElement.FromSingle<T>((float)(scale * SlopeOf(factors, e[k] / sums.Sum, x, target.Of(k), Weight<float>(a, k))));
        }

        private static void RowsInDouble(in CrossEntropyArguments a, long first, long end)
        {
            long classes = (long)a.Classes;
            double scale = GradientScale<double>(a);
            for (long row = first; row < end; row++)
            {
                double* z = a.Logits.Pointer<double>() + (row * classes), q = a.Probabilities.Pointer<double>() + (row * classes);
                double* gradient = a.Gradient.IsPresent ? a.Gradient.Pointer<double>() + (row * classes) : null;
                bool soft = a.Probabilities.IsPresent;
                RowTarget target = RowTarget.Read<double>(a.Target, row, classes, soft);
                if (Skips<double, double>(a, target, row, gradient)) continue;
                RowSums sums = new() { Largest = double.NegativeInfinity };
                for (long k = 0; k < classes; k++) sums.Largest = z[k] > sums.Largest ? z[k] : sums.Largest;
                for (long k = 0; k < classes; k++)
                {
                    double weight = Weight<double>(a, k);
                    if (soft && q[k] != 0) AddTarget(FiniteOrNaN(q[k]) * weight, z[k], ref sums);
                    if (double.IsNegativeInfinity(z[k])) continue;
                    double x = CpuSoftmax.Exponent(z[k] - sums.Largest), e = Math.Exp(x);
                    sums.Sum += e;
                    sums.Moment += e * x;
                    if (a.Smoothing == 0) continue;
                    sums.Count++;
                    sums.Spread.Add(weight, z[k], sums.Largest);
                }

                AddLabels(a, target, z, ref sums);
                RowFactors factors = new(a, sums, target);
                a.Losses.Pointer<double>()[row] = factors.Loss;
                double rowScale = scale * LossGradient<double>(a, row);
                for (long k = 0; gradient != null && k < classes; k++)
                {
                    if (double.IsNegativeInfinity(z[k]))
                    {
                        gradient[k] = 0;
                        continue;
                    }

                    double x = CpuSoftmax.Exponent(z[k] - sums.Largest), p = Math.Exp(x) / sums.Sum;
                    gradient[k] = rowScale * SlopeOf(factors, p, x, soft ? FiniteOrNaN(q[k]) : target.Of(k), Weight<double>(a, k));
                }
            }
        }

        /// <summary>A row without a gradient: all labels ignored, or one of them no class.</summary>
        private static bool Skips<T, TReal>(in CrossEntropyArguments a, in RowTarget target, long row, T* gradient)
            where T : unmanaged
            where TReal : unmanaged
        {
            if (!target.Ignored && !target.Invalid) return false;
            if (target.Invalid) CpuDataError.Report(a.Error, row);
            a.Losses.Pointer<TReal>()[row] = CpuElement.FromDouble<TReal>(target.Invalid ? double.NaN : 0);
            if (gradient != null) new Span<T>(gradient, (int)a.Classes).Clear();
            return true;
        }

        /// <summary>The slope of one class that is not masked, before it is scaled.</summary>
        private static double SlopeOf(in RowFactors factors, double p, double x, double q, double weight)
        {
            double c = factors.Kept != 0 && q != 0 ? factors.Kept * q * weight : 0;
            if (factors.Spread != 0) c += factors.Spread * weight;
            return (p * (factors.Push != 0 ? factors.Total + (factors.Push * (x + factors.Surprise)) : factors.Total)) - c;
        }

        private static void AddLabels<T>(in CrossEntropyArguments a, in RowTarget target, T* z, ref RowSums sums)
            where T : unmanaged
        {
            AddLabel(a, target.Label, target.Of(target.Label), z, ref sums);
            if (target.OtherLabel != target.Label) AddLabel(a, target.OtherLabel, target.OtherShare, z, ref sums);
        }

        private static void AddLabel<T>(in CrossEntropyArguments a, int label, double share, T* z, ref RowSums sums)
            where T : unmanaged
        {
            if (label < 0 || share == 0) return;
            double weight = typeof(T) == typeof(double) ? Weight<double>(a, label) : Weight<float>(a, label);
            AddTarget(share * weight, CpuElement.ToDouble(z[label]), ref sums);
        }

        private static void AddTarget(double c, double z, ref RowSums sums)
        {
            if (c != 0) sums.Target.Add(c, z, sums.Largest);
        }

        private static double Weight<TReal>(in CrossEntropyArguments a, long k)
            where TReal : unmanaged =>
            a.Target.ClassWeights.IsPresent ? FiniteOrNaN(CpuElement.ToDouble(a.Target.ClassWeights.Pointer<TReal>()[k])) : 1;

        private static double GradientScale<TReal>(in CrossEntropyArguments a)
            where TReal : unmanaged =>
            a.GradientScale * (a.Normalizer.IsPresent ? Inverse<TReal>(a.Normalizer, a.EmptyMean) : 1);

        private static double LossGradient<TReal>(in CrossEntropyArguments a, long row)
            where TReal : unmanaged =>
            a.LossGradient.IsPresent
                ? FiniteOrNaN(CpuElement.ToDouble(a.LossGradient.Pointer<TReal>()[row * (long)a.LossGradientStride])) : 1;
    }

    private static double Inverse<TReal>(TensorArgument normalizer, double emptyMean)
        where TReal : unmanaged
    {
        double total = CpuElement.ToDouble(*normalizer.Pointer<TReal>());
        return total == 0 ? emptyMean : 1 / total;
    }

    private readonly struct CpuNormalizer : ICpuKernel<CrossEntropyNormalizerArguments>
    {
        public static void Run<T>(in KernelVariant variant, in CrossEntropyNormalizerArguments arguments)
            where T : unmanaged
        {
            if (typeof(T) == typeof(double))
                Parts<double>(arguments);
            else
                Parts<float>(arguments);
        }

        private static void Parts<TReal>(CrossEntropyNormalizerArguments a)
            where TReal : unmanaged => CpuParallel.For((long)a.Parts, part =>
        {
            TReal* weights = a.Target.ClassWeights.Pointer<TReal>();
            double sum = 0;
            long end = Math.Min((long)a.Rows, (part + 1) * (long)a.Chunk);
            for (long row = part * (long)a.Chunk; row < end; row++)
            {
                RowTarget target = RowTarget.Read<TReal>(a.Target, row, (long)a.Classes, a.CountsRows != 0);
                double weight = a.CountsRows != 0 || target.Invalid
                    ? target.Ignored ? 0 : 1
                    : Part(target.Label, target.Share) + Part(target.OtherLabel, target.OtherShare);

                // A row whose weight is unknown counts once, so that it spoils no other row.
                sum += double.IsFinite(weight) ? weight : 1;
            }

            a.Sums.Pointer<TReal>()[part] = CpuElement.FromDouble<TReal>(sum);

            double Part(int label, double share) =>
                label < 0 ? 0 : weights == null ? share : share * FiniteOrNaN(CpuElement.ToDouble(weights[label]));
        });
    }

    private readonly struct CpuSum : ICpuKernel<CrossEntropySumArguments>
    {
        public static void Run<T>(in KernelVariant variant, in CrossEntropySumArguments arguments)
            where T : unmanaged
        {
            if (typeof(T) == typeof(double))
                Parts<double>(arguments);
            else
                Parts<float>(arguments);
        }

        private static void Parts<TReal>(CrossEntropySumArguments a)
            where TReal : unmanaged => CpuParallel.For((long)a.Parts, part =>
        {
            TReal* values = a.Values.Pointer<TReal>();
            double sum = 0, factor = a.Normalizer.IsPresent ? Inverse<TReal>(a.Normalizer, a.EmptyMean) : a.Factor;
            long end = Math.Min((long)a.Count, (part + 1) * (long)a.Chunk);
            for (long i = part * (long)a.Chunk; i < end; i++) sum += CpuElement.ToDouble(values[i]);
            a.Sums.Pointer<TReal>()[part] = CpuElement.FromDouble<TReal>(sum * factor);
        });
    }
}
