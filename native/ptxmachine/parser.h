// What reading a module takes: tokens, names, the kernel that is being decoded.

#ifndef PARSER_H
#define PARSER_H

#include "machine.h"

struct token {
    const char* start;
    u32 length;
    char kind; // 'i' a word or a number, 's' a string, 0 the end, else the character itself
};

struct registers { // of one declaration: %r<9>, or one name
    struct token name;
    bool is_range;
    u32 count;
    char width; // p h w q
    u32* slots; // 0 until used
    u32 depth;
};

struct label {
    struct token name;
    u32 pc;
    u32 scope; // labels of a function are its own, each time it is called
};

// The targets of a branch by index.
struct branch_targets {
    struct token name;
    u32 scope;
    u32 first, end; // tokens
};

// A function is put in the place of each call.
struct function {
    struct token name;
    u32 at; // the token after .func
};

#define MAX_CALL_DEPTH 16

struct constant {
    char width;
    u64 bits;
    u32 slot;
};

struct parser {
    struct token* tokens;
    u32 at;
    struct ptx_module* module;
    struct entry* entry;
    char* log;
    size_t log_bytes;
    jmp_buf failed;
    u32 location;
    u32 depth; // of braces in the kernel's body

    struct registers* registers;
    u32 register_count;
    struct label *labels, *jumps; // jumps: where a label is used, pc being the instruction
    u32 label_count, jump_count;
    struct variable* variables; // of the kernel
    u32 variable_count;
    struct constant* constants;
    u32 constant_count;
    u32 constant_bytes, register_bytes;
    struct function* functions;
    u32 function_count;
    struct branch_targets* targets; // of the kernel
    u32 target_count;
    u32 scope, scope_count, call_depth;
};

// Slots of constants carry this mark until the kernel is done and their number is known.
#define CONSTANT_MARK 0x80000000u

enum operand_kind { NO_OPERAND, REGISTER, IMMEDIATE, SPECIAL_REGISTER, SYMBOL, ADDRESS, VECTOR, SINK, NAME };

struct operand {
    enum operand_kind kind;
    char width;      // of a register
    char literal;    // of an immediate: i, f single, d double
    bool is_negated; // !%p
    u32 slot;
    u64 bits;
    enum special special;
    const struct variable* variable;
    struct token name;
    u32 count; // elements of a vector
    u32 elements[MAX_LIST];
    char element_widths[MAX_LIST];
    u64 element_bits[MAX_LIST]; // where the element is an immediate
    s64 offset;                 // of an address
    u32 paired;                 // after |
};

#define MAX_OPERANDS  8
#define MAX_MODIFIERS 16

// An instruction as it is written.
struct written {
    char opcode[96]; // whole
    char* words[MAX_MODIFIERS];
    char text[96]; // the words, zero-terminated
    u32 word_count;
    struct operand operands[MAX_OPERANDS];
    u32 operand_count;
};

_Noreturn void parse_fail(struct parser* p, const char* format, ...) __attribute__((format(printf, 2, 3)));
void* parse_grow(void* array, u32 count, size_t size);
struct token* tokens_of(const char* text);
bool token_is(const struct token* token, const char* text);
struct token* next_token(struct parser* p);
struct token* next_word(struct parser* p);
u64 next_integer(struct parser* p);
void skip_to(struct parser* p, char kind);
void skip_braces(struct parser* p);
bool accept(struct parser* p, char kind);
void expect(struct parser* p, char kind);
u64 parse_number(struct parser* p, char* literal);

u32 register_slot(struct parser* p, const struct token* name, char* width);
const struct variable* variable_named(struct parser* p, const struct token* name);

// parse.c: puts the function in the place of a call, whose name and arguments come next.
void inline_function(struct parser* p, const struct instruction* guard);

// decode.c
void decode(struct parser* p);
void emit(struct parser* p, const struct instruction* in);
void emit_branch(struct parser* p, const struct instruction* in, const struct token* label);
void place_label(struct parser* p, const struct token* label);
extern const struct token function_end; // the label behind a function
u32 source_slot(struct parser* p, const struct operand* operand, char width);
u32 target_slot(struct parser* p, const struct operand* operand, char width);
u32 constant_slot(struct parser* p, char width, u64 bits);
u32 special_slot(struct parser* p, enum special special);
u32 scratch_register(struct parser* p, char width);
bool has_word(const struct written* i, const char* word);
enum type last_type(const struct written* i);
char width_of(enum type type);
const u32* list_of(struct parser* p, const u32* slots, u32 count);
void unknown(struct parser* p, const struct written* i);
void finish_kernel(struct parser* p);

// decode_other.c: true when the instruction is one of those with a form of their own.
bool decode_memory(struct parser* p, struct written* i, struct instruction* in);
bool decode_control(struct parser* p, struct written* i, struct instruction* in);

#endif
