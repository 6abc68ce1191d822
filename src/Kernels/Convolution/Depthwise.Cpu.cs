using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <content>
/// The managed bodies of depthwise convolutions: what all ways have in common. Of [batch, channels, ...] a plane is copied with its
/// padding, columns that a stride takes together beside each other, so that all else are whole vectors.
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

    private readonly partial struct CpuDepthwiseGather : ICpuKernel<Conv2dGatherArguments>
    {
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
            Depthwise<T, TSum> gather = new(a, last);
            if (last)
                gather.Pixels();
            else
                gather.Planes();
        }

        /// <summary>
        /// Results at the places of a stride: the gradient of an image has as many kinds of them, by the taps they meet, forward has one.
        /// </summary>
        private readonly record struct Phase(GatherAxis Vertical, GatherAxis Horizontal)
        {
            public int Taps => Vertical.Taps * Horizontal.Taps;

            public Phase Ascending() => new(Vertical.Ascending(), Horizontal.Ascending());
        }

        private sealed partial class Depthwise<T, TSum>
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
            private readonly Phase[] _phases;
            private readonly PaddedPlane<T, TSum> _padded;
            private readonly MapStrides _from;
            private readonly MapStrides _to;
            private readonly int _height;
            private readonly int _width;

            /// <summary>Taps and columns of the phase that has the most, and the rows of all.</summary>
            private readonly int _mostTaps, _mostColumns;
            private readonly long _rows;

            /// <summary>Rows of a plane that are made at once.</summary>
            private readonly int _rowsAtOnce;

            /// <summary>The taps of each phase in lines, or null where rows are made tap by tap.</summary>
            private readonly PlaneLines[]? _lines;

            /// <summary>Elements of a plane of the result.</summary>
            private readonly long _results;

            /// <summary>True when the whole result leaves the caches before anyone reads it.</summary>
            private readonly bool _streams;

            /// <summary>That, and pixels are whole cache lines.</summary>
            private readonly bool _streamsPixels;

            public Depthwise(in Conv2dGatherArguments a, bool last)
            {
                Conv2dShapeArguments s = _shape = a.Conv2dShape;
                _backward = a.Backward != 0;
                _rectifies = a.HasRelu != 0;
                _image = a.Image.Pointer<T>();
                _filter = a.Filter.Pointer<T>();
                _result = a.Result.Pointer<T>();
                _bias = a.HasBias != 0 ? a.Bias.Pointer<T>() : null;
                uint phasesY = _backward ? Math.Min(s.StrideY, s.XHeight) : 1, phasesX = _backward ? Math.Min(s.StrideX, s.XWidth) : 1;
                _phases = new Phase[phasesY * phasesX];
                for (uint i = 0; i < _phases.Length; i++)
                {
                    (GatherAxis vertical, GatherAxis horizontal) = Axes(s, _backward, i / phasesX, i % phasesX);
                    _phases[i] = new(vertical, horizontal);
                }

                (_from, _to) = _backward ? (StridesOfY(s, last), StridesOfX(s, last)) : (StridesOfX(s, last), StridesOfY(s, last));
                (_height, _width) = _backward ? ((int)s.YHeight, (int)s.YWidth) : ((int)s.XHeight, (int)s.XWidth);
                GatherAxis[] rows = [.. _phases.Select(phase => phase.Vertical)], columns = [.. _phases.Select(phase => phase.Horizontal)];
                _padded = new(rows, columns, _height, _width);
                (_mostTaps, _mostColumns) = (_phases.Max(phase => phase.Taps), columns.Max(axis => axis.Results));
                _rows = rows.Sum(axis => (long)axis.Results);
                _lines = last ? null : Lines(out _rowsAtOnce);
                _results = _backward ? (long)s.XHeight * s.XWidth : (long)s.YHeight * s.YWidth;
                _streams = CpuStreaming.Pays(_result, (long)s.Batch * _to.Batch * sizeof(T));
                _streamsPixels = _streams && Channels * sizeof(T) % Vector512<byte>.Count == 0;
            }

            /// <summary>Whether all results meet the same taps, those of one channel.</summary>
            private bool AreAlike => _shape.YChannels == 1 && _phases.Length == 1;

            private long Channels => (long)_shape.Groups * (_backward ? 1 : _shape.YChannels);

            /// <summary>Channels of the image that a channel of the result sees.</summary>
            private int Sources => _backward ? (int)_shape.YChannels : 1;

            public void Planes()
            {
                Action<long, long> make = AreTriplesOfPlanes ? PlaneOfTriples : Plane;
                CpuParallel.ForRange(
                    (long)_shape.Batch * Channels, Math.Max(1, CpuParallel.ElementsPerChunk / Math.Max(1, _results)), (first, end) =>
                    {
                        for (long plane = first; plane < end; plane++) make(plane / Channels, plane % Channels);
                    });
            }

            /// <summary>Puts rows of a phase where they lie among the others.</summary>
            private void Scatter(in Phase phase, int row, int rows, TSum* sums, TSum* together)
            {
                (GatherAxis vertical, GatherAxis horizontal) = phase;
                int step = horizontal.ResultStep, width = horizontal.Results;
                for (int end = row + rows; row < end; row++, sums += width)
                {
                    TSum* to = together + ((vertical.ResultFirst + (row * vertical.ResultStep)) * _to.Row) + horizontal.ResultFirst;
                    for (int x = 0; x < width; x++) to[(long)x * step] = sums[x];
                }
            }

            private void Store(TSum* sums, T* to, int count, long channel) => CpuConvert.RoundRows(
                sums, 0, to, 0, rows: 1, count, _bias == null ? null : _bias + channel, isShared: true, _rectifies, _streams);

            /// <summary>The taps of outputs that a phase meets: a row for each output, or with channels last a column.</summary>
            private void Weights(in Phase phase, long firstOutput, int outputs, TSum* destination, bool areColumns = false)
            {
                (GatherAxis vertical, GatherAxis horizontal) = phase;
                (long nextOutput, long nextTap) = areColumns ? (1L, (long)outputs) : (phase.Taps, 1L);
                for (long output = 0; output < outputs; output++)
                {
                    T* filter = _filter + ((firstOutput + output) * _shape.FilterArea);
                    TSum* to = destination + (output * nextOutput);
                    for (int down = 0; down < vertical.Taps; down++)
                    {
                        long y = vertical.FilterFirst + ((long)down * vertical.FilterStep);
                        for (int right = 0; right < horizontal.Taps; right++, to += nextTap)
                        {
                            long x = horizontal.FilterFirst + ((long)right * horizontal.FilterStep);
                            *to = CpuConvert.Widen<T, TSum>(filter[(y * _shape.FilterWidth) + x]);
                        }
                    }
                }
            }

            /// <summary>The planes behind those that are being read are asked for while results are made, a part for each row.</summary>
            private struct Next(T* planes, long length, long rows)
            {
                private readonly T* _first = planes + length;
                private long _row;

                public void Prefetch(int count)
                {
                    long done = _row * length / rows;
                    _row += count;
                    CpuPrefetch.Range(_first + done, ((_row * length / rows) - done) * sizeof(T));
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
}
