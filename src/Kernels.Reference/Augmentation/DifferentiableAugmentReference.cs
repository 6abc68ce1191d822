namespace Kernels.Reference;

/// <summary>What the draws of differentiable augmentation lie between: bounds, and shares of height and width.</summary>
/// <param name="Brightness">Bounds of what is added.</param>
/// <param name="Saturation">Bounds of the factor about a pixel's mean.</param>
/// <param name="Contrast">Bounds of the factor about the image's mean.</param>
/// <param name="Translation">The share of a side that an image is shifted by at most.</param>
/// <param name="Cutout">The share of a side that the hole has.</param>
public sealed record DifferentiableSettings(
    (double Low, double High) Brightness, (double Low, double High) Saturation, (double Low, double High) Contrast, double Translation,
    double Cutout);

/// <summary>What was drawn for a sample: what is added, two factors, the shift and the hole in pixels.</summary>
public sealed record DifferentiableDraw(
    double Brightness, double Saturation, double Contrast, int Down, int Across, int Top, int Left, int Bottom, int Right);

/// <summary>Differentiable augmentation: colours, a shift and a hole for each image, and the gradient.</summary>
public static class DifferentiableAugmentReference
{
    private const double TwoTo32 = 4294967296.0;

    /// <summary>The draws of a sample, each transform with a probability.</summary>
    public static DifferentiableDraw Draw(
        ulong seed, ulong offset, ulong sample, uint op, DifferentiableSettings settings, double probability, int channels, int height,
        int width)
    {
        uint[] colors = AugmentKeyReference.Draw(seed, offset, sample, op, 0);
        uint[] places = AugmentKeyReference.Draw(seed, offset, sample, op, 1);
        uint[] decisions = AugmentKeyReference.Draw(seed, offset, sample, op, 2);
        bool Fires(int transform) => ((decisions[transform / 2] >> (16 * (transform % 2))) & 0xffff) < 65536 * probability;
        double brightness = Fires(0) ? Between(colors[0], settings.Brightness) : 0;
        double saturation = Fires(1) && channels > 1 ? Between(colors[1], settings.Saturation) : 1;
        double contrast = Fires(2) ? Between(colors[2], settings.Contrast) : 1;
        int mostDown = Pixels(height, settings.Translation), mostAcross = Pixels(width, settings.Translation);
        int down = Fires(3) ? (int)(places[0] / TwoTo32 * ((2 * mostDown) + 1)) - mostDown : 0;
        int across = Fires(3) ? (int)(places[1] / TwoTo32 * ((2 * mostAcross) + 1)) - mostAcross : 0;
        int rows = Pixels(height, settings.Cutout), columns = Pixels(width, settings.Cutout);
        if (!Fires(4) || rows == 0 || columns == 0) return new(brightness, saturation, contrast, down, across, 0, 0, 0, 0);
        int top = (int)(places[2] / TwoTo32 * (rows % 2 == 0 ? height + 1 : height)) - (rows / 2);
        int left = (int)(places[3] / TwoTo32 * (columns % 2 == 0 ? width + 1 : width)) - (columns / 2);
        return new(brightness, saturation, contrast, down, across, top, left, top + rows, left + columns);
    }

    /// <summary>y = the colours of x, shifted, with a hole of zeros.</summary>
    public static void Forward(double[] x, double[] y, ImageReference images, IReadOnlyList<DifferentiableDraw> draws)
    {
        double[] colored = Mix(x, images, draws, isGradient: false);
        images.ForEach((index, image, channel, row, column) =>
        {
            DifferentiableDraw draw = draws[image];
            y[index] = Shows(draw, images, row, column)
                ? colored[images.Index(image, channel, row + draw.Down, column + draw.Across)] : 0;
        });
    }

    /// <summary>dx = the gradient of y with respect to x, times dy.</summary>
    public static void Backward(double[] dy, double[] dx, ImageReference images, IReadOnlyList<DifferentiableDraw> draws)
    {
        double[] dcolored = new double[dy.Length];
        images.ForEach((index, image, channel, row, column) =>
        {
            DifferentiableDraw draw = draws[image];
            if (Shows(draw, images, row, column))
                dcolored[images.Index(image, channel, row + draw.Down, column + draw.Across)] = dy[index];
        });
        Mix(dcolored, images, draws, isGradient: true).CopyTo(dx, 0);
    }

    /// <summary>
    /// The colour ops as one sum. It is symmetric in the pixels, so without what is added it is its own gradient. A term of weight 0 is
    /// left out.
    /// </summary>
    private static double[] Mix(double[] x, ImageReference images, IReadOnlyList<DifferentiableDraw> draws, bool isGradient)
    {
        double[] pixelMeans = new double[images.Images * images.Height * images.Width], imageMeans = new double[images.Images];
        images.ForEach((index, image, _, row, column) =>
        {
            pixelMeans[Pixel(images, image, row, column)] += x[index] / images.Channels;
            imageMeans[image] += x[index] / images.Elements;
        });
        double[] mixed = new double[x.Length];
        images.ForEach((index, image, _, row, column) =>
        {
            (double brightness, double s, double c, _, _, _, _, _, _) = draws[image];
            mixed[index] = c * s * x[index];
            if (c * (1 - s) != 0) mixed[index] += c * (1 - s) * pixelMeans[Pixel(images, image, row, column)];
            if (c != 1) mixed[index] += (1 - c) * imageMeans[image];
            if (!isGradient) mixed[index] += brightness;
        });
        return mixed;
    }

    /// <summary>Whether a pixel of y shows one of x.</summary>
    private static bool Shows(DifferentiableDraw draw, ImageReference images, int row, int column) =>
        row + draw.Down >= 0 && row + draw.Down < images.Height && column + draw.Across >= 0 && column + draw.Across < images.Width
        && !(row >= draw.Top && row < draw.Bottom && column >= draw.Left && column < draw.Right);

    private static int Pixel(ImageReference images, int image, int row, int column) =>
        (((image * images.Height) + row) * images.Width) + column;

    private static int Pixels(int side, double share) => (int)Math.Floor((side * share) + 0.5);

    /// <summary>In float, as all devices draw.</summary>
    private static double Between(uint word, (double Low, double High) bounds) =>
        MathF.FusedMultiplyAdd((float)AugmentKeyReference.Unit(word), (float)bounds.High - (float)bounds.Low, (float)bounds.Low);
}
