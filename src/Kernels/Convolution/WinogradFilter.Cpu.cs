using System.Runtime.CompilerServices;
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
    private sealed class WinogradFilter
    {
        private const int Area = Winograd.Area, Taps = Winograd.Taps;

        /// <summary>
        /// Transformed tiles that are multiplied at once, and the fewest of them: each time all sums are loaded and stored. They depend on
        /// the problem alone, as they say in which order sums are made.
        /// </summary>
        private const long TilesBytes = 4 << 20, LeastTiles = 256;

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
        private readonly long _inputs, _outputs, _firstOutput, _rows, _rowsAtOnce, _sumsPlace;
        private readonly int _height;
        private readonly long* _offsets;
        private readonly float* _sums, _seenTiles, _givenTiles;

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
            long bytesOfTile = Area * (_inputs + _outputs) * sizeof(float);
            long most = Tiles(Math.Max(TilesBytes / bytesOfTile, LeastTiles), _seen.Across);
            _rowsAtOnce = Tiles(_rows, Tiles(_rows, most));
            long tiles = _rowsAtOnce * _seen.Across, heights = Tiles(_inputs, CpuGemm.TallestTile<float>());
            _height = CpuGemm.GatheredHeight((int)Tiles(_inputs, heights));

            // Places a multiple of 4 KiB apart would share a few sets of the nearest cache when they come together again.
            _sumsPlace = ((heights * _height) + 1) * PanelColumns;
            _pixels = new(tiles * Winograd.TileLength(_inputs), Winograd.TileLength(_inputs), PanelColumns);
            _gradients = new((tiles + 1) * PanelColumns, PanelColumns, Area * (tiles + 1) * PanelColumns);
            long pixels = (Area * _pixels.Place) + Winograd.Lanes;
            _sums = CpuScratch.TakeShared<float>(
                (Panels * Area * (_sumsPlace + _gradients.Place)) + pixels + (tiles * sizeof(long) / sizeof(float)));
            _givenTiles = _sums + (Panels * Area * _sumsPlace);
            _seenTiles = _givenTiles + (Panels * Area * _gradients.Place);
            _offsets = (long*)(_seenTiles + pixels);
            for (long tile = 0; tile < tiles; tile++) _offsets[tile] = tile * _pixels.Tile;
        }

        private static int PanelColumns => Winograd.PanelColumns;

        private long Panels => Tiles(_outputs, PanelColumns);

        public static bool Takes(in Conv2dShapeArguments shape) => Winograd.Takes(shape, shape.YHeight, shape.YWidth)
            && Area * (double)shape.XChannels * shape.YChannels * sizeof(float) <= MostSumsBytes;

        /// <summary>All groups; sums of the bias are made by themselves.</summary>
        public static void Run(FilterSplit<float, float> split)
        {
            if (split.BiasSums != null) split.BackwardBias();
            Conv2dShapeArguments s = split.Shape;
            ForEach((long)s.Groups, (double)split.Pixels * s.YChannels * s.PerOutput, group => new WinogradFilter(split, group).Run());
        }

        private void Run()
        {
            for (long first = 0; first < _rows; first += _rowsAtOnce)
            {
                (long firstRow, long rows) = (first, Math.Min(_rowsAtOnce, _rows - first));
                long parts = Tiles(rows, Math.Clamp(rows / CpuParallel.Workers, 1, RowsAtOnce));
                CpuParallel.For(parts, part =>
                {
                    long from = rows * part / parts;
                    Transform(firstRow + from, (rows * (part + 1) / parts) - from, from * _seen.Across);
                });
                CpuParallel.For(Panels * Area, task => Multiply(task % Area, task / Area, rows * _seen.Across, firstRow > 0));
            }

            long slices = Tiles(_inputs, InputsAtOnce);
            CpuParallel.For(Panels * slices, task => Store(task / slices, task % slices * InputsAtOnce));
        }

        /// <summary>Rows of tiles of x and of dy, of which the first is so many tiles after the first that are multiplied.</summary>
        private void Transform(long firstRow, long rows, long firstTile)
        {
            long half = Math.Max(_seen.HalfLength, _given.HalfLength);
            float* memory = CpuScratch.Take<float>(half + Math.Max(_seen.BandLength(rows), _given.BandLength(rows)));
            foreach ((long image, int down, int count, long tile) in Winograd.Pieces(firstRow, rows, _seen.Down, _seen.Across))
            {
                long at = firstTile + tile;
                _seen.Transform(image, down, count, memory + half, memory, _seenTiles + (at * _pixels.Tile), _pixels);
                _given.Transform(image, down, count, memory + half, memory, _givenTiles + (at * _gradients.Tile), _gradients);
            }
        }

        /// <summary>Adds the products of a place in the tiles, for the outputs of a panel.</summary>
        private void Multiply(long place, long panel, long tiles, bool accumulate)
        {
            float* seen = _seenTiles + (place * _pixels.Place), sums = SumsOf(panel, place);
            float* given = _givenTiles + (panel * _gradients.Panel) + (place * _gradients.Place);
            long width = Math.Min(PanelColumns, _outputs - (panel * PanelColumns));
            CpuGemm.TileSums<float> to = default;
            for (long input = 0; input < _inputs; input += _height, sums += _height * PanelColumns)
            {
                int height = CpuGemm.GatheredHeight((int)Math.Min(_inputs - input, _height));
                to.Stay(sums, PanelColumns, accumulate);
                CpuGemm.MultiplyGathered(height, width, tiles, seen + input, _offsets, 1, given, to);
            }
        }

        private float* SumsOf(long panel, long place) => _sums + (((panel * Area) + place) * _sumsPlace);

        /// <summary>The taps of some inputs for the outputs of a panel.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Store(long panel, long firstInput)
        {
            const int Seen = Winograd.Seen, TapsOfAxis = Winograd.TapsOfAxis;
            int lanes = Winograd.Lanes, inputs = (int)Math.Min(InputsAtOnce, _inputs - firstInput);
            float* half = stackalloc float[TapsOfAxis * Seen * lanes];
            float* taps = CpuScratch.Take<float>((Taps * InputsAtOnce * PanelColumns) + (Taps * InputsAtOnce));
            float* row = taps + (Taps * InputsAtOnce * PanelColumns);
            long tap = inputs * PanelColumns;
            for (int input = 0; input < inputs; input++)
            {
                for (int lane = 0; lane < PanelColumns; lane += lanes)
                {
                    float* sums = SumsOf(panel, 0) + ((firstInput + input) * PanelColumns) + lane;
                    for (int right = 0; right < Seen; right++)
                    {
                        Winograd.FilterGradientAxis(
                            sums + (right * _sumsPlace), Seen * _sumsPlace, half + (right * lanes), Seen * lanes);
                    }

                    float* to = taps + (input * PanelColumns) + lane;
                    for (int down = 0; down < TapsOfAxis; down++)
                        Winograd.FilterGradientAxis(half + (down * Seen * lanes), lanes, to + (down * TapsOfAxis * tap), tap);
                }
            }

            // The gradient of an output has its taps innermost, or its inputs.
            for (long output = panel * PanelColumns, column = 0; column < PanelColumns && output < _outputs; output++, column++)
            {
                long index = ((_firstOutput + output) * _inputs * Taps) + (_split.IsLast ? firstInput : firstInput * Taps);
                (int tapNext, int inputNext) = _split.IsLast ? (inputs, 1) : (1, Taps);
                for (int i = 0; i < Taps; i++)
                {
                    for (int input = 0; input < inputs; input++)
                        row[(i * tapNext) + (input * inputNext)] = taps[(i * tap) + (input * PanelColumns) + column];
                    if (_split.IsLast) _split.Store(index + (i * _inputs), row + (i * tapNext), inputs);
                }

                if (!_split.IsLast) _split.Store(index, row, inputs * Taps);
            }
        }
    }
}
