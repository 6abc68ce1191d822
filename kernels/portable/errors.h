// Data that a kernel cannot use is reported, not trapped: the lowest index stays in the slot, and the host throws at
// its next synchronisation.

DEVICE void report_error(GLOBAL u32* error, u64 error_offset, u64 index) {
    ATOMIC_MIN(error + error_offset, index < 0xfffffffeul ? (u32)index : 0xfffffffeu);
}
