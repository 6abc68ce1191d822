// Pixels of three bytes in shared memory as words, which one load brings whole: red lowest, the upper byte is anything.

// 2^23: a byte in the last bits of its float is as much more. Its bits are made of a byte's white, 255, which compilers
// do not know: a constant they would bring to a register anew for each use.
#define BYTE_ORIGIN 8388608.0f
DEVICE u32 byte_origin_bits(float white) { return AS_U32(FMA(white, 32768.0f, 32768.0f)); }

// The address of the word at a row and a column, whole numbers in floats, of words from an address on whose rows are
// `stride` bytes apart. An address below 2^23 is a float too small to be normal: these are calculated with exactly, and
// two products take the place of conversions.
DEVICE u32 word_address(u32 words, u32 stride, float row, float column) {
    return AS_U32(FMA(row, AS_F32(stride), FMA(column, AS_F32(4u), AS_F32(words))));
}

// The word at an address of shared memory, and the one behind it.
DEVICE u32 word_at(u32 address) {
    u32 word;
    asm volatile("ld.shared.u32 %0, [%1];" : "=r"(word) : "r"(address));
    return word;
}

DEVICE u32 word_behind(u32 address) {
    u32 word;
    asm volatile("ld.shared.u32 %0, [%1+4];" : "=r"(word) : "r"(address));
    return word;
}

// BYTE_ORIGIN, whose bits are given, + a channel of a pixel.
DEVICE float above_origin(u32 word, u32 channel, u32 origin) {
    return AS_F32(__byte_perm(word, origin, 0x7440 + channel));
}

// sum + the products of two shares of 16 bits with bytes 0 and 1, or 2 and 3, of a word.
DEVICE u32 add_low_products(u32 shares, u32 bytes, u32 sum) {
    asm("dp2a.lo.u32.u32 %0, %1, %2, %0;" : "+r"(sum) : "r"(shares), "r"(bytes));
    return sum;
}

DEVICE u32 add_high_products(u32 shares, u32 bytes, u32 sum) {
    asm("dp2a.hi.u32.u32 %0, %1, %2, %0;" : "+r"(sum) : "r"(shares), "r"(bytes));
    return sum;
}

// Four pixels of which three words hold a channel each.
DEVICE uint4 words_of_planes(u32 red, u32 green, u32 blue) {
    const u32 low = __byte_perm(red, green, 0x5140), high = __byte_perm(red, green, 0x7362);
    uint4 words;
    words.x = __byte_perm(low, blue, 0x4410), words.y = __byte_perm(low, blue, 0x5532);
    words.z = __byte_perm(high, blue, 0x6610), words.w = __byte_perm(high, blue, 0x7732);
    return words;
}

// Four pixels whose bytes follow each other.
DEVICE uint4 words_of_bytes(u32 first, u32 second, u32 third) {
    uint4 words;
    words.x = first, words.y = __byte_perm(first, second, 0x6543);
    words.z = __byte_perm(second, third, 0x5432), words.w = third >> 8;
    return words;
}
