// The CUDA driver API, as much of it as the library calls: one lock, work done before a call returns, device memory that is host memory.

#include "core.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define DRIVER_VERSION 12040

#define DRIVER(name)  ENTER(API_DRIVER, name)
#define OR_FAIL(name) ENTER_OR_FAIL(API_DRIVER, name)

// Calls that release something do so even when they report an error; a lost context releases nothing.
#define OR_LOST(name) \
    DRIVER(name);     \
    if (injected != 0 && is_lost()) return leave(injected)

typedef int CUresult;
typedef int CUdevice;

// --- Initialisation, version, error text -------------------------------------------------------------------------------

FAKECUDA_EXPORT CUresult cuInit(unsigned flags) {
    OR_FAIL(cuInit);
    if (flags != 0) return leave(CUDA_ERROR_INVALID_VALUE);
    initialized = true;
    return leave(CUDA_SUCCESS);
}

FAKECUDA_EXPORT CUresult cuDriverGetVersion(int* version) {
    OR_FAIL(cuDriverGetVersion);
    *version = DRIVER_VERSION;
    return leave(CUDA_SUCCESS);
}

FAKECUDA_EXPORT CUresult cuGetErrorName(CUresult status, const char** name) {
    static _Thread_local char text[64];
    OR_FAIL(cuGetErrorName);
    snprintf(text, sizeof text, "CUDA_ERROR_%d", status);
    *name = text;
    return leave(CUDA_SUCCESS);
}

FAKECUDA_EXPORT CUresult cuGetErrorString(CUresult status, const char** string) {
    static _Thread_local char text[64];
    OR_FAIL(cuGetErrorString);
    snprintf(text, sizeof text, "status %d of the stand-in", status);
    *string = text;
    return leave(CUDA_SUCCESS);
}

// --- Devices -----------------------------------------------------------------------------------------------------------

// A CUdevice is the ordinal.
static CUresult check_device(CUdevice device, const char* caller) {
    if (!initialized) {
        violation("%s before cuInit", caller);
        return CUDA_ERROR_NOT_INITIALIZED;
    }
    if (device >= 0 && device < configuration.device_count) return CUDA_SUCCESS;
    violation("%s: there is no device %d", caller, device);
    return CUDA_ERROR_INVALID_DEVICE;
}

FAKECUDA_EXPORT CUresult cuDeviceGetCount(int* count) {
    OR_FAIL(cuDeviceGetCount);
    const CUresult status = initialized ? CUDA_SUCCESS : CUDA_ERROR_NOT_INITIALIZED;
    if (status == CUDA_SUCCESS) *count = configuration.device_count;
    return leave(status);
}

FAKECUDA_EXPORT CUresult cuDeviceGet(CUdevice* device, int ordinal) {
    OR_FAIL(cuDeviceGet);
    const CUresult status = check_device(ordinal, "cuDeviceGet");
    if (status == CUDA_SUCCESS) *device = ordinal;
    return leave(status);
}

FAKECUDA_EXPORT CUresult cuDeviceGetName(char* name, int length, CUdevice device) {
    OR_FAIL(cuDeviceGetName);
    const CUresult status = check_device(device, "cuDeviceGetName");
    if (status == CUDA_SUCCESS) snprintf(name, (size_t)length, "Stand-in GPU %d", device);
    return leave(status);
}

FAKECUDA_EXPORT CUresult cuDeviceTotalMem_v2(size_t* bytes, CUdevice device) {
    OR_FAIL(cuDeviceTotalMem_v2);
    const CUresult status = check_device(device, "cuDeviceTotalMem");
    if (status == CUDA_SUCCESS) *bytes = configuration.memory_bytes;
    return leave(status);
}

FAKECUDA_EXPORT CUresult cuDeviceGetUuid(char* uuid, CUdevice device) {
    OR_FAIL(cuDeviceGetUuid);
    const CUresult status = check_device(device, "cuDeviceGetUuid");
    if (status == CUDA_SUCCESS) memset(uuid, 0x40 + device, 16);
    return leave(status);
}

FAKECUDA_EXPORT CUresult cuDeviceGetAttribute(int* value, int attribute, CUdevice device) {
    OR_FAIL(cuDeviceGetAttribute);
    const CUresult status = check_device(device, "cuDeviceGetAttribute");
    if (status != CUDA_SUCCESS) return leave(status);
    switch (attribute) {
    case 1:
        *value = 1024;
        break; // threads per block
    case 2:
        *value = 1024;
        break; // block x
    case 5:
        *value = 2147483647;
        break; // grid x
    case 6:    // grid y
    case 7:
        *value = 65535;
        break; // grid z
    case 8:
        *value = 48 << 10;
        break; // shared memory per block
    case 10:
        *value = 32;
        break; // warp
    case 12:
        *value = 65536;
        break; // registers per block
    case 13:
        *value = 1980000;
        break; // clock, kHz
    case 16:
        *value = 4;
        break; // multiprocessors
    case 36:
        *value = 3201000;
        break; // memory clock, kHz
    case 37:
        *value = 6144;
        break; // bus, bits
    case 38:
        *value = 50 << 20;
        break; // second-level cache
    case 39:
        *value = 2048;
        break; // threads per multiprocessor
    case 33:
        *value = device + 1;
        break; // PCI bus
    case 75:
        *value = configuration.compute_capability / 10;
        break;
    case 76:
        *value = configuration.compute_capability % 10;
        break;
    case 81: // shared memory per multiprocessor
    case 97:
        *value = 227 << 10;
        break; // shared memory per block, by choice
    case 82:
        *value = 65536;
        break; // registers per multiprocessor
    case 106:
        *value = 32;
        break; // blocks per multiprocessor
    case 111:
        *value = 1024;
        break; // reserved shared memory
    case 41:
        *value = 1;
        break; // unified addresses
    default:
        *value = 0;
        break;
    }
    return leave(CUDA_SUCCESS);
}

// --- Contexts ----------------------------------------------------------------------------------------------------------

static struct object* primary_context(CUdevice device) {
    struct object* context = object_first(FAKECUDA_CONTEXT);
    // There are a few devices at most; handles grow, so later contexts follow.
    while (context != NULL && context->device != device) context = object_next(context);
    return context;
}

FAKECUDA_EXPORT CUresult cuDevicePrimaryCtxRetain(uint64_t* handle, CUdevice device) {
    OR_FAIL(cuDevicePrimaryCtxRetain);
    const CUresult status = check_device(device, "cuDevicePrimaryCtxRetain");
    if (status != CUDA_SUCCESS) return leave(status);
    struct object* context = primary_context(device);
    if (context == NULL) {
        context = object_new(FAKECUDA_CONTEXT, 0);
        context->device = device;
    }
    context->references++;
    *handle = context->handle;
    return leave(CUDA_SUCCESS);
}

FAKECUDA_EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
    OR_LOST(cuDevicePrimaryCtxRelease_v2);
    struct object* context = primary_context(device);
    if (context == NULL) {
        violation("cuDevicePrimaryCtxRelease: the context of device %d is not retained", device);
        return leave(CUDA_ERROR_INVALID_CONTEXT);
    }
    if (--context->references > 0) return leave(injected);
    const int64_t left = objects_of_context(context->handle);
    if (left > 0) violation("the context of device %d is destroyed under %lld live objects", device, (long long)left);
    if (context->pushes > 0) violation("the context of device %d is destroyed while it is current", device);
    objects_delete_of_context(context->handle);
    object_delete(context);
    return leave(injected);
}

FAKECUDA_EXPORT CUresult cuCtxPushCurrent_v2(uint64_t handle) {
    OR_FAIL(cuCtxPushCurrent_v2);
    struct object* context = object_find(handle, FAKECUDA_CONTEXT, "cuCtxPushCurrent");
    if (context == NULL) return leave(CUDA_ERROR_INVALID_CONTEXT);
    if (!push_context(handle)) {
        violation("cuCtxPushCurrent: the contexts of this thread pile up");
        return leave(CUDA_ERROR_INVALID_VALUE);
    }
    context->pushes++;
    return leave(CUDA_SUCCESS);
}

// The stack is the thread's, so this works when the context is lost, too.
FAKECUDA_EXPORT CUresult cuCtxPopCurrent_v2(uint64_t* handle) {
    DRIVER(cuCtxPopCurrent_v2);
    if (!pop_context(handle)) {
        if (!is_lost()) violation("cuCtxPopCurrent: no context is current on this thread");
        return leave(CUDA_ERROR_INVALID_CONTEXT);
    }
    struct object* context = object_find(*handle, FAKECUDA_CONTEXT, "cuCtxPopCurrent");
    if (context != NULL) context->pushes--;
    return leave(injected);
}

FAKECUDA_EXPORT CUresult cuCtxGetCurrent(uint64_t* handle) {
    OR_FAIL(cuCtxGetCurrent);
    *handle = current_context();
    return leave(CUDA_SUCCESS);
}

// 0, and a violation, when no context is current.
static uint64_t context_for(const char* caller) {
    const uint64_t context = current_context();
    if (context == 0) violation("%s: no context is current on this thread", caller);
    return context;
}

// The object when it belongs to the current context.
static struct object* find_in_context(uint64_t handle, int kind, const char* caller, CUresult* status) {
    const uint64_t context = context_for(caller);
    *status = context == 0 ? CUDA_ERROR_INVALID_CONTEXT : CUDA_ERROR_INVALID_HANDLE;
    struct object* object = context == 0 ? NULL : object_find(handle, kind, caller);
    if (object == NULL) return NULL;
    if (object->context != context) {
        violation("%s: 0x%llx belongs to another context", caller, (unsigned long long)handle);
        return NULL;
    }
    *status = CUDA_SUCCESS;
    return object;
}

static CUresult delete_in_context(uint64_t handle, int kind, const char* caller) {
    CUresult status;
    struct object* object = find_in_context(handle, kind, caller, &status);
    if (object != NULL) object_delete(object);
    return status;
}

// --- Memory ------------------------------------------------------------------------------------------------------------

FAKECUDA_EXPORT CUresult cuMemGetInfo_v2(size_t* free_bytes, size_t* total_bytes) {
    OR_FAIL(cuMemGetInfo_v2);
    if (context_for("cuMemGetInfo") == 0) return leave(CUDA_ERROR_INVALID_CONTEXT);
    *total_bytes = configuration.memory_bytes;
    *free_bytes = configuration.memory_bytes - (size_t)memory_in_use;
    return leave(CUDA_SUCCESS);
}

static CUresult allocate(uint64_t* address, size_t bytes, int kind, const char* caller) {
    const uint64_t context = context_for(caller);
    if (context == 0) return CUDA_ERROR_INVALID_CONTEXT;
    if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
    if (kind == FAKECUDA_MEMORY && bytes > configuration.memory_bytes - (uint64_t)memory_in_use)
        return CUDA_ERROR_OUT_OF_MEMORY;
    struct object* memory = memory_new(kind, context, bytes);
    if (memory == NULL) return CUDA_ERROR_OUT_OF_MEMORY;
    *address = memory->handle;
    return CUDA_SUCCESS;
}

FAKECUDA_EXPORT CUresult cuMemAlloc_v2(uint64_t* address, size_t bytes) {
    OR_FAIL(cuMemAlloc_v2);
    return leave(allocate(address, bytes, FAKECUDA_MEMORY, "cuMemAlloc"));
}

FAKECUDA_EXPORT CUresult cuMemFree_v2(uint64_t address) {
    OR_LOST(cuMemFree_v2);
    const CUresult status = delete_in_context(address, FAKECUDA_MEMORY, "cuMemFree");
    return leave(injected != 0 ? injected : status);
}

FAKECUDA_EXPORT CUresult cuMemHostAlloc(uint64_t* address, size_t bytes, unsigned flags) {
    OR_FAIL(cuMemHostAlloc);
    (void)flags;
    return leave(allocate(address, bytes, FAKECUDA_HOST_MEMORY, "cuMemHostAlloc"));
}

FAKECUDA_EXPORT CUresult cuMemFreeHost(uint64_t address) {
    OR_LOST(cuMemFreeHost);
    const CUresult status = delete_in_context(address, FAKECUDA_HOST_MEMORY, "cuMemFreeHost");
    return leave(injected != 0 ? injected : status);
}

// --- Copies and fills --------------------------------------------------------------------------------------------------

static CUresult check_range(uint64_t address, size_t bytes, const char* caller) {
    const struct object* memory = memory_find(address, bytes);
    // In the unified address space page-locked memory is mapped at its own address.
    const int mapped = memory != NULL && (memory->kind == FAKECUDA_MEMORY || memory->kind == FAKECUDA_HOST_MEMORY);
    if (mapped && memory->context == current_context()) return CUDA_SUCCESS;
    violation("%s: 0x%llx is not %zu bytes of device memory", caller, (unsigned long long)address, bytes);
    return CUDA_ERROR_INVALID_VALUE;
}

static CUresult check_stream(uint64_t stream, const char* caller) {
    CUresult status;
    find_in_context(stream, FAKECUDA_STREAM, caller, &status);
    return status;
}

FAKECUDA_EXPORT CUresult cuMemcpyHtoDAsync_v2(uint64_t target, const void* source, size_t bytes, uint64_t stream) {
    OR_FAIL(cuMemcpyHtoDAsync_v2);
    CUresult status = check_stream(stream, "cuMemcpyHtoDAsync");
    if (status == CUDA_SUCCESS) status = check_range(target, bytes, "cuMemcpyHtoDAsync");
    if (status == CUDA_SUCCESS) memcpy((void*)(uintptr_t)target, source, bytes);
    return leave(status);
}

FAKECUDA_EXPORT CUresult cuMemcpyDtoHAsync_v2(void* target, uint64_t source, size_t bytes, uint64_t stream) {
    OR_FAIL(cuMemcpyDtoHAsync_v2);
    CUresult status = check_stream(stream, "cuMemcpyDtoHAsync");
    if (status == CUDA_SUCCESS) status = check_range(source, bytes, "cuMemcpyDtoHAsync");
    if (status == CUDA_SUCCESS) memcpy(target, (const void*)(uintptr_t)source, bytes);
    return leave(status);
}

FAKECUDA_EXPORT CUresult cuMemcpyDtoDAsync_v2(uint64_t target, uint64_t source, size_t bytes, uint64_t stream) {
    OR_FAIL(cuMemcpyDtoDAsync_v2);
    CUresult status = check_stream(stream, "cuMemcpyDtoDAsync");
    if (status == CUDA_SUCCESS) status = check_range(target, bytes, "cuMemcpyDtoDAsync");
    if (status == CUDA_SUCCESS) status = check_range(source, bytes, "cuMemcpyDtoDAsync");
    if (status == CUDA_SUCCESS && target < source + bytes && source < target + bytes) {
        violation("cuMemcpyDtoDAsync: source and target overlap");
        status = CUDA_ERROR_INVALID_VALUE;
    }
    if (status == CUDA_SUCCESS) memcpy((void*)(uintptr_t)target, (const void*)(uintptr_t)source, bytes);
    return leave(status);
}

static CUresult fill(uint64_t target, const void* value, size_t size, size_t count, uint64_t stream,
                     const char* caller) {
    CUresult status = check_stream(stream, caller);
    if (status == CUDA_SUCCESS) status = check_range(target, size * count, caller);
    if (status == CUDA_SUCCESS && target % size != 0) {
        violation("%s: 0x%llx is not aligned to %zu bytes", caller, (unsigned long long)target, size);
        status = CUDA_ERROR_INVALID_VALUE;
    }
    for (size_t i = 0; status == CUDA_SUCCESS && i < count; i++)
        memcpy((char*)(uintptr_t)target + i * size, value, size);
    return status;
}

FAKECUDA_EXPORT CUresult cuMemsetD8Async(uint64_t target, uint8_t value, size_t count, uint64_t stream) {
    OR_FAIL(cuMemsetD8Async);
    return leave(fill(target, &value, sizeof value, count, stream, "cuMemsetD8Async"));
}

FAKECUDA_EXPORT CUresult cuMemsetD16Async(uint64_t target, uint16_t value, size_t count, uint64_t stream) {
    OR_FAIL(cuMemsetD16Async);
    return leave(fill(target, &value, sizeof value, count, stream, "cuMemsetD16Async"));
}

FAKECUDA_EXPORT CUresult cuMemsetD32Async(uint64_t target, uint32_t value, size_t count, uint64_t stream) {
    OR_FAIL(cuMemsetD32Async);
    return leave(fill(target, &value, sizeof value, count, stream, "cuMemsetD32Async"));
}

// --- Streams -----------------------------------------------------------------------------------------------------------

FAKECUDA_EXPORT CUresult cuStreamCreate(uint64_t* stream, unsigned flags) {
    OR_FAIL(cuStreamCreate);
    (void)flags;
    const uint64_t context = context_for("cuStreamCreate");
    if (context == 0) return leave(CUDA_ERROR_INVALID_CONTEXT);
    *stream = object_new(FAKECUDA_STREAM, context)->handle;
    return leave(CUDA_SUCCESS);
}

FAKECUDA_EXPORT CUresult cuStreamDestroy_v2(uint64_t stream) {
    OR_LOST(cuStreamDestroy_v2);
    const CUresult status = delete_in_context(stream, FAKECUDA_STREAM, "cuStreamDestroy");
    return leave(injected != 0 ? injected : status);
}

FAKECUDA_EXPORT CUresult cuStreamSynchronize(uint64_t stream) {
    OR_FAIL(cuStreamSynchronize);
    return leave(check_stream(stream, "cuStreamSynchronize"));
}

FAKECUDA_EXPORT CUresult cuStreamQuery(uint64_t stream) {
    OR_FAIL(cuStreamQuery);
    return leave(check_stream(stream, "cuStreamQuery"));
}

FAKECUDA_EXPORT CUresult cuStreamWaitEvent(uint64_t stream, uint64_t event, unsigned flags) {
    OR_FAIL(cuStreamWaitEvent);
    (void)flags;
    CUresult status = check_stream(stream, "cuStreamWaitEvent");
    if (status == CUDA_SUCCESS) find_in_context(event, FAKECUDA_EVENT, "cuStreamWaitEvent", &status);
    return leave(status);
}

// --- Events ------------------------------------------------------------------------------------------------------------

FAKECUDA_EXPORT CUresult cuEventCreate(uint64_t* event, unsigned flags) {
    OR_FAIL(cuEventCreate);
    (void)flags;
    const uint64_t context = context_for("cuEventCreate");
    if (context == 0) return leave(CUDA_ERROR_INVALID_CONTEXT);
    *event = object_new(FAKECUDA_EVENT, context)->handle;
    return leave(CUDA_SUCCESS);
}

FAKECUDA_EXPORT CUresult cuEventDestroy_v2(uint64_t event) {
    OR_LOST(cuEventDestroy_v2);
    const CUresult status = delete_in_context(event, FAKECUDA_EVENT, "cuEventDestroy");
    return leave(injected != 0 ? injected : status);
}

FAKECUDA_EXPORT CUresult cuEventRecord(uint64_t event, uint64_t stream) {
    OR_FAIL(cuEventRecord);
    CUresult status = check_stream(stream, "cuEventRecord");
    if (status != CUDA_SUCCESS) return leave(status);
    struct object* recorded = find_in_context(event, FAKECUDA_EVENT, "cuEventRecord", &status);
    if (recorded == NULL) return leave(status);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    recorded->time = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    return leave(CUDA_SUCCESS);
}

FAKECUDA_EXPORT CUresult cuEventQuery(uint64_t event) {
    OR_FAIL(cuEventQuery);
    CUresult status;
    find_in_context(event, FAKECUDA_EVENT, "cuEventQuery", &status);
    return leave(status);
}

FAKECUDA_EXPORT CUresult cuEventSynchronize(uint64_t event) {
    OR_FAIL(cuEventSynchronize);
    CUresult status;
    find_in_context(event, FAKECUDA_EVENT, "cuEventSynchronize", &status);
    return leave(status);
}

FAKECUDA_EXPORT CUresult cuEventElapsedTime(float* milliseconds, uint64_t start, uint64_t end) {
    OR_FAIL(cuEventElapsedTime);
    CUresult status;
    const struct object* first = find_in_context(start, FAKECUDA_EVENT, "cuEventElapsedTime", &status);
    if (first == NULL) return leave(status);
    const struct object* second = find_in_context(end, FAKECUDA_EVENT, "cuEventElapsedTime", &status);
    if (second == NULL) return leave(status);
    if (first->time == 0 || second->time == 0) return leave(CUDA_ERROR_INVALID_HANDLE);
    *milliseconds = (float)((double)(second->time - first->time) / 1e6);
    return leave(CUDA_SUCCESS);
}
