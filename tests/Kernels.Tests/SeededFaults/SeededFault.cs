namespace Kernels.Tests.SeededFaults;

/// <summary>One bug: in which file under <c>kernels/</c> the right text is replaced by the wrong one, and which op's case must notice.</summary>
public sealed record SeededFault(string Name, string Op, string File, string Right, string Wrong, DType DType = DType.Float32)
{
    private const string Philox = "portable/philox.h";
    private const string Dropout = "portable/dropout.cl";
    private const string MatMul = "portable/matmul.cl";
    private const string CrossEntropy = "portable/cross_entropy.cl";
    private const string Sgd = "portable/sgd.cl";
    private const string Optimizer = "portable/optimizer.h";

    public static IReadOnlyList<SeededFault> All { get; } =
    [
        new("the mask is not scaled", "dropout", Dropout, "values[lane] * scale : (real)0", "values[lane] : (real)0"),
        new("the vector path runs past the end", "dropout", Dropout, "if (8 * block + 8 <= end)", "if (8 * block <= end)"),
        new("the tail is forgotten", "dropout", Dropout, "(end + 7) / 8", "end / 8"),
        new("keeps on equality: p is off by 1/65536", "dropout", Dropout, "philox_lane(drawn, lane) < threshold", "philox_lane(drawn, lane) <= threshold"),
        new("the end is cut to 32 bits", "dropout", Dropout, "const u64 end = start + count;", "const u64 end = (u32)(start + count);"),
        new("a dropped NaN leaks", "dropout", Dropout, "values[lane] * scale : (real)0", "values[lane] * scale : values[lane] * (real)0"),
        new("the shard's start is ignored", "dropout", Dropout, "start / 8 + GLOBAL_ID", "start / 8 + 1 + GLOBAL_ID"),
        new("two blocks share a counter", "dropout", Philox, "u32 c0 = (u32)block", "u32 c0 = (u32)(block / 2)"),
        new("the block number is cut to 32 bits", "dropout", Philox, "c1 = (u32)(block >> 32)", "c1 = 0"),
        new("lanes in the wrong order", "dropout", Philox, "16 * (lane % 2)", "16 * (1 - lane % 2)"),
        new("the halves of the seed are swapped", "dropout", Philox, "k0 = (u32)key.seed, k1 = (u32)(key.seed >> 32)", "k1 = (u32)key.seed, k0 = (u32)(key.seed >> 32)"),
        new("nine rounds", "random", Philox, "round < 10", "round < 9"),
        new("the offset is cut to 32 bits", "monte-carlo-dropout", Philox, "c3 = (u32)(key.offset >> 32)", "c3 = 0"),
        new("the first block is ignored", "random", "portable/random.cl", "first_block + b", "b"),
        new("bfloat16 is cut, not rounded", "dropout", "portable/types.h", "(bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16", "bits >> 16", DType.BFloat16),
        new("half is read as bfloat16", "relu", "portable/types.h", "return f16_to_f32(stored);", "return bf16_to_f32(stored);", DType.Float16),
        new("no barrier between the levels of the column sums", "linear", "portable/linear.cl", "32 * half_depth];\n            BARRIER();", "32 * half_depth];"),
        new("no barrier between the levels of a sum", "cross-entropy", "portable/reduce.h", "scratch[i * GROUP_SIZE + LOCAL_ID + half_size];\n        BARRIER();", "scratch[i * GROUP_SIZE + LOCAL_ID + half_size];"),
        new("b is read untransposed", "matmul", MatMul, "(first_column + column) * k + first_k + depth", "(first_k + depth) * n + first_column + column"),
        new("the sum is overwritten", "matmul", MatMul, "sums[i][j] = FMA(rows[i], columns[j], sums[i][j])", "sums[i][j] = rows[i] * columns[j]"),
        new("the bias goes by row", "linear", MatMul, "bias_offset + column", "bias_offset + row % n"),
        new("rows of the bias gradient are skipped", "linear", "portable/linear.cl", "row += 8", "row += 16"),
        new("half of the reduction tree is missing", "linear", "portable/linear.cl", "half_depth = 4", "half_depth = 2"),
        new("the maximum is not subtracted", "cross-entropy", "portable/softmax.h", "const real e = EXP(z - sums->largest)", "const real e = EXP(z)"),
        new("the label is off by one", "cross-entropy", CrossEntropy, "(i32)k == target->label", "(i32)k + 1 == target->label"),
        new("the gradient is not scaled", "cross-entropy", CrossEntropy, "z[i] = scale * (p", "z[i] = (p"),
        new("no barrier between the levels of a maximum", "cross-entropy", "portable/reduce.h", "MAX(scratch[LOCAL_ID], scratch[LOCAL_ID + half_size]);\n        BARRIER();", "MAX(scratch[LOCAL_ID], scratch[LOCAL_ID + half_size]);"),
        new("the sums are not moved to a new maximum", "cross-entropy", "portable/softmax.h", "sums->sum *= factor;", ""),
        new("the moment is not moved to a new maximum", "entropy", "portable/softmax.h", "factor * FMA(sums->sum, change, sums->moment)", "factor * sums->moment"),
        new("masked classes get their part of the smoothing", "cross-entropy", CrossEntropy, "if (smoothing != 0 && seen)", "if (smoothing != 0)"),
        new("an ignored row counts", "cross-entropy", CrossEntropy, "target.ignored ? (real)0 : (real)1", "(real)1"),
        new("weights are left out of the normalizer", "cross-entropy", CrossEntropy, "target.share * class_weight(class_weights, (u64)target.label)", "target.share"),
        new("the velocity is not read", "sgd", Sgd, "group->beta1 * *a + group->share1 * gradient", "group->share1 * gradient"),
        new("Nesterov is plain momentum", "sgd", Sgd, "group->mode != 0 ? gradient + group->beta1 * *a : *a", "*a"),
        new("the decay is forgotten", "sgd", Optimizer, "+ group.coupled_decay * weight", ""),
        new("the decay is coupled to nothing", "adamw", "portable/adam.cl", "group->decay_factor * weight -", "weight -"),
        new("the second moment is not corrected", "adam", "portable/adam.cl", "SQRT(square) / SQRT(group->correction2)", "SQRT(square)"),
        new("the first correction is the second", "adam", "portable/optimizer_step.cl", "setting[15 + k]", "setting[16]"),
        new("the largest second moment is the last", "adam", "portable/adam.cl", "*c > square ? *c : square", "square"),
        new("the mean is not taken off", "rmsprop", "portable/rms_prop.cl", "square -= *c * *c;", ""),
        new("the direction has the gradient's length", "lion", "portable/lion.cl", "sign_of(group->beta1 * *a + group->share1 * gradient)", "group->beta1 * *a + group->share1 * gradient"),
        new("small weights are not set to zero", "sgd", Optimizer, "return weight == weight ? (real)0 : weight;", "return weight;"),
        new("rows are not projected", "sgd", Optimizer, "if (scale < 1)", "if (scale < 0)"),
        new("the average forgets", "adam", Optimizer, "group.average * a[k] + group.average_share * weights[k]", "weights[k]"),
        new("unscaled gradients", "sgd", "portable/optimizer_step.cl", "if (!(clip >= 1)) factor *= clip;", ""),
        new("a faulty step is taken", "sgd", "portable/optimizer_step.cl", "skips_faults && fault != fault", "0"),
        new("the tail of a tile is forgotten", "parameter-snapshot", "portable/parameter_snapshot.cl", "if (k < count) target", "if (k + 1 < count) target"),
        new("tiles of other tensors", "norm-penalty", "portable/tensor_list.h", "(index - entry[4]) * length", "index * length"),
        new("the gradient of the whole square", "norm-penalty", "portable/norm_penalty.cl", "own[2] * weights[k]", "square * weights[k]"),
        new("the gradient passes where it should stop", "relu", "portable/relu.cl", "outputs[lane] <= 0 ? (real)0 : gradients[lane]", "gradients[lane]"),
        new("examples share the decisions of the first", "channel-dropout", "portable/channel_dropout.cl", "outer * units + unit", "unit"),
        new("both angles are one word", "gaussian-noise", "portable/normal.h", "normal_pair(block.words[2], block.words[3]", "normal_pair(block.words[2], block.words[1]"),
        new("the shift is forgotten", "alpha-dropout", "portable/alpha_dropout.cl", "FMA(x, scale, shift)", "x * scale"),
        new("every pass draws the same mask", "monte-carlo-dropout", "portable/monte_carlo_dropout.cl", "first_offset + pass", "first_offset"),
        new("the variance is biased", "monte-carlo-dropout", "portable/monte_carlo_dropout.cl", "(passes - 1)", "passes"),
    ];

    public override string ToString() => $"{Op}: {Name}";
}
