using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Kernels.Cpu;

namespace Kernels;

/// <summary>
/// Reads one image through its affine map on the CPU, a row of the output at a time: whole rows of pixels where the map only moves them,
/// else sixteen pixels side by side whose taps are gathered, or, of bytes, loaded from a box of whole pixels; in double pixel by pixel.
/// </summary>
internal readonly unsafe partial struct AugmentReader<TIn, TReal>
    where TIn : unmanaged
    where TReal : unmanaged, IBinaryFloatingPointIeee754<TReal>
{
    private const int Width = CpuElement.Width;
    private const uint Constant = (uint)ImageBorder.Constant, Reflect = (uint)ImageBorder.Reflect;

    /// <summary>Farther out nothing is read, and neighbours are still apart.</summary>
    private const double Reach = 4194304;

    private readonly TIn* _x;

    /// <summary>The last element from which on four bytes are the batch's.</summary>
    private readonly int _lastWindow;
    private readonly AugmentImageArguments _image;
    private readonly AugmentMapArguments _map;
    private readonly TReal _a, _b, _c, _d, _e, _f, _middleX, _middleY, _outMiddleX, _outMiddleY;

    /// <summary>What is read, in a box, where that pays.</summary>
    private readonly AugmentPixels _pixels;
    private readonly bool _isPacked;
    private readonly bool _isMove;

    /// <summary>Bytes go into a box of pixels first, where that pays; only rows that are told can be read then.</summary>
    /// <param name="x">The batch.</param>
    /// <param name="sample">The place in the batch.</param>
    /// <param name="samples">Images of the batch.</param>
    /// <param name="row">The sample's row of the table.</param>
    /// <param name="image">Sizes and strides.</param>
    /// <param name="map">What the row's numbers are in pixels.</param>
    /// <param name="rows">The first row of the output that will be read, and the row after the last.</param>
    /// <param name="pixels">Memory for <see cref="MostPixels"/> of these rows, or null.</param>
    public AugmentReader(
        TIn* x, long sample, long samples, float* row, in AugmentImageArguments image, in AugmentMapArguments map,
        (int First, int End) rows = default, uint* pixels = null)
    {
        long elements = (long)image.Channels * image.Height * image.Width;
        _x = x + (sample * elements);
        (_image, _map) = (image, map);
        _lastWindow = (int)Math.Min(int.MaxValue, (elements * (samples - sample)) - (4 / Math.Min(4, sizeof(TIn))));
        _a = Real(row[0]) * Real(map.UnitA);
        _b = Real(row[1]) * Real(map.UnitB);
        _c = Real(row[2]) * Real(map.UnitC);
        _d = Real(row[3]) * Real(map.UnitD);
        _e = Real(row[4]) * Real(map.UnitE);
        _f = Real(row[5]) * Real(map.UnitF);
        (_middleX, _middleY) = (Real(0.5 * (image.Width - 1.0)), Real(0.5 * (image.Height - 1.0)));
        (_outMiddleX, _outMiddleY) = (Real(0.5 * (image.OutWidth - 1.0)), Real(0.5 * (image.OutHeight - 1.0)));
        _isMove = IsMove;
        if (pixels == null || BoxOf(rows.First, rows.End) is not { } box) return;
        _isPacked = true;
        _pixels = new AugmentPixels(pixels, (byte*)_x, image, map.Border == Constant ? (uint)map.Fill : 0, box);
    }

    public int Channels => (int)_image.Channels;

    public int OutWidth => (int)_image.OutWidth;

    public int OutHeight => (int)_image.OutHeight;

    /// <summary>From one channel of a row to the next.</summary>
    public int Padded => PaddedWidth(_image);

    public static int PaddedWidth(in AugmentImageArguments image) => ((int)image.OutWidth + Width - 1) / Width * Width;

    private int RowStep => (int)(_image.Width * _image.XPixel);

    /// <summary>Reads row <paramref name="r"/> of the output; what lies beyond its end up to the next sixteen is some number.</summary>
    public void Read(int r, TReal* values)
    {
        TReal v = Real(r) - _outMiddleY;
        (TReal alongX, TReal alongY) = (TReal.FusedMultiplyAdd(_b, v, _c), TReal.FusedMultiplyAdd(_e, v, _f));
        if (typeof(TReal) == typeof(double))
        {
            for (int column = 0; column < OutWidth; column++) Pixel(column, alongX, alongY, values + column);
            for (int channel = 0; channel < Channels; channel++)
                new Span<TReal>(values + ((long)channel * Padded) + OutWidth, Padded - OutWidth).Clear();
            return;
        }

        if (_isMove && Moved(r, (float*)values)) return;
        (float x, float y) = (float.CreateTruncating(alongX), float.CreateTruncating(alongY));
        if (_isPacked)
        {
            Packed(x, y, (float*)values);
            return;
        }

        for (int column = 0; column < OutWidth; column += Width) Sixteen(column, x, y, (float*)values + column);
    }

    private static TReal Real(double value) => TReal.CreateTruncating(value);

    private static float Single(TReal value) => float.CreateTruncating(value);

    /// <summary>Where a pixel of the output is read, before and after what lies outside is dealt with.</summary>
    public (TReal X, TReal Y, TReal ReadX, TReal ReadY) Place(int row, int column)
    {
        (TReal u, TReal v, TReal reach) = (Real(column) - _outMiddleX, Real(row) - _outMiddleY, Real(Reach));
        TReal x = Within(TReal.FusedMultiplyAdd(_a, u, TReal.FusedMultiplyAdd(_b, v, _c)) + _middleX, reach);
        TReal y = Within(TReal.FusedMultiplyAdd(_d, u, TReal.FusedMultiplyAdd(_e, v, _f)) + _middleY, reach);
        return (x, y, Bordered(x, Real(_map.SpanX), _image.Width), Bordered(y, Real(_map.SpanY), _image.Height));
    }

    /// <summary>One pixel, as the kernel reads it.</summary>
    private void Pixel(int column, TReal alongX, TReal alongY, TReal* values)
    {
        TReal u = Real(column) - _outMiddleX, reach = Real(Reach);
        TReal x = Bordered(Within(TReal.FusedMultiplyAdd(_a, u, alongX) + _middleX, reach), Real(_map.SpanX), _image.Width);
        TReal y = Bordered(Within(TReal.FusedMultiplyAdd(_d, u, alongY) + _middleY, reach), Real(_map.SpanY), _image.Height);
        bool isNearest = _map.IsNearest != 0;
        TReal left = isNearest ? TReal.Round(x) : TReal.Floor(x), top = isNearest ? TReal.Round(y) : TReal.Floor(y);
        (TReal across, TReal down) = isNearest ? (TReal.Zero, TReal.Zero) : (x - left, y - top);
        (int x0, int y0) = (int.CreateTruncating(left), int.CreateTruncating(top));
        for (int channel = 0; channel < Channels; channel++)
        {
            TReal first = Tap(x0, y0, channel), made = first;
            if (across != TReal.Zero || down != TReal.Zero)
            {
                TReal upper = Mixed(first, Tap(x0 + 1, y0, channel), across);
                made = Mixed(upper, Mixed(Tap(x0, y0 + 1, channel), Tap(x0 + 1, y0 + 1, channel), across), down);
            }

            values[(long)channel * Padded] = made;
        }
    }

    private static TReal Within(TReal x, TReal reach) => !(x > -reach) ? -reach : x < reach ? x : reach;

    private static TReal Mixed(TReal a, TReal b, TReal share) =>
        share == TReal.Zero ? a : TReal.FusedMultiplyAdd(share, b, (TReal.One - share) * a);

    /// <summary>An element of the image, or what fills the outside.</summary>
    public TReal Tap(int x, int y, int channel)
    {
        if ((uint)x >= _image.Width || (uint)y >= _image.Height) return Real(_map.Fill);
        TIn stored = _x[(channel * (long)_image.XChannel) + ((long)y * RowStep) + ((long)x * _image.XPixel)];
        return typeof(TIn) == typeof(byte) ? Real(Unsafe.BitCast<TIn, byte>(stored)) : Real(CpuElement.ToDouble(stored));
    }

    private TReal Bordered(TReal x, TReal span, uint size)
    {
        if (_map.Border == Reflect)
        {
            TReal low = Real(_map.ReflectLow), distance = TReal.Abs(x - low);
            TReal turns = span > TReal.Zero ? TReal.Floor(distance / span) : TReal.Zero;
            TReal rest = span > TReal.Zero ? TReal.FusedMultiplyAdd(-turns, span, distance) : TReal.Zero;
            if (rest < TReal.Zero)
            {
                // The quotient was rounded up to the next whole turn.
                rest += span;
                turns -= TReal.One;
            }

            x = ((int.CreateTruncating(turns) & 1) != 0 ? span - rest : rest) + low;
        }

        if (_map.Border == Constant) return x;
        TReal last = Real(size - 1.0);
        return !(x > TReal.Zero) ? TReal.Zero : x < last ? x : last;
    }

    /// <summary>Sixteen pixels of a row from a column on.</summary>
    private void Sixteen(int column, float alongX, float alongY, float* values)
    {
        Vector512<float> u = Vector512.ConvertToSingle(Vector512<int>.Indices + Vector512.Create(column))
            - Vector512.Create(Single(_outMiddleX));
        Vector512<float> x = Within(
            Vector512.FusedMultiplyAdd(Vector512.Create(Single(_a)), u, Vector512.Create(alongX)) + Vector512.Create(Single(_middleX)));
        Vector512<float> y = Within(
            Vector512.FusedMultiplyAdd(Vector512.Create(Single(_d)), u, Vector512.Create(alongY)) + Vector512.Create(Single(_middleY)));
        if (_map.Border != Constant)
        {
            x = Bordered(x, (float)_map.SpanX, _image.Width);
            y = Bordered(y, (float)_map.SpanY, _image.Height);
        }

        bool isNearest = _map.IsNearest != 0;
        Vector512<float> left = isNearest ? Vector512.Round(x) : Vector512.Floor(x);
        Vector512<float> top = isNearest ? Vector512.Round(y) : Vector512.Floor(y);
        (Vector512<int> x0, Vector512<int> y0) = (Vector512.ConvertToInt32(left), Vector512.ConvertToInt32(top));
        Vector512<float> across = isNearest ? Vector512<float>.Zero : x - left, down = isNearest ? Vector512<float>.Zero : y - top;
        (Vector512<int> lastX, Vector512<int> lastY) =
            (Vector512.Create((int)_image.Width - 1), Vector512.Create((int)_image.Height - 1));

        // As unsigned numbers those below 0 are the largest.
        Vector512<int> hasX0 = Inside(x0, lastX), hasY0 = Inside(y0, lastY);
        bool isWhole = Vector512.EqualsAll(across, Vector512<float>.Zero) && Vector512.EqualsAll(down, Vector512<float>.Zero);
        Vector512<int> at = (y0 * Vector512.Create(RowStep)) + (x0 * Vector512.Create((int)_image.XPixel));
        if (isWhole)
        {
            Whole(at, hasX0 & hasY0, values);
            return;
        }

        Vector512<int> hasX1 = Inside(x0 + Vector512<int>.One, lastX), hasY1 = Inside(y0 + Vector512<int>.One, lastY);
        if ((hasX0 & hasX1 & hasY0 & hasY1) == Vector512<int>.AllBitsSet)
        {
            Mixed(at, across, down, values);
            return;
        }

        Vector512<float> fill = Vector512.Create((float)_map.Fill);
        (Vector512<int> right, Vector512<int> below) = (Vector512.Create((int)_image.XPixel), Vector512.Create(RowStep));
        for (int channel = 0; channel < Channels; channel++)
        {
            TIn* from = _x + ((long)channel * _image.XChannel);
            Vector512<float> t00 = Taps(from, channel, at, hasX0 & hasY0, fill), t01 = Taps(from, channel, at + right, hasX1 & hasY0, fill);
            Vector512<float> t10 = Taps(from, channel, at + below, hasX0 & hasY1, fill);
            Vector512<float> t11 = Taps(from, channel, at + right + below, hasX1 & hasY1, fill);
            Vector512<float> made = HasLevels
                ? Weighed(t00, t01, t10, t11, across, down)
                : Mixed(Mixed(t00, t01, across), Mixed(t10, t11, across), down);
            made.Store(values + ((long)channel * Padded));
        }
    }

    private static Vector512<float> Within(Vector512<float> x)
    {
        Vector512<float> reach = Vector512.Create((float)Reach);
        x = Vector512.ConditionalSelect(Vector512.GreaterThan(x, -reach), x, -reach);
        return Vector512.ConditionalSelect(Vector512.LessThan(x, reach), x, reach);
    }

    private static Vector512<int> Inside(Vector512<int> place, Vector512<int> last) =>
        Vector512.LessThanOrEqual(place.AsUInt32(), last.AsUInt32()).AsInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private Vector512<float> Bordered(Vector512<float> x, float size, uint pixels)
    {
        if (_map.Border == Reflect)
        {
            Vector512<float> low = Vector512.Create((float)_map.ReflectLow), span = Vector512.Create(size);
            Vector512<float> distance = Vector512.Abs(x - low);
            Vector512<float> turns = size > 0 ? Vector512.Floor(distance / span) : Vector512<float>.Zero;
            Vector512<float> rest = size > 0 ? Vector512.FusedMultiplyAdd(-turns, span, distance) : Vector512<float>.Zero;
            Vector512<float> isBefore = Vector512.LessThan(rest, Vector512<float>.Zero);
            rest += isBefore & span;
            turns -= isBefore & Vector512<float>.One;
            Vector512<int> isOdd = -(Vector512.ConvertToInt32(turns) & Vector512<int>.One);
            x = Vector512.ConditionalSelect(isOdd.AsSingle(), span - rest, rest) + low;
        }

        Vector512<float> last = Vector512.Create(pixels - 1.0f);
        x = Vector512.ConditionalSelect(Vector512.GreaterThan(x, Vector512<float>.Zero), x, Vector512<float>.Zero);
        return Vector512.ConditionalSelect(Vector512.LessThan(x, last), x, last);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Mixed(Vector512<float> a, Vector512<float> b, Vector512<float> share)
    {
        Vector512<float> mixed = Vector512.FusedMultiplyAdd(share, b, (Vector512<float>.One - share) * a);
        return Vector512.ConditionalSelect(Vector512.Equals(share, Vector512<float>.Zero), a, mixed);
    }

    /// <summary>Pixels that are only moved: side by side, in either direction, without gathering.</summary>
    private void Whole(Vector512<int> at, Vector512<int> isInside, float* values)
    {
        Vector512<int> steps = Vector512<int>.Indices;
        bool isAll = isInside == Vector512<int>.AllBitsSet && _image.XPixel == 1;
        bool isForward = isAll && at == Vector512.Create(at[0]) + steps, isBackward = isAll && at == Vector512.Create(at[0]) - steps;
        for (int channel = 0; channel < Channels; channel++)
        {
            TIn* from = _x + ((long)channel * _image.XChannel);
            float* target = values + ((long)channel * Padded);
            if (isForward)
                Neighbours(from + at[0]).Store(target);
            else if (isBackward)
                Vector512.Shuffle(Neighbours(from + at[15]), Vector512.Create(15) - steps).Store(target);
            else
                Taps(from, channel, at, isInside, Vector512.Create((float)_map.Fill)).Store(target);
        }
    }

    /// <summary>The four taps of each pixel are all in the image.</summary>
    private void Mixed(Vector512<int> at, Vector512<float> across, Vector512<float> down, float* values)
    {
        Vector512<int> right = Vector512.Create((int)_image.XPixel), below = Vector512.Create(RowStep);
        Vector512<int> byteMask = Vector512.Create(255);
        if (typeof(TIn) == typeof(byte) && _image.XChannel == 1 && Channels is 3 && CanGather)
        {
            // Four bytes of a pixel are its three channels.
            Vector512<int> w00 = Window(_x, 0, at), w01 = Window(_x, 0, at + right), w10 = Window(_x, 0, at + below);
            Vector512<int> w11 = Window(_x, 0, at + right + below);
            for (int channel = 0; channel < 3; channel++)
            {
                int shift = 8 * channel;
                Weighed(Byte(w00, shift), Byte(w01, shift), Byte(w10, shift), Byte(w11, shift), across, down)
                    .Store(values + ((long)channel * Padded));
            }

            return;
        }

        Vector512<int> all = Vector512<int>.AllBitsSet;
        for (int channel = 0; channel < Channels; channel++)
        {
            int start = (int)(channel * _image.XChannel);
            TIn* from = _x + start;
            float* target = values + ((long)channel * Padded);
            if (typeof(TIn) == typeof(byte) && _image.XPixel == 1 && CanGather)
            {
                // Two of the four bytes are neighbours that are both weighed.
                Vector512<int> top = Window(from, start, at), bottom = Window(from, start, at + below);
                Weighed(Byte(top, 0), Byte(top, 8), Byte(bottom, 0), Byte(bottom, 8), across, down).Store(target);
                continue;
            }

            Vector512<float> t00 = Taps(from, channel, at, all, default), t01 = Taps(from, channel, at + right, all, default);
            Vector512<float> t10 = Taps(from, channel, at + below, all, default);
            Vector512<float> t11 = Taps(from, channel, at + right + below, all, default);
            Vector512<float> made = typeof(TIn) == typeof(byte)
                ? Weighed(t00, t01, t10, t11, across, down)
                : Mixed(Mixed(t00, t01, across), Mixed(t10, t11, across), down);
            made.Store(target);
        }

        Vector512<float> Byte(Vector512<int> window, int shift) => Vector512.ConvertToSingle((window >>> shift) & byteMask);
    }

    private bool CanGather => Avx2.IsSupported && _lastWindow >= 0;

    /// <summary>The elements at sixteen places of a channel, or what fills places outside.</summary>
    private Vector512<float> Taps(TIn* from, int channel, Vector512<int> at, Vector512<int> isInside, Vector512<float> fill)
    {
        at = isInside & at;
        Vector512<float> taps;
        if (!CanGather || typeof(TIn) == typeof(double))
        {
            taps = OneByOne(from, at);
        }
        else if (typeof(TIn) == typeof(float))
        {
            taps = Vector512.Create(
                Avx2.GatherVector256((float*)from, at.GetLower(), 4), Avx2.GatherVector256((float*)from, at.GetUpper(), 4));
        }
        else
        {
            Vector512<int> window = Window(from, (int)(channel * _image.XChannel), at);
            if (typeof(TIn) == typeof(byte))
            {
                taps = Vector512.ConvertToSingle(window & Vector512.Create(255));
            }
            else
            {
                Vector512<uint> bits = (window & Vector512.Create(0xffff)).AsUInt32();
                Vector256<ushort> stored = Vector256.Narrow(bits.GetLower(), bits.GetUpper());
                taps = CpuElement.Load((TIn*)&stored);
            }
        }

        return Vector512.ConditionalSelect(isInside.AsSingle(), taps, fill);
    }

    /// <summary>
    /// The four bytes from each place on, so that the place's element is the lowest. At the end of the batch they are read from before it
    /// and shifted.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private Vector512<int> Window(TIn* from, int start, Vector512<int> at)
    {
        byte scale = (byte)sizeof(TIn);
        Vector512<int> read = Vector512.Min(at, Vector512.Create(_lastWindow - start));
        Vector512<int> words = scale == 1
            ? Vector512.Create(Avx2.GatherVector256((int*)from, read.GetLower(), 1), Avx2.GatherVector256((int*)from, read.GetUpper(), 1))
            : Vector512.Create(Avx2.GatherVector256((int*)from, read.GetLower(), 2), Avx2.GatherVector256((int*)from, read.GetUpper(), 2));
        Vector512<int> late = at - read;
        if (late == Vector512<int>.Zero) return words;
        late *= 8 * scale;
        return Vector512.Create(
            Avx2.ShiftRightLogicalVariable(words.GetLower(), late.GetLower().AsUInt32()),
            Avx2.ShiftRightLogicalVariable(words.GetUpper(), late.GetUpper().AsUInt32()));
    }

    private static Vector512<float> Neighbours(TIn* from)
    {
        if (typeof(TIn) == typeof(byte))
        {
            Vector128<byte> bytes = Vector128.Load((byte*)from);
            Vector256<ushort> words = Vector256.Create(Vector128.WidenLower(bytes), Vector128.WidenUpper(bytes));
            return Vector512.ConvertToSingle(Vector512.Create(Vector256.WidenLower(words), Vector256.WidenUpper(words)));
        }

        return typeof(TIn) == typeof(double) ? OneByOne(from, Vector512<int>.Indices) : CpuElement.Load(from);
    }

    // Out of line: memory taken from the stack inside a caller's loop would add up.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Vector512<float> OneByOne(TIn* from, Vector512<int> at)
    {
        float* taps = stackalloc float[Width];
        for (int lane = 0; lane < Width; lane++)
        {
            TIn stored = from[at[lane]];
            taps[lane] = typeof(TIn) == typeof(byte) ? Unsafe.BitCast<TIn, byte>(stored) : CpuElement.ToSingle(stored);
        }

        return Vector512.Load(taps);
    }
}
