// NVRTC as much as it takes to hand back a module: no code is made, but the kernels' parameter lists are read, so that
// the driver's stand-in knows the name and the size of each argument.

#include "core.h"
#include "image.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NVRTC_SUCCESS = 0,
    NVRTC_ERROR_INVALID_INPUT = 3,
    NVRTC_ERROR_INVALID_PROGRAM = 4,
    NVRTC_ERROR_INVALID_OPTION = 5,
    NVRTC_ERROR_COMPILATION = 6,
};

#define NVRTC(name) ENTER_OR_FAIL(API_NVRTC, name)

typedef int nvrtcResult;

static const int architectures[] = {70, 75, 80, 86, 89, 90, 100, 120};
#define ARCHITECTURE_COUNT ((int)(sizeof architectures / sizeof architectures[0]))

// --- Reading parameter lists
// -------------------------------------------------------------------------------------------

// Without comments, and with lines joined that end with a backslash.
static char* without_comments(const char* source) {
    char* text = malloc(strlen(source) + 1);
    char* end = text;
    for (const char* at = source; *at != 0;) {
        if (at[0] == '/' && at[1] == '/') {
            at += strcspn(at, "\n");
        } else if (at[0] == '/' && at[1] == '*') {
            const char* close = strstr(at + 2, "*/");
            at = close == NULL ? at + strlen(at) : close + 2;
        } else if (at[0] == '\\' && at[1] == '\n') {
            at += 2;
        } else {
            *end++ = *at++;
        }
    }
    *end = 0;
    return text;
}

static bool is_word(char c) { return isalnum((unsigned char)c) || c == '_'; }

// What an object-like macro stands for, up to the end of its line; false when there is none of this name.
static bool find_macro(const char* text, const char* name, char* replacement, size_t bytes) {
    char define[128];
    snprintf(define, sizeof define, "#define %s ", name);
    const char* at = strstr(text, define);
    if (at == NULL) return false;
    at += strlen(define);
    snprintf(replacement, bytes, "%.*s", (int)strcspn(at, "\n"), at);
    return true;
}

static bool is_defined_as_one(const char* text, const char* name) {
    char value[16];
    return find_macro(text, name, value, sizeof value) && strcmp(value, "1") == 0;
}

// Bytes of a type by value, 0 when it is unknown.
static uint32_t size_of(const char* type, const char* text) {
    const uint32_t real = is_defined_as_one(text, "DTYPE_F64") ? 8 : 4;
    if (strcmp(type, "real") == 0) return real;
    if (strcmp(type, "scalar") == 0)
        return is_defined_as_one(text, "DTYPE_F64") || is_defined_as_one(text, "DTYPE_F32") ? real : 2;
    static const struct {
        const char* name;
        uint32_t size;
    } types[] = {{"u8", 1},  {"u16", 2}, {"u32", 4},   {"i32", 4},   {"int", 4},
                 {"u64", 8}, {"i64", 8}, {"float", 4}, {"double", 8}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(type, types[i].name) == 0) return types[i].size;
    return 0;
}

// `GLOBAL const u64* key`: the last word is the name, the last but one the type.
static bool parse_parameter(struct parameter* parameter, const char* declaration, const char* text) {
    char words[2][64] = {"", ""};
    for (const char* at = declaration; *at != 0;) {
        if (!is_word(*at)) {
            at++;
            continue;
        }
        size_t length = 0;
        while (is_word(at[length])) length++;
        memcpy(words[0], words[1], sizeof words[0]);
        snprintf(words[1], sizeof words[1], "%.*s", (int)length, at);
        at += length;
    }
    snprintf(parameter->name, sizeof parameter->name, "%s", words[1]);
    parameter->is_pointer = strchr(declaration, '*') != NULL;
    parameter->size = parameter->is_pointer ? 8 : size_of(words[0], text);
    return parameter->size > 0 && words[0][0] != 0;
}

// Appends the parameters of a comma-separated list; a word alone is a macro that stands for several.
static bool parse_list(struct kernel* kernel, const char* list, const char* text, char* reason, size_t reason_bytes) {
    while (*list != 0) {
        char declaration[256], macro[64], replacement[2048];
        snprintf(declaration, sizeof declaration, "%.*s", (int)strcspn(list, ","), list);
        list += strcspn(list, ",");
        if (*list == ',') list++;
        int used = -1;
        if (sscanf(declaration, " %63[A-Za-z0-9_] %n", macro, &used) == 1 && used >= 0 && declaration[used] == 0 &&
            find_macro(text, macro, replacement, sizeof replacement)) {
            if (!parse_list(kernel, replacement, text, reason, reason_bytes)) return false;
            continue;
        }
        if (kernel->parameter_count == FAKECUDA_MAXIMUM_ARGUMENTS ||
            !parse_parameter(&kernel->parameters[kernel->parameter_count], declaration, text)) {
            snprintf(reason, reason_bytes, "%s: parameter '%s' is not understood", kernel->name, declaration);
            return false;
        }
        kernel->parameter_count++;
    }
    return true;
}

int parse_kernels(const char* source, struct kernel** kernels, char* reason, size_t reason_bytes) {
    static const char opening[] = "KERNEL void ";
    char* text = without_comments(source);
    int count = 0;
    *kernels = NULL;
    for (const char* at = strstr(text, opening); at != NULL; at = strstr(at, opening)) {
        at += strlen(opening);
        const size_t name = strcspn(at, "( \n"), open = strcspn(at, "("), length = strcspn(at + open, ")");
        *kernels = realloc(*kernels, (size_t)(count + 1) * sizeof **kernels);
        struct kernel* kernel = &(*kernels)[count++];
        memset(kernel, 0, sizeof *kernel);
        snprintf(kernel->name, sizeof kernel->name, "%.*s", (int)name, at);
        char list[2048] = "";
        if (length > 0) snprintf(list, sizeof list, "%.*s", (int)length - 1, at + open + 1);
        if (!parse_list(kernel, list, text, reason, reason_bytes)) {
            free(*kernels);
            *kernels = NULL;
            count = -1;
            break;
        }
    }
    free(text);
    return count;
}

// --- The API
// -----------------------------------------------------------------------------------------------------------

FAKECUDA_EXPORT nvrtcResult nvrtcVersion(int* major, int* minor) {
    NVRTC(nvrtcVersion);
    *major = 12, *minor = 4;
    return leave(NVRTC_SUCCESS);
}

FAKECUDA_EXPORT nvrtcResult nvrtcGetNumSupportedArchs(int* count) {
    NVRTC(nvrtcGetNumSupportedArchs);
    *count = ARCHITECTURE_COUNT;
    return leave(NVRTC_SUCCESS);
}

FAKECUDA_EXPORT nvrtcResult nvrtcGetSupportedArchs(int* values) {
    NVRTC(nvrtcGetSupportedArchs);
    memcpy(values, architectures, sizeof architectures);
    return leave(NVRTC_SUCCESS);
}

FAKECUDA_EXPORT nvrtcResult nvrtcCreateProgram(uint64_t* program, const char* source, const char* name,
                                               int header_count, const char** headers, const char** include_names) {
    NVRTC(nvrtcCreateProgram);
    (void)name, (void)headers, (void)include_names;
    if (source == NULL || header_count != 0) return leave(NVRTC_ERROR_INVALID_INPUT);
    struct object* created = object_new(FAKECUDA_PROGRAM, 0);
    created->text = strdup(source);
    created->log = strdup("");
    *program = created->handle;
    return leave(NVRTC_SUCCESS);
}

static nvrtcResult fail_with(struct object* program, nvrtcResult status, const char* log) {
    free(program->log);
    program->log = strdup(log);
    return status;
}

static nvrtcResult compile(struct object* program, const char* architecture_option) {
    struct image_header header = {.magic = IMAGE_MAGIC, .source_bytes = strlen(program->text)};
    char message[512];
    bool known = false;
    if (architecture_option != NULL &&
        sscanf(architecture_option, "%7[a-z]_%d", header.kind, &header.architecture) == 2)
        for (int i = 0; i < ARCHITECTURE_COUNT; i++) known |= architectures[i] == header.architecture;
    if (!known || (strcmp(header.kind, "sm") != 0 && strcmp(header.kind, "compute") != 0)) {
        snprintf(message, sizeof message, "error: invalid value for --gpu-architecture: %s",
                 architecture_option == NULL ? "none" : architecture_option);
        return fail_with(program, NVRTC_ERROR_INVALID_OPTION, message);
    }

    char reason[400];
    struct kernel* kernels;
    const int count = parse_kernels(program->text, &kernels, reason, sizeof reason);
    free(kernels);
    if (count <= 0) {
        snprintf(message, sizeof message, "error: %s", count == 0 ? "there is no kernel" : reason);
        return fail_with(program, NVRTC_ERROR_COMPILATION, message);
    }

    free(program->image);
    program->image_bytes = sizeof header + header.source_bytes + (header.kind[0] == 'c' ? 1 : 0);
    program->image = malloc(sizeof header + header.source_bytes + 1);
    memcpy(program->image, &header, sizeof header);
    memcpy(program->image + sizeof header, program->text, header.source_bytes + 1);
    return fail_with(program, NVRTC_SUCCESS, "");
}

FAKECUDA_EXPORT nvrtcResult nvrtcCompileProgram(uint64_t handle, int option_count, const char** options) {
    NVRTC(nvrtcCompileProgram);
    static const char architecture[] = "--gpu-architecture=";
    struct object* program = object_find(handle, FAKECUDA_PROGRAM, "nvrtcCompileProgram");
    if (program == NULL) return leave(NVRTC_ERROR_INVALID_PROGRAM);
    const char* chosen = NULL;
    for (int i = 0; i < option_count; i++)
        if (strncmp(options[i], architecture, sizeof architecture - 1) == 0)
            chosen = options[i] + sizeof architecture - 1;
    return leave(compile(program, chosen));
}

// The image when it is of this kind; NVRTC reports a size of 0 for the other one.
static size_t image_bytes(const struct object* program, const char* kind) {
    const struct image_header* header = (const struct image_header*)program->image;
    return header != NULL && strcmp(header->kind, kind) == 0 ? program->image_bytes : 0;
}

static nvrtcResult get_size(uint64_t handle, const char* kind, size_t* bytes, const char* caller) {
    const struct object* program = object_find(handle, FAKECUDA_PROGRAM, caller);
    if (program == NULL) return NVRTC_ERROR_INVALID_PROGRAM;
    *bytes = image_bytes(program, kind);
    return NVRTC_SUCCESS;
}

static nvrtcResult get_image(uint64_t handle, const char* kind, char* image, const char* caller) {
    const struct object* program = object_find(handle, FAKECUDA_PROGRAM, caller);
    if (program == NULL || image_bytes(program, kind) == 0) return NVRTC_ERROR_INVALID_PROGRAM;
    memcpy(image, program->image, program->image_bytes);
    return NVRTC_SUCCESS;
}

FAKECUDA_EXPORT nvrtcResult nvrtcGetCUBINSize(uint64_t program, size_t* bytes) {
    NVRTC(nvrtcGetCUBINSize);
    return leave(get_size(program, "sm", bytes, "nvrtcGetCUBINSize"));
}

FAKECUDA_EXPORT nvrtcResult nvrtcGetCUBIN(uint64_t program, char* image) {
    NVRTC(nvrtcGetCUBIN);
    return leave(get_image(program, "sm", image, "nvrtcGetCUBIN"));
}

FAKECUDA_EXPORT nvrtcResult nvrtcGetPTXSize(uint64_t program, size_t* bytes) {
    NVRTC(nvrtcGetPTXSize);
    return leave(get_size(program, "compute", bytes, "nvrtcGetPTXSize"));
}

FAKECUDA_EXPORT nvrtcResult nvrtcGetPTX(uint64_t program, char* image) {
    NVRTC(nvrtcGetPTX);
    return leave(get_image(program, "compute", image, "nvrtcGetPTX"));
}

FAKECUDA_EXPORT nvrtcResult nvrtcGetProgramLogSize(uint64_t handle, size_t* bytes) {
    NVRTC(nvrtcGetProgramLogSize);
    const struct object* program = object_find(handle, FAKECUDA_PROGRAM, "nvrtcGetProgramLogSize");
    if (program == NULL) return leave(NVRTC_ERROR_INVALID_PROGRAM);
    *bytes = strlen(program->log) + 1;
    return leave(NVRTC_SUCCESS);
}

FAKECUDA_EXPORT nvrtcResult nvrtcGetProgramLog(uint64_t handle, char* log) {
    NVRTC(nvrtcGetProgramLog);
    const struct object* program = object_find(handle, FAKECUDA_PROGRAM, "nvrtcGetProgramLog");
    if (program == NULL) return leave(NVRTC_ERROR_INVALID_PROGRAM);
    strcpy(log, program->log);
    return leave(NVRTC_SUCCESS);
}

FAKECUDA_EXPORT nvrtcResult nvrtcDestroyProgram(uint64_t* handle) {
    ENTER(API_NVRTC, nvrtcDestroyProgram);
    struct object* program = object_find(*handle, FAKECUDA_PROGRAM, "nvrtcDestroyProgram");
    if (program == NULL) return leave(NVRTC_ERROR_INVALID_PROGRAM);
    object_delete(program);
    *handle = 0;
    return leave(injected);
}

FAKECUDA_EXPORT const char* nvrtcGetErrorString(nvrtcResult status) {
    return status == NVRTC_SUCCESS ? "NVRTC_SUCCESS" : "NVRTC_ERROR";
}
