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

// Where copies go, made once.
DEVICE u32 resident_address(const uint4* resident) {
    u64 address;
    asm volatile("cvta.to.shared.u64 %0, %1;" : "=l"(address) : "l"(resident));
    return (u32)address;
}

// Zeros where the block is outside. `target` is resident_address.
DEVICE void keep_block(u32 target, u32 block, const scalar* source, u64 index, u32 is_inside) {
    UNROLL
    for (u32 copy = 0; copy < BLOCK_COPIES; copy++)
        copy_chunk(target + CHUNK_BYTES * resident_place(block, copy), global_address(source + index + 4 * copy),
                   is_inside);
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

// The fours of paired_job, one of which a neighbour has copied: behind a barrier.
DEVICE stored8 kept_fours(const uint4* resident, u32 block, u32 apart) {
#if PAIRED
    if (apart != 4) {
        const u32 odd = LOCAL_ID % 2, place = resident_place(block, odd) - odd;
        const uint4 low = resident[place], high = resident[place + 1];
        const stored8 both = {{AS_F32(low.x), AS_F32(low.y), AS_F32(low.z), AS_F32(low.w), AS_F32(high.x),
                               AS_F32(high.y), AS_F32(high.z), AS_F32(high.w)}};
        return both;
    }
#endif
    return kept_block(resident, block);
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

// An item's block of a part of `places` places.
DEVICE plane_block part_block(plane_walk* walk, u32 block, u32 places) {
    return next_block_of(walk, block * GROUP_SIZE + LOCAL_ID < places);
}

DEVICE u32 has_elements(plane_block own) { return own.lanes != 0; }

// The block with fours of its own and its neighbour's in turn where both are whole and side by side, and how far these
// are apart; see paired_job. All items of the warp call.
DEVICE u32 paired_block(plane_block* own) {
#if PAIRED
    const u32 odd = LOCAL_ID % 2, number = (u32)(own->index / 8);
    const u32 other = __shfl_xor_sync(0xffffffffu, number, 1);
    const u32 whole = __ballot_sync(0xffffffffu, own->lanes == ALL_LANES) >> (LOCAL_ID & 30) & 3u;
    if (whole != 3 || other != (odd ? number - 1 : number + 1)) return 4;
    own->index -= 4 * odd;
    return 8;
#else
    return 4;
#endif
}
