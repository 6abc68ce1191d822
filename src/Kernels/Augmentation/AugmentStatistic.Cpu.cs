using System.Numerics;
using System.Runtime.Intrinsics;

namespace Kernels;

/// <summary>
/// What one colour op needs of a whole image, taken from its rows one after the other on the CPU, or put together from bands of rows.
/// </summary>
internal unsafe ref struct AugmentStatistic<TReal>
    where TReal : unmanaged, IBinaryFloatingPointIeee754<TReal>
{
    private const int Levels = Augment.Levels;

    /// <summary>Greys that are summed in the arithmetic type, each lane by itself, before their sum is one of doubles.</summary>
    private const int PixelsOfSum = 1024;

    /// <summary>PART_MOST and PART_LEAST in the text.</summary>
    private const int PartMost = 1, PartLeast = 4;

    private readonly int _code, _channels, _width, _padded;
    private readonly TReal _white, _levels;
    private readonly Span<int> _histogram;
    private readonly Span<Vector512<TReal>> _least, _most;
    private readonly long _pixels;
    private Vector512<double> _sum;

    /// <param name="code">The op.</param>
    /// <param name="channels">Channels.</param>
    /// <param name="pixels">Pixels of the whole image.</param>
    /// <param name="color">White, and levels.</param>
    /// <param name="width">Pixels of a row.</param>
    /// <param name="padded">From one channel of a row to the next.</param>
    public AugmentStatistic(int code, int channels, long pixels, in AugmentColorArguments color, int width = 0, int padded = 0)
    {
        (_white, _levels) = (TReal.CreateTruncating(color.White), TReal.CreateTruncating(color.Levels));
        (_code, _channels, _pixels, _width, _padded) = (code, channels, pixels, width, padded);
        _histogram = code == AugmentRow.Equalize ? new int[_channels * Levels] : [];
        _least = code == AugmentRow.Autocontrast ? new Vector512<TReal>[_channels] : [];
        _most = code == AugmentRow.Autocontrast ? new Vector512<TReal>[_channels] : [];
        _least.Fill(Vector512.Create(TReal.PositiveInfinity));
        _most.Fill(Vector512.Create(TReal.NegativeInfinity));
    }

    /// <summary>Takes a row in.</summary>
    public void Add(TReal* row)
    {
        switch (_code)
        {
            case AugmentRow.Contrast:
                for (int i = 0; i < _width; i += PixelsOfSum) AddGreys(row, i, Math.Min(_width, i + PixelsOfSum));
                break;
            case AugmentRow.Autocontrast: AddExtremes(row); break;
            default: AddLevels(row); break;
        }
    }

    /// <summary>Writes what the op needs: the mean grey; for each channel the least value and a factor, or a curve.</summary>
    public readonly void Finish(TReal* own)
    {
        switch (_code)
        {
            case AugmentRow.Contrast: own[0] = TReal.CreateTruncating(SumOfLanes / _pixels); break;
            case AugmentRow.Autocontrast: Stretch(own); break;
            default: Curve(own); break;
        }
    }

    /// <summary>Writes what was found of the rows so far, as the kernel keeps it of a part.</summary>
    public readonly void Keep(TReal* part)
    {
        if (_code == AugmentRow.Contrast) part[0] = TReal.CreateTruncating(SumOfLanes);
        for (int level = 0; level < _histogram.Length; level++) part[level] = TReal.CreateTruncating(_histogram[level]);
        for (int channel = 0; channel < _most.Length; channel++)
        {
            (TReal least, TReal most) = ExtremesOf(channel);
            (part[PartMost + channel], part[PartLeast + channel]) = (most, -least);
        }
    }

    /// <summary>Takes in what was kept of other rows.</summary>
    public void Join(TReal* part)
    {
        if (_code == AugmentRow.Contrast) _sum += Vector512.CreateScalar(double.CreateTruncating(part[0]));
        for (int level = 0; level < _histogram.Length; level++) _histogram[level] += int.CreateTruncating(part[level]);
        for (int channel = 0; channel < _most.Length; channel++)
        {
            (TReal least, TReal most) = ExtremesOf(channel);
            _most[channel] = Vector512.Create(TReal.Max(most, part[PartMost + channel]));
            _least[channel] = Vector512.Create(TReal.Min(least, -part[PartLeast + channel]));
        }
    }

    private readonly double SumOfLanes
    {
        get
        {
            double sum = 0;
            for (int lane = 0; lane < Vector512<double>.Count; lane++) sum += _sum[lane];
            return sum;
        }
    }

    private static Vector512<TReal> FirstOf(int count) =>
        Vector512.LessThan(Vector512<TReal>.Indices, Vector512.Create(TReal.CreateTruncating(count)));

    private void AddGreys(TReal* row, int first, int end)
    {
        (int padded, int channels) = (_padded, _channels);
        Vector512<TReal> sum = Vector512<TReal>.Zero;
        int i = first;
        for (; i + Vector512<TReal>.Count <= end; i += Vector512<TReal>.Count) sum += AugmentRow.Grey(row + i, padded, channels);
        if (i < end)
            sum += Vector512.ConditionalSelect(FirstOf(end - i), AugmentRow.Grey(row + i, padded, channels), Vector512<TReal>.Zero);
        if (typeof(TReal) == typeof(double))
        {
            _sum += sum.AsDouble();
            return;
        }

        (Vector512<double> lower, Vector512<double> upper) = Vector512.Widen(sum.AsSingle());
        _sum += lower + upper;
    }

    private readonly void AddExtremes(TReal* row)
    {
        for (int channel = 0; channel < _channels; channel++)
        {
            TReal* values = row + ((long)channel * _padded);
            Vector512<TReal> least = _least[channel], most = _most[channel];
            for (int i = 0; i < _width; i += Vector512<TReal>.Count)
            {
                // Of NaN nothing is less or greater.
                Vector512<TReal> value = Vector512.Load(values + i), counts = FirstOf(_width - i);
                least = Vector512.ConditionalSelect(Vector512.LessThan(value, least) & counts, value, least);
                most = Vector512.ConditionalSelect(Vector512.GreaterThan(value, most) & counts, value, most);
            }

            (_least[channel], _most[channel]) = (least, most);
        }
    }

    private readonly void AddLevels(TReal* row)
    {
        for (int channel = 0; channel < _channels; channel++)
        {
            Span<int> counts = _histogram.Slice(channel * Levels, Levels);
            for (int i = 0; i < _width; i += Vector512<TReal>.Count)
            {
                Vector512<TReal> level = AugmentRow.LevelOf(Vector512.Load(row + ((long)channel * _padded) + i), _levels);
                int count = Math.Min(Vector512<TReal>.Count, _width - i);
                for (int lane = 0; lane < count; lane++) counts[int.CreateTruncating(level[lane])]++;
            }
        }
    }

    private readonly (TReal Least, TReal Most) ExtremesOf(int channel)
    {
        (TReal least, TReal most) = (TReal.PositiveInfinity, TReal.NegativeInfinity);
        for (int lane = 0; lane < Vector512<TReal>.Count; lane++)
        {
            least = TReal.Min(least, _least[channel][lane]);
            most = TReal.Max(most, _most[channel][lane]);
        }

        return (least, most);
    }

    private readonly void Stretch(TReal* own)
    {
        for (int channel = 0; channel < _channels; channel++)
        {
            (TReal least, TReal most) = ExtremesOf(channel);
            TReal range = most - least;
            own[channel * Levels] = range > TReal.Zero ? least : TReal.Zero;
            own[(channel * Levels) + 1] = range > TReal.Zero ? _white / range : TReal.One;
        }
    }

    private readonly void Curve(TReal* own)
    {
        for (int channel = 0; channel < _channels; channel++)
        {
            Span<int> counts = _histogram.Slice(channel * Levels, Levels);
            int total = 0, last = 0;
            for (int level = 0; level < Levels; level++)
            {
                total += counts[level];
                if (counts[level] > 0) last = counts[level];
            }

            long step = (total - last) / (Levels - 1), below = 0;
            for (int level = 0; level < Levels; level++)
            {
                long mapped = step == 0 ? level : Math.Min((below + (step / 2)) / step, Levels - 1);
                own[(channel * Levels) + level] = TReal.CreateTruncating((double)mapped) / _levels;
                below += counts[level];
            }
        }
    }
}
