// RMSprop over a list of parameters: v = alpha * v + (1 - alpha) * g^2; w -= rate * g / (sqrt(v) + epsilon) (Tieleman
// and Hinton, 2012). Centered, the square of the mean gradient is taken off v (Graves, 2013); with momentum the
// quotient enters a velocity.
//
//   rms_prop_step  keeps v, a velocity when any group has momentum, and the mean gradient when any group is centered

#include "types.h"
#include "reduce.h"

typedef struct {
    real decay, share; // share = 1 - decay
    real epsilon;
    real momentum;
    real is_centered;
} rule_options;

enum { SECOND_MOMENT, VELOCITY, MEAN_GRADIENT, RULE_STATES };

#include "optimizer.h"

DEVICE real optimizer_rule(const optimizer_group* group, real weight, real gradient, real* state) {
    const rule_options rule = group->rule;
    state[SECOND_MOMENT] = rule.decay * state[SECOND_MOMENT] + rule.share * gradient * gradient;
    real square = state[SECOND_MOMENT];
    if (rule.is_centered != 0) {
        const real mean = rule.decay * state[MEAN_GRADIENT] + rule.share * gradient;
        const real variance = square - mean * mean;
        state[MEAN_GRADIENT] = mean;
        // An infinite second moment stays so, whatever the square of the mean. Rounding can take the variance below 0.
        if (is_finite(square)) square = variance < 0 ? (real)0 : variance;
    }
    real step = gradient / (SQRT(square) + rule.epsilon);
    if (rule.momentum > 0) {
        state[VELOCITY] = rule.momentum * state[VELOCITY] + step;
        step = state[VELOCITY];
    }
    return group->decay_factor * weight - group->rate * step;
}

KERNEL void rms_prop_step(OPTIMIZER_STEP_PARAMETERS) {
    SHARED real scratch[SQUARE_SUMS * GROUP_SIZE];
    optimizer_pass(parameter + parameter_offset, gradient + gradient_offset, state + state_offset,
                   tensors + tensors_offset, tiles + tiles_offset, options + options_offset, progress + progress_offset,
                   zeros + zeros_offset, first_tile, tile_count, role_stride, first_role, second_role, third_role,
                   master, average, counts_zeros, scratch);
}
