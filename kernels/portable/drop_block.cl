// DropBlock: y = scale * x outside the dropped blocks; inside them 0 or normal numbers (Ghiasi, Lin and Le, "DropBlock:
// a regularization method for convolutional networks", NeurIPS 2018). Wherever a whole block fits into a map it is
// dropped with probability gamma. The mask is a function of the key, so backward is the same map of dy with zeros in
// the blocks.
//
//   drop_block_seeds   draws where blocks start: one bit for each cell of the maps, all maps in a row
//   drop_block_spread  lets every set bit cover a box; the last of its passes turns dropped into kept
//   drop_block_count   kept cells in each part of a unit of normalisation
//   drop_block_scale   from their sums the scale of each unit: cells / kept cells
//   drop_block_apply   the map of x; FILL_NOISE writes normal numbers into the blocks
//
// A block never leaves its map, so in the row of all bits a cell is covered exactly when one of the bits before it, at
// the distances of the box, is set: no kernel needs to know where a row or a map ends, except for the draw.

#include "types.h"
#include "philox.h"
#include "math.h"
#include "normal.h"

// The draws of one call come from three ranges of blocks: the upper halves of the seeds' bits from 0, the lower halves
// and the noise from here.
#define LOWER_HALVES ((u64)1 << 60)
#define NOISE        ((u64)1 << 61)

DEVICE u32 low_bits(u64 count) { return count >= 32 ? 0xffffffffu : (1u << (u32)count) - 1; }

// Bit i says whether unit 8 * block + i is a seed: whether its 32 random bits are below the threshold. The upper half
// is the unit's lane of the block; the lower half, a lane of another block, is drawn only where the upper half leaves
// it open, once in 65,536 units.
DEVICE u32 seeds_of_block(random_key key, u64 block, u64 threshold) {
    const philox_block drawn = philox(key, block);
    const u32 upper = (u32)(threshold >> 16), lower = (u32)threshold & 0xffffu;
    u32 seeds = 0, open = 0;
    for (u32 lane = 0; lane < 8; lane++) {
        const u32 bits = philox_lane(drawn, lane);
        seeds |= (u32)(bits < upper) << lane;
        open |= (u32)(bits == upper) << lane;
    }
    if (open != 0) {
        const philox_block rest = philox(key, LOWER_HALVES + block);
        for (u32 lane = 0; lane < 8; lane++) seeds |= (open >> lane & (u32)(philox_lane(rest, lane) < lower)) << lane;
    }
    return seeds;
}

// The seeds among `count` units, at most 32.
DEVICE u32 seeds_of_units(random_key key, u64 unit, u32 count, u64 threshold) {
    const u64 first = unit / 8;
    u64 seeds = 0;
    for (u64 block = first; 8 * block < unit + count; block++)
        seeds |= (u64)seeds_of_block(key, block, threshold) << (8 * (block - first));
    return (u32)(seeds >> (unit % 8)) & low_bits(count);
}

// Units are counted over the positions where a block may start, [maps, seed_depth, seed_height, seed_width], from
// first_unit. One work item writes 32 cells.
KERNEL void drop_block_seeds(GLOBAL u32* seeds, u64 seeds_offset, u64 cells, u64 depth, u64 height, u64 width,
                             u64 seed_depth, u64 seed_height, u64 seed_width, u64 first_unit, u64 threshold,
                             KEY_PARAMETERS) {
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    for (u64 word = GLOBAL_ID; 32 * word < cells; word += GLOBAL_SIZE) {
        const u64 row = 32 * word / width, plane = row / height;
        u64 x = 32 * word % width, y = row % height, z = plane % depth, map = plane / depth;
        u32 bits = 0;
        for (u64 filled = 0; filled < 32 && 32 * word + filled < cells;) {
            if (x < seed_width && y < seed_height && z < seed_depth) {
                const u64 left = seed_width - x, room = 32 - filled;
                const u64 unit = first_unit + ((map * seed_depth + z) * seed_height + y) * seed_width + x;
                bits |= seeds_of_units(resolved, unit, (u32)(left < room ? left : room), threshold) << (u32)filled;
            }
            filled += width - x;
            x = 0;
            if (++y == height) {
                y = 0;
                if (++z == depth) {
                    z = 0;
                    map++;
                }
            }
        }
        seeds[seeds_offset + word] = bits;
    }
}

// Bits end - 64 to end - 1; those before the first are 0.
DEVICE u64 bits_before(GLOBAL const u32* bits, u64 end) {
    const u64 word = end / 32;
    const u32 shift = (u32)(end % 32);
    const u64 whole = (word >= 1 ? (u64)bits[word - 1] << 32 : 0) | (word >= 2 ? bits[word - 2] : 0);
    return shift == 0 ? whole : (u64)bits[word] << (64 - shift) | whole >> shift;
}

// How one pass spreads: `width` bits side by side, and those again `count` times along each axis, `pitch` bits apart.
#define SPREAD_PARAMETERS u64 width, u64 count_x, u64 pitch_x, u64 count_y, u64 pitch_y, u64 count_z, u64 pitch_z

// A bit of the result is set when one of the source is at the distance x * pitch_x + y * pitch_y + z * pitch_z + 0 ...
// (width - 1) before it; width is at most 32. A wide box takes several passes. The last of them inverts. One work item
// writes 32 cells.
KERNEL void drop_block_spread(GLOBAL const u32* source, u64 source_offset, GLOBAL u32* target, u64 target_offset,
                              u64 cells, SPREAD_PARAMETERS, u32 invert) {
    for (u64 word = GLOBAL_ID; 32 * word < cells; word += GLOBAL_SIZE) {
        const u64 end = 32 * word + 32;
        u64 bits = 0;
        for (u64 z = 0; z < count_z; z++) {
            for (u64 y = 0; y < count_y; y++) {
                for (u64 x = 0; x < count_x; x++) {
                    const u64 distance = x * pitch_x + y * pitch_y + z * pitch_z;
                    if (distance < end) bits |= bits_before(source + source_offset, end - distance);
                }
            }
        }
        for (u64 covered = 1; covered < width; covered *= 2)
            bits |= bits << (covered < width - covered ? covered : width - covered);
        const u32 result = (u32)(bits >> 32);
        target[target_offset + word] = invert ? ~result & low_bits(cells - 32 * word) : result;
    }
}

DEVICE u32 ones(u32 bits) {
    bits -= bits >> 1 & 0x55555555u;
    bits = (bits & 0x33333333u) + (bits >> 2 & 0x33333333u);
    return ((bits + (bits >> 4) & 0x0f0f0f0fu) * 0x01010101u) >> 24;
}

// One work item counts one part of a unit; the parts of a unit have part_cells cells each, the last may have fewer.
KERNEL void drop_block_count(GLOBAL const u32* mask, u64 mask_offset, GLOBAL u64* counts, u64 counts_offset, u64 units,
                             u64 unit_cells, u64 parts, u64 part_cells) {
    for (u64 item = GLOBAL_ID; item < units * parts; item += GLOBAL_SIZE) {
        const u64 part = item % parts, left = unit_cells - part * part_cells;
        const u64 start = item / parts * unit_cells + part * part_cells;
        const u64 end = start + (left < part_cells ? left : part_cells);
        u64 kept = 0;
        for (u64 word = start / 32; 32 * word < end; word++) {
            u32 bits = mask[mask_offset + word] & low_bits(end - 32 * word);
            if (32 * word < start) bits &= ~low_bits(start - 32 * word);
            kept += ones(bits);
        }
        counts[counts_offset + item] = kept;
    }
}

DEVICE real scale_of(u64 cells, u64 kept) { return kept == 0 ? (real)0 : (real)cells / (real)kept; }

#define PARTS_PER_ITEM 16

// Few parts are added by one work item, many by a group. Integers, so the order does not matter.
KERNEL void drop_block_scale(GLOBAL const u64* counts, u64 counts_offset, GLOBAL real* scales, u64 scales_offset,
                             u64 units, u64 unit_cells, u64 parts) {
    SHARED u64 sums[GROUP_SIZE];
    if (parts <= PARTS_PER_ITEM) {
        for (u64 unit = GLOBAL_ID; unit < units; unit += GLOBAL_SIZE) {
            u64 kept = 0;
            for (u64 part = 0; part < parts; part++) kept += counts[counts_offset + unit * parts + part];
            scales[scales_offset + unit] = scale_of(unit_cells, kept);
        }
    } else {
        for (u64 unit = GROUP_ID; unit < units; unit += GROUP_COUNT) {
            u64 kept = 0;
            for (u64 part = LOCAL_ID; part < parts; part += GROUP_SIZE)
                kept += counts[counts_offset + unit * parts + part];
            sums[LOCAL_ID] = kept;
            BARRIER();
            for (u32 half_size = GROUP_SIZE / 2; half_size > 0; half_size /= 2) {
                if (LOCAL_ID < half_size) sums[LOCAL_ID] += sums[LOCAL_ID + half_size];
                BARRIER();
            }
            // The next turn writes what only item 0 reads here.
            if (LOCAL_ID == 0) scales[scales_offset + unit] = scale_of(unit_cells, sums[0]);
        }
    }
}

// What stands in a dropped block: 0, or normal i % 4 of block NOISE + i / 4 (see normal.h).
DEVICE real filling(random_key key, u64 index) {
#if FILL_NOISE
    const philox_block drawn = philox(key, NOISE + index / 4);
    const u32 second_pair = index % 4 >= 2;
    float normals[2];
    normal_pair(second_pair ? drawn.words[2] : drawn.words[0], second_pair ? drawn.words[3] : drawn.words[1], normals);
    return (real)(index % 2 == 0 ? normals[0] : normals[1]);
#else
    return (real)0;
#endif
}

#if VEC == 8
// Eight bits from a cell on, or eight times the bit of one.
DEVICE u32 bits_from(GLOBAL const u32* mask, u64 cell, u64 mask_inner) {
    const u32 shift = (u32)(cell % 32);
    u32 bits = mask[cell / 32] >> shift;
    if (mask_inner == 0) return (bits & 1u) ? 0xffu : 0u;
    if (shift > 24) bits |= mask[cell / 32 + 1] << (32 - shift);
    return bits & 0xffu;
}
#endif

// x is [samples, outer, inner]: channels and cells in the order of the layout. The strides of mask and scales say how
// many bits, or entries, the next sample, outer and inner index are away. Without scales all is multiplied by `scale`.
// One work item serves eight elements; noise_start is the index of the first among all.
KERNEL void drop_block_apply(GLOBAL const scalar* x, u64 x_offset, GLOBAL scalar* y, u64 y_offset,
                             GLOBAL const u32* mask, u64 mask_offset, GLOBAL const real* scales, u64 scales_offset,
                             u64 count, u64 inner, u64 outer, u64 mask_inner, u64 mask_outer, u64 mask_sample,
                             u64 scale_inner, u64 scale_outer, u64 scale_sample, real scale, u64 noise_start,
                             KEY_PARAMETERS) {
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    x += x_offset;
    y += y_offset;
    mask += mask_offset;
    for (u64 first = 8 * GLOBAL_ID; first < count; first += 8 * GLOBAL_SIZE) {
        const u64 line = first / inner;
        u64 i = first - line * inner, sample = line / outer, o = line - sample * outer;
#if VEC == 8
        // Neighbours of one line have one scale, and bits that are neighbours or the same, whatever the layout.
        if (i + 8 <= inner && mask_inner <= 1 && scale_inner == 0) {
            real values[8];
            load8(x, first, values);
            const real factor = scales != 0 ? scales[scales_offset + sample * scale_sample + o * scale_outer] : scale;
            const u32 keep = bits_from(mask, sample * mask_sample + o * mask_outer + i * mask_inner, mask_inner);
            for (u32 lane = 0; lane < 8; lane++)
                values[lane] = keep >> lane & 1 ? values[lane] * factor : filling(resolved, noise_start + first + lane);
            store8(y, first, values);
            continue;
        }
#endif
        u32 keep = 0;
        real factors[8];
        for (u32 lane = 0; lane < 8; lane++) {
            factors[lane] = scale;
            if (first + lane >= count) continue;
            const u64 cell = sample * mask_sample + o * mask_outer + i * mask_inner;
            keep |= (mask[cell / 32] >> (u32)(cell % 32) & 1u) << lane;
            if (scales != 0)
                factors[lane] = scales[scales_offset + sample * scale_sample + o * scale_outer + i * scale_inner];
            if (++i == inner) {
                i = 0;
                if (++o == outer) {
                    o = 0;
                    sample++;
                }
            }
        }
#if VEC == 8
        if (first + 8 <= count) {
            real values[8];
            load8(x, first, values);
            for (u32 lane = 0; lane < 8; lane++)
                values[lane] =
                    keep >> lane & 1 ? values[lane] * factors[lane] : filling(resolved, noise_start + first + lane);
            store8(y, first, values);
            continue;
        }
#endif
        for (u32 lane = 0; lane < 8; lane++) {
            const u64 index = first + lane;
            if (index >= count) break;
            store(y, index, keep >> lane & 1 ? load(x, index) * factors[lane] : filling(resolved, noise_start + index));
        }
    }
}
