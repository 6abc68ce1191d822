using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <content>The filter's gradient in tiles.</content>
public static unsafe partial class Conv2d
{
    /// <summary>
    /// A group: dw = G^T [sum over the tiles of (B^T x B) . (A dy A^T)] G. The sums are 36 matrix products over the tiles of all images. As
    /// many rows of tiles as a cache holds are transformed, then multiplied, then those that follow.
    /// </summary>
    /// <remarks>
    /// Where sums are small each core has its own, of some images, and its tiles stay in its cache; else all cores transform, then share
    /// the places of the tiles. Which sums are made in which order, the problem alone decides.
    /// </remarks>
    private sealed class WinogradFilter
    {
        private const int Area = Winograd.Area, Taps = Winograd.Taps;

        /// <summary>What tiles and sums of a core should take together: its cache.</summary>
        private const long CoreBytes = 1 << 20;

        /// <summary>The most that sums take where each core has its own: beyond its cache they still cost less than shared tiles.</summary>
        private const long MostCoreSums = 4 << 20;

        /// <summary>The fewest tiles that are multiplied at once: each time all sums are loaded and stored.</summary>
        private const long LeastTilesOfCore = 84, LeastTiles = 256;

        /// <summary>Transformed tiles of all cores together.</summary>
        private const long TilesBytes = 4 << 20;

        /// <summary>The most memory for sums; larger filters are made tap by tap.</summary>
        private const long MostSumsBytes = 128 << 20;

        /// <summary>Rows of tiles, one below the other, that are copied at once: their neighbours see the same pixels.</summary>
        private const long RowsAtOnce = 4;

        /// <summary>Input channels whose taps are made at once.</summary>
        private const long InputsAtOnce = 64;

        private readonly FilterSplit<float, float> _split;
        private readonly WinogradTiles<Winograd.PixelAxis> _seen;
        private readonly WinogradTiles<Winograd.GradientAxis> _given;
        private readonly WinogradPlaces _pixels, _gradients;
        private readonly long _inputs, _outputs, _firstOutput, _rows, _splits, _rowsAtOnce, _sumsPlace, _tilesLength;
        private readonly int _height;
        private readonly long* _offsets;
        private readonly float* _sums, _sharedTiles;

        private WinogradFilter(in FilterSplit<float, float> split, long group)
        {
            Conv2dShapeArguments s = split.Shape;
            (_split, _inputs, _outputs, _firstOutput) = (split, s.XChannels, s.YChannels, group * s.YChannels);
            (GatherAxis vertical, GatherAxis horizontal) = Axes(s, backward: false, 0, 0);
            MapStrides x = StridesOfX(s, split.IsLast), dy = split.DyStrides;
            Im2Col<float, float> image = new()
            {
                Image = split.X + (group * _inputs * x.Channel),
                Strides = x,
                Height = (int)s.XHeight,
                Width = (int)s.XWidth,
                Channels = (int)_inputs,
                Vertical = vertical,
                Horizontal = horizontal,
            };
            _seen = new(image, split.IsLast);
            _given = new(
                image with
                {
                    Image = split.Dy + (_firstOutput * dy.Channel),
                    Strides = dy,
                    Height = (int)s.YHeight,
                    Width = (int)s.YWidth,
                    Channels = (int)_outputs,
                    Vertical = GatherAxis.Forward(s.YHeight, taps: 1, stride: 1, dilation: 1, padding: 0),
                    Horizontal = GatherAxis.Forward(s.YWidth, taps: 1, stride: 1, dilation: 1, padding: 0),
                },
                split.IsLast);

            _rows = (long)s.Batch * _seen.Down;
            long bytesOfTile = Area * (_inputs + _outputs) * sizeof(float), bytesOfSums = Area * _inputs * _outputs * sizeof(float);
            bool isOfCore = bytesOfSums <= MostCoreSums;
            _splits = isOfCore ? Math.Clamp(_rows * _seen.Across / LeastTilesOfCore, 1, Math.Min(_rows, MostCpuSplits)) : 1;
            long tiles = isOfCore
                ? Math.Max((CoreBytes - bytesOfSums) / bytesOfTile, LeastTilesOfCore) : Math.Max(TilesBytes / bytesOfTile, LeastTiles);
            long rows = Tiles(_rows, _splits);
            _rowsAtOnce = Tiles(rows, Tiles(rows, Tiles(tiles, _seen.Across)));
            tiles = _rowsAtOnce * _seen.Across;
            long heights = Tiles(_inputs, CpuGemm.TallestTile<float>());
            _height = CpuGemm.GatheredHeight((int)Tiles(_inputs, heights));

            // Places a multiple of 4 KiB apart would share a few sets of the nearest cache when they come together again.
            _sumsPlace = ((heights * _height) + 1) * PanelColumns;
            _gradients = new((tiles + 1) * PanelColumns, PanelColumns, Area * (tiles + 1) * PanelColumns);
            _pixels = new(tiles * Winograd.TileLength(_inputs), Winograd.TileLength(_inputs), PanelColumns);
            _tilesLength = (Panels * _gradients.Panel) + (Area * _pixels.Place) + Winograd.Lanes;
            long sums = _splits * SumsOfSplit, shared = _splits > 1 ? 0 : _tilesLength;
            _sums = CpuScratch.TakeShared<float>(sums + shared + (tiles * sizeof(long) / sizeof(float)));
            _sharedTiles = _sums + sums;
            _offsets = (long*)(_sharedTiles + shared);
            for (long tile = 0; tile < tiles; tile++) _offsets[tile] = tile * _pixels.Tile;
        }

        private static int PanelColumns => Winograd.PanelColumns;

        private long Panels => Tiles(_outputs, PanelColumns);

        private long SumsOfSplit => Panels * Area * _sumsPlace;

        /// <summary>Whether there is memory for the sums.</summary>
        public static bool Holds(in Conv2dShapeArguments shape) =>
            Area * (double)shape.XChannels * shape.YChannels * sizeof(float) <= MostSumsBytes;

        /// <summary>All groups; sums of the bias are made by themselves.</summary>
        public static void Run(FilterSplit<float, float> split)
        {
            if (split.BiasSums != null) split.BackwardBias();
            Conv2dShapeArguments s = split.Shape;
            ForEach((long)s.Groups, (double)split.Pixels * s.YChannels * s.PerOutput, group => new WinogradFilter(split, group).Run());
        }

        private void Run()
        {
            if (_splits > 1)
                CpuParallel.For(_splits, RunSplit);
            else
                RunTogether();
            long slices = Tiles(_inputs, InputsAtOnce);
            CpuParallel.For(Panels * slices, task => Store(task / slices, task % slices * InputsAtOnce));
        }

        /// <summary>Some rows of tiles, on one core.</summary>
        private void RunSplit(long split)
        {
            (long begin, long end) = (_rows * split / _splits, _rows * (split + 1) / _splits);
            float* tiles = CpuScratch.Take<float>(_tilesLength + TransformLength(_rowsAtOnce)), sums = _sums + (split * SumsOfSplit);
            for (long first = begin; first < end; first += _rowsAtOnce)
            {
                long rows = Math.Min(_rowsAtOnce, end - first);
                for (long row = 0; row < rows; row += RowsAtOnce)
                    Transform(first + row, Math.Min(RowsAtOnce, rows - row), tiles, row * _seen.Across, tiles + _tilesLength);
                for (long i = 0; i < Panels * Area; i++) Multiply(i / Area, i % Area, tiles, rows * _seen.Across, sums, first > begin);
            }
        }

        /// <summary>All rows, on all cores.</summary>
        private void RunTogether()
        {
            for (long first = 0; first < _rows; first += _rowsAtOnce)
            {
                (long begin, long rows) = (first, Math.Min(_rowsAtOnce, _rows - first));
                long parts = Tiles(rows, Math.Clamp(rows / CpuParallel.Workers, 1, RowsAtOnce));
                CpuParallel.For(parts, part =>
                {
                    (long row, long end) = (rows * part / parts, rows * (part + 1) / parts);
                    float* memory = CpuScratch.Take<float>(TransformLength(end - row));
                    Transform(begin + row, end - row, _sharedTiles, row * _seen.Across, memory);
                });
                CpuParallel.For(
                    Panels * Area, i => Multiply(i / Area, i % Area, _sharedTiles, rows * _seen.Across, _sums, begin > 0));
            }
        }

        /// <summary>Memory besides, to transform so many rows of tiles.</summary>
        private long TransformLength(long rows) =>
            Math.Max(_seen.HalfLength, _given.HalfLength) + Math.Max(_seen.BandLength(rows), _given.BandLength(rows));

        /// <summary>
        /// Rows of tiles, of which the first is so many tiles after the first that are multiplied; in memory those of dy lie before those
        /// of x.
        /// </summary>
        private void Transform(long firstRow, long rows, float* tiles, long firstTile, float* memory)
        {
            float* band = memory + Math.Max(_seen.HalfLength, _given.HalfLength), seen = tiles + (Panels * _gradients.Panel);
            foreach ((long image, int down, int count, long tile) in Winograd.Pieces(firstRow, rows, _seen.Down, _seen.Across))
            {
                long at = firstTile + tile;
                _seen.Transform(image, down, count, band, memory, seen + (at * _pixels.Tile), _pixels);
                _given.Transform(image, down, count, band, memory, tiles + (at * _gradients.Tile), _gradients);
            }
        }

        /// <summary>Adds the products of a place in the tiles, for the outputs of a panel.</summary>
        private void Multiply(long panel, long place, float* tiles, long count, float* sums, bool accumulate)
        {
            float* seen = tiles + (Panels * _gradients.Panel) + (place * _pixels.Place);
            float* given = tiles + (panel * _gradients.Panel) + (place * _gradients.Place);
            long width = Math.Min(PanelColumns, _outputs - (panel * PanelColumns));
            CpuGemm.TileSums<float> to = default;
            sums += ((panel * Area) + place) * _sumsPlace;
            for (long input = 0; input < _inputs; input += _height, sums += _height * PanelColumns)
            {
                int height = CpuGemm.GatheredHeight((int)Math.Min(_inputs - input, _height));
                to.Stay(sums, PanelColumns, accumulate);
                CpuGemm.MultiplyGathered(height, width, count, seen + input, _offsets, 1, given, to);
            }
        }

        /// <summary>The taps of some inputs for the outputs of a panel.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Store(long panel, long firstInput)
        {
            const int Seen = Winograd.Seen, TapsOfAxis = Winograd.TapsOfAxis;
            int lanes = Winograd.Lanes, inputs = (int)Math.Min(InputsAtOnce, _inputs - firstInput);
            float* half = stackalloc float[TapsOfAxis * Seen * lanes];
            long length = inputs * Taps;
            float* taps = CpuScratch.Take<float>(2 * length * PanelColumns), filters = taps + (length * PanelColumns);

            // The gradient of an output has its taps innermost, or its inputs.
            (int tap, int input) = _split.IsLast ? (inputs * PanelColumns, PanelColumns) : (PanelColumns, Taps * PanelColumns);
            long at = (panel * Area * _sumsPlace) + (firstInput * PanelColumns);
            for (int place = 0; place < Area && _splits > 1; place++) AddSplits(_sums + at + (place * _sumsPlace), inputs * PanelColumns);
            for (int i = 0; i < inputs; i++)
            {
                for (int lane = 0; lane < PanelColumns; lane += lanes)
                {
                    float* sums = _sums + at + (i * PanelColumns) + lane;
                    for (int right = 0; right < Seen; right++)
                    {
                        Winograd.FilterGradientAxis(
                            sums + (right * _sumsPlace), Seen * _sumsPlace, half + (right * lanes), Seen * lanes);
                    }

                    float* to = taps + (i * input) + lane;
                    for (int down = 0; down < TapsOfAxis; down++)
                        Winograd.FilterGradientAxis(half + (down * Seen * lanes), lanes, to + (down * TapsOfAxis * tap), tap);
                }
            }

            long first = panel * PanelColumns, outputs = Math.Min(PanelColumns, _outputs - first);
            CpuGemm.Pack(outputs, length, taps, 1, PanelColumns, filters, length);
            for (long output = 0; output < outputs; output++, filters += length)
            {
                long index = (_firstOutput + first + output) * _inputs * Taps;
                if (!_split.IsLast) _split.Store(index + (firstInput * Taps), filters, length);
                for (int i = 0; i < Taps && _split.IsLast; i++)
                    _split.Store(index + (i * _inputs) + firstInput, filters + (i * inputs), inputs);
            }
        }

        /// <summary>Adds the sums of the other splits to those of the first, in their order.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void AddSplits(float* sums, long count)
        {
            for (long i = 0; i < count; i += Winograd.Lanes)
            {
                Vector512<float> sum = Vector512.Load(sums + i);
                for (long split = 1; split < _splits; split++) sum += Vector512.Load(sums + (split * SumsOfSplit) + i);
                sum.Store(sums + i);
            }
        }
    }
}
