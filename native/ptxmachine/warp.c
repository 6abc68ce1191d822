// Runs warps. Lanes that are at the same instruction go together, the group of lanes with the lowest address first, so
// that those which took different ways meet again behind them. A barrier, or an exchange between lanes, waits for all
// whom it names: who does not come is a violation.

#include "machine.h"

#include <unistd.h>

static struct fragment* fragment_at(struct warp* w, u32 pc, enum fragment_state state) {
    for (u32 i = 0; i < w->fragment_count; i++)
        if (w->fragments[i].pc == pc && w->fragments[i].state == state) return &w->fragments[i];
    return NULL;
}

static void add_fragment(struct warp* w, u32 pc, u32 mask, enum fragment_state state) {
    struct fragment* same = fragment_at(w, pc, state);
    if (same != NULL)
        same->mask |= mask;
    else
        w->fragments[w->fragment_count++] = (struct fragment){pc, mask, state};
}

static struct fragment take_fragment(struct warp* w, u32 index) {
    const struct fragment fragment = w->fragments[index];
    w->fragments[index] = w->fragments[--w->fragment_count];
    return fragment;
}

// The lowest address at which lanes are ready.
static u32 lowest_ready(const struct warp* w) {
    u32 lowest = UINT32_MAX;
    for (u32 i = 0; i < w->fragment_count; i++)
        if (w->fragments[i].state == READY && w->fragments[i].pc < lowest) lowest = w->fragments[i].pc;
    return lowest;
}

static u32 guarded(struct warp* w, const struct instruction* in, u32 mask) {
    if (in->guard == 0) return mask;
    const u32 predicate = *REGP(w, in->guard);
    return mask & (in->is_negated ? ~predicate : predicate);
}

// True when all lanes that the instruction names are here; the mask is the same for all of them.
static bool is_complete(struct warp* w, const struct instruction* in, u32 mask) {
    const u32 first = (u32)__builtin_ctz(mask), members = REG32(w, in->e)[first];
    FOR_LANES(i, mask) {
        if (REG32(w, in->e)[i] != members)
            violate(w, in, i, RUN_FAILED, "names the lanes 0x%08x, lane %u of its warp 0x%08x", REG32(w, in->e)[i],
                    first, members);
        if (!has_lane(members, i))
            violate(w, in, i, RUN_FAILED, "is not among the lanes 0x%08x that it names", members);
    }
    const u32 gone = members & ~w->live;
    if (gone != 0) violate(w, in, first, RUN_FAILED, "waits for lanes 0x%08x, which have ended or never were", gone);
    return (members & ~mask) == 0;
}

// Lanes wait for others that can never come.
static _Noreturn void stuck(struct warp* w) {
    for (u32 i = 0; i < w->fragment_count; i++) {
        const struct fragment* f = &w->fragments[i];
        const struct instruction* in = &w->group->worker->entry->code[f->pc];
        const u32 lane = (u32)__builtin_ctz(f->mask);
        if (f->state == AT_SYNC)
            violate(w, in, lane, RUN_TIMEOUT,
                    "waits with lanes 0x%08x for lanes 0x%08x of its warp, which are elsewhere", f->mask,
                    REG32(w, in->e)[lane] & ~f->mask);
    }
    const struct fragment *a = &w->fragments[0], *b = &w->fragments[1];
    char where[256];
    const struct worker* worker = w->group->worker;
    describe_location(worker->entry->module, worker->entry->code[b->pc].location, where, sizeof where);
    violate(w, &worker->entry->code[a->pc], (u32)__builtin_ctz(a->mask), RUN_FAILED,
            "divergent barrier: lanes 0x%08x of the warp wait here, lanes 0x%08x at %s", a->mask, b->mask, where);
}

static void branch(struct warp* w, struct fragment* now, const struct instruction* in, u32* limit) {
    const u32 taken = guarded(w, in, now->mask), rest = now->mask & ~taken;
    if (rest == 0) {
        now->pc = in->target;
    } else if (taken == 0) {
        now->pc++;
    } else {
        w->group->worker->counts.divergent_branches++;
        const u32 low = in->target < now->pc + 1 ? in->target : now->pc + 1;
        const u32 high = in->target < now->pc + 1 ? now->pc + 1 : in->target;
        add_fragment(w, high, high == in->target ? taken : rest, READY);
        now->mask = low == in->target ? taken : rest;
        now->pc = low;
        *limit = lowest_ready(w);
    }
}

static bool is_removed(const struct worker* worker, const struct instruction* in) {
    const struct ptx_launch* launch = worker->launch;
    return in->control == BARRIER && launch->removed_file != NULL &&
           is_location(launch->module, in->location, launch->removed_file, launch->removed_line);
}

// Runs lanes until they wait, end, or come to where others are.
static void run_fragment(struct warp* w, struct fragment now) {
    struct worker* worker = w->group->worker;
    const struct instruction* code = worker->entry->code;
    u32 limit = lowest_ready(w);
    while (now.pc < limit) {
        const struct instruction* in = &code[now.pc];
        worker->counts.warp_instructions[in->class]++;
        if (in->control == BRANCH) {
            if (--w->group->budget == 0)
                violate(w, in, (u32)__builtin_ctz(now.mask), RUN_TIMEOUT, "does not come to an end");
            branch(w, &now, in, &limit);
            continue;
        }
        const u32 mask = guarded(w, in, now.mask);
        worker->counts.lane_instructions += (u64)__builtin_popcount(mask);
        if (in->control == STRAIGHT) {
            if (mask != 0) in->run(w, in, mask);
            now.pc++;
            continue;
        }
        if (is_removed(worker, in)) {
            now.pc++;
            continue;
        }
        if (mask != now.mask) {
            // Those whom the guard holds back go on.
            if (mask != 0)
                add_fragment(w, now.pc + 1, now.mask & ~mask, READY);
            else
                now.pc++;
            if (mask == 0) continue;
            limit = lowest_ready(w);
        }
        now.mask = mask;
        if (in->control == EXIT) {
            w->live &= ~mask;
            return;
        }
        if (in->control == TRAP) violate(w, in, (u32)__builtin_ctz(mask), RUN_FAILED, "trap");
        if (in->control == BARRIER) {
            add_fragment(w, now.pc, mask, AT_BARRIER);
            return;
        }
        struct fragment* waiting = fragment_at(w, now.pc, AT_SYNC);
        if (waiting != NULL) now.mask |= take_fragment(w, (u32)(waiting - w->fragments)).mask;
        if (!is_complete(w, in, now.mask)) {
            add_fragment(w, now.pc, now.mask, AT_SYNC);
            return;
        }
        in->run(w, in, now.mask);
        now.pc++;
    }
    add_fragment(w, now.pc, now.mask, READY);
}

// Runs a warp until all its lanes have ended or wait at one barrier; false when they have ended.
static bool run_warp(struct warp* w) {
    for (;;) {
        const u32 lowest = lowest_ready(w);
        if (lowest == UINT32_MAX) break;
        run_fragment(w, take_fragment(w, (u32)(fragment_at(w, lowest, READY) - w->fragments)));
    }
    if (w->fragment_count == 0) return false;
    if (w->fragment_count > 1 || w->fragments[0].state != AT_BARRIER) stuck(w);
    return true;
}

// --- Groups -------------------------------------------------------------------------------------------------------

static u32 special_value(const struct warp* w, enum special special, u32 lane) {
    const struct group* g = w->group;
    const struct ptx_launch* launch = g->worker->launch;
    const u32* block = launch->block;
    const u32 thread = w->index * LANES + lane;
    switch (special) {
    case TID_X:
        return thread % block[0];
    case TID_Y:
        return thread / block[0] % block[1];
    case TID_Z:
        return thread / block[0] / block[1];
    case NTID_X:
    case NTID_Y:
    case NTID_Z:
        return block[special - NTID_X];
    case CTAID_X:
    case CTAID_Y:
    case CTAID_Z:
        return g->id[special - CTAID_X];
    case NCTAID_X:
    case NCTAID_Y:
    case NCTAID_Z:
        return launch->grid[special - NCTAID_X];
    case LANEID:
        return lane;
    case WARPID:
        return w->index;
    case NWARPID:
        return g->warp_count;
    case SMID:
        return g->number % launch->multiprocessors;
    case NSMID:
        return launch->multiprocessors;
    case LANEMASK_EQ:
        return 1u << lane;
    case LANEMASK_LT:
        return (1u << lane) - 1;
    case LANEMASK_LE:
        return (2u << lane) - 1;
    case LANEMASK_GT:
        return ~((2u << lane) - 1);
    case LANEMASK_GE:
        return ~((1u << lane) - 1);
    case DYNAMIC_SMEM:
        return launch->shared_bytes;
    case TOTAL_SMEM:
        return g->shared_bytes;
    case DYNAMIC_START:
    case DYNAMIC_START_64:
        return g->shared_bytes - launch->shared_bytes;
    default:
        return 0;
    }
}

static bool is_of_group(enum special special) { return (special >= CTAID_X && special <= CTAID_Z) || special == SMID; }

static void fill_specials(struct warp* w, bool of_group) {
    const struct entry* entry = w->group->worker->entry;
    for (u32 k = 0; k < entry->special_count; k++) {
        const struct special_slot* slot = &entry->specials[k];
        if (slot->special == CLOCK64 || is_of_group(slot->special) != of_group) continue;
        for (u32 lane = 0; lane < LANES; lane++) {
            const u32 value = special_value(w, slot->special, lane);
            if (slot->special == DYNAMIC_START_64)
                REG64(w, slot->slot)[lane] = value;
            else
                REG32(w, slot->slot)[lane] = value;
        }
    }
}

// What is the same in all groups of a launch: nothing writes constants and special registers.
void prepare_warp(struct warp* w, bool has_constants) {
    const struct entry* entry = w->group->worker->entry;
    if (!has_constants) memcpy(w->file, entry->constants, entry->constant_bytes);
    fill_specials(w, false);
}

static void start_warp(struct warp* w) {
    const u32 first = w->index * LANES, left = w->group->thread_count - first;
    w->live = left >= LANES ? ALL_LANES : (1u << left) - 1;
    w->fragments[0] = (struct fragment){0, w->live, READY};
    w->fragment_count = 1;
    w->carry = 0;
    fill_specials(w, true);
    reset_copies(w);
}

// All warps are at a barrier, or have ended. Lets them go on behind it.
static void pass_barrier(struct group* g) {
    const struct instruction* code = g->worker->entry->code;
    const struct warp* first = NULL;
    u32 count = 0;
    bool all = true, any = false;
    for (u32 i = 0; i < g->warp_count; i++) {
        struct warp* w = &g->warps[i];
        if (w->fragment_count == 0) continue;
        const struct instruction* in = &code[w->fragments[0].pc];
        const u32 mask = w->fragments[0].mask;
        if (first == NULL) first = w;
        if (w->fragments[0].pc != first->fragments[0].pc) {
            char where[256];
            describe_location(g->worker->entry->module, code[first->fragments[0].pc].location, where, sizeof where);
            violate(w, in, (u32)__builtin_ctz(mask), RUN_FAILED, "divergent barrier: warp %u waits here, warp %u at %s",
                    w->index, first->index, where);
        }
        if (in->variant == R_NONE) continue;
        const u32 holds = (*REGP(w, in->a) ^ (in->is_combine_negated ? ALL_LANES : 0)) & mask;
        count += (u32)__builtin_popcount(holds);
        all = all && holds == mask;
        any = any || holds != 0;
    }
    for (u32 i = 0; i < g->warp_count; i++) {
        struct warp* w = &g->warps[i];
        if (w->fragment_count == 0) continue;
        const struct instruction* in = &code[w->fragments[0].pc];
        const u32 mask = w->fragments[0].mask;
        if (in->variant == R_POPC) {
            FOR_LANES(k, mask) REG32(w, in->d)[k] = count;
        } else if (in->variant != R_NONE) {
            put_predicate(w, in->d, (in->variant == R_AND ? all : any) ? ALL_LANES : 0, mask);
        }
        w->fragments[0].state = READY;
        w->fragments[0].pc++;
    }
    next_epoch(g);
}

#define GROUP_BUDGET (1ull << 26) // branches of a group's warps: seconds

// False, with the worker's status set, after a violation.
bool run_group(struct worker* worker, u32 number) {
    struct group* g = &worker->group;
    const u32* grid = worker->launch->grid;
    g->number = number;
    g->id[0] = number % grid[0], g->id[1] = number / grid[0] % grid[1], g->id[2] = number / grid[0] / grid[1];
    g->budget = GROUP_BUDGET;
    forget_shared(g, 0, g->shared_bytes);
    next_epoch(g);
    for (u32 i = 0; i < g->warp_count; i++) start_warp(&g->warps[i]);
    if (setjmp(worker->stop) != 0) return false;
    for (;;) {
        bool waits = false;
        for (u32 i = 0; i < g->warp_count; i++)
            if (g->warps[i].fragment_count > 0 && run_warp(&g->warps[i])) waits = true;
        if (!waits) break;
        pass_barrier(g);
    }
    for (u32 i = 0; i < g->warp_count; i++) finish_copies(&g->warps[i]);
    return true;
}

// --- Exchange between lanes ---------------------------------------------------------------------------------------

// The clamp's low five bits bound the source lane within its part of the warp, bits 8 to 12 say which bits name the
// part.
void shuffle(struct warp* w, const struct instruction* in, u32 mask) {
    const u32 *a = REG32(w, in->a), *b = REG32(w, in->b), *c = REG32(w, in->c);
    u32 sources[LANES], values[LANES], inside = 0, absent = 0;
    for (u32 lane = 0; lane < LANES; lane++) {
        const u32 part = c[lane] >> 8 & 31, distance = b[lane] & 31, bound = c[lane] & 31;
        const u32 last = (lane & part) | (bound & ~part);
        const u32 source = in->variant == S_UP     ? lane - distance
                           : in->variant == S_DOWN ? lane + distance
                           : in->variant == S_BFLY ? lane ^ distance
                                                   : (lane & part) | (distance & ~part);
        const bool is_inside = in->variant == S_UP ? (s32)source >= (s32)last : source <= last;
        sources[lane] = is_inside ? source : lane;
        inside |= (u32)is_inside << lane;
    }
    for (u32 lane = 0; lane < LANES; lane++) {
        values[lane] = a[sources[lane]];
        absent |= (u32)!has_lane(mask, sources[lane]) << lane;
    }
    if ((absent & mask) != 0) {
        const u32 lane = (u32)__builtin_ctz(absent & mask);
        violate(w, in, lane, RUN_FAILED, "reads lane %u, which takes no part in the shuffle", sources[lane]);
    }
    put32(REG32(w, in->d), values, mask);
    if (in->list[0] != 0) put_predicate(w, in->list[0], inside, mask);
}

void vote(struct warp* w, const struct instruction* in, u32 mask) {
    const u32 holds = (*REGP(w, in->a) ^ (in->is_combine_negated ? ALL_LANES : 0)) & mask;
    if (in->variant == V_BALLOT) {
        FOR_LANES(i, mask) REG32(w, in->d)[i] = holds;
        return;
    }
    const bool result = in->variant == V_ALL   ? holds == mask
                        : in->variant == V_ANY ? holds != 0
                                               : holds == mask || holds == 0;
    put_predicate(w, in->d, result ? ALL_LANES : 0, mask);
}

void match(struct warp* w, const struct instruction* in, u32 mask) {
    const u32 bytes = type_bytes(in->type);
    u32 alike[LANES] = {0};
    FOR_LANES(i, mask) {
        u32 same = 0;
        FOR_LANES(k, mask)
        same |= (u32)(memcmp(w->file + in->a + i * bytes, w->file + in->a + k * bytes, bytes) == 0) << k;
        alike[i] = same;
    }
    const bool all = alike[__builtin_ctz(mask)] == mask;
    FOR_LANES(i, mask) REG32(w, in->d)[i] = in->variant ? (all ? mask : 0) : alike[i];
    if (in->variant && in->list[0] != 0) put_predicate(w, in->list[0], all ? ALL_LANES : 0, mask);
}

// The order of enum atomic up to XOR, as decode_exchange lists them.
void reduce_lanes(struct warp* w, const struct instruction* in, u32 mask) {
    const u32* a = REG32(w, in->a);
    u32 result = a[__builtin_ctz(mask)];
    FOR_LANES(i, mask & (mask - 1)) {
        const bool is_less = in->type == S32 ? (s32)a[i] < (s32)result : a[i] < result;
        switch (in->variant) {
        case A_ADD:
            result += a[i];
            break;
        case A_MIN:
            result = is_less ? a[i] : result;
            break;
        case A_MAX:
            result = is_less ? result : a[i];
            break;
        case A_AND:
            result &= a[i];
            break;
        case A_OR:
            result |= a[i];
            break;
        default:
            result ^= a[i];
            break;
        }
    }
    FOR_LANES(i, mask) REG32(w, in->d)[i] = result;
}

// The one exchange that orders memory: what lanes did before it is done for the others after it.
void warp_barrier(struct warp* w, const struct instruction* in, u32 mask) {
    (void)in;
    advance_time(w, mask);
}

void active_mask(struct warp* w, const struct instruction* in, u32 mask) {
    FOR_LANES(i, mask) REG32(w, in->d)[i] = mask;
}

// Time is the number of instructions.
void read_clock(struct warp* w, const struct instruction* in, u32 mask) {
    u64 now = 0;
    for (u32 k = 0; k < PTX_CLASSES; k++) now += w->group->worker->counts.warp_instructions[k];
    FOR_LANES(i, mask) {
        if (in->type == U32)
            REG32(w, in->d)[i] = (u32)now;
        else
            REG64(w, in->d)[i] = now;
    }
}

// Lets others come on with what these lanes wait for. A group may rest for some seconds.
void take_rest(struct warp* w, const struct instruction* in, u32 mask) {
    (void)in, (void)mask;
    u64* budget = &w->group->budget;
    *budget = *budget > 4096 ? *budget - 4096 : 1;
    usleep(1000);
}
