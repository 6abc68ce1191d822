// Stands between the library and the real OpenCL: passes every call on, counts what lives, and makes the call fail that
// a test names. The real library is libOpenCL.so.1, or the file in FAULTOPENCL_REAL.

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

// A handle of any kind, and types as wide as OpenCL's.
typedef void* object;
typedef int32_t status;
typedef uint64_t bits;

enum kind { CONTEXT, QUEUE, MEMORY, PROGRAM, KERNEL, EVENT, KINDS };

struct function {
    const char* name;
    void* real;
    uint64_t calls;
    struct function* next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct function* functions;
static uint64_t calls;
static uint64_t waits;
static int64_t live[KINDS];
static uint64_t releases_of_nothing;
static struct {
    uint64_t remaining;
    char function[64];
    status answer;
} plan;
static const char* failed_function;

// --- What a test calls
// -------------------------------------------------------------------------------------------------

// The call-th call from now (1 is the next one), of this function only unless null, answers this status; 0 takes the
// plan back. A release happens all the same.
EXPORT void faultopencl_fail(uint64_t call, const char* function, int answer) {
    pthread_mutex_lock(&lock);
    plan.remaining = call;
    plan.answer = answer;
    snprintf(plan.function, sizeof plan.function, "%s", function == NULL ? "" : function);
    failed_function = NULL;
    pthread_mutex_unlock(&lock);
}

// The function that the plan made fail, or null while it has not come to that.
EXPORT const char* faultopencl_failed_function(void) {
    pthread_mutex_lock(&lock);
    const char* name = failed_function;
    pthread_mutex_unlock(&lock);
    return name;
}

EXPORT uint64_t faultopencl_calls(const char* function) {
    pthread_mutex_lock(&lock);
    uint64_t count = function == NULL ? calls : 0;
    for (struct function* known = functions; function != NULL && known != NULL; known = known->next)
        if (strcmp(known->name, function) == 0) count = known->calls;
    pthread_mutex_unlock(&lock);
    return count;
}

// Calls that wait for the device: clFinish, clWaitForEvents, blocking transfers.
EXPORT uint64_t faultopencl_waits(void) {
    pthread_mutex_lock(&lock);
    const uint64_t count = waits;
    pthread_mutex_unlock(&lock);
    return count;
}

// References made through this library and not released: contexts, queues, memory, programs, kernels, events in this
// order.
EXPORT int64_t faultopencl_live(int kind) {
    pthread_mutex_lock(&lock);
    const int64_t count = kind >= 0 && kind < KINDS ? live[kind] : -1;
    pthread_mutex_unlock(&lock);
    return count;
}

// Releases of kinds of which nothing was left.
EXPORT uint64_t faultopencl_violations(void) {
    pthread_mutex_lock(&lock);
    const uint64_t count = releases_of_nothing;
    pthread_mutex_unlock(&lock);
    return count;
}

// --- The way through
// ---------------------------------------------------------------------------------------------------

static void* real_library(void) {
    static void* library;
    if (library != NULL) return library;
    const char* chosen = getenv("FAULTOPENCL_REAL");
    library = dlopen(chosen != NULL && chosen[0] != 0 ? chosen : "libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        fprintf(stderr, "faultopencl: %s\n", dlerror());
        abort();
    }
    return library;
}

// The status with which this call shall fail, or 0; the real function in called->real.
static status enter(struct function* called) {
    status answer = 0;
    pthread_mutex_lock(&lock);
    if (called->real == NULL) {
        called->real = dlsym(real_library(), called->name);
        if (called->real == NULL) {
            fprintf(stderr, "faultopencl: %s\n", dlerror());
            abort();
        }
        called->next = functions;
        functions = called;
    }
    called->calls++;
    calls++;
    const bool planned = plan.remaining > 0 && (plan.function[0] == 0 || strcmp(plan.function, called->name) == 0);
    if (planned && --plan.remaining == 0) {
        failed_function = called->name;
        answer = plan.answer;
    }
    pthread_mutex_unlock(&lock);
    return answer;
}

static void count(enum kind kind, int change) {
    pthread_mutex_lock(&lock);
    live[kind] += change;
    if (live[kind] < 0) live[kind] = 0, releases_of_nothing++;
    pthread_mutex_unlock(&lock);
}

static void may_wait(bool does_wait) {
    pthread_mutex_lock(&lock);
    waits += does_wait;
    pthread_mutex_unlock(&lock);
}

#define ENTER(function_name)                                         \
    static struct function called = {#function_name, NULL, 0, NULL}; \
    const status injected = enter(&called)

// Takes its arguments as they are and returns a status.
#define FORWARD(name, parameters, arguments)                                            \
    EXPORT status name parameters {                                                     \
        ENTER(name);                                                                    \
        return injected != 0 ? injected : ((status(*) parameters)called.real)arguments; \
    }

// Returns a new object and puts the status behind its last parameter, `answer`.
#define CREATE(name, kind, parameters, arguments)                            \
    EXPORT object name parameters {                                          \
        ENTER(name);                                                         \
        if (injected != 0) {                                                 \
            *answer = injected;                                              \
            return NULL;                                                     \
        }                                                                    \
        const object created = ((object(*) parameters)called.real)arguments; \
        if (created != NULL) count(kind, 1);                                 \
        return created;                                                      \
    }

// Hands out an event behind its last parameter, `event`, unless that is null.
#define ENQUEUE(name, parameters, arguments)                                \
    EXPORT status name parameters {                                         \
        ENTER(name);                                                        \
        if (injected != 0) return injected;                                 \
        const status result = ((status(*) parameters)called.real)arguments; \
        if (result == 0 && event != NULL) count(EVENT, 1);                  \
        return result;                                                      \
    }

// The same, and counts as waiting where that is asked for.
#define TRANSFER(name, parameters, arguments)                               \
    EXPORT status name parameters {                                         \
        ENTER(name);                                                        \
        may_wait(blocking != 0);                                            \
        if (injected != 0) return injected;                                 \
        const status result = ((status(*) parameters)called.real)arguments; \
        if (result == 0 && event != NULL) count(EVENT, 1);                  \
        return result;                                                      \
    }

// Waits.
#define WAIT(name, parameters, arguments)                                               \
    EXPORT status name parameters {                                                     \
        ENTER(name);                                                                    \
        may_wait(true);                                                                 \
        return injected != 0 ? injected : ((status(*) parameters)called.real)arguments; \
    }

#define REFERENCE(name, kind, change)                                   \
    EXPORT status name(object handle) {                                 \
        ENTER(name);                                                    \
        if (injected != 0 && change > 0) return injected;               \
        const status result = ((status(*)(object))called.real)(handle); \
        if (result == 0) count(kind, change);                           \
        return injected != 0 ? injected : result;                       \
    }

FORWARD(clGetPlatformIDs, (uint32_t entries, object* platforms, uint32_t* found), (entries, platforms, found))
FORWARD(clGetPlatformInfo, (object platform, uint32_t name, size_t bytes, void* value, size_t* needed),
        (platform, name, bytes, value, needed))
FORWARD(clGetDeviceIDs, (object platform, bits type, uint32_t entries, object* devices, uint32_t* found),
        (platform, type, entries, devices, found))
FORWARD(clGetDeviceInfo, (object device, uint32_t name, size_t bytes, void* value, size_t* needed),
        (device, name, bytes, value, needed))

CREATE(clCreateContext, CONTEXT,
       (const intptr_t* properties, uint32_t devices, const object* device, void* notify, void* data, status* answer),
       (properties, devices, device, notify, data, answer))
REFERENCE(clRetainContext, CONTEXT, 1)
REFERENCE(clReleaseContext, CONTEXT, -1)

CREATE(clCreateCommandQueue, QUEUE, (object context, object device, bits properties, status* answer),
       (context, device, properties, answer))
REFERENCE(clRetainCommandQueue, QUEUE, 1)
REFERENCE(clReleaseCommandQueue, QUEUE, -1)
FORWARD(clFlush, (object queue), (queue))
WAIT(clFinish, (object queue), (queue))

CREATE(clCreateBuffer, MEMORY, (object context, bits flags, size_t bytes, void* host, status* answer),
       (context, flags, bytes, host, answer))
REFERENCE(clRetainMemObject, MEMORY, 1)
REFERENCE(clReleaseMemObject, MEMORY, -1)
FORWARD(clGetMemObjectInfo, (object memory, uint32_t name, size_t bytes, void* value, size_t* needed),
        (memory, name, bytes, value, needed))
TRANSFER(clEnqueueReadBuffer,
         (object queue, object buffer, uint32_t blocking, size_t offset, size_t bytes, void* target, uint32_t waits,
          const object* wait_list, object* event),
         (queue, buffer, blocking, offset, bytes, target, waits, wait_list, event))
TRANSFER(clEnqueueWriteBuffer,
         (object queue, object buffer, uint32_t blocking, size_t offset, size_t bytes, const void* source,
          uint32_t waits, const object* wait_list, object* event),
         (queue, buffer, blocking, offset, bytes, source, waits, wait_list, event))
ENQUEUE(clEnqueueCopyBuffer,
        (object queue, object source, object target, size_t source_offset, size_t target_offset, size_t bytes,
         uint32_t waits, const object* wait_list, object* event),
        (queue, source, target, source_offset, target_offset, bytes, waits, wait_list, event))
ENQUEUE(clEnqueueFillBuffer,
        (object queue, object buffer, const void* pattern, size_t pattern_bytes, size_t offset, size_t bytes,
         uint32_t waits, const object* wait_list, object* event),
        (queue, buffer, pattern, pattern_bytes, offset, bytes, waits, wait_list, event))

CREATE(clCreateProgramWithSource, PROGRAM,
       (object context, uint32_t strings, const char** string, const size_t* lengths, status* answer),
       (context, strings, string, lengths, answer))
CREATE(clCreateProgramWithBinary, PROGRAM,
       (object context, uint32_t devices, const object* device, const size_t* lengths, const unsigned char** binaries,
        status* statuses, status* answer),
       (context, devices, device, lengths, binaries, statuses, answer))
REFERENCE(clReleaseProgram, PROGRAM, -1)
FORWARD(clBuildProgram,
        (object program, uint32_t devices, const object* device, const char* options, void* notify, void* data),
        (program, devices, device, options, notify, data))
FORWARD(clGetProgramInfo, (object program, uint32_t name, size_t bytes, void* value, size_t* needed),
        (program, name, bytes, value, needed))
FORWARD(clGetProgramBuildInfo,
        (object program, object device, uint32_t name, size_t bytes, void* value, size_t* needed),
        (program, device, name, bytes, value, needed))

CREATE(clCreateKernel, KERNEL, (object program, const char* name, status* answer), (program, name, answer))
REFERENCE(clReleaseKernel, KERNEL, -1)
FORWARD(clSetKernelArg, (object kernel, uint32_t index, size_t bytes, const void* value), (kernel, index, bytes, value))
FORWARD(clGetKernelInfo, (object kernel, uint32_t name, size_t bytes, void* value, size_t* needed),
        (kernel, name, bytes, value, needed))
FORWARD(clGetKernelArgInfo, (object kernel, uint32_t index, uint32_t name, size_t bytes, void* value, size_t* needed),
        (kernel, index, name, bytes, value, needed))
FORWARD(clGetKernelWorkGroupInfo,
        (object kernel, object device, uint32_t name, size_t bytes, void* value, size_t* needed),
        (kernel, device, name, bytes, value, needed))
ENQUEUE(clEnqueueNDRangeKernel,
        (object queue, object kernel, uint32_t dimensions, const size_t* offset, const size_t* global,
         const size_t* local, uint32_t waits, const object* wait_list, object* event),
        (queue, kernel, dimensions, offset, global, local, waits, wait_list, event))

ENQUEUE(clEnqueueMarkerWithWaitList, (object queue, uint32_t waits, const object* wait_list, object* event),
        (queue, waits, wait_list, event))
ENQUEUE(clEnqueueBarrierWithWaitList, (object queue, uint32_t waits, const object* wait_list, object* event),
        (queue, waits, wait_list, event))
WAIT(clWaitForEvents, (uint32_t events, const object* event), (events, event))
FORWARD(clGetEventInfo, (object event, uint32_t name, size_t bytes, void* value, size_t* needed),
        (event, name, bytes, value, needed))
FORWARD(clGetEventProfilingInfo, (object event, uint32_t name, size_t bytes, void* value, size_t* needed),
        (event, name, bytes, value, needed))
REFERENCE(clRetainEvent, EVENT, 1)
REFERENCE(clReleaseEvent, EVENT, -1)
