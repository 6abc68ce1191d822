// Monte-Carlo dropout (Gal and Ghahramani, "Dropout as a Bayesian approximation", ICML 2016): several dropout passes
// over one input, and the mean and variance of a network's results over the passes.
//
//   monte_carlo_dropout     y[t] = dropout of x under the key (seed, offset + t), for all passes t in one launch; x is
//                           read once
//   monte_carlo_statistics  mean and unbiased variance over t of y[t], by Welford's update in the order of the passes

#include "types.h"
#include "blocks.h"
#include "philox.h"

DEVICE void drop_out(philox_block drawn, u32 threshold, real scale, const real* values, real* results) {
    for (u32 lane = 0; lane < 8; lane++)
        results[lane] = philox_lane(drawn, lane) < threshold ? values[lane] * scale : (real)0;
}

// VEC = 8 needs `count` to be a multiple of eight, so that every pass starts on 16 bytes.
KERNEL void monte_carlo_dropout(GLOBAL const scalar* RESTRICT x, u64 x_offset, GLOBAL scalar* RESTRICT y, u64 y_offset,
                                u64 count, u64 passes, u32 threshold, real scale, KEY_PARAMETERS) {
    random_key resolved = resolve_key(key, key_offset, seed, offset);
    const u64 first_offset = resolved.offset;
    const block_range blocks = blocks_of(0, count);
    real values[8], results[8];
    x += x_offset;
    y += y_offset;
    u64 block = GLOBAL_ID;
    for (; HAS_WIDE && block < blocks.wide_end; block += GLOBAL_SIZE) {
        load_wide(x, blocks, block, values);
        for (u64 pass = 0; pass < passes; pass++) {
            resolved.offset = first_offset + pass;
            drop_out(philox_wide(resolved, block), threshold, scale, values, results);
            store_wide(y + pass * count, blocks, block, results);
        }
    }
    for (; block < blocks.end; block += GLOBAL_SIZE) {
        load_block(x, blocks, block, values);
        for (u64 pass = 0; pass < passes; pass++) {
            resolved.offset = first_offset + pass;
            drop_out(philox(resolved, block), threshold, scale, values, results);
            store_block(y + pass * count, blocks, block, results);
        }
    }
}

// One more pass of eight elements. An infinite mean stays one where `keeps_infinity`: its difference to a later pass
// would make it NaN. x - x is 0 for a finite x alone.
DEVICE void add_pass(u64 pass, u32 keeps_infinity, const real* values, real* averages, real* squares) {
    for (u32 lane = 0; lane < 8; lane++) {
        const real value = values[lane], average = averages[lane], difference = value - average;
        const real step = QUOTIENT(difference, (real)(pass + 1));
        averages[lane] += keeps_infinity && average - average != 0 ? value : step;
        squares[lane] += difference * (value - averages[lane]);
    }
}

DEVICE void finish_passes(u64 passes, real* squares) {
    for (u32 lane = 0; lane < 8; lane++) squares[lane] = QUOTIENT(squares[lane], (real)(passes - 1));
}

// Passes that are under way at once: more take so many registers that fewer items are resident.
#define PASSES_AT_ONCE 2

// All passes of eight elements.
DEVICE void add_passes(GLOBAL const scalar* y, block_range blocks, u64 block, u64 count, u64 passes, u32 keeps_infinity,
                       real* averages, real* squares) {
    for (u32 lane = 0; lane < 8; lane++) averages[lane] = squares[lane] = 0;
    u64 pass = 0;
    for (; pass + PASSES_AT_ONCE <= passes; pass += PASSES_AT_ONCE) {
        real values[PASSES_AT_ONCE][8];
        for (u32 k = 0; k < PASSES_AT_ONCE; k++, y += count) load_wide(y, blocks, block, values[k]);
        for (u32 k = 0; k < PASSES_AT_ONCE; k++) add_pass(pass + k, keeps_infinity, values[k], averages, squares);
    }
    for (; pass < passes; pass++, y += count) {
        real values[8];
        load_wide(y, blocks, block, values);
        add_pass(pass, keeps_infinity, values, averages, squares);
    }
}

// VEC = 8 needs `count` to be a multiple of eight.
KERNEL void monte_carlo_statistics(GLOBAL const scalar* RESTRICT y, u64 y_offset, GLOBAL scalar* RESTRICT mean,
                                   u64 mean_offset, GLOBAL scalar* RESTRICT variance, u64 variance_offset, u64 count,
                                   u64 passes) {
    const block_range blocks = blocks_of(0, count);
    real averages[8], squares[8];
    y += y_offset;
    mean += mean_offset;
    variance += variance_offset;
    u64 block = GLOBAL_ID;
    for (; HAS_WIDE && block < blocks.wide_end; block += GLOBAL_SIZE) {
        add_passes(y, blocks, block, count, passes, 0, averages, squares);
        u32 is_number = 1;
        for (u32 lane = 0; lane < 8; lane++) is_number &= averages[lane] == averages[lane];
        // Passes that are infinite are rare, and looking for them at every step takes long.
        if (!is_number) add_passes(y, blocks, block, count, passes, 1, averages, squares);
        finish_passes(passes, squares);
        store_wide(mean, blocks, block, averages);
        store_wide(variance, blocks, block, squares);
    }
    for (; block < blocks.end; block += GLOBAL_SIZE) {
        real values[8];
        for (u32 lane = 0; lane < 8; lane++) averages[lane] = squares[lane] = 0;
        for (u64 pass = 0; pass < passes; pass++) {
            load_block(y + pass * count, blocks, block, values);
            add_pass(pass, 1, values, averages, squares);
        }
        finish_passes(passes, squares);
        store_block(mean, blocks, block, averages);
        store_block(variance, blocks, block, squares);
    }
}
