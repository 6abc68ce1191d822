using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Kernels.Cpu;

namespace Kernels;

/// <summary>
/// A box of an image of three channels of bytes on the CPU, with four bytes a pixel: red, green, 0, blue. One load brings a pixel with all
/// of its channels and the pixel to its right. The box may reach two pixels beyond the image, where what lies outside is written into it:
/// then a place that is clamped to two pixels outside needs no test.
/// </summary>
internal readonly unsafe struct AugmentPixels
{
    /// <summary>Pixels beyond the image that the box may have before it, and behind it.</summary>
    public const int Around = 2;

    private const int Width = CpuElement.Width;

    private readonly uint* _pixels;
    private readonly int _left, _top, _columns;

    /// <summary>Fills a box, whose right column and bottom row count.</summary>
    /// <param name="pixels">Memory for the box.</param>
    /// <param name="x">The image.</param>
    /// <param name="image">Its sizes.</param>
    /// <param name="fill">The level outside of the image.</param>
    /// <param name="box">In the image's columns and rows.</param>
    public AugmentPixels(uint* pixels, byte* x, in AugmentImageArguments image, uint fill, (int Left, int Top, int Right, int Bottom) box)
    {
        (_left, _top, _columns) = (box.Left, box.Top, box.Right - box.Left + 1);
        _pixels = pixels;
        (int height, int width) = ((int)image.Height, (int)image.Width);
        uint outside = fill | (fill << 8) | (fill << 24);
        for (int row = box.Top; row <= box.Bottom; row++)
        {
            uint* target = pixels + ((long)(row - box.Top) * _columns);
            bool isInside = row >= 0 && row < height;
            int first = isInside ? Math.Max(0, box.Left) : box.Left, end = isInside ? Math.Min(width, box.Right + 1) : box.Left;
            new Span<uint>(target, Math.Max(0, first - box.Left)).Fill(outside);
            end = Math.Max(first, end);
            Pack(x + ((long)row * width * image.XPixel), image, first, end, target + (first - box.Left));
            new Span<uint>(target + (end - box.Left), box.Right + 1 - end).Fill(outside);
        }
    }

    /// <summary>From a row of the box to the next.</summary>
    public int Columns => _columns;

    /// <summary>The numbers in the box of pixels, which float counts exactly: a box has fewer than 2^24.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector512<int> PlaceOf(Vector512<float> column, Vector512<float> row) => Vector512.ConvertToInt32Native(
        Vector512.FusedMultiplyAdd(
            row - Vector512.Create((float)_top), Vector512.Create((float)_columns), column - Vector512.Create((float)_left)));

    /// <summary>Sixteen pixels and those to their right.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public (Vector512<int> Left, Vector512<int> Right) Pairs(int* places, int offset)
    {
        uint* from = _pixels + offset;
        if (Avx512F.IsSupported)
        {
            Vector512<float> even = Joined(
                Two(from, places), Two(from, places + 4), Two(from, places + 8), Two(from, places + 12));
            Vector512<float> odd = Joined(
                Two(from, places + 2), Two(from, places + 6), Two(from, places + 10), Two(from, places + 14));
            return (Avx512F.Shuffle(even, odd, 0b10_00_10_00).AsInt32(), Avx512F.Shuffle(even, odd, 0b11_01_11_01).AsInt32());
        }

        (Vector128<float> l0, Vector128<float> r0) = Four(from, places);
        (Vector128<float> l1, Vector128<float> r1) = Four(from, places + 4);
        (Vector128<float> l2, Vector128<float> r2) = Four(from, places + 8);
        (Vector128<float> l3, Vector128<float> r3) = Four(from, places + 12);
        return (Joined(l0, l1, l2, l3).AsInt32(), Joined(r0, r1, r2, r3).AsInt32());
    }

    /// <summary>Vector512.Create would wait for a vector of the last round that it overwrites.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Joined(Vector128<float> a, Vector128<float> b, Vector128<float> c, Vector128<float> d) =>
        a.ToVector256Unsafe().WithUpper(b).ToVector512Unsafe().WithUpper(c.ToVector256Unsafe().WithUpper(d));

    /// <summary>Two pixels, each with the one to its right.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Two(uint* from, int* places)
    {
        uint* a = from + places[0];
        uint* b = from + places[1];
        return Sse2.IsSupported
            ? Sse2.LoadHigh(Sse2.LoadScalarVector128((double*)a), (double*)b).AsSingle()
            : Vector128.Create(Unsafe.ReadUnaligned<double>(a), Unsafe.ReadUnaligned<double>(b)).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector128<float> Left, Vector128<float> Right) Four(uint* from, int* places)
    {
        (Vector128<float> a, Vector128<float> b) = (Two(from, places), Two(from, places + 2));
        if (Sse.IsSupported) return (Sse.Shuffle(a, b, 0b10_00_10_00), Sse.Shuffle(a, b, 0b11_01_11_01));
        a = Vector128.Shuffle(a, Vector128.Create(0, 2, 1, 3));
        b = Vector128.Shuffle(b, Vector128.Create(0, 2, 1, 3));
        return (Vector128.Create(a.GetLower(), b.GetLower()), Vector128.Create(a.GetUpper(), b.GetUpper()));
    }

    /// <summary>Columns of a row of the image.</summary>
    private static void Pack(byte* row, in AugmentImageArguments image, int column, int end, uint* target)
    {
        long channel = image.XChannel;
        if (image.XPixel == 1)
        {
            for (; column + Width <= end; column += Width, target += Width)
            {
                byte* from = row + column;
                (Widened(from) | (Widened(from + channel) << 8) | (Widened(from + (2 * channel)) << 24)).Store(target);
            }
        }
        else
        {
            // Four pixels of three bytes; the load takes four bytes more, which are still of the row.
            Vector128<byte> places = Vector128.Create((byte)0, 1, 255, 2, 3, 4, 255, 5, 6, 7, 255, 8, 9, 10, 255, 11);
            for (; column + 4 <= end && column + 6 <= image.Width; column += 4, target += 4)
                Vector128.Shuffle(Vector128.Load(row + (3L * column)), places).AsUInt32().Store(target);
        }

        for (; column < end; column++, target++)
        {
            byte* from = row + ((long)column * image.XPixel);
            *target = from[0] | ((uint)from[channel] << 8) | ((uint)from[2 * channel] << 24);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<uint> Widened(byte* from)
    {
        Vector128<byte> bytes = Vector128.Load(from);
        if (Avx512F.IsSupported) return Avx512F.ConvertToVector512UInt32(bytes);
        (Vector128<ushort> lower, Vector128<ushort> upper) = Vector128.Widen(bytes);
        return Vector512.Create(
            Vector256.Create(Vector128.WidenLower(lower), Vector128.WidenUpper(lower)),
            Vector256.Create(Vector128.WidenLower(upper), Vector128.WidenUpper(upper)));
    }
}
