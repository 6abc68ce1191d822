// The part of the driver API that loads programs and launches their kernels. An image is one of nvrtc.c, whose launches
// go to a callback, or PTX, which the machine runs.

#include "image.h"
#include "machine.h"
#include "streams.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int CUresult;

#define DRIVER(name)  ENTER(API_DRIVER, name)
#define OR_FAIL(name) ENTER_OR_FAIL(API_DRIVER, name)

// The source in an image that this GPU can run, or null: machine code of its own architecture, PTX of one no newer.
static char* source_of(const char* image, CUresult* status) {
    struct image_header header;
    memcpy(&header, image, sizeof header);
    *status = CUDA_ERROR_INVALID_IMAGE;
    if (memcmp(header.magic, IMAGE_MAGIC, sizeof header.magic) != 0) return NULL;
    const bool is_ptx = strcmp(header.kind, "compute") == 0;
    const char* text = image + sizeof header;
    if (is_ptx && text[header.source_bytes] != 0) {
        violation("cuModuleLoadDataEx: the PTX is not zero-terminated");
        return NULL;
    }
    *status = CUDA_ERROR_NO_BINARY_FOR_GPU;
    const int capability = configuration.compute_capability;
    if (is_ptx ? header.architecture > capability : header.architecture != capability) return NULL;
    *status = CUDA_SUCCESS;
    char* source = malloc(header.source_bytes + 1);
    memcpy(source, text, header.source_bytes);
    source[header.source_bytes] = 0;
    return source;
}

// Into the buffer for errors, when the caller gave one.
static void write_log(unsigned count, const int* options, void** values, const char* text) {
    enum { ERROR_LOG_BUFFER = 5, ERROR_LOG_BUFFER_SIZE = 6 };
    char* buffer = NULL;
    size_t size = 0;
    for (unsigned i = 0; i < count; i++) {
        if (options[i] == ERROR_LOG_BUFFER) buffer = values[i];
        if (options[i] == ERROR_LOG_BUFFER_SIZE) size = (size_t)(uintptr_t)values[i];
    }
    if (buffer != NULL && size > 0) snprintf(buffer, size, "%s", text);
}

FAKECUDA_EXPORT CUresult cuModuleLoadDataEx(uint64_t* handle, const void* image, unsigned option_count, int* options,
                                            void** values) {
    OR_FAIL(cuModuleLoadDataEx);
    may_wait();
    if (!is_allowed_now("cuModuleLoadDataEx")) return leave(CUDA_ERROR_UNSUPPORTED);
    const uint64_t context = current_context();
    if (context == 0) {
        violation("cuModuleLoadDataEx: no context is current on this thread");
        return leave(CUDA_ERROR_INVALID_CONTEXT);
    }
    CUresult status = CUDA_SUCCESS;
    char reason[1024] = "";
    char* source = NULL;
    struct kernel* kernels;
    struct ptx_module* ptx = NULL;
    int count;
    if (is_ptx(image)) {
        ptx = machine_load(image, &kernels, &count, reason, sizeof reason);
        if (ptx == NULL) status = CUDA_ERROR_INVALID_PTX;
    } else {
        source = source_of(image, &status);
        if (source != NULL && (count = parse_kernels(source, &kernels, reason, sizeof reason)) < 0)
            status = CUDA_ERROR_INVALID_IMAGE;
    }
    if (status != CUDA_SUCCESS) {
        write_log(option_count, options, values, reason);
        free(source);
        return leave(status);
    }
    struct object* module = object_new(FAKECUDA_MODULE, context);
    module->text = source;
    module->ptx = ptx;
    module->kernels = kernels;
    module->kernel_count = count;
    for (int i = 0; i < count; i++) {
        struct object* function = object_new(FAKECUDA_FUNCTION, context);
        function->function = &kernels[i];
        function->parent = module->handle;
    }
    *handle = module->handle;
    return leave(CUDA_SUCCESS);
}

FAKECUDA_EXPORT CUresult cuModuleUnload(uint64_t handle) {
    DRIVER(cuModuleUnload);
    if (injected != 0 && is_lost()) return leave(injected);
    may_wait();
    if (!is_allowed_now("cuModuleUnload")) return leave(CUDA_ERROR_UNSUPPORTED);
    struct object* module = object_find(handle, FAKECUDA_MODULE, "cuModuleUnload");
    if (module == NULL) return leave(CUDA_ERROR_INVALID_HANDLE);
    release(module, "cuModuleUnload");
    finish_context(module->context);
    machine_wait();
    module = object_find(handle, FAKECUDA_MODULE, "cuModuleUnload");
    if (module == NULL) return leave(CUDA_ERROR_INVALID_HANDLE);
    if (module->context != current_context()) violation("cuModuleUnload: its context is not current on this thread");
    // Handles grow, so the functions follow their module.
    struct object* function = object_first(FAKECUDA_FUNCTION);
    while (function != NULL) {
        struct object* next = object_next(function);
        if (function->parent == handle) object_delete(function);
        function = next;
    }
    object_delete(module);
    return leave(injected);
}

FAKECUDA_EXPORT CUresult cuModuleGetFunction(uint64_t* handle, uint64_t module, const char* name) {
    OR_FAIL(cuModuleGetFunction);
    if (object_find(module, FAKECUDA_MODULE, "cuModuleGetFunction") == NULL) return leave(CUDA_ERROR_INVALID_HANDLE);
    for (struct object* function = object_first(FAKECUDA_FUNCTION); function != NULL;
         function = object_next(function)) {
        if (function->parent != module || strcmp(function->function->name, name) != 0) continue;
        *handle = function->handle;
        return leave(CUDA_SUCCESS);
    }
    return leave(CUDA_ERROR_NOT_FOUND);
}

// Shared memory that the text declares; the machine alone knows.
static uint64_t declared_bytes(const struct object* function) {
    return function->function->ptx == NULL ? 0 : function->function->ptx->shared_bytes;
}

// How many groups a multiprocessor holds at a time.
static uint64_t resident_groups(const struct object* function, uint64_t threads, uint64_t dynamic_bytes) {
    const uint64_t bytes = declared_bytes(function) + dynamic_bytes + RESERVED_SHARED_BYTES;
    const uint64_t by_threads = 2048 / threads, by_bytes = (GROUP_SHARED_BYTES + RESERVED_SHARED_BYTES) / bytes;
    return by_threads < by_bytes ? by_threads : by_bytes;
}

FAKECUDA_EXPORT CUresult cuFuncGetAttribute(int* value, int attribute, uint64_t function) {
    OR_FAIL(cuFuncGetAttribute);
    const struct object* found = object_find(function, FAKECUDA_FUNCTION, "cuFuncGetAttribute");
    if (found == NULL) return leave(CUDA_ERROR_INVALID_HANDLE);
    switch (attribute) {
    case 0:
        *value = 1024;
        break; // threads per block
    case 1:
        *value = (int)declared_bytes(found);
        break; // shared memory
    case 4:
        *value = 32;
        break; // registers
    case 5:    // PTX version
    case 6:
        *value = configuration.compute_capability;
        break;
    default:
        *value = 0;
        break;
    }
    return leave(CUDA_SUCCESS);
}

FAKECUDA_EXPORT CUresult cuFuncSetAttribute(uint64_t function, int attribute, int value) {
    OR_FAIL(cuFuncSetAttribute);
    (void)attribute, (void)value;
    const bool found = object_find(function, FAKECUDA_FUNCTION, "cuFuncSetAttribute") != NULL;
    return leave(found ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE);
}

FAKECUDA_EXPORT CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, uint64_t function, int block_size,
                                                                     size_t shared_bytes) {
    OR_FAIL(cuOccupancyMaxActiveBlocksPerMultiprocessor);
    const struct object* found =
        object_find(function, FAKECUDA_FUNCTION, "cuOccupancyMaxActiveBlocksPerMultiprocessor");
    if (found == NULL) return leave(CUDA_ERROR_INVALID_HANDLE);
    *blocks = block_size > 0 ? (int)resident_groups(found, (uint64_t)block_size, shared_bytes) : 0;
    return leave(CUDA_SUCCESS);
}

// Reads each argument as wide as the text declares it, and looks at the pointers among them.
static CUresult read_arguments(struct fakecuda_launch* launch, const struct kernel* kernel, void** values) {
    launch->argument_count = (uint32_t)kernel->parameter_count;
    for (int i = 0; i < kernel->parameter_count; i++) {
        struct fakecuda_argument* argument = &launch->arguments[i];
        argument->name = kernel->parameters[i].name;
        argument->size = kernel->parameters[i].size;
        argument->is_pointer = kernel->parameters[i].is_pointer;
        argument->value = 0;
        if (values[i] == NULL) {
            violation("%s: there is no argument %s", kernel->name, argument->name);
            return CUDA_ERROR_INVALID_VALUE;
        }
        memcpy(&argument->value, values[i], argument->size);
        if (!argument->is_pointer || argument->value == 0) continue;
        const struct object* memory = memory_find(argument->value, 1);
        if (memory != NULL && memory->context == current_context()) continue;
        violation("%s: argument %s, 0x%llx, is not in device memory", kernel->name, argument->name,
                  (unsigned long long)argument->value);
        return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

static bool is_valid_shape(const struct fakecuda_launch* launch) {
    const uint64_t threads = (uint64_t)launch->block[0] * launch->block[1] * launch->block[2];
    return launch->grid[0] > 0 && launch->grid[1] > 0 && launch->grid[2] > 0 && launch->grid[0] <= 2147483647 &&
           launch->grid[1] <= 65535 && launch->grid[2] <= 65535 && threads > 0 && threads <= 1024;
}

struct launch {
    struct work head;
    uint64_t function;
    struct fakecuda_launch launch;
};

// An argument that is the address of memory is a pointer to it: PTX does not say which arguments are.
static bool launch_uses(const struct work* work, const struct object* object) {
    const struct launch* launch = (const struct launch*)work;
    const struct object* function = object_peek(launch->function, FAKECUDA_FUNCTION);
    if (function != NULL && function->parent == object->handle) return true;
    for (uint32_t i = 0; i < launch->launch.argument_count; i++) {
        const struct fakecuda_argument* argument = &launch->launch.arguments[i];
        if (argument->size == sizeof argument->value && overlaps(object, argument->value, 1)) return true;
    }
    return false;
}

// The callback runs outside the lock.
static void run_launch(struct work* work, struct queue* queue) {
    struct launch* launch = (struct launch*)work;
    if (object_peek(launch->function, FAKECUDA_FUNCTION) == NULL) {
        violation("a module was unloaded under a launch that was queued");
        return;
    }
    for (uint32_t i = 0; i < launch->launch.argument_count; i++) {
        const struct fakecuda_argument* argument = &launch->launch.arguments[i];
        if (!argument->is_pointer || argument->value == 0 || memory_find(argument->value, 1) != NULL) continue;
        violation("memory was freed under a launch of %s: argument %s", launch->launch.function, argument->name);
        return;
    }
    const struct object* function = object_peek(launch->function, FAKECUDA_FUNCTION);
    if (function->function->ptx != NULL) {
        machine_run(object_peek(function->parent, FAKECUDA_MODULE)->ptx, function->function->ptx, &launch->launch,
                    queue->context);
        return;
    }
    const fakecuda_launch_callback callback = launch_callback;
    if (callback == NULL) return;
    launch->launch.stream = queue->stream;
    machine_enter();
    callback(&launch->launch);
    machine_leave();
}

// A launch whose groups must all be there at once is refused when they cannot be.
static bool is_too_large(const struct object* function, const struct fakecuda_launch* launch) {
    const uint64_t threads = (uint64_t)launch->block[0] * launch->block[1] * launch->block[2];
    const uint64_t groups = (uint64_t)launch->grid[0] * launch->grid[1] * launch->grid[2];
    return groups > MULTIPROCESSORS * resident_groups(function, threads, launch->shared_bytes);
}

static CUresult launch_kernel(const char* name, uint64_t handle, struct fakecuda_launch shape, void** values) {
    struct object* function = object_find(handle, FAKECUDA_FUNCTION, name);
    if (function == NULL) return CUDA_ERROR_INVALID_HANDLE;
    CUresult status;
    struct queue* queue = queue_find(shape.stream, name, &status);
    if (queue == NULL) return status;
    if (function->context != current_context()) {
        violation("%s: the kernel's context is not current on this thread", name);
        return CUDA_ERROR_INVALID_CONTEXT;
    }
    const struct object* module = object_find(function->parent, FAKECUDA_MODULE, name);
    struct launch work = WORK(struct launch, run_launch, launch_uses);
    work.function = handle;
    work.launch = shape;
    work.launch.function = function->function->name;
    work.launch.source = module->text;
    work.launch.stream = queue->stream;
    if (!is_valid_shape(&work.launch) || values == NULL) {
        violation("%s: %s with a grid or block that no GPU takes", name, work.launch.function);
        return CUDA_ERROR_INVALID_VALUE;
    }
    if (shape.is_cooperative && is_too_large(function, &work.launch)) return CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE;
    if (declared_bytes(function) + shape.shared_bytes > GROUP_SHARED_BYTES) return CUDA_ERROR_INVALID_VALUE;
    status = read_arguments(&work.launch, function->function, values);
    // A launch that failed at once is told of at once, so that it is known which it was.
    return status == CUDA_SUCCESS ? submit(queue, &work.head) : status;
}

FAKECUDA_EXPORT CUresult cuLaunchKernel(uint64_t handle, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                                        unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
                                        uint64_t stream, void** values, void** extra) {
    OR_FAIL(cuLaunchKernel);
    const struct fakecuda_launch shape = {.stream = stream,
                                          .grid = {grid_x, grid_y, grid_z},
                                          .block = {block_x, block_y, block_z},
                                          .shared_bytes = shared_bytes};
    return leave(launch_kernel("cuLaunchKernel", handle, shape, extra == NULL ? values : NULL));
}

FAKECUDA_EXPORT CUresult cuLaunchCooperativeKernel(uint64_t handle, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                                                   unsigned block_x, unsigned block_y, unsigned block_z,
                                                   unsigned shared_bytes, uint64_t stream, void** values) {
    OR_FAIL(cuLaunchCooperativeKernel);
    const struct fakecuda_launch shape = {.stream = stream,
                                          .grid = {grid_x, grid_y, grid_z},
                                          .block = {block_x, block_y, block_z},
                                          .shared_bytes = shared_bytes,
                                          .is_cooperative = true};
    return leave(launch_kernel("cuLaunchCooperativeKernel", handle, shape, values));
}
