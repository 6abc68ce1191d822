// Streams, events, copies and fills. Work is done before a call returns unless a test puts it off; then it is done when
// somebody waits for it. Or streams have threads of their own, which do it meanwhile, each in its order.

#include "machine.h"
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

enum { LEGACY_STREAM = 1, PER_THREAD_STREAM = 2, STREAM_NON_BLOCKING = 1 };

// When work is done: before the call returns, when somebody waits for it, or meanwhile, on a thread of the stream.
static enum { AT_ONCE, PUT_OFF, MEANWHILE } mode, usual_mode;

static struct queue* queues;
static uint64_t queue_numbers, orders, thread_numbers;
static _Thread_local uint64_t thread_number;

static void wake_worker(struct queue* queue);

static void set_mode(int chosen) {
    mode = chosen;
    for (struct queue* queue = queues; queue != NULL && mode == MEANWHILE; queue = queue->next)
        if (queue->waiting.first != NULL) wake_worker(queue);
    wake_others();
}

void fakecuda_put_off(int on) {
    lock_all();
    set_mode(on != 0 ? PUT_OFF : usual_mode);
    unlock_all();
}

void fakecuda_set_async(int on) {
    lock_all();
    usual_mode = on != 0 ? MEANWHILE : AT_ONCE;
    set_mode(usual_mode);
    unlock_all();
}

__attribute__((constructor)) static void choose_mode(void) {
    const char* chosen = getenv("FAKECUDA_ASYNC");
    fakecuda_set_async(chosen != NULL && strcmp(chosen, "1") == 0);
}

// --- Pieces of work --------------------------------------------------------------------------------------------------

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

static void remove_first(struct works* works) {
    struct work* first = works->first;
    works->first = first->next;
    if (works->first == NULL) works->last = NULL;
    free(first->owned);
    free(first);
}

struct works works_copy(const struct works* works) {
    struct works copy = {NULL, NULL};
    for (const struct work* work = works->first; work != NULL; work = work->next) append(&copy, copy_of(work));
    return copy;
}

void works_free(struct works* works) {
    while (works->first != NULL) remove_first(works);
}

// --- The order of work -----------------------------------------------------------------------------------------------

static struct queue* queue_numbered(uint64_t number) {
    struct queue* queue = queues;
    while (queue != NULL && queue->number != number) queue = queue->next;
    return queue;
}

// What is done is no longer in the queue.
static bool has_work_up_to(const struct queue* queue, uint64_t order) {
    return queue != NULL && queue->waiting.first != NULL && queue->waiting.first->order <= order;
}

// The queue that must first do its work up to an order, or null. The legacy default stream waits for the earlier work
// of all streams that block, and they for its.
static struct queue* blocker_of(const struct queue* queue, uint64_t* order) {
    const struct work* work = queue->waiting.first;
    *order = work->awaited;
    struct queue* awaited = work->awaited_queue != 0 ? queue_numbered(work->awaited_queue) : NULL;
    if (has_work_up_to(awaited, *order)) return awaited;
    *order = work->order - 1;
    if (!queue->is_blocking) return NULL;
    const bool is_legacy = queue->stream == LEGACY_STREAM;
    for (struct queue* other = queues; other != NULL; other = other->next) {
        const bool takes_turns =
            other->is_blocking && other->context == queue->context && is_legacy != (other->stream == LEGACY_STREAM);
        if (takes_turns && has_work_up_to(other, *order)) return other;
    }
    return NULL;
}

// The lock is free while a kernel runs. A lost context does nothing any more.
static void do_first(struct queue* queue) {
    queue->running = true;
    if (!is_lost()) queue->waiting.first->run(queue->waiting.first, queue);
    remove_first(&queue->waiting);
    queue->running = false;
    wake_others();
}

static void finish_up_to(uint64_t number, uint64_t order) {
    struct queue* queue;
    while (has_work_up_to(queue = queue_numbered(number), order)) {
        uint64_t before;
        const struct queue* blocker;
        if (mode == MEANWHILE || queue->running)
            wait_for_others();
        else if ((blocker = blocker_of(queue, &before)) != NULL)
            finish_up_to(blocker->number, before);
        else
            do_first(queue);
    }
}

int finish(struct queue* queue) {
    if (queue->waiting.last != NULL) finish_up_to(queue->number, queue->waiting.last->order);
    return lost_status_now();
}

int finish_context(uint64_t context) {
    const uint64_t so_far = orders;
    struct queue* queue = queues;
    while (queue != NULL) {
        if (queue->context == context && has_work_up_to(queue, so_far)) {
            finish_up_to(queue->number, so_far);
            queue = queues; // others may have come and gone
        } else {
            queue = queue->next;
        }
    }
    return lost_status_now();
}

void release(const struct object* object, const char* caller) {
    for (const struct queue* queue = queues; queue != NULL; queue = queue->next) {
        const struct work* work = queue->waiting.first;
        while (work != NULL && (work->uses == NULL || !work->uses(work, object))) work = work->next;
        if (work == NULL) continue;
        violation("%s: 0x%llx is used by work that is queued in stream 0x%llx", caller,
                  (unsigned long long)object->handle, (unsigned long long)queue->stream);
        return;
    }
}

bool overlaps(const struct object* memory, uint64_t address, size_t bytes) {
    return memory->bytes > 0 && address < memory->handle + memory->bytes && memory->handle < address + bytes;
}

// --- The threads of streams ------------------------------------------------------------------------------------------

static void queue_delete(struct queue* queue) {
    struct queue** place = &queues;
    while (*place != queue) place = &(*place)->next;
    *place = queue->next;
    works_free(&queue->waiting);
    free(queue);
    wake_others();
}

static void* work_meanwhile(void* argument) {
    struct queue* queue = argument;
    lock_all();
    while (queue->waiting.first != NULL || !queue->is_over) {
        uint64_t order;
        if (queue->waiting.first == NULL || mode != MEANWHILE)
            wait_for_signal(&queue->has_more);
        else if (queue->running || blocker_of(queue, &order) != NULL)
            wait_for_others();
        else
            do_first(queue);
    }
    queue_delete(queue);
    unlock_all();
    return NULL;
}

static void wake_worker(struct queue* queue) {
    pthread_t thread;
    pthread_cond_signal(&queue->has_more);
    if (queue->has_worker) return;
    if (pthread_create(&thread, NULL, work_meanwhile, queue) != 0 || pthread_detach(thread) != 0) abort();
    queue->has_worker = true;
}

int submit(struct queue* queue, struct work* work) {
    struct work* copy = copy_of(work);
    if (queue->capturing) {
        append(&queue->captured, copy);
        return CUDA_SUCCESS;
    }
    copy->order = ++orders;
    append(&queue->waiting, copy);
    if (mode == AT_ONCE) finish_up_to(queue->number, copy->order);
    if (mode == MEANWHILE) wake_worker(queue);
    return lost_status_now();
}

// --- Queues ----------------------------------------------------------------------------------------------------------

struct queue* queue_new(uint64_t stream, uint64_t context, bool is_blocking) {
    struct queue* queue = calloc(1, sizeof *queue);
    *queue = (struct queue){.next = queues,
                            .number = ++queue_numbers,
                            .stream = stream,
                            .context = context,
                            .thread = stream == PER_THREAD_STREAM ? thread_number : 0,
                            .is_blocking = is_blocking,
                            .has_more = PTHREAD_COND_INITIALIZER};
    return queues = queue;
}

struct queue* queue_find(uint64_t stream, const char* caller, int* status) {
    if (stream > PER_THREAD_STREAM) {
        const struct object* object = find_in_context(stream, FAKECUDA_STREAM, caller, status);
        return object == NULL ? NULL : object->queue;
    }
    const uint64_t context = context_for(caller);
    *status = context == 0 ? CUDA_ERROR_INVALID_CONTEXT : CUDA_SUCCESS;
    if (context == 0) return NULL;
    if (stream == 0) stream = LEGACY_STREAM;
    if (thread_number == 0) thread_number = ++thread_numbers;
    for (struct queue* queue = queues; queue != NULL; queue = queue->next) {
        const bool is_own = stream == LEGACY_STREAM || queue->thread == thread_number;
        if (queue->stream == stream && queue->context == context && is_own && !queue->is_over) return queue;
    }
    return queue_new(stream, context, true);
}

static void stop_capturing(struct queue* queue) { queue->capturing = queue->is_invalid = false; }

void queue_end(struct queue* queue) {
    stop_capturing(queue);
    works_free(&queue->captured);
    queue->is_over = true;
    if (queue->has_worker)
        wake_worker(queue);
    else
        queue_delete(queue);
}

void streams_reset(void) {
    set_mode(PUT_OFF); // nothing more is begun
    struct queue* queue = queues;
    while (queue != NULL) {
        if (queue->running) {
            wait_for_others();
            queue = queues; // the list may have changed
        } else {
            works_free(&queue->waiting);
            queue = queue->next;
        }
    }
    set_mode(usual_mode);
}

void streams_end(uint64_t context) {
    for (struct queue *queue = queues, *next; queue != NULL; queue = next) {
        next = queue->next;
        if ((context == 0 || queue->context == context) && !queue->is_over) queue_end(queue);
    }
}

bool is_allowed_now(const char* caller) {
    bool allowed = true;
    for (struct queue* queue = queues; queue != NULL; queue = queue->next) {
        if (!queue->capturing) continue;
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

// --- Copies and fills ------------------------------------------------------------------------------------------------

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

// --- Streams ---------------------------------------------------------------------------------------------------------

FAKECUDA_EXPORT CUresult cuStreamCreate(uint64_t* stream, unsigned flags) {
    OR_FAIL(cuStreamCreate);
    const uint64_t context = context_for("cuStreamCreate");
    if (context == 0) return leave(CUDA_ERROR_INVALID_CONTEXT);
    struct object* object = object_new(FAKECUDA_STREAM, context);
    object->queue = queue_new(object->handle, context, (flags & STREAM_NON_BLOCKING) == 0);
    *stream = object->handle;
    return leave(CUDA_SUCCESS);
}

FAKECUDA_EXPORT CUresult cuStreamDestroy_v2(uint64_t stream) {
    OR_LOST(cuStreamDestroy_v2);
    CUresult status;
    struct object* object = find_in_context(stream, FAKECUDA_STREAM, "cuStreamDestroy", &status);
    if (object == NULL) return leave(injected != 0 ? injected : status);
    if (mode != MEANWHILE) finish(object->queue);
    object_delete(object);
    return leave(injected);
}

FAKECUDA_EXPORT CUresult cuStreamSynchronize(uint64_t stream) {
    OR_LOST(cuStreamSynchronize);
    may_wait();
    CUresult status;
    struct queue* queue = queue_find(stream, "cuStreamSynchronize", &status);
    if (queue == NULL) return leave(status);
    if (!is_not_captured(queue, "cuStreamSynchronize")) return leave(CUDA_ERROR_UNSUPPORTED);
    status = finish(queue);
    return leave(injected != 0 ? injected : status);
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
    if (queue->stream == LEGACY_STREAM) {
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

// --- Graphs ----------------------------------------------------------------------------------------------------------

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
    return leave(lost_status_now());
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

// --- Events ----------------------------------------------------------------------------------------------------------

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

static bool is_pending(const struct object* event) {
    return event->recording != 0 && has_work_up_to(queue_numbered(event->recorded_in), event->recording);
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
    struct recording work = WORK(struct recording, run_recording, NULL);
    work.event = event;
    // In a queue nothing comes between this and the work itself.
    object->recorded_in = queue->number;
    object->recording = orders + 1;
    return leave(submit(queue, &work.head));
}

FAKECUDA_EXPORT CUresult cuEventQuery(uint64_t event) {
    OR_FAIL(cuEventQuery);
    CUresult status;
    const struct object* object = find_in_context(event, FAKECUDA_EVENT, "cuEventQuery", &status);
    if (object != NULL && is_pending(object)) status = CUDA_ERROR_NOT_READY;
    return leave(status);
}

FAKECUDA_EXPORT CUresult cuEventSynchronize(uint64_t event) {
    OR_LOST(cuEventSynchronize);
    may_wait();
    CUresult status;
    const struct object* object = find_in_context(event, FAKECUDA_EVENT, "cuEventSynchronize", &status);
    if (object == NULL) return leave(status);
    if (object->recording != 0) finish_up_to(object->recorded_in, object->recording);
    return leave(injected != 0 ? injected : lost_status_now());
}

FAKECUDA_EXPORT CUresult cuEventElapsedTime(float* milliseconds, uint64_t start, uint64_t end) {
    OR_FAIL(cuEventElapsedTime);
    CUresult status;
    const struct object* first = find_in_context(start, FAKECUDA_EVENT, "cuEventElapsedTime", &status);
    if (first == NULL) return leave(status);
    const struct object* second = find_in_context(end, FAKECUDA_EVENT, "cuEventElapsedTime", &status);
    if (second == NULL) return leave(status);
    if (is_pending(first) || is_pending(second)) return leave(CUDA_ERROR_NOT_READY);
    if (first->time == 0 || second->time == 0) return leave(CUDA_ERROR_INVALID_HANDLE);
    *milliseconds = (float)((double)(second->time - first->time) / 1e6);
    return leave(CUDA_SUCCESS);
}

// The wait itself is what stands before it in the queue.
static void run_wait(struct work* work, struct queue* queue) { (void)work, (void)queue; }

FAKECUDA_EXPORT CUresult cuStreamWaitEvent(uint64_t stream, uint64_t event, unsigned flags) {
    OR_FAIL(cuStreamWaitEvent);
    (void)flags;
    CUresult status;
    struct queue* queue = queue_find(stream, "cuStreamWaitEvent", &status);
    if (queue == NULL) return leave(status);
    const struct object* object = find_in_context(event, FAKECUDA_EVENT, "cuStreamWaitEvent", &status);
    if (object == NULL) return leave(status);
    if (!is_not_captured(queue, "cuStreamWaitEvent")) return leave(CUDA_ERROR_UNSUPPORTED);
    struct work work = {.run = run_wait, .bytes = sizeof work};
    work.awaited_queue = object->recorded_in, work.awaited = object->recording;
    return leave(submit(queue, &work));
}
