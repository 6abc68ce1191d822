using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Kernels.Cpu;
using Kernels.Devices;

namespace Kernels;

public static unsafe partial class MaxPool2d
{
    private const int Width = CpuElement.Width;

    private readonly struct CpuForward : ICpuKernel<MaxPool2dForwardArguments>
    {
        public static void Run<T>(in KernelVariant variant, in MaxPool2dForwardArguments a)
            where T : unmanaged
        {
            CpuPool pool = CpuPool.Of(a.PoolWindow, a.PoolChunks, variant.VectorWidth, a.Jobs);
            Forward(pool, a.X.Pointer<T>(), a.Y.Pointer<T>(), new Indices(a.Indices.Pointer<byte>(), (int)a.IndexBytes));
        }
    }

    private readonly struct CpuForward2x2 : ICpuKernel<MaxPool2dForward2x2Arguments>
    {
        public static void Run<T>(in KernelVariant variant, in MaxPool2dForward2x2Arguments a)
            where T : unmanaged
        {
            PoolLinesArguments lines = a.PoolLines;
            CpuPool pool = CpuPool.TwoApart(2, a.Height, 8 * lines.Columns, lines.Rows, a.Jobs, lines);
            Forward(pool, a.X.Pointer<T>(), a.Y.Pointer<T>(), new Indices(a.Indices.Pointer<byte>(), 1));
        }
    }

    private readonly struct CpuForward3x3 : ICpuKernel<MaxPool2dForward3x3Arguments>
    {
        public static void Run<T>(in KernelVariant variant, in MaxPool2dForward3x3Arguments a)
            where T : unmanaged
        {
            PoolLinesArguments lines = a.PoolLines;
            CpuPool pool = CpuPool.TwoApart(3, a.Height, 8 * lines.Columns, lines.Rows, a.Jobs, lines);
            Forward(pool, a.X.Pointer<T>(), a.Y.Pointer<T>(), new Indices(a.Indices.Pointer<byte>(), 1));
        }
    }

    private readonly struct CpuBackward : ICpuKernel<MaxPool2dBackwardArguments>
    {
        public static void Run<T>(in KernelVariant variant, in MaxPool2dBackwardArguments a)
            where T : unmanaged
        {
            CpuPool pool = CpuPool.Of(a.PoolWindow, a.PoolChunks, variant.VectorWidth, a.Jobs);
            Backward(pool, new Indices(a.Indices.Pointer<byte>(), (int)a.IndexBytes), a.Dy.Pointer<T>(), a.Dx.Pointer<T>());
        }
    }

    private readonly struct CpuBackward2x2 : ICpuKernel<MaxPool2dBackward2x2Arguments>
    {
        public static void Run<T>(in KernelVariant variant, in MaxPool2dBackward2x2Arguments a)
            where T : unmanaged
        {
            PoolLinesArguments lines = a.PoolLines;
            uint width = (sizeof(T) == 2 ? 8u : 4) * lines.Columns;
            CpuPool pool = CpuPool.TwoApart(2, a.Height, width, a.OutHeight, a.Jobs, lines);
            Backward(pool, new Indices(a.Indices.Pointer<byte>(), 1), a.Dy.Pointer<T>(), a.Dx.Pointer<T>());
        }
    }

    private readonly struct CpuBackward3x3 : ICpuKernel<MaxPool2dBackward3x3Arguments>
    {
        public static void Run<T>(in KernelVariant variant, in MaxPool2dBackward3x3Arguments a)
            where T : unmanaged
        {
            PoolLinesArguments lines = a.PoolLines;
            uint width = (sizeof(T) == 2 ? 8u : 4) * lines.Columns;
            CpuPool pool = CpuPool.TwoApart(3, a.Height, width, a.OutHeight, a.Jobs, lines);
            Backward(pool, new Indices(a.Indices.Pointer<byte>(), 1), a.Dy.Pointer<T>(), a.Dx.Pointer<T>());
        }
    }

    /// <summary>The numbers of the taken taps, in one byte each or in four; or none.</summary>
    private readonly struct Indices(byte* first, int bytes)
    {
        public bool ArePresent => first != null;

        public uint this[long i]
        {
            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            get => bytes == 1 ? first[i] : ((uint*)first)[i];
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Store(long i, uint tap)
        {
            if (first == null) return;
            if (bytes == 1)
                first[i] = (byte)tap;
            else
                ((uint*)first)[i] = tap;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Store(long i, Vector512<uint> taps, int count)
        {
            if (first == null) return;
            if (bytes == 1 && count == Width)
                Narrow(taps).Store(first + i);
            else if (bytes == 1 && Avx512BW.VL.IsSupported)
                Avx512BW.VL.MaskStore(first + i, FirstBytes(count), Narrow(taps));
            else if (count == Width)
                taps.Store((uint*)first + i);
            else
                StorePart(i, taps, count);
        }

        /// <summary>The first <paramref name="count"/> of sixteen; the others go with elements that are not there.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<uint> Load(long i, int count)
        {
            if (bytes == 1 && Avx512BW.VL.IsSupported)
            {
                Vector128<byte> taps = count == Width
                    ? Vector128.Load(first + i) : Avx512BW.VL.MaskLoad(first + i, FirstBytes(count), Vector128<byte>.AllBitsSet);
                return Avx512F.ConvertToVector512UInt32(taps);
            }

            if (count < Width) return LoadPart(i, count);
            if (bytes != 1) return Vector512.Load((uint*)first + i);
            Vector128<byte> narrow = Vector128.Load(first + i);
            Vector256<ushort> wide = Vector256.Create(Vector128.WidenLower(narrow), Vector128.WidenUpper(narrow));
            return Vector512.Create(Vector256.WidenLower(wide), Vector256.WidenUpper(wide));
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector128<byte> Narrow(Vector512<uint> taps)
        {
            if (Avx512F.IsSupported) return Avx512F.ConvertToVector128Byte(taps);
            Vector256<ushort> words = Vector256.Narrow(taps.GetLower(), taps.GetUpper());
            return Vector128.Narrow(words.GetLower(), words.GetUpper());
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector128<byte> FirstBytes(int count) =>
            Vector128.LessThan(Vector128<byte>.Indices, Vector128.Create((byte)count));

        // Out of line: memory taken from the stack inside a caller's loop would add up.
        [MethodImpl(MethodImplOptions.NoInlining)]
        private void StorePart(long i, Vector512<uint> taps, int count)
        {
            uint* part = stackalloc uint[Width];
            taps.Store(part);
            for (int lane = 0; lane < count; lane++) Store(i + lane, part[lane]);
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private Vector512<uint> LoadPart(long i, int count)
        {
            uint* part = stackalloc uint[Width];
            for (int lane = 0; lane < Width; lane++) part[lane] = lane < count ? this[i + lane] : uint.MaxValue;
            return Vector512.Load(part);
        }
    }

    private static void Forward<T>(CpuPool pool, T* x, T* y, Indices indices)
        where T : unmanaged =>
        CpuPool.ForLines(pool.Planes * pool.OutHeight, pool.Width * pool.Inner * pool.Window.StrideY, (first, end) =>
        {
            for (long line = first; line < end; line++)
            {
                ForwardLine<T> forward = new(pool, x, y, indices, line);
                if (typeof(T) != typeof(double) && pool.Inner > 1)
                    forward.Cells();
                else if (typeof(T) != typeof(double) && pool.Window.StrideX <= CpuPool.MostVectorStride)
                    forward.Vectors();
                else
                    forward.Columns(0, pool.OutWidth);
            }
        });

    /// <summary>The windows of one row of the output.</summary>
    private readonly ref struct ForwardLine<T>(in CpuPool pool, T* x, T* y, Indices indices, long line)
        where T : unmanaged
    {
        private readonly PoolWindowArguments _window = pool.Window;
        private readonly long _inner = pool.Inner;
        private readonly CpuPoolLine<T> _line = new(pool, x, line);
        private readonly T* _y = y;
        private readonly Indices _indices = indices;

        /// <summary>Windows from column <paramref name="first"/> to <paramref name="end"/> - 1, element by element.</summary>
        public void Columns(long first, long end)
        {
            for (long column = first; column < end; column++)
            {
                (long tap, long place) = _line.FirstColumn(column);
                for (long i = 0; i < _inner; i++)
                {
                    T* row = _line.Rows + i;
                    T taken = row[place * _inner];
                    (double best, long at) = (double.NegativeInfinity, (_line.FirstTap * _window.WindowWidth) + tap);
                    for (long r = _line.FirstTap; r < _line.EndTap; r++, row += _line.RowStep)
                    {
                        long w = place;
                        for (long s = tap; s < _window.WindowWidth && w < _window.Width; s++, w += _window.DilationX)
                        {
                            double value = CpuElement.ToDouble(row[w * _inner]);
                            if (value > best || double.IsNaN(value))
                                (best, at, taken) = (value, (r * _window.WindowWidth) + s, row[w * _inner]);
                        }
                    }

                    long output = _line.Output + (column * _inner) + i;
                    _y[output] = taken;
                    _indices.Store(output, (uint)at);
                }
            }
        }

        /// <summary>Channels last: vectors of channels.</summary>
        public void Cells()
        {
            for (long column = 0; column < _window.OutWidth; column++)
            {
                (long tap, long place) = _line.FirstColumn(column);
                for (long i = 0; i < _inner; i += Width)
                {
                    int count = (int)Math.Min(Width, _inner - i);
                    T* row = _line.Rows + i;
                    Vector512<float> best = Vector512.Create(float.NegativeInfinity);
                    Vector512<uint> at = Vector512.Create((uint)((_line.FirstTap * _window.WindowWidth) + tap));
                    for (long r = _line.FirstTap; r < _line.EndTap; r++, row += _line.RowStep)
                    {
                        long w = place;
                        for (long s = tap; s < _window.WindowWidth && w < _window.Width; s++, w += _window.DilationX)
                            Take(ref best, ref at, CpuElement.Load(row + (w * _inner), count), (uint)((r * _window.WindowWidth) + s));
                    }

                    long output = _line.Output + (column * _inner) + i;
                    CpuElement.Store(_y + output, best, count);
                    _indices.Store(output, at, count);
                }
            }
        }

        /// <summary>
        /// Channels first: vectors of neighbouring windows. Columns that lie in the padding are -infinity where loads can be masked; else
        /// windows that have such are taken one by one.
        /// </summary>
        public void Vectors()
        {
            bool masks = CpuPool.Masks && _window.DilationX == 1;
            (long first, long end) = masks ? (0, _window.OutWidth) : (_line.FirstInside, _line.EndInside);
            Columns(0, first);
            for (long column = first; column < end; column += Width)
            {
                int count = (int)Math.Min(Width, end - column);
                bool isInside = column >= _line.FirstInside && column + count <= _line.EndInside;
                if (_window.StrideX == 1 && isInside)
                    Windows<CpuPool.Neighbours>(column, count, isInside);
                else if (_window.StrideX == 1)
                    Windows<CpuPool.NeighboursWithin>(column, count, isInside);
                else if (isInside)
                    Windows<CpuPool.EverySecond>(column, count, isInside);
                else
                    Windows<CpuPool.EverySecondWithin>(column, count, isInside);
            }

            Columns(end, _window.OutWidth);
        }

        private void Windows<TLoad>(long column, int count, bool isInside)
            where TLoad : struct, CpuPool.ILoad
        {
            long place = (column * _window.StrideX) - _window.PadLeft, width = _window.Width, step = _window.DilationX;
            uint taps = _window.WindowWidth, tap = (uint)_line.FirstTap * taps;
            Vector512<float> best = Vector512.Create(float.NegativeInfinity);
            Vector512<uint> at = Vector512.Create(tap);
            if (!isInside) at += FirstTaps(place, _window.StrideX);
            T* row = _line.Rows + place;
            for (long r = _line.FirstTap; r < _line.EndTap; r++, row += _line.RowStep)
            {
                for (long ahead = 0; ahead < taps * step; ahead += step)
                    Take(ref best, ref at, TLoad.Load(row + ahead, place + ahead, width, count, float.NegativeInfinity), tap++);
            }

            CpuElement.Store(_y + _line.Output + column, best, count);
            _indices.Store(_line.Output + column, at, count);
        }

        /// <summary>The first taps in the map of windows from a place on.</summary>
        private static Vector512<uint> FirstTaps(long place, uint stride)
        {
            Vector512<int> places = Vector512.Create((int)place) + (Vector512<int>.Indices * (int)stride);
            return Vector512.Max(-places, Vector512<int>.Zero).AsUInt32();
        }
    }

    /// <summary>Takes values that are larger than the best so far, or NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Take(ref Vector512<float> best, ref Vector512<uint> at, Vector512<float> values, uint tap)
    {
        Vector512<float> larger = Vector512.GreaterThan(values, best) | ~Vector512.Equals(values, values);
        best = Vector512.ConditionalSelect(larger, values, best);
        at = Vector512.ConditionalSelect(larger.AsUInt32(), Vector512.Create(tap), at);
    }
}
