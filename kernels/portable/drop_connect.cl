// DropConnect: a linear layer that drops each weight and bias anew for every example, y[b, o] = scale * (sum over i of
// m[b, o, i] w[o, i] x[b, i] + m'[b, o] bias[o]) (Wan, Zeiler, Zhang, LeCun and Fergus, "Regularization of neural
// networks using DropConnect", ICML 2013). Masks are drawn where they are used, none is stored.
//
//   drop_connect_forward        y
//   drop_connect_gradient       dw, a sum over examples, or dx, a sum over outputs: they differ in strides alone
//   drop_connect_bias_gradient  dbias
//
// A pair of example and output is number b * outputs + o, counted from `first_pair` in a shard of the batch. Weight i
// of a pair has the mask index pair * inputs + i, its bias 2^63 + pair. VEC = 8 says that `inputs` is a multiple of
// eight, so that one Philox block serves eight weights.

#include "types.h"
#include "philox.h"
#include "keep.h"
#include "tile.h"

#define BIAS_MASK ((u64)1 << 63)

// Rows and columns of results that a work group takes in the forward pass, and inputs at a time.
#define TILE  32
#define DEPTH 32

// Inputs and terms of the sum that a work group takes in the backward pass.
#define INPUTS 64
#define TERMS  32

KERNEL void drop_connect_forward(GLOBAL const scalar* RESTRICT x, u64 x_offset, GLOBAL const scalar* RESTRICT weight,
                                 u64 weight_offset, GLOBAL const scalar* RESTRICT bias, u64 bias_offset,
                                 GLOBAL scalar* RESTRICT y, u64 y_offset, u64 examples, u64 inputs, u64 outputs,
                                 u64 first_pair, u32 threshold, real scale, KEY_PARAMETERS) {
    SHARED real x_tile[TILE * (DEPTH + 1)];
    SHARED real weight_tile[TILE * (DEPTH + 1)];
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    // A work item has one output and four examples: neighbours share the examples and read different banks of the
    // weights.
    const u32 column = LOCAL_ID % TILE, row = LOCAL_ID / TILE;
    const u64 tiles_across = (outputs + TILE - 1) / TILE;
    const u64 tiles = tiles_across * ((examples + TILE - 1) / TILE);
    x += x_offset;
    weight += weight_offset;

    for (u64 tile = GROUP_ID; tile < tiles; tile += GROUP_COUNT) {
        const u64 first_example = tile / tiles_across * TILE, first_output = tile % tiles_across * TILE;
        const u64 output = first_output + column;
        const u64 first_mask = (first_pair + (first_example + row) * outputs + output) * inputs;
        const u32 rows = examples - first_example < TILE ? (u32)(examples - first_example) : TILE;
        real sums[4] = {0, 0, 0, 0};
        for (u64 first_input = 0; first_input < inputs; first_input += DEPTH) {
            load_tile(x, examples, inputs, first_example, first_input, TILE, DEPTH, DEPTH + 1, x_tile);
            load_tile(weight, outputs, inputs, first_output, first_input, TILE, DEPTH, DEPTH + 1, weight_tile);
            BARRIER();
            const u32 depth = inputs - first_input < DEPTH ? (u32)(inputs - first_input) : DEPTH;
            for (u32 j = 0; j < 4; j++) {
                if (row + 8 * j >= rows) continue;
                const u64 first_in_row = first_mask + 8 * j * outputs * inputs + first_input;
                // Weights are read again for each example: to hold them would take more registers than it saves time
                // beside the draw.
                for (u32 octet = 0; octet < depth; octet += 8) {
                    const u32 kept = keep8(resolved, first_in_row + octet, threshold);
                    for (u32 lane = 0; lane < 8; lane++) {
                        const real value = x_tile[(row + 8 * j) * (DEPTH + 1) + octet + lane];
                        const real sum = FMA(weight_tile[column * (DEPTH + 1) + octet + lane], value, sums[j]);
                        sums[j] = (kept >> lane & 1u) ? sum : sums[j];
                    }
                }
            }
            BARRIER();
        }
        for (u32 j = 0; j < 4; j++) {
            const u64 example = first_example + row + 8 * j;
            if (example >= examples || output >= outputs) continue;
            if (bias != 0) {
                const u64 index = BIAS_MASK + first_pair + example * outputs + output;
                if (keep8(resolved, index - index % 8, threshold) >> (u32)(index % 8) & 1u)
                    sums[j] += load(bias, bias_offset + output);
            }
            store(y, y_offset + example * outputs + output, scale * sums[j]);
        }
    }
}

// result[r, i] = scale * sum over t of m[pair, i] dy[pair] source[t, i], pair = r * row_stride + t * term_stride. For
// dw, r is an output and t an example with source = x; for dx, r is an example and t an output with source = w. Terms
// are added in ascending order.
KERNEL void drop_connect_gradient(GLOBAL const scalar* RESTRICT dy, u64 dy_offset, GLOBAL const scalar* RESTRICT source,
                                  u64 source_offset, GLOBAL scalar* RESTRICT result, u64 result_offset, u64 rows,
                                  u64 terms, u64 inputs, u64 row_stride, u64 term_stride, u64 first_pair, u32 threshold,
                                  real scale, KEY_PARAMETERS) {
    SHARED real source_tile[TERMS * INPUTS];
    SHARED real dy_tile[TILE * (TERMS + 1)];
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    const u32 octet = 8 * (LOCAL_ID % (INPUTS / 8)), row_in_tile = LOCAL_ID / (INPUTS / 8);
    const u64 tiles_across = (inputs + INPUTS - 1) / INPUTS;
    const u64 tiles = tiles_across * ((rows + TILE - 1) / TILE);
    dy += dy_offset;
    source += source_offset;
    result += result_offset;

    for (u64 tile = GROUP_ID; tile < tiles; tile += GROUP_COUNT) {
        const u64 first_row = tile / tiles_across * TILE, first_input = tile % tiles_across * INPUTS;
        const u64 row = first_row + row_in_tile, input = first_input + octet;
        real sums[8] = {0, 0, 0, 0, 0, 0, 0, 0};
        for (u64 first_term = 0; first_term < terms; first_term += TERMS) {
            load_tile(source, terms, inputs, first_term, first_input, TERMS, INPUTS, INPUTS, source_tile);
            for (u32 i = LOCAL_ID; i < TILE * TERMS; i += GROUP_SIZE) {
                // Neighbouring work items read neighbouring addresses, whichever way the gradient is walked.
                const u32 r = term_stride == 1 ? i / TERMS : i % TILE, t = term_stride == 1 ? i % TERMS : i / TILE;
                const u32 inside = first_row + r < rows && first_term + t < terms;
                dy_tile[r * (TERMS + 1) + t] =
                    inside ? load(dy, (first_row + r) * row_stride + (first_term + t) * term_stride) : (real)0;
            }
            BARRIER();
            if (row < rows && input < inputs) {
                u64 mask = (first_pair + row * row_stride + first_term * term_stride) * inputs + input;
                for (u32 t = 0; t < TERMS && first_term + t < terms; t++, mask += term_stride * inputs) {
                    const u32 kept = keep8(resolved, mask, threshold);
                    const real gradient = dy_tile[row_in_tile * (TERMS + 1) + t];
                    for (u32 lane = 0; lane < 8; lane++) {
                        const real value = source_tile[t * INPUTS + octet + lane];
                        sums[lane] = (kept >> lane & 1u) ? FMA(gradient, value, sums[lane]) : sums[lane];
                    }
                }
            }
            BARRIER();
        }
        for (u32 lane = 0; lane < 8; lane++)
            if (row < rows && input + lane < inputs) store(result, row * inputs + input + lane, scale * sums[lane]);
    }
}

// A group takes 32 outputs, a work item eight of them and every 64th example.
KERNEL void drop_connect_bias_gradient(GLOBAL const scalar* RESTRICT dy, u64 dy_offset, GLOBAL scalar* RESTRICT dbias,
                                       u64 dbias_offset, u64 examples, u64 outputs, u64 first_pair, u32 threshold,
                                       real scale, KEY_PARAMETERS) {
    SHARED real partial[GROUP_SIZE * 8];
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    const u32 octet = LOCAL_ID % 4, layer = LOCAL_ID / 4;
    for (u64 tile = GROUP_ID; 32 * tile < outputs; tile += GROUP_COUNT) {
        const u64 output = 32 * tile + 8 * octet;
        real sums[8] = {0, 0, 0, 0, 0, 0, 0, 0};
        for (u64 example = layer; example < examples && output < outputs; example += GROUP_SIZE / 4) {
            const u64 pair = example * outputs + output;
            const u32 kept = keep8(resolved, BIAS_MASK + first_pair + pair, threshold);
            for (u32 lane = 0; lane < 8; lane++)
                if ((kept >> lane & 1u) && output + lane < outputs) sums[lane] += load(dy, dy_offset + pair + lane);
        }
        for (u32 lane = 0; lane < 8; lane++) partial[LOCAL_ID * 8 + lane] = sums[lane];
        BARRIER();
        for (u32 half_depth = GROUP_SIZE / 8; half_depth > 0; half_depth /= 2) {
            for (u32 i = LOCAL_ID; i < half_depth * 32; i += GROUP_SIZE) partial[i] += partial[i + half_depth * 32];
            BARRIER();
        }
        if (LOCAL_ID < 32 && 32 * tile + LOCAL_ID < outputs)
            store(dbias, dbias_offset + 32 * tile + LOCAL_ID, scale * partial[LOCAL_ID]);
        BARRIER();
    }
}
