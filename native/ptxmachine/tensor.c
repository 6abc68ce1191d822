// Products of matrices by a warp, the loads that feed them, and copies that run beside the code.

#include "machine.h"

// Where the elements of a product lie. Lane l holds of a, b and c what its group l / 4 and its place l % 4 say.
static float element(struct warp* w, u32 slot, u32 lane, u32 half, enum type type) {
    const u32 bits = REG32(w, slot)[lane];
    if (type == TF32) return float_of(bits & 0xffffe000u);
    const u16 part = (u16)(bits >> 16 * half);
    return type == F16 ? half_to_float(part) : bfloat_to_float(part);
}

// d = a b + c, 16 x 8, k = 16 for halves and 8 for tf32. The sum is taken in double precision and rounded once, which
// is at least what a GPU does; it does not say in which order it adds.
void multiply_matrix(struct warp* w, const struct instruction* in, u32 mask) {
    (void)mask;
    const u32 *d = in->list, *a = in->list + 4, *b = in->list + 8, *c = in->list + 10;
    const bool is_half = in->type != TF32;
    const u32 depth = is_half ? 16 : 8;
    float left[16][16], right[16][8], result[4][LANES];
    for (u32 lane = 0; lane < LANES; lane++) {
        const u32 group = lane / 4, place = lane % 4;
        for (u32 r = 0; r < 4; r++)
            for (u32 half = 0; half < (is_half ? 2u : 1u); half++) {
                const u32 row = group + 8 * (r & 1);
                const u32 column = is_half ? 2 * place + half + 8 * (r >> 1) : place + 4 * (r >> 1);
                left[row][column] = element(w, a[r], lane, half, in->type);
                if (r < 2)
                    right[is_half ? 2 * place + half + 8 * r : place + 4 * r][group] =
                        element(w, b[r], lane, half, in->type);
            }
    }
    for (u32 lane = 0; lane < LANES; lane++)
        for (u32 r = 0; r < 4; r++) {
            const u32 row = lane / 4 + 8 * (r >> 1), column = 2 * (lane % 4) + (r & 1);
            double sum = REGF(w, c[r])[lane];
            for (u32 k = 0; k < depth; k++) sum += (double)left[row][k] * right[k][column];
            result[r][lane] = canonical((float)sum);
        }
    for (u32 r = 0; r < 4; r++) memcpy(REGF(w, d[r]), result[r], sizeof result[r]);
}

// Matrices of 8 x 8 halves. Lanes 8 j to 8 j + 7 give the addresses of the rows of matrix j; lane l gets two neighbours
// of row l / 4, or of that column.
void load_matrix(struct warp* w, const struct instruction* in, u32 mask) {
    struct request r = {.mask = in->count == 4 ? mask : (1u << 8 * in->count) - 1, .bytes = 16, .access = READ};
    for (u32 i = 0; i < LANES; i++)
        r.addresses[i] =
            in->width == 4 ? (u32)(REG32(w, in->a)[i] + (u32)in->offset) : REG64(w, in->a)[i] + (u64)in->offset;
    find_pattern(&r);
    check_shared(w, in, &r);
    count_shared(w, &r);
    u32 values[4][LANES];
    for (u32 j = 0; j < in->count; j++)
        for (u32 lane = 0; lane < LANES; lane++) {
            u16 pair[2];
            for (u32 e = 0; e < 2; e++) {
                const u32 row = in->variant ? 2 * (lane % 4) + e : lane / 4,
                          column = in->variant ? lane / 4 : 2 * (lane % 4) + e;
                memcpy(&pair[e], w->group->shared + r.addresses[8 * j + row] + 2 * column, 2);
            }
            values[j][lane] = pair[0] | (u32)pair[1] << 16;
        }
    for (u32 j = 0; j < in->count; j++) put32(REG32(w, in->list[j]), values[j], mask);
}

// --- Copies -------------------------------------------------------------------------------------------------------

// A copy is done as late as it may be: when its lane waits for it. Until then its target counts as never written.
struct copies {
    u32 count, capacity;
    struct {
        u64 source;
        u32 target, bytes, filled; // filled: bytes that come from the source, zeros follow
        u32 lane, batch;
    } * list;
    u32 batches[LANES];
};

void reset_copies(struct warp* w) {
    if (w->copies == NULL) return;
    w->copies->count = 0;
    memset(w->copies->batches, 0, sizeof w->copies->batches);
}

void free_copies(struct warp* w) {
    if (w->copies != NULL) free(w->copies->list);
    free(w->copies);
    w->copies = NULL;
}

void copy_async(struct warp* w, const struct instruction* in, u32 mask) {
    if (w->copies == NULL) w->copies = calloc(1, sizeof *w->copies);
    struct copies* c = w->copies;
    struct request source = {.mask = mask, .bytes = in->count, .access = READ};
    struct request target = {.mask = mask, .bytes = in->count, .access = WRITE};
    for (u32 i = 0; i < LANES; i++) {
        source.addresses[i] = (in->width == 4 ? REG32(w, in->a)[i] : REG64(w, in->a)[i]) + (u64)in->offset;
        target.addresses[i] = (u32)((in->variant == 4 ? REG32(w, in->b)[i] : (u32)REG64(w, in->b)[i]) + in->target);
    }
    // Nothing is read for zeros.
    if (in->c != 0) FOR_LANES(i, mask) if (REG32(w, in->c)[i] == 0) source.mask &= ~(1u << i);
    if (source.mask != 0) {
        find_pattern(&source);
        check_global(w, in, &source);
        count_global(w, &source);
    }
    find_pattern(&target);
    check_shared(w, in, &target);
    count_shared(w, &target);
    FOR_LANES(i, mask) {
        if (c->count == c->capacity) {
            c->capacity = c->capacity == 0 ? 256 : 2 * c->capacity;
            c->list = realloc(c->list, c->capacity * sizeof *c->list);
        }
        const u32 filled = in->c == 0 || REG32(w, in->c)[i] > in->count ? in->count : REG32(w, in->c)[i];
        c->list[c->count].source = source.addresses[i], c->list[c->count].target = (u32)target.addresses[i];
        c->list[c->count].bytes = in->count, c->list[c->count].filled = filled;
        c->list[c->count].lane = i, c->list[c->count].batch = c->batches[i];
        c->count++;
        forget_shared(w->group, (u32)target.addresses[i], in->count);
    }
}

void commit_copies(struct warp* w, const struct instruction* in, u32 mask) {
    (void)in;
    if (w->copies == NULL) return;
    FOR_LANES(i, mask) w->copies->batches[i]++;
}

// Waits for all but the last batches; -1 is for all, those that were not committed among them.
void wait_copies(struct warp* w, const struct instruction* in, u32 mask) {
    struct copies* c = w->copies;
    if (c == NULL) return;
    u32 left = 0;
    for (u32 k = 0; k < c->count; k++) {
        const u32 lane = c->list[k].lane;
        const bool is_due =
            has_lane(mask, lane) && (in->offset < 0 || (s64)c->list[k].batch < (s64)c->batches[lane] - in->offset);
        if (!is_due) {
            c->list[left++] = c->list[k];
            continue;
        }
        u8* target = w->group->shared + c->list[k].target;
        memset(target, 0, c->list[k].bytes);
        memcpy(target, (const void*)(uintptr_t)c->list[k].source, c->list[k].filled);
        struct request r = {.mask = 1u << lane, .bytes = c->list[k].bytes, .access = WRITE};
        r.addresses[lane] = c->list[k].target;
        find_pattern(&r);
        check_shared(w, in, &r);
    }
    c->count = left;
}

void finish_copies(struct warp* w) { reset_copies(w); }
