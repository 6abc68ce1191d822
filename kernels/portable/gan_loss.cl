// Losses of generative adversarial networks: the mean of f(z) over the logits of a side, with z = -logit where the loss
// wants it raised and z = logit where it wants it lowered, f the softplus log(1 + e^z) (Goodfellow et al., "Generative
// adversarial nets", NeurIPS 2014: the discriminator's loss and the generator's that does not saturate), max(0, 1 + z)
// or z (Lim and Ye, "Geometric GAN", 2017: the hinge, and its generator).
//
//   gan_loss  for each side the mean and the share of logits above 0, in parts, and the gradients that are wanted
//
// The side to raise comes first, and with it those of the discriminator that are real, or the generator's own.

#include "types.h"
#include "reduce.h"

#define SOFTPLUS 0
#define HINGE    1

// log(1 + t) of 0 <= t <= 1: the rounding of 1 + t cancels in its logarithm (W. Kahan).
DEVICE real log_one_plus(real t) {
    const real sum = 1 + t;
    return sum == 1 ? t : t * LOG(sum) * reciprocal(sum - 1);
}

// f(z), and its slope. The softplus from t = e^-|z|, so that nothing overflows. NaN is not below a hinge.
DEVICE real gan_value(u32 form, real z, real* slope) {
    if (form == SOFTPLUS) {
        const real t = EXP(z < 0 ? z : -z), larger = reciprocal(1 + t);
        *slope = z < 0 ? t * larger : larger;
        return z < 0 ? log_one_plus(t) : z + log_one_plus(t);
    }
    const u32 stopped = form == HINGE && z <= -1;
    *slope = stopped ? (real)0 : (real)1;
    return stopped ? (real)0 : form == HINGE ? 1 + z : z;
}

// The sums of a part: losses of both sides, then shares.
#define SUMS 4

// Part g has the logits from g * chunk on, those to raise and those to lower one after the other. Without any to lower
// `sides` is 1, and a part leaves a loss and a share.
KERNEL void gan_loss(GLOBAL const scalar* raised, u64 raised_offset, GLOBAL const scalar* lowered, u64 lowered_offset,
                     GLOBAL const real* RESTRICT loss_gradient, u64 loss_gradient_offset, GLOBAL scalar* draised,
                     u64 draised_offset, GLOBAL scalar* dlowered, u64 dlowered_offset, GLOBAL real* RESTRICT sums,
                     u64 sums_offset, u64 raised_count, u64 lowered_count, u64 parts, u64 chunk, u32 form, u32 sides,
                     real raised_share, real lowered_share, real gradient_scale) {
    SHARED real scratch[SUMS * GROUP_SIZE];
    const u64 count = raised_count + lowered_count;
    if (loss_gradient != 0) {
        const real factor = loss_gradient[loss_gradient_offset];
        gradient_scale *= is_finite(factor) ? factor : QUIET_NAN;
    }
    raised += raised_offset;
    if (lowered != 0) lowered += lowered_offset;
    if (draised != 0) draised += draised_offset;
    if (dlowered != 0) dlowered += dlowered_offset;
    for (u64 part = GROUP_ID; part < parts; part += GROUP_COUNT) {
        const u64 end = count - part * chunk < chunk ? count : (part + 1) * chunk;
        real totals[SUMS] = {0, 0, 0, 0};
        for (u64 i = part * chunk + LOCAL_ID; i < end; i += GROUP_SIZE) {
            const u32 rises = i < raised_count;
            const real logit = rises ? load(raised, i) : load(lowered, i - raised_count);
            const real share = rises ? raised_share : lowered_share;
            real slope;
            const real value = share * gan_value(form, rises ? -logit : logit, &slope);
            const real positive = logit > 0 ? (real)1 : (real)0;
            if (rises) {
                totals[0] += value;
                totals[2] += positive;
                if (draised != 0) store(draised, i, -gradient_scale * share * slope);
            } else {
                totals[1] += value;
                totals[3] += positive;
                if (dlowered != 0) store(dlowered, i - raised_count, gradient_scale * share * slope);
            }
        }
        team_sums(totals, SUMS, GROUP_SIZE, scratch);
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
