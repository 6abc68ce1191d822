using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Kernels.Cpu;
using Kernels.Devices.Cpu;

namespace Kernels;

/// <summary>What a window is to its elements.</summary>
internal interface IPoolKind
{
    /// <summary>True for their largest, whose index is known and which gets all of the gradient; else they are averaged.</summary>
    static abstract bool IsMaximum { get; }
}

/// <summary>The largest element.</summary>
internal readonly struct PoolMaximum : IPoolKind
{
    public static bool IsMaximum => true;
}

/// <summary>The mean of the elements.</summary>
internal readonly struct PoolMean : IPoolKind
{
    public static bool IsMaximum => false;
}

/// <summary>A call of pooling as the CPU sees it: all kernels of a direction are one here.</summary>
internal readonly unsafe record struct CpuPool(PoolWindowArguments Window, long Planes, long Inner)
{
    /// <summary>Rows that windows share are kept in memory of a thread up to this; beyond it elements go one by one.</summary>
    public const long MostBytes = 16 << 20;

    /// <summary>Elements that are asked for ahead of time are no further away, so that they are still in a cache when it comes.</summary>
    private const long MostAhead = 1 << 16;

    private const int CacheLine = 64;

    /// <summary>
    /// Floats of rows of maps side by side: vectors enough to be worth what a row costs besides, and that none is loaded just after parts
    /// of it were stored, for which it would have to wait.
    /// </summary>
    private const long FloatsAbreast = 256;

    /// <summary>Windows of 2x2 side by side, channels first, all in the map.</summary>
    public bool IsPairs => Inner == 1 && ArePairs;

    /// <summary>The same in either layout.</summary>
    public bool ArePairs => Width >= 2 * OutWidth && Height >= 2 * OutHeight
        && Window is { WindowHeight: 2, WindowWidth: 2, StrideY: 2, StrideX: 2, PadTop: 0, PadLeft: 0, DilationY: 1, DilationX: 1 };

    /// <summary>Windows of 3x3, two apart, behind one row and column of padding, channels first.</summary>
    public bool AreTriples => Inner == 1
        && Window is { WindowHeight: 3, WindowWidth: 3, StrideY: 2, StrideX: 2, PadTop: 1, PadLeft: 1, DilationY: 1, DilationX: 1 };

    /// <summary>Vectors of a row of the map end with it, and those of a row of the output.</summary>
    public bool IsWhole => Inner > 1
        ? Inner % CpuElement.Width == 0
        : Width % (2 * CpuElement.Width) == 0 && OutWidth % CpuElement.Width == 0;

    public long Height => Window.Height;

    public long Width => Window.Width;

    public long OutHeight => Window.OutHeight;

    public long OutWidth => Window.OutWidth;

    public static CpuPool Of(in PoolWindowArguments window, in PoolChunksArguments chunks, int vectorWidth, ulong jobs)
    {
        long cells = (long)chunks.PoolLines.Columns * chunks.PoolLines.Rows;
        return new CpuPool(window, (long)jobs / chunks.Chunks / cells, vectorWidth * (long)chunks.Chunks);
    }

    /// <summary>Windows of so many rows and columns, two apart, over rows that are twice as long as those of the output.</summary>
    public static CpuPool TwoApart(uint taps, uint height, uint width, uint outHeight, ulong jobs, in PoolLinesArguments lines) => new(
        new PoolWindowArguments
        {
            Height = height,
            Width = width,
            OutHeight = outHeight,
            OutWidth = width / 2,
            WindowHeight = taps,
            WindowWidth = taps,
            StrideY = 2,
            StrideX = 2,
            PadTop = taps - 2,
            PadLeft = taps - 2,
            DilationY = 1,
            DilationX = 1,
        },
        (long)jobs / lines.Columns / lines.Rows,
        Inner: 1);

    /// <summary>Windows of 3x3, one apart, behind so many rows and columns of padding.</summary>
    public static CpuPool OneApart(
        uint height, uint width, uint outHeight, uint beforeY, uint beforeX, ulong jobs, in PoolLinesArguments lines) => new(
        new PoolWindowArguments
        {
            Height = height,
            Width = width,
            OutHeight = outHeight,
            OutWidth = lines.Columns,
            WindowHeight = 3,
            WindowWidth = 3,
            StrideY = 1,
            StrideX = 1,
            PadTop = beforeY,
            PadLeft = beforeX,
            DilationY = 1,
            DilationX = 1,
        },
        (long)jobs / lines.Columns / lines.Rows,
        Inner: 1);

    /// <summary>Maps whose rows, so long each, are worked on side by side.</summary>
    public static long MapsAbreast(long length, long planes) => Math.Clamp(FloatsAbreast / length, 1, Math.Max(1, planes));

    /// <summary>How far ahead elements are asked for where maps that are worked on side by side have so many.</summary>
    public static long AheadOf(long elements) => Math.Min(elements, MostAhead);

    /// <summary>Asks for elements before they are looked at; they need not exist.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Prefetch<T>(T* elements, long count)
        where T : unmanaged
    {
        if (!Sse.IsSupported) return;
        for (byte* line = (byte*)elements; line < (byte*)(elements + count); line += CacheLine) Sse.Prefetch1(line);
    }

    /// <summary>Takes values that are larger than the best so far, or NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Take(ref Vector512<float> best, ref Vector512<uint> at, Vector512<float> values, Vector512<uint> taps)
    {
        Vector512<float> taken;
        if (Avx512F.IsSupported)
        {
            // The instruction gives its second operand where the first is NaN; behind infinity nothing but NaN is taken.
            Vector512<float> limit = Avx512F.Min(best, Vector512.Create(float.PositiveInfinity));
            taken = Avx512F.CompareNotLessThanOrEqual(values, limit);
        }
        else
        {
            taken = Vector512.GreaterThan(values, best) | ~Vector512.Equals(values, values);
        }

        best = Vector512.ConditionalSelect(taken, values, best);
        at = Vector512.ConditionalSelect(taken.AsUInt32(), taps, at);
    }

    /// <summary>The same where none is NaN: what was taken is what is another number than before.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void TakeNumbers(ref Vector512<float> best, ref Vector512<uint> at, Vector512<float> values, Vector512<uint> taps)
    {
        // The instruction gives its second operand where both are 0.
        Vector512<float> larger = Avx512F.Max(values, best);
        at = Avx512F.BlendVariable(at, taps, Avx512F.CompareNotEqual(larger.AsUInt32(), best.AsUInt32()));
        best = larger;
    }

    /// <summary>Joins what follows: the later counts where it is larger or NaN, or is added.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Add<TKind>(ref Vector512<float> value, ref Vector512<uint> at, Vector512<float> next, Vector512<uint> nextAt)
        where TKind : struct, IPoolKind
    {
        if (TKind.IsMaximum)
            Take(ref value, ref at, next, nextAt);
        else
            value += next;
    }

    /// <summary>Joins the part of a row whose first tap has a number.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void AddPart<TKind>(ref Vector512<float> value, ref Vector512<uint> at, float* part, long tapsAfter, uint tap)
        where TKind : struct, IPoolKind => Add<TKind>(ref value, ref at, Vector512.Load(part), TapsOf<TKind>(part + tapsAfter, tap));

    /// <summary>The numbers of the taps of a part, of a row whose first tap has a number.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> TapsOf<TKind>(float* taps, uint tap)
        where TKind : struct, IPoolKind => TKind.IsMaximum ? Vector512.Load((uint*)taps) + Vector512.Create(tap) : default;

    /// <summary>Calls for the lines of all planes, of which a core takes enough at a time to have elements for it.</summary>
    public static void ForLines(long lines, long elementsOfLine, Action<long, long> body) =>
        CpuParallel.ForRange(lines, Math.Max(1, CpuParallel.ElementsPerChunk / Math.Max(1, elementsOfLine)), body);

    /// <summary>Elements 0, 2, 4, ... of two vectors.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Even(Vector512<float> low, Vector512<float> high) => Avx512F.IsSupported
        ? Avx512F.PermuteVar16x32x2(low, Vector512.Create(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30), high)
        : Vector512.Narrow(low.AsUInt64(), high.AsUInt64()).AsSingle();

    /// <summary>Elements 1, 3, 5, ... of two vectors.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Odd(Vector512<float> low, Vector512<float> high) => Avx512F.IsSupported
        ? Avx512F.PermuteVar16x32x2(low, Vector512.Create(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31), high)
        : Vector512.Narrow(low.AsUInt64() >> 32, high.AsUInt64() >> 32).AsSingle();

    /// <summary>The two elements of sixteen windows side by side, or of as many as there are.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Vector512<float> Even, Vector512<float> Odd) LoadPairs<T>(T* row, long windows)
        where T : unmanaged
    {
        const int Lanes = CpuElement.Width;
        Vector512<float> low, high;
        if (windows >= Lanes)
        {
            (low, high) = (CpuElement.Load(row), CpuElement.Load(row + Lanes));
        }
        else
        {
            int count = 2 * (int)windows;
            low = CpuElement.Load(row, Math.Min(count, Lanes));
            high = count > Lanes ? CpuElement.Load(row + Lanes, count - Lanes) : low;
        }

        return (Even(low, high), Odd(low, high));
    }

    /// <summary>Sixteen numbers below 256 in a byte each.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Narrow(Vector512<uint> numbers)
    {
        if (Avx512F.IsSupported) return Avx512F.ConvertToVector128Byte(numbers);
        Vector256<ushort> words = Vector256.Narrow(numbers.GetLower(), numbers.GetUpper());
        return Vector128.Narrow(words.GetLower(), words.GetUpper());
    }

    /// <summary>Sixteen bytes as numbers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> Widen(Vector128<byte> bytes)
    {
        if (Avx512F.IsSupported) return Avx512F.ConvertToVector512UInt32(bytes);
        Vector256<ushort> words = Vector256.Create(Vector128.WidenLower(bytes), Vector128.WidenUpper(bytes));
        return Vector512.Create(Vector256.WidenLower(words), Vector256.WidenUpper(words));
    }

    /// <summary>The elements of two vectors in turns.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Vector512<float> Low, Vector512<float> High) Interleave(Vector512<float> even, Vector512<float> odd)
    {
        if (Avx512F.IsSupported)
        {
            // Element i is i / 2 of the even ones, or 16 further on of the odd ones.
            Vector512<int> lanes = Vector512<int>.Indices;
            Vector512<int> low = (lanes >> 1) + ((lanes & Vector512<int>.One) << 4);
            return (Avx512F.PermuteVar16x32x2(even, low, odd), Avx512F.PermuteVar16x32x2(even, low + Vector512.Create(8), odd));
        }

        (Vector512<uint> evenBits, Vector512<uint> oddBits) = (even.AsUInt32(), odd.AsUInt32());
        return (
            (Vector512.WidenLower(evenBits) | (Vector512.WidenLower(oddBits) << 32)).AsSingle(),
            (Vector512.WidenUpper(evenBits) | (Vector512.WidenUpper(oddBits) << 32)).AsSingle());
    }
}

/// <summary>What a window is divided by.</summary>
internal readonly struct CpuDivisor(in PoolWindowArguments window, in AverageDivisorArguments divisor)
{
    private readonly PoolWindowArguments _window = window;
    private readonly AverageDivisorArguments _divisor = divisor;

    public static CpuDivisor ForAll(in PoolWindowArguments window, double divisor) => new(
        window, new AverageDivisorArguments { Divisor = divisor, CountsPadding = 0, PadBottom = 0, PadRight = 0 });

    /// <summary>The number for all windows, or 0.</summary>
    public double OfAll => _divisor.Divisor;

    /// <summary>The number for a window.</summary>
    public double Of(long row, long column) => OfAll != 0 ? OfAll : (double)Rows(row) * Columns(column);

    /// <summary>Rows that count where not all windows have one number, which is the product of rows and columns.</summary>
    public long Rows(long row) => Counted(
        row, _window.StrideY, _window.PadTop, _divisor.PadBottom, _window.DilationY, _window.WindowHeight, _window.Height);

    /// <summary>The same of columns.</summary>
    public long Columns(long column) => Counted(
        column, _window.StrideX, _window.PadLeft, _divisor.PadRight, _window.DilationX, _window.WindowWidth, _window.Width);

    private long Counted(long output, long stride, long pad, long after, long dilation, long taps, long size)
    {
        bool countsPadding = _divisor.CountsPadding != 0;
        long start = (output * stride) - pad, end = size + (countsPadding ? after : 0);
        long first = countsPadding || start >= 0 ? 0 : (-start + dilation - 1) / dilation;
        return Math.Min(taps, (end - start + dilation - 1) / dilation) - first;
    }
}

/// <summary>A row of windows: the rows of the map that they meet.</summary>
internal readonly unsafe ref struct CpuPoolLine<T>
    where T : unmanaged
{
    private readonly PoolWindowArguments _window;

    public CpuPoolLine(in CpuPool pool, T* x, long line)
    {
        _window = pool.Window;
        (long plane, Row) = Math.DivRem(line, pool.OutHeight);
        long start = (Row * _window.StrideY) - _window.PadTop;
        FirstTap = start >= 0 ? 0 : (-start + _window.DilationY - 1) / _window.DilationY;
        long place = start + (FirstTap * _window.DilationY);
        EndTap = Math.Min(_window.WindowHeight, FirstTap + ((pool.Height - place + _window.DilationY - 1) / _window.DilationY));
        Rows = x + (((plane * pool.Height) + place) * pool.Width * pool.Inner);
        RowStep = _window.DilationY * pool.Width * pool.Inner;
        Output = line * pool.OutWidth * pool.Inner;
    }

    /// <summary>Number of the row of windows in its plane.</summary>
    public long Row { get; }

    /// <summary>The taps of a column of the window that lie in the map: from this one.</summary>
    public long FirstTap { get; }

    /// <summary>To the one before this.</summary>
    public long EndTap { get; }

    /// <summary>The row of the map that the first of these taps is on.</summary>
    public T* Rows { get; }

    /// <summary>Elements from there to the row of the next tap.</summary>
    public long RowStep { get; }

    /// <summary>The first element of the row of the output.</summary>
    public long Output { get; }

    /// <summary>The first tap of a row of a window that lies in the map, and where.</summary>
    public (long Tap, long Place) FirstColumn(long column)
    {
        long start = (column * _window.StrideX) - _window.PadLeft;
        long tap = start >= 0 ? 0 : (-start + _window.DilationX - 1) / _window.DilationX;
        return (tap, start + (tap * _window.DilationX));
    }
}

/// <summary>A row of the map: the windows that its elements are in.</summary>
internal readonly ref struct CpuPoolGradientLine
{
    private readonly PoolWindowArguments _window;
    private readonly long _plane;
    private readonly long _inner;
    private readonly uint _place;

    public CpuPoolGradientLine(in CpuPool pool, long line)
    {
        (_window, _inner) = (pool.Window, pool.Inner);
        (long plane, long h) = Math.DivRem(line, pool.Height);
        Target = line * pool.Width * _inner;
        _plane = plane * pool.OutHeight * pool.OutWidth * _inner;
        _place = (uint)h + _window.PadTop;
        (FirstRow, LastRow) = Range(_place, (_window.WindowHeight - 1) * _window.DilationY, _window.StrideY, _window.OutHeight);
    }

    /// <summary>The first element of the row.</summary>
    public long Target { get; }

    /// <summary>Rows of windows that reach over the row: from this one.</summary>
    public uint FirstRow { get; }

    /// <summary>To this one.</summary>
    public uint LastRow { get; }

    /// <summary>The row's tap in a row of windows, or -1.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public long RowTap(uint row) => TapOf(_place - (row * _window.StrideY), _window.DilationY);

    /// <summary>An element's tap in a column of windows, or -1; its place counts the padding.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public long ColumnTap(uint place, uint column) => TapOf(place - (column * _window.StrideX), _window.DilationX);

    /// <summary>Columns of windows that reach over a place, which counts the padding.</summary>
    public (uint First, uint Last) ColumnsOf(uint place) =>
        Range(place, (_window.WindowWidth - 1) * _window.DilationX, _window.StrideX, _window.OutWidth);

    /// <summary>The first element of inner of a window.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public long Output(uint row, long column) => _plane + (((row * (long)_window.OutWidth) + column) * _inner);

    /// <summary>The windows along an axis that reach over a place, which counts the padding.</summary>
    public static (uint First, uint Last) Range(uint place, uint reach, uint stride, uint outputs) =>
        (place <= reach ? 0 : (place - reach + stride - 1) / stride, Math.Min(place / stride, outputs - 1));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static long TapOf(uint distance, uint dilation) =>
        dilation == 1 ? distance : distance % dilation == 0 ? distance / dilation : -1;
}
