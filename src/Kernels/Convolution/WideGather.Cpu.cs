using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <content>
/// Gathers whose groups have many result channels. Patches are not made: in a band of the image with zeros around it each pixel is read
/// where it lies, for vectors of the result's channels. Taps are in the order down, right, channel, whatever the layout: those that rows at
/// the top or bottom see outside the image then follow each other, and are left out.
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

        /// <summary>The share of lanes and rows of tiles from which on patches cost more.</summary>
        private const double LeastUse = 0.85;

        /// <summary>Pixels that are transposed at a time.</summary>
        private const int TransposedPixels = 128;

        private readonly long _batch, _channels, _taps;
        private readonly bool _isLast;
        private readonly GatherPhase<T, TSum> _phase;
        private readonly int _tileHeight;

        /// <summary>Pixels of a row of results in whole tiles.</summary>
        private readonly int _pitch;

        /// <summary>Zeros outside the image take part: only where every factor is finite they can be left out.</summary>
        private bool _isFinite = true;

        public WideGather(long batch, long channels, bool last, in GatherPhase<T, TSum> phase)
        {
            (_batch, _channels, _isLast, _phase, _taps) = (batch, channels, last, phase, phase.Patches.Taps);
            (_tileHeight, _pitch) = TilesOf(phase.Patches.Horizontal.Results);
        }

        private static int PanelColumns => CpuGemm.PanelColumns<TSum>();

        private long Panels => Tiles(_channels, PanelColumns);

        private Im2Col<T, TSum> Image => _phase.Patches;

        /// <summary>
        /// Whether tiles leave little of their lanes and rows empty, and caches hold what a row of results sees. With channels first the
        /// results are transposed, for which there must be taps enough.
        /// </summary>
        public static bool Takes(long channels, bool last, in Im2Col<T, TSum> patches)
        {
            if (channels == 0 || patches.Taps == 0 || patches.Horizontal.Results == 0 || patches.Vertical.Results == 0) return false;
            int area = patches.Vertical.Taps * patches.Horizontal.Taps;
            if (!last && area == 1) return false;
            long lanes = Tiles(channels, CpuGemm.VectorColumns<TSum>()) * CpuGemm.VectorColumns<TSum>();
            double used = (double)channels / lanes * patches.Horizontal.Results / TilesOf(patches.Horizontal.Results).Pitch;
            PaddedBand<T, TSum> row = new(patches, BandOf(patches.Vertical, 0, 1), last);
            return used >= LeastUse && row.Length * sizeof(TSum) <= 4 * BandBytes;
        }

        public void Run()
        {
            long slices = CpuGemm.SlicesOf(_taps);
            TSum* panels = CpuScratch.TakeShared<TSum>(Panels * _taps * PanelColumns);
            CpuParallel.For(Panels * slices, task => PackPanel(task / slices, slices, task % slices, panels));

            int height = Image.Vertical.Results, rows = height;
            while (rows > 1 && new PaddedBand<T, TSum>(Image, BandOf(Image.Vertical, 0, rows), _isLast).Length * sizeof(TSum) > BandBytes)
                rows = (rows + 1) / 2;
            long bands = Tiles(height, rows), workers = Environment.ProcessorCount;
            while (_batch * bands < EvenBands * workers && _batch * bands % workers != 0 && bands < height) bands++;
            CpuParallel.For(_batch * bands, task =>
            {
                (long image, long band) = Math.DivRem(task, bands);
                int first = (int)(band * height / bands), end = (int)((band + 1) * height / bands);
                Band(image, BandOf(Image.Vertical, first, end - first), panels);
            });
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

        /// <summary>A slice of the filter for the channels of one panel: a row for each tap.</summary>
        private void PackPanel(long panel, long slices, long slice, TSum* panels)
        {
            (long first, long end) = (_taps * slice / slices, _taps * (slice + 1) / slices);
            long channel = panel * PanelColumns, columns = Math.Min(PanelColumns, _channels - channel);
            int length = (int)((end - first) * PanelColumns);
            TSum* to = _isLast ? panels + (((panel * _taps) + first) * PanelColumns) : CpuScratch.Take<TSum>(length);
            if (columns < PanelColumns) new Span<TSum>(to, length).Clear();
            _phase.Filter.PackColumns(channel, columns, first, end - first, to, PanelColumns);
            if (!IsFinite(to, length)) _isFinite = false;
            if (_isLast) return;

            // The filter has its channels outermost: each tap's row goes where it belongs.
            long area = _taps / Image.Channels;
            for (long tap = first; tap < end; tap++, to += PanelColumns)
            {
                (long input, long place) = Math.DivRem(tap, area);
                TSum* row = panels + (((panel * _taps) + (place * Image.Channels) + input) * PanelColumns);
                new ReadOnlySpan<TSum>(to, PanelColumns).CopyTo(new Span<TSum>(row, PanelColumns));
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static bool IsFinite(TSum* values, int count)
        {
            Vector512<TSum> finite = Vector512<TSum>.AllBitsSet;
            for (int i = 0; i < count; i += Vector512<TSum>.Count)
                finite &= CpuReal.IsFinite(CpuReal.Load(values + i, Math.Min(Vector512<TSum>.Count, count - i)));
            return finite.AsByte() == Vector512<byte>.AllBitsSet;
        }

        /// <summary>The taps of a row of results that lie in rows of the image.</summary>
        private (long First, long End) TapsOf(in GatherAxis vertical, int row)
        {
            if (!_isFinite) return (0, _taps);
            int y = vertical.First + (row * vertical.Step), first = 0, end = vertical.Taps;
            while (first < end && (uint)(y + (first * vertical.TapStep)) >= (uint)Image.Height) first++;
            while (end > first && (uint)(y + ((end - 1) * vertical.TapStep)) >= (uint)Image.Height) end--;
            long taps = _taps / vertical.Taps;
            return (first * taps, end * taps);
        }

        /// <summary>The panels of the filter one by one, so that one and its sums stay in the caches beside the image.</summary>
        private void Band(long batch, in GatherAxis vertical, TSum* panels)
        {
            PaddedBand<T, TSum> band = new(Image, vertical, _isLast);
            long slices = CpuGemm.SlicesOf(_taps), tileLength = _tileHeight * PanelColumns;
            long sumsLength = (((long)vertical.Results * _pitch) + TransposedPixels) * PanelColumns;
            long offsetsLength = Tiles(_taps * sizeof(long), CpuHeap.Alignment) * (CpuHeap.Alignment / sizeof(TSum));
            TSum* memory = CpuScratch.Take<TSum>(
                offsetsLength + sumsLength + (PanelColumns * TransposedPixels) + band.Length + (_tileHeight * band.Pixel));
            long* offsets = (long*)memory;
            TSum* sums = memory + offsetsLength, transposed = sums + sumsLength, image = transposed + (PanelColumns * TransposedPixels);
            band.Offsets(offsets);
            band.Fill(Image.Image + (batch * Image.Strides.Batch), image);
            for (long panel = 0; panel < Panels; panel++)
            {
                long channel = panel * PanelColumns, columns = Math.Min(PanelColumns, _channels - channel);
                bool isDirect = StoresTiles && columns == PanelColumns;
                for (long slice = 0; slice < slices; slice++)
                {
                    CpuTarget<TSum> target = isDirect && slice == slices - 1 ? TargetOf(batch, vertical, channel) : default;
                    (long first, long end) = (_taps * slice / slices, _taps * (slice + 1) / slices);
                    TSum* filter = panels + (((panel * _taps) + first) * PanelColumns), to = sums;
                    for (int row = 0; row < vertical.Results; row++)
                    {
                        TSum* from = image + (row * band.Row);
                        (long firstSeen, long endSeen) = TapsOf(vertical, row);
                        long start = Math.Clamp(firstSeen, first, end), depth = Math.Clamp(endSeen, start, end) - start;
                        TSum* factors = filter + ((start - first) * PanelColumns);
                        for (int x = 0; x < _pitch; x += _tileHeight, to += tileLength)
                        {
                            CpuGemm.TileSums<TSum> tile = CpuGemm.TileSums<TSum>.InPlace(to, PanelColumns, slice > 0);
                            if (target.First != null) tile = tile.At(target.From(((long)row * _pitch) + x));
                            CpuGemm.MultiplyGathered(
                                _tileHeight, columns, depth, from + (x * band.Pixel), offsets + start, band.Pixel, factors, tile);
                        }
                    }
                }

                if (!isDirect) Store(batch, vertical, channel, columns, sums, transposed);
            }
        }

        /// <summary>Whether whole tiles of results lie in memory as they are made.</summary>
        private bool StoresTiles => _isLast && typeof(T) == typeof(TSum) && _phase.Target.IsDense
            && _pitch == _phase.Target.Horizontal.Results;

        private CpuTarget<TSum> TargetOf(long batch, in GatherAxis vertical, long channel)
        {
            GatherTarget<T> target = _phase.Target;
            T* first = target.Result + (batch * target.Strides.Batch) + channel + (vertical.ResultFirst * target.Strides.Row);
            return new(first, target.Strides.Column, target.EndOf<TSum>(channel, isOfRows: false), target.Streams);
        }

        /// <summary>Rows one by one, or where neither tiles nor the result have gaps, all as one.</summary>
        private void Store(long batch, in GatherAxis vertical, long channel, long channels, TSum* sums, TSum* transposed)
        {
            GatherTarget<T> target = _phase.Target;
            int width = target.Horizontal.Results, rows = vertical.Results;
            T* to = target.Result + (batch * target.Strides.Batch) + (channel * target.Strides.Channel)
                + (vertical.ResultFirst * target.Strides.Row) + (target.Horizontal.ResultFirst * target.Strides.Column);
            T* bias = target.Bias == null ? null : target.Bias + channel;
            if (target.IsDense && _pitch == width) (width, rows) = (width * rows, 1);
            for (int row = 0; row < rows; row++, to += vertical.ResultStep * target.Strides.Row, sums += _pitch * PanelColumns)
            {
                if (_isLast)
                {
                    CpuConvert.RoundRows(
                        sums, PanelColumns, to, target.Horizontal.ResultStep * target.Strides.Column, width, (int)channels, bias,
                        isShared: false, target.Rectifies, target.Streams);
                    continue;
                }

                for (int x = 0; x < width; x += TransposedPixels)
                {
                    int count = Math.Min(TransposedPixels, width - x);
                    CpuGemm.Pack(
                        channels, Tiles(count, 16) * 16, sums + (x * PanelColumns), 1, PanelColumns, transposed, TransposedPixels);
                    target.StoreRows(
                        transposed, TransposedPixels, to + (x * target.Horizontal.ResultStep), channels, count, bias);
                }
            }
        }
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

        public PaddedBand(in Im2Col<T, TSum> image, in GatherAxis vertical, bool last)
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
            Pixel = (long)image.Horizontal.Step * Channels;
            Row = vertical.Step * Channels * _columns;
            Length = _rows * Channels * _columns;
        }

        /// <summary>From one pixel of the result to the next.</summary>
        public long Pixel { get; }

        /// <summary>From one row of the result to the next.</summary>
        public long Row { get; }

        /// <summary>Elements.</summary>
        public long Length { get; }

        /// <summary>From one pixel of the image to the next.</summary>
        private long Channels { get; }

        /// <summary>Where taps see the first pixel.</summary>
        public void Offsets(long* offsets)
        {
            GatherAxis horizontal = _image.Horizontal;
            int area = _vertical.Taps * horizontal.Taps;
            for (int place = 0; place < area; place++)
            {
                int y = _vertical.First + (place / horizontal.Taps * _vertical.TapStep) - _firstY;
                int x = horizontal.First + (place % horizontal.Taps * horizontal.TapStep) - _firstX;
                long at = _hasPixels ? (((long)y * _columns) + x) * Channels : _plane.OffsetOf(_vertical, horizontal, place);
                long apart = _hasPixels ? 1 : _plane.Length;
                for (int channel = 0; channel < _image.Channels; channel++)
                    offsets[(place * _image.Channels) + channel] = at + (channel * apart);
            }
        }

        public void Fill(T* image, TSum* destination)
        {
            if (!_hasPixels)
            {
                for (int channel = 0; channel < _image.Channels; channel++)
                    _plane.Fill(image + (channel * _image.Strides.Channel), destination + (channel * _plane.Length));
                return;
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
        }
    }
}
