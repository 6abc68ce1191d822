// Lion over a list of parameters: w -= rate * sign(beta1 * m + (1 - beta1) * g); m = beta2 * m + (1 - beta2) * g (Chen
// et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023).
//
//   lion_step  keeps m

#include "types.h"
#include "reduce.h"

typedef struct {
    real beta1, share1; // share = 1 - beta
    real beta2, share2;
} rule_options;

enum { FIRST_MOMENT, RULE_STATES };

#include "optimizer.h"

DEVICE void optimizer_rule(const optimizer_group* group, u32 width, real* weights, const real* gradients,
                           real (*state)[4]) {
    const rule_options rule = group->rule;
    for (u32 k = 0; k < width; k++) {
        const real direction = sign_of(rule.beta1 * state[FIRST_MOMENT][k] + rule.share1 * gradients[k]);
        state[FIRST_MOMENT][k] = rule.beta2 * state[FIRST_MOMENT][k] + rule.share2 * gradients[k];
        weights[k] = group->decay_factor * weights[k] - group->rate * direction;
    }
}

KERNEL void lion_step(OPTIMIZER_STEP_PARAMETERS) {
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
