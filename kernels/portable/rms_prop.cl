// RMSprop over a list of parameters: v = alpha * v + (1 - alpha) * g^2; w -= rate * g / (sqrt(v) + epsilon) (Tieleman and Hinton, 2012). Centered, the square of
// the mean gradient is taken off v (Graves, 2013); with momentum the quotient enters a velocity.
//
//   rms_prop_step  a: v, b: velocity, kept when any group has momentum, c: mean gradient, kept when any group is centered

#include "types.h"
#include "reduce.h"
#include "optimizer.h"

DEVICE real optimizer_rule(const optimizer_group* group, real weight, real gradient, real* a, real* b, real* c) {
    *a = group->beta1 * *a + group->share1 * gradient * gradient;
    real square = *a;
    if (group->mode != 0) {
        *c = group->beta1 * *c + group->share1 * gradient;
        // Rounding can take the variance below 0.
        square -= *c * *c;
        square = square < 0 ? (real)0 : square;
    }
    real step = gradient / (SQRT(square) + group->epsilon);
    if (group->beta2 > 0) {
        *b = group->beta2 * *b + step;
        step = *b;
    }
    return group->decay_factor * weight - group->rate * step;
}

KERNEL void rms_prop_step(OPTIMIZER_STEP_PARAMETERS) {
    SHARED real scratch[GROUP_SIZE];
    optimizer_pass(parameter + parameter_offset, gradient + gradient_offset, state + state_offset,
                   tensors + tensors_offset, tiles + tiles_offset, settings + settings_offset,
                   progress + progress_offset, zeros + zeros_offset, first_tile, tile_count, role_stride, role_a,
                   role_b, role_c, master, average, counts_zeros, scratch);
}
