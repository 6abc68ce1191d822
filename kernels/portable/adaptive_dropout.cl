// Adaptive dropout, or standout: a unit is kept with the probability pi = sigmoid(z), z = alpha * pre + beta, that its
// own pre-activation gives; y = keep ? x : +0, not scaled (Ba and Frey, "Adaptive dropout for training deep neural
// networks", NeurIPS 2013).
//
//   adaptive_dropout_forward      draws, y
//   adaptive_dropout_infer        y = pi * x, nothing is drawn
//   adaptive_dropout_backward     dx = keep ? dy : 0, or pi * dy where `expectation` is 1, without a draw;
//                                 dpre = alpha * pi * (1 - pi) * x * dy unless it is absent
//   adaptive_dropout_per_element  keep probabilities from a tensor; forward and backward
//
// VEC = 8 needs `start` to be a multiple of eight.

#include "types.h"
#include "philox.h"
#include "math.h"

// u / 65536 < sigmoid(z) with u = lane + 1/2, as u + u * e^-z < 65536: in float whatever is stored, by functions that
// give the same bits everywhere.
DEVICE u32 keeps(u32 lane, real z) {
    const float u = (float)lane + 0.5f;
    return FMA(u, exact_exp(-(float)z), u) < 65536.0f;
}

// pi, and pi * (1 - pi), from t = e^-|z| <= 1, so that nothing overflows and nothing cancels.
DEVICE real keep_probability(real z, real* slope) {
    const real t = EXP(z < 0 ? z : -z), larger = 1 / (1 + t), smaller = t * larger;
    *slope = larger * smaller;
    return z < 0 ? smaller : larger;
}

KERNEL void adaptive_dropout_forward(GLOBAL const scalar* x, u64 x_offset, GLOBAL const scalar* pre, u64 pre_offset,
                                     GLOBAL scalar* y, u64 y_offset, u64 count, u64 start, real alpha, real beta,
                                     KEY_PARAMETERS) {
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    const u64 end = start + count;
    const u64 end_block = (end + 7) / 8;
    x += x_offset;
    pre += pre_offset;
    y += y_offset;
    for (u64 block = start / 8 + GLOBAL_ID; block < end_block; block += GLOBAL_SIZE) {
        const philox_block drawn = philox(resolved, block);
#if VEC == 8
        if (8 * block + 8 <= end) {
            real values[8], activations[8];
            load8(x, 8 * block - start, values);
            load8(pre, 8 * block - start, activations);
            for (u32 lane = 0; lane < 8; lane++)
                values[lane] =
                    keeps(philox_lane(drawn, lane), FMA(alpha, activations[lane], beta)) ? values[lane] : (real)0;
            store8(y, 8 * block - start, values);
            continue;
        }
#endif
        for (u32 lane = 0; lane < 8; lane++) {
            const u64 index = 8 * block + lane;
            if (index < start || index >= end) continue;
            const real z = FMA(alpha, load(pre, index - start), beta);
            store(y, index - start, keeps(philox_lane(drawn, lane), z) ? load(x, index - start) : (real)0);
        }
    }
}

KERNEL void adaptive_dropout_infer(GLOBAL const scalar* x, u64 x_offset, GLOBAL const scalar* pre, u64 pre_offset,
                                   GLOBAL scalar* y, u64 y_offset, u64 count, real alpha, real beta) {
    real slope;
    for (u64 i = 8 * GLOBAL_ID; i < count; i += 8 * GLOBAL_SIZE) {
#if VEC == 8
        if (i + 8 <= count) {
            real values[8], probabilities[8];
            load8(pre, pre_offset + i, probabilities);
            for (u32 lane = 0; lane < 8; lane++)
                probabilities[lane] = keep_probability(FMA(alpha, probabilities[lane], beta), &slope);
            load8(x, x_offset + i, values);
            for (u32 lane = 0; lane < 8; lane++) values[lane] *= probabilities[lane];
            store8(y, y_offset + i, values);
            continue;
        }
#endif
        for (u64 j = i; j < i + 8 && j < count; j++)
            store(y, y_offset + j,
                  load(x, x_offset + j) * keep_probability(FMA(alpha, load(pre, pre_offset + j), beta), &slope));
    }
}

// What z makes of dy: pi where the expectation is wanted, else 1 or 0, which select. `slope` is alpha * pi * (1 - pi).
DEVICE real decision(u32 lane, real z, real alpha, u32 expectation, real* slope) {
    const real probability = keep_probability(z, slope);
    *slope *= alpha;
    if (expectation != 0) return probability;
    return keeps(lane, z) ? (real)1 : (real)0;
}

DEVICE real decided(real decision, real dy, u32 expectation) {
    if (expectation != 0) return decision * dy;
    return decision != 0 ? dy : (real)0;
}

KERNEL void adaptive_dropout_backward(GLOBAL const scalar* x, u64 x_offset, GLOBAL const scalar* pre, u64 pre_offset,
                                      GLOBAL const scalar* dy, u64 dy_offset, GLOBAL scalar* dx, u64 dx_offset,
                                      GLOBAL scalar* dpre, u64 dpre_offset, u64 count, u64 start, real alpha, real beta,
                                      u32 expectation, KEY_PARAMETERS) {
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    const u64 end = start + count;
    const u64 end_block = (end + 7) / 8;
    pre += pre_offset;
    dy += dy_offset;
    dx += dx_offset;
    for (u64 block = start / 8 + GLOBAL_ID; block < end_block; block += GLOBAL_SIZE) {
        philox_block drawn = {{0, 0, 0, 0}};
        if (expectation == 0) drawn = philox(resolved, block);
#if VEC == 8
        if (8 * block + 8 <= end) {
            const u64 first = 8 * block - start;
            real decisions[8], slopes[8], gradients[8];
            load8(pre, first, decisions);
            for (u32 lane = 0; lane < 8; lane++)
                decisions[lane] = decision(philox_lane(drawn, lane), FMA(alpha, decisions[lane], beta), alpha,
                                           expectation, &slopes[lane]);
            load8(dy, first, gradients);
            if (dpre != 0) {
                // Before dx is stored, which may take the place of x. The order of the product keeps a large x times a
                // small slope finite.
                real values[8];
                load8(x, x_offset + first, values);
                for (u32 lane = 0; lane < 8; lane++) slopes[lane] = slopes[lane] * values[lane] * gradients[lane];
                store8(dpre, dpre_offset + first, slopes);
            }
            for (u32 lane = 0; lane < 8; lane++)
                gradients[lane] = decided(decisions[lane], gradients[lane], expectation);
            store8(dx, first, gradients);
            continue;
        }
#endif
        for (u32 lane = 0; lane < 8; lane++) {
            const u64 index = 8 * block + lane;
            if (index < start || index >= end) continue;
            const u64 i = index - start;
            real slope;
            const real factor =
                decision(philox_lane(drawn, lane), FMA(alpha, load(pre, i), beta), alpha, expectation, &slope);
            const real gradient = load(dy, i);
            if (dpre != 0) store(dpre, dpre_offset + i, slope * load(x, x_offset + i) * gradient);
            store(dx, i, decided(factor, gradient, expectation));
        }
    }
}

// T = round(p * 65536), in [1, 65535] for 0 < p < 1; a p that is negative or NaN keeps nothing, one above 1 all.
DEVICE u32 threshold_of(real probability) {
    if (!(probability > 0)) return 0;
    if (probability >= 1) return 65536;
    const u32 rounded = (u32)(probability * 65536 + (real)0.5);
    return rounded < 1 ? 1 : rounded > 65535 ? 65535 : rounded;
}

DEVICE real keep_per_element(u32 lane, real probability, real x, u32 inverted) {
    const u32 threshold = threshold_of(probability);
    if (lane >= threshold) return 0;
    return inverted != 0 ? x * ((real)65536 / (real)threshold) : x;
}

KERNEL void adaptive_dropout_per_element(GLOBAL const scalar* x, u64 x_offset, GLOBAL const scalar* probabilities,
                                         u64 probabilities_offset, GLOBAL scalar* y, u64 y_offset, u64 count, u64 start,
                                         u32 inverted, KEY_PARAMETERS) {
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    const u64 end = start + count;
    const u64 end_block = (end + 7) / 8;
    x += x_offset;
    probabilities += probabilities_offset;
    y += y_offset;
    for (u64 block = start / 8 + GLOBAL_ID; block < end_block; block += GLOBAL_SIZE) {
        const philox_block drawn = philox(resolved, block);
#if VEC == 8
        if (8 * block + 8 <= end) {
            real values[8], kept[8];
            load8(x, 8 * block - start, values);
            load8(probabilities, 8 * block - start, kept);
            for (u32 lane = 0; lane < 8; lane++)
                values[lane] = keep_per_element(philox_lane(drawn, lane), kept[lane], values[lane], inverted);
            store8(y, 8 * block - start, values);
            continue;
        }
#endif
        for (u32 lane = 0; lane < 8; lane++) {
            const u64 index = 8 * block + lane;
            if (index < start || index >= end) continue;
            store(y, index - start,
                  keep_per_element(philox_lane(drawn, lane), load(probabilities, index - start), load(x, index - start),
                                   inverted));
        }
    }
}
