using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;

namespace Kernels;

/// <content>
/// Filters of 3x3 taps by Winograd's minimal filtering, F(4x4, 3x3): tiles of 4x4 results are made of 6x6 pixels with 36 multiplications
/// for each pair of channels, where the sums of taps take 144. A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural Networks",
/// CVPR 2016.
/// </content>
public static unsafe partial class Conv2d
{
    /// <summary>
    /// The matrices along one axis: y = A^T [(G w) . (B^T x)], so for the gradient of the filter dw = G^T [(A dy) . (B^T x)].
    /// </summary>
    /// <remarks>
    /// The polynomials behind them are evaluated at 0, +-3/4, +-3/2 and infinity, where rounding errors are about half as large as with the
    /// usual 0, +-1, +-2: no power of a point is far from 1.
    /// </remarks>
    private static class Winograd
    {
        /// <summary>Results of a tile along an axis, the pixels that it sees, and all of these: the places of a tile.</summary>
        public const int Side = 4, Seen = 6, Area = Seen * Seen;

        /// <summary>Taps along an axis, and all.</summary>
        public const int TapsOfAxis = Seen - Side + 1, Taps = TapsOfAxis * TapsOfAxis;

        /// <summary>The points, and their squares, the product and the sum of those.</summary>
        private const float Near = 0.75f, Far = 1.5f, Near2 = Near * Near, Far2 = Far * Far, Product = Near2 * Far2, Sum = Near2 + Far2;

        /// <summary>What taps are divided by at each point.</summary>
        private const float AtZero = 1 / Product, AtNear = 1 / (2 * Near2 * (Near2 - Far2)), AtFar = 1 / (2 * Far2 * (Far2 - Near2));

        /// <summary>With fewer tiles in all it takes longer to transform the filter than to sum its taps.</summary>
        private const int LeastTiles = 32;

        /// <summary>With fewer channels there is more to transform than to multiply.</summary>
        private const int LeastChannels = 16;

        /// <summary>Where results fill less of the tiles, summing taps takes as long.</summary>
        private const double LeastUse = 0.4;

        public static int Lanes => Vector512<float>.Count;

        public static int PanelColumns => CpuGemm.PanelColumns<float>();

        /// <summary>Whether maps of so many rows and columns are better made in tiles.</summary>
        public static bool Takes(in Conv2dShapeArguments shape, long height, long width)
        {
            bool isPlain = (shape.FilterHeight, shape.FilterWidth, shape.StrideY, shape.StrideX, shape.DilationY, shape.DilationX)
                == (TapsOfAxis, TapsOfAxis, 1, 1, 1, 1);
            double inTiles = (double)(Tiles(height, Side) * Tiles(width, Side) * Side * Side);
            return isPlain && PanelColumns >= Lanes && Math.Min(shape.XChannels, shape.YChannels) >= LeastChannels
                && shape.Batch * inTiles >= LeastTiles * Side * Side && height * width >= LeastUse * inTiles;
        }

        /// <summary>
        /// From one tile to the next where its channels lie side by side: whole vectors. A multiple of 1 KiB would have all share a few
        /// sets of the nearest cache.
        /// </summary>
        public static long TileLength(long channels)
        {
            long length = Tiles(channels, Lanes) * Lanes;
            return length * sizeof(float) % 1024 == 0 ? length + Lanes : length;
        }

        /// <summary>Parts of some rows of tiles, counted through all images, that lie in one image; their first tile of those.</summary>
        public static IEnumerable<(long Image, int Down, int Count, long Tile)> Pieces(long firstRow, long rows, int down, int across)
        {
            for (long row = firstRow, count; row < firstRow + rows; row += count)
            {
                (long image, long first) = Math.DivRem(row, down);
                count = Math.Min(down - first, firstRow + rows - row);
                yield return (image, (int)first, (int)count, (row - firstRow) * across);
            }
        }

        /// <summary>Three taps to six: G.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void FilterAxis(float* from, long step, float* to, long next)
        {
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

        /// <summary>Six sums to the gradients of three taps: G^T.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void FilterGradientAxis(float* from, long step, float* to, long next)
        {
            Vector512<float> m1 = Vector512.Load(from + step), m2 = Vector512.Load(from + (2 * step));
            Vector512<float> m3 = Vector512.Load(from + (3 * step)), m4 = Vector512.Load(from + (4 * step));
            Vector512<float> near = (m1 + m2) * AtNear, far = (m3 + m4) * AtFar;
            Vector512.FusedMultiplyAdd(Vector512.Load(from), Vector512.Create(AtZero), near + far).Store(to);
            Vector512<float> nearOdd = (m1 - m2) * (Near * AtNear);
            Vector512.FusedMultiplyAdd(m3 - m4, Vector512.Create(Far * AtFar), nearOdd).Store(to + next);
            Vector512<float> last = Vector512.FusedMultiplyAdd(far, Vector512.Create(Far2), Vector512.Load(from + (5 * step)));
            Vector512.FusedMultiplyAdd(near, Vector512.Create(Near2), last).Store(to + (2 * next));
        }

        /// <summary>Six products to four results: A^T.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void ResultAxis(float* from, long step, float* to, long next)
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

        /// <summary>What a tile has along an axis, and how it comes to six.</summary>
        public interface IAxis
        {
            static abstract int Count { get; }

            static abstract void Transform(float* from, long step, float* to, long next);
        }

        /// <summary>Six pixels to six: B^T.</summary>
        public readonly struct PixelAxis : IAxis
        {
            public static int Count => Seen;

            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            public static void Transform(float* from, long step, float* to, long next)
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
        }

        /// <summary>Gradients of four results to six: A.</summary>
        public readonly struct GradientAxis : IAxis
        {
            public static int Count => Side;

            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            public static void Transform(float* from, long step, float* to, long next)
            {
                Vector512<float> d0 = Vector512.Load(from), d1 = Vector512.Load(from + step);
                Vector512<float> d2 = Vector512.Load(from + (2 * step)), d3 = Vector512.Load(from + (3 * step));
                Vector512<float> near2 = Vector512.Create(Near2), far2 = Vector512.Create(Far2);
                d0.Store(to);
                Vector512<float> even = Vector512.FusedMultiplyAdd(d2, near2, d0), odd = Vector512.FusedMultiplyAdd(d3, near2, d1) * Near;
                (even + odd).Store(to + next);
                (even - odd).Store(to + (2 * next));
                even = Vector512.FusedMultiplyAdd(d2, far2, d0);
                odd = Vector512.FusedMultiplyAdd(d3, far2, d1) * Far;
                (even + odd).Store(to + (3 * next));
                (even - odd).Store(to + (4 * next));
                d3.Store(to + (5 * next));
            }
        }
    }

    /// <summary>Where transformed tiles go: place by place, tile by tile, and the channels that a panel has together.</summary>
    private readonly record struct WinogradPlaces(long Place, long Tile, long Panel);

    /// <summary>The tiles of a map, transformed along both axes.</summary>
    private readonly struct WinogradTiles<TAxis>
        where TAxis : struct, Winograd.IAxis
    {
        private readonly Im2Col<float, float> _image;
        private readonly bool _isLast;

        /// <param name="image">The map, with the axes of what its tiles see.</param>
        /// <param name="last">Whether channels lie side by side.</param>
        public WinogradTiles(in Im2Col<float, float> image, bool last)
        {
            (Down, Across) = ((int)Tiles(image.Vertical.Results, Winograd.Side), (int)Tiles(image.Horizontal.Results, Winograd.Side));
            _image = image with { Horizontal = image.Horizontal with { Results = Across * Winograd.Side } };
            _isLast = last;
        }

        /// <summary>Tiles in a row, and rows of them.</summary>
        public int Across { get; }

        public int Down { get; }

        /// <summary>Memory for a row that is transformed along one axis.</summary>
        public long HalfLength => (long)Columns * Winograd.Seen * Winograd.Lanes;

        private int Columns => ((Across - 1) * Winograd.Side) + TAxis.Count;

        /// <summary>Memory for what some rows of tiles see.</summary>
        public long BandLength(long rows) => Band(0, Math.Min(rows, Down)).Length + Winograd.Lanes;

        /// <summary>The results of rows of tiles, those below the image too.</summary>
        public GatherAxis BandOf(long firstRow, long rows)
        {
            GatherAxis axis = _image.Vertical;
            int first = (int)(firstRow * Winograd.Side);
            return axis with { First = axis.First + first, Results = (int)rows * Winograd.Side, ResultFirst = axis.ResultFirst + first };
        }

        /// <summary>Rows of tiles of an image. Of its last vector a tile has what happens to be there besides.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Transform(long image, int firstRow, int rows, float* memory, float* half, float* to, in WinogradPlaces places)
        {
            const int Side = Winograd.Side, Seen = Winograd.Seen;
            int lanes = Winograd.Lanes, panelColumns = Winograd.PanelColumns, columns = Columns, across = Across;
            PaddedBand<float, float> band = Band(firstRow, rows);
            float* pixels = band.Fill(_image.Image + (image * _image.Strides.Batch), memory);
            long halfRow = (long)columns * lanes, pixel = band.Pixel, line = band.Row, place = places.Place, next = places.Tile;
            for (int row = 0; row < rows; row++, pixels += Side * line, to += across * next)
            {
                for (int channel = 0; channel < _image.Channels; channel += lanes)
                {
                    for (int column = 0; column < columns; column++)
                        TAxis.Transform(pixels + (column * pixel) + channel, line, half + (column * lanes), halfRow);
                    float* panel = to + (channel / panelColumns * places.Panel) + (channel % panelColumns);
                    for (int down = 0; down < Seen; down++)
                    {
                        float* from = half + (down * halfRow), own = panel + (down * Seen * place);
                        for (int tile = 0; tile < across; tile++, from += Side * lanes, own += next)
                            TAxis.Transform(from, lanes, own, place);
                    }
                }
            }
        }

        /// <summary>Vectors reach beyond a pixel that does not end with one: it is copied, and behind it is room.</summary>
        private PaddedBand<float, float> Band(long firstRow, long rows) =>
            new(_image, BandOf(firstRow, rows), _isLast, copies: _image.Channels % Winograd.Lanes != 0);
    }
}
