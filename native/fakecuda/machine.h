// How the driver's stand-in uses the machine for PTX.

#ifndef FAKECUDA_MACHINE_H
#define FAKECUDA_MACHINE_H

#include "core.h"

#define MULTIPROCESSORS 2

// Shared memory that a group may have, and what each group takes besides.
#define GROUP_SHARED_BYTES    (227u << 10)
#define RESERVED_SHARED_BYTES 1024u

bool is_ptx(const char* image);

// Null, and the reason as a violation and in the text, when the machine cannot run it.
struct ptx_module* machine_load(const char* text, struct kernel** kernels, int* count, char* reason,
                                size_t reason_bytes);

// Runs a launch outside the lock. A violation loses the context.
void machine_run(const struct ptx_module* module, const struct ptx_kernel* kernel, const struct fakecuda_launch* launch,
                 uint64_t context);

void machine_reset(void);

// Between these the lock is free and a launch runs.
void machine_enter(void);
void machine_leave(void);

// Until no launch runs: what it may use is about to go.
void machine_wait(void);

#endif
