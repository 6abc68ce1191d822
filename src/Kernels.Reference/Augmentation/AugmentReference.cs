namespace Kernels.Reference;

/// <summary>How images of a call lie in memory and how large they are.</summary>
public sealed record AugmentShape(int Batch, int Channels, int Height, int Width, int OutHeight, int OutWidth)
{
    /// <summary>Whether the channels of x are neighbours.</summary>
    public bool IsChannelsLast { get; init; }

    /// <summary>Whether the channels of y are neighbours.</summary>
    public bool IsOutputChannelsLast { get; init; }

    internal int X(int n, int c, int h, int w) => IsChannelsLast
        ? (((((n * Height) + h) * Width) + w) * Channels) + c : (((((n * Channels) + c) * Height) + h) * Width) + w;

    internal int Y(int n, int c, int h, int w) => IsOutputChannelsLast
        ? (((((n * OutHeight) + h) * OutWidth) + w) * Channels) + c : (((((n * Channels) + c) * OutHeight) + h) * OutWidth) + w;
}

/// <summary>How images are read and what is made of them.</summary>
public sealed record AugmentSettings
{
    /// <summary>Whether a place between pixels is the nearest one.</summary>
    public bool IsNearest { get; init; }

    /// <summary>0 one value outside, 1 the nearest pixel, 2 reflected.</summary>
    public int Border { get; init; }

    /// <summary>Whether -1 and 1 lie in the middles of the outermost pixels.</summary>
    public bool AlignCorners { get; init; }

    /// <summary>Whether maps are of normalized coordinates, as PyTorch's, or of pixels from the middles of the images.</summary>
    public bool IsNormalized { get; init; }

    /// <summary>The value outside.</summary>
    public double Fill { get; init; }

    /// <summary>The largest value of a colour.</summary>
    public double White { get; init; } = 1;

    /// <summary>For each channel, or one for all.</summary>
    public double[]? Mean { get; init; }

    /// <summary>For each channel, or one for all.</summary>
    public double[]? Deviation { get; init; }

    /// <summary>The value of the box.</summary>
    public double Erased { get; init; }

    /// <summary>Colour ops with statistics that count.</summary>
    public int Statistics { get; init; }
}

/// <summary>
/// Augmentation as it is defined: each image is read through its affine map, then one colour op after another goes over the whole image,
/// then it is normalized and a box is erased.
/// </summary>
public static class AugmentReference
{
    /// <summary>Numbers of a row of the table: a map, a count, codes, values, a box.</summary>
    public const int TableWidth = 27;

    private const double Reach = 4194304;

    private const int Count = 6, Codes = 7, Values = 15, Box = 23;

    /// <summary>y of x by a table of <paramref name="tableWidth"/> numbers a row; six are a map alone.</summary>
    public static void Apply(AugmentShape shape, AugmentSettings settings, double[] x, double[] table, int tableWidth, double[] y)
    {
        for (int n = 0; n < shape.Batch; n++)
        {
            double[] row = table[(n * tableWidth)..((n + 1) * tableWidth)];
            double[,,] image = Warp(shape, settings, x, n, row);
            if (tableWidth > Count) Color(image, settings, row);
            for (int c = 0; c < shape.Channels; c++)
            {
                double mean = Of(settings.Mean, c, 0), deviation = Of(settings.Deviation, c, 1);
                for (int h = 0; h < shape.OutHeight; h++)
                {
                    for (int w = 0; w < shape.OutWidth; w++)
                    {
                        bool isErased = tableWidth > Count && h >= row[Box] && w >= row[Box + 1] && h < row[Box + 2] && w < row[Box + 3];
                        double value = settings.Mean is null && settings.Deviation is null && settings.White == 1
                            ? image[c, h, w] : ((image[c, h, w] / settings.White) - mean) / deviation;
                        y[shape.Y(n, c, h, w)] = isErased ? settings.Erased : value;
                    }
                }
            }
        }
    }

    /// <summary>dx of dy: each element of y adds its gradient to what it was read from, by the same weights.</summary>
    public static void Backward(AugmentShape shape, AugmentSettings settings, double[] matrices, double[] dy, double[] dx)
    {
        Array.Clear(dx);
        ForEachPlace(shape, settings, matrices, (n, h, w, x, y, _, _) =>
        {
            for (int c = 0; c < shape.Channels; c++)
            {
                double gradient = dy[shape.Y(n, c, h, w)] / settings.White / Of(settings.Deviation, c, 1);
                for (int row = 0; row < shape.Height; row++)
                {
                    for (int column = 0; column < shape.Width; column++)
                    {
                        double weight = settings.IsNearest
                            ? (Math.Round(x) == column && Math.Round(y) == row ? 1 : 0)
                            : Math.Max(0, 1 - Math.Abs(x - column)) * Math.Max(0, 1 - Math.Abs(y - row));
                        if (weight > 0) dx[shape.X(n, c, row, column)] += weight * gradient;
                    }
                }
            }
        });
    }

    /// <summary>The gradient of the matrices: dy times the slope of the image times the pixel's place, summed over the image.</summary>
    public static void BackwardMatrices(
        AugmentShape shape, AugmentSettings settings, double[] x, double[] matrices, double[] dy, double[] dmatrices)
    {
        Array.Clear(dmatrices);
        if (settings.IsNearest) return;
        (double halfWidth, double halfHeight) = (0.5 * Span(settings, shape.Width), 0.5 * Span(settings, shape.Height));
        ForEachPlace(shape, settings, matrices, (n, h, w, placeX, placeY, slopeX, slopeY) =>
        {
            (int left, int top) = ((int)Math.Floor(placeX), (int)Math.Floor(placeY));
            (double across, double down) = (placeX - left, placeY - top);
            (double u, double v) = Normalized(shape, settings, h, w);
            for (int c = 0; c < shape.Channels; c++)
            {
                double gradient = dy[shape.Y(n, c, h, w)] / settings.White / Of(settings.Deviation, c, 1);
                double t00 = Pixel(shape, settings, x, n, c, top, left), t01 = Pixel(shape, settings, x, n, c, top, left + 1);
                double t10 = Pixel(shape, settings, x, n, c, top + 1, left), t11 = Pixel(shape, settings, x, n, c, top + 1, left + 1);
                double alongX = gradient * (((t01 - t00) * (1 - down)) + ((t11 - t10) * down)) * slopeX * halfWidth;
                double alongY = gradient * (((t10 - t00) * (1 - across)) + ((t11 - t01) * across)) * slopeY * halfHeight;
                double[] terms = [alongX * u, alongX * v, alongX, alongY * u, alongY * v, alongY];
                for (int i = 0; i < 6; i++) dmatrices[(n * 6) + i] += terms[i];
            }
        });
    }

    private static void ForEachPlace(
        AugmentShape shape, AugmentSettings settings, double[] matrices,
        Action<int, int, int, double, double, double, double> visit)
    {
        for (int n = 0; n < shape.Batch; n++)
        {
            for (int h = 0; h < shape.OutHeight; h++)
            {
                for (int w = 0; w < shape.OutWidth; w++)
                {
                    (double x, double y) = Place(shape, settings, matrices.AsSpan(n * 6, 6), h, w);
                    (double readX, double readY) = (Bordered(settings, x, shape.Width), Bordered(settings, y, shape.Height));
                    visit(n, h, w, readX, readY, Slope(settings, x, readX, shape.Width), Slope(settings, y, readY, shape.Height));
                }
            }
        }
    }

    /// <summary>How what is read changes with the place: not where it is cut to the image, backwards in a mirror image.</summary>
    private static double Slope(AugmentSettings settings, double place, double read, int size)
    {
        if (settings.Border == 0) return 1;
        if (read <= 0 || read >= size - 1) return 0;
        if (settings.Border == 1) return 1;
        (double low, double span) = settings.AlignCorners ? (0, size - 1) : (-0.5, size);
        return Math.Floor((place - low) / span) % 2 == 0 ? 1 : -1;
    }

    private static double Span(AugmentSettings settings, int size) => settings.AlignCorners ? size - 1 : size;

    /// <summary>A pixel of the output in normalized coordinates.</summary>
    private static (double U, double V) Normalized(AugmentShape shape, AugmentSettings settings, int h, int w)
    {
        (double u, double v) = (w - (0.5 * (shape.OutWidth - 1)), h - (0.5 * (shape.OutHeight - 1)));
        (double across, double down) = (Span(settings, shape.OutWidth), Span(settings, shape.OutHeight));
        return (across > 0 ? u / (0.5 * across) : 0, down > 0 ? v / (0.5 * down) : 0);
    }

    private static double Pixel(AugmentShape shape, AugmentSettings settings, double[] x, int n, int c, int h, int w) =>
        h < 0 || w < 0 || h >= shape.Height || w >= shape.Width ? settings.Fill : x[shape.X(n, c, h, w)];

    /// <summary>Where in the input (x, y) the pixel (h, w) of the output is read, in pixels from the first one's middle.</summary>
    public static (double X, double Y) Place(AugmentShape shape, AugmentSettings settings, ReadOnlySpan<double> map, int h, int w)
    {
        (double u, double v) = (w - (0.5 * (shape.OutWidth - 1)), h - (0.5 * (shape.OutHeight - 1)));
        (double unitX, double unitY, double u0, double v0) = (1, 1, u, v);
        if (settings.IsNormalized)
        {
            (unitX, unitY) = (0.5 * Span(settings, shape.Width), 0.5 * Span(settings, shape.Height));
            (u0, v0) = Normalized(shape, settings, h, w);
        }

        double x = (unitX * ((map[0] * u0) + (map[1] * v0) + map[2])) + (0.5 * (shape.Width - 1));
        double y = (unitY * ((map[3] * u0) + (map[4] * v0) + map[5])) + (0.5 * (shape.Height - 1));
        return (x, y);
    }

    private static double[,,] Warp(AugmentShape shape, AugmentSettings settings, double[] x, int n, double[] row)
    {
        double[,,] image = new double[shape.Channels, shape.OutHeight, shape.OutWidth];
        for (int h = 0; h < shape.OutHeight; h++)
        {
            for (int w = 0; w < shape.OutWidth; w++)
            {
                (double placeX, double placeY) = Place(shape, settings, row, h, w);
                placeX = Bordered(settings, placeX, shape.Width);
                placeY = Bordered(settings, placeY, shape.Height);
                for (int c = 0; c < shape.Channels; c++) image[c, h, w] = Read(shape, settings, x, n, c, placeX, placeY);
            }
        }

        return image;
    }

    /// <summary>A place between pixels; one of weight 0 is not read, so that it may be anything.</summary>
    private static double Read(AugmentShape shape, AugmentSettings settings, double[] x, int n, int c, double placeX, double placeY)
    {
        if (settings.IsNearest) return Tap((int)Math.Round(placeY), (int)Math.Round(placeX));
        (double left, double top) = (Math.Floor(placeX), Math.Floor(placeY));
        (double across, double down) = (placeX - left, placeY - top);
        (int w, int h) = ((int)left, (int)top);
        double upper = Mixed(Tap(h, w), () => Tap(h, w + 1), across);
        return Mixed(upper, () => Mixed(Tap(h + 1, w), () => Tap(h + 1, w + 1), across), down);

        double Tap(int h, int w) => Pixel(shape, settings, x, n, c, h, w);

        static double Mixed(double a, Func<double> b, double share) => share == 0 ? a : ((1 - share) * a) + (share * b());
    }

    private static double Bordered(AugmentSettings settings, double place, int size)
    {
        // What is no number is far outside, before the first pixel.
        place = place > -Reach ? Math.Min(place, Reach) : -Reach;
        if (settings.Border == 0) return place;
        if (settings.Border == 2)
        {
            (double low, double span) = settings.AlignCorners ? (0, size - 1) : (-0.5, size);
            if (span == 0) return 0;
            double distance = Math.Abs(place - low) % (2 * span);
            place = low + (distance > span ? (2 * span) - distance : distance);
        }

        return Math.Clamp(place, 0, size - 1);
    }

    private static void Color(double[,,] image, AugmentSettings settings, double[] row)
    {
        (int statistics, bool isSharp) = (0, false);
        double count = row[Count] > 0 ? Math.Min(row[Count], 8) : 0;
        for (int i = 0; i < (int)count; i++)
        {
            (int code, double value) = (row[Codes + i] is >= 1 and <= 9 ? (int)row[Codes + i] : 0, row[Values + i]);
            if (code is 2 or 7 or 8 && statistics++ >= settings.Statistics) continue;
            if (code == 9 && isSharp) continue;
            isSharp |= code == 9;
            switch (code)
            {
                case 1: AugmentColors.Brightness(image, value, settings.White); break;
                case 2: AugmentColors.Contrast(image, value, settings.White); break;
                case 3: AugmentColors.Saturation(image, value, settings.White); break;
                case 4 when double.IsFinite(value): AugmentColors.Hue(image, value); break;
                case 5: AugmentColors.Posterize(image, value > 1 ? (int)Math.Min(value, 8) : 1, settings.White); break;
                case 6: AugmentColors.Solarize(image, value, settings.White); break;
                case 7: AugmentColors.Equalize(image, settings.White); break;
                case 8: AugmentColors.Autocontrast(image, settings.White); break;
                case 9: AugmentColors.Sharpness(image, value, settings.White); break;
                default: break;
            }
        }
    }

    private static double Of(double[]? numbers, int channel, double none) =>
        numbers is null ? none : numbers[Math.Min(channel, numbers.Length - 1)];
}
