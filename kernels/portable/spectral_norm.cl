// Spectral normalization: y = W / sigma, where sigma is the largest singular value of the matrix W as power iteration
// knows it (Miyato, Kataoka, Koyama and Yoshida, "Spectral normalization for generative adversarial networks", ICLR
// 2018). A step of the iteration is u = W v / |W v|, v = W' u / |W' u|; sigma is u' W v, which after a step is |W' u|.
//
//   spectral_norm_rows      W v, a team of work items for each row
//   spectral_norm_columns   u from W v, and W' u
//   spectral_norm_apply     sigma, v from W' u, and y
//   spectral_norm_overlap   the products of dy and W, added up tile by tile
//   spectral_norm_backward  dW = (dy - (sum of dy W) / sigma u v') / sigma, with u and v constant

#include "types.h"
#include "reduce.h"
#include "squares.h"
#include "parts.h"
#include "divisor.h"

// Elements of a tile, which is a group's.
#define TILE (32 * GROUP_SIZE)

DEVICE u32 lanes_of(u64 index, u64 end) { return end - index < PART_LANES ? (u32)(end - index) : PART_LANES; }

// With VEC = 8 they are all there.
DEVICE void load_lanes(GLOBAL const scalar* source, u64 index, u32 lanes, real* values) {
#if VEC == 8
    load_part(source, index, values);
#else
    for (u32 lane = 0; lane < PART_LANES; lane++) values[lane] = lane < lanes ? load(source, index + lane) : (real)0;
#endif
}

DEVICE void store_lanes(GLOBAL scalar* target, u64 index, u32 lanes, const real* values) {
#if VEC == 8
    store_part(target, index, values);
#else
    for (u32 lane = 0; lane < lanes; lane++) store(target, index + lane, values[lane]);
#endif
}

// What a vector is multiplied by to be of length 1, in two steps, of which each is in the range of numbers. One shorter
// than epsilon is divided by that.
typedef struct {
    real first, second;
} unit_factors;

DEVICE unit_factors unit_of(scaled_norm norm, real epsilon) {
    const unit_factors factors = {norm.scale, 1 / (norm.scale == 1 && norm.length < epsilon ? epsilon : norm.length)};
    return factors;
}

// The norm of a vector, for the whole group.
DEVICE INLINED scaled_norm norm_over(GLOBAL const real* vector, u64 count, LOCAL real* scratch) {
    long_sum totals[SQUARE_SUMS] = {{0, 0}, {0, 0}, {0, 0}};
    real sums[SQUARE_SUMS];
    for (u64 i = LOCAL_ID; i < count; i += GROUP_SIZE) {
        const real value = vector[i];
        add_squares(totals, &value, 1);
    }
    group_squares(totals, sums, scratch);
    return norm_of(sums);
}

// `team` work items take a row.
KERNEL void spectral_norm_rows(GLOBAL const scalar* RESTRICT weight, u64 weight_offset, GLOBAL const real* RESTRICT v,
                               u64 v_offset, GLOBAL real* RESTRICT products, u64 products_offset, u64 rows, u64 columns,
                               u32 team) {
    SHARED real scratch[GROUP_SIZE];
    const u32 own = LOCAL_ID / team, item = LOCAL_ID % team, together = GROUP_SIZE / team;
    weight += weight_offset;
    v += v_offset;
    for (u64 first = (u64)GROUP_ID * together; first < rows; first += (u64)GROUP_COUNT * together) {
        const u64 row = first + own, end = row < rows ? columns : 0;
        real sum = 0;
        for (u64 column = PART_LANES * item; column < end; column += PART_LANES * team) {
            real values[PART_LANES];
            const u32 lanes = lanes_of(column, columns);
            load_lanes(weight, row * columns + column, lanes, values);
            for (u32 lane = 0; lane < PART_LANES; lane++)
                if (lane < lanes) sum = FMA(values[lane], v[column + lane], sum);
        }
        team_sums(&sum, 1, team, scratch);
        if (item == 0 && row < rows) products[products_offset + row] = sum;
    }
}

// A group takes 32 columns; its work items are 32 wide, so that a row is read in one piece, and 8 deep over the rows.
KERNEL void spectral_norm_columns(GLOBAL const scalar* RESTRICT weight, u64 weight_offset,
                                  GLOBAL const real* RESTRICT products, u64 products_offset, GLOBAL real* RESTRICT u,
                                  u64 u_offset, GLOBAL real* RESTRICT sums, u64 sums_offset, u64 rows, u64 columns,
                                  real epsilon) {
    SHARED real scratch[SQUARE_SUMS * GROUP_SIZE];
    products += products_offset;
    const unit_factors unit = unit_of(norm_over(products, rows, scratch), epsilon);
    const u32 lane = LOCAL_ID % 32, layer = LOCAL_ID / 32;
    for (u64 i = LOCAL_ID; GROUP_ID == 0 && i < rows; i += GROUP_SIZE)
        u[u_offset + i] = products[i] * unit.first * unit.second;
    for (u64 block = GROUP_ID; block < (columns + 31) / 32; block += GROUP_COUNT) {
        const u64 column = 32 * block + lane;
        real sum = 0;
        if (column < columns)
            for (u64 row = layer; row < rows; row += 8) {
                const real own = products[row] * unit.first * unit.second;
                sum = FMA(load(weight, weight_offset + row * columns + column), own, sum);
            }
        scratch[LOCAL_ID] = sum;
        BARRIER();
        if (layer == 0 && column < columns) {
            for (u32 depth = 1; depth < 8; depth++) sum += scratch[32 * depth + lane];
            sums[sums_offset + column] = sum;
        }
        BARRIER();
    }
}

// After iterations `first` is W' u, of `count` elements, and v is written. Without them it is u and `second` is W v,
// and sigma is their product.
KERNEL void spectral_norm_apply(GLOBAL const scalar* RESTRICT weight, u64 weight_offset,
                                GLOBAL const real* RESTRICT first, u64 first_offset, GLOBAL const real* RESTRICT second,
                                u64 second_offset, GLOBAL real* RESTRICT v, u64 v_offset, GLOBAL real* RESTRICT sigma,
                                u64 sigma_offset, GLOBAL scalar* RESTRICT y, u64 y_offset, u64 count, u64 size,
                                real epsilon, u32 iterated) {
    SHARED real scratch[SQUARE_SUMS * GROUP_SIZE];
    first += first_offset;
    const scaled_norm norm = norm_over(first, count, scratch);
    const unit_factors unit = unit_of(norm, epsilon);
    real product = 0;
    for (u64 i = LOCAL_ID; !iterated && i < count; i += GROUP_SIZE)
        product = FMA(first[i], second[second_offset + i], product);
    product = group_sum(product, scratch);
    for (u64 i = LOCAL_ID; iterated && GROUP_ID == 0 && i < count; i += GROUP_SIZE)
        v[v_offset + i] = first[i] * unit.first * unit.second;
    const real length = norm.length / norm.scale, largest = iterated ? length * (norm.length * unit.second) : product;
    if (GROUP_ID == 0 && LOCAL_ID == 0) sigma[sigma_offset] = largest;
    for (u64 tile = GROUP_ID; tile < (size + TILE - 1) / TILE; tile += GROUP_COUNT) {
        const u64 stop = (tile + 1) * TILE, end = stop < size ? stop : size;
        for (u64 index = tile * TILE + PART_LANES * LOCAL_ID; index < end; index += PART_LANES * GROUP_SIZE) {
            const u32 lanes = lanes_of(index, end);
            real values[PART_LANES];
            load_lanes(weight + weight_offset, index, lanes, values);
            for (u32 lane = 0; lane < PART_LANES; lane++) values[lane] = QUOTIENT(values[lane], largest);
            store_lanes(y + y_offset, index, lanes, values);
        }
    }
}

KERNEL void spectral_norm_overlap(GLOBAL const scalar* RESTRICT weight, u64 weight_offset,
                                  GLOBAL const scalar* RESTRICT dy, u64 dy_offset, GLOBAL real* RESTRICT overlaps,
                                  u64 overlaps_offset, u64 size) {
    SHARED real scratch[GROUP_SIZE];
    for (u64 tile = GROUP_ID; tile < (size + TILE - 1) / TILE; tile += GROUP_COUNT) {
        const u64 stop = (tile + 1) * TILE, end = stop < size ? stop : size;
        real sum = 0;
        for (u64 index = tile * TILE + PART_LANES * LOCAL_ID; index < end; index += PART_LANES * GROUP_SIZE) {
            const u32 lanes = lanes_of(index, end);
            real values[PART_LANES], gradients[PART_LANES];
            load_lanes(weight + weight_offset, index, lanes, values);
            load_lanes(dy + dy_offset, index, lanes, gradients);
            for (u32 lane = 0; lane < PART_LANES; lane++) sum = FMA(values[lane], gradients[lane], sum);
        }
        sum = group_sum(sum, scratch);
        if (LOCAL_ID == 0) overlaps[overlaps_offset + tile] = sum;
    }
}

// dy may be dW. With VEC = 8 rows are whole octets.
KERNEL void spectral_norm_backward(GLOBAL const scalar* dy, u64 dy_offset, GLOBAL const real* RESTRICT u, u64 u_offset,
                                   GLOBAL const real* RESTRICT v, u64 v_offset, GLOBAL const real* RESTRICT sigma,
                                   u64 sigma_offset, GLOBAL const real* RESTRICT overlaps, u64 overlaps_offset,
                                   GLOBAL scalar* dweight, u64 dweight_offset, u64 size, u64 columns,
                                   u64 columns_inverse, u32 columns_shift) {
    SHARED real scratch[GROUP_SIZE];
    const u64 tiles = (size + TILE - 1) / TILE;
    const real largest = sigma[sigma_offset];
    real overlap = 0;
    for (u64 tile = LOCAL_ID; tile < tiles; tile += GROUP_SIZE) overlap += overlaps[overlaps_offset + tile];
    overlap = group_sum(overlap, scratch) / largest;
    u += u_offset;
    v += v_offset;
    for (u64 tile = GROUP_ID; tile < tiles; tile += GROUP_COUNT) {
        const u64 stop = (tile + 1) * TILE, end = stop < size ? stop : size;
        for (u64 index = tile * TILE + PART_LANES * LOCAL_ID; index < end; index += PART_LANES * GROUP_SIZE) {
            const u32 lanes = lanes_of(index, end);
            u64 row = quotient(index, columns_inverse, columns_shift), column = index - row * columns;
            real gradients[PART_LANES];
            load_lanes(dy + dy_offset, index, lanes, gradients);
            for (u32 lane = 0; lane < PART_LANES; lane++) {
                if (VEC == 8 || lane < lanes) {
                    gradients[lane] = QUOTIENT(FMA(-overlap * u[row], v[column], gradients[lane]), largest);
                    const u32 last = ++column == columns;
                    column = last ? 0 : column;
                    row += last;
                }
            }
            store_lanes(dweight + dweight_offset, index, lanes, gradients);
        }
    }
}
