// What streams do: pieces of work, run one after the other, or put into a graph while the stream is captured.

#ifndef FAKECUDA_STREAMS_H
#define FAKECUDA_STREAMS_H

#include "core.h"

typedef int CUresult;

// How each call of the driver begins.
#define DRIVER(name)  ENTER(API_DRIVER, name)
#define OR_FAIL(name) ENTER_OR_FAIL(API_DRIVER, name)
#define OR_LOST(name) \
    DRIVER(name);     \
    if (injected != 0 && is_lost()) return leave(injected)

enum { CAPTURE_GLOBAL, CAPTURE_THREAD_LOCAL, CAPTURE_RELAXED };

// The head of each kind of work; what it works on follows.
struct work {
    struct work* next;
    void (*run)(struct work* work, struct queue* queue);
    bool (*uses)(const struct work* work, const struct object* object); // memory or a module; null: nothing
    size_t bytes;                                                       // with what follows
    void* owned;                                                        // freed with the work
    uint64_t order;                                                     // among all work that was ever queued
    uint64_t awaited_queue, awaited;                                    // what must be done before: up to this order
};

// One of a stream. It outlives a stream that is destroyed while it has work.
struct queue {
    struct queue* next;
    uint64_t number; // never comes back
    uint64_t stream, context;
    uint64_t thread;          // of a default stream of a thread
    bool is_blocking;         // takes turns with the legacy default stream
    struct works waiting;     // the first one may be running
    bool running;             // on some thread
    bool has_worker, is_over; // over: the stream is gone
    pthread_cond_t has_more;  // for the worker, when it has nothing to do
    bool capturing, is_invalid;
    int mode;
    pthread_t owner;
    struct works captured;
};

#define WORK(type, function, users)                                          \
    {                                                                        \
        .head = {.run = (function), .uses = (users), .bytes = sizeof(type) } \
    }

// Null, a violation and a status, when there is no such stream in the current context. 0 and 1 are the legacy default
// stream, 2 that of the thread.
struct queue* queue_find(uint64_t stream, const char* caller, int* status);
struct queue* queue_numbered(uint64_t number); // null when it is over
struct queue* queue_new(uint64_t stream, uint64_t context, bool is_blocking);

// Does the work before it returns, unless the stream is captured, work is put off, or streams have threads. Then the
// status may be that of earlier work.
int submit(struct queue* queue, struct work* work);

// For what an event or a graph recorded last.
int submit_wait(struct queue* queue, const struct object* awaited);

// Until all is done that was queued so far. The status is that of a context that was lost meanwhile.
void finish_up_to(uint64_t number, uint64_t order); // that queue, and what it waits for
int finish(struct queue* queue);
int finish_context(uint64_t context);

// Something is about to go: a violation when work that is queued uses it.
void release(const struct object* object, const char* caller);

// That of the next piece of work, among all that was ever queued.
uint64_t next_order(void);

// What is done is no longer in the queue.
bool has_work_up_to(const struct queue* queue, uint64_t order);

bool overlaps(const struct object* memory, uint64_t address, size_t bytes);
struct works works_copy(const struct works* works);
void works_free(struct works* works);

// Its stream is gone; what it has to do is still done.
void queue_end(struct queue* queue);

// The default streams of a context that goes, and all streams when it is 0.
void streams_end(uint64_t context);

// Forgets what streams have to do, and waits for what they do.
void streams_reset(void);

// False, a violation and the end of the capture, when this thread may not make such a call now.
bool is_allowed_now(const char* caller);

// The same for what waits for the whole context: no stream of it may be captured, by whatever thread.
bool may_wait_for_context(const char* caller);

// Ends what cannot stand in a capture; true when the stream was not captured.
bool is_not_captured(struct queue* queue, const char* caller);

#endif
