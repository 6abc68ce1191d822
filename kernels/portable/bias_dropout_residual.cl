// The end of a residual branch: y = residual + r * scale[d] * dropout(x + bias[d]) for rows of D elements, r the row's
// drop path decision times its scale (Narayanan et al., "Efficient large-scale language model training on GPU
// clusters", SC 2021; Huang et al., ECCV 2016; Touvron et al., ICCV 2021).
//
//   bias_dropout_residual_forward   y; a dropped element or row gives its residual as it is, and a dropped row's x is
//                                   not read
//   bias_dropout_residual_backward  dx, and for each strip of rows the sums over them, of which partial_sums.cl makes
//                                   dbias and dscale
//
// Element i of the whole tensor takes lane i % 8 of Philox block i / 8, row n lane n % 8 of block 2^63 + n / 8, which
// no element reaches. A work group takes 256 columns; its items are 32 wide with eight columns each, and 8 deep with
// eight rows each, those that one block decides about. An item's columns are neighbours, or fours in both halves of the
// 256 where these are 16 bytes, so that neighbours' accesses stand side by side.

#include "types.h"
#include "philox.h"
#include "keep.h"

#define ROW_BLOCKS 0x8000000000000000ul

// Which of the eight rows of a block are kept, as bits.
DEVICE u32 keep_rows(random_key key, u64 row_block, u32 row_threshold) {
    if (row_threshold >= 65536u) return 0xffu;
    const philox_block drawn = philox(key, ROW_BLOCKS + row_block);
    u32 bits = 0;
    for (u32 lane = 0; lane < 8; lane++) bits |= (philox_lane(drawn, lane) < row_threshold ? 1u : 0u) << lane;
    return bits;
}

#define HAS_FOURS    (VEC == 8 && PAIRED)
#define FOURS_APART  128
#define ITEM_COLUMNS (HAS_FOURS ? 4 : 8)

// The first column of this item in a tile, and how many it has.
DEVICE u64 first_column(u64 tile) { return 256 * tile + ITEM_COLUMNS * (LOCAL_ID % 32); }

DEVICE u32 column_count(u64 first, u64 columns) {
    if (first >= columns) return 0;
#if HAS_FOURS
    return first + FOURS_APART < columns ? 8 : 4;
#else
    return columns - first < 8 ? (u32)(columns - first) : 8;
#endif
}

// The draws of an item's columns in a row, whose first element has this index.
DEVICE philox_block draw_columns(random_key key, u64 index) {
#if HAS_FOURS
    const philox_block left = philox(key, index / 8), right = philox(key, (index + FOURS_APART) / 8);
    const u32 odd = index % 8 != 0;
    const philox_block drawn = {{odd ? left.words[2] : left.words[0], odd ? left.words[3] : left.words[1],
                                 odd ? right.words[2] : right.words[0], odd ? right.words[3] : right.words[1]}};
    return drawn;
#else
    return draw8(key, index);
#endif
}

// An item's columns of a row, of which `count` exist; the others are 0.
DEVICE stored8 load_up_to_8(GLOBAL const scalar* source, u64 first, u32 count) {
#if HAS_FOURS
    stored8 stored = {{0}};
    load4_f32(source + first, stored.values);
    if (count > 4) load4_f32(source + first + FOURS_APART, stored.values + 4);
    return stored;
#elif VEC == 8
    return load8_stored(source, first);
#else
    stored8 stored;
#if DTYPE_F16 || DTYPE_BF16
    for (u32 i = 0; i < 4; i++)
        stored.pairs[i] = (2 * i < count ? source[first + 2 * i] : 0u) |
                          (2 * i + 1 < count ? (u32)source[first + 2 * i + 1] << 16 : 0u);
#else
    for (u32 lane = 0; lane < 8; lane++) stored.values[lane] = lane < count ? source[first + lane] : (scalar)0;
#endif
    return stored;
#endif
}

DEVICE void store_up_to_8(GLOBAL scalar* target, u64 first, u32 count, const real* values) {
#if HAS_FOURS
    store4_f32(target + first, values);
    if (count > 4) store4_f32(target + first + FOURS_APART, values + 4);
#elif VEC == 8
    store8(target, first, values);
#else
    for (u32 lane = 0; lane < 8; lane++)
        if (lane < count) store(target, first + lane, values[lane]);
#endif
}

// An item's columns of a parameter that may be absent.
DEVICE void load_parameter(GLOBAL const scalar* parameter, u64 first, u32 count, real absent, real* values) {
    if (parameter != 0) {
        widen8(load_up_to_8(parameter, first, count), values);
    } else {
        for (u32 lane = 0; lane < 8; lane++) values[lane] = absent;
    }
}

// Rows `start_row` and on of the whole tensor. `scale` is that of kept elements in kept rows. VEC = 8 needs D to be a
// multiple of eight.
KERNEL void bias_dropout_residual_forward(GLOBAL const scalar* x, u64 x_offset, GLOBAL const scalar* residual,
                                          u64 residual_offset, GLOBAL scalar* y, u64 y_offset,
                                          GLOBAL const scalar* bias, u64 bias_offset,
                                          GLOBAL const scalar* channel_scale, u64 channel_scale_offset, u64 rows,
                                          u64 columns, u64 start_row, u32 threshold, u32 row_threshold, real scale,
                                          KEY_PARAMETERS) {
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    const u64 tiles = (columns + 255) / 256, end_row = start_row + rows;
    const u64 first_strip = start_row / 64, strips = (end_row + 63) / 64 - first_strip;
    x += x_offset;
    residual += residual_offset;
    y += y_offset;
    if (bias != 0) bias += bias_offset;
    if (channel_scale != 0) channel_scale += channel_scale_offset;
    for (u64 job = GROUP_ID; job < tiles * strips; job += GROUP_COUNT) {
        const u64 strip = job / tiles, column = first_column(job - strip * tiles);
        const u64 row_block = 8 * (first_strip + strip) + LOCAL_ID / 32;
        if (column >= columns || 8 * row_block >= end_row) continue;
        const u32 width = column_count(column, columns);
        real added[8], factor[8];
        load_parameter(bias, column, width, 0, added);
        load_parameter(channel_scale, column, width, 1, factor);
        for (u32 lane = 0; lane < 8; lane++) factor[lane] *= scale;
        const u32 kept_rows = keep_rows(resolved, row_block, row_threshold);
        const u64 begin = 8 * row_block < start_row ? start_row : 8 * row_block;
        const u64 end = 8 * row_block + 8 < end_row ? 8 * row_block + 8 : end_row;
        u64 first = (begin - start_row) * columns + column;
        stored8 past = {{0}}, branch = {{0}};
        u32 kept = 0;
        // A row is loaded in the turn before its own, so that it comes while its decisions are drawn.
        for (u64 row = begin;; row++, first += columns) {
            if (row > begin) {
                real values[8], computed[8];
                if (kept) {
                    const philox_block drawn = draw_columns(resolved, (row - 1) * columns + column);
                    widen8(past, values);
                    widen8(branch, computed);
                    for (u32 lane = 0; lane < 8; lane++) {
                        const real scaled = (computed[lane] + added[lane]) * factor[lane];
                        values[lane] = philox_lane(drawn, lane) < threshold ? values[lane] + scaled : values[lane];
                    }
                } else {
                    widen8(past, values);
                }
                store_up_to_8(y, first - columns, width, values);
            }
            if (row >= end) break;
            kept = kept_rows >> (u32)(row % 8) & 1u;
            past = load_up_to_8(residual, first, width);
            if (kept) branch = load_up_to_8(x, first, width);
        }
    }
}

// Each of the 256 items adds the eight rows of items for one column.
DEVICE INLINED void store_tile_sums(const real* own, GLOBAL real* partial, u64 split, u64 tile, u64 columns,
                                    LOCAL real* sums) {
    for (u32 lane = 0; lane < 8; lane++)
        sums[256 * (LOCAL_ID / 32) + ITEM_COLUMNS * (LOCAL_ID % 32) + lane % ITEM_COLUMNS +
             FOURS_APART * (lane / ITEM_COLUMNS)] = own[lane];
    BARRIER();
    real sum = 0;
    for (u32 depth = 0; depth < 8; depth++) sum += sums[256 * depth + LOCAL_ID];
    if (256 * tile + LOCAL_ID < columns) partial[split * columns + 256 * tile + LOCAL_ID] = sum;
    BARRIER();
}

// A job is a tile of columns and every `splits`-th strip of rows; its sums go to row `split` of the partial results,
// which are absent when not wanted.
KERNEL void bias_dropout_residual_backward(GLOBAL const scalar* dy, u64 dy_offset, GLOBAL const scalar* x, u64 x_offset,
                                           GLOBAL scalar* dx, u64 dx_offset, GLOBAL const scalar* bias, u64 bias_offset,
                                           GLOBAL const scalar* channel_scale, u64 channel_scale_offset,
                                           GLOBAL real* partial_bias, u64 partial_bias_offset,
                                           GLOBAL real* partial_scale, u64 partial_scale_offset, u64 rows, u64 columns,
                                           u64 splits, u64 start_row, u32 threshold, u32 row_threshold, real scale,
                                           KEY_PARAMETERS) {
    SHARED real sums[8 * 256];
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    const u64 tiles = (columns + 255) / 256, end_row = start_row + rows;
    const u64 first_strip = start_row / 64, end_strip = (end_row + 63) / 64;
    dy += dy_offset;
    dx += dx_offset;
#if SCALE_GRADIENT
    x += x_offset;
    if (bias != 0) bias += bias_offset;
#endif
    if (channel_scale != 0) channel_scale += channel_scale_offset;
    for (u64 job = GROUP_ID; job < tiles * splits; job += GROUP_COUNT) {
        const u64 split = job / tiles, tile = job - split * tiles;
        const u64 column = first_column(tile);
        const u32 width = column_count(column, columns);
        real factor[8], bias_sums[8] = {0, 0, 0, 0, 0, 0, 0, 0};
        load_parameter(width > 0 ? channel_scale : 0, column, width, 1, factor);
#if SCALE_GRADIENT
        real added[8], scale_sums[8] = {0, 0, 0, 0, 0, 0, 0, 0};
        load_parameter(width > 0 ? bias : 0, column, width, 0, added);
#endif
        for (u64 strip = first_strip + split; strip < end_strip; strip += splits) {
            const u64 row_block = 8 * strip + LOCAL_ID / 32;
            if (width == 0 || 8 * row_block >= end_row) continue;
            const u32 kept_rows = keep_rows(resolved, row_block, row_threshold);
            const u64 begin = 8 * row_block < start_row ? start_row : 8 * row_block;
            const u64 end = 8 * row_block + 8 < end_row ? 8 * row_block + 8 : end_row;
            u64 first = (begin - start_row) * columns + column;
            stored8 coming = {{0}};
#if SCALE_GRADIENT
            stored8 branch = {{0}};
#endif
            u32 kept = 0;
            // A row is loaded in the turn before its own, so that it comes while its decisions are drawn.
            for (u64 row = begin;; row++, first += columns) {
                if (row > begin) {
                    real gradient[8] = {0, 0, 0, 0, 0, 0, 0, 0};
                    if (kept) {
                        const philox_block drawn = draw_columns(resolved, (row - 1) * columns + column);
                        widen8(coming, gradient);
#if SCALE_GRADIENT
                        real computed[8];
                        widen8(branch, computed);
#endif
                        for (u32 lane = 0; lane < 8; lane++) {
                            const u32 passes = philox_lane(drawn, lane) < threshold;
                            const real scaled = gradient[lane] * scale;
#if SCALE_GRADIENT
                            scale_sums[lane] += passes ? (computed[lane] + added[lane]) * scaled : (real)0;
#endif
                            gradient[lane] = passes ? scaled * factor[lane] : (real)0;
                            bias_sums[lane] += gradient[lane];
                        }
                    }
                    store_up_to_8(dx, first - columns, width, gradient);
                }
                if (row >= end) break;
                kept = kept_rows >> (u32)(row % 8) & 1u;
                if (kept) {
                    coming = load_up_to_8(dy, first, width);
#if SCALE_GRADIENT
                    branch = load_up_to_8(x, first, width);
#endif
                }
            }
        }

        if (partial_bias != 0)
            store_tile_sums(bias_sums, partial_bias + partial_bias_offset, split, tile, columns, sums);
#if SCALE_GRADIENT
        store_tile_sums(scale_sums, partial_scale + partial_scale_offset, split, tile, columns, sums);
#endif
    }
}
