// Attention dropout: y = m * softmax(z) / q over the keys, z = scale * s + mask, m drawn per element with P(m = 1) = q
// (Vaswani et al., "Attention is all you need", NeurIPS 2017). A key with z = -inf is masked: it gets +0, a row of
// masked keys is all +0, and keys past the visible ones are never read.
//
//   attention_dropout_forward   y
//   attention_dropout_backward  ds = scale * p * (dp - sum of dp * p), p = softmax(z) and dp = m * dy / q, from the
//   scores alone
//
// A team of work items takes a row, or a piece of one where rows are few and long (softmax.h), a chunk of it at a time.
// Results are written backwards: the last chunk is still there, and others are read again. They may overwrite what they
// are calculated from: each item writes only what it alone reads, after the last look at the sums.

#define OWNS_BLOCKS 1

#include "types.h"
#include "philox.h"
#include "keep.h"
#include "reduce.h"
#include "softmax.h"
#include "errors.h"

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

// The end of what is read of a row for its visible keys, no less than `chunk`; wide accesses move eight.
DEVICE u32 read_end(u32 visible, u32 chunk) {
    const u32 end = VEC == 8 ? (visible + 7) / 8 * 8 : visible;
    return end > chunk ? end : chunk;
}

// z of this item's keys of a chunk, -inf where masked and from `visible` on.
DEVICE void load_logits(GLOBAL const scalar* scores, GLOBAL const scalar* mask, u32 visible, u32 chunk, u32 item,
                        u32 team, real scale, real* z) {
    const u32 end = read_end(visible, chunk);
    load_chunk(scores, end, chunk, item, team, z);
    UNROLL
    for (u32 i = 0; i < CHUNK_ITEMS; i++) z[i] *= scale;
    if (mask != 0) {
        UNROLL
        for (u32 s = 0; s < STRETCHES; s++) {
            real added[8];
            load_stretch(mask, end, chunk + 8 * s * team, item, team, added);
            for (u32 i = 0; i < 8; i++)
                z[8 * s + i] = added[i] == NEGATIVE_INFINITY ? NEGATIVE_INFINITY : z[8 * s + i] + added[i];
        }
    }
    if (visible >= chunk + CHUNK_ITEMS * team) return;
    UNROLL
    for (u32 i = 0; i < CHUNK_ITEMS; i++)
        if (stretch_column(chunk + i / 8 * 8 * team, item, team, i % 8) >= visible) z[i] = NEGATIVE_INFINITY;
}

// Sets to 0 what is dropped of a chunk whose first score has the given index. All items of a warp call, also without a
// row.
DEVICE void drop(random_key key, u64 index, u32 exists, u32 item, u32 team, u32 threshold, real* values) {
    UNROLL
    for (u32 s = 0; s < STRETCHES; s++) {
#if VEC == 8
        philox_block drawn = {{0, 0, 0, 0}};
        if (threshold != 0 && threshold < 65536u) drawn = philox_wide(key, index / 8 + s * team + item);
        for (u32 i = 0; i < 8; i++) values[8 * s + i] = philox_lane(drawn, i) < threshold ? values[8 * s + i] : (real)0;
#else
        const u32 kept = exists ? keep8(key, index + 8 * (s * team + item), threshold) : 0u;
        for (u32 i = 0; i < 8; i++) values[8 * s + i] = (kept >> i & 1u) != 0 ? values[8 * s + i] : (real)0;
#endif
    }
}

// dp of a chunk, 0 where dropped or masked.
DEVICE void load_gradients(GLOBAL const scalar* dy, u32 visible, u32 chunk, u32 item, u32 team, real keep_scale,
                           random_key key, u64 index, u32 exists, u32 threshold, const real* z, real* dp) {
    load_chunk(dy, read_end(visible, chunk), chunk, item, team, dp);
    UNROLL
    for (u32 i = 0; i < CHUNK_ITEMS; i++) dp[i] = z[i] != NEGATIVE_INFINITY ? dp[i] * keep_scale : (real)0;
    drop(key, index, exists, item, team, threshold, dp);
}

// A largest logit of -inf counts as 0, which leaves exponentials of 0.
DEVICE real reference_of(real largest) { return largest == NEGATIVE_INFINITY ? (real)0 : largest; }

// Turns logits into exp(z - reference) and returns a bit for each that is masked.
DEVICE u32 exponentials(real* z, real reference) {
    u32 masked = 0;
    UNROLL
    for (u32 i = 0; i < CHUNK_ITEMS; i++) {
        masked |= (z[i] == NEGATIVE_INFINITY ? 1u : 0u) << i;
        z[i] = softmax_exp(z[i] - reference);
    }
    return masked;
}

// A masked key has the exponential 0, and so the result +0 unless its row has a sum that is no number.
DEVICE void mend_masked(u32 masked, u32 is_number, real* values) {
    if (is_number) return;
    UNROLL
    for (u32 i = 0; i < CHUNK_ITEMS; i++)
        if (masked >> i & 1u) values[i] = 0;
}

#define NO_CHUNK 0xffffffffu

// What both directions know of the rows.
#define ATTENTION_PARAMETERS                                                                                    \
    GLOBAL const i32 *key_lengths, u64 key_lengths_offset, GLOBAL const scalar *mask, u64 mask_offset,          \
        GLOBAL u32 *error, u64 error_offset, u64 rows, u64 heads, u64 queries, u64 keys, u64 mask_batch_stride, \
        u64 mask_head_stride, u64 mask_query_stride, u32 causal, real scale, u64 start, u32 threshold,          \
        real keep_scale, KEY_PARAMETERS, SPLIT_PARAMETERS

// `start` is the index of the first score in the whole tensor of which this may be a shard.
KERNEL void attention_dropout_forward(GLOBAL const scalar* scores, u64 scores_offset, GLOBAL scalar* y, u64 y_offset,
                                      ATTENTION_PARAMETERS) {
    SHARED real scratch[GROUP_SIZE];
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    const u32 team = 1u << team_log2, item = LOCAL_ID & (team - 1), rows_per_group = GROUP_SIZE >> team_log2;
    const u32 row_keys = (u32)keys, chunk_size = CHUNK_ITEMS * team;
    const u32 merges = piece_count > 1 && !sums_only;
    const u64 count = rows * piece_count;
    scores += scores_offset;
    y += y_offset;
    if (mask != 0) mask += mask_offset;
    if (pieces != 0) pieces += pieces_offset;
    // Every item stays to the end, also without a row: reductions are for the whole group.
    for (u64 next = GROUP_ID * rows_per_group; next < count; next += GROUP_COUNT * rows_per_group) {
        const row_piece part = take_piece(next + (LOCAL_ID >> team_log2), rows, row_keys, piece_count, piece_size);
        row_place place = {0, 0};
        if (part.exists)
            place = place_row(part.row, heads, queries, keys, causal, key_lengths, key_lengths_offset, error,
                              error_offset, mask_batch_stride, mask_head_stride, mask_query_stride);
        const u64 first = part.row * keys;
        const u32 visible = place.visible < part.stop ? place.visible : part.stop;
        GLOBAL const scalar* score_row = scores + first;
        GLOBAL const scalar* mask_row = mask != 0 ? mask + place.mask_first : 0;

        // The item's own maximum and the sum of e = exp(z - maximum), brought up to date with every chunk. The first
        // one may have nothing to see.
        real e[CHUNK_ITEMS];
        real largest = NEGATIVE_INFINITY, sum = 0;
        u32 held = NO_CHUNK;
        if (merges && item < piece_count) {
            GLOBAL const real* sums = pieces + 2 * (part.row * piece_count + item);
            largest = sums[0], sum = sums[1];
        }
        for (u32 chunk = part.start; !merges && (chunk == part.start || chunk < visible); chunk += chunk_size) {
            load_logits(score_row, mask_row, visible, chunk, item, team, scale, e);
            const real before = largest;
            largest = largest_of_chunk(e, before);
            sum *= softmax_exp(before - reference_of(largest));
            exponentials(e, reference_of(largest));
            UNROLL
            for (u32 s = 0; s < STRETCHES; s++) {
                real stretch_sum = 0;
                for (u32 i = 0; i < 8; i++) stretch_sum += e[8 * s + i];
                sum += stretch_sum;
            }
            held = chunk;
        }

        const real row_largest = team_max(largest, team, scratch), reference = reference_of(row_largest);
        const real weight = softmax_exp(largest - reference);
        real total = sum * weight;
        team_sums(&total, 1, team, scratch);
        if (sums_only) {
            GLOBAL real* sums = pieces + 2 * (part.row * piece_count + part.piece);
            if (item == 0) sums[0] = row_largest, sums[1] = total;
        } else {
            const real factor = total == 0 ? (real)0 : keep_scale / total;
            const u32 is_number = is_finite(factor);
            for (u32 chunk = last_chunk(part, chunk_size);; chunk -= chunk_size) {
                real share = factor * weight;
                u32 masked = 0;
                if (chunk != held || !is_number) {
                    load_logits(score_row, mask_row, visible, chunk, item, team, scale, e);
                    masked = exponentials(e, reference);
                    share = factor;
                }
                UNROLL
                for (u32 i = 0; i < CHUNK_ITEMS; i++) e[i] *= share;
                mend_masked(masked, is_number, e);
                drop(resolved, start + first + chunk, part.exists, item, team, threshold, e);
                if (part.exists) store_chunk(y + first, part.stop, chunk, item, team, e);
                if (chunk == part.start) break;
                held = NO_CHUNK;
            }
        }
    }
}

KERNEL void attention_dropout_backward(GLOBAL const scalar* scores, u64 scores_offset, GLOBAL const scalar* dy,
                                       u64 dy_offset, GLOBAL scalar* dscores, u64 dscores_offset,
                                       ATTENTION_PARAMETERS) {
    SHARED real scratch[2 * GROUP_SIZE];
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    const u32 team = 1u << team_log2, item = LOCAL_ID & (team - 1), rows_per_group = GROUP_SIZE >> team_log2;
    const u32 row_keys = (u32)keys, chunk_size = CHUNK_ITEMS * team;
    const u32 merges = piece_count > 1 && !sums_only;
    const u64 count = rows * piece_count;
    scores += scores_offset;
    dy += dy_offset;
    dscores += dscores_offset;
    if (mask != 0) mask += mask_offset;
    if (pieces != 0) pieces += pieces_offset;
    // Every item stays to the end, also without a row: reductions are for the whole group.
    for (u64 next = GROUP_ID * rows_per_group; next < count; next += GROUP_COUNT * rows_per_group) {
        const row_piece part = take_piece(next + (LOCAL_ID >> team_log2), rows, row_keys, piece_count, piece_size);
        row_place place = {0, 0};
        if (part.exists)
            place = place_row(part.row, heads, queries, keys, causal, key_lengths, key_lengths_offset, error,
                              error_offset, mask_batch_stride, mask_head_stride, mask_query_stride);
        const u64 first = part.row * keys;
        const u32 visible = place.visible < part.stop ? place.visible : part.stop;
        GLOBAL const scalar* score_row = scores + first;
        GLOBAL const scalar* mask_row = mask != 0 ? mask + place.mask_first : 0;

        // Sums of e and of e * dp, relative to the item's own maximum as in forward.
        real e[CHUNK_ITEMS], dp[CHUNK_ITEMS];
        real largest = NEGATIVE_INFINITY, sum = 0, product = 0;
        u32 held = NO_CHUNK;
        if (merges && item < piece_count) {
            GLOBAL const real* sums = pieces + 3 * (part.row * piece_count + item);
            largest = sums[0], sum = sums[1], product = sums[2];
        }
        for (u32 chunk = part.start; !merges && (chunk == part.start || chunk < visible); chunk += chunk_size) {
            load_logits(score_row, mask_row, visible, chunk, item, team, scale, e);
            load_gradients(dy + first, visible, chunk, item, team, keep_scale, resolved, start + first + chunk,
                           part.exists, threshold, e, dp);
            const real before = largest;
            largest = largest_of_chunk(e, before);
            const real shrink = softmax_exp(before - reference_of(largest));
            sum *= shrink;
            product *= shrink;
            exponentials(e, reference_of(largest));
            UNROLL
            for (u32 s = 0; s < STRETCHES; s++) {
                real stretch_sum = 0, stretch_product = 0;
                for (u32 i = 0; i < 8; i++) {
                    stretch_sum += e[8 * s + i];
                    stretch_product = FMA(e[8 * s + i], dp[8 * s + i], stretch_product);
                }
                sum += stretch_sum;
                product += stretch_product;
            }
            held = chunk;
        }

        const real row_largest = team_max(largest, team, scratch), reference = reference_of(row_largest);
        const real weight = softmax_exp(largest - reference);
        real totals[2] = {sum * weight, product * weight};
        team_sums(totals, 2, team, scratch);
        if (sums_only) {
            GLOBAL real* sums = pieces + 3 * (part.row * piece_count + part.piece);
            if (item == 0) sums[0] = row_largest, sums[1] = totals[0], sums[2] = totals[1];
        } else {
            const real factor = totals[0] == 0 ? (real)0 : scale / totals[0];
            const real mean = totals[0] == 0 ? (real)0 : totals[1] / totals[0];
            const u32 is_number = is_finite(factor) && is_finite(mean);
            for (u32 chunk = last_chunk(part, chunk_size);; chunk -= chunk_size) {
                real share = factor * weight;
                u32 masked = 0;
                const u32 reads = chunk != held || !is_number;
                if (reads) load_logits(score_row, mask_row, visible, chunk, item, team, scale, e);
                if (chunk != held)
                    load_gradients(dy + first, visible, chunk, item, team, keep_scale, resolved, start + first + chunk,
                                   part.exists, threshold, e, dp);
                if (reads) {
                    masked = exponentials(e, reference);
                    share = factor;
                }
                UNROLL
                for (u32 i = 0; i < CHUNK_ITEMS; i++) e[i] = FMA(share * e[i], dp[i] - mean, (real)0);
                mend_masked(masked, is_number, e);
                if (part.exists) store_chunk(dscores + first, part.stop, chunk, item, team, e);
                if (chunk == part.start) break;
                held = NO_CHUNK;
            }
        }
    }
}
