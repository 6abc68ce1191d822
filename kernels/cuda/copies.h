// Copies from global to shared memory that run beside the code, 16 bytes each. Needs compute capability 8.0.

#define CHUNK_BYTES 16

#define COMMIT_COPIES() asm volatile("cp.async.commit_group;" ::: "memory")

// Waits for all copies of this thread but those of the last `count` commits.
#define WAIT_COPIES(count) asm volatile("cp.async.wait_group %0;" ::"n"(count) : "memory")

// Addresses of global memory are numbers, made once: compilers like to add up their parts anew at each use.
DEVICE u64 global_address(const scalar* pointer) {
    u64 address;
    asm volatile("cvta.to.global.u64 %0, %1;" : "=l"(address) : "l"(pointer));
    return address;
}

DEVICE u32 shared_address(const void* pointer) { return (u32)__cvta_generic_to_shared(pointer); }

// Copies 16 bytes, or sets them to zeros and reads nothing.
DEVICE void copy_chunk(u32 target, u64 source, u32 is_inside) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(target), "l"(source), "r"(is_inside ? 16 : 0)
                 : "memory");
}
