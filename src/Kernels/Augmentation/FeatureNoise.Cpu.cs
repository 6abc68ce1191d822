using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

public static unsafe partial class FeatureNoise
{
    /// <summary>Philox blocks from there on are the noise: one for four features of a sample.</summary>
    private const ulong NoiseBlocks = 0x10000;

    private readonly struct CpuDeviations : ICpuKernel<FeatureDeviationsArguments>
    {
        public static void Run<T>(in KernelVariant variant, in FeatureDeviationsArguments arguments)
            where T : unmanaged
        {
            FeatureDeviationsArguments a = arguments;
            long rows = (long)a.Rows, run = (long)a.Run;
            T* features = a.Features.Pointer<T>();
            int* labels = a.Labels.Pointer<int>();
            CpuParallel.For((long)a.Classes, own =>
            {
                // Row by row, so that memory is read in its order; each feature still sees the rows in theirs.
                double[] means = new double[run], squares = new double[run];
                double count = 0;
                for (long row = 0; row < rows; row++)
                {
                    if (labels != null && labels[row] != own) continue;
                    count++;
                    for (long i = 0; i < run; i++)
                    {
                        double value = CpuElement.ToDouble(features[(row * run) + i]), difference = value - means[i];
                        means[i] += difference / count;
                        squares[i] += difference * (value - means[i]);
                    }
                }

                for (long i = 0; i < run; i++)
                {
                    double deviation = count < 2 ? 0 : Math.Sqrt(squares[i] / count);
                    if (typeof(T) == typeof(double))
                        a.Deviations.Pointer<double>()[(own * run) + i] = deviation;
                    else
                        a.Deviations.Pointer<float>()[(own * run) + i] = (float)deviation;
                }
            });
        }
    }

    private readonly struct CpuNoise : ICpuKernel<FeatureNoiseArguments>
    {
        public static void Run<T>(in KernelVariant variant, in FeatureNoiseArguments arguments)
            where T : unmanaged
        {
            if (typeof(T) == typeof(double))
                Run<T, double>(arguments, arguments.Factor);
            else
                Run<T, float>(arguments, (float)arguments.Factor);
        }

        private static void Run<T, TReal>(FeatureNoiseArguments a, TReal factor)
            where T : unmanaged
            where TReal : unmanaged
        {
            RandomKey key = a.Key.Resolve();
            long run = (long)a.Run;
            ulong* ids = a.SampleIds.Pointer<ulong>();
            int* labels = a.Labels.Pointer<int>();
            T* x = a.X.Pointer<T>();
            T* y = a.Y.Pointer<T>();
            bool streams = x != y && CpuStreaming.PaysForWork(y, (long)a.Rows * run * sizeof(T))
                && run * sizeof(T) % Vector512<byte>.Count == 0;
            CpuParallel.ForRange((long)a.Rows, Math.Max(1, CpuParallel.ElementsPerChunk / run), (first, end) =>
            {
                float* normals = CpuScratch.Take<float>(CpuNormals.AtOnce);
                for (long row = first; row < end; row++)
                {
                    int label = labels != null ? labels[row] : 0;
                    bool exists = label >= 0 && (ulong)label < a.Classes;
                    if (!exists)
                    {
                        CpuDataError.Report(a.Error, row);
                        CpuStreaming.CopyPart((byte*)(x + (row * run)), (byte*)(y + (row * run)), run * sizeof(T), streams);
                        continue;
                    }

                    CpuPhilox philox = new(key.Derive(ids != null ? ids[row] : a.FirstSample + (ulong)row));
                    ulong block = ((ulong)a.Op << 32) | NoiseBlocks;
                    TReal* deviations = a.Deviations.Pointer<TReal>() + (label * run);
                    for (long start = 0; start < run; start += CpuNormals.AtOnce)
                    {
                        int length = (int)Math.Min(CpuNormals.AtOnce, run - start);
                        CpuNormals.Fill(philox, block + ((ulong)start / 4), normals, length);
                        long at = (row * run) + start;
                        Row(x + at, y + at, deviations + start, normals, length, factor, streams);
                    }
                }
            });
        }

        /// <summary>y = x + factor * deviation * normal; where the product of the first two is 0, x as it is, whatever it is.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void Row<T, TReal>(T* x, T* y, TReal* deviations, float* normals, int count, TReal factor, bool streams)
            where T : unmanaged
            where TReal : unmanaged
        {
            for (int i = 0; i < count; i += Vector512<TReal>.Count)
            {
                int part = Math.Min(Vector512<TReal>.Count, count - i);
                Vector512<TReal> value = CpuReal.Load<T, TReal>(x + i, part);
                Vector512<TReal> deviation = CpuReal.Load(deviations + i, part) * factor;
                Vector512<TReal> noisy = CpuReal.FusedMultiplyAdd(deviation, CpuNormals.Load<TReal>(normals + i), value);
                Vector512<TReal> isStill = Vector512.Equals(deviation, Vector512<TReal>.Zero);
                CpuReal.Store(y + i, Vector512.ConditionalSelect(isStill, value, noisy), part, streams);
            }
        }
    }
}
