// Streams and graphs. Work is done before a call returns unless a test puts it off; then it is done when
// somebody waits for it. Or streams have threads of their own, which do it meanwhile, each in its order.

#include "machine.h"
#include "streams.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

uint64_t next_order(void) { return orders + 1; }

struct queue* queue_numbered(uint64_t number) {
    struct queue* queue = queues;
    while (queue != NULL && queue->number != number) queue = queue->next;
    return queue;
}

bool has_work_up_to(const struct queue* queue, uint64_t order) {
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

void finish_up_to(uint64_t number, uint64_t order) {
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

// The wait itself is what stands before it in the queue.
static void run_wait(struct work* work, struct queue* queue) { (void)work, (void)queue; }

int submit_wait(struct queue* queue, const struct object* awaited) {
    struct work work = {.run = run_wait, .bytes = sizeof work};
    work.awaited_queue = awaited->recorded_in, work.awaited = awaited->recording;
    return submit(queue, &work);
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

bool may_wait_for_context(const char* caller) {
    bool allowed = true;
    for (struct queue* queue = queues; queue != NULL; queue = queue->next) {
        if (!queue->capturing || queue->context != current_context()) continue;
        violation("%s while a stream of its context is captured", caller);
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
    // Launches of a graph run one after the other, in whatever streams.
    if (object->recorded_in != queue->number) submit_wait(queue, object);
    // A copy, as the graph may go while its work runs.
    struct works works = works_copy(&object->works);
    for (struct work* work = works.first; work != NULL; work = work->next) submit(queue, work);
    works_free(&works);
    object = object_peek(executable, FAKECUDA_GRAPH_EXECUTABLE);
    if (object != NULL) object->recorded_in = queue->number, object->recording = orders;
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
