using Kernels.Verification;

namespace Kernels.Inspection;

/// <summary>
/// Which kernel files an op runs: the one of its own name, and those that it shares with others.
/// </summary>
internal static class OpFiles
{
    private static readonly string[] Convolution =
    [
        "conv2d", "conv2d_depthwise", "conv2d_direct", "partial_sums", "cuda/conv2d.gather.cu", "cuda/conv2d.filter.cu",
        "cuda/conv2d.layout.cu",
    ];

    private static readonly string[] Maps = ["augment", "augment_table", "cuda/augment.resident.cu"];

    private static readonly string[] Colors = [.. Maps, "augment_statistics"];

    private static readonly string[] BatchNorm =
        ["batch_norm", "batch_norm_backward", "cuda/batch_norm.resident.cu", "cuda/batch_norm.resident_backward.cu"];

    private static readonly Dictionary<string, string[]> Shared = new()
    {
        ["gaussian-dropout"] = ["gaussian_noise"],
        ["leaky-relu"] = ["activation"],
        ["tanh"] = ["activation"],
        ["sigmoid"] = ["activation"],
        ["nearest-upsample"] = ["average_pool2d"],
        ["mean-squared-error"] = ["mean_squared_error", "norm_penalty"],
        ["gan-loss"] = ["gan_loss", "partial_sums"],
        ["mixup"] = ["mixup", "mixup_draw"],
        ["cutmix"] = ["cutmix", "mixup_draw"],
        ["cutout"] = ["cutout", "erase_draw"],
        ["random-erase"] = ["cutout", "erase_draw"],
        ["feature-interpolate"] = ["mixup", "feature_interpolate"],
        ["feature-extrapolate"] = ["mixup", "feature_interpolate"],
        ["variational-dropout"] = ["channel_dropout"],
        ["drop-weight"] = ["dropout"],
        ["conv2d"] = Convolution,
        ["conv2d-transpose"] = Convolution,
        ["linear"] = ["linear", "matmul", "partial_sums"],
        ["bias-dropout-residual"] = ["bias_dropout_residual", "partial_sums"],
        ["batch-norm"] = BatchNorm,
        ["soft-sharing"] = ["soft_sharing", "norm_penalty"],
        ["batch-norm-relu"] = [.. BatchNorm, "drop_block"],
        ["ghost-batch-norm"] = ["batch_norm", "batch_norm_backward"],
        ["sync-batch-norm"] = ["batch_norm", "batch_norm_backward"],
        ["batch-norm-add-relu"] = [.. BatchNorm, "drop_block"],
        ["sgd"] = ["sgd", "optimizer_step"],
        ["adam"] = ["adam", "optimizer_step"],
        ["adamw"] = ["adam", "optimizer_step"],
        ["rmsprop"] = ["rms_prop", "optimizer_step"],
        ["lion"] = ["lion", "optimizer_step"],
        ["augment"] = Colors,
        ["flip"] = Maps,
        ["crop"] = Maps,
        ["translate"] = Maps,
        ["rotate"] = Maps,
        ["color-jitter"] = Colors,
        ["posterize"] = Maps,
        ["solarize"] = Maps,
        ["equalize"] = Colors,
        ["autocontrast"] = Colors,
        ["sharpness"] = Maps,
        ["normalize"] = Maps,
        ["auto-augment"] = Colors,
        ["affine"] = ["affine", "augment"],
    };

    /// <summary>Their paths under <c>kernels/</c>.</summary>
    /// <exception cref="ArgumentException">There is no such op; the message lists them.</exception>
    public static string[] Of(string op) => OpCase.All.Any(known => known.Op == op)
        ? [.. (Shared.GetValueOrDefault(op) ?? [op.Replace('-', '_')]).Select(stem => stem.Contains('/') ? stem : $"portable/{stem}.cl")]
        : throw new ArgumentException($"There is no op '{op}'; there are {string.Join(", ", OpCase.All.Select(known => known.Op))}.");
}
