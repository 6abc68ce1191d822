// Adam and AdamW over a list of parameters: m = beta1 * m + (1 - beta1) * g; v = beta2 * v + (1 - beta2) * g^2; w -= rate * (m / c1) / (sqrt(v / c2) + epsilon)
// with c = 1 - beta^step (Kingma and Ba, ICLR 2015). AMSGrad takes the largest v so far (Reddi et al., ICLR 2018).
//
//   adam_step  a: m, b: v, c: largest v, kept for AMSGrad only

#include "types.h"
#include "reduce.h"
#include "optimizer.h"

DEVICE real optimizer_rule(const optimizer_group* group, real weight, real gradient, real* a, real* b, real* c) {
    *a = group->beta1 * *a + group->share1 * gradient;
    *b = group->beta2 * *b + group->share2 * gradient * gradient;
    real square = *b;
    if (group->mode != 0) {
        *c = *c > square ? *c : square;
        square = *c;
    }
    const real scale = SQRT(square) / SQRT(group->correction2) + group->epsilon;
    return group->decay_factor * weight - group->rate / group->correction1 * (*a / scale);
}

KERNEL void adam_step(OPTIMIZER_STEP_PARAMETERS) {
    SHARED real scratch[GROUP_SIZE];
    optimizer_pass(parameter + parameter_offset, gradient + gradient_offset, state + state_offset,
                   tensors + tensors_offset, tiles + tiles_offset, settings + settings_offset,
                   progress + progress_offset, zeros + zeros_offset, first_tile, tile_count, role_stride, role_a,
                   role_b, role_c, master, average, counts_zeros, scratch);
}
