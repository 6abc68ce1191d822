namespace Kernels.Tests.SeededFaults;

/// <summary>
/// One bug: in which file under <c>kernels/</c> the right text is replaced by the wrong one, and which op's case must notice.
/// </summary>
/// <param name="Name">What is wrong.</param>
/// <param name="Op">The op whose case must notice.</param>
/// <param name="File">The file under <c>kernels/</c>.</param>
/// <param name="Right">What stands there.</param>
/// <param name="Wrong">What is put in its place.</param>
/// <param name="DType">The type it shows in.</param>
public sealed partial record SeededFault(string Name, string Op, string File, string Right, string Wrong, DType DType = DType.Float32)
{
    /// <summary>The reason of the problem that shows it, which is looked at first: others would be compiled in vain.</summary>
    public required string At { get; init; }

    /// <summary>What is read too early may be what was there before: by chance that is right, and another problem shows it.</summary>
    public bool RemovesBarrier =>
        Right.Contains("BARRIER();", StringComparison.Ordinal) && !Wrong.Contains("BARRIER();", StringComparison.Ordinal);

    private const string Activation = "portable/activation.cl";
    private const string SquaredError = "portable/mean_squared_error.cl";
    private const string GanLoss = "portable/gan_loss.cl";
    private const string Philox = "portable/philox.h";
    private const string Dropout = "portable/dropout.cl";
    private const string MatMul = "portable/matmul.cl";
    private const string Softmax = "portable/softmax.h";
    private const string CrossEntropy = "portable/cross_entropy.cl";
    private const string Sgd = "portable/sgd.cl";
    private const string Optimizer = "portable/optimizer.h";
    private const string Adaptive = "portable/adaptive_dropout.cl";
    private const string Attention = "portable/attention_dropout.cl";
    private const string BiasDropout = "portable/bias_dropout_residual.cl";
    private const string BatchNorm = "portable/batch_norm.cl";
    private const string BatchNormBackward = "portable/batch_norm_backward.cl";
    private const string Moments = "portable/moments.h";
    private const string PartialSums = "portable/partial_sums.cl";
    private const string DropBlock = "portable/drop_block.cl";
    private const string DropConnect = "portable/drop_connect.cl";
    private const string Inference = "portable/drop_connect_inference.cl";
    private const string Conv2d = "portable/conv2d.cl";
    private const string Direct = "portable/conv2d_direct.cl";
    private const string Depthwise = "portable/conv2d_depthwise.cl";
    private const string TensorCores = "cuda/mma.h";
    private const string TensorGather = "cuda/conv2d.gather.cu";
    private const string TensorFilter = "cuda/conv2d.filter.cu";
    private const string TensorLayout = "cuda/conv2d.layout.cu";
    private const string NormMoments = "portable/batch_norm_moments.h";
    private const string NormGradients = "portable/batch_norm_gradients.h";
    private const string ResidentNorm = "cuda/batch_norm.resident.cu";
    private const string ResidentGradients = "cuda/batch_norm.resident_backward.cu";
    private const string Im2Col = "portable/im2col.h";
    private const string Blocks = "portable/blocks.h";
    private const string Embedding = "portable/embedding_dropout.cl";
    private const string Entropy = "portable/entropy.cl";
    private const string KeptRows = "portable/kept_rows.cl";
    private const string AveragePool = "portable/average_pool2d.cl";
    private const string MaxPool = "portable/max_pool2d.cl";
    private const string AugmentApply = "portable/augment.cl";
    private const string AugmentOutput = "portable/augment_output.h";
    private const string AugmentResident = "cuda/augment.resident.cu";
    private const string AugmentStatistics = "portable/augment_statistics.cl";
    private const string AugmentColors = "portable/augment_colors.h";
    private const string AugmentTile = "portable/augment_tile.h";
    private const string AugmentDraw = "portable/augment_table.cl";
    private const string AugmentImage = "portable/augment_image.h";
    private const string AugmentKey = "portable/augment_key.h";
    private const string StochasticDepth = "portable/stochastic_depth.cl";
    private const string Neighbours = "portable/same_class_neighbours.cl";
    private const string FeatureNoise = "portable/feature_noise.cl";
    private const string MixupDraw = "portable/mixup_draw.cl";
    private const string Boxes = "portable/boxes.h";
    private const string MinibatchDeviation = "portable/minibatch_deviation.cl";
    private const string SpectralNorm = "portable/spectral_norm.cl";
    private const string DifferentiableAugment = "portable/differentiable_augment.cl";

    public override string ToString() => $"{Op}: {Name}";
}
