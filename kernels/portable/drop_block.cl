// DropBlock: y = scale * x outside the dropped blocks; inside them 0 or normal numbers (Ghiasi, Lin and Le, "DropBlock:
// a regularization method for convolutional networks", NeurIPS 2018). Wherever a whole block fits into a map it is
// dropped with probability gamma. The mask is a function of the key, so backward is the same map of dy with zeros in
// the blocks.
//
//   drop_block_draw    draws where blocks start, one bit for each cell of the maps, all maps in a row, and lets every
//                      set bit cover a box where the box reaches over few words
//   drop_block_spread  covers larger boxes in passes
//   drop_block_scale   from the kept cells of each tile of the mask the scale of each unit of normalisation: cells /
//                      kept cells
//   drop_block_order   the bits in the order of the elements, for the pass of another op that drops on its way
//   drop_block_apply   the map of x; FILL_NOISE writes normal numbers into the blocks
//
// The last pass over the bits turns dropped into kept and counts. A block never leaves its map, so in the row of all
// bits a cell is covered exactly when one of the bits before it, at the distances of the box, is set: no kernel needs
// to know where a row or a map ends, except for the draw.

#include "types.h"
#include "parts.h"
#include "divisor.h"
#include "philox.h"
#include "math.h"
#include "normal.h"
#include "reduce.h"

// The draws of one call come from three ranges of blocks: the upper halves of the seeds' bits from 0, the lower halves
// and the noise from here.
#define LOWER_HALVES ((u64)1 << 60)
#define NOISE        ((u64)1 << 61)

DEVICE u64 low_bits(u64 count) { return count >= 64 ? ~(u64)0 : ((u64)1 << (u32)count) - 1; }

// Bit i says whether unit 8 * block + i is a seed: whether its 32 random bits are below the threshold. The upper half
// is the unit's lane of the block; the lower half, a lane of another block, is drawn only where the upper half leaves
// it open, once in 65,536 units.
DEVICE u32 seeds_of_block(random_key key, u64 block, u64 threshold) {
    const philox_block drawn = philox(key, block);
    const u32 upper = (u32)(threshold >> 16), lower = (u32)threshold & 0xffffu;
    u32 seeds = 0, open = 0;
    for (u32 lane = 8; lane-- > 0;) seeds = seeds << 1 | (philox_lane(drawn, lane) - upper) >> 31;
    // The top bit of a half is set where the half may be equal: where the lowest of a word is, or one above it, it is.
    for (u32 i = 0; i < 4; i++) {
        const u32 differing = drawn.words[i] ^ (upper & 0xffffu) * 0x10001u;
        open |= differing - 0x10001u & ~differing;
    }
    if ((open & 0x80008000u) != 0) {
        const philox_block rest = philox(key, LOWER_HALVES + block);
        for (u32 lane = 0; lane < 8; lane++)
            if (philox_lane(drawn, lane) == upper && philox_lane(rest, lane) < lower) seeds |= 1u << lane;
    }
    return seeds;
}

// Up to 64 bits of a tile from one of them on.
DEVICE INLINED u64 bits_of_tile(LOCAL const u64* tile, u32 first, u32 count) {
    const u32 shift = first % 64;
    u64 bits = tile[first / 64] >> shift;
    if (shift + count > 64) bits |= tile[first / 64 + 1] << (64 - shift);
    return bits & low_bits(count);
}

// Words of 64 cells that a work group makes at a time, one each item.
#define TILE GROUP_SIZE

// The mask has words of 32 cells, and may end with the first half of a word.
DEVICE void store_word(GLOBAL u32* mask, u64 cell, u64 cells, u64 bits) {
    if (cell < cells) mask[cell / 32] = (u32)bits;
    if (cell + 32 < cells) mask[cell / 32 + 1] = (u32)(bits >> 32);
}

// Where the kept cells are counted, if they are: units of unit_cells cells each, of which a tile meets up to
// tile_units.
#define COUNT_PARAMETERS GLOBAL u32 *counts, u64 counts_offset, u64 unit_cells, u64 tile_units

// Set bits of a tile before one of its bits; `sums` are those up to the end of each word.
DEVICE INLINED u32 kept_before(LOCAL const u64* tile, LOCAL const u64* sums, u32 bit) {
    const u32 word = bit / 64;
    return (word == 0 ? 0 : (u32)sums[word - 1]) + (bit % 64 == 0 ? 0 : COUNT_ONES(tile[word] & low_bits(bit % 64)));
}

// The kept cells of each unit in a tile. Item i has word i of the tile, in which the cells from `first` to `end` - 1
// begin at bit `skipped`; the bits of other cells are 0.
DEVICE INLINED void count_tile(LOCAL u64* tile, LOCAL u64* sums, u64 bits, u64 first, u64 end, u32 skipped,
                               u64 unit_cells, GLOBAL u32* counts) {
    u64 total;
    const u64 sum = running_sum(COUNT_ONES(bits), sums, &total);
    tile[LOCAL_ID] = bits;
    sums[LOCAL_ID] = sum;
    BARRIER();
    const u64 first_unit = first / unit_cells;
    for (u64 i = LOCAL_ID; (first_unit + i) * unit_cells < end; i += GROUP_SIZE) {
        const u64 start = (first_unit + i) * unit_cells, stop = start + unit_cells;
        const u32 before = kept_before(tile, sums, skipped + (start < first ? 0 : (u32)(start - first)));
        counts[i] = kept_before(tile, sums, skipped + (u32)((stop < end ? stop : end) - first)) - before;
    }
    BARRIER();
}

// How one pass spreads: `span` bits side by side, and those again `count` times along each axis, `pitch` bits apart.
#define SPREAD_PARAMETERS u64 span, u64 count_x, u64 pitch_x, u64 count_y, u64 pitch_y, u64 count_z, u64 pitch_z

// Every set bit of a tile sets `count` - 1 more, each `pitch` after the one before, by doubling. Item i has word i.
// Steps take turns with the two sides of `scratch`, so that one barrier is enough.
DEVICE INLINED u64 spread_tile(LOCAL u64* scratch, u32* side, u64 bits, u64 count, u64 pitch) {
    for (u64 covered = 1; covered < count; covered *= 2) {
        const u32 distance = (u32)((covered < count - covered ? covered : count - covered) * pitch);
        const u32 words = distance / 64, shift = distance % 64;
        LOCAL u64* tile = scratch + *side;
        *side = TILE - *side;
        tile[LOCAL_ID] = bits;
        BARRIER();
        if (LOCAL_ID >= words) bits |= tile[LOCAL_ID - words] << shift;
        if (LOCAL_ID > words && shift != 0) bits |= tile[LOCAL_ID - words - 1] >> (64 - shift);
    }
    return bits;
}

// Units are counted over the positions where a block may start, [maps, seed_depth, seed_height, seed_width], from
// first_unit. A group makes TILE words, the first `halo` of them for no more than what reaches from there into the
// others, which are its tile.
KERNEL void drop_block_draw(GLOBAL u32* target, u64 target_offset, u64 cells, u64 depth, u64 height, u64 width,
                            u64 seed_depth, u64 seed_height, u64 seed_width, u64 first_unit, u64 threshold, u32 halo,
                            SPREAD_PARAMETERS, u32 invert, COUNT_PARAMETERS, KEY_PARAMETERS) {
    SHARED u64 bounds[2];
    SHARED u64 tile[TILE + 1];
    SHARED u64 spread[2 * TILE];
    SHARED u64 sums[TILE];
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    const u64 tile_cells = 64 * (u64)(TILE - halo), before = 64 * halo;
    for (u64 number = GROUP_ID; number * tile_cells < cells; number += GROUP_COUNT) {
        const u64 first = number * tile_cells, ahead = first + 64 * LOCAL_ID;
        const u64 cell = ahead < before ? 0 : ahead - before < cells ? ahead - before : cells;
        const u32 room = ahead < before ? 0 : cells - cell < 64 ? (u32)(cells - cell) : 64;
        const u64 row = cell / width, plane = row / height, map = plane / depth;
        u64 x = cell - row * width, y = row - plane * height, z = plane - map * depth;

        // The units before the cell, and the blocks in which all of the group are.
        u64 unit = map * seed_depth + (z < seed_depth ? z : seed_depth);
        unit = unit * seed_height + (z >= seed_depth ? 0 : y < seed_height ? y : seed_height);
        unit = unit * seed_width + (z >= seed_depth || y >= seed_height ? 0 : x < seed_width ? x : seed_width);
        unit += first_unit;
        if (LOCAL_ID == 0) bounds[0] = unit / 8;
        if (LOCAL_ID == TILE - 1) bounds[1] = unit + 64;
        BARRIER();
        const u64 block = bounds[0];
        const u32 words = (u32)(bounds[1] - 8 * block + 63) / 64;
        for (u32 i = LOCAL_ID; i < 8 * words; i += GROUP_SIZE)
            ((LOCAL u8*)tile)[i] = (u8)seeds_of_block(resolved, block + i, threshold);
        BARRIER();

        // Units into cells, row by row.
        u64 bits = 0;
        u32 next = (u32)(unit - 8 * block);
        for (u32 filled = 0; filled < room;) {
            const u32 left = room - filled;
            if (x < seed_width && y < seed_height && z < seed_depth) {
                const u32 count = seed_width - x < left ? (u32)(seed_width - x) : left;
                bits |= bits_of_tile(tile, next, count) << filled;
                next += count;
            }
            filled += width - x < left ? (u32)(width - x) : left;
            x = 0;
            if (++y == height) {
                y = 0;
                if (++z == depth) z = 0;
            }
        }

        u32 side = 0;
        bits = spread_tile(spread, &side, bits, span, 1);
        bits = spread_tile(spread, &side, bits, count_x, pitch_x);
        bits = spread_tile(spread, &side, bits, count_y, pitch_y);
        bits = spread_tile(spread, &side, bits, count_z, pitch_z);
        bits = LOCAL_ID < halo ? 0 : (invert ? ~bits : bits) & low_bits(room);
        if (LOCAL_ID >= halo) store_word(target + target_offset, cell, cells, bits);
        if (counts != 0)
            count_tile(spread + side, sums, bits, first, first + tile_cells < cells ? first + tile_cells : cells,
                       64 * halo, unit_cells, counts + counts_offset + number * tile_units);
    }
}

// Bits end - 64 to end - 1; those before the first are 0.
DEVICE u64 bits_before(GLOBAL const u32* bits, u64 end) {
    const u64 word = end / 32;
    const u32 shift = (u32)(end % 32);
    const u64 whole = (word >= 1 ? (u64)bits[word - 1] << 32 : 0) | (word >= 2 ? bits[word - 2] : 0);
    return shift == 0 ? whole : (u64)bits[word] << (64 - shift) | whole >> shift;
}

// Bits end - 32 to end - 1 of what a pass makes.
DEVICE u32 spread_word(GLOBAL const u32* source, u64 end, SPREAD_PARAMETERS) {
    u64 bits = 0;
    for (u32 z = 0; z < count_z; z++) {
        for (u32 y = 0; y < count_y; y++) {
            for (u32 x = 0; x < count_x; x++) {
                const u64 distance = x * pitch_x + y * pitch_y + z * pitch_z;
                if (distance < end) bits |= bits_before(source, end - distance);
            }
        }
    }
    for (u64 covered = 1; covered < span; covered *= 2)
        bits |= bits << (covered < span - covered ? covered : span - covered);
    return (u32)(bits >> 32);
}

// A bit of the result is set when one of the source is at the distance x * pitch_x + y * pitch_y + z * pitch_z + 0 ...
// (span - 1) before it; span is at most 32. A wide box takes several passes. The last of them inverts.
KERNEL void drop_block_spread(GLOBAL const u32* source, u64 source_offset, GLOBAL u32* target, u64 target_offset,
                              u64 cells, SPREAD_PARAMETERS, u32 invert, COUNT_PARAMETERS) {
    SHARED u64 tile[TILE];
    SHARED u64 sums[TILE];
    source += source_offset;
    target += target_offset;
    for (u64 number = GROUP_ID; number * 64 * TILE < cells; number += GROUP_COUNT) {
        const u64 first = number * 64 * TILE, end = first + 64 * TILE;
        for (u32 word = LOCAL_ID; word < 2 * TILE; word += GROUP_SIZE) {
            const u64 cell = first + 32 * word;
            u32 bits = 0;
            if (cell < cells) {
                bits = spread_word(source, cell + 32, span, count_x, pitch_x, count_y, pitch_y, count_z, pitch_z);
                bits = (invert ? ~bits : bits) & (u32)low_bits(cells - cell);
                target[cell / 32] = bits;
            }
            ((LOCAL u32*)tile)[word] = bits;
        }
        if (counts != 0) {
            BARRIER();
            count_tile(tile, sums, tile[LOCAL_ID], first, end < cells ? end : cells, 0, unit_cells,
                       counts + counts_offset + number * tile_units);
        }
    }
}

// The kept cells of a unit in the tiles that it meets: in every `step`-th from number `from` on. In the first of them
// others may come before it.
DEVICE u64 kept_in_tiles(GLOBAL const u32* counts, u64 unit, u64 unit_cells, u64 tile_cells, u64 tile_units, u64 from,
                         u64 step) {
    const u64 first = unit * unit_cells / tile_cells, end = ((unit + 1) * unit_cells - 1) / tile_cells + 1;
    const u64 others = unit - first * tile_cells / unit_cells;
    u64 kept = 0;
    for (u64 tile = first + from; tile < end; tile += step)
        kept += counts[tile * tile_units + (tile == first ? others : 0)];
    return kept;
}

DEVICE real scale_of(u64 cells, u64 kept) { return kept == 0 ? (real)0 : (real)cells / (real)kept; }

// A unit whose cells are all in few tiles is added by one work item, a larger one by a group. Integers, so the order
// does not matter.
KERNEL void drop_block_scale(GLOBAL const u32* counts, u64 counts_offset, GLOBAL real* scales, u64 scales_offset,
                             u64 units, u64 unit_cells, u64 tile_cells, u64 tile_units, u32 by_group) {
    SHARED u64 sums[GROUP_SIZE];
    counts += counts_offset;
    scales += scales_offset;
    if (!by_group) {
        for (u64 unit = GLOBAL_ID; unit < units; unit += GLOBAL_SIZE)
            scales[unit] = scale_of(unit_cells, kept_in_tiles(counts, unit, unit_cells, tile_cells, tile_units, 0, 1));
    } else {
        for (u64 unit = GROUP_ID; unit < units; unit += GROUP_COUNT) {
            sums[LOCAL_ID] = kept_in_tiles(counts, unit, unit_cells, tile_cells, tile_units, LOCAL_ID, GROUP_SIZE);
            BARRIER();
            for (u32 half_size = GROUP_SIZE / 2; half_size > 0; half_size /= 2) {
                if (LOCAL_ID < half_size) sums[LOCAL_ID] += sums[LOCAL_ID + half_size];
                BARRIER();
            }
            // The next turn writes what only item 0 reads here.
            if (LOCAL_ID == 0) scales[unit] = scale_of(unit_cells, sums[0]);
        }
    }
}

// Bit i of the target is that of element i. Elements and strides are as in drop_block_apply; an item makes a word.
KERNEL void drop_block_order(GLOBAL const u32* mask, u64 mask_offset, GLOBAL u32* target, u64 target_offset, u64 count,
                             u64 inner, u64 outer, u64 mask_inner, u64 mask_outer, u64 mask_sample) {
    mask += mask_offset;
    target += target_offset;
    for (u64 word = GLOBAL_ID; 32 * word < count; word += GLOBAL_SIZE) {
        const u64 line = 32 * word / inner, first = line / outer;
        u64 i = 32 * word - line * inner, o = line - first * outer, sample = first;
        u64 cell = sample * mask_sample + o * mask_outer + i * mask_inner;
        const u32 lanes = count - 32 * word < 32 ? (u32)(count - 32 * word) : 32u;
        u32 bits = 0;
        for (u32 lane = 0; lane < lanes; lane++) {
            bits |= (mask[cell / 32] >> (u32)(cell % 32) & 1u) << lane;
            cell += mask_inner;
            if (++i < inner) continue;
            i = 0;
            if (++o == outer) {
                o = 0;
                sample++;
            }
            cell = sample * mask_sample + o * mask_outer;
        }
        target[word] = bits;
    }
}

// What stands in a dropped block: 0, or normal i % 4 of block NOISE + i / 4 (see normal.h).
DEVICE real fill_at(random_key key, u64 index) {
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

// Neighbours that a work item takes.
#define LANES (VEC == 8 ? PART_LANES : 8)

#if VEC == 8
#define ALL_LANES ((1u << LANES) - 1)

// Bits of as many elements from a cell on: neighbours, or mask_inner apart, or the same one for all.
DEVICE u32 bits_from(GLOBAL const u32* mask, u64 cell, u64 mask_inner) {
    const u32 shift = (u32)(cell % 32);
    u32 bits = mask[cell / 32] >> shift;
    if (mask_inner == 0) return (bits & 1u) ? ALL_LANES : 0u;
    if (mask_inner == 1) {
        if (shift > 32 - LANES) bits |= mask[cell / 32 + 1] << (32 - shift);
        return bits & ALL_LANES;
    }
    bits &= 1u;
    for (u32 lane = 1; lane < LANES; lane++) {
        cell += mask_inner;
        bits |= (mask[cell / 32] >> (u32)(cell % 32) & 1u) << lane;
    }
    return bits;
}

// What stands in the elements from `index`, a multiple of four, on where they are dropped; nothing is drawn where all
// are kept.
DEVICE void fill_dropped(random_key key, u64 index, u32 keep, real* filling) {
    for (u32 lane = 0; lane < LANES; lane++) filling[lane] = 0;
#if FILL_NOISE
    if (keep == ALL_LANES) return;
    for (u32 i = 0; i < LANES; i += 4) {
        float normals[4];
        normals_of(philox(key, NOISE + (index + i) / 4), normals);
        for (u32 lane = 0; lane < 4; lane++) filling[i + lane] = (real)normals[lane];
    }
#endif
}
#endif

// x is [samples, outer, inner]: channels and cells in the order of the layout. The strides of mask and scales say how
// many bits, or entries, the next sample, outer and inner index are away. Without scales all is multiplied by `scale`.
// noise_start is the index of the first element among all.
KERNEL void drop_block_apply(GLOBAL const scalar* x, u64 x_offset, GLOBAL scalar* y, u64 y_offset,
                             GLOBAL const u32* mask, u64 mask_offset, GLOBAL const real* scales, u64 scales_offset,
                             u64 count, u64 inner, u64 inner_inverse, u32 inner_shift, u64 outer, u64 outer_inverse,
                             u32 outer_shift, u64 mask_inner, u64 mask_outer, u64 mask_sample, u64 scale_inner,
                             u64 scale_outer, u64 scale_sample, real scale, u64 noise_start, KEY_PARAMETERS) {
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    x += x_offset;
    y += y_offset;
    mask += mask_offset;
    for (u64 first = LANES * GLOBAL_ID; first < count; first += LANES * GLOBAL_SIZE) {
        const u64 line = quotient(first, inner_inverse, inner_shift);
        u64 i = first - line * inner, sample = quotient(line, outer_inverse, outer_shift), o = line - sample * outer;
#if VEC == 8
        // Neighbours of one line have one scale, unless it is of their channel and they are of one cell.
        if (i + LANES <= inner && scale_inner == 0 && noise_start % 4 == 0) {
            real values[8], filling[8];
            load_part(x, first, values);
            const real factor = scales != 0 ? scales[scales_offset + sample * scale_sample + o * scale_outer] : scale;
            const u32 keep = bits_from(mask, sample * mask_sample + o * mask_outer + i * mask_inner, mask_inner);
            fill_dropped(resolved, noise_start + first, keep, filling);
            for (u32 lane = 0; lane < LANES; lane++)
                values[lane] = keep >> lane & 1 ? values[lane] * factor : filling[lane];
            store_part(y, first, values);
            continue;
        }
#endif
        u32 keep = 0;
        real factors[8];
        // Behind the last element its cell is looked at again.
        for (u32 lane = 0; lane < LANES; lane++) {
            factors[lane] = scale;
            const u64 cell = sample * mask_sample + o * mask_outer + i * mask_inner;
            keep |= (mask[cell / 32] >> (u32)(cell % 32) & 1u) << lane;
            if (scales != 0)
                factors[lane] = scales[scales_offset + sample * scale_sample + o * scale_outer + i * scale_inner];
            if (first + lane + 1 < count && ++i == inner) {
                i = 0;
                if (++o == outer) {
                    o = 0;
                    sample++;
                }
            }
        }
#if VEC == 8
        if (first + LANES <= count) {
            real values[8];
            load_part(x, first, values);
            for (u32 lane = 0; lane < LANES; lane++)
                values[lane] =
                    keep >> lane & 1 ? values[lane] * factors[lane] : fill_at(resolved, noise_start + first + lane);
            store_part(y, first, values);
            continue;
        }
#endif
        for (u32 lane = 0; lane < LANES; lane++) {
            const u64 index = first + lane;
            if (index >= count) break;
            store(y, index, keep >> lane & 1 ? load(x, index) * factors[lane] : fill_at(resolved, noise_start + index));
        }
    }
}
