using System.Numerics;
using System.Runtime.Intrinsics;

namespace Kernels;

internal readonly unsafe partial struct AugmentReader<TIn, TReal>
    where TIn : unmanaged
    where TReal : unmanaged, IBinaryFloatingPointIeee754<TReal>
{
    /// <summary>
    /// Whether rows of planes are moved, or mirrored, by whole pixels. Halves are exact, so what holds for one pixel holds for all.
    /// </summary>
    private bool IsMove
    {
        get
        {
            if (typeof(TReal) != typeof(float) || typeof(TIn) == typeof(double) || _image.XPixel != 1) return false;
            if (_b != TReal.Zero || _d != TReal.Zero || TReal.Abs(_a) != TReal.One || TReal.Abs(_e) != TReal.One) return false;
            (TReal x, TReal y, _, _) = Place(0, 0);
            return IsHalves(_c) && IsHalves(_f) && TReal.IsInteger(x) && TReal.IsInteger(y);
        }
    }

    private static bool IsHalves(TReal x) => TReal.IsInteger(x + x) && TReal.Abs(x) < Real(Reach);

    /// <summary>A row as it lies, forwards or backwards, with what fills the outside; false where the border is another.</summary>
    private bool Moved(int r, float* values)
    {
        (TReal x, TReal y, _, _) = Place(r, 0);
        (int start, int row, int width) = (int.CreateTruncating(x), int.CreateTruncating(y), (int)_image.Width);
        bool isBackward = _a < TReal.Zero, isInside = (uint)row < _image.Height;
        int first = Math.Clamp(isBackward ? start - width + 1 : -start, 0, OutWidth);
        int end = isInside ? Math.Clamp(isBackward ? start + 1 : width - start, first, OutWidth) : first;
        if (_map.Border != Constant && (first > 0 || end < OutWidth)) return false;
        for (int channel = 0; channel < Channels; channel++)
        {
            TIn* from = _x + ((long)channel * _image.XChannel) + ((long)row * RowStep) + start;
            float* target = values + ((long)channel * Padded);
            new Span<float>(target, first).Fill((float)_map.Fill);
            new Span<float>(target + end, OutWidth - end).Fill((float)_map.Fill);
            int i = first;
            for (; i + Width <= end; i += Width)
            {
                Vector512<float> pixels = Neighbours(isBackward ? from - i - (Width - 1) : from + i);
                if (isBackward) pixels = Vector512.Shuffle(pixels, Vector512.Create(Width - 1) - Vector512<int>.Indices);
                pixels.Store(target + i);
            }

            for (; i < end; i++) target[i] = Single(Tap(isBackward ? start - i : start + i, row, channel));
        }

        return true;
    }
}
