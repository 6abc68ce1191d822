// Division by a number that the host knows, as a product (Granlund and Montgomery, "Division by invariant integers
// using multiplication", PLDI 1994). With shift = ceil(log2 divisor) and inverse = floor(2^(63 + shift) / divisor) + 1
// it is exact for every n below 2^63.
DEVICE u64 quotient(u64 n, u64 inverse, u32 shift) { return MUL_HI_64(2 * n, inverse) >> shift; }
