// Embedding dropout: y[n] = scale * table[id[n]] where the unit of n is kept, else a row of +0; a unit is a word type,
// in the whole batch (Merity, Keskar and Socher, ICLR 2018) or in one sequence (Gal and Ghahramani, NeurIPS 2016), or a
// position. Dropped rows are not read, and the table is never copied.
//
//   embedding_dropout_forward  gathers, scales and drops
//   embedding_dropout_sort     backward, first step: makes a key of each row, id << 32 | n, or NO_KEY where it has no
//                              gradient, and sorts tiles of them in local memory
//   embedding_dropout_merge    makes one of every WAYS sorted runs
//   embedding_dropout_scatter  dtable[id] += scale * (sum of the id's rows of dy, in order of n): one item adds all
//                              rows of an id, so that no order is left to chance; or pieces of them
//   embedding_dropout_join     adds the pieces, in their order
//
// The unit of n is (start + n / period) * stride + id * id_stride. Rows are taken eight elements at a time; a work
// group has `rows_per_group` rows of `octets`.

#include "types.h"
#include "parts.h"
#include "philox.h"
#include "errors.h"

#define NO_KEY (~(u64)0)

DEVICE u32 embedding_keeps(random_key key, u64 id, u64 n, u64 start, u64 period, u64 stride, u64 id_stride,
                           u32 threshold) {
    // The division costs more than the draw; only sequences need it.
    const u64 line = period == 1 ? n : n / period;
    const u64 unit = (start + line) * stride + id * id_stride;
    if (threshold == 0u || threshold >= 65536u) return threshold != 0u;
    return philox_lane(philox(key, unit / 8), (u32)(unit % 8)) < threshold;
}

// The parts of an octet stand in halves of a row, so that neighbours' parts stand side by side.
KERNEL void embedding_dropout_forward(GLOBAL const i32* RESTRICT ids, u64 ids_offset,
                                      GLOBAL const scalar* RESTRICT table, u64 table_offset, GLOBAL scalar* RESTRICT y,
                                      u64 y_offset, GLOBAL u32* error, u64 error_offset, u64 count, u64 vocabulary,
                                      u64 width, u32 octets, u32 rows_per_group, u64 start, u64 period, u64 stride,
                                      u64 id_stride, u32 threshold, real scale, KEY_PARAMETERS) {
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    // Where a row has more octets than a group items, it is the group's only one.
    const u32 own_row = LOCAL_ID / octets, own_octet = LOCAL_ID - own_row * octets;
    if (own_row >= rows_per_group) return;
    for (u64 n = GROUP_ID * rows_per_group + own_row; n < count; n += GROUP_COUNT * rows_per_group) {
        for (u32 octet = own_octet; octet < octets; octet += GROUP_SIZE) {
            const i32 id = ids[ids_offset + n];
            const u32 valid = id >= 0 && (u64)id < vocabulary;
            if (!valid && octet == 0) report_error(error, error_offset, n);
            const u32 keep =
                valid && embedding_keeps(resolved, (u64)id, n, start, period, stride, id_stride, threshold);
            const u64 source = table_offset + (keep ? (u64)id * width : 0), target = y_offset + n * width;
#if VEC == 8
            real values[8] = {0, 0, 0, 0, 0, 0, 0, 0};
            if (keep) {
                for (u32 part = 0; part < PARTS; part++)
                    load_part(table, source + PART_LANES * (octet + part * (u64)octets), values + PART_LANES * part);
                for (u32 lane = 0; lane < 8; lane++) values[lane] *= scale;
            }
            for (u32 part = 0; part < PARTS; part++)
                store_part(y, target + PART_LANES * (octet + part * (u64)octets), values + PART_LANES * part);
#else
            for (u64 i = 8 * (u64)octet; i < 8 * (u64)octet + 8 && i < width; i++)
                store(y, target + i, keep ? load(table, source + i) * scale : (real)0);
#endif
        }
    }
}

#define SORT_TILE (2 * GROUP_SIZE)

// Rows whose id is outside the table or the padding index have no gradient; neither have dropped ones. A tile is sorted
// by a bitonic network, in which an item has one pair; places beyond the last row hold NO_KEY.
KERNEL void embedding_dropout_sort(GLOBAL const i32* RESTRICT ids, u64 ids_offset, GLOBAL u64* RESTRICT keys,
                                   u64 keys_offset, GLOBAL u32* error, u64 error_offset, u64 count, u64 vocabulary,
                                   u64 padding, u64 start, u64 period, u64 stride, u64 id_stride, u32 threshold,
                                   KEY_PARAMETERS) {
    SHARED u64 tile[SORT_TILE];
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    for (u64 base = GROUP_ID * SORT_TILE; base < count; base += GROUP_COUNT * SORT_TILE) {
        for (u32 i = LOCAL_ID; i < SORT_TILE; i += GROUP_SIZE) {
            const u64 n = base + i;
            u64 sorted_by = NO_KEY;
            if (n < count) {
                const i32 id = ids[ids_offset + n];
                if (id < 0 || (u64)id >= vocabulary)
                    report_error(error, error_offset, n);
                else if ((u64)id != padding &&
                         embedding_keeps(resolved, (u64)id, n, start, period, stride, id_stride, threshold))
                    sorted_by = (u64)id << 32 | n;
            }
            tile[i] = sorted_by;
        }
        BARRIER();
        for (u32 size = 2; size <= SORT_TILE; size *= 2) {
            for (u32 distance = size / 2; distance > 0; distance /= 2) {
                const u32 low = 2 * LOCAL_ID - (LOCAL_ID & (distance - 1)), high = low + distance;
                const u32 ascending = (low & size) == 0;
                const u64 a = tile[low], b = tile[high];
                if ((a > b) == ascending) {
                    tile[low] = b;
                    tile[high] = a;
                }
                BARRIER();
            }
        }
        // The next turn writes what the same item reads here.
        for (u32 i = LOCAL_ID; i < SORT_TILE; i += GROUP_SIZE)
            if (base + i < count) keys[keys_offset + base + i] = tile[i];
    }
}

// Runs that are merged at a time, and keys that a group has for that.
#define WAYS        16
#define MERGED_KEYS (GROUP_SIZE / WAYS)

// The place of a key is the number of those before it: an item counts them in one run. Equal keys, of which there are
// only NO_KEYs, keep their order.
KERNEL void embedding_dropout_merge(GLOBAL const u64* RESTRICT source, u64 source_offset, GLOBAL u64* RESTRICT target,
                                    u64 target_offset, u64 count, u64 run) {
    SHARED u64 before[GROUP_SIZE];
    source += source_offset;
    target += target_offset;
    for (u64 first = GROUP_ID * MERGED_KEYS; first < count; first += GROUP_COUNT * MERGED_KEYS) {
        const u64 i = first + LOCAL_ID % MERGED_KEYS, base = i / (WAYS * run) * (WAYS * run);
        const u64 start = base + LOCAL_ID / MERGED_KEYS * run, end = start + run < count ? start + run : count;
        const u64 sorted_by = i < count ? source[i] : NO_KEY;
        u64 low = start;
        for (u64 high = i < count && start < end ? end : start; low < high;) {
            const u64 middle = (low + high) / 2, other = source[middle];
            if (other < sorted_by || (other == sorted_by && middle < i))
                low = middle + 1;
            else
                high = middle;
        }
        before[LOCAL_ID] = low - start;
        BARRIER();
        if (LOCAL_ID < MERGED_KEYS && i < count) {
            u64 place = base;
            for (u32 way = 0; way < WAYS; way++) place += before[way * MERGED_KEYS + LOCAL_ID];
            target[place] = sorted_by;
        }
        BARRIER();
    }
}

// Rows that are on their way at a time.
#define ROWS_AHEAD (VEC == 8 ? 4 : 2)

// Adds rows of dy, eight columns of each, in the order of their keys from `entry` on, until they are of another id or
// at their end; returns where that is.
DEVICE u64 add_rows(GLOBAL const scalar* dy, GLOBAL const u64* keys, u64 id, u64 entry, u64 end, u64 width, u64 column,
                    real* sums) {
    for (;; entry += ROWS_AHEAD) {
        u64 rows[ROWS_AHEAD];
        real values[ROWS_AHEAD][8];
        for (u32 i = 0; i < ROWS_AHEAD; i++) rows[i] = entry + i < end ? keys[entry + i] : NO_KEY;
        for (u32 i = 0; i < ROWS_AHEAD; i++) {
            for (u32 lane = 0; lane < 8; lane++) values[i][lane] = 0;
            if (rows[i] >> 32 != id) continue;
            const u64 source = (rows[i] & 0xffffffffu) * width + column;
#if VEC == 8
            load8(dy, source, values[i]);
#else
            for (u32 lane = 0; lane < 8; lane++)
                if (column + lane < width) values[i][lane] = load(dy, source + lane);
#endif
        }
        for (u32 i = 0; i < ROWS_AHEAD; i++) {
            if (rows[i] >> 32 != id) return entry + i;
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
#define PIECE 32

// The item at the first key of an id adds the id's rows; the items at its other keys have nothing to do. With `cuts`
// so do those at the first key of a piece, and what is no whole id goes to `partial`: two rows for every PIECE keys,
// one for a piece that goes on from before and one for the first piece of an id.
KERNEL void embedding_dropout_scatter(GLOBAL const u64* RESTRICT keys, u64 keys_offset,
                                      GLOBAL const scalar* RESTRICT dy, u64 dy_offset, GLOBAL scalar* RESTRICT dtable,
                                      u64 dtable_offset, GLOBAL real* RESTRICT partial, u64 partial_offset, u64 count,
                                      u64 width, u32 octets, u32 rows_per_group, u32 cuts, real scale) {
    keys += keys_offset;
    dy += dy_offset;
    dtable += dtable_offset;
    for (u64 first = GROUP_ID * rows_per_group; first < count; first += GROUP_COUNT * rows_per_group) {
        for (u32 item = LOCAL_ID; item < rows_per_group * octets; item += GROUP_SIZE) {
            const u64 head = first + item / octets;
            if (head >= count) break;
            const u64 column = 8 * (u64)(item % octets), id = keys[head] >> 32;
            const u32 begins = head == 0 || keys[head - 1] >> 32 != id;
            if (keys[head] == NO_KEY || !(begins || (cuts && head % PIECE == 0))) continue;
            const u64 next = head - head % PIECE + PIECE;
            real sums[8] = {0, 0, 0, 0, 0, 0, 0, 0};
            const u64 end = add_rows(dy, keys, id, head, cuts && next < count ? next : count, width, column, sums);
            if (!cuts || (begins && (end == count || keys[end] >> 32 != id))) {
                add_to_table(dtable, id * width + column, width - column, scale, sums);
            } else {
                GLOBAL real* target = partial + partial_offset + (2 * (head / PIECE) + begins) * width + column;
#if VEC == 8
                store4_real(target, sums);
                store4_real(target + 4, sums + 4);
#else
                for (u32 lane = 0; lane < 8; lane++)
                    if (column + lane < width) target[lane] = sums[lane];
#endif
            }
        }
    }
}

// Eight columns of a sum of a piece.
DEVICE void load_partial(GLOBAL const real* partial, u64 width, u64 row, u64 column, real* values) {
#if VEC == 8
    load4_real(partial + row * width + column, values);
    load4_real(partial + row * width + column + 4, values + 4);
#else
    for (u32 lane = 0; lane < 8; lane++)
        values[lane] = column + lane < width ? partial[row * width + column + lane] : (real)0;
#endif
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
            real sums[8], values[ROWS_AHEAD][8];
            load_partial(partial, width, 2 * piece + 1, column, sums);
            u32 going = ROWS_AHEAD;
            for (u64 next = end; going == ROWS_AHEAD; next += ROWS_AHEAD * PIECE) {
                going = 0;
                for (u32 i = 0; i < ROWS_AHEAD; i++)
                    going += next + i * PIECE < count && keys[next + i * PIECE] >> 32 == id;
                for (u32 i = 0; i < ROWS_AHEAD; i++)
                    if (i < going) load_partial(partial, width, 2 * (next / PIECE + i), column, values[i]);
                for (u32 i = 0; i < ROWS_AHEAD; i++)
                    for (u32 lane = 0; lane < 8 && i < going; lane++) sums[lane] += values[i][lane];
            }
            add_to_table(dtable, id * width + column, width - column, scale, sums);
        }
    }
}
