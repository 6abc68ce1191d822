using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace Kernels.Cpu;

internal static unsafe partial class CpuGemm
{
    /// <summary>The operations that the product needs of a vector of one width.</summary>
    private interface ILanes<TVector, TSum>
        where TVector : unmanaged
        where TSum : unmanaged
    {
        /// <summary>The elements in a vector.</summary>
        static abstract int Width { get; }

        /// <summary>The tile height at which two vectors of sums a row, and their operands, fill the registers.</summary>
        static abstract int TileRows { get; }

        /// <summary>True when <see cref="Transpose"/> is there.</summary>
        static abstract bool CanTranspose { get; }

        static abstract TVector Load(TSum* source);

        static abstract TVector Broadcast(TSum* source);

        static abstract void Store(TVector value, TSum* destination);

        /// <summary>Past the caches, to an address that is a multiple of the vector's size.</summary>
        static abstract void Stream(TVector value, TSum* destination);

        static abstract TVector Add(TVector left, TVector right);

        /// <summary>0 for what is at most 0; NaN stays.</summary>
        static abstract TVector Rectify(TVector value);

        static abstract TVector MultiplyAdd(TVector left, TVector right, TVector addend);

        /// <summary>Turns columns of four, <see cref="Width"/> of them, into four rows.</summary>
        static abstract void Transpose(TSum* source, long sourceStride, TSum* destination, long destinationStride);
    }

    private readonly struct Lanes512<TSum> : ILanes<Vector512<TSum>, TSum>
        where TSum : unmanaged
    {
        public static int Width => Vector512<TSum>.Count;

        public static int TileRows => 12;

        public static bool CanTranspose => typeof(TSum) == typeof(float) && Avx512F.IsSupported;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<TSum> Load(TSum* source) => Vector512.Load(source);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<TSum> Broadcast(TSum* source) => Vector512.Create(*source);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Store(Vector512<TSum> value, TSum* destination) => value.Store(destination);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Stream(Vector512<TSum> value, TSum* destination) => value.StoreAlignedNonTemporal(destination);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<TSum> Add(Vector512<TSum> left, Vector512<TSum> right) => left + right;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<TSum> Rectify(Vector512<TSum> value) =>
            Vector512.AndNot(value, Vector512.LessThanOrEqual(value, Vector512<TSum>.Zero));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<TSum> MultiplyAdd(Vector512<TSum> left, Vector512<TSum> right, Vector512<TSum> addend) =>
            typeof(TSum) == typeof(float)
                ? Vector512.MultiplyAddEstimate(left.AsSingle(), right.AsSingle(), addend.AsSingle()).As<float, TSum>()
                : Vector512.MultiplyAddEstimate(left.AsDouble(), right.AsDouble(), addend.AsDouble()).As<double, TSum>();

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Transpose(TSum* source, long sourceStride, TSum* destination, long destinationStride)
        {
            Vector512<float> x0 = Columns(source, sourceStride);
            Vector512<float> x1 = Columns(source + sourceStride, sourceStride);
            Vector512<float> x2 = Columns(source + (2 * sourceStride), sourceStride);
            Vector512<float> x3 = Columns(source + (3 * sourceStride), sourceStride);
            Vector512<float> low01 = Avx512F.UnpackLow(x0, x1);
            Vector512<float> low23 = Avx512F.UnpackLow(x2, x3);
            Vector512<float> high01 = Avx512F.UnpackHigh(x0, x1);
            Vector512<float> high23 = Avx512F.UnpackHigh(x2, x3);
            Avx512F.Shuffle(low01, low23, 0b01_00_01_00).Store((float*)destination);
            Avx512F.Shuffle(low01, low23, 0b11_10_11_10).Store((float*)(destination + destinationStride));
            Avx512F.Shuffle(high01, high23, 0b01_00_01_00).Store((float*)(destination + (2 * destinationStride)));
            Avx512F.Shuffle(high01, high23, 0b11_10_11_10).Store((float*)(destination + (3 * destinationStride)));
        }

        /// <summary>The columns 0, 4, 8 and 12, one to a 128-bit lane: transposing within lanes then leaves all columns in order.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector512<float> Columns(TSum* source, long stride) => Vector512.Create(
            Vector256.Create(Vector128.Load((float*)source), Vector128.Load((float*)(source + (4 * stride)))),
            Vector256.Create(Vector128.Load((float*)(source + (8 * stride))), Vector128.Load((float*)(source + (12 * stride)))));
    }

    private readonly struct Lanes256<TSum> : ILanes<Vector256<TSum>, TSum>
        where TSum : unmanaged
    {
        public static int Width => Vector256<TSum>.Count;

        public static int TileRows => Avx512F.VL.IsSupported ? 12 : 6;

        public static bool CanTranspose => typeof(TSum) == typeof(float) && Avx.IsSupported;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<TSum> Load(TSum* source) => Vector256.Load(source);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<TSum> Broadcast(TSum* source) => Vector256.Create(*source);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Store(Vector256<TSum> value, TSum* destination) => value.Store(destination);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Stream(Vector256<TSum> value, TSum* destination) => value.StoreAlignedNonTemporal(destination);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<TSum> Add(Vector256<TSum> left, Vector256<TSum> right) => left + right;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<TSum> Rectify(Vector256<TSum> value) =>
            Vector256.AndNot(value, Vector256.LessThanOrEqual(value, Vector256<TSum>.Zero));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<TSum> MultiplyAdd(Vector256<TSum> left, Vector256<TSum> right, Vector256<TSum> addend) =>
            typeof(TSum) == typeof(float)
                ? Vector256.MultiplyAddEstimate(left.AsSingle(), right.AsSingle(), addend.AsSingle()).As<float, TSum>()
                : Vector256.MultiplyAddEstimate(left.AsDouble(), right.AsDouble(), addend.AsDouble()).As<double, TSum>();

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Transpose(TSum* source, long sourceStride, TSum* destination, long destinationStride)
        {
            Vector256<float> x0 = Columns(source, sourceStride);
            Vector256<float> x1 = Columns(source + sourceStride, sourceStride);
            Vector256<float> x2 = Columns(source + (2 * sourceStride), sourceStride);
            Vector256<float> x3 = Columns(source + (3 * sourceStride), sourceStride);
            Vector256<float> low01 = Avx.UnpackLow(x0, x1);
            Vector256<float> low23 = Avx.UnpackLow(x2, x3);
            Vector256<float> high01 = Avx.UnpackHigh(x0, x1);
            Vector256<float> high23 = Avx.UnpackHigh(x2, x3);
            Avx.Shuffle(low01, low23, 0b01_00_01_00).Store((float*)destination);
            Avx.Shuffle(low01, low23, 0b11_10_11_10).Store((float*)(destination + destinationStride));
            Avx.Shuffle(high01, high23, 0b01_00_01_00).Store((float*)(destination + (2 * destinationStride)));
            Avx.Shuffle(high01, high23, 0b11_10_11_10).Store((float*)(destination + (3 * destinationStride)));
        }

        /// <summary>The columns 0 and 4, one to a 128-bit lane.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector256<float> Columns(TSum* source, long stride) =>
            Vector256.Create(Vector128.Load((float*)source), Vector128.Load((float*)(source + (4 * stride))));
    }

    private readonly struct Lanes128<TSum> : ILanes<Vector128<TSum>, TSum>
        where TSum : unmanaged
    {
        public static int Width => Vector128<TSum>.Count;

        public static int TileRows => Avx512F.VL.IsSupported || AdvSimd.IsSupported ? 12 : 6;

        public static bool CanTranspose => typeof(TSum) == typeof(float) && Sse.IsSupported;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<TSum> Load(TSum* source) => Vector128.Load(source);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<TSum> Broadcast(TSum* source) => Vector128.Create(*source);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Store(Vector128<TSum> value, TSum* destination) => value.Store(destination);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Stream(Vector128<TSum> value, TSum* destination) => value.StoreAlignedNonTemporal(destination);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<TSum> Add(Vector128<TSum> left, Vector128<TSum> right) => left + right;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<TSum> Rectify(Vector128<TSum> value) =>
            Vector128.AndNot(value, Vector128.LessThanOrEqual(value, Vector128<TSum>.Zero));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector128<TSum> MultiplyAdd(Vector128<TSum> left, Vector128<TSum> right, Vector128<TSum> addend) =>
            typeof(TSum) == typeof(float)
                ? Vector128.MultiplyAddEstimate(left.AsSingle(), right.AsSingle(), addend.AsSingle()).As<float, TSum>()
                : Vector128.MultiplyAddEstimate(left.AsDouble(), right.AsDouble(), addend.AsDouble()).As<double, TSum>();

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Transpose(TSum* source, long sourceStride, TSum* destination, long destinationStride)
        {
            Vector128<float> x0 = Columns(source, sourceStride);
            Vector128<float> x1 = Columns(source + sourceStride, sourceStride);
            Vector128<float> x2 = Columns(source + (2 * sourceStride), sourceStride);
            Vector128<float> x3 = Columns(source + (3 * sourceStride), sourceStride);
            Vector128<float> low01 = Sse.UnpackLow(x0, x1);
            Vector128<float> low23 = Sse.UnpackLow(x2, x3);
            Vector128<float> high01 = Sse.UnpackHigh(x0, x1);
            Vector128<float> high23 = Sse.UnpackHigh(x2, x3);
            Sse.Shuffle(low01, low23, 0b01_00_01_00).Store((float*)destination);
            Sse.Shuffle(low01, low23, 0b11_10_11_10).Store((float*)(destination + destinationStride));
            Sse.Shuffle(high01, high23, 0b01_00_01_00).Store((float*)(destination + (2 * destinationStride)));
            Sse.Shuffle(high01, high23, 0b11_10_11_10).Store((float*)(destination + (3 * destinationStride)));
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector128<float> Columns(TSum* source, long stride) => Vector128.Load((float*)source);
    }
}
