// Makes an instruction of a line: operands become places in a warp's file, the mnemonic becomes an operation. What only
// calculates is found in the tables of arithmetic.c and its like; the rest has a form of its own (decode_other.c).

#include "parser.h"

#include <ctype.h>

// --- Types --------------------------------------------------------------------------------------------------------

static const struct {
    const char* name;
    char width;
} types[] = {
    [NO_TYPE] = {"", 0},        [U8] = {"u8", 'h'},     [U16] = {"u16", 'h'}, [U32] = {"u32", 'w'},
    [U64] = {"u64", 'q'},       [S8] = {"s8", 'h'},     [S16] = {"s16", 'h'}, [S32] = {"s32", 'w'},
    [S64] = {"s64", 'q'},       [B8] = {"b8", 'h'},     [B16] = {"b16", 'h'}, [B32] = {"b32", 'w'},
    [B64] = {"b64", 'q'},       [B128] = {"b128", 0},   [F16] = {"f16", 'h'}, [BF16] = {"bf16", 'h'},
    [TF32] = {"tf32", 'w'},     [F32] = {"f32", 'w'},   [F64] = {"f64", 'q'}, [F16X2] = {"f16x2", 'w'},
    [BF16X2] = {"bf16x2", 'w'}, [PRED] = {"pred", 'p'},
};
const u8 type_sizes[] = {
    [U8] = 1,   [U16] = 2,  [U32] = 4, [U64] = 8, [S8] = 1,    [S16] = 2,    [S32] = 4,
    [S64] = 8,  [B8] = 1,   [B16] = 2, [B32] = 4, [B64] = 8,   [B128] = 16,  [F16] = 2,
    [BF16] = 2, [TF32] = 4, [F32] = 4, [F64] = 8, [F16X2] = 4, [BF16X2] = 4, [PRED] = 4,
};
#define TYPE_COUNT (sizeof types / sizeof types[0])

enum type type_named(const char* name, size_t length) {
    for (size_t i = 1; i < TYPE_COUNT; i++)
        if (strlen(types[i].name) == length && memcmp(types[i].name, name, length) == 0) return (enum type)i;
    return NO_TYPE;
}

char width_of(enum type type) { return types[type].width; }

static u32 width_bytes(char width) { return width == 'h' ? 2 : width == 'w' ? 4 : 8; }

// --- Places in the file -------------------------------------------------------------------------------------------

// A slot holds 32 lanes, and begins where a cache line does.
static u32 slot_bytes(char width) { return width == 'p' ? 64 : LANES * width_bytes(width); }

u32 scratch_register(struct parser* p, char width) {
    const u32 slot = FILE_CONSTANTS + p->register_bytes;
    p->register_bytes += slot_bytes(width);
    return slot;
}

static u32 constant_room(struct parser* p, char width) {
    const u32 slot = CONSTANT_MARK | (FILE_CONSTANTS + p->constant_bytes);
    p->constant_bytes += slot_bytes(width);
    return slot;
}

u32 constant_slot(struct parser* p, char width, u64 bits) {
    for (u32 i = 0; i < p->constant_count; i++)
        if (p->constants[i].width == width && p->constants[i].bits == bits) return p->constants[i].slot;
    p->constants = parse_grow(p->constants, p->constant_count, sizeof *p->constants);
    const struct constant constant = {width, bits, constant_room(p, width)};
    p->constants[p->constant_count++] = constant;
    return constant.slot;
}

static const struct {
    const char* name;
    enum special special;
} specials[] = {
    {"%tid.x", TID_X},
    {"%tid.y", TID_Y},
    {"%tid.z", TID_Z},
    {"%ntid.x", NTID_X},
    {"%ntid.y", NTID_Y},
    {"%ntid.z", NTID_Z},
    {"%ctaid.x", CTAID_X},
    {"%ctaid.y", CTAID_Y},
    {"%ctaid.z", CTAID_Z},
    {"%nctaid.x", NCTAID_X},
    {"%nctaid.y", NCTAID_Y},
    {"%nctaid.z", NCTAID_Z},
    {"%laneid", LANEID},
    {"%warpid", WARPID},
    {"%nwarpid", NWARPID},
    {"%smid", SMID},
    {"%nsmid", NSMID},
    {"%gridid", GRIDID},
    {"%lanemask_eq", LANEMASK_EQ},
    {"%lanemask_lt", LANEMASK_LT},
    {"%lanemask_le", LANEMASK_LE},
    {"%lanemask_gt", LANEMASK_GT},
    {"%lanemask_ge", LANEMASK_GE},
    {"%clock", CLOCK},
    {"%clock64", CLOCK64},
    {"%globaltimer", CLOCK64},
    {"%dynamic_smem_size", DYNAMIC_SMEM},
    {"%total_smem_size", TOTAL_SMEM},
};

static enum special special_named(const struct token* name) {
    for (size_t i = 0; i < sizeof specials / sizeof specials[0]; i++)
        if (token_is(name, specials[i].name)) return specials[i].special;
    return NO_SPECIAL;
}

u32 special_slot(struct parser* p, enum special special) {
    struct entry* e = p->entry;
    for (u32 i = 0; i < e->special_count; i++)
        if (e->specials[i].special == special) return e->specials[i].slot;
    const bool is_long = special == CLOCK64 || special == DYNAMIC_START_64;
    const struct special_slot slot = {special, constant_room(p, is_long ? 'q' : 'w')};
    e->specials[e->special_count++] = slot;
    return slot.slot;
}

// --- Operands -----------------------------------------------------------------------------------------------------

static void parse_name(struct parser* p, struct operand* operand) {
    operand->name = *next_token(p);
    operand->slot = register_slot(p, &operand->name, &operand->width);
    if (operand->slot != 0) {
        operand->kind = REGISTER;
    } else if (token_is(&operand->name, "_")) {
        operand->kind = SINK;
    } else if ((operand->special = special_named(&operand->name)) != NO_SPECIAL) {
        operand->kind = SPECIAL_REGISTER;
    } else if ((operand->variable = variable_named(p, &operand->name)) != NULL) {
        operand->kind = SYMBOL;
    } else if (operand->name.start[0] == '%') {
        parse_fail(p, "the register %.*s is unknown", (int)operand->name.length, operand->name.start);
    } else {
        operand->kind = NAME;
    }
}

static struct operand parse_operand(struct parser* p);

static void parse_vector(struct parser* p, struct operand* operand) {
    operand->kind = VECTOR;
    do {
        if (operand->count == MAX_LIST) parse_fail(p, "a vector of more than %d elements", MAX_LIST);
        const struct operand element = parse_operand(p);
        if (element.kind == IMMEDIATE)
            operand->element_bits[operand->count] = element.bits;
        else if (element.kind != REGISTER && element.kind != SINK)
            parse_fail(p, "an element of a vector is no register");
        operand->element_widths[operand->count] = element.kind == IMMEDIATE ? 'i' : element.width;
        operand->elements[operand->count++] = element.slot;
    } while (accept(p, ','));
    expect(p, '}');
}

// [register + offset], [variable + offset], [parameter + offset], [offset]
static void parse_address(struct parser* p, struct operand* operand) {
    if (isdigit((unsigned char)p->tokens[p->at].start[0])) {
        char literal;
        operand->offset = (s64)parse_number(p, &literal);
        operand->width = 0;
    } else {
        parse_name(p, operand);
        if (accept(p, '+') || p->tokens[p->at].kind == '-') {
            char literal;
            operand->offset = (s64)parse_number(p, &literal);
        }
    }
    operand->kind = ADDRESS;
    expect(p, ']');
}

static struct operand parse_operand(struct parser* p) {
    struct operand operand = {.kind = NO_OPERAND};
    const struct token* token = &p->tokens[p->at];
    if (accept(p, '{')) {
        parse_vector(p, &operand);
    } else if (accept(p, '[')) {
        parse_address(p, &operand);
    } else if (token->kind == '-' || (token->kind == 'i' && isdigit((unsigned char)token->start[0]))) {
        operand.kind = IMMEDIATE;
        operand.bits = parse_number(p, &operand.literal);
    } else {
        operand.is_negated = accept(p, '!');
        if (p->tokens[p->at].kind != 'i')
            parse_fail(p, "an operand is expected before '%.*s'", (int)token->length, token->start);
        parse_name(p, &operand);
        if (accept(p, '|')) {
            const struct operand paired = parse_operand(p);
            operand.paired = paired.kind == SINK ? 0 : paired.slot;
        }
    }
    return operand;
}

u32 source_slot(struct parser* p, const struct operand* operand, char width) {
    switch (operand->kind) {
    case REGISTER:
        if (operand->width == width && (!operand->is_negated || width != 'p')) return operand->slot;
        break;
    case IMMEDIATE: {
        if (operand->literal == 'd' && width == 'w') break;
        u64 bits = operand->bits;
        if (width == 'h') bits &= 0xffff;
        if (width == 'w') bits &= 0xffffffffu;
        if (width == 'p') bits = bits != 0 ? ALL_LANES : 0;
        return constant_slot(p, width, bits);
    }
    case SPECIAL_REGISTER:
        if (width == 'w' || (width == 'q' && operand->special == CLOCK64)) return special_slot(p, operand->special);
        break;
    case SYMBOL:
        if (width != 'w' && width != 'q') break;
        if (operand->variable->is_dynamic && operand->offset == 0)
            return special_slot(p, width == 'w' ? DYNAMIC_START : DYNAMIC_START_64);
        if (operand->variable->is_dynamic) break;
        return constant_slot(p, width, operand->variable->address + (u64)operand->offset);
    default:
        break;
    }
    parse_fail(p, "an operand does not have the instruction's type");
}

u32 target_slot(struct parser* p, const struct operand* operand, char width) {
    if (operand->kind == SINK) return scratch_register(p, width);
    if (operand->kind != REGISTER || operand->width != width)
        parse_fail(p, "the result does not have the instruction's type");
    return operand->slot;
}

const u32* list_of(struct parser* p, const u32* slots, u32 count) {
    struct entry* e = p->entry;
    u32* list = calloc(MAX_LIST, sizeof *list);
    memcpy(list, slots, count * sizeof *list);
    e->lists = parse_grow(e->lists, e->list_count, sizeof *e->lists);
    return e->lists[e->list_count++] = list;
}

// --- Instructions -------------------------------------------------------------------------------------------------

bool has_word(const struct written* i, const char* word) {
    for (u32 k = 0; k < i->word_count; k++)
        if (strcmp(i->words[k], word) == 0) return true;
    return false;
}

enum type last_type(const struct written* i) {
    for (u32 k = i->word_count; k-- > 0;) {
        const enum type type = type_named(i->words[k], strlen(i->words[k]));
        if (type != NO_TYPE) return type;
    }
    return NO_TYPE;
}

void unknown(struct parser* p, const struct written* i) { parse_fail(p, "the machine does not know '%s'", i->opcode); }

// Takes the modifiers off that many operations share; false when a word is left that is none.
static bool take_modifiers(struct written* i, struct instruction* in, char* name, size_t bytes) {
    snprintf(name, bytes, "%s", i->words[0]);
    const enum type type = last_type(i);
    for (u32 k = 1; k < i->word_count; k++) {
        const char* word = i->words[k];
        if (strcmp(word, "ftz") == 0)
            in->ftz = true;
        else if (strcmp(word, "sat") == 0 && type_is_float(type))
            in->sat = true;
        else if (strcmp(word, "rn") == 0)
            in->rounding = NEAREST;
        else if (strcmp(word, "rz") == 0)
            in->rounding = TOWARD_ZERO;
        else if (strcmp(word, "rm") == 0)
            in->rounding = DOWN;
        else if (strcmp(word, "rp") == 0)
            in->rounding = UP;
        else
            snprintf(name + strlen(name), bytes - strlen(name), ".%s", word);
    }
    return true;
}

// These only move bits, so that their type is a width.
static void forget_type(char* name) {
    static const char* const blind[] = {"mov.", "selp.", "slct."};
    for (size_t k = 0; k < sizeof blind / sizeof blind[0]; k++) {
        if (strncmp(name, blind[k], strlen(blind[k])) != 0) continue;
        char* type = name + strlen(blind[k]);
        if (*type == 'u' || *type == 's' || *type == 'f') *type = 'b';
    }
}

static const struct row* find_row(const char* name) {
    static const struct row* const tables[] = {arithmetic_rows, bit_rows, special_rows, half_rows};
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++)
        for (const struct row* row = tables[t]; row->name != NULL; row++)
            if (strcmp(row->name, name) == 0) return row;
    return NULL;
}

static void decode_by_table(struct parser* p, struct written* i, struct instruction* in) {
    char name[96];
    take_modifiers(i, in, name, sizeof name);
    forget_type(name);
    const struct row* row = find_row(name);
    if (row == NULL) unknown(p, i);
    if (i->operand_count != strlen(row->operands)) parse_fail(p, "'%s' with %u operands", i->opcode, i->operand_count);
    in->type = last_type(i);
    in->class = row->class;
    in->run = row->run;
    in->d = target_slot(p, &i->operands[0], row->operands[0]);
    u32* const places[] = {&in->a, &in->b, &in->c, &in->e};
    for (u32 k = 1; k < i->operand_count; k++) {
        struct operand* operand = &i->operands[k];
        if (operand->kind == REGISTER && operand->is_negated && row->operands[k] == 'p') {
            parse_fail(p, "a negated predicate in '%s'", i->opcode);
        }
        *places[k - 1] = source_slot(p, operand, row->operands[k]);
    }
}

static void split(struct parser* p, struct written* i, const struct token* token) {
    snprintf(i->opcode, sizeof i->opcode, "%.*s", (int)token->length, token->start);
    memcpy(i->text, i->opcode, sizeof i->text);
    for (char* word = i->text; word != NULL;) {
        if (i->word_count == MAX_MODIFIERS) unknown(p, i);
        i->words[i->word_count++] = word;
        // A dot ends a word, but for L1::evict_last.L2::128B the words are as they stand.
        word = strchr(word, '.');
        if (word != NULL) *word++ = 0;
    }
}

static void parse_guard(struct parser* p, struct instruction* in) {
    if (!accept(p, '@')) return;
    in->is_negated = accept(p, '!');
    char width = 0;
    in->guard = register_slot(p, next_token(p), &width);
    if (width != 'p') parse_fail(p, "a guard is no predicate");
}

void emit(struct parser* p, const struct instruction* in) {
    struct entry* e = p->entry;
    e->code = parse_grow(e->code, e->code_count, sizeof *in);
    e->code[e->code_count++] = *in;
}

const struct token function_end = {"(end)", 5, 'i'};

void emit_branch(struct parser* p, const struct instruction* in, const struct token* label) {
    struct instruction branch = *in;
    branch.control = BRANCH;
    branch.run = nothing;
    branch.class = PTX_BRANCH;
    const struct label jump = {*label, p->entry->code_count, p->scope};
    p->jumps = parse_grow(p->jumps, p->jump_count, sizeof jump);
    p->jumps[p->jump_count++] = jump;
    emit(p, &branch);
}

void place_label(struct parser* p, const struct token* name) {
    const struct label label = {*name, p->entry->code_count, p->scope};
    p->labels = parse_grow(p->labels, p->label_count, sizeof label);
    p->labels[p->label_count++] = label;
}

// brx.idx %r, targets: a comparison and a branch for each.
static void decode_branch_by_index(struct parser* p, struct written* i, struct instruction* in) {
    if (i->operand_count != 2 || !has_word(i, "idx") || in->guard != 0) unknown(p, i);
    const struct token* name = &i->operands[1].name;
    u32 k = 0;
    while (k < p->target_count && (p->targets[k].scope != p->scope || p->targets[k].name.length != name->length ||
                                   memcmp(p->targets[k].name.start, name->start, name->length) != 0))
        k++;
    if (k == p->target_count) parse_fail(p, "there are no branch targets %.*s", (int)name->length, name->start);
    struct instruction test = *in, branch = *in;
    test.run = compare_operation(U32);
    test.class = PTX_INTEGER;
    test.compare = EQ;
    test.type = PRED, test.source_type = U32;
    test.d = branch.guard = scratch_register(p, 'p');
    test.a = source_slot(p, &i->operands[0], 'w');
    u32 index = 0;
    for (u32 at = p->targets[k].first; at < p->targets[k].end; at++) {
        if (p->tokens[at].kind != 'i') continue;
        test.b = constant_slot(p, 'w', index++);
        emit(p, &test);
        emit_branch(p, &branch, &p->tokens[at]);
    }
    in->control = TRAP;
    in->run = nothing;
    in->class = PTX_BRANCH;
    emit(p, in);
}

void decode(struct parser* p) {
    struct instruction in = {.location = p->location};
    struct written i = {.word_count = 0};
    parse_guard(p, &in);
    const struct token* opcode = next_token(p);
    if (opcode->kind != 'i')
        parse_fail(p, "an instruction is expected before '%.*s'", (int)opcode->length, opcode->start);
    split(p, &i, opcode);
    if (strcmp(i.words[0], "call") == 0) {
        inline_function(p, &in);
        return;
    }
    while (!accept(p, ';')) {
        if (i.operand_count == MAX_OPERANDS) unknown(p, &i);
        i.operands[i.operand_count++] = parse_operand(p);
        if (p->tokens[p->at].kind != ';') expect(p, ',');
    }
    if (strcmp(i.words[0], "bra") == 0 && i.operand_count == 1) {
        emit_branch(p, &in, &i.operands[0].name);
        return;
    }
    if (strcmp(i.words[0], "ret") == 0 && p->call_depth > 0) {
        emit_branch(p, &in, &function_end);
        return;
    }
    if (strcmp(i.words[0], "brx") == 0) {
        decode_branch_by_index(p, &i, &in);
        return;
    }
    if (!decode_memory(p, &i, &in) && !decode_control(p, &i, &in)) decode_by_table(p, &i, &in);
    const bool is_conversion = strcmp(i.words[0], "cvt") == 0;
    if (in.ftz || (in.sat && !is_conversion) || (in.rounding >= TOWARD_ZERO && in.rounding <= UP && !is_conversion)) {
        in.inner = in.run;
        in.run = modified;
    }
    emit(p, &in);
}

// --- The end of a kernel ------------------------------------------------------------------------------------------

static void settle(u32* slot, u32 constant_bytes) {
    if (*slot == 0 || *slot < FILE_CONSTANTS) return;
    *slot = *slot & CONSTANT_MARK ? *slot & ~CONSTANT_MARK : *slot + constant_bytes;
}

// Every slot goes to its place behind the constants.
static void settle_slots(struct parser* p) {
    struct entry* e = p->entry;
    for (u32 i = 0; i < e->code_count; i++) {
        struct instruction* in = &e->code[i];
        u32* const slots[] = {&in->d, &in->a, &in->b, &in->c, &in->e, &in->guard};
        for (size_t k = 0; k < sizeof slots / sizeof slots[0]; k++) settle(slots[k], p->constant_bytes);
    }
    for (u32 i = 0; i < e->list_count; i++)
        for (u32 k = 0; k < MAX_LIST; k++) settle(&e->lists[i][k], p->constant_bytes);
    for (u32 i = 0; i < e->special_count; i++) settle(&e->specials[i].slot, p->constant_bytes);
}

static void fill_constants(struct parser* p) {
    struct entry* e = p->entry;
    e->constant_bytes = FILE_CONSTANTS + p->constant_bytes;
    e->constants = calloc(1, e->constant_bytes);
    for (u32 i = 0; i < p->constant_count; i++) {
        const struct constant* constant = &p->constants[i];
        const u32 bytes = width_bytes(constant->width == 'p' ? 'w' : constant->width);
        u8* slot = e->constants + (constant->slot & ~CONSTANT_MARK);
        for (u32 lane = 0; lane < (constant->width == 'p' ? 1 : LANES); lane++)
            memcpy(slot + lane * bytes, &constant->bits, bytes);
    }
}

static void resolve_jumps(struct parser* p) {
    for (u32 i = 0; i < p->jump_count; i++) {
        const struct label* jump = &p->jumps[i];
        bool found = false;
        for (u32 k = 0; k < p->label_count && !found; k++) {
            const struct token* name = &p->labels[k].name;
            if (p->labels[k].scope != jump->scope) continue;
            if (name->length != jump->name.length || memcmp(name->start, jump->name.start, name->length) != 0) continue;
            p->entry->code[jump->pc].target = p->labels[k].pc;
            found = true;
        }
        if (!found) parse_fail(p, "there is no label %.*s", (int)jump->name.length, jump->name.start);
    }
}

void finish_kernel(struct parser* p) {
    struct entry* e = p->entry;
    // Whoever runs off the end has ended.
    const struct instruction end = {.run = nothing, .control = EXIT, .class = PTX_BRANCH};
    emit(p, &end);
    resolve_jumps(p);
    settle_slots(p);
    fill_constants(p);
    e->file_bytes = FILE_CONSTANTS + p->constant_bytes + p->register_bytes;
}
