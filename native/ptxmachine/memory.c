// Loads, stores, atomics.

#include "machine.h"

#include <stdatomic.h>

static void addresses_of(struct warp* w, const struct instruction* in, u64* addresses) {
    if (in->width == 4)
        for (u32 i = 0; i < LANES; i++) addresses[i] = (u32)(REG32(w, in->a)[i] + (u32)in->offset);
    else
        for (u32 i = 0; i < LANES; i++) addresses[i] = REG64(w, in->a)[i] + (u64)in->offset;
}

static enum space space_at(u64 address, u64* window) {
    *window = SHARED_WINDOW;
    if (address - SHARED_WINDOW < WINDOW_BYTES) return SHARED;
    *window = LOCAL_WINDOW;
    if (address - LOCAL_WINDOW < WINDOW_BYTES) return LOCAL;
    *window = 0;
    return GLOBAL;
}

static void check_local(struct warp* w, const struct instruction* in, const struct request* r) {
    const u32 size = w->group->worker->entry->head.local_bytes;
    FOR_LANES(i, r->mask)
    if (r->addresses[i] >= size || r->bytes > size - r->addresses[i])
        violate(w, in, i, RUN_ILLEGAL_ADDRESS, "touches %u bytes at %llu of %u bytes of local memory", r->bytes,
                (unsigned long long)r->addresses[i], size);
}

// Checks and counts the request, and turns its addresses into those of the host.
static void resolve(struct warp* w, const struct instruction* in, struct request* r, enum space space) {
    find_pattern(r);
    if (space == SHARED) {
        check_shared(w, in, r);
        count_shared(w, r);
        for (u32 i = 0; i < LANES; i++) r->addresses[i] += (u64)(uintptr_t)w->group->shared;
    } else if (space == LOCAL) {
        check_local(w, in, r);
        const u32 size = w->group->worker->entry->head.local_bytes;
        for (u32 i = 0; i < LANES; i++) r->addresses[i] += (u64)(uintptr_t)w->local + (u64)i * size;
        r->pattern = SCATTERED;
    } else {
        check_global(w, in, r);
        if (space == GLOBAL && r->access != ATOMIC) count_global(w, r);
    }
}

typedef void transfer(struct warp* w, const struct instruction* in, const struct request* r);

// An access to generic memory goes once to each space that its lanes name.
static void access_memory(struct warp* w, const struct instruction* in, u32 mask, u32 bytes, enum access access,
                          transfer* move) {
    struct request r = {.mask = mask, .bytes = bytes, .access = access};
    addresses_of(w, in, r.addresses);
    if (in->space != GENERIC) {
        resolve(w, in, &r, in->space);
        move(w, in, &r);
        return;
    }
    const struct request whole = r;
    while (mask != 0) {
        u64 window, other;
        const enum space space = space_at(whole.addresses[__builtin_ctz(mask)], &window);
        r = whole;
        r.mask = 0;
        FOR_LANES(i, mask) if (space_at(whole.addresses[i], &other) == space) {
            r.mask |= 1u << i;
            r.addresses[i] -= window;
        }
        resolve(w, in, &r, space);
        move(w, in, &r);
        mask &= ~r.mask;
    }
}

// --- Loads and stores ---------------------------------------------------------------------------------------------

static u64 extended(u64 bits, enum type type) {
    const u32 unused = 64 - 8 * type_bytes(type);
    return type_is_signed(type) && unused > 0 ? (u64)((s64)(bits << unused) >> unused) : bits;
}

#define ROW_OF(T, slot) ((T*)(void*)(w->file + (slot)))
#define AT(T, address)  ((T*)(uintptr_t)(address))

#define FETCH(T)                                                                                                \
    if (r->pattern == ALIKE) {                                                                                  \
        const T value = *AT(T, r->addresses[r->first] + at);                                                    \
        for (u32 i = 0; i < LANES; i++) ROW_OF(T, slot)[i] = has_lane(r->mask, i) ? value : ROW_OF(T, slot)[i]; \
    } else if (r->mask == ALL_LANES && r->pattern == ROW && in->count == 1) {                                   \
        memcpy(ROW_OF(T, slot), AT(T, r->addresses[0]), LANES * sizeof(T));                                     \
    } else if (r->mask == ALL_LANES) {                                                                          \
        for (u32 i = 0; i < LANES; i++) ROW_OF(T, slot)[i] = *AT(T, r->addresses[i] + at);                      \
    } else {                                                                                                    \
        FOR_LANES(i, r->mask) ROW_OF(T, slot)[i] = *AT(T, r->addresses[i] + at);                                \
    }

static void fetch(struct warp* w, const struct instruction* in, const struct request* r) {
    const u32 bytes = type_bytes(in->type);
    for (u32 k = 0; k < in->count; k++) {
        const u32 slot = in->list[k], at = k * bytes;
        if (in->variant == 4 && bytes == 4) {
            FETCH(u32)
        } else if (in->variant == 8 && bytes == 8) {
            FETCH(u64)
        } else if (in->variant == 2 && bytes == 2) {
            FETCH(u16)
        } else {
            FOR_LANES(i, r->mask) {
                u64 bits = 0;
                memcpy(&bits, AT(void, r->addresses[i] + at), bytes);
                bits = extended(bits, in->type);
                memcpy(w->file + slot + i * in->variant, &bits, in->variant);
            }
        }
    }
}

static void put(struct warp* w, const struct instruction* in, const struct request* r) {
    const u32 bytes = type_bytes(in->type);
    for (u32 k = 0; k < in->count; k++) {
        const u32 slot = in->list[k], at = k * bytes;
        if (in->variant == 4 && bytes == 4) {
            FOR_LANES(i, r->mask) * AT(u32, r->addresses[i] + at) = ROW_OF(u32, slot)[i];
        } else if (in->variant == 8 && bytes == 8) {
            FOR_LANES(i, r->mask) * AT(u64, r->addresses[i] + at) = ROW_OF(u64, slot)[i];
        } else if (in->variant == 2 && bytes == 2) {
            FOR_LANES(i, r->mask) * AT(u16, r->addresses[i] + at) = ROW_OF(u16, slot)[i];
        } else {
            FOR_LANES(i, r->mask) memcpy(AT(void, r->addresses[i] + at), w->file + slot + i * in->variant, bytes);
        }
    }
}

// What orders groups of a cooperative launch: each lane's word.
static void order_lanes(struct warp* w, const struct instruction* in, u32 mask,
                        void (*with)(struct warp* w, const struct instruction* in, u32 lane, u64 address)) {
    u64 addresses[LANES];
    addresses_of(w, in, addresses);
    FOR_LANES(i, mask) with(w, in, i, addresses[i]);
}

void load(struct warp* w, const struct instruction* in, u32 mask) {
    const u32 bytes = type_bytes(in->type) * in->count;
    if (w->group->order == NULL || !in->is_acquire) {
        access_memory(w, in, mask, bytes, in->is_read_only ? READ_ONLY : READ, fetch);
        return;
    }
    wait_turn(w, in, (u32)__builtin_ctz(mask));
    access_memory(w, in, mask, bytes, ATOMIC, fetch);
    order_lanes(w, in, mask, acquire_word);
}

void store(struct warp* w, const struct instruction* in, u32 mask) {
    const bool releases = w->group->order != NULL && in->is_release;
    if (releases) order_lanes(w, in, mask, release_word);
    if (w->group->order != NULL) note_write(w);
    access_memory(w, in, mask, type_bytes(in->type) * in->count, releases ? ATOMIC : WRITE, put);
}

void load_parameter(struct warp* w, const struct instruction* in, u32 mask) {
    struct request r = {.mask = mask, .pattern = ALIKE, .first = (u32)__builtin_ctz(mask)};
    for (u32 i = 0; i < LANES; i++)
        r.addresses[i] = (u64)(uintptr_t)w->group->worker->launch->parameters + (u64)in->offset;
    fetch(w, in, &r);
}

// --- Atomics ------------------------------------------------------------------------------------------------------

static atomic_flag busy = ATOMIC_FLAG_INIT;

static u64 updated(const struct instruction* in, u64 old, u64 b, u64 c) {
    switch (in->variant) {
    case A_ADD:
        if (in->type == F32) return bits_of(canonical(float_of((u32)old) + float_of((u32)b)));
        if (in->type == F64) return double_bits(double_of(old) + double_of(b));
        return old + b;
    case A_MIN:
        if (in->type == S32) return (s32)old < (s32)b ? old : b;
        if (in->type == S64) return (s64)old < (s64)b ? old : b;
        return old < b ? old : b;
    case A_MAX:
        if (in->type == S32) return (s32)old > (s32)b ? old : b;
        if (in->type == S64) return (s64)old > (s64)b ? old : b;
        return old > b ? old : b;
    case A_AND:
        return old & b;
    case A_OR:
        return old | b;
    case A_XOR:
        return old ^ b;
    case A_CAS:
        return old == b ? c : old;
    case A_INC:
        return old >= b ? 0 : old + 1;
    case A_DEC:
        return old == 0 || old > b ? b : old - 1;
    default:
        return b;
    }
}

static void update(struct warp* w, const struct instruction* in, const struct request* r) {
    const u32 bytes = type_bytes(in->type);
    while (atomic_flag_test_and_set_explicit(&busy, memory_order_acquire)) {
    }
    FOR_LANES(i, r->mask) {
        u64 old = 0, b = 0, c = 0;
        memcpy(&old, AT(void, r->addresses[i]), bytes);
        memcpy(&b, w->file + in->b + i * bytes, bytes);
        if (in->c != 0) memcpy(&c, w->file + in->c + i * bytes, bytes);
        const u64 value = updated(in, old, b, c);
        memcpy(AT(void, r->addresses[i]), &value, bytes);
        memcpy(w->file + in->d + i * bytes, &old, bytes);
    }
    atomic_flag_clear_explicit(&busy, memory_order_release);
}

void atomic(struct warp* w, const struct instruction* in, u32 mask) {
    if (w->group->order != NULL) {
        note_write(w);
        if (in->is_acquire) order_lanes(w, in, mask, acquire_word);
        if (in->is_release) order_lanes(w, in, mask, release_word);
    }
    access_memory(w, in, mask, type_bytes(in->type), ATOMIC, update);
}

// --- Windows ------------------------------------------------------------------------------------------------------

void move_window(struct warp* w, const struct instruction* in, u32 mask) {
    u64 values[LANES];
    for (u32 i = 0; i < LANES; i++) values[i] = REG64(w, in->a)[i] + (u64)in->offset;
    put64(REG64(w, in->d), values, mask);
}

void is_space(struct warp* w, const struct instruction* in, u32 mask) {
    u32 result = 0;
    u64 window;
    FOR_LANES(i, mask) result |= (u32)(space_at(REG64(w, in->a)[i], &window) == in->space) << i;
    put_predicate(w, in->d, result, mask);
}
