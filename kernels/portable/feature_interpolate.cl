// Which neighbour a row moves to or away from in feature space, and how far (DeVries and Taylor, "Dataset augmentation
// in feature space", ICLR workshop 2017): y = (1 - l) x + l neighbour for interpolation, (1 + l) x - l neighbour for
// extrapolation, of which mixup.cl makes the sum.
//
//   feature_draw  a neighbour for each row and the share of the row itself, 1 - l or 1 + l

#include "types.h"
#include "philox.h"
#include "augment_key.h"

// A row without neighbours, all -1, is copied. Entry 2 i + 1 of `pairs` is not used.
KERNEL void feature_draw(GLOBAL const u64* RESTRICT sample_ids, u64 sample_ids_offset,
                         GLOBAL const i32* RESTRICT neighbours, u64 neighbours_offset, GLOBAL i32* RESTRICT pairs,
                         u64 pairs_offset, GLOBAL real* RESTRICT shares, u64 shares_offset, u64 rows, u32 most,
                         u64 first_sample, u32 op, real least_step, real most_step, KEY_PARAMETERS) {
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    if (sample_ids != 0) sample_ids += sample_ids_offset;
    neighbours += neighbours_offset;
    pairs += pairs_offset;
    for (u64 row = GLOBAL_ID; row < rows; row += GLOBAL_SIZE) {
        u32 count = 0;
        while (count < most && neighbours[row * most + count] != -1) count++;
        const random_key owner = sample_key(resolved, id_of(sample_ids, first_sample, row));
        const philox_block drawn = augment_draw(owner, op, 0);
        pairs[2 * row] = count == 0 ? -1 : neighbours[row * most + MUL_HI(drawn.words[0], count)];
        pairs[2 * row + 1] = -1;
        const float step = between(unit_of(drawn.words[1]), (float)least_step, (float)most_step);
        shares[shares_offset + row] = count == 0 ? (real)1 : 1 - (real)step;
    }
}
