using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Kernels.Cpu;

/// <content>
/// Tiles whose left operand is read where it lies, such as the pixels of an image: step k of row i is at offsets[k] + i · stride, or at
/// offsets[k] + rows[i]. The right operand is a packed panel.
/// </content>
internal static unsafe partial class CpuGemm
{
    /// <summary>The columns of a panel.</summary>
    internal static int PanelColumns<TSum>()
        where TSum : unmanaged => 2 * VectorColumns<TSum>();

    /// <summary>The columns of a vector: panels are filled up to a whole one.</summary>
    internal static int VectorColumns<TSum>()
        where TSum : unmanaged => Vector512.IsHardwareAccelerated ? Lanes512<TSum>.Width
            : Vector256.IsHardwareAccelerated ? Lanes256<TSum>.Width : Lanes128<TSum>.Width;

    /// <summary>Slices of k, as those of a product: equal, and a function of k alone.</summary>
    internal static long SlicesOf(long depth) => DivideUp(depth, MaxDepth);

    /// <summary>The rows of a tile that fills the registers.</summary>
    internal static int TallestTile<TSum>()
        where TSum : unmanaged => Vector512.IsHardwareAccelerated
            || (Vector256.IsHardwareAccelerated ? Lanes256<TSum>.TileRows : Lanes128<TSum>.TileRows) > 6 ? 14 : 6;

    /// <summary>The height at which tiles that cover a number of rows have the fewest in all, the tallest of such heights.</summary>
    internal static int TileHeightFor<TSum>(long rows)
        where TSum : unmanaged
    {
        ReadOnlySpan<int> heights = TallestTile<TSum>() > 6 ? [14, 12, 8, 7, 4] : [6, 4];
        int best = heights[0];
        foreach (int height in heights)
        {
            if (DivideUp(rows, height) * height < DivideUp(rows, best) * best) best = height;
        }

        return best;
    }

    /// <summary>Whether there are tiles of a height: of those that <see cref="TileHeightFor"/> gives, and of one row less.</summary>
    internal static bool HasGathered(int height) => height is 3 or 4 or 6 or 7 or 8 or 11 or 12 or 13 or 14;

    /// <summary>The least height that holds so many rows, of those that <see cref="HasGathered"/> knows.</summary>
    internal static int GatheredHeight(int rows)
    {
        while (rows > 0 && !HasGathered(rows)) rows++;
        return rows;
    }

    /// <summary>sums = (former +) left · panel for one tile of a height that <see cref="HasGathered"/> knows.</summary>
    /// <param name="height">Rows.</param>
    /// <param name="columns">Columns, at most those of a panel.</param>
    /// <param name="depth">Steps.</param>
    /// <param name="left">Where row 0 has the offset 0.</param>
    /// <param name="offsets">Of each step.</param>
    /// <param name="leftStride">From one row to the next.</param>
    /// <param name="panel">The panel.</param>
    /// <param name="sums">The tile.</param>
    internal static void MultiplyGathered<TSum>(
        int height, long columns, long depth, TSum* left, long* offsets, long leftStride, TSum* panel, in TileSums<TSum> sums)
        where TSum : unmanaged
    {
        Gathered<TSum> tile = new() { Depth = depth, Left = left, Offsets = offsets, LeftStride = leftStride, Panel = panel };
        Multiply<TSum, StridedRows<TSum>>(height, columns, tile, sums);
    }

    /// <summary>The same for rows that lie anywhere, which takes a load more for each step of each.</summary>
    /// <param name="height">Rows.</param>
    /// <param name="columns">Columns, at most those of a panel.</param>
    /// <param name="depth">Steps.</param>
    /// <param name="left">From where offsets count.</param>
    /// <param name="offsets">Of each step.</param>
    /// <param name="rows">Offsets of each row.</param>
    /// <param name="panel">The panel.</param>
    /// <param name="sums">The tile.</param>
    internal static void MultiplyGathered<TSum>(
        int height, long columns, long depth, TSum* left, long* offsets, long* rows, TSum* panel, in TileSums<TSum> sums)
        where TSum : unmanaged
    {
        Gathered<TSum> tile = new() { Depth = depth, Left = left, Offsets = offsets, Rows = rows, Panel = panel };
        Multiply<TSum, ListedRows<TSum>>(height, columns, tile, sums);
    }

    private static void Multiply<TSum, TRows>(int height, long columns, in Gathered<TSum> tile, in TileSums<TSum> sums)
        where TSum : unmanaged
        where TRows : IRows<TSum, TRows>
    {
        if (Vector512.IsHardwareAccelerated)
            GatherKernel<TSum, Vector512<TSum>, Lanes512<TSum>, TRows>.Multiply(height, columns, tile, sums);
        else if (Vector256.IsHardwareAccelerated)
            GatherKernel<TSum, Vector256<TSum>, Lanes256<TSum>, TRows>.Multiply(height, columns, tile, sums);
        else
            GatherKernel<TSum, Vector128<TSum>, Lanes128<TSum>, TRows>.Multiply(height, columns, tile, sums);
    }

    private struct Gathered<TSum>
        where TSum : unmanaged
    {
        public long Depth, LeftStride;
        public TSum* Left, Panel;
        public long* Offsets, Rows;
    }

    /// <summary>Where the rows of a tile lie.</summary>
    private interface IRows<TSum, TSelf>
        where TSum : unmanaged
        where TSelf : IRows<TSum, TSelf>
    {
        static abstract TSelf Of(in Gathered<TSum> tile);

        /// <summary>An element of a row; rows are asked for in order, from where a step begins on.</summary>
        TSum* Next(int row, ref TSum* at);
    }

    /// <summary>Rows by threes, whose addresses need no more than the pointer to the first: there are few integer registers.</summary>
    private readonly struct StridedRows<TSum>(long stride) : IRows<TSum, StridedRows<TSum>>
        where TSum : unmanaged
    {
        private readonly long _one = stride, _two = 2 * stride, _three = 3 * stride;

        public static StridedRows<TSum> Of(in Gathered<TSum> tile) => new(tile.LeftStride);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public TSum* Next(int row, ref TSum* at)
        {
            if (row > 0 && row % 3 == 0) at += _three;
            return row % 3 == 0 ? at : at + (row % 3 == 1 ? _one : _two);
        }
    }

    /// <summary>Rows anywhere, whose offsets are read anew at each step for the same reason.</summary>
    private readonly struct ListedRows<TSum>(long* offsets) : IRows<TSum, ListedRows<TSum>>
        where TSum : unmanaged
    {
        private readonly long* _offsets = offsets;

        public static ListedRows<TSum> Of(in Gathered<TSum> tile) => new(tile.Rows);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public TSum* Next(int row, ref TSum* at) => at + _offsets[row];
    }

    private static class GatherKernel<TSum, TVector, TLanes, TRows>
        where TSum : unmanaged
        where TVector : unmanaged
        where TLanes : ILanes<TVector, TSum>
        where TRows : IRows<TSum, TRows>
    {
        public static void Multiply(int height, long columns, in Gathered<TSum> tile, in TileSums<TSum> sums)
        {
            switch (height)
            {
                case 3: Multiply<Three>(columns, tile, sums); break;
                case 4: Multiply<Four>(columns, tile, sums); break;
                case 6: Multiply<Six>(columns, tile, sums); break;
                case 7: Multiply<Seven>(columns, tile, sums); break;
                case 8: Multiply<Eight>(columns, tile, sums); break;
                case 11: Multiply<Eleven>(columns, tile, sums); break;
                case 12: Multiply<Twelve>(columns, tile, sums); break;
                case 13: Multiply<Thirteen>(columns, tile, sums); break;
                default: Multiply<Fourteen>(columns, tile, sums); break;
            }
        }

        private static void Multiply<THeight>(long columns, in Gathered<TSum> tile, in TileSums<TSum> sums)
            where THeight : ICount
        {
            if (columns <= TLanes.Width)
                Multiply<THeight, One>(tile, sums);
            else
                Multiply<THeight, Two>(tile, sums);
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void Multiply<THeight, TWidth>(in Gathered<TSum> tile, in TileSums<TSum> sums)
            where THeight : ICount
            where TWidth : ICount
        {
            TVector l0 = default, l1 = default, l2 = default, l3 = default, l4 = default, l5 = default, l6 = default;
            TVector l7 = default, l8 = default, l9 = default, l10 = default, l11 = default, l12 = default, l13 = default;
            TVector r0 = default, r1 = default, r2 = default, r3 = default, r4 = default, r5 = default, r6 = default;
            TVector r7 = default, r8 = default, r9 = default, r10 = default, r11 = default, r12 = default, r13 = default;
            TRows rows = TRows.Of(tile);
            long* offset = tile.Offsets, end = offset + tile.Depth;
            TSum* a = tile.Left, b = tile.Panel;
            for (; offset < end; offset++, b += 2 * TLanes.Width)
            {
                TSum* at = a + *offset;
                TVector left = TLanes.Load(b);
                TVector right = TWidth.Value > 1 ? TLanes.Load(b + TLanes.Width) : default;
                Step<THeight, TWidth>(0, rows, ref at, left, right, ref l0, ref r0);
                Step<THeight, TWidth>(1, rows, ref at, left, right, ref l1, ref r1);
                Step<THeight, TWidth>(2, rows, ref at, left, right, ref l2, ref r2);
                Step<THeight, TWidth>(3, rows, ref at, left, right, ref l3, ref r3);
                Step<THeight, TWidth>(4, rows, ref at, left, right, ref l4, ref r4);
                Step<THeight, TWidth>(5, rows, ref at, left, right, ref l5, ref r5);
                Step<THeight, TWidth>(6, rows, ref at, left, right, ref l6, ref r6);
                Step<THeight, TWidth>(7, rows, ref at, left, right, ref l7, ref r7);
                Step<THeight, TWidth>(8, rows, ref at, left, right, ref l8, ref r8);
                Step<THeight, TWidth>(9, rows, ref at, left, right, ref l9, ref r9);
                Step<THeight, TWidth>(10, rows, ref at, left, right, ref l10, ref r10);
                Step<THeight, TWidth>(11, rows, ref at, left, right, ref l11, ref r11);
                Step<THeight, TWidth>(12, rows, ref at, left, right, ref l12, ref r12);
                Step<THeight, TWidth>(13, rows, ref at, left, right, ref l13, ref r13);
            }

            TSum* to = sums.To, former = sums.Former;
            long stride = sums.Stride, formerStride = sums.FormerStride;
            TileEnd<TSum> ends = new(sums.Bias, sums.IsOfRows, sums.Rectifies);
            bool streams = sums.Streams;
            FinishRow<THeight, TWidth, TVector, TSum, TLanes>(0, l0, r0, ends, ref to, stride, ref former, formerStride, streams);
            FinishRow<THeight, TWidth, TVector, TSum, TLanes>(1, l1, r1, ends, ref to, stride, ref former, formerStride, streams);
            FinishRow<THeight, TWidth, TVector, TSum, TLanes>(2, l2, r2, ends, ref to, stride, ref former, formerStride, streams);
            FinishRow<THeight, TWidth, TVector, TSum, TLanes>(3, l3, r3, ends, ref to, stride, ref former, formerStride, streams);
            FinishRow<THeight, TWidth, TVector, TSum, TLanes>(4, l4, r4, ends, ref to, stride, ref former, formerStride, streams);
            FinishRow<THeight, TWidth, TVector, TSum, TLanes>(5, l5, r5, ends, ref to, stride, ref former, formerStride, streams);
            FinishRow<THeight, TWidth, TVector, TSum, TLanes>(6, l6, r6, ends, ref to, stride, ref former, formerStride, streams);
            FinishRow<THeight, TWidth, TVector, TSum, TLanes>(7, l7, r7, ends, ref to, stride, ref former, formerStride, streams);
            FinishRow<THeight, TWidth, TVector, TSum, TLanes>(8, l8, r8, ends, ref to, stride, ref former, formerStride, streams);
            FinishRow<THeight, TWidth, TVector, TSum, TLanes>(9, l9, r9, ends, ref to, stride, ref former, formerStride, streams);
            FinishRow<THeight, TWidth, TVector, TSum, TLanes>(10, l10, r10, ends, ref to, stride, ref former, formerStride, streams);
            FinishRow<THeight, TWidth, TVector, TSum, TLanes>(11, l11, r11, ends, ref to, stride, ref former, formerStride, streams);
            FinishRow<THeight, TWidth, TVector, TSum, TLanes>(12, l12, r12, ends, ref to, stride, ref former, formerStride, streams);
            FinishRow<THeight, TWidth, TVector, TSum, TLanes>(13, l13, r13, ends, ref to, stride, ref former, formerStride, streams);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Step<THeight, TWidth>(
            int row, in TRows rows, ref TSum* at, TVector left, TVector right, ref TVector leftSum, ref TVector rightSum)
            where THeight : ICount
            where TWidth : ICount
        {
            if (row >= THeight.Value) return;
            TVector element = TLanes.Broadcast(rows.Next(row, ref at));
            leftSum = TLanes.MultiplyAdd(element, left, leftSum);
            if (TWidth.Value > 1) rightSum = TLanes.MultiplyAdd(element, right, rightSum);
        }
    }
}
