// What kernels share whose groups keep their input in shared memory: blocks of eight elements, and teams of groups.

#include "cuda/copies.h"
#include "cuda/grid.h"

// `splits` groups side by side are a team, of which each has a part; teams take the channels, or tiles of columns, in
// turn. `part` is what each has of a channel, in places, or of the rows; a tile is 8 * wide columns, at most
// MOST_COLUMNS. The rows of sums and the counters, one for each team, are absent where splits is 1, and nobody
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

// The largest groups have a multiprocessor for themselves: up to 128 registers for each of 512 items.
#undef RESIDENT_GROUPS
#define RESIDENT_GROUPS 1

// Chunks of eight elements, and how many eights of an item are on their way while sums are made.
#define BLOCK_COPIES (DTYPE_F32 ? 2 : 1)
#define BLOCKS_AHEAD 8

// Several blocks at a time would take registers, and code that has to be fetched, and gain nothing, as nobody waits for
// a load.
#define NO_UNROLL _Pragma("unroll 1")

// What a group keeps of one tensor or of two: so many places, of eight elements each, that items take in turn. An item
// reads what it has copied itself, so that it need not wait for others. Chunks of neighbours lie side by side.
typedef struct {
    uint4* chunks;
    u32 address, places;
} resident_blocks;

DEVICE resident_blocks resident_of(uint4* chunks, u64 places) {
    resident_blocks own;
    u64 address;
    asm volatile("cvta.to.shared.u64 %0, %1;" : "=l"(address) : "l"(chunks));
    own.chunks = chunks, own.address = (u32)address, own.places = settled((u32)places);
    return own;
}

DEVICE u32 resident_chunk(resident_blocks held, u32 tensor, u32 place, u32 copy) {
    return (tensor * BLOCK_COPIES + copy) * held.places + place;
}

// Two fours that are `apart`, or an eight; zeros for chunks with no lane of the group's own, which others may write
// over. `source` is a global_address.
DEVICE void keep_block(resident_blocks held, u32 tensor, u32 place, u64 source, u64 index, u32 apart, u32 lanes) {
    const u64 first = source + index * sizeof(scalar);
    UNROLL
    for (u32 copy = 0; copy < BLOCK_COPIES; copy++)
        copy_chunk(held.address + CHUNK_BYTES * resident_chunk(held, tensor, place, copy),
                   first + copy * apart * (u32)sizeof(scalar), (DTYPE_F32 ? lanes >> 4 * copy & 15u : lanes) != 0);
}

DEVICE stored8 kept_block(resident_blocks held, u32 tensor, u32 place) {
    stored8 stored;
    UNROLL
    for (u32 copy = 0; copy < BLOCK_COPIES; copy++) {
        const uint4 words = held.chunks[resident_chunk(held, tensor, place, copy)];
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
DEVICE void replace_block(resident_blocks held, u32 tensor, u32 place, const real* values) {
#if DTYPE_F32
    UNROLL
    for (u32 copy = 0; copy < BLOCK_COPIES; copy++)
        held.chunks[resident_chunk(held, tensor, place, copy)] =
            make_uint4(AS_U32(values[4 * copy]), AS_U32(values[4 * copy + 1]), AS_U32(values[4 * copy + 2]),
                       AS_U32(values[4 * copy + 3]));
#else
    held.chunks[resident_chunk(held, tensor, place, 0)] =
        make_uint4(to_pair(values[0], values[1]), to_pair(values[2], values[3]), to_pair(values[4], values[5]),
                   to_pair(values[6], values[7]));
#endif
}

// A walk over a part of `places` places. Where an item's block and its neighbour's are whole and side by side in a
// plane, the two take fours in turn (types.h). As a part begins with an even place, all do where planes are whole
// pairs of blocks, or whole blocks in the half types: then `begin` is the item's first four, and nothing is asked.
typedef struct {
    plane_walk planes;
    u32 places, are_whole;
} part_walk;

DEVICE part_walk part_walk_of(plane_walk planes, u32 places) {
    part_walk own = {planes, places, planes.inner % (PAIRED ? 16 : 8) == 0};
    if (PAIRED && own.are_whole) own.planes.begin -= 4 * (LOCAL_ID % 2);
    return own;
}

// The item's block at `place`, and how far its fours are apart.
DEVICE plane_block part_block(part_walk* walk, u32 place, u32* apart) {
    plane_block own;
    if (walk->are_whole) {
        own.index = walk->planes.begin + 8 * (u64)walk->planes.block, own.lanes = ALL_LANES;
        *apart = PAIRED ? 8 : 4;
        walk_on(&walk->planes);
        return own;
    }
    const i32 odd = LOCAL_ID % 2, first = next_place(walk->planes) - 8 * odd;
    const u32 is_paired = PAIRED && first >= 0 && first <= (i32)walk->planes.inner - 16 && (place | 1) < walk->places;
    own = next_block(&walk->planes);
    if (is_paired) own.index -= 4 * odd;
    *apart = is_paired ? 8 : 4;
    return own;
}

// Columns of a tile at most, and what sums over the depths of a tile take.
#define MOST_COLUMNS   128
#define COLUMN_SCRATCH (GROUP_SIZE / 32 * MOST_COLUMNS)

// Sums over the depths of a tile: each of the first 8 * wide items gets that of its column. The scratch may be used
// again right after.
DEVICE real column_total(const real* values, u32 wide, u32 apart, real* scratch) {
    real sums[8];
    for (u32 lane = 0; lane < 8; lane++) sums[lane] = values[lane];
    // Depths of a warp.
    for (u32 distance = 16; distance >= wide; distance /= 2)
        for (u32 lane = 0; lane < 8; lane++) sums[lane] += __shfl_xor_sync(0xffffffffu, sums[lane], distance);
    const u32 columns = 8 * wide, odd = apart == 4 ? 0 : LOCAL_ID % 2;
    if (LOCAL_ID % 32 < wide) {
        real* own = scratch + LOCAL_ID / 32 * columns + 8 * block_of(wide) - 4 * odd;
        for (u32 lane = 0; lane < 8; lane++) own[lane + (lane < 4 ? 0 : apart - 4)] = sums[lane];
    }
    BARRIER();
    real total = 0;
    if (LOCAL_ID < columns)
        for (u32 warp = 0; warp < GROUP_SIZE / 32; warp++) total += scratch[warp * columns + LOCAL_ID];
    BARRIER();
    return total;
}
