// setp and set: comparisons.

#include "machine.h"

// The lanes where the comparison holds; `un` is true where one of the two is NaN.
#define COMPARED(expression)                                          \
    for (u32 i = 0; i < LANES; i++) result |= (u32)(expression) << i; \
    break

#define COMPARISON(name, T, unordered, slot)                        \
    static u32 name(struct warp* w, const struct instruction* in) { \
        const T* a = (const T*)(const void*)(w->file + in->a);      \
        const T* b = (const T*)(const void*)(w->file + in->b);      \
        u32 result = 0;                                             \
        switch (in->compare) {                                      \
        case EQ:                                                    \
            COMPARED(a[i] == b[i]);                                 \
        case NE:                                                    \
            COMPARED(a[i] != b[i] && !unordered(a[i], b[i]));       \
        case LT:                                                    \
            COMPARED(a[i] < b[i]);                                  \
        case LE:                                                    \
            COMPARED(a[i] <= b[i]);                                 \
        case GT:                                                    \
            COMPARED(a[i] > b[i]);                                  \
        case GE:                                                    \
            COMPARED(a[i] >= b[i]);                                 \
        case EQU:                                                   \
            COMPARED(a[i] == b[i] || unordered(a[i], b[i]));        \
        case NEU:                                                   \
            COMPARED(a[i] != b[i]);                                 \
        case LTU:                                                   \
            COMPARED(!(a[i] >= b[i]));                              \
        case LEU:                                                   \
            COMPARED(!(a[i] > b[i]));                               \
        case GTU:                                                   \
            COMPARED(!(a[i] <= b[i]));                              \
        case GEU:                                                   \
            COMPARED(!(a[i] < b[i]));                               \
        case NUM:                                                   \
            COMPARED(!unordered(a[i], b[i]));                       \
        default:                                                    \
            COMPARED(unordered(a[i], b[i]));                        \
        }                                                           \
        return result;                                              \
    }
#define NEVER(x, y)     false
#define UNORDERED(x, y) __builtin_isunordered(x, y)

COMPARISON(compare_u16, u16, NEVER, REG16)
COMPARISON(compare_u32, u32, NEVER, REG32)
COMPARISON(compare_u64, u64, NEVER, REG64)
COMPARISON(compare_s16, s16, NEVER, REG16)
COMPARISON(compare_s32, s32, NEVER, REG32)
COMPARISON(compare_s64, s64, NEVER, REG64)
COMPARISON(compare_f32, float, UNORDERED, REGF)
COMPARISON(compare_f64, double, UNORDERED, REGD)

// Half floats compare as the floats that they are.
static u32 compare_halves(struct warp* w, const struct instruction* in) {
    struct instruction wide = *in;
    wide.a = FILE_SCRATCH, wide.b = FILE_SCRATCH + 128;
    const bool is_half = in->source_type == F16;
    for (u32 i = 0; i < LANES; i++) {
        const u16 a = REG16(w, in->a)[i], b = REG16(w, in->b)[i];
        REGF(w, wide.a)[i] = is_half ? half_to_float(a) : bfloat_to_float(a);
        REGF(w, wide.b)[i] = is_half ? half_to_float(b) : bfloat_to_float(b);
    }
    return compare_f32(w, &wide);
}

// The result of the comparison, joined with a predicate when the instruction says so; `holds` is what was compared.
static u32 joined(struct warp* w, const struct instruction* in, u32 holds) {
    if (in->combine == NO_COMBINE) return holds;
    const u32 other = *REGP(w, in->c) ^ (in->is_combine_negated ? ALL_LANES : 0);
    return in->combine == COMBINE_AND ? holds & other : in->combine == COMBINE_OR ? holds | other : holds ^ other;
}

#define SETP(name, compared)                                                          \
    static void setp_##name(struct warp* w, const struct instruction* in, u32 mask) { \
        const u32 holds = compared(w, in);                                            \
        const u32 result = joined(w, in, holds);                                      \
        if (in->e != 0) put_predicate(w, in->e, joined(w, in, ~holds), mask);         \
        put_predicate(w, in->d, result, mask);                                        \
    }                                                                                 \
    static void set_##name(struct warp* w, const struct instruction* in, u32 mask) {  \
        const u32 result = joined(w, in, compared(w, in));                            \
        const u32 yes = in->type == F32 ? 0x3f800000u : 0xffffffffu;                  \
        FOR_LANES(i, mask) REG32(w, in->d)[i] = has_lane(result, i) ? yes : 0;        \
    }
SETP(u16, compare_u16)
SETP(u32, compare_u32)
SETP(u64, compare_u64)
SETP(s16, compare_s16)
SETP(s32, compare_s32)
SETP(s64, compare_s64)
SETP(f32, compare_f32)
SETP(f64, compare_f64)
SETP(half, compare_halves)

#define CHOSEN(prefix)        \
    switch (type) {           \
    case U16:                 \
    case B16:                 \
        return prefix##_u16;  \
    case U32:                 \
    case B32:                 \
        return prefix##_u32;  \
    case U64:                 \
    case B64:                 \
        return prefix##_u64;  \
    case S16:                 \
        return prefix##_s16;  \
    case S32:                 \
        return prefix##_s32;  \
    case S64:                 \
        return prefix##_s64;  \
    case F32:                 \
        return prefix##_f32;  \
    case F64:                 \
        return prefix##_f64;  \
    case F16:                 \
    case BF16:                \
        return prefix##_half; \
    default:                  \
        return NULL;          \
    }

operation* compare_operation(enum type type){CHOSEN(setp)}

operation* set_operation(enum type result, enum type type) {
    if (result != U32 && result != S32 && result != F32) return NULL;
    CHOSEN(set)
}
