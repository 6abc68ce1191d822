// Softmax of a row in one pass over its logits (Milakov and Gimelshein, "Online normalizer calculation for softmax",
// 2018), shared among the items of a team. A logit of -inf is a masked class: probability 0, and 0 * log 0 = 0.

// The items of a team take a row in stretches of 8 * team classes, of which there are fewer than 2^31, and a few
// stretches at a time: a chunk, which stays in registers until the next is read. Wide accesses need eight neighbours,
// or twice four of a pair of items (types.h). Without them neighbours go to neighbours, but where OWNS_BLOCKS says that
// an item has eight in a row, of one draw.
#if DIALECT_CUDA
#define STRETCHES (VEC == 8 ? 4 : 2)
#else
#define STRETCHES 1
#endif

#define CHUNK_ITEMS (8 * STRETCHES)

// A team has a power of two of items. Where rows are few and long each is cut into pieces, which teams take like rows.
// Then a kernel is launched twice: the first time it leaves the sums of each piece in `pieces`, the second time it adds
// those of the row in place of logits.
#define SPLIT_PARAMETERS \
    GLOBAL real *pieces, u64 pieces_offset, u32 team_log2, u32 piece_count, u32 piece_size, u32 sums_only

typedef struct {
    u64 row;
    u32 piece;
    u32 start, stop; // its columns
    u32 exists;      // what does not stays for the reductions
} row_piece;

// Pieces are whole chunks, so that every chunk begins where one of the whole row does.
DEVICE row_piece take_piece(u64 index, u64 rows, u32 columns, u32 piece_count, u32 piece_size) {
    row_piece taken = {index, 0, 0, columns, 1};
    if (piece_count > 1) {
        taken.row = (u32)index / piece_count;
        taken.piece = (u32)index % piece_count;
        taken.start = taken.piece * piece_size;
        if (columns - taken.start > piece_size) taken.stop = taken.start + piece_size;
    }
    if (taken.row >= rows) taken.row = taken.exists = 0;
    return taken;
}

// Where the last chunk of a piece begins. The size is a power of two.
DEVICE u32 last_chunk(row_piece part, u32 chunk_size) { return (part.stop - 1) & (0u - chunk_size); }

DEVICE u32 stretch_column(u32 stretch, u32 lane, u32 team, u32 i) {
#if VEC == 8 && PAIRED
    return stretch + 8 * lane - 4 * (lane % 2) + i + (i & 4u);
#elif VEC == 8 || OWNS_BLOCKS
    return stretch + 8 * lane + i;
#else
    return stretch + lane + team * i;
#endif
}

// Whose a column is, counted from the start of its stretch.
DEVICE u32 lane_of(u32 column, u32 team) {
#if VEC == 8 && PAIRED
    return column / 16 * 2 + column / 4 % 2;
#elif VEC == 8 || OWNS_BLOCKS
    return column / 8;
#else
    return column % team;
#endif
}

// This item's eight logits of a stretch, -inf past the end of the row.
DEVICE void load_stretch(GLOBAL const scalar* row, u32 classes, u32 stretch, u32 lane, u32 team, real* z) {
    for (u32 i = 0; i < 8; i++) z[i] = NEGATIVE_INFINITY;
#if VEC == 8 && PAIRED
    for (u32 i = 0; i < 8; i += 4) {
        const u32 k = stretch_column(stretch, lane, team, i);
        if (k < classes) load4_f32(row + k, z + i);
    }
#elif VEC == 8
    if (stretch + 8 * lane < classes) load8(row, stretch + 8 * lane, z);
#else
    for (u32 i = 0; i < 8; i++) {
        const u32 k = stretch_column(stretch, lane, team, i);
        if (k < classes) z[i] = load(row, k);
    }
#endif
}

DEVICE void store_stretch(GLOBAL scalar* row, u32 classes, u32 stretch, u32 lane, u32 team, const real* values) {
#if VEC == 8 && PAIRED
    for (u32 i = 0; i < 8; i += 4) {
        const u32 k = stretch_column(stretch, lane, team, i);
        if (k < classes) store4_f32(row + k, values + i);
    }
#elif VEC == 8
    if (stretch + 8 * lane < classes) store8(row, stretch + 8 * lane, values);
#else
    for (u32 i = 0; i < 8; i++) {
        const u32 k = stretch_column(stretch, lane, team, i);
        if (k < classes) store(row, k, values[i]);
    }
#endif
}

// The stretches of a chunk. One that is whole, as most are, is moved without a question at every access.
DEVICE void load_chunk(GLOBAL const scalar* row, u32 classes, u32 chunk, u32 lane, u32 team, real* z) {
    if (VEC == 8 && classes - chunk >= CHUNK_ITEMS * team) {
        row += stretch_column(chunk, lane, team, 0);
        UNROLL
        for (u32 s = 0; s < STRETCHES; s++, row += 8 * team) {
#if PAIRED
            load4_f32(row, z + 8 * s);
            load4_f32(row + 8, z + 8 * s + 4);
#else
            load8(row, 0, z + 8 * s);
#endif
        }
    } else {
        UNROLL
        for (u32 s = 0; s < STRETCHES; s++) load_stretch(row, classes, chunk + 8 * s * team, lane, team, z + 8 * s);
    }
}

// A chunk of a row that is not read: masked classes.
DEVICE void mask_chunk(real* z) {
    UNROLL
    for (u32 i = 0; i < CHUNK_ITEMS; i++) z[i] = NEGATIVE_INFINITY;
}

DEVICE void store_chunk(GLOBAL scalar* row, u32 classes, u32 chunk, u32 lane, u32 team, const real* values) {
    if (VEC == 8 && classes - chunk >= CHUNK_ITEMS * team) {
        row += stretch_column(chunk, lane, team, 0);
        UNROLL
        for (u32 s = 0; s < STRETCHES; s++, row += 8 * team) {
#if PAIRED
            store4_f32(row, values + 8 * s);
            store4_f32(row + 8, values + 8 * s + 4);
#else
            store8(row, 0, values + 8 * s);
#endif
        }
    } else {
        UNROLL
        for (u32 s = 0; s < STRETCHES; s++)
            store_stretch(row, classes, chunk + 8 * s * team, lane, team, values + 8 * s);
    }
}

// e^x. CUDA takes the instruction: 2 units in the last place, and 0 below 2^-126, which counts for nothing beside 1.
DEVICE real softmax_exp(real x) {
#if DIALECT_CUDA && !DTYPE_F64
    real power;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x * 1.44269504f));
    return power;
#else
    return EXP(x);
#endif
}

// z - largest for an exponential and for what is multiplied by it. Below -1024 the exponential is 0 in every type, and
// its product with a difference that overflows must be 0 too. NaN stays NaN.
DEVICE real softmax_exponent(real z, real largest) {
    const real x = z - largest;
#if DIALECT_CUDA && !DTYPE_F64 && __CUDA_ARCH__ >= 800
    real exponent;
    asm("max.NaN.f32 %0, %1, %2;" : "=f"(exponent) : "f"(x), "f"(-1024.0f));
    return exponent;
#else
    return x < -1024 ? (real)-1024 : x;
#endif
}

// Sums over the logits so far, relative to the largest of them.
typedef struct {
    real largest;
    real sum;    // of exp(z - largest)
    real moment; // of exp(z - largest) * (z - largest)
} softmax_sums;

// Moves the sums to a new largest logit. NaN moves nothing, it reaches the result through the sum.
DEVICE void softmax_raise(softmax_sums* sums, real largest) {
    if (!(largest > sums->largest)) return;
    const real change = sums->largest == NEGATIVE_INFINITY ? (real)0 : softmax_exponent(sums->largest, largest);
    const real factor = softmax_exp(change);
    sums->moment = factor * FMA(sums->sum, change, sums->moment);
    sums->sum *= factor;
    sums->largest = largest;
}

// The largest of a chunk's logits and `largest`. NaN is passed over, it reaches the result through the sums.
DEVICE real largest_of_chunk(const real* z, real largest) {
    UNROLL
    for (u32 i = 0; i < CHUNK_ITEMS; i++) largest = MAX(largest, z[i]);
    return largest;
}

// Adds a chunk's logits, which are no larger than the largest. A masked one adds 0.
DEVICE void softmax_add(softmax_sums* sums, const real* z) {
    const real largest = sums->largest == NEGATIVE_INFINITY ? (real)0 : sums->largest;
    UNROLL
    for (u32 s = 0; s < STRETCHES; s++) {
        real sum = 0, moment = 0;
        for (u32 i = 0; i < 8; i++) {
            const real x = softmax_exponent(z[8 * s + i], largest), e = softmax_exp(x);
            sum += e;
            moment = FMA(e, x, moment);
        }
        sums->sum += sum;
        sums->moment += moment;
    }
}

// The same where nobody asks for the moment.
DEVICE void softmax_add_sum(softmax_sums* sums, const real* z) {
    const real largest = sums->largest == NEGATIVE_INFINITY ? (real)0 : sums->largest;
    UNROLL
    for (u32 s = 0; s < STRETCHES; s++) {
        real sum = 0;
        for (u32 i = 0; i < 8; i++) sum += softmax_exp(z[8 * s + i] - largest);
        sums->sum += sum;
    }
}

// Sums of weights and of weights times z - largest. Differences of finite logits reach twice the largest number, and
// their sum over a row 2^24 times that: what lies beyond 2^64 is summed apart, in units of 2^32.
typedef struct {
    real weight;
    real sum;
    real beyond;
} weighted_differences;

#define DIFFERENCE_UNIT     ((real)4294967296.0f)
#define PER_DIFFERENCE_UNIT ((real)2.3283064365386963e-10f)
#define FARTHEST_DIFFERENCE ((real)-18446744073709551616.0f)

// Adds weight * (z - largest); the weight itself is added by the caller.
DEVICE void add_difference(weighted_differences* differences, real weight, real z, real largest) {
    real x = z - largest;
    if (x < FARTHEST_DIFFERENCE) {
        const real units = FMA(z, PER_DIFFERENCE_UNIT, -(largest * PER_DIFFERENCE_UNIT));
        differences->beyond = FMA(weight, units - FARTHEST_DIFFERENCE * PER_DIFFERENCE_UNIT, differences->beyond);
        x = FARTHEST_DIFFERENCE;
    }
    differences->sum = FMA(weight, x, differences->sum);
}

// Whether differences of a chunk's logits, masked ones apart, are summed as they are.
DEVICE u32 is_near(const real* z, real largest) {
    real farthest = 0;
    UNROLL
    for (u32 i = 0; i < CHUNK_ITEMS; i++)
        farthest = MAX(farthest, z[i] != NEGATIVE_INFINITY ? largest - z[i] : (real)0);
    return farthest <= -FARTHEST_DIFFERENCE;
}

// Moves what was summed to a new largest logit, which is larger than the one before.
DEVICE void raise_differences(weighted_differences* differences, real before, real largest) {
    if (before != NEGATIVE_INFINITY) add_difference(differences, differences->weight, before, largest);
}
