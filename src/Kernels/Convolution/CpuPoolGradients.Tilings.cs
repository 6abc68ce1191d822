using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;

namespace Kernels;

/// <content>
/// Windows that lie two apart in networks' usual ways: which windows an element is in, and as which tap, does not have to be looked up.
/// </content>
internal sealed unsafe partial class PoolGradients<T, TKind>
{
    /// <summary>Windows of 2x2 side by side, channels first: vectors of windows, each with its two elements of the row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Pairs(long plane, long row, T* results)
    {
        long windows = _pool.OutWidth, first = ((plane * _pool.OutHeight) + (row / 2)) * windows;
        Pair pair = new(this, row);
        for (long column = 0; column < windows; column += Width)
        {
            pair.Take(first + column, (int)Math.Min(Width, windows - column), out Vector512<float> even, out Vector512<float> odd);
            (even, odd) = CpuPool.Interleave(even, odd);
            CpuElement.Store(results + (2 * column), even);
            CpuElement.Store(results + (2 * column) + Width, odd);
        }
    }

    /// <summary>The same with channels last: vectors of channels.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void PairsOfCells(long plane, long row, T* results)
    {
        (long inner, long windows) = (_pool.Inner, _pool.OutWidth);
        long first = ((plane * _pool.OutHeight) + (row / 2)) * windows * inner;
        Pair pair = new(this, row);
        bool streams = _streamsCells;
        for (long window = 0; window < windows; window++, results += 2 * inner, first += inner)
        {
            for (long i = 0; i < inner; i += Width)
            {
                int count = (int)Math.Min(Width, inner - i);
                pair.Take(first + i, count, out Vector512<float> even, out Vector512<float> odd);
                CpuReal.Store(results + i, even, count, streams);
                CpuReal.Store(results + inner + i, odd, count, streams);
            }
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

    /// <summary>Windows of 2x2, seen from a row of elements.</summary>
    private readonly struct Pair(PoolGradients<T, TKind> all, long row)
    {
        private readonly T* _dy = all._dy;
        private readonly PoolTaps _taps = all._taps;
        private readonly Vector512<uint> _tap = Vector512.Create((uint)(row & 1) * 2);
        private readonly Vector512<float> _factor = Vector512.Create(all._factor), _divisor = Vector512.Create((float)all._divisor.OfAll);
        private readonly bool _multiplies = all._factor != 0;

        /// <summary>What windows from one on give their two elements of the row.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Take(long window, int count, out Vector512<float> even, out Vector512<float> odd)
        {
            even = Vector512<float>.Zero + CpuElement.Load(_dy + window, count);
            if (TKind.IsMaximum)
            {
                Vector512<uint> taps = _taps.Load(window, count);
                odd = even & Vector512.Equals(taps, _tap + Vector512<uint>.One).AsSingle();
                even &= Vector512.Equals(taps, _tap).AsSingle();
                return;
            }

            odd = even = _multiplies ? even * _factor : even / _divisor;
        }
    }
}
