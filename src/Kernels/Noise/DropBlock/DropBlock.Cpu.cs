using System.Buffers;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Devices;
using Kernels.Devices.Cpu;

namespace Kernels;

public static unsafe partial class DropBlock
{
    /// <summary>Words of 64 cells that one core takes at a time, or as many more as make whole tiles.</summary>
    private const long WordsPerChunk = CpuParallel.ElementsPerChunk / CellsPerWord;

    /// <summary>Writes the seeds of so many words into cleared memory.</summary>
    private delegate void SeedSource(long firstWord, long endWord, ulong* bits);

    private static void CpuDraw(in KernelVariant variant, in DropBlockDrawArguments arguments)
    {
        DropBlockDrawArguments a = arguments;
        SeedDraw seeds = new(a, a.Key.Resolve());
        MakeMask(seeds.Draw, a.Target.Pointer<uint>(), (long)a.Cells, Tile - a.Halo, a.Spread, a.Invert != 0, a.Count);
    }

    private static void CpuSpread(in KernelVariant variant, in DropBlockSpreadArguments arguments)
    {
        DropBlockSpreadArguments a = arguments;
        ulong* source = (ulong*)a.Source.Pointer<uint>();
        MakeMask(
            (first, end, bits) => new ReadOnlySpan<ulong>(source + first, (int)(end - first)).CopyTo(new(bits, (int)(end - first))),
            a.Target.Pointer<uint>(), (long)a.Cells, Tile, a.Spread, a.Invert != 0, a.Count);
    }

    /// <summary>
    /// Each piece starts with the seeds of all words whose blocks reach into it; pieces are long against that. Until it is done it stays in
    /// a cache.
    /// </summary>
    private static void MakeMask(
        SeedSource source, uint* target, long allCells, long tile, SpreadArguments spread, bool invert, CountArguments count)
    {
        long ahead = (spread.Reach + CellsPerWord - 1) / CellsPerWord, words = (allCells + CellsPerWord - 1) / CellsPerWord;
        long chunk = (Math.Max(WordsPerChunk, 4 * ahead) + tile - 1) / tile * tile;
        CpuParallel.ForRange(words, chunk, (first, end) =>
        {
            long from = Math.Max(0, first - ahead);
            int length = (int)(end - from);
            ulong[] rented = ArrayPool<ulong>.Shared.Rent(length);
            Array.Clear(rented, 0, length);
            fixed (ulong* bits = rented)
            {
                source(from, end, bits);
                Spread(bits, length, spread.Span, 1);
                Spread(bits, length, spread.CountX, spread.PitchX);
                Spread(bits, length, spread.CountY, spread.PitchY);
                Spread(bits, length, spread.CountZ, spread.PitchZ);
                ulong* result = bits + (first - from);
                long cells = Math.Min(allCells - (first * CellsPerWord), (end - first) * CellsPerWord);
                if (invert)
                {
                    for (long word = 0; word < end - first; word++) result[word] = ~result[word];
                    if (cells % 64 != 0) result[cells / 64] &= (1UL << (int)(cells % 64)) - 1;
                }

                // The target may be a mask of the caller's that ends with half of such a word.
                int halves = (int)((cells + 31) / 32);
                new ReadOnlySpan<uint>(result, halves).CopyTo(new Span<uint>(target + (2 * first), halves));
                if (count.Counts.IsPresent) Count(count, tile * CellsPerWord, result, first * CellsPerWord, cells);
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

    /// <summary>The kept cells of each unit in each tile, for cells from the start of a tile on.</summary>
    private static void Count(CountArguments a, long tileCells, ulong* mask, long firstCell, long cells)
    {
        long unitCells = (long)a.UnitCells;
        for (long start = firstCell, end = firstCell + cells; start < end; start += tileCells)
        {
            long stop = Math.Min(start + tileCells, end), firstUnit = start / unitCells;
            uint* counts = a.Counts.Pointer<uint>() + (start / tileCells * (long)a.TileUnits);
            for (long unit = firstUnit; unit * unitCells < stop; unit++)
            {
                long from = Math.Max(start, unit * unitCells), to = Math.Min(stop, (unit + 1) * unitCells);
                counts[unit - firstUnit] = (uint)CountBits(mask, from - firstCell, to - firstCell);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static long CountBits(ulong* mask, long first, long end)
    {
        (long word, long last) = (first / 64, (end - 1) / 64);
        ulong fromFirst = ulong.MaxValue << (int)(first % 64), toEnd = ulong.MaxValue >> (63 - (int)((end - 1) % 64));
        if (word == last) return BitOperations.PopCount(mask[word] & fromFirst & toEnd);
        long ones = BitOperations.PopCount(mask[word] & fromFirst) + BitOperations.PopCount(mask[last] & toEnd);
        while (++word < last) ones += BitOperations.PopCount(mask[word]);
        return ones;
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
}
