// Logic, shifts, bit fields and selection.

#include "machine.h"

#define ALL_WIDTHS(name, expression)                                               \
    OPERATION(name##_16, u16, put16, u16, u16, u16, expression)                    \
    OPERATION(name##_32, u32, put32, u32, u32, u32, expression)                    \
    OPERATION(name##_64, u64, put64, u64, u64, u64, expression)                    \
    static void name##_p(struct warp* w, const struct instruction* in, u32 mask) { \
        const u32 x = *REGP(w, in->a), y = *REGP(w, in->b);                        \
        (void)y;                                                                   \
        put_predicate(w, in->d, expression, mask);                                 \
    }

ALL_WIDTHS(and, x& y)
ALL_WIDTHS(or, x | y)
ALL_WIDTHS(xor, x ^ y)
ALL_WIDTHS(not, ~x)
OPERATION(cnot_32, u32, put32, u32, u32, u32, x == 0)

// A shift by the width or more gives zeros, or signs.
#define SHIFT(name, T, put, A, last, expression) OPERATION(name, T, put, A, u32, u32, expression)
SHIFT(shl_16, u16, put16, u16, 15, y > 15 ? 0 : (u32)x << y)
SHIFT(shl_32, u32, put32, u32, 31, y > 31 ? 0 : x << (y & 31))
SHIFT(shl_64, u64, put64, u64, 63, y > 63 ? 0 : x << (y & 63))
SHIFT(shr_u16, u16, put16, u16, 15, y > 15 ? 0 : x >> y)
SHIFT(shr_u32, u32, put32, u32, 31, y > 31 ? 0 : x >> (y & 31))
SHIFT(shr_u64, u64, put64, u64, 63, y > 63 ? 0 : x >> (y & 63))
SHIFT(shr_s16, u16, put16, s16, 15, x >> (y > 15 ? 15 : y))
SHIFT(shr_s32, u32, put32, s32, 31, x >> (y > 31 ? 31 : y))
SHIFT(shr_s64, u64, put64, s64, 63, x >> (y > 63 ? 63 : y))

// Funnel shifts of y:x.
#define PAIR    ((u64)y << 32 | x)
#define CLAMPED (z > 32 ? 32 : z)
OPERATION(shf_l_wrap, u32, put32, u32, u32, u32, PAIR << (z & 31) >> 32)
OPERATION(shf_r_wrap, u32, put32, u32, u32, u32, PAIR >> (z & 31))
OPERATION(shf_l_clamp, u32, put32, u32, u32, u32, PAIR << CLAMPED >> 32)
OPERATION(shf_r_clamp, u32, put32, u32, u32, u32, PAIR >> CLAMPED)

OPERATION(popc_32, u32, put32, u32, u32, u32, __builtin_popcount(x))
OPERATION(popc_64, u32, put32, u64, u32, u32, __builtin_popcountll(x))
OPERATION(clz_32, u32, put32, u32, u32, u32, x == 0 ? 32 : __builtin_clz(x))
OPERATION(clz_64, u32, put32, u64, u32, u32, x == 0 ? 64 : __builtin_clzll(x))

static inline u32 reversed(u32 x) {
    x = (x >> 1 & 0x55555555u) | (x & 0x55555555u) << 1;
    x = (x >> 2 & 0x33333333u) | (x & 0x33333333u) << 2;
    x = (x >> 4 & 0x0f0f0f0fu) | (x & 0x0f0f0f0fu) << 4;
    return __builtin_bswap32(x);
}
OPERATION(brev_32, u32, put32, u32, u32, u32, reversed(x))
OPERATION(brev_64, u64, put64, u64, u32, u32, (u64)reversed((u32)x) << 32 | reversed((u32)(x >> 32)))

static inline u32 leading(u64 x, u32 last, bool is_shift) {
    if (x == 0) return ~0u;
    const u32 place = 63 - (u32)__builtin_clzll(x);
    return is_shift ? last - place : place;
}
#define INVERTED(x) ((x) < 0 ? ~(x) : (x))
OPERATION(bfind_u32, u32, put32, u32, u32, u32, leading(x, 31, false))
OPERATION(bfind_u64, u32, put32, u64, u32, u32, leading(x, 63, false))
OPERATION(bfind_s32, u32, put32, s32, u32, u32, leading((u64)INVERTED(x), 31, false))
OPERATION(bfind_s64, u32, put32, s64, u32, u32, leading((u64)INVERTED(x), 63, false))
OPERATION(bfind_shift_u32, u32, put32, u32, u32, u32, leading(x, 31, true))
OPERATION(bfind_shift_u64, u32, put32, u64, u32, u32, leading(x, 63, true))
OPERATION(bfind_shift_s32, u32, put32, s32, u32, u32, leading((u64)INVERTED(x), 31, true))
OPERATION(bfind_shift_s64, u32, put32, s64, u32, u32, leading((u64)INVERTED(x), 63, true))

// A bit field beyond the word reads its sign, or zeros.
static inline u64 field(u64 x, u32 start, u32 length, u32 bits, bool is_signed) {
    start &= 0xff, length &= 0xff;
    const u64 sign = is_signed && length > 0 ? x >> (start + length - 1 < bits ? start + length - 1 : bits - 1) & 1 : 0;
    u64 result = 0;
    for (u32 i = 0; i < bits; i++) {
        const u64 bit = i < length && start + i < bits ? x >> (start + i) & 1 : sign;
        result |= bit << i;
    }
    return result;
}
OPERATION(bfe_u32, u32, put32, u32, u32, u32, field(x, y, z, 32, false))
OPERATION(bfe_s32, u32, put32, u32, u32, u32, field(x, y, z, 32, true))
OPERATION(bfe_u64, u64, put64, u64, u32, u32, field(x, y, z, 64, false))
OPERATION(bfe_s64, u64, put64, u64, u32, u32, field(x, y, z, 64, true))

static inline u64 inserted(u64 x, u64 into, u32 start, u32 length, u32 bits) {
    start &= 0xff, length &= 0xff;
    for (u32 i = 0; i < length && start + i < bits; i++)
        into = (into & ~(1ull << (start + i))) | (x >> i & 1) << (start + i);
    return into;
}

static void bfi_32(struct warp* w, const struct instruction* in, u32 mask) {
    FOR_LANES(i, mask)
    REG32(w, in->d)
    [i] = (u32)inserted(REG32(w, in->a)[i], REG32(w, in->b)[i], REG32(w, in->c)[i], REG32(w, in->e)[i], 32);
}

static void bfi_64(struct warp* w, const struct instruction* in, u32 mask) {
    FOR_LANES(i, mask)
    REG64(w, in->d)[i] = inserted(REG64(w, in->a)[i], REG64(w, in->b)[i], REG32(w, in->c)[i], REG32(w, in->e)[i], 64);
}

// The table's bit for each combination of bits, in the order of the documentation: a is 0xf0, b 0xcc, c 0xaa.
static void lop3(struct warp* w, const struct instruction* in, u32 mask) {
    const u32 table = REG32(w, in->e)[0];
    u32 values[LANES];
    const u32 *a = REG32(w, in->a), *b = REG32(w, in->b), *c = REG32(w, in->c);
    for (u32 i = 0; i < LANES; i++) {
        u32 result = 0;
        for (u32 row = 0; row < 8; row++)
            if (table >> row & 1)
                result |= (row & 4 ? a[i] : ~a[i]) & (row & 2 ? b[i] : ~b[i]) & (row & 1 ? c[i] : ~c[i]);
        values[i] = result;
    }
    put32(REG32(w, in->d), values, mask);
}

// --- Bytes --------------------------------------------------------------------------------------------------------

static inline u32 byte_of(u64 pair, u32 selector) {
    const u32 byte = (u32)(pair >> 8 * (selector & 7)) & 0xff;
    return selector & 8 ? (byte & 0x80 ? 0xff : 0) : byte; // the sign of the byte instead of it
}

static inline u32 permuted(u64 pair, u32 selectors) {
    u32 result = 0;
    for (u32 i = 0; i < 4; i++) result |= byte_of(pair, selectors >> 4 * i & 15) << 8 * i;
    return result;
}

// The special modes, as the selectors that they stand for.
static const u16 prmt_selectors[6][4] = {
    {0x3210, 0x4321, 0x5432, 0x6543}, // f4e
    {0x5670, 0x6701, 0x7012, 0x0123}, // b4e
    {0x0000, 0x1111, 0x2222, 0x3333}, // rc8
    {0x3210, 0x3211, 0x3222, 0x3333}, // ecl
    {0x0000, 0x1110, 0x2210, 0x3210}, // ecr
    {0x1010, 0x3232, 0x1010, 0x3232}, // rc16
};
OPERATION(prmt, u32, put32, u32, u32, u32, permuted(PAIR, z))
OPERATION(prmt_f4e, u32, put32, u32, u32, u32, permuted(PAIR, prmt_selectors[0][z & 3]))
OPERATION(prmt_b4e, u32, put32, u32, u32, u32, permuted(PAIR, prmt_selectors[1][z & 3]))
OPERATION(prmt_rc8, u32, put32, u32, u32, u32, permuted(PAIR, prmt_selectors[2][z & 3]))
OPERATION(prmt_ecl, u32, put32, u32, u32, u32, permuted(PAIR, prmt_selectors[3][z & 3]))
OPERATION(prmt_ecr, u32, put32, u32, u32, u32, permuted(PAIR, prmt_selectors[4][z & 3]))
OPERATION(prmt_rc16, u32, put32, u32, u32, u32, permuted(PAIR, prmt_selectors[5][z & 3]))

// --- Moves and selection ------------------------------------------------------------------------------------------

#define MOVE(name, T, put)                                              \
    void name(struct warp* w, const struct instruction* in, u32 mask) { \
        const T* a = (const T*)(const void*)(w->file + in->a);          \
        T values[LANES];                                                \
        for (u32 i = 0; i < LANES; i++) values[i] = a[i];               \
        put((T*)(void*)(w->file + in->d), values, mask);                \
    }
MOVE(move16, u16, put16)
MOVE(move32, u32, put32)
MOVE(move64, u64, put64)

void move_predicate(struct warp* w, const struct instruction* in, u32 mask) {
    put_predicate(w, in->d, *REGP(w, in->a), mask);
}

void nothing(struct warp* w, const struct instruction* in, u32 mask) { (void)w, (void)in, (void)mask; }

// The elements side by side in one register, the first one lowest: in->width bytes each.
void pack(struct warp* w, const struct instruction* in, u32 mask) {
    if (in->count == 2 && in->width == 4) {
        const u32 *low = REG32(w, in->list[0]), *high = REG32(w, in->list[1]);
        u64 values[LANES];
        for (u32 i = 0; i < LANES; i++) values[i] = low[i] | (u64)high[i] << 32;
        put64(REG64(w, in->d), values, mask);
        return;
    }
    if (in->count == 2) {
        const u16 *low = REG16(w, in->list[0]), *high = REG16(w, in->list[1]);
        u32 values[LANES];
        for (u32 i = 0; i < LANES; i++) values[i] = low[i] | (u32)high[i] << 16;
        put32(REG32(w, in->d), values, mask);
        return;
    }
    FOR_LANES(i, mask) {
        u8 bytes[8] = {0};
        for (u32 k = 0; k < in->count; k++)
            memcpy(bytes + k * in->width, w->file + in->list[k] + i * in->width, in->width);
        const u32 size = in->count * in->width;
        memcpy(w->file + in->d + i * size, bytes, size);
    }
}

void unpack(struct warp* w, const struct instruction* in, u32 mask) {
    if (in->count == 2) {
        for (u32 k = 0; k < 2; k++) {
            if (in->list[k] == 0) continue;
            u32 words[LANES];
            u16 halves[LANES];
            if (in->width == 4)
                for (u32 i = 0; i < LANES; i++) words[i] = (u32)(REG64(w, in->a)[i] >> 32 * k);
            else
                for (u32 i = 0; i < LANES; i++) halves[i] = (u16)(REG32(w, in->a)[i] >> 16 * k);
            if (in->width == 4)
                put32(REG32(w, in->list[k]), words, mask);
            else
                put16(REG16(w, in->list[k]), halves, mask);
        }
        return;
    }
    FOR_LANES(i, mask) {
        u8 bytes[8];
        const u32 size = in->count * in->width;
        memcpy(bytes, w->file + in->a + i * size, size);
        for (u32 k = 0; k < in->count; k++)
            if (in->list[k] != 0) memcpy(w->file + in->list[k] + i * in->width, bytes + k * in->width, in->width);
    }
}

#define SELECT(name, T, put)                                                                                  \
    static void name(struct warp* w, const struct instruction* in, u32 mask) {                                \
        const u32 chosen = *REGP(w, in->c);                                                                   \
        const T *a = (const T*)(const void*)(w->file + in->a), *b = (const T*)(const void*)(w->file + in->b); \
        T values[LANES];                                                                                      \
        for (u32 i = 0; i < LANES; i++) values[i] = has_lane(chosen, i) ? a[i] : b[i];                        \
        put((T*)(void*)(w->file + in->d), values, mask);                                                      \
    }
SELECT(selp_16, u16, put16)
SELECT(selp_32, u32, put32)
SELECT(selp_64, u64, put64)

OPERATION(slct_32_s32, u32, put32, u32, u32, s32, z >= 0 ? x : y)
OPERATION(slct_64_s32, u64, put64, u64, u64, s32, z >= 0 ? x : y)
OPERATION(slct_32_f32, u32, put32, u32, u32, float, z >= 0 ? x : y)
OPERATION(slct_64_f32, u64, put64, u64, u64, float, z >= 0 ? x : y)

// --- Kinds of numbers ---------------------------------------------------------------------------------------------

#define TEST(name, T, slot, expression)                                        \
    static void name(struct warp* w, const struct instruction* in, u32 mask) { \
        const T* a = slot(w, in->a);                                           \
        u32 result = 0;                                                        \
        for (u32 i = 0; i < LANES; i++) {                                      \
            const T x = a[i];                                                  \
            result |= (u32)(expression) << i;                                  \
        }                                                                      \
        put_predicate(w, in->d, result, mask);                                 \
    }
#define TESTS(kind, f32, f64) TEST(testp_##kind##_f32, u32, REG32, f32) TEST(testp_##kind##_f64, u64, REG64, f64)
#define SIZE32                (x & 0x7fffffffu)
#define SIZE64                (x & 0x7fffffffffffffffull)
TESTS(finite, SIZE32 < 0x7f800000u, SIZE64 < 0x7ff0000000000000ull)
TESTS(infinite, SIZE32 == 0x7f800000u, SIZE64 == 0x7ff0000000000000ull)
TESTS(number, SIZE32 <= 0x7f800000u, SIZE64 <= 0x7ff0000000000000ull)
TESTS(notanumber, SIZE32 > 0x7f800000u, SIZE64 > 0x7ff0000000000000ull)
TESTS(normal, SIZE32 - 0x00800000u < 0x7f000000u, SIZE64 - 0x0010000000000000ull < 0x7fe0000000000000ull)
TESTS(subnormal, SIZE32 - 1 < 0x007fffffu, SIZE64 - 1 < 0x000fffffffffffffull)

const struct row bit_rows[] = {
#define LOGIC(name, function, arguments16, arguments32, arguments64, arguments_p)                                   \
    {name ".b16", arguments16, function##_16, PTX_INTEGER}, {name ".b32", arguments32, function##_32, PTX_INTEGER}, \
        {name ".b64", arguments64, function##_64, PTX_INTEGER},                                                     \
        {name ".pred", arguments_p, function##_p, PTX_INTEGER},
#define EACH(name, operands32, operands64, function)                                                                \
    {name ".u32", operands32, function##_u32, PTX_INTEGER}, {name ".s32", operands32, function##_s32, PTX_INTEGER}, \
        {name ".u64", operands64, function##_u64, PTX_INTEGER},                                                     \
        {name ".s64", operands64, function##_s64, PTX_INTEGER},
    LOGIC("and", and, "hhh", "www", "qqq", "ppp") LOGIC("or", or, "hhh", "www", "qqq", "ppp")
        LOGIC("xor", xor, "hhh", "www", "qqq", "ppp")
            LOGIC("not", not, "hh", "ww", "qq", "pp"){"cnot.b32", "ww", cnot_32, PTX_INTEGER},
    {"shl.b16", "hhw", shl_16, PTX_INTEGER},
    {"shl.b32", "www", shl_32, PTX_INTEGER},
    {"shl.b64", "qqw", shl_64, PTX_INTEGER},
    {"shr.u16", "hhw", shr_u16, PTX_INTEGER},
    {"shr.u32", "www", shr_u32, PTX_INTEGER},
    {"shr.u64", "qqw", shr_u64, PTX_INTEGER},
    {"shr.s16", "hhw", shr_s16, PTX_INTEGER},
    {"shr.s32", "www", shr_s32, PTX_INTEGER},
    {"shr.s64", "qqw", shr_s64, PTX_INTEGER},
    {"shr.b16", "hhw", shr_u16, PTX_INTEGER},
    {"shr.b32", "www", shr_u32, PTX_INTEGER},
    {"shr.b64", "qqw", shr_u64, PTX_INTEGER},
    {"shf.l.wrap.b32", "wwww", shf_l_wrap, PTX_INTEGER},
    {"shf.r.wrap.b32", "wwww", shf_r_wrap, PTX_INTEGER},
    {"shf.l.clamp.b32", "wwww", shf_l_clamp, PTX_INTEGER},
    {"shf.r.clamp.b32", "wwww", shf_r_clamp, PTX_INTEGER},
    {"popc.b32", "ww", popc_32, PTX_INTEGER},
    {"popc.b64", "wq", popc_64, PTX_INTEGER},
    {"clz.b32", "ww", clz_32, PTX_INTEGER},
    {"clz.b64", "wq", clz_64, PTX_INTEGER},
    {"brev.b32", "ww", brev_32, PTX_INTEGER},
    {"brev.b64", "qq", brev_64, PTX_INTEGER},
    EACH("bfind", "ww", "wq", bfind) EACH("bfind.shiftamt", "ww", "wq", bfind_shift)
        EACH("bfe", "wwww", "qqww", bfe){"bfi.b32", "wwwww", bfi_32, PTX_INTEGER},
    {"bfi.b64", "qqqww", bfi_64, PTX_INTEGER},
    {"lop3.b32", "wwwww", lop3, PTX_INTEGER},
    {"prmt.b32", "wwww", prmt, PTX_INTEGER},
    {"prmt.b32.f4e", "wwww", prmt_f4e, PTX_INTEGER},
    {"prmt.b32.b4e", "wwww", prmt_b4e, PTX_INTEGER},
    {"prmt.b32.rc8", "wwww", prmt_rc8, PTX_INTEGER},
    {"prmt.b32.ecl", "wwww", prmt_ecl, PTX_INTEGER},
    {"prmt.b32.ecr", "wwww", prmt_ecr, PTX_INTEGER},
    {"prmt.b32.rc16", "wwww", prmt_rc16, PTX_INTEGER},
    {"selp.b16", "hhhp", selp_16, PTX_INTEGER},
    {"selp.b32", "wwwp", selp_32, PTX_INTEGER},
    {"selp.b64", "qqqp", selp_64, PTX_INTEGER},
    {"slct.b32.s32", "wwww", slct_32_s32, PTX_INTEGER},
    {"slct.b64.s32", "qqqw", slct_64_s32, PTX_INTEGER},
    {"slct.b32.f32", "wwww", slct_32_f32, PTX_INTEGER},
    {"slct.b64.f32", "qqqw", slct_64_f32, PTX_INTEGER},
#define KIND(kind)                                                  \
    {"testp." #kind ".f32", "pw", testp_##kind##_f32, PTX_INTEGER}, \
        {"testp." #kind ".f64", "pq", testp_##kind##_f64, PTX_INTEGER},
    KIND(finite) KIND(infinite) KIND(number) KIND(notanumber) KIND(normal) KIND(subnormal){0},
};
