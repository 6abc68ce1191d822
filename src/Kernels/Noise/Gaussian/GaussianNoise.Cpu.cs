using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <summary>The kernels behind additive noise and Gaussian dropout.</summary>
internal static unsafe class GaussianKernel
{
    private const uint MultiplicativeSwitch = 1;

    private static readonly KernelDefinition<GaussianNoiseArguments> Kernel =
        EntryPoints.GaussianNoise.Float<CpuNoise>(vectorWidths: [1, 8], switches: ["MULTIPLICATIVE"]);

    private static readonly KernelDefinition<GaussianFactorsArguments> FactorsKernel =
        EntryPoints.GaussianFactors.Float<CpuFactors>(vectorWidths: [1, 8]);

    private static readonly KernelDefinition<GaussianScaleArguments> ScaleKernel =
        EntryPoints.GaussianScale.Float<CpuScale>(vectorWidths: [1, 8]);

    public static void Apply<T>(
        string op, DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y, double sigma, bool multiplicative, RandomKeySource key,
        ulong start)
        where T : unmanaged
    {
        Check.IndexRange(op, x.Length, start);
        if (sigma == 0)
        {
            stream.Copy(x, y);
            return;
        }

        if (x.Length == 0) return;
        bool octets = start % 8 == 0 && x.IsVectorAligned && y.IsVectorAligned;
        stream.Launch(
            Kernel,
            new KernelVariant(x.DType, octets ? 8 : 1, multiplicative ? MultiplicativeSwitch : 0),
            LaunchShape.Items((x.Length / 8) + 2, Kernel),
            new GaussianNoiseArguments
            {
                X = x.Argument,
                Y = y.Argument,
                Count = (ulong)x.Length,
                Start = start,
                Sigma = sigma,
                Key = key.Argument,
            });
    }

    /// <summary>y = x * factors, and the factors 1 + sigma * z.</summary>
    public static void ApplyFactors<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y, DeviceTensor<T> factors, double sigma, RandomKeySource key, ulong start)
        where T : unmanaged
    {
        if (sigma == 0)
        {
            stream.Copy(x, y);
            stream.Fill(factors, CpuElement.FromDouble<T>(1));
            return;
        }

        if (x.Length == 0) return;
        bool octets = start % 8 == 0 && x.IsVectorAligned && y.IsVectorAligned && factors.IsVectorAligned;
        stream.Launch(
            FactorsKernel,
            new KernelVariant(x.DType, octets ? 8 : 1),
            LaunchShape.Items((x.Length / 8) + 2, FactorsKernel),
            new GaussianFactorsArguments
            {
                X = x.Argument,
                Y = y.Argument,
                Factors = factors.Argument,
                Count = (ulong)x.Length,
                Start = start,
                Sigma = sigma,
                Key = key.Argument,
            });
    }

    /// <summary>dx = dy * factors.</summary>
    public static void Scale<T>(DeviceStream stream, DeviceTensor<T> dy, DeviceTensor<T> factors, DeviceTensor<T> dx)
        where T : unmanaged
    {
        if (dy.Length == 0) return;
        bool octets = dy.IsVectorAligned && factors.IsVectorAligned && dx.IsVectorAligned;
        stream.Launch(
            ScaleKernel,
            new KernelVariant(dy.DType, octets ? 8 : 1),
            LaunchShape.Items((dy.Length + 7) / 8, ScaleKernel),
            new GaussianScaleArguments
            {
                Dy = dy.Argument,
                Factors = factors.Argument,
                Dx = dx.Argument,
                Count = (ulong)dy.Length,
            });
    }

    private readonly struct CpuScale : ICpuKernel<GaussianScaleArguments>
    {
        public static void Run<T>(in KernelVariant variant, in GaussianScaleArguments arguments)
            where T : unmanaged
        {
            if (typeof(T) == typeof(double))
                Run<T, double>(arguments);
            else
                Run<T, float>(arguments);
        }

        private static void Run<T, TReal>(GaussianScaleArguments a)
            where T : unmanaged
            where TReal : unmanaged
        {
            T* dy = a.Dy.Pointer<T>();
            T* factors = a.Factors.Pointer<T>();
            T* dx = a.Dx.Pointer<T>();
            bool streams = dx != dy && dx != factors && CpuStreaming.Pays(dx, (long)a.Count * sizeof(T));
            CpuParallel.ForRange((long)a.Count, CpuParallel.ElementsPerChunk, (first, end) =>
            {
                for (long i = first; i < end; i += Vector512<TReal>.Count)
                {
                    int part = (int)Math.Min(Vector512<TReal>.Count, end - i);
                    Vector512<TReal> scaled = CpuReal.Load<T, TReal>(dy + i, part) * CpuReal.Load<T, TReal>(factors + i, part);
                    CpuReal.Store(dx + i, scaled, part, streams);
                }
            });
        }
    }

    private readonly struct CpuFactors : ICpuKernel<GaussianFactorsArguments>
    {
        public static void Run<T>(in KernelVariant variant, in GaussianFactorsArguments arguments)
            where T : unmanaged
        {
            GaussianFactorsArguments a = arguments;
            CpuNoise.Run(
                a.X.Pointer<T>(), a.Y.Pointer<T>(), a.Factors.Pointer<T>(), (long)a.Count, a.Start, a.Sigma, multiplicative: true,
                a.Key.Resolve());
        }
    }

    private readonly struct CpuNoise : ICpuKernel<GaussianNoiseArguments>
    {
        private const int Lanes = CpuNormals.Lanes;

        public static void Run<T>(in KernelVariant variant, in GaussianNoiseArguments arguments)
            where T : unmanaged
        {
            GaussianNoiseArguments a = arguments;
            Run(
                a.X.Pointer<T>(), a.Y.Pointer<T>(), null, (long)a.Count, a.Start, a.Sigma,
                (variant.Switches & MultiplicativeSwitch) != 0, a.Key.Resolve());
        }

        /// <summary>Factors are stored where they are asked for.</summary>
        public static void Run<T>(T* x, T* y, T* factors, long count, ulong start, double sigma, bool multiplicative, RandomKey key)
            where T : unmanaged
        {
            CpuPhilox philox = new(key);

            // Pieces start on a multiple of 32 of the whole tensor, so that only the first and the last draw are used in part.
            long head = Math.Min(count, (long)((Lanes - (start % Lanes)) % Lanes));
            Part(philox, start - (start % Lanes), x, y, factors, (int)(start % Lanes), (int)head, sigma, multiplicative);
            bool streaming = x != y && CpuStreaming.PaysForWork(y + head, count * sizeof(T))
                && (factors == null || CpuStreaming.PaysForWork(factors + head, count * sizeof(T)));
            CpuParallel.ForRange(count - head, CpuParallel.ElementsPerChunk,
                [MethodImpl(MethodImplOptions.AggressiveOptimization)] (first, end) =>
                {
                    CpuPhilox local = philox;
                    float* points = CpuScratch.Take<float>(CpuNormals.AtOnce);
                    long i = head + first, all = head + end;
                    while (i + Lanes <= all)
                    {
                        int length = (int)Math.Min(CpuNormals.AtOnce, (all - i) / Lanes * Lanes);
                        CpuNormals.DrawPoints(local, (start + (ulong)i) / 4, points, length);
                        for (int lane = 0; lane < length; lane += Lanes, i += Lanes)
                        {
                            CpuNormals.OfPoints(points + lane, out Vector512<float> low, out Vector512<float> high);
                            T* made = factors == null ? null : factors + i;
                            if (streaming)
                                Apply32<T, StreamingStore>(x + i, y + i, made, low, high, sigma, multiplicative);
                            else
                                Apply32<T, CachedStore>(x + i, y + i, made, low, high, sigma, multiplicative);
                        }
                    }

                    T* rest = factors == null ? null : factors + i;
                    Part(local, start + (ulong)i, x + i, y + i, rest, 0, (int)(all - i), sigma, multiplicative);
                });
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Apply32<T, TStore>(
            T* x, T* y, T* factors, Vector512<float> low, Vector512<float> high, double sigma, bool multiplicative)
            where T : unmanaged
            where TStore : struct, IVectorStore
        {
            if (typeof(T) == typeof(double))
            {
                for (int i = 0; i < Lanes; i++)
                    y[i] = One(x[i], i < 16 ? low[i] : high[i - 16], sigma, multiplicative, factors == null ? null : factors + i);
                return;
            }

            Vector512<float> deviation = Vector512.Create((float)sigma);
            if (!multiplicative)
            {
                low = Vector512.FusedMultiplyAdd(deviation, low, CpuElement.Load(x));
                high = Vector512.FusedMultiplyAdd(deviation, high, CpuElement.Load(x + 16));
                CpuElement.Store32<T, TStore>(y, low, high);
                return;
            }

            low = Vector512.FusedMultiplyAdd(deviation, low, Vector512<float>.One);
            high = Vector512.FusedMultiplyAdd(deviation, high, Vector512<float>.One);
            if (factors != null)
            {
                low = CpuReal.Round<T, float>(low);
                high = CpuReal.Round<T, float>(high);
                CpuElement.Store32<T, TStore>(factors, low, high);
            }

            CpuElement.Store32<T, TStore>(y, CpuElement.Load(x) * low, CpuElement.Load(x + 16) * high);
        }

        /// <summary>Elements <paramref name="skip"/> to skip + count - 1 of the draw that starts at <paramref name="start"/>.</summary>
        private static void Part<T>(
            in CpuPhilox philox, ulong start, T* x, T* y, T* factors, int skip, int count, double sigma, bool multiplicative)
            where T : unmanaged
        {
            if (count == 0) return;
            float* normals = stackalloc float[Lanes];
            CpuNormals.Fill(philox, start / 4, normals, Lanes);
            for (int i = 0; i < count; i++)
            {
                y[i] = One(x[i], normals[skip + i], sigma, multiplicative, factors == null ? null : factors + i);
            }
        }

        private static T One<T>(T x, float normal, double sigma, bool multiplicative, T* factor)
            where T : unmanaged
        {
            if (typeof(T) == typeof(double))
            {
                double value = CpuElement.ToDouble(x);
                if (!multiplicative) return CpuElement.FromDouble<T>(Math.FusedMultiplyAdd(sigma, normal, value));
                double scale = Math.FusedMultiplyAdd(sigma, normal, 1);
                if (factor != null) *factor = CpuElement.FromDouble<T>(scale);
                return CpuElement.FromDouble<T>(value * scale);
            }

            float single = CpuElement.ToSingle(x);
            if (!multiplicative) return CpuElement.FromSingle<T>(MathF.FusedMultiplyAdd((float)sigma, normal, single));
            float singleScale = MathF.FusedMultiplyAdd((float)sigma, normal, 1);
            if (factor == null) return CpuElement.FromSingle<T>(single * singleScale);
            *factor = CpuElement.FromSingle<T>(singleScale);
            return CpuElement.FromSingle<T>(single * CpuElement.ToSingle(*factor));
        }
    }
}
