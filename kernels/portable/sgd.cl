// Stochastic gradient descent with momentum over a list of parameters: v = momentum * v + (1 - dampening) * g (v = g at the first step); w -= rate * v, or
// rate * (g + momentum * v) with Nesterov (Sutskever et al., ICML 2013). Without momentum w -= rate * g.
//
//   sgd_step  a: velocity, kept when any group has momentum

#include "types.h"
#include "reduce.h"
#include "optimizer.h"

DEVICE real optimizer_rule(const optimizer_group* group, real weight, real gradient, real* a, real* b, real* c) {
    real step = gradient;
    if (group->beta1 > 0) {
        *a = group->first ? gradient : group->beta1 * *a + group->share1 * gradient;
        step = group->mode != 0 ? gradient + group->beta1 * *a : *a;
    }
    return group->decay_factor * weight - group->rate * step;
}

KERNEL void sgd_step(OPTIMIZER_STEP_PARAMETERS) {
    SHARED real scratch[GROUP_SIZE];
    optimizer_pass(parameter + parameter_offset, gradient + gradient_offset, state + state_offset,
                   tensors + tensors_offset, tiles + tiles_offset, settings + settings_offset,
                   progress + progress_offset, zeros + zeros_offset, first_tile, tile_count, role_stride, role_a,
                   role_b, role_c, master, average, counts_zeros, scratch);
}
