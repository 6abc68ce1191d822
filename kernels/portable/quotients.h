// Square roots and quotients of `count` numbers, a constant, rounded as SQRT and / round them. In float on CUDA numbers
// of usual sizes are calculated side by side: the compiler's own way takes them one by one, each with a branch.

#define ARE_SIDE_BY_SIDE (DIALECT_CUDA && !DTYPE_F64)

DEVICE void square_roots(u32 count, real* values) {
#if ARE_SIDE_BY_SIDE
    u32 are_usual = 1;
    for (u32 k = 0; k < count; k++)
        are_usual &= (values[k] == 0) | ((values[k] > 1e-30f) & (values[k] < -NEGATIVE_INFINITY));
    if (are_usual) {
        for (u32 k = 0; k < count; k++) values[k] = usual_sqrt(values[k]);
        return;
    }
#endif
    for (u32 k = 0; k < count; k++) values[k] = SQRT(values[k]);
}

#if ARE_SIDE_BY_SIDE
DEVICE u32 is_usual(float x) {
    const u32 magnitude = AS_U32(x) & 0x7fffffffu;
    return magnitude - 0x21800000u < 0x3c000000u; // from 2^-60 to 2^60
}
#endif

// Divides in place.
DEVICE void divide(u32 count, real* values, const real* divisors) {
#if ARE_SIDE_BY_SIDE
    u32 are_usual = 1;
    for (u32 k = 0; k < count; k++)
        are_usual &= ((AS_U32(values[k]) == 0) | is_usual(values[k])) & is_usual(divisors[k]);
    if (are_usual) {
        for (u32 k = 0; k < count; k++) values[k] = usual_quotient(values[k], divisors[k]);
        return;
    }
#endif
    for (u32 k = 0; k < count; k++) values[k] = values[k] / divisors[k];
}
