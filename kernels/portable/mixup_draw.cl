// Who is mixed with whom, and how much, for mixup (Zhang, Cisse, Dauphin and Lopez-Paz, ICLR 2018) and CutMix (Yun et
// al., ICCV 2019): a partner for each row by a keyed permutation, lambda from Beta(a, a), and for CutMix a box of the
// share 1 - lambda about a uniform centre, clipped, after which lambda is what is left of the row.
//
//   mixup_order  places of the rows by class and sample number, so that the order in a batch does not matter
//   mixup_draw   partners, lambdas, boxes and the partners' labels
//
// Lambda and box follow from the row's sample alone, or for all rows from the batch's lowest sample number; the
// permutation of a batch from the latter.

#include "types.h"
#include "philox.h"
#include "math.h"
#include "reduce.h"
#include "errors.h"
#include "augment_key.h"
#include "integer_root.h"
#include "beta.h"
#include "permutation.h"

#define MIX_UNITS     16777216u
#define PER_MIX_UNIT  ((real)5.9604644775390625e-8f)
#define DATA_SET_ID   0xfffffffffffffffful // whose draws are the permutation of a data set
#define DECISION_DRAW 1
#define PARTNER_DRAWS 2 // two for each class

// Four counts of 16 bits for each row: rows of lower classes, rows of its class with a lower number, rows of its class,
// rows with a lower number. A group counts for one row. The last entry of `order` is the row of the lowest number.
KERNEL void mixup_order(GLOBAL const u64* RESTRICT sample_ids, u64 sample_ids_offset, GLOBAL const i32* RESTRICT labels,
                        u64 labels_offset, GLOBAL u64* RESTRICT places, u64 places_offset, GLOBAL u32* RESTRICT order,
                        u64 order_offset, u64 rows, u64 first_sample) {
    SHARED u64 sums[GROUP_SIZE];
    if (sample_ids != 0) sample_ids += sample_ids_offset;
    if (labels != 0) labels += labels_offset;
    order += order_offset;
    for (u64 row = GROUP_ID; row < rows; row += GROUP_COUNT) {
        const u64 id = id_of(sample_ids, first_sample, row);
        const i32 label = labels != 0 ? labels[row] : 0;
        u64 counts = 0;
        for (u64 other = LOCAL_ID; other < rows; other += GROUP_SIZE) {
            const u64 other_id = id_of(sample_ids, first_sample, other);
            const i32 other_label = labels != 0 ? labels[other] : 0;
            const u64 is_before = other_id < id || (other_id == id && other < row), is_same = other_label == label;
            counts += (u64)(other_label < label) + (is_same & is_before) * 0x10000ul + is_same * 0x100000000ul +
                      is_before * 0x1000000000000ul;
        }
        u64 total;
        running_sum(counts, sums, &total);
        if (LOCAL_ID == 0) {
            places[places_offset + row] = total;
            order[(total & 0xffffu) + (total >> 16 & 0xffffu)] = (u32)row;
            if (total >> 48 == 0) order[rows] = (u32)row;
        }
    }
}

typedef struct {
    i32 start, stop;
} box_side;

// One side of a box about a centre, clipped: the share `rest` of the length, whose square it is of the area.
DEVICE box_side side_of(u32 word, u32 length, u32 rest) {
    const i32 side = (i32)integer_root((u64)length * length * rest >> 24);
    const i32 start = (i32)MUL_HI(word, length) - side / 2, stop = start + side;
    const box_side clipped = {start < 0 ? 0 : start, stop > (i32)length ? (i32)length : stop};
    return clipped;
}

// Without `places` a row's place is its number. `pool_rows` above 0: partners are rows of a data set, and samples are
// numbered as its rows are. Without `boxes` there is nothing to cut. Entry 2 i of `pairs` is row i's partner, entry
// 2 i + 1 the row whose partner it is.
KERNEL void mixup_draw(GLOBAL const u64* RESTRICT sample_ids, u64 sample_ids_offset, GLOBAL const i32* RESTRICT labels,
                       u64 labels_offset, GLOBAL const u64* RESTRICT places, u64 places_offset,
                       GLOBAL const u32* RESTRICT order, u64 order_offset, GLOBAL i32* RESTRICT pairs, u64 pairs_offset,
                       GLOBAL i32* RESTRICT other_labels, u64 other_labels_offset, GLOBAL real* RESTRICT shares,
                       u64 shares_offset, GLOBAL i32* RESTRICT boxes, u64 boxes_offset, GLOBAL u32* RESTRICT error,
                       u64 error_offset, u64 rows, u64 pool_rows, u64 first_sample, u32 op, u32 of_batch, u32 threshold,
                       u32 height, u32 width, real inverse_alpha, KEY_PARAMETERS) {
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    if (sample_ids != 0) sample_ids += sample_ids_offset;
    if (places != 0) places += places_offset;
    order += order_offset;
    labels += labels_offset;
    pairs += pairs_offset;
    const u64 lowest = id_of(sample_ids, first_sample, places != 0 ? order[rows] : 0);
    const random_key batch = sample_key(resolved, pool_rows != 0 ? DATA_SET_ID : lowest);
    for (u64 row = GLOBAL_ID; row < rows; row += GLOBAL_SIZE) {
        const u64 id = id_of(sample_ids, first_sample, row);
        u64 first = 0, rank = row, size = rows;
        if (pool_rows != 0) {
            if (id >= pool_rows) report_error(error, error_offset, row);
            rank = id < pool_rows ? id : 0;
            size = pool_rows;
        } else if (places != 0) {
            first = places[row] & 0xffffu;
            rank = places[row] >> 16 & 0xffffu;
            size = places[row] >> 32 & 0xffffu;
        }
        u32 partner = permuted(permutation_key_of(batch, op, PARTNER_DRAWS + 2 * (u32)first), (u32)size, (u32)rank);
        if (pool_rows == 0 && places != 0) partner = order[first + partner];
        pairs[2 * row] = (i32)partner;
        if (pool_rows != 0)
            pairs[2 * row + 1] = -1;
        else
            pairs[2 * (u64)partner + 1] = (i32)row;
        if (other_labels != 0) other_labels[other_labels_offset + row] = labels[partner];

        const random_key owner = sample_key(resolved, of_batch ? lowest : id);
        const philox_block drawn = augment_draw(owner, op, 0);
        u32 units = symmetric_beta(drawn.words[0], drawn.words[1], (float)inverse_alpha);
        if (threshold < 65536u && philox_lane(augment_draw(owner, op, DECISION_DRAW), 0) >= threshold)
            units = MIX_UNITS;
        if (boxes != 0) {
            const box_side y = side_of(drawn.words[2], height, MIX_UNITS - units);
            const box_side x = side_of(drawn.words[3], width, MIX_UNITS - units);
            const u64 area = (u64)(y.stop - y.start) * (u64)(x.stop - x.start), whole = (u64)height * width;
            units = MIX_UNITS - (u32)(((area << 24) + whole / 2) / whole);
            GLOBAL i32* box = boxes + boxes_offset + 4 * row;
            box[0] = y.start;
            box[1] = x.start;
            box[2] = y.stop;
            box[3] = x.stop;
        }
        shares[shares_offset + row] = (real)units * PER_MIX_UNIT;
    }
}
