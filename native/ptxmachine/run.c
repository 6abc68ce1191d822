// A launch: the threads of the host that run its groups.

#include "machine.h"

#include <pthread.h>
#include <stdatomic.h>

#define WORKERS      2
#define SHARED_WARPS 32 // fewer are done before a helper has come

struct machine_run {
    const struct ptx_launch* launch;
    atomic_uint next; // the group that is taken next
    u32 group_count;
    atomic_int status;
};

static size_t lines(size_t bytes) { return (bytes + 63) / 64 * 64; }

// A worker keeps its memory from one launch to the next.
static u8* room(struct worker* worker, size_t bytes) {
    if (worker->memory_bytes >= bytes) return worker->memory;
    free(worker->memory);
    worker->memory = aligned_alloc(64, lines(bytes));
    worker->memory_bytes = lines(bytes);
    worker->prepared_entry = 0;
    return memset(worker->memory, 0, bytes);
}

// Tags of earlier launches are of earlier epochs, as if they were not there.
static void make_tags(struct group* g, size_t words) {
    if (g->tag_words >= words) return;
    free(g->shared_tags);
    g->shared_tags = calloc(5 * words, sizeof *g->shared_tags);
    g->shared_byte_tags = g->shared_tags + words;
    g->tag_words = words;
    g->epoch = 0;
}

static void prepare(struct worker* worker, struct machine_run* run) {
    const struct ptx_launch* launch = run->launch;
    const struct entry* entry = (const struct entry*)(const void*)launch->kernel;
    worker->launch = launch, worker->entry = entry, worker->run = run;
    worker->status = 0;
    memset(&worker->counts, 0, sizeof worker->counts);
    if (worker->found_count < entry->code_count)
        worker->found = realloc(worker->found, (worker->found_count = entry->code_count) * sizeof *worker->found);
    memset(worker->found, 0, entry->code_count * sizeof *worker->found);

    struct group* g = &worker->group;
    g->worker = worker;
    g->thread_count = launch->block[0] * launch->block[1] * launch->block[2];
    g->warp_count = (g->thread_count + LANES - 1) / LANES;
    const u32 dynamic_start = (entry->head.shared_bytes + 15) / 16 * 16;
    g->shared_bytes = launch->shared_bytes > 0 ? dynamic_start + launch->shared_bytes : entry->head.shared_bytes;

    const size_t words = (g->shared_bytes + 3) / 4 + 1;
    const size_t file = lines(entry->file_bytes), local = lines(entry->head.local_bytes * (size_t)LANES);
    const size_t shared = lines(words * 4);
    u8* at = room(worker, g->warp_count * (file + local) + 2 * shared);
    for (u32 i = 0; i < g->warp_count; i++) {
        struct warp* w = &g->warps[i];
        w->group = g, w->index = i;
        w->file = at, at += file;
        w->local = at, at += local;
    }
    g->shared = at, at += shared;
    g->shared_written = at, at += shared;
    make_tags(g, words);

    const bool has_constants = worker->prepared_entry == entry->number && worker->prepared_warps == g->warp_count;
    for (u32 i = 0; i < g->warp_count; i++) prepare_warp(&g->warps[i], has_constants);
    worker->prepared_entry = entry->number, worker->prepared_warps = g->warp_count;
}

static void work(struct worker* worker) {
    struct machine_run* run = worker->run;
    for (;;) {
        const u32 number = atomic_fetch_add(&run->next, 1);
        if (number >= run->group_count || atomic_load(&run->status) != 0) break;
        if (run_group(worker, number)) continue;
        int none = 0;
        atomic_compare_exchange_strong(&run->status, &none, worker->status);
    }
}

// --- Helpers ------------------------------------------------------------------------------------------------------

// The launching thread works itself; a helper that is free joins it, so that all launches together use few threads.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct worker* idle;
static struct helper {
    struct worker* worker; // while it has work
    bool has_started, is_taken;
} helpers[WORKERS - 1];

static struct worker* take_worker(struct machine_run* run) {
    pthread_mutex_lock(&lock);
    struct worker* worker = idle;
    if (worker != NULL) idle = worker->next;
    pthread_mutex_unlock(&lock);
    if (worker == NULL) worker = calloc(1, sizeof *worker);
    prepare(worker, run);
    return worker;
}

static void give_back(struct worker* worker) {
    pthread_mutex_lock(&lock);
    worker->next = idle;
    idle = worker;
    pthread_mutex_unlock(&lock);
}

static void* help(void* argument) {
    struct helper* helper = argument;
    pthread_mutex_lock(&lock);
    for (;;) {
        while (helper->worker == NULL) pthread_cond_wait(&changed, &lock);
        struct worker* worker = helper->worker;
        pthread_mutex_unlock(&lock);
        work(worker);
        pthread_mutex_lock(&lock);
        helper->worker = NULL;
        pthread_cond_broadcast(&changed);
    }
    return NULL;
}

// Null when all are busy.
static struct helper* take_helper(void) {
    struct helper* helper = NULL;
    pthread_mutex_lock(&lock);
    for (u32 i = 0; i < WORKERS - 1 && helper == NULL; i++)
        if (!helpers[i].is_taken) helper = &helpers[i];
    if (helper != NULL && !helper->has_started) {
        pthread_t thread;
        helper->has_started = pthread_create(&thread, NULL, help, helper) == 0 && pthread_detach(thread) == 0;
    }
    if (helper != NULL && !helper->has_started) helper = NULL;
    if (helper != NULL) helper->is_taken = true;
    pthread_mutex_unlock(&lock);
    return helper;
}

static void start_helper(struct helper* helper, struct worker* worker) {
    pthread_mutex_lock(&lock);
    helper->worker = worker;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void wait_for(struct helper* helper) {
    pthread_mutex_lock(&lock);
    while (helper->worker != NULL) pthread_cond_wait(&changed, &lock);
    helper->is_taken = false;
    pthread_mutex_unlock(&lock);
}

static void sum(struct ptx_counts* to, const struct ptx_counts* from) {
    u64* a = (u64*)(void*)to;
    const u64* b = (const u64*)(const void*)from;
    for (size_t i = 0; i < sizeof *to / sizeof *a; i++) a[i] += b[i];
}

// All groups at once, by this thread.
static int run_cooperatively(const struct ptx_launch* launch, u32 group_count) {
    struct machine_run run = {.launch = launch, .group_count = group_count};
    struct worker** workers = calloc(group_count, sizeof *workers);
    for (u32 i = 0; i < group_count; i++) workers[i] = take_worker(&run);
    const int status = run_turns(workers, group_count);
    struct ptx_counts counts = {
        .launches = 1, .groups = group_count, .threads = (u64)group_count * workers[0]->group.thread_count};
    for (u32 i = 0; i < group_count; i++) {
        sum(&counts, &workers[i]->counts);
        give_back(workers[i]);
    }
    add_counts(launch->kernel->name, &counts);
    free(workers);
    return status;
}

int ptx_run(const struct ptx_launch* launch) {
    if (launch->is_cooperative) {
        const u32 groups = launch->grid[0] * launch->grid[1] * launch->grid[2];
        if (groups <= 1u << ORDER_GROUP_BITS) return run_cooperatively(launch, groups);
        launch->report("a cooperative launch of more groups than the machine keeps apart");
        return RUN_FAILED;
    }
    struct machine_run run = {.launch = launch, .group_count = launch->grid[0] * launch->grid[1] * launch->grid[2]};
    struct worker *own = take_worker(&run), *other = NULL;
    const bool is_long = run.group_count > 1 && (u64)run.group_count * own->group.warp_count >= SHARED_WARPS;
    struct helper* helper = is_long ? take_helper() : NULL;
    if (helper != NULL) start_helper(helper, other = take_worker(&run));
    work(own);
    if (helper != NULL) wait_for(helper);
    struct ptx_counts counts = own->counts;
    if (helper != NULL) sum(&counts, &other->counts);
    counts.launches = 1, counts.groups = run.group_count,
    counts.threads = (u64)run.group_count * own->group.thread_count;
    add_counts(launch->kernel->name, &counts);
    give_back(own);
    if (other != NULL) give_back(other);
    return atomic_load(&run.status);
}
