/*
 * The front of libkernels.so: every function of kernels.h, handed to the build of the library that this processor
 * runs best. A compiler ahead of time decides how wide vectors are, so there is a build for each level of instructions,
 * beside this file. The front also knows when a thread is ending: the runtime behind it takes no more of its calls.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KERNELS_API __attribute__((visibility("default")))
#include <kernels.h>

/* functions.h is made from the exports: STATUS_FUNCTION or VALUE_FUNCTION for each. */
#define STATUS_FUNCTION(name, parameters, arguments)        INDEX_##name,
#define VALUE_FUNCTION(result, name, parameters, arguments) INDEX_##name,
enum {
#include "functions.h"
    INDEX_kernels_tensor_to_dlpack,
    FUNCTIONS
};
#undef STATUS_FUNCTION
#undef VALUE_FUNCTION

#define STATUS_FUNCTION(name, parameters, arguments)        #name,
#define VALUE_FUNCTION(result, name, parameters, arguments) #name,
static const char* const names[] = {
#include "functions.h"
    "kernels_tensor_to_dlpack",
};
#undef STATUS_FUNCTION
#undef VALUE_FUNCTION

typedef void (*any_function)(void);

static any_function functions[FUNCTIONS];
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t ending_key;
static char problem[4096];
static atomic_bool ready;

enum thread_state { UNKNOWN, KNOWN, ENDED };
static _Thread_local enum thread_state state;
static _Thread_local const char* own_message;

static const char THREAD_ENDED[] = "the thread is ending, and the library takes no more of its calls";

/* --- Deleters ----------------------------------------------------------------------------------------------------- */

/* Both structs of DLPack that a program may hold, as far as the deleter. */
struct dl_tensor {
    void* data;
    int32_t device[2];
    int32_t ndim;
    uint8_t dtype[4];
    int64_t *shape, *strides;
    uint64_t byte_offset;
};
struct managed {
    struct dl_tensor tensor;
    void* context;
    void (*deleter)(struct managed*);
};
struct managed_versioned {
    uint32_t version[2];
    void* context;
    void (*deleter)(struct managed_versioned*);
    uint64_t flags;
    struct dl_tensor tensor;
};

/* What threads that were ending could not free; whoever calls next does. */
struct put_off {
    struct put_off* next;
    void* tensor;
    void (*deleter)(void*);
};
static _Atomic(struct put_off*) put_off;
static void (*deleters[2])(void*);

static void free_put_off(void) {
    struct put_off* list = atomic_exchange(&put_off, NULL);
    while (list) {
        struct put_off* next = list->next;
        list->deleter(list->tensor);
        free(list);
        list = next;
    }
}

static void delete_tensor(void* tensor, int is_versioned) {
    if (state != ENDED) {
        deleters[is_versioned](tensor);
        return;
    }
    struct put_off* item = malloc(sizeof *item);
    if (!item) return; /* better lost than the end of the process */
    *item = (struct put_off){atomic_load(&put_off), tensor, deleters[is_versioned]};
    while (!atomic_compare_exchange_weak(&put_off, &item->next, item)) {
    }
}

static void delete_managed(struct managed* tensor) { delete_tensor(tensor, 0); }

static void delete_versioned(struct managed_versioned* tensor) { delete_tensor(tensor, 1); }

/* --- Loading ------------------------------------------------------------------------------------------------------ */

/* The levels that this processor has, best first, or the one of them that KERNELS_INSTRUCTION_SET names. */
static int levels(const char* found[3]) {
    const char* all[3];
    int count = 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    int has_v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
                 __builtin_cpu_supports("bmi2");
    int has_v4 = has_v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                 __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                 __builtin_cpu_supports("avx512vl");
    if (has_v4) all[count++] = "x86-64-v4";
    if (has_v3) all[count++] = "x86-64-v3";
#endif
    all[count++] = "base";
    const char* chosen = getenv("KERNELS_INSTRUCTION_SET");
    int taken = 0;
    for (int i = 0; i < count; i++) {
        if (!chosen || !*chosen || strcmp(chosen, all[i]) == 0) found[taken++] = all[i];
    }
    if (!taken) {
        snprintf(problem, sizeof problem, "KERNELS_INSTRUCTION_SET is '%s'; this processor has base%s%s", chosen,
                 count > 1 ? ", x86-64-v3" : "", count > 2 ? ", x86-64-v4" : "");
    }
    return taken;
}

static void thread_ends(void* unused) {
    (void)unused;
    state = ENDED;
}

static void load(void) {
    Dl_info self;
    if (pthread_key_create(&ending_key, thread_ends) != 0 || !dladdr((void*)(intptr_t)load, &self)) {
        snprintf(problem, sizeof problem, "libkernels does not find its own folder");
        return;
    }
    const char* slash = strrchr(self.dli_fname, '/');
    int folder = slash ? (int)(slash - self.dli_fname + 1) : 0;
    const char* found[3];
    int count = levels(found);
    void* library = NULL;
    size_t written = 0;
    for (int i = 0; i < count && !library; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%.*slibkernels-%s.so", folder, self.dli_fname, found[i]);
        library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
        if (!library && written < sizeof problem) {
            written += (size_t)snprintf(problem + written, sizeof problem - written, "%s%s", i ? "; " : "", dlerror());
        }
    }
    if (!library) return;
    for (int i = 0; i < FUNCTIONS; i++) {
        void* address = dlsym(library, names[i]);
        if (!address) {
            snprintf(problem, sizeof problem, "the build of the library is another version: it has no %s", names[i]);
            return;
        }
        memcpy(&functions[i], &address, sizeof address);
    }
    problem[0] = 0;
    atomic_store(&ready, 1);
}

/* Has thread_ends called ahead of what the runtime did in its first call: destructors of a thread run backwards. */
__attribute__((weak)) int __cxa_thread_atexit_impl(void (*)(void*), void*, void*);
extern void* __dso_handle;

static void know_thread(void) {
    ((const char* (*)(void))functions[INDEX_kernels_last_error])();
    state = KNOWN;
    if (!__cxa_thread_atexit_impl || __cxa_thread_atexit_impl(thread_ends, NULL, &__dso_handle) != 0) {
        pthread_setspecific(ending_key, &ending_key);
    }
}

static int enter(void) {
    if (__builtin_expect(state == KNOWN && !atomic_load_explicit(&put_off, memory_order_relaxed), 1)) return 1;
    if (state == ENDED) {
        own_message = THREAD_ENDED;
        return 0;
    }
    pthread_once(&once, load);
    if (!atomic_load(&ready)) {
        own_message = problem;
        return 0;
    }
    if (state == UNKNOWN) know_thread();
    free_put_off();
    return 1;
}

/* --- Functions ---------------------------------------------------------------------------------------------------- */

#define CALL(name) ((__typeof__(&name))functions[INDEX_##name])

static const char* failed_kernels_last_error(void) { return own_message ? own_message : THREAD_ENDED; }

static const char* failed_kernels_status_name(void) { return state == ENDED ? "THREAD_ENDED" : "LIBRARY_NOT_LOADED"; }

static int32_t failed_kernels_version(void) { return KERNELS_VERSION; }

static kernels_status failed(void) {
    return state == ENDED ? KERNELS_STATUS_THREAD_ENDED : KERNELS_STATUS_LIBRARY_NOT_LOADED;
}

#define VALUE_FUNCTION(result, name, parameters, arguments) \
    result name parameters {                                \
        if (!enter()) return failed_##name();               \
        return CALL(name) arguments;                        \
    }
#define STATUS_FUNCTION(name, parameters, arguments) \
    kernels_status name parameters {                 \
        if (!enter()) return failed();               \
        return CALL(name) arguments;                 \
    }
#include "functions.h"

/* Whoever takes the tensor may let it go in a thread that is ending. */
kernels_status kernels_tensor_to_dlpack(kernels_device* device, const kernels_tensor* tensor, bool versioned,
                                        void** managed) {
    if (!enter()) return failed();
    kernels_status status = CALL(kernels_tensor_to_dlpack)(device, tensor, versioned, managed);
    if (status != KERNELS_STATUS_OK) return status;
    if (versioned) {
        struct managed_versioned* made = *managed;
        deleters[1] = (void (*)(void*))made->deleter;
        made->deleter = delete_versioned;
    } else {
        struct managed* made = *managed;
        deleters[0] = (void (*)(void*))made->deleter;
        made->deleter = delete_managed;
    }
    return status;
}
