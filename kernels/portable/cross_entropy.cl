// Softmax cross-entropy over rows: loss = -sum over k of w[k] * t[k] * log softmax(z)[k], t = (1 - s) * q + s / M with
// the row's target q (one label, two labels with shares, or probabilities) smoothed over its M unmasked classes
// (Szegedy et al., CVPR 2016), plus z_loss * lse^2 and penalty * max(0, threshold - H) or -penalty * H (Pereyra et al.,
// 2017). With c = w * t: dz[k] = p[k] * (sum of c + 2 * z_loss * lse + penalty * (log p[k] + H)) - c[k], times the
// scale.
//
//   cross_entropy             losses and gradients of rows, in place if asked
//   cross_entropy_normalizer  what a mean divides by: partial sums of the rows' weights, from the labels alone
//   cross_entropy_sum         sums in a fixed order, times a factor or over the normalizer
//
// A team of work items takes a row: one item for up to eight classes, a whole group for more than 1024. The gradient
// goes through the row backwards, so that what it reads again is still in the nearest cache.

#include "types.h"
#include "reduce.h"
#include "errors.h"
#include "softmax.h"

// An infinite weight would give NaN or not by the order of a sum; so it always does.
DEVICE real finite_or_nan(real value) { return value - value == 0 ? value : QUIET_NAN; }

typedef struct {
    i32 label; // -1 for none
    i32 other_label;
    real share;
    real other_share;
    u32 ignored; // nothing of the row counts, and its logits are not read
    u32 invalid; // a label is outside the classes
} row_target;

// A label that is ignored takes its share with it.
DEVICE row_target read_target(GLOBAL const i32* labels, u64 labels_offset, GLOBAL const i32* other_labels,
                              u64 other_labels_offset, GLOBAL const real* label_shares, u64 label_shares_offset,
                              u64 row, u64 classes, u32 soft, u32 ignores, u32 ignore_index) {
    row_target target = {-1, -1, 0, 0, 0, 0};
    if (labels == 0) return target;
    const i32 label = labels[labels_offset + row];
    const u32 label_ignored = ignores && label == (i32)ignore_index;
    target.ignored = label_ignored;
    if (soft) return target;

    real share = 1;
    if (other_labels != 0) {
        const i32 other = other_labels[other_labels_offset + row];
        const u32 other_ignored = ignores && other == (i32)ignore_index;
        share = finite_or_nan(label_shares[label_shares_offset + row]);
        target.ignored = label_ignored && other_ignored;
        if (!other_ignored) {
            target.other_label = other;
            target.other_share = 1 - share;
            target.invalid = other < 0 || (u64)other >= classes;
        }
    }
    if (!label_ignored) {
        target.label = label;
        target.share = share;
        target.invalid |= label < 0 || (u64)label >= classes;
    }
    return target;
}

DEVICE real class_weight(GLOBAL const real* class_weights, u64 k) {
    return class_weights != 0 ? finite_or_nan(class_weights[k]) : (real)1;
}

// q[k], from the labels or from the probabilities.
DEVICE real target_of(const row_target* target, GLOBAL const scalar* probabilities, u64 k) {
    if (probabilities != 0) return finite_or_nan(load(probabilities, k));
    return ((i32)k == target->label ? target->share : (real)0) +
           ((i32)k == target->other_label ? target->other_share : (real)0);
}

// What a row should be, probabilities apart, and how much it counts.
#define TARGET_PARAMETERS                                                                           \
    GLOBAL const i32 *RESTRICT labels, u64 labels_offset, GLOBAL const i32 *RESTRICT other_labels,  \
        u64 other_labels_offset, GLOBAL const real *RESTRICT label_shares, u64 label_shares_offset, \
        GLOBAL const real *RESTRICT class_weights, u64 class_weights_offset, u32 ignores, u32 ignore_index

#define SUMS 9

KERNEL void cross_entropy(GLOBAL const scalar* logits, u64 logits_offset, TARGET_PARAMETERS,
                          GLOBAL const scalar* RESTRICT probabilities, u64 probabilities_offset,
                          GLOBAL const real* RESTRICT normalizer, u64 normalizer_offset,
                          GLOBAL const real* RESTRICT loss_gradient, u64 loss_gradient_offset, GLOBAL real* losses,
                          u64 losses_offset, GLOBAL scalar* gradient, u64 gradient_offset, GLOBAL u32* error,
                          u64 error_offset, u64 rows, u64 classes, u32 team, u64 loss_gradient_stride, real smoothing,
                          u32 others_only, real lse_penalty, real penalty, u32 has_threshold, real threshold,
                          real empty_mean, real gradient_scale) {
    SHARED real scratch[SUMS * GROUP_SIZE];
    const u32 lane = LOCAL_ID % team, rows_per_group = GROUP_SIZE / team, row_classes = (u32)classes;
    const u32 stretch_size = 8 * team;
    if (class_weights != 0) class_weights += class_weights_offset;
    if (normalizer != 0) {
        const real total = normalizer[normalizer_offset];
        gradient_scale *= total == 0 ? empty_mean : 1 / total;
    }

    // Every item stays to the end, also without a row: reductions are for the whole group.
    for (u64 first_row = GROUP_ID * rows_per_group; first_row < rows; first_row += GROUP_COUNT * rows_per_group) {
        const u64 row = first_row + LOCAL_ID / team;
        row_target target = {-1, -1, 0, 0, 1, 0};
        if (row < rows)
            target = read_target(labels, labels_offset, other_labels, other_labels_offset, label_shares,
                                 label_shares_offset, row, classes, probabilities != 0, ignores, ignore_index);
        if (target.invalid && lane == 0) report_error(error, error_offset, row);
        const u32 read_classes = target.ignored || target.invalid ? 0 : row_classes;
        GLOBAL const scalar* z_row = logits + logits_offset + (row < rows ? row * classes : 0);
        GLOBAL const scalar* q_row = probabilities != 0 ? probabilities + probabilities_offset + row * classes : 0;

        // What the smoothing and the target add.
        real count = 0;
        weighted_differences spreads = {0, 0, 0}, targets = {0, 0, 0};
        softmax_sums sums = {NEGATIVE_INFINITY, 0, 0};
        for (u32 stretch = 0; stretch < read_classes; stretch += stretch_size) {
            real z[8];
            load_stretch(z_row, row_classes, stretch, lane, team, z);
            const real before = sums.largest;
            softmax_raise(&sums, largest_of_8(z));
            raise_differences(&spreads, before, sums.largest);
            raise_differences(&targets, before, sums.largest);
            for (u32 i = 0; i < 8; i++) {
                const u32 k = stretch_column(stretch, lane, team, i);
                if (k >= row_classes) continue;
                const u32 seen = z[i] != NEGATIVE_INFINITY;
                if (seen) softmax_add(&sums, z[i]);
                if (smoothing != 0 && seen) {
                    const real weight = class_weight(class_weights, k);
                    count += 1;
                    spreads.weight += weight;
                    add_difference(&spreads, weight, z[i], sums.largest);
                }
                const real q = target_of(&target, q_row, k);
                const real c = q != 0 ? q * class_weight(class_weights, k) : (real)0;
                if (c != 0) {
                    targets.weight += c;
                    add_difference(&targets, c, z[i], sums.largest);
                }
            }
        }

        const real before = sums.largest;
        softmax_raise(&sums, team_max(sums.largest, team, scratch));
        raise_differences(&spreads, before, sums.largest);
        raise_differences(&targets, before, sums.largest);
        real all[SUMS] = {sums.sum,       sums.moment, targets.weight, targets.sum, targets.beyond,
                          spreads.weight, spreads.sum, spreads.beyond, count};
        team_sums(all, SUMS, team, scratch);
        sums.sum = all[0], sums.moment = all[1], count = all[8];
        targets.weight = all[2], targets.sum = all[3], targets.beyond = all[4];
        spreads.weight = all[5], spreads.sum = all[6], spreads.beyond = all[7];

        const real share = probabilities != 0 ? (real)1 : target.share + target.other_share;
        const real row_weight = probabilities != 0 ? (real)1 : targets.weight;

        // What is spread over the other classes alone is also taken from what the target keeps: as if over all of them,
        // but more.
        const real receivers = others_only ? count - 1 : count;
        const real per_class = receivers > 0 ? smoothing / receivers : (real)0;
        const real kept = 1 - (others_only ? per_class * count : smoothing), spread = share * per_class;

        const real inverse = 1 / sums.sum, log_sum = LOG(sums.sum), log_sum_exp = sums.largest + log_sum;
        if (kept == 0) targets.weight = targets.sum = targets.beyond = 0; // what is multiplied by 0 is not looked at
        real loss = kept * FMA(targets.weight, log_sum, -targets.sum), beyond = kept * targets.beyond;
        if (spread != 0) {
            loss += spread * FMA(spreads.weight, log_sum, -spreads.sum);
            beyond += spread * spreads.beyond;
        }
        loss -= beyond * DIFFERENCE_UNIT;
        if (lse_penalty != 0) loss += row_weight * lse_penalty * log_sum_exp * log_sum_exp;
        real push = 0, surprise = 0; // surprise: added to z - largest it is log p + H
        if (penalty != 0) {
            surprise = -sums.moment * inverse;
            const real entropy = log_sum + surprise;
            const u32 enough = has_threshold && entropy >= threshold;
            push = enough ? (real)0 : row_weight * penalty;
            if (!enough) loss += push * (threshold - entropy);
        }

        // A whole row of masked classes is no distribution. Rows without a gradient were not read.
        if (!(sums.sum > 0)) loss = target.ignored ? (real)0 : QUIET_NAN;
        if (row < rows && lane == 0) losses[losses_offset + row] = loss;
        if (gradient != 0 && row < rows) {
            const real scale =
                gradient_scale * (loss_gradient != 0
                                      ? finite_or_nan(loss_gradient[loss_gradient_offset + row * loss_gradient_stride])
                                      : (real)1);
            const real total = kept * targets.weight + (spread != 0 ? spread * spreads.weight : (real)0) +
                               (lse_penalty != 0 ? row_weight * 2 * lse_penalty * log_sum_exp : (real)0);
            const u32 last = (row_classes - 1) / stretch_size * stretch_size;
            for (u32 stretch = last;; stretch -= stretch_size) {
                real z[8];
                if (read_classes != 0) load_stretch(z_row, row_classes, stretch, lane, team, z);
                // Each logit gives way to its slope.
                for (u32 i = 0; i < 8; i++) {
                    const u32 k = stretch_column(stretch, lane, team, i);
                    if (read_classes == 0 || k >= row_classes) {
                        z[i] = 0;
                        continue;
                    }
                    const u32 seen = z[i] != NEGATIVE_INFINITY;
                    const real x = softmax_exponent(z[i], sums.largest), p = EXP(x) * inverse;
                    const real q = target_of(&target, q_row, k);
                    real c = kept != 0 && q != 0 ? kept * q * class_weight(class_weights, k) : (real)0;
                    if (spread != 0) c += spread * class_weight(class_weights, k);
                    const real slope = p * (push != 0 ? FMA(push, x + surprise, total) : total) - c;
                    z[i] = seen ? scale * slope : (real)0;
                }
                store_stretch(gradient + gradient_offset + row * classes, row_classes, stretch, lane, team, z);
                if (stretch == 0) break;
            }
        }
    }
}

// Part g adds the rows from g * chunk on.
KERNEL void cross_entropy_normalizer(TARGET_PARAMETERS, GLOBAL real* RESTRICT sums, u64 sums_offset, u64 rows,
                                     u64 parts, u64 chunk, u64 classes, u32 counts_rows) {
    SHARED real scratch[GROUP_SIZE];
    if (class_weights != 0) class_weights += class_weights_offset;
    for (u64 part = GROUP_ID; part < parts; part += GROUP_COUNT) {
        const u64 end = rows - part * chunk < chunk ? rows : (part + 1) * chunk;
        real sum = 0;
        for (u64 row = part * chunk + LOCAL_ID; row < end; row += GROUP_SIZE) {
            const row_target target =
                read_target(labels, labels_offset, other_labels, other_labels_offset, label_shares, label_shares_offset,
                            row, classes, counts_rows, ignores, ignore_index);
            real weight = target.ignored ? (real)0 : (real)1;
            if (!counts_rows && !target.invalid) {
                weight = 0;
                if (target.label >= 0) weight += target.share * class_weight(class_weights, (u64)target.label);
                if (target.other_label >= 0)
                    weight += target.other_share * class_weight(class_weights, (u64)target.other_label);
            }
            // A row whose weight is unknown, because its label is no class or its share or weight is not finite, counts
            // once, so that it spoils no other row.
            sum += weight - weight == 0 ? weight : (real)1;
        }
        sum = group_sum(sum, scratch);
        if (LOCAL_ID == 0) sums[sums_offset + part] = sum;
    }
}

KERNEL void cross_entropy_sum(GLOBAL const real* RESTRICT values, u64 values_offset, GLOBAL const real* normalizer,
                              u64 normalizer_offset, GLOBAL real* RESTRICT sums, u64 sums_offset, u64 count, u64 parts,
                              u64 chunk, real factor, real empty_mean) {
    SHARED real scratch[GROUP_SIZE];
    if (normalizer != 0) {
        const real total = normalizer[normalizer_offset];
        factor = total == 0 ? empty_mean : 1 / total;
    }
    for (u64 part = GROUP_ID; part < parts; part += GROUP_COUNT) {
        const u64 end = count - part * chunk < chunk ? count : (part + 1) * chunk;
        real sum = 0;
        for (u64 i = part * chunk + LOCAL_ID; i < end; i += GROUP_SIZE) sum += values[values_offset + i];
        sum = group_sum(sum, scratch);
        if (LOCAL_ID == 0) sums[sums_offset + part] = sum * factor;
    }
}
