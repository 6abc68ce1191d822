// Stochastic depth: y = x + b f in training, with one decision b for each row (drop path) or for all (Huang, Sun, Liu,
// Sedra and Weinberger, "Deep networks with stochastic depth", ECCV 2016); RELU makes it max(x + b f, 0). A dropped row
// of f is not read.
//
//   stochastic_depth_forward   training and inference, which keeps all rows
//   stochastic_depth_backward  df = b dy and dx = dy; with RELU both stop where y <= 0. The decisions are drawn again.

#include "types.h"
#include "philox.h"

// Row i takes 16-bit lane i % 8 of block i / 8; a threshold of 0 or 65536 draws nothing.
DEVICE u32 keeps(random_key key, u64 row, u32 threshold) {
    if (threshold == 0 || threshold >= 65536u) return threshold != 0;
    return philox_lane(philox(key, row / 8), (u32)(row % 8)) < threshold;
}

DEVICE real rectified(real value) {
#if RELU
    return value <= 0 ? (real)0 : value;
#else
    return value;
#endif
}

// Where y is x, a dropped row is already what it shall be. Rows have `run` elements; `start` is the number of the first
// among all shards.
KERNEL void stochastic_depth_forward(GLOBAL const scalar* x, u64 x_offset, GLOBAL const scalar* f, u64 f_offset,
                                     GLOBAL scalar* y, u64 y_offset, u64 count, u64 run, u64 start, u32 threshold,
                                     real scale, KEY_PARAMETERS) {
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    x += x_offset;
    f += f_offset;
    y += y_offset;
    for (u64 first = 8 * GLOBAL_ID; first < count; first += 8 * GLOBAL_SIZE) {
        u64 row = first / run;
        u64 in_run = first - row * run;
        u32 keep = keeps(resolved, start + row, threshold);
#if VEC == 8
        if (first + 8 <= count && in_run + 8 <= run) {
#if !RELU
            if (!keep && x == y) continue;
#endif
            real values[8];
            load8(x, first, values);
            if (keep) {
                real branch[8];
                load8(f, first, branch);
                for (u32 lane = 0; lane < 8; lane++) values[lane] = FMA(scale, branch[lane], values[lane]);
            }
            for (u32 lane = 0; lane < 8; lane++) values[lane] = rectified(values[lane]);
            store8(y, first, values);
            continue;
        }
#endif
        const u32 lanes = count - first < 8 ? (u32)(count - first) : 8;
        for (u32 lane = 0; lane < lanes; lane++, in_run++) {
            const u64 i = first + lane;
            if (in_run == run) {
                in_run = 0;
                row++;
                keep = keeps(resolved, start + row, threshold);
            }
#if !RELU
            if (!keep && x == y) continue;
#endif
            store(y, i, rectified(keep ? FMA(scale, load(f, i), load(x, i)) : load(x, i)));
        }
    }
}

// dx may be absent, or be dy itself; y is read only with RELU.
KERNEL void stochastic_depth_backward(GLOBAL const scalar* y, u64 y_offset, GLOBAL const scalar* dy, u64 dy_offset,
                                      GLOBAL scalar* df, u64 df_offset, GLOBAL scalar* dx, u64 dx_offset, u64 count,
                                      u64 run, u64 start, u32 threshold, real scale, KEY_PARAMETERS) {
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    u32 writes_dx = dx != 0;
#if RELU
    y += y_offset;
#else
    if (dx + dx_offset == dy + dy_offset) writes_dx = 0;
#endif
    dy += dy_offset;
    df += df_offset;
    dx += dx_offset;
    for (u64 first = 8 * GLOBAL_ID; first < count; first += 8 * GLOBAL_SIZE) {
        u64 row = first / run;
        u64 in_run = first - row * run;
        u32 keep = keeps(resolved, start + row, threshold);
#if VEC == 8
        if (first + 8 <= count && in_run + 8 <= run) {
            real gradients[8] = {0, 0, 0, 0, 0, 0, 0, 0};
            if (keep || writes_dx) load8(dy, first, gradients);
#if RELU
            real outputs[8];
            load8(y, first, outputs);
            for (u32 lane = 0; lane < 8; lane++) gradients[lane] = outputs[lane] <= 0 ? (real)0 : gradients[lane];
#endif
            if (writes_dx) store8(dx, first, gradients);
            for (u32 lane = 0; lane < 8; lane++) gradients[lane] = keep ? scale * gradients[lane] : (real)0;
            store8(df, first, gradients);
            continue;
        }
#endif
        for (u64 i = first; i < first + 8 && i < count; i++, in_run++) {
            if (in_run == run) {
                in_run = 0;
                row++;
                keep = keeps(resolved, start + row, threshold);
            }
            real gradient = keep || writes_dx ? load(dy, i) : (real)0;
#if RELU
            gradient = load(y, i) <= 0 ? (real)0 : gradient;
#endif
            if (writes_dx) store(dx, i, gradient);
            store(df, i, keep ? scale * gradient : (real)0);
        }
    }
}
