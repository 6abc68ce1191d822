// What a test asks of the stand-in: prepare it, make calls fail, see what happened. Everything may be called from any
// thread.

#ifndef FAKECUDA_H
#define FAKECUDA_H

#include <stdbool.h>
#include <stdint.h>

#define FAKECUDA_EXPORT __attribute__((visibility("default")))

// The kinds of objects that are counted while they live.
enum fakecuda_kind {
    FAKECUDA_CONTEXT,
    FAKECUDA_MEMORY,
    FAKECUDA_HOST_MEMORY,
    FAKECUDA_STREAM,
    FAKECUDA_EVENT,
    FAKECUDA_MODULE,
    FAKECUDA_PROGRAM,
    FAKECUDA_BLAS,
    FAKECUDA_GRAPH,
    FAKECUDA_GRAPH_EXECUTABLE,
    FAKECUDA_COMMUNICATOR,
    FAKECUDA_KINDS,
    FAKECUDA_FUNCTION = FAKECUDA_KINDS, // goes with its module, so it is not counted
};

// One argument of a launch: name and size as the kernel's text declares them, the value as the caller handed it over.
struct fakecuda_argument {
    const char* name;
    uint32_t size;
    uint32_t is_pointer;
    uint64_t value;
};

#define FAKECUDA_MAXIMUM_ARGUMENTS 96

struct fakecuda_launch {
    const char* function;
    const char* source; // the text the program was compiled from
    uint64_t stream;
    uint32_t grid[3];
    uint32_t block[3];
    uint32_t shared_bytes;
    uint32_t argument_count;
    struct fakecuda_argument arguments[FAKECUDA_MAXIMUM_ARGUMENTS];
    bool is_cooperative; // all groups are there at once
};

// Called in place of the kernel: on the launching thread, before cuLaunchKernel returns, unless streams have threads of
// their own. Device memory is host memory.
typedef void (*fakecuda_launch_callback)(const struct fakecuda_launch* launch);

// Forgets objects, counts, log, plan and lost state, and frees the memory. Configuration and callback stay.
FAKECUDA_EXPORT void fakecuda_reset(void);

// One device with 4 GiB unless told otherwise, of compute capability 9.1: no compiler has machine code for it, so that
// a program comes as PTX.
FAKECUDA_EXPORT void fakecuda_configure(int device_count, int compute_capability, uint64_t memory_bytes);
FAKECUDA_EXPORT void fakecuda_set_launch_callback(fakecuda_launch_callback callback);

// Each call takes this long, outside the lock, so that threads meet in all places.
FAKECUDA_EXPORT void fakecuda_set_latency(uint32_t microseconds);

// From here on the work of streams is put off until somebody waits for it, so that what waits for nothing is seen; a
// reset ends that.
FAKECUDA_EXPORT void fakecuda_put_off(int on);

// From here on each stream does its work meanwhile, on a thread of its own: calls return before it is done, streams run
// side by side, and errors show at a later call. So it is from the start where FAKECUDA_ASYNC is 1.
FAKECUDA_EXPORT void fakecuda_set_async(int on);

// The call-th call from now (1 is the next one), of this function only unless null, fails with a CUresult; 0 takes the
// plan back. The other libraries answer in their own terms: out of memory, or an internal error. Sticky: from then on
// the driver answers everything but cuGetError* so, and cuBLAS fails. A call that releases something or waits fails as
// the driver does it, by reporting the error of earlier work: the object is gone all the same, and the work is done,
// unless the context is lost.
FAKECUDA_EXPORT void fakecuda_fail(uint64_t call, const char* function, int status, int sticky);

// The function that the plan made fail, or null while it has not come to that.
FAKECUDA_EXPORT const char* fakecuda_failed_function(void);

// Calls of a function, or of all when null, since the last reset; failed ones included.
FAKECUDA_EXPORT uint64_t fakecuda_calls(const char* function);

// The i-th call since the last reset and its status; null when it is too long ago (65,536 are kept) or has not
// happened.
FAKECUDA_EXPORT const char* fakecuda_log(uint64_t index, int* status);

// Calls that wait for the device, or for which the documentation allows it: synchronisation, the making and freeing of
// memory and modules, copies from and to pageable memory.
FAKECUDA_EXPORT uint64_t fakecuda_waits(void);

// The machine runs at most so many groups of a launch, which then go over the rest in their loops; 0 is no limit, and
// so is a reset. A kernel must give the same results with any number of groups.
FAKECUDA_EXPORT void fakecuda_limit_groups(uint32_t groups);

// The barriers that stand in this line of a kernel's file, its name as violations have it, hold nobody up from here on;
// null takes that back, and so does a reset. What they are for must then be reported.
FAKECUDA_EXPORT void fakecuda_remove_barrier(const char* file, uint32_t line);

// What the machine for PTX counted under a kernel's name, over all launches since the last reset (struct ptx_counts,
// all of it 64-bit numbers), or null; the i-th name, or null after the last. Both hold until the thread's next call.
struct ptx_counts;
FAKECUDA_EXPORT const struct ptx_counts* fakecuda_counts(const char* kernel);
FAKECUDA_EXPORT const char* fakecuda_counted_kernel(uint32_t index);

// The communicators of this rank have the error from here on, as when a peer of them died.
FAKECUDA_EXPORT void fakecuda_fail_rank(int rank, int status);

FAKECUDA_EXPORT int64_t fakecuda_live(int kind);
FAKECUDA_EXPORT int64_t fakecuda_live_bytes(void);

// Contexts that the calling thread has pushed and not popped.
FAKECUDA_EXPORT int fakecuda_context_depth(void);

// Misuse: double or foreign frees, stale handles, addresses outside device memory, calls without a current context, a
// context destroyed under its objects, memory freed or a module unloaded under the work of a stream, calls that a
// capture does not allow. The texts of the first 32 are kept; the pointers hold until the next reset.
FAKECUDA_EXPORT uint64_t fakecuda_violations(void);
FAKECUDA_EXPORT const char* fakecuda_violation(uint64_t index);

#endif
