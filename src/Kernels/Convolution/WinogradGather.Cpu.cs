using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <content>
/// Filters of 3x3 taps by Winograd's minimal filtering, F(4x4, 3x3): tiles of 4x4 results are made of 6x6 pixels with 36 multiplications
/// for each pair of channels, where the sums of taps take 144. A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural Networks",
/// CVPR 2016.
/// </content>
public static unsafe partial class Conv2d
{
    /// <summary>
    /// A group: y = A^T [(G w G^T) . (B^T x B)] A for each tile, the products in the middle summed over the input channels as 36 matrix
    /// products.
    /// </summary>
    /// <remarks>
    /// The polynomials behind the matrices are evaluated at 0, +-3/4, +-3/2 and infinity, where rounding errors are about half as large as
    /// with the usual 0, +-1, +-2: no power of a point is far from 1.
    /// </remarks>
    private sealed class WinogradGather
    {
        /// <summary>Results of a tile along an axis, the pixels that it sees, and all of these.</summary>
        private const int Side = 4, Seen = 6, Area = Seen * Seen;

        /// <summary>The points, and their squares, the product and the sum of those.</summary>
        private const float Near = 0.75f, Far = 1.5f, Near2 = Near * Near, Far2 = Far * Far, Product = Near2 * Far2, Sum = Near2 + Far2;

        /// <summary>Tiles whose products are made together, or a multiple of them: twice the rows that fill the registers.</summary>
        private const int TilesAtOnce = 28;

        /// <summary>With fewer tiles in all it takes longer to transform the filter than to sum its taps.</summary>
        private const int LeastTiles = 32;

        /// <summary>Inputs whose taps are read together.</summary>
        private const int InputsAtOnce = 16;

        /// <summary>With fewer channels there is more to transform than to multiply.</summary>
        private const int LeastChannels = 16;

        /// <summary>Where results fill less of the tiles, summing taps takes as long.</summary>
        private const double LeastUse = 0.4;

        /// <summary>Where a core has as many tasks, it matters little whether all have.</summary>
        private const long EvenTasks = 16;

        /// <summary>More tiles of a row are taken one part after the other, so that what a task makes stays small.</summary>
        private const int MostTilesAcross = 2 * TilesAtOnce;

        private readonly long _batch, _channels;
        private readonly int _inputs, _tilesAcross, _tilesDown, _pitch;
        private readonly long _pixel;
        private readonly bool _isLast;
        private readonly GatherPhase<float, float> _phase;
        private readonly Im2Col<float, float> _image;
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
            GatherAxis vertical = phase.Patches.Vertical, horizontal = phase.Patches.Horizontal;
            (_tilesDown, _tilesAcross) = ((int)Tiles(vertical.Results, Side), (int)Tiles(horizontal.Results, Side));
            _pitch = _tilesAcross * Side;
            _image = phase.Patches with { Horizontal = horizontal with { Results = _pitch } };

            // Rows a multiple of 1 KiB apart would share a few sets of the nearest cache.
            _pixel = Tiles(_inputs, Lanes) * Lanes;
            if (_pixel * sizeof(float) % 1024 == 0) _pixel += Lanes;
        }

        private static int Lanes => Vector512<float>.Count;

        private static int PanelColumns => CpuGemm.PanelColumns<float>();

        private long Panels => Tiles(_channels, PanelColumns);

        /// <summary>From one place in the tiles to the next of a panel: a row more, or all would share a set of the caches.</summary>
        private long FilterPlace => (_inputs + 1L) * PanelColumns;

        private static long FilterLength(long channels, long inputs) => Tiles(channels, PanelColumns) * Area * (inputs + 1) * PanelColumns;

        public static bool Takes(in Conv2dGatherArguments arguments)
        {
            Conv2dShapeArguments shape = arguments.Conv2dShape;
            bool backward = arguments.Backward != 0;
            bool isPlain = (shape.FilterHeight, shape.FilterWidth, shape.StrideY, shape.StrideX, shape.DilationY, shape.DilationX)
                == (Seen - Side + 1, Seen - Side + 1, 1, 1, 1, 1);
            long height = backward ? shape.XHeight : shape.YHeight, width = backward ? shape.XWidth : shape.YWidth;
            double inTiles = (double)(Tiles(height, Side) * Tiles(width, Side) * Side * Side);
            return isPlain && PanelColumns >= Lanes && Math.Min(shape.XChannels, shape.YChannels) >= LeastChannels
                && shape.Batch * inTiles >= LeastTiles * Side * Side && height * width >= LeastUse * inTiles;
        }

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
            long all = _batch * _tilesDown, tasks = Tiles(all, Math.Max(1, tiles / _tilesAcross)), workers = CpuParallel.Workers;
            if (tasks < EvenTasks * workers) tasks = Math.Min(all, Tiles(tasks, workers) * workers);
            CpuParallel.For(tasks, task => Rows(all * task / tasks, (all * (task + 1) / tasks) - (all * task / tasks)));
        }

        /// <summary>U = G w G^T for the channels of a panel and some inputs.</summary>
        private void TransformPanel(long panel, long slices, long slice)
        {
            const int Taps = (Seen - Side + 1) * (Seen - Side + 1);
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
                FilterAxis(column, isTurnedY ? -3 * tap : 3 * tap, half + (right * Lanes), 3 * Lanes);
            }

            for (int row = 0; row < Seen; row++) FilterAxis(half + (row * 3 * Lanes), Lanes, to + (row * Seen * next), next);
        }

        /// <summary>Three taps to six: G.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void FilterAxis(float* from, long step, float* to, long next)
        {
            const float AtZero = 1 / Product, AtNear = 1 / (2 * Near2 * (Near2 - Far2)), AtFar = 1 / (2 * Far2 * (Far2 - Near2));
            Vector512<float> first = Vector512.Load(from), middle = Vector512.Load(from + step), last = Vector512.Load(from + (2 * step));
            (first * AtZero).Store(to);
            Vector512<float> even = (first + (last * Near2)) * AtNear, odd = middle * (Near * AtNear);
            (even + odd).Store(to + next);
            (even - odd).Store(to + (2 * next));
            even = (first + (last * Far2)) * AtFar;
            odd = middle * (Far * AtFar);
            (even + odd).Store(to + (3 * next));
            (even - odd).Store(to + (4 * next));
            last.Store(to + (5 * next));
        }

        /// <summary>Rows of tiles, counted through all images.</summary>
        private void Rows(long firstRow, long rows)
        {
            int tiles = (int)rows * _tilesAcross, heights = (int)Tiles(tiles, CpuGemm.TallestTile<float>());
            int height = CpuGemm.GatheredHeight((int)Tiles(tiles, heights));
            long padded = Math.Max(tiles, height), seenPlace = padded * _pixel, place = padded * PanelColumns;
            long results = ((rows * Side * _pitch) + GatherTarget<float>.TransposedPixels) * PanelColumns;
            long half = (_pitch + Seen - Side) * (long)Seen * Lanes;
            float* seen = CpuScratch.Take<float>(
                (Area * seenPlace) + (Panels * Area * place) + half + Math.Max(
                    results + (GatherTarget<float>.TransposedPixels * PanelColumns), BandLength(rows)));
            float* products = seen + (Area * seenPlace), halves = products + (Panels * Area * place), rest = halves + half;
            foreach ((long image, long down, long count, long tile) in Pieces(firstRow, rows))
                See(image, (int)down, (int)count, rest, halves, seen + (tile * _pixel), seenPlace);
            Multiply(tiles, height, seen, seenPlace, products, place);
            for (long panel = 0; panel < Panels; panel++)
            {
                long channel = panel * PanelColumns, width = Math.Min(PanelColumns, _channels - channel);
                foreach ((long image, long down, long count, long tile) in Pieces(firstRow, rows))
                {
                    Make(products + (panel * Area * place) + (tile * PanelColumns), place, (int)count, halves, rest);
                    GatherAxis axis = BandOf(down, count);
                    axis = axis with { Results = Math.Min(axis.Results, _phase.Patches.Vertical.Results - (int)(down * Side)) };
                    _phase.Target.StorePanel(_isLast, image, axis, channel, width, rest, _pitch, rest + results);
                }
            }
        }

        /// <summary>The parts of some rows of tiles that lie in an image each, and their first tile of those.</summary>
        private IEnumerable<(long Image, long Down, long Count, long Tile)> Pieces(long firstRow, long rows)
        {
            for (long row = firstRow, count; row < firstRow + rows; row += count)
            {
                (long image, long down) = Math.DivRem(row, _tilesDown);
                count = Math.Min(_tilesDown - down, firstRow + rows - row);
                yield return (image, down, count, (row - firstRow) * _tilesAcross);
            }
        }

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

        private long BandLength(long rows) => new PaddedBand<float, float>(_image, BandOf(0, Math.Min(rows, _tilesDown)), _isLast).Length;

        /// <summary>The results of rows of tiles, those below the image too.</summary>
        private GatherAxis BandOf(long firstRow, long rows)
        {
            GatherAxis axis = _image.Vertical;
            int first = (int)(firstRow * Side);
            return axis with { First = axis.First + first, Results = (int)rows * Side, ResultFirst = axis.ResultFirst + first };
        }

        /// <summary>V = B^T x B of rows of tiles of an image.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void See(long image, int firstRow, int rows, float* memory, float* half, float* to, long next)
        {
            PaddedBand<float, float> band = new(_image, BandOf(firstRow, rows), _isLast);
            float* pixels = band.Fill(_image.Image + (image * _image.Strides.Batch), memory);
            int columns = _pitch + Seen - Side;
            long halfRow = (long)columns * Lanes;
            for (int row = 0; row < rows; row++, pixels += Side * band.Row)
            {
                for (int done = 0; done < _inputs; done += Lanes)
                {
                    // The last vector ends with the pixel: it has some inputs once more.
                    int input = Math.Min(done, _inputs - Lanes);
                    for (int column = 0; column < columns; column++)
                        SeeAxis(pixels + (column * band.Pixel) + input, band.Row, half + (column * Lanes), halfRow);
                    for (int down = 0; down < Seen; down++)
                    {
                        float* from = half + (down * halfRow), own = to + (down * Seen * next) + input;
                        for (int tile = 0; tile < _tilesAcross; tile++, from += Side * Lanes, own += _pixel)
                            SeeAxis(from, Lanes, own, next);
                    }
                }

                to += _tilesAcross * _pixel;
            }
        }

        /// <summary>Six pixels to six: B^T.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void SeeAxis(float* from, long step, float* to, long next)
        {
            Vector512<float> x0 = Vector512.Load(from), x1 = Vector512.Load(from + step), x2 = Vector512.Load(from + (2 * step));
            Vector512<float> x3 = Vector512.Load(from + (3 * step)), x4 = Vector512.Load(from + (4 * step));
            Vector512<float> x5 = Vector512.Load(from + (5 * step));
            Vector512<float> product = Vector512.Create(Product), sum = Vector512.Create(-Sum);
            Vector512<float> near2 = Vector512.Create(-Near2), far2 = Vector512.Create(-Far2);
            Vector512.FusedMultiplyAdd(x0, product, Vector512.FusedMultiplyAdd(x2, sum, x4)).Store(to);
            Vector512<float> even = Vector512.FusedMultiplyAdd(x2, far2, x4), odd = Vector512.FusedMultiplyAdd(x1, far2, x3) * Near;
            (even + odd).Store(to + next);
            (even - odd).Store(to + (2 * next));
            even = Vector512.FusedMultiplyAdd(x2, near2, x4);
            odd = Vector512.FusedMultiplyAdd(x1, near2, x3) * Far;
            (even + odd).Store(to + (3 * next));
            (even - odd).Store(to + (4 * next));
            Vector512.FusedMultiplyAdd(x1, product, Vector512.FusedMultiplyAdd(x3, sum, x5)).Store(to + (5 * next));
        }

        /// <summary>y = A^T m A of rows of tiles, for the channels of a panel.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Make(float* products, long next, int rows, float* half, float* results)
        {
            long row = (long)_pitch * PanelColumns;
            for (int down = 0; down < rows; down++, results += Side * row)
            {
                for (int tile = 0; tile < _tilesAcross; tile++, products += PanelColumns)
                {
                    for (int lane = 0; lane < PanelColumns; lane += Lanes)
                    {
                        for (int right = 0; right < Seen; right++)
                            MakeAxis(products + (right * next) + lane, Seen * next, half + (right * Lanes), Seen * Lanes);
                        float* to = results + (tile * Side * PanelColumns) + lane;
                        for (int i = 0; i < Side; i++) MakeAxis(half + (i * Seen * Lanes), Lanes, to + (i * row), PanelColumns);
                    }
                }
            }
        }

        /// <summary>Six products to four results: A^T.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void MakeAxis(float* from, long step, float* to, long next)
        {
            Vector512<float> m1 = Vector512.Load(from + step), m2 = Vector512.Load(from + (2 * step));
            Vector512<float> m3 = Vector512.Load(from + (3 * step)), m4 = Vector512.Load(from + (4 * step));
            Vector512<float> near = m1 + m2, far = m3 + m4, nearOdd = m1 - m2, farOdd = m3 - m4;
            (Vector512.Load(from) + near + far).Store(to);
            Vector512.FusedMultiplyAdd(nearOdd, Vector512.Create(Near), farOdd * Far).Store(to + next);
            Vector512.FusedMultiplyAdd(near, Vector512.Create(Near2), far * Far2).Store(to + (2 * next));
            Vector512<float> last = Vector512.FusedMultiplyAdd(farOdd, Vector512.Create(Far * Far2), Vector512.Load(from + (5 * step)));
            Vector512.FusedMultiplyAdd(nearOdd, Vector512.Create(Near * Near2), last).Store(to + (3 * next));
        }
    }
}
