// DropConnect at inference: the sum over randomly dropped weights is replaced by the normal distribution with its mean
// and variance, and the activation is averaged over samples of it, y = mean over s of a(mu + sigma z_s),
// mu = mean_scale * (w x + b), sigma^2 = variance_scale * (w^2 x^2 + b^2) (Wan et al., ICML 2013, section 3.2).
//
//   drop_connect_inference  y, and mu and sigma^2 for those who want them
//
// Sample s of pair b * outputs + o is normal number pair * samples + s, so that a block of four serves one pair. The
// sums of a pair, over inputs and over samples, are shared by `slices` work items, a power of two. VEC = 8 says that
// `inputs` is a multiple of eight and that load8 may be used.

#include "types.h"
#include "philox.h"
#include "math.h"
#include "normal.h"
#include "octets.h"

// Outputs that a work group takes.
#define OUTPUTS 8

// Squares of products beyond 2^64 overflow a float although their root does not: they are summed a second time, scaled
// by the square of this.
#define SHRINK  ((real)5.42101086242752217e-20f)  // 2^-64
#define STRETCH ((real)1.8446744073709551616e19f) // 2^64

#define RELU    1
#define TANH    2
#define SIGMOID 3

DEVICE real activate(u32 activation, real u) {
    const real magnitude = u < 0 ? -u : u;
    if (activation == RELU) return u <= 0 ? (real)0 : u;
    if (activation == TANH) {
        const real t = EXP(-2 * magnitude), result = (1 - t) / (1 + t);
        return u < 0 ? -result : result;
    }
    if (activation == SIGMOID) {
        const real t = EXP(-magnitude);
        return (u < 0 ? t : (real)1) / (1 + t);
    }
    return u;
}

// The sum of the activation over a slice of a pair's samples.
DEVICE real sum_of_samples(random_key key, u64 pair, u64 samples, u32 slice, u32 slices, u32 activation, real mu,
                           real sigma) {
    const u64 first = pair * samples, end = first + samples;
    real sum = 0;
    for (u64 block = first / 4 + slice; 4 * block < end; block += slices) {
        float normals[4];
        normals_of(philox(key, block), normals);
        for (u32 k = 0; k < 4; k++)
            if (4 * block + k >= first && 4 * block + k < end)
                sum += activate(activation, FMA(sigma, (real)normals[k], mu));
    }
    return sum;
}

KERNEL void drop_connect_inference(GLOBAL const scalar* RESTRICT x, u64 x_offset, GLOBAL const scalar* RESTRICT weight,
                                   u64 weight_offset, GLOBAL const scalar* RESTRICT bias, u64 bias_offset,
                                   GLOBAL scalar* RESTRICT y, u64 y_offset, GLOBAL scalar* RESTRICT mean,
                                   u64 mean_offset, GLOBAL scalar* RESTRICT variance, u64 variance_offset, u64 examples,
                                   u64 inputs, u64 outputs, u32 slices, u64 first_pair, u64 samples, u32 activation,
                                   real mean_scale, real variance_scale, KEY_PARAMETERS) {
    SHARED real moments[3 * GROUP_SIZE];
    SHARED real sampled[GROUP_SIZE];
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    const u32 slice = LOCAL_ID % slices, place = LOCAL_ID / slices, rows = GROUP_SIZE / OUTPUTS / slices;
    const u64 tiles_across = (outputs + OUTPUTS - 1) / OUTPUTS;
    const u64 tiles = tiles_across * ((examples + rows - 1) / rows);
    x += x_offset;
    weight += weight_offset;

    for (u64 tile = GROUP_ID; tile < tiles; tile += GROUP_COUNT) {
        const u64 example = tile / tiles_across * rows + place / OUTPUTS;
        const u64 output = tile % tiles_across * OUTPUTS + place % OUTPUTS, index = example * outputs + output;
        const u32 inside = example < examples && output < outputs;
        const real b = bias != 0 && inside && slice == 0 ? load(bias, bias_offset + output) : (real)0;
        // Sum, squares, and squares shrunk.
        real sums[3] = {b, b * b, b * SHRINK * (b * SHRINK)};
        for (u64 input = 8 * slice; inside && input < inputs; input += 8 * slices) {
            real values[8], weights[8];
            load_octet(x, example * inputs + input, inputs - input, values);
            load_octet(weight, output * inputs + input, inputs - input, weights);
            for (u32 lane = 0; lane < 8; lane++) {
                const real product = weights[lane] * values[lane], shrunk = product * SHRINK;
                sums[0] += product;
                sums[1] = FMA(product, product, sums[1]);
                sums[2] = FMA(shrunk, shrunk, sums[2]);
            }
        }
        for (u32 i = 0; i < 3; i++) moments[i * GROUP_SIZE + LOCAL_ID] = sums[i];
        BARRIER();
        for (u32 i = 0; i < 3; i++) {
            sums[i] = 0;
            for (u32 s = 0; s < slices; s++) sums[i] += moments[i * GROUP_SIZE + LOCAL_ID - slice + s];
        }
        // Without variance nothing is drawn, also where an infinity would make it 0 * inf.
        const real mu = mean_scale * sums[0];
        const real spread = variance_scale == 0 ? (real)0 : variance_scale * sums[1];
        const real deviation =
            sums[1] < -NEGATIVE_INFINITY ? SQRT(spread) : SQRT(variance_scale) * SQRT(sums[2]) * STRETCH;
        const real sigma = variance_scale == 0 ? (real)0 : deviation;
        sampled[LOCAL_ID] = inside && sigma != 0 ? sum_of_samples(resolved, first_pair + index, samples, slice, slices,
                                                                  activation, mu, sigma)
                                                 : (real)0;
        BARRIER();
        if (inside && slice == 0) {
            real sum = 0;
            for (u32 s = 0; s < slices; s++) sum += sampled[LOCAL_ID + s];
            if (mean != 0) store(mean, mean_offset + index, mu);
            if (variance != 0) store(variance, variance_offset + index, spread);
            store(y, y_offset + index, sigma == 0 ? activate(activation, mu) : sum / (real)samples);
        }
    }
}
