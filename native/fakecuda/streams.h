// What streams do: pieces of work, run one after the other, or put into a graph while the stream is captured.

#ifndef FAKECUDA_STREAMS_H
#define FAKECUDA_STREAMS_H

#include <pthread.h>

#include "core.h"

enum { CAPTURE_GLOBAL, CAPTURE_THREAD_LOCAL, CAPTURE_RELAXED };

// The head of each kind of work; what it works on follows.
struct work {
    struct work* next;
    void (*run)(struct work* work, struct queue* queue);
    size_t bytes;    // with what follows
    void* owned;     // freed with the work
    uint64_t ticket; // of the recording of an event; else 0
};

struct queue {
    uint64_t stream;
    uint64_t context;
    struct works waiting;
    bool running;
    bool capturing, is_invalid;
    int mode;
    pthread_t owner;
    struct works captured;
    struct queue* next_captured;
};

#define WORK(type, function)                                \
    {                                                       \
        .head = {.run = (function), .bytes = sizeof(type) } \
    }

// Null, a violation and a status, when there is no such stream in the current context. 0 and 1 are the legacy default
// stream, 2 that of the thread.
struct queue* queue_find(uint64_t stream, const char* caller, int* status);

// Does the work before it returns, unless the stream is captured or work is put off.
int submit(struct queue* queue, struct work* work);

// Does what waits, up to the recording with this ticket, or all of it.
void run_waiting(struct queue* queue, uint64_t ticket);

struct works works_copy(const struct works* works);
void works_free(struct works* works);
void queue_free(struct queue* queue);
void streams_reset(void);

// False, a violation and the end of the capture, when this thread may not make such a call now.
bool is_allowed_now(const char* caller);

// Ends what cannot stand in a capture; true when the stream was not captured.
bool is_not_captured(struct queue* queue, const char* caller);

#endif
