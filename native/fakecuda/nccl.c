// NCCL as much as the library calls of it: ranks are threads of one process, each with a device of its own. A call is a
// piece of work of its stream, which waits there until all ranks have come to it. Where calls of ranks do not match,
// NCCL would hang or mix up data; here that is a violation, and an error of all their communicators.

#include "nccl.h"

#include "elements.h"
#include "streams.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NCCL_SUCCESS = 0,
    NCCL_UNHANDLED_CUDA_ERROR = 1,
    NCCL_INVALID_ARGUMENT = 4,
    NCCL_INVALID_USAGE = 5,
    NCCL_IN_PROGRESS = 7,
};

// ncclDataType_t.
enum { NCCL_UINT8 = 1, NCCL_FLOAT16 = 6, NCCL_FLOAT32 = 7, NCCL_FLOAT64 = 8, NCCL_BFLOAT16 = 9 };

enum { ALL_REDUCE, REDUCE_SCATTER, ALL_GATHER, BROADCAST, EXCHANGE };

#define MOST_RANKS   16
#define MOST_CALLS   64
#define CONFIG_MAGIC 0xcafebeefu
#define ID_MAGIC     0x4c43434e454b4146ull

typedef int ncclResult_t;

typedef struct {
    char internal[128];
} ncclUniqueId;

struct ncclConfig {
    size_t size;
    unsigned magic, version;
    int blocking;
};

// What one rank brings to a call. In an exchange, element i of `sent` goes to rank i, and so on.
struct part {
    bool arrived;
    int kind, type, root;
    size_t count;
    uint64_t source, target, context;
    uint64_t sent[MOST_RANKS], received[MOST_RANKS];
    size_t sent_bytes[MOST_RANKS], received_bytes[MOST_RANKS];
};

// The call that all ranks make as their n-th.
struct meeting {
    struct meeting* next;
    uint64_t number;
    int arrived;
    bool done;
    struct part parts[MOST_RANKS];
};

struct member {
    bool joined, aborted, finalized;
    uint64_t context, submitted, finished;
    int error;
    int in_progress; // how often the next questions are answered so
};

struct clique {
    struct clique* next;
    uint64_t key;
    int rank_count, joined;
    struct member members[MOST_RANKS];
    struct meeting* meetings;
};

static struct clique* cliques;
static uint64_t keys;
static char last_error[256];

// Calls that this thread has put together so far.
static _Thread_local struct {
    int depth;
    uint64_t communicator, stream;
    bool mixed;
    int count, failed;
    struct {
        bool sends;
        int rank;
        uint64_t address;
        size_t bytes;
    } calls[MOST_CALLS];
} group;

#define NCCL(name) ENTER_OR_FAIL(API_NCCL, name)

static int refuse(int status, const char* text) {
    snprintf(last_error, sizeof last_error, "%s", text);
    return leave(status);
}

// --- What a call does ------------------------------------------------------------------------------------------------

static const char* const kind_names[] = {"ncclAllReduce", "ncclReduceScatter", "ncclAllGather", "ncclBroadcast",
                                         "ncclSend and ncclRecv"};

static int stored_type(int type) {
    return type == NCCL_FLOAT16    ? CUDA_R_16F
           : type == NCCL_FLOAT64  ? CUDA_R_64F
           : type == NCCL_BFLOAT16 ? CUDA_R_16BF
                                   : CUDA_R_32F;
}

static size_t type_bytes(int type) { return type == NCCL_UINT8 ? 1 : element_bytes(stored_type(type)); }

static bool is_memory_of(uint64_t context, uint64_t address, size_t bytes) {
    const struct object* memory = memory_find(address, bytes);
    return bytes == 0 || (memory != NULL && memory->context == context);
}

static bool has_memory(const struct clique* clique, const struct part* part) {
    const size_t bytes = part->count * type_bytes(part->type), all = bytes * (size_t)clique->rank_count;
    bool found = true;
    for (int rank = 0; part->kind == EXCHANGE && rank < clique->rank_count; rank++)
        found = found && is_memory_of(part->context, part->sent[rank], part->sent_bytes[rank]) &&
                is_memory_of(part->context, part->received[rank], part->received_bytes[rank]);
    if (part->kind == EXCHANGE) return found;
    return is_memory_of(part->context, part->source, part->kind == REDUCE_SCATTER ? all : bytes) &&
           is_memory_of(part->context, part->target, part->kind == ALL_GATHER ? all : bytes);
}

static bool match(const struct clique* clique, const struct meeting* meeting) {
    const struct part* first = &meeting->parts[0];
    for (int rank = 0; rank < clique->rank_count; rank++) {
        const struct part* part = &meeting->parts[rank];
        bool same = part->kind == first->kind && part->type == first->type && part->count == first->count &&
                    part->root == first->root;
        for (int other = 0; same && part->kind == EXCHANGE && other < clique->rank_count; other++)
            same = part->sent_bytes[other] == meeting->parts[other].received_bytes[rank];
        if (same) continue;
        violation("call %llu: rank 0 %s of %zu elements of type %d, rank %d %s of %zu elements of type %d",
                  (unsigned long long)meeting->number, kind_names[first->kind], first->count, first->type, rank,
                  kind_names[part->kind], part->count, part->type);
        return false;
    }
    return true;
}

static char* pointer(uint64_t address) { return (char*)(uintptr_t)address; }

static void move(uint64_t target, uint64_t source, size_t bytes) {
    memmove(pointer(target), pointer(source), bytes);
    memory_written(target, bytes);
}

// `count` sums from element `start` of all sources on.
static void add_up(const struct clique* clique, const struct meeting* meeting, size_t start, size_t count, char* sums) {
    const int type = stored_type(meeting->parts[0].type);
    for (size_t i = 0; i < count; i++) {
        double sum = 0;
        for (int rank = 0; rank < clique->rank_count; rank++)
            sum += element_load(pointer(meeting->parts[rank].source), start + i, type);
        element_store(sums, i, type, sum);
    }
}

static void calculate(const struct clique* clique, const struct meeting* meeting) {
    const struct part *parts = meeting->parts, *first = parts;
    const int ranks = clique->rank_count;
    const size_t bytes = first->count * type_bytes(first->type), all = bytes * (size_t)ranks;
    const bool sums = first->kind == ALL_REDUCE || first->kind == REDUCE_SCATTER;
    const size_t summed = first->kind == REDUCE_SCATTER ? all : bytes;
    // Targets may be sources, so that nothing is written before all is read.
    char* result = malloc(all + 1);
    if (sums) add_up(clique, meeting, 0, summed / type_bytes(first->type), result);
    for (int rank = 0; first->kind == ALL_GATHER && rank < ranks; rank++)
        memcpy(result + bytes * (size_t)rank, pointer(parts[rank].source), bytes);
    if (first->kind == BROADCAST) memcpy(result, pointer(parts[first->root].source), bytes);
    for (int rank = 0; rank < ranks; rank++) {
        for (int other = 0; first->kind == EXCHANGE && other < ranks; other++)
            move(parts[other].received[rank], parts[rank].sent[other], parts[rank].sent_bytes[other]);
        if (first->kind == EXCHANGE) continue;
        const size_t start = first->kind == REDUCE_SCATTER ? bytes * (size_t)rank : 0;
        const size_t written = first->kind == ALL_GATHER ? all : bytes;
        memcpy(pointer(parts[rank].target), result + start, written);
        memory_written(parts[rank].target, written);
    }
    free(result);
}

// --- A call in its stream --------------------------------------------------------------------------------------------

struct call {
    struct work head;
    struct clique* clique;
    struct meeting* meeting;
    int rank;
    struct part part;
};

static bool call_uses(const struct work* work, const struct object* object) {
    const struct part* part = &((const struct call*)work)->part;
    bool uses = overlaps(object, part->source, 1) || overlaps(object, part->target, 1);
    for (int rank = 0; rank < MOST_RANKS; rank++)
        uses = uses || overlaps(object, part->sent[rank], 1) || overlaps(object, part->received[rank], 1);
    return uses;
}

static void run_call(struct work* work, struct queue* queue) {
    const struct call* call = (const struct call*)work;
    struct clique* clique = call->clique;
    struct meeting* meeting = call->meeting;
    struct member* member = &clique->members[call->rank];
    (void)queue;
    if (!member->aborted) {
        meeting->parts[call->rank] = call->part;
        meeting->parts[call->rank].arrived = true;
        if (!has_memory(clique, &call->part))
            violation("%s: a buffer is not memory of the rank's device", kind_names[call->part.kind]);
        else
            meeting->arrived++;
    }
    if (meeting->arrived == clique->rank_count && !meeting->done) {
        if (match(clique, meeting)) {
            calculate(clique, meeting);
        } else {
            for (int rank = 0; rank < clique->rank_count; rank++) clique->members[rank].error = NCCL_INVALID_USAGE;
        }
        meeting->done = true;
        wake_others();
    }
    while (!meeting->done && !member->aborted && !is_lost()) wait_for_others();
    member->finished++;
}

static struct meeting* meeting_of(struct clique* clique, uint64_t number) {
    struct meeting* meeting = clique->meetings;
    while (meeting != NULL && meeting->number != number) meeting = meeting->next;
    if (meeting != NULL) return meeting;
    meeting = calloc(1, sizeof *meeting);
    *meeting = (struct meeting){.next = clique->meetings, .number = number};
    return clique->meetings = meeting;
}

// The communicator, when it can be called; else null and a status.
static struct object* usable(uint64_t handle, const char* caller, int* status) {
    struct object* object = object_find(handle, FAKECUDA_COMMUNICATOR, caller);
    *status = NCCL_INVALID_ARGUMENT;
    if (object == NULL) return NULL;
    const struct member* member = &object->clique->members[object->rank];
    if (object->context != current_context()) violation("%s: its context is not current on this thread", caller);
    if (member->in_progress > 0 || object->clique->joined < object->clique->rank_count)
        violation("%s while an earlier call on the communicator is in progress", caller);
    if (member->finalized) violation("%s after ncclCommFinalize", caller);
    *status = member->error;
    return member->error == NCCL_SUCCESS ? object : NULL;
}

static int begin(const struct object* communicator, const struct part* part, uint64_t stream, const char* caller) {
    int status;
    struct queue* queue = queue_find(stream, caller, &status);
    if (queue == NULL) return NCCL_INVALID_ARGUMENT;
    struct clique* clique = communicator->clique;
    struct member* member = &clique->members[communicator->rank];
    struct call call = WORK(struct call, run_call, call_uses);
    call.clique = clique, call.rank = communicator->rank, call.part = *part;
    call.part.context = communicator->context;
    call.meeting = meeting_of(clique, ++member->submitted);
    member->in_progress = 1;
    submit(queue, &call.head);
    return NCCL_IN_PROGRESS;
}

static int collective(uint64_t handle, struct part part, uint64_t stream) {
    int status;
    const char* caller = kind_names[part.kind];
    const struct object* communicator = usable(handle, caller, &status);
    if (communicator == NULL) return leave(status);
    if (group.depth > 0) {
        violation("%s between ncclGroupStart and ncclGroupEnd", caller);
        return leave(NCCL_INVALID_USAGE);
    }
    if (part.root < 0 || part.root >= communicator->clique->rank_count) return leave(NCCL_INVALID_ARGUMENT);
    return leave(begin(communicator, &part, stream, caller));
}

// --- What the library calls ------------------------------------------------------------------------------------------

FAKECUDA_EXPORT ncclResult_t ncclGetVersion(int* version) {
    NCCL(ncclGetVersion);
    *version = 22703;
    return leave(NCCL_SUCCESS);
}

FAKECUDA_EXPORT const char* ncclGetErrorString(ncclResult_t result) {
    static const char* const texts[] = {"no error",
                                        "unhandled cuda error",
                                        "unhandled system error",
                                        "internal error",
                                        "invalid argument",
                                        "invalid usage",
                                        "remote process exited or there was a network error",
                                        "in progress"};
    return result >= 0 && result <= NCCL_IN_PROGRESS ? texts[result] : "unknown result code";
}

FAKECUDA_EXPORT const char* ncclGetLastError(uint64_t communicator) {
    (void)communicator;
    return last_error;
}

FAKECUDA_EXPORT ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
    NCCL(ncclGetUniqueId);
    const uint64_t words[2] = {ID_MAGIC, ++keys};
    memset(id, 0xAB, sizeof *id);
    memcpy(id, words, sizeof words);
    return leave(NCCL_SUCCESS);
}

FAKECUDA_EXPORT ncclResult_t ncclCommInitRankConfig(uint64_t* communicator, int rank_count, ncclUniqueId id, int rank,
                                                    struct ncclConfig* config) {
    NCCL(ncclCommInitRankConfig);
    uint64_t words[2];
    memcpy(words, &id, sizeof words);
    for (size_t i = sizeof words; i < sizeof id; i++)
        if (id.internal[i] != (char)0xAB) words[0] = 0;
    const uint64_t context = context_for("ncclCommInitRankConfig");
    *communicator = 0;
    if (words[0] != ID_MAGIC || words[1] > keys) return refuse(NCCL_INVALID_ARGUMENT, "the id is not one of NCCL's");
    if (config->magic != CONFIG_MAGIC || config->size < sizeof *config || config->blocking != 0 ||
        config->version < 21400)
        return refuse(NCCL_INVALID_ARGUMENT, "the configuration is not initialized");
    if (context == 0 || rank < 0 || rank >= rank_count || rank_count > MOST_RANKS)
        return refuse(NCCL_INVALID_ARGUMENT, "rank out of range");
    struct clique* clique = cliques;
    while (clique != NULL && clique->key != words[1]) clique = clique->next;
    if (clique == NULL) {
        clique = calloc(1, sizeof *clique);
        *clique = (struct clique){.next = cliques, .key = words[1], .rank_count = rank_count};
        cliques = clique;
    }
    if (clique->rank_count != rank_count || clique->members[rank].joined)
        return refuse(NCCL_INVALID_ARGUMENT, "the ranks do not fit together");
    for (int other = 0; other < rank_count; other++)
        if (clique->members[other].joined && clique->members[other].context == context)
            return refuse(NCCL_INVALID_USAGE, "Duplicate GPU detected");
    struct object* object = object_new(FAKECUDA_COMMUNICATOR, context);
    object->clique = clique, object->rank = rank;
    clique->members[rank] = (struct member){.joined = true, .context = context, .in_progress = 1};
    clique->joined++;
    *communicator = object->handle;
    return leave(NCCL_IN_PROGRESS);
}

FAKECUDA_EXPORT ncclResult_t ncclCommGetAsyncError(uint64_t communicator, ncclResult_t* result) {
    NCCL(ncclCommGetAsyncError);
    const struct object* object = object_find(communicator, FAKECUDA_COMMUNICATOR, "ncclCommGetAsyncError");
    if (object == NULL) return leave(NCCL_INVALID_ARGUMENT);
    struct member* member = &object->clique->members[object->rank];
    const bool waits = object->clique->joined < object->clique->rank_count ||
                       (member->finalized && member->finished < member->submitted);
    *result = member->error != NCCL_SUCCESS ? member->error : NCCL_SUCCESS;
    if (*result == NCCL_SUCCESS && (waits || member->in_progress > 0)) *result = NCCL_IN_PROGRESS;
    if (!waits && member->in_progress > 0) member->in_progress--;
    return leave(NCCL_SUCCESS);
}

FAKECUDA_EXPORT ncclResult_t ncclCommFinalize(uint64_t communicator) {
    NCCL(ncclCommFinalize);
    int status;
    const struct object* object = usable(communicator, "ncclCommFinalize", &status);
    if (object == NULL) return leave(status);
    object->clique->members[object->rank].finalized = true;
    return leave(NCCL_IN_PROGRESS);
}

FAKECUDA_EXPORT ncclResult_t ncclCommDestroy(uint64_t communicator) {
    ENTER(API_NCCL, ncclCommDestroy);
    struct object* object = object_find(communicator, FAKECUDA_COMMUNICATOR, "ncclCommDestroy");
    if (object == NULL) return leave(NCCL_INVALID_ARGUMENT);
    const struct member* member = &object->clique->members[object->rank];
    if (!member->finalized || member->finished < member->submitted)
        violation("ncclCommDestroy: the communicator is not finalized, or has work to do");
    object_delete(object);
    return leave(injected);
}

FAKECUDA_EXPORT ncclResult_t ncclCommAbort(uint64_t communicator) {
    ENTER(API_NCCL, ncclCommAbort);
    struct object* object = object_find(communicator, FAKECUDA_COMMUNICATOR, "ncclCommAbort");
    if (object == NULL) return leave(NCCL_INVALID_ARGUMENT);
    object->clique->members[object->rank].aborted = true;
    object_delete(object);
    wake_others();
    return leave(injected);
}

FAKECUDA_EXPORT ncclResult_t ncclAllReduce(uint64_t source, uint64_t target, size_t count, int type, int op,
                                           uint64_t communicator, uint64_t stream) {
    NCCL(ncclAllReduce);
    if (op != 0) return leave(NCCL_INVALID_ARGUMENT);
    return collective(
        communicator,
        (struct part){.kind = ALL_REDUCE, .type = type, .count = count, .source = source, .target = target}, stream);
}

FAKECUDA_EXPORT ncclResult_t ncclReduceScatter(uint64_t source, uint64_t target, size_t count, int type, int op,
                                               uint64_t communicator, uint64_t stream) {
    NCCL(ncclReduceScatter);
    if (op != 0) return leave(NCCL_INVALID_ARGUMENT);
    return collective(
        communicator,
        (struct part){.kind = REDUCE_SCATTER, .type = type, .count = count, .source = source, .target = target},
        stream);
}

FAKECUDA_EXPORT ncclResult_t ncclAllGather(uint64_t source, uint64_t target, size_t count, int type,
                                           uint64_t communicator, uint64_t stream) {
    NCCL(ncclAllGather);
    return collective(
        communicator,
        (struct part){.kind = ALL_GATHER, .type = type, .count = count, .source = source, .target = target}, stream);
}

FAKECUDA_EXPORT ncclResult_t ncclBroadcast(uint64_t source, uint64_t target, size_t count, int type, int root,
                                           uint64_t communicator, uint64_t stream) {
    NCCL(ncclBroadcast);
    return collective(
        communicator,
        (struct part){
            .kind = BROADCAST, .type = type, .count = count, .root = root, .source = source, .target = target},
        stream);
}

// --- Calls that are put together -------------------------------------------------------------------------------------

FAKECUDA_EXPORT ncclResult_t ncclGroupStart(void) {
    NCCL(ncclGroupStart);
    if (group.depth++ == 0) group.count = group.failed = 0, group.mixed = false;
    return leave(NCCL_SUCCESS);
}

static int remember(bool sends, uint64_t address, size_t count, int type, int rank, uint64_t communicator,
                    uint64_t stream) {
    const char* caller = sends ? "ncclSend" : "ncclRecv";
    int status;
    const struct object* object = usable(communicator, caller, &status);
    if (object == NULL) return leave(status);
    if (group.depth == 0 || group.count == MOST_CALLS || rank < 0 || rank >= object->clique->rank_count) {
        violation("%s outside of a group, to no rank, or too many", caller);
        return leave(NCCL_INVALID_USAGE);
    }
    if (group.count > 0 && (group.communicator != communicator || group.stream != stream)) group.mixed = true;
    group.communicator = communicator, group.stream = stream;
    group.calls[group.count].sends = sends, group.calls[group.count].rank = rank;
    group.calls[group.count].address = address, group.calls[group.count].bytes = count * type_bytes(type);
    group.count++;
    return leave(NCCL_SUCCESS);
}

FAKECUDA_EXPORT ncclResult_t ncclSend(uint64_t source, size_t count, int type, int rank, uint64_t communicator,
                                      uint64_t stream) {
    ENTER(API_NCCL, ncclSend);
    if (injected != 0) return leave(group.failed = injected);
    return remember(true, source, count, type, rank, communicator, stream);
}

FAKECUDA_EXPORT ncclResult_t ncclRecv(uint64_t target, size_t count, int type, int rank, uint64_t communicator,
                                      uint64_t stream) {
    ENTER(API_NCCL, ncclRecv);
    if (injected != 0) return leave(group.failed = injected);
    return remember(false, target, count, type, rank, communicator, stream);
}

FAKECUDA_EXPORT ncclResult_t ncclGroupEnd(void) {
    ENTER(API_NCCL, ncclGroupEnd);
    if (group.depth == 0) {
        violation("ncclGroupEnd without ncclGroupStart");
        return leave(NCCL_INVALID_USAGE);
    }
    if (--group.depth > 0 || group.count == 0 || injected != 0) return leave(injected);
    if (group.failed != 0) return leave(group.failed);
    if (group.mixed) {
        violation("ncclGroupEnd: the group is of several communicators or streams");
        return leave(NCCL_INVALID_USAGE);
    }
    int status;
    const struct object* communicator = usable(group.communicator, "ncclGroupEnd", &status);
    if (communicator == NULL) return leave(status);
    struct part part = {.kind = EXCHANGE, .type = NCCL_UINT8};
    for (int i = 0; i < group.count; i++) {
        const int rank = group.calls[i].rank;
        (group.calls[i].sends ? part.sent : part.received)[rank] = group.calls[i].address;
        (group.calls[i].sends ? part.sent_bytes : part.received_bytes)[rank] = group.calls[i].bytes;
    }
    return leave(begin(communicator, &part, group.stream, "ncclGroupEnd"));
}

// --- What a test calls, and the core ---------------------------------------------------------------------------------

void fakecuda_fail_rank(int rank, int status) {
    lock_all();
    for (struct clique* clique = cliques; clique != NULL; clique = clique->next)
        if (rank >= 0 && rank < clique->rank_count) clique->members[rank].error = status;
    snprintf(last_error, sizeof last_error, "it was made to fail");
    unlock_all();
}

void nccl_stop(void) {
    for (struct clique* clique = cliques; clique != NULL; clique = clique->next)
        for (int rank = 0; rank < clique->rank_count; rank++) clique->members[rank].aborted = true;
    wake_others();
}

void nccl_reset(void) {
    while (cliques != NULL) {
        struct clique* clique = cliques;
        cliques = clique->next;
        while (clique->meetings != NULL) {
            struct meeting* meeting = clique->meetings;
            clique->meetings = meeting->next;
            free(meeting);
        }
        free(clique);
    }
    last_error[0] = 0;
}
