// Sums and maxima over a work group. Fixed order, so the same bits in every run. `scratch` holds GROUP_SIZE values; every work item of the group calls
// and gets the result. The scratch may be used again right after.

#if DIALECT_CUDA
DEVICE real warp_sum(real value) {
    for (int distance = 16; distance > 0; distance /= 2) value += __shfl_xor_sync(0xffffffffu, value, distance);
    return value;
}

DEVICE real warp_max(real value) {
    for (int distance = 16; distance > 0; distance /= 2)
        value = MAX(value, __shfl_xor_sync(0xffffffffu, value, distance));
    return value;
}

DEVICE real group_sum(real value, LOCAL real* scratch) {
    value = warp_sum(value);
    if (LOCAL_ID % 32 == 0) scratch[LOCAL_ID / 32] = value;
    BARRIER();
    value = 0;
    for (u32 warp = 0; warp < GROUP_SIZE / 32; warp++) value += scratch[warp];
    BARRIER();
    return value;
}

DEVICE real group_max(real value, LOCAL real* scratch) {
    value = warp_max(value);
    if (LOCAL_ID % 32 == 0) scratch[LOCAL_ID / 32] = value;
    BARRIER();
    value = scratch[0];
    for (u32 warp = 1; warp < GROUP_SIZE / 32; warp++) value = MAX(value, scratch[warp]);
    BARRIER();
    return value;
}
#else
DEVICE real group_sum(real value, LOCAL real* scratch) {
    scratch[LOCAL_ID] = value;
    BARRIER();
    for (u32 half_size = GROUP_SIZE / 2; half_size > 0; half_size /= 2) {
        if (LOCAL_ID < half_size) scratch[LOCAL_ID] += scratch[LOCAL_ID + half_size];
        BARRIER();
    }
    value = scratch[0];
    BARRIER();
    return value;
}

DEVICE real group_max(real value, LOCAL real* scratch) {
    scratch[LOCAL_ID] = value;
    BARRIER();
    for (u32 half_size = GROUP_SIZE / 2; half_size > 0; half_size /= 2) {
        if (LOCAL_ID < half_size) scratch[LOCAL_ID] = MAX(scratch[LOCAL_ID], scratch[LOCAL_ID + half_size]);
        BARRIER();
    }
    value = scratch[0];
    BARRIER();
    return value;
}
#endif
