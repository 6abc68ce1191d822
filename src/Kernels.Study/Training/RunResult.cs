namespace Kernels.Study;

/// <summary>The performance of a network on one set of images: share of right answers, and mean cross-entropy in nats.</summary>
internal readonly record struct Score(double Accuracy, double Loss);

/// <summary>The scores after so many epochs.</summary>
internal sealed record CurvePoint(int Epoch, Score Train, Score Validation, Score Test);

/// <summary>
/// One finished run: one recipe, one seed. Its result is the score of the weights it ends with, a share of which is exactly 0. Parameters
/// is how many numbers its network learns.
/// </summary>
internal sealed record RunResult(
    Recipe Recipe,
    int Seed,
    int Epochs,
    int BestEpoch,
    CurvePoint Final,
    IReadOnlyList<CurvePoint> Curve,
    long Parameters,
    double ZeroWeights,
    double Seconds)
{
    /// <summary>How its ranks shared the work; null where there was but one process and no ranks.</summary>
    public RankUse? Ranks { get; init; }

    /// <summary>What a network made of two images each, as training went on; null for most recipes.</summary>
    public MergingSheet? Merging { get; init; }

    /// <summary>The generalization gap: training minus test accuracy.</summary>
    public double Gap => Final.Train.Accuracy - Final.Test.Accuracy;
}

/// <summary>The state of a run after an epoch; the point is there when the curves got one.</summary>
internal sealed record EpochReport(Recipe Recipe, int Seed, int Epoch, int Epochs, double BatchLoss, CurvePoint? Point)
{
    /// <summary>The mean loss of each batch, where ranks have trained it.</summary>
    public IReadOnlyList<double> StepLosses { get; init; } = [];
}

/// <summary>Told how the study goes on.</summary>
internal interface IStudyProgress
{
    void OnEpoch(EpochReport report);

    void OnRunEnd(RunResult result);

    /// <summary>A GAN whose images runs wait for.</summary>
    void OnGan(GanReport report)
    {
    }

    /// <summary>Something that a person should know.</summary>
    void OnNote(string note)
    {
    }
}

/// <summary>A study, what it was run with, and how many runs it was stopped before.</summary>
internal sealed record StudyResult(
    StudySettings Settings,
    StudySizes Sizes,
    string DeviceId,
    string DeviceName,
    DateTimeOffset Date,
    double Seconds,
    IReadOnlyList<RunResult> Runs,
    int MissingRuns = 0)
{
    /// <summary>For each recipe that changes the images a sheet of them, an address that contains a picture.</summary>
    public IReadOnlyDictionary<string, string> Sheets { get; init; } = new Dictionary<string, string>();

    /// <summary>The GANs whose images runs were trained with, and those that failed.</summary>
    public IReadOnlyList<GanResult> Gans { get; init; } = [];

    /// <summary>The autoencoders whose images runs were trained with.</summary>
    public IReadOnlyList<AutoencoderResult> Autoencoders { get; init; } = [];

    public IReadOnlyList<RecipeSummary> Summaries { get; } = RecipeSummary.Of(Runs);

    public IReadOnlyList<int> Seeds { get; } = [.. Runs.Select(run => run.Seed).Distinct()];
}

/// <summary>The number of images in each part of the data.</summary>
internal sealed record StudySizes(int Train, int Validation, int Test)
{
    public static StudySizes Of(StudyData data) => new(data.Train.Count, data.Validation.Count, data.Test.Count);
}
