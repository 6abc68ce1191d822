using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

public static unsafe partial class AdaptiveDropout
{
    /// <summary>The work on elements and their random lanes; a type parameter, so that the loop is compiled for it.</summary>
    private interface IElements
    {
        /// <summary>False where the lanes are not looked at.</summary>
        bool Draws { get; }

        /// <summary>The 32 elements from <paramref name="i"/> on; not for double.</summary>
        void Whole(long i, Vector512<ushort> lanes);

        /// <summary>The <paramref name="count"/> elements from <paramref name="i"/> on, at most 16.</summary>
        void Part(long i, Vector512<uint> lanes, int count);
    }

    /// <summary>
    /// All elements, on all cores. Draws are aligned to blocks of the whole tensor, so the first and the last are used in part.
    /// </summary>
    private static void Run<T, TElements>(ulong length, ulong start, in KeyArguments key, TElements elements)
        where T : unmanaged
        where TElements : struct, IElements
    {
        CpuPhilox philox = new(key.Resolve());
        long count = (long)length;
        long head = Math.Min(count, (long)(((ulong)Philox.LanesPerBlock - (start % Philox.LanesPerBlock)) % Philox.LanesPerBlock));
        Parts(philox, elements, start - (start % Philox.LanesPerBlock), (int)(start % Philox.LanesPerBlock), 0, head);
        CpuParallel.ForRange(count - head, CpuParallel.ElementsPerChunk, (first, end) =>
        {
            CpuPhilox local = philox;
            TElements body = elements;
            long i = head + first;
            ushort* lanes = stackalloc ushort[CpuPhilox.LanesOfFour];
            for (; typeof(T) != typeof(double) && i + CpuPhilox.LanesOfFour <= head + end; i += CpuPhilox.LanesOfFour)
            {
                if (body.Draws) local.DrawFour((start + (ulong)i) / Philox.LanesPerBlock, lanes);
                for (int lane = 0; lane < CpuPhilox.LanesOfFour; lane += 32) body.Whole(i + lane, Vector512.Load(lanes + lane));
            }

            for (; i < head + end; i += CpuPhilox.Lanes)
                Parts(local, body, start + (ulong)i, 0, i, Math.Min(CpuPhilox.Lanes, head + end - i));
        });
    }

    /// <summary>Part of one draw: its lanes from <paramref name="skip"/> on serve <paramref name="count"/> elements.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Parts<TElements>(in CpuPhilox philox, TElements elements, ulong drawStart, int skip, long i, long count)
        where TElements : struct, IElements
    {
        if (count == 0) return;
        philox.Draw(drawStart / Philox.LanesPerBlock, out Vector512<ushort> low, out Vector512<ushort> high);
        uint* lanes = stackalloc uint[CpuPhilox.Lanes + CpuElement.Width];
        Vector512.WidenLower(low).Store(lanes);
        Vector512.WidenUpper(low).Store(lanes + 16);
        Vector512.WidenLower(high).Store(lanes + 32);
        Vector512.WidenUpper(high).Store(lanes + 48);
        for (int done = 0; done < count; done += CpuElement.Width)
            elements.Part(i + done, Vector512.Load(lanes + skip + done), (int)Math.Min(CpuElement.Width, count - done));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store32<T, TStore>(T* y, Vector512<float> low, Vector512<float> high)
        where T : unmanaged
        where TStore : struct, IVectorStore
    {
        if (typeof(T) == typeof(float))
        {
            TStore.Store((byte*)y, low.AsByte());
            TStore.Store((byte*)(y + 16), high.AsByte());
        }
        else
        {
            TStore.Store((byte*)y, Vector512.Create(CpuElement.NarrowToStored<T>(low), CpuElement.NarrowToStored<T>(high)).AsByte());
        }
    }

    /// <summary>
    /// True when results of <paramref name="count"/> elements at y go past the caches; never where they take the place of an input.
    /// </summary>
    private static bool Streams<T>(ulong start, ulong count, T* y, params ReadOnlySpan<nuint> inputs)
        where T : unmanaged
    {
        ulong head = ((ulong)Philox.LanesPerBlock - (start % Philox.LanesPerBlock)) % Philox.LanesPerBlock;
        return !inputs.Contains((nuint)y) && CpuStreaming.Pays(y + head, (long)count * sizeof(T));
    }

    /// <summary>z in float, whatever is stored.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Z<T>(T* pre, int count, double alpha, double beta)
        where T : unmanaged =>
        typeof(T) == typeof(double)
            ? FromDoubles((double*)pre, count, alpha, beta)
            : Vector512.FusedMultiplyAdd(Vector512.Create((float)alpha), CpuElement.Load(pre, count), Vector512.Create((float)beta));

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Vector512<float> FromDoubles(double* pre, int count, double alpha, double beta)
    {
        float* z = stackalloc float[CpuElement.Width];
        for (int k = 0; k < CpuElement.Width; k++) z[k] = k < count ? (float)Math.FusedMultiplyAdd(alpha, pre[k], beta) : 0;
        return Vector512.Load(z);
    }

    /// <summary>Ones where u + u * e^-z &lt; 65536, u = lane + 1/2: the same operations as in the kernel, so the same bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Keeps(Vector512<uint> lanes, Vector512<float> z)
    {
        Vector512<float> u = Vector512.ConvertToSingle(lanes.AsInt32()) + Vector512.Create(0.5f);
        return Vector512.LessThan(Vector512.FusedMultiplyAdd(u, CpuMath.Exp(-z), u), Vector512.Create(65536f));
    }

    /// <summary>pi, and pi * (1 - pi), from t = e^-|z|, so that nothing overflows and nothing cancels.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> KeepProbability(Vector512<float> z, out Vector512<float> slope)
    {
        Vector512<float> t = CpuExp.Exp(-Vector512.Abs(z)), larger = Vector512<float>.One / (Vector512<float>.One + t),
            smaller = t * larger;
        slope = larger * smaller;
        return Vector512.ConditionalSelect(Vector512.LessThan(z, Vector512<float>.Zero), smaller, larger);
    }

    private static double KeepProbability(double z, out double slope)
    {
        double t = Math.Exp(-Math.Abs(z)), larger = 1 / (1 + t), smaller = t * larger;
        slope = larger * smaller;
        return z < 0 ? smaller : larger;
    }

    private readonly struct CpuForward : ICpuKernel<AdaptiveDropoutForwardArguments>
    {
        public static void Run<T>(in KernelVariant variant, in AdaptiveDropoutForwardArguments a)
            where T : unmanaged
        {
            if (Streams(a.Start, a.Count, a.Y.Pointer<T>(), (nuint)a.X.Pointer<T>(), (nuint)a.Pre.Pointer<T>()))
                AdaptiveDropout.Run<T, Elements<T, StreamingStore>>(a.Count, a.Start, a.Key, new(a));
            else
                AdaptiveDropout.Run<T, Elements<T, CachedStore>>(a.Count, a.Start, a.Key, new(a));
        }

        private readonly struct Elements<T, TStore>(in AdaptiveDropoutForwardArguments a) : IElements
            where T : unmanaged
            where TStore : struct, IVectorStore
        {
            private readonly T* _x = a.X.Pointer<T>();
            private readonly T* _pre = a.Pre.Pointer<T>();
            private readonly T* _y = a.Y.Pointer<T>();
            private readonly double _alpha = a.Alpha;
            private readonly double _beta = a.Beta;

            public bool Draws => true;

            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            public void Whole(long i, Vector512<ushort> lanes) => Store32<T, TStore>(
                _y + i, Kept(i, Vector512.WidenLower(lanes), CpuElement.Width),
                Kept(i + 16, Vector512.WidenUpper(lanes), CpuElement.Width));

            public void Part(long i, Vector512<uint> lanes, int count)
            {
                if (typeof(T) != typeof(double))
                {
                    CpuElement.Store(_y + i, Kept(i, lanes, count), count);
                    return;
                }

                ulong kept = Keeps(lanes, Z(_pre + i, count, _alpha, _beta)).ExtractMostSignificantBits();
                for (int k = 0; k < count; k++) _y[i + k] = (kept >> k & 1) != 0 ? _x[i + k] : default;
            }

            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            private Vector512<float> Kept(long i, Vector512<uint> lanes, int count) =>
                CpuElement.Load(_x + i, count) & Keeps(lanes, Z(_pre + i, count, _alpha, _beta));
        }
    }

    private readonly struct CpuInfer : ICpuKernel<AdaptiveDropoutInferArguments>
    {
        public static void Run<T>(in KernelVariant variant, in AdaptiveDropoutInferArguments a)
            where T : unmanaged
        {
            if (Streams(0, a.Count, a.Y.Pointer<T>(), (nuint)a.X.Pointer<T>(), (nuint)a.Pre.Pointer<T>()))
                AdaptiveDropout.Run<T, Elements<T, StreamingStore>>(a.Count, 0, default, new(a));
            else
                AdaptiveDropout.Run<T, Elements<T, CachedStore>>(a.Count, 0, default, new(a));
        }

        private readonly struct Elements<T, TStore>(in AdaptiveDropoutInferArguments a) : IElements
            where T : unmanaged
            where TStore : struct, IVectorStore
        {
            private readonly T* _x = a.X.Pointer<T>();
            private readonly T* _pre = a.Pre.Pointer<T>();
            private readonly T* _y = a.Y.Pointer<T>();
            private readonly double _alpha = a.Alpha;
            private readonly double _beta = a.Beta;

            public bool Draws => false;

            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            public void Whole(long i, Vector512<ushort> lanes) =>
                Store32<T, TStore>(_y + i, Weighted(i, CpuElement.Width), Weighted(i + 16, CpuElement.Width));

            public void Part(long i, Vector512<uint> lanes, int count)
            {
                if (typeof(T) != typeof(double))
                {
                    CpuElement.Store(_y + i, Weighted(i, count), count);
                    return;
                }

                for (long k = i; k < i + count; k++)
                {
                    double probability = KeepProbability(Math.FusedMultiplyAdd(_alpha, CpuElement.ToDouble(_pre[k]), _beta), out _);
                    _y[k] = CpuElement.FromDouble<T>(CpuElement.ToDouble(_x[k]) * probability);
                }
            }

            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            private Vector512<float> Weighted(long i, int count) =>
                CpuElement.Load(_x + i, count) * KeepProbability(Z(_pre + i, count, _alpha, _beta), out _);
        }
    }

    private readonly struct CpuBackward : ICpuKernel<AdaptiveDropoutBackwardArguments>
    {
        public static void Run<T>(in KernelVariant variant, in AdaptiveDropoutBackwardArguments a)
            where T : unmanaged
        {
            nuint x = (nuint)a.X.Pointer<T>(), pre = (nuint)a.Pre.Pointer<T>(), dy = (nuint)a.Dy.Pointer<T>();
            bool streams = Streams(a.Start, a.Count, a.Dx.Pointer<T>(), x, pre, dy)
                && (!a.Dpre.IsPresent || Streams(a.Start, a.Count, a.Dpre.Pointer<T>(), x, pre, dy));
            if (streams)
                AdaptiveDropout.Run<T, Elements<T, StreamingStore>>(a.Count, a.Start, a.Key, new(a));
            else
                AdaptiveDropout.Run<T, Elements<T, CachedStore>>(a.Count, a.Start, a.Key, new(a));
        }

        private readonly struct Elements<T, TStore>(in AdaptiveDropoutBackwardArguments a) : IElements
            where T : unmanaged
            where TStore : struct, IVectorStore
        {
            private readonly T* _x = a.X.Pointer<T>();
            private readonly T* _pre = a.Pre.Pointer<T>();
            private readonly T* _dy = a.Dy.Pointer<T>();
            private readonly T* _dx = a.Dx.Pointer<T>();
            private readonly T* _dpre = a.Dpre.Pointer<T>();
            private readonly double _alpha = a.Alpha;
            private readonly double _beta = a.Beta;
            private readonly bool _expectation = a.Expectation != 0;

            public bool Draws => !_expectation;

            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            public void Whole(long i, Vector512<ushort> lanes)
            {
                // Both results before either is stored: they may take the places of inputs.
                Vector512<float> low = Gradients(i, Vector512.WidenLower(lanes), CpuElement.Width, out Vector512<float> lowPre);
                Vector512<float> high = Gradients(i + 16, Vector512.WidenUpper(lanes), CpuElement.Width, out Vector512<float> highPre);
                Store32<T, TStore>(_dx + i, low, high);
                if (_dpre != null) Store32<T, TStore>(_dpre + i, lowPre, highPre);
            }

            public void Part(long i, Vector512<uint> lanes, int count)
            {
                if (typeof(T) != typeof(double))
                {
                    Vector512<float> dx = Gradients(i, lanes, count, out Vector512<float> dpre);
                    CpuElement.Store(_dx + i, dx, count);
                    if (_dpre != null) CpuElement.Store(_dpre + i, dpre, count);
                    return;
                }

                ulong kept = Keeps(lanes, Z(_pre + i, count, _alpha, _beta)).ExtractMostSignificantBits();
                for (int k = 0; k < count; k++)
                {
                    double x = _dpre == null ? 0 : CpuElement.ToDouble(_x[i + k]), dy = CpuElement.ToDouble(_dy[i + k]);
                    double probability = KeepProbability(
                        Math.FusedMultiplyAdd(_alpha, CpuElement.ToDouble(_pre[i + k]), _beta), out double slope);
                    _dx[i + k] = CpuElement.FromDouble<T>(_expectation ? probability * dy : (kept >> k & 1) != 0 ? dy : 0);
                    if (_dpre != null) _dpre[i + k] = CpuElement.FromDouble<T>(_alpha * slope * x * dy);
                }
            }

            /// <summary>dx, and dpre where it is wanted. The order of the product keeps a large x times a small slope finite.</summary>
            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            private Vector512<float> Gradients(long i, Vector512<uint> lanes, int count, out Vector512<float> dpre)
            {
                Vector512<float> z = Z(_pre + i, count, _alpha, _beta), dy = CpuElement.Load(_dy + i, count);
                dpre = default;
                if (!_expectation && _dpre == null) return dy & Keeps(lanes, z);
                Vector512<float> probability = KeepProbability(z, out Vector512<float> slope);
                if (_dpre != null) dpre = Vector512.Create((float)_alpha) * slope * CpuElement.Load(_x + i, count) * dy;
                return _expectation ? probability * dy : dy & Keeps(lanes, z);
            }
        }
    }

    private readonly struct CpuPerElement : ICpuKernel<AdaptiveDropoutPerElementArguments>
    {
        public static void Run<T>(in KernelVariant variant, in AdaptiveDropoutPerElementArguments a)
            where T : unmanaged
        {
            if (Streams(a.Start, a.Count, a.Y.Pointer<T>(), (nuint)a.X.Pointer<T>(), (nuint)a.Probabilities.Pointer<T>()))
                AdaptiveDropout.Run<T, Elements<T, StreamingStore>>(a.Count, a.Start, a.Key, new(a));
            else
                AdaptiveDropout.Run<T, Elements<T, CachedStore>>(a.Count, a.Start, a.Key, new(a));
        }

        private readonly struct Elements<T, TStore>(in AdaptiveDropoutPerElementArguments a) : IElements
            where T : unmanaged
            where TStore : struct, IVectorStore
        {
            private readonly T* _x = a.X.Pointer<T>();
            private readonly T* _probabilities = a.Probabilities.Pointer<T>();
            private readonly T* _y = a.Y.Pointer<T>();
            private readonly bool _inverted = a.Inverted != 0;

            public bool Draws => true;

            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            public void Whole(long i, Vector512<ushort> lanes) => Store32<T, TStore>(
                _y + i, Kept(i, Vector512.WidenLower(lanes), CpuElement.Width),
                Kept(i + 16, Vector512.WidenUpper(lanes), CpuElement.Width));

            public void Part(long i, Vector512<uint> lanes, int count)
            {
                if (typeof(T) != typeof(double))
                {
                    CpuElement.Store(_y + i, Kept(i, lanes, count), count);
                    return;
                }

                for (int k = 0; k < count; k++)
                {
                    double x = CpuElement.ToDouble(_x[i + k]), probability = CpuElement.ToDouble(_probabilities[i + k]);
                    double threshold = probability > 0 ? probability >= 1
                        ? 65536 : Math.Clamp(Math.Floor((probability * 65536) + 0.5), 1, 65535) : 0;
                    _y[i + k] = CpuElement.FromDouble<T>(lanes[k] < threshold ? _inverted ? x * (65536 / threshold) : x : 0);
                }
            }

            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            private Vector512<float> Kept(long i, Vector512<uint> lanes, int count)
            {
                Vector512<float> x = CpuElement.Load(_x + i, count), probability = CpuElement.Load(_probabilities + i, count);
                Vector512<float> all = Vector512.Create(65536f), one = Vector512<float>.One;
                Vector512<float> rounded = Vector512.Floor(Vector512.FusedMultiplyAdd(probability, all, Vector512.Create(0.5f)));
                Vector512<float> threshold = Vector512.Min(Vector512.Max(rounded, one), Vector512.Create(65535f));
                threshold = Vector512.ConditionalSelect(Vector512.GreaterThanOrEqual(probability, one), all, threshold);
                threshold &= Vector512.GreaterThan(probability, Vector512<float>.Zero);
                Vector512<float> scaled = _inverted ? x * (all / threshold) : x;
                return scaled & Vector512.LessThan(Vector512.ConvertToSingle(lanes.AsInt32()), threshold);
            }
        }
    }
}
