using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <summary>
/// Soft parameter sharing: a penalty that draws two tensors together which need not be equal, (strength / 2) * sum of (a - b)^2.
/// </summary>
/// <remarks>
/// <para>
/// Gradients: strength * (a - b) for a, and its negative for b, added to what is there. The sum is in float (double for double), in tiles
/// of 4096 elements and then these, in an order that depends on the length alone. The root of the strength multiplies a difference before
/// it is squared, and halves are subtracted, so the sum overflows only where the value does. A strength of 0 looks at no element: the value
/// is 0.
/// </para>
/// <para>
/// NaN reaches the value and its own gradients; so does the difference of equal infinities, which is NaN. Empty tensors are valid: their
/// value is 0. S. Nowlan and G. Hinton, "Simplifying neural networks by soft weight-sharing", 1992; L. Duong, T. Cohn, S. Bird and P. Cook,
/// "Low resource dependency parsing: cross-lingual parameter sharing in a neural network parser", ACL 2015.
/// </para>
/// </remarks>
public static unsafe partial class SoftSharing
{
    private const uint GradientSwitch = 1;

    private static readonly KernelDefinition<SoftSharingTilesArguments> Kernel =
        EntryPoints.SoftSharingTiles.Float<CpuTiles>(switches: ["HAS_GRADIENT"]);

    /// <summary>The value alone.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="a">One tensor, any shape.</param>
    /// <param name="b">The other, shape of <paramref name="a"/>; may be <paramref name="a"/>.</param>
    /// <param name="value">Output, one number of the arithmetic type.</param>
    /// <param name="strength">Strength of the penalty, finite and at least 0.</param>
    /// <exception cref="ArgumentException">The shapes differ, tensors overlap, or one is on another device.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The strength is negative, NaN or infinite.</exception>
    internal static void Forward<T, TReal>(
        DeviceStream stream, DeviceTensor<T> a, DeviceTensor<T> b, DeviceTensor<TReal> value, double strength)
        where T : unmanaged
        where TReal : unmanaged =>
        Run("SoftSharing.Forward", stream, a, b, null, null, value, strength, gradientScale: 0, hasGradient: false);

    /// <summary>The value, and the gradients in the same pass over memory.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="a">One tensor, any shape.</param>
    /// <param name="b">The other, shape of <paramref name="a"/>.</param>
    /// <param name="da">
    /// Gradient of <paramref name="a"/>, same shape, to which the penalty's is added; null where a is not trained.
    /// </param>
    /// <param name="db">Gradient of <paramref name="b"/>, likewise.</param>
    /// <param name="value">Output, one number of the arithmetic type.</param>
    /// <param name="strength">Strength of the penalty, finite and at least 0.</param>
    /// <param name="gradientScale">Factor of the gradients, not of the value: a loss scale.</param>
    /// <exception cref="ArgumentException">The shapes differ, tensors overlap, or one is on another device.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The strength is negative, NaN or infinite, or the scale NaN or infinite.</exception>
    internal static void ForwardBackward<T, TReal>(
        DeviceStream stream, DeviceTensor<T> a, DeviceTensor<T> b, DeviceTensor<T>? da, DeviceTensor<T>? db, DeviceTensor<TReal> value,
        double strength, double gradientScale)
        where T : unmanaged
        where TReal : unmanaged =>
        Run("SoftSharing.ForwardBackward", stream, a, b, da, db, value, strength, gradientScale, hasGradient: true);

    private static void Run<T, TReal>(
        string op, DeviceStream stream, DeviceTensor<T> a, DeviceTensor<T> b, DeviceTensor<T>? da, DeviceTensor<T>? db,
        DeviceTensor<TReal> value, double strength, double gradientScale, bool hasGradient)
        where T : unmanaged
        where TReal : unmanaged
    {
        Check.FloatTensor(op, stream, a, nameof(a));
        Check.FloatTensor(op, stream, b, nameof(b));
        Check.Shape(op, b, nameof(b), a.Shape);
        Check.Tensor(op, stream, value, nameof(value));
        Check.Shape(op, value, nameof(value), 1);
        Check.AtLeast(op, strength, nameof(strength), 0);
        Check.Finite(op, gradientScale, nameof(gradientScale));
        Check.Disjoint(op, a, nameof(a), value, nameof(value));
        Check.Disjoint(op, b, nameof(b), value, nameof(value));
        CheckGradient(op, stream, a, b, da, nameof(da), value);
        CheckGradient(op, stream, a, b, db, nameof(db), value);
        if (da is not null && db is not null) Check.Disjoint(op, da, nameof(da), db, nameof(db));
        if (strength == 0 || a.Length == 0)
        {
            stream.Fill(value, default);
            return;
        }

        long tileLength = TensorTable<T>.TileLength, tiles = ((a.Length - 1) / tileLength) + 1;
        bool aligned = a.IsVectorAligned && b.IsVectorAligned && da?.IsVectorAligned != false && db?.IsVectorAligned != false;
        using ScratchPool.Lease<T> sums = RealBuffer<T>.RentScratch(stream, tiles);
        stream.Launch(
            Kernel,
            new KernelVariant(a.DType, Switches: hasGradient && (da ?? db) is not null ? GradientSwitch : 0),
            LaunchShape.GroupPerRow(tiles),
            new SoftSharingTilesArguments
            {
                A = a.Argument,
                B = b.Argument,
                Da = da?.Argument ?? default,
                Db = db?.Argument ?? default,
                Sums = sums.Argument,
                Count = (ulong)a.Length,
                TileLength = (ulong)tileLength,
                Aligned = aligned ? 1u : 0,
                Root = 2 * Math.Sqrt(strength / 2),
                Slope = 2 * strength * gradientScale,
            });
        stream.Launch(
            NormPenaltyKernels.Value, new KernelVariant(a.DType), LaunchShape.GroupPerRow(1),
            new NormPenaltyValueArguments { Sums = sums.Argument, Value = value.Argument, TileCount = (ulong)tiles });
    }

    private static void CheckGradient<T, TReal>(
        string op, DeviceStream stream, DeviceTensor<T> a, DeviceTensor<T> b, DeviceTensor<T>? gradient, string name,
        DeviceTensor<TReal> value)
        where T : unmanaged
        where TReal : unmanaged
    {
        if (gradient is null) return;
        Check.FloatTensor(op, stream, gradient, name);
        Check.Shape(op, gradient, name, a.Shape);
        Check.Disjoint(op, a, nameof(a), gradient, name);
        Check.Disjoint(op, b, nameof(b), gradient, name);
        Check.Disjoint(op, value, nameof(value), gradient, name);
    }

    private readonly struct CpuTiles : ICpuKernel<SoftSharingTilesArguments>
    {
        public static void Run<T>(in KernelVariant variant, in SoftSharingTilesArguments arguments)
            where T : unmanaged
        {
            bool hasGradient = (variant.Switches & GradientSwitch) != 0;
            if (typeof(T) == typeof(double))
                Run<T, double>(arguments, hasGradient);
            else
                Run<T, float>(arguments, hasGradient);
        }

        private static void Run<T, TReal>(SoftSharingTilesArguments a, bool hasGradient)
            where T : unmanaged
            where TReal : unmanaged
        {
            long length = (long)a.TileLength, tiles = (((long)a.Count - 1) / length) + 1;
            CpuParallel.ForRange(tiles, CpuParallel.ElementsPerChunk / length, (first, end) =>
            {
                for (long tile = first; tile < end; tile++)
                {
                    long start = tile * length;
                    T* da = hasGradient && a.Da.IsPresent ? a.Da.Pointer<T>() + start : null;
                    T* db = hasGradient && a.Db.IsPresent ? a.Db.Pointer<T>() + start : null;
                    a.Sums.Pointer<TReal>()[tile] = Tile(
                        a.A.Pointer<T>() + start, a.B.Pointer<T>() + start, da, db, Math.Min(length, (long)a.Count - start),
                        CpuElement.FromDouble<TReal>(a.Root), CpuElement.FromDouble<TReal>(a.Slope));
                }
            });
        }

        private static TReal Tile<T, TReal>(T* a, T* b, T* da, T* db, long count, TReal root, TReal slope)
            where T : unmanaged
            where TReal : unmanaged
        {
            int width = Vector512<TReal>.Count;
            Vector512<TReal> half = Vector512.Create(CpuElement.FromDouble<TReal>(0.5)), value = Vector512<TReal>.Zero;
            Vector512<TReal> roots = Vector512.Create(root), slopes = Vector512.Create(slope);
            for (long i = 0; i < count; i += width)
            {
                int part = (int)Math.Min(width, count - i);
                Vector512<TReal> difference = (half * CpuReal.Load<T, TReal>(a + i, part)) - (half * CpuReal.Load<T, TReal>(b + i, part));
                Vector512<TReal> rooted = roots * difference, gradient = slopes * difference;
                value += rooted * rooted;
                if (da != null) CpuReal.Store(da + i, CpuReal.Load<T, TReal>(da + i, part) + gradient, part);
                if (db != null) CpuReal.Store(db + i, CpuReal.Load<T, TReal>(db + i, part) - gradient, part);
            }

            return Vector512.Sum(value);
        }
    }
}
