using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
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
    private readonly TReal* _values;

    /// <param name="reader">The image and its map.</param>
    /// <param name="row">The sample's row of the table; null for one without colour ops.</param>
    /// <param name="statistics">Those of the batch, or null.</param>
    /// <param name="sample">The place in the batch.</param>
    /// <param name="color">White, and how many ops have statistics.</param>
    public AugmentRow(in AugmentReader<TIn, TReal> reader, float* row, TReal* statistics, long sample, in AugmentColorArguments color)
    {
        (_reader, _color) = (reader, color);
        _row = row;
        _statistics = statistics == null ? null : statistics + (sample * color.StatisticCount * AugmentRow.StatisticsLength);

        // Three rows beside the one that is made, for the neighbours that sharpness weighs.
        _values = CpuScratch.Take<TReal>(4L * reader.Channels * reader.Padded);
    }

    public int Padded => _reader.Padded;

    /// <summary>Row <paramref name="r"/> after the first <paramref name="end"/> colour ops.</summary>
    public TReal* Row(int r, int end)
    {
        int sharp = 0;
        while (sharp < end && AugmentRow.CodeOf(_row, sharp) != AugmentRow.Sharpness) sharp++;
        if (sharp == end)
        {
            _reader.Read(r, _values);
            Colors(_values, 0, end);
            return _values;
        }

        long size = (long)_reader.Channels * _reader.Padded;
        TReal* above = _values + size;
        bool isFrame = r == 0 || r + 1 == _reader.OutHeight;
        for (int i = isFrame ? 1 : 0; i < (isFrame ? 2 : 3); i++)
        {
            _reader.Read(r + i - 1, above + (i * size));
            Colors(above + (i * size), 0, sharp);
        }

        if (isFrame)
            Unsafe.CopyBlockUnaligned(_values, above + size, (uint)(size * sizeof(TReal)));
        else
            Sharpen(above, size, TReal.CreateTruncating(_row[AugmentRow.ValuePlace + sharp]));
        Colors(_values, sharp + 1, end);
        return _values;
    }

    private void Sharpen(TReal* above, long size, TReal value)
    {
        (TReal rest, TReal share) = (TReal.One - value, TReal.CreateTruncating(1.0 / 13));
        TReal white = TReal.CreateTruncating(_color.White), four = TReal.CreateTruncating(4);
        for (int channel = 0; channel < _reader.Channels; channel++)
        {
            TReal* middle = above + size + ((long)channel * _reader.Padded);
            TReal* made = _values + ((long)channel * _reader.Padded);
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

    public static int LevelOf<TReal>(TReal value, TReal levels)
        where TReal : unmanaged, IBinaryFloatingPointIeee754<TReal> =>
        int.CreateTruncating(Clamp(value * levels, TReal.CreateTruncating(255)) + TReal.CreateTruncating(0.5));

    public static TReal Grey<TReal>(TReal* values, int i, int padded, int channels)
        where TReal : unmanaged, IBinaryFloatingPointIeee754<TReal> =>
        channels < 3 ? values[i] : GreyOf(values[i], values[i + padded], values[i + (2 * padded)]);

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
                    Span<TReal> row = new(values + ((long)channel * padded), padded);
                    switch (code)
                    {
                        case Posterize: Reduce(row, value > 1 ? (int)MathF.Min(value, 8) : 1, levels); break;
                        case Solarize: Invert(row, factor, white, levels); break;
                        case Equalize:
                            for (int i = 0; i < row.Length; i++) row[i] = curve[LevelOf(row[i], levels)];
                            break;
                        default: Stretch(row, curve[0], curve[1], white); break;
                    }
                }

                break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<TReal> Clamp<TReal>(Vector512<TReal> value, Vector512<TReal> white)
        where TReal : unmanaged
    {
        value = Vector512.ConditionalSelect(Vector512.GreaterThan(value, Vector512<TReal>.Zero), value, Vector512<TReal>.Zero);
        return Vector512.ConditionalSelect(Vector512.LessThan(value, white), value, white);
    }

    private static TReal GreyOf<TReal>(TReal red, TReal green, TReal blue)
        where TReal : unmanaged, IBinaryFloatingPointIeee754<TReal> => TReal.FusedMultiplyAdd(
        TReal.CreateTruncating(0.2989), red,
        TReal.FusedMultiplyAdd(TReal.CreateTruncating(0.587), green, TReal.CreateTruncating(0.114) * blue));

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
        Vector512<TReal> red = Vector512.Create(TReal.CreateTruncating(0.2989)), green = Vector512.Create(TReal.CreateTruncating(0.587));
        Vector512<TReal> blue = Vector512.Create(TReal.CreateTruncating(0.114));
        for (long i = 0; i < padded; i += Vector512<TReal>.Count)
        {
            TReal* at = values + i;
            Vector512<TReal> r = Vector512.Load(at), g = Vector512.Load(at + padded), b = Vector512.Load(at + (2 * padded));
            Vector512<TReal> other = rest * Fma(red, r, Fma(green, g, blue * b));
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

    private static void Reduce<TReal>(Span<TReal> row, int bits, TReal levels)
        where TReal : unmanaged, IBinaryFloatingPointIeee754<TReal>
    {
        int kept = Augment.Levels - (Augment.Levels >> bits);
        for (int i = 0; i < row.Length; i++) row[i] = TReal.CreateTruncating(LevelOf(row[i], levels) & kept) / levels;
    }

    private static void Invert<TReal>(Span<TReal> row, TReal threshold, TReal white, TReal levels)
        where TReal : unmanaged, IBinaryFloatingPointIeee754<TReal>
    {
        for (int i = 0; i < row.Length; i++) row[i] = row[i] * levels >= threshold ? white - row[i] : row[i];
    }

    private static void Stretch<TReal>(Span<TReal> row, TReal least, TReal scale, TReal white)
        where TReal : unmanaged, IBinaryFloatingPointIeee754<TReal>
    {
        for (int i = 0; i < row.Length; i++) row[i] = Clamp((row[i] - least) * scale, white);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<TReal> Larger<TReal>(Vector512<TReal> a, Vector512<TReal> b)
        where TReal : unmanaged => Vector512.ConditionalSelect(Vector512.GreaterThan(a, b), a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<TReal> Floor<TReal>(Vector512<TReal> x)
        where TReal : unmanaged => typeof(TReal) == typeof(double)
        ? Vector512.Floor(x.AsDouble()).As<double, TReal>() : Vector512.Floor(x.AsSingle()).As<float, TReal>();
}
