using System.Runtime.CompilerServices;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <content>
/// The managed bodies: matrix products of the filter, or of a gradient, and of patches that are packed a panel at a time.
/// </content>
public static unsafe partial class Conv2d
{
    /// <summary>Multiply-adds of a group from which on it is spread over all cores itself.</summary>
    private const double LargeGroup = 1 << 24;

    /// <summary>Calls the body for each independent product: side by side where they are small.</summary>
    private static void ForEach(long products, double workOfOne, Action<long> body)
    {
        if (workOfOne < LargeGroup)
        {
            CpuParallel.For(products, body);
            return;
        }

        for (long i = 0; i < products; i++) body(i);
    }

    private static MapStrides StridesOfX(in Conv2dShapeArguments s, bool last) =>
        MapStrides.Of((long)s.Groups * s.XChannels, s.XHeight, s.XWidth, last);

    private static MapStrides StridesOfY(in Conv2dShapeArguments s, bool last) =>
        MapStrides.Of((long)s.Groups * s.YChannels, s.YHeight, s.YWidth, last);

    private readonly struct CpuGather : ICpuKernel<Conv2dGatherArguments>
    {
        public static void Run<T>(in KernelVariant variant, in Conv2dGatherArguments arguments)
            where T : unmanaged
        {
            if (variant.Has(WinogradBit))
                WinogradGather.Run(arguments, variant.Has(0));
            else if (typeof(T) == typeof(double))
                Run<T, double>(arguments, variant.Has(0));
            else
                Run<T, float>(arguments, variant.Has(0));
        }

        private static void Run<T, TSum>(Conv2dGatherArguments a, bool last)
            where T : unmanaged
            where TSum : unmanaged
        {
            Conv2dShapeArguments s = last ? a.Conv2dShape : a.Conv2dShape.InOneRow();
            a = a with { Conv2dShape = s };
            bool backward = a.Backward != 0;
            long phasesX = backward ? Math.Min(s.StrideX, s.XWidth) : 1, phases = backward ? phasesX * Math.Min(s.StrideY, s.XHeight) : 1;
            double work = (double)s.YPixels * s.YChannels * s.PerOutput / phases;
            long channels = backward ? s.XChannels : s.YChannels;
            bool isNarrow = !last && NarrowGather<T, TSum>.Takes(channels, Phase<T, TSum>(a, last, 0, 0).Patches);
            bool clears = !isNarrow && a.HasBias == 0 && Phases(0).Any(phase => phase.Patches.Taps == 0);
            if (clears) Clear<T>(a, last);
            bool isWide = !isNarrow && WideGather<T, TSum>.Takes(channels, last, Seen(0));
            ForEach((long)s.Groups * (isNarrow || isWide ? 1 : phases), work, index =>
            {
                if (isWide)
                {
                    WideGather<T, TSum>.Run((long)s.Batch, channels, last, Seen(index));
                    return;
                }

                if (isNarrow)
                {
                    new NarrowGather<T, TSum>((long)s.Batch, (int)channels, Phases(index)).Run();
                    return;
                }

                GatherPhase<T, TSum> part = Phase<T, TSum>(a, last, index / phases, index % phases);
                if (clears && part.Patches.Taps == 0) return;
                if (WideGather<T, TSum>.Takes(channels, last, [part]))
                {
                    WideGather<T, TSum>.Run((long)s.Batch, channels, last, [part]);
                    return;
                }

                long pixels = (long)s.Batch * part.Patches.Vertical.Results * part.Patches.Horizontal.Results;
                if (last)
                {
                    CpuGemm.Multiply<TSum, GatherLast<T, TSum>>(new(part.Patches, part.Filter, part.Target, pixels, channels));
                    return;
                }

                TSum* ordered = part.Filter.InOrder(channels);
                CpuGemm.Multiply<TSum, GatherFirst<T, TSum>>(new(part.Patches, part.Filter, ordered, part.Target, pixels, channels));
            });

            // Those that are not cleared.
            GatherPhase<T, TSum>[] Seen(long group) => [.. Phases(group).Where(phase => !clears || phase.Patches.Taps > 0)];

            GatherPhase<T, TSum>[] Phases(long group)
            {
                GatherPhase<T, TSum>[] all = new GatherPhase<T, TSum>[phases];
                for (long phase = 0; phase < phases; phase++) all[phase] = Phase<T, TSum>(a, last, group, phase);
                return all;
            }
        }

        /// <summary>
        /// All results at once, where a stride leaves some that meet no taps: those lie between the others and share their lines of memory.
        /// </summary>
        private static void Clear<T>(in Conv2dGatherArguments a, bool last)
            where T : unmanaged
        {
            T* result = a.Result.Pointer<T>();
            long count = (long)a.Conv2dShape.Batch * StridesOfX(a.Conv2dShape, last).Batch;
            bool streams = count * sizeof(T) >= CpuStreaming.ThresholdBytes;
            CpuParallel.ForRange(
                count, CpuParallel.ElementsPerChunk, (first, end) => CpuStreaming.FillPart(result + first, end - first, default, streams));
        }

        public static GatherPhase<T, TSum> Phase<T, TSum>(in Conv2dGatherArguments a, bool last, long group, long phase)
            where T : unmanaged
            where TSum : unmanaged
        {
            Conv2dShapeArguments s = a.Conv2dShape;
            bool backward = a.Backward != 0;
            long phasesX = backward ? Math.Min(s.StrideX, s.XWidth) : 1, channels = backward ? s.XChannels : s.YChannels;
            Im2Col<T, TSum> patches = Patches<T, TSum>(a, last, group, (uint)(phase / phasesX), (uint)(phase % phasesX));
            MapStrides strides = backward ? StridesOfX(s, last) : StridesOfY(s, last);
            return new(patches, Filter<T, TSum>(a, last, group, patches), new GatherTarget<T>
            {
                Result = a.Result.Pointer<T>() + (group * channels * strides.Channel),
                Bias = a.HasBias != 0 ? a.Bias.Pointer<T>() + (group * channels) : null,
                Rectifies = a.HasRelu != 0,
                Streams = CpuStreaming.Pays(a.Result.Pointer<T>(), (long)s.Batch * strides.Batch * sizeof(T)),
                Strides = strides,
                Vertical = patches.Vertical,
                Horizontal = patches.Horizontal,
            });
        }

        private static Im2Col<T, TSum> Patches<T, TSum>(in Conv2dGatherArguments a, bool last, long group, uint phaseY, uint phaseX)
            where T : unmanaged
            where TSum : unmanaged
        {
            Conv2dShapeArguments s = a.Conv2dShape;
            bool backward = a.Backward != 0;
            MapStrides strides = backward ? StridesOfY(s, last) : StridesOfX(s, last);
            uint channels = backward ? s.YChannels : s.XChannels;
            (GatherAxis vertical, GatherAxis horizontal) = Axes(s, backward, phaseY, phaseX);
            return new Im2Col<T, TSum>
            {
                Image = a.Image.Pointer<T>() + (group * channels * strides.Channel),
                Strides = strides,
                Height = (int)(backward ? s.YHeight : s.XHeight),
                Width = (int)(backward ? s.YWidth : s.XWidth),
                Channels = (int)channels,
                Vertical = vertical,
                Horizontal = horizontal,
            };
        }

        private static FilterRows<T, TSum> Filter<T, TSum>(in Conv2dGatherArguments a, bool last, long group, in Im2Col<T, TSum> patches)
            where T : unmanaged
            where TSum : unmanaged
        {
            Conv2dShapeArguments s = a.Conv2dShape;
            long perInput = last ? 1 : s.FilterArea, column = last ? s.XChannels : 1;
            (long result, long channel) = a.Backward != 0 ? (perInput, s.PerOutput) : (s.PerOutput, perInput);
            return new FilterRows<T, TSum>
            {
                Filter = a.Filter.Pointer<T>() + (group * s.YChannels * s.PerOutput),
                ResultStride = result,
                Strides = new MapStrides(0, channel, column * s.FilterWidth, column),
                Channels = patches.Channels,
                Vertical = patches.Vertical,
                Horizontal = patches.Horizontal,
                IsChannelsLast = last,
                IsInOrder = a.Backward == 0,
            };
        }
    }

    /// <summary>The filter as a matrix: a row for each channel of the result, along it the taps that a phase meets.</summary>
    private readonly struct FilterRows<T, TSum>
        where T : unmanaged
        where TSum : unmanaged
    {
        private const int MostTaps = 512;

        public required T* Filter { get; init; }

        /// <summary>From one channel of the result to the next.</summary>
        public required long ResultStride { get; init; }

        /// <summary>From one channel of the image to the next, and along the filter's own axes.</summary>
        public required MapStrides Strides { get; init; }

        public required int Channels { get; init; }

        public required GatherAxis Vertical { get; init; }

        public required GatherAxis Horizontal { get; init; }

        public required bool IsChannelsLast { get; init; }

        /// <summary>True when a row lies in memory as it is.</summary>
        public required bool IsInOrder { get; init; }

        /// <summary>A row for each tap, along it the first rows' factors.</summary>
        public void PackAll(int rows, long taps, TSum* destination)
        {
            long* offsets = stackalloc long[MostTaps];
            for (long first = 0; first < taps; first += MostTaps)
            {
                int count = (int)Math.Min(MostTaps, taps - first);
                Offsets(first, count, offsets);
                for (int tap = 0; tap < count; tap++)
                {
                    for (int row = 0; row < rows; row++)
                        *destination++ = CpuConvert.Widen<T, TSum>(Filter[offsets[tap] + (row * ResultStride)]);
                }
            }
        }

        /// <summary>
        /// The first rows one behind the other, made once for all blocks of a product, in memory of the calling thread; null where they lie
        /// in memory as they are.
        /// </summary>
        public TSum* InOrder(long rows)
        {
            if (IsInOrder) return null;
            FilterRows<T, TSum> filter = this;
            long taps = (long)Channels * Vertical.Taps * Horizontal.Taps;
            TSum* ordered = CpuScratch.Take<TSum>(rows * taps);
            CpuParallel.ForRange(
                rows, Math.Max(1, CpuParallel.ElementsPerChunk / Math.Max(1, taps)),
                (first, end) => filter.PackRows(first, end - first, 0, taps, ordered + (first * taps), taps));
            return ordered;
        }

        public void PackRows(long firstRow, long rows, long firstTap, long taps, TSum* destination, long stride)
        {
            if (IsInOrder)
            {
                T* source = Filter + (firstRow * ResultStride) + firstTap;
                CpuGemm.Pack(rows, taps, source, ResultStride, 1, destination, stride);
                return;
            }

            long* offsets = stackalloc long[MostTaps];
            for (long done = 0; done < taps; done += MostTaps)
            {
                int count = (int)Math.Min(MostTaps, taps - done);
                Offsets(firstTap + done, count, offsets);
                for (long row = 0; row < rows; row++)
                {
                    T* source = Filter + ((firstRow + row) * ResultStride);
                    TSum* to = destination + (row * stride) + done;
                    for (int tap = 0; tap < count; tap++) to[tap] = CpuConvert.Widen<T, TSum>(source[offsets[tap]]);
                }
            }
        }

        public void PackColumns(long firstColumn, long columns, long firstTap, long taps, TSum* destination, long stride)
        {
            T* source = Filter + (firstColumn * ResultStride);
            if (IsInOrder)
            {
                CpuGemm.Pack(taps, columns, source + firstTap, 1, ResultStride, destination, stride);
                return;
            }

            long* offsets = stackalloc long[MostTaps];
            Offsets(firstTap, (int)taps, offsets);
            for (long tap = 0; tap < taps; tap++, destination += stride)
            {
                if (ResultStride == 1)
                {
                    CpuConvert.Widen(source + offsets[tap], destination, (int)columns);
                }
                else
                {
                    for (long i = 0; i < columns; i++)
                        destination[i] = CpuConvert.Widen<T, TSum>(source[offsets[tap] + (i * ResultStride)]);
                }
            }
        }

        private void Offsets(long firstTap, int taps, long* offsets)
        {
            int low = IsChannelsLast ? Channels : Horizontal.Taps, middle = IsChannelsLast ? Horizontal.Taps : Vertical.Taps;
            PixelWalk walk = new(firstTap, middle, low);
            for (int tap = 0; tap < taps; tap++, walk.Next())
            {
                (long channel, long down, long right) = IsChannelsLast ? (walk.X, walk.Batch, walk.Y) : (walk.Batch, (long)walk.Y, walk.X);
                offsets[tap] = (channel * Strides.Channel) + ((Vertical.FilterFirst + (down * Vertical.FilterStep)) * Strides.Row)
                    + ((Horizontal.FilterFirst + (right * Horizontal.FilterStep)) * Strides.Column);
            }
        }
    }

    /// <summary>Results of a group that meet the same taps.</summary>
    private readonly record struct GatherPhase<T, TSum>(
        Im2Col<T, TSum> Patches, FilterRows<T, TSum> Filter, GatherTarget<T> Target)
        where T : unmanaged
        where TSum : unmanaged;

    /// <summary>Where the results of a gather go.</summary>
    private readonly struct GatherTarget<T>
        where T : unmanaged
    {
        /// <summary>Pixels that are transposed at a time.</summary>
        public const int TransposedPixels = 128;

        public required T* Result { get; init; }

        public required T* Bias { get; init; }

        public required bool Rectifies { get; init; }

        /// <summary>True when the whole result leaves the caches before anyone reads it.</summary>
        public required bool Streams { get; init; }

        public required MapStrides Strides { get; init; }

        public required GatherAxis Vertical { get; init; }

        public required GatherAxis Horizontal { get; init; }

        /// <summary>True when the results of an image lie in memory as they are counted.</summary>
        public bool IsDense => Horizontal.ResultStep == 1 && Vertical.ResultStep == 1;

        /// <summary>The bias from a channel on, if there is one.</summary>
        public T* BiasOf(long channel) => Bias == null ? null : Bias + channel;

        /// <summary>Takes neighbours of one row of the result, for so many channels from that of the bias on.</summary>
        public void StoreRows<TSum>(TSum* sums, long stride, T* to, long channels, int count, T* bias)
            where TSum : unmanaged
        {
            if (Horizontal.ResultStep == 1)
            {
                CpuConvert.RoundRows(sums, stride, to, Strides.Channel, channels, count, bias, isShared: true, Rectifies, Streams);
                return;
            }

            T* row = stackalloc T[CpuGemm.MaxBlockColumns];
            for (long i = 0; i < channels; i++, to += Strides.Channel, sums += stride)
            {
                for (int first = 0; first < count; first += CpuGemm.MaxBlockColumns)
                {
                    int part = Math.Min(count - first, CpuGemm.MaxBlockColumns);
                    T* ownBias = bias == null ? null : bias + i;
                    CpuConvert.RoundRows(sums + first, stride, row, 0, 1, part, ownBias, isShared: true, Rectifies, streams: false);
                    T* at = to + ((long)first * Horizontal.ResultStep);
                    for (int x = 0; x < part; x++) at[(long)x * Horizontal.ResultStep] = row[x];
                }
            }
        }

        /// <summary>
        /// Takes rows of results for the channels of a panel, <paramref name="pitch"/> pixels apart: one by one, or where neither they nor
        /// the result have gaps, all as one.
        /// </summary>
        public void StorePanel<TSum>(
            bool last, long batch, in GatherAxis vertical, long channel, long channels, TSum* sums, int pitch, TSum* transposed)
            where TSum : unmanaged
        {
            int width = Horizontal.Results, rows = vertical.Results, panel = CpuGemm.PanelColumns<TSum>();
            T* to = Result + (batch * Strides.Batch) + (channel * Strides.Channel) + (vertical.ResultFirst * Strides.Row)
                + (Horizontal.ResultFirst * Strides.Column);
            T* bias = BiasOf(channel);
            if (IsDense && pitch == width && Strides.Row == width * Strides.Column) (width, rows) = (width * rows, 1);
            for (int row = 0; row < rows; row++, to += vertical.ResultStep * Strides.Row, sums += pitch * panel)
            {
                if (last)
                {
                    CpuConvert.RoundRows(
                        sums, panel, to, Horizontal.ResultStep * Strides.Column, width, (int)channels, bias, isShared: false, Rectifies,
                        Streams);
                    continue;
                }

                for (int x = 0; x < width; x += TransposedPixels)
                {
                    int count = Math.Min(TransposedPixels, width - x);
                    CpuGemm.Pack(channels, Tiles(count, 16) * 16, sums + (x * panel), 1, panel, transposed, TransposedPixels);
                    StoreRows(transposed, TransposedPixels, to + (x * Horizontal.ResultStep), channels, count, bias);
                }
            }
        }

        public long OffsetOf(in PixelWalk walk) => (walk.Batch * Strides.Batch)
            + ((Vertical.ResultFirst + ((long)walk.Y * Vertical.ResultStep)) * Strides.Row)
            + ((Horizontal.ResultFirst + ((long)walk.X * Horizontal.ResultStep)) * Strides.Column);
    }

    /// <summary>[batch, channels, ...]: the filter times patches.</summary>
    private readonly struct GatherFirst<T, TSum>(
        in Im2Col<T, TSum> patches, in FilterRows<T, TSum> filter, TSum* ordered, in GatherTarget<T> target, long pixels, long channels)
        : ICpuProduct<TSum>
        where T : unmanaged
        where TSum : unmanaged
    {
        /// <summary>Of the eight or twelve lines of a set of the nearest cache, those that pixels read in place may take.</summary>
        private const int MostInCacheSet = 4;

        private readonly Im2Col<T, TSum> _patches = patches;
        private readonly FilterRows<T, TSum> _filter = filter;
        private readonly TSum* _ordered = ordered;
        private readonly GatherTarget<T> _target = target;
        private readonly bool _isDense = target.IsDense;
        private readonly bool _isInPlace = typeof(T) == typeof(TSum) && target.IsDense && patches.IsImage
            && patches.ChannelsOfCacheSet <= MostInCacheSet;
        private readonly bool _hasOneTap = target.IsDense && patches.Taps == patches.Channels;
        private readonly InvariantDivisor _plane = InvariantDivisor.Of(target.Strides.Channel);

        public long Rows { get; } = channels;

        public long Columns { get; } = pixels;

        public long Depth => _patches.Taps;

        public void PackLeft(long firstRow, long rows, long firstDepth, long depth, TSum* destination, long stride, bool isFirst)
        {
            if (_ordered == null)
                _filter.PackRows(firstRow, rows, firstDepth, depth, destination, stride);
            else
                CpuGemm.Pack(rows, depth, _ordered + (firstRow * Depth) + firstDepth, Depth, 1, destination, stride);
        }

        public void PackRight(long firstColumn, long columns, long firstDepth, long depth, TSum* destination, long stride, bool isFirst) =>
            _patches.PackTaps(firstDepth, depth, firstColumn, columns, destination, stride);

        public TSum* RightInPlace(long firstColumn, long columns, long firstDepth)
        {
            if (!_isInPlace) return null;
            (long image, long pixel) = Pixel(firstColumn);
            if (pixel + columns > (long)_plane.Value) return null;
            return (TSum*)_patches.Image + (image * _patches.Strides.Batch) + (firstDepth * RightStride) + pixel;
        }

        public long RightStride => _patches.Strides.Channel;

        public void Store(long firstRow, long rows, long firstColumn, long columns, TSum* sums, long stride)
        {
            T* bias = _target.Bias == null ? null : _target.Bias + firstRow;
            T* result = _target.Result + (firstRow * _target.Strides.Channel);
            if (_isDense)
            {
                (long image, long pixel) = Pixel(firstColumn);
                for (long column = 0; column < columns; image++, pixel = 0)
                {
                    int count = (int)Math.Min(columns - column, (long)_plane.Value - pixel);
                    _target.StoreRows(sums + column, stride, result + (image * _target.Strides.Batch) + pixel, rows, count, bias);
                    column += count;
                }

                return;
            }

            PixelWalk walk = new(firstColumn, _target.Vertical.Results, _target.Horizontal.Results);
            for (long column = 0; column < columns; walk.NextRow())
            {
                int count = (int)Math.Min(columns - column, walk.LeftOfRow);
                _target.StoreRows(sums + column, stride, result + _target.OffsetOf(walk), rows, count, bias);
                column += count;
            }
        }

        public bool TryGo(long firstRow, long firstColumn, long columns, ref CpuGemm.TileSums<TSum> tile)
        {
            if (!_isDense || typeof(T) != typeof(TSum)) return false;
            long plane = (long)_plane.Value;
            (long image, long pixel) = Pixel(firstColumn);
            if (pixel + columns > plane) return false;
            T* to = _target.Result + (firstRow * plane) + (image * _target.Strides.Batch) + pixel;
            tile.Go(to, plane, _target.BiasOf(firstRow), isOfRows: true, _target.Rectifies, _target.Streams);
            return true;
        }

        /// <summary>Of a filter of one tap, channel by channel. Larger ones find most of what they read in a cache.</summary>
        public void Prefetch(in CpuBlock block, CpuPart part)
        {
            if (!_hasOneTap) return;
            (long first, long end) = part.Of(block.Depth);
            (long image, long pixel) = Pixel(block.FirstColumn);
            for (long left = block.Columns; left > 0; image++, pixel = 0)
            {
                long count = Math.Min(left, (long)_plane.Value - pixel);
                T* maps = _patches.Image + (image * _patches.Strides.Batch) + ((block.FirstDepth + first) * RightStride) + pixel;
                for (long channel = first; channel < end; channel++, maps += RightStride) CpuPrefetch.Range(maps, count * sizeof(T));
                left -= count;
            }
        }

        /// <summary>The image of a result, and its place in it.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private (long Image, long Pixel) Pixel(long column)
        {
            long image = _plane.Divide(column);
            return (image, column - (image * (long)_plane.Value));
        }
    }

    /// <summary>[batch, ..., channels]: patches times the filter.</summary>
    private readonly struct GatherLast<T, TSum>(
        in Im2Col<T, TSum> patches, in FilterRows<T, TSum> filter, in GatherTarget<T> target, long pixels, long channels)
        : ICpuProduct<TSum>
        where T : unmanaged
        where TSum : unmanaged
    {
        private readonly Im2Col<T, TSum> _patches = patches;
        private readonly FilterRows<T, TSum> _filter = filter;
        private readonly GatherTarget<T> _target = target;

        public long Rows { get; } = pixels;

        public long Columns { get; } = channels;

        public long Depth => _patches.Taps;

        public void PackLeft(long firstRow, long rows, long firstDepth, long depth, TSum* destination, long stride, bool isFirst) =>
            _patches.PackPixels(firstRow, rows, firstDepth, depth, destination, stride);

        public void PackRight(long firstColumn, long columns, long firstDepth, long depth, TSum* destination, long stride, bool isFirst) =>
            _filter.PackColumns(firstColumn, columns, firstDepth, depth, destination, stride);

        public TSum* RightInPlace(long firstColumn, long columns, long firstDepth) => null;

        public long RightStride => 0;

        public void Store(long firstRow, long rows, long firstColumn, long columns, TSum* sums, long stride)
        {
            PixelWalk walk = new(firstRow, _target.Vertical.Results, _target.Horizontal.Results);
            T* bias = _target.Bias == null ? null : _target.Bias + firstColumn;
            long next = _target.Horizontal.ResultStep * _target.Strides.Column;
            for (long row = 0; row < rows; walk.NextRow())
            {
                long count = _target.IsDense ? rows : Math.Min(rows - row, walk.LeftOfRow);
                T* to = _target.Result + _target.OffsetOf(walk) + firstColumn;
                CpuConvert.RoundRows(
                    sums + (row * stride), stride, to, next, count, (int)columns, bias, isShared: false, _target.Rectifies,
                    _target.Streams);
                row += count;
            }
        }

        public bool TryGo(long firstRow, long firstColumn, long columns, ref CpuGemm.TileSums<TSum> tile)
        {
            if (!_target.IsDense || typeof(T) != typeof(TSum)) return false;
            T* to = _target.Result + (firstRow * _target.Strides.Column) + firstColumn;
            tile.Go(to, _target.Strides.Column, _target.BiasOf(firstColumn), isOfRows: false, _target.Rectifies, _target.Streams);
            return true;
        }

        public void Prefetch(in CpuBlock block, CpuPart part)
        {
            // Pixels lie one behind the other, which hardware foresees.
        }
    }
}
