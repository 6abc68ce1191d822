using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Kernels.Cpu;
using Kernels.Devices.Cpu;

namespace Kernels;

public static unsafe partial class CrossEntropy
{
    /// <summary>What a row has for each class.</summary>
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

    /// <summary>scale * (p * total - spread): no class is masked, and all are alike.</summary>
    private readonly struct PlainSlopes(float* e, double total, double spread, double scale) : ISlopes
    {
        private readonly float* _e = e;
        private readonly Vector512<float> _total = Vector512.Create((float)total);
        private readonly Vector512<float> _spread = Vector512.Create((float)-spread);
        private readonly Vector512<float> _scale = Vector512.Create((float)scale);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> At(int i, int count) => _scale * Vector512.FusedMultiplyAdd(Vector512.Load(_e + i), _total, _spread);
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
            Vector512<float> p = Vector512.Load(_e + i) * Vector512.Create(_inverse), weight = _inputs.Weight(i, count);
            Vector512<float> c = Vector512.Create(_kept) * _inputs.Target(i, count, weight), total = Vector512.Create(_total);
            if (_spread != 0 || _push != 0)
            {
                Vector512<float> z = CpuElement.Load(_inputs.Z + i, count), masked = Vector512.Equals(z, Vector512.Create(float.NegativeInfinity));
                if (_spread != 0) c += Vector512.AndNot(Vector512.Create(_spread) * weight, masked);
                if (_push != 0)
                {
                    Vector512<float> x = Vector512.AndNot(z - Vector512.Create(_largest), masked);
                    total = Vector512.FusedMultiplyAdd(Vector512.Create(_push), x + Vector512.Create(_surprise), total);
                }
            }

            return Vector512.Create(_scale) * ((p * total) - c);
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
            spread += part == Width ? x : Vector512.ConditionalSelect(Vector512.LessThan(Vector512<int>.Indices, Vector512.Create(part)).AsSingle(), x, Vector512<float>.Zero);
        }

        float total = Vector512.Sum(spread + oddSpread);
        // A masked class shows in the total, and must be left out of it.
        if (inputs.Spreads && float.IsNegativeInfinity(total)) return AnySums(inputs, largest, e);
        return new RowSums
        {
            Largest = largest,
            Sum = Vector512.Sum(even + odd),
            Count = classes,
            SpreadWeight = classes,
            SpreadSum = total,
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
        Vector512<float> sum = zero, moment = zero, count = zero, spreadWeight = zero, spreadSum = zero, targetWeight = zero, targetSum = zero;
        for (int i = 0; i < row.Classes; i += Width)
        {
            int part = Math.Min(Width, row.Classes - i);
            Vector512<float> logits = CpuSoftmax.LoadLogits(row.Z + i, part), x = logits - shift, exponential = CpuExp.Exp(x);
            Vector512<float> masked = Vector512.Equals(logits, Vector512.Create(float.NegativeInfinity));
            exponential.Store(e + i);
            sum += exponential;
            moment += Vector512.AndNot(exponential * x, masked);
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

        return new RowSums
        {
            Largest = largest,
            Sum = Vector512.Sum(sum),
            Moment = Vector512.Sum(moment),
            Count = Vector512.Sum(count),
            SpreadWeight = Vector512.Sum(spreadWeight),
            SpreadSum = Vector512.Sum(spreadSum),
            TargetWeight = Vector512.Sum(targetWeight),
            TargetSum = Vector512.Sum(targetSum),
        };
    }

    private static void StoreSlopes<T>(ClassInputs<T> inputs, in RowSums sums, in RowFactors factors, double scale, float* e, T* gradient, bool streaming)
        where T : unmanaged
    {
        if (inputs.IsPlain && (factors.Spread == 0 || sums.Count == inputs.Classes))
            StoreSlopes(new PlainSlopes(e, factors.Total / sums.Sum, factors.Spread, scale), gradient, inputs.Classes, streaming);
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
