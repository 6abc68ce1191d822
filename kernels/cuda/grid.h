// A barrier of groups of a cooperative launch, which orders their accesses to global memory.

// Of `members` groups, all of which come; `member` is the caller's number among them. The counter begins as 0. Its top
// bit changes when all have come: the first member adds what the others' ones make up for. That leaves it ready for the
// next barrier, of this launch or of another, of however many groups.
DEVICE void barrier_of_groups(u32* counter, u32 member, u32 members) {
    BARRIER();
    if (LOCAL_ID == 0) {
        const u64 address = __cvta_generic_to_global(counter);
        const u32 own = member == 0 ? 0x80000001u - members : 1u;
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
