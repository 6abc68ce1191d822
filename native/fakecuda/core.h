// What the stand-ins (driver, compiler, BLAS, NCCL) share: the lock, the plan of failures, the log, the tables of live
// objects.

#ifndef FAKECUDA_CORE_H
#define FAKECUDA_CORE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "../ptxmachine/ptxmachine.h"
#include "fakecuda.h"

// CUresult, as far as it is used.
enum {
    CUDA_SUCCESS = 0,
    CUDA_ERROR_INVALID_VALUE = 1,
    CUDA_ERROR_OUT_OF_MEMORY = 2,
    CUDA_ERROR_NOT_INITIALIZED = 3,
    CUDA_ERROR_INVALID_DEVICE = 101,
    CUDA_ERROR_INVALID_IMAGE = 200,
    CUDA_ERROR_INVALID_CONTEXT = 201,
    CUDA_ERROR_NO_BINARY_FOR_GPU = 209,
    CUDA_ERROR_INVALID_PTX = 218,
    CUDA_ERROR_INVALID_HANDLE = 400,
    CUDA_ERROR_ILLEGAL_STATE = 401,
    CUDA_ERROR_NOT_FOUND = 500,
    CUDA_ERROR_NOT_READY = 600,
    CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE = 720,
    CUDA_ERROR_UNSUPPORTED = 900, // while a stream is captured
    CUDA_ERROR_CAPTURE_INVALIDATED = 901,
    CUDA_ERROR_WRONG_THREAD = 908,
};

// Which library a function belongs to, since each has its own statuses.
enum api { API_DRIVER, API_NVRTC, API_BLAS, API_NCCL };

// One exported function; it joins the list at its first call.
struct function {
    const char* name;
    enum api api;
    uint64_t calls;
    struct function* next;
};

// Every exported function starts with this: `injected` is the status it shall fail with, or 0. From here to leave() it
// holds the lock.
#define ENTER(library, function_name)                                   \
    static struct function called = {#function_name, library, 0, NULL}; \
    const int injected = enter(&called)

// ... and returns at once when it shall fail.
#define ENTER_OR_FAIL(library, function_name) \
    ENTER(library, function_name);            \
    if (injected != 0) return leave(injected)

int enter(struct function* called);
int leave(int status);

// Without a call: for what a test asks.
void lock_all(void);
void unlock_all(void);

// Inside a call: the lock is free until another thread wakes this one.
void wait_for_others(void);
void wake_others(void);
void wait_for_signal(pthread_cond_t* signal);

// Counts a call that may wait for the device.
void may_wait(void);

// True once a sticky failure has happened; lose() makes it happen, for a reason that cuGetErrorString tells.
bool is_lost(void);
int lost_status_now(void);
void lose(int status);
const char* lost_reason(int status);

void violation(const char* format, ...) __attribute__((format(printf, 1, 2)));

struct clique;
struct kernel;
struct queue;
struct work;

// Pieces of work, the first one first.
struct works {
    struct work *first, *last;
};

// A live object. The handle of memory is its address; all other handles are numbers that never come back, so a stale
// one is always seen.
struct object {
    uint64_t handle;
    int kind;
    int device;              // context
    uint64_t context;        // everything that belongs to one
    size_t bytes;            // memory
    uint8_t* written;        // device memory: for each byte 1 once something wrote it
    bool is_written;         // device memory: all of it
    uint32_t* tags;          // device memory: see struct ptx_memory
    uint64_t references;     // context: retains
    int64_t pushes;          // context: on the stacks of all threads
    int64_t time;            // event: nanoseconds, 0 before it was recorded
    uint64_t stream;         // BLAS
    struct clique* clique;   // communicator: its group
    int rank;                // communicator
    uint64_t recorded_in;    // event, graph: the number of the queue that recorded or launched it last, 0 before
    uint64_t recording;      // event, graph: the order of its last recording, or of the last work of its launch
    struct queue* queue;     // stream
    struct works works;      // graph
    char* text;              // module, program: the source; program's image after compilation in `image`
    char* image;             // program
    size_t image_bytes;      // program
    char* log;               // program
    struct kernel* kernels;  // module, program
    int kernel_count;        // module, program
    struct kernel* function; // function
    struct ptx_module* ptx;  // module of PTX
    uint64_t parent;         // function: its module
};

struct object* object_new(int kind, uint64_t context);
struct object* memory_new(int kind, uint64_t context, size_t bytes);

// Null, and a violation in the name of the caller, when there is no such object.
struct object* object_find(uint64_t handle, int kind, const char* caller);
void object_delete(struct object* object);

// The same without a violation.
struct object* object_peek(uint64_t handle, int kind);

// 0, and a violation, when no context is current.
uint64_t context_for(const char* caller);

// The object when it belongs to the current context.
struct object* find_in_context(uint64_t handle, int kind, const char* caller, int* status);

// The live objects of one kind in the order of their making (of memory, of its address); null after the last.
struct object* object_first(int kind);
struct object* object_next(const struct object* object);

// Device and page-locked memory, by address.
struct object* object_first_memory(void);
struct object* object_next_memory(const struct object* object);

// The block that holds all of these bytes, or null.
struct object* memory_find(uint64_t address, size_t bytes);

// Something other than a kernel of the machine wrote these bytes, or copied them from others.
void memory_written(uint64_t address, size_t bytes);
void memory_copied(uint64_t target, uint64_t source, size_t bytes);
int64_t objects_of_context(uint64_t context);
void objects_delete_of_context(uint64_t context);

uint64_t current_context(void);
bool push_context(uint64_t context);
bool pop_context(uint64_t* context);

struct configuration {
    int device_count;
    int compute_capability;
    uint64_t memory_bytes;
};

extern struct configuration configuration;
extern bool initialized;
extern fakecuda_launch_callback launch_callback;
extern int64_t memory_in_use;

// A kernel as its text declares it.
struct kernel {
    char name[96];
    const struct ptx_kernel* ptx;
    int parameter_count;
    struct parameter {
        char name[64];
        uint32_t size;
        bool is_pointer;
    } parameters[FAKECUDA_MAXIMUM_ARGUMENTS];
};

// Finds the kernels of an assembled text; -1 with a reason when one cannot be understood. The caller frees what it
// gets.
int parse_kernels(const char* source, struct kernel** kernels, char* reason, size_t reason_bytes);

#endif
