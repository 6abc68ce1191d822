using System.Runtime.CompilerServices;
using Kernels.Cpu;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <content>Results, and gradients of x, in tiles.</content>
public static unsafe partial class Conv2d
{
    /// <summary>
    /// A group: y = A^T [(G w G^T) . (B^T x B)] A for each tile, the products in the middle summed over the input channels as 36 matrix
    /// products.
    /// </summary>
    private sealed class WinogradGather
    {
        private const int Side = Winograd.Side, Seen = Winograd.Seen, Area = Winograd.Area;

        /// <summary>Tiles whose products are made together, or a multiple of them: twice the rows that fill the registers.</summary>
        private const int TilesAtOnce = 28;

        /// <summary>Inputs whose taps are read together.</summary>
        private const int InputsAtOnce = 16;

        /// <summary>Where a core has as many tasks, it matters little whether all have.</summary>
        private const long EvenTasks = 16;

        /// <summary>More tiles of a row are taken one part after the other, so that what a task makes stays small.</summary>
        private const int MostTilesAcross = 2 * TilesAtOnce;

        private readonly long _batch, _channels;
        private readonly int _inputs, _pitch;
        private readonly long _pixel;
        private readonly bool _isLast;
        private readonly GatherPhase<float, float> _phase;
        private readonly WinogradTiles<Winograd.PixelAxis> _tiles;
        private readonly float* _panels;
        private readonly long* _offsets;

        /// <param name="batch">Images.</param>
        /// <param name="channels">Channels of the result.</param>
        /// <param name="last">Whether channels lie side by side.</param>
        /// <param name="phase">The convolution, of a part of the columns.</param>
        /// <param name="panels">Memory of the transformed filter, with the offsets of a pixel's inputs behind it.</param>
        private WinogradGather(long batch, long channels, bool last, in GatherPhase<float, float> phase, float* panels)
        {
            (_batch, _channels, _isLast, _phase, _inputs) = (batch, channels, last, phase, phase.Patches.Channels);
            _panels = panels;
            _offsets = (long*)(panels + FilterLength(channels, _inputs));
            _tiles = new(phase.Patches, last);
            _pitch = _tiles.Across * Side;
            _pixel = Winograd.TileLength(_inputs);
        }

        private static int Lanes => Winograd.Lanes;

        private static int PanelColumns => Winograd.PanelColumns;

        private long Panels => Tiles(_channels, PanelColumns);

        /// <summary>From one place in the tiles to the next of a panel: a row more, or all would share a set of the caches.</summary>
        private long FilterPlace => (_inputs + 1L) * PanelColumns;

        private static long FilterLength(long channels, long inputs) => Tiles(channels, PanelColumns) * Area * (inputs + 1) * PanelColumns;

        /// <summary>The groups one after the other, each on all cores.</summary>
        public static void Run(in Conv2dGatherArguments arguments, bool last)
        {
            Conv2dShapeArguments shape = arguments.Conv2dShape;
            long channels = arguments.Backward != 0 ? shape.XChannels : shape.YChannels;
            for (long group = 0; group < (long)shape.Groups; group++)
                Run((long)shape.Batch, channels, last, CpuGather.Phase<float, float>(arguments, last, group, 0));
        }

        private static void Run(long batch, long channels, bool last, in GatherPhase<float, float> phase)
        {
            int inputs = phase.Patches.Channels;
            GatherAxis horizontal = phase.Patches.Horizontal;
            float* panels = CpuScratch.TakeShared<float>(FilterLength(channels, inputs) + (inputs * sizeof(long) / sizeof(float)));
            new WinogradGather(batch, channels, last, phase, panels).TransformFilter();
            const int Columns = MostTilesAcross * Side;
            for (int first = 0; first < horizontal.Results; first += Columns)
            {
                GatherAxis part = horizontal with
                {
                    First = horizontal.First + first,
                    Results = Math.Min(Columns, horizontal.Results - first),
                    ResultFirst = horizontal.ResultFirst + first,
                };
                GatherPhase<float, float> columns = phase with
                {
                    Patches = phase.Patches with { Horizontal = part },
                    Target = phase.Target with { Horizontal = part },
                };
                new WinogradGather(batch, channels, last, columns, panels).Gather();
            }
        }

        private void TransformFilter()
        {
            for (int input = 0; input < _inputs; input++) _offsets[input] = input;
            long slices = CpuGemm.SlicesOf(_inputs);
            CpuParallel.For(Panels * slices, task => TransformPanel(task / slices, slices, task % slices));
        }

        private void Gather()
        {
            // The filter is read once for the tiles of a task: as many as make that cost no more than what is written and read of each.
            long tiles = Math.Max(1, _inputs * _channels / (2 * (_inputs + _channels)) / TilesAtOnce) * TilesAtOnce;
            long all = _batch * _tiles.Down, tasks = Tiles(all, Math.Max(1, tiles / _tiles.Across)), workers = CpuParallel.Workers;
            if (tasks < EvenTasks * workers) tasks = Math.Min(all, Tiles(tasks, workers) * workers);
            CpuParallel.For(tasks, task => Rows(all * task / tasks, (all * (task + 1) / tasks) - (all * task / tasks)));
        }

        /// <summary>U = G w G^T for the channels of a panel and some inputs.</summary>
        private void TransformPanel(long panel, long slices, long slice)
        {
            const int Taps = Winograd.Taps;
            (long firstInput, long endInput) = (_inputs * slice / slices, _inputs * (slice + 1) / slices);
            long channel = panel * PanelColumns, columns = Math.Min(PanelColumns, _channels - channel);
            float* taps = CpuScratch.Take<float>(InputsAtOnce * Taps * PanelColumns);
            new Span<float>(taps, InputsAtOnce * Taps * PanelColumns).Clear();
            float* half = stackalloc float[Seen * 3 * Lanes];
            for (long first = firstInput; first < endInput; first += InputsAtOnce)
            {
                int count = (int)Math.Min(InputsAtOnce, endInput - first);
                (long input, long tap) = _isLast ? (PanelColumns, (long)count * PanelColumns) : (Taps * PanelColumns, PanelColumns);
                for (int i = 0; i < (_isLast ? Taps : 1); i++)
                {
                    (long own, long steps) = _isLast ? ((i * _inputs) + first, count) : (first * Taps, count * Taps);
                    _phase.Filter.PackColumns(channel, columns, own, steps, taps + (i * tap), PanelColumns);
                }

                for (int i = 0; i < count; i++)
                {
                    float* to = _panels + (panel * Area * FilterPlace) + ((first + i) * PanelColumns);
                    for (int lane = 0; lane < PanelColumns; lane += Lanes)
                        TransformTaps(taps + (i * input) + lane, tap, half, to + lane, FilterPlace);
                }
            }
        }

        /// <summary>A vector of channels. A gradient's taps, which are seen from the other end, lie in turn.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void TransformTaps(float* taps, long tap, float* half, float* to, long next)
        {
            bool isTurnedY = _phase.Patches.Vertical.TapStep < 0, isTurnedX = _phase.Patches.Horizontal.TapStep < 0;
            for (int right = 0; right < 3; right++)
            {
                float* column = taps + ((isTurnedX ? 2 - right : right) * tap) + (isTurnedY ? 6 * tap : 0);
                Winograd.FilterAxis(column, isTurnedY ? -3 * tap : 3 * tap, half + (right * Lanes), 3 * Lanes);
            }

            for (int row = 0; row < Seen; row++) Winograd.FilterAxis(half + (row * 3 * Lanes), Lanes, to + (row * Seen * next), next);
        }

        /// <summary>Rows of tiles, counted through all images.</summary>
        private void Rows(long firstRow, long rows)
        {
            int tiles = (int)rows * _tiles.Across, heights = (int)Tiles(tiles, CpuGemm.TallestTile<float>());
            int height = CpuGemm.GatheredHeight((int)Tiles(tiles, heights));
            long padded = Math.Max(tiles, height), seenPlace = padded * _pixel, place = padded * PanelColumns;
            long results = ((rows * Side * _pitch) + GatherTarget<float>.TransposedPixels) * PanelColumns;
            long half = Math.Max(_tiles.HalfLength, (long)Seen * Seen * Lanes);
            float* seen = CpuScratch.Take<float>(
                (Area * seenPlace) + (Panels * Area * place) + half + Math.Max(
                    results + (GatherTarget<float>.TransposedPixels * PanelColumns), _tiles.BandLength(rows)));
            float* products = seen + (Area * seenPlace), halves = products + (Panels * Area * place), rest = halves + half;
            WinogradPlaces places = new(seenPlace, _pixel, PanelColumns);
            foreach ((long image, int down, int count, long tile) in Pieces(firstRow, rows))
                _tiles.Transform(image, down, count, rest, halves, seen + (tile * _pixel), places);
            Multiply(tiles, height, seen, seenPlace, products, place);
            for (long panel = 0; panel < Panels; panel++)
            {
                long channel = panel * PanelColumns, width = Math.Min(PanelColumns, _channels - channel);
                foreach ((long image, int down, int count, long tile) in Pieces(firstRow, rows))
                {
                    Make(products + (panel * Area * place) + (tile * PanelColumns), place, count, halves, rest);
                    GatherAxis axis = _tiles.BandOf(down, count);
                    axis = axis with { Results = Math.Min(axis.Results, _phase.Patches.Vertical.Results - (down * Side)) };
                    _phase.Target.StorePanel(_isLast, image, axis, channel, width, rest, _pitch, rest + results);
                }
            }
        }

        private IEnumerable<(long Image, int Down, int Count, long Tile)> Pieces(long firstRow, long rows) =>
            Winograd.Pieces(firstRow, rows, _tiles.Down, _tiles.Across);

        /// <summary>The products of a place in the tiles for all channels, then those of the next.</summary>
        private void Multiply(int tiles, int height, float* seen, long seenPlace, float* products, long place)
        {
            CpuGemm.TileSums<float> to = default;
            for (int at = 0; at < Area; at++, seen += seenPlace, products += place)
            {
                for (long panel = 0; panel < Panels; panel++)
                {
                    float* filter = _panels + (((panel * Area) + at) * FilterPlace), sums = products + (panel * Area * place);
                    long width = Math.Min(PanelColumns, _channels - (panel * PanelColumns));
                    for (long done = 0; done < tiles; done += height)
                    {
                        // The last tiles once more, where they do not fill a height.
                        long first = Math.Max(0, Math.Min(done, tiles - height));
                        to.Stay(sums + (first * PanelColumns), PanelColumns, accumulate: false);
                        CpuGemm.MultiplyGathered(height, width, _inputs, seen + (first * _pixel), _offsets, _pixel, filter, to);
                    }
                }
            }
        }

        /// <summary>y = A^T m A of rows of tiles, for the channels of a panel.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Make(float* products, long next, int rows, float* half, float* results)
        {
            long row = (long)_pitch * PanelColumns;
            for (int down = 0; down < rows; down++, results += Side * row)
            {
                for (int tile = 0; tile < _tiles.Across; tile++, products += PanelColumns)
                {
                    for (int lane = 0; lane < PanelColumns; lane += Lanes)
                    {
                        for (int right = 0; right < Seen; right++)
                            Winograd.ResultAxis(products + (right * next) + lane, Seen * next, half + (right * Lanes), Seen * Lanes);
                        float* to = results + (tile * Side * PanelColumns) + lane;
                        for (int i = 0; i < Side; i++) Winograd.ResultAxis(half + (i * Seen * Lanes), Lanes, to + (i * row), PanelColumns);
                    }
                }
            }
        }
    }
}
