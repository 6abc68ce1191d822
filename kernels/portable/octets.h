// Eight neighbours of a row, which has `left` elements from the first of them on. VEC = 8 says that rows are whole
// eights on addresses of 16 bytes.

// Those beyond the end are 0.
DEVICE void load_octet(GLOBAL const scalar* source, u64 index, u64 left, real* values) {
#if VEC == 8
    load8(source, index, values);
#else
    for (u32 lane = 0; lane < 8; lane++) values[lane] = lane < left ? load(source, index + lane) : (real)0;
#endif
}

DEVICE void store_octet(GLOBAL scalar* target, u64 index, u64 left, const real* values) {
#if VEC == 8
    store8(target, index, values);
#else
    for (u32 lane = 0; lane < 8; lane++)
        if (lane < left) store(target, index + lane, values[lane]);
#endif
}
