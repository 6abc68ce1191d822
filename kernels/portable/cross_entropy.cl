// Softmax cross-entropy over rows with hard labels: loss = logsumexp(z) - z[label]; gradient = scale * (softmax(z) - onehot(label)). The
// maximum is subtracted first, so large logits do not overflow; sums are in the arithmetic type and in a fixed order.
//
//   cross_entropy  one work group per row; WRITE_GRADIENT adds the gradient, which may overwrite the logits

#include "types.h"
#include "reduce.h"

// A label outside [0, classes) gives a NaN loss and a zero gradient for its row.
KERNEL void cross_entropy(GLOBAL const scalar* logits, u64 logits_offset, GLOBAL const i32* RESTRICT labels,
                          u64 labels_offset, GLOBAL scalar* losses, u64 losses_offset, GLOBAL scalar* gradient,
                          u64 gradient_offset, u64 rows, u64 classes, real gradient_scale) {
    SHARED real scratch[GROUP_SIZE];
    for (u64 row = GROUP_ID; row < rows; row += GROUP_COUNT) {
        const u64 first = logits_offset + row * classes;
        const i32 label = labels[labels_offset + row];
        const u32 valid = label >= 0 && (u64)label < classes;

        real largest = NEGATIVE_INFINITY;
        for (u64 k = LOCAL_ID; k < classes; k += GROUP_SIZE) largest = MAX(largest, load(logits, first + k));
        largest = group_max(largest, scratch);

        real sum = 0;
        for (u64 k = LOCAL_ID; k < classes; k += GROUP_SIZE) sum += EXP(load(logits, first + k) - largest);
        sum = group_sum(sum, scratch);

        // Read before any gradient is written: the gradient may take the place of the logits.
        const real target = valid ? load(logits, first + (u64)label) : QUIET_NAN;
        if (LOCAL_ID == 0) store(losses, losses_offset + row, LOG(sum) - (target - largest));
#if WRITE_GRADIENT
        BARRIER();
        for (u64 k = LOCAL_ID; k < classes; k += GROUP_SIZE) {
            const real probability = EXP(load(logits, first + k) - largest) / sum;
            const real expected = k == (u64)label ? (real)1 : (real)0;
            store(gradient, gradient_offset + row * classes + k,
                  valid ? gradient_scale * (probability - expected) : (real)0);
        }
#endif
    }
}
