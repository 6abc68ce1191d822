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

DEVICE real optimizer_rule(const optimizer_group* group, real weight, real gradient, real* state) {
    const rule_options rule = group->rule;
    state[FIRST_MOMENT] = rule.beta1 * state[FIRST_MOMENT] + rule.share1 * gradient;
    state[SECOND_MOMENT] = rule.beta2 * state[SECOND_MOMENT] + rule.share2 * gradient * gradient;
    real square = state[SECOND_MOMENT];
    if (rule.uses_largest != 0) {
        square = larger(state[LARGEST_SECOND_MOMENT], square);
        state[LARGEST_SECOND_MOMENT] = square;
    }
    const real scale = SQRT(square) / SQRT(group->second_correction) + rule.epsilon;
    return group->decay_factor * weight - group->rate / group->first_correction * (state[FIRST_MOMENT] / scale);
}

KERNEL void adam_step(OPTIMIZER_STEP_PARAMETERS) {
    SHARED real scratch[SQUARE_SUMS * GROUP_SIZE];
    optimizer_pass(parameter + parameter_offset, gradient + gradient_offset, state + state_offset,
                   tensors + tensors_offset, tiles + tiles_offset, options + options_offset, progress + progress_offset,
                   zeros + zeros_offset, first_tile, tile_count, role_stride, first_role, second_role, third_role,
                   master, average, counts_zeros, scratch);
}
