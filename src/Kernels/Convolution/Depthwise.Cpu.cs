using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <content>
/// The managed bodies of depthwise convolutions. [batch, channels, ...]: a plane is copied with its padding, columns that a stride takes
/// together beside each other, and all else are whole vectors. [batch, ..., channels]: vectors along the channels.
/// </content>
public static unsafe partial class Conv2d
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<TSum> MultiplyAdd<TSum>(Vector512<TSum> a, Vector512<TSum> b, Vector512<TSum> sum)
        where TSum : unmanaged => typeof(TSum) == typeof(float)
            ? Vector512.FusedMultiplyAdd(a.AsSingle(), b.AsSingle(), sum.AsSingle()).As<float, TSum>()
            : Vector512.FusedMultiplyAdd(a.AsDouble(), b.AsDouble(), sum.AsDouble()).As<double, TSum>();

    /// <summary>All ones in the first lanes.</summary>
    private static Vector512<TSum> FirstLanes<TSum>(int count)
        where TSum : unmanaged => typeof(TSum) == typeof(float)
            ? Vector512.LessThan(Vector512<float>.Indices, Vector512.Create((float)count)).As<float, TSum>()
            : Vector512.LessThan(Vector512<double>.Indices, Vector512.Create((double)count)).As<double, TSum>();

    /// <summary>A plane of an image with zeros around it, as far as a gather reaches.</summary>
    private readonly struct PaddedPlane<T, TSum>
        where T : unmanaged
        where TSum : unmanaged
    {
        private readonly int _step;
        private readonly int _height;
        private readonly int _width;
        private readonly int _firstY;
        private readonly int _firstX;
        private readonly int _rows;
        private readonly int _columns;

        /// <summary>Elements of one of the columns' residues modulo the step, in whole vectors beyond the last.</summary>
        private readonly int _share;

        public PaddedPlane(in GatherAxis vertical, in GatherAxis horizontal, int height, int width)
            : this([vertical], [horizontal], height, width)
        {
        }

        /// <summary>For several gathers with the same steps.</summary>
        public PaddedPlane(ReadOnlySpan<GatherAxis> vertical, ReadOnlySpan<GatherAxis> horizontal, int height, int width)
        {
            (_height, _width, _step) = (height, width, horizontal[0].Step);
            (_firstY, _rows) = Reach(vertical);
            (_firstX, _columns) = Reach(horizontal);
            _share = ((_columns + _step - 1) / _step) + Vector512<TSum>.Count;
            ResultRow = vertical[0].Step * RowLength;
        }

        public long Length => _rows * RowLength;

        /// <summary>From one row of the result to the next.</summary>
        public long ResultRow { get; }

        private long RowLength => (long)_share * _step;

        /// <summary>Where a tap sees the first element of the result; the next of the row is beside it.</summary>
        public long OffsetOf(in GatherAxis vertical, in GatherAxis horizontal, int tap)
        {
            int y = vertical.First + (tap / horizontal.Taps * vertical.TapStep) - _firstY;
            int x = horizontal.First + (tap % horizontal.Taps * horizontal.TapStep) - _firstX;
            return (y * RowLength) + ((long)(x % _step) * _share) + (x / _step);
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Fill(T* plane, TSum* destination)
        {
            int before = Math.Clamp(-_firstX, 0, _columns), end = Math.Clamp(_width - _firstX, before, _columns);
            for (int row = 0; row < _rows; row++, destination += RowLength)
            {
                int y = _firstY + row;
                if ((uint)y >= (uint)_height)
                {
                    new Span<TSum>(destination, (int)RowLength).Clear();
                    continue;
                }

                T* source = plane + ((long)y * _width) + _firstX;
                if (_step == 1)
                {
                    // Whole vectors of zeros, which end in the one beyond the last column; the row goes over those before it.
                    int lanes = Vector512<TSum>.Count;
                    for (int x = 0; x < before; x += lanes) Vector512<TSum>.Zero.Store(destination + x);
                    CpuConvert.Widen(source + before, destination + before, end - before);
                    for (int x = end; x < _columns; x += lanes) Vector512<TSum>.Zero.Store(destination + x);
                    Vector512<TSum>.Zero.Store(destination + _columns);
                    continue;
                }

                new Span<TSum>(destination, (int)RowLength).Clear();
                int done = before;
                if (_step == 2 && typeof(TSum) == typeof(float) && Avx512F.IsSupported)
                {
                    if (done % 2 != 0 && done < end) FillResidue(source, destination, 1, done, ++done);
                    SplitPairs(source + done, (float*)destination + (done / 2), (float*)destination + _share + (done / 2), end - done);
                    continue;
                }

                for (int residue = 0; residue < _step; residue++) FillResidue(source, destination, residue, before, end);
            }
        }

        /// <summary>The columns of one residue modulo the step.</summary>
        private void FillResidue(T* source, TSum* destination, int residue, int first, int end)
        {
            TSum* to = destination + ((long)residue * _share);
            int x = residue + ((first - residue + _step - 1) / _step * _step);
            for (; x < end; x += _step) to[x / _step] = CpuConvert.Widen<T, TSum>(source[x]);
        }

        /// <summary>The first, third, ... elements and the others, and zeros up to whole vectors.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void SplitPairs(T* source, float* even, float* odd, int count)
        {
            Vector512<int> first = Vector512<int>.Indices * 2, second = first + Vector512<int>.One;
            for (int x = 0; x < count; x += 2 * CpuElement.Width, even += CpuElement.Width, odd += CpuElement.Width)
            {
                Vector512<float> low = CpuElement.Load(source + x, Math.Min(CpuElement.Width, count - x));
                Vector512<float> high =
                    CpuElement.Load(source + x + CpuElement.Width, Math.Clamp(count - x - CpuElement.Width, 0, CpuElement.Width));
                Avx512F.PermuteVar16x32x2(low, first, high).Store(even);
                Avx512F.PermuteVar16x32x2(low, second, high).Store(odd);
            }
        }

        /// <summary>The lowest coordinate that any result sees, and how many there are to the highest.</summary>
        public static (int First, int Count) Reach(ReadOnlySpan<GatherAxis> axes)
        {
            (int first, int end) = (int.MaxValue, int.MinValue);
            foreach (GatherAxis axis in axes)
            {
                int taps = Math.Max(axis.Taps - 1, 0) * axis.TapStep, results = Math.Max(axis.Results - 1, 0) * axis.Step;
                first = Math.Min(first, axis.First + Math.Min(taps, 0));
                end = Math.Max(end, axis.First + Math.Max(taps, 0) + results + 1);
            }

            return (first, end - first);
        }
    }

    /// <summary>Depthwise; to few channels otherwise, which the tiles of a CPU's products take as they are.</summary>
    private readonly struct CpuDirectGather : ICpuKernel<Conv2dGatherArguments>
    {
        public static void Run<T>(in KernelVariant variant, in Conv2dGatherArguments arguments)
            where T : unmanaged
        {
            if (arguments.Conv2dShape.IsDepthwise)
                CpuDepthwiseGather.Run<T>(variant, arguments);
            else
                CpuGather.Run<T>(variant, arguments);
        }
    }

    /// <summary>Planes of their own.</summary>
    private readonly struct CpuPlaneGather : ICpuKernel<Conv2dGatherArguments>
    {
        public static void Run<T>(in KernelVariant variant, in Conv2dGatherArguments arguments)
            where T : unmanaged => CpuDepthwiseGather.Run<T>(variant with { Switches = 0 }, arguments);
    }

    private readonly struct CpuPlaneFilter : ICpuKernel<Conv2dBackwardFilterArguments>
    {
        public static void Run<T>(in KernelVariant variant, in Conv2dBackwardFilterArguments arguments)
            where T : unmanaged => CpuDepthwiseBackwardFilter.Run<T>(variant with { Switches = 0 }, arguments);
    }

    private readonly struct CpuDepthwiseGather : ICpuKernel<Conv2dGatherArguments>
    {
        private const int ResultRows = 4;

        public static void Run<T>(in KernelVariant variant, in Conv2dGatherArguments arguments)
            where T : unmanaged
        {
            if (typeof(T) == typeof(double))
                Run<T, double>(arguments, variant.Has(0));
            else
                Run<T, float>(arguments, variant.Has(0));
        }

        private static void Run<T, TSum>(Conv2dGatherArguments a, bool last)
            where T : unmanaged
            where TSum : unmanaged
        {
            Conv2dShapeArguments s = a.Conv2dShape;
            bool backward = a.Backward != 0;
            uint phasesY = backward ? Math.Min(s.StrideY, s.XHeight) : 1, phasesX = backward ? Math.Min(s.StrideX, s.XWidth) : 1;
            for (uint phase = 0; phase < phasesY * phasesX; phase++)
            {
                Depthwise<T, TSum> gather = new(a, last, phase / phasesX, phase % phasesX);
                if (last)
                    gather.Pixels();
                else
                    gather.Planes();
            }
        }

        /// <summary>One phase of a gather.</summary>
        private sealed class Depthwise<T, TSum>
            where T : unmanaged
            where TSum : unmanaged
        {
            private readonly Conv2dShapeArguments _shape;
            private readonly bool _backward;
            private readonly bool _rectifies;
            private readonly T* _image;
            private readonly T* _filter;
            private readonly T* _bias;
            private readonly T* _result;
            private readonly GatherAxis _vertical;
            private readonly GatherAxis _horizontal;
            private readonly MapStrides _from;
            private readonly MapStrides _to;
            private readonly int _height;
            private readonly int _width;

            public Depthwise(in Conv2dGatherArguments a, bool last, uint phaseY, uint phaseX)
            {
                Conv2dShapeArguments s = _shape = a.Conv2dShape;
                _backward = a.Backward != 0;
                _rectifies = a.HasRelu != 0;
                _image = a.Image.Pointer<T>();
                _filter = a.Filter.Pointer<T>();
                _result = a.Result.Pointer<T>();
                _bias = a.HasBias != 0 ? a.Bias.Pointer<T>() : null;
                (_vertical, _horizontal) = Axes(s, _backward, phaseY, phaseX);
                (_from, _to) = _backward ? (StridesOfY(s, last), StridesOfX(s, last)) : (StridesOfX(s, last), StridesOfY(s, last));
                (_height, _width) = _backward ? ((int)s.YHeight, (int)s.YWidth) : ((int)s.XHeight, (int)s.XWidth);
            }

            private long Channels => (long)_shape.Groups * (_backward ? 1 : _shape.YChannels);

            /// <summary>Channels of the image that a channel of the result sees.</summary>
            private int Sources => _backward ? (int)_shape.YChannels : 1;

            public void Planes()
            {
                long elements = (long)_vertical.Results * _horizontal.Results;
                long chunk = Math.Max(1, CpuParallel.ElementsPerChunk / Math.Max(1, elements));
                CpuParallel.ForRange((long)_shape.Batch * Channels, chunk, (first, end) =>
                {
                    for (long plane = first; plane < end; plane++) Plane(plane / Channels, plane % Channels);
                });
            }

            public void Pixels()
            {
                long row = _horizontal.Results * Channels;
                CpuParallel.ForRange(
                    (long)_shape.Batch * _vertical.Results, Math.Max(1, CpuParallel.ElementsPerChunk / Math.Max(1, row)), (first, end) =>
                    {
                        for (long i = first; i < end; i++) Row(i / _vertical.Results, (int)(i % _vertical.Results));
                    });
            }

            private void Plane(long batch, long channel)
            {
                PaddedPlane<T, TSum> padded = new(_vertical, _horizontal, _height, _width);
                int sources = Sources, taps = _vertical.Taps * _horizontal.Taps, lanes = Vector512<TSum>.Count;
                long pitch = _horizontal.Results + lanes, filterLength = ((long)sources * taps) + lanes;
                long offsetLength = (taps * sizeof(long) / sizeof(TSum)) + lanes;
                TSum* memory = CpuScratch.Take<TSum>((padded.Length * sources) + (pitch * ResultRows) + filterLength + offsetLength);
                TSum* sums = memory + (padded.Length * sources), weights = sums + (pitch * ResultRows);
                long* offsets = (long*)(((nint)(weights + filterLength) + 7) & ~7);
                for (int source = 0; source < sources; source++)
                {
                    long output = _backward ? (channel * sources) + source : channel;
                    long image = _backward ? output : channel / _shape.YChannels;
                    padded.Fill(_image + (batch * _from.Batch) + (image * _from.Channel), memory + (source * padded.Length));
                    Weights(output, weights + (source * taps), 1);
                }

                for (int tap = 0; tap < taps; tap++) offsets[tap] = padded.OffsetOf(_vertical, _horizontal, tap);
                for (int row = 0; row < _vertical.Results; row += ResultRows)
                {
                    int rows = Math.Min(ResultRows, _vertical.Results - row);
                    TSum* from = memory + (row * padded.ResultRow);
                    for (int x = 0; x < _horizontal.Results; x += lanes)
                    {
                        // Rows beyond the last are made of the last one again.
                        long second = rows > 1 ? padded.ResultRow : 0, third = rows > 2 ? 2 * padded.ResultRow : second;
                        long fourth = rows > 3 ? 3 * padded.ResultRow : third;
                        Vector512<TSum> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
                        for (int source = 0; source < sources; source++)
                        {
                            TSum* plane = from + (source * padded.Length) + x;
                            for (int tap = 0; tap < taps; tap++)
                            {
                                Vector512<TSum> weight = Vector512.Create(weights[(source * taps) + tap]);
                                TSum* at = plane + offsets[tap];
                                sum0 = MultiplyAdd(weight, Vector512.Load(at), sum0);
                                sum1 = MultiplyAdd(weight, Vector512.Load(at + second), sum1);
                                sum2 = MultiplyAdd(weight, Vector512.Load(at + third), sum2);
                                sum3 = MultiplyAdd(weight, Vector512.Load(at + fourth), sum3);
                            }
                        }

                        sum0.Store(sums + x);
                        sum1.Store(sums + pitch + x);
                        sum2.Store(sums + (2 * pitch) + x);
                        sum3.Store(sums + (3 * pitch) + x);
                    }

                    for (int i = 0; i < rows; i++) Store(sums + (i * pitch), batch, channel, row + i);
                }
            }

            private void Store(TSum* sums, long batch, long channel, int row)
            {
                T* to = _result + (batch * _to.Batch) + (channel * _to.Channel)
                    + ((_vertical.ResultFirst + ((long)row * _vertical.ResultStep)) * _to.Row) + _horizontal.ResultFirst;
                T* bias = _bias == null ? null : _bias + channel;
                if (_horizontal.ResultStep == 1)
                {
                    CpuConvert.Round(sums, to, _horizontal.Results, bias, isShared: true, _rectifies);
                    return;
                }

                for (int x = 0; x < _horizontal.Results; x++)
                    CpuConvert.Round(sums + x, to + ((long)x * _horizontal.ResultStep), 1, bias, isShared: true, _rectifies);
            }

            /// <summary>The taps of an output that this phase meets, <paramref name="stride"/> apart.</summary>
            private void Weights(long output, TSum* destination, long stride)
            {
                T* filter = _filter + (output * _shape.FilterArea);
                for (int down = 0; down < _vertical.Taps; down++)
                {
                    for (int right = 0; right < _horizontal.Taps; right++, destination += stride)
                    {
                        long y = _vertical.FilterFirst + ((long)down * _vertical.FilterStep);
                        long x = _horizontal.FilterFirst + ((long)right * _horizontal.FilterStep);
                        *destination = CpuConvert.Widen<T, TSum>(filter[(y * _shape.FilterWidth) + x]);
                    }
                }
            }

            /// <summary>A row of pixels with all their channels. The taps are laid out channel by channel first.</summary>
            private void Row(long batch, int row)
            {
                int taps = _vertical.Taps * _horizontal.Taps, sources = Sources, lanes = Vector512<TSum>.Count;
                int channels = (int)Channels, outputs = channels * sources;
                TSum* weights = CpuScratch.Take<TSum>(((long)taps * outputs) + channels + (2 * lanes));
                TSum* sums = weights + ((long)taps * outputs) + lanes;
                for (int output = 0; output < outputs; output++) Weights(output, weights + output, outputs);
                T* to = _result + (batch * _to.Batch) + ((_vertical.ResultFirst + ((long)row * _vertical.ResultStep)) * _to.Row);
                int first = (row * _vertical.Step) + _vertical.First;
                for (int pixel = 0; pixel < _horizontal.Results; pixel++)
                {
                    new Span<TSum>(sums, channels).Clear();
                    for (int tap = 0; tap < taps; tap++)
                    {
                        int y = first + (tap / _horizontal.Taps * _vertical.TapStep);
                        int x = (pixel * _horizontal.Step) + _horizontal.First + (tap % _horizontal.Taps * _horizontal.TapStep);
                        bool inside = (uint)y < (uint)_height && (uint)x < (uint)_width;
                        T* from = inside ? _image + (batch * _from.Batch) + (y * _from.Row) + (x * _from.Column) : null;
                        Add(from, weights + ((long)tap * outputs), sums, channels);
                    }

                    T* target = to + ((_horizontal.ResultFirst + ((long)pixel * _horizontal.ResultStep)) * _to.Column);
                    CpuConvert.Round(sums, target, channels, _bias, isShared: false, _rectifies);
                }
            }

            /// <summary>Adds the products of one tap; where there is no pixel they are products with 0.</summary>
            private void Add(T* from, TSum* weights, TSum* sums, int channels)
            {
                int channel = 0, multiple = (int)_shape.YChannels, lanes = Vector512<TSum>.Count;
                for (; multiple == 1 && channel + lanes <= channels; channel += lanes)
                {
                    Vector512<TSum> values = from == null ? default : CpuReal.Load<T, TSum>(from + channel, lanes);
                    MultiplyAdd(values, Vector512.Load(weights + channel), Vector512.Load(sums + channel)).Store(sums + channel);
                }

                for (; channel < channels; channel++)
                {
                    if (!_backward)
                    {
                        TSum value = from == null ? default : CpuConvert.Widen<T, TSum>(from[channel / multiple]);
                        AddOne(value, weights[channel], sums + channel);
                        continue;
                    }

                    for (int output = channel * multiple; output < (channel + 1) * multiple; output++)
                        AddOne(from == null ? default : CpuConvert.Widen<T, TSum>(from[output]), weights[output], sums + channel);
                }
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddOne<TSum>(TSum value, TSum weight, TSum* sum)
        where TSum : unmanaged
    {
        if (typeof(TSum) == typeof(float))
            *(float*)sum = float.FusedMultiplyAdd(*(float*)&value, *(float*)&weight, *(float*)sum);
        else
            *(double*)sum = double.FusedMultiplyAdd(*(double*)&value, *(double*)&weight, *(double*)sum);
    }

    private static (GatherAxis Vertical, GatherAxis Horizontal) Axes(in Conv2dShapeArguments s, bool backward, uint phaseY, uint phaseX) =>
        backward
            ? (GatherAxis.Backward(s.XHeight, s.FilterHeight, s.StrideY, s.DilationY, s.PaddingTop, phaseY),
                GatherAxis.Backward(s.XWidth, s.FilterWidth, s.StrideX, s.DilationX, s.PaddingLeft, phaseX))
            : (GatherAxis.Forward(s.YHeight, s.FilterHeight, s.StrideY, s.DilationY, s.PaddingTop),
                GatherAxis.Forward(s.YWidth, s.FilterWidth, s.StrideX, s.DilationX, s.PaddingLeft));

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

        /// <summary>A task for each output; sums of a plane in lanes, sums of planes in double.</summary>
        private static void Planes<T, TSum>(FilterSplit<T, TSum> split)
            where T : unmanaged
            where TSum : unmanaged
        {
            Conv2dShapeArguments s = split.Shape;
            CpuParallel.ForRange(s.Outputs, Math.Max(1, CpuParallel.ElementsPerChunk / Math.Max(1, s.YPixels)), (first, end) =>
            {
                (GatherAxis vertical, GatherAxis horizontal) = Axes(s, backward: false, 0, 0);
                PaddedPlane<T, TSum> padded = new(vertical, horizontal, (int)s.XHeight, (int)s.XWidth);
                int lanes = Vector512<TSum>.Count, height = (int)s.YHeight, width = (int)s.YWidth, area = (int)s.FilterArea;
                int pitch = (width + lanes - 1) / lanes * lanes;
                double[] sums = new double[area];
                for (long output = first; output < end; output++)
                {
                    Array.Clear(sums);
                    for (long n = split.FirstImage; n < split.EndImage; n++)
                    {
                        (int firstPixel, int endPixel) = split.PixelsOf(n);
                        int firstRow = firstPixel / width, endRow = (endPixel + width - 1) / width;
                        TSum* plane = CpuScratch.Take<TSum>(padded.Length + ((long)pitch * (height + 1))), dy = plane + padded.Length;
                        padded.Fill(split.X + (((n * (long)s.Groups) + (output / s.YChannels)) * s.XHeight * s.XWidth), plane);
                        T* gradient = split.Dy + (((n * s.Outputs) + output) * height * width);
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

                    for (int tap = 0; tap < area; tap++) split.StoreDouble((output * area) + tap, sums[tap]);
                }
            });
        }

        /// <summary>Taps that share a pass over a plane.</summary>
        private const int Together = 3;

        /// <summary>A task for each few channels, whose sums are made in double.</summary>
        private static void Pixels<T, TSum>(FilterSplit<T, TSum> split)
            where T : unmanaged
            where TSum : unmanaged
        {
            const int Channels = 16;
            Conv2dShapeArguments s = split.Shape;
            (GatherAxis vertical, GatherAxis horizontal) = Axes(s, backward: false, 0, 0);
            MapStrides x = StridesOfX(s, last: true), y = StridesOfY(s, last: true);
            CpuParallel.For((s.Outputs + Channels - 1) / Channels, task =>
            {
                long first = task * Channels;
                int count = (int)Math.Min(Channels, s.Outputs - first), area = (int)s.FilterArea;
                double[] sums = new double[area * Channels];
                PixelWalk walk = new(split.FirstPixel, vertical.Results, horizontal.Results);
                for (long pixel = split.FirstPixel; pixel < split.EndPixel; pixel++, walk.Next())
                {
                    T* dy = split.Dy + (pixel * y.Column) + first;
                    T* image = split.X + (walk.Batch * x.Batch);
                    for (int tap = 0; tap < area; tap++)
                    {
                        int row = (walk.Y * vertical.Step) + vertical.First + (tap / horizontal.Taps * vertical.TapStep);
                        int column = (walk.X * horizontal.Step) + horizontal.First + (tap % horizontal.Taps * horizontal.TapStep);
                        bool inside = (uint)row < s.XHeight && (uint)column < s.XWidth;
                        T* from = inside ? image + (row * x.Row) + (column * x.Column) : null;
                        for (int i = 0; i < count; i++)
                        {
                            double value = inside ? CpuElement.ToDouble(from[(first + i) / s.YChannels]) : 0;
                            sums[(tap * Channels) + i] += CpuElement.ToDouble(dy[i]) * value;
                        }
                    }
                }

                for (int i = 0; i < count; i++)
                {
                    for (int tap = 0; tap < area; tap++) split.StoreDouble(((first + i) * area) + tap, sums[(tap * Channels) + i]);
                }
            });
        }
    }
}
