// Sums over a work group, and sums and maxima over teams: `team` consecutive work items, a power of two up to
// GROUP_SIZE. Fixed order, so the same bits in every run. `scratch` holds GROUP_SIZE values (for several sums that many
// each); every work item of the group calls and gets the result of its group or team. The scratch may be used again
// right after. running_sum is the sum over the items up to the caller, and its total that over all. team_sums_first is
// for sums of which a call needs the first `wanted` alone: one call after another, or a barrier under a condition, is
// what PoCL does not take.

#if DIALECT_CUDA
DEVICE real warp_sum(real value) {
    for (int distance = 16; distance > 0; distance /= 2) value += __shfl_xor_sync(0xffffffffu, value, distance);
    return value;
}

DEVICE INLINED u64 running_sum(u64 value, LOCAL u64* scratch, u64* total) {
    const u32 lane = LOCAL_ID % 32, own = LOCAL_ID / 32;
    for (u32 distance = 1; distance < 32; distance *= 2) {
        const u64 before = __shfl_up_sync(0xffffffffu, value, distance);
        value += lane >= distance ? before : 0;
    }
    if (lane == 31) scratch[own] = value;
    BARRIER();
    *total = 0;
    for (u32 warp = 0; warp < GROUP_SIZE / 32; warp++) {
        value += warp < own ? scratch[warp] : 0;
        *total += scratch[warp];
    }
    BARRIER();
    return value;
}

DEVICE INLINED real group_sum(real value, LOCAL real* scratch) {
    value = warp_sum(value);
    if (LOCAL_ID % 32 == 0) scratch[LOCAL_ID / 32] = value;
    BARRIER();
    value = 0;
    for (u32 warp = 0; warp < GROUP_SIZE / 32; warp++) value += scratch[warp];
    BARRIER();
    return value;
}

// Sums of `team` neighbours, no more than a warp, which need no barrier. The shuffles of all values go together.
DEVICE void neighbour_sums(real* values, u32 count, u32 wanted, u32 team) {
    for (u32 distance = team / 2; distance > 0; distance /= 2)
        for (u32 i = 0; i < count; i++)
            if (i < wanted) values[i] += __shfl_xor_sync(0xffffffffu, values[i], distance);
}

// Where the result of a warp of the team lies: item by item they take it in turn.
DEVICE u32 warp_result(u32 team) { return (LOCAL_ID & (0u - team)) / 32 + (LOCAL_ID & (team / 32 - 1)); }

DEVICE INLINED void team_sums_first(real* values, u32 count, u32 wanted, u32 team, LOCAL real* scratch) {
    neighbour_sums(values, count, wanted, team < 32 ? team : 32);
    if (team <= 32) return;
    for (u32 i = 0; i < count; i++)
        if (LOCAL_ID % 32 == 0 && i < wanted) scratch[i * GROUP_SIZE + LOCAL_ID / 32] = values[i];
    BARRIER();
    for (u32 i = 0; i < count; i++)
        if (i < wanted) values[i] = scratch[i * GROUP_SIZE + warp_result(team)];
    neighbour_sums(values, count, wanted, team / 32);
    BARRIER();
}

DEVICE INLINED void team_sums(real* values, u32 count, u32 team, LOCAL real* scratch) {
    team_sums_first(values, count, count, team, scratch);
}

DEVICE real neighbour_max(real value, u32 team) {
    for (u32 distance = team / 2; distance > 0; distance /= 2)
        value = MAX(value, __shfl_xor_sync(0xffffffffu, value, distance));
    return value;
}

DEVICE INLINED real team_max(real value, u32 team, LOCAL real* scratch) {
    value = neighbour_max(value, team < 32 ? team : 32);
    if (team <= 32) return value;
    if (LOCAL_ID % 32 == 0) scratch[LOCAL_ID / 32] = value;
    BARRIER();
    value = neighbour_max(scratch[warp_result(team)], team / 32);
    BARRIER();
    return value;
}
#else
DEVICE INLINED u64 running_sum(u64 value, LOCAL u64* scratch, u64* total) {
    scratch[LOCAL_ID] = value;
    BARRIER();
    for (u32 distance = 1; distance < GROUP_SIZE; distance *= 2) {
        const u64 before = LOCAL_ID >= distance ? scratch[LOCAL_ID - distance] : 0;
        BARRIER();
        scratch[LOCAL_ID] += before;
        BARRIER();
    }
    value = scratch[LOCAL_ID];
    *total = scratch[GROUP_SIZE - 1];
    BARRIER();
    return value;
}

DEVICE INLINED real group_sum(real value, LOCAL real* scratch) {
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

DEVICE INLINED void team_sums(real* values, u32 count, u32 team, LOCAL real* scratch) {
    for (u32 i = 0; i < count; i++) scratch[i * GROUP_SIZE + LOCAL_ID] = values[i];
    BARRIER();
    for (u32 half_size = team / 2; half_size > 0; half_size /= 2) {
        for (u32 i = 0; i < count; i++)
            if (LOCAL_ID % team < half_size)
                scratch[i * GROUP_SIZE + LOCAL_ID] += scratch[i * GROUP_SIZE + LOCAL_ID + half_size];
        BARRIER();
    }
    for (u32 i = 0; i < count; i++) values[i] = scratch[i * GROUP_SIZE + LOCAL_ID / team * team];
    BARRIER();
}

DEVICE INLINED void team_sums_first(real* values, u32 count, u32 wanted, u32 team, LOCAL real* scratch) {
    team_sums(values, count, team, scratch);
}

DEVICE INLINED real team_max(real value, u32 team, LOCAL real* scratch) {
    scratch[LOCAL_ID] = value;
    BARRIER();
    for (u32 half_size = team / 2; half_size > 0; half_size /= 2) {
        if (LOCAL_ID % team < half_size) scratch[LOCAL_ID] = MAX(scratch[LOCAL_ID], scratch[LOCAL_ID + half_size]);
        BARRIER();
    }
    value = scratch[LOCAL_ID / team * team];
    BARRIER();
    return value;
}
#endif
