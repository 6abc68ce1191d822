using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <summary>The one kernel behind additive noise and Gaussian dropout.</summary>
internal static unsafe class GaussianKernel
{
    private const uint MultiplicativeSwitch = 1;

    private static readonly KernelDefinition<GaussianNoiseArguments> Kernel =
        EntryPoints.GaussianNoise.Float<CpuNoise>(vectorWidths: [1, 8], switches: ["MULTIPLICATIVE"]);

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

    private readonly struct CpuNoise : ICpuKernel<GaussianNoiseArguments>
    {
        /// <summary>Elements served by one draw: eight blocks of four normals.</summary>
        private const int Lanes = 32;

        /// <summary>Draws that are made together; what they make stays in the first-level cache.</summary>
        private const int Draws = 16;

        private const int Width = CpuElement.Width;

        public static void Run<T>(in KernelVariant variant, in GaussianNoiseArguments arguments)
            where T : unmanaged
        {
            GaussianNoiseArguments a = arguments;
            CpuPhilox philox = new(a.Key.Resolve());
            bool multiplicative = (variant.Switches & MultiplicativeSwitch) != 0;
            T* x = a.X.Pointer<T>();
            T* y = a.Y.Pointer<T>();
            long count = (long)a.Count;

            // Pieces start on a multiple of 32 of the whole tensor, so that only the first and the last draw are used in part.
            long head = Math.Min(count, (long)((Lanes - (a.Start % Lanes)) % Lanes));
            Part(philox, a.Start - (a.Start % Lanes), x, y, (int)(a.Start % Lanes), (int)head, a.Sigma, multiplicative);
            bool streaming = x != y && CpuStreaming.Pays(y + head, count * sizeof(T));
            CpuParallel.ForRange(count - head, CpuParallel.ElementsPerChunk,
                [MethodImpl(MethodImplOptions.AggressiveOptimization)] (first, end) =>
                {
                    CpuPhilox local = philox;
                    uint* words = CpuScratch.Take<uint>(Draws * Lanes), angles = words + (Draws * Width);
                    float* radii = (float*)words;
                    long i = head + first, all = head + end;
                    while (i + Lanes <= all)
                    {
                        // Step by step for some draws: each step alone is short enough that the processor has several in flight at once.
                        int length = (int)Math.Min(Draws, (all - i) / Lanes) * Width;
                        ulong block = (a.Start + (ulong)i) / 4;
                        for (int lane = 0; lane < length; lane += Width, block += Lanes / 4)
                        {
                            local.DrawPairs(block, out Vector512<uint> ofRadii, out Vector512<uint> ofAngles);
                            ofRadii.Store(words + lane);
                            ofAngles.Store(angles + lane);
                        }

                        for (int lane = 0; lane < length; lane += Width)
                            CpuMath.Radius(Vector512.Load(words + lane)).Store(radii + lane);

                        for (int lane = 0; lane < length; lane += Width, i += Lanes)
                        {
                            CpuMath.Turn(
                                Vector512.Load(radii + lane), Vector512.Load(angles + lane), out Vector512<float> low,
                                out Vector512<float> high);
                            if (streaming)
                                Apply32<T, StreamingStore>(x + i, y + i, low, high, a.Sigma, multiplicative);
                            else
                                Apply32<T, CachedStore>(x + i, y + i, low, high, a.Sigma, multiplicative);
                        }
                    }

                    Part(local, a.Start + (ulong)i, x + i, y + i, 0, (int)(all - i), a.Sigma, multiplicative);
                });
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Apply32<T, TStore>(T* x, T* y, Vector512<float> low, Vector512<float> high, double sigma, bool multiplicative)
            where T : unmanaged
            where TStore : struct, IVectorStore
        {
            if (typeof(T) == typeof(double))
            {
                for (int i = 0; i < 16; i++) y[i] = One(x[i], low[i], sigma, multiplicative);
                for (int i = 0; i < 16; i++) y[16 + i] = One(x[16 + i], high[i], sigma, multiplicative);
                return;
            }

            Vector512<float> factor = Vector512.Create((float)sigma);
            Vector512<float> first = WithNoise(CpuElement.Load(x), low, factor, multiplicative);
            Vector512<float> second = WithNoise(CpuElement.Load(x + 16), high, factor, multiplicative);
            if (typeof(T) == typeof(float))
            {
                TStore.Store((byte*)y, first.AsByte());
                TStore.Store((byte*)(y + 16), second.AsByte());
            }
            else
            {
                TStore.Store((byte*)y,
                    Vector512.Create(CpuElement.NarrowToStored<T>(first), CpuElement.NarrowToStored<T>(second)).AsByte());
            }
        }

        /// <summary>Elements <paramref name="skip"/> to skip + count - 1 of the draw that starts at <paramref name="start"/>.</summary>
        private static void Part<T>(in CpuPhilox philox, ulong start, T* x, T* y, int skip, int count, double sigma, bool multiplicative)
            where T : unmanaged
        {
            if (count == 0) return;
            CpuMath.Normals(philox, start / 4, out Vector512<float> low, out Vector512<float> high);
            for (int i = 0; i < count; i++)
            {
                int lane = skip + i;
                y[i] = One(x[i], lane < 16 ? low[lane] : high[lane - 16], sigma, multiplicative);
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector512<float> WithNoise(
            Vector512<float> x, Vector512<float> normal, Vector512<float> sigma, bool multiplicative) =>
            multiplicative
                ? x * Vector512.FusedMultiplyAdd(sigma, normal, Vector512<float>.One)
                : Vector512.FusedMultiplyAdd(sigma, normal, x);

        private static T One<T>(T x, float normal, double sigma, bool multiplicative)
            where T : unmanaged
        {
            if (typeof(T) == typeof(double))
            {
                double value = CpuElement.ToDouble(x);
                return CpuElement.FromDouble<T>(
                    multiplicative ? value * Math.FusedMultiplyAdd(sigma, normal, 1) : Math.FusedMultiplyAdd(sigma, normal, value));
            }

            float single = CpuElement.ToSingle(x);
            return CpuElement.FromSingle<T>(
                multiplicative
                    ? single * MathF.FusedMultiplyAdd((float)sigma, normal, 1) : MathF.FusedMultiplyAdd((float)sigma, normal, single));
        }
    }
}
