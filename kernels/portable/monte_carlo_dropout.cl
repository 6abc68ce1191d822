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

// One more pass of eight elements.
DEVICE void add_pass(u64 pass, const real* values, real* averages, real* squares) {
    for (u32 lane = 0; lane < 8; lane++) {
        const real value = values[lane], average = averages[lane], difference = value - average;
        const real step = QUOTIENT(difference, (real)(pass + 1));
        // An infinite mean stays one: its difference to a later pass would make it NaN. x - x is 0 for a finite x
        // alone.
        averages[lane] += average - average == 0 ? step : value;
        squares[lane] += difference * (value - averages[lane]);
    }
}

DEVICE void finish_passes(u64 passes, real* squares) {
    for (u32 lane = 0; lane < 8; lane++) squares[lane] = QUOTIENT(squares[lane], (real)(passes - 1));
}

// VEC = 8 needs `count` to be a multiple of eight.
KERNEL void monte_carlo_statistics(GLOBAL const scalar* RESTRICT y, u64 y_offset, GLOBAL scalar* RESTRICT mean,
                                   u64 mean_offset, GLOBAL scalar* RESTRICT variance, u64 variance_offset, u64 count,
                                   u64 passes) {
    const block_range blocks = blocks_of(0, count);
    real values[8];
    y += y_offset;
    mean += mean_offset;
    variance += variance_offset;
    u64 block = GLOBAL_ID;
    for (; HAS_WIDE && block < blocks.wide_end; block += GLOBAL_SIZE) {
        real averages[8] = {0, 0, 0, 0, 0, 0, 0, 0}, squares[8] = {0, 0, 0, 0, 0, 0, 0, 0};
        for (u64 pass = 0; pass < passes; pass++) {
            load_wide(y + pass * count, blocks, block, values);
            add_pass(pass, values, averages, squares);
        }
        finish_passes(passes, squares);
        store_wide(mean, blocks, block, averages);
        store_wide(variance, blocks, block, squares);
    }
    for (; block < blocks.end; block += GLOBAL_SIZE) {
        real averages[8] = {0, 0, 0, 0, 0, 0, 0, 0}, squares[8] = {0, 0, 0, 0, 0, 0, 0, 0};
        for (u64 pass = 0; pass < passes; pass++) {
            load_block(y + pass * count, blocks, block, values);
            add_pass(pass, values, averages, squares);
        }
        finish_passes(passes, squares);
        store_block(mean, blocks, block, averages);
        store_block(variance, blocks, block, squares);
    }
}
