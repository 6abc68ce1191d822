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

DEVICE void optimizer_rule(const optimizer_group* group, u32 width, real* weights, const real* gradients,
                           real (*state)[4]) {
    const rule_options rule = group->rule;
    real steps[4];
    for (u32 k = 0; k < width; k++) steps[k] = gradients[k];
    if (rule.momentum > 0) {
        for (u32 k = 0; k < width; k++) {
            const real moved = rule.momentum * state[VELOCITY][k] + rule.gradient_share * gradients[k];
            state[VELOCITY][k] = group->is_first ? gradients[k] : moved;
            steps[k] = state[VELOCITY][k];
        }
        if (rule.is_nesterov != 0) {
            for (u32 k = 0; k < width; k++) steps[k] = gradients[k] + rule.momentum * state[VELOCITY][k];
        }
    }
    for (u32 k = 0; k < width; k++) weights[k] = group->decay_factor * weights[k] - group->rate * steps[k];
}

KERNEL void sgd_step(OPTIMIZER_STEP_PARAMETERS) {
    SHARED u32 halves[2];
    SHARED real scratch[SQUARE_SUMS * GROUP_SIZE];
    const optimizer_memory memory = {parameter + parameter_offset,
                                     gradient + gradient_offset,
                                     state + state_offset,
                                     role_stride,
                                     {first_role, second_role, third_role},
                                     master,
                                     average};
    optimizer_pass(memory, tensors + tensors_offset, tiles + tiles_offset, options + options_offset,
                   progress + progress_offset, rates == 0 ? rates : rates + rates_offset, counts + counts_offset,
                   finished + finished_offset, zeros + zeros_offset, first_tile, tile_count, counts_zeros, ends_step,
                   halves, scratch);
}
