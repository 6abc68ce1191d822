// Dropout in which elements share decisions: y = scale * x where the unit of the element is kept, else +0. Shared
// spatial axes give channel dropout (Tompson, Goroshin, Jain, LeCun and Bregler, CVPR 2015); a shared time axis gives
// variational dropout (Gal and Ghahramani, NeurIPS 2016).
//
//   channel_dropout  forward and backward. The tensor is [outer, shared, units, run]: an element's unit is
//                    outer * units + units' index, so `shared` copies of a row of
//                    units, and `run` neighbours, have one decision. A dropped stretch of eight is not read.

#include "types.h"
#include "philox.h"

KERNEL void channel_dropout(GLOBAL const scalar* x, u64 x_offset, GLOBAL scalar* y, u64 y_offset, u64 count, u64 shared,
                            u64 units, u64 run, u64 start, u32 threshold, real scale, KEY_PARAMETERS) {
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    x += x_offset;
    y += y_offset;
    for (u64 first = 8 * GLOBAL_ID; first < count; first += 8 * GLOBAL_SIZE) {
        // Which row of `run` elements this is, and which decision it has.
#if INDEX_32
        const u64 row = (u32)first / (u32)run;
        u64 unit = (u32)row % (u32)units;
        u64 outer = (u32)row / (u32)units;
        u64 copy = (u32)outer % (u32)shared;
        outer = (u32)outer / (u32)shared;
#else
        const u64 row = first / run;
        u64 unit = row % units;
        u64 outer = row / units;
        u64 copy = outer % shared;
        outer /= shared;
#endif
        u64 in_run = first - row * run;
        u64 drawn_block = (start + outer * units + unit) / 8;
        philox_block drawn = philox(resolved, drawn_block);
        u32 keep = philox_lane(drawn, (u32)((start + outer * units + unit) % 8)) < threshold;
#if VEC == 8
        if (first + 8 <= count && in_run + 8 <= run) {
            real values[8] = {0, 0, 0, 0, 0, 0, 0, 0};
            if (keep) {
                load8(x, first, values);
                for (u32 lane = 0; lane < 8; lane++) values[lane] *= scale;
            }
            store8(y, first, values);
            continue;
        }
#endif
        for (u64 i = first; i < first + 8 && i < count; i++) {
            if (in_run == run) {
                in_run = 0;
                if (++unit == units) {
                    unit = 0;
                    if (++copy == shared) {
                        copy = 0;
                        outer++;
                    }
                }
                const u64 index = start + outer * units + unit;
                if (index / 8 != drawn_block) {
                    drawn_block = index / 8;
                    drawn = philox(resolved, drawn_block);
                }
                keep = philox_lane(drawn, (u32)(index % 8)) < threshold;
            }
            store(y, i, keep ? load(x, i) * scale : (real)0);
            in_run++;
        }
    }
}
