namespace Kernels.Study;

/// <summary>
/// The common part of recipes: network, optimizer and schedule, so that a recipe and the one it is compared with differ in regularization
/// alone.
/// </summary>
internal sealed record StudySettings
{
    public IReadOnlyList<int> Widths { get; init; } = [FashionMnist.Pixels, 512, 512, FashionMnist.Classes];

    /// <summary>Rows of the images, for networks that see maps.</summary>
    public int ImageHeight { get; init; } = FashionMnist.Side;

    /// <summary>In place of those of the recipes where it is not null.</summary>
    public int? Epochs { get; init; }

    /// <summary>In place of those of the recipes where it is not null.</summary>
    public int? BatchSize { get; init; }

    public double LearningRate { get; init; } = 0.02;

    /// <summary>For the recipes that train with Adam; chosen like the strengths of <see cref="Recipes"/>.</summary>
    public double AdamLearningRate { get; init; } = 0.001;

    public double Momentum { get; init; } = 0.9;

    /// <summary>Stochastic gradient descent with momentum, without regularization.</summary>
    public SgdOptions Sgd => new() { LearningRate = LearningRate, Momentum = Momentum };

    /// <summary>Adam without regularization: AdamW without decay.</summary>
    public AdamWOptions Adam => new() { LearningRate = AdamLearningRate, WeightDecay = 0 };

    /// <summary>The GAN whose images some recipes train on.</summary>
    public GanPlan Gan { get; init; } = new();

    /// <summary>The autoencoder in whose latent space one recipe mixes images.</summary>
    public AutoencoderPlan Autoencoder { get; init; } = new();

    /// <summary>The curves get a point each so many epochs: a look at 10,000 test images costs more than two epochs of training.</summary>
    public int EpochsPerPoint { get; init; } = 15;

    /// <summary>The first epochs, where curves are steep, get a point each.</summary>
    public int DensePoints { get; init; } = 6;

    public int EpochsOf(Recipe recipe) => Epochs ?? recipe.Epochs;

    public int BatchSizeOf(Recipe recipe) => BatchSize ?? recipe.BatchSize;

    public bool IsPoint(int epoch) => epoch <= DensePoints || epoch % EpochsPerPoint == 0;

    /// <summary>
    /// The share of the learning rate: over a share of all steps up from 0, then half a cosine down to 0 (Loshchilov and Hutter, 2017).
    /// </summary>
    public static double RateShareAt(long step, long steps, double warmUp)
    {
        long up = (long)(warmUp * steps);
        return step < up ? (step + 1.0) / (up + 1) : 0.5 * (1 + Math.Cos(Math.PI * (step - up) / (steps - up)));
    }
}
