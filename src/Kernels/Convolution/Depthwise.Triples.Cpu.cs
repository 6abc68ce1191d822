using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Kernels.Cpu;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <content>
/// Depthwise convolutions of [batch, channels, ...] by 3x3 taps around each element: the rows of a plane are loaded once, where they are,
/// and their neighbours to both sides are the same registers, moved. Sums are made in the order of the other planes.
/// </content>
public static unsafe partial class Conv2d
{
    /// <summary>Whether there is a result for each element of an image, by the 3 x 3 elements around it.</summary>
    private static bool AreAround(in GatherAxis vertical, in GatherAxis horizontal, int height, int width) =>
        AreTriples(vertical, horizontal)
        && (vertical.First, vertical.Results, horizontal.First, horizontal.Results) == (-1, height, -1, width);

    /// <summary>Each lane's neighbour on the left, the first lane's from another vector.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<TSum> LeftOf<TSum>(Vector512<TSum> values, Vector512<TSum> before)
        where TSum : unmanaged => typeof(TSum) == typeof(float)
            ? Avx512F.AlignRight32(values.AsInt32(), before.AsInt32(), 15).As<int, TSum>()
            : Avx512F.AlignRight64(values.AsInt64(), before.AsInt64(), 7).As<long, TSum>();

    /// <summary>Each lane's neighbour on the right, the last lane's from another vector.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<TSum> RightOf<TSum>(Vector512<TSum> values, Vector512<TSum> after)
        where TSum : unmanaged => typeof(TSum) == typeof(float)
            ? Avx512F.AlignRight32(after.AsInt32(), values.AsInt32(), 1).As<int, TSum>()
            : Avx512F.AlignRight64(after.AsInt64(), values.AsInt64(), 1).As<long, TSum>();

    private readonly partial struct CpuDepthwiseGather
    {
        private sealed partial class Depthwise<T, TSum>
        {
            /// <summary>Rows that are made before they are stored: pairs.</summary>
            private const int RowsOfTriples = 4;

            /// <summary>Whether planes are of this kind.</summary>
            private bool AreTriplesOfPlanes
            {
                get
                {
                    if (!Avx512F.IsSupported || !AreAlike) return false;
                    (GatherAxis vertical, GatherAxis horizontal) = _phases[0].Ascending();
                    return AreAround(vertical, horizontal, _height, _width);
                }
            }

            private void PlaneOfTriples(long batch, long channel)
            {
                int lanes = Vector512<TSum>.Count, taps = _phases[0].Taps;
                long length = ((long)RowsOfTriples * _width) + lanes;
                TSum* sums = CpuScratch.Take<TSum>(length + taps + _width + lanes), weights = sums + length;
                T* zeros = (T*)(weights + taps);
                new Span<T>(zeros, _width).Clear();
                Weights(_phases[0].Ascending(), channel, 1, weights);
                T* image = _image + (batch * _from.Batch) + (channel * _from.Channel);
                T* to = _result + (batch * _to.Batch) + (channel * _to.Channel);
                Next next = new(image, _from.Channel, _height);
                for (int row = 0; row < _height; row += RowsOfTriples)
                {
                    int rows = Math.Min(RowsOfTriples, _height - row);
                    next.Prefetch(rows);
                    for (int pair = 0; pair < rows; pair += 2)
                    {
                        T* first = image + ((row + pair) * _from.Row);
                        T* above = row + pair > 0 ? first - _width : zeros, second = row + pair + 1 < _height ? first + _width : zeros;
                        T* below = row + pair + 2 < _height ? second + _width : zeros;
                        MultiplyTriples(above, first, second, below, _width, weights, sums + ((long)pair * _width));
                    }

                    Store(sums, to + ((long)row * _width), rows * _width, channel);
                }
            }

            /// <summary>Two rows of results one behind the other, by the four rows of the image that they see.</summary>
            [MethodImpl(MethodImplOptions.AggressiveOptimization)]
            private static void MultiplyTriples(T* a, T* b, T* c, T* d, int width, TSum* weights, TSum* sums)
            {
                int lanes = Vector512<TSum>.Count, count = Math.Min(lanes, width);
                Vector512<TSum> w00 = Vector512.Create(weights[0]), w01 = Vector512.Create(weights[1]), w02 = Vector512.Create(weights[2]);
                Vector512<TSum> w10 = Vector512.Create(weights[3]), w11 = Vector512.Create(weights[4]), w12 = Vector512.Create(weights[5]);
                Vector512<TSum> w20 = Vector512.Create(weights[6]), w21 = Vector512.Create(weights[7]), w22 = Vector512.Create(weights[8]);
                Vector512<TSum> beforeA = default, beforeB = default, beforeC = default, beforeD = default;
                Vector512<TSum> hereA = CpuReal.Load<T, TSum>(a, count), hereB = CpuReal.Load<T, TSum>(b, count);
                Vector512<TSum> hereC = CpuReal.Load<T, TSum>(c, count), hereD = CpuReal.Load<T, TSum>(d, count);
                for (int x = 0; x < width; x += lanes)
                {
                    int next = Math.Clamp(width - x - lanes, 0, lanes);
                    a += lanes;
                    b += lanes;
                    c += lanes;
                    d += lanes;
                    Vector512<TSum> after = CpuReal.Load<T, TSum>(a, next), side = LeftOf(hereA, beforeA);
                    Vector512<TSum> sum0 = MultiplyAdd(w00, side, Vector512<TSum>.Zero), sum1 = Vector512<TSum>.Zero;
                    sum0 = MultiplyAdd(w01, hereA, sum0);
                    sum0 = MultiplyAdd(w02, RightOf(hereA, after), sum0);
                    (beforeA, hereA) = (hereA, after);

                    (after, side) = (CpuReal.Load<T, TSum>(b, next), LeftOf(hereB, beforeB));
                    sum0 = MultiplyAdd(w10, side, sum0);
                    sum1 = MultiplyAdd(w00, side, sum1);
                    sum0 = MultiplyAdd(w11, hereB, sum0);
                    sum1 = MultiplyAdd(w01, hereB, sum1);
                    side = RightOf(hereB, after);
                    sum0 = MultiplyAdd(w12, side, sum0);
                    sum1 = MultiplyAdd(w02, side, sum1);
                    (beforeB, hereB) = (hereB, after);

                    (after, side) = (CpuReal.Load<T, TSum>(c, next), LeftOf(hereC, beforeC));
                    sum0 = MultiplyAdd(w20, side, sum0);
                    sum1 = MultiplyAdd(w10, side, sum1);
                    sum0 = MultiplyAdd(w21, hereC, sum0);
                    sum1 = MultiplyAdd(w11, hereC, sum1);
                    side = RightOf(hereC, after);
                    sum0 = MultiplyAdd(w22, side, sum0);
                    sum1 = MultiplyAdd(w12, side, sum1);
                    (beforeC, hereC) = (hereC, after);

                    (after, side) = (CpuReal.Load<T, TSum>(d, next), LeftOf(hereD, beforeD));
                    sum1 = MultiplyAdd(w20, side, sum1);
                    sum1 = MultiplyAdd(w21, hereD, sum1);
                    sum1 = MultiplyAdd(w22, RightOf(hereD, after), sum1);
                    (beforeD, hereD) = (hereD, after);

                    CpuReal.Store(sums + x, sum0, count);
                    CpuReal.Store(sums + width + x, sum1, count);
                    count = next;
                }
            }
        }
    }

    private readonly partial struct CpuDepthwiseBackwardFilter
    {
        /// <summary>Adds what a plane of an image and one of dy have for nine taps; those that are next are asked for meanwhile.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void AddPlaneOfTriples<T, TSum>(T* image, T* dy, int height, int width, Span<double> sums)
            where T : unmanaged
            where TSum : unmanaged
        {
            int lanes = Vector512<TSum>.Count;
            long plane = (long)height * width;
            T* zeros = (T*)CpuScratch.Take<TSum>(width + lanes);
            new Span<T>(zeros, width).Clear();

            // Sums stay in registers if nothing is called once they are there.
            Vector512<TSum> inLast = FirstLanes<TSum>(width % lanes);
            Vector512<TSum> s00 = default, s01 = default, s02 = default, s10 = default, s11 = default, s12 = default;
            Vector512<TSum> s20 = default, s21 = default, s22 = default;
            for (int row = 0; row < height; row++, dy += width)
            {
                T* b = image + ((long)row * width), a = row > 0 ? b - width : zeros, c = row + 1 < height ? b + width : zeros;
                CpuPrefetch.Range(b + plane, width * sizeof(T));
                CpuPrefetch.Range(dy + plane, width * sizeof(T));
                int count = Math.Min(lanes, width);
                Vector512<TSum> beforeA = default, beforeB = default, beforeC = default;
                Vector512<TSum> hereA = CpuReal.Load<T, TSum>(a, count), hereB = CpuReal.Load<T, TSum>(b, count);
                Vector512<TSum> hereC = CpuReal.Load<T, TSum>(c, count);
                for (int x = 0; x < width; x += lanes)
                {
                    int next = Math.Clamp(width - x - lanes, 0, lanes);
                    a += lanes;
                    b += lanes;
                    c += lanes;
                    Vector512<TSum> gradient = CpuReal.Load<T, TSum>(dy + x, count);
                    Vector512<TSum> leftA = LeftOf(hereA, beforeA), leftB = LeftOf(hereB, beforeB), leftC = LeftOf(hereC, beforeC);

                    // Behind the last pixel its left neighbour is an element, which would meet no gradient, and may be NaN.
                    if (count < lanes) (leftA, leftB, leftC) = (leftA & inLast, leftB & inLast, leftC & inLast);
                    (beforeA, beforeB, beforeC) = (hereA, hereB, hereC);
                    s00 = MultiplyAdd(gradient, leftA, s00);
                    s01 = MultiplyAdd(gradient, hereA, s01);
                    hereA = CpuReal.Load<T, TSum>(a, next);
                    s02 = MultiplyAdd(gradient, RightOf(beforeA, hereA), s02);
                    s10 = MultiplyAdd(gradient, leftB, s10);
                    s11 = MultiplyAdd(gradient, hereB, s11);
                    hereB = CpuReal.Load<T, TSum>(b, next);
                    s12 = MultiplyAdd(gradient, RightOf(beforeB, hereB), s12);
                    s20 = MultiplyAdd(gradient, leftC, s20);
                    s21 = MultiplyAdd(gradient, hereC, s21);
                    hereC = CpuReal.Load<T, TSum>(c, next);
                    s22 = MultiplyAdd(gradient, RightOf(beforeC, hereC), s22);
                    count = next;
                }
            }

            sums[0] += CpuElement.ToDouble(Vector512.Sum(s00));
            sums[1] += CpuElement.ToDouble(Vector512.Sum(s01));
            sums[2] += CpuElement.ToDouble(Vector512.Sum(s02));
            sums[3] += CpuElement.ToDouble(Vector512.Sum(s10));
            sums[4] += CpuElement.ToDouble(Vector512.Sum(s11));
            sums[5] += CpuElement.ToDouble(Vector512.Sum(s12));
            sums[6] += CpuElement.ToDouble(Vector512.Sum(s20));
            sums[7] += CpuElement.ToDouble(Vector512.Sum(s21));
            sums[8] += CpuElement.ToDouble(Vector512.Sum(s22));
        }
    }
}
