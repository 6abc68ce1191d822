// The lock, the plan of failures, the log and the tables of live objects.

#include "core.h"
#include "machine.h"
#include "nccl.h"
#include "streams.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_LENGTH        65536
#define KEPT_VIOLATIONS   32
#define QUARANTINE_LENGTH 256
#define QUARANTINED_BYTES (1 << 17)
#define FRESH_BYTE        0xCD
#define FREED_BYTE        0xDD
#define STACK_DEPTH       64

struct configuration configuration = {1, 91, 4ull << 30};
bool initialized;
fakecuda_launch_callback launch_callback;
int64_t memory_in_use;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static uint32_t latency;
static uint64_t waits;

void lock_all(void) { pthread_mutex_lock(&lock); }

void unlock_all(void) { pthread_mutex_unlock(&lock); }

void wait_for_others(void) { pthread_cond_wait(&changed, &lock); }

void wait_for_signal(pthread_cond_t* signal) { pthread_cond_wait(signal, &lock); }

void wake_others(void) { pthread_cond_broadcast(&changed); }

void may_wait(void) { waits++; }

// --- Calls: counts, log, failures ------------------------------------------------------------------------------------

static struct function* functions;
static uint64_t calls;
static struct {
    const struct function* function;
    int status;
} call_log[LOG_LENGTH];
static _Thread_local uint64_t call_index;

static struct {
    uint64_t remaining; // 0: nothing planned
    char function[64];
    int status;
    bool sticky;
} plan;
static const char* failed_function;
static int lost_status;

bool is_lost(void) { return lost_status != CUDA_SUCCESS; }

int lost_status_now(void) { return lost_status; }

void lose(int status) {
    if (lost_status == CUDA_SUCCESS) lost_status = status;
}

// A CUresult in the terms of the library that shall return it.
static int translate(enum api api, int status) {
    const bool out_of_memory = status == CUDA_ERROR_OUT_OF_MEMORY;
    switch (api) {
    case API_NVRTC:
        return out_of_memory ? 1 : 11; // NVRTC_ERROR_OUT_OF_MEMORY, NVRTC_ERROR_INTERNAL_ERROR
    case API_NCCL:
        return out_of_memory || is_lost() ? 1 : 3; // ncclUnhandledCudaError, ncclInternalError
    case API_BLAS:
        return out_of_memory ? 3 : 13; // CUBLAS_STATUS_ALLOC_FAILED, CUBLAS_STATUS_EXECUTION_FAILED
    default:
        return status;
    }
}

int enter(struct function* called) {
    if (latency > 0) usleep(latency);
    pthread_mutex_lock(&lock);
    if (called->calls++ == 0) {
        // After a reset a function may be in the list already.
        struct function* known = functions;
        while (known != NULL && known != called) known = known->next;
        if (known == NULL) called->next = functions, functions = called;
    }
    call_index = calls++;
    call_log[call_index % LOG_LENGTH].function = called;

    if (lost_status != 0) {
        // The compiler has no context to lose, and the texts of errors stay readable.
        const bool immune = called->api == API_NVRTC || strncmp(called->name, "cuGetError", 10) == 0;
        return immune ? 0 : translate(called->api, lost_status);
    }
    if (plan.remaining == 0 || (plan.function[0] != 0 && strcmp(plan.function, called->name) != 0)) return 0;
    if (--plan.remaining > 0) return 0;
    failed_function = called->name;
    if (plan.sticky && called->api != API_NVRTC) lost_status = plan.status;
    return translate(called->api, plan.status);
}

int leave(int status) {
    call_log[call_index % LOG_LENGTH].status = status;
    pthread_mutex_unlock(&lock);
    return status;
}

// --- Violations ------------------------------------------------------------------------------------------------------

static uint64_t violations;
static char violation_texts[KEPT_VIOLATIONS][1024];

void violation(const char* format, ...) {
    if (violations < KEPT_VIOLATIONS) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(violation_texts[violations], sizeof violation_texts[0], format, arguments);
        va_end(arguments);
    }
    violations++;
}

// The first violation is why the machine gave up.
const char* lost_reason(int status) {
    return is_lost() && status == lost_status && violations > 0 ? violation_texts[0] : NULL;
}

// --- Live objects, sorted by handle ----------------------------------------------------------------------------------

static const char* const kind_names[] = {"context", "device memory",    "host memory",  "stream",
                                         "event",   "module",           "program",      "cuBLAS handle",
                                         "graph",   "executable graph", "communicator", "function"};
static struct object** objects;
static size_t object_count, object_capacity;
static int64_t live[FAKECUDA_KINDS + 1];
static uint64_t next_handle = 0x1000;

// Freed memory waits here, so that its addresses do not come back at once and a late write is seen.
static struct {
    unsigned char* start;
    size_t bytes;
} quarantine[QUARANTINE_LENGTH];
static size_t quarantine_next;

// The index of the first object with a handle of at least this value.
static size_t lower_bound(uint64_t handle) {
    size_t first = 0, last = object_count;
    while (first < last) {
        const size_t middle = first + (last - first) / 2;
        if (objects[middle]->handle < handle)
            first = middle + 1;
        else
            last = middle;
    }
    return first;
}

static struct object* insert(uint64_t handle, int kind, uint64_t context) {
    if (object_count == object_capacity) {
        object_capacity = object_capacity == 0 ? 256 : 2 * object_capacity;
        objects = realloc(objects, object_capacity * sizeof *objects);
    }
    struct object* object = calloc(1, sizeof *object);
    object->handle = handle;
    object->kind = kind;
    object->context = context;
    const size_t index = lower_bound(handle);
    memmove(objects + index + 1, objects + index, (object_count - index) * sizeof *objects);
    objects[index] = object;
    object_count++;
    live[kind]++;
    return object;
}

struct object* object_new(int kind, uint64_t context) {
    next_handle += 16;
    return insert(next_handle, kind, context);
}

struct object* memory_new(int kind, uint64_t context, size_t bytes) {
    // As aligned as cuMemAlloc makes it.
    void* start = aligned_alloc(256, (bytes + 255) / 256 * 256);
    if (start == NULL) return NULL;
    memset(start, FRESH_BYTE, bytes);
    struct object* object = insert((uint64_t)(uintptr_t)start, kind, context);
    object->bytes = bytes;
    if (kind == FAKECUDA_MEMORY) {
        object->written = calloc(bytes, 1);
        memory_in_use += (int64_t)bytes;
    }
    return object;
}

struct object* object_find(uint64_t handle, int kind, const char* caller) {
    const size_t index = lower_bound(handle);
    if (index < object_count && objects[index]->handle == handle) {
        if (objects[index]->kind == kind) return objects[index];
        violation("%s: 0x%llx is a %s, not a %s", caller, (unsigned long long)handle, kind_names[objects[index]->kind],
                  kind_names[kind]);
        return NULL;
    }
    violation("%s: 0x%llx is no live %s", caller, (unsigned long long)handle, kind_names[kind]);
    return NULL;
}

struct object* object_peek(uint64_t handle, int kind) {
    const size_t index = lower_bound(handle);
    const bool found = index < object_count && objects[index]->handle == handle && objects[index]->kind == kind;
    return found ? objects[index] : NULL;
}

static struct object* first_from(size_t index, int kind) {
    while (index < object_count && objects[index]->kind != kind) index++;
    return index < object_count ? objects[index] : NULL;
}

struct object* object_first(int kind) {
    return first_from(0, kind);
}

struct object* object_next(const struct object* object) {
    return first_from(lower_bound(object->handle) + 1, object->kind);
}

static struct object* memory_from(size_t index) {
    while (index < object_count && objects[index]->kind != FAKECUDA_MEMORY &&
           objects[index]->kind != FAKECUDA_HOST_MEMORY)
        index++;
    return index < object_count ? objects[index] : NULL;
}

// Addresses lie behind all numbers.
struct object* object_first_memory(void) {
    return memory_from(lower_bound(next_handle + 1));
}

struct object* object_next_memory(const struct object* object) {
    return memory_from(lower_bound(object->handle) + 1);
}

struct object* memory_find(uint64_t address, size_t bytes) {
    const size_t index = lower_bound(address + 1);
    if (index == 0) return NULL;
    struct object* object = objects[index - 1];
    if (object->kind != FAKECUDA_MEMORY && object->kind != FAKECUDA_HOST_MEMORY) return NULL;
    return address - object->handle <= object->bytes && bytes <= object->bytes - (address - object->handle) ? object
                                                                                                            : NULL;
}

void memory_written(uint64_t address, size_t bytes) {
    struct object* memory = memory_find(address, bytes);
    if (memory == NULL || memory->written == NULL) return;
    memset(memory->written + (address - memory->handle), 1, bytes);
    if (bytes == memory->bytes) memory->is_written = true;
}

void memory_copied(uint64_t target, uint64_t source, size_t bytes) {
    const struct object *to = memory_find(target, bytes), *from = memory_find(source, bytes);
    if (from == NULL || from->written == NULL || from->is_written)
        memory_written(target, bytes);
    else if (to != NULL && to->written != NULL && !to->is_written)
        memcpy(to->written + (target - to->handle), from->written + (source - from->handle), bytes);
}

static void evict(size_t slot) {
    const unsigned char* start = quarantine[slot].start;
    const size_t bytes = quarantine[slot].bytes;
    // All bytes are alike when each is like the one before it: one comparison, in words.
    if (bytes > 0 && (start[0] != FREED_BYTE || memcmp(start, start + 1, bytes - 1) != 0)) {
        size_t i = 0;
        while (start[i] == FREED_BYTE) i++;
        violation("freed memory at %p was written to, %zu bytes from its start", (const void*)start, i);
    }
    free(quarantine[slot].start);
    quarantine[slot].start = NULL;
    quarantine[slot].bytes = 0;
}

static void free_memory(struct object* object) {
    if (object->kind == FAKECUDA_MEMORY) memory_in_use -= (int64_t)object->bytes;
    unsigned char* start = (unsigned char*)(uintptr_t)object->handle;
    if (object->bytes > QUARANTINED_BYTES) {
        free(start);
        return;
    }
    memset(start, FREED_BYTE, object->bytes);
    evict(quarantine_next);
    quarantine[quarantine_next].start = start;
    quarantine[quarantine_next].bytes = object->bytes;
    quarantine_next = (quarantine_next + 1) % QUARANTINE_LENGTH;
}

static void destroy(struct object* object) {
    live[object->kind]--;
    if (object->kind == FAKECUDA_MEMORY || object->kind == FAKECUDA_HOST_MEMORY) free_memory(object);
    if (object->queue != NULL) queue_end(object->queue);
    works_free(&object->works);
    free(object->text);
    free(object->image);
    free(object->log);
    free(object->kernels);
    free(object->written);
    free(object->tags);
    if (object->ptx != NULL) ptx_unload(object->ptx);
    free(object);
}

void object_delete(struct object* object) {
    const size_t index = lower_bound(object->handle);
    memmove(objects + index, objects + index + 1, (object_count - index - 1) * sizeof *objects);
    object_count--;
    destroy(object);
}

int64_t objects_of_context(uint64_t context) {
    int64_t count = 0;
    for (size_t i = 0; i < object_count; i++) count += objects[i]->context == context;
    return count;
}

void objects_delete_of_context(uint64_t context) {
    for (size_t i = object_count; i-- > 0;)
        if (objects[i]->context == context) object_delete(objects[i]);
}

// --- The contexts of the calling thread ------------------------------------------------------------------------------

// A reset empties the stacks of all threads: one of an earlier epoch counts as empty.
static uint64_t epoch = 1;
static _Thread_local struct {
    uint64_t epoch;
    int depth;
    uint64_t contexts[STACK_DEPTH];
} stack;

static void refresh_stack(void) {
    if (stack.epoch != epoch) stack.depth = 0;
    stack.epoch = epoch;
}

uint64_t current_context(void) {
    refresh_stack();
    return stack.depth == 0 ? 0 : stack.contexts[stack.depth - 1];
}

bool push_context(uint64_t context) {
    refresh_stack();
    if (stack.depth == STACK_DEPTH) return false;
    stack.contexts[stack.depth++] = context;
    return true;
}

bool pop_context(uint64_t* context) {
    refresh_stack();
    if (stack.depth == 0) return false;
    *context = stack.contexts[--stack.depth];
    return true;
}

// --- What a test calls -----------------------------------------------------------------------------------------------

void fakecuda_reset(void) {
    pthread_mutex_lock(&lock);
    nccl_stop();
    streams_reset();
    nccl_reset();
    machine_reset();
    for (size_t i = 0; i < object_count; i++) destroy(objects[i]);
    object_count = 0;
    streams_end(0);
    for (size_t slot = 0; slot < QUARANTINE_LENGTH; slot++) evict(slot);
    for (struct function* function = functions; function != NULL; function = function->next) function->calls = 0;
    calls = violations = waits = 0;
    memset(&plan, 0, sizeof plan);
    failed_function = NULL;
    lost_status = 0;
    initialized = false;
    epoch++;
    pthread_mutex_unlock(&lock);
}

void fakecuda_configure(int device_count, int compute_capability, uint64_t memory_bytes) {
    pthread_mutex_lock(&lock);
    configuration = (struct configuration){device_count, compute_capability, memory_bytes};
    pthread_mutex_unlock(&lock);
}

void fakecuda_set_launch_callback(fakecuda_launch_callback callback) {
    pthread_mutex_lock(&lock);
    launch_callback = callback;
    pthread_mutex_unlock(&lock);
}

void fakecuda_set_latency(uint32_t microseconds) { latency = microseconds; }

void fakecuda_fail(uint64_t call, const char* function, int status, int sticky) {
    pthread_mutex_lock(&lock);
    plan.remaining = call;
    snprintf(plan.function, sizeof plan.function, "%s", function == NULL ? "" : function);
    plan.status = status;
    plan.sticky = sticky != 0;
    failed_function = NULL;
    pthread_mutex_unlock(&lock);
}

const char* fakecuda_failed_function(void) {
    pthread_mutex_lock(&lock);
    const char* name = failed_function;
    pthread_mutex_unlock(&lock);
    return name;
}

uint64_t fakecuda_calls(const char* function) {
    pthread_mutex_lock(&lock);
    uint64_t count = function == NULL ? calls : 0;
    for (struct function* known = functions; function != NULL && known != NULL; known = known->next)
        if (strcmp(known->name, function) == 0) count = known->calls;
    pthread_mutex_unlock(&lock);
    return count;
}

const char* fakecuda_log(uint64_t index, int* status) {
    const char* name = NULL;
    pthread_mutex_lock(&lock);
    if (index < calls && calls - index <= LOG_LENGTH) {
        name = call_log[index % LOG_LENGTH].function->name;
        if (status != NULL) *status = call_log[index % LOG_LENGTH].status;
    }
    pthread_mutex_unlock(&lock);
    return name;
}

uint64_t fakecuda_waits(void) {
    pthread_mutex_lock(&lock);
    const uint64_t count = waits;
    pthread_mutex_unlock(&lock);
    return count;
}

int64_t fakecuda_live(int kind) {
    pthread_mutex_lock(&lock);
    const int64_t count = kind >= 0 && kind < FAKECUDA_KINDS ? live[kind] : -1;
    pthread_mutex_unlock(&lock);
    return count;
}

int64_t fakecuda_live_bytes(void) {
    pthread_mutex_lock(&lock);
    const int64_t bytes = memory_in_use;
    pthread_mutex_unlock(&lock);
    return bytes;
}

int fakecuda_context_depth(void) {
    pthread_mutex_lock(&lock);
    refresh_stack();
    const int depth = stack.depth;
    pthread_mutex_unlock(&lock);
    return depth;
}

uint64_t fakecuda_violations(void) {
    pthread_mutex_lock(&lock);
    const uint64_t count = violations;
    pthread_mutex_unlock(&lock);
    return count;
}

const char* fakecuda_violation(uint64_t index) {
    return index < fakecuda_violations() && index < KEPT_VIOLATIONS ? violation_texts[index] : NULL;
}
