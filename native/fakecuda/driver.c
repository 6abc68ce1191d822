// The CUDA driver API, as much of it as the library calls: devices, contexts, memory. One lock; device memory is host
// memory.

#include "machine.h"
#include "streams.h"

#include <stdio.h>
#include <string.h>

#define DRIVER_VERSION 12040

#define DRIVER(name)  ENTER(API_DRIVER, name)
#define OR_FAIL(name) ENTER_OR_FAIL(API_DRIVER, name)

// Calls that release something, or wait, do so even when they report an error, which is that of earlier work; a lost
// context does nothing.
#define OR_LOST(name) \
    DRIVER(name);     \
    if (injected != 0 && is_lost()) return leave(injected)

typedef int CUresult;
typedef int CUdevice;

// --- Initialisation, version, error text
// -------------------------------------------------------------------------------

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
    *string = lost_reason(status) != NULL ? lost_reason(status) : text;
    return leave(CUDA_SUCCESS);
}

// --- Devices
// -----------------------------------------------------------------------------------------------------------

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
    if (status == CUDA_SUCCESS) snprintf(name, (size_t)length, "PTX machine (no GPU)");
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
        *value = MULTIPROCESSORS;
        break;
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
    case 81:
        *value = GROUP_SHARED_BYTES + RESERVED_SHARED_BYTES;
        break; // shared memory per multiprocessor
    case 95:
        *value = 1;
        break; // cooperative launches
    case 97:
        *value = GROUP_SHARED_BYTES;
        break; // shared memory per block, by choice
    case 82:
        *value = 65536;
        break; // registers per multiprocessor
    case 106:
        *value = 32;
        break; // blocks per multiprocessor
    case 111:
        *value = RESERVED_SHARED_BYTES;
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

// --- Contexts
// ----------------------------------------------------------------------------------------------------------

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
    finish_context(context->handle);
    machine_wait();
    const int64_t left = objects_of_context(context->handle);
    if (left > 0) violation("the context of device %d is destroyed under %lld live objects", device, (long long)left);
    if (context->pushes > 0) violation("the context of device %d is destroyed while it is current", device);
    objects_delete_of_context(context->handle);
    streams_end(context->handle);
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

uint64_t context_for(const char* caller) {
    const uint64_t context = current_context();
    if (context == 0) violation("%s: no context is current on this thread", caller);
    return context;
}

struct object* find_in_context(uint64_t handle, int kind, const char* caller, int* status) {
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

static CUresult free_memory(uint64_t handle, int kind, const char* caller) {
    may_wait();
    if (!is_allowed_now(caller)) return CUDA_ERROR_UNSUPPORTED;
    CUresult status;
    struct object* object = find_in_context(handle, kind, caller, &status);
    if (object == NULL) return status;
    release(object, caller);
    finish_context(object->context);
    machine_wait();
    // Meanwhile another thread may have freed it, too.
    object = find_in_context(handle, kind, caller, &status);
    if (object != NULL) object_delete(object);
    return status;
}

FAKECUDA_EXPORT CUresult cuCtxSynchronize(void) {
    OR_LOST(cuCtxSynchronize);
    may_wait();
    const uint64_t context = context_for("cuCtxSynchronize");
    CUresult status = CUDA_ERROR_INVALID_CONTEXT;
    if (context != 0)
        status = may_wait_for_context("cuCtxSynchronize") ? finish_context(context) : CUDA_ERROR_UNSUPPORTED;
    return leave(injected != 0 ? injected : status);
}

// --- Memory
// ------------------------------------------------------------------------------------------------------------

FAKECUDA_EXPORT CUresult cuMemGetInfo_v2(size_t* free_bytes, size_t* total_bytes) {
    OR_FAIL(cuMemGetInfo_v2);
    if (context_for("cuMemGetInfo") == 0) return leave(CUDA_ERROR_INVALID_CONTEXT);
    *total_bytes = configuration.memory_bytes;
    *free_bytes = configuration.memory_bytes - (size_t)memory_in_use;
    return leave(CUDA_SUCCESS);
}

static CUresult allocate(uint64_t* address, size_t bytes, int kind, const char* caller) {
    may_wait();
    if (!is_allowed_now(caller)) return CUDA_ERROR_UNSUPPORTED;
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
    const CUresult status = free_memory(address, FAKECUDA_MEMORY, "cuMemFree");
    return leave(injected != 0 ? injected : status);
}

FAKECUDA_EXPORT CUresult cuMemHostAlloc(uint64_t* address, size_t bytes, unsigned flags) {
    OR_FAIL(cuMemHostAlloc);
    (void)flags;
    return leave(allocate(address, bytes, FAKECUDA_HOST_MEMORY, "cuMemHostAlloc"));
}

FAKECUDA_EXPORT CUresult cuMemFreeHost(uint64_t address) {
    OR_LOST(cuMemFreeHost);
    const CUresult status = free_memory(address, FAKECUDA_HOST_MEMORY, "cuMemFreeHost");
    return leave(injected != 0 ? injected : status);
}
