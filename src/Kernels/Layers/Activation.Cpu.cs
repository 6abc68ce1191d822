using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

internal static unsafe partial class Activation
{
    private const int Width = CpuElement.Width;

    /// <summary>A function and its gradient, in floats and in double; a type parameter, so that the loops are compiled for it.</summary>
    private interface IFunction
    {
        static abstract Vector512<float> Value(Vector512<float> x, Vector512<float> slope);

        static abstract double Value(double x, double slope);

        static abstract Vector512<float> Gradient(Vector512<float> y, Vector512<float> dy, Vector512<float> slope);

        static abstract double Gradient(double y, double dy, double slope);
    }

    private readonly struct CpuForward : ICpuKernel<ActivationForwardArguments>
    {
        public static void Run<T>(in KernelVariant variant, in ActivationForwardArguments a)
            where T : unmanaged
        {
            switch ((ActivationFunction)a.Function)
            {
                case ActivationFunction.LeakyRelu: Run<T, LeakyReluFunction>(a); break;
                case ActivationFunction.Tanh: Run<T, TanhFunction>(a); break;
                default: Run<T, SigmoidFunction>(a); break;
            }
        }

        private static void Run<T, TFunction>(ActivationForwardArguments a)
            where T : unmanaged
            where TFunction : struct, IFunction
        {
            T* x = a.X.Pointer<T>(), y = a.Y.Pointer<T>();
            (long count, double slope) = ((long)a.Count, a.Slope);
            if (typeof(T) == typeof(double))
                CpuParallel.ForRange(count, CpuParallel.ElementsPerChunk, (first, end) => InDouble((double*)x, (double*)y, first, end));
            else if (x != y && CpuStreaming.Pays(y, count * sizeof(T)))
                CpuParallel.ForRange(count, CpuParallel.ElementsPerChunk, (first, end) => InFloat<StreamingStore>(first, end));
            else
                CpuParallel.ForRange(count, CpuParallel.ElementsPerChunk, (first, end) => InFloat<CachedStore>(first, end));

            void InDouble(double* from, double* to, long first, long end)
            {
                for (long i = first; i < end; i++) to[i] = TFunction.Value(from[i], slope);
            }

            [MethodImpl(MethodImplOptions.AggressiveOptimization)]
            void InFloat<TStore>(long first, long end)
                where TStore : struct, IVectorStore
            {
                Vector512<float> slopes = Vector512.Create((float)slope);
                long i = first;
                for (; i + (2 * Width) <= end; i += 2 * Width)
                {
                    Vector512<float> low = TFunction.Value(CpuElement.Load(x + i), slopes);
                    Vector512<float> high = TFunction.Value(CpuElement.Load(x + i + Width), slopes);
                    CpuElement.Store32<T, TStore>(y + i, low, high);
                }

                for (; i < end; i += Width)
                {
                    int part = (int)Math.Min(Width, end - i);
                    CpuElement.Store(y + i, TFunction.Value(CpuElement.Load(x + i, part), slopes), part);
                }
            }
        }
    }

    private readonly struct CpuBackward : ICpuKernel<ActivationBackwardArguments>
    {
        public static void Run<T>(in KernelVariant variant, in ActivationBackwardArguments a)
            where T : unmanaged
        {
            switch ((ActivationFunction)a.Function)
            {
                case ActivationFunction.LeakyRelu: Run<T, LeakyReluFunction>(a); break;
                case ActivationFunction.Tanh: Run<T, TanhFunction>(a); break;
                default: Run<T, SigmoidFunction>(a); break;
            }
        }

        private static void Run<T, TFunction>(ActivationBackwardArguments a)
            where T : unmanaged
            where TFunction : struct, IFunction
        {
            T* y = a.Y.Pointer<T>(), dy = a.Dy.Pointer<T>(), dx = a.Dx.Pointer<T>();
            (long count, double slope) = ((long)a.Count, a.Slope);
            if (typeof(T) == typeof(double))
                CpuParallel.ForRange(count, CpuParallel.ElementsPerChunk, (first, end) => InDouble((double*)y, (double*)dy, first, end));
            else if (dx != dy && dx != y && CpuStreaming.Pays(dx, count * sizeof(T)))
                CpuParallel.ForRange(count, CpuParallel.ElementsPerChunk, (first, end) => InFloat<StreamingStore>(first, end));
            else
                CpuParallel.ForRange(count, CpuParallel.ElementsPerChunk, (first, end) => InFloat<CachedStore>(first, end));

            void InDouble(double* outputs, double* gradients, long first, long end)
            {
                for (long i = first; i < end; i++) ((double*)dx)[i] = TFunction.Gradient(outputs[i], gradients[i], slope);
            }

            [MethodImpl(MethodImplOptions.AggressiveOptimization)]
            void InFloat<TStore>(long first, long end)
                where TStore : struct, IVectorStore
            {
                Vector512<float> slopes = Vector512.Create((float)slope);
                long i = first;
                for (; i + (2 * Width) <= end; i += 2 * Width)
                {
                    Vector512<float> low = TFunction.Gradient(CpuElement.Load(y + i), CpuElement.Load(dy + i), slopes);
                    Vector512<float> high = TFunction.Gradient(CpuElement.Load(y + i + Width), CpuElement.Load(dy + i + Width), slopes);
                    CpuElement.Store32<T, TStore>(dx + i, low, high);
                }

                for (; i < end; i += Width)
                {
                    int part = (int)Math.Min(Width, end - i);
                    Vector512<float> outputs = CpuElement.Load(y + i, part), gradients = CpuElement.Load(dy + i, part);
                    CpuElement.Store(dx + i, TFunction.Gradient(outputs, gradients, slopes), part);
                }
            }
        }
    }

    private readonly struct LeakyReluFunction : IFunction
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<float> Value(Vector512<float> x, Vector512<float> slope) => Gradient(x, x, slope);

        public static double Value(double x, double slope) => Gradient(x, x, slope);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<float> Gradient(Vector512<float> y, Vector512<float> dy, Vector512<float> slope) =>
            Vector512.ConditionalSelect(Vector512.LessThanOrEqual(y, Vector512<float>.Zero), slope * dy, dy);

        public static double Gradient(double y, double dy, double slope) => y <= 0 ? slope * dy : dy;
    }

    private readonly struct TanhFunction : IFunction
    {
        /// <summary>As in the kernel: a polynomial for small |x| (S. L. Moshier's Cephes), else from t = e^-2|x|.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<float> Value(Vector512<float> x, Vector512<float> slope)
        {
            Vector512<float> size = Vector512.Abs(x), sign = x ^ size, one = Vector512<float>.One, t = CpuExp.Exp(-(size + size));
            Vector512<float> large = ((one - t) / (one + t)) | sign;
            Vector512<float> square = x * x;
            Vector512<float> p = Fma(Vector512.Create(-5.70498872745e-3f), square, Vector512.Create(2.06390887954e-2f));
            p = Fma(p, square, Vector512.Create(-5.37397155531e-2f));
            p = Fma(p, square, Vector512.Create(1.33314422036e-1f));
            p = Fma(p, square, Vector512.Create(-3.33332819422e-1f));
            Vector512<float> small = Fma(p * square, x, x);
            return Vector512.ConditionalSelect(Vector512.LessThan(size, Vector512.Create(0.625f)), small, large);
        }

        public static double Value(double x, double slope) => Math.Tanh(x);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<float> Gradient(Vector512<float> y, Vector512<float> dy, Vector512<float> slope) =>
            dy * Fma(-y, y, Vector512<float>.One);

        public static double Gradient(double y, double dy, double slope) => dy * Math.FusedMultiplyAdd(-y, y, 1);
    }

    private readonly struct SigmoidFunction : IFunction
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<float> Value(Vector512<float> x, Vector512<float> slope)
        {
            Vector512<float> t = CpuExp.Exp(-Vector512.Abs(x)), larger = Vector512<float>.One / (Vector512<float>.One + t);
            return Vector512.ConditionalSelect(Vector512.LessThan(x, Vector512<float>.Zero), t * larger, larger);
        }

        public static double Value(double x, double slope)
        {
            double t = Math.Exp(-Math.Abs(x)), larger = 1 / (1 + t);
            return x < 0 ? t * larger : larger;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<float> Gradient(Vector512<float> y, Vector512<float> dy, Vector512<float> slope) =>
            dy * (y * (Vector512<float>.One - y));

        public static double Gradient(double y, double dy, double slope) => dy * (y * (1 - y));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Fma(Vector512<float> a, Vector512<float> b, Vector512<float> c) => Vector512.FusedMultiplyAdd(a, b, c);
}
