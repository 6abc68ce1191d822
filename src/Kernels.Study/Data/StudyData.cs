namespace Kernels.Study;

/// <summary>Standardised images [Count, Features] in row-major order, and their labels.</summary>
internal sealed record Examples(float[] Images, int[] Labels, int Features)
{
    public int Count => Labels.Length;

    /// <summary>Those whose place is right.</summary>
    public Examples Where(Func<int, bool> isRight)
    {
        int[] places = [.. Enumerable.Range(0, Count).Where(isRight)];
        float[] images = new float[places.Length * Features];
        for (int i = 0; i < places.Length; i++)
            Images.AsSpan(places[i] * Features, Features).CopyTo(images.AsSpan(i * Features));
        return new Examples(images, [.. places.Select(place => Labels[place])], Features);
    }

    /// <summary>These and then others of the same size.</summary>
    public Examples Then(Examples next) => new([.. Images, .. next.Images], [.. Labels, .. next.Labels], Features);
}

/// <summary>
/// How pixels became numbers: (v - Mean) / Deviation, black being 0 and white 1. By default they are as they were.
/// </summary>
internal readonly record struct Standardization(double Mean, double Deviation)
{
    public static Standardization None { get; } = new(0, 1);

    /// <summary>What black became.</summary>
    public double Black => -Mean / Deviation;

    /// <summary>The level, black being 0 and white 1.</summary>
    public double LevelOf(float value) => (value * Deviation) + Mean;

    /// <summary>The level as a byte, what is darker than black being black.</summary>
    public byte ByteOf(float value) => (byte)Math.Round(255 * Math.Clamp(LevelOf(value), 0, 1));

    /// <summary>What a level becomes.</summary>
    public double ValueOf(double level) => (level - Mean) / Deviation;
}

/// <summary>
/// The study's split. Whatever is decided while training (when to stop, which weights to keep, how strong a recipe is) is decided on
/// <see cref="Validation"/>; <see cref="Test"/> is measured and nothing else.
/// </summary>
internal sealed record StudyData(Examples Train, Examples Validation, Examples Test)
{
    private const double White = 255;

    public Standardization Pixels { get; init; } = Standardization.None;

    /// <summary>Few on purpose: a network of this size can learn 2,000 images by heart, which is the problem the study shows.</summary>
    public const int TrainCount = 2_000;

    public const int ValidationCount = 1_000;

    /// <summary>Images of the training file after these two sets: recipes are tuned by them, and no run uses them.</summary>
    public const int TuningCount = 10_000;

    public static StudyData From(FashionMnist source) => From(source, TrainCount, source.Test);

    /// <summary>With all images of the training file but the last, which are those for validation.</summary>
    /// <exception cref="DatasetException">The training file holds its first images alone.</exception>
    public static StudyData Full(FashionMnist source)
    {
        if (source.Train.Count < FashionMnist.TrainImages.Count)
            throw new DatasetException(FashionMnist.TrainImages.Name, $"holds the first {source.Train.Count:N0} images alone");
        return From(source, source.Train.Count - ValidationCount, source.Test);
    }

    /// <summary>With the images that recipes are tuned by in place of the test images.</summary>
    public static StudyData ForTuning(FashionMnist source) =>
        From(source, TrainCount, source.Train.Slice(TrainCount + ValidationCount, TuningCount));

    private static StudyData From(FashionMnist source, int trainCount, LabeledImages test)
    {
        LabeledImages train = source.Train.Slice(0, trainCount);
        (double mean, double scale) = MeanAndScale(train.Pixels.Span);
        return new StudyData(
            Standardize(train, mean, scale),
            Standardize(source.Train.Slice(trainCount, ValidationCount), mean, scale),
            Standardize(test, mean, scale))
        {
            Pixels = new Standardization(mean / White, 1 / (scale * White)),
        };
    }

    // Of the training images only: the other sets must not leak into the inputs.
    private static (double Mean, double Scale) MeanAndScale(ReadOnlySpan<byte> pixels)
    {
        // Integer sums are exact, so the usual cancellation of E[x^2] - E[x]^2 does not arise.
        long sum = 0, sumOfSquares = 0;
        foreach (byte pixel in pixels)
        {
            sum += pixel;
            sumOfSquares += pixel * pixel;
        }

        double mean = (double)sum / pixels.Length;
        double variance = (((double)sumOfSquares * pixels.Length) - ((double)sum * sum)) / ((double)pixels.Length * pixels.Length);
        return (mean, 1 / Math.Sqrt(variance));
    }

    private static Examples Standardize(LabeledImages source, double mean, double scale)
    {
        float[] images = new float[source.Pixels.Length];
        ReadOnlySpan<byte> pixels = source.Pixels.Span;
        for (int i = 0; i < images.Length; i++)
        {
            images[i] = (float)((pixels[i] - mean) * scale);
        }

        int[] labels = new int[source.Count];
        for (int i = 0; i < labels.Length; i++)
        {
            labels[i] = source.Labels.Span[i];
        }

        return new Examples(images, labels, FashionMnist.Pixels);
    }
}
