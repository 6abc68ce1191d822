using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;

namespace Kernels;

public static unsafe partial class DropBlock
{
    /// <summary>
    /// The seeds of maps. Most of 64 that are drawn at once are none, and go no further than a comparison; what is found is put where its
    /// cells are.
    /// </summary>
    private sealed class SeedDraw(DropBlockDrawArguments a, RandomKey key)
    {
        /// <summary>
        /// Random numbers that are made before any is looked at: whether there is a seed cannot be foreseen, and each time it was, wrongly,
        /// a processor would have begun the next draw too early.
        /// </summary>
        private const int LanesAtOnce = 16 * CpuPhilox.LanesOfFour;

        private readonly CpuPhilox _philox = new(key);
        private readonly InvariantDivisor _seedWidth = InvariantDivisor.Of((long)a.SeedWidth);
        private readonly InvariantDivisor _seedHeight = InvariantDivisor.Of((long)a.SeedHeight);
        private readonly InvariantDivisor _seedDepth = InvariantDivisor.Of((long)a.SeedDepth);

        [SkipLocalsInit]
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Draw(long firstWord, long endWord, ulong* bits)
        {
            ushort* lanes = stackalloc ushort[LanesAtOnce];
            ulong first = a.FirstUnit + (ulong)UnitsBefore(firstWord * CellsPerWord);
            ulong end = a.FirstUnit + (ulong)UnitsBefore(Math.Min((long)a.Cells, endWord * CellsPerWord));
            bool allAreSeeds = a.Threshold >> 32 != 0;
            Vector512<ushort> upper = Vector512.Create((ushort)(a.Threshold >> 16));
            bits -= firstWord;
            for (ulong start = first / Philox.LanesPerBlock * Philox.LanesPerBlock; start < end; start += LanesAtOnce)
            {
                int count = (int)Math.Min(LanesAtOnce, end - start);
                for (int lane = 0; lane < count && !allAreSeeds; lane += CpuPhilox.LanesOfFour)
                    _philox.DrawFour((start + (ulong)lane) / Philox.LanesPerBlock, lanes + lane);
                for (int lane = 0; lane < count; lane += CpuPhilox.Lanes)
                {
                    ulong unit = start + (ulong)lane, seeds = ulong.MaxValue;
                    if (!allAreSeeds && !AreSeeds(unit, lanes + lane, upper, out seeds)) continue;
                    if (unit < first) seeds &= ulong.MaxValue << (int)(first - unit);
                    if (count - lane < CpuPhilox.Lanes) seeds &= ulong.MaxValue >> (CpuPhilox.Lanes - (count - lane));
                    if (seeds != 0) Place(seeds, (long)(unit - a.FirstUnit), bits);
                }
            }
        }

        /// <summary>
        /// Bit i says whether a unit, the first of a block of random numbers, plus i is a seed; false where none of them can be one.
        /// </summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private bool AreSeeds(ulong unit, ushort* lanes, Vector512<ushort> upper, out ulong seeds)
        {
            Vector512<ushort> first = Vector512.Load(lanes), second = Vector512.Load(lanes + Vector512<ushort>.Count);
            seeds = 0;
            if (!Vector512.LessThanOrEqualAny(Vector512.Min(first, second), upper)) return false;
            seeds = Decide(
                unit, Mask(Vector512.LessThanOrEqual(first, upper), Vector512.LessThanOrEqual(second, upper)),
                Mask(Vector512.Equals(first, upper), Vector512.Equals(second, upper)));
            return true;
        }

        /// <summary>Those that their upper half leaves open are seeds where the lower half says so.</summary>
        private ulong Decide(ulong unit, ulong seeds, ulong open)
        {
            for (; open != 0; open &= open - 1)
            {
                int i = BitOperations.TrailingZeroCount(open);
                ushort lower = Philox.Lane(key, (Philox.LanesPerBlock * LowerHalves) + unit + (ulong)i);
                if (lower >= (ushort)a.Threshold) seeds ^= 1UL << i;
            }

            return seeds;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static ulong Mask(Vector512<ushort> first, Vector512<ushort> second) =>
            (uint)first.ExtractMostSignificantBits() | ((ulong)second.ExtractMostSignificantBits() << 32);

        /// <summary>Sets the cells of seeds, row by row: those of unit plus i for each bit i.</summary>
        private void Place(ulong seeds, long unit, ulong* bits)
        {
            int skipped = BitOperations.TrailingZeroCount(seeds);
            seeds >>= skipped;
            unit += skipped;
            (long width, long height, long depth) = ((long)a.SeedWidth, (long)a.SeedHeight, (long)a.SeedDepth);
            long row = _seedWidth.Divide(unit), plane = _seedHeight.Divide(row), map = _seedDepth.Divide(plane);
            (long x, long y, long z) = (unit - (row * width), row - (plane * height), plane - (map * depth));
            long cell = (((((map * (long)a.Depth) + z) * (long)a.Height) + y) * (long)a.Width) + x;
            while (true)
            {
                int left = (int)Math.Min(64, width - x);
                ulong part = seeds & (ulong.MaxValue >> (64 - left));
                int shift = (int)(cell % 64);
                bits[cell / 64] |= part << shift;
                ulong rest = part >> 1 >> (63 - shift);
                if (rest != 0) bits[(cell / 64) + 1] |= rest;
                seeds = left == 64 ? 0 : seeds >> left;
                if (seeds == 0) return;

                cell += (long)a.Width - x;
                x = 0;
                if (++y < height) continue;
                y = 0;
                cell += ((long)a.Height - height) * (long)a.Width;
                if (++z < depth) continue;
                z = 0;
                cell += ((long)a.Depth - depth) * (long)a.Height * (long)a.Width;
            }
        }

        /// <summary>How many positions where a block may start come before a cell.</summary>
        private long UnitsBefore(long cell)
        {
            (long row, long x) = Math.DivRem(cell, (long)a.Width);
            (long plane, long y) = Math.DivRem(row, (long)a.Height);
            (long map, long z) = Math.DivRem(plane, (long)a.Depth);
            (long width, long height, long depth) = ((long)a.SeedWidth, (long)a.SeedHeight, (long)a.SeedDepth);
            if (z >= depth) (z, y, x) = (depth, 0, 0);
            else if (y >= height) (y, x) = (height, 0);
            return (((((map * depth) + z) * height) + y) * width) + Math.Min(x, width);
        }
    }
}
