// Events: recorded, waited for and timed as pieces of a stream's work.

#include "streams.h"

#include <stdlib.h>
#include <time.h>

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
    object->recording = next_order();
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

FAKECUDA_EXPORT CUresult cuStreamWaitEvent(uint64_t stream, uint64_t event, unsigned flags) {
    OR_FAIL(cuStreamWaitEvent);
    (void)flags;
    CUresult status;
    struct queue* queue = queue_find(stream, "cuStreamWaitEvent", &status);
    if (queue == NULL) return leave(status);
    const struct object* object = find_in_context(event, FAKECUDA_EVENT, "cuStreamWaitEvent", &status);
    if (object == NULL) return leave(status);
    if (!is_not_captured(queue, "cuStreamWaitEvent")) return leave(CUDA_ERROR_UNSUPPORTED);
    return leave(submit_wait(queue, object));
}
