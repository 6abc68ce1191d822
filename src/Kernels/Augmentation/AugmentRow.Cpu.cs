using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Kernels.Cpu;

namespace Kernels;

/// <summary>
/// Rows of the output of one sample on the CPU: read through the map, then changed by one colour op after another, each channel in a buffer
/// of its own.
/// </summary>
internal readonly unsafe struct AugmentRow<TIn, TReal>
    where TIn : unmanaged
    where TReal : unmanaged, IBinaryFloatingPointIeee754<TReal>
{
    private readonly AugmentReader<TIn, TReal> _reader;
    private readonly float* _row;
    private readonly TReal* _statistics;
    private readonly AugmentColorArguments _color;

    /// <summary>Three rows, for the neighbours that sharpness weighs.</summary>
    private readonly TReal* _near;

    /// <param name="reader">The image and its map.</param>
    /// <param name="row">The sample's row of the table; null for one without colour ops.</param>
    /// <param name="statistics">Those of the sample, or null.</param>
    /// <param name="color">White, and how many ops have statistics.</param>
    /// <param name="memory">Memory for <see cref="MemoryRows"/> rows.</param>
    public AugmentRow(
        in AugmentReader<TIn, TReal> reader, float* row, TReal* statistics, in AugmentColorArguments color, TReal* memory)
    {
        (_reader, _color) = (reader, color);
        _row = row;
        _statistics = statistics;
        Buffer = memory;
        _near = memory + Size;
    }

    /// <summary>Rows of memory that it takes: one for the caller and three of its own.</summary>
    public const int MemoryRows = 4;

    public int Padded => _reader.Padded;

    /// <summary>Numbers of a row, with all its channels.</summary>
    public long Size => (long)_reader.Channels * _reader.Padded;

    /// <summary>A row for the caller.</summary>
    public TReal* Buffer { get; }

    /// <summary>Whether the ops from <paramref name="first"/> to <paramref name="end"/> - 1 look at neighbours.</summary>
    public bool IsSharpened(int first, int end) => AugmentRow.SharpnessOf(_row, end) is var sharp && sharp >= first && sharp < end;

    /// <summary>Makes row <paramref name="r"/> by the ops from <paramref name="first"/> to <paramref name="end"/> - 1.</summary>
    /// <param name="r">The row.</param>
    /// <param name="first">The first op.</param>
    /// <param name="end">The op after the last.</param>
    /// <param name="picture">All rows after the ops before the first; null to read them from the image, where the first is 0.</param>
    /// <param name="target">Where the row is written; the row of the picture itself unless neighbours are looked at.</param>
    public void Make(int r, int first, int end, TReal* picture, TReal* target)
    {
        if (!IsSharpened(first, end))
        {
            Fetch(r, picture, target);
            Colors(target, first, end);
            return;
        }

        int sharp = AugmentRow.SharpnessOf(_row, end);
        bool isFrame = r == 0 || r + 1 == _reader.OutHeight;
        for (int i = isFrame ? 1 : 0; i < (isFrame ? 2 : 3); i++)
        {
            TReal* near = _near + (i * Size);
            Fetch(r + i - 1, picture, near);
            Colors(near, first, sharp);
        }

        if (isFrame)
            Copy(_near + Size, target);
        else
            Sharpen(_near, target, TReal.CreateTruncating(_row[AugmentRow.ValuePlace + sharp]));
        Colors(target, sharp + 1, end);
    }

    private void Fetch(int r, TReal* picture, TReal* target)
    {
        if (picture == null)
            _reader.Read(r, target);
        else if (picture + (r * Size) != target)
            Copy(picture + (r * Size), target);
    }

    private void Copy(TReal* from, TReal* target) => Unsafe.CopyBlockUnaligned(target, from, (uint)(Size * sizeof(TReal)));

    private void Sharpen(TReal* above, TReal* target, TReal value)
    {
        long size = Size;
        (TReal rest, TReal share) = (TReal.One - value, TReal.CreateTruncating(1.0 / 13));
        TReal white = TReal.CreateTruncating(_color.White), four = TReal.CreateTruncating(4);
        for (int channel = 0; channel < _reader.Channels; channel++)
        {
            TReal* middle = above + size + ((long)channel * _reader.Padded);
            TReal* made = target + ((long)channel * _reader.Padded);
            TReal* upper = middle - size;
            TReal* lower = middle + size;
            for (int i = 0; i < _reader.OutWidth; i++)
            {
                made[i] = middle[i];
                if (i == 0 || i + 1 == _reader.OutWidth) continue;
                TReal sum = four * middle[i];
                for (int near = i - 1; near <= i + 1; near++) sum += upper[near];
                for (int near = i - 1; near <= i + 1; near++) sum += middle[near];
                for (int near = i - 1; near <= i + 1; near++) sum += lower[near];
                made[i] = AugmentRow.Clamp(TReal.FusedMultiplyAdd(value, middle[i], rest * (sum * share)), white);
            }
        }
    }

    /// <summary>The ops from <paramref name="first"/> to <paramref name="end"/> - 1, but for sharpness.</summary>
    private void Colors(TReal* values, int first, int end)
    {
        int statistic = 0;
        for (int i = 0; i < end; i++)
        {
            int code = AugmentRow.CodeOf(_row, i);
            bool needs = AugmentRow.NeedsStatistics(code);
            int own = statistic;
            if (needs) statistic++;
            if (i < first || code == AugmentRow.Sharpness || code == 0 || (needs && own >= _color.StatisticCount)) continue;
            TReal* statistics = _statistics == null ? null : _statistics + (own * AugmentRow.StatisticsLength);
            AugmentRow.Color(values, _reader.Padded, _reader.Channels, code, _row[AugmentRow.ValuePlace + i], statistics, _color);
        }
    }
}

/// <summary>Colour ops over rows of pixels.</summary>
internal static unsafe class AugmentRow
{
    public const int StatisticsLength = 768, CodePlace = 7, ValuePlace = 15;

    public const int Brightness = 1, Contrast = 2, Saturation = 3, Hue = 4, Posterize = 5, Solarize = 6, Equalize = 7, Autocontrast = 8,
        Sharpness = 9;

    /// <summary>Colour ops of a row, which may hold anything.</summary>
    public static int CountOf(float* row) => row[6] > 0 ? (int)MathF.Min(row[6], Augment.MostColors) : 0;

    /// <summary>The code of a colour op, 0 for none.</summary>
    public static int CodeOf(float* row, int i) => row[CodePlace + i] is >= Brightness and <= Sharpness and var code ? (int)code : 0;

    /// <summary>The first op that sharpens among the first <paramref name="end"/>, or <paramref name="end"/>.</summary>
    public static int SharpnessOf(float* row, int end)
    {
        int sharp = 0;
        while (sharp < end && CodeOf(row, sharp) != Sharpness) sharp++;
        return sharp;
    }

    /// <summary>The op whose statistics are the <paramref name="statistic"/>-th of a row, from 0 on; -1 where there are fewer.</summary>
    public static int OpOf(float* row, int statistic)
    {
        for (int i = 0, seen = 0; i < CountOf(row); i++)
            if (NeedsStatistics(CodeOf(row, i)) && seen++ == statistic) return i;
        return -1;
    }

    public static bool NeedsStatistics(int code) => code is Contrast or Equalize or Autocontrast;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<TReal> Fma<TReal>(Vector512<TReal> a, Vector512<TReal> b, Vector512<TReal> c)
        where TReal : unmanaged =>
        typeof(TReal) == typeof(double)
            ? Vector512.FusedMultiplyAdd(a.AsDouble(), b.AsDouble(), c.AsDouble()).As<double, TReal>()
            : Vector512.FusedMultiplyAdd(a.AsSingle(), b.AsSingle(), c.AsSingle()).As<float, TReal>();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TReal Clamp<TReal>(TReal value, TReal white)
        where TReal : unmanaged, IBinaryFloatingPointIeee754<TReal> => !(value > TReal.Zero) ? TReal.Zero : value < white ? value : white;

    /// <summary>Greys of the pixels from a place of a row on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<TReal> Grey<TReal>(TReal* at, int padded, int channels)
        where TReal : unmanaged, IBinaryFloatingPointIeee754<TReal>
    {
        Vector512<TReal> red = Vector512.Load(at);
        return channels < 3 ? red : GreyOf(red, Vector512.Load(at + padded), Vector512.Load(at + (2 * padded)));
    }

    /// <summary>One op over a row of padded channels.</summary>
    public static void Color<TReal>(
        TReal* values, int padded, int channels, int code, float value, TReal* statistics, in AugmentColorArguments color)
        where TReal : unmanaged, IBinaryFloatingPointIeee754<TReal>
    {
        TReal white = TReal.CreateTruncating(color.White), levels = TReal.CreateTruncating(color.Levels);
        TReal factor = TReal.CreateTruncating(value);
        switch (code)
        {
            case Brightness: Blend(values, padded, channels, factor, TReal.Zero, white); break;
            case Contrast: Blend(values, padded, channels, factor, statistics[0], white); break;
            case Saturation: Saturate(values, padded, channels, factor, white); break;
            case Hue when TReal.IsFinite(factor): TurnHue(values, padded, factor); break;
            case Hue: break;
            default:
                for (int channel = 0; channel < channels; channel++)
                {
                    TReal* curve = statistics + (channel * Augment.Levels);
                    TReal* row = values + ((long)channel * padded);
                    for (int i = 0; i < padded; i += Vector512<TReal>.Count)
                    {
                        Vector512<TReal> v = Vector512.Load(row + i);
                        Vector512<TReal> made = code switch
                        {
                            Posterize => Reduce(v, value > 1 ? (int)MathF.Min(value, 8) : 1, levels),
                            Solarize => Invert(v, factor, white, levels),
                            Equalize => Mapped(LevelOf(v, levels), curve),
                            _ => Clamp((v - Vector512.Create(curve[0])) * Vector512.Create(curve[1]), Vector512.Create(white)),
                        };
                        made.Store(row + i);
                    }
                }

                break;
        }
    }

    /// <summary>NaN is black, and so is -0.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<TReal> Clamp<TReal>(Vector512<TReal> value, Vector512<TReal> white)
        where TReal : unmanaged
    {
        // Of NaN and a number, and of two zeros, x86 takes the second.
        if (Sse.IsSupported) return Vector512.MinNative(Vector512.MaxNative(value, Vector512<TReal>.Zero), white);
        value = Vector512.ConditionalSelect(Vector512.GreaterThan(value, Vector512<TReal>.Zero), value, Vector512<TReal>.Zero);
        return Vector512.ConditionalSelect(Vector512.LessThan(value, white), value, white);
    }

    /// <summary>The level, 0 to 255, of values, as whole numbers; NaN is black.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<TReal> LevelOf<TReal>(Vector512<TReal> value, TReal levels)
        where TReal : unmanaged, IBinaryFloatingPointIeee754<TReal> => Floor(
        Clamp(value * Vector512.Create(levels), Vector512.Create(TReal.CreateTruncating(255)))
        + Vector512.Create(TReal.CreateTruncating(0.5)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<TReal> GreyOf<TReal>(Vector512<TReal> red, Vector512<TReal> green, Vector512<TReal> blue)
        where TReal : unmanaged, IBinaryFloatingPointIeee754<TReal> => Fma(
        Vector512.Create(TReal.CreateTruncating(0.2989)), red,
        Fma(Vector512.Create(TReal.CreateTruncating(0.587)), green, Vector512.Create(TReal.CreateTruncating(0.114)) * blue));

    private static void Blend<TReal>(TReal* values, int padded, int channels, TReal factor, TReal other, TReal most)
        where TReal : unmanaged, IBinaryFloatingPointIeee754<TReal>
    {
        Vector512<TReal> scale = Vector512.Create(factor), white = Vector512.Create(most);
        Vector512<TReal> rest = Vector512.Create((TReal.One - factor) * other);
        for (long i = 0; i < (long)padded * channels; i += Vector512<TReal>.Count)
            Clamp(Fma(scale, Vector512.Load(values + i), rest), white).Store(values + i);
    }

    private static void Saturate<TReal>(TReal* values, int padded, int channels, TReal factor, TReal most)
        where TReal : unmanaged, IBinaryFloatingPointIeee754<TReal>
    {
        if (channels < 3)
        {
            // The pixel is its own grey.
            Blend(values, padded, channels, TReal.One, TReal.Zero, most);
            return;
        }

        Vector512<TReal> scale = Vector512.Create(factor), rest = Vector512.Create(TReal.One - factor), white = Vector512.Create(most);
        for (long i = 0; i < padded; i += Vector512<TReal>.Count)
        {
            TReal* at = values + i;
            Vector512<TReal> r = Vector512.Load(at), g = Vector512.Load(at + padded), b = Vector512.Load(at + (2 * padded));
            Vector512<TReal> other = rest * GreyOf(r, g, b);
            Clamp(Fma(scale, r, other), white).Store(at);
            Clamp(Fma(scale, g, other), white).Store(at + padded);
            Clamp(Fma(scale, b, other), white).Store(at + (2 * padded));
        }
    }

    private static void TurnHue<TReal>(TReal* values, int padded, TReal turn)
        where TReal : unmanaged, IBinaryFloatingPointIeee754<TReal>
    {
        Vector512<TReal> two = Vector512.Create(TReal.CreateTruncating(2)), four = two + two, six = four + two;
        Vector512<TReal> turned = Vector512.Create(turn) * six, sixths = Vector512.Create(TReal.CreateTruncating(1.0 / 6));
        for (long i = 0; i < padded; i += Vector512<TReal>.Count)
        {
            TReal* at = values + i;
            Vector512<TReal> r = Vector512.Load(at), g = Vector512.Load(at + padded), b = Vector512.Load(at + (2 * padded));
            Vector512<TReal> most = Larger(r, Larger(g, b)), range = most + Larger(-r, Larger(-g, -b));
            Vector512<TReal> isGrey = ~(Vector512.GreaterThan(range, Vector512<TReal>.Zero) & CpuReal.IsFinite(r + g + b));
            Vector512<TReal> inverse = Vector512<TReal>.One / Vector512.ConditionalSelect(isGrey, Vector512<TReal>.One, range);
            Vector512<TReal> sixth = Vector512.ConditionalSelect(
                Vector512.Equals(most, g), Fma(b - r, inverse, two), Fma(r - g, inverse, four));
            sixth = Vector512.ConditionalSelect(Vector512.Equals(most, r), (g - b) * inverse, sixth) + turned;
            for (int channel = 0; channel < 3; channel++)
            {
                Vector512<TReal> from = sixth + Vector512.Create(TReal.CreateTruncating(5 - (2 * channel)));
                Vector512<TReal> place = Fma(-six, Floor(from * sixths), from), other = four - place;
                Vector512<TReal> nearer = Vector512.ConditionalSelect(Vector512.LessThan(place, other), place, other);
                Vector512<TReal> made = Fma(-range, Clamp(nearer, Vector512<TReal>.One), most);
                TReal* target = at + (channel * padded);
                Vector512.ConditionalSelect(isGrey, Vector512.Load(target), made).Store(target);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<TReal> Reduce<TReal>(Vector512<TReal> value, int bits, TReal levels)
        where TReal : unmanaged, IBinaryFloatingPointIeee754<TReal>
    {
        // Powers of two, so that both products are exact.
        TReal step = TReal.CreateTruncating(Augment.Levels >> bits);
        return Floor(LevelOf(value, levels) * Vector512.Create(TReal.One / step)) * Vector512.Create(step) / Vector512.Create(levels);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<TReal> Invert<TReal>(Vector512<TReal> value, TReal threshold, TReal white, TReal levels)
        where TReal : unmanaged, IBinaryFloatingPointIeee754<TReal> => Vector512.ConditionalSelect(
        Vector512.GreaterThanOrEqual(value * Vector512.Create(levels), Vector512.Create(threshold)),
        Vector512.Create(white) - value,
        value);

    /// <summary>Levels through a curve.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Vector512<TReal> Mapped<TReal>(Vector512<TReal> levels, TReal* curve)
        where TReal : unmanaged, IBinaryFloatingPointIeee754<TReal>
    {
        TReal* values = (TReal*)&levels;
        for (int lane = 0; lane < Vector512<TReal>.Count; lane++) values[lane] = curve[int.CreateTruncating(values[lane])];
        return levels;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<TReal> Larger<TReal>(Vector512<TReal> a, Vector512<TReal> b)
        where TReal : unmanaged => Vector512.ConditionalSelect(Vector512.GreaterThan(a, b), a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<TReal> Floor<TReal>(Vector512<TReal> x)
        where TReal : unmanaged => typeof(TReal) == typeof(double)
        ? Vector512.Floor(x.AsDouble()).As<double, TReal>() : Vector512.Floor(x.AsSingle()).As<float, TReal>();
}
