// Adaptive dropout, or standout: a unit is kept with the probability pi = sigmoid(z), z = alpha * pre + beta, that its
// own pre-activation gives; y = keep ? x : +0, not scaled (Ba and Frey, "Adaptive dropout for training deep neural
// networks", NeurIPS 2013).
//
//   adaptive_dropout_forward      draws, y
//   adaptive_dropout_infer        y = pi * x, nothing is drawn
//   adaptive_dropout_backward     dx = keep ? dy : 0, or pi * dy where `expectation` is 1, without a draw;
//                                 dpre = alpha * pi * (1 - pi) * x * dy unless it is absent
//   adaptive_dropout_per_element  keep probabilities from a tensor; forward and backward

#include "types.h"
#include "blocks.h"
#include "philox.h"
#include "math.h"

// u / 65536 < sigmoid(z) with u = lane + 1/2, as u + u * e^-z < 65536: in float whatever is stored, by functions that
// give the same bits everywhere.
DEVICE u32 keeps(u32 lane, real z) {
    const float u = AS_F32(0x4b000000u | lane) - 8388607.5f; // 2^23 + lane less 2^23 - 1/2, both exact
    return FMA(u, exact_exp(-(float)z), u) < 65536.0f;
}

// pi, and pi * (1 - pi), from t = e^-|z| <= 1, so that nothing overflows and nothing cancels.
DEVICE real keep_probability(real z, real* slope) {
    const real t = EXP(z < 0 ? z : -z), larger = reciprocal(1 + t), smaller = t * larger;
    *slope = larger * smaller;
    return z < 0 ? smaller : larger;
}

DEVICE void keep_where_active(philox_block drawn, const real* activations, real alpha, real beta, real* values) {
    for (u32 lane = 0; lane < 8; lane++)
        values[lane] = keeps(philox_lane(drawn, lane), FMA(alpha, activations[lane], beta)) ? values[lane] : (real)0;
}

KERNEL void adaptive_dropout_forward(GLOBAL const scalar* x, u64 x_offset, GLOBAL const scalar* pre, u64 pre_offset,
                                     GLOBAL scalar* y, u64 y_offset, u64 count, u64 start, real alpha, real beta,
                                     KEY_PARAMETERS) {
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    const block_range blocks = blocks_of(start, count);
    real values[8], activations[8];
    x += x_offset;
    pre += pre_offset;
    y += y_offset;
    u64 block = blocks.first + GLOBAL_ID;
    for (; HAS_WIDE && block < blocks.wide_end; block += GLOBAL_SIZE) {
        load_wide(x, blocks, block, values);
        load_wide(pre, blocks, block, activations);
        keep_where_active(philox_wide(resolved, block), activations, alpha, beta, values);
        store_wide(y, blocks, block, values);
    }
    for (; block < blocks.end; block += GLOBAL_SIZE) {
        load_block(x, blocks, block, values);
        load_block(pre, blocks, block, activations);
        keep_where_active(philox(resolved, block), activations, alpha, beta, values);
        store_block(y, blocks, block, values);
    }
}

DEVICE void weigh(const real* activations, real alpha, real beta, real* values) {
    real slope;
    for (u32 lane = 0; lane < 8; lane++) values[lane] *= keep_probability(FMA(alpha, activations[lane], beta), &slope);
}

KERNEL void adaptive_dropout_infer(GLOBAL const scalar* x, u64 x_offset, GLOBAL const scalar* pre, u64 pre_offset,
                                   GLOBAL scalar* y, u64 y_offset, u64 count, real alpha, real beta) {
    const block_range blocks = blocks_of(0, count);
    real values[8], activations[8];
    x += x_offset;
    pre += pre_offset;
    y += y_offset;
    u64 block = GLOBAL_ID;
    for (; HAS_WIDE && block < blocks.wide_end; block += GLOBAL_SIZE) {
        load_wide(x, blocks, block, values);
        load_wide(pre, blocks, block, activations);
        weigh(activations, alpha, beta, values);
        store_wide(y, blocks, block, values);
    }
    for (; block < blocks.end; block += GLOBAL_SIZE) {
        load_block(x, blocks, block, values);
        load_block(pre, blocks, block, activations);
        weigh(activations, alpha, beta, values);
        store_block(y, blocks, block, values);
    }
}

// Slopes in place of activations, dx in place of dy: pi * dy where the expectation is wanted, else a selection. The
// order of the product keeps a large x times a small slope finite.
DEVICE void differentiate(philox_block drawn, real alpha, real beta, u32 expectation, const real* values,
                          real* activations, real* gradients) {
    for (u32 lane = 0; lane < 8; lane++) {
        const real z = FMA(alpha, activations[lane], beta);
        real slope;
        const real probability = keep_probability(z, &slope);
        activations[lane] = slope * alpha * values[lane] * gradients[lane];
        if (expectation != 0)
            gradients[lane] *= probability;
        else
            gradients[lane] = keeps(philox_lane(drawn, lane), z) ? gradients[lane] : (real)0;
    }
}

// x may give way to dx, so it is read before that is stored.
KERNEL void adaptive_dropout_backward(GLOBAL const scalar* x, u64 x_offset, GLOBAL const scalar* pre, u64 pre_offset,
                                      GLOBAL const scalar* dy, u64 dy_offset, GLOBAL scalar* dx, u64 dx_offset,
                                      GLOBAL scalar* dpre, u64 dpre_offset, u64 count, u64 start, real alpha, real beta,
                                      u32 expectation, KEY_PARAMETERS) {
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    const block_range blocks = blocks_of(start, count);
    philox_block drawn = {{0, 0, 0, 0}};
    real values[8] = {0, 0, 0, 0, 0, 0, 0, 0}, activations[8], gradients[8];
    x += x_offset;
    pre += pre_offset;
    dy += dy_offset;
    dx += dx_offset;
    u64 block = blocks.first + GLOBAL_ID;
    for (; HAS_WIDE && block < blocks.wide_end; block += GLOBAL_SIZE) {
        load_wide(pre, blocks, block, activations);
        load_wide(dy, blocks, block, gradients);
        if (dpre != 0) load_wide(x, blocks, block, values);
        if (expectation == 0) drawn = philox_wide(resolved, block);
        differentiate(drawn, alpha, beta, expectation, values, activations, gradients);
        if (dpre != 0) store_wide(dpre + dpre_offset, blocks, block, activations);
        store_wide(dx, blocks, block, gradients);
    }
    for (; block < blocks.end; block += GLOBAL_SIZE) {
        load_block(pre, blocks, block, activations);
        load_block(dy, blocks, block, gradients);
        if (dpre != 0) load_block(x, blocks, block, values);
        if (expectation == 0) drawn = philox(resolved, block);
        differentiate(drawn, alpha, beta, expectation, values, activations, gradients);
        if (dpre != 0) store_block(dpre + dpre_offset, blocks, block, activations);
        store_block(dx, blocks, block, gradients);
    }
}

// T = round(p * 65536), in [1, 65535] for 0 < p < 1; a p that is negative or NaN keeps nothing, one above 1 all.
// Selections, not branches: neighbours go different ways.
DEVICE u32 threshold_of(real probability) {
    const real inner = MAX(-MAX(-(probability * 65536 + (real)0.5), (real)-65535), (real)1);
    return (u32)(!(probability > 0) ? (real)0 : probability >= 1 ? (real)65536 : inner);
}

DEVICE real keep_per_element(u32 lane, real probability, real x, u32 inverted) {
    const u32 threshold = threshold_of(probability);
    const real kept = inverted != 0 ? x * (65536 * reciprocal((real)threshold)) : x;
    return lane < threshold ? kept : (real)0;
}

DEVICE void keep_by_probability(philox_block drawn, const real* probabilities, u32 inverted, real* values) {
    for (u32 lane = 0; lane < 8; lane++)
        values[lane] = keep_per_element(philox_lane(drawn, lane), probabilities[lane], values[lane], inverted);
}

KERNEL void adaptive_dropout_per_element(GLOBAL const scalar* x, u64 x_offset, GLOBAL const scalar* probabilities,
                                         u64 probabilities_offset, GLOBAL scalar* y, u64 y_offset, u64 count, u64 start,
                                         u32 inverted, KEY_PARAMETERS) {
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    const block_range blocks = blocks_of(start, count);
    real values[8], kept[8];
    x += x_offset;
    probabilities += probabilities_offset;
    y += y_offset;
    u64 block = blocks.first + GLOBAL_ID;
    for (; HAS_WIDE && block < blocks.wide_end; block += GLOBAL_SIZE) {
        load_wide(x, blocks, block, values);
        load_wide(probabilities, blocks, block, kept);
        keep_by_probability(philox_wide(resolved, block), kept, inverted, values);
        store_wide(y, blocks, block, values);
    }
    for (; block < blocks.end; block += GLOBAL_SIZE) {
        load_block(x, blocks, block, values);
        load_block(probabilities, blocks, block, kept);
        keep_by_probability(philox(resolved, block), kept, inverted, values);
        store_block(y, blocks, block, values);
    }
}
