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

DEVICE void optimizer_rule(const optimizer_group* group, u32 width, real* weights, const real* gradients,
                           real (*state)[4]) {
    const rule_options rule = group->rule;
    real squares[4], steps[4];
    for (u32 k = 0; k < width; k++) {
        squares[k] = rule.decay * state[SECOND_MOMENT][k] + rule.share * gradients[k] * gradients[k];
        state[SECOND_MOMENT][k] = squares[k];
    }
    if (rule.is_centered != 0) {
        for (u32 k = 0; k < width; k++) {
            const real mean = rule.decay * state[MEAN_GRADIENT][k] + rule.share * gradients[k];
            const real variance = squares[k] - mean * mean;
            state[MEAN_GRADIENT][k] = mean;
            // An infinite second moment stays so, whatever the square of the mean. Rounding can take the variance
            // below 0.
            if (is_finite(squares[k])) squares[k] = variance < 0 ? (real)0 : variance;
        }
    }
    square_roots(width, squares);
    for (u32 k = 0; k < width; k++) {
        squares[k] += rule.epsilon;
        steps[k] = gradients[k];
    }
    divide(width, steps, squares);
    if (rule.momentum > 0) {
        for (u32 k = 0; k < width; k++) {
            steps[k] = rule.momentum * state[VELOCITY][k] + steps[k];
            state[VELOCITY][k] = steps[k];
        }
    }
    for (u32 k = 0; k < width; k++) weights[k] = group->decay_factor * weights[k] - group->rate * steps[k];
}

KERNEL void rms_prop_step(OPTIMIZER_STEP_PARAMETERS) {
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
