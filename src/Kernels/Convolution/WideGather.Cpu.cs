using System.Runtime.CompilerServices;
using Kernels.Cpu;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <content>
/// Gathers whose groups have many result channels. Patches are not made: in a band of the image with zeros around it each pixel is read
/// where it lies, for vectors of the result's channels. Taps are in the order right, down, channel, whatever the layout: what pixels at the
/// left or right see outside the image then is a range of taps, and what rows at the top or bottom see, a part of each. Both are left out.
/// </content>
public static unsafe partial class Conv2d
{
    private sealed class WideGather<T, TSum>
        where T : unmanaged
        where TSum : unmanaged
    {
        /// <summary>A band of the image takes no more than this of a cache, unless a single row of results does.</summary>
        private const long BandBytes = 256 << 10;

        /// <summary>Where a core has as many bands, it matters little whether all have.</summary>
        private const long EvenBands = 16;

        /// <summary>
        /// Steps of a tile in a row. The second-level cache gives a panel as fast as steps need it, and beginning anew takes some of them.
        /// </summary>
        private const long MostSteps = 3 * CpuGemm.MaxDepth;

        /// <summary>The share of lanes and rows of tiles from which on patches cost more.</summary>
        private const double LeastUse = 0.85;

        private readonly long _channels, _taps, _inputs;
        private readonly int _downTaps, _rightTaps, _tiles, _height;
        private readonly MapStrides _strides;
        private readonly T* _x;
        private readonly bool _isLast;
        private readonly GatherPhase<T, TSum> _phase;
        private readonly int _tileHeight;

        /// <summary>Pixels of a row of results in whole tiles.</summary>
        private readonly int _pitch;

        /// <summary>Zeros outside the image take part: only where every factor is finite they can be left out.</summary>
        private bool _isFinite = true;

        /// <summary>The filter: a panel for some channels, of a row for each tap.</summary>
        private TSum* _panels;

        /// <summary>Of each row of results, the taps downwards that lie in the image.</summary>
        private (int First, int End)[] _downs = [];

        /// <summary>Of each tile of a row and each tap to the right, the pixels for which it lies in the image.</summary>
        private (int First, int Count)[] _pixels = [];

        /// <summary>Of each tile of a row, whether all of these are all pixels.</summary>
        private bool[] _areWhole = [];

        private WideGather(long channels, bool last, in GatherPhase<T, TSum> phase)
        {
            (_channels, _isLast, _phase, _taps) = (channels, last, phase, phase.Patches.Taps);
            (_inputs, _downTaps, _rightTaps) = (phase.Patches.Channels, phase.Patches.Vertical.Taps, phase.Patches.Horizontal.Taps);
            (_tileHeight, _pitch) = TilesOf(phase.Patches.Horizontal.Results);
            _tiles = _pitch / _tileHeight;
            (_height, _strides) = (phase.Patches.Height, phase.Patches.Strides);
            _x = phase.Patches.Image;
        }

        private static int PanelColumns => CpuGemm.PanelColumns<TSum>();

        private long Panels => Tiles(_channels, PanelColumns);

        private long PanelsLength => Panels * _taps * PanelColumns;

        private Im2Col<T, TSum> Image => _phase.Patches;

        /// <summary>
        /// Whether it takes all of them. With channels first the results are transposed, for which there must be taps enough.
        /// </summary>
        public static bool Takes(long channels, bool last, ReadOnlySpan<GatherPhase<T, TSum>> phases)
        {
            long area = 0;
            foreach (GatherPhase<T, TSum> phase in phases)
            {
                if (!Takes(channels, last, phase.Patches)) return false;
                area += (long)phase.Patches.Vertical.Taps * phase.Patches.Horizontal.Taps;
            }

            return phases.Length > 0 && (last || area > phases.Length);
        }

        /// <summary>Whether tiles leave little of their lanes and rows empty, and caches hold what a row of results sees.</summary>
        private static bool Takes(long channels, bool last, in Im2Col<T, TSum> patches)
        {
            if (channels == 0 || patches.Taps == 0 || patches.Horizontal.Results == 0 || patches.Vertical.Results == 0) return false;
            long lanes = Tiles(channels, CpuGemm.VectorColumns<TSum>()) * CpuGemm.VectorColumns<TSum>();
            double used = (double)channels / lanes * patches.Horizontal.Results / TilesOf(patches.Horizontal.Results).Pitch;
            PaddedBand<T, TSum> row = new(patches, BandOf(patches.Vertical, 0, 1), last);
            return used >= LeastUse && row.Length * sizeof(TSum) <= 4 * BandBytes;
        }

        /// <summary>All phases of a piece of the result one after the other: they write to the same lines of memory.</summary>
        public static void Run(long batch, long channels, bool last, ReadOnlySpan<GatherPhase<T, TSum>> phases)
        {
            WideGather<T, TSum>[] parts = new WideGather<T, TSum>[phases.Length];
            long length = 0, bands = 0;
            for (int i = 0; i < parts.Length; i++)
            {
                parts[i] = new(channels, last, phases[i]);
                bands = Math.Max(bands, parts[i].BandsOfCache());
                length += parts[i].PanelsLength;
            }

            TSum* panels = CpuScratch.TakeShared<TSum>(length);
            foreach (WideGather<T, TSum> part in parts)
            {
                part.Pack(panels);
                panels += part.PanelsLength;
            }

            int height = parts.Max(part => part.Image.Vertical.Results);
            long workers = Environment.ProcessorCount;
            while (batch * bands < EvenBands * workers && batch * bands % workers != 0 && bands < height) bands++;
            CpuParallel.For(batch * bands, task =>
            {
                (long image, long band) = Math.DivRem(task, bands);
                foreach (WideGather<T, TSum> part in parts)
                {
                    GatherAxis vertical = part.Image.Vertical;
                    int first = (int)(band * vertical.Results / bands), end = (int)((band + 1) * vertical.Results / bands);
                    if (first < end) part.Band(image, first, BandOf(vertical, first, end - first));
                }
            });
        }

        /// <summary>Bands of rows, each of which a cache holds.</summary>
        private long BandsOfCache()
        {
            int height = Image.Vertical.Results, rows = height;
            while (rows > 1 && new PaddedBand<T, TSum>(Image, BandOf(Image.Vertical, 0, rows), _isLast).Length * sizeof(TSum) > BandBytes)
                rows = (rows + 1) / 2;
            return Tiles(height, rows);
        }

        private void Pack(TSum* panels)
        {
            _panels = panels;
            long slices = CpuGemm.SlicesOf(_taps);
            CpuParallel.For(Panels * slices, task => PackPanel(task / slices, slices, task % slices));
            FindInside();
        }

        private static (int Height, int Pitch) TilesOf(int results)
        {
            int height = CpuGemm.TileHeightFor<TSum>(results);
            return (height, (int)Tiles(results, height) * height);
        }

        private static GatherAxis BandOf(in GatherAxis axis, int first, int rows) => axis with
        {
            First = axis.First + (first * axis.Step),
            Results = rows,
            ResultFirst = axis.ResultFirst + (first * axis.ResultStep),
        };

        /// <summary>A slice of the filter for the channels of one panel: a row for each tap, put where its turn comes.</summary>
        private void PackPanel(long panel, long slices, long slice)
        {
            (long first, long end) = (_taps * slice / slices, _taps * (slice + 1) / slices);
            long channel = panel * PanelColumns, columns = Math.Min(PanelColumns, _channels - channel);
            int length = (int)((end - first) * PanelColumns);
            TSum* row = CpuScratch.Take<TSum>(length);
            if (columns < PanelColumns) new Span<TSum>(row, length).Clear();
            _phase.Filter.PackColumns(channel, columns, first, end - first, row, PanelColumns);
            if (!CpuReal.AreFinite(row, length)) _isFinite = false;

            PixelWalk walk = new(first, _isLast ? _rightTaps : _downTaps, _isLast ? (int)_inputs : _rightTaps);
            for (long tap = first; tap < end; tap++, walk.Next(), row += PanelColumns)
            {
                (long input, long down, long right) = _isLast ? (walk.X, walk.Batch, walk.Y) : (walk.Batch, (long)walk.Y, walk.X);
                long turn = (((right * _downTaps) + down) * _inputs) + input;
                TSum* to = _panels + (((panel * _taps) + turn) * PanelColumns);
                new ReadOnlySpan<TSum>(row, PanelColumns).CopyTo(new Span<TSum>(to, PanelColumns));
            }
        }

        private void FindInside()
        {
            GatherAxis vertical = Image.Vertical, horizontal = Image.Horizontal;
            _downs = new (int, int)[vertical.Results];
            for (int row = 0; row < vertical.Results; row++)
            {
                (int first, int end) = (0, vertical.Taps);
                int y = vertical.First + (row * vertical.Step);
                while (_isFinite && first < end && (uint)(y + (first * vertical.TapStep)) >= (uint)Image.Height) first++;
                while (_isFinite && end > first && (uint)(y + ((end - 1) * vertical.TapStep)) >= (uint)Image.Height) end--;
                _downs[row] = (first, end);
            }

            _pixels = new (int, int)[_tiles * horizontal.Taps];
            for (int i = 0; i < _pixels.Length; i++)
            {
                (int tile, int right) = Math.DivRem(i, horizontal.Taps);
                (int first, int end) = _isFinite ? horizontal.Inside(right, Image.Width) : (0, horizontal.Results);
                if (end == horizontal.Results) end = _pitch;
                first = Math.Clamp(first - (tile * _tileHeight), 0, _tileHeight);
                end = Math.Clamp(end - (tile * _tileHeight), first, _tileHeight);

                // Not for every number of pixels is there a product.
                while (end > first && !CpuGemm.HasGathered(end - first))
                {
                    if (end < _tileHeight) end++;
                    else first--;
                }

                _pixels[i] = (first, end - first);
            }

            _areWhole = new bool[_tiles];
            for (int tile = 0; tile < _tiles; tile++)
                _areWhole[tile] = _pixels.AsSpan(tile * _rightTaps, _rightTaps).IndexOfAnyExcept((0, _tileHeight)) < 0;
        }

        /// <summary>The panels of the filter one by one, so that one and its sums stay in the caches beside the image.</summary>
        private void Band(long batch, int firstRow, in GatherAxis vertical)
        {
            PaddedBand<T, TSum> band = new(Image, vertical, _isLast);
            long slices = Tiles(_taps, MostSteps), tileLength = _tileHeight * PanelColumns, tileReach = _tileHeight * band.Pixel;
            long sumsLength = (((long)vertical.Results * _pitch) + GatherTarget<T>.TransposedPixels) * PanelColumns;
            long offsetsLength = Tiles(_taps * sizeof(long), CpuHeap.Alignment) * (CpuHeap.Alignment / sizeof(TSum));
            TSum* memory = CpuScratch.Take<TSum>(
                offsetsLength + sumsLength + (PanelColumns * GatherTarget<T>.TransposedPixels) + band.Length + (_tileHeight * band.Pixel));
            long* offsets = (long*)memory;
            TSum* sums = memory + offsetsLength, transposed = sums + sumsLength;
            TSum* image = transposed + (PanelColumns * GatherTarget<T>.TransposedPixels);
            band.Offsets(offsets);
            image = band.Fill(Image.Image + (batch * Image.Strides.Batch), image);
            long part = 0, parts = Panels * slices * vertical.Results * _tiles;
            for (long panel = 0; panel < Panels; panel++)
            {
                long channel = panel * PanelColumns, columns = Math.Min(PanelColumns, _channels - channel);
                bool isDirect = StoresTiles && columns == PanelColumns;
                for (long slice = 0; slice < slices; slice++)
                {
                    (long first, long end) = (_taps * slice / slices, _taps * (slice + 1) / slices);
                    T* target = isDirect && slice == slices - 1 ? TargetOf(batch, vertical) + channel : null;
                    Slice<TSum> steps = new()
                    {
                        FirstTap = first,
                        EndTap = end,
                        FirstRight = (int)(first / (_downTaps * _inputs)),
                        EndRight = (int)Tiles(end, _downTaps * _inputs),
                        Channel = channel,
                        Columns = columns,
                        Filter = _panels + (((panel * _taps) + first) * PanelColumns),
                        Offsets = offsets + first,
                        Pixel = band.Pixel,
                    };
                    TSum* to = sums;
                    for (int row = 0; row < vertical.Results; row++)
                    {
                        TSum* from = image + (row * band.Row);
                        for (int tile = 0; tile < _tiles; tile++, to += tileLength, from += tileReach)
                        {
                            if (band.IsInPlace && panel == 0) CpuPrefetch.Range(from + tileReach, tileReach * sizeof(TSum));
                            if (!band.IsInPlace) Prefetch(batch, vertical, part++, parts);
                            Tile(steps, firstRow + row, tile, from, to, target);
                            if (target != null) target += _tileHeight * _phase.Target.Strides.Column;
                        }
                    }
                }

                if (!isDirect) _phase.Target.StorePanel(_isLast, batch, vertical, channel, columns, sums, _pitch, transposed);
            }
        }

        /// <summary>A slice of a tile: products for ranges of taps that lie in the image for the same pixels.</summary>
        [SkipLocalsInit]
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Tile(in Slice<TSum> slice, int row, int tile, TSum* image, TSum* sums, T* target)
        {
            Unsafe.SkipInit(out CpuGemm.TileSums<TSum> to);
            (int first, int end) = _downs[row];
            if (_areWhole[tile] && end - first == _downTaps)
            {
                to.Stay(sums, PanelColumns, slice.FirstTap > 0);
                if (target != null) Go(target, slice.Channel, ref to);
                CpuGemm.MultiplyGathered(
                    _tileHeight, slice.Columns, slice.EndTap - slice.FirstTap, image, slice.Offsets, slice.Pixel, slice.Filter, to);
                return;
            }

            (long column, long before, long after) = (_downTaps * _inputs, first * _inputs, (_downTaps - end) * _inputs);
            bool hasSums = slice.FirstTap > 0, isDone = false;
            for (int right = slice.FirstRight; right < slice.EndRight;)
            {
                (int pixels, int count) = _pixels[(tile * _rightTaps) + right];
                long start = Math.Max((right * column) + before, slice.FirstTap);
                bool goesOn = before == 0 && after == 0;
                right++;
                while (goesOn && right < slice.EndRight && _pixels[(tile * _rightTaps) + right] == (pixels, count)) right++;
                long depth = Math.Min((right * column) - after, slice.EndTap) - start;
                if (count == 0 || depth <= 0) continue;

                // What is to be added to is there for all pixels, and where the sums go in the end they go all at once.
                if (!hasSums && count < _tileHeight) new Span<TSum>(sums, _tileHeight * PanelColumns).Clear();
                to.Stay(sums + (pixels * PanelColumns), PanelColumns, hasSums || count < _tileHeight);
                isDone = target != null && right == slice.EndRight && count == _tileHeight;
                if (isDone) Go(target, slice.Channel, ref to);
                start -= slice.FirstTap;
                CpuGemm.MultiplyGathered(
                    count, slice.Columns, depth, image + (pixels * slice.Pixel), slice.Offsets + start, slice.Pixel,
                    slice.Filter + (start * PanelColumns), to);
                hasSums = true;
            }

            if (hasSums && (isDone || target == null)) return;
            to.Stay(sums, PanelColumns, hasSums);
            if (target != null) Go(target, slice.Channel, ref to);
            CpuGemm.MultiplyGathered(_tileHeight, slice.Columns, 0, image, slice.Offsets, slice.Pixel, slice.Filter, to);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private void Go(T* target, long channel, ref CpuGemm.TileSums<TSum> tile) => tile.Go(
            target, _phase.Target.Strides.Column, _phase.Target.BiasOf(channel), isOfRows: false, _phase.Target.Rectifies,
            _phase.Target.Streams);

        /// <summary>Asks for a part of what the next band copies, which most likely has the rows behind this one's.</summary>
        private void Prefetch(long batch, in GatherAxis vertical, long part, long parts)
        {
            MapStrides strides = _strides;
            long row = Math.Max(0, vertical.First + (vertical.Results * vertical.Step)), count = vertical.Results * vertical.Step;
            if (row >= _height) (batch, row) = (batch + 1, 0);
            T* rows = _x + (batch * strides.Batch) + (row * strides.Row);
            if (_isLast)
            {
                long length = strides.Column == _inputs ? Math.Min(count, _height - row) * strides.Row : 0, from = length * part / parts;
                CpuPrefetch.Range(rows + from, ((length * (part + 1) / parts) - from) * sizeof(T));
                return;
            }

            for (long channel = _inputs * part / parts; channel < _inputs * (part + 1) / parts; channel++)
                CpuPrefetch.Range(rows + (channel * strides.Channel), Math.Min(count, _height - row) * strides.Row * sizeof(T));
        }

        /// <summary>Whether whole tiles of results lie in memory as they are made.</summary>
        private bool StoresTiles => _isLast && typeof(T) == typeof(TSum) && _phase.Target.IsDense
            && _pitch == _phase.Target.Horizontal.Results;

        private T* TargetOf(long batch, in GatherAxis vertical) =>
            _phase.Target.Result + (batch * _phase.Target.Strides.Batch) + (vertical.ResultFirst * _phase.Target.Strides.Row);
    }

    /// <summary>A slice of the taps of a filter, for the channels of one panel.</summary>
    private readonly struct Slice<TSum>
        where TSum : unmanaged
    {
        public long FirstTap { get; init; }

        public long EndTap { get; init; }

        /// <summary>The taps to the right that have some of them.</summary>
        public int FirstRight { get; init; }

        public int EndRight { get; init; }

        public long Channel { get; init; }

        public long Columns { get; init; }

        public TSum* Filter { get; init; }

        public long* Offsets { get; init; }

        /// <summary>From one pixel to the next.</summary>
        public long Pixel { get; init; }
    }

    /// <summary>The rows of an image that a band of results sees, with zeros around them.</summary>
    private readonly struct PaddedBand<T, TSum>
        where T : unmanaged
        where TSum : unmanaged
    {
        private readonly Im2Col<T, TSum> _image;
        private readonly GatherAxis _vertical;
        private readonly bool _isLast;
        private readonly PaddedPlane<T, TSum> _plane;
        private readonly int _firstY, _firstX, _rows, _columns;

        /// <summary>Whether the channels of a pixel lie side by side here, where steps of a product then read few lines.</summary>
        private readonly bool _hasPixels;

        /// <param name="image">The image.</param>
        /// <param name="vertical">The rows of the band.</param>
        /// <param name="last">Whether channels lie side by side.</param>
        /// <param name="copies">Whether pixels are copied even where they could be read in place.</param>
        public PaddedBand(in Im2Col<T, TSum> image, in GatherAxis vertical, bool last, bool copies = false)
        {
            (_image, _vertical, _isLast, _hasPixels) = (image, vertical, last, last || image.Channels >= CpuGemm.VectorColumns<TSum>());
            if (!_hasPixels)
            {
                _plane = new(vertical, image.Horizontal, image.Height, image.Width);
                (Pixel, Row, Length) = (1, _plane.ResultRow, _plane.Length * image.Channels);
                return;
            }

            (_firstY, _rows) = PaddedPlane<T, TSum>.Reach([vertical]);
            (_firstX, _columns) = PaddedPlane<T, TSum>.Reach([image.Horizontal]);

            // Pixels a multiple of 1 KiB apart would share a few sets of the nearest cache.
            Channels = image.Channels + (image.Channels * sizeof(TSum) % 1024 == 0 ? 64 / sizeof(TSum) : 0);
            IsInPlace = !copies && last && typeof(T) == typeof(TSum) && Channels == image.Channels
                && image.Strides.Column * sizeof(TSum) % 1024 != 0
                && _firstY >= 0 && _firstY + _rows <= image.Height && _firstX >= 0 && _firstX + _columns <= image.Width
                && image.Horizontal.Results % CpuGemm.TileHeightFor<TSum>(image.Horizontal.Results) == 0;
            if (IsInPlace) Channels = image.Strides.Column;
            Line = IsInPlace ? image.Strides.Row : Channels * _columns;
            Pixel = (long)image.Horizontal.Step * Channels;
            Row = vertical.Step * Line;
            Length = _rows * Channels * _columns;
        }

        /// <summary>Whether there are no zeros around them, so that they are read where they lie.</summary>
        public bool IsInPlace { get; }

        /// <summary>From one pixel of the result to the next.</summary>
        public long Pixel { get; }

        /// <summary>From one row of the result to the next.</summary>
        public long Row { get; }

        /// <summary>Elements.</summary>
        public long Length { get; }

        /// <summary>From one pixel of the image to the next, and from one of its rows to the next.</summary>
        private long Channels { get; }

        private long Line { get; }

        /// <summary>Where taps see the first pixel.</summary>
        public void Offsets(long* offsets)
        {
            GatherAxis horizontal = _image.Horizontal;
            int area = _vertical.Taps * horizontal.Taps;
            for (int place = 0; place < area; place++)
            {
                (int right, int down) = Math.DivRem(place, _vertical.Taps);
                int y = _vertical.First + (down * _vertical.TapStep) - _firstY;
                int x = horizontal.First + (right * horizontal.TapStep) - _firstX;
                long at = _hasPixels
                    ? (y * Line) + (x * Channels)
                    : _plane.OffsetOf(_vertical, horizontal, (down * horizontal.Taps) + right);
                long apart = _hasPixels ? 1 : _plane.Length;
                for (int channel = 0; channel < _image.Channels; channel++)
                    offsets[(place * _image.Channels) + channel] = at + (channel * apart);
            }
        }

        /// <summary>The rows in memory for <see cref="Length"/> elements, or where they lie.</summary>
        public TSum* Fill(T* image, TSum* memory)
        {
            if (IsInPlace) return (TSum*)(image + (_firstY * _image.Strides.Row) + (_firstX * _image.Strides.Column));
            TSum* destination = memory;
            if (!_hasPixels)
            {
                for (int channel = 0; channel < _image.Channels; channel++)
                    _plane.Fill(image + (channel * _image.Strides.Channel), destination + (channel * _plane.Length));
                return memory;
            }

            int before = Math.Clamp(-_firstX, 0, _columns), end = Math.Clamp(_image.Width - _firstX, before, _columns);
            for (int row = 0; row < _rows; row++, destination += _columns * Channels)
            {
                int y = _firstY + row;
                bool isInside = (uint)y < (uint)_image.Height;
                int first = isInside ? before : _columns, last = isInside ? end : _columns;
                new Span<TSum>(destination, (int)(first * Channels)).Clear();
                new Span<TSum>(destination + (last * Channels), (int)((_columns - last) * Channels)).Clear();
                T* source = image + (y * _image.Strides.Row) + ((long)(_firstX + first) * _image.Strides.Column);
                TSum* to = destination + (first * Channels);
                if (_isLast)
                    CpuConvert.WidenRows(source, _image.Strides.Column, to, Channels, last - first, _image.Channels);
                else
                    CpuGemm.Pack(last - first, _image.Channels, source, 1, _image.Strides.Channel, to, Channels);
            }

            return memory;
        }
    }
}
