// A machine for PTX, NVIDIA's documented virtual instruction set: it runs the kernels of a module on the CPU, warp by
// warp, checks every access while it runs, and counts what a GPU would be charged for.

#ifndef PTXMACHINE_H
#define PTXMACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A block of memory that kernels may touch, with what is known of each of its bytes.
struct ptx_memory {
    uint64_t start, bytes;
    uint8_t* written; // for each byte 1 once something wrote it; null: all of it counts as written
    uint32_t* tags;   // who touched it in a launch, PTX_TAGS(bytes) of them, zero at first; null: not asked
};

// One for each word and each byte.
#define PTX_TAGS(bytes) (((bytes) + 3) / 4 * 5)

struct ptx_parameter {
    char name[96];
    uint32_t offset, bytes;
};

struct ptx_kernel {
    char name[96];
    uint32_t parameter_count;
    struct ptx_parameter* parameters;
    uint32_t parameter_bytes;
    uint32_t register_bytes; // of a thread, as the PTX declares them: what a GPU needs is less
    uint32_t shared_bytes;   // static
    uint32_t local_bytes;
    uint32_t maximum_threads; // of a group, 0: not stated
};

// What the instructions of a launch are counted by.
enum ptx_class {
    PTX_FP32,
    PTX_FP64,
    PTX_INTEGER,
    PTX_CONVERSION,
    PTX_SPECIAL, // approximations: exponential, logarithm, reciprocal, root, sine
    PTX_MOVE,
    PTX_LOAD,
    PTX_STORE,
    PTX_SHARED_LOAD,
    PTX_SHARED_STORE,
    PTX_LOCAL, // and parameters and constants
    PTX_ATOMIC,
    PTX_BARRIER,
    PTX_BRANCH,
    PTX_SHUFFLE, // and votes
    PTX_MATRIX,
    PTX_CLASSES,
};

// Sums over the launches of a kernel. Plain numbers, so that any language can read them as an array.
struct ptx_counts {
    uint64_t launches, groups, threads;
    uint64_t warp_instructions[PTX_CLASSES];
    uint64_t lane_instructions;
    uint64_t load_requests, load_sectors; // of global memory: a request is a warp's, a sector 32 bytes
    uint64_t store_requests, store_sectors;
    uint64_t load_bytes, store_bytes;            // asked for by all lanes
    uint64_t shared_requests, shared_wavefronts; // more wavefronts than requests: bank conflicts
    uint64_t divergent_branches;
};

struct ptx_module;

// Null, and the reason in the log, when the text is no PTX that the machine knows.
struct ptx_module* ptx_load(const char* text, char* log, size_t log_bytes);
void ptx_unload(struct ptx_module* module);
uint32_t ptx_kernel_count(const struct ptx_module* module);
const struct ptx_kernel* ptx_kernel_at(const struct ptx_module* module, uint32_t index);

struct ptx_launch {
    const struct ptx_module* module;
    const struct ptx_kernel* kernel;
    uint32_t grid[3], block[3];
    uint32_t shared_bytes;           // dynamic
    bool is_cooperative;             // all groups are there at once
    const uint8_t* parameters;       // parameter_bytes of them
    const struct ptx_memory* memory; // sorted by start
    size_t memory_count;
    uint32_t tag; // of ptx_next_tag
    uint32_t multiprocessors;
    const char* removed_file; // the barriers of this file's line do not count; null: all do
    uint32_t removed_line;
    void (*report)(const char* text); // a violation
};

// A CUresult: 0, or what a GPU would answer to the violation that was reported.
int ptx_run(const struct ptx_launch* launch);

// The mark of a launch in the tags of memory. They come round: at 1, all tags of all memory must be made zero.
uint32_t ptx_next_tag(void);

// What was counted under a kernel's name since the last reset; null when nothing was.
const struct ptx_counts* ptx_counts_of(const char* kernel);
const char* ptx_counted_kernel(uint32_t index);
void ptx_reset_counts(void);

#endif
