// What the passes of batch normalization share. A tensor is [sets, outer, channels, inner]: samples that are normalized
// together are a set, a channel of a set is a unit. Its columns are [channels, inner], so that both layouts are rows of
// columns.

#define NORM_SHAPE_PARAMETERS u64 sets, u64 outer, u64 channels, u64 inner

// Statistics have the mean in two parts, as it may be so large that its rounding would show. `spread` is the inverse
// deviation, or the variance. Gamma and beta may be absent, 1 and 0.
#define NORM_CHANNEL_PARAMETERS                                                                                    \
    GLOBAL const real *mean, u64 mean_offset, GLOBAL const real *rest, u64 rest_offset, GLOBAL const real *spread, \
        u64 spread_offset, GLOBAL const real *gamma, u64 gamma_offset, GLOBAL const real *beta, u64 beta_offset

// Elements are counted from `start` in the whole tensor of which this is a shard. A threshold of 65536 draws nothing.
#define NORM_EPILOGUE_PARAMETERS u32 rectifies, u32 threshold, real drop_scale, u64 start, KEY_PARAMETERS

// Columns that a group takes at most: as many have their coefficients in local memory.
#define TILE_COLUMNS 512

// A pass over a channel's elements loads so many blocks before it looks at the first.
#define BLOCKS_AT_ONCE 2

// An item that merges parts loads so many before it looks at the first.
#define PARTS_AT_ONCE 4

// z = slope * (x - center) + level.
typedef struct {
    real center, slope, level;
} affine;

// What is not finite makes all of a channel NaN, as an infinity would at one element and not at another. Channels of
// gamma are those of the statistics of all sets in turn.
DEVICE affine affine_of(real center, real rest, real inverse, GLOBAL const real* gamma, GLOBAL const real* beta,
                        u64 channel) {
    const real factor = gamma != 0 ? gamma[channel] : (real)1, shift = beta != 0 ? beta[channel] : (real)0;
    const u32 sound = is_finite(center) && is_finite(rest) && is_finite(inverse) && is_finite(factor);
    affine own;
    own.center = center;
    own.slope = sound ? factor * inverse : QUIET_NAN;
    own.level = FMA(-rest, own.slope, shift);
    return own;
}

typedef struct {
    GLOBAL const real *mean, *rest, *spread, *gamma, *beta;
} norm_channels;

DEVICE norm_channels channels_of(NORM_CHANNEL_PARAMETERS) {
    norm_channels own;
    own.mean = mean + mean_offset;
    own.rest = rest != 0 ? rest + rest_offset : 0;
    own.spread = spread + spread_offset;
    own.gamma = gamma != 0 ? gamma + gamma_offset : 0;
    own.beta = beta != 0 ? beta + beta_offset : 0;
    return own;
}

DEVICE affine channel_affine(norm_channels own, u64 unit, u64 channel, u32 is_variance, real epsilon) {
    const real spread = own.spread[unit], inverse = is_variance ? 1 / SQRT(spread + epsilon) : spread;
    return affine_of(own.mean[unit], own.rest != 0 ? own.rest[unit] : (real)0,
                     is_variance && !is_finite(spread) ? QUIET_NAN : inverse, own.gamma, own.beta, channel);
}

// Eight values; `index` is that of the first.
DEVICE void follow(real* values, u64 index, u32 rectifies, random_key key, u32 threshold, real drop_scale) {
    if (rectifies) {
        for (u32 lane = 0; lane < 8; lane++) values[lane] = values[lane] <= 0 ? (real)0 : values[lane];
    }
    if (threshold < 65536u) {
        const philox_block drawn = draw8(key, index);
        for (u32 lane = 0; lane < 8; lane++)
            values[lane] = philox_lane(drawn, lane) < threshold ? values[lane] * drop_scale : (real)0;
    }
}

// The gradient of eight normalized values from that of y: by y itself where it is given, as it is 0 where it was
// rectified or dropped; else by the values, slope * distance + level, and the draws.
DEVICE void lead_by_output(real* gradients, const real* y, real drop_scale) {
    for (u32 lane = 0; lane < 8; lane++) gradients[lane] = y[lane] <= 0 ? (real)0 : gradients[lane] * drop_scale;
}

DEVICE void lead_by_values(real* gradients, const real* distances, const real* slope, const real* level) {
    for (u32 lane = 0; lane < 8; lane++)
        gradients[lane] = FMA(distances[lane], slope[lane], level[lane]) <= 0 ? (real)0 : gradients[lane];
}

DEVICE void lead_by_draws(real* gradients, u64 index, random_key key, u32 threshold, real drop_scale) {
    if (threshold < 65536u) {
        const philox_block drawn = draw8(key, index);
        for (u32 lane = 0; lane < 8; lane++)
            gradients[lane] = philox_lane(drawn, lane) < threshold ? gradients[lane] * drop_scale : (real)0;
    }
}

// Blocks are eights of the whole tensor, so that they can be loaded wide; `width` of them cover a plane, wherever it
// begins. A place is a plane and a block of it, and an item goes on by GROUP_SIZE places.
typedef struct {
    u64 begin, block;         // the plane's first element, and the block of it
    u64 inner, stride, width; // elements of a plane, and from one to the next; its blocks
    u64 stride_on, blocks_on; // what GROUP_SIZE places are
} plane_walk;

DEVICE plane_walk walk_from(u64 place, u64 first_plane, u64 channel, u64 channels, u64 inner, u64 width) {
    plane_walk walk;
    const u64 plane = place / width, planes_on = GROUP_SIZE / width;
    walk.begin = ((first_plane + plane) * channels + channel) * inner;
    walk.block = place - plane * width;
    walk.inner = inner, walk.stride = channels * inner, walk.width = width;
    walk.stride_on = planes_on * walk.stride, walk.blocks_on = GROUP_SIZE - planes_on * width;
    return walk;
}

// Lanes first to end - 1 of the block at `index` are the plane's.
typedef struct {
    u64 index;
    u32 first, end;
} plane_block;

DEVICE plane_block next_block(plane_walk* walk) {
    plane_block own;
    const u32 lead_in = (u32)walk->begin % 8;
    // As far as the plane goes from the block's begin on: its lead-in counts.
    const u64 covered = 8 * walk->block, length = walk->inner + lead_in;
    own.index = walk->begin - lead_in + covered;
    own.first = walk->block == 0 ? lead_in : 0u;
    own.end = length >= covered + 8 ? 8u : length > covered ? (u32)(length - covered) : 0u;
    walk->begin += walk->stride_on;
    walk->block += walk->blocks_on;
    if (walk->block >= walk->width) {
        walk->block -= walk->width;
        walk->begin += walk->stride;
    }
    return own;
}

// The plane's lanes of a block; the others are 0.
DEVICE stored8 load_lanes_of_plane(GLOBAL const scalar* source, plane_block own) {
    stored8 stored = {{0}};
#if DTYPE_F16 || DTYPE_BF16
    for (u32 lane = 0; lane < 8; lane++)
        if (lane >= own.first && lane < own.end)
            stored.pairs[lane / 2] |= (u32)source[own.index + lane] << (16 * (lane % 2));
#else
    for (u32 lane = 0; lane < 8; lane++)
        if (lane >= own.first && lane < own.end) stored.values[lane] = source[own.index + lane];
#endif
    return stored;
}

// With VEC = 8 tensors are whole blocks, so that what lies beside the plane may be read with it, and the first block
// where there is nothing to read.
DEVICE stored8 load_plane(GLOBAL const scalar* source, plane_block own) {
#if VEC == 8
    return load8_stored(source, own.end > own.first ? own.index : 0);
#else
    return load_lanes_of_plane(source, own);
#endif
}

// Of a tensor that another group may write to, beside the plane.
DEVICE stored8 load_plane_alone(GLOBAL const scalar* source, plane_block own) {
#if VEC == 8
    if (own.end - own.first == 8) return load8_stored(source, own.index);
#endif
    return load_lanes_of_plane(source, own);
}

DEVICE void store_plane(GLOBAL scalar* target, plane_block own, const real* values) {
#if VEC == 8
    if (own.end - own.first == 8) {
        store8(target, own.index, values);
        return;
    }
#endif
    for (u32 lane = 0; lane < 8; lane++)
        if (lane >= own.first && lane < own.end) store(target, own.index + lane, values[lane]);
}

// Lanes beside the plane become `value`.
DEVICE void fill_beside(plane_block own, real* values, real value) {
    if (own.end - own.first == 8) return;
    for (u32 lane = 0; lane < 8; lane++) values[lane] = lane >= own.first && lane < own.end ? values[lane] : value;
}

// Where an item is in a group that is `wide` items wide, a power of two.
DEVICE u32 block_of(u32 wide) { return LOCAL_ID & (wide - 1); }
DEVICE u32 depth_of(u32 wide) { return LOCAL_ID >> COUNT_ONES((u64)wide - 1); }

// A group takes `wide` blocks of eight columns, a power of two, and its items are that wide and GROUP_SIZE / wide deep
// over the rows. A job is a tile of columns and a share of the rows of a set.
typedef struct {
    u64 set, split, tile, column; // column is the item's first
    u64 begin, end;               // of the rows
    u32 count;                    // of the item's columns
} column_job;

DEVICE column_job column_job_at(u64 job, u64 outer, u64 columns, u64 splits, u64 share, u64 tiles, u32 wide) {
    column_job own;
    const u64 part = tiles == 1 ? job : job / tiles;
    own.tile = job - part * tiles;
    own.set = part < splits ? 0 : part / splits;
    own.split = part - own.set * splits;
    own.column = 8 * (own.tile * wide + block_of(wide));
    own.count = own.column >= columns ? 0u : columns - own.column < 8 ? (u32)(columns - own.column) : 8u;
    own.begin = own.set * outer + own.split * share;
    own.end = (own.split + 1) * share < outer ? own.begin + share : (own.set + 1) * outer;
    return own;
}

DEVICE stored8 load_columns(GLOBAL const scalar* source, u64 index, u32 count) {
#if VEC == 8
    return load8_stored(source, index);
#else
    stored8 stored = {{0}};
#if DTYPE_F16 || DTYPE_BF16
    for (u32 lane = 0; lane < 8; lane++)
        if (lane < count) stored.pairs[lane / 2] |= (u32)source[index + lane] << (16 * (lane % 2));
#else
    for (u32 lane = 0; lane < 8; lane++)
        if (lane < count) stored.values[lane] = source[index + lane];
#endif
    return stored;
#endif
}

DEVICE void store_columns(GLOBAL scalar* target, u64 index, u32 count, const real* values) {
#if VEC == 8
    store8(target, index, values);
#else
    for (u32 lane = 0; lane < 8; lane++)
        if (lane < count) store(target, index + lane, values[lane]);
#endif
}

// Those of BLOCKS_AT_ONCE rows, of which the rows from `stop` on are the first once more.
DEVICE void load_rows(GLOBAL const scalar* source, u64 index, u64 step, u64 stop, u32 count, stored8* stored) {
    for (u32 i = 0; i < BLOCKS_AT_ONCE; i++)
        stored[i] = load_columns(source, index + i * step < stop ? index + i * step : index, count);
}

// So far apart that no two columns which neighbours add up lie in one bank.
#define COLUMN_STRIDE (GROUP_SIZE + 4)

// Sums over the depths of a tile: `totals` has one for each of its columns, up to TILE_COLUMNS. Every item adds up four
// depths twice over, then some add up what these came to. `scratch` holds 8 * COLUMN_STRIDE values and may be used
// again right after.
DEVICE INLINED void summed_columns(const real* values, u32 wide, LOCAL real* scratch, LOCAL real* totals) {
    const u32 columns = 8 * wide, parts = GROUP_SIZE / 4 / wide, bits = COUNT_ONES((u64)columns - 1);
    for (u32 lane = 0; lane < 8; lane++) scratch[lane * COLUMN_STRIDE + LOCAL_ID] = values[lane];
    BARRIER();
    for (u32 i = LOCAL_ID; i < TILE_COLUMNS; i += GROUP_SIZE) {
        const u32 part = i >> bits, column = i & (columns - 1);
        LOCAL const real* own = scratch + column % 8 * COLUMN_STRIDE + 4 * part * wide + column / 8;
        totals[i] = (own[0] + own[wide]) + (own[2 * wide] + own[3 * wide]);
    }
    BARRIER();
    for (u32 column = LOCAL_ID; column < columns; column += GROUP_SIZE) {
        real sum = totals[column];
        for (u32 part = 1; part < parts; part++) sum += totals[part * columns + column];
        totals[column] = sum;
    }
    BARRIER();
}

// The coefficients of a tile's columns.
DEVICE INLINED void tile_affines(column_job job, norm_channels of, u64 channels, u64 inner, u32 wide, u32 is_variance,
                                 real epsilon, LOCAL real* centers, LOCAL real* slopes, LOCAL real* levels) {
    const u64 first = 8 * job.tile * wide;
    for (u32 i = LOCAL_ID; i < 8 * wide; i += GROUP_SIZE) {
        const u64 channel = inner == 1 ? first + i : (first + i) / inner;
        affine own = {0, 0, 0};
        if (channel < channels) own = channel_affine(of, job.set * channels + channel, channel, is_variance, epsilon);
        centers[i] = own.center;
        slopes[i] = own.slope;
        levels[i] = own.level;
    }
}

DEVICE INLINED void load_lanes(LOCAL const real* values, u32 wide, real* lanes) {
    for (u32 lane = 0; lane < 8; lane++) lanes[lane] = values[8 * block_of(wide) + lane];
}
