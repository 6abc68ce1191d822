// DropConnect: a linear layer that drops each weight and bias anew for every example, y[b, o] = scale * (sum over i of
// m[b, o, i] w[o, i] x[b, i] + m'[b, o] bias[o]) (Wan, Zeiler, Zhang, LeCun and Fergus, "Regularization of neural
// networks using DropConnect", ICML 2013). Masks are drawn where they are used, none is stored.
//
//   drop_connect_forward        y
//   drop_connect_gradient       dw, a sum over examples, or dx, a sum over outputs: they differ in strides alone
//   drop_connect_bias_gradient  dbias
//
// A pair of example and output is number b * outputs + o, counted from `first_pair` in a shard of the batch. Weight i
// of a pair has the mask index pair * inputs + i, its bias 2^63 + pair. Sums are shared by `slices` work items, a power
// of two, each of which adds every slices-th of their terms; the order depends on the number of terms alone. VEC = 8
// says that `inputs` is a multiple of eight, so that one Philox block serves eight weights, and that load8 may be used.

#include "types.h"
#include "philox.h"
#include "keep.h"
#include "octets.h"
#include "reduce.h"

#define BIAS_MASK ((u64)1 << 63)

// Outputs that a work group takes in the forward pass, and eights of inputs in the backward pass.
#define OUTPUTS 8
#define OCTETS  8

// Neighbours in a group are the slices of one sum, which read one stretch of a row.
KERNEL void drop_connect_forward(GLOBAL const scalar* RESTRICT x, u64 x_offset, GLOBAL const scalar* RESTRICT weight,
                                 u64 weight_offset, GLOBAL const scalar* RESTRICT bias, u64 bias_offset,
                                 GLOBAL scalar* RESTRICT y, u64 y_offset, u64 examples, u64 inputs, u64 outputs,
                                 u32 slices, u64 first_pair, u32 threshold, real scale, KEY_PARAMETERS) {
    SHARED real scratch[GROUP_SIZE];
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    const u32 slice = LOCAL_ID % slices, place = LOCAL_ID / slices, rows = GROUP_SIZE / OUTPUTS / slices;
    const u64 tiles_across = (outputs + OUTPUTS - 1) / OUTPUTS;
    const u64 tiles = tiles_across * ((examples + rows - 1) / rows);
    x += x_offset;
    weight += weight_offset;

    for (u64 tile = GROUP_ID; tile < tiles; tile += GROUP_COUNT) {
        const u64 example = tile / tiles_across * rows + place / OUTPUTS;
        const u64 output = tile % tiles_across * OUTPUTS + place % OUTPUTS;
        const u32 inside = example < examples && output < outputs;
        const u64 first_mask = (first_pair + example * outputs + output) * inputs;
        real sum = 0;
        for (u64 input = 8 * slice; inside && input < inputs; input += 8 * slices) {
            real values[8], weights[8];
            load_octet(x, example * inputs + input, inputs - input, values);
            load_octet(weight, output * inputs + input, inputs - input, weights);
            const u32 kept = keep8(resolved, first_mask + input, threshold);
            for (u32 lane = 0; lane < 8; lane++)
                sum = (kept >> lane & 1u) ? FMA(weights[lane], values[lane], sum) : sum;
        }
        team_sums(&sum, 1, slices, scratch);
        if (inside && slice == 0) {
            const u64 index = BIAS_MASK + first_pair + example * outputs + output;
            if (bias != 0 && keep8(resolved, index - index % 8, threshold) >> (u32)(index % 8) & 1u)
                sum += load(bias, bias_offset + output);
            store(y, y_offset + example * outputs + output, scale * sum);
        }
    }
}

// result[r, i] = scale * sum over t of m[pair, i] dy[pair] source[t, i], pair = r * row_stride + t * term_stride. For
// dw, r is an output and t an example with source = x; for dx, r is an example and t an output with source = w.
// Neighbours in a group have neighbouring inputs.
KERNEL void drop_connect_gradient(GLOBAL const scalar* RESTRICT dy, u64 dy_offset, GLOBAL const scalar* RESTRICT source,
                                  u64 source_offset, GLOBAL scalar* RESTRICT result, u64 result_offset, u64 rows,
                                  u64 terms, u64 inputs, u32 slices, u64 row_stride, u64 term_stride, u64 first_pair,
                                  u32 threshold, real scale, KEY_PARAMETERS) {
    SHARED real partial[GROUP_SIZE * 8];
    const random_key resolved = resolve_key(key, key_offset, seed, offset);
    const u32 slice_size = GROUP_SIZE / slices, slice = LOCAL_ID / slice_size, place = LOCAL_ID % slice_size;
    const u32 tile_rows = slice_size / OCTETS;
    const u64 tiles_across = (inputs + 8 * OCTETS - 1) / (8 * OCTETS);
    const u64 tiles = tiles_across * ((rows + tile_rows - 1) / tile_rows);
    dy += dy_offset;
    source += source_offset;
    result += result_offset;

    for (u64 tile = GROUP_ID; tile < tiles; tile += GROUP_COUNT) {
        const u64 row = tile / tiles_across * tile_rows + place / OCTETS;
        const u64 input = 8 * (tile % tiles_across * OCTETS + place % OCTETS);
        const u32 inside = row < rows && input < inputs;
        real sums[8] = {0, 0, 0, 0, 0, 0, 0, 0};
        for (u64 term = slice; inside && term < terms; term += slices) {
            const u64 pair = row * row_stride + term * term_stride;
            const real gradient = load(dy, pair);
            real values[8];
            load_octet(source, term * inputs + input, inputs - input, values);
            const u32 kept = keep8(resolved, (first_pair + pair) * inputs + input, threshold);
            for (u32 lane = 0; lane < 8; lane++)
                sums[lane] = (kept >> lane & 1u) ? FMA(gradient, values[lane], sums[lane]) : sums[lane];
        }
        for (u32 lane = 0; lane < 8; lane++) partial[lane * GROUP_SIZE + LOCAL_ID] = sums[lane];
        BARRIER();
        for (u32 half_count = slices / 2; half_count > 0; half_count /= 2) {
            for (u32 lane = 0; lane < 8 && slice < half_count; lane++)
                partial[lane * GROUP_SIZE + LOCAL_ID] +=
                    partial[lane * GROUP_SIZE + LOCAL_ID + half_count * slice_size];
            BARRIER();
        }
        // The next turn writes what the same item reads here.
        if (inside && slice == 0) {
            for (u32 lane = 0; lane < 8; lane++) sums[lane] = scale * partial[lane * GROUP_SIZE + LOCAL_ID];
            store_octet(result, row * inputs + input, inputs - input, sums);
        }
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
