// Instructions with a form of their own: memory, control, exchange between lanes, conversions, comparisons.

#include "parser.h"

static bool is(const struct written* i, const char* name) { return strcmp(i->words[0], name) == 0; }

// The place of the word in the list, or -1.
static int choice(const char* word, const char* const* words) {
    for (int k = 0; words[k] != NULL; k++)
        if (strcmp(word, words[k]) == 0) return k;
    return -1;
}

// The first word of the instruction that is in the list, or -1.
static int chosen(const struct written* i, const char* const* words) {
    for (u32 k = 1; k < i->word_count; k++)
        if (choice(i->words[k], words) >= 0) return choice(i->words[k], words);
    return -1;
}

static void need(struct parser* p, const struct written* i, u32 least, u32 most) {
    if (i->operand_count < least || i->operand_count > most)
        parse_fail(p, "'%s' with %u operands", i->opcode, i->operand_count);
}

// --- Memory -------------------------------------------------------------------------------------------------------

static enum space space_of(const struct written* i) {
    static const char* const spaces[] = {"global", "shared", "local", "const", "param", "shared::cta", NULL};
    static const enum space values[] = {GLOBAL, SHARED, LOCAL, CONSTANT, PARAMETER, SHARED};
    const int k = chosen(i, spaces);
    return k < 0 ? GENERIC : values[k];
}

// The register of an address, and its width.
static u32 address_slot(struct parser* p, const struct operand* operand, u8* width) {
    if (operand->kind != ADDRESS) parse_fail(p, "an address is expected");
    if (operand->slot != 0) {
        if (operand->width != 'w' && operand->width != 'q') parse_fail(p, "an address of 16 bits");
        *width = operand->width == 'w' ? 4 : 8;
        return operand->slot;
    }
    *width = 8;
    if (operand->variable == NULL) return constant_slot(p, 'q', 0);
    if (!operand->variable->is_dynamic) return constant_slot(p, 'q', operand->variable->address);
    *width = 4;
    return special_slot(p, DYNAMIC_START);
}

// What a function is given and gives back lies in local memory; the parameters of a kernel are no variables.
static enum space space_of_parameter(const struct operand* address, enum space space) {
    return space == PARAMETER && address->variable != NULL ? LOCAL : space;
}

// The registers that are loaded or stored; they may be wider than the type.
static void data_slots(struct parser* p, struct instruction* in, const struct operand* operand, bool is_target) {
    u32 slots[MAX_LIST] = {0};
    const enum type type = in->type;
    if (operand->kind != VECTOR) {
        in->count = 1;
        const char width = operand->kind == REGISTER ? operand->width : width_of(type);
        in->variant = width == 'h' ? 2 : width == 'w' ? 4 : 8;
        slots[0] = is_target ? target_slot(p, operand, width) : source_slot(p, operand, width);
    } else {
        in->count = (u8)operand->count;
        for (u32 k = 0; k < operand->count; k++) {
            const char width = operand->element_widths[k];
            if (width == 'h' || width == 'w' || width == 'q') in->variant = width == 'h' ? 2 : width == 'w' ? 4 : 8;
        }
        const char width = in->variant == 2 ? 'h' : in->variant == 4 ? 'w' : 'q';
        for (u32 k = 0; k < operand->count; k++)
            slots[k] = operand->elements[k] != 0           ? operand->elements[k]
                       : operand->element_widths[k] == 'i' ? constant_slot(p, width, operand->element_bits[k])
                                                           : scratch_register(p, width);
    }
    if (in->variant < type_bytes(type)) parse_fail(p, "a register is narrower than what it holds");
    in->list = list_of(p, slots, in->count);
}

static void decode_load(struct parser* p, struct written* i, struct instruction* in) {
    need(p, i, 2, 2);
    in->type = last_type(i);
    in->space = space_of_parameter(&i->operands[1], space_of(i));
    in->is_read_only = has_word(i, "nc") || is(i, "ldu");
    in->is_acquire = has_word(i, "acquire");
    if (in->type == NO_TYPE) unknown(p, i);
    data_slots(p, in, &i->operands[0], true);
    in->offset = i->operands[1].offset;
    in->run = load;
    if (in->space == PARAMETER) {
        const struct ptx_kernel* kernel = &p->entry->head;
        u32 k = 0;
        while (k < kernel->parameter_count && !token_is(&i->operands[1].name, kernel->parameters[k].name)) k++;
        if (k == kernel->parameter_count) parse_fail(p, "a parameter is unknown");
        in->offset += kernel->parameters[k].offset;
        in->run = load_parameter;
    } else {
        in->a = address_slot(p, &i->operands[1], &in->width);
    }
    in->class = in->space == SHARED                           ? PTX_SHARED_LOAD
                : in->space == GLOBAL || in->space == GENERIC ? PTX_LOAD
                                                              : PTX_LOCAL;
}

static void decode_store(struct parser* p, struct written* i, struct instruction* in) {
    need(p, i, 2, 2);
    in->type = last_type(i);
    in->space = space_of_parameter(&i->operands[0], space_of(i));
    if (in->type == NO_TYPE || in->space == CONSTANT || in->space == PARAMETER) unknown(p, i);
    data_slots(p, in, &i->operands[1], false);
    in->offset = i->operands[0].offset;
    in->is_release = has_word(i, "release");
    in->a = address_slot(p, &i->operands[0], &in->width);
    in->run = store;
    in->class = in->space == SHARED ? PTX_SHARED_STORE : in->space == LOCAL ? PTX_LOCAL : PTX_STORE;
}

static void decode_atomic(struct parser* p, struct written* i, struct instruction* in) {
    static const char* const operations[] = {"add",  "min", "max", "and", "or", "xor",
                                             "exch", "cas", "inc", "dec", NULL};
    const bool has_result = is(i, "atom");
    const int operation = chosen(i, operations);
    in->type = last_type(i);
    const u32 bytes = type_bytes(in->type);
    if (operation < 0 || (bytes != 4 && bytes != 8)) unknown(p, i);
    const u32 first = has_result ? 1 : 0, sources = operation == A_CAS ? 2 : 1;
    need(p, i, first + 1 + sources, first + 1 + sources);
    const char width = width_of(in->type);
    in->variant = (u8)operation;
    in->is_acquire = has_word(i, "acquire") || has_word(i, "acq_rel");
    in->is_release = has_word(i, "release") || has_word(i, "acq_rel");
    in->space = space_of(i);
    in->d = has_result ? target_slot(p, &i->operands[0], width) : scratch_register(p, width);
    in->offset = i->operands[first].offset;
    in->a = address_slot(p, &i->operands[first], &in->width);
    in->b = source_slot(p, &i->operands[first + 1], width);
    if (sources == 2) in->c = source_slot(p, &i->operands[first + 2], width);
    in->run = atomic;
    in->class = PTX_ATOMIC;
}

// Generic addresses of global memory are its addresses; shared and local memory have windows.
static void decode_address_conversion(struct parser* p, struct written* i, struct instruction* in) {
    need(p, i, 2, 2);
    const enum space space = space_of(i);
    const bool to_space = has_word(i, "to");
    in->d = target_slot(p, &i->operands[0], 'q');
    in->a = source_slot(p, &i->operands[1], 'q');
    const u64 window = space == SHARED ? SHARED_WINDOW : space == LOCAL ? LOCAL_WINDOW : 0;
    in->offset = (s64)(to_space ? 0 - window : window);
    in->run = window == 0 ? move64 : move_window;
    in->class = PTX_MOVE;
}

static void decode_copy(struct parser* p, struct written* i, struct instruction* in) {
    if (i->word_count < 3 || strcmp(i->words[1], "async") != 0) unknown(p, i);
    in->class = PTX_LOAD;
    if (has_word(i, "commit_group")) {
        need(p, i, 0, 0);
        in->run = commit_copies;
    } else if (has_word(i, "wait_group") || has_word(i, "wait_all")) {
        need(p, i, 0, 1);
        in->run = wait_copies;
        in->offset = i->operand_count == 0 ? -1 : (s64)i->operands[0].bits;
    } else {
        u8 width;
        need(p, i, 3, 4);
        if (!has_word(i, "shared") && !has_word(i, "shared::cta")) unknown(p, i);
        in->run = copy_async;
        in->b = address_slot(p, &i->operands[0], &width);
        in->variant = width;
        in->target = (u32)i->operands[0].offset;
        in->a = address_slot(p, &i->operands[1], &in->width);
        in->offset = i->operands[1].offset;
        in->count = (u8)i->operands[2].bits;
        if (in->count != 4 && in->count != 8 && in->count != 16) unknown(p, i);
        if (i->operand_count == 4) in->c = source_slot(p, &i->operands[3], 'w');
    }
}

bool decode_memory(struct parser* p, struct written* i, struct instruction* in) {
    if (is(i, "ld") || is(i, "ldu"))
        decode_load(p, i, in);
    else if (is(i, "st"))
        decode_store(p, i, in);
    else if (is(i, "atom") || is(i, "red"))
        decode_atomic(p, i, in);
    else if (is(i, "cvta"))
        decode_address_conversion(p, i, in);
    else if (is(i, "cp"))
        decode_copy(p, i, in);
    else if (is(i, "prefetch") || is(i, "prefetchu") || is(i, "membar") || is(i, "fence") || is(i, "nanosleep")) {
        in->run = is(i, "nanosleep") ? take_rest : nothing;
        in->class = PTX_ATOMIC;
    } else if (is(i, "isspacep")) {
        need(p, i, 2, 2);
        in->space = space_of(i);
        in->d = target_slot(p, &i->operands[0], 'p');
        in->a = source_slot(p, &i->operands[1], 'q');
        in->run = is_space;
        in->class = PTX_INTEGER;
    } else {
        return false;
    }
    return true;
}

// --- Moves, comparisons, conversions ------------------------------------------------------------------------------

static void decode_move(struct parser* p, struct written* i, struct instruction* in) {
    need(p, i, 2, 2);
    const struct operand *target = &i->operands[0], *source = &i->operands[1];
    const enum type type = last_type(i);
    in->class = PTX_MOVE;
    if (target->kind == VECTOR || source->kind == VECTOR) {
        const struct operand* vector = target->kind == VECTOR ? target : source;
        u32 slots[MAX_LIST];
        const u32 bytes = type_bytes(type) / vector->count;
        const char width = bytes == 2 ? 'h' : bytes == 4 ? 'w' : 0;
        if (width == 0 || bytes * vector->count != type_bytes(type)) unknown(p, i);
        for (u32 k = 0; k < vector->count; k++) {
            const char found = vector->element_widths[k];
            if (found == 'i')
                slots[k] = constant_slot(p, width, vector->element_bits[k]);
            else if (found == width || found == 0)
                slots[k] = vector->elements[k];
            else
                parse_fail(p, "an element does not have the width of its part");
        }
        in->list = list_of(p, slots, vector->count);
        in->count = (u8)vector->count;
        in->width = (u8)bytes;
        if (vector == target)
            in->a = source_slot(p, source, width_of(type));
        else
            in->d = target_slot(p, target, width_of(type));
        in->run = vector == target ? unpack : pack;
        return;
    }
    const char width = width_of(type);
    in->d = target_slot(p, target, width);
    in->a = source_slot(p, source, width);
    in->run = width == 'h' ? move16 : width == 'w' ? move32 : width == 'q' ? move64 : move_predicate;
    if (source->kind == SPECIAL_REGISTER && (source->special == CLOCK || source->special == CLOCK64))
        in->run = read_clock, in->type = width == 'w' ? U32 : U64;
}

static bool compare_word(const struct written* i, u32 k, struct instruction* in) {
    static const char* const names[] = {"eq",  "ne",  "lt",  "le",  "gt", "ge", "equ", "neu", "ltu", "leu",
                                        "gtu", "geu", "num", "nan", "lo", "ls", "hi",  "hs",  NULL};
    static const enum compare values[] = {EQ,  NE,  LT,  LE,  GT,     GE, EQU, NEU, LTU,
                                          LEU, GTU, GEU, NUM, NOTNUM, LT, LE,  GT,  GE};
    const int found = k < i->word_count ? choice(i->words[k], names) : -1;
    if (found >= 0) in->compare = (u8)values[found];
    return found >= 0;
}

static void decode_comparison(struct parser* p, struct written* i, struct instruction* in) {
    static const char* const combines[] = {"", "and", "or", "xor", NULL};
    need(p, i, 3, 4);
    if (!compare_word(i, 1, in)) unknown(p, i);
    const int combine = chosen(i, combines);
    in->combine = (u8)(combine < 0 ? NO_COMBINE : combine);
    in->ftz = has_word(i, "ftz");
    in->source_type = last_type(i);
    const char width = width_of(in->source_type);
    const bool is_set = is(i, "set");
    in->type = PRED;
    if (is_set) {
        const char* result = i->words[i->word_count - 2];
        in->type = type_named(result, strlen(result));
    }
    in->run = is_set ? set_operation(in->type, in->source_type) : compare_operation(in->source_type);
    if (in->run == NULL) unknown(p, i);
    in->d = target_slot(p, &i->operands[0], is_set ? 'w' : 'p');
    in->e = i->operands[0].paired;
    in->a = source_slot(p, &i->operands[1], width);
    in->b = source_slot(p, &i->operands[2], width);
    if (in->combine != NO_COMBINE) {
        need(p, i, 4, 4);
        struct operand other = i->operands[3];
        in->is_combine_negated = other.is_negated;
        other.is_negated = false;
        in->c = source_slot(p, &other, 'p');
    }
    in->class = in->source_type == F64 ? PTX_FP64 : type_is_float(in->source_type) ? PTX_FP32 : PTX_INTEGER;
}

static void decode_conversion(struct parser* p, struct written* i, struct instruction* in) {
    static const char* const roundings[] = {"rn", "rz", "rm", "rp", "rni", "rzi", "rmi", "rpi", "rna", NULL};
    need(p, i, 2, 3);
    const int rounding = chosen(i, roundings);
    in->rounding = (u8)(rounding < 0 ? NEAREST : rounding);
    in->sat = has_word(i, "sat");
    in->ftz = has_word(i, "ftz");
    in->class = PTX_CONVERSION;
    in->source_type = last_type(i);
    const char* result = i->words[i->word_count - 2];
    in->type = type_named(result, strlen(result));
    if (in->type == NO_TYPE || i->word_count < 3) unknown(p, i);
    if (in->type == F16X2 || in->type == BF16X2) {
        need(p, i, 3, 3);
        if (in->rounding != NEAREST || in->sat || in->ftz || in->source_type != F32 || has_word(i, "relu"))
            unknown(p, i);
        in->d = target_slot(p, &i->operands[0], 'w');
        in->a = source_slot(p, &i->operands[1], 'w');
        in->b = source_slot(p, &i->operands[2], 'w');
        in->run = pair_conversion_operation(in->type);
        return;
    }
    need(p, i, 2, 2);
    const struct operand *target = &i->operands[0], *source = &i->operands[1];
    const char target_width = target->kind == REGISTER ? target->width : width_of(in->type);
    const char source_width = source->kind == REGISTER ? source->width : width_of(in->source_type);
    in->d = target_slot(p, target, target_width);
    in->a = source_slot(p, source, source_width);
    in->count = target_width == 'h' ? 2 : target_width == 'w' ? 4 : 8;
    in->width = source_width == 'h' ? 2 : source_width == 'w' ? 4 : 8;
    const char* reason = NULL;
    in->run = conversion_operation(in, &reason);
    if (reason != NULL) parse_fail(p, "the machine does not know '%s': %s", i->opcode, reason);
}

// --- Control and exchange between lanes ---------------------------------------------------------------------------

// bar.sync 0; bar.red.or.pred p, 0, q
static void decode_barrier(struct parser* p, struct written* i, struct instruction* in) {
    static const char* const reductions[] = {"", "popc", "and", "or", NULL};
    in->class = PTX_BARRIER;
    in->run = nothing;
    if (has_word(i, "warp")) {
        need(p, i, 1, 1);
        in->control = SYNC;
        in->run = warp_barrier;
        in->e = source_slot(p, &i->operands[0], 'w');
        return;
    }
    in->control = BARRIER;
    if (has_word(i, "sync")) {
        need(p, i, 1, 1);
    } else if (has_word(i, "red")) {
        need(p, i, 3, 3);
        const int reduction = chosen(i, reductions);
        if (reduction <= 0) unknown(p, i);
        in->variant = (u8)reduction;
        in->d = target_slot(p, &i->operands[0], reduction == R_POPC ? 'w' : 'p');
        in->is_combine_negated = i->operands[2].is_negated;
        i->operands[2].is_negated = false;
        in->a = source_slot(p, &i->operands[2], 'p');
    } else {
        unknown(p, i);
    }
    const struct operand* number = &i->operands[has_word(i, "red") ? 1 : 0];
    if (number->kind != IMMEDIATE || number->bits > 15) unknown(p, i);
}

static void decode_exchange(struct parser* p, struct written* i, struct instruction* in) {
    static const char* const shuffles[] = {"up", "down", "bfly", "idx", NULL};
    static const char* const votes[] = {"all", "any", "uni", "ballot", NULL};
    static const char* const reductions[] = {"add", "min", "max", "and", "or", "xor", NULL};
    if (i->word_count < 3 || !has_word(i, "sync")) unknown(p, i);
    in->control = SYNC;
    in->class = PTX_SHUFFLE;
    in->type = last_type(i);
    if (is(i, "shfl")) {
        const int mode = chosen(i, shuffles);
        need(p, i, 5, 5);
        if (mode < 0 || type_bytes(in->type) != 4) unknown(p, i);
        in->variant = (u8)mode;
        in->d = target_slot(p, &i->operands[0], 'w');
        in->list = list_of(p, &i->operands[0].paired, 1);
        in->a = source_slot(p, &i->operands[1], 'w');
        in->b = source_slot(p, &i->operands[2], 'w');
        in->c = source_slot(p, &i->operands[3], 'w');
        in->e = source_slot(p, &i->operands[4], 'w');
        in->run = shuffle;
        return;
    }
    need(p, i, 3, 3);
    in->e = source_slot(p, &i->operands[2], 'w');
    if (is(i, "vote")) {
        const int mode = chosen(i, votes);
        if (mode < 0) unknown(p, i);
        in->variant = (u8)mode;
        in->d = target_slot(p, &i->operands[0], mode == V_BALLOT ? 'w' : 'p');
        in->is_combine_negated = i->operands[1].is_negated;
        i->operands[1].is_negated = false;
        in->a = source_slot(p, &i->operands[1], 'p');
        in->run = vote;
    } else if (is(i, "match")) {
        in->d = target_slot(p, &i->operands[0], 'w');
        in->list = list_of(p, &i->operands[0].paired, 1);
        in->a = source_slot(p, &i->operands[1], width_of(in->type));
        in->variant = has_word(i, "all");
        in->run = match;
    } else {
        const int operation = chosen(i, reductions);
        if (operation < 0 || type_bytes(in->type) != 4) unknown(p, i);
        in->variant = (u8)operation;
        in->d = target_slot(p, &i->operands[0], 'w');
        in->a = source_slot(p, &i->operands[1], 'w');
        in->run = reduce_lanes;
    }
}

static const u32* vector_of(struct parser* p, const struct written* i, u32 k, u32 count) {
    const struct operand* vector = &i->operands[k];
    const bool is_single = count == 1 && vector->kind == REGISTER && vector->width == 'w';
    if (is_single) return list_of(p, &vector->slot, 1);
    if (vector->kind != VECTOR || vector->count != count)
        parse_fail(p, "'%s' with a vector of another length", i->opcode);
    for (u32 e = 0; e < count; e++)
        if (vector->element_widths[e] != 'w') parse_fail(p, "'%s' with elements that have not 32 bits", i->opcode);
    return list_of(p, vector->elements, count);
}

// The four vectors of a product in one list: 4 of d, 4 of a, 2 of b, 4 of c.
static void decode_product(struct parser* p, struct written* i, struct instruction* in) {
    need(p, i, 4, 4);
    const bool is_half = has_word(i, "f16") || has_word(i, "bf16");
    const bool is_known = has_word(i, is_half ? "m16n8k16" : "m16n8k8") && has_word(i, "row") && has_word(i, "col") &&
                          (is_half || has_word(i, "tf32")) && last_type(i) == F32;
    if (!is_known) unknown(p, i);
    in->type = has_word(i, "f16") ? F16 : is_half ? BF16 : TF32;
    u32 slots[14];
    static const u32 counts[] = {4, 4, 2, 4};
    for (u32 k = 0, at = 0; k < 4; at += counts[k++])
        memcpy(slots + at, vector_of(p, i, k, counts[k]), counts[k] * sizeof *slots);
    in->list = list_of(p, slots, 14);
    in->e = constant_slot(p, 'w', ALL_LANES);
    in->control = SYNC;
    in->class = PTX_MATRIX;
    in->run = multiply_matrix;
}

static void decode_matrix_load(struct parser* p, struct written* i, struct instruction* in) {
    static const char* const counts[] = {"x1", "x2", "x4", NULL};
    need(p, i, 2, 2);
    const int k = chosen(i, counts);
    if (k < 0 || !has_word(i, "m8n8") || last_type(i) != B16) unknown(p, i);
    in->count = (u8)(1 << k);
    in->variant = has_word(i, "trans");
    in->list = vector_of(p, i, 0, in->count);
    in->a = address_slot(p, &i->operands[1], &in->width);
    in->offset = i->operands[1].offset;
    in->space = SHARED;
    in->e = constant_slot(p, 'w', ALL_LANES);
    in->control = SYNC;
    in->class = PTX_SHARED_LOAD;
    in->run = load_matrix;
}

bool decode_control(struct parser* p, struct written* i, struct instruction* in) {
    if (is(i, "mov"))
        decode_move(p, i, in);
    else if (is(i, "setp") || is(i, "set"))
        decode_comparison(p, i, in);
    else if (is(i, "cvt"))
        decode_conversion(p, i, in);
    else if (is(i, "bar") || is(i, "barrier"))
        decode_barrier(p, i, in);
    else if (is(i, "shfl") || is(i, "vote") || is(i, "match") || is(i, "redux"))
        decode_exchange(p, i, in);
    else if (is(i, "mma"))
        decode_product(p, i, in);
    else if (is(i, "ldmatrix"))
        decode_matrix_load(p, i, in);
    else if (is(i, "ret") || is(i, "exit") || is(i, "trap") || is(i, "brkpt")) {
        in->control = is(i, "ret") || is(i, "exit") ? EXIT : TRAP;
        in->run = nothing;
        in->class = PTX_BRANCH;
    } else if (is(i, "activemask")) {
        need(p, i, 1, 1);
        in->d = target_slot(p, &i->operands[0], 'w');
        in->run = active_mask;
        in->class = PTX_SHUFFLE;
    } else {
        return false;
    }
    return true;
}
