using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <content>The managed bodies of the filter's gradient of depthwise convolutions.</content>
public static unsafe partial class Conv2d
{
    private readonly partial struct CpuDepthwiseBackwardFilter : ICpuKernel<Conv2dBackwardFilterArguments>
    {
        public static void Run<T>(in KernelVariant variant, in Conv2dBackwardFilterArguments arguments)
            where T : unmanaged
        {
            if (typeof(T) == typeof(double))
                Run<T, double>(arguments, variant.Has(0));
            else
                Run<T, float>(arguments, variant.Has(0));
        }

        private static void Run<T, TSum>(in Conv2dBackwardFilterArguments arguments, bool last)
            where T : unmanaged
            where TSum : unmanaged
        {
            for (long split = 0; split < (long)arguments.Splits; split++)
                new FilterSplit<T, TSum>(arguments, last, split).Run(last ? Pixels : Planes);
        }

        /// <summary>
        /// A task for each few outputs, whose planes lie side by side, so that memory is read in its own order. Sums of a plane are in
        /// lanes, sums of planes in double.
        /// </summary>
        private static void Planes<T, TSum>(FilterSplit<T, TSum> split)
            where T : unmanaged
            where TSum : unmanaged
        {
            Conv2dShapeArguments s = split.Shape;
            long plane = Math.Max(1, (long)s.YHeight * s.YWidth), images = Math.Max(1, split.EndImage - split.FirstImage);
            long least = Math.Max(1, CpuParallel.ElementsPerChunk / (plane * images));
            long most = Math.Max(1, CpuParallel.ElementsPerChunk / plane);
            long outputs = Math.Clamp(s.Outputs / (TasksOfCore * Environment.ProcessorCount), least, most);
            CpuParallel.ForRange(s.Outputs, outputs, (first, end) =>
            {
                (GatherAxis vertical, GatherAxis horizontal) = Axes(s, backward: false, 0, 0);
                PaddedPlane<T, TSum> padded = new(vertical, horizontal, (int)s.XHeight, (int)s.XWidth);
                int area = (int)s.FilterArea;
                double[] sums = new double[(end - first) * area];
                for (long n = split.FirstImage; n < split.EndImage; n++)
                {
                    for (long output = first; output < end; output++)
                        AddPlane(split, n, output, padded, vertical, horizontal, sums.AsSpan((int)(output - first) * area, area));
                }

                for (int i = 0; i < sums.Length; i++) split.StoreDouble((first * area) + i, sums[i]);
            });
        }

        /// <summary>Adds what an image has for an output's taps.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void AddPlane<T, TSum>(
            in FilterSplit<T, TSum> split, long n, long output, in PaddedPlane<T, TSum> padded, in GatherAxis vertical,
            in GatherAxis horizontal, Span<double> sums)
            where T : unmanaged
            where TSum : unmanaged
        {
            Conv2dShapeArguments s = split.Shape;
            int lanes = Vector512<TSum>.Count, height = (int)s.YHeight, width = (int)s.YWidth, pitch = (width + lanes - 1) / lanes * lanes;
            (int firstPixel, int endPixel) = split.PixelsOf(n);
            int firstRow = firstPixel / width, endRow = (endPixel + width - 1) / width;
            long xPlane = (long)s.XHeight * s.XWidth, yPlane = (long)height * width;
            T* image = split.X + (((n * (long)s.Groups) + (output / s.YChannels)) * xPlane);
            T* gradient = split.Dy + (((n * s.Outputs) + output) * yPlane);
            if (split.BiasSums != null)
            {
                double sum = 0;
                for (int row = firstRow; row < endRow; row++)
                {
                    int from = Math.Max(firstPixel, row * width), stop = Math.Min(endPixel, (row + 1) * width);
                    sum += SumOf<T, TSum>(gradient + from, stop - from);
                }

                split.BiasSums[output] += sum;
            }

            if (Avx512F.IsSupported && endPixel - firstPixel == yPlane && AreAround(vertical, horizontal, (int)s.XHeight, (int)s.XWidth))
            {
                AddPlaneOfTriples<T, TSum>(image, gradient, height, width, sums);
                return;
            }

            TSum* plane = CpuScratch.Take<TSum>(padded.Length + ((long)pitch * (height + 1))), dy = plane + padded.Length;
            padded.Fill(image, plane);
            for (int row = firstRow; row < endRow; row++)
                CpuConvert.Widen(gradient + ((long)row * width), dy + ((long)row * pitch), width);
            for (int down = 0; down < vertical.Taps; down++)
            {
                for (int right = 0; right < horizontal.Taps; right += Together)
                {
                    int count = Math.Min(Together, horizontal.Taps - right), tap = (down * horizontal.Taps) + right;
                    long offset0 = padded.OffsetOf(vertical, horizontal, tap);
                    long offset1 = padded.OffsetOf(vertical, horizontal, tap + Math.Min(1, count - 1));
                    long offset2 = padded.OffsetOf(vertical, horizontal, tap + Math.Min(2, count - 1));
                    Vector512<TSum> sum0 = default, sum1 = default, sum2 = default;
                    for (int row = firstRow; row < endRow; row++)
                    {
                        if (tap == 0)
                        {
                            // The next output's planes, a row at a time.
                            CpuPrefetch.Range(gradient + yPlane + ((long)row * width), width * sizeof(T));
                            CpuPrefetch.Range(image + xPlane + (row * xPlane / height), xPlane / height * sizeof(T));
                        }

                        TSum* at = plane + (row * padded.ResultRow), factor = dy + ((long)row * pitch);
                        int x = Math.Max(firstPixel - (row * width), 0), stop = Math.Min(endPixel - (row * width), width);
                        for (; x + lanes <= stop; x += lanes)
                        {
                            Vector512<TSum> value = Vector512.Load(factor + x);
                            sum0 = MultiplyAdd(value, Vector512.Load(at + offset0 + x), sum0);
                            sum1 = MultiplyAdd(value, Vector512.Load(at + offset1 + x), sum1);
                            sum2 = MultiplyAdd(value, Vector512.Load(at + offset2 + x), sum2);
                        }

                        if (x == stop) continue;

                        // Beyond the pixels lie elements that do not meet, and may be NaN.
                        Vector512<TSum> rest = FirstLanes<TSum>(stop - x), last = Vector512.Load(factor + x) & rest;
                        sum0 = MultiplyAdd(last, Vector512.Load(at + offset0 + x) & rest, sum0);
                        sum1 = MultiplyAdd(last, Vector512.Load(at + offset1 + x) & rest, sum1);
                        sum2 = MultiplyAdd(last, Vector512.Load(at + offset2 + x) & rest, sum2);
                    }

                    sums[tap] += CpuElement.ToDouble(Vector512.Sum(sum0));
                    if (count > 1) sums[tap + 1] += CpuElement.ToDouble(Vector512.Sum(sum1));
                    if (count > 2) sums[tap + 2] += CpuElement.ToDouble(Vector512.Sum(sum2));
                }
            }
        }

        private static double SumOf<T, TSum>(T* values, int count)
            where T : unmanaged
            where TSum : unmanaged
        {
            Vector512<TSum> sum = Vector512<TSum>.Zero;
            for (int i = 0; i < count; i += Vector512<TSum>.Count)
                sum += CpuReal.Load<T, TSum>(values + i, Math.Min(Vector512<TSum>.Count, count - i));
            return CpuElement.ToDouble(Vector512.Sum(sum));
        }

        /// <summary>Taps that share a pass over a plane.</summary>
        private const int Together = 3;

        /// <summary>So many that the last of them ends soon after the others.</summary>
        private const long TasksOfCore = 4;

        /// <summary>
        /// A task for each few channels. Of one output for each channel of the input the sums of a row are made in lanes, side by side for
        /// several vectors of channels; all other sums are in double.
        /// </summary>
        private static void Pixels<T, TSum>(FilterSplit<T, TSum> split)
            where T : unmanaged
            where TSum : unmanaged
        {
            Conv2dShapeArguments s = split.Shape;
            int lanes = Vector512<TSum>.Count;
            int block = lanes * (int)Math.Clamp(Tiles(s.Outputs, lanes) / Environment.ProcessorCount, 1, VectorsOfPixel);
            CpuParallel.For((s.Outputs + block - 1) / block, task =>
            {
                (GatherAxis vertical, GatherAxis horizontal) = Axes(s, backward: false, 0, 0);
                long first = task * block;
                int count = (int)Math.Min(block, s.Outputs - first), area = (int)s.FilterArea;
                double[] sums = new double[(area + 1) * block];
                if (s.YChannels == 1 && AreTriples(vertical, horizontal))
                    AddPairsOfRows(split, vertical.First, horizontal.First, first, count, sums, block);
                else
                    AddRows(split, vertical, horizontal, first, count, sums, block);
                for (int i = 0; i < count; i++)
                {
                    for (int tap = 0; tap < area; tap++) split.StoreDouble(((first + i) * area) + tap, sums[(tap * block) + i]);
                    if (split.BiasSums != null) split.BiasSums[first + i] = sums[(area * block) + i];
                }
            });
        }

        /// <summary>Sums of channels from one on over all pixels, row by row.</summary>
        private static void AddRows<T, TSum>(
            in FilterSplit<T, TSum> split, in GatherAxis vertical, in GatherAxis horizontal, long channel, int channels, double[] sums,
            int block)
            where T : unmanaged
            where TSum : unmanaged
        {
            PixelWalk walk = new(split.FirstPixel, vertical.Results, horizontal.Results);
            for (long pixel = split.FirstPixel; pixel < split.EndPixel;)
            {
                int pixels = (int)Math.Min(split.EndPixel - pixel, walk.LeftOfRow);
                PixelRow<T, TSum> row = new(split, walk, pixel, pixels, channel, channels, vertical, horizontal);
                if (split.Shape.YChannels == 1)
                    row.Add(sums, block);
                else
                    row.AddSeveral(sums, block);
                pixel += pixels;
                walk.NextRow();
            }
        }

        /// <summary>The most vectors of a pixel's channels that a task takes.</summary>
        private const int VectorsOfPixel = 4;

        /// <summary>Pixels of a row of dy, with channels last, from a channel on.</summary>
        private readonly struct PixelRow<T, TSum>(
            in FilterSplit<T, TSum> split, in PixelWalk walk, long pixel, int pixels, long channel, int channels, in GatherAxis vertical,
            in GatherAxis horizontal)
            where T : unmanaged
            where TSum : unmanaged
        {
            private readonly Conv2dShapeArguments _shape = split.Shape;
            private readonly int _pixels = pixels;
            private readonly long _channel = channel;
            private readonly bool _hasBias = split.BiasSums != null;
            private readonly GatherAxis _vertical = vertical, _horizontal = horizontal;
            private readonly MapStrides _x = StridesOfX(split.Shape, last: true);
            private readonly long _next = StridesOfY(split.Shape, last: true).Column;
            private readonly int _row = walk.Y, _column = walk.X;
            private readonly T* _image = split.X + (walk.Batch * StridesOfX(split.Shape, last: true).Batch);
            private readonly T* _dy = split.Dy + (pixel * StridesOfY(split.Shape, last: true).Column) + channel;

            /// <summary>
            /// A few taps of a filter's row go over the pixels together, so that a vector of dy is loaded once for them.
            /// </summary>
            public void Add(double[] sums, int block)
            {
                // What lies outside is zeros, which take part.
                T* zeros = stackalloc T[VectorsOfPixel * Vector512<TSum>.Count];
                new Span<T>(zeros, VectorsOfPixel * Vector512<TSum>.Count).Clear();
                int lanes = Vector512<TSum>.Count, pass = 0;
                fixed (double* to = sums)
                {
                    // The first pass sums dy as well; without a tap there is none.
                    bool isWhole = channels == VectorsOfPixel * lanes && _vertical.Taps * _horizontal.Taps > 0;
                    double* bias = _hasBias ? to + ((int)_shape.FilterArea * block) : null;
                    if (bias != null && !isWhole) AddBias(bias);
                    for (int down = 0; down < _vertical.Taps; down++)
                    {
                        for (int right = 0; right < _horizontal.Taps; right += Together, pass++)
                        {
                            int count = Math.Min(Together, _horizontal.Taps - right), tap = (down * _horizontal.Taps) + right;
                            TapsOfRow taps = new(this, zeros, down, right, count);
                            if (isWhole && bias != null && pass == 0)
                                AddWhole<Two>(taps, Ahead(pass), to + (tap * block), block, bias);
                            else if (isWhole)
                                AddWhole<One>(taps, Ahead(pass), to + (tap * block), block, null);
                            if (isWhole) continue;

                            for (int first = 0; first < channels; first += lanes)
                                AddVector(taps, first, Math.Min(lanes, channels - first), to + (tap * block) + first, block);
                        }
                    }
                }
            }

            /// <summary>The sums of dy alone.</summary>
            [MethodImpl(MethodImplOptions.AggressiveOptimization)]
            private void AddBias(double* sums)
            {
                int lanes = Vector512<TSum>.Count;
                for (int first = 0; first < channels; first += lanes)
                {
                    int part = Math.Min(lanes, channels - first);
                    Vector512<TSum> sum = default;
                    T* dy = _dy + first;
                    for (int pixel = 0; pixel < _pixels; pixel++, dy += _next) sum += CpuReal.Load<T, TSum>(dy, part);
                    AddTo(sums + first, sum);
                }
            }

            /// <summary>Two sums, of the gradients by what taps see and of the gradients alone, or only the first.</summary>
            [MethodImpl(MethodImplOptions.AggressiveOptimization)]
            private void AddWhole<TSums>(in TapsOfRow taps, T* ahead, double* sums, int block, double* bias)
                where TSums : ICount
            {
                int lanes = Vector512<TSum>.Count;
                Vector512<TSum> a0 = default, a1 = default, a2 = default, a3 = default;
                Vector512<TSum> b0 = default, b1 = default, b2 = default, b3 = default;
                Vector512<TSum> c0 = default, c1 = default, c2 = default, c3 = default;
                Vector512<TSum> alone0 = default, alone1 = default, alone2 = default, alone3 = default;
                T* dy = _dy;
                long step = taps.Step, aheadStep = ahead == null ? 0 : _next;
                for (int pixel = 0; pixel < _pixels;)
                {
                    int count = taps.Alike(pixel);
                    T* a = taps.At(0, pixel), b = taps.At(1, pixel), c = taps.At(2, pixel);
                    for (pixel += count; count > 0; count--, dy += _next, a += step, b += step, c += step)
                    {
                        if (ahead != null) CpuPrefetch.Range(ahead, VectorsOfPixel * lanes * sizeof(T));
                        ahead += aheadStep;
                        Vector512<TSum> gradient = CpuReal.Load<T, TSum>(dy, lanes);
                        if (TSums.Value > 1) alone0 += gradient;
                        a0 = MultiplyAdd(gradient, CpuReal.Load<T, TSum>(a, lanes), a0);
                        b0 = MultiplyAdd(gradient, CpuReal.Load<T, TSum>(b, lanes), b0);
                        c0 = MultiplyAdd(gradient, CpuReal.Load<T, TSum>(c, lanes), c0);
                        gradient = CpuReal.Load<T, TSum>(dy + lanes, lanes);
                        if (TSums.Value > 1) alone1 += gradient;
                        a1 = MultiplyAdd(gradient, CpuReal.Load<T, TSum>(a + lanes, lanes), a1);
                        b1 = MultiplyAdd(gradient, CpuReal.Load<T, TSum>(b + lanes, lanes), b1);
                        c1 = MultiplyAdd(gradient, CpuReal.Load<T, TSum>(c + lanes, lanes), c1);
                        gradient = CpuReal.Load<T, TSum>(dy + (2 * lanes), lanes);
                        if (TSums.Value > 1) alone2 += gradient;
                        a2 = MultiplyAdd(gradient, CpuReal.Load<T, TSum>(a + (2 * lanes), lanes), a2);
                        b2 = MultiplyAdd(gradient, CpuReal.Load<T, TSum>(b + (2 * lanes), lanes), b2);
                        c2 = MultiplyAdd(gradient, CpuReal.Load<T, TSum>(c + (2 * lanes), lanes), c2);
                        gradient = CpuReal.Load<T, TSum>(dy + (3 * lanes), lanes);
                        if (TSums.Value > 1) alone3 += gradient;
                        a3 = MultiplyAdd(gradient, CpuReal.Load<T, TSum>(a + (3 * lanes), lanes), a3);
                        b3 = MultiplyAdd(gradient, CpuReal.Load<T, TSum>(b + (3 * lanes), lanes), b3);
                        c3 = MultiplyAdd(gradient, CpuReal.Load<T, TSum>(c + (3 * lanes), lanes), c3);
                    }
                }

                AddTo(sums, a0, a1, a2, a3);
                if (taps.Count > 1) AddTo(sums + block, b0, b1, b2, b3);
                if (taps.Count > 2) AddTo(sums + (2 * block), c0, c1, c2, c3);
                if (TSums.Value > 1) AddTo(bias, alone0, alone1, alone2, alone3);
            }

            /// <summary>One vector of channels, or a part of one, where there are not four.</summary>
            [MethodImpl(MethodImplOptions.AggressiveOptimization)]
            private void AddVector(in TapsOfRow taps, int first, int part, double* sums, int block)
            {
                Vector512<TSum> sumA = default, sumB = default, sumC = default;
                T* dy = _dy + first;
                long step = taps.Step;
                for (int pixel = 0; pixel < _pixels;)
                {
                    int count = taps.Alike(pixel);
                    T* a = taps.At(0, pixel) + first, b = taps.At(1, pixel) + first, c = taps.At(2, pixel) + first;
                    for (pixel += count; count > 0; count--, dy += _next, a += step, b += step, c += step)
                    {
                        Vector512<TSum> gradient = CpuReal.Load<T, TSum>(dy, part);
                        sumA = MultiplyAdd(gradient, CpuReal.Load<T, TSum>(a, part), sumA);
                        sumB = MultiplyAdd(gradient, CpuReal.Load<T, TSum>(b, part), sumB);
                        sumC = MultiplyAdd(gradient, CpuReal.Load<T, TSum>(c, part), sumC);
                    }
                }

                AddTo(sums, sumA);
                if (taps.Count > 1) AddTo(sums + block, sumB);
                if (taps.Count > 2) AddTo(sums + (2 * block), sumC);
            }

            /// <summary>
            /// The first pixel, in this task's channels, of what the next row needs: its dy, then its rows of x, a pass each.
            /// </summary>
            private T* Ahead(int pass)
            {
                if (pass == 0) return _dy + (_pixels * _next);
                int lowest = (Math.Max(_vertical.Taps - 1, 0) * Math.Max(_vertical.TapStep, 0)) + (_row * _vertical.Step) + _vertical.First;
                return pass <= _vertical.Step && (uint)(lowest + pass) < _shape.XHeight
                    ? _image + ((lowest + pass) * _x.Row) + _channel : null;
            }

            /// <summary>Of several outputs for each channel of the input.</summary>
            public void AddSeveral(double[] sums, int block)
            {
                for (int i = 0; i < _pixels; i++)
                {
                    T* dy = _dy + (i * _next);
                    for (int c = 0; c < channels && _hasBias; c++)
                        sums[((int)_shape.FilterArea * block) + c] += CpuElement.ToDouble(dy[c]);
                    for (int tap = 0; tap < (int)_shape.FilterArea; tap++)
                    {
                        int y = (_row * _vertical.Step) + _vertical.First + (tap / _horizontal.Taps * _vertical.TapStep);
                        int x = ((_column + i) * _horizontal.Step) + _horizontal.First
                            + (tap % _horizontal.Taps * _horizontal.TapStep);
                        bool isInside = (uint)y < _shape.XHeight && (uint)x < _shape.XWidth;
                        T* from = isInside ? _image + (y * _x.Row) + (x * _x.Column) : null;
                        for (int c = 0; c < channels; c++)
                        {
                            double value = isInside ? CpuElement.ToDouble(from[(_channel + c) / _shape.YChannels]) : 0;
                            sums[(tap * block) + c] += CpuElement.ToDouble(dy[c]) * value;
                        }
                    }
                }
            }

            private static void AddTo(
                double* sums, Vector512<TSum> sum0, Vector512<TSum> sum1, Vector512<TSum> sum2, Vector512<TSum> sum3)
            {
                int lanes = Vector512<TSum>.Count;
                AddTo(sums, sum0);
                AddTo(sums + lanes, sum1);
                AddTo(sums + (2 * lanes), sum2);
                AddTo(sums + (3 * lanes), sum3);
            }

            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            public static void AddTo(double* sums, Vector512<TSum> sum)
            {
                if (typeof(TSum) == typeof(double))
                {
                    (Vector512.Load(sums) + sum.AsDouble()).Store(sums);
                    return;
                }

                (Vector512<double> low, Vector512<double> high) = Vector512.Widen(sum.AsSingle());
                (Vector512.Load(sums) + low).Store(sums);
                (Vector512.Load(sums + Vector512<double>.Count) + high).Store(sums + Vector512<double>.Count);
            }

            /// <summary>Up to three taps beside each other, and what they see of the image from each pixel.</summary>
            private readonly ref struct TapsOfRow
            {
                private readonly Seen _a, _b, _c;
                private readonly T* _zeros;
                private readonly int _first, _end;

                public TapsOfRow(in PixelRow<T, TSum> row, T* zeros, int down, int right, int count)
                {
                    Count = count;
                    _zeros = zeros;
                    _a = new Seen(row, zeros, down, right);
                    _b = new Seen(row, zeros, down, right + Math.Min(1, count - 1));
                    _c = new Seen(row, zeros, down, right + Math.Min(2, count - 1));
                    _first = Math.Max(_a.First, Math.Max(_b.First, _c.First));
                    _end = Math.Min(_a.End, Math.Min(_b.End, _c.End));
                }

                public int Count { get; }

                /// <summary>From a pixel to the next.</summary>
                public long Step => _a.Step;

                /// <summary>Pixels from this one on whose columns follow each other for all taps: all inside, or one.</summary>
                public int Alike(int pixel) => pixel >= _first && pixel < _end ? _end - pixel : 1;

                public T* At(int tap, int pixel) => (tap == 0 ? _a : tap == 1 ? _b : _c).At(pixel, _zeros);
            }

            /// <summary>The pixels from which a tap sees the image.</summary>
            private readonly struct Seen
            {
                private readonly T* _from;

                public Seen(in PixelRow<T, TSum> row, T* zeros, int down, int right)
                {
                    int y = (row._row * row._vertical.Step) + row._vertical.First + (down * row._vertical.TapStep);
                    int x = (row._column * row._horizontal.Step) + row._horizontal.First + (right * row._horizontal.TapStep);
                    if ((uint)y >= row._shape.XHeight)
                    {
                        // Zeros all along.
                        _from = zeros;
                        End = row._pixels;
                        return;
                    }

                    First = Math.Clamp(row.Steps(-x), 0, row._pixels);
                    End = Math.Clamp(row.Steps((int)row._shape.XWidth - x), First, row._pixels);
                    Step = row._horizontal.Step * row._x.Column;
                    _from = row._image + (y * row._x.Row) + (x * row._x.Column) + row._channel;
                }

                public long Step { get; }

                public int First { get; }

                public int End { get; }

                public T* At(int pixel, T* zeros) => pixel >= First && pixel < End ? _from + (pixel * Step) : zeros;
            }

            /// <summary>Pixels until a column is reached that lies so far ahead.</summary>
            private int Steps(int columns) => (columns + _horizontal.Step - 1) / _horizontal.Step;
        }
    }
}
