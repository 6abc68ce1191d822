// Launches of PTX: the driver's stand-in hands them to the machine, with all memory that lives.

#include "machine.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int running;
static uint32_t group_limit;
static char removed_file[256]; // of a barrier; empty: none
static uint32_t removed_line;

void fakecuda_limit_groups(uint32_t groups) {
    lock_all();
    group_limit = groups;
    unlock_all();
}

void fakecuda_remove_barrier(const char* file, uint32_t line) {
    lock_all();
    snprintf(removed_file, sizeof removed_file, "%s", file == NULL ? "" : file);
    removed_line = line;
    unlock_all();
}

void machine_reset(void) {
    machine_wait();
    removed_file[0] = 0;
    group_limit = 0;
    ptx_reset_counts();
}

// Machine code begins with the mark of ELF; PTX begins with comments and its version.
bool is_ptx(const char* image) {
    while (isspace((unsigned char)*image) || *image == '/') image += *image == '/' ? strcspn(image, "\n") : 1;
    return strncmp(image, ".version", 8) == 0;
}

static bool describe(const struct ptx_module* module, struct kernel* kernels, int count, char* reason, size_t bytes) {
    for (int i = 0; i < count; i++) {
        const struct ptx_kernel* ptx = ptx_kernel_at(module, (uint32_t)i);
        struct kernel* kernel = &kernels[i];
        snprintf(kernel->name, sizeof kernel->name, "%s", ptx->name);
        kernel->ptx = ptx;
        kernel->parameter_count = (int)ptx->parameter_count;
        for (uint32_t k = 0; k < ptx->parameter_count; k++) {
            if (k == FAKECUDA_MAXIMUM_ARGUMENTS || ptx->parameters[k].bytes > sizeof(uint64_t)) {
                snprintf(reason, bytes, "%s: parameter %u is of a kind that the stand-in does not take", ptx->name, k);
                return false;
            }
            snprintf(kernel->parameters[k].name, sizeof kernel->parameters[k].name, "%.63s", ptx->parameters[k].name);
            kernel->parameters[k].size = ptx->parameters[k].bytes;
        }
    }
    return true;
}

struct ptx_module* machine_load(const char* text, struct kernel** kernels, int* count, char* reason,
                                size_t reason_bytes) {
    struct ptx_module* module = ptx_load(text, reason, reason_bytes);
    if (module == NULL) {
        violation("PTX: %s", reason);
        return NULL;
    }
    *count = (int)ptx_kernel_count(module);
    *kernels = calloc((size_t)*count + 1, sizeof **kernels);
    if (describe(module, *kernels, *count, reason, reason_bytes)) return module;
    violation("PTX: %s", reason);
    free(*kernels);
    ptx_unload(module);
    return NULL;
}

// The memory of a context, sorted by address as the objects are.
static struct ptx_memory* snapshot(uint64_t context, bool forget_tags, size_t* count) {
    struct ptx_memory* blocks = NULL;
    size_t capacity = 0;
    *count = 0;
    for (struct object* object = object_first_memory(); object != NULL; object = object_next_memory(object)) {
        if (object->written != NULL && object->tags == NULL) {
            object->tags = calloc(PTX_TAGS(object->bytes), sizeof *object->tags);
        } else if (object->tags != NULL && forget_tags) {
            memset(object->tags, 0, PTX_TAGS(object->bytes) * sizeof *object->tags);
        }
        if (object->context != context) continue;
        if (*count == capacity) blocks = realloc(blocks, (capacity = 2 * capacity + 64) * sizeof *blocks);
        blocks[(*count)++] = (struct ptx_memory){object->handle, object->bytes,
                                                 object->is_written ? NULL : object->written, object->tags};
    }
    return blocks;
}

static void report(const char* text) {
    lock_all();
    violation("%s", text);
    unlock_all();
}

void machine_run(const struct ptx_module* module, const struct ptx_kernel* kernel, const struct fakecuda_launch* launch,
                 uint64_t context) {
    uint8_t parameters[FAKECUDA_MAXIMUM_ARGUMENTS * sizeof(uint64_t) * 2] = {0};
    for (uint32_t i = 0; i < launch->argument_count; i++)
        memcpy(parameters + kernel->parameters[i].offset, &launch->arguments[i].value, launch->arguments[i].size);
    struct ptx_launch run = {.module = module,
                             .kernel = kernel,
                             .grid = {launch->grid[0], launch->grid[1], launch->grid[2]},
                             .block = {launch->block[0], launch->block[1], launch->block[2]},
                             .shared_bytes = launch->shared_bytes,
                             .is_cooperative = launch->is_cooperative,
                             .parameters = parameters,
                             .multiprocessors = MULTIPROCESSORS,
                             .removed_file = removed_file[0] == 0 ? NULL : removed_file,
                             .removed_line = removed_line,
                             .tag = ptx_next_tag(),
                             .report = report};
    if (group_limit > 0 && run.grid[0] > group_limit && !run.is_cooperative) run.grid[0] = group_limit;
    struct ptx_memory* memory = snapshot(context, run.tag == 1, &run.memory_count);
    run.memory = memory;
    machine_enter();
    const int status = ptx_run(&run);
    machine_leave();
    free(memory);
    if (status != 0) lose(status);
}

void machine_enter(void) {
    running++;
    unlock_all();
}

void machine_leave(void) {
    lock_all();
    running--;
    wake_others();
}

void machine_wait(void) {
    while (running > 0) wait_for_others();
}

const struct ptx_counts* fakecuda_counts(const char* kernel) { return ptx_counts_of(kernel); }

const char* fakecuda_counted_kernel(uint32_t index) { return ptx_counted_kernel(index); }
