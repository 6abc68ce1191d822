namespace Kernels.Inspection;

/// <summary>Kernels whose ceiling is below what is aimed at, each with what it would take to come nearer.</summary>
internal static class BelowAim
{
    private static readonly (string Reason, string Types, string Kernels)[] Rows =
    [
        ("the exponential and the logarithm of an element take more instructions than memory leaves time for", "bf16", "gan_loss"),
        ("the exponential and the quotient of an element take more instructions than memory leaves time for", "bf16", "activation_forward"),
        ("a normal number takes about 40 instructions, and half types leave time for 27 on the H200", "bf16",
            "gaussian_noise gaussian_factors"),
        ("a normal number takes about 40 instructions; a sample's key and what is dropped come on top", "f32 bf16",
            "feature_noise drop_block_apply"),
        ("four pixels are weighed for each channel, at a place that a map gives, and where contrast needs a mean twice; a blend takes "
            + "one to three instructions more",
            "f32 bf16", "augment_apply augment_resident"),
        ("a row of over 8,192 classes is read twice, the second time from the L2 cache, whose rate bounds it; two exponentials an element",
            "f32 bf16",
            "cross_entropy entropy_backward"),
        ("a set of other than four samples is read three times, twice of them from the L2 cache", "f32 bf16",
            "minibatch_deviation_forward minibatch_deviation_backward"),
        ("where lengths count, each block asks how much of its plane does", "bf16", "batch_norm_moments_planes"),
        ("only where something is dropped: draws take as many instructions as the rest", "bf16",
            "batch_norm_sums_planes batch_norm_resident_planes batch_norm_resident_columns batch_norm_resident_backward_planes"),
        ("windows overlap: each element is compared with up to four, or nine are looked at", "bf16", "max_pool2d_forward_3x3"),
        ("boxes are compared with the place of each element", "bf16", "cutmix_apply"),
        ("state in float beside half types: four elements a lane, and registers for no more groups", "bf16", "adam_step rms_prop_step"),
        ("a column of float beside each half type: the instructions are those of float for half the bytes", "bf16",
            "spectral_norm_columns"),
    ];

    private static readonly Dictionary<(string Kernel, string Type), string> Reasons = new(
        from row in Rows
        from kernel in row.Kernels.Split(' ')
        from type in row.Types.Split(' ')
        select KeyValuePair.Create((kernel, type), row.Reason));

    /// <summary>Kernels and types that have a reason.</summary>
    public static IEnumerable<(string Kernel, string Type)> Known => Reasons.Keys;

    /// <summary>Whether shares of a copy, one for each of <see cref="Gpu.All"/>, are less than is aimed at; whole percents count.</summary>
    public static bool Holds(IEnumerable<double> shares) =>
        shares.Zip(Gpu.All).Any(pair => Math.Round(100 * pair.First) < Math.Round(100 * pair.Second.AimedShare));

    public static string? ReasonOf(string kernel, string type) => Reasons.GetValueOrDefault((kernel, type));
}
