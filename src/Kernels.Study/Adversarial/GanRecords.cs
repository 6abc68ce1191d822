namespace Kernels.Study;

/// <summary>Means over an epoch of a GAN's training. A file keeps them as rows of numbers.</summary>
/// <param name="RealLoss">The discriminator's loss for the scores of real images.</param>
/// <param name="GeneratedLoss">The same for generated ones.</param>
/// <param name="GeneratorLoss">The generator's loss for the scores of its images.</param>
/// <param name="RealClassLoss">Cross-entropy of the discriminator's classes of real images.</param>
/// <param name="GeneratedClassLoss">The same of generated ones and the classes asked for.</param>
/// <param name="Sign">Mean sign of the scores of real images.</param>
/// <param name="Probability">Of each change in front of the discriminator.</param>
/// <param name="Condition">How much the class counts.</param>
internal readonly record struct GanEpoch(
    float RealLoss, float GeneratedLoss, float GeneratorLoss, float RealClassLoss, float GeneratedClassLoss, float Sign,
    float Probability, float Condition)
{
    public bool IsFinite => float.IsFinite(RealLoss + GeneratedLoss + GeneratorLoss + RealClassLoss + GeneratedClassLoss);
}

/// <summary>Images of each class, of so many columns, after an epoch: the same numbers go in each time.</summary>
internal sealed record GanSheet(int Epoch, byte[] Levels);

/// <summary>What a GAN is worth, by a network that saw the same training images only.</summary>
/// <param name="JudgeTestAccuracy">That network's accuracy on test images.</param>
/// <param name="Agreement">For each class, the share of generated images that it takes for what was asked for.</param>
/// <param name="Distance">For each class, the mean distance between two generated images, in levels.</param>
/// <param name="RealDistance">The same of training images.</param>
internal sealed record GanQuality(double JudgeTestAccuracy, double[] Agreement, double[] Distance, double[] RealDistance);

/// <summary>For each image of a sheet the training image that is nearest to it.</summary>
/// <param name="Levels">These training images.</param>
/// <param name="Distance">The mean distance of the sheet's images to them.</param>
/// <param name="TestDistance">The mean distance of as many test images to their nearest training images.</param>
internal sealed record GanNeighbours(byte[] Levels, double Distance, double TestDistance);

/// <summary>A GAN of a seed, trained or given up.</summary>
internal sealed record GanResult(int Seed, int Epochs, IReadOnlyList<GanEpoch> Curve, IReadOnlyList<GanSheet> Sheets, double Seconds)
{
    /// <summary>Why its images are not used; null where all went well.</summary>
    public string? Failure { get; init; }

    public GanQuality? Quality { get; init; }

    /// <summary>Images and what they were asked to be; none after a failure.</summary>
    public Examples? Images { get; init; }

    /// <summary>Those that the judging network takes for what was asked for.</summary>
    public Examples? Filtered { get; init; }

    /// <summary>The training images that are nearest to those of the last sheet; null after a failure.</summary>
    public GanNeighbours? Neighbours { get; init; }

    public long GeneratorParameters { get; init; }

    public long DiscriminatorParameters { get; init; }

    /// <summary>The file it is kept in; null for none.</summary>
    public string? File { get; init; }
}
