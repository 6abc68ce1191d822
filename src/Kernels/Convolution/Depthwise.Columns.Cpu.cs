using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Kernels.Cpu;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <content>
/// Depthwise convolutions of [batch, ..., channels] by 3x3 taps side by side, one apart: a vector of channels goes along two rows of the
/// result, column by column, and what it meets is loaded once for all taps of both. Nine taps and the sums of three columns are registers.
/// </content>
public static unsafe partial class Conv2d
{
    /// <summary>Rows of an image that two rows of 3x3 windows see.</summary>
    private const int RowsOfTwo = 4;

    /// <summary>Whether results one apart meet 3 x 3 taps that are one apart.</summary>
    private static bool AreTriples(in GatherAxis vertical, in GatherAxis horizontal) =>
        vertical is { Taps: 3, Step: 1, TapStep: 1 or -1 } && horizontal is { Taps: 3, Step: 1, TapStep: 1 or -1 };

    /// <summary>What a vector of channels sees of four rows of an image, from columns on that are inside, or outside.</summary>
    private readonly struct ColumnRun<T>
        where T : unmanaged
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public ColumnRun(T** rows, bool isInside, long offset, long step, T* zeros)
        {
            (A, StepA) = isInside && rows[0] != null ? ((nint)(rows[0] + offset), step) : ((nint)zeros, 0);
            (B, StepB) = isInside && rows[1] != null ? ((nint)(rows[1] + offset), step) : ((nint)zeros, 0);
            (C, StepC) = isInside && rows[2] != null ? ((nint)(rows[2] + offset), step) : ((nint)zeros, 0);
            (D, StepD) = isInside && rows[3] != null ? ((nint)(rows[3] + offset), step) : ((nint)zeros, 0);
        }

        /// <summary>Where each row begins, and elements from a column to the next.</summary>
        public readonly nint A, B, C, D;
        public readonly long StepA, StepB, StepC, StepD;
    }

    private readonly partial struct CpuDepthwiseGather
    {
        private sealed partial class Depthwise<T, TSum>
        {
            /// <summary>Pairs of rows; each result adds its taps column by column.</summary>
            private void PairsOfRows(in Phase phase)
            {
                (GatherAxis vertical, GatherAxis horizontal) = phase;
                int channels = (int)Channels;
                TSum* weights = CpuScratch.TakeShared<TSum>(((long)phase.Taps * channels) + Vector512<TSum>.Count);
                Weights(phase, 0, channels, weights, areColumns: true);
                long pairs = Tiles(vertical.Results, 2), work = 2 * horizontal.Results * Channels;
                long least = Math.Max(1, CpuParallel.ElementsPerChunk / Math.Max(1, work));
                CpuParallel.ForRange((long)_shape.Batch * pairs, least, (first, end) =>
                {
                    T** rows = stackalloc T*[RowsOfTwo];
                    T* zeros = stackalloc T[Vector512<TSum>.Count];
                    new Span<T>(zeros, Vector512<TSum>.Count).Clear();
                    for (long i = first; i < end; i++)
                    {
                        (long batch, int row) = (i / pairs, (int)(i % pairs) * 2);
                        T* image = _image + (batch * _from.Batch);
                        for (int n = 0; n < RowsOfTwo; n++)
                        {
                            int y = row + n + vertical.First;
                            rows[n] = (uint)y < (uint)_height ? image + (y * _from.Row) : null;
                        }

                        // The two rows below these are the next two of all, also where they are another image's.
                        T* below = image + ((row + RowsOfTwo + vertical.First) * _from.Row);
                        T* to = _result + (batch * _to.Batch) + (row * _to.Row);
                        if (row + 1 < vertical.Results)
                            AllChannels<Two>(rows, horizontal, weights, to, below, zeros);
                        else
                            AllChannels<One>(rows, horizontal, weights, to, below, zeros);
                    }
                });
            }

            private void AllChannels<TRows>(T** rows, in GatherAxis horizontal, TSum* weights, T* to, T* below, T* zeros)
                where TRows : ICount
            {
                int channels = (int)Channels, lanes = Vector512<TSum>.Count, channel = 0;
                for (; channel + lanes <= channels; channel += lanes)
                    below = Along<TRows, One>(rows, horizontal, channel, lanes, weights + channel, to + channel, below, zeros);
                int part = channels - channel;
                if (part > 0) Along<TRows, Any>(rows, horizontal, channel, part, weights + channel, to + channel, below, zeros);
            }

            /// <summary>A vector of channels, whole or not, along one row of the result or two.</summary>
            /// <returns>What is to be asked for next.</returns>
            [MethodImpl(MethodImplOptions.AggressiveOptimization)]
            private T* Along<TRows, TWhole>(
                T** rows, in GatherAxis horizontal, int channel, int part, TSum* weights, T* to, T* below, T* zeros)
                where TRows : ICount
                where TWhole : ICount
            {
                int lanes = Vector512<TSum>.Count, count = TWhole.Value == 1 ? lanes : part;
                long channels = Channels, ahead = 2 * lanes;
                Vector512<TSum> w00 = Vector512.Load(weights), w01 = Vector512.Load(weights + channels);
                Vector512<TSum> w02 = Vector512.Load(weights + (2 * channels)), w10 = Vector512.Load(weights + (3 * channels));
                Vector512<TSum> w11 = Vector512.Load(weights + (4 * channels)), w12 = Vector512.Load(weights + (5 * channels));
                Vector512<TSum> w20 = Vector512.Load(weights + (6 * channels)), w21 = Vector512.Load(weights + (7 * channels));
                Vector512<TSum> w22 = Vector512.Load(weights + (8 * channels));
                bool hasBias = _bias != null, rectifies = _rectifies, streams = _streamsPixels;
                Vector512<TSum> bias = hasBias ? CpuReal.Load<T, TSum>(_bias + channel, count) : default;

                // Of the results whose last column is met, of the next and of those that begin here, above and below.
                Vector512<TSum> last0 = default, last1 = default, next0 = default, next1 = default;
                int columns = horizontal.Results + 2, firstInside = Math.Clamp(-horizontal.First, 0, columns);
                int endInside = Math.Clamp(_width - horizontal.First, firstInside, columns);
                long toNext = _to.Column, toBelow = _to.Row;
                for (int column = 0; column < columns;)
                {
                    bool isInside = column >= firstInside && column < endInside;
                    int end = column < firstInside ? firstInside : isInside ? endInside : columns;
                    long offset = ((long)(column + horizontal.First) * _from.Column) + channel;
                    ColumnRun<T> run = new(rows, isInside, offset, _from.Column, zeros);
                    T* a = (T*)run.A, b = (T*)run.B, c = (T*)run.C, d = (T*)run.D;
                    for (; column < end; column++, a += run.StepA, b += run.StepB, c += run.StepC, d += run.StepD)
                    {
                        if (Sse.IsSupported)
                        {
                            Sse.Prefetch1(below);
                            if (sizeof(T) * ahead > 64) Sse.Prefetch1((byte*)below + 64);
                            below += ahead;
                        }

                        Vector512<TSum> value = CpuReal.Load<T, TSum>(a, count);
                        last0 = MultiplyAdd(value, w02, last0);
                        next0 = MultiplyAdd(value, w01, next0);
                        Vector512<TSum> begun0 = MultiplyAdd(value, w00, Vector512<TSum>.Zero), begun1 = Vector512<TSum>.Zero;
                        value = CpuReal.Load<T, TSum>(b, count);
                        last0 = MultiplyAdd(value, w12, last0);
                        next0 = MultiplyAdd(value, w11, next0);
                        begun0 = MultiplyAdd(value, w10, begun0);
                        if (TRows.Value > 1)
                        {
                            last1 = MultiplyAdd(value, w02, last1);
                            next1 = MultiplyAdd(value, w01, next1);
                            begun1 = MultiplyAdd(value, w00, begun1);
                        }

                        value = CpuReal.Load<T, TSum>(c, count);
                        last0 = MultiplyAdd(value, w22, last0);
                        next0 = MultiplyAdd(value, w21, next0);
                        begun0 = MultiplyAdd(value, w20, begun0);
                        if (TRows.Value > 1)
                        {
                            last1 = MultiplyAdd(value, w12, last1);
                            next1 = MultiplyAdd(value, w11, next1);
                            begun1 = MultiplyAdd(value, w10, begun1);
                            value = CpuReal.Load<T, TSum>(d, count);
                            last1 = MultiplyAdd(value, w22, last1);
                            next1 = MultiplyAdd(value, w21, next1);
                            begun1 = MultiplyAdd(value, w20, begun1);
                        }

                        if (column >= 2)
                        {
                            if (hasBias) (last0, last1) = (last0 + bias, last1 + bias);
                            if (rectifies) (last0, last1) = (Rectified(last0), Rectified(last1));
                            CpuReal.Store(to, last0, count, streams);
                            if (TRows.Value > 1) CpuReal.Store(to + toBelow, last1, count, streams);
                            to += toNext;
                        }

                        (last0, last1, next0, next1) = (next0, next1, begun0, begun1);
                    }
                }

                return below;
            }

            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            private static Vector512<TSum> Rectified(Vector512<TSum> sum) =>
                Vector512.AndNot(sum, Vector512.LessThanOrEqual(sum, Vector512<TSum>.Zero));
        }
    }

    private readonly partial struct CpuDepthwiseBackwardFilter
    {
        /// <summary>Sums of channels from one on over all pixels, two rows at a time: in lanes over the two, else in double.</summary>
        private static void AddPairsOfRows<T, TSum>(
            in FilterSplit<T, TSum> split, int firstY, int firstX, long channel, int channels, double[] sums, int block)
            where T : unmanaged
            where TSum : unmanaged
        {
            Conv2dShapeArguments s = split.Shape;
            int lanes = Vector512<TSum>.Count;
            T** rows = stackalloc T*[RowsOfTwo];
            T* zeros = stackalloc T[lanes];
            new Span<T>(zeros, lanes).Clear();
            PixelWalk walk = new(split.FirstPixel, (int)s.YHeight, (int)s.YWidth);
            MapStrides x = StridesOfX(s, last: true), y = split.DyStrides;
            fixed (double* to = sums)
            {
                for (long pixel = split.FirstPixel; pixel < split.EndPixel;)
                {
                    bool areTwo = walk.X == 0 && walk.Y + 1 < s.YHeight && split.EndPixel - pixel >= 2 * s.YWidth;
                    int pixels = (int)Math.Min(split.EndPixel - pixel, walk.LeftOfRow);
                    T* image = split.X + (walk.Batch * x.Batch) + channel;
                    for (int n = 0; n < RowsOfTwo; n++)
                    {
                        int at = walk.Y + n + firstY;
                        rows[n] = (uint)at < s.XHeight ? image + (at * x.Row) : null;
                    }

                    PairOfRows<T, TSum> pair = new()
                    {
                        Rows = rows,
                        Zeros = zeros,
                        Dy = split.Dy + (pixel * y.Column) + channel,
                        Below = image + ((walk.Y + RowsOfTwo + firstY) * x.Row) + ((walk.X + firstX) * x.Column),
                        FirstColumn = walk.X + firstX,
                        Pixels = pixels,
                        Width = (int)s.XWidth,
                        Channels = x.Column,
                        XRow = x.Row,
                        DyRow = y.Row,
                    };
                    double* bias = split.BiasSums == null ? null : to + ((int)s.FilterArea * block);
                    for (int first = 0; first < channels; first += lanes)
                    {
                        int part = Math.Min(lanes, channels - first);
                        if (areTwo && part == lanes)
                            pair.Add<Two, One>(first, part, to + first, block, bias);
                        else if (areTwo)
                            pair.Add<Two, Any>(first, part, to + first, block, bias);
                        else
                            pair.Add<One, Any>(first, part, to + first, block, bias);
                    }

                    pixel += areTwo ? 2 * pixels : pixels;
                    walk.NextRow();
                    if (areTwo) walk.NextRow();
                }
            }
        }

        /// <summary>Two rows of dy, or pixels of one, and the rows of an image that they see.</summary>
        private readonly struct PairOfRows<T, TSum>
            where T : unmanaged
            where TSum : unmanaged
        {
            public T** Rows { get; init; }

            public T* Zeros { get; init; }

            public T* Dy { get; init; }

            /// <summary>The two rows of the image that are needed next.</summary>
            public T* Below { get; init; }

            public int FirstColumn { get; init; }

            public int Pixels { get; init; }

            public int Width { get; init; }

            public long Channels { get; init; }

            public long XRow { get; init; }

            public long DyRow { get; init; }

            [MethodImpl(MethodImplOptions.AggressiveOptimization)]
            public void Add<TRows, TWhole>(int channel, int part, double* sums, int block, double* bias)
                where TRows : ICount
                where TWhole : ICount
            {
                int lanes = Vector512<TSum>.Count, count = TWhole.Value == 1 ? lanes : part;
                Vector512<TSum> s00 = default, s01 = default, s02 = default, s10 = default, s11 = default, s12 = default;
                Vector512<TSum> s20 = default, s21 = default, s22 = default, alone = default;

                // What the columns before the last one show, from the first row to the last.
                Vector512<TSum> a0 = default, b0 = default, c0 = default, d0 = default;
                Vector512<TSum> a1 = default, b1 = default, c1 = default, d1 = default;
                int columns = Pixels + 2, firstInside = Math.Clamp(-FirstColumn, 0, columns);
                int endInside = Math.Clamp(Width - FirstColumn, firstInside, columns);
                long next = Channels, xRow = XRow, dyRow = DyRow;
                T* dy = Dy + channel, below = Below + channel;
                for (int column = 0; column < columns;)
                {
                    bool isInside = column >= firstInside && column < endInside;
                    int end = column < firstInside ? firstInside : isInside ? endInside : columns;
                    ColumnRun<T> run = new(Rows, isInside, ((column + FirstColumn) * next) + channel, next, Zeros);
                    T* a = (T*)run.A, b = (T*)run.B, c = (T*)run.C, d = (T*)run.D;
                    for (; column < end; column++, a += run.StepA, b += run.StepB, c += run.StepC, d += run.StepD)
                    {
                        if (Sse.IsSupported)
                        {
                            Sse.Prefetch1(below);
                            Sse.Prefetch1(below + xRow);
                            below += next;
                        }

                        Vector512<TSum> a2 = CpuReal.Load<T, TSum>(a, count), b2 = CpuReal.Load<T, TSum>(b, count);
                        Vector512<TSum> c2 = CpuReal.Load<T, TSum>(c, count), d2 = default;
                        if (TRows.Value > 1) d2 = CpuReal.Load<T, TSum>(d, count);
                        if (column >= 2)
                        {
                            Vector512<TSum> gradient = CpuReal.Load<T, TSum>(dy, count);
                            if (Sse.IsSupported) Sse.Prefetch1(dy + (2 * dyRow));
                            alone += gradient;
                            s00 = MultiplyAdd(gradient, a0, s00);
                            s01 = MultiplyAdd(gradient, a1, s01);
                            s02 = MultiplyAdd(gradient, a2, s02);
                            s10 = MultiplyAdd(gradient, b0, s10);
                            s11 = MultiplyAdd(gradient, b1, s11);
                            s12 = MultiplyAdd(gradient, b2, s12);
                            s20 = MultiplyAdd(gradient, c0, s20);
                            s21 = MultiplyAdd(gradient, c1, s21);
                            s22 = MultiplyAdd(gradient, c2, s22);
                            if (TRows.Value > 1)
                            {
                                gradient = CpuReal.Load<T, TSum>(dy + dyRow, count);
                                if (Sse.IsSupported) Sse.Prefetch1(dy + (3 * dyRow));
                                alone += gradient;
                                s00 = MultiplyAdd(gradient, b0, s00);
                                s01 = MultiplyAdd(gradient, b1, s01);
                                s02 = MultiplyAdd(gradient, b2, s02);
                                s10 = MultiplyAdd(gradient, c0, s10);
                                s11 = MultiplyAdd(gradient, c1, s11);
                                s12 = MultiplyAdd(gradient, c2, s12);
                                s20 = MultiplyAdd(gradient, d0, s20);
                                s21 = MultiplyAdd(gradient, d1, s21);
                                s22 = MultiplyAdd(gradient, d2, s22);
                            }

                            dy += next;
                        }

                        (a0, b0, c0, d0, a1, b1, c1, d1) = (a1, b1, c1, d1, a2, b2, c2, d2);
                    }
                }

                PixelRow<T, TSum>.AddTo(sums, s00);
                PixelRow<T, TSum>.AddTo(sums + block, s01);
                PixelRow<T, TSum>.AddTo(sums + (2 * block), s02);
                PixelRow<T, TSum>.AddTo(sums + (3 * block), s10);
                PixelRow<T, TSum>.AddTo(sums + (4 * block), s11);
                PixelRow<T, TSum>.AddTo(sums + (5 * block), s12);
                PixelRow<T, TSum>.AddTo(sums + (6 * block), s20);
                PixelRow<T, TSum>.AddTo(sums + (7 * block), s21);
                PixelRow<T, TSum>.AddTo(sums + (8 * block), s22);
                if (bias != null) PixelRow<T, TSum>.AddTo(bias + channel, alone);
            }
        }
    }
}
