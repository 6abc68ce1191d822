// Whose draws are whose in augmentation: they follow from the key, the number of the sample in its data set and the
// op, and from nothing else, so that a sample is augmented alike in every batch, order and shard. Draw d of op o is
// Philox block o * 2^32 + d of the sample's own key (AugmentKey.cs numbers the ops).

DEVICE u64 id_of(GLOBAL const u64* sample_ids, u64 first_sample, u64 sample) {
    return sample_ids != 0 ? sample_ids[sample] : first_sample + sample;
}

// RandomKey.Derive of the host.
DEVICE random_key sample_key(random_key key, u64 sample) {
    const random_key complement = {key.seed, ~key.offset};
    const philox_block drawn = philox(complement, sample);
    const random_key own = {(u64)drawn.words[1] << 32 | drawn.words[0], key.offset};
    return own;
}

DEVICE philox_block augment_draw(random_key sample, u32 op, u32 draw) { return philox(sample, (u64)op << 32 | draw); }

// In [0, 1), a multiple of 2^-24.
DEVICE float unit_of(u32 word) { return (float)(word >> 8) * 5.9604644775390625e-8f; }

DEVICE float between(float unit, float low, float high) { return FMA(unit, high - low, low); }
