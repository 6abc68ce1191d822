// Monte-Carlo dropout (Gal and Ghahramani, "Dropout as a Bayesian approximation", ICML 2016): several dropout passes
// over one input, and the mean and variance of a network's results over the passes.
//
//   monte_carlo_dropout     y[t] = dropout of x under the key (seed, offset + t), for all passes t in one launch; x is
//                           read once
//   monte_carlo_statistics  mean and unbiased variance over t of y[t], by Welford's update in the order of the passes

#include "types.h"
#include "philox.h"

// VEC = 8 needs `count` to be a multiple of eight, so that every pass starts on 16 bytes.
KERNEL void monte_carlo_dropout(GLOBAL const scalar* RESTRICT x, u64 x_offset, GLOBAL scalar* RESTRICT y, u64 y_offset,
                                u64 count, u64 passes, u32 threshold, real scale, KEY_PARAMETERS) {
    random_key resolved = resolve_key(key, key_offset, seed, offset);
    const u64 first_offset = resolved.offset;
    x += x_offset;
    y += y_offset;
    for (u64 block = GLOBAL_ID; block < (count + 7) / 8; block += GLOBAL_SIZE) {
        real values[8] = {0, 0, 0, 0, 0, 0, 0, 0};
#if VEC == 8
        load8(x, 8 * block, values);
#else
        const u32 lanes = 8 * block + 8 <= count ? 8 : (u32)(count - 8 * block);
        for (u32 lane = 0; lane < 8; lane++)
            if (lane < lanes) values[lane] = load(x, 8 * block + lane);
#endif
        for (u64 pass = 0; pass < passes; pass++) {
            resolved.offset = first_offset + pass;
            const philox_block drawn = philox(resolved, block);
            real results[8];
            for (u32 lane = 0; lane < 8; lane++)
                results[lane] = philox_lane(drawn, lane) < threshold ? values[lane] * scale : (real)0;
#if VEC == 8
            store8(y, pass * count + 8 * block, results);
#else
            for (u32 lane = 0; lane < 8; lane++)
                if (lane < lanes) store(y, pass * count + 8 * block + lane, results[lane]);
#endif
        }
    }
}

KERNEL void monte_carlo_statistics(GLOBAL const scalar* RESTRICT y, u64 y_offset, GLOBAL scalar* RESTRICT mean,
                                   u64 mean_offset, GLOBAL scalar* RESTRICT variance, u64 variance_offset, u64 count,
                                   u64 passes) {
    for (u64 i = GLOBAL_ID; i < count; i += GLOBAL_SIZE) {
        real average = 0, squares = 0;
        for (u64 pass = 0; pass < passes; pass++) {
            const real value = load(y, y_offset + pass * count + i);
            const real difference = value - average;
            // An infinite mean stays one: its difference to a later pass would make it NaN. x - x is 0 for a finite x
            // alone.
            average += average - average == 0 ? difference / (real)(pass + 1) : value;
            squares += difference * (value - average);
        }
        store(mean, mean_offset + i, average);
        store(variance, variance_offset + i, squares / (real)(passes - 1));
    }
}
