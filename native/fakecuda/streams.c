// Streams, events, copies and fills. Work is done before a call returns unless a test puts it off; then it is done when
// somebody waits for it.

#include "streams.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef int CUresult;

#define DRIVER(name)  ENTER(API_DRIVER, name)
#define OR_FAIL(name) ENTER_OR_FAIL(API_DRIVER, name)
#define OR_LOST(name) \
    DRIVER(name);     \
    if (injected != 0 && is_lost()) return leave(injected)

enum { LEGACY_STREAM = 1, PER_THREAD_STREAM = 2 };

static bool puts_off;
static uint64_t tickets;
static struct queue legacy_queue;
static _Thread_local struct queue thread_queue;
static _Thread_local uint64_t thread_epoch;
static uint64_t epoch = 1;
static struct queue* captured_queues;

void fakecuda_put_off(int on) {
    lock_all();
    puts_off = on != 0;
    unlock_all();
}

// --- Work
// --------------------------------------------------------------------------------------------------------------

static void append(struct works* works, struct work* work) {
    work->next = NULL;
    if (works->last == NULL)
        works->first = work;
    else
        works->last->next = work;
    works->last = work;
}

static struct work* copy_of(const struct work* work) {
    struct work* copy = malloc(work->bytes);
    memcpy(copy, work, work->bytes);
    return copy;
}

static void work_free(struct work* work) {
    free(work->owned);
    free(work);
}

struct works works_copy(const struct works* works) {
    struct works copy = {NULL, NULL};
    for (const struct work* work = works->first; work != NULL; work = work->next) append(&copy, copy_of(work));
    return copy;
}

void works_free(struct works* works) {
    while (works->first != NULL) {
        struct work* next = works->first->next;
        work_free(works->first);
        works->first = next;
    }
    works->last = NULL;
}

static bool waits_for(const struct queue* queue, uint64_t ticket) {
    for (const struct work* work = queue->waiting.first; work != NULL; work = work->next)
        if (work->ticket == ticket) return true;
    return false;
}

// One thread at a time; the lock is free while a kernel runs.
void run_waiting(struct queue* queue, uint64_t ticket) {
    while (queue->running) wait_for_others();
    queue->running = true;
    while (queue->waiting.first != NULL && (ticket == 0 || waits_for(queue, ticket))) {
        struct work* work = queue->waiting.first;
        queue->waiting.first = work->next;
        if (work->next == NULL) queue->waiting.last = NULL;
        work->run(work, queue);
        work_free(work);
    }
    queue->running = false;
    wake_others();
}

int submit(struct queue* queue, struct work* work) {
    append(queue->capturing ? &queue->captured : &queue->waiting, copy_of(work));
    if (!queue->capturing && !puts_off) run_waiting(queue, 0);
    return CUDA_SUCCESS;
}

// --- Queues
// ------------------------------------------------------------------------------------------------------------

struct queue* queue_find(uint64_t stream, const char* caller, int* status) {
    if (stream > PER_THREAD_STREAM) {
        struct object* object = find_in_context(stream, FAKECUDA_STREAM, caller, status);
        if (object == NULL) return NULL;
        if (object->queue == NULL) object->queue = calloc(1, sizeof *object->queue);
        object->queue->stream = stream;
        object->queue->context = object->context;
        return object->queue;
    }
    const uint64_t context = context_for(caller);
    *status = context == 0 ? CUDA_ERROR_INVALID_CONTEXT : CUDA_SUCCESS;
    if (context == 0) return NULL;
    if (thread_epoch != epoch) memset(&thread_queue, 0, sizeof thread_queue);
    thread_epoch = epoch;
    struct queue* queue = stream == PER_THREAD_STREAM ? &thread_queue : &legacy_queue;
    queue->stream = stream == PER_THREAD_STREAM ? PER_THREAD_STREAM : LEGACY_STREAM;
    queue->context = context;
    return queue;
}

static void stop_capturing(struct queue* queue) {
    struct queue** place = &captured_queues;
    while (*place != NULL && *place != queue) place = &(*place)->next_captured;
    if (*place != NULL) *place = queue->next_captured;
    queue->capturing = queue->is_invalid = false;
}

void queue_free(struct queue* queue) {
    if (queue == NULL) return;
    stop_capturing(queue);
    works_free(&queue->waiting);
    works_free(&queue->captured);
    free(queue);
}

void streams_reset(void) {
    works_free(&legacy_queue.waiting);
    captured_queues = NULL;
    puts_off = false;
    epoch++;
}

bool is_allowed_now(const char* caller) {
    bool allowed = true;
    for (struct queue* queue = captured_queues; queue != NULL; queue = queue->next_captured) {
        const bool is_own = pthread_equal(queue->owner, pthread_self()) != 0;
        if (queue->mode == CAPTURE_RELAXED || (queue->mode == CAPTURE_THREAD_LOCAL && !is_own)) continue;
        violation("%s while a stream is captured", caller);
        queue->is_invalid = true;
        allowed = false;
    }
    return allowed;
}

bool is_not_captured(struct queue* queue, const char* caller) {
    if (!queue->capturing) return true;
    violation("%s on a stream that is captured", caller);
    queue->is_invalid = true;
    return false;
}

// --- Copies and fills
// --------------------------------------------------------------------------------------------------

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
    struct copy copy = WORK(struct copy, run_copy);
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
    struct copy copy = WORK(struct copy, run_copy);
    copy.target = (uint64_t)(uintptr_t)target, copy.source = source, copy.bytes = bytes, copy.checks_source = true;
    copy.checks_target = is_page_locked(target, bytes);
    if (copy.checks_target) return leave(submit(queue, &copy.head));
    may_wait();
    if (!is_not_captured(queue, "cuMemcpyDtoHAsync to pageable memory")) return leave(CUDA_ERROR_UNSUPPORTED);
    submit(queue, &copy.head);
    run_waiting(queue, 0);
    return leave(CUDA_SUCCESS);
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
    struct copy copy = WORK(struct copy, run_copy);
    copy.target = target, copy.source = source, copy.bytes = bytes, copy.checks_target = copy.checks_source = true;
    return leave(submit(queue, &copy.head));
}

struct fill {
    struct work head;
    uint64_t target;
    uint32_t value;
    size_t size, count;
};

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
    struct fill work = WORK(struct fill, run_fill);
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

// --- Streams
// -----------------------------------------------------------------------------------------------------------

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
    CUresult status;
    struct object* object = find_in_context(stream, FAKECUDA_STREAM, "cuStreamDestroy", &status);
    if (object == NULL) return leave(injected != 0 ? injected : status);
    if (object->queue != NULL) run_waiting(object->queue, 0);
    object_delete(object);
    return leave(injected);
}

FAKECUDA_EXPORT CUresult cuStreamSynchronize(uint64_t stream) {
    OR_FAIL(cuStreamSynchronize);
    may_wait();
    CUresult status;
    struct queue* queue = queue_find(stream, "cuStreamSynchronize", &status);
    if (queue == NULL) return leave(status);
    if (!is_not_captured(queue, "cuStreamSynchronize")) return leave(CUDA_ERROR_UNSUPPORTED);
    run_waiting(queue, 0);
    return leave(CUDA_SUCCESS);
}

FAKECUDA_EXPORT CUresult cuStreamQuery(uint64_t stream) {
    OR_FAIL(cuStreamQuery);
    CUresult status;
    struct queue* queue = queue_find(stream, "cuStreamQuery", &status);
    if (queue == NULL) return leave(status);
    if (!is_not_captured(queue, "cuStreamQuery")) return leave(CUDA_ERROR_UNSUPPORTED);
    return leave(queue->waiting.first == NULL ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY);
}

FAKECUDA_EXPORT CUresult cuStreamIsCapturing(uint64_t stream, int* state) {
    OR_FAIL(cuStreamIsCapturing);
    CUresult status;
    const struct queue* queue = queue_find(stream, "cuStreamIsCapturing", &status);
    if (queue != NULL) *state = !queue->capturing ? 0 : queue->is_invalid ? 2 : 1;
    return leave(status);
}

FAKECUDA_EXPORT CUresult cuStreamBeginCapture_v2(uint64_t stream, int mode) {
    OR_FAIL(cuStreamBeginCapture_v2);
    CUresult status;
    struct queue* queue = queue_find(stream, "cuStreamBeginCapture", &status);
    if (queue == NULL) return leave(status);
    if (queue == &legacy_queue) {
        violation("cuStreamBeginCapture: the legacy default stream cannot be captured");
        return leave(CUDA_ERROR_UNSUPPORTED);
    }
    if (queue->capturing) {
        violation("cuStreamBeginCapture: the stream is captured already");
        return leave(CUDA_ERROR_ILLEGAL_STATE);
    }
    queue->capturing = true;
    queue->mode = mode;
    queue->owner = pthread_self();
    queue->next_captured = captured_queues;
    captured_queues = queue;
    return leave(CUDA_SUCCESS);
}

// However it ends, the stream is not captured any more.
FAKECUDA_EXPORT CUresult cuStreamEndCapture(uint64_t stream, uint64_t* graph) {
    OR_LOST(cuStreamEndCapture);
    CUresult status;
    *graph = 0;
    struct queue* queue = queue_find(stream, "cuStreamEndCapture", &status);
    if (queue == NULL) return leave(status);
    if (!queue->capturing) {
        violation("cuStreamEndCapture: the stream is not captured");
        return leave(CUDA_ERROR_ILLEGAL_STATE);
    }
    status = queue->is_invalid ? CUDA_ERROR_CAPTURE_INVALIDATED : injected;
    if (queue->mode != CAPTURE_RELAXED && !pthread_equal(queue->owner, pthread_self())) {
        violation("cuStreamEndCapture: on another thread than the capture began on");
        status = CUDA_ERROR_WRONG_THREAD;
    }
    stop_capturing(queue);
    if (status == CUDA_SUCCESS) {
        struct object* object = object_new(FAKECUDA_GRAPH, queue->context);
        object->works = queue->captured;
        queue->captured = (struct works){NULL, NULL};
        *graph = object->handle;
    }
    works_free(&queue->captured);
    return leave(status);
}

// --- Graphs
// ------------------------------------------------------------------------------------------------------------

FAKECUDA_EXPORT CUresult cuGraphInstantiateWithFlags(uint64_t* executable, uint64_t graph, unsigned long long flags) {
    OR_FAIL(cuGraphInstantiateWithFlags);
    (void)flags;
    CUresult status;
    const struct object* source = find_in_context(graph, FAKECUDA_GRAPH, "cuGraphInstantiate", &status);
    if (source == NULL) return leave(status);
    const struct works works = works_copy(&source->works);
    struct object* object = object_new(FAKECUDA_GRAPH_EXECUTABLE, current_context());
    object->works = works;
    *executable = object->handle;
    return leave(CUDA_SUCCESS);
}

FAKECUDA_EXPORT CUresult cuGraphLaunch(uint64_t executable, uint64_t stream) {
    OR_FAIL(cuGraphLaunch);
    CUresult status;
    struct queue* queue = queue_find(stream, "cuGraphLaunch", &status);
    if (queue == NULL) return leave(status);
    if (!is_not_captured(queue, "cuGraphLaunch")) return leave(CUDA_ERROR_UNSUPPORTED);
    struct object* object = find_in_context(executable, FAKECUDA_GRAPH_EXECUTABLE, "cuGraphLaunch", &status);
    if (object == NULL) return leave(status);
    // A copy, as the graph may go while its work runs.
    struct works works = works_copy(&object->works);
    for (struct work* work = works.first; work != NULL; work = work->next) submit(queue, work);
    works_free(&works);
    return leave(CUDA_SUCCESS);
}

static CUresult destroy_graph(uint64_t graph, int kind, const char* caller) {
    CUresult status;
    struct object* object = find_in_context(graph, kind, caller, &status);
    if (object != NULL) object_delete(object);
    return status;
}

FAKECUDA_EXPORT CUresult cuGraphDestroy(uint64_t graph) {
    OR_LOST(cuGraphDestroy);
    const CUresult status = destroy_graph(graph, FAKECUDA_GRAPH, "cuGraphDestroy");
    return leave(injected != 0 ? injected : status);
}

FAKECUDA_EXPORT CUresult cuGraphExecDestroy(uint64_t executable) {
    OR_LOST(cuGraphExecDestroy);
    const CUresult status = destroy_graph(executable, FAKECUDA_GRAPH_EXECUTABLE, "cuGraphExecDestroy");
    return leave(injected != 0 ? injected : status);
}

// --- Events
// ------------------------------------------------------------------------------------------------------------

struct recording {
    struct work head;
    uint64_t event;
};

static void run_recording(struct work* work, struct queue* queue) {
    (void)queue;
    struct object* event = object_peek(((const struct recording*)work)->event, FAKECUDA_EVENT);
    if (event == NULL) return; // destroyed meanwhile, as it may be
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    event->time = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

// The stream that has yet to come to this recording, or null.
static struct queue* queue_of(const struct object* event) {
    if (event->ticket == 0) return NULL;
    struct queue* queue = NULL;
    if (event->stream == LEGACY_STREAM) queue = &legacy_queue;
    if (event->stream == PER_THREAD_STREAM) queue = &thread_queue;
    const struct object* stream = queue == NULL ? object_peek(event->stream, FAKECUDA_STREAM) : NULL;
    if (stream != NULL) queue = stream->queue;
    return queue != NULL && waits_for(queue, event->ticket) ? queue : NULL;
}

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
    CUresult status;
    struct object* object = find_in_context(event, FAKECUDA_EVENT, "cuEventDestroy", &status);
    if (object != NULL) object_delete(object);
    return leave(injected != 0 ? injected : status);
}

FAKECUDA_EXPORT CUresult cuEventRecord(uint64_t event, uint64_t stream) {
    OR_FAIL(cuEventRecord);
    CUresult status;
    struct queue* queue = queue_find(stream, "cuEventRecord", &status);
    if (queue == NULL) return leave(status);
    struct object* object = find_in_context(event, FAKECUDA_EVENT, "cuEventRecord", &status);
    if (object == NULL) return leave(status);
    if (!is_not_captured(queue, "cuEventRecord")) return leave(CUDA_ERROR_UNSUPPORTED);
    struct recording work = WORK(struct recording, run_recording);
    work.event = event;
    object->stream = queue->stream;
    object->ticket = work.head.ticket = ++tickets;
    return leave(submit(queue, &work.head));
}

FAKECUDA_EXPORT CUresult cuEventQuery(uint64_t event) {
    OR_FAIL(cuEventQuery);
    CUresult status;
    const struct object* object = find_in_context(event, FAKECUDA_EVENT, "cuEventQuery", &status);
    if (object != NULL && queue_of(object) != NULL) status = CUDA_ERROR_NOT_READY;
    return leave(status);
}

FAKECUDA_EXPORT CUresult cuEventSynchronize(uint64_t event) {
    OR_FAIL(cuEventSynchronize);
    may_wait();
    CUresult status;
    const struct object* object = find_in_context(event, FAKECUDA_EVENT, "cuEventSynchronize", &status);
    if (object == NULL) return leave(status);
    struct queue* queue = queue_of(object);
    if (queue != NULL) run_waiting(queue, object->ticket);
    return leave(CUDA_SUCCESS);
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

struct waiting {
    struct work head;
    uint64_t stream, ticket;
};

static void run_wait(struct work* work, struct queue* queue) {
    const struct waiting* waiting = (const struct waiting*)work;
    const struct object recorded = {.stream = waiting->stream, .ticket = waiting->ticket};
    struct queue* other = queue_of(&recorded);
    if (other != NULL && other != queue) run_waiting(other, waiting->ticket);
}

FAKECUDA_EXPORT CUresult cuStreamWaitEvent(uint64_t stream, uint64_t event, unsigned flags) {
    OR_FAIL(cuStreamWaitEvent);
    (void)flags;
    CUresult status;
    struct queue* queue = queue_find(stream, "cuStreamWaitEvent", &status);
    if (queue == NULL) return leave(status);
    const struct object* object = find_in_context(event, FAKECUDA_EVENT, "cuStreamWaitEvent", &status);
    if (object == NULL) return leave(status);
    if (!is_not_captured(queue, "cuStreamWaitEvent")) return leave(CUDA_ERROR_UNSUPPORTED);
    struct waiting work = WORK(struct waiting, run_wait);
    work.stream = object->stream, work.ticket = object->ticket;
    return leave(submit(queue, &work.head));
}
