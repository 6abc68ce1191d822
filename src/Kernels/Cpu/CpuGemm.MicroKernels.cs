using System.Runtime.CompilerServices;
using Kernels.Devices.Cpu;

namespace Kernels.Cpu;

internal static unsafe partial class CpuGemm
{
    /// <summary>The most rows in a tile.</summary>
    private const int MaxTileRows = 12;

    /// <summary>The innermost loops: one tile of sums, kept in registers over a whole slice of k.</summary>
    private static class MicroKernel<TSum, TVector, TLanes>
        where TSum : unmanaged
        where TVector : unmanaged
        where TLanes : ILanes<TVector, TSum>
    {
        /// <summary>The least tile height there is that holds a number of rows.</summary>
        public static int PaddedHeight(int rows) => rows <= 4 ? 4 : TLanes.TileRows == 6 ? 6 : rows <= 8 ? 8 : 12;

        /// <summary>c = (former +) a · b for one tile of a height that <see cref="PaddedHeight"/> gives.</summary>
        /// <param name="height">The rows of a and c.</param>
        /// <param name="vectors">The width of b, bias and c in vectors, 1 or 2.</param>
        /// <param name="depth">The columns of a and rows of b.</param>
        /// <param name="a">Rows of the packed block, <see cref="PackedRowStride"/> apart.</param>
        /// <param name="b">The panel.</param>
        /// <param name="bStride">The distance from one row of the panel to the next.</param>
        /// <param name="c">The sums.</param>
        public static void Multiply(
            int height, int vectors, long depth, TSum* a, TSum* b, long bStride, in TileSums<TSum> c)
        {
            switch (height)
            {
                case 4:
                    Multiply<Four>(vectors, depth, a, b, bStride, c);
                    break;
                case 6:
                    Multiply<Six>(vectors, depth, a, b, bStride, c);
                    break;
                case 8:
                    Multiply<Eight>(vectors, depth, a, b, bStride, c);
                    break;
                default:
                    Multiply<Twelve>(vectors, depth, a, b, bStride, c);
                    break;
            }
        }

        private static void Multiply<THeight>(
            int vectors, long depth, TSum* a, TSum* b, long bStride, in TileSums<TSum> c)
            where THeight : ICount
        {
            if (vectors == 1)
            {
                Multiply<THeight, One>(depth, a, b, bStride, c);
            }
            else
            {
                Multiply<THeight, Two>(depth, a, b, bStride, c);
            }
        }

        /// <summary>The loop itself. Each sum needs a variable of its own to become a register: l0 is the left vector of row 0.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void Multiply<THeight, TWidth>(
            long depth, TSum* a, TSum* b, long bStride, in TileSums<TSum> c)
            where THeight : ICount
            where TWidth : ICount
        {
            TVector l0 = default, l1 = default, l2 = default, l3 = default, l4 = default, l5 = default;
            TVector l6 = default, l7 = default, l8 = default, l9 = default, l10 = default, l11 = default;
            TVector r0 = default, r1 = default, r2 = default, r3 = default, r4 = default, r5 = default;
            TVector r6 = default, r7 = default, r8 = default, r9 = default, r10 = default, r11 = default;

            for (; depth > 0; depth--)
            {
                TVector left = TLanes.Load(b);
                TVector right = TWidth.Value > 1 ? TLanes.Load(b + TLanes.Width) : default;
                Step<THeight, TWidth>(0, a, left, right, ref l0, ref r0);
                Step<THeight, TWidth>(1, a, left, right, ref l1, ref r1);
                Step<THeight, TWidth>(2, a, left, right, ref l2, ref r2);
                Step<THeight, TWidth>(3, a, left, right, ref l3, ref r3);
                Step<THeight, TWidth>(4, a, left, right, ref l4, ref r4);
                Step<THeight, TWidth>(5, a, left, right, ref l5, ref r5);
                Step<THeight, TWidth>(6, a, left, right, ref l6, ref r6);
                Step<THeight, TWidth>(7, a, left, right, ref l7, ref r7);
                Step<THeight, TWidth>(8, a, left, right, ref l8, ref r8);
                Step<THeight, TWidth>(9, a, left, right, ref l9, ref r9);
                Step<THeight, TWidth>(10, a, left, right, ref l10, ref r10);
                Step<THeight, TWidth>(11, a, left, right, ref l11, ref r11);
                a++;
                b += bStride;
            }

            TSum* to = c.To, former = c.Former;
            long stride = c.Stride, formerStride = c.FormerStride;
            TileEnd<TSum> end = new(c.Bias, c.IsOfRows, c.Rectifies);
            bool streams = c.Streams;
            FinishRow<THeight, TWidth, TVector, TSum, TLanes>(0, l0, r0, end, ref to, stride, ref former, formerStride, streams);
            FinishRow<THeight, TWidth, TVector, TSum, TLanes>(1, l1, r1, end, ref to, stride, ref former, formerStride, streams);
            FinishRow<THeight, TWidth, TVector, TSum, TLanes>(2, l2, r2, end, ref to, stride, ref former, formerStride, streams);
            FinishRow<THeight, TWidth, TVector, TSum, TLanes>(3, l3, r3, end, ref to, stride, ref former, formerStride, streams);
            FinishRow<THeight, TWidth, TVector, TSum, TLanes>(4, l4, r4, end, ref to, stride, ref former, formerStride, streams);
            FinishRow<THeight, TWidth, TVector, TSum, TLanes>(5, l5, r5, end, ref to, stride, ref former, formerStride, streams);
            FinishRow<THeight, TWidth, TVector, TSum, TLanes>(6, l6, r6, end, ref to, stride, ref former, formerStride, streams);
            FinishRow<THeight, TWidth, TVector, TSum, TLanes>(7, l7, r7, end, ref to, stride, ref former, formerStride, streams);
            FinishRow<THeight, TWidth, TVector, TSum, TLanes>(8, l8, r8, end, ref to, stride, ref former, formerStride, streams);
            FinishRow<THeight, TWidth, TVector, TSum, TLanes>(9, l9, r9, end, ref to, stride, ref former, formerStride, streams);
            FinishRow<THeight, TWidth, TVector, TSum, TLanes>(10, l10, r10, end, ref to, stride, ref former, formerStride, streams);
            FinishRow<THeight, TWidth, TVector, TSum, TLanes>(11, l11, r11, end, ref to, stride, ref former, formerStride, streams);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Step<THeight, TWidth>(int row, TSum* a, TVector left, TVector right, ref TVector leftSum, ref TVector rightSum)
            where THeight : ICount
            where TWidth : ICount
        {
            if (row < THeight.Value)
            {
                TVector element = TLanes.Broadcast(a + (row * PackedRowStride));
                leftSum = TLanes.MultiplyAdd(element, left, leftSum);
                if (TWidth.Value > 1)
                {
                    rightSum = TLanes.MultiplyAdd(element, right, rightSum);
                }
            }
        }
    }

    /// <summary>
    /// Where the sums of a tile go, and what becomes of them. It is written member by member and never copied: a copy reads whole vectors,
    /// which wait until every store before them is done, those past the caches, too.
    /// </summary>
    internal struct TileSums<TSum>
        where TSum : unmanaged
    {
        /// <summary>Where they go row by row, and sums of earlier steps, which are added; null for none.</summary>
        public TSum* To, Former;

        /// <summary>From one row to the next.</summary>
        public long Stride, FormerStride;

        /// <summary>A bias that is added, that of the tile's first column, or row; null for none.</summary>
        public TSum* Bias;

        /// <summary>Whether each row has a bias, else each column.</summary>
        public bool IsOfRows;

        /// <summary>Whether what is below 0 becomes 0; NaN stays.</summary>
        public bool Rectifies;

        /// <summary>Whether they are stored past the caches: all rows then lie on whole vectors.</summary>
        public bool Streams;

        /// <summary>Sums in memory of ours, which stay there until the last steps.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Stay(TSum* sums, long stride, bool accumulate)
        {
            To = sums;
            Former = accumulate ? sums : null;
            (Stride, FormerStride) = (stride, stride);
            Bias = null;
            (IsOfRows, Rectifies, Streams) = (false, false, false);
        }

        /// <summary>The same sums, which at the end go elsewhere. Rows that do not lie on whole vectors are not streamed.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Go(void* to, long stride, void* bias, bool isOfRows, bool rectifies, bool streams)
        {
            To = (TSum*)to;
            Stride = stride;
            Bias = (TSum*)bias;
            (IsOfRows, Rectifies) = (isOfRows, rectifies);
            Streams = streams && (nuint)to % CpuHeap.Alignment == 0 && stride * sizeof(TSum) % CpuHeap.Alignment == 0;
        }

        /// <summary>On to the tile so many rows below.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Descend(int rows)
        {
            To += rows * Stride;
            if (IsOfRows && Bias != null) Bias += rows;
        }
    }

    private readonly struct TileEnd<TSum>(TSum* bias, bool isOfRows, bool rectifies)
        where TSum : unmanaged
    {
        public readonly TSum* Bias = bias;
        public readonly bool IsOfRows = isOfRows, Rectifies = rectifies;
    }

    /// <summary>The end of a row of a tile, if it has that row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void FinishRow<THeight, TWidth, TVector, TSum, TLanes>(
        int row, TVector leftSum, TVector rightSum, TileEnd<TSum> end, ref TSum* to, long stride, ref TSum* former, long formerStride,
        bool streams)
        where THeight : ICount
        where TWidth : ICount
        where TSum : unmanaged
        where TVector : unmanaged
        where TLanes : ILanes<TVector, TSum>
    {
        if (row >= THeight.Value) return;
        if (former != null)
        {
            leftSum = TLanes.Add(TLanes.Load(former), leftSum);
            if (TWidth.Value > 1) rightSum = TLanes.Add(TLanes.Load(former + TLanes.Width), rightSum);
            former += formerStride;
        }

        if (end.Bias != null)
        {
            TVector left = end.IsOfRows ? TLanes.Broadcast(end.Bias + row) : TLanes.Load(end.Bias), right = left;
            if (TWidth.Value > 1 && !end.IsOfRows) right = TLanes.Load(end.Bias + TLanes.Width);
            leftSum = TLanes.Add(leftSum, left);
            rightSum = TLanes.Add(rightSum, right);
        }

        if (end.Rectifies)
        {
            leftSum = TLanes.Rectify(leftSum);
            rightSum = TLanes.Rectify(rightSum);
        }

        if (streams)
        {
            TLanes.Stream(leftSum, to);
            if (TWidth.Value > 1) TLanes.Stream(rightSum, to + TLanes.Width);
        }
        else
        {
            TLanes.Store(leftSum, to);
            if (TWidth.Value > 1) TLanes.Store(rightSum, to + TLanes.Width);
        }

        to += stride;
    }
}
