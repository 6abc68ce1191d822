using System.Runtime.CompilerServices;
using Kernels.Cpu;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <content>
/// The filter's gradient. Patches are not made: some channels of an image are copied with zeros around them, and read where each tap sees
/// them, a row of a tile for each tap and channel.
/// </content>
public static unsafe partial class Conv2d
{
    private sealed class GatheredFilter<T, TSum>
        where T : unmanaged
        where TSum : unmanaged
    {
        /// <summary>What a task may take of a core's cache for planes, unless the fewest take up to twice that, and for sums.</summary>
        private const long PlanesBytes = 512 << 10, SumsBytes = 320 << 10;

        /// <summary>The fewest channels of a task, and rows of the result in a band, unless there are fewer.</summary>
        private const int LeastChannels = 8, LeastRows = 8;

        /// <summary>Where a task has as many, it copies whole planes.</summary>
        private const int ManyChannels = 32;

        /// <summary>Steps of a tile in a row: beginning anew takes some of them.</summary>
        private const long MostSteps = 3 * CpuGemm.MaxDepth / 2;

        /// <summary>The share of lanes and rows of tiles from which on patches cost more.</summary>
        private const double LeastUse = 0.82;

        /// <summary>Steps of a row of a tile that take as long as to find that a pixel's gradients are finite.</summary>
        private const long FiniteSteps = 4;

        private readonly FilterSplit<T, TSum> _split;
        private readonly GatherAxis _vertical, _horizontal;
        private readonly T* _x;
        private readonly MapStrides _xStrides, _dyStrides;
        private readonly long _firstOutput;
        private readonly int _firstX, _columns, _area, _height, _rowsOfBand;

        /// <summary>From one pixel and from one channel of a copy to the next.</summary>
        private readonly long _pixel, _channel;

        /// <summary>
        /// Of each row of taps, the pixels of the result for which it lies in the image: others meet zeros, and where every gradient is
        /// finite they can be left out.
        /// </summary>
        private readonly (long First, long End)[] _pixels;

        /// <summary>Whether there are so many of them that it pays.</summary>
        private readonly bool _leavesOut;

        private readonly long _channels, _outputs, _channelsOfTask, _outputsOfTask;

        public GatheredFilter(in FilterSplit<T, TSum> split, in GatherAxis vertical, in GatherAxis horizontal, long group)
        {
            Conv2dShapeArguments s = split.Shape;
            (_split, _vertical, _horizontal) = (split, vertical, horizontal);
            (_channels, _outputs, _area) = (s.XChannels, s.YChannels, (int)s.FilterArea);
            (_xStrides, _dyStrides) = (StridesOfX(s, split.IsLast), split.DyStrides);
            _x = split.X + (group * _channels * _xStrides.Channel);
            _firstOutput = group * _outputs;
            _height = CpuGemm.TallestTile<TSum>();
            (_firstX, _columns) = PaddedPlane<T, TSum>.Reach([horizontal]);

            // Tasks for blocks of channels and outputs: each copies its channels, a band of rows at a time, and packs its gradients.
            long units = Tiles(_channels, LeastChannels), panels = Tiles(_outputs, PanelColumns);
            int leastRows = BandBytes(vertical, horizontal, Math.Min(_channels, ManyChannels), vertical.Results) <= PlanesBytes
                ? vertical.Results : LeastRows;
            long mostUnits = Math.Clamp(PlanesBytes / BandBytes(vertical, horizontal, LeastChannels, leastRows), 1, units);
            (long unitsOfTask, long panelsOfTask) = LeastCopied(s, mostUnits, units, panels);
            long most = Math.Min(unitsOfTask * LeastChannels, _channels);

            // Bands are those of the problem alone: they say in which order sums are made.
            int bands = 1;
            while (RowsOf(bands) > LeastRows && BandBytes(vertical, horizontal, most, RowsOf(bands)) > PlanesBytes) bands++;
            _rowsOfBand = RowsOf(bands);

            long blocks = CpuGemm.EvenlyShared(Tiles(units, unitsOfTask), Tiles(panels, panelsOfTask), units, CpuParallel.Workers);
            panelsOfTask = Tiles(panels, CpuGemm.EvenlyShared(Tiles(panels, panelsOfTask), blocks, panels, CpuParallel.Workers));
            _channelsOfTask = Math.Min(Tiles(units, blocks) * LeastChannels, _channels);
            _outputsOfTask = panelsOfTask * PanelColumns;

            long outside = 0, plane = (long)vertical.Results * horizontal.Results;
            _pixels = new (long, long)[vertical.Taps];
            for (int down = 0; down < vertical.Taps; down++)
            {
                (int first, int end) = vertical.Inside(down, (int)s.XHeight);
                _pixels[down] = ((long)first * horizontal.Results, (long)end * horizontal.Results);
                outside += plane - (_pixels[down].End - _pixels[down].First);
            }

            _leavesOut = outside * horizontal.Taps * _channelsOfTask > FiniteSteps * plane;
            (_pixel, _channel) = split.IsLast
                ? (Apart(_channelsOfTask), 1L) : (1L, Apart((long)RowsSeen(vertical, _rowsOfBand) * _columns));
        }

        private static int PanelColumns => CpuGemm.PanelColumns<TSum>();

        private long ChannelBlocks => Tiles(_channels, _channelsOfTask);

        /// <summary>
        /// Whether there are taps enough for a copy to be read often, tiles leave little of their lanes and rows empty, and a cache holds
        /// the least that a task copies.
        /// </summary>
        public static bool Takes(in Conv2dShapeArguments s, in GatherAxis vertical, in GatherAxis horizontal)
        {
            if (s.FilterArea == 1 || s.XChannels == 0 || s.YChannels == 0 || vertical.Results == 0 || horizontal.Results == 0) return false;
            long taps = (long)s.PerOutput, lanes = CpuGemm.VectorColumns<TSum>(), tallest = CpuGemm.TallestTile<TSum>();
            long rows = (taps / tallest * tallest) + CpuGemm.GatheredHeight((int)(taps % tallest));
            double use = (double)(taps * s.YChannels) / (rows * Tiles(s.YChannels, lanes) * lanes);
            return use >= LeastUse && BandBytes(vertical, horizontal, Math.Min(s.XChannels, LeastChannels), LeastRows) <= 2 * PlanesBytes;
        }

        /// <summary>
        /// The units of channels and the panels of a task for which all tasks together copy and pack the least, those of the most channels:
        /// x is copied anew for each block of outputs, dy packed anew for each block of channels.
        /// </summary>
        private (long Units, long Panels) LeastCopied(in Conv2dShapeArguments s, long mostUnits, long units, long panels)
        {
            double least = double.PositiveInfinity, plane = (double)s.XHeight * s.XWidth, result = (double)s.YHeight * s.YWidth;
            (long, long) best = default;
            for (long taken = mostUnits; taken > 0; taken--)
            {
                long channels = Math.Min(taken * LeastChannels, _channels);
                long fit = Math.Clamp(SumsBytes / (channels * _area * PanelColumns * sizeof(TSum)), 1, panels);
                double copied = (Tiles(panels, fit) * _channels * plane) + (Tiles(units, taken) * _outputs * result);
                if (copied < least) (least, best) = (copied, (taken, fit));
            }

            return best;
        }

        public void Run()
        {
            CpuParallel.For(ChannelBlocks * Tiles(_outputs, _outputsOfTask), task =>
            {
                (long outputs, long channels) = Math.DivRem(task, ChannelBlocks);
                Block(channels * _channelsOfTask, outputs * _outputsOfTask);
            });
        }

        /// <summary>Rows of the image that some of the result see, one below the other.</summary>
        private static int RowsSeen(in GatherAxis vertical, int results) =>
            PaddedPlane<T, TSum>.Reach([vertical with { Results = results }]).Count;

        private static long BandBytes(in GatherAxis vertical, in GatherAxis horizontal, long channels, int results) => sizeof(TSum)
            * channels * RowsSeen(vertical, Math.Min(results, vertical.Results)) * PaddedPlane<T, TSum>.Reach([horizontal]).Count;

        /// <summary>Distances of whole KiB would have all rows of a tile, or all steps, share a few sets of the nearest cache.</summary>
        private static long Apart(long elements) => elements + (elements * sizeof(TSum) % 1024 == 0 ? 64 / sizeof(TSum) : 0);

        /// <summary>The most rows of the result in one of so many bands.</summary>
        private int RowsOf(int bands) => (_vertical.Results + bands - 1) / bands;

        /// <summary>A block of the filter's gradient.</summary>
        private void Block(long firstChannel, long firstOutput)
        {
            long channels = Math.Min(_channelsOfTask, _channels - firstChannel), outputs = Math.Min(_outputsOfTask, _outputs - firstOutput);
            long taps = channels * _area, rows = Tiles(taps, _height) * _height, panels = Tiles(outputs, PanelColumns);
            long width = _horizontal.Results, depth = Math.Min(_rowsOfBand * width, MostSteps);
            long offsets = depth + rows + (2 * rows / _height);
            long offsetsLength = Tiles(offsets * sizeof(long), CpuHeap.Alignment) * (CpuHeap.Alignment / sizeof(TSum));
            long sumsLength = panels * rows * PanelColumns;
            long copyLength = _split.IsLast ? (long)RowsSeen(_vertical, _rowsOfBand) * _columns * _pixel : channels * _channel;
            TSum* memory = CpuScratch.Take<TSum>(
                offsetsLength + (depth * PanelColumns) + sumsLength + copyLength + taps + CpuElement.Width);
            BlockMemory block = new()
            {
                FirstChannel = firstChannel,
                Channels = channels,
                FirstOutput = firstOutput,
                Outputs = outputs,
                Taps = taps,
                Offsets = (long*)memory,
                Rows = (long*)memory + depth,
                TilePixels = (long*)memory + depth + rows,
                Panel = memory + offsetsLength,
                Sums = memory + offsetsLength + (depth * PanelColumns),
                Copy = memory + offsetsLength + (depth * PanelColumns) + sumsLength,
                StoredRow = memory + offsetsLength + (depth * PanelColumns) + sumsLength + copyLength,
            };
            for (long i = 0; i < rows; i++) block.Rows[i] = i < taps ? OffsetOf((int)(i / channels), i % channels) : 0;
            for (long row = 0; row < rows; row += _height)
                (block.TilePixels[2 * row / _height], block.TilePixels[(2 * row / _height) + 1]) = PixelsOf(row, channels);
            Clear(block.Sums, sumsLength);
            Clear(block.Copy, copyLength);
            Band former = default;
            for (long n = _split.FirstImage; n < _split.EndImage; n++)
            {
                (int first, int end) = _split.PixelsOf(n);
                for (long row = first / width / _rowsOfBand * _rowsOfBand; row * width < end; row += _rowsOfBand)
                {
                    Band band = new(n, (int)Math.Max(row * width, first), (int)Math.Min((row + _rowsOfBand) * width, end));
                    Fill(block, band, former);
                    Multiply(block, band);
                    former = band;
                }
            }

            Store(block);
        }

        /// <summary>Adds the products of a band's pixels, slice by slice, panel by panel, tile by tile.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Multiply(in BlockMemory block, in Band band)
        {
            T* dy = _split.Dy + (band.Image * _dyStrides.Batch) + ((_firstOutput + block.FirstOutput) * _dyStrides.Channel);
            long tiles = Tiles(block.Taps, _height), slices = Tiles(band.End - band.First, MostSteps);
            CpuPrefetch.RowsAhead nextBand = After(block, band, slices * Tiles(block.Outputs, PanelColumns) * tiles);
            CpuGemm.TileSums<TSum> tile = default;
            for (long slice = 0; slice < slices; slice++)
            {
                (long start, long end) = (band.StartOf(slice, slices), band.StartOf(slice + 1, slices));
                long count = end - start;
                Offsets(band, start, count, block.Offsets);
                TSum* to = block.Sums;
                for (long column = 0; column < block.Outputs; column += PanelColumns)
                {
                    int width = (int)Math.Min(PanelColumns, block.Outputs - column);
                    if (width < PanelColumns) Clear(block.Panel, count * PanelColumns);
                    T* gradients = dy + (column * _dyStrides.Channel) + (start * _dyStrides.Column);
                    CpuGemm.Pack(count, width, gradients, _dyStrides.Column, _dyStrides.Channel, block.Panel, PanelColumns);
                    if (block.FirstChannel == 0)
                        _split.AddBias(block.Panel, count, PanelColumns, width, _firstOutput + block.FirstOutput + column);
                    bool leavesOut = _leavesOut && CpuReal.AreFinite(block.Panel, count * PanelColumns);

                    // What is packed next: other outputs of these pixels, or the pixels behind them, which may be those of the next image.
                    T* next = column + PanelColumns < block.Outputs ? gradients + (PanelColumns * _dyStrides.Channel)
                        : end < _vertical.Results * (long)_horizontal.Results ? dy + (end * _dyStrides.Column) : dy + _dyStrides.Batch;
                    CpuPrefetch.RowsAhead nextPanel = _split.IsLast ? default
                        : new(next, PanelColumns, count * sizeof(T), _dyStrides.Channel * sizeof(T), tiles);
                    long* pixels = block.TilePixels;
                    for (long row = 0; row < block.Taps; row += _height, to += _height * PanelColumns, pixels += 2)
                    {
                        nextPanel.Next();
                        nextBand.Next();
                        int height = row + _height <= block.Taps ? _height : CpuGemm.GatheredHeight((int)(block.Taps - row));
                        long inside = leavesOut ? Math.Clamp(pixels[0] - start, 0, count) : 0;
                        long steps = leavesOut ? Math.Clamp(pixels[1] - start, inside, count) - inside : count;
                        tile.Stay(to, PanelColumns, accumulate: true);
                        CpuGemm.MultiplyGathered(
                            height, width, steps, block.Copy, block.Offsets + inside, block.Rows + row,
                            block.Panel + (inside * PanelColumns), tile);
                    }
                }
            }
        }

        /// <summary>The pixels for which any tap of a tile lies in the image.</summary>
        private (long First, long End) PixelsOf(long row, long channels)
        {
            long tapsOfRow = channels * _horizontal.Taps, last = (Math.Min(row + _height, channels * _area) - 1) / tapsOfRow;
            (long first, long end) = _pixels[row / tapsOfRow];
            for (long down = (row / tapsOfRow) + 1; down <= last; down++)
                (first, end) = (Math.Min(first, _pixels[down].First), Math.Max(end, _pixels[down].End));
            return (first, end);
        }

        private static void Clear(TSum* values, long count)
        {
            for (long i = 0; i < count; i += int.MaxValue) new Span<TSum>(values + i, (int)Math.Min(int.MaxValue, count - i)).Clear();
        }

        /// <summary>What is copied for the next band, if that is in one piece for each channel; it may lie behind the last image.</summary>
        private CpuPrefetch.RowsAhead After(in BlockMemory block, in Band band, long parts)
        {
            if (_split.IsLast && block.Channels < _xStrides.Column) return default;
            bool isNext = RowOf(band.End - 1) + 1 < _vertical.Results;
            long first = isNext ? _vertical.First + ((RowOf(band.End - 1) + 1L) * _vertical.Step) : 0, height = _split.Shape.XHeight;
            first = Math.Clamp(first, 0, height);
            long rows = Math.Min((long)_rowsOfBand * _vertical.Step, height - first);
            T* x = _x + ((band.Image + (isNext ? 0 : 1)) * _xStrides.Batch) + (block.FirstChannel * _xStrides.Channel);
            return new(
                x + (first * _xStrides.Row), _split.IsLast ? 1 : block.Channels, rows * _xStrides.Row * sizeof(T),
                _xStrides.Channel * sizeof(T), parts);
        }

        /// <summary>
        /// Copies what a band sees. Zeros at the sides stay as they are, and those above and below where the former band had the same rows.
        /// </summary>
        private void Fill(in BlockMemory block, in Band band, in Band former)
        {
            int height = (int)_split.Shape.XHeight, width = (int)_split.Shape.XWidth, channels = (int)block.Channels;
            (int firstY, int rows) = Seen(band);
            int first = Math.Clamp(-firstY, 0, rows), end = Math.Clamp(height - firstY, first, rows);
            if ((firstY, rows) != Seen(former))
            {
                ClearRows(block, 0, first);
                ClearRows(block, end, rows);
            }

            int firstColumn = Math.Max(_firstX, 0), count = Math.Min(_firstX + _columns, width) - firstColumn;
            if (count <= 0) return;
            T* x = _x + (band.Image * _xStrides.Batch) + (block.FirstChannel * _xStrides.Channel)
                + ((firstY + first) * _xStrides.Row) + (firstColumn * _xStrides.Column);
            TSum* copy = block.Copy + ((((long)first * _columns) + (firstColumn - _firstX)) * _pixel);
            if (_split.IsLast)
            {
                for (int row = first; row < end; row++, x += _xStrides.Row, copy += _columns * _pixel)
                    CpuConvert.WidenRows(x, _xStrides.Column, copy, _pixel, count, channels);
                return;
            }

            for (int channel = 0; channel < channels; channel++, x += _xStrides.Channel, copy += _channel)
                CpuConvert.WidenRows(x, _xStrides.Row, copy, _columns, end - first, count);
        }

        private void ClearRows(in BlockMemory block, int first, int end)
        {
            long planes = _split.IsLast ? 1 : block.Channels, row = _columns * _pixel;
            for (long plane = 0; plane < planes; plane++) Clear(block.Copy + (plane * _channel) + (first * row), (end - first) * row);
        }

        private int RowOf(int pixel) => pixel / _horizontal.Results;

        /// <summary>The rows of an image that a band sees, in the image or not.</summary>
        private (int First, int Count) Seen(in Band band)
        {
            if (band.End == 0) return default;
            int first = RowOf(band.First), count = RowOf(band.End - 1) + 1 - first;
            return PaddedPlane<T, TSum>.Reach([_vertical with { First = _vertical.First + (first * _vertical.Step), Results = count }]);
        }

        /// <summary>Where the first tap of the first channel sees pixels of a band.</summary>
        private void Offsets(in Band band, long first, long count, long* offsets)
        {
            int firstRow = RowOf(band.First);
            PixelWalk walk = new(first, _vertical.Results, _horizontal.Results);
            for (long i = 0; i < count; i++, walk.Next())
                offsets[i] = (((long)(walk.Y - firstRow) * _vertical.Step * _columns) + ((long)walk.X * _horizontal.Step)) * _pixel;
        }

        /// <summary>Where a tap sees the first pixel, beside where the first one does.</summary>
        private long OffsetOf(int tap, long channel)
        {
            long y = tap / _horizontal.Taps * _vertical.TapStep, x = tap % _horizontal.Taps * _horizontal.TapStep;
            return (((y * _columns) + x) * _pixel) + (channel * _channel);
        }

        /// <summary>
        /// Sums lie panel by panel, tap by tap, channel by channel; the gradient of an output has its taps innermost, or its channels.
        /// </summary>
        private void Store(in BlockMemory block)
        {
            long panelLength = Tiles(block.Taps, _height) * _height * PanelColumns, channels = block.Channels;
            TSum* row = block.StoredRow;
            for (long output = 0; output < block.Outputs; output++)
            {
                TSum* from = block.Sums + (output / PanelColumns * panelLength) + (output % PanelColumns);
                long index = (_firstOutput + block.FirstOutput + output) * _channels * _area, next = _split.IsLast ? 1 : _area;
                for (int tap = 0; tap < _area; tap++, from += channels * PanelColumns)
                {
                    TSum* to = _split.IsLast ? row : row + tap;
                    for (long channel = 0; channel < channels; channel++) to[channel * next] = from[channel * PanelColumns];
                    if (_split.IsLast) _split.Store(index + (tap * _channels) + block.FirstChannel, row, channels);
                }

                if (!_split.IsLast) _split.Store(index + (block.FirstChannel * _area), row, channels * _area);
            }
        }

        /// <summary>Some channels and outputs, and the memory of their task.</summary>
        private readonly struct BlockMemory
        {
            public long FirstChannel { get; init; }

            public long Channels { get; init; }

            public long FirstOutput { get; init; }

            public long Outputs { get; init; }

            /// <summary>Those of all channels.</summary>
            public long Taps { get; init; }

            /// <summary>Where in the copy the first tap sees each pixel of a slice.</summary>
            public long* Offsets { get; init; }

            /// <summary>Of each tap, tap by tap, channel by channel.</summary>
            public long* Rows { get; init; }

            /// <summary>Of each tile the first of the pixels for which any tap lies in the image, and the end.</summary>
            public long* TilePixels { get; init; }

            /// <summary>A slice of the gradients for some outputs.</summary>
            public TSum* Panel { get; init; }

            public TSum* Sums { get; init; }

            /// <summary>What a band sees of the channels, with zeros around it.</summary>
            public TSum* Copy { get; init; }

            public TSum* StoredRow { get; init; }
        }

        /// <summary>Pixels of an image's result whose surroundings are copied at once.</summary>
        private readonly record struct Band(long Image, int First, int End)
        {
            /// <summary>Slices are equal, up to a pixel.</summary>
            public long StartOf(long slice, long slices) => First + ((End - First) * slice / slices);
        }
    }
}
