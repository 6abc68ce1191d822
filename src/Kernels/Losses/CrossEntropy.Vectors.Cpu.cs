using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Kernels.Cpu;
using Kernels.Devices.Cpu;

namespace Kernels;

public static unsafe partial class CrossEntropy
{
    /// <summary>The arrays of a row, one value for each class.</summary>
    private readonly struct ClassInputs<T>(in CrossEntropyArguments a, T* z, long row)
        where T : unmanaged
    {
        public readonly T* Z = z;
        public readonly T* Probabilities = a.Probabilities.IsPresent ? a.Probabilities.Pointer<T>() + (row * (long)a.Classes) : null;
        public readonly float* Weights = a.Target.ClassWeights.Pointer<float>();
        public readonly int Classes = (int)a.Classes;
        public readonly bool Spreads = a.Smoothing != 0;
        public readonly bool IsPlain = !a.Target.ClassWeights.IsPresent && !a.Probabilities.IsPresent && a.Penalty == 0;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> Weight(int i, int count) =>
            Weights == null ? Vector512<float>.One : FiniteOrNaN(CpuElement.Load(Weights + i, count));

        /// <summary>The probabilities times the weights; what is 0 stays 0.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> Target(int i, int count, Vector512<float> weight)
        {
            if (Probabilities == null) return Vector512<float>.Zero;
            Vector512<float> q = FiniteOrNaN(CpuElement.Load(Probabilities + i, count));
            return Vector512.ConditionalSelect(Vector512.Equals(q, Vector512<float>.Zero), q, q * weight);
        }

        /// <summary>An infinity less itself is NaN.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector512<float> FiniteOrNaN(Vector512<float> value) => value + (value - value);
    }

    /// <summary>The slopes of sixteen classes, before the labels are seen to.</summary>
    private interface ISlopes
    {
        Vector512<float> At(int i, int count);
    }

    /// <summary>
    /// scale * (p * total - spread), all of them finite: all classes are alike. The last 0 makes the slope of a masked class, 0 times the
    /// scale, +0 whatever the scale's sign.
    /// </summary>
    private readonly struct PlainSlopes(float* e, double total, double spread, double scale) : ISlopes
    {
        private readonly float* _e = e;
        private readonly Vector512<float> _total = Vector512.Create((float)total);
        private readonly Vector512<float> _spread = Vector512.Create((float)-spread);
        private readonly Vector512<float> _scale = Vector512.Create((float)scale);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> At(int i, int count) => Vector512.FusedMultiplyAdd(
            _scale, Vector512.FusedMultiplyAdd(Vector512.Load(_e + i), _total, _spread), Vector512<float>.Zero);
    }

    private readonly struct AnySlopes<T>(ClassInputs<T> inputs, float* e, in RowSums sums, in RowFactors factors, double scale) : ISlopes
        where T : unmanaged
    {
        private readonly ClassInputs<T> _inputs = inputs;
        private readonly float* _e = e;
        private readonly float _largest = (float)sums.Largest;
        private readonly float _inverse = (float)(1 / sums.Sum);
        private readonly float _kept = (float)factors.Kept;
        private readonly float _spread = (float)factors.Spread;
        private readonly float _total = (float)factors.Total;
        private readonly float _push = (float)factors.Push;
        private readonly float _surprise = (float)factors.Surprise;
        private readonly float _scale = (float)scale;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> At(int i, int count)
        {
            Vector512<float> z = CpuElement.Load(_inputs.Z + i, count), total = Vector512.Create(_total);
            Vector512<float> p = Vector512.Load(_e + i) * Vector512.Create(_inverse), weight = _inputs.Weight(i, count);
            Vector512<float> c = _kept == 0 ? Vector512<float>.Zero : Vector512.Create(_kept) * _inputs.Target(i, count, weight);
            if (_spread != 0) c += Vector512.Create(_spread) * weight;
            if (_push != 0)
            {
                Vector512<float> x = CpuSoftmax.Exponent(z - Vector512.Create(_largest));
                total = Vector512.FusedMultiplyAdd(Vector512.Create(_push), x + Vector512.Create(_surprise), total);
            }

            Vector512<float> masked = Vector512.Equals(z, Vector512.Create(float.NegativeInfinity));
            return Vector512.AndNot(Vector512.Create(_scale) * ((p * total) - c), masked);
        }
    }

    /// <summary>The largest logit; NaN is passed over and reaches the result through the sum.</summary>
    private static float Largest<T>(T* z, int classes)
        where T : unmanaged
    {
        Vector512<float> masked = Vector512.Create(float.NegativeInfinity), even = masked, odd = masked;
        int i = 0;
        for (; i + (2 * Width) <= classes; i += 2 * Width)
        {
            even = CpuSoftmax.Larger(CpuElement.Load(z + i), even);
            odd = CpuSoftmax.Larger(CpuElement.Load(z + i + Width), odd);
        }

        for (; i < classes; i += Width) even = CpuSoftmax.Larger(CpuSoftmax.LoadLogits(z + i, Math.Min(Width, classes - i)), even);
        return CpuSoftmax.Largest(CpuSoftmax.Larger(odd, even));
    }

    /// <summary>The exponentials to <paramref name="e"/>, and the sums that do not concern labels.</summary>
    private static RowSums SumsOf<T>(in ClassInputs<T> inputs, float largest, float* e)
        where T : unmanaged => inputs.IsPlain ? PlainSums(inputs, largest, e) : AnySums(inputs, largest, e);

    private static RowSums PlainSums<T>(in ClassInputs<T> inputs, float largest, float* e)
        where T : unmanaged
    {
        T* z = inputs.Z;
        int classes = inputs.Classes, i = 0;
        Vector512<float> shift = Vector512.Create(largest), even = Vector512<float>.Zero, odd = even, spread = even, oddSpread = even;
        for (; i + (2 * Width) <= classes; i += 2 * Width)
        {
            Prefetch(z + classes + i);
            Vector512<float> low = CpuElement.Load(z + i) - shift, high = CpuElement.Load(z + i + Width) - shift;
            if (inputs.Spreads)
            {
                spread += low;
                oddSpread += high;
            }

            low = CpuExp.Exp(low);
            high = CpuExp.Exp(high);
            low.Store(e + i);
            high.Store(e + i + Width);
            even += low;
            odd += high;
        }

        for (; i < classes; i += Width)
        {
            int part = Math.Min(Width, classes - i);
            Vector512<float> x = CpuSoftmax.LoadLogits(z + i, part) - shift, exponential = CpuExp.Exp(x);
            exponential.Store(e + i);
            even += exponential;
            spread += part == Width
                ? x
                    : Vector512.ConditionalSelect(
                        Vector512.LessThan(Vector512<int>.Indices, Vector512.Create(part)).AsSingle(), x, Vector512<float>.Zero);
        }

        float total = Vector512.Sum(spread + oddSpread);
        // It shows in the total when it is too large for a float, or when a class is masked, which must be left out of it.
        if (inputs.Spreads && float.IsNegativeInfinity(total)) return AnySums(inputs, largest, e);
        return new RowSums
        {
            Largest = largest,
            Sum = Vector512.Sum(even + odd),
            Count = classes,
            Spread = new Differences(classes, total),
        };
    }

    /// <summary>Asks for two vectors of the next row while this one is calculated with. Past the end it does no harm.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Prefetch<T>(T* next)
        where T : unmanaged
    {
        if (!Sse.IsSupported) return;
        Sse.Prefetch0(next);
        if (sizeof(T) == sizeof(float)) Sse.Prefetch0(next + Width);
    }

    private static RowSums AnySums<T>(in ClassInputs<T> inputs, float largest, float* e)
        where T : unmanaged
    {
        ClassInputs<T> row = inputs;
        Vector512<float> shift = Vector512.Create(largest), zero = Vector512<float>.Zero;
        Vector512<float> sum = zero, moment = zero, count = zero, spreadWeight = zero, spreadSum = zero, targetWeight = zero,
            targetSum = zero;
        for (int i = 0; i < row.Classes; i += Width)
        {
            int part = Math.Min(Width, row.Classes - i);
            Vector512<float> logits = CpuSoftmax.LoadLogits(row.Z + i, part), x = logits - shift, exponential = CpuExp.Exp(x);
            Vector512<float> masked = Vector512.Equals(logits, Vector512.Create(float.NegativeInfinity));
            exponential.Store(e + i);
            sum += exponential;
            moment += exponential * CpuSoftmax.Exponent(x);
            Vector512<float> weight = row.Weight(i, part);
            if (row.Spreads)
            {
                count += Vector512.AndNot(Vector512<float>.One, masked);
                spreadWeight += Vector512.AndNot(weight, masked);
                spreadSum += Vector512.AndNot(weight * x, masked);
            }

            if (row.Probabilities == null) continue;
            Vector512<float> c = row.Target(i, part, weight);
            targetWeight += c;
            targetSum += Vector512.AndNot(c * x, Vector512.Equals(c, zero));
        }

        RowSums sums = new()
        {
            Largest = largest,
            Sum = Vector512.Sum(sum),
            Moment = Vector512.Sum(moment),
            Count = Vector512.Sum(count),
            Spread = new Differences(Vector512.Sum(spreadWeight), Vector512.Sum(spreadSum)),
            Target = new Differences(Vector512.Sum(targetWeight), Vector512.Sum(targetSum)),
        };
        if (!double.IsFinite(sums.Spread.Sum + sums.Target.Sum)) SumInDouble(row, ref sums);
        return sums;
    }

    /// <summary>The sums of differences, which can be beyond the largest float: finite logits alone may differ by twice that.</summary>
    private static void SumInDouble<T>(in ClassInputs<T> row, ref RowSums sums)
        where T : unmanaged
    {
        (sums.Spread, sums.Target) = (default, default);
        for (int k = 0; k < row.Classes; k++)
        {
            double z = CpuElement.ToDouble(row.Z[k]), weight = row.Weights == null ? 1 : FiniteOrNaN(row.Weights[k]);
            double q = row.Probabilities == null ? 0 : FiniteOrNaN(CpuElement.ToDouble(row.Probabilities[k]));
            if (row.Spreads && !double.IsNegativeInfinity(z)) sums.Spread.Add(weight, z, sums.Largest);
            if (q != 0 && q * weight != 0) sums.Target.Add(q * weight, z, sums.Largest);
        }
    }

    private static void StoreSlopes<T>(
        ClassInputs<T> inputs, in RowSums sums, in RowFactors factors, double scale, float* e, T* gradient, bool streaming)
        where T : unmanaged
    {
        // Where something is NaN or infinite the masked classes have to be told from the others.
        double perExponential = factors.Total / sums.Sum;
        bool isFinite = float.IsFinite((float)(perExponential + factors.Spread)) && float.IsFinite((float)scale);
        if (inputs.IsPlain && isFinite && (factors.Spread == 0 || sums.Count == inputs.Classes))
            StoreSlopes(new PlainSlopes(e, perExponential, factors.Spread, scale), gradient, inputs.Classes, streaming);
        else
            StoreSlopes(new AnySlopes<T>(inputs, e, sums, factors, scale), gradient, inputs.Classes, streaming);
    }

    private static void StoreSlopes<T, TSlopes>(TSlopes slopes, T* gradient, int classes, bool streaming)
        where T : unmanaged
        where TSlopes : struct, ISlopes
    {
        int i = 0;
        if (streaming)
        {
            int head = (int)(-(nint)gradient & 63) / sizeof(T);
            for (int part; i < head; i += part)
            {
                part = Math.Min(Width, head - i);
                CpuElement.Store(gradient + i, slopes.At(i, part), part);
            }

            for (; i + (2 * Width) <= classes; i += 2 * Width)
                CpuElement.Store32<T, StreamingStore>(gradient + i, slopes.At(i, Width), slopes.At(i + Width, Width));
        }

        for (; i + (2 * Width) <= classes; i += 2 * Width)
            CpuElement.Store32<T, CachedStore>(gradient + i, slopes.At(i, Width), slopes.At(i + Width, Width));
        for (int part; i < classes; i += part)
        {
            part = Math.Min(Width, classes - i);
            CpuElement.Store(gradient + i, slopes.At(i, part), part);
        }
    }
}
