using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <summary>
/// Monte-Carlo dropout: T reproducible dropout passes over one input in one launch, and the mean and variance over the passes, which say
/// how sure a network is.
/// </summary>
/// <remarks>
/// <para>
/// Pass t is <see cref="Dropout.Forward"/> under the key (seed, offset + t), bit for bit; so T calls of one layer use T offsets. Every
/// further layer of the network takes the stacked passes [T * batch, ...] as an ordinary batch with ordinary dropout.
/// </para>
/// <para>
/// Types: float, Half, BFloat16, double; special values as in <see cref="Dropout"/>. Y. Gal and Z. Ghahramani, "Dropout as a Bayesian
/// approximation: representing model uncertainty in deep learning", ICML 2016.
/// </para>
/// </remarks>
public static unsafe class MonteCarloDropout
{
    private static readonly KernelDefinition<MonteCarloDropoutArguments> PassesKernel =
        EntryPoints.MonteCarloDropout.Float<CpuPasses>(vectorWidths: [1, 8]);

    private static readonly KernelDefinition<MonteCarloStatisticsArguments> StatisticsKernel =
        EntryPoints.MonteCarloStatistics.Float<CpuStatistics>(vectorWidths: [1, 8]);

    /// <summary>y[t] = dropout of x under (seed, offset + t), t = 0 to T - 1.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input, any shape [...].</param>
    /// <param name="y">Output, shape [T, ...]; does not overlap <paramref name="x"/>.</param>
    /// <param name="dropProbability">Probability p to drop an element, in [0, 1].</param>
    /// <param name="key">Random key; uses T offsets.</param>
    /// <exception cref="ArgumentException">The shapes do not fit, the tensors overlap, or one is on another device.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The probability is NaN or outside [0, 1].</exception>
    public static void Forward<T>(DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y, double dropProbability, RandomKeySource key)
        where T : unmanaged
    {
        const string Op = "MonteCarloDropout.Forward";
        Check.FloatTensor(Op, stream, x, nameof(x));
        Check.FloatTensor(Op, stream, y, nameof(y));
        long passes = y.Shape.Length == 0 ? 0 : y.Shape[0];
        Check.Shape(Op, y, nameof(y), [passes, .. x.Shape]);
        Check.Disjoint(Op, x, nameof(x), y, nameof(y));
        Check.Probability(Op, dropProbability, nameof(dropProbability));
        Check.Key(Op, stream, key, nameof(key));
        if (y.Length == 0) return;
        KeepThreshold threshold = KeepThreshold.FromDropProbability(dropProbability);
        if (threshold.DropsAll)
        {
            stream.Fill(y, default);
            return;
        }

        if (threshold.KeepsAll)
        {
            DeviceTensor<T> rows = y.Reshape(passes, x.Length);
            for (long pass = 0; pass < passes; pass++) stream.Copy(x, rows.Slice(pass, 1));
            return;
        }

        bool wholeBlocks = x.Length % Philox.LanesPerBlock == 0 && x.IsVectorAligned && y.IsVectorAligned;
        stream.Launch(
            PassesKernel,
            new KernelVariant(x.DType, wholeBlocks ? Philox.LanesPerBlock : 1),
            LaunchShape.Items((x.Length + Philox.LanesPerBlock - 1) / Philox.LanesPerBlock, PassesKernel),
            new MonteCarloDropoutArguments
            {
                X = x.Argument,
                Y = y.Argument,
                Count = (ulong)x.Length,
                Passes = (ulong)passes,
                Threshold = threshold.Value,
                Scale = threshold.Scale,
                Key = key.Argument,
            });
    }

    /// <summary>Mean and unbiased variance over the passes.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="y">Results of the passes, shape [T, ...] with T at least 2.</param>
    /// <param name="mean">Output, shape [...].</param>
    /// <param name="variance">Output, shape [...]: the sum of squared differences from the mean, divided by T - 1.</param>
    /// <exception cref="ArgumentException">The shapes do not fit, T is below 2, tensors overlap, or one is on another device.</exception>
    public static void Statistics<T>(DeviceStream stream, DeviceTensor<T> y, DeviceTensor<T> mean, DeviceTensor<T> variance)
        where T : unmanaged
    {
        const string Op = "MonteCarloDropout.Statistics";
        Check.FloatTensor(Op, stream, y, nameof(y));
        Check.FloatTensor(Op, stream, mean, nameof(mean));
        Check.FloatTensor(Op, stream, variance, nameof(variance));
        if (y.Shape.Length == 0 || y.Shape[0] < 2)
        {
            throw new ArgumentException(
                $"{Op}: {nameof(y)} has the shape {TensorShape.Format(y.Shape)}, expected at least 2 passes along the first axis.",
                nameof(y));
        }

        Check.Shape(Op, mean, nameof(mean), y.Shape[1..]);
        Check.Shape(Op, variance, nameof(variance), y.Shape[1..]);
        Check.Disjoint(Op, y, nameof(y), mean, nameof(mean));
        Check.Disjoint(Op, y, nameof(y), variance, nameof(variance));
        Check.Disjoint(Op, mean, nameof(mean), variance, nameof(variance));
        if (mean.Length == 0) return;
        bool wholeBlocks = mean.Length % Philox.LanesPerBlock == 0 && y.IsVectorAligned && mean.IsVectorAligned
            && variance.IsVectorAligned;
        stream.Launch(
            StatisticsKernel,
            new KernelVariant(y.DType, wholeBlocks ? Philox.LanesPerBlock : 1),
            LaunchShape.Items((mean.Length + 7) / 8, StatisticsKernel),
            new MonteCarloStatisticsArguments
            {
                Y = y.Argument,
                Mean = mean.Argument,
                Variance = variance.Argument,
                Count = (ulong)mean.Length,
                Passes = (ulong)y.Shape[0],
            });
    }

    private readonly struct CpuPasses : ICpuKernel<MonteCarloDropoutArguments>
    {
        public static void Run<T>(in KernelVariant variant, in MonteCarloDropoutArguments arguments)
            where T : unmanaged
        {
            MonteCarloDropoutArguments a = arguments;
            RandomKey key = a.Key.Resolve();
            for (ulong pass = 0; pass < a.Passes; pass++)
            {
                RandomKey passKey = key with { Offset = key.Offset + pass };
                CpuKeepMap.Run(
                    a.X.Pointer<T>(), a.Y.Pointer<T>() + (pass * a.Count), (long)a.Count, 0, a.Threshold, passKey, new ScaleMap(a.Scale));
            }
        }
    }

    private readonly struct CpuStatistics : ICpuKernel<MonteCarloStatisticsArguments>
    {
        public static void Run<T>(in KernelVariant variant, in MonteCarloStatisticsArguments arguments)
            where T : unmanaged
        {
            MonteCarloStatisticsArguments a = arguments;
            (long count, long passes) = ((long)a.Count, (long)a.Passes);
            CpuParallel.ForRange(count,
                Math.Max(CpuElement.Width, CpuParallel.ElementsPerChunk / passes / CpuElement.Width * CpuElement.Width), (first, end) =>
            {
                T* y = a.Y.Pointer<T>();
                T* mean = a.Mean.Pointer<T>();
                T* variance = a.Variance.Pointer<T>();
                for (long i = first; i < end; i += CpuElement.Width)
                {
                    int width = (int)Math.Min(CpuElement.Width, end - i);
                    if (typeof(T) == typeof(double))
                        Doubles((double*)y + i, (double*)mean + i, (double*)variance + i, count, passes, width);
                    else
                        Floats(y + i, mean + i, variance + i, count, passes, width);
                }
            });
        }

        private static void Floats<T>(T* y, T* mean, T* variance, long stride, long passes, int width)
            where T : unmanaged
        {
            Vector512<float> average = Vector512<float>.Zero, squares = Vector512<float>.Zero;
            for (long pass = 0; pass < passes; pass++)
            {
                Vector512<float> value = CpuElement.Load(y + (pass * stride), width);
                Vector512<float> difference = value - average;

                // An infinite mean stays one: its difference to a later pass would make it NaN.
                Vector512<float> isFinite = Vector512.Equals(average - average, Vector512<float>.Zero);
                average += Vector512.ConditionalSelect(isFinite, difference / Vector512.Create((float)(pass + 1)), value);
                squares += difference * (value - average);
            }

            CpuElement.Store(mean, average, width);
            CpuElement.Store(variance, squares / Vector512.Create((float)(passes - 1)), width);
        }

        private static void Doubles(double* y, double* mean, double* variance, long stride, long passes, int width)
        {
            for (int i = 0; i < width; i++)
            {
                double average = 0, squares = 0;
                for (long pass = 0; pass < passes; pass++)
                {
                    double value = y[(pass * stride) + i];
                    double difference = value - average;
                    average += double.IsFinite(average) ? difference / (pass + 1) : value;
                    squares += difference * (value - average);
                }

                mean[i] = average;
                variance[i] = squares / (passes - 1);
            }
        }
    }
}
