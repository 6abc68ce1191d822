// Dropout in which elements share decisions: y = scale * x where the unit of the element is kept, else +0. Shared
// spatial axes give channel dropout (Tompson, Goroshin, Jain, LeCun and Bregler, CVPR 2015); a shared time axis gives
// variational dropout (Gal and Ghahramani, NeurIPS 2016).
//
//   channel_dropout  forward and backward. The tensor is [outer, shared, units, run]: an element's unit is
//                    outer * units + units' index, so `shared` copies of a row of
//                    units, and `run` neighbours, have one decision. A dropped stretch of eight is not read.
//
// WHOLE_BLOCKS says that eight neighbours lie in one run of one copy, or in one Philox block of units with a run of 1.

#include "types.h"
#include "parts.h"
#include "divisor.h"
#include "philox.h"

// Elements that an item moves at a time, one of HALVES of a block of eight.
#define LANES  (VEC == 8 ? PART_LANES : 8)
#define HALVES (8 / LANES)

// A job moves at least 32 bytes each way.
#if DTYPE_F16 || DTYPE_BF16
#define COPIES_PER_JOB 2
#else
#define COPIES_PER_JOB 1
#endif

DEVICE real selected(u32 keep, u32 lane, real scale, real value) {
    return (keep >> lane & 1u) ? value * scale : (real)0;
}

// With whole blocks the inverses are of the blocks of a row, `inner`, and of the jobs of a column of copies, `stride`.
KERNEL void channel_dropout(GLOBAL const scalar* x, u64 x_offset, GLOBAL scalar* y, u64 y_offset, u64 count, u64 jobs,
                            u64 shared, u64 units, u64 run, u64 run_inverse, u32 run_shift, u64 units_inverse,
                            u32 units_shift, u64 shared_inverse, u32 shared_shift, u64 start, u32 threshold, real scale,
                            KEY_PARAMETERS) {
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    x += x_offset;
    y += y_offset;
#if WHOLE_BLOCKS
    // Blocks of eight elements are [outer, copies, inner], and all copies of one have the same decisions. A job draws
    // them once for its copies, which lie `stride` apart, so that neighbours take what lies side by side.
    const u64 copies = run > 1 ? run / 8 : shared, inner = run > 1 ? 1 : units / 8;
    const u64 stride = (copies + COPIES_PER_JOB - 1) / COPIES_PER_JOB;
    for (u64 item = GLOBAL_ID; item < HALVES * jobs; item += GLOBAL_SIZE) {
        const u64 job = item / HALVES, side = item % HALVES;
        const u64 row = quotient(job, run_inverse, run_shift), column = job - row * inner;
        const u64 outer = quotient(row, units_inverse, units_shift);
        const u64 copy = row - outer * stride;
        const u64 unit = start + (run > 1 ? outer : 8 * (outer * inner + column));
        const philox_block drawn = philox(resolved, unit / 8);
        u32 keep = 0;
        if (run > 1) {
            keep = philox_lane(drawn, (u32)(unit % 8)) < threshold ? 0xffu : 0;
        } else {
            for (u32 lane = 0; lane < 8; lane++) keep |= (philox_lane(drawn, lane) < threshold ? 1u : 0u) << lane;
            keep = keep >> (LANES * (u32)side) & ((1u << LANES) - 1);
        }
        const u64 first = 8 * ((outer * copies + copy) * inner + column) + LANES * side, next = 8 * stride * inner;
        // All loads are under way before the first store: y may be x, so a compiler does not bring them forward.
        real values[COPIES_PER_JOB][8];
        for (u32 i = 0; i < COPIES_PER_JOB; i++) {
            for (u32 lane = 0; lane < LANES; lane++) values[i][lane] = 0;
            if (keep != 0 && copy + i * stride < copies) load_part(x, first + i * next, values[i]);
        }
        for (u32 i = 0; i < COPIES_PER_JOB; i++) {
            if (copy + i * stride >= copies) continue;
            for (u32 lane = 0; lane < LANES; lane++) values[i][lane] = selected(keep, lane, scale, values[i][lane]);
            store_part(y, first + i * next, values[i]);
        }
    }
#else
    for (u64 first = LANES * GLOBAL_ID; first < count; first += LANES * GLOBAL_SIZE) {
        // Which row of `run` elements the first lies in, and which decision that has.
        const u64 row = quotient(first, run_inverse, run_shift);
        u64 unit = row, outer = 0, copy = 0;
        if (shared > 1) {
            const u64 row_of_units = quotient(row, units_inverse, units_shift);
            unit = row - row_of_units * units;
            outer = quotient(row_of_units, shared_inverse, shared_shift);
            copy = row_of_units - outer * shared;
        }
        u64 index = start + outer * units + unit, drawn_block = index / 8;
        philox_block drawn = philox(resolved, drawn_block);
        u32 keep = philox_lane(drawn, (u32)(index % 8)) < threshold ? 0xffu : 0;
        // Where another row begins inside the item's elements, the rest is decided again.
        for (u64 left = (row + 1) * run - first; left < LANES; left += run) {
            if (++unit == units) {
                unit = 0;
                if (++copy == shared) {
                    copy = 0;
                    outer++;
                }
            }
            index = start + outer * units + unit;
            if (index / 8 != drawn_block) {
                drawn_block = index / 8;
                drawn = philox(resolved, drawn_block);
            }
            const u32 decided = (1u << (u32)left) - 1;
            keep = (keep & decided) | (philox_lane(drawn, (u32)(index % 8)) < threshold ? 0xffu & ~decided : 0);
        }
#if VEC == 8
        if (first + LANES <= count) {
            real values[8] = {0, 0, 0, 0, 0, 0, 0, 0};
            if (keep != 0) load_part(x, first, values);
            for (u32 lane = 0; lane < LANES; lane++) values[lane] = selected(keep, lane, scale, values[lane]);
            store_part(y, first, values);
            continue;
        }
#endif
        for (u32 lane = 0; lane < LANES && first + lane < count; lane++)
            store(y, first + lane, selected(keep, lane, scale, load(x, first + lane)));
    }
#endif
}
