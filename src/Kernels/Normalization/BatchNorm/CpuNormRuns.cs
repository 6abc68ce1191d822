using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <summary>Coefficients of neighbouring elements; a type parameter, so that each loop is compiled for one kind.</summary>
internal interface ICpuNormCoefficients
{
    Vector512<float> Center(long i);

    Vector512<float> Slope(long i);

    Vector512<float> Level(long i);

    Vector512<float> Shift(long i);

    Vector512<float> Tilt(long i);
}

/// <summary>z = slope * (x - center) + level; dx = slope * (g - shift - tilt * (x - center)).</summary>
internal struct CpuNormMap
{
    public double Center, Slope, Level, Shift, Tilt;

    /// <summary>As <c>affine_of</c> in the kernels' text: what is not finite makes all of a channel NaN.</summary>
    public static CpuNormMap Of(double center, double rest, double inverse, double factor, double shift)
    {
        bool sound = double.IsFinite(center) && double.IsFinite(rest) && double.IsFinite(inverse) && double.IsFinite(factor);
        double slope = sound ? factor * inverse : double.NaN;
        return new CpuNormMap { Center = center, Slope = slope, Level = shift - (rest * slope) };
    }

    /// <summary>With what the sums of g and of g (x - center) over <paramref name="count"/> elements take off.</summary>
    public void Correct(double sum, double product, double rest, double inverse, double count, out double dGamma)
    {
        bool sound = double.IsFinite(Center) && double.IsFinite(rest) && double.IsFinite(inverse);
        dGamma = count == 0 ? 0 : sound ? inverse * (double.IsFinite(sum) ? product - (rest * sum) : product) : double.NaN;
        Tilt = inverse * (dGamma / count);
        Shift = double.IsFinite(dGamma) && double.IsFinite(sum) ? (sum / count) - (rest * Tilt) : double.NaN;
    }
}

/// <summary>Those of a plane: one map for all.</summary>
internal readonly struct CpuPlaneCoefficients(in CpuNormMap map) : ICpuNormCoefficients
{
    private readonly Vector512<float> _center = Vector512.Create((float)map.Center), _slope = Vector512.Create((float)map.Slope);
    private readonly Vector512<float> _level = Vector512.Create((float)map.Level), _shift = Vector512.Create((float)map.Shift);
    private readonly Vector512<float> _tilt = Vector512.Create((float)map.Tilt);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector512<float> Center(long i) => _center;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector512<float> Slope(long i) => _slope;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector512<float> Level(long i) => _level;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector512<float> Shift(long i) => _shift;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector512<float> Tilt(long i) => _tilt;
}

/// <summary>Those of a row of columns, in arrays with room for whole vectors.</summary>
internal readonly unsafe struct CpuColumnCoefficients(float* rows, long stride) : ICpuNormCoefficients
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector512<float> Center(long i) => Vector512.Load(rows + i);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector512<float> Slope(long i) => Vector512.Load(rows + stride + i);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector512<float> Level(long i) => Vector512.Load(rows + (2 * stride) + i);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector512<float> Shift(long i) => Vector512.Load(rows + (3 * stride) + i);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector512<float> Tilt(long i) => Vector512.Load(rows + (4 * stride) + i);
}

/// <summary>What a loop does besides; constants of a type, so that each loop is compiled for one form.</summary>
internal interface ICpuNormForm
{
    /// <summary>Forward: a residual is added. Backward: y says what passed.</summary>
    static abstract bool HasSecond { get; }

    static abstract bool Rectifies { get; }

    static abstract bool Drops { get; }
}

/// <summary>Any of the forms, decided by three types; <see cref="On"/> and <see cref="Off"/> are constants to the JIT.</summary>
internal readonly struct CpuNormForm<TSecond, TRectifies, TDrops> : ICpuNormForm
    where TSecond : struct, ISwitch
    where TRectifies : struct, ISwitch
    where TDrops : struct, ISwitch
{
    public static bool HasSecond => TSecond.IsOn;

    public static bool Rectifies => TRectifies.IsOn;

    public static bool Drops => TDrops.IsOn;
}

internal interface ISwitch
{
    static abstract bool IsOn { get; }
}

internal readonly struct On : ISwitch
{
    public static bool IsOn => true;
}

internal readonly struct Off : ISwitch
{
    public static bool IsOn => false;
}

/// <summary>Loops over a run of neighbours in float: a plane, or a row.</summary>
internal static unsafe class CpuNormRuns
{
    /// <summary>Rows over which sums of columns stay in registers.</summary>
    public const int Band = 16;

    /// <summary>y of a run; <paramref name="index"/> is that of its first element for the draws.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Forward<T, TStore, TForm, TCoefficients>(
        T* x, T* residual, T* y, long count, ulong index, in TCoefficients coefficients, in CpuKeepLanes keep, float dropScale)
        where T : unmanaged
        where TStore : struct, IVectorStore
        where TForm : struct, ICpuNormForm
        where TCoefficients : struct, ICpuNormCoefficients
    {
        Vector512<float> scales = Vector512.Create(dropScale);
        Vector512<ushort> limits = Vector512.Create(keep.Limit);
        for (long start = 0; start < count;)
        {
            // What lies before a whole line of the cache goes by itself, so that the rest can be stored past the caches.
            int length = (int)Math.Min(CpuKeepLanes.Segment, count - start);
            if (typeof(TStore) == typeof(StreamingStore) && start == 0) length = Math.Min(length, Head(y));
            ushort* lanes = TForm.Drops ? keep.Draw(index + (ulong)start, length) : null;
            T* from = x + start;
            T* past = TForm.HasSecond ? residual + start : null;
            T* to = y + start;
            int i = 0;
            for (; i + 32 <= length; i += 32)
            {
                Vector512<int> low = default, high = default;
                if (TForm.Drops) CpuKeepLanes.Masks(lanes + i, limits, out low, out high);
                Vector512<float> a = Value<TForm, TCoefficients>(CpuElement.Load(from + i), coefficients, start + i);
                Vector512<float> b = Value<TForm, TCoefficients>(CpuElement.Load(from + i + 16), coefficients, start + i + 16);
                if (TForm.HasSecond)
                {
                    a += CpuElement.Load(past + i);
                    b += CpuElement.Load(past + i + 16);
                }

                CpuElement.Store32<T, TStore>(to + i, Followed<TForm>(a, low, scales), Followed<TForm>(b, high, scales));
            }

            for (; i < length; i += 16)
            {
                int part = Math.Min(16, length - i);
                Vector512<int> low = default;
                if (TForm.Drops) CpuKeepLanes.Masks(lanes + i, limits, out low, out _);
                Vector512<float> a = Value<TForm, TCoefficients>(CpuElement.Load(from + i, part), coefficients, start + i);
                if (TForm.HasSecond) a += CpuElement.Load(past + i, part);
                CpuElement.Store(to + i, Followed<TForm>(a, low, scales), part);
            }

            start += length;
        }
    }

    /// <summary>Sums of g and of g (x - center) of a run, added to those of each lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Sums<T, TForm>(
        T* dy, T* x, T* y, long count, ulong index, in CpuPlaneCoefficients coefficients, in CpuKeepLanes keep, float dropScale,
        ref CpuGradientSums sums)
        where T : unmanaged
        where TForm : struct, ICpuNormForm
    {
        Vector512<float> scales = Vector512.Create(dropScale);
        Vector512<ushort> limits = Vector512.Create(keep.Limit);
        for (long start = 0; start < count; start += CpuKeepLanes.Segment)
        {
            int length = (int)Math.Min(CpuKeepLanes.Segment, count - start);
            ushort* lanes = TForm.Drops ? keep.Draw(index + (ulong)start, length) : null;
            Vector512<float> sum0 = default, sum1 = default, product0 = default, product1 = default;
            int i = 0;
            for (; i + 32 <= length; i += 32)
            {
                Vector512<int> low = default, high = default;
                if (TForm.Drops) CpuKeepLanes.Masks(lanes + i, limits, out low, out high);
                T* from = x + start + i;
                T* gradient = dy + start + i;
                T* output = TForm.HasSecond ? y + start + i : null;
                Vector512<float> a = CpuElement.Load(from) - coefficients.Center(0);
                Vector512<float> b = CpuElement.Load(from + 16) - coefficients.Center(0);
                Vector512<float> g = Gradient<T, TForm, CpuPlaneCoefficients>(
                    CpuElement.Load(gradient), a, TForm.HasSecond ? CpuElement.Load(output) : default, coefficients, 0, low, scales);
                Vector512<float> h = Gradient<T, TForm, CpuPlaneCoefficients>(
                    CpuElement.Load(gradient + 16), b, TForm.HasSecond ? CpuElement.Load(output + 16) : default, coefficients, 0, high,
                    scales);
                sum0 += g;
                sum1 += h;
                product0 = Vector512.FusedMultiplyAdd(g, a, product0);
                product1 = Vector512.FusedMultiplyAdd(h, b, product1);
            }

            for (; i < length; i += 16)
            {
                int part = Math.Min(16, length - i);
                Vector512<float> inside = Vector512.LessThan(Vector512<int>.Indices, Vector512.Create(part)).AsSingle();
                Vector512<int> low = default;
                if (TForm.Drops) CpuKeepLanes.Masks(lanes + i, limits, out low, out _);
                long at = start + i;
                Vector512<float> a = (CpuElement.Load(x + at, part) - coefficients.Center(0)) & inside;
                Vector512<float> g = inside & Gradient<T, TForm, CpuPlaneCoefficients>(
                    CpuElement.Load(dy + at, part), a, TForm.HasSecond ? CpuElement.Load(y + at, part) : default, coefficients, 0, low,
                    scales);
                sum0 += g;
                product0 = Vector512.FusedMultiplyAdd(g, a, product0);
            }

            sums.Add(sum0, sum1, product0, product1);
        }
    }

    /// <summary>Sums of g and of g (x - center) of rows, added to those of each column.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void ColumnSums<T, TForm>(
        T* dy, T* x, T* y, long rows, long channels, ulong index, in CpuColumnCoefficients coefficients, in CpuKeepLanes keep,
        float dropScale, float* sums, float* products)
        where T : unmanaged
        where TForm : struct, ICpuNormForm
    {
        Vector512<float> scales = Vector512.Create(dropScale);
        Vector512<ushort> limits = Vector512.Create(keep.Limit);

        // Draws serve several rows only where they reach to the end of each.
        long band = TForm.Drops ? Math.Clamp(CpuKeepLanes.Segment / channels, 1, Band) : Band;
        for (long row = 0; row < rows; row += band)
        {
            int height = (int)Math.Min(band, rows - row);
            for (long start = 0; start < channels; start += CpuKeepLanes.Segment)
            {
                int length = (int)Math.Min(CpuKeepLanes.Segment, channels - start);
                long at = (row * channels) + start;
                ushort* lanes = TForm.Drops ? keep.Draw(index + (ulong)at, (int)((height - 1) * channels) + length) : null;
                ColumnPointers<T> from = new(dy + at, x + at, TForm.HasSecond ? y + at : null, lanes, sums + start, products + start);
                int i = 0;
                for (; i + 64 <= length; i += 64) WideColumns<T, TForm>(from, i, height, channels, start, coefficients, limits, scales);
                for (; i + 16 <= length; i += 16) Columns<T, TForm>(from, i, 16, height, channels, start, coefficients, limits, scales);
                if (i < length) LastColumns<T, TForm>(from, i, length - i, height, channels, start, coefficients, limits, scales);
            }
        }
    }

    // Out of line, as its loads of parts of a vector may be calls, around which no vector stays in a register.
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private static void LastColumns<T, TForm>(
        in ColumnPointers<T> from, int i, int count, int rows, long channels, long start, in CpuColumnCoefficients coefficients,
        Vector512<ushort> limits, Vector512<float> scales)
        where T : unmanaged
        where TForm : struct, ICpuNormForm =>
        Columns<T, TForm>(from, i, count, rows, channels, start, coefficients, limits, scales);

    /// <summary>The sums of 64 columns stay in registers for a few rows, of which whole lines are read one after the other.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void WideColumns<T, TForm>(
        in ColumnPointers<T> from, int i, int rows, long channels, long start, in CpuColumnCoefficients coefficients,
        Vector512<ushort> limits, Vector512<float> scales)
        where T : unmanaged
        where TForm : struct, ICpuNormForm
    {
        float* sums = from.Sums + i, products = from.Products + i;
        Vector512<float> sum0 = Vector512.Load(sums), product0 = Vector512.Load(products);
        Vector512<float> sum1 = Vector512.Load(sums + 16), product1 = Vector512.Load(products + 16);
        Vector512<float> sum2 = Vector512.Load(sums + 32), product2 = Vector512.Load(products + 32);
        Vector512<float> sum3 = Vector512.Load(sums + 48), product3 = Vector512.Load(products + 48);
        long at = i, column = start + i;
        for (int row = 0; row < rows; row++, at += channels)
        {
            Vector512<int> keep0 = default, keep1 = default, keep2 = default, keep3 = default;
            if (TForm.Drops) CpuKeepLanes.Masks(from.Lanes + at, limits, out keep0, out keep1);
            if (TForm.Drops) CpuKeepLanes.Masks(from.Lanes + at + 32, limits, out keep2, out keep3);
            AddRow<T, TForm>(from, at, 16, coefficients, column, keep0, scales, ref sum0, ref product0);
            AddRow<T, TForm>(from, at + 16, 16, coefficients, column + 16, keep1, scales, ref sum1, ref product1);
            AddRow<T, TForm>(from, at + 32, 16, coefficients, column + 32, keep2, scales, ref sum2, ref product2);
            AddRow<T, TForm>(from, at + 48, 16, coefficients, column + 48, keep3, scales, ref sum3, ref product3);
        }

        sum0.Store(sums);
        sum1.Store(sums + 16);
        sum2.Store(sums + 32);
        sum3.Store(sums + 48);
        product0.Store(products);
        product1.Store(products + 16);
        product2.Store(products + 32);
        product3.Store(products + 48);
    }

    /// <summary>The same of up to 16 columns.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Columns<T, TForm>(
        in ColumnPointers<T> from, int i, int count, int rows, long channels, long start, in CpuColumnCoefficients coefficients,
        Vector512<ushort> limits, Vector512<float> scales)
        where T : unmanaged
        where TForm : struct, ICpuNormForm
    {
        // The arrays have room for whole vectors; what is beyond the row is not looked at.
        Vector512<float> sum = Vector512.Load(from.Sums + i), product = Vector512.Load(from.Products + i);
        long at = i;
        for (int row = 0; row < rows; row++, at += channels)
        {
            Vector512<int> keep = default;
            if (TForm.Drops) CpuKeepLanes.Masks(from.Lanes + at, limits, out keep, out _);
            AddRow<T, TForm>(from, at, count, coefficients, start + i, keep, scales, ref sum, ref product);
        }

        sum.Store(from.Sums + i);
        product.Store(from.Products + i);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddRow<T, TForm>(
        in ColumnPointers<T> from, long at, int count, in CpuColumnCoefficients coefficients, long column, Vector512<int> keep,
        Vector512<float> scales, ref Vector512<float> sum, ref Vector512<float> product)
        where T : unmanaged
        where TForm : struct, ICpuNormForm
    {
        Vector512<float> a = CpuElement.Load(from.X + at, count) - coefficients.Center(column);
        Vector512<float> g = Gradient<T, TForm, CpuColumnCoefficients>(
            CpuElement.Load(from.Dy + at, count), a, TForm.HasSecond ? CpuElement.Load(from.Y + at, count) : default, coefficients, column,
            keep, scales);
        sum += g;
        product = Vector512.FusedMultiplyAdd(g, a, product);
    }

    /// <summary>Where a band of rows and the sums of its columns begin.</summary>
    private readonly struct ColumnPointers<T>(T* dy, T* x, T* y, ushort* lanes, float* sums, float* products)
        where T : unmanaged
    {
        public readonly T* Dy = dy, X = x, Y = y;
        public readonly ushort* Lanes = lanes;
        public readonly float* Sums = sums, Products = products;
    }

    /// <summary>dx of a run, and the gradient of the residual where it is wanted.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Backward<T, TStore, TForm, TCoefficients>(
        T* dy, T* x, T* y, T* dx, T* dResidual, long count, ulong index, in TCoefficients coefficients, in CpuKeepLanes keep,
        float dropScale)
        where T : unmanaged
        where TStore : struct, IVectorStore
        where TForm : struct, ICpuNormForm
        where TCoefficients : struct, ICpuNormCoefficients
    {
        Vector512<float> scales = Vector512.Create(dropScale);
        Vector512<ushort> limits = Vector512.Create(keep.Limit);
        for (long start = 0; start < count;)
        {
            int length = (int)Math.Min(CpuKeepLanes.Segment, count - start);
            if (typeof(TStore) == typeof(StreamingStore) && start == 0) length = Math.Min(length, Head(dx));
            ushort* lanes = TForm.Drops ? keep.Draw(index + (ulong)start, length) : null;
            int i = 0;
            for (; i + 32 <= length; i += 32)
            {
                Vector512<int> low = default, high = default;
                if (TForm.Drops) CpuKeepLanes.Masks(lanes + i, limits, out low, out high);
                long at = start + i;
                Vector512<float> a = CpuElement.Load(x + at) - coefficients.Center(at);
                Vector512<float> b = CpuElement.Load(x + at + 16) - coefficients.Center(at + 16);
                Vector512<float> g = Gradient<T, TForm, TCoefficients>(
                    CpuElement.Load(dy + at), a, TForm.HasSecond ? CpuElement.Load(y + at) : default, coefficients, at, low, scales);
                Vector512<float> h = Gradient<T, TForm, TCoefficients>(
                    CpuElement.Load(dy + at + 16), b, TForm.HasSecond ? CpuElement.Load(y + at + 16) : default, coefficients, at + 16,
                    high, scales);
                if (TForm.HasSecond && dResidual != null)
                {
                    CpuElement.Store(dResidual + at, g);
                    CpuElement.Store(dResidual + at + 16, h);
                }

                CpuElement.Store32<T, TStore>(dx + at, Corrected(g, a, coefficients, at), Corrected(h, b, coefficients, at + 16));
            }

            for (; i < length; i += 16)
            {
                int part = Math.Min(16, length - i);
                Vector512<int> low = default;
                if (TForm.Drops) CpuKeepLanes.Masks(lanes + i, limits, out low, out _);
                long at = start + i;
                Vector512<float> a = CpuElement.Load(x + at, part) - coefficients.Center(at);
                Vector512<float> g = Gradient<T, TForm, TCoefficients>(
                    CpuElement.Load(dy + at, part), a, TForm.HasSecond ? CpuElement.Load(y + at, part) : default, coefficients, at, low,
                    scales);
                if (TForm.HasSecond && dResidual != null) CpuElement.Store(dResidual + at, g, part);
                CpuElement.Store(dx + at, Corrected(g, a, coefficients, at), part);
            }

            start += length;
        }
    }

    /// <summary>Elements up to the next line of the cache, or a segment where there are none.</summary>
    private static int Head<T>(T* y)
        where T : unmanaged
    {
        int bytes = (int)((nuint)y & 63);
        return bytes == 0 ? CpuKeepLanes.Segment : (64 - bytes) / sizeof(T);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Value<TForm, TCoefficients>(Vector512<float> x, in TCoefficients coefficients, long i)
        where TCoefficients : struct, ICpuNormCoefficients =>
        Vector512.FusedMultiplyAdd(x - coefficients.Center(i), coefficients.Slope(i), coefficients.Level(i));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Followed<TForm>(Vector512<float> value, Vector512<int> keep, Vector512<float> scales)
        where TForm : struct, ICpuNormForm
    {
        // NaN is not less than 0 and stays.
        if (TForm.Rectifies) value = Vector512.AndNot(value, Vector512.LessThanOrEqual(value, Vector512<float>.Zero));
        return TForm.Drops ? (value * scales) & keep.AsSingle() : value;
    }

    /// <summary>The gradient of a normalized value.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Gradient<T, TForm, TCoefficients>(
        Vector512<float> dy, Vector512<float> distance, Vector512<float> y, in TCoefficients coefficients, long i, Vector512<int> keep,
        Vector512<float> scales)
        where T : unmanaged
        where TForm : struct, ICpuNormForm
        where TCoefficients : struct, ICpuNormCoefficients
    {
        if (TForm.HasSecond) return Vector512.AndNot(dy * scales, Vector512.LessThanOrEqual(y, Vector512<float>.Zero));
        if (TForm.Rectifies)
        {
            Vector512<float> z = Vector512.FusedMultiplyAdd(distance, coefficients.Slope(i), coefficients.Level(i));
            dy = Vector512.AndNot(dy, Vector512.LessThanOrEqual(z, Vector512<float>.Zero));
        }

        return TForm.Drops ? (dy * scales) & keep.AsSingle() : dy;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Corrected<TCoefficients>(
        Vector512<float> gradient, Vector512<float> distance, in TCoefficients coefficients, long i)
        where TCoefficients : struct, ICpuNormCoefficients =>
        coefficients.Slope(i) * Vector512.FusedMultiplyAdd(-coefficients.Tilt(i), distance, gradient - coefficients.Shift(i));
}

/// <summary>Sums of gradients and of their products, which go over to double segment by segment.</summary>
internal struct CpuGradientSums
{
    private Vector512<double> _sum, _product;

    public void Add(Vector512<float> sum0, Vector512<float> sum1, Vector512<float> product0, Vector512<float> product1)
    {
        _sum += Widened(sum0 + sum1);
        _product += Widened(product0 + product1);
    }

    public readonly (double Sum, double Product) Total() => (CpuNormLanes.Sum(_sum), CpuNormLanes.Sum(_product));

    private static Vector512<double> Widened(Vector512<float> value)
    {
        (Vector512<double> lower, Vector512<double> upper) = Vector512.Widen(value);
        return lower + upper;
    }
}

/// <summary>Sums over lanes in an order that does not depend on how wide the processor's vectors are.</summary>
internal static class CpuNormLanes
{
    public static double Sum(Vector512<double> lanes) =>
        (lanes[0] + lanes[1] + (lanes[2] + lanes[3])) + (lanes[4] + lanes[5] + (lanes[6] + lanes[7]));
}
