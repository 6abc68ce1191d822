using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;

namespace Kernels;

/// <summary>Count, mean and sum of squared distances from the mean, in double; the managed side of <c>moments.h</c>.</summary>
internal struct CpuMoments
{
    /// <summary>2^-90, as in the kernels' text: squares of what is scaled by it do not overflow.</summary>
    public const float Down = 8.0779356694631609e-28f;

    /// <summary>2^-600, the same in double.</summary>
    private const double DownInDouble = 2.4099198651028841e-181;

    public double Count;

    /// <summary>A number nearby, so that the mean keeps its digits in double too.</summary>
    public double Reference;

    /// <summary>The mean less the reference.</summary>
    public double Distance;

    public double Squares;

    public readonly double Mean => IsFinite ? Reference + Distance : double.NaN;

    public readonly double Variance => IsFinite ? Squares / Count : double.NaN;

    public readonly bool IsFinite => double.IsFinite(Squares) && double.IsFinite(Reference + Distance);

    /// <summary>Of sums of distances from a number.</summary>
    public static CpuMoments Of(double count, double from, double sum, double squares)
    {
        double mean = sum / count;
        return new CpuMoments { Count = count, Reference = from, Distance = mean, Squares = Math.Max(0, squares - (mean * sum)) };
    }

    public void Merge(in CpuMoments other)
    {
        if (other.Count == 0) return;
        if (Count == 0)
        {
            this = other;
            return;
        }

        double both = Count + other.Count, share = other.Count / both;
        double apart = other.Reference - Reference + (other.Distance - Distance);
        Squares += other.Squares + (apart * apart * Count * share);
        Distance += apart * share;
        Count = both;
    }

    public static unsafe CpuMoments Load<TReal>(TReal* rows, long unit, long units)
        where TReal : unmanaged
    {
        double count = CpuElement.ToDouble(rows[unit]), squares = CpuElement.ToDouble(rows[(3 * units) + unit]);
        double coarse = CpuElement.ToDouble(rows[(4 * units) + unit]), down = DownOf<TReal>();
        bool isSound = double.IsFinite(count) && double.IsFinite(coarse);
        return new CpuMoments
        {
            Count = count,
            Reference = CpuElement.ToDouble(rows[units + unit]),
            Distance = CpuElement.ToDouble(rows[(2 * units) + unit]),
            Squares = !isSound ? double.NaN : double.IsFinite(squares) ? squares : coarse / down / down,
        };
    }

    public readonly unsafe void Store<TReal>(TReal* rows, long unit, long units)
        where TReal : unmanaged
    {
        (TReal mean, TReal rest) = SplitMean<TReal>();
        rows[unit] = CpuElement.FromDouble<TReal>(Count);
        rows[units + unit] = mean;
        rows[(2 * units) + unit] = rest;
        double squares = IsFinite ? Squares : double.NaN, down = DownOf<TReal>();
        rows[(3 * units) + unit] = CpuElement.FromDouble<TReal>(squares);
        rows[(4 * units) + unit] = CpuElement.FromDouble<TReal>(squares * down * down);
    }

    private static double DownOf<TReal>()
        where TReal : unmanaged => typeof(TReal) == typeof(double) ? DownInDouble : Down;

    /// <summary>The mean in the arithmetic type, and what its rounding left (Knuth, 1969).</summary>
    public readonly (TReal Value, TReal Left) SplitMean<TReal>()
        where TReal : unmanaged
    {
        TReal value = CpuElement.FromDouble<TReal>(Mean);
        double rounded = CpuElement.ToDouble(value), back = rounded - Reference;
        return (value, CpuElement.FromDouble<TReal>((Reference - (rounded - back)) + (Distance - back)));
    }
}

/// <summary>
/// Moments of a stream of elements. Distances from a number nearby are added up in float, in the lanes of vectors; every few thousand
/// elements the sums go over to double.
/// </summary>
internal unsafe struct CpuMomentSums
{
    private const int Chunk = 4096, ChunkOfDoubles = 64;

    /// <summary>Vectors of sums that go over to double together; parts of vectors count as whole ones.</summary>
    private const int MostVectors = Chunk / CpuElement.Width;

    private Vector512<float> _sum0, _sum1, _squares0, _squares1, _coarse0, _coarse1;
    private float _from;
    private int _count, _vectors;
    private CpuMoments _total;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Add<T>(T* x, long length)
        where T : unmanaged
    {
        if (typeof(T) == typeof(double))
        {
            AddDoubles((double*)x, length);
            return;
        }

        while (length > 0)
        {
            if (_count == 0) Begin(x, (int)Math.Min(length, CpuElement.Width));
            int count = (int)Math.Min(length, (MostVectors - _vectors) * CpuElement.Width);
            AddPiece(x, count);
            x += count;
            length -= count;
            _count += count;
            _vectors += (count + CpuElement.Width - 1) / CpuElement.Width;
            if (_vectors == MostVectors) End();
        }
    }

    public CpuMoments Total()
    {
        if (_count > 0) End();
        return _total;
    }

    /// <summary>
    /// The mean of the first few, which is never far from all others, as it would be stored: distances of short numbers from it are short,
    /// and their sums exact.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Begin<T>(T* x, int count)
        where T : unmanaged
    {
        float first = CpuElement.ToSingle(*x), sum = 0;
        for (int i = 1; i < count; i++) sum += CpuElement.ToSingle(x[i]) - first;
        _from = CpuElement.ToSingle(CpuElement.FromSingle<T>(first + (sum / count)));
        _sum0 = _sum1 = _squares0 = _squares1 = _coarse0 = _coarse1 = default;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void AddPiece<T>(T* x, int count)
        where T : unmanaged
    {
        Vector512<float> from = Vector512.Create(_from), down = Vector512.Create(CpuMoments.Down);
        Vector512<float> sum0 = _sum0, sum1 = _sum1, squares0 = _squares0, squares1 = _squares1, coarse0 = _coarse0, coarse1 = _coarse1;
        int i = 0;
        for (; i + (2 * CpuElement.Width) <= count; i += 2 * CpuElement.Width)
        {
            Vector512<float> a = CpuElement.Load(x + i) - from, b = CpuElement.Load(x + i + CpuElement.Width) - from;
            sum0 += a;
            sum1 += b;
            squares0 = Vector512.FusedMultiplyAdd(a, a, squares0);
            squares1 = Vector512.FusedMultiplyAdd(b, b, squares1);
            a *= down;
            b *= down;
            coarse0 = Vector512.FusedMultiplyAdd(a, a, coarse0);
            coarse1 = Vector512.FusedMultiplyAdd(b, b, coarse1);
        }

        for (; i < count; i += CpuElement.Width)
        {
            int part = Math.Min(CpuElement.Width, count - i);
            Vector512<float> inside = Vector512.LessThan(Vector512<int>.Indices, Vector512.Create(part)).AsSingle();
            Vector512<float> a = (CpuElement.Load(x + i, part) - from) & inside;
            sum0 += a;
            squares0 = Vector512.FusedMultiplyAdd(a, a, squares0);
            a *= down;
            coarse0 = Vector512.FusedMultiplyAdd(a, a, coarse0);
        }

        (_sum0, _sum1, _squares0, _squares1, _coarse0, _coarse1) = (sum0, sum1, squares0, squares1, coarse0, coarse1);
    }

    private void End()
    {
        double sum = Sum(_sum0, _sum1), squares = Sum(_squares0, _squares1);
        if (!double.IsFinite(squares)) squares = Sum(_coarse0, _coarse1) / CpuMoments.Down / CpuMoments.Down;
        _total.Merge(CpuMoments.Of(_count, _from, sum, squares));
        _count = _vectors = 0;
    }

    private void AddDoubles(double* x, long length)
    {
        for (long start = 0; start < length; start += ChunkOfDoubles)
        {
            long count = Math.Min(ChunkOfDoubles, length - start);
            double from = x[start], sum = 0, squares = 0;
            for (long i = start; i < start + count; i++)
            {
                double distance = x[i] - from;
                sum += distance;
                squares += distance * distance;
            }

            _total.Merge(CpuMoments.Of(count, from, sum, squares));
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static double Sum(Vector512<float> a, Vector512<float> b)
    {
        (Vector512<double> lower, Vector512<double> upper) = Vector512.Widen(a);
        (Vector512<double> otherLower, Vector512<double> otherUpper) = Vector512.Widen(b);
        return CpuNormLanes.Sum(lower + otherLower + (upper + otherUpper));
    }
}
