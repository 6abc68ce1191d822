// Lion over a list of parameters: w -= rate * sign(beta1 * m + (1 - beta1) * g); m = beta2 * m + (1 - beta2) * g (Chen et al., "Symbolic discovery of
// optimization algorithms", NeurIPS 2023).
//
//   lion_step  a: m

#include "types.h"
#include "reduce.h"
#include "optimizer.h"

DEVICE real optimizer_rule(const optimizer_group* group, real weight, real gradient, real* a, real* b, real* c) {
    const real direction = sign_of(group->beta1 * *a + group->share1 * gradient);
    *a = group->beta2 * *a + group->share2 * gradient;
    return group->decay_factor * weight - group->rate * direction;
}

KERNEL void lion_step(OPTIMIZER_STEP_PARAMETERS) {
    SHARED real scratch[GROUP_SIZE];
    optimizer_pass(parameter + parameter_offset, gradient + gradient_offset, state + state_offset,
                   tensors + tensors_offset, tiles + tiles_offset, settings + settings_offset,
                   progress + progress_offset, zeros + zeros_offset, first_tile, tile_count, role_stride, role_a,
                   role_b, role_c, master, average, counts_zeros, scratch);
}
