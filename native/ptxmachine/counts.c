// What a GPU would be charged for: sectors of device memory, wavefronts of shared memory, sums by kernel.

#include "machine.h"

#include <pthread.h>

#define SECTOR 32

static u32 distinct_sectors(const struct request* r) {
    if (r->pattern == ALIKE) return 1;
    const u64 first = r->addresses[r->first];
    if (r->pattern == ROW) return (u32)((first + r->count * r->bytes - 1) / SECTOR - first / SECTOR + 1);
    // Lanes mostly go up through memory, so that a sector repeats only next to itself; else all are compared.
    u64 sectors[LANES];
    u32 count = 0, distinct = 1;
    bool is_rising = true;
    FOR_LANES(i, r->mask) {
        const u64 sector = r->addresses[i] / SECTOR;
        if (count > 0 && sectors[count - 1] == sector) continue;
        if (count > 0 && sectors[count - 1] > sector) is_rising = false;
        sectors[count++] = sector;
    }
    if (is_rising) return count;
    for (u32 i = 1; i < count; i++) {
        u32 k = 0;
        while (sectors[k] != sectors[i]) k++;
        distinct += k == i;
    }
    return distinct;
}

void count_global(struct warp* w, const struct request* r) {
    struct ptx_counts* counts = &w->group->worker->counts;
    const u64 asked = (u64)r->count * r->bytes;
    if (r->access == WRITE)
        counts->store_requests++, counts->store_sectors += distinct_sectors(r), counts->store_bytes += asked;
    else
        counts->load_requests++, counts->load_sectors += distinct_sectors(r), counts->load_bytes += asked;
}

// Shared memory has 32 banks of 4 bytes. A request of wider accesses goes in parts of 128 bytes; in each part a
// wavefront serves one word of each bank.
void count_shared(struct warp* w, const struct request* r) {
    struct ptx_counts* counts = &w->group->worker->counts;
    counts->shared_requests++;
    const u32 words = r->bytes <= 4 ? 1 : r->bytes / 4, lanes = LANES / words;
    if (words == 1 && r->pattern != SCATTERED) {
        counts->shared_wavefronts++;
        return;
    }
    for (u32 first = 0; first < LANES; first += lanes) {
        u64 seen[LANES][4];
        u8 depth[LANES] = {0};
        u32 most = 0;
        for (u32 i = first; i < first + lanes; i++) {
            if (!has_lane(r->mask, i)) continue;
            // Most lanes that share a word stand side by side.
            if (i > first && has_lane(r->mask, i - 1) && r->addresses[i] == r->addresses[i - 1]) continue;
            for (u32 k = 0; k < words; k++) {
                const u64 word = r->addresses[i] / 4 + k;
                const u32 bank = word % LANES;
                u32 at = 0;
                while (at < depth[bank] && at < 4 && seen[bank][at] != word) at++;
                if (at < depth[bank] && at < 4) continue;
                if (depth[bank] < 4) seen[bank][depth[bank]] = word;
                depth[bank]++;
                if (depth[bank] > most) most = depth[bank];
            }
        }
        counts->shared_wavefronts += most;
    }
}

// --- Sums by kernel -----------------------------------------------------------------------------------------------

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    char kernel[96];
    struct ptx_counts counts;
} * sums;
static u32 sum_count;

void add_counts(const char* kernel, const struct ptx_counts* counts) {
    pthread_mutex_lock(&lock);
    u32 k = 0;
    while (k < sum_count && strcmp(sums[k].kernel, kernel) != 0) k++;
    if (k == sum_count) {
        sums = realloc(sums, (sum_count + 1) * sizeof *sums);
        memset(&sums[k], 0, sizeof sums[k]);
        snprintf(sums[k].kernel, sizeof sums[k].kernel, "%s", kernel);
        sum_count++;
    }
    u64* to = (u64*)(void*)&sums[k].counts;
    const u64* from = (const u64*)(const void*)counts;
    for (size_t i = 0; i < sizeof *counts / sizeof *to; i++) to[i] += from[i];
    pthread_mutex_unlock(&lock);
}

const struct ptx_counts* ptx_counts_of(const char* kernel) {
    static _Thread_local struct ptx_counts copy;
    const struct ptx_counts* found = NULL;
    pthread_mutex_lock(&lock);
    for (u32 k = 0; k < sum_count; k++)
        if (strcmp(sums[k].kernel, kernel) == 0) copy = sums[k].counts, found = &copy;
    pthread_mutex_unlock(&lock);
    return found;
}

const char* ptx_counted_kernel(u32 index) {
    static _Thread_local char name[96];
    pthread_mutex_lock(&lock);
    const bool is_known = index < sum_count;
    if (is_known) memcpy(name, sums[index].kernel, sizeof name);
    pthread_mutex_unlock(&lock);
    return is_known ? name : NULL;
}

void ptx_reset_counts(void) {
    pthread_mutex_lock(&lock);
    free(sums);
    sums = NULL;
    sum_count = 0;
    pthread_mutex_unlock(&lock);
}
