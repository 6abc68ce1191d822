// Mixtures of rows: y[i] = share x[i] + (1 - share) pool[partner of i] (Zhang, Cisse, Dauphin and Lopez-Paz, "mixup:
// beyond empirical risk minimization", ICLR 2018), and the gradient of a mixture within a batch.
//
//   mixup_apply  forward: the share is the row's own. Backward: the other term comes from the row whose partner this
//                one is, with that row's share. A term of weight 0 is not read.

#include "types.h"
#include "blocks.h"
#include "parts.h"
#include "divisor.h"
#include "errors.h"

typedef struct {
    real own, other;
    u64 from; // where the other term of the first element asked for lies
} mixture;

// No row at all is -1, and one that does not exist is reported; both leave the other term out.
DEVICE mixture mixture_of(GLOBAL const i32* pairs, GLOBAL const real* shares, GLOBAL u32* error, u64 error_offset,
                          u64 row, u64 in_row, u64 run, u64 pool_rows, u32 backward) {
    const i32 other = pairs[2 * row + backward];
    const u32 exists = other >= 0 && (u64)other < pool_rows;
    if (!exists && other != -1 && in_row == 0) report_error(error, error_offset, row);
    mixture mixed = {shares[row], 0, in_row};
    if (exists) {
        mixed.other = 1 - (backward ? shares[other] : mixed.own);
        mixed.from += (u64)other * run;
    }
    return mixed;
}

DEVICE real mix(mixture mixed, real own, real other) {
    const real part = mixed.other != 0 ? mixed.other * other : (real)0;
    if (mixed.own == 0) return part;
    return mixed.other != 0 ? FMA(mixed.own, own, part) : mixed.own * own;
}

// Elements of rows of `run`; with VEC = 8 rows are whole octets.
KERNEL void mixup_apply(GLOBAL const scalar* RESTRICT x, u64 x_offset, GLOBAL const scalar* RESTRICT pool,
                        u64 pool_offset, GLOBAL const i32* RESTRICT pairs, u64 pairs_offset,
                        GLOBAL const real* RESTRICT shares, u64 shares_offset, GLOBAL scalar* RESTRICT y, u64 y_offset,
                        GLOBAL u32* RESTRICT error, u64 error_offset, u64 count, u64 run, u64 run_inverse,
                        u32 run_shift, u64 pool_rows, u32 backward) {
    const block_range blocks = blocks_of(0, count);
    x += x_offset;
    pool += pool_offset;
    pairs += pairs_offset;
    shares += shares_offset;
    y += y_offset;
    u64 block = GLOBAL_ID;
    for (; HAS_WIDE && block < blocks.wide_end; block += GLOBAL_SIZE) {
        real values[8] = {0, 0, 0, 0, 0, 0, 0, 0}, others[8] = {0, 0, 0, 0, 0, 0, 0, 0};
        mixture parts[PARTS];
        for (u32 part = 0; part < PARTS; part++) {
            const u64 index = part_index(block, part), row = quotient(index, run_inverse, run_shift);
            const mixture mixed =
                mixture_of(pairs, shares, error, error_offset, row, index - row * run, run, pool_rows, backward);
            parts[part] = mixed;
            if (mixed.own != 0) load_part(x, index, values + PART_LANES * part);
            if (mixed.other != 0) load_part(pool, mixed.from, others + PART_LANES * part);
        }
        for (u32 lane = 0; lane < 8; lane++) values[lane] = mix(parts[lane / PART_LANES], values[lane], others[lane]);
        store_wide(y, blocks, block, values);
    }
    for (; block < blocks.end; block += GLOBAL_SIZE) {
        u64 row = quotient(8 * block, run_inverse, run_shift), in_row = 8 * block - row * run;
        mixture mixed = mixture_of(pairs, shares, error, error_offset, row, in_row, run, pool_rows, backward);
        for (u64 i = 8 * block; i < 8 * block + 8 && i < count; i++, in_row++, mixed.from++) {
            if (in_row == run) {
                in_row = 0;
                mixed = mixture_of(pairs, shares, error, error_offset, ++row, 0, run, pool_rows, backward);
            }
            const real own = mixed.own != 0 ? load(x, i) : (real)0;
            store(y, i, mix(mixed, own, mixed.other != 0 ? load(pool, mixed.from) : (real)0));
        }
    }
}
