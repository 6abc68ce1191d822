using System.Runtime.CompilerServices;
using Kernels.Cpu;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <content>
/// The filter's gradient of many channels. Patches are not made: some channels of an image are copied with zeros around them, and for each
/// tap they are read where it sees them, a row of a tile for each channel.
/// </content>
public static unsafe partial class Conv2d
{
    private sealed class WideFilter<T, TSum>
        where T : unmanaged
        where TSum : unmanaged
    {
        /// <summary>What a task may take of a core's cache for planes, and for sums.</summary>
        private const long PlanesBytes = 512 << 10, SumsBytes = 320 << 10;

        /// <summary>The share of lanes and rows of tiles from which on patches cost more.</summary>
        private const double LeastUse = 0.85;

        private readonly FilterSplit<T, TSum> _split;
        private readonly GatherAxis _vertical, _horizontal;
        private readonly T* _x;
        private readonly MapStrides _xStrides, _dyStrides;
        private readonly long _firstOutput;
        private readonly int _firstY, _rows, _firstX, _columns, _area, _tileHeight;

        /// <summary>From one pixel and from one channel of a copy to the next.</summary>
        private readonly long _pixel, _channel;

        /// <summary>
        /// Of each row of taps, the pixels of the result for which it lies in the image: others meet zeros, and where every gradient is
        /// finite they can be left out.
        /// </summary>
        private readonly (long First, long End)[] _pixels;

        private readonly long _channels, _outputs, _channelsOfTask, _outputsOfTask;

        public WideFilter(in FilterSplit<T, TSum> split, in GatherAxis vertical, in GatherAxis horizontal, long group)
        {
            Conv2dShapeArguments s = split.Shape;
            (_split, _vertical, _horizontal) = (split, vertical, horizontal);
            (_channels, _outputs, _area) = (s.XChannels, s.YChannels, (int)s.FilterArea);
            (_xStrides, _dyStrides) = (StridesOfX(s, split.IsLast), split.DyStrides);
            _x = split.X + (group * _channels * _xStrides.Channel);
            _firstOutput = group * _outputs;
            (_firstY, _rows) = PaddedPlane<T, TSum>.Reach([vertical]);
            (_firstX, _columns) = PaddedPlane<T, TSum>.Reach([horizontal]);
            _tileHeight = CpuGemm.TileHeightFor<TSum>(_channels);

            // Tasks for blocks of channels and outputs: each copies its channels, and packs its gradients.
            long tiles = Tiles(_channels, _tileHeight), tilesOfTask = PlanesBytes / ((long)_rows * _columns * sizeof(TSum) * _tileHeight);
            tilesOfTask = Math.Clamp(tilesOfTask, 1, tiles);
            long panels = Tiles(_outputs, PanelColumns);
            long panelsOfTask = SumsBytes / (tilesOfTask * _tileHeight * _area * PanelColumns * sizeof(TSum));
            panelsOfTask = Math.Clamp(panelsOfTask, 1, panels);
            long blocks = CpuGemm.EvenlyShared(Tiles(tiles, tilesOfTask), Tiles(panels, panelsOfTask), tiles, CpuParallel.Workers);
            _channelsOfTask = Tiles(tiles, blocks) * _tileHeight;
            _outputsOfTask = panelsOfTask * PanelColumns;
            _pixels = new (long, long)[vertical.Taps];
            for (int down = 0; down < vertical.Taps; down++)
            {
                (int first, int end) = vertical.Inside(down, (int)s.XHeight);
                _pixels[down] = ((long)first * horizontal.Results, (long)end * horizontal.Results);
            }

            (_pixel, _channel) = split.IsLast ? (Apart(_channelsOfTask), 1L) : (1L, Apart((long)_rows * _columns));
        }

        private static int PanelColumns => CpuGemm.PanelColumns<TSum>();

        /// <summary>Distances of whole KiB would have all rows of a tile, or all steps, share a few sets of the nearest cache.</summary>
        private static long Apart(long elements) => elements + (elements * sizeof(TSum) % 1024 == 0 ? 64 / sizeof(TSum) : 0);

        private long ChannelBlocks => Tiles(_channels, _channelsOfTask);

        /// <summary>
        /// Whether there are taps enough for a copy to be read often, tiles leave little of their lanes and rows empty, and a cache holds
        /// the planes of a tile.
        /// </summary>
        public static bool Takes(in Conv2dShapeArguments s, in GatherAxis vertical, in GatherAxis horizontal)
        {
            if (s.FilterArea == 1 || s.XChannels == 0 || s.YChannels == 0 || vertical.Results == 0 || horizontal.Results == 0) return false;
            int height = CpuGemm.TileHeightFor<TSum>(s.XChannels), lanes = CpuGemm.VectorColumns<TSum>();
            double rows = (double)s.XChannels / (Tiles(s.XChannels, height) * height);
            double columns = (double)s.YChannels / (Tiles(s.YChannels, lanes) * lanes);
            long plane = (long)PaddedPlane<T, TSum>.Reach([vertical]).Count * PaddedPlane<T, TSum>.Reach([horizontal]).Count;
            return rows * columns >= LeastUse && plane * height * sizeof(TSum) <= PlanesBytes;
        }

        public void Run()
        {
            CpuParallel.For(ChannelBlocks * Tiles(_outputs, _outputsOfTask), task =>
            {
                (long outputs, long channels) = Math.DivRem(task, ChannelBlocks);
                Block(channels * _channelsOfTask, outputs * _outputsOfTask);
            });
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Block(long firstChannel, long firstOutput)
        {
            long channels = Math.Min(_channelsOfTask, _channels - firstChannel), rows = Tiles(channels, _tileHeight) * _tileHeight;
            long outputs = Math.Min(_outputsOfTask, _outputs - firstOutput), panels = Tiles(outputs, PanelColumns);

            // A split may have a part of an image, whose slices can be longer than those of a whole one.
            long plane = (long)_vertical.Results * _horizontal.Results, depth = Math.Min(plane, CpuGemm.MaxDepth);
            long tileLength = _tileHeight * PanelColumns, sumsLength = panels * _area * rows * PanelColumns;
            long offsetsLength = Tiles(depth * sizeof(long), CpuHeap.Alignment) * (CpuHeap.Alignment / sizeof(TSum));
            long copyLength = _split.IsLast ? (long)_rows * _columns * _pixel : rows * _channel;
            TSum* memory = CpuScratch.Take<TSum>(
                offsetsLength + (depth * PanelColumns) + sumsLength + copyLength + (channels * _area) + CpuElement.Width);
            long* offsets = (long*)memory;
            TSum* panel = memory + offsetsLength, sums = panel + (depth * PanelColumns), copy = sums + sumsLength;
            TSum* row = copy + copyLength;

            CpuGemm.TileSums<TSum> tile = default;

            // What lies around the image stays as it is.
            Clear(sums, sumsLength);
            Clear(copy, copyLength);
            for (long n = _split.FirstImage; n < _split.EndImage; n++)
            {
                T* x = _x + (n * _xStrides.Batch) + (firstChannel * _xStrides.Channel);
                T* dy = _split.Dy + (n * _dyStrides.Batch) + ((_firstOutput + firstOutput) * _dyStrides.Channel);
                Fill(x, (int)channels, copy);
                (int first, int end) = _split.PixelsOf(n);
                long slices = CpuGemm.SlicesOf(end - first), part = 0, parts = slices * panels * _area * (rows / _tileHeight);
                for (long slice = 0; slice < slices; slice++)
                {
                    long start = first + ((end - first) * slice / slices), count = first + ((end - first) * (slice + 1) / slices) - start;
                    Offsets((int)start, (int)count, offsets);
                    TSum* to = sums;
                    for (long column = 0; column < outputs; column += PanelColumns)
                    {
                        int width = (int)Math.Min(PanelColumns, outputs - column);
                        if (width < PanelColumns) Clear(panel, count * PanelColumns);
                        T* gradients = dy + (column * _dyStrides.Channel) + (start * _dyStrides.Column);
                        CpuGemm.Pack(count, width, gradients, _dyStrides.Column, _dyStrides.Channel, panel, PanelColumns);
                        if (firstChannel == 0) _split.AddBias(panel, count, PanelColumns, width, _firstOutput + firstOutput + column);
                        bool isFinite = CpuReal.AreFinite(panel, count * PanelColumns);
                        for (int tap = 0; tap < _area; tap++)
                        {
                            (long inside, long outside) = isFinite ? _pixels[tap / _horizontal.Taps] : (0, long.MaxValue);
                            inside = Math.Clamp(inside - start, 0, count);
                            long steps = Math.Clamp(outside - start, inside, count) - inside;
                            TSum* seen = copy + (OffsetOf(tap) * _pixel), factors = panel + (inside * PanelColumns);
                            for (long channel = 0; channel < rows; channel += _tileHeight, to += tileLength)
                            {
                                Prefetch(x + _xStrides.Batch, channels, _xStrides, part, parts);
                                Prefetch(dy + _dyStrides.Batch, outputs, _dyStrides, part++, parts);
                                tile.Stay(to, PanelColumns, accumulate: true);
                                CpuGemm.MultiplyGathered(
                                    _tileHeight, width, steps, seen + (channel * _channel), offsets + inside, _channel, factors, tile);
                            }
                        }
                    }
                }
            }

            Store(firstChannel, channels, rows, firstOutput, outputs, sums, row);
        }

        private static void Clear(TSum* values, long count)
        {
            for (long i = 0; i < count; i += int.MaxValue) new Span<TSum>(values + i, (int)Math.Min(int.MaxValue, count - i)).Clear();
        }

        /// <summary>A part of what the next image has, where that is in one piece; it may lie behind the last image.</summary>
        private static void Prefetch(T* values, long channels, in MapStrides strides, long part, long parts)
        {
            if (strides.Channel == 1 && channels < strides.Column) return;
            long count = strides.Channel == 1 ? strides.Batch : channels * strides.Channel, first = count * part / parts;
            CpuPrefetch.Range(values + first, ((count * (part + 1) / parts) - first) * sizeof(T));
        }

        /// <summary>Some channels, as far as any tap sees them.</summary>
        private void Fill(T* x, int channels, TSum* copy)
        {
            int height = (int)_split.Shape.XHeight, width = (int)_split.Shape.XWidth;
            int firstRow = Math.Max(_firstY, 0), endRow = Math.Min(_firstY + _rows, height);
            int firstColumn = Math.Max(_firstX, 0), count = Math.Min(_firstX + _columns, width) - firstColumn;
            if (count <= 0 || firstRow >= endRow) return;
            x += (firstRow * _xStrides.Row) + (firstColumn * _xStrides.Column);
            copy += (((long)(firstRow - _firstY) * _columns) + (firstColumn - _firstX)) * _pixel;
            if (_split.IsLast)
            {
                for (int y = firstRow; y < endRow; y++, x += _xStrides.Row, copy += _columns * _pixel)
                    CpuConvert.WidenRows(x, _xStrides.Column, copy, _pixel, count, channels);
                return;
            }

            for (int channel = 0; channel < channels; channel++, x += _xStrides.Channel, copy += _channel)
                CpuConvert.WidenRows(x, _xStrides.Row, copy, _columns, endRow - firstRow, count);
        }

        /// <summary>Where the first tap sees pixels of the result.</summary>
        private void Offsets(int first, int count, long* offsets)
        {
            PixelWalk walk = new(first, _vertical.Results, _horizontal.Results);
            for (int i = 0; i < count; i++, walk.Next())
                offsets[i] = (((long)walk.Y * _vertical.Step * _columns) + ((long)walk.X * _horizontal.Step)) * _pixel;
        }

        private long OffsetOf(int tap)
        {
            int y = _vertical.First + (tap / _horizontal.Taps * _vertical.TapStep) - _firstY;
            int x = _horizontal.First + (tap % _horizontal.Taps * _horizontal.TapStep) - _firstX;
            return ((long)y * _columns) + x;
        }

        /// <summary>
        /// Sums lie panel by panel, tap by tap, channel by channel; the gradient of an output has its taps innermost, or its channels.
        /// </summary>
        private void Store(long firstChannel, long channels, long rows, long firstOutput, long outputs, TSum* sums, TSum* row)
        {
            for (long output = 0; output < outputs; output++)
            {
                TSum* from = sums + (output / PanelColumns * _area * rows * PanelColumns) + (output % PanelColumns);
                long index = (_firstOutput + firstOutput + output) * _channels * _area, next = _split.IsLast ? 1 : _area;
                for (int tap = 0; tap < _area; tap++, from += rows * PanelColumns)
                {
                    TSum* to = _split.IsLast ? row : row + tap;
                    for (long channel = 0; channel < channels; channel++) to[channel * next] = from[channel * PanelColumns];
                    if (_split.IsLast) _split.Store(index + (tap * _channels) + firstChannel, row, channels);
                }

                if (!_split.IsLast) _split.Store(index + (firstChannel * _area), row, channels * _area);
            }
        }
    }
}
