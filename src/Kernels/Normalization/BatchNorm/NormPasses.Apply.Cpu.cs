using System.Runtime.InteropServices;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

// What is done to every element once the statistics are known.
internal static unsafe partial class NormPasses
{
    private readonly struct CpuApply : ICpuKernel<BatchNormApplyArguments>
    {
        public static void Run<T>(in KernelVariant variant, in BatchNormApplyArguments arguments)
            where T : unmanaged
        {
            if (typeof(T) == typeof(double))
                InDouble(arguments);
            else
                Dispatch(new Body<T>(arguments), arguments.Residual.IsPresent, arguments.NormEpilogue);
        }

        private static void InDouble(BatchNormApplyArguments a)
        {
            (long outer, long channels, long inner) = ((long)a.NormShape.Outer, (long)a.NormShape.Channels, (long)a.NormShape.Inner);
            CpuParallel.ForRange(Length(a.NormShape) / inner, Math.Max(1, CpuParallel.ElementsPerChunk / inner), (first, end) =>
            {
                RandomKey key = a.NormEpilogue.Key.Resolve();
                double* residual = a.Residual.Pointer<double>();
                for (long plane = first; plane < end; plane++)
                {
                    (long row, long channel) = Math.DivRem(plane, channels);
                    long unit = (row / outer * channels) + channel, at = plane * inner;
                    CpuNormMap map = MapOf<double>(a.NormChannel, unit, channel, a.IsVariance != 0, a.Epsilon);
                    ForwardInDouble(
                        a.X.Pointer<double>() + at, residual == null ? null : residual + at, a.Y.Pointer<double>() + at, inner,
                        a.NormEpilogue.Start + (ulong)at, map, a.NormEpilogue, key);
                }
            });
        }

        private readonly struct Body<T>(BatchNormApplyArguments a) : ICpuNormBody
            where T : unmanaged
        {
            public void Run<TForm>()
                where TForm : struct, ICpuNormForm
            {
                bool isPlane = a.NormShape.Inner > 1;
                bool streams = a.X.Pointer<T>() != a.Y.Pointer<T>()
                    && Streams(a.Y.Pointer<T>(), Length(a.NormShape), (long)(isPlane ? a.NormShape.Inner : a.NormShape.Channels));
                if (isPlane && streams) Planes<T, TForm, StreamingStore>(a);
                if (isPlane && !streams) Planes<T, TForm, CachedStore>(a);
                if (!isPlane && streams) Rows<T, TForm, StreamingStore>(a);
                if (!isPlane && !streams) Rows<T, TForm, CachedStore>(a);
            }
        }

        private static void Planes<T, TForm, TStore>(BatchNormApplyArguments a)
            where T : unmanaged
            where TForm : struct, ICpuNormForm
            where TStore : struct, IVectorStore
        {
            (long outer, long channels, long inner) = ((long)a.NormShape.Outer, (long)a.NormShape.Channels, (long)a.NormShape.Inner);
            CpuParallel.ForRange(Length(a.NormShape) / inner, Math.Max(1, CpuParallel.ElementsPerChunk / inner), (first, end) =>
            {
                ushort* buffer = stackalloc ushort[CpuKeepLanes.BufferLength];
                CpuKeepLanes keep = KeepOf(a.NormEpilogue, buffer);
                T* residual = a.Residual.Pointer<T>();
                float scale = ScaleOf(a.NormEpilogue);
                for (long plane = first; plane < end; plane++)
                {
                    (long row, long channel) = Math.DivRem(plane, channels);
                    long unit = (row / outer * channels) + channel, at = plane * inner;
                    CpuPlaneCoefficients coefficients =
                        new(MapOf<float>(a.NormChannel, unit, channel, a.IsVariance != 0, a.Epsilon));
                    CpuNormRuns.Forward<T, TStore, TForm, CpuPlaneCoefficients>(
                        a.X.Pointer<T>() + at, residual == null ? null : residual + at, a.Y.Pointer<T>() + at, inner,
                        a.NormEpilogue.Start + (ulong)at, coefficients, keep, scale);
                }
            });
        }

        private static void Rows<T, TForm, TStore>(BatchNormApplyArguments a)
            where T : unmanaged
            where TForm : struct, ICpuNormForm
            where TStore : struct, IVectorStore
        {
            T* residual = a.Residual.Pointer<T>();
            ForRowsFromLast(
                a.NormShape, a.NormEpilogue,
                (unit, channel) => MapOf<float>(a.NormChannel, unit, channel, a.IsVariance != 0, a.Epsilon),
                (long at, long count, in CpuColumnCoefficients coefficients, in CpuKeepLanes keep, float scale) =>
                    CpuNormRuns.Forward<T, TStore, TForm, CpuColumnCoefficients>(
                        a.X.Pointer<T>() + at, residual == null ? null : residual + at, a.Y.Pointer<T>() + at, count,
                        a.NormEpilogue.Start + (ulong)at, coefficients, keep, scale));
        }
    }

    private readonly struct CpuClear : ICpuKernel<BatchNormClearArguments>
    {
        public static void Run<T>(in KernelVariant variant, in BatchNormClearArguments arguments)
            where T : unmanaged
        {
            BatchNormClearArguments a = arguments;
            (long length, long perSample) = ((long)a.RunLength, (long)a.PerSample);
            CpuParallel.ForRange((long)a.Runs, Math.Max(1, CpuParallel.ElementsPerChunk / length), (first, end) =>
            {
                for (long run = first; run < end; run++)
                {
                    (long sample, long place) = Math.DivRem(run, perSample);
                    long counted = Math.Max(0, a.Lengths.Pointer<int>()[sample]);
                    counted = a.ArePlanes == 0 ? place < counted ? length : 0 : Math.Min(counted, length);
                    NativeMemory.Clear(a.Y.Pointer<T>() + (run * length) + counted, (nuint)((length - counted) * sizeof(T)));
                }
            });
        }
    }
}
