using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Kernels.Cpu;

namespace Kernels;

/// <summary>
/// One axis of a gather: result i of those that are taken together meets tap t of those that it can meet at i * Step + First + t * TapStep
/// of the image. They are number ResultFirst + i * ResultStep of the results, and number FilterFirst + t * FilterStep of the filter.
/// </summary>
internal readonly record struct GatherAxis(
    int First, int Step, int TapStep, int Taps, int FilterFirst, int FilterStep, int Results, int ResultFirst, int ResultStep)
{
    public static GatherAxis Forward(uint results, uint taps, uint stride, uint dilation, uint padding) =>
        new(-(int)padding, (int)stride, (int)dilation, (int)taps, 0, 1, (int)results, 0, 1);

    /// <summary>The same taps, those that lie further on in the image later.</summary>
    public GatherAxis Ascending() => TapStep >= 0 ? this : this with
    {
        First = First + ((Taps - 1) * TapStep),
        TapStep = -TapStep,
        FilterFirst = FilterFirst + ((Taps - 1) * FilterStep),
        FilterStep = -FilterStep,
    };

    /// <summary>The results for which a tap lies in an image of so many rows, or columns: those that follow each other.</summary>
    public (int First, int End) Inside(int tap, int size)
    {
        (int first, int end) = (0, Results);
        int at = First + (tap * TapStep);
        while (first < end && (uint)(at + (first * Step)) >= (uint)size) first++;
        while (end > first && (uint)(at + ((end - 1) * Step)) >= (uint)size) end--;
        return (first, end);
    }

    /// <summary>
    /// x at phase, phase + stride, ... went to y by the same taps: those for which x + padding - tap * dilation is a multiple of the
    /// stride.
    /// </summary>
    public static GatherAxis Backward(uint xSize, uint taps, uint stride, uint dilation, uint padding, uint phase)
    {
        long tap = 0;
        while (tap < taps && (phase + padding + (tap * (stride - (dilation % stride)))) % stride != 0) tap++;
        long apart = 1;
        while (apart * dilation % stride != 0) apart++;
        int first = tap < taps ? (int)((phase + padding - (tap * dilation)) / stride) : 0;
        int count = tap < taps ? (int)((taps - tap + apart - 1) / apart) : 0;
        int step = count > 1 ? -(int)(apart * dilation / stride) : 0;
        return new(first, 1, step, count, (int)tap, (int)apart, (int)((xSize - phase + stride - 1) / stride), (int)phase, (int)stride);
    }
}

/// <summary>
/// The matrix of patches that a convolution multiplies by, one element for each pixel of the result and each tap of the filter. It is made
/// a piece at a time, in the order in which the product packs it.
/// </summary>
internal readonly unsafe struct Im2Col<T, TSum>
    where T : unmanaged
    where TSum : unmanaged
{
    /// <summary>The most pixels in a call of <see cref="PackTaps"/>.</summary>
    private const int MostPixels = 512;

    public required T* Image { get; init; }

    public required MapStrides Strides { get; init; }

    public required int Height { get; init; }

    public required int Width { get; init; }

    public required int Channels { get; init; }

    public required GatherAxis Vertical { get; init; }

    public required GatherAxis Horizontal { get; init; }

    public long Taps => (long)Channels * Vertical.Taps * Horizontal.Taps;

    /// <summary>Whether the patches are the image: one tap, and a result for each pixel.</summary>
    public bool IsImage => IsAxis(Vertical, Height) && IsAxis(Horizontal, Width);

    /// <summary>How many channels of a pixel share a set of the nearest cache: in most processors lines 4 KiB apart do.</summary>
    public long ChannelsOfCacheSet
    {
        get
        {
            long apart = Strides.Channel * sizeof(T);
            return Channels * Math.Min(4096, apart & -apart) / 4096;
        }
    }

    /// <summary>A row for each tap (channel, then down, then right), along it pixels; for images whose rows are contiguous.</summary>
    [SkipLocalsInit]
    public void PackTaps(long firstTap, long taps, long firstPixel, long pixels, TSum* destination, long stride)
    {
        Run* runs = stackalloc Run[MostPixels];
        int count = Runs(firstPixel, (int)pixels, runs);
        if (typeof(T) == typeof(float) && typeof(TSum) == typeof(float) && Horizontal.Step <= 2 && Avx512F.IsSupported)
        {
            for (int i = 0; i < count; i++) PackRun(runs[i], firstTap, taps, (float*)(destination + runs[i].Start), stride);
            return;
        }

        long area = (long)Vertical.Taps * Horizontal.Taps;
        long channel = firstTap / area;
        int down = (int)(firstTap % area / Horizontal.Taps), right = (int)(firstTap % Horizontal.Taps);
        for (long row = 0; row < taps; row++, destination += stride)
        {
            T* plane = Image + (channel * Strides.Channel);
            int dy = down * Vertical.TapStep, dx = right * Horizontal.TapStep;
            for (int i = 0; i < count; i++) CopyRun(runs[i], plane, dy, dx, destination + runs[i].Start);
            if (++right < Horizontal.Taps) continue;
            right = 0;
            if (++down < Vertical.Taps) continue;
            down = 0;
            channel++;
        }
    }

    /// <summary>A row for each pixel, along it taps (down, then right, then channel); for images whose channels are contiguous.</summary>
    public void PackPixels(long firstPixel, long pixels, long firstTap, long taps, TSum* destination, long stride)
    {
        // What neighbouring taps see lies side by side: a span of all columns, or of one.
        bool areNeighbours = Horizontal.TapStep == 1 && Strides.Column == Channels;
        int spans = areNeighbours ? 1 : Horizontal.Taps;
        long span = areNeighbours ? (long)Horizontal.Taps * Channels : Channels;
        PixelWalk walk = new(firstPixel, Vertical.Results, Horizontal.Results);
        for (long done = 0; done < taps;)
        {
            (long place, long first) = Math.DivRem(firstTap + done, span);
            int count = (int)Math.Min(span - first, taps - done), y = Vertical.First + ((int)(place / spans) * Vertical.TapStep);
            long x = Horizontal.First + ((place % spans) * Horizontal.TapStep);
            PackSpan(walk, pixels, y, (x * Strides.Column) + first, destination + done, stride, count);
            done += count;
        }
    }

    /// <summary>Elements that lie side by side in a row of the image, for each pixel.</summary>
    /// <param name="walk">The first pixel.</param>
    /// <param name="pixels">Pixels.</param>
    /// <param name="firstY">The image's row for the first row of results.</param>
    /// <param name="first">The first element of that row for the first result of a row.</param>
    /// <param name="destination">A row for each pixel.</param>
    /// <param name="stride">From one to the next.</param>
    /// <param name="count">Elements of a row.</param>
    private void PackSpan(PixelWalk walk, long pixels, int firstY, long first, TSum* destination, long stride, int count)
    {
        long end = Width * Strides.Column, step = Horizontal.Step * Strides.Column;
        for (; pixels > 0; walk.NextRow())
        {
            long left = Math.Min(pixels, walk.LeftOfRow), at = first + (walk.X * step);
            int y = firstY + (walk.Y * Vertical.Step);
            pixels -= left;
            if ((uint)y >= (uint)Height)
            {
                for (; left > 0; left--, destination += stride) new Span<TSum>(destination, count).Clear();
                continue;
            }

            // Pixels on the edges see only a part of the span, those between them all of it.
            T* row = Image + (walk.Batch * Strides.Batch) + (y * Strides.Row);
            for (; left > 0 && at < 0; left--, at += step, destination += stride) PackPart(row, at, end, destination, count);
            long whole = Math.Min(left, at + count > end ? 0 : ((end - count - at) / step) + 1);
            CpuConvert.WidenRows(row + at, step, destination, stride, whole, count);
            at += whole * step;
            destination += whole * stride;
            for (left -= whole; left > 0; left--, at += step, destination += stride) PackPart(row, at, end, destination, count);
        }
    }

    /// <summary>Elements from one on, of which those outside the row are zeros.</summary>
    private static void PackPart(T* row, long at, long end, TSum* destination, int count)
    {
        int before = (int)Math.Clamp(-at, 0, count), inside = (int)Math.Clamp(end - at, before, count);
        new Span<TSum>(destination, before).Clear();
        CpuConvert.Widen(row + at + before, destination + before, inside - before);
        new Span<TSum>(destination + inside, count - inside).Clear();
    }

    /// <summary>Pixels of one row of the result: for all taps their elements lie in one row of the image.</summary>
    private struct Run
    {
        public int Start, Count, Y, X;
        public long Offset;
    }

    private int Runs(long firstPixel, int pixels, Run* runs)
    {
        PixelWalk walk = new(firstPixel, Vertical.Results, Horizontal.Results);
        int count = 0;
        for (int start = 0; start < pixels;)
        {
            int length = Math.Min(pixels - start, Horizontal.Results - walk.X);
            runs[count++] = new Run
            {
                Start = start,
                Count = length,
                Y = (walk.Y * Vertical.Step) + Vertical.First,
                X = (walk.X * Horizontal.Step) + Horizontal.First,
                Offset = walk.Batch * Strides.Batch,
            };
            start += length;
            walk.NextRow();
        }

        return count;
    }

    /// <summary>
    /// A run for all taps, vector by vector: what a place of the filter sees is the same part of a row in each channel, so masks and
    /// addresses are made once for all of them.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void PackRun(in Run run, long firstTap, long taps, float* destination, long stride)
    {
        long area = (long)Vertical.Taps * Horizontal.Taps;
        (long firstChannel, long firstPlace) = Math.DivRem(firstTap, area);
        (long endChannel, long endPlace) = Math.DivRem(firstTap + taps, area);
        Vector512<int> even = Vector512<int>.Indices * 2;
        for (int start = 0; start < run.Count; start += CpuElement.Width)
        {
            Vector512<float> wanted = Vector512.LessThan(Vector512<int>.Indices, Vector512.Create(run.Count - start)).AsSingle();
            int x = run.X + (start * Horizontal.Step);
            for (int right = 0; right < Horizontal.Taps; right++, x += Horizontal.TapStep)
            {
                Vector512<float> low = Inside(x), high = Inside(x + CpuElement.Width);
                bool isWhole = (wanted.AsInt32() & low.AsInt32()) == Vector512<int>.AllBitsSet;
                int y = run.Y;
                for (long place = right; place < area; place += Horizontal.Taps, y += Vertical.TapStep)
                {
                    long channel = place < firstPlace ? firstChannel + 1 : firstChannel;
                    long end = place < endPlace ? endChannel + 1 : endChannel;
                    float* to = destination + start + (((channel * area) + place - firstTap) * stride);
                    if ((uint)y >= (uint)Height)
                    {
                        for (; channel < end; channel++, to += area * stride) Avx512F.MaskStore(to, wanted, Vector512<float>.Zero);
                        continue;
                    }

                    float* from = (float*)Image + run.Offset + (channel * Strides.Channel) + (y * Strides.Row) + x;
                    if (Horizontal.Step == 1 && isWhole)
                    {
                        for (; channel < end; channel++, to += area * stride, from += Strides.Channel)
                            Vector512.Load(from).Store(to);
                        continue;
                    }

                    if (Horizontal.Step == 1)
                    {
                        for (; channel < end; channel++, to += area * stride, from += Strides.Channel)
                            Avx512F.MaskStore(to, wanted, Avx512F.MaskLoad(from, low, Vector512<float>.Zero));
                        continue;
                    }

                    for (; channel < end; channel++, to += area * stride, from += Strides.Channel)
                    {
                        Vector512<float> first = Avx512F.MaskLoad(from, low, Vector512<float>.Zero);
                        Vector512<float> second = Avx512F.MaskLoad(from + CpuElement.Width, high, Vector512<float>.Zero);
                        Avx512F.MaskStore(to, wanted, Avx512F.PermuteVar16x32x2(first, even, second));
                    }
                }
            }
        }
    }

    private static bool IsAxis(in GatherAxis axis, int size) =>
        (axis.Taps, axis.First, axis.Step, axis.Results) == (1, 0, 1, size);

    /// <summary>All ones in the lanes whose columns, from x on, lie in the image.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private Vector512<float> Inside(int x)
    {
        Vector512<int> lanes = Vector512<int>.Indices + Vector512.Create(x);
        return Vector512.LessThan(lanes.AsUInt32(), Vector512.Create((uint)Width)).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void CopyRun(in Run run, T* plane, int dy, int dx, TSum* destination)
    {
        int y = run.Y + dy, x = run.X + dx;
        if ((uint)y >= (uint)Height)
        {
            new Span<TSum>(destination, run.Count).Clear();
            return;
        }

        T* row = plane + run.Offset + (y * Strides.Row);
        if (Horizontal.Step != 1)
        {
            for (int i = 0; i < run.Count; i++, x += Horizontal.Step)
                destination[i] = (uint)x < (uint)Width ? CpuConvert.Widen<T, TSum>(row[x]) : default;
            return;
        }

        int before = Math.Clamp(-x, 0, run.Count), end = Math.Clamp(Width - x, before, run.Count);
        if (before > 0) new Span<TSum>(destination, before).Clear();
        CpuConvert.Widen(row + x + before, destination + before, end - before);
        if (end < run.Count) new Span<TSum>(destination + end, run.Count - end).Clear();
    }
}

/// <summary>Distances between the neighbours of an element along each axis of a tensor of maps.</summary>
internal readonly record struct MapStrides(long Batch, long Channel, long Row, long Column)
{
    public static MapStrides Of(long channels, long height, long width, bool channelsLast) => channelsLast
        ? new(channels * height * width, 1, channels * width, channels)
        : new(channels * height * width, height * width, width, 1);
}

/// <summary>Goes over pixels in their order without a division each.</summary>
internal struct PixelWalk(long first, int height, int width)
{
    /// <summary>Pixels from here to the end of the row.</summary>
    public readonly int LeftOfRow => width - X;

    public long Batch = first / width / height;
    public int Y = (int)(first / width % height);
    public int X = (int)(first % width);

    public void Next()
    {
        if (++X == width) NextRow();
    }

    /// <summary>The first pixel of the next row.</summary>
    public void NextRow()
    {
        X = 0;
        if (++Y < height) return;
        Y = 0;
        Batch++;
    }
}
