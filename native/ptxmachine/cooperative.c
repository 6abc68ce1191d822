// Cooperative launches: all groups are there at once, so that one may wait for what another writes. Each has a stack of
// its own and goes on until it waits, at a load that acquires; then the next one has its turn, so that a launch takes
// the same way every time.
//
// Groups are ordered by what they release and acquire. A group counts its releases, and knows how many of each other
// one's came before what it does now: a word that one released carries what that one knew. An access is tagged with the
// count of its group; it came before, for a group that knows a greater count of that one. What several groups did to a
// word is one tag, which came before for a group that knows a greater count of every group: that holds behind a barrier
// of the whole grid, and is on the safe side for anything less.

#include "machine.h"

#include <ucontext.h>

#define STACK_BYTES   (256u << 10)
#define MOST_WORDS    64
#define IDLE_ROUNDS   256 // in which nothing was written, until groups count as stuck
#define MOST_GROUPS   (1u << ORDER_GROUP_BITS)
#define MOST_RELEASES ((1u << ORDER_TIME_BITS) - 1)

struct released {
    u64 address;
    u32 known[MOST_GROUPS];
};

struct turn {
    struct worker* worker;
    ucontext_t context;
    u8* stack;
    bool has_ended;
};

struct order {
    u32 group_count, word_count, running;
    struct released words[MOST_WORDS];
    u32 known[MOST_GROUPS][MOST_GROUPS];  // by whom, of whom
    u32 passed[MOST_GROUPS][MOST_GROUPS]; // what of it all threads know, since the group's own barrier
    struct turn turns[MOST_GROUPS];
    ucontext_t scheduler;
    bool has_written, is_stuck;
};

static struct released* word_at(struct warp* w, const struct instruction* in, u32 lane, u64 address) {
    struct order* order = w->group->order;
    for (u32 i = 0; i < order->word_count; i++)
        if (order->words[i].address == address) return &order->words[i];
    if (order->word_count == MOST_WORDS)
        violate(w, in, lane, RUN_FAILED, "releases more words than the machine keeps apart");
    struct released* word = &order->words[order->word_count++];
    memset(word, 0, sizeof *word);
    word->address = address;
    return word;
}

static void learn(u32* known, const u32* other, u32 count) {
    for (u32 i = 0; i < count; i++) known[i] = known[i] > other[i] ? known[i] : other[i];
}

void release_word(struct warp* w, const struct instruction* in, u32 lane, u64 address) {
    struct order* order = w->group->order;
    const u32 own = w->group->number;
    if (order->known[own][own] == MOST_RELEASES)
        violate(w, in, lane, RUN_FAILED, "releases more often than the machine counts");
    order->known[own][own]++;
    w->group->time = order->known[own][own];
    learn(word_at(w, in, lane, address)->known, order->known[own], order->group_count);
}

// What the thread learns holds for its group behind the group's next barrier.
void acquire_word(struct warp* w, const struct instruction* in, u32 lane, u64 address) {
    struct order* order = w->group->order;
    learn(order->known[w->group->number], word_at(w, in, lane, address)->known, order->group_count);
}

void note_write(struct warp* w) { w->group->order->has_written = true; }

void pass_order(struct group* g) {
    struct order* order = g->order;
    u32* passed = order->passed[g->number];
    memcpy(passed, order->known[g->number], order->group_count * sizeof *passed);
    g->known_time = MOST_RELEASES;
    for (u32 i = 0; i < order->group_count; i++)
        if (i != g->number && passed[i] < g->known_time) g->known_time = passed[i];
}

void wait_turn(struct warp* w, const struct instruction* in, u32 lane) {
    struct order* order = w->group->order;
    struct turn* turn = &order->turns[w->group->number];
    swapcontext(&turn->context, &order->scheduler);
    if (order->is_stuck)
        violate(w, in, lane, RUN_TIMEOUT, "waits for a word that no group of the launch writes any more");
}

static _Thread_local struct order* own_order;

static void run_turn(void) {
    struct order* order = own_order;
    struct turn* turn = &order->turns[order->running];
    run_group(turn->worker, order->running);
    turn->has_ended = true;
    order->has_written = true;
    swapcontext(&turn->context, &order->scheduler);
}

// The status of the first group that failed, or 0. One worker for each group.
int run_turns(struct worker** workers, u32 group_count) {
    struct order* order = calloc(1, sizeof *order);
    order->group_count = group_count;
    for (u32 i = 0; i < group_count; i++) {
        struct turn* turn = &order->turns[i];
        turn->worker = workers[i];
        workers[i]->group.order = order;
        workers[i]->group.time = workers[i]->group.known_time = 0;
        workers[i]->group.known = order->passed[i];
        turn->stack = aligned_alloc(64, STACK_BYTES);
        getcontext(&turn->context);
        turn->context.uc_stack.ss_sp = turn->stack;
        turn->context.uc_stack.ss_size = STACK_BYTES;
        makecontext(&turn->context, run_turn, 0);
    }
    own_order = order;
    int status = 0;
    u32 left = group_count, idle = 0;
    while (left > 0 && status == 0) {
        order->has_written = false;
        for (u32 i = 0; i < group_count && status == 0; i++) {
            struct turn* turn = &order->turns[i];
            if (turn->has_ended) continue;
            order->running = i;
            swapcontext(&order->scheduler, &turn->context);
            status = turn->worker->status;
            left -= turn->has_ended;
        }
        idle = order->has_written ? 0 : idle + 1;
        order->is_stuck = idle > IDLE_ROUNDS;
    }
    for (u32 i = 0; i < group_count; i++) {
        workers[i]->group.order = NULL;
        free(order->turns[i].stack);
    }
    own_order = NULL;
    free(order);
    return status;
}
