using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

public static unsafe partial class Entropy
{
    private const int Width = CpuElement.Width;

    /// <summary>A row of logits, -infinity where the mask has 0.</summary>
    private readonly struct MaskedRow<T>(TensorArgument logits, TensorArgument mask, long row, long classes)
        where T : unmanaged
    {
        private readonly T* _logits = logits.Pointer<T>() + (row * classes);
        private readonly byte* _mask = mask.IsPresent ? mask.Pointer<byte>() + (row * classes) : null;

        public readonly int Classes = (int)classes;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> Load(int i, int count)
        {
            Vector512<float> logits = CpuSoftmax.LoadLogits(_logits + i, count);
            return _mask == null ? logits : Vector512.ConditionalSelect(Masked(i, count), Vector512.Create(float.NegativeInfinity), logits);
        }

        public double this[int k] => _mask != null && _mask[k] == 0 ? double.NegativeInfinity : CpuElement.ToDouble(_logits[k]);

        private Vector512<float> Masked(int i, int count)
        {
            Vector128<byte> bytes = count == Width ? Vector128.Load(_mask + i) : Part(_mask + i, count);
            Vector256<ushort> words = Vector256.Create(Vector128.WidenLower(bytes), Vector128.WidenUpper(bytes));
            Vector512<uint> wide = Vector512.Create(Vector256.WidenLower(words), Vector256.WidenUpper(words));
            return Vector512.Equals(wide, Vector512<uint>.Zero).AsSingle();
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector128<byte> Part(byte* mask, int count) => Avx512BW.VL.IsSupported
            ? Avx512BW.VL.MaskLoad(mask, Vector128.LessThan(Vector128<byte>.Indices, Vector128.Create((byte)count)), Vector128<byte>.Zero)
            : CopyPart(mask, count);

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static Vector128<byte> CopyPart(byte* mask, int count)
        {
            byte* part = stackalloc byte[Width];
            new Span<byte>(part, Width).Clear();
            new ReadOnlySpan<byte>(mask, count).CopyTo(new Span<byte>(part, Width));
            return Vector128.Load(part);
        }
    }

    /// <summary>The largest logit, from which the exponentials are taken; 0 where all are masked, so that they are 0.</summary>
    private static float Largest<T>(in MaskedRow<T> row)
        where T : unmanaged
    {
        Vector512<float> largest = Vector512.Create(float.NegativeInfinity);
        for (int i = 0; i < row.Classes; i += Width) largest = CpuSoftmax.Larger(row.Load(i, Math.Min(Width, row.Classes - i)), largest);
        float result = CpuSoftmax.Largest(largest);
        return float.IsNegativeInfinity(result) ? 0 : result;
    }

    /// <summary>The sum of the exponentials and their moment; the exponentials to <paramref name="e"/> if there is one.</summary>
    private static (double Sum, double Moment) Sums<T>(in MaskedRow<T> row, float largest, float* e)
        where T : unmanaged
    {
        Vector512<float> shift = Vector512.Create(largest), sum = Vector512<float>.Zero, moment = sum;
        for (int i = 0; i < row.Classes; i += Width)
        {
            Vector512<float> x = row.Load(i, Math.Min(Width, row.Classes - i)) - shift, exponential = CpuExp.Exp(x);
            if (e != null) exponential.Store(e + i);
            sum += exponential;
            moment += exponential * CpuSoftmax.Exponent(x);
        }

        return (Vector512.Sum(sum), Vector512.Sum(moment));
    }

    private static (double Largest, double Sum, double Moment) SumsInDouble(in MaskedRow<double> row)
    {
        (double largest, double sum, double moment) = (double.NegativeInfinity, 0, 0);
        for (int k = 0; k < row.Classes; k++) largest = row[k] > largest ? row[k] : largest;
        for (int k = 0; k < row.Classes; k++)
        {
            if (double.IsNegativeInfinity(row[k])) continue;
            double x = CpuSoftmax.Exponent(row[k] - largest), exponential = Math.Exp(x);
            sum += exponential;
            moment += exponential * x;
        }

        return (largest, sum, moment);
    }

    private readonly struct CpuForward : ICpuKernel<EntropyForwardArguments>
    {
        public static void Run<T>(in KernelVariant variant, in EntropyForwardArguments arguments)
            where T : unmanaged
        {
            EntropyForwardArguments a = arguments;
            long classes = (long)a.Classes;
            CpuParallel.ForRange((long)a.Rows, Math.Max(1, CpuParallel.ElementsPerChunk / classes), (first, end) =>
            {
                for (long row = first; row < end; row++)
                {
                    if (typeof(T) == typeof(double))
                    {
                        (_, double sum, double moment) = SumsInDouble(new MaskedRow<double>(a.Logits, a.Mask, row, classes));
                        a.Entropies.Pointer<double>()[row] = Of(sum, moment);
                    }
                    else
                    {
                        MaskedRow<T> logits = new(a.Logits, a.Mask, row, classes);
                        (double sum, double moment) = Sums(logits, Largest(logits), null);
                        a.Entropies.Pointer<float>()[row] = (float)Of(sum, moment);
                    }
                }
            });
        }

        private static double Of(double sum, double moment) => sum == 0 ? 0 : Math.Log(sum) - (moment / sum);
    }

    private readonly struct CpuBackward : ICpuKernel<EntropyBackwardArguments>
    {
        public static void Run<T>(in KernelVariant variant, in EntropyBackwardArguments arguments)
            where T : unmanaged
        {
            EntropyBackwardArguments a = arguments;
            CpuParallel.ForRange((long)a.Rows, Math.Max(1, CpuParallel.ElementsPerChunk / (long)a.Classes), (first, end) =>
            {
                if (typeof(T) == typeof(double))
                    RowsInDouble(a, first, end);
                else
                    RowsInFloat<T>(a, first, end);
            });
        }

        private static void RowsInFloat<T>(in EntropyBackwardArguments a, long first, long end)
            where T : unmanaged
        {
            int classes = (int)a.Classes;
            Vector512<float> masked = Vector512.Create(float.NegativeInfinity);
            float[] buffer = ArrayPool<float>.Shared.Rent(classes + Width);
            fixed (float* e = buffer)
            {
                for (long row = first; row < end; row++)
                {
                    T* gradient = a.Gradient.Pointer<T>() + ((long)a.Classes * row);
                    float slope = a.EntropyGradient.Pointer<float>()[row * (long)a.EntropyGradientStride];
                    if (!float.IsFinite(slope)) slope = float.NaN;
                    if (slope == 0)
                    {
                        new Span<T>(gradient, classes).Clear();
                        continue;
                    }

                    MaskedRow<T> logits = new(a.Logits, a.Mask, row, classes);
                    float largest = Largest(logits);
                    (double sum, double moment) = Sums(logits, largest, e);
                    Vector512<float> factor = Vector512.Create((float)(a.GradientScale * slope)),
                        inverse = Vector512.Create((float)(-1 / sum));
                    Vector512<float> shift = Vector512.Create(largest), surprise = Vector512.Create((float)(-moment / sum));
                    for (int i = 0; i < classes; i += Width)
                    {
                        int count = Math.Min(Width, classes - i);
                        Vector512<float> z = logits.Load(i, count), x = CpuSoftmax.Exponent(z - shift);
                        Vector512<float> share = (Vector512.Load(e + i) * inverse) * (x + surprise);
                        CpuElement.Store(gradient + i, Vector512.AndNot(factor * share, Vector512.Equals(z, masked)), count);
                    }
                }
            }

            ArrayPool<float>.Shared.Return(buffer);
        }

        private static void RowsInDouble(in EntropyBackwardArguments a, long first, long end)
        {
            for (long row = first; row < end; row++)
            {
                double* gradient = a.Gradient.Pointer<double>() + (row * (long)a.Classes);
                double slope = a.EntropyGradient.Pointer<double>()[row * (long)a.EntropyGradientStride];
                if (!double.IsFinite(slope)) slope = double.NaN;
                MaskedRow<double> logits = new(a.Logits, a.Mask, row, (long)a.Classes);
                (double largest, double sum, double moment) = SumsInDouble(logits);
                for (int k = 0; k < logits.Classes; k++)
                {
                    double x = CpuSoftmax.Exponent(logits[k] - largest);
                    bool counts = slope != 0 && !double.IsNegativeInfinity(logits[k]);
                    gradient[k] = counts ? a.GradientScale * slope * -(Math.Exp(x) / sum * (x - (moment / sum))) : 0;
                }
            }
        }
    }
}
