using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices.Cpu;

namespace Kernels;

public static unsafe partial class MaxPool2d
{
    /// <summary>Elements of a map whose gradients are summed up at a time: what a core's cache has room for.</summary>
    private const long ElementsAtOnce = 1 << 16;

    /// <summary>Windows of one cell that are listed; where there are more, elements go one by one.</summary>
    private const int MostWindows = 64;

    private static void Backward<T>(CpuPool pool, Indices indices, T* dy, T* dx)
        where T : unmanaged
    {
        // Vectors of windows side by side begin where rows do.
        bool sideBySide = pool.Window is { StrideX: 2, WindowWidth: 2, PadLeft: 0, DilationX: 1 };
        bool streaming = CpuStreaming.Pays(dx, pool.Planes * pool.Height * pool.Width * pool.Inner * sizeof(T))
            && (pool.Inner == 1 ? pool.Width : pool.Inner) * sizeof(T) % Vector512<byte>.Count == 0;
        if (typeof(T) == typeof(double) && pool.Inner == 1 && pool.Width <= ElementsAtOnce)
        {
            Scatter<T, double>(pool, indices, dy, dx, streaming);
            return;
        }

        if (typeof(T) != typeof(double) && pool.Inner == 1 && !sideBySide && pool.Width <= ElementsAtOnce)
        {
            Scatter<T, float>(pool, indices, dy, dx, streaming);
            return;
        }

        CpuPool.ForLines(pool.Planes * pool.Height, pool.Width * pool.Inner, (first, end) =>
        {
            for (long line = first; line < end; line++)
            {
                BackwardLine<T> backward = new(pool, indices, dy, dx, line);
                if (typeof(T) == typeof(double))
                    backward.Columns(0, pool.Width);
                else if (pool.Inner > 1)
                    backward.Cells(streaming);
                else if (!sideBySide)
                    backward.Columns(0, pool.Width);
                else if (streaming)
                    backward.Pairs<StreamingStore>();
                else
                    backward.Pairs<CachedStore>();
            }
        });
    }

    /// <summary>
    /// Channels first: some rows of a map at a time, into which the gradients of all windows that meet them are added, each where it was
    /// taken from, in the order of the windows. An element gets the sum that it would gather.
    /// </summary>
    private static void Scatter<T, TReal>(CpuPool pool, Indices indices, T* dy, T* dx, bool streaming)
        where T : unmanaged
        where TReal : unmanaged
    {
        PoolWindowArguments window = pool.Window;
        long width = pool.Width, rows = Math.Min(pool.Height, Math.Max(1, ElementsAtOnce / width));
        long parts = (pool.Height + rows - 1) / rows;
        int[] places = new int[(long)window.WindowHeight * window.WindowWidth];
        for (int tap = 0; tap < places.Length; tap++)
        {
            (long r, long s) = Math.DivRem(tap, (long)window.WindowWidth);
            places[tap] = (int)Math.Min((r * window.DilationY * width) + (s * window.DilationX), int.MaxValue);
        }

        CpuPool.ForLines(pool.Planes * parts, rows * width, (first, end) =>
        {
            TReal[] rented = ArrayPool<TReal>.Shared.Rent((int)(rows * width));
            fixed (TReal* sums = rented)
            fixed (int* placeOf = places)
            {
                for (long number = first; number < end; number++)
                {
                    (long plane, long part) = Math.DivRem(number, parts);
                    long top = part * rows, count = Math.Min(rows, pool.Height - top) * width;
                    new Span<TReal>(sums, (int)count).Clear();
                    uint reach = (window.WindowHeight - 1) * window.DilationY;
                    uint firstRow = CpuPoolGradientLine.Range((uint)top + window.PadTop, reach, window.StrideY, window.OutHeight).First;
                    uint bottom = (uint)(top + (count / width) - 1) + window.PadTop;
                    uint lastRow = CpuPoolGradientLine.Range(bottom, reach, window.StrideY, window.OutHeight).Last;
                    for (uint row = firstRow; row <= lastRow; row++)
                    {
                        long output = ((plane * pool.OutHeight) + row) * pool.OutWidth;
                        long start = ((((long)row * window.StrideY) - window.PadTop - top) * width) - window.PadLeft;
                        for (long column = 0; column < pool.OutWidth; column++, start += window.StrideX)
                        {
                            uint tap = indices[output + column];
                            if (tap >= (uint)places.Length || (ulong)(start + placeOf[tap]) >= (ulong)count) continue;
                            TReal* sum = sums + start + placeOf[tap];
                            if (typeof(TReal) == typeof(double))
                                *(double*)sum += CpuElement.ToDouble(dy[output + column]);
                            else
                                *(float*)sum += CpuElement.ToSingle(dy[output + column]);
                        }
                    }

                    StoreSums(sums, dx + (((plane * pool.Height) + top) * width), count, streaming);
                }
            }

            ArrayPool<TReal>.Shared.Return(rented);
        });
    }

    private static void StoreSums<T, TReal>(TReal* sums, T* dx, long count, bool streaming)
        where T : unmanaged
        where TReal : unmanaged
    {
        if (typeof(T) == typeof(TReal))
        {
            CpuStreaming.Copy((byte*)sums, (byte*)dx, count * sizeof(T), streaming ? CpuStreaming.ThresholdBytes : 0);
            return;
        }

        for (long i = 0; i < count; i += Width)
        {
            int part = (int)Math.Min(Width, count - i);
            CpuElement.Store(dx + i, CpuElement.Load((float*)sums + i, part), part);
        }
    }

    /// <summary>One row of the map. The windows that took an element are added in their order, in the arithmetic type.</summary>
    private readonly ref struct BackwardLine<T>(in CpuPool pool, Indices indices, T* dy, T* dx, long line)
        where T : unmanaged
    {
        private readonly PoolWindowArguments _window = pool.Window;
        private readonly long _inner = pool.Inner;
        private readonly CpuPoolGradientLine _line = new(pool, line);
        private readonly Indices _indices = indices;
        private readonly T* _dy = dy;
        private readonly T* _dx = dx;

        /// <summary>Elements of columns <paramref name="first"/> to <paramref name="end"/> - 1, one by one.</summary>
        public void Columns(long first, long end)
        {
            for (long w = first; w < end; w++)
            {
                uint place = (uint)w + _window.PadLeft;
                (uint firstColumn, uint lastColumn) = _line.ColumnsOf(place);
                for (long i = 0; i < _inner; i++)
                {
                    (float sum, double wide) = (0, 0);
                    for (uint row = _line.FirstRow; row <= _line.LastRow; row++)
                    {
                        if (_line.RowTap(row) is not (>= 0 and var r)) continue;
                        for (uint column = firstColumn; column <= lastColumn; column++)
                        {
                            if (_line.ColumnTap(place, column) is not (>= 0 and var s)) continue;
                            long from = _line.Output(row, column) + i;
                            if (_indices[from] != (r * _window.WindowWidth) + s) continue;
                            if (typeof(T) == typeof(double))
                                wide += CpuElement.ToDouble(_dy[from]);
                            else
                                sum += CpuElement.ToSingle(_dy[from]);
                        }
                    }

                    _dx[_line.Target + (w * _inner) + i] = typeof(T) == typeof(double)
                        ? CpuElement.FromDouble<T>(wide) : CpuElement.FromSingle<T>(sum);
                }
            }
        }

        /// <summary>Channels last: vectors of channels. The windows of a cell are the same for all of them.</summary>
        public void Cells(bool streaming)
        {
            long* outputs = stackalloc long[MostWindows];
            uint* taps = stackalloc uint[MostWindows];
            for (long w = 0; w < _window.Width; w++)
            {
                int windows = 0;
                uint place = (uint)w + _window.PadLeft;
                (uint firstColumn, uint lastColumn) = _line.ColumnsOf(place);
                for (uint row = _line.FirstRow; row <= _line.LastRow && windows <= MostWindows; row++)
                {
                    if (_line.RowTap(row) is not (>= 0 and var r)) continue;
                    for (uint column = firstColumn; column <= lastColumn; column++)
                    {
                        if (_line.ColumnTap(place, column) is not (>= 0 and var s)) continue;
                        if (windows++ >= MostWindows) break;
                        outputs[windows - 1] = _line.Output(row, column);
                        taps[windows - 1] = (uint)((r * _window.WindowWidth) + s);
                    }
                }

                if (windows > MostWindows)
                {
                    Columns(w, w + 1);
                    continue;
                }

                T* target = _dx + _line.Target + (w * _inner);
                for (long i = 0; i < _inner; i += Width)
                {
                    int count = (int)Math.Min(Width, _inner - i);
                    Vector512<float> sum = Vector512<float>.Zero;
                    for (int window = 0; window < windows; window++) sum += Taken(outputs[window] + i, taps[window], count);
                    if (typeof(T) == typeof(float) && streaming)
                        sum.StoreAlignedNonTemporal((float*)(target + i));
                    else
                        CpuElement.Store(target + i, sum, count);
                }
            }
        }

        /// <summary>Channels first, windows of 2x2 side by side: vectors of windows, each with its two elements of the row.</summary>
        public void Pairs<TStore>()
            where TStore : struct, IVectorStore
        {
            uint row = _line.FirstRow;
            long r = row <= _line.LastRow ? _line.RowTap(row) : -1;
            uint left = (uint)r * 2, right = left + 1;
            T* target = _dx + _line.Target;
            long end = r >= 0 ? Math.Min(_window.OutWidth, _window.Width / 2) : 0;
            for (long column = 0; column < end; column += Width)
            {
                int count = (int)Math.Min(Width, end - column);
                long from = _line.Output(row, column);
                Vector512<uint> taps = _indices.Load(from, count);
                Vector512<float> gradients = Vector512<float>.Zero + CpuElement.Load(_dy + from, count);
                Vector512<uint> isLeft = Vector512.Equals(taps, Vector512.Create(left));
                Vector512<uint> isRight = Vector512.Equals(taps, Vector512.Create(right));
                CpuPool.StoreInTurns<T, TStore>(
                    target + (2 * column), gradients & isLeft.AsSingle(), gradients & isRight.AsSingle(), count);
            }

            Columns(2 * end, _window.Width);
        }

        /// <summary>The gradients of windows from <paramref name="from"/> on that took this tap; else 0.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private Vector512<float> Taken(long from, uint tap, int count)
        {
            Vector512<uint> took = Vector512.Equals(_indices.Load(from, count), Vector512.Create(tap));
            return CpuElement.Load(_dy + from, count) & took.AsSingle();
        }
    }
}
