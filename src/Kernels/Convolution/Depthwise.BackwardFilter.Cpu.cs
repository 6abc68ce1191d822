using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <content>The managed bodies of the filter's gradient of depthwise convolutions.</content>
public static unsafe partial class Conv2d
{
    private readonly struct CpuDepthwiseBackwardFilter : ICpuKernel<Conv2dBackwardFilterArguments>
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
            {
                FilterSplit<T, TSum> part = new(arguments, last, split);
                if (last)
                    Pixels(part);
                else
                    Planes(part);
                part.BackwardBias();
            }
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
            TSum* plane = CpuScratch.Take<TSum>(padded.Length + ((long)pitch * (height + 1))), dy = plane + padded.Length;
            long xPlane = (long)s.XHeight * s.XWidth, yPlane = (long)height * width;
            T* image = split.X + (((n * (long)s.Groups) + (output / s.YChannels)) * xPlane);
            T* gradient = split.Dy + (((n * s.Outputs) + output) * yPlane);
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
                double[] sums = new double[area * block];
                PixelWalk walk = new(split.FirstPixel, vertical.Results, horizontal.Results);
                for (long pixel = split.FirstPixel; pixel < split.EndPixel;)
                {
                    int pixels = (int)Math.Min(split.EndPixel - pixel, walk.LeftOfRow);
                    PixelRow<T, TSum> row = new(split, walk, pixel, pixels, first, count, vertical, horizontal);
                    if (s.YChannels == 1)
                        row.Add(sums, block);
                    else
                        row.AddSeveral(sums, block);
                    pixel += pixels;
                    walk.NextRow();
                }

                for (int i = 0; i < count; i++)
                {
                    for (int tap = 0; tap < area; tap++) split.StoreDouble(((first + i) * area) + tap, sums[(tap * block) + i]);
                }
            });
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
            private readonly GatherAxis _vertical = vertical, _horizontal = horizontal;
            private readonly MapStrides _x = StridesOfX(split.Shape, last: true);
            private readonly long _next = StridesOfY(split.Shape, last: true).Column;
            private readonly int _row = walk.Y, _column = walk.X;
            private readonly T* _image = split.X + (walk.Batch * StridesOfX(split.Shape, last: true).Batch);
            private readonly T* _dy = split.Dy + (pixel * StridesOfY(split.Shape, last: true).Column) + channel;

            public void Add(double[] sums, int block)
            {
                // What lies outside is zeros, which take part.
                T* zeros = stackalloc T[VectorsOfPixel * Vector512<TSum>.Count];
                new Span<T>(zeros, VectorsOfPixel * Vector512<TSum>.Count).Clear();
                for (int tap = 0; tap < (int)_shape.FilterArea; tap++)
                {
                    int y = (_row * _vertical.Step) + _vertical.First + (tap / _horizontal.Taps * _vertical.TapStep);
                    int x = (_column * _horizontal.Step) + _horizontal.First + (tap % _horizontal.Taps * _horizontal.TapStep);
                    bool isInside = (uint)y < _shape.XHeight;
                    int first = isInside ? Math.Clamp(Steps(-x), 0, pixels) : pixels;
                    int end = isInside ? Math.Clamp(Steps((int)_shape.XWidth - x), first, pixels) : pixels;
                    T* from = _image + (y * _x.Row) + ((x + ((long)first * _horizontal.Step)) * _x.Column) + channel;
                    Vector512<TSum> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
                    Chain(_dy, zeros, 0, first, ref sum0, ref sum1, ref sum2, ref sum3);
                    Chain(_dy + (first * _next), from, _horizontal.Step * _x.Column, end - first, ref sum0, ref sum1, ref sum2, ref sum3);
                    Chain(_dy + (end * _next), zeros, 0, pixels - end, ref sum0, ref sum1, ref sum2, ref sum3);
                    fixed (double* to = &sums[tap * block])
                    {
                        AddTo(to, 0, sum0);
                        AddTo(to, 1, sum1);
                        AddTo(to, 2, sum2);
                        AddTo(to, 3, sum3);
                    }
                }
            }

            /// <summary>Of several outputs for each channel of the input.</summary>
            public void AddSeveral(double[] sums, int block)
            {
                for (int i = 0; i < pixels; i++)
                {
                    T* dy = _dy + (i * _next);
                    for (int tap = 0; tap < (int)_shape.FilterArea; tap++)
                    {
                        int y = (_row * _vertical.Step) + _vertical.First + (tap / _horizontal.Taps * _vertical.TapStep);
                        int x = ((_column + i) * _horizontal.Step) + _horizontal.First
                            + (tap % _horizontal.Taps * _horizontal.TapStep);
                        bool isInside = (uint)y < _shape.XHeight && (uint)x < _shape.XWidth;
                        T* from = isInside ? _image + (y * _x.Row) + (x * _x.Column) : null;
                        for (int c = 0; c < channels; c++)
                        {
                            double value = isInside ? CpuElement.ToDouble(from[(channel + c) / _shape.YChannels]) : 0;
                            sums[(tap * block) + c] += CpuElement.ToDouble(dy[c]) * value;
                        }
                    }
                }
            }

            /// <summary>Pixels until a column is reached that lies so far ahead.</summary>
            private int Steps(int columns) => (columns + _horizontal.Step - 1) / _horizontal.Step;

            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            private void Chain(
                T* dy, T* from, long step, int count, ref Vector512<TSum> sum0, ref Vector512<TSum> sum1, ref Vector512<TSum> sum2,
                ref Vector512<TSum> sum3)
            {
                int lanes = Vector512<TSum>.Count;
                Vector512<TSum> s0 = sum0, s1 = sum1, s2 = sum2, s3 = sum3;
                if (channels == VectorsOfPixel * lanes)
                {
                    for (; count > 0; count--, dy += _next, from += step)
                    {
                        s0 = Step(dy, from, 0, lanes, s0);
                        s1 = Step(dy, from, lanes, lanes, s1);
                        s2 = Step(dy, from, 2 * lanes, lanes, s2);
                        s3 = Step(dy, from, 3 * lanes, lanes, s3);
                    }
                }
                else
                {
                    int part0 = Math.Clamp(channels, 0, lanes), part1 = Math.Clamp(channels - lanes, 0, lanes);
                    int part2 = Math.Clamp(channels - (2 * lanes), 0, lanes), part3 = Math.Clamp(channels - (3 * lanes), 0, lanes);
                    for (; count > 0; count--, dy += _next, from += step)
                    {
                        s0 = Step(dy, from, 0, part0, s0);
                        s1 = Step(dy, from, lanes, part1, s1);
                        s2 = Step(dy, from, 2 * lanes, part2, s2);
                        s3 = Step(dy, from, 3 * lanes, part3, s3);
                    }
                }

                (sum0, sum1, sum2, sum3) = (s0, s1, s2, s3);
            }

            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            private static Vector512<TSum> Step(T* dy, T* from, int at, int count, Vector512<TSum> sum) =>
                MultiplyAdd(CpuReal.Load<T, TSum>(dy + at, count), CpuReal.Load<T, TSum>(from + at, count), sum);

            /// <summary>As far as there are channels: a task of few vectors has sums for no more.</summary>
            private void AddTo(double* sums, int vector, Vector512<TSum> sum)
            {
                int lanes = Vector512<TSum>.Count, first = vector * lanes, count = Math.Min(lanes, channels - first);
                for (int i = 0; i < count; i++) sums[first + i] += CpuElement.ToDouble(sum.GetElement(i));
            }
        }
    }
}
