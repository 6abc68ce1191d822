using Kernels.Study;

namespace Kernels.Tests.Study;

/// <summary>Small, made-up inputs: images of 12 pixels in four classes, one bright pixel per class under noise.</summary>
internal static class StudyFixtures
{
    public static readonly StudySettings SmallSettings =
        new() { Widths = [12, 24, 16, 4], ImageHeight = 3, Epochs = 8, BatchSize = 7, EpochsPerPoint = 3, DensePoints = 2 };

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
