// Stochastic gradient descent with momentum and coupled L2: g' = g + decay * w; v = momentum * v + (1 - dampening) * g' (v = g' at the first
// step); w -= rate * (g' + momentum * v) with Nesterov, else rate * v (Sutskever et al., ICML 2013). One pass over memory.
//
//   sgd_step  HAS_MOMENTUM keeps v in `velocity`; without it v is g'

#include "types.h"

KERNEL void sgd_step(GLOBAL scalar* parameter, u64 parameter_offset, GLOBAL const scalar* RESTRICT gradient,
                     u64 gradient_offset, GLOBAL scalar* velocity, u64 velocity_offset, u64 count, u32 first_step,
                     u32 nesterov, real rate, real momentum, real gradient_share, real decay) {
    for (u64 i = GLOBAL_ID; i < count; i += GLOBAL_SIZE) {
        const real weight = load(parameter, parameter_offset + i);
        const real slope = load(gradient, gradient_offset + i) + decay * weight;
        real step = slope;
#if HAS_MOMENTUM
        const real speed = first_step ? slope : momentum * load(velocity, velocity_offset + i) + gradient_share * slope;
        store(velocity, velocity_offset + i, speed);
        step = nesterov ? slope + momentum * speed : speed;
#endif
        store(parameter, parameter_offset + i, weight - rate * step);
    }
}
