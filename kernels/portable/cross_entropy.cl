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
// A team of work items takes a row, or a piece of one where rows are few and long (softmax.h), a chunk of it at a time.
// The gradient goes through it backwards: the last chunk is still there, and what is read again comes from the nearest
// cache. A label concerns one item, which adds it alone. HAS_TERMS: classes have probabilities, or weights while they
// are smoothed over.

#define OWNS_BLOCKS 0
#if !HAS_TERMS // the other kernels of this file have no switch
#define HAS_TERMS 0
#endif

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

DEVICE label_place place_label(i32 label, real share, GLOBAL const real* class_weights, row_piece part, u32 lane,
                               u32 team) {
    label_place place = {NO_COLUMN, share, 0};
    if (label < (i32)part.start || label >= (i32)part.stop || share == 0) return place;
    if (lane_of((u32)label & (8 * team - 1), team) != lane) return place;
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

// What a row's target says of the classes of a stretch: their weights and probabilities, 0 past the end.
typedef struct {
    real weight[8], q[8];
} class_terms;

DEVICE class_terms load_terms(GLOBAL const real* class_weights, GLOBAL const scalar* q_row, u32 stop, u32 stretch,
                              u32 lane, u32 team) {
    class_terms terms;
    for (u32 i = 0; i < 8; i++) terms.q[i] = 0;
    if (q_row != 0) load_stretch(q_row, stop, stretch, lane, team, terms.q);
    for (u32 i = 0; i < 8; i++) {
        const u32 k = stretch_column(stretch, lane, team, i);
        terms.weight[i] = k < stop ? class_weight(class_weights, k) : (real)0;
        terms.q[i] = k < stop ? finite_or_nan(terms.q[i]) : (real)0;
    }
    return terms;
}

// What the smoothing and the target add.
typedef struct {
    real count; // classes that are smoothed over
    weighted_differences spreads, targets;
} target_sums;

// Adds a chunk's classes to the smoothing where all count the same, unless logits are far apart; 0 then.
DEVICE u32 add_spread(target_sums* sums, const real* z, real largest) {
    real count = 0, sum = 0, farthest = 0;
    UNROLL
    for (u32 s = 0; s < STRETCHES; s++) {
        real stretch_sum = 0;
        for (u32 i = 0; i < 8; i++) {
            const u32 seen = z[8 * s + i] != NEGATIVE_INFINITY;
            const real difference = seen ? largest - z[8 * s + i] : (real)0;
            if (seen) count += 1;
            stretch_sum += difference;
            farthest = MAX(farthest, difference);
        }
        sum += stretch_sum;
    }
    if (farthest > -FARTHEST_DIFFERENCE) return 0;
    sums->count += count;
    sums->spreads.weight += count;
    sums->spreads.sum -= sum;
    return 1;
}

// The same of a stretch, whose classes have weights or probabilities.
DEVICE void add_terms(target_sums* sums, const class_terms* terms, const real* z, real largest, u32 smooths) {
    for (u32 i = 0; i < 8; i++) {
        const u32 seen = z[i] != NEGATIVE_INFINITY;
        const real x = seen ? z[i] - largest : NEGATIVE_INFINITY;
        if (smooths && seen) {
            sums->count += 1;
            sums->spreads.weight += terms->weight[i];
            sums->spreads.sum = FMA(terms->weight[i], x, sums->spreads.sum);
        }
        const real c = terms->q[i] != 0 ? terms->q[i] * terms->weight[i] : (real)0;
        sums->targets.weight += c;
        sums->targets.sum = c != 0 ? FMA(c, x, sums->targets.sum) : sums->targets.sum;
    }
}

// The same for logits that are far apart.
DEVICE void add_far_terms(target_sums* sums, const class_terms* terms, const real* z, real largest, u32 smooths) {
    for (u32 i = 0; i < 8; i++) {
        if (smooths && z[i] != NEGATIVE_INFINITY) {
            sums->count += 1;
            sums->spreads.weight += terms->weight[i];
            add_difference(&sums->spreads, terms->weight[i], z[i], largest);
        }
        const real c = terms->q[i] != 0 ? terms->q[i] * terms->weight[i] : (real)0;
        if (c == 0) continue;
        sums->targets.weight += c;
        add_difference(&sums->targets, c, z[i], largest);
    }
}

// What makes a gradient of a logit: scale * (p * total - c), where total has its part of the penalty.
typedef struct {
    real largest, inverse; // p = exp(z - largest) * inverse
    real push, surprise;   // surprise: added to z - largest it is log p + H
    real total, scale;
} row_slopes;

// The gradient with c[k] where nothing is pushed; +0 for a masked class.
DEVICE real plain_slope(const row_slopes* row, real z, real c) {
    const real p = softmax_exp(z - row->largest) * row->inverse;
    return z != NEGATIVE_INFINITY ? row->scale * FMA(p, row->total, -c) : (real)0;
}

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

DEVICE void take_sums(const real* all, softmax_sums* sums, target_sums* terms) {
    sums->sum = all[0], sums->moment = all[1];
    terms->targets.weight = all[2], terms->targets.sum = all[3], terms->targets.beyond = all[4];
    terms->spreads.weight = all[5], terms->spreads.sum = all[6], terms->spreads.beyond = all[7];
    terms->count = all[8];
}

KERNEL void cross_entropy(GLOBAL const scalar* logits, u64 logits_offset, TARGET_PARAMETERS,
                          GLOBAL const scalar* RESTRICT probabilities, u64 probabilities_offset,
                          GLOBAL const real* RESTRICT normalizer, u64 normalizer_offset,
                          GLOBAL const real* RESTRICT loss_gradient, u64 loss_gradient_offset, GLOBAL real* losses,
                          u64 losses_offset, GLOBAL scalar* gradient, u64 gradient_offset, GLOBAL u32* error,
                          u64 error_offset, u64 rows, u64 classes, u64 loss_gradient_stride, real smoothing,
                          u32 others_only, real lse_penalty, real penalty, u32 has_threshold, real threshold,
                          real empty_mean, real gradient_scale, SPLIT_PARAMETERS) {
    SHARED real scratch[SUMS * GROUP_SIZE];
    const u32 team = 1u << team_log2, lane = LOCAL_ID & (team - 1), rows_per_group = GROUP_SIZE >> team_log2;
    const u32 stretch_size = 8 * team, chunk_size = CHUNK_ITEMS * team;
    const u32 merges = piece_count > 1 && !sums_only;
    const u64 count = rows * piece_count;
    if (pieces != 0) pieces += pieces_offset;
    if (class_weights != 0) class_weights += class_weights_offset;
    if (normalizer != 0) {
        const real total = normalizer[normalizer_offset];
        gradient_scale *= total == 0 ? empty_mean : 1 / total;
    }

    // Every item stays to the end, also without a row: reductions are for the whole group.
    for (u64 next = GROUP_ID * rows_per_group; next < count; next += GROUP_COUNT * rows_per_group) {
        const row_piece part = take_piece(next + (LOCAL_ID >> team_log2), rows, (u32)classes, piece_count, piece_size);
        const u64 row = part.row;
        row_target target = {-1, -1, 0, 0, 1, 0};
        if (part.exists)
            target = read_target(labels, labels_offset, other_labels, other_labels_offset, label_shares,
                                 label_shares_offset, row, classes, probabilities != 0, ignores, ignore_index);
        if (target.invalid && lane == 0) report_error(error, error_offset, row);
        const u32 reads = !target.ignored && !target.invalid;
        const real share = probabilities != 0 ? (real)1 : target.share + target.other_share;
        GLOBAL const scalar* z_row = logits + logits_offset + row * classes;
        GLOBAL const scalar* q_row =
            HAS_TERMS && probabilities != 0 ? probabilities + probabilities_offset + row * classes : 0;

        // In the order of their classes, and one where they are the same. A row that is not read has none.
        if (!reads) target.label = target.other_label = -1;
        if (target.label == target.other_label) {
            target.share = share;
            target.other_label = -1;
        }
        const u32 swaps = target.other_label >= 0 && target.other_label < target.label;
        const label_place first =
            place_label(swaps ? target.other_label : target.label, swaps ? target.other_share : target.share,
                        class_weights, part, lane, team);
        label_place second = {NO_COLUMN, 0, 0};
        if (other_labels != 0)
            second = place_label(swaps ? target.label : target.other_label, swaps ? target.share : target.other_share,
                                 class_weights, part, lane, team);

        target_sums terms = {0, {0, 0, 0}, {0, 0, 0}};
        softmax_sums sums = {NEGATIVE_INFINITY, 0, 0};
        if (merges && lane < piece_count) {
            GLOBAL const real* of_piece = pieces + (SUMS + 1) * (row * piece_count + lane);
            real all[SUMS];
            for (u32 i = 0; i < SUMS; i++) all[i] = of_piece[i];
            take_sums(all, &sums, &terms);
            sums.largest = of_piece[SUMS];
        }
        real z[CHUNK_ITEMS];
        for (u32 chunk = part.start; reads && !merges && chunk < part.stop; chunk += chunk_size) {
            load_chunk(z_row, part.stop, chunk, lane, team, z);
            const real before = sums.largest, largest = largest_of_chunk(z, before);
            if (largest > before) {
                softmax_raise(&sums, largest);
                raise_differences(&terms.spreads, before, largest);
                raise_differences(&terms.targets, before, largest);
            }
            if (penalty != 0)
                softmax_add(&sums, z);
            else
                softmax_add_sum(&sums, z);
            add_label(&terms.targets, first, z_row, chunk, chunk_size, largest);
            add_label(&terms.targets, second, z_row, chunk, chunk_size, largest);
#if !HAS_TERMS
            if (smoothing == 0) continue;
#endif
            const u32 near = HAS_TERMS ? is_near(z, largest) : add_spread(&terms, z, largest);
            for (u32 stretch = chunk; !near && stretch < chunk + chunk_size && stretch < part.stop;
                 stretch += stretch_size) {
                real logit[8];
                load_stretch(z_row, part.stop, stretch, lane, team, logit);
                const class_terms own = load_terms(class_weights, q_row, part.stop, stretch, lane, team);
                add_far_terms(&terms, &own, logit, largest, smoothing != 0);
            }
            UNROLL
            for (u32 s = 0; HAS_TERMS && near && s < STRETCHES; s++) {
                const class_terms own =
                    load_terms(class_weights, q_row, part.stop, chunk + s * stretch_size, lane, team);
                add_terms(&terms, &own, z + 8 * s, largest, smoothing != 0);
            }
        }

        const real before = sums.largest, largest = team_max(before, team, scratch);
        if (largest > before) {
            softmax_raise(&sums, largest);
            raise_differences(&terms.spreads, before, largest);
            raise_differences(&terms.targets, before, largest);
        }
        real all[SUMS] = {sums.sum,          sums.moment,          terms.targets.weight,
                          terms.targets.sum, terms.targets.beyond, terms.spreads.weight,
                          terms.spreads.sum, terms.spreads.beyond, terms.count};
        team_sums_first(all, SUMS, smoothing != 0 ? SUMS : 5, team, scratch);
        if (sums_only && lane == 0) {
            GLOBAL real* of_piece = pieces + (SUMS + 1) * (row * piece_count + part.piece);
            for (u32 i = 0; i < SUMS; i++) of_piece[i] = all[i];
            of_piece[SUMS] = sums.largest;
        }
        take_sums(all, &sums, &terms);
        const real count_seen = terms.count;
        weighted_differences spreads = terms.spreads, targets = terms.targets;

        const real row_weight = probabilities != 0 ? (real)1 : targets.weight;

        // What is spread over the other classes alone is also taken from what the target keeps: as if over all of them,
        // but more.
        const real receivers = others_only ? count_seen - 1 : count_seen;
        const real per_class = receivers > 0 ? smoothing / receivers : (real)0;
        const real kept = 1 - (others_only ? per_class * count_seen : smoothing), spread = share * per_class;

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
        const u32 writes = part.exists && !sums_only;
        if (writes && part.piece == 0 && lane == 0) losses[losses_offset + row] = loss;
        if (gradient != 0 && writes) {
            row_slopes slopes = {sums.largest, inverse, push, surprise, 0, gradient_scale};
            if (loss_gradient != 0)
                slopes.scale *= finite_or_nan(loss_gradient[loss_gradient_offset + row * loss_gradient_stride]);
            slopes.total = kept * targets.weight + (spread != 0 ? spread * spreads.weight : (real)0) +
                           (lse_penalty != 0 ? row_weight * 2 * lse_penalty * log_sum_exp : (real)0);
            GLOBAL scalar* gradient_row = gradient + gradient_offset + row * classes;
            // Slopes of labels, before gradients take the place of logits.
            const real first_slope = label_slope(&slopes, first, z_row, kept, spread);
            const real second_slope = label_slope(&slopes, second, z_row, kept, spread);
            const u32 last = last_chunk(part, chunk_size);
            for (u32 chunk = last;; chunk -= chunk_size) {
                if (!reads)
                    mask_chunk(z);
                else if (chunk != last || merges)
                    load_chunk(z_row, part.stop, chunk, lane, team, z);
                // Each logit gives way to its slope.
                UNROLL
                for (u32 s = 0; s < STRETCHES; s++) {
                    real c[8];
                    for (u32 i = 0; i < 8; i++) c[i] = spread;
                    if (HAS_TERMS) {
                        const class_terms own =
                            load_terms(class_weights, q_row, part.stop, chunk + s * stretch_size, lane, team);
                        for (u32 i = 0; i < 8; i++) {
                            c[i] = kept != 0 && own.q[i] != 0 ? kept * own.q[i] * own.weight[i] : (real)0;
                            if (spread != 0) c[i] += spread * own.weight[i];
                        }
                    }
                    for (u32 i = 0; i < 8; i++)
                        z[8 * s + i] = penalty != 0 ? slope_at(&slopes, z[8 * s + i], c[i])
                                                    : plain_slope(&slopes, z[8 * s + i], c[i]);
                }
                store_chunk(gradient_row, part.stop, chunk, lane, team, z);
                if (chunk == part.start) break;
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
