// What is checked of each access: that it lies in a live block and is aligned, that what is read was written, and that
// no two threads touch a word, one of them writing, without an order between them. Beside memory lie maps: of each byte
// whether something wrote it, of each word who touched it last.

#include "machine.h"

#include <stdarg.h>

static void thread_text(const struct group* g, u32 thread, char* text, size_t bytes) {
    const u32* block = g->worker->launch->block;
    snprintf(text, bytes, "(%u, %u, %u)", thread % block[0], thread / block[0] % block[1],
             thread / block[0] / block[1]);
}

void violate(struct warp* w, const struct instruction* in, u32 lane, int status, const char* format, ...) {
    struct worker* worker = w->group->worker;
    char where[256], thread[64], what[256], text[768];
    describe_location(worker->entry->module, in->location, where, sizeof where);
    thread_text(w->group, w->index * LANES + lane, thread, sizeof thread);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    const u32* id = w->group->id;
    snprintf(text, sizeof text, "%s, %s, thread %s of group (%u, %u, %u): %s", worker->entry->head.name, where, thread,
             id[0], id[1], id[2], what);
    worker->launch->report(text);
    worker->status = status;
    longjmp(worker->stop, 1);
}

static const char* verb(enum access access) {
    return access == WRITE ? "writes" : access == ATOMIC ? "updates" : "reads";
}

// --- Tags ---------------------------------------------------------------------------------------------------------

// A word that is touched in part has this kind; its bytes have tags of their own.
enum { NOBODY, READ_ONE, READ_WARP, READ_ALL, WRITTEN, ATOMIC_ONE, ATOMIC_ALL, PARTS };

// Of device memory: 10 bits of the launch, 3 of the kind, 19 of the group. Of shared memory: 12 bits of the epoch,
// which a barrier ends, 3 of the kind, 10 of the thread, 7 of its warp's time, which a warp barrier moves on.
#define GROUP_BITS   19
#define MAX_GROUP    ((1u << GROUP_BITS) - 1)
#define LAUNCH_SHIFT 22
#define MAX_LAUNCH   1023u
#define EPOCH_SHIFT  20
#define MAX_EPOCH    4095u
#define THREAD_SHIFT 7
#define MAX_TIME     127u

u32 ptx_next_tag(void) {
    static u32 tag;
    tag = tag == MAX_LAUNCH ? 1 : tag + 1;
    return tag;
}

// What tags of one kind of memory mean. `next` gives the tag after an access, or 0 when it breaks a rule.
struct touch {
    u32 now; // the launch or epoch, in its place
    u32 who;
    u32 time;         // in a cooperative launch: what the group knows of every other one
    const u32* known; // and of each
    bool is_ordered;  // of a cooperative launch
};

static u32 kind_of_global(u32 tag) { return tag >> GROUP_BITS & 7; }

static u32 next_global(u32 tag, const struct touch* t, enum access access) {
    const u32 group = tag & MAX_GROUP,
              kind = tag >> LAUNCH_SHIFT == t->now >> LAUNCH_SHIFT ? kind_of_global(tag) : NOBODY;
    const bool is_own = group == t->who;
#define TAG(k) (t->now | (u32)(k) << GROUP_BITS | t->who)
    switch (kind) {
    case NOBODY:
        return TAG(access == WRITE ? WRITTEN : access == ATOMIC ? ATOMIC_ONE : READ_ONE);
    case READ_ONE:
        if (access == READ || access == READ_ONLY) return is_own ? tag : TAG(READ_ALL);
        return !is_own ? 0 : TAG(access == WRITE ? WRITTEN : ATOMIC_ONE);
    case READ_ALL:
        return access == READ || access == READ_ONLY ? tag : 0;
    case WRITTEN:
        if (access == READ_ONLY) return 0;
        return is_own ? (access == ATOMIC ? TAG(ATOMIC_ONE) : tag) : 0;
    case ATOMIC_ONE:
        return is_own && access != READ_ONLY ? tag : access == ATOMIC ? TAG(ATOMIC_ALL) : 0;
    default:
        return access == ATOMIC ? tag : 0;
    }
#undef TAG
}

// In a cooperative launch the bits of the group are its number and, above it, its count of releases. What came before
// is as if it had not been; a tag that stands for many has the latest count of theirs, and came before when it did for
// whatever groups they may be.
static u32 next_ordered(u32 tag, const struct touch* t, enum access access) {
    const u32 kind = tag >> LAUNCH_SHIFT == t->now >> LAUNCH_SHIFT ? kind_of_global(tag) : NOBODY;
    if (kind == NOBODY) return next_global(tag, t, access);
    if (access == READ_ONLY && (kind == WRITTEN || kind == ATOMIC_ONE || kind == ATOMIC_ALL)) return 0;
    const u32 time = (tag & MAX_GROUP) >> ORDER_GROUP_BITS, groups = (1u << ORDER_GROUP_BITS) - 1;
    const bool is_of_all = kind == READ_ALL || kind == ATOMIC_ALL;
    if (!is_of_all && (tag & groups) == (t->who & groups)) {
        // A group that reads what it wrote leaves the time of the write.
        if (access == READ && kind != READ_ONE) return tag;
        return next_global((tag & ~MAX_GROUP) | t->who, t, access);
    }
    if (time < (is_of_all ? t->time : t->known[tag & groups])) return next_global(0, t, access);
    const u32 after = next_global(tag, t, access), kind_after = kind_of_global(after);
    if (after == 0 || (kind_after != READ_ALL && kind_after != ATOMIC_ALL)) return after;
    const u32 own = t->who >> ORDER_GROUP_BITS, latest = own > time ? own : time;
    return (after & ~MAX_GROUP) | latest << ORDER_GROUP_BITS | (after & groups);
}

static inline __attribute__((always_inline)) u32 next_shared(u32 tag, const struct touch* t, enum access access) {
    const u32 thread = tag >> THREAD_SHIFT & 1023, time = tag & MAX_TIME;
    const u32 kind = tag >> EPOCH_SHIFT == t->now >> EPOCH_SHIFT ? tag >> 17 & 7 : NOBODY;
    const bool is_own = thread == t->who, is_same_warp = thread / LANES == t->who / LANES;
    const bool is_ordered = is_own || (is_same_warp && time < t->time);
#define TAG(k) (t->now | (u32)(k) << 17 | t->who << THREAD_SHIFT | t->time)
    switch (kind) {
    case NOBODY:
        return TAG(access == WRITE ? WRITTEN : access == ATOMIC ? ATOMIC_ONE : READ_ONE);
    case READ_ONE:
    case READ_WARP:
        if (access == READ)
            return kind == READ_ONE && is_own ? TAG(READ_ONE) : is_same_warp ? TAG(READ_WARP) : TAG(READ_ALL);
        if (kind == READ_WARP ? !is_same_warp || time >= t->time : !is_ordered) return 0;
        return TAG(access == WRITE ? WRITTEN : ATOMIC_ONE);
    case READ_ALL:
        return access == READ ? tag : 0;
    case WRITTEN:
        if (!is_ordered) return 0;
        return access == READ ? tag : TAG(access == WRITE ? WRITTEN : ATOMIC_ONE);
    case ATOMIC_ONE:
        return access == ATOMIC ? (is_own ? tag : TAG(ATOMIC_ALL))
               : is_ordered     ? TAG(access == READ ? ATOMIC_ONE : WRITTEN)
                                : 0;
    default:
        return access == ATOMIC ? tag : 0;
    }
#undef TAG
}

typedef u32 rule(u32 tag, const struct touch* touch, enum access access);

// Mostly all words of a row are as an earlier access of the same kind left them, or untouched in this launch: vectors
// see that in one pass. True when that was all.
static inline bool touch_row(u32* words, u64 first, u64 last, u32 after) {
    u32 differs = 0, is_stale = 1;
    for (u64 k = first; k < last; k++) {
        differs |= words[k] ^ after;
        is_stale &= (words[k] ^ after) >> LAUNCH_SHIFT != 0;
    }
    if (differs == 0 || !is_stale) return differs == 0;
    for (u64 k = first; k < last; k++) words[k] = after;
    return true;
}

// Touches the bytes [offset, offset + bytes) of tags by word; the tags of bytes follow those of words. Null, or the tag
// that stands against it.
static inline u32 touch_tags(u32* words, u32* parts, u64 offset, u32 bytes, rule* next, const struct touch* t,
                             enum access access, u32 kind_shift) {
    const u32 is_parts = t->now | (u32)PARTS << kind_shift, kinds = ~0u << kind_shift;
    for (u64 k = offset / 4; k <= (offset + bytes - 1) / 4; k++) {
        const bool is_whole = 4 * k >= offset && 4 * k + 4 <= offset + bytes;
        // Read once: groups on another thread of the host may touch the word's other half now.
        const u32 word = __atomic_load_n(&words[k], __ATOMIC_RELAXED);
        if (is_whole && (word & kinds) != is_parts) {
            const u32 after = next(word, t, access);
            if (after == 0) return word;
            if (after != word) words[k] = after;
            continue;
        }
        if ((word & kinds) != is_parts) {
            for (u32 i = 0; i < 4; i++) parts[4 * k + i] = word;
            words[k] = is_parts;
        }
        for (u64 i = 4 * k; i < 4 * k + 4; i++) {
            if (i < offset || i >= offset + bytes) continue;
            const u32 after = next(parts[i], t, access);
            if (after == 0) return parts[i];
            parts[i] = after;
        }
    }
    return 0;
}

// --- Device memory ------------------------------------------------------------------------------------------------

static bool holds(const struct ptx_memory* block, u64 address, u32 bytes) {
    const u64 offset = address - block->start;
    return address >= block->start && offset < block->bytes && bytes <= block->bytes - offset;
}

static const struct ptx_memory* find_block(const struct worker* worker, u64 address, u32 bytes) {
    const struct ptx_launch* launch = worker->launch;
    const struct ptx_module* module = worker->entry->module;
    for (u32 i = 0; i < module->block_count; i++)
        if (holds(&module->blocks[i], address, bytes)) return &module->blocks[i];
    size_t first = 0, last = launch->memory_count;
    while (first < last) {
        const size_t middle = first + (last - first) / 2;
        if (launch->memory[middle].start <= address)
            first = middle + 1;
        else
            last = middle;
    }
    return first > 0 && holds(&launch->memory[first - 1], address, bytes) ? &launch->memory[first - 1] : NULL;
}

static _Noreturn void outside(struct warp* w, const struct instruction* in, u32 lane, u64 address, u32 bytes,
                              enum access access) {
    const struct worker* worker = w->group->worker;
    const struct ptx_memory* nearest = NULL;
    for (size_t i = 0; i < worker->launch->memory_count && worker->launch->memory[i].start <= address; i++)
        nearest = &worker->launch->memory[i];
    if (nearest == NULL)
        violate(w, in, lane, RUN_ILLEGAL_ADDRESS, "%s %u bytes at 0x%llx, which is no device memory", verb(access),
                bytes, (unsigned long long)address);
    violate(w, in, lane, RUN_ILLEGAL_ADDRESS,
            "%s %u bytes at 0x%llx, which is no device memory: %llu bytes from the start of a block of %llu",
            verb(access), bytes, (unsigned long long)address, (unsigned long long)(address - nearest->start),
            (unsigned long long)nearest->bytes);
}

static u32 touch_words(const struct ptx_memory* block, u64 offset, u32 bytes, const struct touch* t,
                       enum access access) {
    return touch_tags(block->tags, block->tags + (block->bytes + 3) / 4, offset, bytes,
                      t->is_ordered ? next_ordered : next_global, t, access, GROUP_BITS);
}

static void touch_block(struct warp* w, const struct instruction* in, u32 lane, u32 lane_bytes,
                        const struct ptx_memory* block, u64 offset, u32 bytes, enum access access) {
    if (block->written != NULL) {
        if (access == WRITE) {
            memset(block->written + offset, 1, bytes);
        } else {
            const u8* hole = memchr(block->written + offset, 0, bytes);
            if (hole != NULL) {
                const u32 at = (u32)(hole - (block->written + offset));
                violate(w, in, lane + at / lane_bytes, RUN_FAILED,
                        "%s device memory at 0x%llx that nothing wrote, byte %llu of %llu", verb(access),
                        (unsigned long long)(block->start + offset + at), (unsigned long long)(offset + at),
                        (unsigned long long)block->bytes);
            }
        }
    }
    if (block->tags == NULL || w->group->number >= MAX_GROUP) return;
    struct touch touch = {.now = w->group->worker->launch->tag << LAUNCH_SHIFT, .who = w->group->number};
    if (w->group->order != NULL) {
        touch.who |= w->group->time << ORDER_GROUP_BITS;
        touch.time = w->group->known_time;
        touch.known = w->group->known;
        touch.is_ordered = true;
    }
    // Of a long stretch first the words that are whole; the ends are looked at byte by byte.
    const u64 end = offset + bytes, first = (offset + 3) / 4, last = end / 4;
    u32 against = 0;
    if (last > first + 1 && access != ATOMIC && touch_row(block->tags, first, last, next_global(0, &touch, access))) {
        if (4 * first > offset) against = touch_words(block, offset, (u32)(4 * first - offset), &touch, access);
        if (against == 0 && end > 4 * last)
            against = touch_words(block, 4 * last, (u32)(end - 4 * last), &touch, access);
    } else {
        against = touch_words(block, offset, bytes, &touch, access);
    }
    if (against == 0) return;
    const u32 groups = w->group->order != NULL ? (1u << ORDER_GROUP_BITS) - 1 : MAX_GROUP;
    const u32 kind = kind_of_global(against), group = against & groups;
    const char* did = kind == WRITTEN                            ? "wrote"
                      : kind == ATOMIC_ONE || kind == ATOMIC_ALL ? "updated atomically"
                                                                 : "read";
    if (kind == READ_ALL)
        violate(w, in, lane, RUN_FAILED, "%s device memory near 0x%llx that several groups read in this launch",
                verb(access), (unsigned long long)(block->start + offset));
    violate(w, in, lane, RUN_FAILED, "%s device memory near 0x%llx that group %u %s in this launch", verb(access),
            (unsigned long long)(block->start + offset), group, did);
}

static void check_alignment(struct warp* w, const struct instruction* in, const struct request* r) {
    u64 low = 0;
    for (u32 i = 0; i < LANES; i++) low |= has_lane(r->mask, i) ? r->addresses[i] : 0;
    if ((low & (r->bytes - 1)) == 0) return;
    FOR_LANES(i, r->mask)
    if ((r->addresses[i] & (r->bytes - 1)) != 0)
        violate(w, in, i, RUN_MISALIGNED, "%s %u bytes at 0x%llx, which is not aligned to them", verb(r->access),
                r->bytes, (unsigned long long)r->addresses[i]);
}

void check_global(struct warp* w, const struct instruction* in, const struct request* r) {
    struct worker* worker = w->group->worker;
    check_alignment(w, in, r);
    const struct ptx_memory** known = &worker->found[in - worker->entry->code];
    const struct ptx_memory* block = *known;
    const u64 address = r->addresses[r->first];
    if (r->pattern != SCATTERED) {
        const u32 bytes = r->pattern == ROW ? r->count * r->bytes : r->bytes;
        if (block == NULL || !holds(block, address, bytes)) block = find_block(worker, address, bytes);
        if (block != NULL) {
            *known = block;
            touch_block(w, in, r->first, r->bytes, block, address - block->start, bytes, r->access);
            return;
        }
    }
    FOR_LANES(i, r->mask) {
        if (block == NULL || !holds(block, r->addresses[i], r->bytes))
            block = find_block(worker, r->addresses[i], r->bytes);
        if (block == NULL) outside(w, in, i, r->addresses[i], r->bytes, r->access);
        touch_block(w, in, i, r->bytes, block, r->addresses[i] - block->start, r->bytes, r->access);
    }
    *known = block;
}

// --- Shared memory ------------------------------------------------------------------------------------------------

void next_epoch(struct group* g) {
    if (g->epoch == MAX_EPOCH) {
        memset(g->shared_tags, 0, 5 * g->tag_words * sizeof *g->shared_tags);
        g->epoch = 0;
    }
    g->epoch++;
    if (g->order != NULL) pass_order(g);
    for (u32 i = 0; i < g->warp_count; i++) {
        g->warps[i].sync_time = 1;
        memset(g->warps[i].lane_time, 1, LANES);
    }
}

// A time that cannot grow begins again; what was before it is still before it.
static void restart_time(struct warp* w) {
    struct group* g = w->group;
    const u32 words = (g->shared_bytes + 3) / 4;
    u32* const tables[] = {g->shared_tags, g->shared_byte_tags};
    for (u32 t = 0; t < 2; t++)
        for (u32 i = 0; i < (t == 0 ? words : 4 * words); i++)
            if ((tables[t][i] >> THREAD_SHIFT & 1023) / LANES == w->index) tables[t][i] &= ~MAX_TIME;
    w->sync_time = 1;
    memset(w->lane_time, 1, LANES);
}

void advance_time(struct warp* w, u32 mask) {
    if (w->sync_time == MAX_TIME) restart_time(w);
    w->sync_time++;
    FOR_LANES(i, mask) w->lane_time[i] = (u8)w->sync_time;
}

void forget_shared(struct group* g, u32 first, u32 bytes) { memset(g->shared_written + first, 0, bytes); }

static _Noreturn void shared_conflict(struct warp* w, const struct instruction* in, u32 lane, u64 address, u32 against,
                                      enum access access) {
    const u32 kind = against >> 17 & 7;
    char other[64];
    thread_text(w->group, against >> THREAD_SHIFT & 1023, other, sizeof other);
    if (kind == READ_ALL || kind == ATOMIC_ALL)
        violate(w, in, lane, RUN_FAILED, "%s shared memory at %llu that other threads %s, with no barrier between",
                verb(access), (unsigned long long)address, kind == READ_ALL ? "read" : "updated");
    violate(w, in, lane, RUN_FAILED, "%s shared memory at %llu that thread %s %s, with no barrier between",
            verb(access), (unsigned long long)address, other,
            kind == WRITTEN      ? "wrote"
            : kind == ATOMIC_ONE ? "updated"
                                 : "read");
}

#define ALL_WRITTEN 0x01010101u

// A request of whole words in one pass, where each lane's word is as an earlier one of the same kind left it, was read
// by more than it, or was not touched since the barrier. False, with nothing done, where the rules must be asked.
static inline bool touch_shared_row(struct warp* w, const struct request* r) {
    struct group* g = w->group;
    const u32 count = r->pattern == ROW ? r->count : 1, time = w->lane_time[r->first];
    const struct touch touch = {.now = g->epoch << EPOCH_SHIFT, .who = w->index * LANES + r->first, .time = time};
    const u32 fresh = r->pattern == ROW || r->access == WRITE
                          ? next_shared(0, &touch, r->access)
                          : touch.now | READ_WARP << 17 | touch.who << THREAD_SHIFT | time;
    u32* tags = g->shared_tags + r->addresses[r->first] / 4;
    u32* written = (u32*)(void*)g->shared_written + r->addresses[r->first] / 4;
    const u32 step = 1u << THREAD_SHIFT, of_warp = ~(31u << THREAD_SHIFT);
    const u32 read_warp = (touch.now | READ_WARP << 17 | touch.who << THREAD_SHIFT | time) & of_warp;
    const u32 read_all = touch.now >> 17 | READ_ALL;
    u32 strange = 0, holes = 0;
    for (u32 i = 0; i < count; i++) {
        const u32 tag = tags[i], is_stale = tag >> EPOCH_SHIFT != touch.now >> EPOCH_SHIFT,
                  is_own = tag == fresh + i * step;
        const u32 is_read = (tag & of_warp) == read_warp || tag >> 17 == read_all;
        strange |= !(is_stale | is_own | (is_read & (r->access != WRITE)));
        holes |= written[i] ^ ALL_WRITTEN;
    }
    if (strange || (holes != 0 && r->access != WRITE)) return false;
    for (u32 i = 0; i < count; i++) {
        tags[i] = tags[i] >> EPOCH_SHIFT != touch.now >> EPOCH_SHIFT ? fresh + i * step : tags[i];
        if (r->access == WRITE) written[i] = ALL_WRITTEN;
    }
    return true;
}

static bool is_one_time(const struct warp* w) {
    u32 differs = 0;
    for (u32 i = 1; i < LANES; i++) differs |= w->lane_time[i] ^ w->lane_time[0];
    return differs == 0;
}

// A word that the warp, or others too, read at this time or in this epoch stays as it is when the warp reads it.
static inline bool is_read_already(u32 tag, const struct touch* t) {
    const u32 of_warp = ~(31u << THREAD_SHIFT), of_all = t->now >> 17 | READ_ALL;
    const u32 by_warp = t->now | READ_WARP << 17 | t->who << THREAD_SHIFT | t->time;
    return ((tag ^ by_warp) & of_warp) == 0 || tag >> 17 == of_all;
}

static _Noreturn void not_written(struct warp* w, const struct instruction* in, u32 lane, const struct request* r) {
    const u8* hole = memchr(w->group->shared_written + r->addresses[lane], 0, r->bytes);
    violate(w, in, lane, RUN_FAILED, "%s shared memory at %llu that nothing wrote", verb(r->access),
            (unsigned long long)(hole - w->group->shared_written));
}

// A request of whole words, lane by lane. Of lanes side by side that read one address at one time, the first and the
// last leave what all would.
static inline __attribute__((always_inline)) void touch_shared_words(struct warp* w, const struct instruction* in,
                                                                     const struct request* r, enum access access,
                                                                     bool is_at_one_time) {
    struct group* g = w->group;
    const u32 words = r->bytes / 4, is_parts = g->epoch << EPOCH_SHIFT | PARTS << 17, kinds = ~0u << 17;
    u64 before = ~0ull;
    for (u32 rest = r->mask; rest != 0; rest &= rest - 1) {
        const u32 lane = (u32)__builtin_ctz(rest), next = rest & (rest - 1);
        const u64 address = r->addresses[lane];
        if (access == READ && is_at_one_time && address == before && next != 0 &&
            r->addresses[__builtin_ctz(next)] == address)
            continue;
        before = address;
        const struct touch touch = {
            .now = g->epoch << EPOCH_SHIFT, .who = w->index * LANES + lane, .time = w->lane_time[lane]};
        u32 *tags = g->shared_tags + address / 4, *written = (u32*)(void*)(g->shared_written + address);
        u32 holes = 0, is_new = 0;
        for (u32 k = 0; k < words; k++) {
            if (access == WRITE) written[k] = ALL_WRITTEN;
            holes |= written[k] ^ ALL_WRITTEN;
            is_new |= access != READ || !is_read_already(tags[k], &touch);
        }
        if (holes != 0) not_written(w, in, lane, r);
        if (!is_new) continue;
        for (u32 k = 0; k < words; k++) {
            u32 against = 0;
            if ((tags[k] & kinds) == is_parts) {
                against = touch_tags(g->shared_tags, g->shared_byte_tags, address + 4 * k, 4, next_shared, &touch,
                                     access, 17);
            } else {
                const u32 after = next_shared(tags[k], &touch, access);
                if (after == 0) against = tags[k];
                tags[k] = after;
            }
            if (against != 0) shared_conflict(w, in, lane, address, against, access);
        }
    }
}

void check_shared(struct warp* w, const struct instruction* in, const struct request* request) {
    struct group* g = w->group;
    struct request r = *request;
    if (r.access == READ_ONLY) r.access = READ;
    check_alignment(w, in, &r);
    FOR_LANES(i, r.mask)
    if (r.addresses[i] >= g->shared_bytes || r.bytes > g->shared_bytes - r.addresses[i])
        violate(w, in, i, RUN_ILLEGAL_ADDRESS, "%s %u bytes at %llu of %u bytes of shared memory", verb(r.access),
                r.bytes, (unsigned long long)r.addresses[i], g->shared_bytes);
    const bool is_simple = r.pattern == ROW || (r.pattern == ALIKE && r.access == READ && r.count > 1);
    const bool is_at_one_time = r.access != ATOMIC && is_one_time(w);
    if (r.bytes == 4 && is_simple && is_at_one_time && touch_shared_row(w, &r)) return;
    if (r.bytes >= 4 && r.access == READ) {
        touch_shared_words(w, in, &r, READ, is_at_one_time);
        return;
    }
    if (r.bytes >= 4 && r.access == WRITE) {
        touch_shared_words(w, in, &r, WRITE, is_at_one_time);
        return;
    }
    FOR_LANES(i, r.mask) {
        const u64 address = r.addresses[i];
        const struct touch touch = {
            .now = g->epoch << EPOCH_SHIFT, .who = w->index * LANES + i, .time = w->lane_time[i]};
        for (u32 k = 0; k < r.bytes; k++) {
            if (r.access == WRITE) g->shared_written[address + k] = 1;
            if (g->shared_written[address + k] == 0) not_written(w, in, i, &r);
        }
        const u32 against =
            touch_tags(g->shared_tags, g->shared_byte_tags, address, r.bytes, next_shared, &touch, r.access, 17);
        if (against != 0) shared_conflict(w, in, i, address, against, r.access);
    }
}
