namespace Kernels.Inspection;

/// <summary>Kernels that have no ceiling by the bytes of an element, each with what keeps it from one.</summary>
internal static class WithoutCeiling
{
    /// <summary>That of kernels of matrix products, which have a share of the peak instead.</summary>
    public const string IsOfProducts = "products of matrices: see their share of the peak";

    private static readonly (string Reason, string Kernels)[] Rows =
    [
        ("it draws for a sample, a row or a unit, not for an element",
            "augment_table cutout_draw random_erase_draw mixup_draw mixup_order feature_draw"),
        ("it looks through rows or labels for each row", "same_class_neighbours kept_rows_count kept_rows_list feature_deviations"),
        ("it runs once for a call, a channel or a set", "cross_entropy_normalizer cross_entropy_sum norm_penalty_value optimizer_prepare "
            + "partial_sums_reduce random_advance batch_norm_statistics batch_norm_gradients drop_block_scale minibatch_deviation_map "
            + "minibatch_deviation_sums augment_statistics_join"),
        ("it makes bits, of which one is no element's", "dropout_mask random_bits drop_block_draw drop_block_spread drop_block_order"),
        ("its loops go over a window of the caller's",
            "average_pool2d_forward average_pool2d_backward average_pool2d_3x3 max_pool2d_forward max_pool2d_backward conv2d_direct_gather "
            + "conv2d_depthwise_gather conv2d_depthwise_filter conv2d_depthwise_backward_filter affine_backward "
            + "affine_backward_matrices augment_statistics"),
        ("it takes a channel of few elements whole: the launch sets its time", "batch_norm_forward batch_norm_backward"),
        ("it multiplies by weights that are drawn on the way: the draws set its time", "drop_connect_forward drop_connect_gradient "
            + "drop_connect_bias_gradient drop_connect_inference"),
        ("how many rows an id has is the data's", "embedding_dropout_sort embedding_dropout_merge embedding_dropout_scatter "
            + "embedding_dropout_join"),
        ("what it writes is what lengths leave out", "batch_norm_clear"),
    ];

    private static readonly Dictionary<string, string> Reasons = new(
        from row in Rows
        from kernel in row.Kernels.Split(' ')
        select KeyValuePair.Create(kernel, row.Reason));

    /// <summary>The kernels.</summary>
    public static IEnumerable<string> Names => Reasons.Keys;

    /// <summary>What keeps a kernel from a ceiling; null where nothing is known to.</summary>
    public static string? ReasonOf(string kernel) => Reasons.GetValueOrDefault(kernel);
}
