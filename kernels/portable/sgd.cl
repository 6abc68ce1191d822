// Stochastic gradient descent with momentum over a list of parameters: v = momentum * v + (1 - dampening) * g (v = g at
// the first step); w -= rate * v, or rate * (g + momentum * v) with Nesterov (Sutskever et al., ICML 2013). Without
// momentum w -= rate * g.
//
//   sgd_step  keeps a velocity when any group has momentum

#include "types.h"
#include "reduce.h"

typedef struct {
    real momentum;
    real gradient_share; // 1 - dampening
    real is_nesterov;
} rule_options;

enum { VELOCITY, RULE_STATES };

#include "optimizer.h"

DEVICE real optimizer_rule(const optimizer_group* group, real weight, real gradient, real* state) {
    const rule_options rule = group->rule;
    real step = gradient;
    if (rule.momentum > 0) {
        const real moved = rule.momentum * state[VELOCITY] + rule.gradient_share * gradient;
        state[VELOCITY] = group->is_first ? gradient : moved;
        step = rule.is_nesterov != 0 ? gradient + rule.momentum * state[VELOCITY] : state[VELOCITY];
    }
    return group->decay_factor * weight - group->rate * step;
}

KERNEL void sgd_step(OPTIMIZER_STEP_PARAMETERS) {
    SHARED real scratch[SQUARE_SUMS * GROUP_SIZE];
    optimizer_pass(parameter + parameter_offset, gradient + gradient_offset, state + state_offset,
                   tensors + tensors_offset, tiles + tiles_offset, options + options_offset, progress + progress_offset,
                   zeros + zeros_offset, first_tile, tile_count, role_stride, first_role, second_role, third_role,
                   master, average, counts_zeros, scratch);
}
