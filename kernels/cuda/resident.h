// What kernels share whose groups keep their input in shared memory: blocks of eight elements, and teams of groups.

#include "cuda/copies.h"
#include "cuda/grid.h"

// `splits` groups side by side are a team, of which each has a part; teams take the channels, or tiles of columns, in
// turn. `part` is what each has of a channel, in places, or of the rows; a tile is 8 * wide columns, no more than a
// group has items. The rows of sums and the counters, one for each team, are absent where splits is 1, and nobody
// waits. Else the launch is cooperative, and its groups are whole teams.
#define RESIDENT_TEAM_PARAMETERS                                                                               \
    GLOBAL real *partial, u64 partial_offset, GLOBAL u32 *counters, u64 counters_offset, u64 splits, u64 part, \
        u64 tiles, u32 wide

#define RESIDENT_TEAM_ARGUMENTS partial, partial_offset, counters, counters_offset, splits, part, tiles, wide

typedef struct {
    u32 number, teams, split, splits;
    real* partial;
    u32* counter;
} resident_team;

DEVICE resident_team team_of(RESIDENT_TEAM_PARAMETERS) {
    resident_team own;
    own.splits = (u32)splits;
    own.number = (u32)GROUP_ID / own.splits, own.teams = (u32)GROUP_COUNT / own.splits;
    own.split = (u32)GROUP_ID - own.number * own.splits;
    own.partial = partial + partial_offset;
    own.counter = counters + counters_offset + own.number;
    return own;
}

// What members have written before it is there for all of them behind it.
DEVICE void team_barrier(resident_team own) { barrier_of_groups(own.counter, own.split, own.splits); }

// Copies of eight elements, and how many of those of a tensor are on their way while sums are made.
#define BLOCK_COPIES (DTYPE_F32 ? 2 : 1)
#define BLOCKS_AHEAD 8

// Sums of several blocks at a time would take registers and gain nothing, as nobody waits for a load.
#define NO_UNROLL _Pragma("unroll 1")

// An item reads what it has copied itself, so that it need not wait for others. Copies of neighbours lie side by side.
DEVICE u32 resident_place(u32 block, u32 copy) { return (block * BLOCK_COPIES + copy) * GROUP_SIZE + LOCAL_ID; }

// Zeros where the block is outside.
DEVICE void keep_block(uint4* resident, u32 block, const scalar* source, u64 index, u32 is_inside) {
    UNROLL
    for (u32 copy = 0; copy < BLOCK_COPIES; copy++)
        copy_chunk(shared_address(resident + resident_place(block, copy)),
                   global_address(source + (is_inside ? index : 0) + 4 * copy), is_inside);
}

DEVICE stored8 kept_block(const uint4* resident, u32 block) {
    stored8 stored;
    UNROLL
    for (u32 copy = 0; copy < BLOCK_COPIES; copy++) {
        const uint4 words = resident[resident_place(block, copy)];
#if DTYPE_F32
        stored.values[4 * copy] = AS_F32(words.x), stored.values[4 * copy + 1] = AS_F32(words.y);
        stored.values[4 * copy + 2] = AS_F32(words.z), stored.values[4 * copy + 3] = AS_F32(words.w);
#else
        stored.pairs[0] = words.x, stored.pairs[1] = words.y, stored.pairs[2] = words.z, stored.pairs[3] = words.w;
#endif
    }
    return stored;
}

// Puts values in the place of a block that has come.
DEVICE void replace_block(uint4* resident, u32 block, const real* values) {
#if DTYPE_F32
    UNROLL
    for (u32 copy = 0; copy < BLOCK_COPIES; copy++)
        resident[resident_place(block, copy)] = make_uint4(AS_U32(values[4 * copy]), AS_U32(values[4 * copy + 1]),
                                                           AS_U32(values[4 * copy + 2]), AS_U32(values[4 * copy + 3]));
#else
    resident[resident_place(block, 0)] = make_uint4(to_pair(values[0], values[1]), to_pair(values[2], values[3]),
                                                    to_pair(values[4], values[5]), to_pair(values[6], values[7]));
#endif
}

// plane_walk through a part of a channel, of which the host knows that its elements are less than 2^32 apart: two of
// these go through a part while one is summed, and 64 bits would be most of what an element takes.
typedef struct {
    u64 base; // where blocks are counted from, one of them
    u32 begin, block, inner, stride, width, stride_on, blocks_on;
} part_walk;

DEVICE part_walk part_walk_of(plane_walk walk) {
    part_walk own;
    own.begin = (u32)walk.begin % 8;
    own.base = walk.begin - own.begin;
    own.block = (u32)walk.block, own.width = (u32)walk.width, own.blocks_on = (u32)walk.blocks_on;
    own.inner = (u32)walk.inner, own.stride = (u32)walk.stride, own.stride_on = (u32)walk.stride_on;
    return own;
}

// An item's next block of the part, empty behind its `places`; they go on as in next_block.
DEVICE plane_block part_block(part_walk* walk, u32 block, u32 places) {
    plane_block own;
    const u32 lead_in = walk->begin % 8, covered = 8 * walk->block, length = walk->inner + lead_in;
    const u32 end = length < covered + 8 ? length : covered + 8;
    own.index = walk->base + (walk->begin - lead_in + covered);
    own.first = walk->block == 0 ? lead_in : 0u;
    own.end = end > covered ? end - covered : 0u;
    if (block * GROUP_SIZE + LOCAL_ID >= places) own.first = own.end = 0;
    walk->begin += walk->stride_on;
    walk->block += walk->blocks_on;
    if (walk->block >= walk->width) {
        walk->block -= walk->width;
        walk->begin += walk->stride;
    }
    return own;
}

DEVICE u32 has_elements(plane_block own) { return own.end > own.first; }
