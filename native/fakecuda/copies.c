// Copies and fills, as pieces of a stream's work.

#include "machine.h"
#include "streams.h"

#include <stdlib.h>
#include <string.h>

static bool is_device_memory(uint64_t address, size_t bytes, uint64_t context) {
    const struct object* memory = memory_find(address, bytes);
    // In the unified address space page-locked memory is mapped at its own address.
    return memory != NULL && memory->context == context;
}

static CUresult check_range(uint64_t address, size_t bytes, const char* caller) {
    if (is_device_memory(address, bytes, current_context())) return CUDA_SUCCESS;
    violation("%s: 0x%llx is not %zu bytes of device memory", caller, (unsigned long long)address, bytes);
    return CUDA_ERROR_INVALID_VALUE;
}

static bool is_page_locked(const void* address, size_t bytes) {
    const struct object* memory = memory_find((uint64_t)(uintptr_t)address, bytes);
    return memory != NULL && memory->kind == FAKECUDA_HOST_MEMORY;
}

struct copy {
    struct work head;
    uint64_t target, source;
    size_t bytes;
    bool checks_target, checks_source; // memory of the driver, which may have been freed meanwhile
};

static bool copy_uses(const struct work* work, const struct object* object) {
    const struct copy* copy = (const struct copy*)work;
    return (copy->checks_target && overlaps(object, copy->target, copy->bytes)) ||
           (copy->checks_source && overlaps(object, copy->source, copy->bytes));
}

static void run_copy(struct work* work, struct queue* queue) {
    const struct copy* copy = (const struct copy*)work;
    if ((copy->checks_target && !is_device_memory(copy->target, copy->bytes, queue->context)) ||
        (copy->checks_source && !is_device_memory(copy->source, copy->bytes, queue->context))) {
        violation("memory was freed under a copy of %zu bytes", copy->bytes);
        return;
    }
    memcpy((void*)(uintptr_t)copy->target, (const void*)(uintptr_t)copy->source, copy->bytes);
    memory_copied(copy->target, copy->source, copy->bytes);
}

FAKECUDA_EXPORT CUresult cuMemcpyHtoDAsync_v2(uint64_t target, const void* source, size_t bytes, uint64_t stream) {
    OR_FAIL(cuMemcpyHtoDAsync_v2);
    CUresult status;
    struct queue* queue = queue_find(stream, "cuMemcpyHtoDAsync", &status);
    if (status == CUDA_SUCCESS) status = check_range(target, bytes, "cuMemcpyHtoDAsync");
    if (status != CUDA_SUCCESS) return leave(status);
    struct copy copy = WORK(struct copy, run_copy, copy_uses);
    copy.target = target, copy.source = (uint64_t)(uintptr_t)source, copy.bytes = bytes, copy.checks_target = true;
    copy.checks_source = is_page_locked(source, bytes);
    if (!copy.checks_source) {
        // Pageable memory is staged by the driver, which may wait for it.
        may_wait();
        if (!is_not_captured(queue, "cuMemcpyHtoDAsync from pageable memory")) return leave(CUDA_ERROR_UNSUPPORTED);
        copy.head.owned = malloc(bytes);
        copy.source = (uint64_t)(uintptr_t)memcpy(copy.head.owned, source, bytes);
    }
    return leave(submit(queue, &copy.head));
}

FAKECUDA_EXPORT CUresult cuMemcpyDtoHAsync_v2(void* target, uint64_t source, size_t bytes, uint64_t stream) {
    OR_FAIL(cuMemcpyDtoHAsync_v2);
    CUresult status;
    struct queue* queue = queue_find(stream, "cuMemcpyDtoHAsync", &status);
    if (status == CUDA_SUCCESS) status = check_range(source, bytes, "cuMemcpyDtoHAsync");
    if (status != CUDA_SUCCESS) return leave(status);
    struct copy copy = WORK(struct copy, run_copy, copy_uses);
    copy.target = (uint64_t)(uintptr_t)target, copy.source = source, copy.bytes = bytes, copy.checks_source = true;
    copy.checks_target = is_page_locked(target, bytes);
    if (copy.checks_target) return leave(submit(queue, &copy.head));
    may_wait();
    if (!is_not_captured(queue, "cuMemcpyDtoHAsync to pageable memory")) return leave(CUDA_ERROR_UNSUPPORTED);
    submit(queue, &copy.head);
    return leave(finish(queue));
}

FAKECUDA_EXPORT CUresult cuMemcpyDtoDAsync_v2(uint64_t target, uint64_t source, size_t bytes, uint64_t stream) {
    OR_FAIL(cuMemcpyDtoDAsync_v2);
    CUresult status;
    struct queue* queue = queue_find(stream, "cuMemcpyDtoDAsync", &status);
    if (status == CUDA_SUCCESS) status = check_range(target, bytes, "cuMemcpyDtoDAsync");
    if (status == CUDA_SUCCESS) status = check_range(source, bytes, "cuMemcpyDtoDAsync");
    if (status == CUDA_SUCCESS && target < source + bytes && source < target + bytes) {
        violation("cuMemcpyDtoDAsync: source and target overlap");
        status = CUDA_ERROR_INVALID_VALUE;
    }
    if (status != CUDA_SUCCESS) return leave(status);
    struct copy copy = WORK(struct copy, run_copy, copy_uses);
    copy.target = target, copy.source = source, copy.bytes = bytes, copy.checks_target = copy.checks_source = true;
    return leave(submit(queue, &copy.head));
}

struct fill {
    struct work head;
    uint64_t target;
    uint32_t value;
    size_t size, count;
};

static bool fill_uses(const struct work* work, const struct object* object) {
    const struct fill* fill = (const struct fill*)work;
    return overlaps(object, fill->target, fill->size * fill->count);
}

static void run_fill(struct work* work, struct queue* queue) {
    const struct fill* fill = (const struct fill*)work;
    if (!is_device_memory(fill->target, fill->size * fill->count, queue->context)) {
        violation("memory was freed under a fill of %zu bytes", fill->size * fill->count);
        return;
    }
    for (size_t i = 0; i < fill->count; i++)
        memcpy((char*)(uintptr_t)fill->target + i * fill->size, &fill->value, fill->size);
    memory_written(fill->target, fill->size * fill->count);
}

// The value in the low bytes.
static CUresult fill(uint64_t target, uint32_t value, size_t size, size_t count, uint64_t stream, const char* caller) {
    CUresult status;
    struct queue* queue = queue_find(stream, caller, &status);
    if (status == CUDA_SUCCESS) status = check_range(target, size * count, caller);
    if (status == CUDA_SUCCESS && target % size != 0) {
        violation("%s: 0x%llx is not aligned to %zu bytes", caller, (unsigned long long)target, size);
        status = CUDA_ERROR_INVALID_VALUE;
    }
    if (status != CUDA_SUCCESS) return status;
    struct fill work = WORK(struct fill, run_fill, fill_uses);
    work.target = target, work.value = value, work.size = size, work.count = count;
    return submit(queue, &work.head);
}

FAKECUDA_EXPORT CUresult cuMemsetD8Async(uint64_t target, uint8_t value, size_t count, uint64_t stream) {
    OR_FAIL(cuMemsetD8Async);
    return leave(fill(target, value, sizeof value, count, stream, "cuMemsetD8Async"));
}

FAKECUDA_EXPORT CUresult cuMemsetD16Async(uint64_t target, uint16_t value, size_t count, uint64_t stream) {
    OR_FAIL(cuMemsetD16Async);
    return leave(fill(target, value, sizeof value, count, stream, "cuMemsetD16Async"));
}

FAKECUDA_EXPORT CUresult cuMemsetD32Async(uint64_t target, uint32_t value, size_t count, uint64_t stream) {
    OR_FAIL(cuMemsetD32Async);
    return leave(fill(target, value, sizeof value, count, stream, "cuMemsetD32Async"));
}
