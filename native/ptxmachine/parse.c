// Reads a module: directives, variables, kernels. Instructions are decoded in decode.c.

#include "parser.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdatomic.h>

void parse_fail(struct parser* p, const char* format, ...) {
    char where[256] = "";
    if (p->location != 0) describe_location(p->module, p->location, where, sizeof where);
    int used = snprintf(p->log, p->log_bytes, "%s%s%s%s", p->entry != NULL ? p->entry->head.name : "",
                        p->entry != NULL ? ", " : "", where, where[0] != 0 ? ": " : "");
    va_list arguments;
    va_start(arguments, format);
    if (used >= 0 && (size_t)used < p->log_bytes)
        vsnprintf(p->log + used, p->log_bytes - (size_t)used, format, arguments);
    va_end(arguments);
    longjmp(p->failed, 1);
}

// Room for one more, by doubling.
void* parse_grow(void* array, u32 count, size_t size) {
    if (count != 0 && (count & (count - 1)) != 0) return array;
    return realloc(array, (count == 0 ? 1 : 2 * (size_t)count) * size);
}

// --- Names --------------------------------------------------------------------------------------------------------

u32 register_slot(struct parser* p, const struct token* name, char* width) {
    for (u32 i = p->register_count; i-- > 0;) {
        struct registers* r = &p->registers[i];
        u32 index = 0;
        if (r->is_range) {
            if (name->length <= r->name.length || memcmp(name->start, r->name.start, r->name.length) != 0) continue;
            u32 at = r->name.length;
            while (at < name->length && isdigit((unsigned char)name->start[at]))
                index = 10 * index + (u32)(name->start[at++] - '0');
            if (at < name->length || index >= r->count) continue;
        } else if (name->length != r->name.length || memcmp(name->start, r->name.start, name->length) != 0) {
            continue;
        }
        if (r->slots[index] == 0) r->slots[index] = scratch_register(p, r->width);
        *width = r->width;
        return r->slots[index];
    }
    return 0;
}

const struct variable* variable_named(struct parser* p, const struct token* name) {
    for (u32 i = p->variable_count; i-- > 0;)
        if (token_is(name, p->variables[i].name)) return &p->variables[i];
    for (u32 i = 0; i < p->module->variable_count; i++)
        if (token_is(name, p->module->variables[i].name)) return &p->module->variables[i];
    return NULL;
}

static enum type type_of(struct parser* p) {
    const struct token* token = next_word(p);
    const enum type type = type_named(token->start + 1, token->length - 1);
    if (type == NO_TYPE) parse_fail(p, "'%.*s' is no type", (int)token->length, token->start);
    return type;
}

// .align N .b8 name[N], the type and the size.
static struct variable declarator(struct parser* p, enum space space, enum type* type) {
    struct variable variable = {.space = space, .alignment = 0};
    while (token_is(&p->tokens[p->at], ".align") || token_is(&p->tokens[p->at], ".ptr") ||
           token_is(&p->tokens[p->at], ".attribute")) {
        if (token_is(next_token(p), ".align")) variable.alignment = (u32)next_integer(p);
    }
    *type = type_of(p);
    // A pointer's parameter may say where it points to.
    while (p->tokens[p->at].start[0] == '.') {
        if (token_is(next_token(p), ".align")) next_integer(p);
    }
    const u32 size = type_bytes(*type);
    if (variable.alignment == 0) variable.alignment = size;
    const struct token* name = next_word(p);
    snprintf(variable.name, sizeof variable.name, "%.*s", (int)name->length, name->start);
    variable.bytes = size;
    while (accept(p, '[')) {
        variable.is_dynamic = p->tokens[p->at].kind == ']';
        variable.bytes *= variable.is_dynamic ? 0 : next_integer(p);
        expect(p, ']');
    }
    return variable;
}

static u64 aligned(u64 value, u64 alignment) { return (value + alignment - 1) / alignment * alignment; }

// Each global or constant variable is a block of its own, so that its bounds are seen.
static void place_in_module(struct parser* p, struct variable variable, enum type type) {
    struct ptx_module* m = p->module;
    u8* memory = aligned_alloc(256, aligned(variable.bytes + 1, 256));
    memset(memory, 0, variable.bytes);
    variable.address = (u64)(uintptr_t)memory;
    if (accept(p, '=')) {
        const u32 size = type_bytes(type);
        u64 at = 0;
        for (u32 depth = 0;;) {
            if (accept(p, '{')) {
                depth++;
            } else if (accept(p, '}')) {
                if (--depth == 0) break;
            } else if (!accept(p, ',')) {
                const u64 bits = next_integer(p);
                if (at + size > variable.bytes) parse_fail(p, "%s has too many values", variable.name);
                memcpy(memory + at, &bits, size);
                at += size;
                if (depth == 0) break;
            }
        }
    }
    m->variables = parse_grow(m->variables, m->variable_count, sizeof variable);
    m->variables[m->variable_count++] = variable;
    m->blocks = parse_grow(m->blocks, m->block_count, sizeof *m->blocks);
    m->blocks[m->block_count++] = (struct ptx_memory){.start = variable.address, .bytes = variable.bytes};
}

static void add_variable(struct parser* p, struct variable variable) {
    variable.depth = p->depth;
    p->variables = parse_grow(p->variables, p->variable_count, sizeof variable);
    p->variables[p->variable_count++] = variable;
}

static void declare(struct parser* p, enum space space) {
    do {
        enum type type;
        struct variable variable = declarator(p, space, &type);
        if (space == GLOBAL || space == CONSTANT) {
            place_in_module(p, variable, type);
            continue;
        }
        if (p->entry == NULL) {
            // Shared memory of the module; kernels see it, each at the start of its own.
            p->module->variables = parse_grow(p->module->variables, p->module->variable_count, sizeof variable);
            p->module->variables[p->module->variable_count++] = variable;
            continue;
        }
        u32* bytes = space == SHARED ? &p->entry->head.shared_bytes : &p->entry->head.local_bytes;
        variable.address = aligned(*bytes, variable.alignment);
        *bytes = (u32)(variable.address + variable.bytes);
        add_variable(p, variable);
    } while (accept(p, ','));
    expect(p, ';');
}

// Shared variables of the module take part in every kernel; a dynamic one begins where the static ones end.
static void place_shared_of_module(struct parser* p) {
    struct ptx_module* m = p->module;
    for (u32 i = 0; i < m->variable_count; i++) {
        struct variable* v = &m->variables[i];
        if (v->space != SHARED || v->is_dynamic) continue;
        v->address = aligned(p->entry->head.shared_bytes, v->alignment);
        p->entry->head.shared_bytes = (u32)(v->address + v->bytes);
    }
}

static void declare_registers(struct parser* p) {
    const enum type type = type_of(p);
    do {
        struct registers r = {.name = *next_word(p), .count = 1, .width = width_of(type), .depth = p->depth};
        if (accept(p, '<')) {
            r.is_range = true;
            r.count = (u32)next_integer(p);
            expect(p, '>');
        }
        r.slots = calloc(r.count + 1, sizeof *r.slots);
        p->registers = parse_grow(p->registers, p->register_count, sizeof r);
        p->registers[p->register_count++] = r;
        p->entry->head.register_bytes += type == PRED ? 0 : r.count * type_bytes(type);
    } while (accept(p, ','));
    expect(p, ';');
}

// --- Lines --------------------------------------------------------------------------------------------------------

static void locate(struct parser* p) {
    struct location location = {.file = (u16)next_integer(p), .line = (u32)next_integer(p)};
    next_integer(p);
    while (accept(p, ',')) {
        if (token_is(next_word(p), "inlined_at")) {
            location.caller_file = (u16)next_integer(p), location.caller_line = (u32)next_integer(p);
            next_integer(p);
        } else {
            next_token(p);
            if (accept(p, '+')) next_integer(p);
        }
    }
    // Line 0 is the compiler's own; what it stands for is near the line before.
    if (location.line == 0) return;
    struct ptx_module* m = p->module;
    m->locations = parse_grow(m->locations, m->location_count, sizeof location);
    m->locations[m->location_count] = location;
    p->location = m->location_count++;
}

static void name_file(struct parser* p) {
    const u32 index = (u32)next_integer(p);
    const struct token* name = next_token(p);
    while (accept(p, ',')) next_integer(p);
    struct ptx_module* m = p->module;
    if (index >= m->file_count) {
        m->files = realloc(m->files, (index + 1) * sizeof *m->files);
        while (m->file_count <= index) m->files[m->file_count++] = NULL;
    }
    if (m->files[index] == NULL) m->files[index] = strndup(name->start, name->length);
}

// The last two parts of the path name the file as people do.
static const char* short_name(const struct ptx_module* module, u32 file) {
    const char* path = file < module->file_count && module->files[file] != NULL ? module->files[file] : "?";
    const char* start = path + strlen(path);
    for (u32 slashes = 0; start > path && slashes < 2; start--)
        if (start[-1] == '/' && ++slashes == 2) break;
    return start;
}

bool is_location(const struct ptx_module* module, u32 location, const char* file, u32 line) {
    const struct location* at = &module->locations[location];
    return at->line == line && strcmp(short_name(module, at->file), file) == 0;
}

void describe_location(const struct ptx_module* module, u32 location, char* text, size_t bytes) {
    const struct location* at = &module->locations[location];
    if (location == 0)
        snprintf(text, bytes, "an unknown line");
    else if (at->caller_line == 0)
        snprintf(text, bytes, "%s:%u", short_name(module, at->file), at->line);
    else
        snprintf(text, bytes, "%s:%u (in %s:%u)", short_name(module, at->file), at->line,
                 short_name(module, at->caller_file), at->caller_line);
}

// --- Kernels ------------------------------------------------------------------------------------------------------

static void parse_parameters(struct parser* p, struct ptx_kernel* kernel) {
    expect(p, '(');
    while (!accept(p, ')')) {
        if (!token_is(next_token(p), ".param")) parse_fail(p, "a parameter is expected");
        enum type type;
        const struct variable variable = declarator(p, PARAMETER, &type);
        struct ptx_parameter parameter = {.offset = (u32)aligned(kernel->parameter_bytes, variable.alignment),
                                          .bytes = (u32)variable.bytes};
        snprintf(parameter.name, sizeof parameter.name, "%.95s", variable.name);
        kernel->parameter_bytes = parameter.offset + parameter.bytes;
        kernel->parameters = parse_grow(kernel->parameters, kernel->parameter_count, sizeof parameter);
        kernel->parameters[kernel->parameter_count++] = parameter;
        accept(p, ',');
    }
}

static void parse_limits(struct parser* p, struct ptx_kernel* kernel) {
    while (p->tokens[p->at].kind == 'i') {
        const struct token* directive = next_token(p);
        u32 product = 1;
        while (p->tokens[p->at].kind == 'i' && isdigit((unsigned char)p->tokens[p->at].start[0])) {
            product *= (u32)next_integer(p);
            accept(p, ',');
        }
        if (token_is(directive, ".maxntid") || token_is(directive, ".reqntid")) kernel->maximum_threads = product;
    }
}

static void leave_scope(struct parser* p) {
    while (p->register_count > 0 && p->registers[p->register_count - 1].depth == p->depth)
        free(p->registers[--p->register_count].slots);
    while (p->variable_count > 0 && p->variables[p->variable_count - 1].depth == p->depth) p->variable_count--;
    p->depth--;
}

// label: .branchtargets label, label;
static void note_targets(struct parser* p) {
    struct branch_targets targets = {.name = p->tokens[p->at], .scope = p->scope, .first = p->at + 3};
    skip_to(p, ';');
    targets.end = p->at - 1;
    p->targets = parse_grow(p->targets, p->target_count, sizeof targets);
    p->targets[p->target_count++] = targets;
}

static void parse_body(struct parser* p) {
    const u32 outside = p->depth++;
    expect(p, '{');
    while (p->depth > outside) {
        const struct token* token = &p->tokens[p->at];
        if (token->kind == 0) parse_fail(p, "the kernel does not end");
        if (accept(p, '{')) {
            p->depth++;
        } else if (accept(p, '}')) {
            leave_scope(p);
        } else if (token->kind == 'i' && token->start[0] == '.') {
            p->at++;
            if (token_is(token, ".reg"))
                declare_registers(p);
            else if (token_is(token, ".shared"))
                declare(p, SHARED);
            else if (token_is(token, ".local") || token_is(token, ".param"))
                declare(p, LOCAL);
            else if (token_is(token, ".loc"))
                locate(p);
            else if (token_is(token, ".pragma"))
                skip_to(p, ';');
            else
                parse_fail(p, "'%.*s' is unknown", (int)token->length, token->start);
        } else if (token->kind == 'i' && p->tokens[p->at + 1].kind == ':') {
            if (token_is(&p->tokens[p->at + 2], ".branchtargets")) {
                note_targets(p);
                continue;
            }
            place_label(p, token);
            p->at += 2;
        } else {
            decode(p);
        }
    }
}

static atomic_ullong entries = 1;

static void parse_kernel(struct parser* p) {
    struct entry* entry = calloc(1, sizeof *entry);
    struct ptx_module* m = p->module;
    m->entries = parse_grow(m->entries, m->entry_count, sizeof *m->entries);
    m->entries[m->entry_count++] = entry;
    const struct token* name = next_word(p);
    snprintf(entry->head.name, sizeof entry->head.name, "%.*s", (int)name->length, name->start);
    entry->module = m;
    entry->number = atomic_fetch_add(&entries, 1);
    p->entry = entry;
    p->location = 0;
    p->constant_bytes = p->register_bytes = p->variable_count = p->label_count = p->jump_count = p->constant_count = 0;
    p->target_count = p->scope = p->depth = 0;
    if (p->tokens[p->at].kind == '(') parse_parameters(p, &entry->head);
    parse_limits(p, &entry->head);
    place_shared_of_module(p);
    parse_body(p);
    finish_kernel(p);
    p->entry = NULL;
}

// --- Functions ----------------------------------------------------------------------------------------------------

// (name, name): the variables of a call, or of the function's head, which are then those of the call.
static void bind_arguments(struct parser* p, const struct variable* given, u32 count) {
    u32 k = 0;
    expect(p, '(');
    while (!accept(p, ')')) {
        if (!token_is(next_token(p), ".param") || k == count) parse_fail(p, "a call does not have its function's form");
        enum type type;
        struct variable variable = declarator(p, PARAMETER, &type);
        if (variable.bytes != given[k].bytes) parse_fail(p, "an argument does not have its parameter's size");
        variable.address = given[k++].address;
        add_variable(p, variable);
        accept(p, ',');
    }
    if (k != count) parse_fail(p, "a call does not have its function's form");
}

static u32 parse_arguments(struct parser* p, struct variable* given) {
    u32 count = 0;
    expect(p, '(');
    while (!accept(p, ')')) {
        const struct variable* variable = variable_named(p, next_word(p));
        if (variable == NULL || count == MAX_LIST) parse_fail(p, "an argument of a call is no parameter");
        given[count++] = *variable;
        accept(p, ',');
    }
    return count;
}

static u32 find_function(struct parser* p, const struct token* name) {
    for (u32 i = 0; i < p->function_count; i++) {
        const struct token* known = &p->functions[i].name;
        if (known->length == name->length && memcmp(known->start, name->start, name->length) == 0)
            return p->functions[i].at;
    }
    parse_fail(p, "the module has no function %.*s", (int)name->length, name->start);
}

void inline_function(struct parser* p, const struct instruction* guard) {
    struct variable results[MAX_LIST], arguments[MAX_LIST];
    u32 result_count = 0, argument_count = 0;
    if (p->tokens[p->at].kind == '(') {
        result_count = parse_arguments(p, results);
        expect(p, ',');
    }
    const struct token* name = next_word(p);
    if (accept(p, ',')) argument_count = parse_arguments(p, arguments);
    expect(p, ';');
    if (p->call_depth == MAX_CALL_DEPTH)
        parse_fail(p, "%.*s calls itself, or calls are too deep", (int)name->length, name->start);
    const u32 back = p->at, location = p->location, scope = p->scope;
    p->at = find_function(p, name);
    p->scope = ++p->scope_count;
    p->call_depth++;
    p->depth++;
    if (guard->guard != 0) {
        struct instruction past = *guard;
        past.is_negated = !past.is_negated;
        emit_branch(p, &past, &function_end);
    }
    if (p->tokens[p->at].kind == '(') bind_arguments(p, results, result_count);
    next_token(p);
    if (p->tokens[p->at].kind == '(') bind_arguments(p, arguments, argument_count);
    while (p->tokens[p->at].kind == 'i') p->at++;
    parse_body(p);
    place_label(p, &function_end);
    leave_scope(p);
    p->call_depth--;
    p->at = back, p->location = location, p->scope = scope;
}

// .func (results) name(parameters): with a body it is a definition.
static void note_function(struct parser* p) {
    struct function function = {.at = p->at};
    if (p->tokens[p->at].kind == '(') skip_to(p, ')');
    function.name = *next_word(p);
    if (p->tokens[p->at].kind == '(') skip_to(p, ')');
    while (p->tokens[p->at].kind == 'i') p->at++;
    if (accept(p, ';')) return;
    skip_braces(p);
    p->functions = parse_grow(p->functions, p->function_count, sizeof function);
    p->functions[p->function_count++] = function;
}

// --- The module ---------------------------------------------------------------------------------------------------

// Files are named after the code that speaks of them, but an error in the code shall name its file; functions may be
// defined after what calls them.
static void look_ahead(struct parser* p) {
    for (p->at = 0; p->tokens[p->at].kind != 0;) {
        const struct token* token = next_token(p);
        if (token_is(token, ".file")) name_file(p);
        if (token_is(token, ".func")) note_function(p);
    }
    p->at = 0;
}

static void skip_function(struct parser* p) {
    while (p->tokens[p->at].kind != '{' && p->tokens[p->at].kind != ';' && p->tokens[p->at].kind != 0) p->at++;
    if (!accept(p, ';')) skip_braces(p);
}

static void parse_module(struct parser* p) {
    look_ahead(p);
    while (p->tokens[p->at].kind != 0) {
        const struct token* token = next_token(p);
        if (token_is(token, ".version") || token_is(token, ".address_size"))
            next_token(p);
        else if (token_is(token, ".target"))
            do next_token(p);
            while (accept(p, ','));
        else if (token_is(token, ".file"))
            name_file(p);
        else if (token_is(token, ".section"))
            next_token(p), skip_braces(p);
        else if (token_is(token, ".visible") || token_is(token, ".extern") || token_is(token, ".weak"))
            continue;
        else if (token_is(token, ".global"))
            declare(p, GLOBAL);
        else if (token_is(token, ".const"))
            declare(p, CONSTANT);
        else if (token_is(token, ".shared"))
            declare(p, SHARED);
        else if (token_is(token, ".func"))
            skip_function(p);
        else if (token_is(token, ".entry"))
            parse_kernel(p);
        else
            parse_fail(p, "'%.*s' is unknown to the machine", (int)token->length, token->start);
    }
}

struct ptx_module* ptx_load(const char* text, char* log, size_t log_bytes) {
    struct parser* p = calloc(1, sizeof *p);
    p->tokens = tokens_of(text);
    p->module = calloc(1, sizeof *p->module);
    p->module->locations = calloc(1, sizeof *p->module->locations);
    p->module->location_count = 1;
    p->log = log, p->log_bytes = log_bytes;
    const bool failed = setjmp(p->failed) != 0;
    if (!failed) parse_module(p);
    struct ptx_module* module = p->module;
    for (u32 i = 0; i < p->register_count; i++) free(p->registers[i].slots);
    free(p->registers), free(p->labels), free(p->jumps), free(p->variables), free(p->constants), free(p->tokens);
    free(p->functions), free(p->targets);
    free(p);
    if (!failed) return module;
    ptx_unload(module);
    return NULL;
}

void ptx_unload(struct ptx_module* module) {
    for (u32 i = 0; i < module->entry_count; i++) {
        struct entry* entry = module->entries[i];
        for (u32 k = 0; k < entry->list_count; k++) free(entry->lists[k]);
        free(entry->lists), free(entry->head.parameters), free(entry->code), free(entry->constants), free(entry);
    }
    for (u32 i = 0; i < module->file_count; i++) free(module->files[i]);
    for (u32 i = 0; i < module->variable_count; i++) {
        const struct variable* v = &module->variables[i];
        if (v->space == GLOBAL || v->space == CONSTANT) free((void*)(uintptr_t)v->address);
    }
    free(module->entries), free(module->variables), free(module->blocks), free(module->files), free(module->locations);
    free(module);
}

u32 ptx_kernel_count(const struct ptx_module* module) { return module->entry_count; }

const struct ptx_kernel* ptx_kernel_at(const struct ptx_module* module, u32 index) {
    return &module->entries[index]->head;
}
