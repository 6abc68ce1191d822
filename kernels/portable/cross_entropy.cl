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
// A team of work items takes a row, a chunk of it at a time. The gradient goes through the row backwards: the last
// chunk is still there, and what is read again comes from the nearest cache. Terms that not every call has are added by
// loops of their own, so that the others do not pay for them; a label concerns one item, which adds it alone.

#define OWNS_BLOCKS 0

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

// What a row should be, probabilities apart, and how much it counts.
#define TARGET_PARAMETERS                                                                           \
    GLOBAL const i32 *RESTRICT labels, u64 labels_offset, GLOBAL const i32 *RESTRICT other_labels,  \
        u64 other_labels_offset, GLOBAL const real *RESTRICT label_shares, u64 label_shares_offset, \
        GLOBAL const real *RESTRICT class_weights, u64 class_weights_offset, u32 ignores, u32 ignore_index

// A label of a row, for the item whose class it is.
typedef struct {
    u32 column; // NO_COLUMN where it is another's, or counts for nothing
    real share, weight;
} label_place;

#define NO_COLUMN 0xffffffffu

DEVICE label_place place_label(i32 label, real share, GLOBAL const real* class_weights, u32 lane, u32 team) {
    label_place place = {NO_COLUMN, share, 0};
    if (label < 0 || share == 0 || lane_of((u32)label % (8 * team), team) != lane) return place;
    place.weight = class_weight(class_weights, (u64)label);
    if (share * place.weight != 0) place.column = (u32)label;
    return place;
}

// Adds a label's part where its logit is among those of a chunk.
DEVICE void add_label(weighted_differences* targets, label_place label, GLOBAL const scalar* z_row, u32 chunk,
                      u32 chunk_size, real largest) {
    if (label.column - chunk >= chunk_size || label.column == NO_COLUMN) return;
    const real c = label.share * label.weight;
    targets->weight += c;
    add_difference(targets, c, load(z_row, label.column), largest);
}

// What makes a gradient of a logit: scale * (p * total - c), where total has its part of the penalty.
typedef struct {
    real largest, inverse; // p = exp(z - largest) * inverse
    real push, surprise;   // surprise: added to z - largest it is log p + H
    real total, scale;
} row_slopes;

// The gradient with c[k]; +0 for a masked class.
DEVICE real slope_at(const row_slopes* row, real z, real c) {
    const real x = softmax_exponent(z, row->largest), p = softmax_exp(x) * row->inverse;
    const real slope = p * FMA(row->push, x + row->surprise, row->total) - c;
    return z != NEGATIVE_INFINITY ? row->scale * slope : (real)0;
}

DEVICE real label_slope(const row_slopes* row, label_place label, GLOBAL const scalar* z_row, real kept, real spread) {
    if (label.column == NO_COLUMN) return 0;
    real c = kept != 0 ? kept * label.share * label.weight : (real)0;
    if (spread != 0) c += spread * label.weight;
    return slope_at(row, load(z_row, label.column), c);
}

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
    const u32 stretch_size = 8 * team, chunk_size = CHUNK_ITEMS * team;
    const u32 last_chunk = (row_classes - 1) / chunk_size * chunk_size;
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
        const real share = probabilities != 0 ? (real)1 : target.share + target.other_share;
        GLOBAL const scalar* z_row = logits + logits_offset + (row < rows ? row * classes : 0);
        GLOBAL const scalar* q_row = probabilities != 0 ? probabilities + probabilities_offset + row * classes : 0;

        // In the order of their classes, and one where they are the same. A row that is not read has none.
        if (read_classes == 0) target.label = target.other_label = -1;
        if (target.label == target.other_label) {
            target.share = share;
            target.other_label = -1;
        }
        const u32 swaps = target.other_label >= 0 && target.other_label < target.label;
        const label_place first = place_label(swaps ? target.other_label : target.label,
                                              swaps ? target.other_share : target.share, class_weights, lane, team);
        const label_place second = place_label(swaps ? target.label : target.other_label,
                                               swaps ? target.share : target.other_share, class_weights, lane, team);

        // What the smoothing and the target add.
        real count = 0;
        weighted_differences spreads = {0, 0, 0}, targets = {0, 0, 0};
        softmax_sums sums = {NEGATIVE_INFINITY, 0, 0};
        real z[CHUNK_ITEMS];
        for (u32 chunk = 0; chunk < read_classes; chunk += chunk_size) {
            load_chunk(z_row, row_classes, chunk, lane, team, z);
            const real before = sums.largest, largest = largest_of_chunk(z, row_classes, chunk, team, before);
            if (largest > before) {
                softmax_raise(&sums, largest);
                raise_differences(&spreads, before, largest);
                raise_differences(&targets, before, largest);
            }
            softmax_add(&sums, z, row_classes, chunk, team);
            add_label(&targets, first, z_row, chunk, chunk_size, largest);
            add_label(&targets, second, z_row, chunk, chunk_size, largest);
            if (smoothing == 0 && q_row == 0) continue;
            for (u32 stretch = chunk; stretch < chunk + chunk_size && stretch < row_classes; stretch += stretch_size) {
                real logit[8];
                load_stretch(z_row, row_classes, stretch, lane, team, logit);
                for (u32 i = 0; i < 8; i++) {
                    const u32 k = stretch_column(stretch, lane, team, i);
                    if (k >= row_classes) continue;
                    const real weight = class_weight(class_weights, k);
                    if (smoothing != 0 && logit[i] != NEGATIVE_INFINITY) {
                        count += 1;
                        spreads.weight += weight;
                        add_difference(&spreads, weight, logit[i], largest);
                    }
                    const real q = q_row != 0 ? finite_or_nan(load(q_row, k)) : (real)0;
                    const real c = q != 0 ? q * weight : (real)0;
                    if (c == 0) continue;
                    targets.weight += c;
                    add_difference(&targets, c, logit[i], largest);
                }
            }
        }

        const real before = sums.largest, largest = team_max(before, team, scratch);
        if (largest > before) {
            softmax_raise(&sums, largest);
            raise_differences(&spreads, before, largest);
            raise_differences(&targets, before, largest);
        }
        real all[SUMS] = {sums.sum,       sums.moment, targets.weight, targets.sum, targets.beyond,
                          spreads.weight, spreads.sum, spreads.beyond, count};
        team_sums_first(all, SUMS, smoothing != 0 ? SUMS : 5, team, scratch);
        sums.sum = all[0], sums.moment = all[1], count = all[8];
        targets.weight = all[2], targets.sum = all[3], targets.beyond = all[4];
        spreads.weight = all[5], spreads.sum = all[6], spreads.beyond = all[7];

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
        real push = 0, surprise = 0;
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
            row_slopes slopes = {sums.largest, inverse, push, surprise, 0, gradient_scale};
            if (loss_gradient != 0)
                slopes.scale *= finite_or_nan(loss_gradient[loss_gradient_offset + row * loss_gradient_stride]);
            slopes.total = kept * targets.weight + (spread != 0 ? spread * spreads.weight : (real)0) +
                           (lse_penalty != 0 ? row_weight * 2 * lse_penalty * log_sum_exp : (real)0);
            GLOBAL scalar* gradient_row = gradient + gradient_offset + row * classes;
            // Slopes of labels, before gradients take the place of logits.
            const real first_slope = label_slope(&slopes, first, z_row, kept, spread);
            const real second_slope = label_slope(&slopes, second, z_row, kept, spread);
            // Each logit gives way to its slope.
            if (q_row == 0 && (class_weights == 0 || spread == 0)) {
                for (u32 chunk = last_chunk;; chunk -= chunk_size) {
                    if (read_classes == 0)
                        mask_chunk(z);
                    else if (chunk != last_chunk)
                        load_chunk(z_row, row_classes, chunk, lane, team, z);
                    UNROLL
                    for (u32 s = 0; s < STRETCHES; s++) {
                        if (chunk + s * stretch_size >= row_classes) break;
                        for (u32 i = 0; i < 8; i++) z[8 * s + i] = slope_at(&slopes, z[8 * s + i], spread);
                    }
                    store_chunk(gradient_row, row_classes, chunk, lane, team, z);
                    if (chunk == 0) break;
                }
            } else {
                for (u32 stretch = (row_classes - 1) / stretch_size * stretch_size;; stretch -= stretch_size) {
                    real slope[8];
                    for (u32 i = 0; i < 8; i++) slope[i] = NEGATIVE_INFINITY;
                    if (read_classes != 0) load_stretch(z_row, row_classes, stretch, lane, team, slope);
                    for (u32 i = 0; i < 8; i++) {
                        const u32 k = stretch_column(stretch, lane, team, i);
                        if (k >= row_classes) continue;
                        const real weight = class_weight(class_weights, k);
                        const real q = q_row != 0 ? finite_or_nan(load(q_row, k)) : (real)0;
                        real c = kept != 0 && q != 0 ? kept * q * weight : (real)0;
                        if (spread != 0) c += spread * weight;
                        slope[i] = slope_at(&slopes, slope[i], c);
                    }
                    store_stretch(gradient_row, row_classes, stretch, lane, team, slope);
                    if (stretch == 0) break;
                }
            }
            if (first.column != NO_COLUMN) store(gradient_row, first.column, first_slope);
            if (second.column != NO_COLUMN) store(gradient_row, second.column, second_slope);
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
