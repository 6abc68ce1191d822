using System.Buffers;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

public static unsafe partial class DropBlock
{
    /// <summary>Words of 64 cells that one core takes at a time.</summary>
    private const long WordsPerChunk = CpuParallel.ElementsPerChunk / 64;

    /// <summary>Seeds alone go to the target at once; what is to be spread as well is not in place.</summary>
    private static void CpuDraw(in KernelVariant variant, in DropBlockDrawArguments arguments)
    {
        DropBlockDrawArguments a = arguments;
        uint* target = a.Target.Pointer<uint>();
        if (a.Spread == SpreadArguments.Nothing && a.Invert == 0)
        {
            DrawSeeds(a, (ulong*)target);
            return;
        }

        ulong[] rented = ArrayPool<ulong>.Shared.Rent((int)((a.Cells + 63) / 64));
        fixed (ulong* seeds = rented)
        {
            DrawSeeds(a, seeds);
            Spread(seeds, target, (long)a.Cells, a.Spread, a.Invert != 0);
        }

        ArrayPool<ulong>.Shared.Return(rented);
        if (a.Count.Counts.IsPresent) Count(a.Count, (ulong*)target, (long)a.Cells, CellsPerWord * (Tile - a.Halo));
    }

    private static void DrawSeeds(DropBlockDrawArguments a, ulong* seeds)
    {
        RandomKey key = a.Key.Resolve();
        CpuPhilox philox = new(key);
        CpuParallel.ForRange(((long)a.Cells + 63) / 64, WordsPerChunk,
            [MethodImpl(MethodImplOptions.AggressiveOptimization)] (first, end) =>
            {
                new Span<ulong>(seeds + first, (int)(end - first)).Clear();
                ulong* drawn = stackalloc ulong[SeedReader.BufferLength];
                SeedReader reader = new(key, philox, a.Threshold, drawn);

                // The rows that have a cell in these words; of each, the positions where a block may start.
                (long depth, long height, long width) = ((long)a.Depth, (long)a.Height, (long)a.Width);
                (long seedDepth, long seedHeight, long seedWidth) = ((long)a.SeedDepth, (long)a.SeedHeight, (long)a.SeedWidth);
                long firstCell = first * 64, endCell = Math.Min(end * 64, (long)a.Cells);
                long row = firstCell / width, plane = row / height;
                long y = row % height, z = plane % depth, map = plane / depth;

                // Rows follow one another within a word. What it has so far stays in a register: from memory, each would wait for the last.
                long word = first;
                ulong begun = 0;
                for (; row * width < endCell; row++)
                {
                    if (y < seedHeight && z < seedDepth)
                    {
                        long start = row * width;
                        long from = Math.Max(firstCell, start), to = Math.Min(endCell, start + seedWidth);
                        ulong unit = a.FirstUnit + (ulong)((((((map * seedDepth) + z) * seedHeight) + y) * seedWidth) + from - start);
                        for (; from < to; from += SeedReader.MostAtOnce, unit += SeedReader.MostAtOnce)
                        {
                            int shift = (int)(from % 64), count = (int)Math.Min(SeedReader.MostAtOnce, to - from);
                            ulong bits = reader.Read(unit, count);
                            if (from / 64 != word)
                            {
                                seeds[word] = begun;
                                (word, begun) = (from / 64, 0);
                            }

                            begun |= bits << shift;
                            if (shift + count <= 64) continue;
                            seeds[word++] = begun;
                            begun = bits >> (64 - shift);
                        }
                    }

                    if (++y < height) continue;
                    y = 0;
                    if (++z < depth) continue;
                    z = 0;
                    map++;
                }

                if (word < end) seeds[word] = begun;
            });
    }

    private static void CpuSpread(in KernelVariant variant, in DropBlockSpreadArguments arguments)
    {
        DropBlockSpreadArguments a = arguments;
        uint* target = a.Target.Pointer<uint>();
        Spread((ulong*)a.Source.Pointer<uint>(), target, (long)a.Cells, a.Spread, a.Invert != 0);
        if (a.Count.Counts.IsPresent) Count(a.Count, (ulong*)target, (long)a.Cells, CellsPerWord * Tile);
    }

    private static void Spread(ulong* source, uint* target, long allCells, SpreadArguments spread, bool invert)
    {
        // Each piece starts early enough to have all bits that reach into it; pieces are long against that.
        long ahead = (spread.Reach + 63) / 64;
        CpuParallel.ForRange((allCells + 63) / 64, Math.Max(WordsPerChunk, 4 * ahead), (first, end) =>
        {
            long from = Math.Max(0, first - ahead);
            int length = (int)(end - from);
            ulong[] rented = ArrayPool<ulong>.Shared.Rent(length);
            fixed (ulong* bits = rented)
            {
                new ReadOnlySpan<ulong>(source + from, length).CopyTo(rented);
                Spread(bits, length, spread.Span, 1);
                Spread(bits, length, spread.CountX, spread.PitchX);
                Spread(bits, length, spread.CountY, spread.PitchY);
                Spread(bits, length, spread.CountZ, spread.PitchZ);
                ulong* result = bits + (first - from);
                long cells = Math.Min(allCells, end * 64) - (first * 64);
                if (invert)
                {
                    for (long word = 0; word < end - first; word++) result[word] = ~result[word];
                    if (cells % 64 != 0) result[cells / 64] &= (1UL << (int)(cells % 64)) - 1;
                }

                // The target may be a mask of the caller's that ends with half of such a word.
                new ReadOnlySpan<uint>(result, (int)((cells + 31) / 32))
                    .CopyTo(new Span<uint>(target + (2 * first), (int)((cells + 31) / 32)));
            }

            ArrayPool<ulong>.Shared.Return(rented);
        });
    }

    /// <summary>
    /// Every set bit sets <paramref name="count"/> - 1 more, each <paramref name="pitch"/> after the one before, by doubling.
    /// </summary>
    private static void Spread(ulong* bits, long length, ulong count, ulong pitch)
    {
        for (ulong covered = 1; covered < count;)
        {
            ulong step = Math.Min(covered, count - covered);
            OrShifted(bits, length, (long)(step * pitch));
            covered += step;
        }
    }

    /// <summary>bits |= bits shifted up by <paramref name="distance"/>, from the top down, so that it works in place.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void OrShifted(ulong* bits, long length, long distance)
    {
        long words = distance / 64;
        int shift = (int)(distance % 64);
        long i = length;
        for (; i - 8 > words; i -= 8)
        {
            Vector512<ulong> low = Vector512.Load(bits + i - 9 - words), high = Vector512.Load(bits + i - 8 - words);
            Vector512<ulong> moved = (high << shift) | (low >>> 1 >>> (63 - shift));
            (Vector512.Load(bits + i - 8) | moved).Store(bits + i - 8);
        }

        for (; i > words; i--)
        {
            ulong low = i - 1 > words ? bits[i - 2 - words] : 0;
            bits[i - 1] |= (bits[i - 1 - words] << shift) | (low >> 1 >> (63 - shift));
        }
    }

    /// <summary>The kept cells of each unit in each tile.</summary>
    private static void Count(CountArguments a, ulong* mask, long cells, long tileCells)
    {
        long unitCells = (long)a.UnitCells;
        CpuParallel.ForRange((cells + tileCells - 1) / tileCells, CpuParallel.ElementsPerChunk / tileCells, (first, end) =>
        {
            for (long tile = first; tile < end; tile++)
            {
                long start = tile * tileCells, stop = Math.Min(start + tileCells, cells), firstUnit = start / unitCells;
                uint* counts = a.Counts.Pointer<uint>() + (tile * (long)a.TileUnits);
                for (long unit = firstUnit; unit * unitCells < stop; unit++)
                {
                    long from = Math.Max(start, unit * unitCells), to = Math.Min(stop, (unit + 1) * unitCells);
                    counts[unit - firstUnit] = (uint)CountBits(mask, cells, from, to - from);
                }
            }
        });
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static long CountBits(ulong* mask, long cells, long start, long count)
    {
        long ones = 0;
        for (; count >= 64; start += 64, count -= 64) ones += BitOperations.PopCount(Bits(mask, cells, start));
        return count == 0 ? ones : ones + BitOperations.PopCount(Bits(mask, cells, start) & ((1UL << (int)count) - 1));
    }

    /// <summary>The 64 bits from <paramref name="start"/> on, of a mask of <paramref name="cells"/>; behind them lies anything.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Bits(ulong* mask, long cells, long start)
    {
        int shift = (int)(start % 64);
        if (start + 128 > cells) return LastBits((uint*)mask, cells, start);
        return (mask[start / 64] >> shift) | (mask[(start / 64) + 1] << 1 << (63 - shift));
    }

    /// <summary>The same where a mask ends, in words of 32 cells: not one more is read.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static ulong LastBits(uint* mask, long cells, long start)
    {
        UInt128 bits = 0;
        long first = start / 32, end = Math.Min((cells + 31) / 32, first + 3);
        for (long word = first; word < end; word++) bits |= (UInt128)mask[word] << (int)(32 * (word - first));
        return (ulong)(bits >> (int)(start % 32));
    }

    private readonly struct CpuScale : ICpuKernel<DropBlockScaleArguments>
    {
        public static void Run<T>(in KernelVariant variant, in DropBlockScaleArguments arguments)
            where T : unmanaged
        {
            DropBlockScaleArguments a = arguments;
            (long unitCells, long tileCells) = ((long)a.UnitCells, (long)a.TileCells);
            CpuParallel.ForRange((long)a.Units, (CpuParallel.ElementsPerChunk / ((unitCells / tileCells) + 1)) + 1, (first, end) =>
            {
                uint* counts = a.Counts.Pointer<uint>();
                for (long unit = first; unit < end; unit++)
                {
                    // In the first of its tiles others may come before it.
                    long tile = unit * unitCells / tileCells, last = (((unit + 1) * unitCells) - 1) / tileCells;
                    ulong kept = counts[(tile * (long)a.TileUnits) + unit - (tile * tileCells / unitCells)];
                    while (++tile <= last) kept += counts[tile * (long)a.TileUnits];
                    if (typeof(T) == typeof(double))
                        a.Scales.Pointer<double>()[unit] = kept == 0 ? 0 : (double)a.UnitCells / kept;
                    else
                        a.Scales.Pointer<float>()[unit] = kept == 0 ? 0 : (float)a.UnitCells / kept;
                }
            });
        }
    }

    /// <summary>Draws seeds ahead, 64 at a time, for a reader that mostly goes forward.</summary>
    private ref struct SeedReader(RandomKey key, in CpuPhilox philox, ulong threshold, ulong* drawn)
    {
        /// <summary>Units that one call reads at most.</summary>
        public const int MostAtOnce = 56;

        /// <summary>Size of the buffer: seeds, and the lanes of those that are drawn at once.</summary>
        public const int BufferLength = Words + (CpuPhilox.LanesOfFour * sizeof(ushort) / sizeof(ulong));

        private const int Ahead = 16;

        private const int Words = Ahead + 1;

        private readonly CpuPhilox _philox = philox;
        private ulong _start;
        private ulong _end;

        public ulong Read(ulong unit, int count)
        {
            if (unit < _start || unit + (ulong)count > _end) Draw(unit / 8);
            ulong bit = unit - _start;
            return Unsafe.ReadUnaligned<ulong>((byte*)drawn + (bit / 8)) >> (int)(bit % 8) & (ulong.MaxValue >> (64 - count));
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Draw(ulong block)
        {
            _start = 8 * block;
            _end = _start + (64 * Ahead);
            if (threshold >> 32 != 0)
            {
                new Span<ulong>(drawn, Ahead).Fill(ulong.MaxValue);
                return;
            }

            ushort* lanes = (ushort*)(drawn + Words);
            for (int word = 0; word < Ahead; block += 8, word++)
            {
                int lane = word * CpuPhilox.Lanes % CpuPhilox.LanesOfFour;
                if (lane == 0) _philox.DrawFour(block, lanes);
                drawn[word] = Seeds(block, Vector512.Load(lanes + lane), Vector512.Load(lanes + lane + 32));
            }
        }

        /// <summary>Bit i says whether unit 8 * block + i is a seed.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private readonly ulong Seeds(ulong block, Vector512<ushort> first, Vector512<ushort> second)
        {
            Vector512<ushort> upper = Vector512.Create((ushort)(threshold >> 16));
            ulong open = Mask(Vector512.Equals(first, upper), Vector512.Equals(second, upper));
            ulong seeds = Mask(Vector512.LessThan(first, upper), Vector512.LessThan(second, upper));
            return open == 0 ? seeds : seeds | Decide(block, open);
        }

        /// <summary>The seeds among those that their upper half leaves open.</summary>
        [MethodImpl(MethodImplOptions.NoInlining)]
        private readonly ulong Decide(ulong block, ulong open)
        {
            ulong seeds = 0;
            for (; open != 0; open &= open - 1)
            {
                int unit = BitOperations.TrailingZeroCount(open);
                ushort lower = Philox.Lane(key, (Philox.LanesPerBlock * (LowerHalves + block)) + (ulong)unit);
                if (lower < (ushort)threshold) seeds |= 1UL << unit;
            }

            return seeds;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static ulong Mask(Vector512<ushort> first, Vector512<ushort> second) =>
            (uint)first.ExtractMostSignificantBits() | ((ulong)second.ExtractMostSignificantBits() << 32);
    }
}
