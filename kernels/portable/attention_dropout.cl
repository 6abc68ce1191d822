// Attention dropout: y = m * softmax(z) / q over the keys, z = scale * s + mask, m drawn per element with P(m = 1) = q
// (Vaswani et al., "Attention is all you need", NeurIPS 2017). A key with z = -inf is masked: it gets +0, a row of
// masked keys is all +0, and keys past the visible ones are never read.
//
//   attention_dropout_forward   y
//   attention_dropout_backward  ds = scale * p * (dp - sum of dp * p), p = softmax(z) and dp = m * dy / q, from the
//   scores alone
//
// A team of work items takes a row, an item eight keys at a time; a group has as many teams as fit. A row of at most
// 8 * GROUP_SIZE keys is read once and stays in registers; a longer one is read a second time. Results may overwrite
// what they are calculated from: each item writes only what it alone reads, after the last look at the sums.

#include "types.h"
#include "philox.h"
#include "keep.h"
#include "reduce.h"
#include "softmax.h"
#include "errors.h"

// Rows start on 16 bytes and on a Philox block. Double, there for verification alone, is not worth the registers.
#define WIDE (VEC == 8 && !DTYPE_F64)

// A row's place: how many keys take part, from the first on, and where its additive mask starts.
typedef struct {
    u32 visible;
    u64 mask_first;
} row_place;

// The causal limit is aligned at the bottom right: the last query sees all keys.
DEVICE row_place place_row(u64 row, u64 heads, u64 queries, u64 keys, u32 causal, GLOBAL const i32* key_lengths,
                           u64 key_lengths_offset, GLOBAL u32* error, u64 error_offset, u64 mask_batch_stride,
                           u64 mask_head_stride, u64 mask_query_stride) {
    row_place place = {(u32)keys, 0};
    // Divisions cost a short row more than all else.
    if (key_lengths == 0 && causal == 0 && mask_batch_stride + mask_head_stride + mask_query_stride == 0) return place;
    const u64 all_heads = row / queries, query = row - all_heads * queries;
    const u64 batch = all_heads / heads, head = all_heads - batch * heads;
    place.mask_first = batch * mask_batch_stride + head * mask_head_stride + query * mask_query_stride;
    if (key_lengths != 0) {
        const i32 length = key_lengths[key_lengths_offset + batch];
        if (length < 0 || (u64)length > keys) report_error(error, error_offset, batch);
        if (length < 0)
            place.visible = 0;
        else if ((u64)length < keys)
            place.visible = (u32)length;
    }
    if (causal != 0) {
        const u64 limit = keys + query + 1 > queries ? keys + query + 1 - queries : 0;
        if (limit < place.visible) place.visible = (u32)limit;
    }
    return place;
}

// z of the next eight keys, -inf where masked or past `count`.
DEVICE void load_logits(GLOBAL const scalar* scores, u64 first, GLOBAL const scalar* mask, u64 mask_first, u32 count,
                        real scale, real* z) {
    for (u32 lane = 0; lane < 8; lane++) z[lane] = NEGATIVE_INFINITY;
#if WIDE
    if (count >= 8) {
        load8(scores, first, z);
        for (u32 lane = 0; lane < 8; lane++) z[lane] *= scale;
        if (mask != 0) {
            real added[8];
            load8(mask, mask_first, added);
            for (u32 lane = 0; lane < 8; lane++)
                z[lane] = added[lane] == NEGATIVE_INFINITY ? NEGATIVE_INFINITY : z[lane] + added[lane];
        }
        return;
    }
#endif
    for (u32 lane = 0; lane < 8; lane++) {
        if (lane >= count) continue;
        const real added = mask != 0 ? load(mask, mask_first + lane) : (real)0;
        if (added != NEGATIVE_INFINITY) z[lane] = load(scores, first + lane) * scale + added;
    }
}

// What stands for the exponential of a key that takes no part.
#define ABSENT ((real)-1)

// exp(z - reference).
DEVICE real exponential(real z, real reference) { return z == NEGATIVE_INFINITY ? ABSENT : softmax_exp(z - reference); }

// A largest logit of -inf counts as 0, which leaves exponentials of 0.
DEVICE real reference_of(real largest) { return largest == NEGATIVE_INFINITY ? (real)0 : largest; }

// NaN is passed over, it reaches the result through the sums.
DEVICE real largest_of_8(const real* z, real largest) {
    for (u32 lane = 0; lane < 8; lane++) largest = MAX(largest, z[lane]);
    return largest;
}

// dp of the next eight keys, 0 where dropped or masked.
DEVICE void load_gradients(GLOBAL const scalar* dy, u64 first, u32 count, real keep_scale, u32 kept, const real* z,
                           real* dp) {
#if WIDE
    if (count >= 8) {
        load8(dy, first, dp);
        for (u32 lane = 0; lane < 8; lane++)
            dp[lane] = (kept >> lane & 1u) && z[lane] != NEGATIVE_INFINITY ? dp[lane] * keep_scale : (real)0;
        return;
    }
#endif
    for (u32 lane = 0; lane < 8; lane++)
        dp[lane] = (kept >> lane & 1u) && z[lane] != NEGATIVE_INFINITY ? load(dy, first + lane) * keep_scale : (real)0;
}

DEVICE void store_up_to_8(GLOBAL scalar* target, u64 first, u32 count, const real* values) {
#if WIDE
    if (count >= 8) {
        store8(target, first, values);
        return;
    }
#endif
    for (u32 lane = 0; lane < 8; lane++)
        if (lane < count) store(target, first + lane, values[lane]);
}

// What both directions know of the rows.
#define ATTENTION_PARAMETERS                                                                                     \
    GLOBAL const i32 *key_lengths, u64 key_lengths_offset, GLOBAL const scalar *mask, u64 mask_offset,           \
        GLOBAL u32 *error, u64 error_offset, u64 rows, u64 heads, u64 queries, u64 keys, u64 mask_batch_stride,  \
        u64 mask_head_stride, u64 mask_query_stride, u32 causal, u32 team, real scale, u64 start, u32 threshold, \
        real keep_scale, KEY_PARAMETERS

// `start` is the index of the first score in the whole tensor of which this may be a shard.
KERNEL void attention_dropout_forward(GLOBAL const scalar* scores, u64 scores_offset, GLOBAL scalar* y, u64 y_offset,
                                      ATTENTION_PARAMETERS) {
    SHARED real scratch[GROUP_SIZE];
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    const u32 row_keys = (u32)keys, blocks = (row_keys + 7) / 8;
    const u32 item = LOCAL_ID % team, rows_per_group = GROUP_SIZE / team;
    scores += scores_offset;
    y += y_offset;
    if (mask != 0) mask += mask_offset;
    // Every item stays to the end, also without a row: reductions are for the whole group.
    for (u64 first_row = GROUP_ID * rows_per_group; first_row < rows; first_row += GROUP_COUNT * rows_per_group) {
        const u64 row = first_row + LOCAL_ID / team, first = row * keys;
        row_place place = {0, 0};
        if (row < rows)
            place = place_row(row, heads, queries, keys, causal, key_lengths, key_lengths_offset, error, error_offset,
                              mask_batch_stride, mask_head_stride, mask_query_stride);
        const u32 visible = place.visible, own_blocks = row < rows ? blocks : 0;

        // The item's own maximum and the sum of e = exp(z - maximum), brought up to date with every eight keys.
        real e[8];
        real largest = NEGATIVE_INFINITY, sum = 0;
        for (u32 block = item; 8 * block < visible; block += team) {
            load_logits(scores, first + 8 * block, mask, place.mask_first + 8 * block, visible - 8 * block, scale, e);
            const real before = largest;
            largest = largest_of_8(e, before);
            const real reference = reference_of(largest);
            sum *= softmax_exp(before - reference);
            for (u32 lane = 0; lane < 8; lane++) {
                const real own = softmax_exp(e[lane] - reference);
                sum += own;
                e[lane] = e[lane] == NEGATIVE_INFINITY ? ABSENT : own;
            }
        }

        const real weight = softmax_exp(largest - reference_of(team_max(largest, team, scratch)));
        real total = sum * weight;
        team_sums(&total, 1, team, scratch);
        const real factor = total == 0 ? (real)0 : weight * keep_scale / total;

        for (u32 block = item; block < own_blocks; block += team) {
            u32 kept = 0;
            if (8 * block < visible) {
                if (blocks > team) {
                    load_logits(scores, first + 8 * block, mask, place.mask_first + 8 * block, visible - 8 * block,
                                scale, e);
                    for (u32 lane = 0; lane < 8; lane++) e[lane] = exponential(e[lane], reference_of(largest));
                }
                kept = keep8(resolved, start + first + 8 * block, threshold);
            }
            for (u32 lane = 0; lane < 8; lane++)
                e[lane] = (kept >> lane & 1u) && e[lane] != ABSENT ? e[lane] * factor : (real)0;
            store_up_to_8(y, first + 8 * block, row_keys - 8 * block, e);
        }
    }
}

KERNEL void attention_dropout_backward(GLOBAL const scalar* scores, u64 scores_offset, GLOBAL const scalar* dy,
                                       u64 dy_offset, GLOBAL scalar* dscores, u64 dscores_offset,
                                       ATTENTION_PARAMETERS) {
    SHARED real scratch[2 * GROUP_SIZE];
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    const u32 row_keys = (u32)keys, blocks = (row_keys + 7) / 8;
    const u32 item = LOCAL_ID % team, rows_per_group = GROUP_SIZE / team;
    scores += scores_offset;
    dy += dy_offset;
    dscores += dscores_offset;
    if (mask != 0) mask += mask_offset;
    // Every item stays to the end, also without a row: reductions are for the whole group.
    for (u64 first_row = GROUP_ID * rows_per_group; first_row < rows; first_row += GROUP_COUNT * rows_per_group) {
        const u64 row = first_row + LOCAL_ID / team, first = row * keys;
        row_place place = {0, 0};
        if (row < rows)
            place = place_row(row, heads, queries, keys, causal, key_lengths, key_lengths_offset, error, error_offset,
                              mask_batch_stride, mask_head_stride, mask_query_stride);
        const u32 visible = place.visible, own_blocks = row < rows ? blocks : 0;

        // Sums of e and of e * dp, relative to the item's own maximum as in forward.
        real e[8], dp[8];
        real largest = NEGATIVE_INFINITY, sum = 0, product = 0;
        for (u32 block = item; 8 * block < visible; block += team) {
            const u32 left = visible - 8 * block;
            load_logits(scores, first + 8 * block, mask, place.mask_first + 8 * block, left, scale, e);
            const u32 kept = keep8(resolved, start + first + 8 * block, threshold);
            load_gradients(dy, first + 8 * block, left, keep_scale, kept, e, dp);
            const real before = largest;
            largest = largest_of_8(e, before);
            const real reference = reference_of(largest), shrink = softmax_exp(before - reference);
            sum *= shrink;
            product *= shrink;
            for (u32 lane = 0; lane < 8; lane++) {
                const real own = softmax_exp(e[lane] - reference);
                sum += own;
                product += own * dp[lane];
                e[lane] = e[lane] == NEGATIVE_INFINITY ? ABSENT : own;
            }
        }

        const real weight = softmax_exp(largest - reference_of(team_max(largest, team, scratch)));
        real totals[2] = {sum * weight, product * weight};
        team_sums(totals, 2, team, scratch);
        const real factor = totals[0] == 0 ? (real)0 : scale * weight / totals[0];
        const real mean = totals[0] == 0 ? (real)0 : totals[1] / totals[0];

        for (u32 block = item; block < own_blocks; block += team) {
            if (8 * block < visible && blocks > team) {
                const u32 left = visible - 8 * block;
                const u32 kept = keep8(resolved, start + first + 8 * block, threshold);
                load_logits(scores, first + 8 * block, mask, place.mask_first + 8 * block, left, scale, e);
                load_gradients(dy, first + 8 * block, left, keep_scale, kept, e, dp);
                for (u32 lane = 0; lane < 8; lane++) e[lane] = exponential(e[lane], reference_of(largest));
            }
            const u32 is_visible = 8 * block < visible;
            for (u32 lane = 0; lane < 8; lane++)
                e[lane] = is_visible && e[lane] != ABSENT ? FMA(factor * e[lane], dp[lane] - mean, (real)0) : (real)0;
            store_up_to_8(dscores, first + 8 * block, row_keys - 8 * block, e);
        }
    }
}
