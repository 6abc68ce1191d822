using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <content>The managed body of the filter's gradient: for each split a product whose depth is its pixels.</content>
public static unsafe partial class Conv2d
{
    private readonly struct CpuBackwardFilter : ICpuKernel<Conv2dBackwardFilterArguments>
    {
        public static void Run<T>(in KernelVariant variant, in Conv2dBackwardFilterArguments arguments)
            where T : unmanaged
        {
            if (variant.Has(WinogradBit))
                new FilterSplit<float, float>(arguments, variant.Has(0), 0).Run(WinogradFilter.Run);
            else if (typeof(T) == typeof(double))
                Run<T, double>(arguments, variant.Has(0));
            else
                Run<T, float>(arguments, variant.Has(0));
        }

        private static void Run<T, TSum>(Conv2dBackwardFilterArguments arguments, bool last)
            where T : unmanaged
            where TSum : unmanaged
        {
            arguments = arguments with { Conv2dShape = arguments.Conv2dShape.InOneRow() };
            CpuParallel.For((long)arguments.Splits, split => new FilterSplit<T, TSum>(arguments, last, split).Run(Multiply));
        }

        private static void Multiply<T, TSum>(FilterSplit<T, TSum> split)
            where T : unmanaged
            where TSum : unmanaged
        {
            Conv2dShapeArguments s = split.Shape;
            ForEach((long)s.Groups, (double)split.Pixels * s.YChannels * s.PerOutput, group =>
            {
                MapStrides x = StridesOfX(s, split.IsLast);
                (GatherAxis vertical, GatherAxis horizontal) = Axes(s, backward: false, 0, 0);
                if (GatheredFilter<T, TSum>.Takes(s, vertical, horizontal))
                {
                    new GatheredFilter<T, TSum>(split, vertical, horizontal, group).Run();
                    return;
                }

                Im2Col<T, TSum> patches = new()
                {
                    Image = split.X + (group * s.XChannels * x.Channel),
                    Strides = x,
                    Height = (int)s.XHeight,
                    Width = (int)s.XWidth,
                    Channels = (int)s.XChannels,
                    Vertical = vertical,
                    Horizontal = horizontal,
                };
                if (split.IsLast)
                    CpuGemm.Multiply<TSum, FilterLast<T, TSum>>(new(patches, split, group));
                else
                    CpuGemm.Multiply<TSum, FilterFirst<T, TSum>>(new(patches, split, group));
            });
        }
    }

    /// <summary>
    /// The pixels of a split, and where their sums go: to the gradients, or where there are several splits to partial sums, not rounded.
    /// </summary>
    private readonly struct FilterSplit<T, TSum>
        where T : unmanaged
        where TSum : unmanaged
    {
        /// <summary>Channels whose sums are made in one pass: with channels last, most of what a pixel has.</summary>
        private const int ChannelBlock = 256;

        /// <summary>Rows that are added to a vector of sums while it is in a register.</summary>
        private const long RowBlock = 8;

        /// <summary>The doubles of a vector.</summary>
        private const int Lanes = CpuElement.Width / 2;

        private readonly T* _dFilter;
        private readonly TSum* _filterPart;
        private readonly T* _dBias;
        private readonly TSum* _biasPart;
        private readonly bool _hasBias;

        public FilterSplit(in Conv2dBackwardFilterArguments a, bool last, long split)
        {
            Shape = a.Conv2dShape;
            IsLast = last;
            X = a.X.Pointer<T>();
            Dy = a.Dy.Pointer<T>();
            FirstPixel = Math.Min(split * (long)a.PixelsPerSplit, Shape.YPixels);
            EndPixel = Math.Min((split + 1) * (long)a.PixelsPerSplit, Shape.YPixels);
            _hasBias = a.HasBias != 0;
            if (a.Splits > 1)
            {
                _filterPart = a.Partial.Pointer<TSum>() + (split * Shape.Outputs * Shape.PerOutput);
                _biasPart = a.BiasPartial.Pointer<TSum>() + (split * Shape.Outputs);
            }
            else
            {
                _dFilter = a.Dfilter.Pointer<T>();
                _dBias = a.Dbias.Pointer<T>();
            }
        }

        public Conv2dShapeArguments Shape { get; }

        /// <summary>True with channels last.</summary>
        public bool IsLast { get; }

        public T* X { get; }

        public T* Dy { get; }

        public long FirstPixel { get; }

        public long EndPixel { get; }

        /// <summary>Sums of dy for each output, which whoever reads it first adds up; null where there is no bias.</summary>
        public double* BiasSums { get; private init; }

        public long Pixels => EndPixel - FirstPixel;

        public MapStrides DyStrides => StridesOfY(Shape, IsLast);

        public long FirstImage => FirstPixel / Plane;

        public long EndImage => (EndPixel + Plane - 1) / Plane;

        private long Plane => (long)Shape.YHeight * Shape.YWidth;

        /// <summary>Those of the pixels that an image has.</summary>
        public (int First, int End) PixelsOf(long image) =>
            ((int)Math.Max(FirstPixel - (image * Plane), 0), (int)Math.Min(EndPixel - (image * Plane), Plane));

        /// <summary>Takes a sum of the filter's gradient.</summary>
        public void Store(long index, TSum sum)
        {
            if (_filterPart != null)
                _filterPart[index] = sum;
            else
                _dFilter[index] = CpuConvert.Round<T, TSum>(sum);
        }

        /// <summary>Takes a row of sums of the filter's gradient.</summary>
        public void Store(long index, TSum* sums, long count)
        {
            if (_filterPart != null)
                new ReadOnlySpan<TSum>(sums, (int)count).CopyTo(new Span<TSum>(_filterPart + index, (int)count));
            else
                CpuConvert.Round(sums, _dFilter + index, (int)count, null, isShared: true, rectifies: false);
        }

        /// <summary>Takes a sum of the filter's gradient that was made in double.</summary>
        public void StoreDouble(long index, double sum)
        {
            if (_filterPart != null)
                _filterPart[index] = CpuElement.FromDouble<TSum>(sum);
            else
                _dFilter[index] = CpuElement.FromDouble<T>(sum);
        }

        /// <summary>Has the sums made, those of the bias on the way, and stores the latter.</summary>
        public void Run(Action<FilterSplit<T, TSum>> body)
        {
            double[] sums = _hasBias ? new double[Shape.Outputs] : [];
            fixed (double* first = sums)
            {
                FilterSplit<T, TSum> split = this with { BiasSums = first };
                if (Shape.PerOutput > 0)
                    body(split);
                else if (_hasBias)
                    split.BackwardBias();
            }

            for (int channel = 0; channel < sums.Length; channel++)
            {
                if (_biasPart != null)
                    _biasPart[channel] = CpuElement.FromDouble<TSum>(sums[channel]);
                else
                    _dBias[channel] = CpuElement.FromDouble<T>(sums[channel]);
            }
        }

        /// <summary>Adds sums over the rows of dy as it was packed, a column for each output from one on, in two chains a vector.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void AddBias(TSum* packed, long rows, long stride, int columns, long firstOutput)
        {
            if (BiasSums == null) return;
            double* sums = BiasSums + firstOutput;
            for (int column = 0; column < columns; column += Vector512<TSum>.Count)
            {
                int part = Math.Min(Vector512<TSum>.Count, columns - column);
                Vector512<TSum> even = Vector512<TSum>.Zero, odd = even;
                TSum* row = packed + column, end = row + (rows * stride);
                for (; row + stride < end; row += 2 * stride)
                {
                    even += CpuReal.Load(row, part);
                    odd += CpuReal.Load(row + stride, part);
                }

                if (row < end) even += CpuReal.Load(row, part);
                even += odd;
                for (int i = 0; i < part; i++) sums[column + i] += CpuElement.ToDouble(even.GetElement(i));
            }
        }

        /// <summary>The sums of the bias alone.</summary>
        public void BackwardBias()
        {
            FilterSplit<T, TSum> split = this;
            MapStrides strides = DyStrides;
            long outputs = Shape.Outputs;

            // With channels last every task goes over all pixels: no more of them than there are cores.
            long least = IsLast ? Tiles(Tiles(outputs, Environment.ProcessorCount), CpuElement.Width) * CpuElement.Width : CpuElement.Width;
            CpuParallel.ForRange(outputs, Math.Max(least, CpuParallel.ElementsPerChunk / Math.Max(1, Pixels)), (first, end) =>
            {
                double* sums = stackalloc double[ChannelBlock];
                for (long start = first; start < end; start += ChannelBlock)
                {
                    int width = (int)Math.Min(ChannelBlock, end - start);
                    new Span<double>(sums, width).Clear();
                    for (long n = split.FirstImage; n < split.EndImage; n++)
                    {
                        (int firstPixel, int endPixel) = split.PixelsOf(n);
                        T* image = split.Dy + (n * strides.Batch) + (start * strides.Channel) + (firstPixel * strides.Column);
                        if (split.IsLast)
                        {
                            AddRows(image, endPixel - firstPixel, outputs, sums, width);
                            continue;
                        }

                        for (int i = 0; i < width; i++) sums[i] += Sum(image + (i * strides.Channel), endPixel - firstPixel);
                    }

                    new ReadOnlySpan<double>(sums, width).CopyTo(new Span<double>(split.BiasSums + start, width));
                }
            });
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void AddRows(T* source, long rows, long stride, double* sums, int width)
        {
            for (long row = 0; row < rows; row += RowBlock, source += RowBlock * stride)
            {
                T* end = source + (Math.Min(RowBlock, rows - row) * stride);
                int i = 0;
                for (; i + CpuElement.Width <= width; i += CpuElement.Width)
                {
                    Vector512<double> low = Vector512.Load(sums + i), high = Vector512.Load(sums + i + Lanes);
                    for (T* at = source; at < end; at += stride) Add(at + i, ref low, ref high);
                    low.Store(sums + i);
                    high.Store(sums + i + Lanes);
                }

                for (; i < width; i++)
                {
                    for (T* at = source; at < end; at += stride) sums[i] += CpuElement.ToDouble(at[i]);
                }
            }
        }

        /// <summary>In eight interleaved sums.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static double Sum(T* source, long count)
        {
            Vector512<double> all = Vector512<double>.Zero;
            long i = 0;
            for (; i + CpuElement.Width <= count; i += CpuElement.Width)
            {
                (Vector512<double> low, Vector512<double> high) = CpuElement.LoadDoubles(source + i);
                all = all + low + high;
            }

            double* sums = stackalloc double[Lanes];
            all.Store(sums);
            for (; i < count; i++) sums[i % Lanes] += CpuElement.ToDouble(source[i]);
            return (sums[0] + sums[4] + (sums[2] + sums[6])) + (sums[1] + sums[5] + (sums[3] + sums[7]));
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Add(T* source, ref Vector512<double> low, ref Vector512<double> high)
        {
            (Vector512<double> first, Vector512<double> second) = CpuElement.LoadDoubles(source);
            low += first;
            high += second;
        }
    }

    /// <summary>
    /// [batch, channels, ...]: patches, a row for each tap, times the output's gradient; the transposed gradient comes out.
    /// </summary>
    private readonly struct FilterFirst<T, TSum>(in Im2Col<T, TSum> patches, in FilterSplit<T, TSum> split, long group)
        : ICpuProduct<TSum>
        where T : unmanaged
        where TSum : unmanaged
    {
        private readonly Im2Col<T, TSum> _patches = patches;
        private readonly FilterSplit<T, TSum> _split = split;
        private readonly MapStrides _strides = split.DyStrides;
        private readonly long _firstOutput = group * split.Shape.YChannels;

        public long Rows => _patches.Taps;

        public long Columns { get; } = split.Shape.YChannels;

        public long Depth => _split.Pixels;

        public void PackLeft(long firstRow, long rows, long firstDepth, long depth, TSum* destination, long stride, bool isFirst) =>
            _patches.PackTaps(firstRow, rows, _split.FirstPixel + firstDepth, depth, destination, stride);

        public void PackRight(long firstColumn, long columns, long firstDepth, long depth, TSum* destination, long stride, bool isFirst)
        {
            long plane = _strides.Channel;
            for (long done = 0; done < depth;)
            {
                long pixel = _split.FirstPixel + firstDepth + done, batch = pixel / plane;
                pixel %= plane;
                long count = Math.Min(depth - done, plane - pixel);
                T* source = _split.Dy + (batch * _strides.Batch) + ((_firstOutput + firstColumn) * plane) + pixel;
                CpuGemm.Pack(count, columns, source, 1, plane, destination + (done * stride), stride);
                done += count;
            }

            if (isFirst) _split.AddBias(destination, depth, stride, (int)columns, _firstOutput + firstColumn);
        }

        public TSum* RightInPlace(long firstColumn, long columns, long firstDepth) => null;

        public long RightStride => 0;

        public void Store(long firstRow, long rows, long firstColumn, long columns, TSum* sums, long stride)
        {
            for (long column = 0; column < columns; column++)
            {
                long index = ((_firstOutput + firstColumn + column) * Rows) + firstRow;
                for (long row = 0; row < rows; row++) _split.Store(index + row, sums[(row * stride) + column]);
            }
        }

        public bool TryGo(long firstRow, long firstColumn, long columns, ref CpuGemm.TileSums<TSum> tile) => false;

        /// <summary>The planes of x and dy one by one, from where the pixels of the block begin.</summary>
        public void Prefetch(in CpuBlock block, CpuPart part)
        {
            long area = _patches.Taps / _patches.Channels, firstPixel = _split.FirstPixel + block.FirstDepth, plane = _strides.Channel;
            long firstChannel = block.FirstRow / area, endChannel = ((block.FirstRow + block.Rows - 1) / area) + 1;
            long channels = block.Rows == 0 ? 0 : endChannel - firstChannel;
            (long first, long end) = part.Of(channels + block.Columns);
            for (long i = first; i < end; i++)
            {
                bool isX = i < channels;
                MapStrides strides = isX ? _patches.Strides : _strides;
                T* maps = isX ? _patches.Image + ((firstChannel + i) * strides.Channel)
                    : _split.Dy + ((_firstOutput + block.FirstColumn + i - channels) * plane);
                PrefetchPixels(maps, strides, plane, firstPixel, block.Depth);
            }
        }

        /// <summary>
        /// Asks for a channel's pixels of images one behind the other, counted in planes of <paramref name="counted"/> pixels, which may be
        /// more or fewer than the map's own.
        /// </summary>
        private static void PrefetchPixels(T* maps, in MapStrides strides, long counted, long first, long count)
        {
            (long image, long pixel) = Math.DivRem(first, counted);
            for (; count > 0; image++, pixel = 0)
            {
                long part = Math.Min(count, counted - pixel), plane = strides.Channel;
                CpuPrefetch.Range(maps + (image * strides.Batch) + (pixel * plane / counted), part * plane / counted * sizeof(T));
                count -= part;
            }
        }
    }

    /// <summary>[batch, ..., channels]: the output's gradient, transposed, times patches, a row for each pixel.</summary>
    private readonly struct FilterLast<T, TSum>(in Im2Col<T, TSum> patches, in FilterSplit<T, TSum> split, long group)
        : ICpuProduct<TSum>
        where T : unmanaged
        where TSum : unmanaged
    {
        private readonly Im2Col<T, TSum> _patches = patches;
        private readonly FilterSplit<T, TSum> _split = split;
        private readonly long _outputs = split.Shape.Outputs;
        private readonly long _firstOutput = group * split.Shape.YChannels;

        public long Rows { get; } = split.Shape.YChannels;

        public long Columns => _patches.Taps;

        public long Depth => _split.Pixels;

        public void PackLeft(long firstRow, long rows, long firstDepth, long depth, TSum* destination, long stride, bool isFirst)
        {
            T* source = _split.Dy + ((_split.FirstPixel + firstDepth) * _outputs) + _firstOutput + firstRow;
            CpuGemm.Pack(rows, depth, source, 1, _outputs, destination, stride);
            if (isFirst && _split.BiasSums != null) AddRows(destination, rows, stride, depth, _split.BiasSums + _firstOutput + firstRow);
        }

        /// <summary>Sums along the rows of what was packed.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void AddRows(TSum* packed, long rows, long stride, long depth, double* sums)
        {
            for (long row = 0; row < rows; row++, packed += stride)
            {
                Vector512<TSum> sum = Vector512<TSum>.Zero;
                for (long i = 0; i < depth; i += Vector512<TSum>.Count)
                    sum += CpuReal.Load(packed + i, (int)Math.Min(Vector512<TSum>.Count, depth - i));
                sums[row] += CpuElement.ToDouble(Vector512.Sum(sum));
            }
        }

        public void PackRight(long firstColumn, long columns, long firstDepth, long depth, TSum* destination, long stride, bool isFirst) =>
            _patches.PackPixels(_split.FirstPixel + firstDepth, depth, firstColumn, columns, destination, stride);

        public TSum* RightInPlace(long firstColumn, long columns, long firstDepth) => null;

        public long RightStride => 0;

        public void Store(long firstRow, long rows, long firstColumn, long columns, TSum* sums, long stride)
        {
            for (long row = 0; row < rows; row++)
                _split.Store(((_firstOutput + firstRow + row) * Columns) + firstColumn, sums + (row * stride), columns);
        }

        public bool TryGo(long firstRow, long firstColumn, long columns, ref CpuGemm.TileSums<TSum> tile) => false;

        public void Prefetch(in CpuBlock block, CpuPart part)
        {
            // Pixels lie one behind the other, which hardware foresees.
        }
    }
}
