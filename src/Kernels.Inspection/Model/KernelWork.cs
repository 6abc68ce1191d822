using Kernels.Devices;

namespace Kernels.Inspection;

/// <summary>
/// What is moved for an element of an op: so many values of the stored type, so many of the arithmetic type, and so many bytes of an image.
/// </summary>
internal readonly record struct Traffic(int Scalars, int Reals = 0, int Levels = 0)
{
    public int Bytes(DType dtype) =>
        (Scalars * dtype.SizeInBytes()) + (Reals * (dtype == DType.Float64 ? sizeof(double) : sizeof(float))) + Levels;
}

/// <summary>A loop that each element goes through once.</summary>
/// <param name="Name">What it is for.</param>
/// <param name="Reads">What it must read from memory.</param>
/// <param name="Writes">What it must write.</param>
/// <param name="Again">What it reads that a cache has, as it was just read.</param>
/// <param name="Exponentials">How many an element needs, which tells the loop from others that move as much.</param>
/// <param name="Elements">Elements of a turn, as a rule.</param>
/// <param name="Beside">Bytes that a turn reads of tables, whatever its elements are.</param>
/// <param name="TakesKept">Whether it takes what copies have put into shared memory, unlike a loop that only copies.</param>
/// <param name="Marks">Instructions of a turn, other than for exponentials, that tell its way from others.</param>
/// <param name="IsShortest">Whether its way is the shortest of those alike, which leaves out what few pixels need.</param>
/// <param name="Inner">Turns of the one loop inside it for each of its own, as a rule.</param>
internal sealed record Pass(
    string Name, Traffic Reads, Traffic Writes, Traffic Again = default, int Exponentials = 0, int Elements = PassCost.UsualElements,
    int Beside = 0, bool TakesKept = false, Marks Marks = default, bool IsShortest = false, int Inner = 0);

/// <summary>
/// What a kernel must move, from which a ceiling follows. A kernel that is not here has none: its loops are counted and no more.
/// </summary>
internal static class KernelWork
{
    /// <summary>The name of the pass of a kernel that has but one.</summary>
    public const string OnlyPass = "elements";

    /// <summary>Columns of a chunk (<c>softmax.h</c>).</summary>
    private const int Chunk = 32;

    private static readonly Pass Gradient = new("gradient", default, new(1), Again: new(1), Exponentials: 1, Chunk);

    private static readonly Pass Means = new("means", new(1), default, Elements: 16);

    private static readonly Pass Deviations = new("deviations", default, default, Again: new(1), Elements: 16);

    private static readonly Pass Results = new("results", default, new(1), Elements: Chunk);

    private static readonly Pass Places = new(OnlyPass, new(0, Levels: 1), new(1), Again: new(0, Levels: 3), Elements: 12);

    // Brightness, contrast and saturation, of which the first two are turns of a loop inside, for four pixels of three channels.
    private static readonly Pass Blends = ThreeBlends(fours: 1);

    private static readonly Dictionary<string, Pass[]> Passes = new()
    {
        ["relu_forward"] = Elementwise(1, 1),
        ["relu_backward"] = Elementwise(2, 1),
        ["activation_forward"] = Elementwise(1, 1),
        ["activation_backward"] = Elementwise(2, 1),
        ["mean_squared_error"] = Elementwise(2, 1),
        ["gan_loss"] = Elementwise(1, 1),
        ["dropout_apply"] = Elementwise(1, 1),
        ["dropout_scale"] = Elementwise(1, 1),
        ["dropout_apply_mask"] = Elementwise(1, 1),
        ["alpha_dropout"] = Elementwise(1, 1),
        ["gaussian_noise"] = Elementwise(1, 1),
        ["gaussian_factors"] = Elementwise(1, 2),
        ["gaussian_scale"] = Elementwise(2, 1),
        ["monte_carlo_dropout"] = Elementwise(0, 1),
        ["channel_dropout"] = [new(OnlyPass, new(1), new(1), Elements: 16)],
        ["drop_block_apply"] = Elementwise(1, 1),
        ["adaptive_dropout_forward"] = Elementwise(2, 1),
        ["adaptive_dropout_infer"] = Elementwise(2, 1),
        ["adaptive_dropout_backward"] = Elementwise(3, 2),
        ["adaptive_dropout_per_element"] = Elementwise(2, 1),
        ["bias_dropout_residual_forward"] = Elementwise(2, 1),
        ["bias_dropout_residual_backward"] = Elementwise(1, 1),
        ["bias_dropout_residual_backward SCALE_GRADIENT"] = Elementwise(2, 1),
        ["stochastic_depth_forward"] = Elementwise(2, 1),
        ["stochastic_depth_backward"] = Elementwise(1, 1),
        ["stochastic_depth_backward RELU"] = Elementwise(2, 2),
        ["embedding_dropout_forward"] = Elementwise(1, 1),
        ["kept_rows_gather"] = Elementwise(1, 1),
        ["kept_rows_scatter_add"] = Elementwise(2, 1),
        ["mixup_apply"] = Elementwise(2, 1),

        // What an element does not need is not read.
        ["cutmix_apply"] = Elementwise(1, 1),
        ["cutout_fill"] = Elementwise(1, 1),
        ["differentiable_augment_draw"] = Elementwise(1, 0),
        ["differentiable_augment_apply"] = Elementwise(1, 1),
        ["feature_noise"] = [new(OnlyPass, new(1), new(1), Elements: 16)],
        ["linear_add_bias"] = Elementwise(1, 1),
        ["linear_backward_bias"] = Elementwise(1, 0),
        ["batch_norm_moments_planes"] = [new(OnlyPass, new(1), default, Elements: 16)],
        ["batch_norm_moments_columns"] = [new(OnlyPass, new(1), default, Elements: 16)],
        ["batch_norm_apply"] = Elementwise(1, 1),

        // What they keep is read from shared memory.
        ["batch_norm_resident_planes"] = Resident(1),
        ["batch_norm_resident_columns"] = Resident(1),
        ["batch_norm_resident_backward_planes"] = Resident(2),
        ["batch_norm_resident_backward_columns"] = Resident(2),
        ["batch_norm_sums_planes"] = Elementwise(2, 0),
        ["batch_norm_sums_columns"] = [new(OnlyPass, new(2), default, Elements: 16)],
        ["batch_norm_apply_gradient"] = Elementwise(2, 1),
        ["spectral_norm_rows"] = Elementwise(1, 0),
        ["spectral_norm_columns"] = Elementwise(1, 0),
        ["spectral_norm_apply"] = Elementwise(1, 1),
        ["spectral_norm_overlap"] = Elementwise(2, 0),
        ["spectral_norm_backward"] = Elementwise(1, 1),
        ["parameter_snapshot_save"] = Elementwise(1, 1),
        ["parameter_snapshot_restore"] = [new(OnlyPass, new(1), new(1), Elements: Chunk)],
        ["gradient_squares"] = Elementwise(1, 0),
        ["norm_penalty_tiles"] = Elementwise(1, 0),
        ["norm_penalty_tiles HAS_GRADIENT"] = Elementwise(2, 1),
        ["soft_sharing_tiles"] = Elementwise(2, 0),
        ["soft_sharing_tiles HAS_GRADIENT"] = Elementwise(4, 2),

        // For an element of a use, four of which have their places in a table, or of a pass over the network.
        ["tied_gradients_sum"] = [new("uses", new(1), default, Elements: Chunk, Beside: 4 * sizeof(ulong))],
        ["monte_carlo_statistics"] = [new("passes", new(1), default, Elements: 16)],

        // Sets of four samples are read once.
        ["minibatch_deviation_forward IN_FOURS"] = [new(OnlyPass, new(1), new(1), Elements: Chunk)],
        ["minibatch_deviation_backward IN_FOURS"] = [new(OnlyPass, new(2), new(1), Elements: Chunk)],
        ["minibatch_deviation_forward"] = [Means, Deviations, new("copies", default, new(1), Again: new(1))],
        ["minibatch_deviation_backward"] = [Means, Deviations, new("gradients", new(1), new(1), Again: new(1))],

        // Three channels of four pixels, each from four of the image's.
        ["augment_apply"] = [new(OnlyPass, new(1), new(1), Again: new(3), Elements: 12)],
        ["augment_apply HAS_BYTES"] = [Places],
        ["augment_apply HAS_COLORS"] = [new("places", new(1), new(1), Again: new(3), Elements: 12), Blends],
        ["augment_apply HAS_COLORS HAS_BYTES"] = [Places with { Name = "places" }, Blends],
        ["augment_resident"] = ResidentImage(loaded: 64, kept: 48, fours: 1),
        ["augment_resident HAS_WORDS"] = ResidentImage(loaded: 96, kept: 16, fours: 2),

        // Elements of two bytes, whatever the type is called.
        ["conv2d_pack"] = [new(OnlyPass, new(0, Levels: 2), new(0, Levels: 2), Elements: 16)],
        ["conv2d_unpack"] = [new(OnlyPass, new(0, Levels: 2), new(0, Levels: 2), Elements: 16)],

        // For an element of y: the four of x that are its own, and an index, which is less than an element.
        ["max_pool2d_forward_2x2"] = Elementwise(4, 1),
        ["max_pool2d_forward_3x3"] = [new(OnlyPass, new(4), new(1), Again: new(2))],
        ["max_pool2d_backward_2x2"] = Elementwise(1, 4),
        ["average_pool2d_forward_2x2"] = Elementwise(4, 1),
        ["average_pool2d_backward_2x2"] = Elementwise(1, 4),
        ["average_pool2d_global"] = [new(OnlyPass, new(1), default, Elements: Chunk)],
        ["average_pool2d_global_channels"] = Elementwise(1, 0),
        ["average_pool2d_global_backward"] = Elementwise(0, 1),
        ["max_pool2d_backward_3x3"] = [new(OnlyPass, new(1), new(4), Again: new(1))],

        // Parameter and gradient are read, the parameter is written, and the state, in the arithmetic type, is read and written.
        ["sgd_step"] = Optimizer(states: 1),
        ["adam_step"] = Optimizer(states: 2),
        ["rms_prop_step"] = Optimizer(states: 1),
        ["lion_step"] = Optimizer(states: 1),

        ["cross_entropy"] = [Sums(1), Gradient],
        ["entropy_forward"] = [Sums(1)],
        ["entropy_backward"] = [Sums(1), Gradient],
        ["attention_dropout_forward"] = [Sums(1), Results],
        ["attention_dropout_backward"] = [Sums(2), Results],
    };

    /// <summary>Kernels of matrix products: what counts is how many of its products' turns a multiprocessor gets.</summary>
    public static IReadOnlySet<string> Products { get; } = new HashSet<string>
    {
        "matmul", "conv2d_gather", "conv2d_backward_filter", "conv2d_gather_mma", "conv2d_backward_filter_mma",
    };

    /// <summary>Kernels with passes, some with switches behind the name under which they are others.</summary>
    public static IEnumerable<string> Names => Passes.Keys;

    /// <summary>The passes of a variant; none where what it moves for an element is not one number.</summary>
    public static IReadOnlyList<Pass> Of(KernelDefinition kernel, KernelVariant variant)
    {
        string[] switches = [.. kernel.Switches.Where((_, index) => variant.Has(index))];
        return switches.Prepend(string.Join(' ', switches))
            .Select(names => Passes.GetValueOrDefault($"{kernel.EntryPoint} {names}"))
            .Append(Passes.GetValueOrDefault(kernel.EntryPoint))
            .FirstOrDefault(passes => passes is not null) ?? [];
    }

    /// <summary>A kernel of matrix products.</summary>
    public static bool Multiplies(KernelDefinition kernel) => Products.Contains(kernel.EntryPoint);

    private static Pass[] Elementwise(int reads, int writes) => [new(OnlyPass, new(reads), new(writes))];

    private static Pass[] Resident(int reads) =>
        [new("sums", new(reads), default, TakesKept: true), new("results", default, new(1), TakesKept: true)];

    // The mean that contrast needs takes places and the blend before it, the output places again and all three blends. Edges, boxes and
    // ends of rows are few.
    private static Pass[] ResidentImage(int loaded, int kept, int fours) =>
    [
        new("image", new(0, Levels: 1), default, Elements: loaded, IsShortest: true),
        new("mean", default, default, Elements: 12 * fours, Marks: new(Kept: kept * fours, Saturated: 12 * fours), IsShortest: true),
        new("places", default, new(1), Elements: 12 * fours, Marks: new(Kept: kept * fours), IsShortest: true),
        ThreeBlends(fours),
    ];

    private static Pass ThreeBlends(int fours) =>
        new("three blends", default, default, Elements: 12 * fours, Marks: new(Saturated: 12 * fours), Inner: 2);

    private static Pass Sums(int reads) => new("sums", new(reads), default, Exponentials: 1, Elements: Chunk);

    private static Pass[] Optimizer(int states) => [new(OnlyPass, new(2, states), new(1, states))];
}
