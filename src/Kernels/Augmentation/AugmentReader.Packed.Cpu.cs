using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Kernels;

internal readonly unsafe partial struct AugmentReader<TIn, TReal>
    where TIn : unmanaged
    where TReal : unmanaged, IBinaryFloatingPointIeee754<TReal>
{
    /// <summary>Pixels of the largest box.</summary>
    private const int LargestBox = 1 << 20;

    /// <summary>Pixels of a row whose places are kept at once.</summary>
    private const int PartOfRow = 256;

    /// <summary>Pixels of a box that is always worth it.</summary>
    private const long LeastBox = 1 << 10;

    /// <summary>Whether all that is read are whole numbers from 0 to 255: bytes, and what lies outside.</summary>
    private bool HasLevels =>
        typeof(TIn) == typeof(byte) && (_map.Border != Constant || (_map.Fill is >= 0 and <= 255 && _map.Fill == Math.Floor(_map.Fill)));

    /// <summary>
    /// The most pixels that the box of so many rows has, which is worth it up to four pixels for each of the output; 0 where there are
    /// none.
    /// </summary>
    public static long MostPixels(in AugmentImageArguments image, long rows) =>
        typeof(TIn) == typeof(byte) && typeof(TReal) == typeof(float) && image.Channels == 3
            ? Math.Min(LargestBox, (4 * rows * image.OutWidth) + LeastBox) : 0;

    /// <summary>
    /// Where a coordinate is clamped to: beyond two pixels outside there is nothing else, and other borders put it into the image.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private (float Low, float High) Limits(uint size) =>
        _map.Border == Constant ? (-AugmentPixels.Around, size) : (0, size - 1.0f);

    /// <summary>
    /// What rows of the output read, or null where a box of it does not pay. Each rounding keeps an order, so the corners have the least
    /// and the largest coordinates.
    /// </summary>
    private (int Left, int Top, int Right, int Bottom)? BoxOf(int first, int end)
    {
        long most = MostPixels(_image, end - first);
        if (most == 0 || !HasLevels || _isMove) return null;
        (float lowX, float highX) = Limits(_image.Width);
        (float lowY, float highY) = Limits(_image.Height);
        (float left, float right, float top, float bottom) = (highX, lowX, highY, lowY);
        float u = Single(_outMiddleX);
        foreach (int row in (ReadOnlySpan<int>)[first, end - 1])
        {
            TReal v = Real(row) - _outMiddleY;
            float alongX = Single(TReal.FusedMultiplyAdd(_b, v, _c)), alongY = Single(TReal.FusedMultiplyAdd(_e, v, _f));
            foreach (float across in (ReadOnlySpan<float>)[-u, OutWidth - 1 - u])
            {
                float x = MathF.FusedMultiplyAdd(Single(_a), across, alongX) + Single(_middleX);
                float y = MathF.FusedMultiplyAdd(Single(_d), across, alongY) + Single(_middleY);
                if (!float.IsFinite(x) || !float.IsFinite(y)) return null;
                (x, y) = (Math.Clamp(x, lowX, highX), Math.Clamp(y, lowY, highY));
                (left, right, top, bottom) = (MathF.Min(left, x), MathF.Max(right, x), MathF.Min(top, y), MathF.Max(bottom, y));
            }
        }

        if (_map.Border == Reflect) (left, right, top, bottom) = (lowX, highX, lowY, highY);
        (int Left, int Top, int Right, int Bottom) box =
            ((int)MathF.Floor(left), (int)MathF.Floor(top), (int)MathF.Ceiling(right) + 1, (int)MathF.Ceiling(bottom) + 1);
        return (box.Right - box.Left + 1L) * (box.Bottom - box.Top + 1L) <= most ? box : null;
    }

    /// <summary>
    /// A row from the box, a part at a time: first all places of the part, so that what is loaded need not wait for them.
    /// </summary>
    [SkipLocalsInit]
    private void Packed(float alongX, float alongY, float* values)
    {
        int* places = stackalloc int[PartOfRow];
        float* across = stackalloc float[PartOfRow], down = stackalloc float[PartOfRow];
        for (int first = 0; first < OutWidth; first += PartOfRow)
        {
            int count = Math.Min(PartOfRow, OutWidth - first);
            Places(alongX, alongY, first, count, places, across, down);
            Weigh(places, across, down, count, values + first);
        }
    }

    /// <summary>Where pixels of a row from the first on lie in the box, and how far between its pixels.</summary>
    private void Places(float alongX, float alongY, int first, int count, int* places, float* across, float* down)
    {
        AugmentPixels pixels = _pixels;
        bool isNearest = _map.IsNearest != 0;
        Vector512<float> a = Vector512.Create(Single(_a)), d = Vector512.Create(Single(_d));
        Vector512<float> middleX = Vector512.Create(Single(_middleX)), middleY = Vector512.Create(Single(_middleY));
        Vector512<float> startX = Vector512.Create(alongX), startY = Vector512.Create(alongY);
        (float lowX, float highX) = Limits(_image.Width);
        (float lowY, float highY) = Limits(_image.Height);

        // Beyond its end a row goes on as its last pixel, which is in the box.
        Vector512<float> outMiddle = Vector512.Create(Single(_outMiddleX)), last = Vector512.Create(OutWidth - 1.0f);
        Vector512<float> columns = Vector512<float>.Indices + Vector512.Create((float)first), next = Vector512.Create((float)Width);
        for (int i = 0; i < count; i += Width, columns += next)
        {
            Vector512<float> u = Vector512.MinNative(columns, last) - outMiddle;
            Vector512<float> x = Vector512.FusedMultiplyAdd(a, u, startX) + middleX;
            Vector512<float> y = Vector512.FusedMultiplyAdd(d, u, startY) + middleY;
            if (_map.Border == Reflect)
            {
                x = Bordered(Within(x), (float)_map.SpanX, _image.Width);
                y = Bordered(Within(y), (float)_map.SpanY, _image.Height);
            }
            else
            {
                x = Vector512.ClampNative(x, Vector512.Create(lowX), Vector512.Create(highX));
                y = Vector512.ClampNative(y, Vector512.Create(lowY), Vector512.Create(highY));
            }

            Vector512<float> left = isNearest ? Vector512.Round(x) : Vector512.Floor(x);
            Vector512<float> top = isNearest ? Vector512.Round(y) : Vector512.Floor(y);
            pixels.PlaceOf(left, top).Store(places + i);
            (isNearest ? Vector512<float>.Zero : x - left).Store(across + i);
            (isNearest ? Vector512<float>.Zero : y - top).Store(down + i);
        }
    }

    /// <summary>Weighs the four pixels of each place.</summary>
    private void Weigh(int* places, float* across, float* down, int count, float* values)
    {
        AugmentPixels pixels = _pixels;
        Vector512<int> low = Vector512.Create(255);
        long padded = Padded;
        for (int i = 0; i < count; i += Width)
        {
            (Vector512<int> t00, Vector512<int> t01) = pixels.Pairs(places + i, 0);
            (Vector512<int> t10, Vector512<int> t11) = pixels.Pairs(places + i, pixels.Columns);
            Vector512<float> x = Vector512.Load(across + i), y = Vector512.Load(down + i);
            float* target = values + i;
            Weighed(t00 & low, t01 & low, t10 & low, t11 & low, x, y).Store(target);
            Weighed((t00 >>> 8) & low, (t01 >>> 8) & low, (t10 >>> 8) & low, (t11 >>> 8) & low, x, y).Store(target + padded);
            Weighed(t00 >>> 24, t01 >>> 24, t10 >>> 24, t11 >>> 24, x, y).Store(target + (2 * padded));
        }
    }

    /// <summary>
    /// Levels weighed by their distances. Their differences are exact, so that where a distance is 0 no bits change, and integers give what
    /// floats give.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Weighed(
        Vector512<int> t00, Vector512<int> t01, Vector512<int> t10, Vector512<int> t11, Vector512<float> across, Vector512<float> down)
    {
        Vector512<int> right = t01 - t00, below = t10 - t00, both = t11 - t10 - right;
        Vector512<float> upper = Vector512.FusedMultiplyAdd(across, Vector512.ConvertToSingle(right), Vector512.ConvertToSingle(t00));
        Vector512<float> slope = Vector512.FusedMultiplyAdd(across, Vector512.ConvertToSingle(both), Vector512.ConvertToSingle(below));
        return Vector512.FusedMultiplyAdd(down, slope, upper);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Weighed(
        Vector512<float> t00, Vector512<float> t01, Vector512<float> t10, Vector512<float> t11, Vector512<float> across,
        Vector512<float> down)
    {
        Vector512<float> right = t01 - t00, below = t10 - t00, both = t11 - t10 - right;
        return Vector512.FusedMultiplyAdd(
            down, Vector512.FusedMultiplyAdd(across, both, below), Vector512.FusedMultiplyAdd(across, right, t00));
    }
}
