using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

public static unsafe partial class DropConnect
{
    /// <summary>Inputs whose gradients are summed at a time: they stay in the first-level cache.</summary>
    private const int GradientTile = 2048;

    /// <summary>The work on the kept elements of a row; a type parameter, so that the walk is compiled for it.</summary>
    private interface IKeptElements
    {
        /// <summary>The 64 elements from <paramref name="i"/> on under masks of 16 bits each, ones where kept.</summary>
        void Whole(long i, Vector512<ushort> low, Vector512<ushort> high);

        /// <summary>The 16 elements from <paramref name="i"/> on, likewise.</summary>
        void Sixteen(long i, Vector512<int> mask);

        /// <summary>One kept element.</summary>
        void One(long i);
    }

    /// <summary>
    /// Walks a row whose masks start at index <paramref name="start"/>. Draws are aligned to blocks, so the first and the last are used in
    /// part.
    /// </summary>
    private static void Walk<T, TElements>(in CpuPhilox philox, ulong start, long count, uint threshold, ref TElements elements)
        where T : unmanaged
        where TElements : struct, IKeptElements
    {
        Vector512<ushort> limit = CpuKeepMap.ThresholdVector(threshold);
        ushort* lanes = stackalloc ushort[CpuPhilox.LanesOfFour];
        for (long i = -(long)(start % Philox.LanesPerBlock); i < count; i += CpuPhilox.Lanes)
        {
            for (; typeof(T) != typeof(double) && i >= 0 && i + CpuPhilox.LanesOfFour <= count; i += CpuPhilox.LanesOfFour)
            {
                philox.DrawFour((start + (ulong)i) / Philox.LanesPerBlock, lanes);
                for (int lane = 0; lane < CpuPhilox.LanesOfFour; lane += CpuPhilox.Lanes)
                {
                    elements.Whole(
                        i + lane, Vector512.LessThan(Vector512.Load(lanes + lane), limit),
                        Vector512.LessThan(Vector512.Load(lanes + lane + 32), limit));
                }
            }

            if (i >= count) break;
            philox.Draw((start + (ulong)i) / Philox.LanesPerBlock, out Vector512<ushort> low, out Vector512<ushort> high);
            (low, high) = (Vector512.LessThan(low, limit), Vector512.LessThan(high, limit));
            if (typeof(T) != typeof(double) && i >= 0 && i + CpuPhilox.Lanes <= count)
            {
                elements.Whole(i, low, high);
                continue;
            }

            ulong kept = low.ExtractMostSignificantBits() | (high.ExtractMostSignificantBits() << 32);
            low.Store(lanes);
            high.Store(lanes + 32);
            for (int lane = 0; typeof(T) != typeof(double) && i >= 0 && i + lane + 16 <= count; lane += 16)
            {
                Vector256<short> mask = Vector256.Load((short*)lanes + lane);
                elements.Sixteen(i + lane, Vector512.Create(Vector256.WidenLower(mask), Vector256.WidenUpper(mask)));
                kept &= ~(0xffffUL << lane);
            }

            if (i < 0) kept &= ulong.MaxValue << (int)-i;
            if (count - i < CpuPhilox.Lanes) kept &= (1UL << (int)(count - i)) - 1;
            for (; kept != 0; kept &= kept - 1) elements.One(i + BitOperations.TrailingZeroCount(kept));
        }
    }

    /// <summary>
    /// sums[i] = sum over t of m[t, i] factor[t] source[t, i] with masks that start at start(t), for the <paramref name="width"/> elements
    /// of a tile.
    /// </summary>
    private static void SumTerms<T, TTerms>(in CpuPhilox philox, long terms, long width, uint threshold, double* sums, TTerms term)
        where T : unmanaged
        where TTerms : struct, ITerms<T>
    {
        new Span<double>(sums, (int)width).Clear();
        for (long t = 0; t < terms; t++)
        {
            ScaledSum<T> sum = new(term.Source(t), sums, term.Factor(t));
            Walk<T, ScaledSum<T>>(philox, term.MaskStart(t), width, threshold, ref sum);
        }
    }

    private static T ScaledResult<T>(double* sums, long i, double scale)
        where T : unmanaged =>
        CpuElement.FromDouble<T>(scale * (typeof(T) == typeof(double) ? sums[i] : ((float*)sums)[i]));

    /// <summary>The terms of a sum of rows: elements, a factor for each row, and where the row's masks start.</summary>
    private interface ITerms<T>
        where T : unmanaged
    {
        T* Source(long t);

        double Factor(long t);

        ulong MaskStart(long t);
    }

    /// <summary>The sum of w * x over the kept elements of a row.</summary>
    private struct DotProduct<T>(T* weight, T* x) : IKeptElements
        where T : unmanaged
    {
        // Four chains of additions, so that none waits for itself.
        private Vector512<float> _sum0, _sum1, _sum2, _sum3;
        private double _rest;

        public readonly double Sum => _rest + Vector512.Sum((_sum0 + _sum1) + (_sum2 + _sum3));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Whole(long i, Vector512<ushort> low, Vector512<ushort> high)
        {
            _sum0 += Product(i, Vector512.WidenLower(low.AsInt16()));
            _sum1 += Product(i + 16, Vector512.WidenUpper(low.AsInt16()));
            _sum2 += Product(i + 32, Vector512.WidenLower(high.AsInt16()));
            _sum3 += Product(i + 48, Vector512.WidenUpper(high.AsInt16()));
        }

        public void Sixteen(long i, Vector512<int> mask) => _sum0 += Product(i, mask);

        public void One(long i) => _rest += CpuElement.ToDouble(weight[i]) * CpuElement.ToDouble(x[i]);

        /// <summary>The mask selects the product's bits: what is dropped is 0 whatever it was.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private readonly Vector512<float> Product(long i, Vector512<int> mask) =>
            ((CpuElement.Load(weight + i) * CpuElement.Load(x + i)).AsInt32() & mask).AsSingle();
    }

    /// <summary>sums += factor * the kept elements of a row. Sums of floats lie in the lower half of the memory for doubles.</summary>
    private readonly struct ScaledSum<T>(T* source, double* sums, double factor) : IKeptElements
        where T : unmanaged
    {
        private readonly double _factor = factor;
        private readonly Vector512<float> _factors = Vector512.Create((float)factor);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Whole(long i, Vector512<ushort> low, Vector512<ushort> high)
        {
            Add(i, Vector512.WidenLower(low.AsInt16()));
            Add(i + 16, Vector512.WidenUpper(low.AsInt16()));
            Add(i + 32, Vector512.WidenLower(high.AsInt16()));
            Add(i + 48, Vector512.WidenUpper(high.AsInt16()));
        }

        public void Sixteen(long i, Vector512<int> mask) => Add(i, mask);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void One(long i)
        {
            if (typeof(T) == typeof(double))
                sums[i] += _factor * CpuElement.ToDouble(source[i]);
            else
                ((float*)sums)[i] += (float)_factor * CpuElement.ToSingle(source[i]);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private void Add(long i, Vector512<int> mask)
        {
            float* sum = (float*)sums + i;
            (Vector512.Load(sum) + ((CpuElement.Load(source + i) * _factors).AsInt32() & mask).AsSingle()).Store(sum);
        }
    }

    private readonly struct CpuForward : ICpuKernel<DropConnectForwardArguments>
    {
        public static void Run<T>(in KernelVariant variant, in DropConnectForwardArguments arguments)
            where T : unmanaged
        {
            DropConnectForwardArguments a = arguments;
            RandomKey key = a.Key.Resolve();
            CpuPhilox philox = new(key);
            (long examples, long inputs, long outputs) = ((long)a.Examples, (long)a.Inputs, (long)a.Outputs);

            // A row of weights meets all examples before the next one is read: it stays in the first-level cache, the examples in the
            // second.
            CpuParallel.ForRange(examples * outputs, Math.Max(1, CpuParallel.ElementsPerChunk / Math.Max(1, inputs)), (first, end) =>
            {
                CpuPhilox local = philox;
                T* bias = a.Bias.Pointer<T>();
                for (long i = first; i < end; i++)
                {
                    (long output, long example) = Math.DivRem(i, examples);
                    ulong pair = a.FirstPair + (ulong)((example * outputs) + output);
                    DotProduct<T> product = new(a.Weight.Pointer<T>() + (output * inputs), a.X.Pointer<T>() + (example * inputs));
                    Walk<T, DotProduct<T>>(local, pair * a.Inputs, inputs, a.Threshold, ref product);
                    double sum = product.Sum;
                    if (bias != null && Philox.Lane(key, BiasMask + pair) < a.Threshold) sum += CpuElement.ToDouble(bias[output]);
                    a.Y.Pointer<T>()[(example * outputs) + output] = CpuElement.FromDouble<T>(a.Scale * sum);
                }
            });
        }
    }

    private readonly struct CpuGradient : ICpuKernel<DropConnectGradientArguments>
    {
        public static void Run<T>(in KernelVariant variant, in DropConnectGradientArguments arguments)
            where T : unmanaged
        {
            DropConnectGradientArguments a = arguments;
            CpuPhilox philox = new(a.Key.Resolve());
            (long terms, long inputs) = ((long)a.Terms, (long)a.Inputs);
            long tiles = (inputs + GradientTile - 1) / GradientTile;
            long work = Math.Max(1, terms) * Math.Min(inputs, GradientTile);
            CpuParallel.ForRange((long)a.Rows * tiles, Math.Max(1, CpuParallel.ElementsPerChunk / work), (first, end) =>
            {
                CpuPhilox local = philox;
                double* sums = stackalloc double[GradientTile];
                for (long piece = first; piece < end; piece++)
                {
                    (long row, long tile) = Math.DivRem(piece, tiles);
                    long start = tile * GradientTile, width = Math.Min(GradientTile, inputs - start);
                    SumTerms<T, Terms<T>>(local, terms, width, a.Threshold, sums, new(a, row, start));
                    T* result = a.Result.Pointer<T>() + (row * inputs) + start;
                    for (long i = 0; i < width; i++) result[i] = ScaledResult<T>(sums, i, a.Scale);
                }
            });
        }

        /// <summary>The pairs of a row of the result: dy[pair] * source[t].</summary>
        private readonly struct Terms<T>(in DropConnectGradientArguments a, long row, long start) : ITerms<T>
            where T : unmanaged
        {
            private readonly T* _source = a.Source.Pointer<T>() + start;
            private readonly T* _dy = a.Dy.Pointer<T>() + (row * (long)a.RowStride);
            private readonly ulong _firstPair = a.FirstPair + ((ulong)row * a.RowStride);
            private readonly ulong _inputs = a.Inputs;
            private readonly ulong _stride = a.TermStride;
            private readonly ulong _start = (ulong)start;

            public T* Source(long t) => _source + ((ulong)t * _inputs);

            public double Factor(long t) => CpuElement.ToDouble(_dy[(ulong)t * _stride]);

            public ulong MaskStart(long t) => ((_firstPair + ((ulong)t * _stride)) * _inputs) + _start;
        }
    }

    private readonly struct CpuBiasGradient : ICpuKernel<DropConnectBiasGradientArguments>
    {
        public static void Run<T>(in KernelVariant variant, in DropConnectBiasGradientArguments arguments)
            where T : unmanaged
        {
            DropConnectBiasGradientArguments a = arguments;
            CpuPhilox philox = new(a.Key.Resolve());
            long outputs = (long)a.Outputs;
            CpuParallel.ForRange(outputs, GradientTile, (first, end) =>
            {
                CpuPhilox local = philox;
                double* sums = stackalloc double[GradientTile];
                SumTerms<T, Terms<T>>(local, (long)a.Examples, end - first, a.Threshold, sums, new(a, first));
                for (long i = first; i < end; i++) a.Dbias.Pointer<T>()[i] = ScaledResult<T>(sums, i - first, a.Scale);
            });
        }

        /// <summary>The rows of dy themselves.</summary>
        private readonly struct Terms<T>(in DropConnectBiasGradientArguments a, long first) : ITerms<T>
            where T : unmanaged
        {
            private readonly T* _dy = a.Dy.Pointer<T>() + first;
            private readonly ulong _start = BiasMask + a.FirstPair + (ulong)first;
            private readonly ulong _outputs = a.Outputs;

            public T* Source(long t) => _dy + ((ulong)t * _outputs);

            public double Factor(long t) => 1;

            public ulong MaskStart(long t) => _start + ((ulong)t * _outputs);
        }
    }
}
