// Embedding dropout: y[n] = scale * table[id[n]] where the unit of n is kept, else a row of +0; a unit is a word type,
// in the whole batch (Merity, Keskar and Socher, ICLR 2018) or in one sequence (Gal and Ghahramani, NeurIPS 2016), or a
// position. Dropped rows are not read, and the table is never copied.
//
//   embedding_dropout_forward    gathers, scales and drops
//   embedding_dropout_keys       backward, first step: id << 32 | n for each row that has a gradient, NO_KEY for the
//                                others
//   embedding_dropout_sort_tile  sorts keys in local memory: whole tiles, or the last steps of a bitonic merge
//   embedding_dropout_sort_step  one step of a bitonic merge whose partners are far apart
//   embedding_dropout_scatter    dtable[id] += scale * (sum of the id's rows of dy, in order of n): one item adds all
//                                rows of an id, so that no order is left to chance; or pieces of at most 64
//   embedding_dropout_join       adds the pieces, in their order
//
// The unit of n is (start + n / period) * stride + id * id_stride. Rows are taken eight elements at a time; a work
// group has `rows_per_group` rows of `octets`.

#include "types.h"
#include "philox.h"
#include "keep.h"
#include "errors.h"

#define NO_KEY    (~(u64)0)
#define SORT_TILE 1024

DEVICE u32 embedding_keeps(random_key key, u64 id, u64 n, u64 start, u64 period, u64 stride, u64 id_stride,
                           u32 threshold) {
    // The division costs more than the draw; only sequences need it.
    const u64 line = period == 1 ? n : n / period;
    const u64 unit = (start + line) * stride + id * id_stride;
    return keep8(key, unit - unit % 8, threshold) >> (u32)(unit % 8) & 1u;
}

KERNEL void embedding_dropout_forward(GLOBAL const i32* RESTRICT ids, u64 ids_offset,
                                      GLOBAL const scalar* RESTRICT table, u64 table_offset, GLOBAL scalar* RESTRICT y,
                                      u64 y_offset, GLOBAL u32* error, u64 error_offset, u64 count, u64 vocabulary,
                                      u64 width, u32 octets, u32 rows_per_group, u64 start, u64 period, u64 stride,
                                      u64 id_stride, u32 threshold, real scale, KEY_PARAMETERS) {
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    for (u64 first = GROUP_ID * rows_per_group; first < count; first += GROUP_COUNT * rows_per_group) {
        for (u32 item = LOCAL_ID; item < rows_per_group * octets; item += GROUP_SIZE) {
            const u64 n = first + item / octets;
            if (n >= count) break;
            const u64 column = 8 * (u64)(item % octets);
            const i32 id = ids[ids_offset + n];
            const u32 valid = id >= 0 && (u64)id < vocabulary;
            if (!valid && column == 0) report_error(error, error_offset, n);
            const u32 keep =
                valid && embedding_keeps(resolved, (u64)id, n, start, period, stride, id_stride, threshold);
            const u64 source = table_offset + (keep ? (u64)id * width : 0), target = y_offset + n * width;
#if VEC == 8
            real values[8] = {0, 0, 0, 0, 0, 0, 0, 0};
            if (keep) {
                load8(table, source + column, values);
                for (u32 lane = 0; lane < 8; lane++) values[lane] *= scale;
            }
            store8(y, target + column, values);
#else
            for (u64 i = column; i < column + 8 && i < width; i++)
                store(y, target + i, keep ? load(table, source + i) * scale : (real)0);
#endif
        }
    }
}

// Rows whose id is outside the table or the padding index have no gradient; neither have dropped ones.
KERNEL void embedding_dropout_keys(GLOBAL const i32* RESTRICT ids, u64 ids_offset, GLOBAL u64* RESTRICT keys,
                                   u64 keys_offset, GLOBAL u32* error, u64 error_offset, u64 count, u64 length,
                                   u64 vocabulary, u64 padding, u64 start, u64 period, u64 stride, u64 id_stride,
                                   u32 threshold, KEY_PARAMETERS) {
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    for (u64 n = GLOBAL_ID; n < length; n += GLOBAL_SIZE) {
        u64 sorted_by = NO_KEY;
        if (n < count) {
            const i32 id = ids[ids_offset + n];
            if (id < 0 || (u64)id >= vocabulary)
                report_error(error, error_offset, n);
            else if ((u64)id != padding &&
                     embedding_keeps(resolved, (u64)id, n, start, period, stride, id_stride, threshold))
                sorted_by = (u64)id << 32 | n;
        }
        keys[keys_offset + n] = sorted_by;
    }
}

// The steps of a bitonic network from blocks of `first_size` to blocks of `last_size` whose partners lie within a tile.
// `length` is a multiple of the tile.
KERNEL void embedding_dropout_sort_tile(GLOBAL u64* keys, u64 keys_offset, u64 length, u64 first_size, u64 last_size) {
    SHARED u64 tile[SORT_TILE];
    keys += keys_offset;
    for (u64 base = GROUP_ID * SORT_TILE; base < length; base += GROUP_COUNT * SORT_TILE) {
        for (u32 i = LOCAL_ID; i < SORT_TILE; i += GROUP_SIZE) tile[i] = keys[base + i];
        BARRIER();
        for (u64 size = first_size; size <= last_size; size *= 2) {
            for (u32 stride = size < SORT_TILE ? (u32)size / 2 : SORT_TILE / 2; stride > 0; stride /= 2) {
                for (u32 pair = LOCAL_ID; pair < SORT_TILE / 2; pair += GROUP_SIZE) {
                    const u32 low = 2 * pair - (pair & (stride - 1)), high = low + stride;
                    const u32 ascending = ((base + low) & size) == 0;
                    const u64 a = tile[low], b = tile[high];
                    if ((a > b) == ascending) {
                        tile[low] = b;
                        tile[high] = a;
                    }
                }
                BARRIER();
            }
        }
        // The next turn writes what the same item reads here.
        for (u32 i = LOCAL_ID; i < SORT_TILE; i += GROUP_SIZE) keys[base + i] = tile[i];
    }
}

KERNEL void embedding_dropout_sort_step(GLOBAL u64* keys, u64 keys_offset, u64 length, u64 size, u64 stride) {
    keys += keys_offset;
    for (u64 pair = GLOBAL_ID; pair < length / 2; pair += GLOBAL_SIZE) {
        const u64 low = 2 * pair - (pair & (stride - 1)), high = low + stride;
        const u32 ascending = (low & size) == 0;
        const u64 a = keys[low], b = keys[high];
        if ((a > b) == ascending) {
            keys[low] = b;
            keys[high] = a;
        }
    }
}

// Rows that are on their way at a time.
#define ROWS_AHEAD (VEC == 8 ? 4 : 2)

// Adds rows of dy, eight columns of each, in the order of their keys.
DEVICE void add_rows(GLOBAL const scalar* dy, GLOBAL const u64* keys, u64 entry, u64 end, u64 width, u64 column,
                     real* sums) {
    for (; entry < end; entry += ROWS_AHEAD) {
        real values[ROWS_AHEAD][8];
        for (u32 i = 0; i < ROWS_AHEAD; i++) {
            for (u32 lane = 0; lane < 8; lane++) values[i][lane] = 0;
            if (entry + i >= end) continue;
            const u64 source = (keys[entry + i] & 0xffffffffu) * width + column;
#if VEC == 8
            load8(dy, source, values[i]);
#else
            for (u32 lane = 0; lane < 8; lane++)
                if (column + lane < width) values[i][lane] = load(dy, source + lane);
#endif
        }
        for (u32 i = 0; i < ROWS_AHEAD; i++) {
            if (entry + i >= end) continue;
            for (u32 lane = 0; lane < 8; lane++) sums[lane] += values[i][lane];
        }
    }
}

// target += scale * sums, for eight columns.
DEVICE void add_to_table(GLOBAL scalar* dtable, u64 target, u64 columns, real scale, const real* sums) {
#if VEC == 8
    real totals[8];
    load8(dtable, target, totals);
    for (u32 lane = 0; lane < 8; lane++) totals[lane] = FMA(scale, sums[lane], totals[lane]);
    store8(dtable, target, totals);
#else
    for (u32 lane = 0; lane < 8; lane++)
        if (lane < columns) store(dtable, target + lane, FMA(scale, sums[lane], load(dtable, target + lane)));
#endif
}

// The keys that a piece may have: an id with more is added in pieces, which end at every PIECE-th key.
#define PIECE 64

// The item at the first key of an id adds the id's rows; the items at its other keys have nothing to do. With `cuts`
// so do those at the first key of a piece, and what is no whole id goes to `partial`: two rows for every PIECE keys,
// one for a piece that goes on from before and one for the first piece of an id.
KERNEL void embedding_dropout_scatter(GLOBAL const u64* RESTRICT keys, u64 keys_offset,
                                      GLOBAL const scalar* RESTRICT dy, u64 dy_offset, GLOBAL scalar* RESTRICT dtable,
                                      u64 dtable_offset, GLOBAL real* RESTRICT partial, u64 partial_offset, u64 count,
                                      u64 width, u32 octets, u32 rows_per_group, u32 cuts, real scale) {
    const u64 in_piece = cuts ? PIECE - 1 : ~(u64)0;
    keys += keys_offset;
    dy += dy_offset;
    dtable += dtable_offset;
    for (u64 first = GROUP_ID * rows_per_group; first < count; first += GROUP_COUNT * rows_per_group) {
        for (u32 item = LOCAL_ID; item < rows_per_group * octets; item += GROUP_SIZE) {
            const u64 head = first + item / octets;
            if (head >= count) break;
            const u64 column = 8 * (u64)(item % octets), id = keys[head] >> 32;
            const u32 begins = head == 0 || keys[head - 1] >> 32 != id;
            if (keys[head] == NO_KEY || !(begins || (head & in_piece) == 0)) continue;
            u64 end = head + 1;
            while (end < count && (end & in_piece) != 0 && keys[end] >> 32 == id) end++;
            real sums[8] = {0, 0, 0, 0, 0, 0, 0, 0};
            add_rows(dy, keys, head, end, width, column, sums);
            if (!cuts || (begins && (end == count || keys[end] >> 32 != id))) {
                add_to_table(dtable, id * width + column, width - column, scale, sums);
            } else {
                const u64 target = partial_offset + (2 * (head / PIECE) + begins) * width + column;
                for (u32 lane = 0; lane < 8; lane++)
                    if (column + lane < width) partial[target + lane] = sums[lane];
            }
        }
    }
}

// The item at the last of PIECE keys adds the id that began among them and goes on.
KERNEL void embedding_dropout_join(GLOBAL const u64* RESTRICT keys, u64 keys_offset,
                                   GLOBAL const real* RESTRICT partial, u64 partial_offset,
                                   GLOBAL scalar* RESTRICT dtable, u64 dtable_offset, u64 count, u64 width, u32 octets,
                                   u32 rows_per_group, real scale) {
    const u64 pieces = (count + PIECE - 1) / PIECE;
    keys += keys_offset;
    partial += partial_offset;
    dtable += dtable_offset;
    for (u64 first = GROUP_ID * rows_per_group; first < pieces; first += GROUP_COUNT * rows_per_group) {
        for (u32 item = LOCAL_ID; item < rows_per_group * octets; item += GROUP_SIZE) {
            const u64 piece = first + item / octets, start = PIECE * piece, end = start + PIECE;
            if (end >= count) break;
            const u64 column = 8 * (u64)(item % octets), id = keys[end - 1] >> 32;
            const u32 begins = piece == 0 || keys[start - 1] >> 32 != id;
            if (keys[end] == NO_KEY || keys[end] >> 32 != id || !begins) continue;
            real sums[8] = {0, 0, 0, 0, 0, 0, 0, 0};
            u64 source = (2 * piece + 1) * width + column;
            for (u64 next = end;; next += PIECE) {
                for (u32 lane = 0; lane < 8; lane++)
                    if (column + lane < width) sums[lane] += partial[source + lane];
                if (next >= count || keys[next] >> 32 != id) break;
                source = 2 * (next / PIECE) * width + column;
            }
            add_to_table(dtable, id * width + column, width - column, scale, sums);
        }
    }
}
