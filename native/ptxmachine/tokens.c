// Cuts the text into tokens, and reads them one by one.

#include "parser.h"

#include <ctype.h>

static bool is_word_part(const char* at) {
    return isalnum((unsigned char)*at) || *at == '_' || *at == '$' || *at == '%' || *at == '.' ||
           (at[0] == ':' && at[1] == ':') || (at[0] == ':' && at[-1] == ':');
}

struct token* tokens_of(const char* text) {
    struct token* tokens = NULL;
    u32 count = 0;
    for (const char* at = text;;) {
        while (isspace((unsigned char)*at)) at++;
        if (at[0] == '/' && at[1] == '/') {
            at += strcspn(at, "\n");
            continue;
        }
        if (at[0] == '/' && at[1] == '*') {
            const char* end = strstr(at + 2, "*/");
            at = end == NULL ? at + strlen(at) : end + 2;
            continue;
        }
        struct token token = {at, 1, *at};
        if (*at == '"') {
            const size_t length = strcspn(at + 1, "\"");
            token = (struct token){at + 1, (u32)length, 's'};
            at += length + (at[1 + length] != 0 ? 2 : 1);
        } else if (is_word_part(at)) {
            while (is_word_part(at)) at++;
            token = (struct token){token.start, (u32)(at - token.start), 'i'};
        } else if (*at != 0) {
            at++;
        }
        tokens = parse_grow(tokens, count, sizeof *tokens);
        tokens[count++] = token;
        if (token.kind == 0) return tokens;
    }
}

bool token_is(const struct token* token, const char* text) {
    return token->length == strlen(text) && memcmp(token->start, text, token->length) == 0;
}

struct token* next_token(struct parser* p) {
    struct token* token = &p->tokens[p->at];
    if (token->kind != 0) p->at++;
    return token;
}

bool accept(struct parser* p, char kind) {
    if (p->tokens[p->at].kind != kind) return false;
    p->at++;
    return true;
}

void expect(struct parser* p, char kind) {
    const struct token* token = &p->tokens[p->at];
    if (!accept(p, kind)) parse_fail(p, "'%c' is expected before '%.*s'", kind, (int)token->length, token->start);
}

struct token* next_word(struct parser* p) {
    struct token* token = next_token(p);
    if (token->kind != 'i') parse_fail(p, "a name is expected before '%.*s'", (int)token->length, token->start);
    return token;
}

// A number: an integer, or a float as its bits (0f3F800000, 0d...).
u64 parse_number(struct parser* p, char* literal) {
    const bool is_negative = accept(p, '-');
    const struct token* token = next_word(p);
    char text[64];
    snprintf(text, sizeof text, "%.*s", (int)token->length, token->start);
    const char kind = text[0] == '0' ? (char)tolower((unsigned char)text[1]) : 0;
    char* end;
    *literal = kind == 'f' ? 'f' : kind == 'd' ? 'd' : 'i';
    const u64 bits = *literal != 'i' ? strtoull(text + 2, &end, 16) : strtoull(text, &end, 0);
    if (*end == 'U' || *end == 'u') end++;
    if (*end != 0 || end == text) parse_fail(p, "'%s' is no number", text);
    if (!is_negative) return bits;
    return *literal == 'f' ? bits ^ 0x80000000u : *literal == 'd' ? bits ^ 0x8000000000000000ull : 0 - bits;
}

u64 next_integer(struct parser* p) {
    char literal;
    return parse_number(p, &literal);
}

void skip_to(struct parser* p, char kind) {
    while (p->tokens[p->at].kind != kind && p->tokens[p->at].kind != 0) p->at++;
    expect(p, kind);
}

void skip_braces(struct parser* p) {
    expect(p, '{');
    for (u32 depth = 1; depth > 0;) {
        const struct token* token = next_token(p);
        if (token->kind == 0) parse_fail(p, "a brace is not closed");
        depth += token->kind == '{' ? 1 : token->kind == '}' ? (u32)-1 : 0;
    }
}
