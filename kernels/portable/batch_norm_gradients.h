// From gradients of y to those of x and of the channels: what the backward passes of batch normalization share, in one
// launch or in several.

#include "batch_norm.h"

// What sums of gradients are stored as: sums of g and of g (x - mean), and the count of elements; each a row over all
// units.
#define GRADIENT_ROWS 3

// What the parameters of a backward pass come to.
typedef struct {
    GLOBAL const scalar *dy, *x, *y;
    GLOBAL scalar *dx, *dresidual;
    GLOBAL real *dgamma, *dbeta;
    norm_channels channels;
    norm_epilogue after;
} norm_backward;

DEVICE norm_backward backward_of(BATCH_NORM_BACKWARD_PARAMETERS) {
    norm_backward own;
    own.dy = dy + dy_offset;
    own.x = x + x_offset;
    own.y = y != 0 ? y + y_offset : 0;
    own.dx = dx + dx_offset;
    own.dresidual = dresidual != 0 ? dresidual + dresidual_offset : 0;
    own.dgamma = dgamma != 0 ? dgamma + dgamma_offset : 0;
    own.dbeta = dbeta != 0 ? dbeta + dbeta_offset : 0;
    own.channels = channels_of(NORM_CHANNEL_ARGUMENTS);
    own.after = epilogue_of(NORM_EPILOGUE_ARGUMENTS);
    return own;
}

// Makes gradients of y to those of eight normalized values: by y where it is given, else by the values and the draws.
DEVICE void lead(real* gradients, const real* distances, const real* outputs, u32 has_outputs, const real* slope,
                 const real* level, u64 index, u32 apart, norm_epilogue after) {
    if (has_outputs) {
        lead_by_output(gradients, outputs, after);
        return;
    }
    if (after.rectifies) lead_by_values(gradients, distances, slope, level);
    drop(gradients, index, apart, after);
}

// The same of a block of a plane; x becomes the distances from the mean.
DEVICE void lead_plane(real* gradients, real* x, const real* outputs, u32 has_outputs, affine map, u64 index, u32 apart,
                       norm_epilogue after) {
    real slope[8], level[8];
    for (u32 lane = 0; lane < 8; lane++) {
        x[lane] -= map.center;
        slope[lane] = map.slope;
        level[lane] = map.level;
    }
    lead(gradients, x, outputs, has_outputs, slope, level, index, apart, after);
}

// Adds the plane's lanes of a block to its sums.
DEVICE void add_block(plane_block block, const real* gradients, const real* distances, real* sums) {
    real sum = 0, product = 0;
    if (block.lanes == ALL_LANES) {
        for (u32 lane = 0; lane < 8; lane++) {
            sum += gradients[lane];
            product = FMA(gradients[lane], distances[lane], product);
        }
    } else {
        for (u32 lane = 0; lane < 8; lane++) {
            sum += has_lane(block, lane) ? gradients[lane] : (real)0;
            product = has_lane(block, lane) ? FMA(gradients[lane], distances[lane], product) : product;
        }
    }
    sums[0] += sum;
    sums[1] += product;
    sums[2] += (real)lanes_of(block);
}

DEVICE void store_sums(GLOBAL real* rows, u64 unit, u64 units, const real* sums, real count) {
    rows[unit] = sums[0];
    rows[units + unit] = sums[1];
    rows[2 * units + unit] = count;
}

// Adds parts first, first + step, ... of a unit to its sums.
DEVICE void add_parts(GLOBAL const real* partial, u64 unit, u64 units, u64 first, u64 step, u64 parts, real* sums) {
    for (u64 part = first; part < parts; part += PARTS_AT_ONCE * step) {
        real several[PARTS_AT_ONCE][GRADIENT_ROWS];
        for (u32 i = 0; i < PARTS_AT_ONCE; i++)
            for (u32 row = 0; row < GRADIENT_ROWS; row++)
                several[i][row] = part + i * step < parts
                                      ? partial[(part + i * step) * GRADIENT_ROWS * units + row * units + unit]
                                      : (real)0;
        for (u32 i = 0; i < PARTS_AT_ONCE; i++)
            for (u32 row = 0; row < GRADIENT_ROWS; row++) sums[row] += several[i][row];
    }
}

// dx = slope * (g - shift - tilt * (x - center)).
typedef struct {
    real shift, tilt, product;
} correction;

// From the sums of g and of g (x - center) and the count of elements; product is the sum of g times the normalized x.
// Sums that are not finite make dx of all of a channel NaN.
DEVICE correction correction_of(const real* sums, real center, real rest, real inverse) {
    const real count = sums[2];
    const u32 sound = is_finite(center) && is_finite(rest) && is_finite(inverse);
    correction own;
    const real product = is_finite(sums[0]) ? sums[1] - rest * sums[0] : sums[1];
    own.product = count == 0 ? (real)0 : sound ? inverse * product : QUIET_NAN;
    own.tilt = inverse * (own.product / count);
    own.shift = is_finite(own.product) && is_finite(sums[0]) ? sums[0] / count - rest * own.tilt : QUIET_NAN;
    return own;
}

// Sums over what lies a multiple of `wide` items behind each. `scratch` holds GROUP_SIZE values for each row.
DEVICE INLINED void summed_depths(real* sums, u32 wide, LOCAL real* scratch) {
    for (u32 row = 0; row < GRADIENT_ROWS; row++) scratch[row * GROUP_SIZE + LOCAL_ID] = sums[row];
    BARRIER();
    for (u32 half_size = GROUP_SIZE / 2; half_size >= wide; half_size /= 2) {
        if (LOCAL_ID < half_size)
            for (u32 row = 0; row < GRADIENT_ROWS; row++)
                scratch[row * GROUP_SIZE + LOCAL_ID] += scratch[row * GROUP_SIZE + LOCAL_ID + half_size];
        BARRIER();
    }
    for (u32 row = 0; row < GRADIENT_ROWS; row++) sums[row] = scratch[row * GROUP_SIZE + LOCAL_ID % wide];
    BARRIER();
}

// What a channel came to.
DEVICE void store_gradients(norm_backward pass, u64 channel, correction own, real sum) {
    // A sum from 0 on, as over sets, which is never -0.
    if (pass.dgamma != 0) pass.dgamma[channel] = (real)0 + own.product;
    if (pass.dbeta != 0) pass.dbeta[channel] = sum;
}
