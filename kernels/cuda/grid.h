// A barrier of all groups of a cooperative launch, which orders their accesses to global memory.

// The counter begins as 0. Its top bit changes when all groups have come: the first adds what the others' ones make up
// for. That leaves it ready for the next barrier, of this launch or of another, whose grid may be of another size.
DEVICE void grid_barrier(u32* counter) {
    BARRIER();
    if (LOCAL_ID == 0) {
        const u64 address = __cvta_generic_to_global(counter);
        const u32 own = GROUP_ID == 0 ? 0x80000001u - (u32)GROUP_COUNT : 1u;
        u32 before, now;
        asm volatile("atom.add.acq_rel.gpu.global.u32 %0, [%1], %2;"
                     : "=r"(before)
                     : "l"(address), "r"(own)
                     : "memory");
        do asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(now) : "l"(address) : "memory");
        while (((now ^ before) & 0x80000000u) == 0);
    }
    BARRIER();
}
