// What the parts of the machine share: types, decoded instructions, warps and groups.

#ifndef MACHINE_H
#define MACHINE_H

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ptxmachine.h"

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

#define LANES     32
#define ALL_LANES 0xffffffffu
#define MAX_WARPS 32
#define MAX_LIST  16

// The statuses of a GPU for what goes wrong in a kernel.
enum {
    RUN_ILLEGAL_ADDRESS = 700,
    RUN_TIMEOUT = 702,
    RUN_ILLEGAL_INSTRUCTION = 715,
    RUN_MISALIGNED = 716,
    RUN_FAILED = 719,
};

// --- Types --------------------------------------------------------------------------------------------------------

enum type {
    NO_TYPE,
    U8,
    U16,
    U32,
    U64,
    S8,
    S16,
    S32,
    S64,
    B8,
    B16,
    B32,
    B64,
    B128,
    F16,
    BF16,
    TF32,
    F32,
    F64,
    F16X2,
    BF16X2,
    PRED,
};

enum type type_named(const char* name, size_t length);
extern const u8 type_sizes[];
static inline u32 type_bytes(enum type type) { return type_sizes[type]; }
static inline bool type_is_signed(enum type type) { return type >= S8 && type <= S64; }
static inline bool type_is_float(enum type type) { return type >= F16 && type <= F64; }

enum space { GENERIC, GLOBAL, SHARED, LOCAL, CONSTANT, PARAMETER };

// Where shared and local memory lie among generic addresses.
#define SHARED_WINDOW 0x0001000000000000ull
#define LOCAL_WINDOW  0x0002000000000000ull
#define WINDOW_BYTES  0x0000000001000000ull

enum atomic { A_ADD, A_MIN, A_MAX, A_AND, A_OR, A_XOR, A_EXCH, A_CAS, A_INC, A_DEC };
enum shuffle { S_UP, S_DOWN, S_BFLY, S_IDX };
enum vote { V_ALL, V_ANY, V_UNI, V_BALLOT };
enum barrier_reduction { R_NONE, R_POPC, R_AND, R_OR };

enum compare { EQ, NE, LT, LE, GT, GE, EQU, NEU, LTU, LEU, GTU, GEU, NUM, NOTNUM };
enum combine { NO_COMBINE, COMBINE_AND, COMBINE_OR, COMBINE_XOR };
enum rounding { NEAREST, TOWARD_ZERO, DOWN, UP, INT_NEAREST, INT_TOWARD_ZERO, INT_DOWN, INT_UP, AWAY };

// --- Instructions -------------------------------------------------------------------------------------------------

struct warp;
struct instruction;

// Does the instruction for the lanes of the mask.
typedef void operation(struct warp* w, const struct instruction* in, u32 mask);

// What leads elsewhere than to the next instruction, or waits for other lanes.
enum control { STRAIGHT, BRANCH, EXIT, BARRIER, SYNC, TRAP };

// Operands are offsets into a warp's file, where a register lies as its 32 lanes side by side and a predicate as a
// mask; 0 is no operand.
struct instruction {
    operation* run;
    operation* inner; // what a modifier (.ftz, .sat, a rounding) goes around
    u32 d, a, b, c, e;
    u32 guard;
    const u32* list; // further operands: elements of vectors
    s64 offset;      // of an address
    u32 target;      // index of an instruction
    u32 location;
    u8 control, class, is_negated; // is_negated: of the guard
    u8 type, source_type;
    u8 space, count, width; // count: elements; width: bytes of the address register
    u8 compare, combine, is_combine_negated;
    u8 rounding, ftz, sat, variant, is_read_only;
    u8 is_acquire, is_release;
};

struct location {
    u16 file, caller_file;
    u32 line, caller_line;
};

// Registers that the machine fills in.
enum special {
    NO_SPECIAL,
    TID_X,
    TID_Y,
    TID_Z,
    NTID_X,
    NTID_Y,
    NTID_Z,
    CTAID_X,
    CTAID_Y,
    CTAID_Z,
    NCTAID_X,
    NCTAID_Y,
    NCTAID_Z,
    LANEID,
    WARPID,
    NWARPID,
    SMID,
    NSMID,
    GRIDID,
    LANEMASK_EQ,
    LANEMASK_LT,
    LANEMASK_LE,
    LANEMASK_GT,
    LANEMASK_GE,
    CLOCK,
    CLOCK64,
    DYNAMIC_SMEM,
    TOTAL_SMEM,
    DYNAMIC_START, // where the dynamic shared array begins: after the static ones
    DYNAMIC_START_64,
};

struct special_slot {
    enum special special;
    u32 slot;
};

struct variable {
    char name[128];
    enum space space;
    u32 alignment;
    u64 bytes;
    u64 address; // of global and constant memory; an offset of shared and local memory
    bool is_dynamic;
    u32 depth; // of braces where it is declared
};

// A kernel with its code.
struct entry {
    struct ptx_kernel head;
    const struct ptx_module* module;
    u64 number; // no other entry ever has it
    struct instruction* code;
    u32 code_count;
    u32** lists; // what the instructions' lists point to
    u32 list_count;
    u32 file_bytes; // of a warp
    u8* constants;  // the start of the file: the same for every warp
    u32 constant_bytes;
    struct special_slot specials[32];
    u32 special_count;
};

struct ptx_module {
    struct entry** entries;
    u32 entry_count;
    struct variable* variables; // of the module
    u32 variable_count;
    struct ptx_memory* blocks; // of its global and constant variables
    u32 block_count;
    char** files;
    u32 file_count;
    struct location* locations;
    u32 location_count;
};

// The file begins with room for modified operands (see modify.c).
#define FILE_SCRATCH   64u
#define FILE_CONSTANTS (FILE_SCRATCH + 5 * 256u)

// --- Running ------------------------------------------------------------------------------------------------------

enum fragment_state { READY, AT_BARRIER, AT_SYNC };

// Lanes of a warp that are at the same instruction.
struct fragment {
    u32 pc, mask;
    enum fragment_state state;
};

struct copies; // asynchronous ones, see tensor.c

struct warp {
    u8* file;
    struct group* group;
    u32 index;
    u32 live; // lanes that have not exited
    struct fragment fragments[LANES];
    u32 fragment_count;
    u32 carry;           // of the extended-precision instructions
    u32 sync_time;       // counts warp barriers
    u8 lane_time[LANES]; // of each lane's last one
    u8* local;           // lane after lane
    struct copies* copies;
};

struct group {
    struct worker* worker;
    u32 id[3];
    u32 number;
    u32 warp_count, thread_count;
    struct warp warps[MAX_WARPS];
    u8* shared;
    u8* shared_written;
    u32* shared_tags;
    u32* shared_byte_tags; // of words that were touched in part
    size_t tag_words;      // there is room for: tags outlive the launch, and the epoch goes on
    u32 shared_bytes;
    u32 epoch;            // counts barriers
    u64 budget;           // instructions until the group counts as stuck
    u32 reduction;        // of the barrier: of predicates
    struct order* order;  // of a cooperative launch, else null
    u32 time, known_time; // its releases so far; those that it knows of every other group
    const u32* known;     // and of each
};

// A thread of the host that runs groups.
struct worker {
    const struct ptx_launch* launch;
    const struct entry* entry;
    struct machine_run* run;
    struct group group;
    const struct instruction* at;    // what runs
    const struct ptx_memory** found; // by instruction: the block that it touched last
    u32 found_count;
    struct ptx_counts counts;
    jmp_buf stop;
    int status;
    u8* memory; // of the warps' files and of shared memory
    size_t memory_bytes;
    u64 prepared_entry; // whose constants lie in the files of so many warps
    u32 prepared_warps;
    struct worker* next; // idle
};

static inline u32* REG32(struct warp* w, u32 slot) { return (u32*)(void*)(w->file + slot); }
static inline u64* REG64(struct warp* w, u32 slot) { return (u64*)(void*)(w->file + slot); }
static inline u16* REG16(struct warp* w, u32 slot) { return (u16*)(void*)(w->file + slot); }
static inline float* REGF(struct warp* w, u32 slot) { return (float*)(void*)(w->file + slot); }
static inline double* REGD(struct warp* w, u32 slot) { return (double*)(void*)(w->file + slot); }
static inline u32* REGP(struct warp* w, u32 slot) { return (u32*)(void*)(w->file + slot); }

static inline bool has_lane(u32 mask, u32 lane) { return mask >> lane & 1; }

#define FOR_LANES(lane, mask)                                      \
    for (u32 rest_ = (mask), lane; rest_ != 0; rest_ &= rest_ - 1) \
        if (lane = (u32)__builtin_ctz(rest_), true)

// Defines an operation: an expression of x, y, z, the lanes of operands a, b, c.
#define OPERATION(name, result, put, A, B, C, expression)                      \
    static void name(struct warp* w, const struct instruction* in, u32 mask) { \
        const A* a = (const A*)(const void*)(w->file + in->a);                 \
        const B* b = (const B*)(const void*)(w->file + in->b);                 \
        const C* c = (const C*)(const void*)(w->file + in->c);                 \
        result values[LANES];                                                  \
        for (u32 i = 0; i < LANES; i++) {                                      \
            const A x = a[i];                                                  \
            const B y = b[i];                                                  \
            const C z = c[i];                                                  \
            (void)x, (void)y, (void)z;                                         \
            values[i] = (result)(expression);                                  \
        }                                                                      \
        put((result*)(void*)(w->file + in->d), values, mask);                  \
    }

// Writes the lanes of the mask.
#define DEFINE_PUT(name, type)                                                                     \
    static inline void name(type* restrict target, const type* restrict values, u32 mask) {        \
        if (mask == ALL_LANES)                                                                     \
            for (u32 i = 0; i < LANES; i++) target[i] = values[i];                                 \
        else                                                                                       \
            for (u32 i = 0; i < LANES; i++) target[i] = has_lane(mask, i) ? values[i] : target[i]; \
    }
DEFINE_PUT(put16, u16)
DEFINE_PUT(put32, u32)
DEFINE_PUT(put64, u64)
DEFINE_PUT(putf, float)
DEFINE_PUT(putd, double)

static inline void put_predicate(struct warp* w, u32 slot, u32 values, u32 mask) {
    u32* target = REGP(w, slot);
    *target = (*target & ~mask) | (values & mask);
}

// Ends the launch with a violation: where, which thread, and what.
_Noreturn void violate(struct warp* w, const struct instruction* in, u32 lane, int status, const char* format, ...)
    __attribute__((format(printf, 5, 6)));

// --- Tables of operations -----------------------------------------------------------------------------------------

// A mnemonic without the modifiers that decode.c takes off. Operands: one letter each, the result first: p predicate,
// h 16, w 32, q 64 bits.
struct row {
    const char* name;
    const char* operands;
    operation* run;
    u8 class;
};

extern const struct row arithmetic_rows[], bit_rows[], special_rows[], half_rows[];

// The one that compares or selects or converts, or null.
operation* compare_operation(enum type type);
operation* set_operation(enum type result, enum type source);
operation* conversion_operation(struct instruction* in, const char** reason);
operation* pair_conversion_operation(enum type pair);

// The operation with flushed operands, a saturated result or another rounding; in->inner is the plain one.
operation modified, select_predicate;

operation load, store, load_parameter, atomic;
operation move16, move32, move64, move_predicate, pack, unpack, nothing;
operation move_window, is_space;
operation shuffle, vote, match, warp_barrier, reduce_lanes, active_mask, read_clock, take_rest;
operation multiply_matrix, load_matrix, copy_async, commit_copies, wait_copies;

// --- Half floats --------------------------------------------------------------------------------------------------

static inline u32 bits_of(float value) {
    u32 bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float float_of(u32 bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline u64 double_bits(double value) {
    u64 bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline double double_of(u64 bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#define CANONICAL_NAN 0x7fffffffu

static inline float canonical(float value) { return value == value ? value : float_of(CANONICAL_NAN); }

float half_to_float(u16 bits);
u16 double_to_half(double value, enum rounding rounding);
u16 double_to_bfloat(double value, enum rounding rounding);
static inline float bfloat_to_float(u16 bits) { return float_of((u32)bits << 16); }

// --- Checks and counts (check.c) ----------------------------------------------------------------------------------

enum access { READ, WRITE, ATOMIC, READ_ONLY };

// What the lanes of a warp ask for at once. Most requests are rows, lane beside lane, or one address for all; they are
// looked at once instead of lane by lane.
struct request {
    u32 mask, bytes; // of each lane
    enum access access;
    enum { SCATTERED, ROW, ALIKE } pattern;
    u32 first, count; // lanes of a row
    u64 addresses[LANES];
};

static inline void find_pattern(struct request* r) {
    r->first = (u32)__builtin_ctz(r->mask);
    r->count = (u32)__builtin_popcount(r->mask);
    const u64 base = r->addresses[r->first] - (u64)r->first * r->bytes;
    u64 in_row = 0, alike = 0;
    for (u32 i = 0; i < LANES; i++) {
        const u64 lane = has_lane(r->mask, i) ? ~0ull : 0;
        in_row |= (r->addresses[i] ^ (base + (u64)i * r->bytes)) & lane;
        alike |= (r->addresses[i] ^ r->addresses[r->first]) & lane;
    }
    const bool is_run = (r->mask >> r->first & ((r->mask >> r->first) + 1)) == 0; // lanes without a gap
    r->pattern = alike == 0 ? ALIKE : in_row == 0 && is_run ? ROW : SCATTERED;
}

// End the launch when a lane may not do what it asks for.
void check_global(struct warp* w, const struct instruction* in, const struct request* request);
void check_shared(struct warp* w, const struct instruction* in, const struct request* request);
void forget_shared(struct group* g, u32 first, u32 bytes); // as if nothing had written it
void next_epoch(struct group* g);
void advance_time(struct warp* w, u32 mask); // a barrier of these lanes
void count_global(struct warp* w, const struct request* request);
void count_shared(struct warp* w, const struct request* request);

// --- Parts --------------------------------------------------------------------------------------------------------

// parse.c and decode.c: see there.
void prepare_warp(struct warp* w, bool has_constants);
bool run_group(struct worker* worker, u32 number);
void finish_copies(struct warp* w);
void reset_copies(struct warp* w);
void free_copies(struct warp* w);

// Cooperative launches (cooperative.c). A tag has 8 bits of the group and 11 of its count of releases.
#define ORDER_GROUP_BITS 8
#define ORDER_TIME_BITS  11
int run_turns(struct worker** workers, u32 group_count);
void release_word(struct warp* w, const struct instruction* in, u32 lane, u64 address);
void acquire_word(struct warp* w, const struct instruction* in, u32 lane, u64 address);
void note_write(struct warp* w);
void wait_turn(struct warp* w, const struct instruction* in, u32 lane);
void pass_order(struct group* g);
void add_counts(const char* kernel, const struct ptx_counts* counts);
void describe_location(const struct ptx_module* module, u32 location, char* text, size_t bytes);
bool is_location(const struct ptx_module* module, u32 location, const char* file, u32 line);

#endif
