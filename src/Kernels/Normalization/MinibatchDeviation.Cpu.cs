using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

public static unsafe partial class MinibatchDeviation
{
    /// <summary>Where value <paramref name="index"/> of the added channel lies in a sample.</summary>
    private static ulong PlaceOf(in SetArguments sets, ulong index) =>
        sets.Channels == 0 ? sets.Features + index : (index * (sets.Channels + 1)) + sets.Channels;

    /// <summary>Calls the body with set, first feature and end of each part.</summary>
    private static void ForEachPart(SetArguments sets, Action<ulong, long, long> body)
    {
        long chunk = Math.Max(1, CpuParallel.ElementsPerChunk / (PartLength * (long)sets.Members));
        CpuParallel.ForRange((long)(sets.Sets * sets.Parts), chunk, (first, end) =>
        {
            for (long i = first; i < end; i++)
            {
                (ulong set, ulong part) = Math.DivRem((ulong)i, sets.Parts);
                long start = (long)part * PartLength;
                body(set, start, Math.Min(start + PartLength, (long)sets.Features));
            }
        });
    }

    /// <summary>Moves features of a sample to where they lie with one more channel, or back.</summary>
    private static void Move<T>(in SetArguments sets, T* plain, T* wider, long start, long end, bool back)
        where T : unmanaged
    {
        if (sets.Channels == 0)
        {
            Span<T> one = new(plain + start, (int)(end - start)), other = new(wider + start, (int)(end - start));
            (back ? other : one).CopyTo(back ? one : other);
            return;
        }

        for (long feature = start; feature < end;)
        {
            (long position, long channel) = Math.DivRem(feature, sets.Channels);
            int count = (int)Math.Min(sets.Channels - channel, end - feature);
            Span<T> one = new(plain + feature, count), other = new(wider + feature + position, count);
            (back ? other : one).CopyTo(back ? one : other);
            feature += count;
        }
    }

    /// <summary>What <c>deviations_of</c> is to the kernels, for a vector of features.</summary>
    private readonly ref struct Deviations<T, TReal>
        where T : unmanaged
        where TReal : unmanaged, IFloatingPointIeee754<TReal>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Deviations(T* x, in SetArguments sets, int count, double memberWeight, double epsilon)
        {
            long stride = (long)(sets.Sets * sets.Features);
            Vector512<TReal> weight = Vector512.Create(TReal.CreateChecked(memberWeight)), mean = Vector512<TReal>.Zero;
            Vector512<TReal> variance = Vector512<TReal>.Zero;
            First = CpuReal.Load<T, TReal>(x, count);
            for (long member = 1; member < (long)sets.Members; member++)
                mean = CpuReal.FusedMultiplyAdd(CpuReal.Load<T, TReal>(x + (member * stride), count) - First, weight, mean);
            Mean = mean;
            for (long member = 0; member < (long)sets.Members; member++)
            {
                Vector512<TReal> distance = Distance(CpuReal.Load<T, TReal>(x + (member * stride), count));
                variance = CpuReal.FusedMultiplyAdd(distance * weight, distance, variance);
            }

            Root = Vector512.Sqrt(variance + Vector512.Create(TReal.CreateChecked(epsilon)));
        }

        public Vector512<TReal> Root { get; }

        private Vector512<TReal> First { get; }

        private Vector512<TReal> Mean { get; }

        /// <summary>From the mean.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<TReal> Distance(Vector512<TReal> values) => values - First - Mean;
    }

    private readonly struct CpuForward : ICpuKernel<MinibatchDeviationForwardArguments>
    {
        public static void Run<T>(in KernelVariant variant, in MinibatchDeviationForwardArguments arguments)
            where T : unmanaged
        {
            if (typeof(T) == typeof(double))
                Run<T, double>(arguments);
            else
                Run<T, float>(arguments);
        }

        private static void Run<T, TReal>(MinibatchDeviationForwardArguments a)
            where T : unmanaged
            where TReal : unmanaged, IFloatingPointIeee754<TReal>
        {
            SetArguments sets = a.Set;
            T* x = a.X.Pointer<T>();
            T* y = a.Y.Pointer<T>();
            TReal* deviations = a.Deviations.Pointer<TReal>();
            ForEachPart(sets, (set, start, end) =>
            {
                Vector512<TReal> sum = Vector512<TReal>.Zero;
                TReal rest = TReal.Zero;
                T* own = x + (set * sets.Features);
                for (long i = start; i < end; i += Vector512<TReal>.Count)
                {
                    int count = (int)Math.Min(Vector512<TReal>.Count, end - i);
                    Vector512<TReal> root = new Deviations<T, TReal>(own + i, sets, count, a.Weight, a.Epsilon).Root;
                    if (count == Vector512<TReal>.Count)
                        sum += root;
                    else
                        for (int lane = 0; lane < count; lane++) rest += root[lane];
                }

                deviations[(set * sets.Parts) + (ulong)(start / PartLength)] = Vector512.Sum(sum) + rest;
                for (ulong sample = set; sample < sets.Sets * sets.Members; sample += sets.Sets)
                    Move(sets, x + (sample * sets.Features), y + (sample * (sets.Features + sets.Positions)), start, end, back: false);
            });
        }
    }

    private readonly struct CpuMap : ICpuKernel<MinibatchDeviationMapArguments>
    {
        public static void Run<T>(in KernelVariant variant, in MinibatchDeviationMapArguments arguments)
            where T : unmanaged
        {
            SetArguments sets = arguments.Set;
            for (ulong sample = 0; sample < sets.Sets * sets.Members; sample++)
            {
                ulong first = sample % sets.Sets * sets.Parts;
                T value = typeof(T) == typeof(double)
                    ? CpuElement.FromDouble<T>(Sum(arguments.Deviations.Pointer<double>() + first, sets.Parts) * arguments.Weight)
                    : CpuElement.FromSingle<T>(Sum(arguments.Deviations.Pointer<float>() + first, sets.Parts) * (float)arguments.Weight);
                T* y = arguments.Y.Pointer<T>() + (sample * (sets.Features + sets.Positions));
                for (ulong i = 0; i < sets.Positions; i++) y[PlaceOf(sets, i)] = value;
            }
        }

        private static TReal Sum<TReal>(TReal* values, ulong count)
            where TReal : unmanaged, INumberBase<TReal>
        {
            TReal sum = TReal.Zero;
            for (ulong i = 0; i < count; i++) sum += values[i];
            return sum;
        }
    }

    private readonly struct CpuSums : ICpuKernel<MinibatchDeviationSumsArguments>
    {
        public static void Run<T>(in KernelVariant variant, in MinibatchDeviationSumsArguments arguments)
            where T : unmanaged
        {
            SetArguments sets = arguments.Set;
            for (ulong set = 0; set < sets.Sets; set++)
            {
                double sum = 0;
                for (ulong sample = set; sample < sets.Sets * sets.Members; sample += sets.Sets)
                {
                    T* dy = arguments.Dy.Pointer<T>() + (sample * (sets.Features + sets.Positions));
                    for (ulong i = 0; i < sets.Positions; i++) sum += CpuElement.ToDouble(dy[PlaceOf(sets, i)]);
                }

                if (typeof(T) == typeof(double))
                    arguments.Slopes.Pointer<double>()[set] = sum * arguments.Weight;
                else
                    arguments.Slopes.Pointer<float>()[set] = (float)(sum * arguments.Weight);
            }
        }
    }

    private readonly struct CpuBackward : ICpuKernel<MinibatchDeviationBackwardArguments>
    {
        public static void Run<T>(in KernelVariant variant, in MinibatchDeviationBackwardArguments arguments)
            where T : unmanaged
        {
            if (typeof(T) == typeof(double))
                Run<T, double>(arguments);
            else
                Run<T, float>(arguments);
        }

        private static void Run<T, TReal>(MinibatchDeviationBackwardArguments a)
            where T : unmanaged
            where TReal : unmanaged, IFloatingPointIeee754<TReal>
        {
            SetArguments sets = a.Set;
            T* x = a.X.Pointer<T>();
            T* dy = a.Dy.Pointer<T>();
            T* dx = a.Dx.Pointer<T>();
            TReal* slopes = a.Slopes.Pointer<TReal>();
            ForEachPart(sets, (set, start, end) =>
            {
                for (ulong sample = set; sample < sets.Sets * sets.Members; sample += sets.Sets)
                    Move(sets, dx + (sample * sets.Features), dy + (sample * (sets.Features + sets.Positions)), start, end, back: true);
                for (long i = start; i < end; i += Vector512<TReal>.Count)
                {
                    int count = (int)Math.Min(Vector512<TReal>.Count, end - i);
                    Deviations<T, TReal> own = new(x + (set * sets.Features) + i, sets, count, a.Weight, a.Epsilon);
                    Vector512<TReal> slope = Vector512.Create(slopes[set]) / own.Root;
                    for (ulong sample = set; sample < sets.Sets * sets.Members; sample += sets.Sets)
                    {
                        ulong place = (sample * sets.Features) + (ulong)i;
                        Vector512<TReal> distance = own.Distance(CpuReal.Load<T, TReal>(x + place, count));
                        Vector512<TReal> gradient = CpuReal.Load<T, TReal>(dx + place, count);
                        CpuReal.Store(dx + place, CpuReal.FusedMultiplyAdd(distance, slope, gradient), count);
                    }
                }
            });
        }
    }
}
