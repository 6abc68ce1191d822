// Normal numbers from Philox by the method of Box and Muller (1958). Words 0 and 1 of a block give normals 0 (cosine)
// and 1 (sine), words 2 and 3 give normals 2 and 3; element i takes normal i % 4 of block i / 4. The first word of a
// pair is the radius, u = (word + 1/2) / 2^32, the second the angle.

DEVICE void normal_pair(u32 radius_word, u32 angle_word, float* normals) {
    const float u = FMA((float)radius_word, 2.3283064365386963e-10f, 1.16415321826934814e-10f);
    const float radius = usual_sqrt(-2.0f * exact_log(u));
    float cosine, sine;
    exact_cos_sin(angle_word, &cosine, &sine);
    normals[0] = radius * cosine;
    normals[1] = radius * sine;
}

// The four standard normal numbers of a block.
DEVICE void normals_of(philox_block block, float* normals) {
    normal_pair(block.words[0], block.words[1], normals);
    normal_pair(block.words[2], block.words[3], normals + 2);
}

// The normal numbers of eight elements, two blocks of four.
DEVICE void normals_of_8(random_key key, u64 block, float* normals) {
    normals_of(philox(key, 2 * block), normals);
    normals_of(philox(key, 2 * block + 1), normals + 4);
}

// The same of the elements that load_wide of blocks.h gives an item.
DEVICE void normals_wide(random_key key, u64 block, float* normals) {
#if PAIRED
    const u64 first = 2 * block - LOCAL_ID % 2;
    normals_of(philox(key, first), normals);
    normals_of(philox(key, first + 2), normals + 4);
#else
    normals_of_8(key, block, normals);
#endif
}
