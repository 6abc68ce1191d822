// The standard deviation within sets of a batch as one more channel (Karras, Aila, Laine and Lehtinen, "Progressive
// growing of GANs for improved quality, stability, and variation", ICLR 2018): sample i is in set i mod sets. The
// channel is the mean over all features of sqrt(variance over the set + epsilon), the same at every position.
//
//   minibatch_deviation_forward   copies x, and adds up the deviations of parts of the features
//   minibatch_deviation_map       the channel: the mean of a set's deviations, for each of its samples
//   minibatch_deviation_sums      the gradient of that mean, for each set
//   minibatch_deviation_backward  dx = dy + what goes through the deviations

#include "types.h"
#include "reduce.h"
#include "parts.h"
#include "divisor.h"

#if !DTYPE_F64 // The compiler's own choice spills.
#undef RESIDENT_GROUPS
#define RESIDENT_GROUPS 3
#endif

// Features of a part, which is a group's.
#define PART_LENGTH (8 * GROUP_SIZE)

// `channels` is 0 where they come first: then what is added stands behind all features, else behind each position's.
#define SET_PARAMETERS                                                                                               \
    u64 sets, u64 members, u64 features, u64 positions, u64 parts, u64 parts_inverse, u32 parts_shift, u32 channels, \
        u64 channels_inverse, u32 channels_shift

// Where a feature lies in a sample with one more channel.
DEVICE u64 place_of(u64 feature, u32 channels, u64 channels_inverse, u32 channels_shift) {
    return channels == 0 ? feature : feature + quotient(feature, channels_inverse, channels_shift);
}

// Neighbouring features of the members of a set: where the first member's are, and how many there are.
typedef struct {
    u64 feature, index, stride, members;
    u32 lanes;
} neighbours;

DEVICE u32 lanes_of(u64 feature, u64 features) {
    return features - feature < PART_LANES ? (u32)(features - feature) : PART_LANES;
}

// With VEC = 8 they are all there.
DEVICE void load_lanes(GLOBAL const scalar* source, u64 index, u32 lanes, real* values) {
#if VEC == 8
    load_part(source, index, values);
#else
    for (u32 lane = 0; lane < PART_LANES; lane++) values[lane] = lane < lanes ? load(source, index + lane) : (real)0;
#endif
}

// Sets of four samples are kept in registers from the means on; others are read for each pass.
#if IN_FOURS
#define MEMBERS 4
#else
#define MEMBERS own.members
#endif

typedef struct {
#if IN_FOURS
    real values[4][PART_LANES];
#else
    GLOBAL const scalar* source;
#endif
} kept_set;

DEVICE kept_set keep_set(GLOBAL const scalar* x, neighbours own) {
    kept_set set;
#if IN_FOURS
    for (u32 member = 0; member < 4; member++)
        load_lanes(x, own.index + member * own.stride, own.lanes, set.values[member]);
#else
    set.source = x;
#endif
    return set;
}

DEVICE void load_member(const kept_set* set, neighbours own, u64 member, real* values) {
#if IN_FOURS
    for (u32 lane = 0; lane < PART_LANES; lane++) values[lane] = set->values[member][lane];
#else
    load_lanes(set->source, own.index + member * own.stride, own.lanes, values);
#endif
}

// Means as distances from the first member, so that members that are all alike have no deviation at all, and
// sqrt(variance + epsilon).
DEVICE void deviations_of(const kept_set* set, neighbours own, real weight, real epsilon, real* first, real* means,
                          real* roots) {
    real values[PART_LANES];
    load_member(set, own, 0, first);
    for (u32 lane = 0; lane < PART_LANES; lane++) means[lane] = 0, roots[lane] = 0;
    for (u64 member = 1; member < MEMBERS; member++) {
        load_member(set, own, member, values);
        for (u32 lane = 0; lane < PART_LANES; lane++)
            means[lane] = FMA(values[lane] - first[lane], weight, means[lane]);
    }
    for (u64 member = 0; member < MEMBERS; member++) {
        load_member(set, own, member, values);
        for (u32 lane = 0; lane < PART_LANES; lane++) {
            const real distance = values[lane] - first[lane] - means[lane];
            roots[lane] = FMA(distance * weight, distance, roots[lane]);
        }
    }
    for (u32 lane = 0; lane < PART_LANES; lane++) roots[lane] = SQRT(roots[lane] + epsilon);
}

// A group takes a part of the features of a set. `weight` is 1 over the members. With VEC = 8 samples are whole octets,
// of x and of y.
KERNEL void minibatch_deviation_forward(GLOBAL const scalar* RESTRICT x, u64 x_offset, GLOBAL scalar* RESTRICT y,
                                        u64 y_offset, GLOBAL real* RESTRICT deviations, u64 deviations_offset,
                                        real weight, real epsilon, SET_PARAMETERS) {
    SHARED real scratch[GROUP_SIZE];
    x += x_offset;
    y += y_offset;
    for (u64 group = GROUP_ID; group < sets * parts; group += GROUP_COUNT) {
        const u64 set = quotient(group, parts_inverse, parts_shift), part = group - set * parts;
        const u64 stop = (part + 1) * PART_LENGTH, end = stop < features ? stop : features;
        real sum = 0;
        for (u64 feature = part * PART_LENGTH + PART_LANES * LOCAL_ID; feature < end;
             feature += PART_LANES * GROUP_SIZE) {
            const neighbours own = {feature, set * features + feature, sets * features, members,
                                    lanes_of(feature, features)};
            real first[PART_LANES], means[PART_LANES], roots[PART_LANES], values[PART_LANES];
            const kept_set kept = keep_set(x, own);
            deviations_of(&kept, own, weight, epsilon, first, means, roots);
            for (u32 lane = 0; lane < PART_LANES; lane++) sum += lane < own.lanes ? roots[lane] : (real)0;
            for (u64 member = 0; member < MEMBERS; member++) {
                load_member(&kept, own, member, values);
                GLOBAL scalar* target = y + (set + member * sets) * (features + positions);
                if (VEC == 8 && channels == 0) store_part(target, feature, values);
                for (u32 lane = 0; (VEC == 1 || channels != 0) && lane < own.lanes; lane++) {
                    const u64 place = place_of(feature + lane, channels, channels_inverse, channels_shift);
                    store(target, place, values[lane]);
                }
            }
        }
        sum = group_sum(sum, scratch);
        if (LOCAL_ID == 0) deviations[deviations_offset + group] = sum;
    }
}

// A group takes a sample. `weight` is 1 over the features.
KERNEL void minibatch_deviation_map(GLOBAL const real* RESTRICT deviations, u64 deviations_offset,
                                    GLOBAL scalar* RESTRICT y, u64 y_offset, real weight, SET_PARAMETERS) {
    SHARED real scratch[GROUP_SIZE];
    for (u64 sample = GROUP_ID; sample < sets * members; sample += GROUP_COUNT) {
        GLOBAL const real* own = deviations + deviations_offset + sample % sets * parts;
        GLOBAL scalar* target = y + y_offset + sample * (features + positions);
        real sum = 0;
        for (u64 part = LOCAL_ID; part < parts; part += GROUP_SIZE) sum += own[part];
        sum = group_sum(sum, scratch);
        for (u64 i = LOCAL_ID; i < positions; i += GROUP_SIZE)
            store(target, channels == 0 ? features + i : i * (channels + 1) + channels, sum * weight);
    }
}

// A group takes a set. `weight` is 1 over the features and the members, which all that goes on is multiplied by.
KERNEL void minibatch_deviation_sums(GLOBAL const scalar* RESTRICT dy, u64 dy_offset, GLOBAL real* RESTRICT slopes,
                                     u64 slopes_offset, real weight, SET_PARAMETERS) {
    SHARED real scratch[GROUP_SIZE];
    for (u64 set = GROUP_ID; set < sets; set += GROUP_COUNT) {
        real sum = 0;
        for (u64 member = 0; member < members; member++) {
            GLOBAL const scalar* source = dy + dy_offset + (set + member * sets) * (features + positions);
            for (u64 i = LOCAL_ID; i < positions; i += GROUP_SIZE)
                sum += load(source, channels == 0 ? features + i : i * (channels + 1) + channels);
        }
        sum = group_sum(sum, scratch);
        if (LOCAL_ID == 0) slopes[slopes_offset + set] = sum * weight;
    }
}

KERNEL void minibatch_deviation_backward(GLOBAL const scalar* RESTRICT x, u64 x_offset,
                                         GLOBAL const scalar* RESTRICT dy, u64 dy_offset,
                                         GLOBAL const real* RESTRICT slopes, u64 slopes_offset,
                                         GLOBAL scalar* RESTRICT dx, u64 dx_offset, real weight, real epsilon,
                                         SET_PARAMETERS) {
    x += x_offset;
    dy += dy_offset;
    dx += dx_offset;
    for (u64 group = GROUP_ID; group < sets * parts; group += GROUP_COUNT) {
        const u64 set = quotient(group, parts_inverse, parts_shift), part = group - set * parts;
        const u64 stop = (part + 1) * PART_LENGTH, end = stop < features ? stop : features;
        const real slope = slopes[slopes_offset + set];
        for (u64 feature = part * PART_LENGTH + PART_LANES * LOCAL_ID; feature < end;
             feature += PART_LANES * GROUP_SIZE) {
            const neighbours own = {feature, set * features + feature, sets * features, members,
                                    lanes_of(feature, features)};
            real first[PART_LANES], means[PART_LANES], roots[PART_LANES], values[PART_LANES], gradients[PART_LANES];
            const kept_set kept = keep_set(x, own);
            deviations_of(&kept, own, weight, epsilon, first, means, roots);
            for (u32 lane = 0; lane < PART_LANES; lane++) roots[lane] = slope / roots[lane];
            for (u64 member = 0; member < MEMBERS; member++) {
                GLOBAL const scalar* source = dy + (set + member * sets) * (features + positions);
                const u64 index = own.index + member * own.stride;
                load_member(&kept, own, member, values);
                if (channels == 0) load_lanes(source, feature, own.lanes, gradients);
                for (u32 lane = 0; channels != 0 && lane < PART_LANES; lane++) {
                    const u64 place = place_of(feature + lane, channels, channels_inverse, channels_shift);
                    gradients[lane] = lane < own.lanes ? load(source, place) : (real)0;
                }
                for (u32 lane = 0; lane < PART_LANES; lane++)
                    values[lane] = FMA(values[lane] - first[lane] - means[lane], roots[lane], gradients[lane]);
                if (VEC == 8) store_part(dx, index, values);
                for (u32 lane = 0; VEC == 1 && lane < own.lanes; lane++) store(dx, index + lane, values[lane]);
            }
        }
    }
}
