// Modifiers that many operations take: flushing of subnormal numbers, saturation to [0, 1], roundings other than to
// nearest. The operands go through the room at the start of the file, the plain operation does the rest.

#include "machine.h"

#include <fenv.h>

static void flush(struct warp* w, u32* slot, u32 scratch) {
    const u32* source = REG32(w, *slot);
    u32* target = REG32(w, FILE_SCRATCH + scratch * 256);
    for (u32 i = 0; i < LANES; i++) target[i] = source[i] & 0x7f800000u ? source[i] : source[i] & 0x80000000u;
    *slot = FILE_SCRATCH + scratch * 256;
}

void modified(struct warp* w, const struct instruction* in, u32 mask) {
    static const int modes[] = {
        [NEAREST] = FE_TONEAREST, [TOWARD_ZERO] = FE_TOWARDZERO, [DOWN] = FE_DOWNWARD, [UP] = FE_UPWARD};
    struct instruction plain = *in;
    const bool flushes_sources = in->ftz && (in->source_type == NO_TYPE ? in->type : in->source_type) == F32;
    const bool flushes_result = in->ftz && in->type == F32;
    if (flushes_sources && in->a != 0) flush(w, &plain.a, 0);
    if (flushes_sources && in->b != 0) flush(w, &plain.b, 1);
    if (flushes_sources && in->c != 0 && in->combine == NO_COMBINE) flush(w, &plain.c, 2);
    const bool is_rounded = in->rounding >= TOWARD_ZERO && in->rounding <= UP;
    if (is_rounded) fesetround(modes[in->rounding]);
    in->inner(w, &plain, mask);
    if (is_rounded) fesetround(FE_TONEAREST);
    if (in->sat && in->type == F32) FOR_LANES(i, mask) {
            float* value = &REGF(w, in->d)[i];
            *value = *value > 1 ? 1.0f : *value > 0 ? *value : 0.0f;
        }
    if (in->sat && in->type == F64) FOR_LANES(i, mask) {
            double* value = &REGD(w, in->d)[i];
            *value = *value > 1 ? 1.0 : *value > 0 ? *value : 0.0;
        }
    if (flushes_result) FOR_LANES(i, mask) {
            u32* value = &REG32(w, in->d)[i];
            *value = *value & 0x7f800000u ? *value : *value & 0x80000000u;
        }
}
