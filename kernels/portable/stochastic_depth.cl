// Stochastic depth: y = x + b f in training, with one decision b for each row (drop path) or for all (Huang, Sun, Liu,
// Sedra and Weinberger, "Deep networks with stochastic depth", ECCV 2016); RELU makes it max(x + b f, 0). A dropped row
// of f is not read.
//
//   stochastic_depth_forward   training and inference, which keeps all rows
//   stochastic_depth_backward  df = b dy and dx = dy; with RELU both stop where y <= 0. The decisions are drawn again.
//
// Parts of eights that lie in one row are moved in wide accesses, others element by element.

#include "types.h"
#include "blocks.h"
#include "parts.h"
#include "divisor.h"
#include "philox.h"

#if RELU && VEC == 8 // The compiler's own choice spills.
#undef RESIDENT_GROUPS
#define RESIDENT_GROUPS 2
#endif

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

// A part of a block: whether it lies in one row, and whether that is kept.
typedef struct {
    u32 is_whole, keep;
} row_part;

// What parts of a block share is decided once.
DEVICE row_part part_of(random_key key, u64 index, u64 run, u64 run_inverse, u32 run_shift, u64 start, u32 threshold,
                        u64* decided, u32* keep) {
    const u64 row = quotient(index, run_inverse, run_shift);
    if (row != *decided) {
        *decided = row;
        *keep = keeps(key, start + row, threshold);
    }
    const row_part part = {index - row * run + PART_LANES <= run, *keep};
    return part;
}

// Elements first to end - 1. Where y is x, a dropped row is already what it shall be. Rows have `run` elements; `start`
// is the number of the first among all shards.
DEVICE void forward_elements(GLOBAL const scalar* x, GLOBAL const scalar* f, GLOBAL scalar* y, u64 first, u64 end,
                             u64 run, u64 run_inverse, u32 run_shift, u64 start, u32 threshold, real scale,
                             random_key key) {
    u64 row = quotient(first, run_inverse, run_shift), in_row = first - row * run;
    u32 keep = keeps(key, start + row, threshold);
    for (u64 i = first; i < end; i++, in_row++) {
        if (in_row == run) {
            in_row = 0;
            row++;
            keep = keeps(key, start + row, threshold);
        }
#if !RELU
        if (!keep && x == y) continue;
#endif
        store(y, i, rectified(keep ? FMA(scale, load(f, i), load(x, i)) : load(x, i)));
    }
}

KERNEL void stochastic_depth_forward(GLOBAL const scalar* x, u64 x_offset, GLOBAL const scalar* f, u64 f_offset,
                                     GLOBAL scalar* y, u64 y_offset, u64 count, u64 run, u64 run_inverse, u32 run_shift,
                                     u64 start, u32 threshold, real scale, KEY_PARAMETERS) {
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    const block_range blocks = blocks_of(0, count);
    x += x_offset;
    f += f_offset;
    y += y_offset;
    const u32 writes_dropped = RELU | (x != y);
    u64 block = GLOBAL_ID;
    for (; HAS_WIDE && block < blocks.wide_end; block += GLOBAL_SIZE) {
        real values[8], branch[8];
        row_part parts[PARTS];
        u64 decided = ~(u64)0;
        u32 keep = 0;
        UNROLL
        for (u32 part = 0; part < PARTS; part++) {
            const u64 index = part_index(block, part);
            parts[part] = part_of(resolved, index, run, run_inverse, run_shift, start, threshold, &decided, &keep);
            if (!parts[part].is_whole) continue;
            if (parts[part].keep | writes_dropped) load_part(x, index, values + PART_LANES * part);
            if (parts[part].keep) load_part(f, index, branch + PART_LANES * part);
        }
        UNROLL
        for (u32 part = 0; part < PARTS; part++) {
            const u64 index = part_index(block, part);
            real* own = values + PART_LANES * part;
            if (!parts[part].is_whole) {
                forward_elements(x, f, y, index, index + PART_LANES, run, run_inverse, run_shift, start, threshold,
                                 scale, resolved);
            } else if (parts[part].keep | writes_dropped) {
                for (u32 lane = 0; lane < PART_LANES; lane++) {
                    const real sum =
                        parts[part].keep ? FMA(scale, branch[PART_LANES * part + lane], own[lane]) : own[lane];
                    own[lane] = rectified(sum);
                }
                store_part(y, index, own);
            }
        }
    }
    for (; block < blocks.end; block += GLOBAL_SIZE)
        forward_elements(x, f, y, 8 * block, 8 * block + 8 < count ? 8 * block + 8 : count, run, run_inverse, run_shift,
                         start, threshold, scale, resolved);
}

// Elements first to end - 1.
DEVICE void backward_elements(GLOBAL const scalar* y, GLOBAL const scalar* dy, GLOBAL scalar* df, GLOBAL scalar* dx,
                              u32 writes_dx, u64 first, u64 end, u64 run, u64 run_inverse, u32 run_shift, u64 start,
                              u32 threshold, real scale, random_key key) {
    u64 row = quotient(first, run_inverse, run_shift), in_row = first - row * run;
    u32 keep = keeps(key, start + row, threshold);
    for (u64 i = first; i < end; i++, in_row++) {
        if (in_row == run) {
            in_row = 0;
            row++;
            keep = keeps(key, start + row, threshold);
        }
        real gradient = keep || writes_dx ? load(dy, i) : (real)0;
#if RELU
        gradient = load(y, i) <= 0 ? (real)0 : gradient;
#endif
        if (writes_dx) store(dx, i, gradient);
        store(df, i, keep ? scale * gradient : (real)0);
    }
}

// dx may be absent, or be dy itself; y is read only with RELU.
KERNEL void stochastic_depth_backward(GLOBAL const scalar* y, u64 y_offset, GLOBAL const scalar* dy, u64 dy_offset,
                                      GLOBAL scalar* df, u64 df_offset, GLOBAL scalar* dx, u64 dx_offset, u64 count,
                                      u64 run, u64 run_inverse, u32 run_shift, u64 start, u32 threshold, real scale,
                                      KEY_PARAMETERS) {
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    const block_range blocks = blocks_of(0, count);
    u32 writes_dx = dx != 0;
#if RELU
    y += y_offset;
#else
    if (dx + dx_offset == dy + dy_offset) writes_dx = 0;
#endif
    dy += dy_offset;
    df += df_offset;
    dx += dx_offset;
    u64 block = GLOBAL_ID;
    for (; HAS_WIDE && block < blocks.wide_end; block += GLOBAL_SIZE) {
        real gradients[8] = {0, 0, 0, 0, 0, 0, 0, 0}, outputs[8];
        row_part parts[PARTS];
        u64 decided = ~(u64)0;
        u32 keep = 0;
        UNROLL
        for (u32 part = 0; part < PARTS; part++) {
            const u64 index = part_index(block, part);
            parts[part] = part_of(resolved, index, run, run_inverse, run_shift, start, threshold, &decided, &keep);
            if (!parts[part].is_whole) continue;
            if (parts[part].keep || writes_dx) load_part(dy, index, gradients + PART_LANES * part);
            if (RELU) load_part(y, index, outputs + PART_LANES * part);
        }
        UNROLL
        for (u32 part = 0; part < PARTS; part++) {
            const u64 index = part_index(block, part);
            real* own = gradients + PART_LANES * part;
            if (!parts[part].is_whole) {
                backward_elements(y, dy, df, dx, writes_dx, index, index + PART_LANES, run, run_inverse, run_shift,
                                  start, threshold, scale, resolved);
                continue;
            }
            for (u32 lane = 0; RELU && lane < PART_LANES; lane++)
                own[lane] = outputs[PART_LANES * part + lane] <= 0 ? (real)0 : own[lane];
            if (writes_dx) store_part(dx, index, own);
            for (u32 lane = 0; lane < PART_LANES; lane++) own[lane] = parts[part].keep ? scale * own[lane] : (real)0;
            store_part(df, index, own);
        }
    }
    for (; block < blocks.end; block += GLOBAL_SIZE)
        backward_elements(y, dy, df, dx, writes_dx, 8 * block, 8 * block + 8 < count ? 8 * block + 8 : count, run,
                          run_inverse, run_shift, start, threshold, scale, resolved);
}
