namespace Kernels.Tests.SeededFaults;

/// <content>The bugs.</content>
public sealed partial record SeededFault
{
    public static IReadOnlyList<SeededFault> All { get; } =
    [
        new(
            "the mask is not scaled", "dropout", Dropout, "values[lane] * scale : (real)0", "values[lane] : (real)0")
        { At = "one Philox block" },
        new(
            "the vector path runs past the end", "dropout", Blocks, "count / 256 * 32", "(count + 255) / 256 * 32")
        { At = "one element" },
        new("the tail is forgotten", "dropout", Blocks, "(blocks.stop + 7) / 8", "blocks.stop / 8") { At = "one element" },
        new(
            "keeps on equality: p is off by 1/65536", "dropout", Dropout, "philox_lane(drawn, lane) < threshold",
            "philox_lane(drawn, lane) <= threshold") { At = "several chunks of a core" },
        new(
            "the end is cut to 32 bits", "dropout", Blocks, "blocks.stop = start + count;", "blocks.stop = (u32)(start + count);")
        { At = "shard whose block numbers exceed 32 bits" },
        new(
            "a dropped NaN leaks", "dropout", Dropout, "values[lane] * scale : (real)0", "values[lane] * scale : values[lane] * (real)0")
        { At = "one Philox block" },
        new(
            "the shard's start is ignored", "dropout", Dropout, "blocks.first + GLOBAL_ID", "blocks.first + 1 + GLOBAL_ID")
        { At = "one element" },
        new("two blocks share a counter", "dropout", Philox, "u32 c0 = (u32)block", "u32 c0 = (u32)(block / 2)") { At = "prime" },
        new(
            "the block number is cut to 32 bits", "dropout", Philox, "c1 = (u32)(block >> 32)", "c1 = 0")
        { At = "shard whose block numbers exceed 32 bits" },
        new("lanes in the wrong order", "dropout", Philox, "16 * (lane % 2)", "16 * (1 - lane % 2)") { At = "less than a Philox block" },
        new(
            "the halves of the seed are swapped", "dropout", Philox, "k0 = (u32)key.seed, k1 = (u32)(key.seed >> 32)",
            "k1 = (u32)key.seed, k0 = (u32)(key.seed >> 32)") { At = "less than a Philox block" },
        new("nine rounds", "random", Philox, "round < 10", "round < 9") { At = "one block" },
        new(
            "the offset is cut to 32 bits", "monte-carlo-dropout", Philox, "c3 = (u32)(key.offset >> 32)", "c3 = 0")
        { At = "prime; the offset's low word overflows into the high one" },
        new("the first block is ignored", "random", "portable/random.cl", "first_block + b", "b") { At = "prime" },
        new(
            "bfloat16 is cut, not rounded", "dropout", "dialect/opencl.h", "(bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16", "bits >> 16",
            DType.BFloat16) { At = "prime" },
        new(
            "half is read as bfloat16", "relu", "portable/types.h", "return f16_to_f32(stored);", "return bf16_to_f32(stored);",
            DType.Float16) { At = "one element" },
        new(
            "no barrier between the levels of the column sums", "linear", "portable/linear.cl", "32 * half_depth];\n            BARRIER();",
            "32 * half_depth];") { At = "a batch of the study, odd sizes" },
        new(
            "no barrier between the levels of a sum", "cross-entropy", "portable/reduce.h",
            "scratch[i * GROUP_SIZE + LOCAL_ID + half_size];\n        BARRIER();", "scratch[i * GROUP_SIZE + LOCAL_ID + half_size];")
        { At = "whole vectors, rows that share a warp" },
        new(
            "b is read untransposed", "matmul", MatMul, "(first_column + column) * k + first_k + depth",
            "(first_k + depth) * n + first_column + column") { At = "the same, b transposed" },
        new(
            "the sum is overwritten", "matmul", MatMul, "sums[i][j] = FMA(rows[i], columns[j], sums[i][j])",
            "sums[i][j] = rows[i] * columns[j]") { At = "one element" },
        new(
            "the bias goes by row", "linear", MatMul, "bias_offset + column", "bias_offset + row % n")
        { At = "a batch of the study, odd sizes" },
        new(
            "rows of the bias gradient are skipped", "linear", "portable/linear.cl", "step = 8 * splits", "step = 16 * splits")
        { At = "a batch of the study, odd sizes" },
        new(
            "half of the reduction tree is missing", "linear", "portable/linear.cl", "half_depth = 4", "half_depth = 2")
        { At = "a batch of the study, odd sizes" },
        new(
            "the maximum is not subtracted", "cross-entropy", Softmax, "softmax_exponent(z[8 * s + i], largest), e",
            "softmax_exponent(z[8 * s + i], 0), e") { At = "a work group a row, prime, several stretches" },
        new(
            "the label is off by one", "cross-entropy", CrossEntropy, "place.column = (u32)label;", "place.column = (u32)label ^ 1u;")
        { At = "a batch of the study" },
        new("the gradient is not scaled", "cross-entropy", CrossEntropy, "row->scale * slope", "slope") { At = "a batch of the study" },
        new(
            "no barrier between the levels of a maximum", "cross-entropy", "portable/reduce.h",
            "MAX(scratch[LOCAL_ID], scratch[LOCAL_ID + half_size]);\n        BARRIER();",
            "MAX(scratch[LOCAL_ID], scratch[LOCAL_ID + half_size]);") { At = "whole vectors, rows that share a warp" },
        new(
            "the sums are not moved to a new maximum", "cross-entropy", Softmax, "sums->sum *= factor;", "")
        { At = "a batch of the study" },
        new(
            "the moment is not moved to a new maximum", "entropy", Softmax, "factor * FMA(sums->sum, change, sums->moment)",
            "factor * sums->moment") { At = "a batch of a policy" },
        new(
            "masked classes get their part of the smoothing", "cross-entropy", CrossEntropy,
            "if (seen) count += 1;", "count += 1;") { At = "masked classes, some of them labels" },
        new(
            "an ignored row counts", "cross-entropy", CrossEntropy, "weight = target.ignored ? (real)0 : (real)1;", "weight = 1;")
        { At = "probabilities, of which some rows are ignored, with weights" },
        new(
            "weights are left out of the normalizer", "cross-entropy", CrossEntropy,
            "target.share * class_weight(class_weights, (u64)target.label)", "target.share") { At = "class weights" },
        new("0 times a range beyond the largest number", "entropy", Softmax, "return x < -1024 ? (real)-1024 : x;", "return x;")
        { At = "a range of logits beyond the largest number" },
        new("a sum over a range beyond the largest number", "cross-entropy", Softmax, "if (x < FARTHEST_DIFFERENCE)", "if (0)")
        { At = "a range beyond the largest number, smoothed" },
        new(
            "a masked class has the gradient's sign", "cross-entropy", CrossEntropy, "z != NEGATIVE_INFINITY ? row->scale * slope",
            "1 ? row->scale * slope") { At = "masked classes, gradients of either sign" },
        new("a bad share spoils all rows", "cross-entropy", CrossEntropy, "weight - weight == 0 ? weight : (real)1", "weight")
        { At = "shares that are no number, in a mean by weights" },
        new("what is taken times 0 is looked at", "cross-entropy", CrossEntropy, "if (kept == 0) targets.weight", "if (0) targets.weight")
        { At = "probabilities that smoothing leaves nothing of" },
        new(
            "the velocity is not read", "sgd", Sgd, "rule.momentum * state[VELOCITY][k] + rule.gradient_share",
            "rule.gradient_share") { At = "one element" },
        new("Nesterov is plain momentum", "sgd", Sgd, "if (rule.is_nesterov != 0)", "if (0)") { At = "Nesterov" },
        new(
            "the decay is forgotten", "sgd", Optimizer, "gradients[k] += group->coupled_decay * weights[k];", "gradients[k] += 0;")
        { At = "coupled decay" },
        new(
            "the decay is coupled to nothing", "adamw", "portable/adam.cl", "group->decay_factor * weights[k] -", "weights[k] -")
        { At = "decoupled decay" },
        new(
            "the second moment is not corrected", "adam", "portable/adam.cl", "scales[k] * group->second_root",
            "scales[k]")
        { At = "one element" },
        new(
            "the first correction is the second", "adam", Optimizer, "own->first_log", "own->second_log")
        { At = "one element" },
        new(
            "the largest second moment is the last", "adam", "portable/adam.cl", "larger(state[LARGEST_SECOND_MOMENT][k], squares[k])",
            "squares[k]")
        { At = "largest second moment (AMSGrad)" },
        new("the mean is not taken off", "rmsprop", "portable/rms_prop.cl", "squares[k] - mean * mean", "squares[k]") { At = "centered" },
        new(
            "the direction has the gradient's length", "lion", "portable/lion.cl", "sign_of(rule.beta1 * state[FIRST_MOMENT][k]",
            "(rule.beta1 * state[FIRST_MOMENT][k]") { At = "one element" },
        new(
            "small weights are not set to zero", "sgd", Optimizer, "return weight == weight ? (real)0 : weight;", "return weight;")
        { At = "proximal L1, zeros counted" },
        new("rows are not projected", "sgd", Optimizer, "if (too_long)", "if (0)") { At = "maximum norm" },
        new(
            "the average forgets", "adam", Optimizer, "averaged(group, averages[k], weights[k])", "weights[k]")
        { At = "moving average of the weights" },
        new(
            "unscaled gradients", "sgd", "portable/optimizer_step.cl", "factor *= clip;", "")
        { At = "clipped by the norm of all gradients" },
        new(
            "a faulty step is taken", "sgd", "portable/optimizer_step.cl", "skips_faults && !is_finite(totals[0])", "0")
        { At = "an infinite gradient skips the step" },
        new(
            "a long row overflows", "sgd", "portable/squares.h", "if (sums[1] == -NEGATIVE_INFINITY)", "if (0)")
        { At = "rows and gradients whose squares overflow" },
        new(
            "a gradient is scaled twice", "sgd", Optimizer, "(group->gradient_scale * gradients[k])",
            "(group->gradient_factor * gradients[k])")
        { At = "loss scale" },
        new(
            "an absent decay looks at the weight", "sgd", Optimizer, "if (group->coupled_decay != 0)", "if (1)")
        { At = "L1 by subgradient, of infinite weights too" },
        new(
            "a parameter that someone wrote is overwritten", "sgd", Optimizer, "if (to_real(to_scalar(masters[k])) == weights[k])", "",
            DType.Float16) { At = "master copy of half types" },
        new(
            "an absent L2 looks at the weight", "norm-penalty", "portable/norm_penalty.cl", "if (own->slope != 0)", "if (1)")
        { At = "infinite weights under L1 alone" },
        new(
            "the tail of a tile is forgotten", "parameter-snapshot", "portable/parameter_snapshot.cl", "i < tile->count;",
            "i + 1 < tile->count;") { At = "one element" },
        new(
            "tiles of other tensors", "norm-penalty", "portable/tensor_list.h", "(index - entry[4]) * length", "index * length")
        { At = "whole vectors and several tiles, each its own strengths" },
        new(
            "the gradient of the whole square", "norm-penalty", "portable/norm_penalty.cl", "own->slope * weights[k]",
            "own->root * weights[k]")
        { At = "L2 by the whole square" },
        new(
            "the gradient passes where it should stop", "relu", "portable/relu.cl", "outputs[lane] <= 0 ? (real)0 : values[lane]",
            "values[lane]") { At = "rows with a tail" },
        new(
            "tanh cancels near 0", "tanh", Activation, "size < SMALL_TANH ? small : x < 0 ? -large : large", "x < 0 ? -large : large")
        { At = "arguments near 0, and far from it" },
        new("what is positive leaks", "leaky-relu", Activation, "output <= 0 ? slope", "output >= 0 ? slope") { At = "one element" },
        new(
            "a difference is not squared", "mean-squared-error", SquaredError, "FMA(difference, factors.share * difference, sum)",
            "FMA(difference, factors.share, sum)") { At = "one element" },
        new(
            "another gradient is written over", "mean-squared-error", SquaredError, "FMA(factors.slope, difference, gradients[lane])",
            "factors.slope * difference") { At = "added to another gradient" },
        new("the softplus overflows", "gan-loss", GanLoss, "EXP(z < 0 ? z : -z)", "EXP(z)") { At = "logits far from 0" },
        new(
            "a small loss has lost its digits", "gan-loss", GanLoss, "FMA(p * square, s, 2 * s)", "LOG(1 + t)")
        { At = "a discriminator that is sure" },
        new(
            "examples share the decisions of the first", "channel-dropout", "portable/channel_dropout.cl", "outer * units + unit", "unit")
        { At = "the same units, channels last" },
        new(
            "whole blocks of all examples share the decisions of the first", "channel-dropout", "portable/channel_dropout.cl",
            "8 * (outer * inner + column)", "8 * column") { At = "whole vectors of channels" },
        new(
            "both angles are one word", "gaussian-noise", "portable/normal.h", "normal_pair(block.words[2], block.words[3]",
            "normal_pair(block.words[2], block.words[1]") { At = "prime" },
        new(
            "the shift is forgotten", "alpha-dropout", "portable/alpha_dropout.cl", "FMA(values[lane], scale, shift)",
            "values[lane] * scale") { At = "prime" },
        new(
            "every pass draws the same mask", "monte-carlo-dropout", "portable/monte_carlo_dropout.cl", "first_offset + pass",
            "first_offset") { At = "prime; the offset's low word overflows into the high one" },
        new(
            "the variance is biased", "monte-carlo-dropout", "portable/monte_carlo_dropout.cl", "(passes - 1)", "passes")
        { At = "the fewest passes, one element" },
        new("alpha is left out of a slope", "adaptive-dropout", Adaptive, "slope * alpha * values", "slope * values")
        { At = "straight through" },
        new(
            "vectors forget beta", "adaptive-dropout", Adaptive, "FMA(alpha, activations[lane], beta)", "alpha * activations[lane]")
        { At = "prime" },
        new(
            "a scale of 65535/T", "adaptive-dropout", Adaptive, "65536 * reciprocal(", "65535 * reciprocal(")
        { At = "prime" },
        new(
            "the causal limit is aligned at the top left", "attention-dropout", Attention,
            "keys + query + 1 > queries ? keys + query + 1 - queries : 0", "query + 1")
        { At = "causal, more keys than queries: aligned at the bottom right" },
        new(
            "the sum is not moved to a new maximum", "attention-dropout", Attention,
            "sum *= softmax_exp(before - reference_of(largest));", "")
        { At = "one block more than the registers hold" },
        new(
            "masked keys at the end of a row are not written", "attention-dropout", Attention, "store_chunk(dscores + first, part.stop,",
            "store_chunk(dscores + first, visible,") { At = "causal, square" },
        new("sums relative to an item's maximum", "attention-dropout", Attention, "{sum * weight, product * weight}", "{sum, product}")
        { At = "the longest row in registers" },
        new("a mean is not moved to a new maximum", "attention-dropout", Attention, "product *= shrink;", "")
        { At = "all masks, a long row" },
        new(
            "a masked key has the gradient's sign", "attention-dropout", Attention,
            "FMA(share * e[i], dp[i] - mean, (real)0)", "share * e[i] * (dp[i] - mean)")
        { At = "causal, square" },
        new(
            "rows are decided by the elements' draws", "bias-dropout-residual", BiasDropout, "ROW_BLOCKS + row_block", "row_block")
        { At = "more than 65,535 rows" },
        new(
            "the last strip has no part in the sums", "bias-dropout-residual", PartialSums, "split < splits; split += 8",
            "split + 1 < splits; split += 8") { At = "one element" },
        new(
            "no barrier before layers are added", "bias-dropout-residual", PartialSums, "layers[LOCAL_ID] = sum;\n        BARRIER();",
            "layers[LOCAL_ID] = sum;") { At = "rows of whole vectors" },
        new(
            "the running variance is biased", "batch-norm", NormMoments, "variance * (own.count / (own.count - 1))", "variance")
        { At = "odd maps of odd channels" },
        new(
            "one set's channels are normalized by another's", "batch-norm", "portable/batch_norm.h",
            "own.mean[unit], own.rest", "own.mean[0], own.rest") { At = "channels last, odd" },
        new(
            "rows behind the last one are the first once more", "batch-norm", BatchNorm,
            "index + i * step < stop && row_counts(counted, row + i * deep)", "row_counts(counted, row + i * deep)")
        { At = "channels last, odd" },
        new(
            "gradients of rows behind the last one are the first's once more", "batch-norm", BatchNormBackward,
            "index + i * step < stop && row_counts(counted, row + i * deep)", "row_counts(counted, row + i * deep)")
        { At = "channels last, odd" },
        new(
            "the last part of a channel is left out", "batch-norm", ResidentNorm, "is_alone ? 1 : GROUP_SIZE, splits)",
            "is_alone ? 1 : GROUP_SIZE, splits - 1)")
        { At = "parts of channels that wait for each other, maps that begin inside blocks" },
        new(
            "what is kept is the half block before", "batch-norm", "cuda/resident.h",
            "first + copy * apart * (u32)sizeof(scalar)", "first")
        { At = "parts of rows that wait for each other, two tiles" },
        new(
            "the last warp's rows are no part of the sums", "batch-norm", "cuda/resident.h",
            "warp < GROUP_SIZE / 32; warp++) total", "warp + 1 < GROUP_SIZE / 32; warp++) total")
        { At = "parts of rows that wait for each other, two tiles" },
        new(
            "gradients leave out the last part of a channel", "batch-norm", ResidentGradients,
            "is_alone ? 1 : GROUP_SIZE, splits,", "is_alone ? 1 : GROUP_SIZE, splits - 1,")
        { At = "parts of channels that wait for each other, maps of whole blocks" },
        new(
            "what did not pass is part of dx", "batch-norm-relu", ResidentGradients,
            "if (is_selected) replace_block(held, OF_DY, place, gradients);\n        add_block", "add_block")
        { At = "parts of channels that wait for each other" },
        new(
            "a row is led by the y of the next", "batch-norm-add-relu", ResidentGradients,
            "widen8(output, outputs);\n            // On its way while this row has its turn.\n"
                + "            if (pass.y != 0 && place + GROUP_SIZE < places)\n"
                + "                output = load_columns(pass.y, index + step, own.count, own.apart);",
            "if (pass.y != 0 && place + GROUP_SIZE < places)\n"
                + "                output = load_columns(pass.y, index + step, own.count, own.apart);\n"
                + "            widen8(output, outputs);")
        { At = "parts of rows that wait for each other, two tiles" },
        new(
            "blocks of a word are those of the word before", "batch-norm-relu", "portable/batch_norm.h",
            "after.kept[index / 32 + 1] << (32 - shift)", "after.kept[index / 32] << (32 - shift)")
        { At = "blocks that channels share, the expected scale, a shard, channels last, odd" },
        new(
            "channels take the bits of neighbouring cells", "batch-norm-add-relu", DropBlock,
            "cell += mask_inner;\n            if (++i < inner) continue;", "cell += 1;\n            if (++i < inner) continue;")
        { At = "blocks, channels last" },
        new(
            "means that are apart add nothing to the squares", "sync-batch-norm", Moments, "+ apart * apart * weight", "+ 0 * weight")
        { At = "three records, one empty; Keras's conventions" },
        new(
            "the mean's rounding shows", "batch-norm", Moments, "return (a - (sum - back)) + (b - back);", "return 0;")
        { At = "a mean far larger than the deviation" },
        new(
            "dx keeps its part along x", "batch-norm", NormGradients, "own.tilt = inverse * (own.product / count);", "own.tilt = 0;")
        { At = "odd maps of odd channels" },
        new(
            "one element moves the running values", "sync-batch-norm", NormMoments, "if (own.count < 2) return running;", "")
        { At = "one value in all: no deviation, no running values" },
        new(
            "a mean is not by the elements of all shards", "sync-batch-norm", NormGradients, "const real count = sums[2];",
            "const real count = 49;")
        { At = "odd maps of odd channels" },
        new(
            "blocks are a cell too narrow", "drop-block", DropBlock, "? covered : count - covered", "? covered : count - covered - 1")
        { At = "a stage of ResNet" },
        new(
            "a map counts cells of the ones before it", "drop-block", DropBlock, "(tile == first ? others : 0)", "0")
        { At = "a scale for each map" },
        new(
            "noise and seeds share their draws", "drop-block", DropBlock, "NOISE + index / 4", "index / 4")
        { At = "channels last, three axes" },
        new(
            "biases of all shards share their decisions", "drop-connect", DropConnect, "BIAS_MASK + first_pair + example * outputs",
            "BIAS_MASK + example * outputs") { At = "a shard of the batch" },
        new(
            "every term has the mask of the first", "drop-connect", DropConnect, "(first_pair + pair) * inputs",
            "(first_pair + row * row_stride) * inputs") { At = "more examples than two tiles" },
        new(
            "no barrier between the levels of the bias gradient", "drop-connect", DropConnect,
            "partial[i + half_depth * 32];\n            BARRIER();", "partial[i + half_depth * 32];") { At = "whole blocks and draws" },
        new(
            "the bias has no variance", "drop-connect-inference", Inference, "{b, b * b,", "{b, 0,")
        { At = "no inputs: biases alone" },
        new(
            "samples of the pair before count", "drop-connect-inference", Inference, "4 * block + k >= first && 4 * block + k < end",
            "4 * block + k < end") { At = "an odd number of samples, original scaling" },
        new(
            "the last position of a batch is left out", "embedding-dropout", Embedding, "entry + i < end ?",
            "entry + i + 1 < end ?") { At = "p = 0: all rows" },
        new(
            "each position adds all rows of its id", "embedding-dropout", Embedding, "keys[head - 1] >> 32 != id",
            "keys[head - 1] != keys[head]") { At = "whole vectors" },
        new(
            "all rows have the mask of the first", "entropy", Entropy, "mask + mask_offset + source", "mask + mask_offset")
        { At = "a work group a row, prime, several stretches" },
        new(
            "a row has the sums of its first piece alone", "entropy", Entropy, "(part.row * piece_count + lane)",
            "(part.row * piece_count)")
        { At = "few long rows, in pieces, with a mask" },
        new(
            "the entropy is added with a wrong sign", "entropy", Entropy, "(x + surprise)", "(x - surprise)")
        { At = "a batch of a policy" },
        new(
            "eight elements share a normal", "gaussian-noise", "portable/gaussian_noise.cl", "normals[lane]", "normals[0]")
        { At = "prime" },
        new(
            "eight elements share a kept factor", "gaussian-dropout", "portable/gaussian_noise.cl", "*= factors[lane]", "*= factors[0]")
        { At = "rows with a tail" },
        new(
            "rows are numbered again in each tile", "kept-rows", KeptRows, "(i32)(row + lane)", "(i32)(row - tile + lane)")
        { At = "many tiles of a group, a tail" },
        new("a piece leaves room for itself", "kept-rows", KeptRows, "i < piece ?", "i <= piece ?")
        { At = "many tiles of a group, a tail" },
        new("gathered rows are not scaled", "kept-rows", KeptRows, "scale * load(source, from)", "load(source, from)") { At = "odd rows" },
        new(
            "no barrier before a tile's rows are copied", "kept-rows", KeptRows, "BARRIER();\n            const u64 dropped",
            "const u64 dropped") { At = "prime" },
        new("the other row's share is its own", "mixup", "portable/mixup.cl", "backward ? shares[other] : mixed.own", "mixed.own")
        { At = "whole octets, rows that pairs of items share, and a tail" },
        new("samples share a key", "mixup", "portable/augment_key.h", "philox(complement, sample)", "philox(complement, sample / 2)")
        { At = "rows in the order of their numbers" },
        new("a round less", "mixup", "portable/permutation.h", "round < 8", "round < 6") { At = "rows in the order of their numbers" },
        new("the cosine's sign is forgotten", "mixup", "portable/beta.h", "cosine < 0 ?", "cosine < 2 ?")
        { At = "rows in the order of their numbers" },
        new("classes share a permutation", "mixup", MixupDraw, "PARTNER_DRAWS + 2 * (u32)first", "PARTNER_DRAWS")
        { At = "partners of the same class, one class with one member" },
        new(
            "the share is lambda, not what is left", "cutmix", MixupDraw,
            "units = MIX_UNITS - (u32)(((area << 24) + whole / 2) / whole);", "")
        { At = "images of the study" },
        new("a box is one row too short", "cutmix", Boxes, "row < bottom)", "row < bottom - 1)")
        { At = "whole octets over two rows, a tail" },
        new("what was taken is not added", "cutmix", "portable/cutmix.cl", "taken ? own + other : own", "own")
        { At = "odd sides" },
        new("holes are not clipped at the top", "cutout", "portable/erase_draw.cl", "box[0] = top < 0 ? 0 : top;", "box[0] = top + 1;")
        { At = "odd sides, some clipped" },
        new(
            "tries that do not fit are taken", "random-erase", "portable/erase_draw.cl", "rows >= height || columns >= width",
            "rows > height || columns > width") { At = "odd sides" },
        new("noise is the same in every image", "random-erase", "portable/cutout.cl", "+ in_image / 4)", "+ in_image / 8)")
        { At = "noise, odd sides" },
        new(
            "what is shifted comes from the other side", "differentiable-augment", DifferentiableAugment,
            "backward ? -ahead : ahead", "ahead")
        { At = "odd sides" },
        new(
            "the mean of the gradient counts what was cut", "differentiable-augment", DifferentiableAugment,
            "if (backward) bits &=", "if (0) bits &=")
        { At = "odd sides" },
        new(
            "the second part of the mean is forgotten", "differentiable-augment", DifferentiableAugment,
            "part < parts; part++", "part < 1; part++")
        { At = "two tiles, a mean of two parts" },
        new(
            "sets are of neighbours", "minibatch-deviation", MinibatchDeviation,
            "y + (set + member * sets)", "y + (set * members + member)")
        { At = "odd sides, two sets" },
        new(
            "the root is of the variance alone", "minibatch-deviation", MinibatchDeviation,
            "SQRT(roots[lane] + epsilon)", "SQRT(roots[lane])")
        { At = "one sample, one feature" },
        new("the gradient has the first sample's distance", "minibatch-deviation", MinibatchDeviation,
            "values[lane] - first[lane] - means[lane], roots", "values[lane] - first[lane], roots")
        { At = "odd sides, two sets" },
        new("u is not of length 1", "spectral-norm", SpectralNorm, "products[row] * unit.first * unit.second", "products[row]")
        { At = "odd sides, three steps" },
        new("rows of u are counted in octets", "spectral-norm", SpectralNorm, "row += last;", "row += 0;") { At = "odd sides" },
        new(
            "the second tile of the overlap is forgotten", "spectral-norm", SpectralNorm,
            "tile < tiles; tile += GROUP_SIZE", "tile < 1; tile += GROUP_SIZE")
        { At = "two tiles, whole octets" },
        new("the row is its own neighbour", "same-class-neighbours", Neighbours, "|| other == row", "")
        { At = "more wanted than classes have" },
        new(
            "the farther neighbour stays first", "same-class-neighbours", Neighbours, "next < kept ? next : kept",
            "next > kept ? next : kept")
        { At = "more wanted than classes have" },
        new("the deviation is a sum of squares", "feature-noise", FeatureNoise, "SQRT(squares / count)", "squares / count")
        { At = "classes, one with a single row, one with none" },
        new("every class has the first one's noise", "feature-noise", FeatureNoise, "(u64)label * run + 4 * four", "4 * four")
        { At = "odd rows, numbered" },
        new("the first neighbour always", "feature-interpolate", "portable/feature_interpolate.cl", "MUL_HI(drawn.words[0], count)", "0")
        { At = "odd rows, numbered, steps of any length" },
        new("one hole is enough", "cutout", "portable/cutout.cl", "place.image * holes + hole", "place.image * holes")
        { At = "three holes, some images left alone" },
        new("rows are padded as columns are", "average-pool2d", AveragePool, "(i32)first - (i32)before_y", "(i32)first - (i32)before_x")
        { At = "3x3 one apart, padded unequally, a divisor of the caller's" },
        new(
            "what hangs over counts", "average-pool2d", AveragePool, "(u32)((stop < end ? stop : end) -", "(u32)(stop -")
        { At = "a last window that hangs over" },
        new("padding counts always", "average-pool2d", AveragePool, "counts_padding ? start : 0", "start")
        { At = "overlapping, one apart, padding left out" },
        new(
            "no barrier between the levels of the cells", "average-pool2d", AveragePool,
            "LOCAL_ID + half_depth];\n            }\n            BARRIER();", "LOCAL_ID + half_depth];\n            }")
        { At = "whole maps, channels last, odd" },
        new("a gradient is weighed by the distance", "affine", "portable/affine.cl", "1 - distance : 0", "distance : 0")
        { At = "zeros outside" },
        new("neighbours of an element are looked for too near", "affine", "portable/affine.cl", "middle + reach + 2", "middle + reach - 1")
        { At = "zeros outside" },
        new("a mirror image has the slope of the image", "affine", "portable/affine.cl", "(turns & 1) == (from < 0) ? 1 : -1", "1")
        { At = "mirrored, channels last, a deviation" },
        new("samples share their numbers", "augment", AugmentKey, "philox(complement, sample)", "philox(complement, 0)")
        { At = "all ops of a policy" },
        new("ops share their numbers", "augment", AugmentKey, "(u64)op << 32 | draw", "draw") { At = "maps of all kinds" },
        new("the first map comes last", "augment", AugmentDraw, "FMA(m.a, c, FMA(m.b, f, m.c))", "m.c + c") { At = "maps of all kinds" },
        new("a whole turn is not taken off", "augment", AugmentDraw, "circle - floor_of(circle)", "circle + (circle < 0 ? -circle : 0)")
        { At = "maps of all kinds" },
        new("taps are weighed the wrong way round", "augment", AugmentImage, "FMA(across, taps[1], (1 - across) * taps[0])",
            "FMA(across, taps[0], (1 - across) * taps[1])") { At = "all taps inside, or some" },
        new("bytes are weighed the wrong way round", "augment", AugmentImage, "FMA(left_weight, taps[2], right_weight * taps[3])",
            "FMA(right_weight, taps[2], left_weight * taps[3])") { At = "bytes" },
        new("bytes beside the image are black", "augment", AugmentImage, "image->fill * (1 - inside)", "0") { At = "bytes" },
        new("the last column is outside", "augment", AugmentImage, "(u32)(x0 + 1) < image->width", "(u32)(x0 + 2) < image->width")
        { At = "bytes, channels last" },
        new("a mirror image is not mirrored", "augment", AugmentImage, "(i32)turns & 1 ? span - rest : rest", "rest")
        { At = "mirrored again and again" },
        new("halves go up", "augment", AugmentImage, "(above == (real)0.5 && is_odd)", "above == (real)0.5")
        { At = "nearest; halves go to even numbers" },
        new("the last column is left out", "augment", AugmentOutput, "k < columns && i < count", "k + 1 < columns && i < count")
        { At = "a flip and a shift of whole pixels, beyond one vector" },
        new("a curve counts its own level", "augment", AugmentStatistics, "running_sum(count, counts, &total) - count",
            "running_sum(count, counts, &total)") { At = "levels, a curve from levels" },
        new("the histogram is not cleared", "augment", AugmentStatistics, "histogram[k * LEVELS + LOCAL_ID] = 0;",
            "histogram[k * LEVELS + LOCAL_ID] = 1;") { At = "levels, a curve from levels" },
        new("the second part of an image is forgotten", "augment", AugmentStatistics, "COLOR_EQUALIZE && part < sample_parts",
            "COLOR_EQUALIZE && part < 1") { At = "more than one part of an image, tiles whose neighbours are sharpened" },
        new("neighbours in other tiles are not made", "augment", AugmentTile, "u32 r = is_side ? 1 + along", "u32 r = is_side ? 0 * along")
        { At = "more than one part of an image, tiles whose neighbours are sharpened" },
        new("places inside are weighed the wrong way round", "augment", AugmentTile, "FMA(share, second, (1 - share) * first)",
            "FMA(share, first, (1 - share) * second)") { At = "all taps inside, or some" },
        new("whole pixels are told by one axis", "augment", AugmentTile, "x[0] == 0 && y[0] == 0", "x[0] == 0")
        { At = "fours of a row, two bands" },
        new("contrast takes another op's statistics", "augment", AugmentColors, "statistics_of(codes_before(codes, i)) *", "0 *")
        { At = "every colour op, a box" },
        new("the second four of a row are the first", "augment", AugmentApply, "y + to + column * y_pixel", "y + to + column % 4 * y_pixel")
        { At = "all taps inside, or some" },
        new("bytes inside are weighed the wrong way round", "augment", AugmentTile, "FMA(across, fourth - third, third)",
            "FMA(across, third - fourth, fourth)") { At = "bytes" },
        new("means take half of what is on the left", "augment", AugmentTile, "(first * FIXED_ONE + FIXED_BITS)",
            "(first * (FIXED_ONE / 2) + FIXED_BITS)") { At = "a group keeps an image, blends in any order" },
        new("all groups keep the first image", "augment", AugmentResident, "x + (u64)sample * bytes", "x")
        { At = "a group keeps an image, blends in any order" },
        new("a pixel has the blue of the next", "augment", "cuda/words.h", "_perm(low, blue, 0x4410)", "_perm(low, blue, 0x5510)")
        { At = "a group keeps an image, blends in any order" },
        new("a pixel begins a byte early", "augment", "cuda/words.h", "__byte_perm(second, third, 0x5432)",
            "__byte_perm(second, third, 0x4321)")
        { At = "a group keeps an image, no whole tiles, contrast before and after others" },
        new("means take red for blue", "augment", AugmentResident, "add_low_products(shares, upper_blue, origin)",
            "add_low_products(shares, upper, origin)") { At = "a group keeps an image, blends in any order" },
        new("contrast leads away from black", "augment", AugmentResident, "COLOR_CONTRAST ? means[i] : 0", "0")
        { At = "a group keeps an image, blends in any order" },
        new("the last of equal elements counts", "max-pool2d", MaxPool, "value > *best ||", "value >= *best ||")
        { At = "integers: most windows have a tie" },
        new("a NaN is passed over", "max-pool2d", MaxPool, " || value != value", "") { At = "overlapping, one apart" },
        new(
            "windows are a tap too short", "max-pool2d", "portable/pool2d.h", "(window_height - 1) * dilation_y",
            "(window_height - 2) * dilation_y")
        { At = "overlapping, one apart" },
        new(
            "padding is where the map is", "max-pool2d", "portable/pool2d.h", "(i32)(output * stride) - (i32)pad",
            "(i32)(output * stride)") { At = "overlapping, one apart" },
        new("a cell is one to the left", "max-pool2d", "portable/divisor.h", "2 * n, inverse", "2 * n + 2, inverse")
        { At = "overlapping, one apart" },
        new("a sum of squares instead of half of it", "soft-sharing", "portable/soft_sharing.cl", "rooted * rooted", "2 * rooted * rooted")
        { At = "prime" },
        new("the other gradient has its sign", "soft-sharing", "portable/soft_sharing.cl", "down[k] -= part;", "down[k] += part;")
        { At = "one element" },
        new(
            "the last use is left out", "tied-gradients", "portable/tied_gradients.cl", "last = places[tile.tensor + 1]",
            "last = places[tile.tensor + 1] - 1") { At = "prime, two uses" },
        new(
            "what is there is overwritten", "tied-gradients", "portable/tied_gradients.cl", "joins = adds ||", "joins =")
        { At = "one element, one use" },
        new(
            "a short row has the decision of the row before", "stochastic-depth", StochasticDepth,
            "row++;\n            keep = keeps(key, start + row, threshold);", "row++;") { At = "rows shorter than an octet" },
        new(
            "the shard's first row is ignored", "stochastic-depth", StochasticDepth, "keeps(key, start + row, threshold)",
            "keeps(key, row, threshold)") { At = "a shard off a block boundary" },
        new(
            "the padding reads the neighbouring row", "conv2d", Im2Col, "(u32)(column.x + depth.x) < way.width",
            "(u32)(column.x + depth.x) <= way.width") { At = "odd maps, padded" },
        new(
            "a carry between digits is lost", "conv2d", Im2Col, "(u64)a.middle + b.middle + low_carry", "(u64)a.middle + b.middle")
        { At = "odd maps, padded" },
        new(
            "taps of another phase take part", "conv2d", Im2Col, "axis.filter_step = apart;", "axis.filter_step = 1;")
        { At = "all settings at once, two groups" },
        new("the bias starts anew in each group", "conv2d", Conv2d, "bias_offset + channel", "bias_offset + row")
        { At = "all settings at once, two groups" },
        new(
            "a split starts late", "conv2d", Conv2d, "first_pixel = split * pixels_per_split",
            "first_pixel = split * (pixels_per_split + 1)")
        { At = "several splits, the last one short" },
        new("a window slides without its elements", "conv2d", Direct, "values[e + i]", "values[e]")
        { At = "depthwise, two outputs a channel" },
        new("all lanes have the weights of the first", "conv2d", Direct, "(t * lanes + lane)", "(t * lanes)")
        { At = "depthwise, more channels than four vectors, strided" },
        new("a run of places keeps the weights of another row", "conv2d", Direct, "are_there = fits", "are_there = 1")
        { At = "depthwise, a run of places, more rows of taps than a step" },
        new("four columns have no neighbour on the left", "conv2d", Depthwise, "values[0] = load(row, 0)", "values[0] = 0")
        { At = "depthwise, rows in fours, one past eight of them twice" },
        new("the filter is not turned around", "conv2d", Depthwise, "backward ? TAPS - 1 - i : i", "i")
        { At = "depthwise, rows not in fours" },
        new("a product with what is below the last row", "conv2d", Depthwise, "+ (i - (SIDE - 1)) < y_height", "< y_height")
        { At = "depthwise, rows in fours, one past eight of them twice" },
        new("few channels share a bias", "conv2d", Direct, "load(bias, channel + k)", "load(bias, channel)")
        { At = "few channels, all settings at once, two groups" },
        new(
            "a carry between short digits is lost", "conv2d", TensorCores, "a.middle + b.middle + low_carry", "a.middle + b.middle",
            DType.Float16) { At = "channels last in eights, one past a tile of channels" },
        new(
            "a fragment has its upper rows twice", "conv2d", TensorCores, "first + lane % 16, lane / 16", "first + lane % 8, lane / 16",
            DType.Float16)
        { At = "channels last in eights, one past a tile of channels" },
        new(
            "the padding of chunks reads the neighbouring row", "conv2d", TensorGather, "horizontal.tap_step) < width",
            "horizontal.tap_step) <= width", DType.Float16) { At = "channels last in eights, one past a tile of channels" },
        new(
            "the table of pixels goes on by a slice", "conv2d", TensorFilter, "short_digits_of(PLACE_SLICES * SLICE,",
            "short_digits_of(SLICE,", DType.Float16) { At = "channels last in eights, all settings at once, two groups" },
        new(
            "channels beyond a group's are its neighbour's", "conv2d", TensorLayout, "size = channels_last ? channels : pixels",
            "size = channels_last ? channels + 1 : pixels", DType.Float16) { At = "much work, channels last, two groups" },
        new("half of the tree over pixels is missing", "conv2d", Direct, "half_size = GROUP_SIZE / 2", "half_size = GROUP_SIZE / 4")
        { At = "depthwise, more channels than four vectors, strided" },
    ];
}
