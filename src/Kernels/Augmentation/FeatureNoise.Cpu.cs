using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

public static unsafe partial class FeatureNoise
{
    /// <summary>Philox blocks from there on are the noise: one for four features of a sample.</summary>
    private const ulong NoiseBlocks = 0x10000;

    /// <summary>Features served by one draw: eight blocks of four normals.</summary>
    private const int Lanes = 32;

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
            FeatureNoiseArguments a = arguments;
            RandomKey key = a.Key.Resolve();
            long run = (long)a.Run;
            ulong* ids = a.SampleIds.Pointer<ulong>();
            int* labels = a.Labels.Pointer<int>();
            CpuParallel.ForRange((long)a.Rows, Math.Max(1, CpuParallel.ElementsPerChunk / 16 / run), (first, end) =>
            {
                for (long row = first; row < end; row++)
                {
                    int label = labels != null ? labels[row] : 0;
                    bool exists = label >= 0 && (ulong)label < a.Classes;
                    if (!exists) CpuDataError.Report(a.Error, row);
                    CpuPhilox philox = new(key.Derive(ids != null ? ids[row] : a.FirstSample + (ulong)row));
                    ulong block = ((ulong)a.Op << 32) | NoiseBlocks;
                    for (long start = 0; start < run; start += Lanes)
                    {
                        CpuMath.Normals(philox, block + ((ulong)start / 4), out Vector512<float> low, out Vector512<float> high);
                        for (int lane = 0; lane < Lanes && start + lane < run; lane++)
                        {
                            float normal = lane < 16 ? low[lane] : high[lane - 16];
                            Write<T>(a, (row * run) + start + lane, exists ? (label * run) + start + lane : -1, normal);
                        }
                    }
                }
            });
        }

        private static void Write<T>(in FeatureNoiseArguments a, long element, long deviation, float normal)
            where T : unmanaged
        {
            T value = a.X.Pointer<T>()[element];
            T* y = a.Y.Pointer<T>() + element;
            if (typeof(T) == typeof(double))
            {
                double own = deviation < 0 ? 0 : a.Factor * a.Deviations.Pointer<double>()[deviation];
                *y = own == 0 ? value : CpuElement.FromDouble<T>(Math.FusedMultiplyAdd(own, normal, CpuElement.ToDouble(value)));
            }
            else
            {
                float own = deviation < 0 ? 0 : (float)a.Factor * a.Deviations.Pointer<float>()[deviation];
                *y = own == 0 ? value : CpuElement.FromSingle<T>(MathF.FusedMultiplyAdd(own, normal, CpuElement.ToSingle(value)));
            }
        }
    }
}
