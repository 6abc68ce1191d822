// What the passes of batch normalization share. A tensor is [sets, outer, channels, inner]: samples that are normalized
// together are a set, a channel of a set is a unit. Its columns are [channels, inner], so that both layouts are rows of
// columns.

#define NORM_SHAPE_PARAMETERS u64 sets, u64 outer, u64 channels, u64 inner

// Statistics have the mean in two parts, as it may be so large that its rounding would show. `spread` is the inverse
// deviation, or the variance. Gamma and beta may be absent, 1 and 0.
#define NORM_CHANNEL_PARAMETERS                                                                                    \
    GLOBAL const real *mean, u64 mean_offset, GLOBAL const real *rest, u64 rest_offset, GLOBAL const real *spread, \
        u64 spread_offset, GLOBAL const real *gamma, u64 gamma_offset, GLOBAL const real *beta, u64 beta_offset

#define NORM_CHANNEL_ARGUMENTS \
    mean, mean_offset, rest, rest_offset, spread, spread_offset, gamma, gamma_offset, beta, beta_offset

// Elements are counted from `start` in the whole tensor of which this is a shard. A threshold of 65536 draws nothing.
// `kept` has a bit for each element, in memory's order, that says whether DropBlock keeps it; absent where it drops
// none. What it keeps is multiplied by block_scale, or by what the first of `scales` says.
#define NORM_EPILOGUE_PARAMETERS                                                                                       \
    u32 rectifies, u32 threshold, real drop_scale, u64 start, GLOBAL const u32 *kept, u64 kept_offset, u64 kept_words, \
        GLOBAL const real *scales, u64 scales_offset, real block_scale, KEY_PARAMETERS

#define NORM_EPILOGUE_ARGUMENTS                                                                                      \
    rectifies, threshold, drop_scale, start, kept, kept_offset, kept_words, scales, scales_offset, block_scale, key, \
        key_offset, seed, offset

// Of a forward pass that is one launch over one set. Statistics are written, and so are running values, which may be
// absent, with `share` the weight of the new ones. `width` is that of plane_walk.
#define BATCH_NORM_FORWARD_PARAMETERS                                                                               \
    GLOBAL const scalar *x, u64 x_offset, GLOBAL scalar *y, u64 y_offset, GLOBAL const scalar *residual,            \
        u64 residual_offset, GLOBAL const real *gamma, u64 gamma_offset, GLOBAL const real *beta, u64 beta_offset,  \
        GLOBAL real *statistics, u64 statistics_offset, GLOBAL real *running_mean, u64 running_mean_offset,         \
        GLOBAL real *running_variance, u64 running_variance_offset, NORM_SHAPE_PARAMETERS, u64 width, real epsilon, \
        real share, u32 is_unbiased, NORM_EPILOGUE_PARAMETERS

#define BATCH_NORM_FORWARD_ARGUMENTS                                                                                  \
    x, x_offset, y, y_offset, residual, residual_offset, gamma, gamma_offset, beta, beta_offset, statistics,          \
        statistics_offset, running_mean, running_mean_offset, running_variance, running_variance_offset, sets, outer, \
        channels, inner, width, epsilon, share, is_unbiased, NORM_EPILOGUE_ARGUMENTS

// Of a backward pass that is one launch over one set. y, dresidual, dgamma and dbeta may be absent; dresidual is the
// gradient before the normalization.
#define BATCH_NORM_BACKWARD_PARAMETERS                                                                         \
    GLOBAL const scalar *dy, u64 dy_offset, GLOBAL const scalar *x, u64 x_offset, GLOBAL const scalar *y,      \
        u64 y_offset, GLOBAL scalar *dx, u64 dx_offset, GLOBAL scalar *dresidual, u64 dresidual_offset,        \
        GLOBAL real *dgamma, u64 dgamma_offset, GLOBAL real *dbeta, u64 dbeta_offset, NORM_CHANNEL_PARAMETERS, \
        NORM_SHAPE_PARAMETERS, u64 width, NORM_EPILOGUE_PARAMETERS

#define BATCH_NORM_BACKWARD_ARGUMENTS                                                                                  \
    dy, dy_offset, x, x_offset, y, y_offset, dx, dx_offset, dresidual, dresidual_offset, dgamma, dgamma_offset, dbeta, \
        dbeta_offset, NORM_CHANNEL_ARGUMENTS, sets, outer, channels, inner, width, NORM_EPILOGUE_ARGUMENTS

// How many places of each sample count, from its first on; absent where all do. What does not count is not looked at,
// and is 0 in what is written. Where channels come last a sample is `places` rows, and `inverse` and `inverse_shift`
// divide by that number.
#define NORM_LENGTHS_PARAMETERS \
    GLOBAL const i32 *lengths, u64 lengths_offset, u64 places, u64 inverse, u32 inverse_shift

// Whether there may be lengths, or elements that dropout or DropBlock drops, is known when a kernel is compiled, as its
// loops have no registers left for what is mostly absent. Kernels to which it is all one have no such switch.
#if !HAS_MASKS
#define HAS_MASKS 0
#endif

// A pass over a channel's elements loads so many blocks before it looks at the first. Along planes lengths take
// registers of their own.
#define BLOCKS_AT_ONCE       2
#define PLANE_BLOCKS_AT_ONCE (BLOCKS_AT_ONCE - HAS_MASKS)

typedef struct {
    GLOBAL const i32* of_samples;
    u64 places, inverse;
    u32 shift;
} norm_lengths;

DEVICE norm_lengths lengths_of(NORM_LENGTHS_PARAMETERS) {
    norm_lengths own;
    own.of_samples = HAS_MASKS && lengths != 0 ? lengths + lengths_offset : 0;
    own.places = places, own.inverse = inverse, own.shift = inverse_shift;
    return own;
}

// Of a sample whose length is given. A length beyond the places is all of them, one below 0 is none.
DEVICE u64 counted_places(GLOBAL const i32* of_sample, u64 places) {
    if (of_sample == 0) return places;
    const i32 length = *of_sample;
    return length <= 0 ? 0 : (u64)length < places ? (u64)length : places;
}

// How many rows count from `row` on, as far as its sample goes.
DEVICE u64 counted_rows(norm_lengths of, u64 row) {
    const u64 sample = quotient(row, of.inverse, of.shift), place = row - sample * of.places;
    const u64 counted = counted_places(of.of_samples + sample, of.places);
    return counted > place ? counted - place : 0;
}

DEVICE u32 row_counts(norm_lengths of, u64 row) { return of.of_samples == 0 || counted_rows(of, row) > 0; }

// The first row of `row` to `end` - 1 that counts, or `end`.
DEVICE u64 first_counted_row(norm_lengths of, u64 row, u64 end) {
    if (of.of_samples == 0) return row;
    while (row < end && counted_rows(of, row) == 0) row = (quotient(row, of.inverse, of.shift) + 1) * of.places;
    return row < end ? row : end;
}

// Columns that a group takes at most: as many have their coefficients in local memory.
#define TILE_COLUMNS 512

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

typedef struct {
    u32 rectifies, threshold;
    real drop_scale, block_scale;
    u64 start, kept_words;
    GLOBAL const u32* kept;
    random_key key;
} norm_epilogue;

DEVICE norm_epilogue epilogue_of(NORM_EPILOGUE_PARAMETERS) {
    norm_epilogue own;
    own.rectifies = rectifies, own.drop_scale = drop_scale, own.start = start;
    own.threshold = HAS_MASKS ? threshold : 65536u;
    own.kept = HAS_MASKS && kept != 0 ? kept + kept_offset : 0;
    own.kept_words = kept_words;
    own.block_scale = !HAS_MASKS ? (real)1 : scales != 0 ? scales[scales_offset] : block_scale;
    own.key = resolve_key(key, key_offset, seed, offset);
    return own;
}

// Eight elements in two fours, `apart` from one to the other: 4, or 8 where items of a pair (types.h) take fours of
// sixteen in turn.
DEVICE stored8 load_fours(GLOBAL const scalar* source, u64 index, u32 apart) {
#if PAIRED
    stored8 stored;
    load4_f32(source + index, stored.values);
    load4_f32(source + index + apart, stored.values + 4);
    return stored;
#else
    return load8_stored(source, index);
#endif
}

DEVICE void store_fours(GLOBAL scalar* target, u64 index, u32 apart, const real* values) {
#if PAIRED
    store4_f32(target + index, values);
    store4_f32(target + index + apart, values + 4);
#else
    store8(target, index, values);
#endif
}

// The draws of such elements.
DEVICE philox_block draw_fours(random_key key, u64 index, u32 apart) {
#if PAIRED && VEC == 8
    if (apart != 4) {
        const philox_block low = philox(key, index / 8), high = philox(key, index / 8 + 1);
        const u32 second = (u32)index & 4;
        const philox_block both = {{second ? low.words[2] : low.words[0], second ? low.words[3] : low.words[1],
                                    second ? high.words[2] : high.words[0], second ? high.words[3] : high.words[1]}};
        return both;
    }
#endif
    return draw8(key, index);
}

// Dropout and DropBlock of eight values, two fours; `index` is the first one's in this tensor.
DEVICE void drop(real* values, u64 index, u32 apart, norm_epilogue after) {
    if (after.threshold < 65536u) {
        const philox_block drawn = draw_fours(after.key, after.start + index, apart);
        for (u32 lane = 0; lane < 8; lane++)
            values[lane] = keeps_lane(drawn, lane, after.threshold) ? values[lane] * after.drop_scale : (real)0;
    }
    if (after.kept != 0) {
        // With VEC = 8 a four lies in one word.
        const u32 shift = (u32)(index % 32);
        u32 bits = after.kept[index / 32] >> shift;
#if VEC != 8
        if (shift > 24 && index / 32 + 1 < after.kept_words) bits |= after.kept[index / 32 + 1] << (32 - shift);
#elif PAIRED
        const u64 other = index + apart;
        bits = (bits & 0xfu) | (after.kept[other / 32] >> (u32)(other % 32) & 0xfu) << 4;
#endif
        for (u32 lane = 0; lane < 8; lane++)
            values[lane] = (bits >> lane & 1u) != 0 ? values[lane] * after.block_scale : (real)0;
    }
}

// Eight values behind the normalization.
DEVICE void follow(real* values, u64 index, u32 apart, norm_epilogue after) {
    if (after.rectifies) {
        for (u32 lane = 0; lane < 8; lane++) values[lane] = values[lane] <= 0 ? (real)0 : values[lane];
    }
    drop(values, index, apart, after);
}

// The gradient of eight normalized values from that of y: by y itself where it is given, as it is 0 where it was
// rectified or dropped; else by the values, slope * distance + level, and `drop`.
DEVICE void lead_by_output(real* gradients, const real* y, norm_epilogue after) {
    const real scale = after.drop_scale * after.block_scale;
    for (u32 lane = 0; lane < 8; lane++) gradients[lane] = y[lane] <= 0 ? (real)0 : gradients[lane] * scale;
}

DEVICE void lead_by_values(real* gradients, const real* distances, const real* slope, const real* level) {
    for (u32 lane = 0; lane < 8; lane++)
        gradients[lane] = FMA(distances[lane], slope[lane], level[lane]) <= 0 ? (real)0 : gradients[lane];
}

// Blocks are eights of the whole tensor, so that they can be loaded wide; `width` of them cover a plane, wherever it
// begins. A place is a plane and a block of it, and an item goes on by GROUP_SIZE places. The host makes sure that
// numbers of a plane's elements fit an i32: 64 bits would be most of what an element takes.
typedef struct {
    u64 begin, stride, stride_on; // the plane's first element, to the next plane's, and what GROUP_SIZE places are
    u32 block, width, blocks_on, inner; // the block of the plane, its blocks, those of GROUP_SIZE places, its elements
    u32 samples_on;
    GLOBAL const i32* length; // of the plane's sample; absent where all its places count
} plane_walk;

DEVICE plane_walk walk_from(u64 place, u64 first_plane, u64 channel, u64 channels, u64 inner, u64 width,
                            GLOBAL const i32* lengths) {
    plane_walk walk;
    const u64 plane = place / width, planes_on = GROUP_SIZE / width;
    walk.begin = ((first_plane + plane) * channels + channel) * inner;
    walk.block = (u32)(place - plane * width);
    walk.inner = (u32)inner, walk.stride = channels * inner, walk.width = (u32)width;
    walk.stride_on = planes_on * walk.stride, walk.blocks_on = (u32)(GROUP_SIZE - planes_on * width);
    walk.samples_on = (u32)planes_on;
    walk.length = lengths != 0 ? lengths + first_plane + plane : 0;
    return walk;
}

// The first of the places `place` to `end` - 1 of a channel whose plane has an element that counts, or `end`.
DEVICE u64 first_counted_place(GLOBAL const i32* lengths, u64 place, u64 end, u64 first_plane, u64 inner, u64 width) {
    if (lengths == 0) return place;
    u64 plane = place / width;
    while (place < end && counted_places(lengths + first_plane + plane, inner) == 0) place = ++plane * width;
    return place < end ? place : end;
}

// Bit i of `lanes` is set where element i of the block at `index` is the plane's.
typedef struct {
    u64 index;
    u32 lanes;
} plane_block;

#define ALL_LANES 0xffu

// Where in its plane the next block begins; its lead-in moves the first one back.
DEVICE i32 next_place(plane_walk walk) { return (i32)(8 * walk.block) - (i32)((u32)walk.begin % 8); }

DEVICE void walk_on(plane_walk* walk) {
    if (walk->length != 0) walk->length += walk->samples_on;
    walk->begin += walk->stride_on;
    walk->block += walk->blocks_on;
    if (walk->block >= walk->width) {
        walk->block -= walk->width;
        walk->begin += walk->stride;
        if (walk->length != 0) walk->length++;
    }
}

DEVICE plane_block next_block(plane_walk* walk) {
    plane_block own;
    // The plane, or what counts of it, ends so many elements before the block does.
    const i32 place = next_place(*walk), missing = place + 8 - (i32)counted_places(walk->length, walk->inner);
    own.index = walk->begin + (u64)(i64)place;
    own.lanes = ALL_LANES;
    if (place < 0 || missing > 0) {
        own.lanes <<= place < 0 ? -place : 0;
        own.lanes &= ALL_LANES >> (missing <= 0 ? 0 : missing < 8 ? missing : 8);
    }
    walk_on(walk);
    return own;
}

// The same, empty behind the last place.
DEVICE plane_block next_block_of(plane_walk* walk, u32 exists) {
    plane_block own = next_block(walk);
    own.lanes = exists ? own.lanes : 0u;
    return own;
}

DEVICE u32 has_lane(plane_block own, u32 lane) { return (own.lanes >> lane & 1u) != 0; }
DEVICE u32 first_lane(plane_block own) { return COUNT_ONES((u64)(own.lanes & (0u - own.lanes)) - 1); }
DEVICE u32 lanes_of(plane_block own) { return COUNT_ONES((u64)own.lanes); }

// The plane's lanes of a block; the others are 0.
DEVICE stored8 load_lanes_of_plane(GLOBAL const scalar* source, plane_block own) {
    stored8 stored = {{0}};
#if DTYPE_F16 || DTYPE_BF16
    for (u32 lane = 0; lane < 8; lane++)
        if (has_lane(own, lane)) stored.pairs[lane / 2] |= (u32)source[own.index + lane] << (16 * (lane % 2));
#else
    for (u32 lane = 0; lane < 8; lane++)
        if (has_lane(own, lane)) stored.values[lane] = source[own.index + lane];
#endif
    return stored;
}

// With VEC = 8 tensors are whole blocks, so that what lies beside the plane may be read with it, and the first block
// where there is nothing to read.
DEVICE stored8 load_plane(GLOBAL const scalar* source, plane_block own) {
#if VEC == 8
    return load8_stored(source, own.lanes != 0 ? own.index : 0);
#else
    return load_lanes_of_plane(source, own);
#endif
}

// Of a tensor that another group may write to, beside the plane. The fours of a whole block may be `apart`.
DEVICE stored8 load_plane_alone(GLOBAL const scalar* source, plane_block own, u32 apart) {
#if VEC == 8
    if (own.lanes == ALL_LANES) return load_fours(source, own.index, apart);
#endif
    return load_lanes_of_plane(source, own);
}

DEVICE void store_plane(GLOBAL scalar* target, plane_block own, u32 apart, const real* values) {
#if VEC == 8
    if (own.lanes == ALL_LANES) {
        store_fours(target, own.index, apart, values);
        return;
    }
#endif
    for (u32 lane = 0; lane < 8; lane++)
        if (has_lane(own, lane)) store(target, own.index + lane, values[lane]);
}

// Lanes beside the plane become `value`.
DEVICE void fill_beside(plane_block own, real* values, real value) {
    for (u32 lane = 0; lane < 8; lane++) values[lane] = has_lane(own, lane) ? values[lane] : value;
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
    u32 apart;                    // from the first four of its columns to the others, see paired_job
} column_job;

DEVICE column_job column_job_at(u64 job, u64 outer, u64 columns, u64 splits, u64 share, u64 tiles, u32 wide) {
    column_job own;
    const u64 part = tiles == 1 ? job : job / tiles;
    own.tile = job - part * tiles;
    own.set = part < splits ? 0 : part / splits;
    own.split = part - own.set * splits;
    own.column = 8 * (own.tile * wide + block_of(wide));
    own.count = own.column >= columns ? 0u : columns - own.column < 8 ? (u32)(columns - own.column) : 8u;
    own.apart = 4;
    own.begin = own.set * outer + own.split * share;
    own.end = (own.split + 1) * share < outer ? own.begin + share : (own.set + 1) * outer;
    return own;
}

// The same with two items taking fours of sixteen columns in turn (types.h), so that they store whole sectors together.
// Where an item has no neighbour in its rows its columns stay side by side.
DEVICE column_job paired_job(column_job own, u64 columns, u32 wide) {
#if PAIRED && VEC == 8
    if (wide > 1 && (own.column | 8) < columns) {
        own.column -= 4 * (LOCAL_ID % 2);
        own.apart = 8;
    }
#endif
    return own;
}

// The rows of a job that count, for every item; `scratch` holds GROUP_SIZE values. Kernels call it before anything else
// of a job and only where it is compiled in: PoCL leaves out a loop behind a barrier that comes later or is never met.
DEVICE INLINED void count_rows(norm_lengths of, column_job own, u32 wide, real* count, LOCAL real* scratch) {
    count[0] = 0;
    if (block_of(wide) == 0)
        for (u64 row = own.begin + depth_of(wide); row < own.end; row += GROUP_SIZE / wide)
            count[0] += row_counts(of, row) ? (real)1 : (real)0;
    team_sums(count, 1, GROUP_SIZE, scratch);
}

DEVICE stored8 load_columns(GLOBAL const scalar* source, u64 index, u32 count, u32 apart) {
#if VEC == 8
    return load_fours(source, index, apart);
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

DEVICE void store_columns(GLOBAL scalar* target, u64 index, u32 count, u32 apart, const real* values) {
#if VEC == 8
    store_fours(target, index, apart, values);
#else
    for (u32 lane = 0; lane < 8; lane++)
        if (lane < count) store(target, index + lane, values[lane]);
#endif
}

// Those of BLOCKS_AT_ONCE rows, of which the rows from `stop` on are the first once more.
DEVICE void load_rows(GLOBAL const scalar* source, u64 index, u64 step, u64 stop, u32 count, u32 apart,
                      stored8* stored) {
    for (u32 i = 0; i < BLOCKS_AT_ONCE; i++)
        stored[i] = load_columns(source, index + i * step < stop ? index + i * step : index, count, apart);
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

// Tables of a value for each column of a tile: first lanes of all blocks, second lanes and so on, so that what
// neighbours read lies in different banks.
#define TABLE_STRIDE (TILE_COLUMNS / 8 + 1)
#define TABLE_VALUES (8 * TABLE_STRIDE)

DEVICE u32 table_place(u32 column) { return column % 8 * TABLE_STRIDE + column / 8; }

DEVICE INLINED void load_table(LOCAL const real* table, u32 wide, u32 apart, real* lanes) {
    const u32 first = table_place(8 * block_of(wide) - (apart == 4 ? 0 : 4 * (LOCAL_ID % 2)));
    // From the first four to the others: they are of the same block, or of the next one.
    const u32 on = apart == 4 ? 4 * TABLE_STRIDE : 1;
    for (u32 lane = 0; lane < 8; lane++) lanes[lane] = table[first + lane % 4 * TABLE_STRIDE + (lane < 4 ? 0 : on)];
}

// The coefficients of a tile's columns, which are tables.
DEVICE INLINED void tile_affines(column_job job, norm_channels of, u64 channels, u64 inner, u32 wide, u32 is_variance,
                                 real epsilon, LOCAL real* centers, LOCAL real* slopes, LOCAL real* levels) {
    const u64 first = 8 * job.tile * wide;
    for (u32 i = LOCAL_ID; i < 8 * wide; i += GROUP_SIZE) {
        const u64 channel = inner == 1 ? first + i : (first + i) / inner;
        affine own = {0, 0, 0};
        if (channel < channels) own = channel_affine(of, job.set * channels + channel, channel, is_variance, epsilon);
        centers[table_place(i)] = own.center;
        slopes[table_place(i)] = own.slope;
        levels[table_place(i)] = own.level;
    }
}

DEVICE INLINED void load_lanes(LOCAL const real* values, u32 wide, u32 apart, real* lanes) {
    const u32 first = 8 * block_of(wide) - (apart == 4 ? 0 : 4 * (LOCAL_ID % 2));
    for (u32 lane = 0; lane < 8; lane++) lanes[lane] = values[first + (lane < 4 ? 0 : apart - 4) + lane];
}
