// Adam and AdamW over a list of parameters: m = beta1 * m + (1 - beta1) * g; v = beta2 * v + (1 - beta2) * g^2;
// w -= rate * (m / c1) / (sqrt(v / c2) + epsilon) with c = 1 - beta^step (Kingma and Ba, ICLR 2015). AMSGrad takes the
// largest v so far (Reddi et al., ICLR 2018).
//
//   adam_step  keeps m and v, and the largest v when any group has AMSGrad

#include "types.h"
#include "reduce.h"

typedef struct {
    real beta1, share1; // share = 1 - beta
    real beta2, share2;
    real epsilon;
    real uses_largest;
} rule_options;

enum { FIRST_MOMENT, SECOND_MOMENT, LARGEST_SECOND_MOMENT, RULE_STATES };

#include "optimizer.h"

// NaN where either is.
DEVICE real larger(real a, real b) { return a > b || a != a ? a : b; }

DEVICE void optimizer_rule(const optimizer_group* group, u32 width, real* weights, const real* gradients,
                           real (*state)[4]) {
    const rule_options rule = group->rule;
    real squares[4];
    for (u32 k = 0; k < width; k++) {
        state[FIRST_MOMENT][k] = rule.beta1 * state[FIRST_MOMENT][k] + rule.share1 * gradients[k];
        squares[k] = rule.beta2 * state[SECOND_MOMENT][k] + rule.share2 * gradients[k] * gradients[k];
        state[SECOND_MOMENT][k] = squares[k];
    }
    if (rule.uses_largest != 0) {
        for (u32 k = 0; k < width; k++) {
            squares[k] = larger(state[LARGEST_SECOND_MOMENT][k], squares[k]);
            state[LARGEST_SECOND_MOMENT][k] = squares[k];
        }
    }
    real steps[4], *scales = squares;
    square_roots(width, scales);
    for (u32 k = 0; k < width; k++) {
        scales[k] = scales[k] * group->second_root + rule.epsilon;
        steps[k] = state[FIRST_MOMENT][k];
    }
    divide(width, steps, scales);
    for (u32 k = 0; k < width; k++) weights[k] = group->decay_factor * weights[k] - group->first_rate * steps[k];
}

KERNEL void adam_step(OPTIMIZER_STEP_PARAMETERS) {
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
