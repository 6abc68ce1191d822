using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

public static unsafe partial class GanLoss
{
    private readonly struct CpuParts : ICpuKernel<GanLossArguments>
    {
        public static void Run<T>(in KernelVariant variant, in GanLossArguments arguments)
            where T : unmanaged
        {
            if (typeof(T) == typeof(double))
                Run<T, double>(arguments);
            else
                Run<T, float>(arguments);
        }

        private static void Run<T, TReal>(GanLossArguments a)
            where T : unmanaged
            where TReal : unmanaged
        {
            double scale = a.GradientScale;
            if (a.LossGradient.IsPresent)
            {
                double factor = CpuElement.ToDouble(*a.LossGradient.Pointer<TReal>());
                scale = double.IsFinite(factor) ? scale * factor : double.NaN;
            }

            (long raised, long lowered, long chunk) = ((long)a.RaisedCount, (long)a.LoweredCount, BlockLogits * (long)a.PartBlocks);
            long firstLowered = BlockLogits * (long)a.LoweredBlock;
            CpuParallel.ForRange((long)a.Parts, CpuParallel.ElementsPerChunk / chunk, (first, end) =>
            {
                for (long part = first; part < end; part++)
                {
                    long start = part * chunk, stop = start + chunk;
                    TReal* own = a.Sums.Pointer<TReal>() + (2 * a.Sides * part);
                    Side<T> toRaise = new(a.Raised, a.Draised, a.RaisedShare, -1);
                    toRaise.Add((Function)a.Form, scale, Math.Min(start, raised), Math.Min(stop, raised));
                    own[0] = CpuElement.FromDouble<TReal>(toRaise.Loss);
                    own[a.Sides] = CpuElement.FromDouble<TReal>(toRaise.PositivesOf(raised));
                    if (a.Sides == 1) continue;
                    Side<T> toLower = new(a.Lowered, a.Dlowered, a.LoweredShare, 1);
                    toLower.Add((Function)a.Form, scale, Of(start - firstLowered), Of(stop - firstLowered));
                    own[1] = CpuElement.FromDouble<TReal>(toLower.Loss);
                    own[3] = CpuElement.FromDouble<TReal>(toLower.PositivesOf(lowered));
                }
            });

            long Of(long place) => Math.Clamp(place, 0, lowered);
        }
    }

    /// <summary>The logits of one side, whose sign makes z of them, and what a part of them adds up to.</summary>
    private ref struct Side<T>(TensorArgument logits, TensorArgument gradient, double share, double sign)
        where T : unmanaged
    {
        private readonly T* _logits = logits.Pointer<T>();
        private readonly T* _gradient = gradient.IsPresent ? gradient.Pointer<T>() : null;
        private long _positives;

        public double Loss { get; private set; }

        public readonly double PositivesOf(long count) => count == 0 ? 0 : (double)_positives / count;

        /// <summary>Adds the logits from <paramref name="first"/> to <paramref name="end"/> - 1.</summary>
        public void Add(Function function, double scale, long first, long end)
        {
            if (typeof(T) == typeof(double))
            {
                for (long i = first; i < end; i++)
                {
                    double logit = CpuElement.ToDouble(_logits[i]);
                    _positives += logit > 0 ? 1 : 0;
                    Loss += share * Value(function, sign * logit, out double slope);
                    if (_gradient != null) _gradient[i] = CpuElement.FromDouble<T>(sign * scale * share * slope);
                }

                return;
            }

            Vector512<float> signs = Vector512.Create((float)sign), factor = Vector512.Create((float)(sign * scale * share));
            for (long i = first; i < end; i += CpuElement.Width)
            {
                int count = (int)Math.Min(CpuElement.Width, end - i);
                Vector512<float> logit = CpuElement.Load(_logits + i, count);
                Vector512<float> value = Value(function, signs * logit, out Vector512<float> slope);
                _positives += BitOperations.PopCount(Vector512.GreaterThan(logit, Vector512<float>.Zero).ExtractMostSignificantBits());
                for (int lane = 0; lane < count; lane++) Loss += share * value[lane];
                if (_gradient != null) CpuElement.Store(_gradient + i, factor * slope, count);
            }
        }
    }

    /// <summary>As in the kernel: the softplus from t = e^-|z|, in which nothing overflows; NaN is not below a hinge.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Value(Function function, Vector512<float> z, out Vector512<float> slope)
    {
        Vector512<float> zero = Vector512<float>.Zero, one = Vector512<float>.One;
        if (function == Function.Softplus)
        {
            Vector512<float> t = CpuExp.Exp(-Vector512.Abs(z)), larger = one / (one + t), isNegative = Vector512.LessThan(z, zero);
            slope = Vector512.ConditionalSelect(isNegative, t * larger, larger);
            return LogOnePlus(t) + Vector512.AndNot(z, isNegative);
        }

        Vector512<float> stopped = function == Function.Hinge ? Vector512.LessThanOrEqual(z, -one) : zero;
        slope = Vector512.AndNot(one, stopped);
        return Vector512.AndNot(function == Function.Hinge ? one + z : z, stopped);
    }

    private static double Value(Function function, double z, out double slope)
    {
        if (function == Function.Softplus)
        {
            double t = Math.Exp(-Math.Abs(z)), larger = 1 / (1 + t), sum = 1 + t;
            slope = z < 0 ? t * larger : larger;
            return (sum == 1 ? t : t * Math.Log(sum) / (sum - 1)) + (z < 0 ? 0 : z);
        }

        bool stopped = function == Function.Hinge && z <= -1;
        slope = stopped ? 0 : 1;
        return stopped ? 0 : function == Function.Hinge ? 1 + z : z;
    }

    /// <summary>log(1 + t) of t from 0 to 1, or NaN: the rounding of 1 + t cancels in its logarithm (W. Kahan).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> LogOnePlus(Vector512<float> t)
    {
        Vector512<float> one = Vector512<float>.One, sum = one + t, log = CpuMath.Log(sum) * t / (sum - one);
        return Vector512.ConditionalSelect(Vector512.Equals(sum, one), t, log);
    }
}
