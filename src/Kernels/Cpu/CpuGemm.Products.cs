using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Devices.Cpu;

namespace Kernels.Cpu;

/// <summary>
/// A matrix product whose operands are no matrices in memory: they are made as they are packed, and its results are taken a block at a
/// time.
/// </summary>
/// <typeparam name="TSum">The arithmetic type.</typeparam>
internal unsafe interface ICpuProduct<TSum>
    where TSum : unmanaged
{
    long Rows { get; }

    long Columns { get; }

    long Depth { get; }

    /// <summary>
    /// Writes rows of the left operand, each <paramref name="depth"/> elements from <paramref name="firstDepth"/> on. Each block of columns
    /// has them written, slice by slice in order; <paramref name="isFirst"/> is true for one of the blocks.
    /// </summary>
    void PackLeft(long firstRow, long rows, long firstDepth, long depth, TSum* destination, long stride, bool isFirst);

    /// <summary>
    /// Writes columns of the right operand, row by row of its <paramref name="depth"/> rows; for blocks of rows as the left operand.
    /// </summary>
    void PackRight(long firstColumn, long columns, long firstDepth, long depth, TSum* destination, long stride, bool isFirst);

    /// <summary>Where such columns lie as they are wanted, from a row on; null where they must be packed.</summary>
    TSum* RightInPlace(long firstColumn, long columns, long firstDepth);

    /// <summary>From one row to the next of what lies in place.</summary>
    long RightStride { get; }

    /// <summary>Takes a tile of results, row by row.</summary>
    void Store(long firstRow, long rows, long firstColumn, long columns, TSum* sums, long stride);

    /// <summary>
    /// Lets a tile go where its results, and those of the rows below it, may be stored as they are; false where <see cref="Store"/> must
    /// take them.
    /// </summary>
    bool TryGo(long firstRow, long firstColumn, long columns, ref CpuGemm.TileSums<TSum> tile);

    /// <summary>
    /// Asks for a part of what will be packed for a block (<see cref="CpuPrefetch"/>); parts are called for one by one, while another block
    /// is multiplied.
    /// </summary>
    void Prefetch(in CpuBlock block, CpuPart part);
}

/// <summary>Rows, columns and steps of a product.</summary>
internal readonly record struct CpuBlock(long FirstRow, long Rows, long FirstColumn, long Columns, long FirstDepth, long Depth);

/// <summary>
/// One of several equal parts of anything that has less than 2^32 pieces: where it begins and ends, in 2^-32 of the whole. Nothing is
/// divided.
/// </summary>
internal readonly record struct CpuPart(ulong First, ulong End)
{
    /// <summary>The first of so many pieces, and the first behind them, that belong to this part.</summary>
    public (long First, long End) Of(long pieces) => ((long)((ulong)pieces * First >> 32), (long)((ulong)pieces * End >> 32));
}

internal static unsafe partial class CpuGemm
{
    /// <summary>Computes a product on all cores. Sums are made as those of matrices: slices in order, each a chain.</summary>
    internal static void Multiply<TSum, TProduct>(in TProduct product)
        where TSum : unmanaged
        where TProduct : unmanaged, ICpuProduct<TSum>
    {
        if (product.Rows <= 0 || product.Columns <= 0) return;
        if (Vector512.IsHardwareAccelerated)
            Made<TSum, Vector512<TSum>, Lanes512<TSum>, TProduct>.Run(product);
        else if (Vector256.IsHardwareAccelerated)
            Made<TSum, Vector256<TSum>, Lanes256<TSum>, TProduct>.Run(product);
        else
            Made<TSum, Vector128<TSum>, Lanes128<TSum>, TProduct>.Run(product);
    }

    /// <summary>Packs a matrix in memory as <see cref="ICpuProduct{TSum}"/> wants it.</summary>
    internal static void Pack<T, TSum>(
        long rows, long columns, T* source, long rowStride, long columnStride, TSum* destination, long destinationStride)
        where T : unmanaged
        where TSum : unmanaged
    {
        Strided<T> strided = new(source, rowStride, columnStride);
        if (Vector512.IsHardwareAccelerated)
            Blocked<T, TSum, Vector512<TSum>, Lanes512<TSum>>.Pack(rows, columns, columns, strided, destination, destinationStride);
        else if (Vector256.IsHardwareAccelerated)
            Blocked<T, TSum, Vector256<TSum>, Lanes256<TSum>>.Pack(rows, columns, columns, strided, destination, destinationStride);
        else
            Blocked<T, TSum, Vector128<TSum>, Lanes128<TSum>>.Pack(rows, columns, columns, strided, destination, destinationStride);
    }

    /// <summary>The product for one type of sums and one vector width. Blocks lie beside the result, so no edge cuts a tile.</summary>
    private sealed class Made<TSum, TVector, TLanes, TProduct>
        where TSum : unmanaged
        where TVector : unmanaged
        where TLanes : ILanes<TVector, TSum>
        where TProduct : unmanaged, ICpuProduct<TSum>
    {
        /// <summary>So many rows, packed, stay in a cache that cores share.</summary>
        private const long MostSharedRows = 4 * MaxBlockRows;

        /// <summary>Panels side by side, and the steps in all of them, that stay in the nearest cache beside a tile's rows.</summary>
        private const int MostNearPanels = 4, MostNearSteps = 3 * MaxDepth / 4;

        private readonly TProduct _product;
        private readonly long _rowBlocks;
        private readonly long _columnBlocks;

        /// <summary>The left operand of all blocks, or null where each packs its own.</summary>
        private readonly TSum* _left;

        private Made(in TProduct product, long rowBlocks, long columnBlocks, TSum* left)
        {
            (_product, _rowBlocks, _columnBlocks) = (product, rowBlocks, columnBlocks);
            _left = left;
        }

        private static int PanelWidth => 2 * TLanes.Width;

        public static void Run(in TProduct product)
        {
            bool isShallow = product.Depth <= MaxDepth, sharesLeft = isShallow && product.Rows <= MostSharedRows;
            long rowBlocks = sharesLeft ? 1 : DivideUp(product.Rows, MaxBlockRows);
            long columnBlocks = DivideUp(product.Columns, MaxBlockColumns);
            double work = (double)product.Rows * product.Columns * Math.Max(product.Depth, 1);
            long workers = work < InlineWork ? 1 : CpuParallel.Workers;

            if (rowBlocks * columnBlocks < EvenBlocks * workers)
            {
                if (product.Rows / TLanes.TileRows > product.Columns / PanelWidth)
                    rowBlocks = EvenlyShared(rowBlocks, columnBlocks, DivideUp(product.Rows, TLanes.TileRows), workers);
                else
                    columnBlocks = EvenlyShared(columnBlocks, rowBlocks, DivideUp(product.Columns, PanelWidth), workers);
            }

            // Where blocks lie below each other only, each packs its own rows while others pack theirs, if it has room for them.
            TSum* left = sharesLeft && (columnBlocks > 1 || product.Rows > MaxBlockRows) ? PackAllRows(product) : null;
            CpuParallel.For(
                rowBlocks * columnBlocks,
                new Action<long>(new Made<TSum, TVector, TLanes, TProduct>(product, rowBlocks, columnBlocks, left).MultiplyBlock));
        }

        /// <summary>In memory of the calling thread.</summary>
        private static TSum* PackAllRows(TProduct product)
        {
            TSum* left = CpuScratch.TakeShared<TSum>(DivideUp(product.Rows, TLanes.TileRows) * TLanes.TileRows * PackedRowStride);
            CpuParallel.ForRange(product.Rows, MaxBlockRows, (first, end) =>
                PackLeft(product, first, end - first, 0, product.Depth, left + (first * PackedRowStride), isFirst: true));
            return left;
        }

        private void MultiplyBlock(long task)
        {
            (long firstRow, long rows) = Part(_product.Rows, TLanes.TileRows, _rowBlocks, task / _columnBlocks);
            (long firstColumn, long columns) = Part(_product.Columns, PanelWidth, _columnBlocks, task % _columnBlocks);
            if (_product.Depth <= MaxDepth)
                MultiplyShallow(firstRow, rows, firstColumn, columns);
            else
                MultiplySlices(firstRow, rows, firstColumn, columns);
        }

        /// <summary>
        /// A block of one slice: some panels of the right operand stay in the nearest cache for all rows. Of a tile's rows longer pieces
        /// are then stored one after the other, which memory takes faster.
        /// </summary>
        private void MultiplyShallow(long firstRow, long rows, long firstColumn, long columns)
        {
            TProduct product = _product;
            Scratch scratch = Scratch.Current;
            long depth = product.Depth;
            TSum* sums = (TSum*)scratch.Sums, block = (TSum*)scratch.Block;
            if (_left == null)
                PackLeft(product, firstRow, rows, 0, depth, block, firstColumn == 0);
            else
                block = _left + (firstRow * PackedRowStride);
            TileSums<TSum> stays = default;
            stays.Stay(sums, PanelWidth, accumulate: false);
            NearPanel* panels = stackalloc NearPanel[MostNearPanels];
            long group = Math.Clamp(MostNearSteps / Math.Max(depth, 1), 1, MostNearPanels) * PanelWidth;
            for (long first = firstColumn, end = firstColumn + columns; first < end; first += group)
            {
                long groupEnd = Math.Min(first + group, end);
                int count = 0;
                for (long column = first; column < groupEnd; column += PanelWidth, count++)
                {
                    ref NearPanel panel = ref panels[count];
                    (panel.Column, panel.Width) = (column, Math.Min(PanelWidth, end - column));
                    TSum* packed = (TSum*)scratch.Panel + (count * depth * PanelWidth);
                    panel.Steps = Right(product, column, panel.Width, 0, depth, packed, firstRow == 0, out panel.Stride);
                    panel.Goes.Stay(sums, PanelWidth, accumulate: false);
                    panel.MayGo = panel.Width == PanelWidth && product.TryGo(firstRow, column, panel.Width, ref panel.Goes);
                }

                CpuBlock next = new(firstRow, 0, groupEnd, Math.Min(group, product.Columns - groupEnd), 0, depth);
                Parts parts = new(rows, groupEnd - first);
                for (long row = 0; row < rows; row += TLanes.TileRows)
                {
                    TSum* left = block + (row * PackedRowStride);
                    int height = (int)Math.Min(TLanes.TileRows, rows - row);
                    bool isWhole = height == MicroKernel<TSum, TVector, TLanes>.PaddedHeight(height);
                    for (NearPanel* panel = panels; panel < panels + count; panel++)
                    {
                        if (next.Columns > 0) product.Prefetch(next, parts.Next());
                        if (panel->MayGo && isWhole)
                        {
                            MultiplyTile(height, PanelWidth, depth, left, panel->Steps, panel->Stride, panel->Goes);
                            panel->Goes.Descend(height);
                            continue;
                        }

                        MultiplyTile(height, panel->Width, depth, left, panel->Steps, panel->Stride, stays);
                        product.Store(firstRow + row, height, panel->Column, panel->Width, sums, PanelWidth);
                    }
                }
            }
        }

        /// <summary>A block of several slices. Results are taken while they are in the nearest cache.</summary>
        private void MultiplySlices(long firstRow, long rows, long firstColumn, long columns)
        {
            TProduct product = _product;
            Scratch scratch = Scratch.Current;
            TSum* sums = (TSum*)scratch.Sums, block = (TSum*)scratch.Block;
            long slices = DivideUp(product.Depth, MaxDepth);
            TileSums<TSum> to = default;
            for (long slice = 0; slice < slices; slice++)
            {
                (long firstDepth, long depth) = Part(product.Depth, 1, slices, slice);
                (long nextDepth, long nextLength) = Part(product.Depth, 1, slices, Math.Min(slice + 1, slices - 1));
                CpuBlock next = new(firstRow, rows, firstColumn, columns, nextDepth, nextLength);
                Parts parts = new(rows, columns);
                PackLeft(product, firstRow, rows, firstDepth, depth, block, firstColumn == 0);
                for (long column = 0; column < columns; column += PanelWidth)
                {
                    long width = Math.Min(PanelWidth, columns - column);
                    TSum* packed = (TSum*)scratch.Panel;
                    TSum* panel = Right(product, firstColumn + column, width, firstDepth, depth, packed, firstRow == 0, out long stride);
                    for (long row = 0; row < rows; row += TLanes.TileRows)
                    {
                        long height = Math.Min(TLanes.TileRows, rows - row);
                        TSum* tile = sums + (row * SumStride) + column, left = block + (row * PackedRowStride);
                        if (slice == slices - 1)
                        {
                            Finish(
                                product, firstRow + row, height, firstColumn + column, width, depth, left, panel, stride, tile, slice > 0);
                            continue;
                        }

                        product.Prefetch(next, parts.Next());
                        to.Stay(tile, SumStride, slice > 0);
                        MultiplyTile(height, width, depth, left, panel, stride, to);
                    }
                }
            }
        }

        /// <summary>The last steps of a tile, whose results go where they belong.</summary>
        private static void Finish(
            in TProduct product, long firstRow, long height, long firstColumn, long width, long depth, TSum* left, TSum* right,
            long stride, TSum* sums, bool accumulate)
        {
            TileSums<TSum> tile = default;
            tile.Stay(sums, SumStride, accumulate);
            bool isWhole = height == MicroKernel<TSum, TVector, TLanes>.PaddedHeight((int)height) && width == PanelWidth;
            bool goes = isWhole && product.TryGo(firstRow, firstColumn, width, ref tile);
            MultiplyTile(height, width, depth, left, right, stride, tile);
            if (!goes) product.Store(firstRow, height, firstColumn, width, sums, SumStride);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void MultiplyTile(
            long height, long width, long depth, TSum* left, TSum* right, long stride, in TileSums<TSum> sums) =>
            MicroKernel<TSum, TVector, TLanes>.Multiply(
                MicroKernel<TSum, TVector, TLanes>.PaddedHeight((int)height), width > TLanes.Width ? 2 : 1, depth, left, right, stride,
                sums);

        /// <summary>A panel of the right operand, and where its results go if they may at once. It is never copied either.</summary>
        private struct NearPanel
        {
            public long Column, Width, Stride;
            public TSum* Steps;
            public TileSums<TSum> Goes;
            public bool MayGo;
        }

        /// <summary>A part for each tile of a block.</summary>
        private struct Parts(long rows, long columns)
        {
            private const ulong Whole = 1UL << 32;

            private readonly ulong _part = Whole / (ulong)(DivideUp(rows, TLanes.TileRows) * DivideUp(columns, PanelWidth));
            private ulong _end;

            /// <summary>The last one ends with the whole: what the others left.</summary>
            public CpuPart Next()
            {
                ulong first = _end;
                _end = Whole - first < 2 * _part ? Whole : first + _part;
                return new(first, _end);
            }
        }

        /// <summary>Rows up to a whole tile are zeros.</summary>
        private static void PackLeft(
            in TProduct product, long firstRow, long rows, long firstDepth, long depth, TSum* block, bool isFirst)
        {
            if (depth > 0) product.PackLeft(firstRow, rows, firstDepth, depth, block, PackedRowStride, isFirst);
            long paddedRows = DivideUp(rows, TLanes.TileRows) * TLanes.TileRows;
            for (long row = rows; row < paddedRows; row++) new Span<TSum>(block + (row * PackedRowStride), (int)depth).Clear();
        }

        /// <summary>A panel, where it lies or packed. Packed columns up to a whole vector are zeros.</summary>
        private static TSum* Right(
            in TProduct product, long firstColumn, long width, long firstDepth, long depth, TSum* packed, bool isFirst,
            out long stride)
        {
            stride = product.RightStride;
            TSum* panel = product.RightInPlace(firstColumn, width, firstDepth);
            if (panel != null && width == PanelWidth) return panel;
            panel = packed;
            stride = PanelWidth;
            if (depth > 0) product.PackRight(firstColumn, width, firstDepth, depth, panel, PanelWidth, isFirst);
            if (width % TLanes.Width != 0) ClearColumns(panel, depth, width, DivideUp(width, TLanes.Width) * TLanes.Width);
            return panel;
        }

        private static void ClearColumns(TSum* panel, long depth, long first, long end)
        {
            for (long row = 0; row < depth; row++, panel += PanelWidth) new Span<TSum>(panel + first, (int)(end - first)).Clear();
        }

        private static (long First, long Count) Part(long length, long unit, long parts, long part)
        {
            long units = DivideUp(length, unit);
            long first = units * part / parts * unit;
            return (first, Math.Min(length, units * (part + 1) / parts * unit) - first);
        }
    }
}
