// Losses of generative adversarial networks: the mean of f(z) over the logits of a side, with z = -logit where the loss
// wants it raised and z = logit where it wants it lowered, f the softplus log(1 + e^z) (Goodfellow et al., "Generative
// adversarial nets", NeurIPS 2014: the discriminator's loss and the generator's that does not saturate), max(0, 1 + z)
// or z (Lim and Ye, "Geometric GAN", 2017: the hinge, and its generator).
//
//   gan_loss  for each side the mean and the share of logits above 0, in parts, and the gradients that are wanted
//
// The side to raise comes first, and with it those of the discriminator that are real, or the generator's own.

#include "types.h"
#include "blocks.h"
#include "reduce.h"

#define SOFTPLUS 0
#define HINGE    1

#define SIDES 2

// log(1 + t) of 0 <= t <= 1, to the last digits of a small t: in double the rounding of 1 + t cancels in its logarithm
// (W. Kahan), in float it is 2 artanh(s) with s = t / (2 + t), a third at most, by its series.
DEVICE real log_one_plus(real t) {
#if DTYPE_F64
    const real sum = 1 + t;
    return sum == 1 ? t : t * LOG(sum) * reciprocal(sum - 1);
#else
    const real s = t * reciprocal(2 + t), square = s * s;
    real p = FMA(1.0f / 6.5f, square, 1.0f / 5.5f);
    p = FMA(p, square, 1.0f / 4.5f);
    p = FMA(p, square, 1.0f / 3.5f);
    p = FMA(p, square, 1.0f / 2.5f);
    p = FMA(p, square, 1.0f / 1.5f);
    return FMA(p * square, s, 2 * s);
#endif
}

// f(z), and its slope. The softplus from t = e^-|z|, so that nothing overflows.
DEVICE real softplus(real z, real* slope) {
    const real t = EXP(z < 0 ? z : -z), larger = reciprocal(1 + t);
    *slope = z < 0 ? t * larger : larger;
    return z < 0 ? log_one_plus(t) : z + log_one_plus(t);
}

// NaN is not below a hinge.
DEVICE real hinge(u32 form, real z, real* slope) {
    const u32 stopped = form == HINGE && z <= -1;
    *slope = stopped ? (real)0 : (real)1;
    return stopped ? (real)0 : form == HINGE ? 1 + z : z;
}

// A side: its logits, whose sign makes z of them, and their gradient, which may be absent. Its blocks come behind those
// of the side before it.
typedef struct {
    GLOBAL const scalar* logits;
    GLOBAL scalar* gradient;
    u64 first, count;
    real sign, share, factor;
} gan_side;

// Makes logits their gradients. What `lanes` of the eight add: to the loss, and how many are above 0.
DEVICE void add_logits(gan_side side, u32 form, u32 lanes, real* values, real* totals) {
    real positive = 0;
    for (u32 lane = 0; lane < 8; lane++) positive += lane < lanes && values[lane] > 0 ? (real)1 : (real)0;
    totals[1] += positive;
    if (form == SOFTPLUS) {
        for (u32 lane = 0; lane < 8; lane++) {
            real slope;
            const real value = side.share * softplus(side.sign * values[lane], &slope);
            totals[0] += lane < lanes ? value : (real)0;
            values[lane] = side.factor * slope;
        }
    } else {
        for (u32 lane = 0; lane < 8; lane++) {
            real slope;
            const real value = side.share * hinge(form, side.sign * values[lane], &slope);
            totals[0] += lane < lanes ? value : (real)0;
            values[lane] = side.factor * slope;
        }
    }
}

// What the blocks begin to end - 1 of all add, as far as they are this side's.
DEVICE void add_side(gan_side side, u32 form, u64 begin, u64 end, real* totals) {
    const block_range blocks = blocks_of(0, side.count);
    const u64 past = end > side.first ? end - side.first : 0, stop = past < blocks.end ? past : blocks.end;
    const u64 wide_stop = stop < blocks.wide_end ? stop : blocks.wide_end;
    u64 block = (begin > side.first ? begin - side.first : 0) + LOCAL_ID;
    real values[8];
    for (; HAS_WIDE && block < wide_stop; block += GROUP_SIZE) {
        load_wide(side.logits, blocks, block, values);
        add_logits(side, form, 8, values, totals);
        if (side.gradient != 0) store_wide(side.gradient, blocks, block, values);
    }
    for (; block < stop; block += GROUP_SIZE) {
        load_block(side.logits, blocks, block, values);
        add_logits(side, form, side.count - 8 * block < 8 ? (u32)(side.count - 8 * block) : 8u, values, totals);
        if (side.gradient != 0) store_block(side.gradient, blocks, block, values);
    }
}

// Part g has part_blocks blocks of eight logits, from g * part_blocks on: whole turns of a group. Those to lower begin
// with block lowered_block, a multiple of 32. Without any to lower `sides` is 1, and a part leaves a loss and a share.
KERNEL void gan_loss(GLOBAL const scalar* raised, u64 raised_offset, GLOBAL const scalar* lowered, u64 lowered_offset,
                     GLOBAL const real* RESTRICT loss_gradient, u64 loss_gradient_offset, GLOBAL scalar* draised,
                     u64 draised_offset, GLOBAL scalar* dlowered, u64 dlowered_offset, GLOBAL real* RESTRICT sums,
                     u64 sums_offset, u64 raised_count, u64 lowered_count, u64 lowered_block, u64 parts,
                     u64 part_blocks, u32 form, u32 sides, real raised_share, real lowered_share, real gradient_scale) {
    SHARED real scratch[2 * SIDES * GROUP_SIZE];
    if (loss_gradient != 0) {
        const real factor = loss_gradient[loss_gradient_offset];
        gradient_scale *= is_finite(factor) ? factor : QUIET_NAN;
    }
    for (u64 part = GROUP_ID; part < parts; part += GROUP_COUNT) {
        real totals[2 * SIDES] = {0, 0, 0, 0};
        for (u32 i = 0; i < sides; i++) {
            gan_side side = {raised + raised_offset, draised, 0, raised_count, -1, raised_share, 0};
            if (side.gradient != 0) side.gradient += draised_offset;
            if (i == 1) {
                side.logits = lowered + lowered_offset, side.gradient = dlowered;
                if (side.gradient != 0) side.gradient += dlowered_offset;
                side.first = lowered_block, side.count = lowered_count, side.sign = 1, side.share = lowered_share;
            }
            side.factor = side.sign * gradient_scale * side.share;
            real own[2] = {0, 0};
            add_side(side, form, part * part_blocks, (part + 1) * part_blocks, own);
            totals[0] = i == 0 ? own[0] : totals[0], totals[1] = i == 1 ? own[0] : totals[1];
            totals[2] = i == 0 ? own[1] : totals[2], totals[3] = i == 1 ? own[1] : totals[3];
        }
        team_sums(totals, 2 * SIDES, GROUP_SIZE, scratch);
        if (LOCAL_ID == 0) {
            GLOBAL real* own = sums + sums_offset + 2 * sides * part;
            own[0] = totals[0];
            own[sides] = raised_count == 0 ? (real)0 : totals[2] / (real)raised_count;
            if (sides == 2) {
                own[1] = totals[1];
                own[3] = lowered_count == 0 ? (real)0 : totals[3] / (real)lowered_count;
            }
        }
    }
}
