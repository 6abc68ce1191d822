using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Kernels.Cpu;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <summary>
/// Windows of as many rows as columns, three or five, around every element of a map, channels first. A row of the map is loaded once:
/// its neighbours to both sides are the same registers, moved. What windows have of it, their part, is joined with the parts of the rows
/// before, in the order of <see cref="PoolWindows{T, TKind}"/>. The gradients of such means are means of the same kind.
/// </summary>
internal sealed unsafe class PoolSquares<T, TKind, TCount>
    where T : unmanaged
    where TKind : struct, IPoolKind
    where TCount : struct, ICount
{
    private const int Width = CpuElement.Width;

    /// <summary>Elements by which those that are asked for are ahead of those that are looked at.</summary>
    private const long Ahead = 4096;

    private readonly CpuPool _pool;
    private readonly T* _x;
    private readonly T* _y;
    private readonly PoolTaps _taps;
    private readonly float _divisor;
    private readonly bool _streams;

    /// <summary>From the parts of a row to the numbers of their taps.</summary>
    private readonly long _tapsAfter;

    /// <summary>From one row of parts to the next.</summary>
    private readonly long _pitch;

    private PoolSquares(in CpuPool pool, T* x, T* y, PoolTaps taps, double divisor)
    {
        (_pool, _taps, _divisor) = (pool, taps, (float)divisor);
        _x = x;
        _y = y;
        _streams = CpuStreaming.Pays(y, pool.Planes * pool.Height * pool.Width * sizeof(T));
        _tapsAfter = (pool.Width + Width - 1) & ~(Width - 1L);
        _pitch = TKind.IsMaximum ? 2 * _tapsAfter : _tapsAfter;
        Bytes = PoolMemory.BytesOf<T>(PoolStage<T>.LengthFor(pool.Width, maps: 1))
            + PoolMemory.BytesOf<byte>(PoolStage<byte>.LengthFor(pool.Width * taps.Bytes, maps: 1))
            + PoolMemory.BytesOf<float>(TCount.Value * _pitch);
    }

    /// <summary>Rows and columns to each side of an element.</summary>
    private static int Half => TCount.Value / 2;

    /// <summary>What is beside a map.</summary>
    private static Vector512<float> Outside
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => TKind.IsMaximum ? Vector512.Create(float.NegativeInfinity) : Vector512<float>.Zero;
    }

    /// <summary>The first taps of a row of windows that lie in the map: those of the first windows begin left of it.</summary>
    private static Vector512<uint> FirstTaps
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => TCount.Value == 3
            ? Vector512.Create(1u, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
            : Vector512.Create(2u, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    }

    /// <summary>Memory that a thread needs.</summary>
    private long Bytes { get; }

    /// <summary>Makes all windows where they are of this kind; a mean is a sum over <paramref name="divisor"/>.</summary>
    public static bool Run(in CpuPool pool, T* x, T* y, PoolTaps taps, double divisor)
    {
        PoolWindowArguments window = pool.Window;
        bool isAround = window is { StrideY: 1, StrideX: 1, DilationY: 1, DilationX: 1 }
            && window.WindowHeight == TCount.Value && window.WindowWidth == TCount.Value
            && window.PadTop == Half && window.PadLeft == Half && pool.OutHeight == pool.Height && pool.OutWidth == pool.Width;
        if (!Avx512F.IsSupported || typeof(T) == typeof(double) || !isAround || pool.Inner != 1) return false;
        PoolSquares<T, TKind, TCount> squares = new(pool, x, y, taps, divisor);
        if (squares.Bytes > CpuPool.MostBytes) return false;
        CpuPool.ForLines(pool.Planes * pool.Height, pool.Width, squares.Run);
        return true;
    }

    /// <summary>Rows of windows from <paramref name="first"/> to <paramref name="end"/> - 1, of all maps.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Run(long first, long end)
    {
        PoolMemory memory = new(CpuScratch.Take<byte>(Bytes));
        (long width, int bytes) = (_pool.Width, _taps.Bytes);
        PoolStage<T> outputs = new(
            memory.Take<T>(PoolStage<T>.LengthFor(width, maps: 1)), _y + (first * width), width, 0, maps: 1, _streams, _pool.IsWhole);
        PoolStage<byte> taps = new(
            memory.Take<byte>(PoolStage<byte>.LengthFor(width * bytes, maps: 1)), _taps.At(first * width), width * bytes, 0, maps: 1,
            _streams, _pool.IsWhole);
        float* parts = memory.Take<float>(TCount.Value * _pitch);
        while (first < end)
        {
            (long plane, long row) = Math.DivRem(first, _pool.Height);
            long last = Math.Min(_pool.Height, row + (end - first));
            Map(_x + (plane * _pool.Height * width), row, last, parts, ref outputs, ref taps);
            first += last - row;
        }

        outputs.Flush();
        if (_taps.ArePresent) taps.Flush();
    }

    /// <summary>Rows of windows of a map, each as soon as the last of its rows is known.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Map(T* map, long first, long end, float* parts, ref PoolStage<T> outputs, ref PoolStage<byte> taps)
    {
        (long known, long other) = (Math.Min(_pool.Height, end + Half), long.MinValue / 2);
        for (long h = Math.Max(0, first - Half); h < known; h++)
        {
            long row = h - Half;
            bool isWhole = row >= Math.Max(first, Half);
            T* elements = map + (h * _pool.Width), windows = isWhole ? outputs.RowOf(0) : null;
            PoolTaps numbers = isWhole ? NumbersOf(taps) : default;
            bool areNumbers = TKind.IsMaximum && h - other >= TCount.Value && Look<On>(elements, h, parts, windows, numbers);
            if (!areNumbers && !Look<Off>(elements, h, parts, windows, numbers)) other = h;
            if (row < first) continue;
            if (!isWhole) Join(row, 0, h, parts, outputs.RowOf(0), NumbersOf(taps));
            Next(ref outputs, ref taps);
        }

        for (long row = Math.Max(first, _pool.Height - Half); row < end; row++)
        {
            Join(row, Math.Max(0, row - Half), known - 1, parts, outputs.RowOf(0), NumbersOf(taps));
            Next(ref outputs, ref taps);
        }
    }

    private PoolTaps NumbersOf(in PoolStage<byte> taps) => new(_taps.ArePresent ? taps.RowOf(0) : null, _taps.Bytes);

    private void Next(ref PoolStage<T> outputs, ref PoolStage<byte> taps)
    {
        outputs.Next();
        if (_taps.ArePresent) taps.Next();
    }

    /// <summary>
    /// Parts of a row, and the windows that end with it, whose other rows are known, unless these are not wanted. Where the row has
    /// numbers alone, as those before it, fewer instructions find maxima; says whether it has: else these are not right.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private bool Look<TNumbers>(T* row, long h, float* parts, T* outputs, PoolTaps numbers)
        where TNumbers : struct, ISwitch
    {
        const int Five = 5;
        (long width, long tapsAfter, long pitch) = (_pool.Width, _tapsAfter, _pitch);

        // After the row's own place are those of the rows before it, the first of the windows' first.
        float* end = parts + (TCount.Value * pitch), own = parts + ((uint)h % (uint)TCount.Value * pitch);
        float* a = After(own, pitch, end), b = After(a, pitch, end), c = After(b, pitch, end), d = After(c, pitch, end);
        Vector512<float> by = Vector512.Create(_divisor), others = Vector512<float>.Zero;
        Vector512<float> before = Outside, here = Load(row, width, ref others);
        Vector512<uint> firstTaps = FirstTaps;
        CpuPool.Prefetch(row + Ahead, width);
        for (long i = 0; i < width; i += Width)
        {
            Vector512<float> after = i + Width < width ? Load(row + i + Width, width - i - Width, ref others) : Outside;
            Vector512<float> part = TCount.Value == Five ? Moved(here, before, 14) : Moved(here, before, 15);
            Vector512<uint> at = firstTaps;
            if (TCount.Value == Five) Add<TNumbers>(ref part, ref at, Moved(here, before, 15), Vector512.Create(1u));
            Add<TNumbers>(ref part, ref at, here, Vector512.Create((uint)Half));
            Add<TNumbers>(ref part, ref at, Moved(after, here, 1), Vector512.Create((uint)Half + 1));
            if (TCount.Value == Five) Add<TNumbers>(ref part, ref at, Moved(after, here, 2), Vector512.Create(4u));
            before = here;
            here = after;
            firstTaps = Vector512<uint>.Zero;
            part.Store(own + i);
            if (TKind.IsMaximum) at.Store((uint*)(own + tapsAfter + i));
            if (outputs == null) continue;

            Vector512<float> value = Vector512.Load(a + i);
            Vector512<uint> valueAt = CpuPool.TapsOf<TKind>(a + tapsAfter + i, 0);
            if (!TKind.IsMaximum) value += Vector512<float>.Zero;
            AddRow<TNumbers>(ref value, ref valueAt, b + i, tapsAfter, 1);
            if (TCount.Value == Five) AddRow<TNumbers>(ref value, ref valueAt, c + i, tapsAfter, 2);
            if (TCount.Value == Five) AddRow<TNumbers>(ref value, ref valueAt, d + i, tapsAfter, 3);
            Add<TNumbers>(ref value, ref valueAt, part, at + Vector512.Create((uint)(TCount.Value * (TCount.Value - 1))));
            Store(i, value, valueAt, by, outputs, numbers);
        }

        return Vector512.EqualsAll(others, Vector512<float>.Zero);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add<TNumbers>(ref Vector512<float> value, ref Vector512<uint> at, Vector512<float> next, Vector512<uint> nextAt)
        where TNumbers : struct, ISwitch
    {
        if (TNumbers.IsOn)
            CpuPool.TakeNumbers(ref value, ref at, next, nextAt);
        else
            CpuPool.Add<TKind>(ref value, ref at, next, nextAt);
    }

    /// <summary>The part of a row of the window, by its number.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddRow<TNumbers>(ref Vector512<float> value, ref Vector512<uint> at, float* part, long tapsAfter, int row)
        where TNumbers : struct, ISwitch =>
        Add<TNumbers>(ref value, ref at, Vector512.Load(part), CpuPool.TapsOf<TKind>(part + tapsAfter, (uint)(row * TCount.Value)));

    /// <summary>The place of parts after another, around the end.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float* After(float* place, long pitch, float* end) =>
        place + pitch < end ? place + pitch : place + pitch - (TCount.Value * pitch);

    /// <summary>Windows at the top or the bottom of a map, of the parts of its rows from one to another.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Join(long row, long from, long to, float* parts, T* outputs, PoolTaps numbers)
    {
        Vector512<float> by = Vector512.Create(_divisor);
        for (long i = 0; i < _pool.Width; i += Width)
        {
            uint tap = (uint)((from - row + Half) * TCount.Value);
            float* part = parts + (from % TCount.Value * _pitch) + i;
            Vector512<float> value = Vector512.Load(part);
            Vector512<uint> at = CpuPool.TapsOf<TKind>(part + _tapsAfter, tap);
            if (!TKind.IsMaximum) value += Vector512<float>.Zero;
            for (long h = from + 1; h <= to; h++)
            {
                tap += (uint)TCount.Value;
                CpuPool.AddPart<TKind>(ref value, ref at, parts + (h % TCount.Value * _pitch) + i, _tapsAfter, tap);
            }

            Store(i, value, at, by, outputs, numbers);
        }
    }

    /// <summary>Sixteen neighbours from so many lanes after the first of two vectors side by side.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Moved(Vector512<float> right, Vector512<float> left, [ConstantExpected] byte lanes) =>
        Avx512F.AlignRight32(right.AsUInt32(), left.AsUInt32(), lanes).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(long i, Vector512<float> value, Vector512<uint> at, Vector512<float> by, T* outputs, PoolTaps numbers)
    {
        if (TKind.IsMaximum)
            numbers.Store(i, at);
        else
            value /= by;
        CpuElement.Store(outputs + i, value);
    }

    /// <summary>
    /// Sixteen elements, or the last of a row, beside which is <see cref="Outside"/>. A sum of 0 times each says whether all are numbers.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Load(T* row, long count, ref Vector512<float> others)
    {
        Vector512<float> elements = count >= Width ? CpuElement.Load(row) : CpuElement.Load(row, (int)count);
        if (TKind.IsMaximum) others = Vector512.FusedMultiplyAdd(elements, Vector512<float>.Zero, others);
        if (!TKind.IsMaximum || count >= Width) return elements;
        Vector512<int> isInside = Vector512.LessThan(Vector512<int>.Indices, Vector512.Create((int)count));
        return Vector512.ConditionalSelect(isInside.AsSingle(), elements, Outside);
    }
}
