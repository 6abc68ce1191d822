namespace Kernels.Reference;

/// <summary>
/// Colour ops over one image, [channels, height, width] with values from 0 to white: those of torchvision, without its rounding to levels
/// after each. NaN becomes black where an op clamps.
/// </summary>
internal static class AugmentColors
{
    private const int Levels = 256;

    public static void Brightness(double[,,] image, double factor, double white) =>
        Each(image, (c, h, w) => Clamp(factor * image[c, h, w], white));

    public static void Contrast(double[,,] image, double factor, double white)
    {
        (int height, int width) = (image.GetLength(1), image.GetLength(2));
        double sum = 0;
        for (int h = 0; h < height; h++)
        {
            for (int w = 0; w < width; w++) sum += Grey(image, h, w);
        }

        double mean = sum / ((double)height * width);
        Each(image, (c, h, w) => Clamp((factor * image[c, h, w]) + ((1 - factor) * mean), white));
    }

    public static void Saturation(double[,,] image, double factor, double white)
    {
        double[,,] before = (double[,,])image.Clone();
        Each(image, (c, h, w) => Clamp((factor * before[c, h, w]) + ((1 - factor) * Grey(before, h, w)), white));
    }

    /// <summary>The hue of HSV, turned by a part of a circle; pixels that are not finite stay.</summary>
    public static void Hue(double[,,] image, double turn)
    {
        for (int h = 0; h < image.GetLength(1); h++)
        {
            for (int w = 0; w < image.GetLength(2); w++)
            {
                (double r, double g, double b) = (image[0, h, w], image[1, h, w], image[2, h, w]);
                double most = Math.Max(r, Math.Max(g, b)), range = most - Math.Min(r, Math.Min(g, b));
                if (!(range > 0) || !double.IsFinite(r + g + b)) continue;
                double sixth = most == r ? (g - b) / range : most == g ? ((b - r) / range) + 2 : ((r - g) / range) + 4;
                for (int c = 0; c < 3; c++)
                {
                    double place = sixth + (6 * turn) + (5 - (2 * c));
                    place -= 6 * Math.Floor(place / 6);
                    image[c, h, w] = most - (range * Math.Clamp(Math.Min(place, 4 - place), 0, 1));
                }
            }
        }
    }

    public static void Posterize(double[,,] image, int bits, double white)
    {
        int kept = Levels - (Levels >> bits);
        Each(image, (c, h, w) => (Level(image[c, h, w], white) & kept) / 255.0 * white);
    }

    public static void Solarize(double[,,] image, double threshold, double white) =>
        Each(image, (c, h, w) => image[c, h, w] * (255 / white) >= threshold ? white - image[c, h, w] : image[c, h, w]);

    public static void Equalize(double[,,] image, double white)
    {
        for (int c = 0; c < image.GetLength(0); c++)
        {
            int[] counts = new int[Levels];
            for (int h = 0; h < image.GetLength(1); h++)
            {
                for (int w = 0; w < image.GetLength(2); w++) counts[Level(image[c, h, w], white)]++;
            }

            int step = (counts.Sum() - counts.LastOrDefault(count => count > 0)) / 255;
            for (int h = 0; h < image.GetLength(1); h++)
            {
                for (int w = 0; w < image.GetLength(2); w++)
                {
                    int level = Level(image[c, h, w], white);
                    int mapped = step == 0 ? level : Math.Min((counts.Take(level).Sum() + (step / 2)) / step, 255);
                    image[c, h, w] = mapped / 255.0 * white;
                }
            }
        }
    }

    public static void Autocontrast(double[,,] image, double white)
    {
        double[,,] before = (double[,,])image.Clone();
        for (int c = 0; c < image.GetLength(0); c++)
        {
            (double least, double most) = (double.PositiveInfinity, double.NegativeInfinity);
            for (int h = 0; h < image.GetLength(1); h++)
            {
                for (int w = 0; w < image.GetLength(2); w++)
                    (least, most) = (double.MinNumber(least, before[c, h, w]), double.MaxNumber(most, before[c, h, w]));
            }

            bool hasRange = most - least > 0;
            (double from, double scale) = hasRange ? (least, white / (most - least)) : (0, 1);
            for (int h = 0; h < image.GetLength(1); h++)
            {
                for (int w = 0; w < image.GetLength(2); w++) image[c, h, w] = Clamp((before[c, h, w] - from) * scale, white);
            }
        }
    }

    public static void Sharpness(double[,,] image, double factor, double white)
    {
        double[,,] before = (double[,,])image.Clone();
        (int height, int width) = (image.GetLength(1), image.GetLength(2));
        Each(image, (c, h, w) =>
        {
            if (h == 0 || w == 0 || h == height - 1 || w == width - 1) return before[c, h, w];
            double sum = 4 * before[c, h, w];
            for (int r = -1; r <= 1; r++)
            {
                for (int s = -1; s <= 1; s++) sum += before[c, h + r, w + s];
            }

            return Clamp((factor * before[c, h, w]) + ((1 - factor) * (sum / 13)), white);
        });
    }

    private static void Each(double[,,] image, Func<int, int, int, double> value)
    {
        for (int c = 0; c < image.GetLength(0); c++)
        {
            for (int h = 0; h < image.GetLength(1); h++)
            {
                for (int w = 0; w < image.GetLength(2); w++) image[c, h, w] = value(c, h, w);
            }
        }
    }

    private static double Clamp(double value, double white) => value > 0 ? Math.Min(value, white) : 0;

    private static int Level(double value, double white) => (int)(Clamp(value * (255 / white), 255) + 0.5);

    private static double Grey(double[,,] image, int h, int w) => image.GetLength(0) < 3
        ? image[0, h, w] : (0.2989 * image[0, h, w]) + (0.587 * image[1, h, w]) + (0.114 * image[2, h, w]);
}
