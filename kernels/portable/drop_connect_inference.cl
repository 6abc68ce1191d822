// DropConnect at inference: the sum over randomly dropped weights is replaced by the normal distribution with its mean
// and variance, and the activation is averaged over samples of it, y = mean over s of a(mu + sigma z_s),
// mu = mean_scale * (w x + b), sigma^2 = variance_scale * (w^2 x^2 + b^2) (Wan et al., ICML 2013, section 3.2).
//
//   drop_connect_inference  y, and mu and sigma^2 for those who want them
//
// Sample s of pair b * outputs + o is normal number pair * samples + s, so that a block of four serves one pair.

#include "types.h"
#include "philox.h"
#include "math.h"
#include "normal.h"
#include "tile.h"

#define TILE  32
#define DEPTH 32

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

// The mean of the activation over a pair's samples.
DEVICE real sample_mean(random_key key, u64 pair, u64 samples, u32 activation, real mu, real sigma) {
    if (sigma == 0) return activate(activation, mu);
    const u64 first = pair * samples, end = first + samples;
    real sum = 0;
    for (u64 block = first / 4; 4 * block < end; block++) {
        float normals[4];
        normals_of(philox(key, block), normals);
        for (u32 k = 0; k < 4; k++)
            if (4 * block + k >= first && 4 * block + k < end)
                sum += activate(activation, FMA(sigma, (real)normals[k], mu));
    }
    return sum / (real)samples;
}

KERNEL void drop_connect_inference(GLOBAL const scalar* RESTRICT x, u64 x_offset, GLOBAL const scalar* RESTRICT weight,
                                   u64 weight_offset, GLOBAL const scalar* RESTRICT bias, u64 bias_offset,
                                   GLOBAL scalar* RESTRICT y, u64 y_offset, GLOBAL scalar* RESTRICT mean,
                                   u64 mean_offset, GLOBAL scalar* RESTRICT variance, u64 variance_offset, u64 examples,
                                   u64 inputs, u64 outputs, u64 first_pair, u64 samples, u32 activation,
                                   real mean_scale, real variance_scale, KEY_PARAMETERS) {
    SHARED real x_tile[TILE * (DEPTH + 1)];
    SHARED real weight_tile[TILE * (DEPTH + 1)];
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    const u32 column = LOCAL_ID % TILE, row = LOCAL_ID / TILE;
    const u64 tiles_across = (outputs + TILE - 1) / TILE;
    const u64 tiles = tiles_across * ((examples + TILE - 1) / TILE);
    x += x_offset;
    weight += weight_offset;

    for (u64 tile = GROUP_ID; tile < tiles; tile += GROUP_COUNT) {
        const u64 first_example = tile / tiles_across * TILE, first_output = tile % tiles_across * TILE;
        const u64 output = first_output + column;
        const real b = bias != 0 && output < outputs ? load(bias, bias_offset + output) : (real)0;
        real sums[4], squares[4], shrunk[4];
        for (u32 j = 0; j < 4; j++) {
            sums[j] = b;
            squares[j] = b * b;
            shrunk[j] = b * SHRINK * (b * SHRINK);
        }
        for (u64 first_input = 0; first_input < inputs; first_input += DEPTH) {
            load_tile(x, examples, inputs, first_example, first_input, TILE, DEPTH, DEPTH + 1, x_tile);
            load_tile(weight, outputs, inputs, first_output, first_input, TILE, DEPTH, DEPTH + 1, weight_tile);
            BARRIER();
            for (u32 depth = 0; depth < DEPTH; depth++) {
                const real w = weight_tile[column * (DEPTH + 1) + depth];
                for (u32 j = 0; j < 4; j++) {
                    const real product = w * x_tile[(row + 8 * j) * (DEPTH + 1) + depth];
                    sums[j] += product;
                    squares[j] = FMA(product, product, squares[j]);
                    shrunk[j] = FMA(product * SHRINK, product * SHRINK, shrunk[j]);
                }
            }
            BARRIER();
        }
        // The tiles have been read; each work item keeps the moments of its four results where they were, so that it
        // can go through them in a loop.
        for (u32 j = 0; j < 4; j++) {
            const u64 example = first_example + row + 8 * j, index = example * outputs + output;
            // Without variance nothing is drawn, also where an infinity would make it 0 * inf.
            const real mu = mean_scale * sums[j];
            const real spread = variance_scale == 0 ? (real)0 : variance_scale * squares[j];
            const real sigma =
                squares[j] < -NEGATIVE_INFINITY ? SQRT(spread) : SQRT(variance_scale) * SQRT(shrunk[j]) * STRETCH;
            x_tile[LOCAL_ID + j * GROUP_SIZE] = mu;
            weight_tile[LOCAL_ID + j * GROUP_SIZE] = variance_scale == 0 ? (real)0 : sigma;
            if (example >= examples || output >= outputs) continue;
            if (mean != 0) store(mean, mean_offset + index, mu);
            if (variance != 0) store(variance, variance_offset + index, spread);
        }
        for (u32 i = LOCAL_ID; i < TILE * TILE; i += GROUP_SIZE) {
            const u64 example = first_example + i / TILE, index = example * outputs + output;
            if (example >= examples || output >= outputs) break;
            store(y, y_offset + index,
                  sample_mean(resolved, first_pair + index, samples, activation, x_tile[i], weight_tile[i]));
        }
        BARRIER();
    }
}
