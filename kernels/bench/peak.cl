// The multiply-add peak of a device: eight independent chains per work item, so that latency is hidden and nothing but
// arithmetic sets the time.
//
//   peak  target[i] = the sum of the chains after `steps` steps of x = a * x + b

#include "types.h"

KERNEL void peak(GLOBAL scalar* target, u64 target_offset, u64 items, u64 steps, real a, real b) {
    for (u64 i = GLOBAL_ID; i < items; i += GLOBAL_SIZE) {
        real chains[8];
        for (u32 j = 0; j < 8; j++) chains[j] = (real)(i + j);
        for (u64 step = 0; step < steps; step++)
            for (u32 j = 0; j < 8; j++) chains[j] = FMA(a, chains[j], b);
        real sum = 0;
        for (u32 j = 0; j < 8; j++) sum += chains[j];
        store(target, target_offset + i, sum);
    }
}
