using Kernels.Study;

namespace Kernels.Tests.Study;

/// <summary>Small, made-up inputs: images of 12 pixels in four classes, one bright pixel per class under noise.</summary>
internal static class StudyFixtures
{
    public static readonly StudySettings SmallSettings =
        new()
        {
            Widths = [12, 24, 16, 4],
            ImageHeight = 3,
            Epochs = 8,
            BatchSize = 7,
            EpochsPerPoint = 3,
            DensePoints = 2,
            Gan = new GanPlan { Latents = 6, GeneratorMaps = 8, DiscriminatorMaps = 4, Hidden = 8, BatchSize = 8, SheetColumns = 2 },
            Autoencoder = new AutoencoderPlan { Latents = 4, EncoderMaps = (4, 4), DecoderMaps = 8, BatchSize = 8 },
        };

    public static StudyData SmallData() => new(Examples(40, 1), Examples(24, 2), Examples(30, 3));

    /// <summary>A whole batch and a part of one.</summary>
    public static StudyData TinyData() => new(Examples(10, 1), Examples(5, 2), Examples(5, 3));

    public static StudyResult Result(int seeds, params string[] recipes) => new(
        new StudySettings(),
        new StudySizes(2_000, 1_000, 10_000),
        "cpu",
        "a <device> & more",
        new DateTimeOffset(2025, 1, 2, 3, 4, 5, TimeSpan.Zero),
        12.5,
        [.. recipes.SelectMany((name, i) => Enumerable.Range(1, seeds).Select(seed => Run(Recipes.Find(name), seed, 0.01 * i)))]);

    /// <summary>A GAN of two sheets, each class of which is recognized a little better than the one before.</summary>
    public static GanResult Gan(int seed)
    {
        byte[] levels = new byte[2 * FashionMnist.Classes * FashionMnist.Pixels];
        double[] agreement = [.. Enumerable.Range(0, FashionMnist.Classes).Select(label => 0.81 + (0.02 * label))];
        double[] distance = [.. agreement.Select(_ => 8.0)];
        GanEpoch[] curve =
            [new(1, 0.5f, 0.4f, 2, 2, 0.6f, 0, 0), new(0.9f, 0.6f, 0.5f, 1, 1, 0.7f, 0.1f, 1), new(float.NaN, 0, 0, 0, 0, 0, 0, 1)];
        return new GanResult(seed, 3, curve, [new GanSheet(1, levels), new GanSheet(2, levels)], 12)
        {
            Quality = new GanQuality(0.86, agreement, distance, distance),
            Neighbours = new GanNeighbours(levels, 4, 5),
        };
    }

    private static Examples Examples(int count, int seed)
    {
        RandomKey key = StudyRandom.KeyFor(seed, RandomPurpose.InitialWeights);
        int[] labels = [.. Enumerable.Range(0, count).Select(i => i % 4)];
        float[] images = [.. Enumerable.Range(0, count * 12).Select(i =>
            (float)StudyRandom.Symmetric(key, (ulong)i) + (i % 12 == labels[i / 12] ? 2 : 0))];
        return new Examples(images, labels, 12);
    }

    private static RunResult Run(Recipe recipe, int seed, double gain)
    {
        int epochs = recipe.Stopping is null ? 60 : 30 + seed;
        CurvePoint[] curve = [.. Enumerable.Range(1, epochs).Select(epoch => Point(epoch, gain))];
        int best = recipe.Stopping is null ? epochs : epochs - 10;
        return new RunResult(recipe, seed, epochs, best, Point(best, gain), curve, 1_234, recipe.Name == "l1" ? 0.25 : 0, 3.25);
    }

    private static CurvePoint Point(int epoch, double gain) => new(
        epoch, new Score(1 - (0.3 / epoch) - gain, 1.0 / epoch), new Score(0.8, 0.6),
        new Score(0.82 - (0.1 / epoch) + gain, 0.6 + (0.005 * epoch)));
}
