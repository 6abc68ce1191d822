using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <summary>The rectifier: y = max(x, 0).</summary>
/// <remarks>
/// NaN stays NaN, -0 becomes +0. Types: float, Half, BFloat16, double; any shape, including empty. V. Nair and G. Hinton, "Rectified linear
/// units improve restricted Boltzmann machines", ICML 2010.
/// </remarks>
public static unsafe class Relu
{
    private static readonly KernelDefinition<ReluForwardArguments> ForwardKernel =
        EntryPoints.ReluForward.Float<CpuForward>(vectorWidths: [1, 8]);

    private static readonly KernelDefinition<ReluBackwardArguments> BackwardKernel =
        EntryPoints.ReluBackward.Float<CpuBackward>(vectorWidths: [1, 8]);

    /// <summary>y = max(x, 0).</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input, any shape.</param>
    /// <param name="y">Output, shape of <paramref name="x"/>; may be <paramref name="x"/>.</param>
    /// <exception cref="ArgumentException">The shapes differ, the tensors overlap in part, or one is on another device.</exception>
    public static void Forward<T>(DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y)
        where T : unmanaged
    {
        Check.Elementwise("Relu.Forward", stream, x, nameof(x), y, nameof(y));
        if (x.Length == 0) return;
        stream.Launch(
            ForwardKernel,
            new KernelVariant(x.DType, x.IsVectorAligned && y.IsVectorAligned ? 8 : 1),
            LaunchShape.Items((x.Length + 7) / 8, ForwardKernel),
            new ReluForwardArguments { X = x.Argument, Y = y.Argument, Count = (ulong)x.Length });
    }

    /// <summary>dx = dy where y &gt; 0 (or y is NaN), else 0. Since y and x have the same sign, either may be given.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="y">Output of the forward call (or its input), any shape.</param>
    /// <param name="dy">Gradient of the output, shape of <paramref name="y"/>.</param>
    /// <param name="dx">Gradient of the input, shape of <paramref name="y"/>; may be <paramref name="dy"/> or <paramref name="y"/>.</param>
    /// <exception cref="ArgumentException">The shapes differ, the tensors overlap in part, or one is on another device.</exception>
    public static void Backward<T>(DeviceStream stream, DeviceTensor<T> y, DeviceTensor<T> dy, DeviceTensor<T> dx)
        where T : unmanaged
    {
        const string Op = "Relu.Backward";
        Check.Elementwise(Op, stream, dy, nameof(dy), dx, nameof(dx));
        Check.Elementwise(Op, stream, y, nameof(y), dx, nameof(dx));
        if (y.Length == 0) return;
        stream.Launch(
            BackwardKernel,
            new KernelVariant(y.DType, y.IsVectorAligned && dy.IsVectorAligned && dx.IsVectorAligned ? 8 : 1),
            LaunchShape.Items((y.Length + 7) / 8, BackwardKernel),
            new ReluBackwardArguments { Y = y.Argument, Dy = dy.Argument, Dx = dx.Argument, Count = (ulong)y.Length });
    }

    private readonly struct CpuForward : ICpuKernel<ReluForwardArguments>
    {
        public static void Run<T>(in KernelVariant variant, in ReluForwardArguments arguments)
            where T : unmanaged
        {
            T* x = arguments.X.Pointer<T>(), y = arguments.Y.Pointer<T>();
            long count = (long)arguments.Count;
            if (x != y && CpuStreaming.Pays(y, count * sizeof(T)))
                CpuParallel.ForRange(count, CpuParallel.ElementsPerChunk, (first, end) => Range<T, StreamingStore>(x, y, first, end));
            else
                CpuParallel.ForRange(count, CpuParallel.ElementsPerChunk, (first, end) => Range<T, CachedStore>(x, y, first, end));
        }

        private static void Range<T, TStore>(T* x, T* y, long first, long end)
            where T : unmanaged
            where TStore : struct, IVectorStore
        {
            long i = first;
            for (; typeof(T) != typeof(double) && i + 32 <= end; i += 32)
            {
                Vector512<float> low = CpuElement.Load(x + i), high = CpuElement.Load(x + i + 16);
                CpuElement.Store32<T, TStore>(y + i, Rectified(low, low), Rectified(high, high));
            }

            for (; i < end; i++)
            {
                double value = CpuElement.ToDouble(x[i]);
                y[i] = CpuElement.FromDouble<T>(value <= 0 ? 0 : value);
            }
        }
    }

    private readonly struct CpuBackward : ICpuKernel<ReluBackwardArguments>
    {
        public static void Run<T>(in KernelVariant variant, in ReluBackwardArguments arguments)
            where T : unmanaged
        {
            T* y = arguments.Y.Pointer<T>(), dy = arguments.Dy.Pointer<T>(), dx = arguments.Dx.Pointer<T>();
            long count = (long)arguments.Count;
            if (dx != dy && dx != y && CpuStreaming.Pays(dx, count * sizeof(T)))
                CpuParallel.ForRange(count, CpuParallel.ElementsPerChunk, (first, end) => Range<T, StreamingStore>(y, dy, dx, first, end));
            else
                CpuParallel.ForRange(count, CpuParallel.ElementsPerChunk, (first, end) => Range<T, CachedStore>(y, dy, dx, first, end));
        }

        private static void Range<T, TStore>(T* y, T* dy, T* dx, long first, long end)
            where T : unmanaged
            where TStore : struct, IVectorStore
        {
            long i = first;
            for (; typeof(T) != typeof(double) && i + 32 <= end; i += 32)
            {
                Vector512<float> low = Rectified(CpuElement.Load(y + i), CpuElement.Load(dy + i));
                Vector512<float> high = Rectified(CpuElement.Load(y + i + 16), CpuElement.Load(dy + i + 16));
                CpuElement.Store32<T, TStore>(dx + i, low, high);
            }

            for (; i < end; i++) dx[i] = CpuElement.ToDouble(y[i]) <= 0 ? default : dy[i];
        }
    }

    /// <summary>The values where the outputs are more than 0, or NaN; else +0.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Rectified(Vector512<float> outputs, Vector512<float> values) =>
        Vector512.AndNot(values, Vector512.LessThanOrEqual(outputs, Vector512<float>.Zero));
}
