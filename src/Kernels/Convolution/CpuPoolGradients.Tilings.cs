using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;

namespace Kernels;

/// <content>
/// Windows that lie two apart in networks' usual ways, channels first: which windows an element is in, and as which tap, does not have to
/// be looked up.
/// </content>
internal sealed unsafe partial class PoolGradients<T, TKind>
{
    /// <summary>Windows of 2x2 side by side, channels first: vectors of windows, each with its two elements of the row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Pairs(long plane, long row, T* results)
    {
        if (row >= 2 * _pool.OutHeight)
        {
            new Span<T>(results, (int)_pool.Width).Clear();
            return;
        }

        long first = ((plane * _pool.OutHeight) + (row / 2)) * _pool.OutWidth, windows = _pool.OutWidth;
        Vector512<uint> left = Vector512.Create((uint)(row & 1) * 2), right = left + Vector512<uint>.One;
        Vector512<float> factor = Vector512.Create(_factor), divisor = Vector512.Create((float)_divisor.OfAll);
        for (long column = 0; column < windows; column += Width)
        {
            int count = (int)Math.Min(Width, windows - column);
            Vector512<float> even = Vector512<float>.Zero + CpuElement.Load(_dy + first + column, count), odd;
            if (TKind.IsMaximum)
            {
                Vector512<uint> taps = _taps.Load(first + column, count);
                odd = even & Vector512.Equals(taps, right).AsSingle();
                even &= Vector512.Equals(taps, left).AsSingle();
            }
            else
            {
                odd = even = _factor != 0 ? even * factor : even / divisor;
            }

            (even, odd) = CpuPool.Interleave(even, odd);
            CpuElement.Store(results + (2 * column), even);
            CpuElement.Store(results + (2 * column) + Width, odd);
        }
    }

    /// <summary>
    /// Windows of 3x3 that reach one row and column back, for their maxima: an element of an even row or column is in the middle of one
    /// window, one of an odd row or column between two.
    /// </summary>
    private void Triples(long plane, long row, T* results)
    {
        long window = row / 2, rows = Math.Min(_pool.OutHeight - window, (row & 1) + 1);
        long first = ((plane * _pool.OutHeight) + window) * _pool.OutWidth;
        uint tap = (uint)((row & 1) + 1) * 3;
        if (rows <= 0)
            new Span<T>(results, (int)_pool.Width).Clear();
        else if (rows == 1)
            Triples<One>(first, tap, results);
        else
            Triples<Two>(first, tap, results);
    }

    /// <summary>One row of windows from its tap number <paramref name="tap"/> on, or two, the second from its first tap on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Triples<TRows>(long first, uint tap, T* results)
        where TRows : ICount
    {
        for (long column = 0; 2 * column < _pool.Width; column += Width, first += Width)
        {
            long left = _pool.OutWidth - column;
            Vector512<float> even = Vector512<float>.Zero, odd = even;
            AddTriple(first, tap, left, ref even, ref odd);
            if (TRows.Value > 1) AddTriple(first + _pool.OutWidth, 0, left, ref even, ref odd);
            (even, odd) = CpuPool.Interleave(even, odd);
            CpuElement.Store(results + (2 * column), even);
            CpuElement.Store(results + (2 * column) + Width, odd);
        }
    }

    /// <summary>Adds to two elements of each window what it gives them, and to the second what the next window does.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void AddTriple(long window, uint tap, long left, ref Vector512<float> even, ref Vector512<float> odd)
    {
        int count = (int)Math.Clamp(left, 0, Width), next = (int)Math.Clamp(left - 1, 0, Width);
        Vector512<float> gradients = CpuElement.Load(_dy + window, count);
        Vector512<uint> taps = _taps.Load<byte>(window, count);
        even += gradients & Vector512.Equals(taps, Vector512.Create(tap + 1)).AsSingle();
        odd += gradients & Vector512.Equals(taps, Vector512.Create(tap + 2)).AsSingle();
        gradients = CpuElement.Load(_dy + window + 1, next);
        taps = _taps.Load<byte>(window + 1, next);
        odd += gradients & Vector512.Equals(taps, Vector512.Create(tap)).AsSingle();
    }
}
