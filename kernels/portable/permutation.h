// A keyed permutation of 0 to size - 1 that needs no table: an unbalanced Feistel network of eight rounds over the next
// power of two, whose results that are no index are put in again until they are one (J. Black and P. Rogaway, "Ciphers
// with arbitrary finite domains", CT-RSA 2002). Each index comes out once, whatever the size.

typedef struct {
    u32 words[8];
} permutation_key;

DEVICE permutation_key permutation_key_of(random_key owner, u32 op, u32 draw) {
    const philox_block first = augment_draw(owner, op, draw), second = augment_draw(owner, op, draw + 1);
    permutation_key key;
    for (u32 i = 0; i < 4; i++) {
        key.words[i] = first.words[i];
        key.words[4 + i] = second.words[i];
    }
    return key;
}

// A mixing function of C. Wellons (lowbias32).
DEVICE u32 scramble(u32 x) {
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
}

// `size` is at most 2^31.
DEVICE u32 permuted(permutation_key key, u32 size, u32 index) {
    u32 bits = 2;
    while (1u << bits < size) bits++;
    const u32 low_bits = bits / 2, low_mask = (1u << low_bits) - 1, high_mask = (1u << (bits - low_bits)) - 1;
    do {
        u32 high = index >> low_bits, low = index & low_mask;
        for (u32 round = 0; round < 8; round += 2) {
            high ^= scramble(low ^ key.words[round]) & high_mask;
            low ^= scramble(high ^ key.words[round + 1]) & low_mask;
        }
        index = high << low_bits | low;
    } while (index >= size);
    return index;
}
