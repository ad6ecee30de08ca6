/* Memory of the emulated devices and pinned memory of the host. A float that nobody wrote is NaN.
 *
 * With AddressSanitizer, device memory comes from malloc() and is poisoned while no work is done;
 * without, it lies in pages of its own with a guard behind them, which nobody may touch but then.
 */
#include "tests/emulator/asan.h"
#include "tests/emulator/hip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef EMULATOR_ASAN
#include <sanitizer/asan_interface.h>
#endif

enum {
    ALIGN_BYTES = 256,    /* what hipMalloc() promises */
    NEVER_WRITTEN = 0xFF, /* floats and halves of it are NaN */
};

struct allocation {
    struct allocation *next;
    struct hip_device *device; /* NULL: pinned memory of the host */
    uint8_t *at;
    size_t bytes;
    void *pages; /* device memory without AddressSanitizer: all of the mapping */
    size_t pages_bytes;
};

static struct allocation *allocations;
static const struct hip_device *shown; /* whose memory can be touched now; NULL: nobody's */

/* ---- pages ---- */

#ifdef EMULATOR_ASAN

static void set_shown(struct allocation *allocation, bool is_wanted)
{
    if (is_wanted)
        ASAN_UNPOISON_MEMORY_REGION(allocation->at, allocation->bytes);
    else
        ASAN_POISON_MEMORY_REGION(allocation->at, allocation->bytes);
}

static bool take_pages(struct allocation *allocation)
{
    void *at = NULL;

    if (posix_memalign(&at, ALIGN_BYTES, allocation->bytes) != 0)
        return false;
    allocation->at = at;
    return true;
}

static void give_pages(struct allocation *allocation)
{
    set_shown(allocation, true);
    free(allocation->at);
}

#else

static void set_shown(struct allocation *allocation, bool is_wanted)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);

    if (mprotect(allocation->pages, allocation->pages_bytes - page,
                 is_wanted ? PROT_READ | PROT_WRITE : PROT_NONE) != 0) {
        fprintf(stderr, "gpu emulator: mprotect: %m\n");
        abort();
    }
}

/* So that the last byte, but for the alignment, is the last before the guard. */
static bool take_pages(struct allocation *allocation)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t bytes = (allocation->bytes + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
    const size_t in_pages = (bytes + page - 1) / page * page;

    allocation->pages_bytes = in_pages + page;
    allocation->pages = mmap(NULL, allocation->pages_bytes, PROT_NONE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (allocation->pages == MAP_FAILED)
        return false;
    allocation->at = (uint8_t *)allocation->pages + in_pages - bytes;
    set_shown(allocation, true);
    return true;
}

static void give_pages(struct allocation *allocation)
{
    (void)munmap(allocation->pages, allocation->pages_bytes); /* cannot fail on our own mapping */
}

#endif

void memory_show(const struct hip_device *device)
{
    shown = device;
    for (struct allocation *at = allocations; at != NULL; at = at->next)
        if (at->device == device)
            set_shown(at, true);
}

void memory_hide(void)
{
    for (struct allocation *at = allocations; at != NULL; at = at->next)
        if (at->device != NULL && at->device == shown)
            set_shown(at, false);
    shown = NULL;
}

/* ---- who lies where ---- */

/* That overlaps with the bytes at AT. */
static struct allocation *find_overlap(const void *at, size_t bytes)
{
    uintptr_t begin = (uintptr_t)at;

    for (struct allocation *one = allocations; one != NULL; one = one->next)
        if (one->device != NULL && begin < (uintptr_t)one->at + one->bytes &&
            (uintptr_t)one->at < begin + bytes)
            return one;
    return NULL;
}

bool memory_is_device(const char *call, const void *at, size_t bytes)
{
    const struct allocation *in = find_overlap(at, bytes);

    if (in != NULL && in->device == hip_current_device() && (uintptr_t)at >= (uintptr_t)in->at &&
        (uintptr_t)at + bytes <= (uintptr_t)in->at + in->bytes)
        return true;
    fprintf(
        stderr,
        "gpu emulator: %s: %zu bytes at %p are not in one piece of the current device's memory\n",
        call, bytes, at);
    return false;
}

bool memory_is_host(const char *call, const void *at, size_t bytes)
{
    if (find_overlap(at, bytes) == NULL)
        return true;
    fprintf(stderr, "gpu emulator: %s: %p is of the device, where the host's is due\n", call, at);
    return false;
}

/* ---- calls ---- */

static void add_allocation(const struct allocation *allocation)
{
    struct allocation *kept = malloc(sizeof(*kept));

    if (kept == NULL)
        abort();
    *kept = *allocation;
    kept->next = allocations;
    allocations = kept;
}

/* Out of the list; NULL: nothing begins there. */
static struct allocation *remove_allocation(const void *at, bool is_device)
{
    for (struct allocation **link = &allocations; *link != NULL; link = &(*link)->next) {
        struct allocation *found = *link;

        if (found->at == at && (found->device != NULL) == is_device) {
            *link = found->next;
            return found;
        }
    }
    return NULL;
}

int hipMemGetInfo(size_t *out_free, size_t *out_total)
{
    enum hip_error error = hip_enter(__func__);
    const struct hip_device *device = hip_current_device();

    if (error == HIP_SUCCESS) {
        *out_free = device->total_bytes - device->used_bytes;
        *out_total = device->total_bytes;
    }
    return hip_leave(error);
}

int hipMalloc(void **out, size_t bytes)
{
    enum hip_error error = hip_enter(__func__);
    struct hip_device *device = hip_current_device();
    struct allocation allocation = {.device = device, .bytes = bytes};

    if (error == HIP_SUCCESS)
        error = graph_forbid(__func__);
    if (error == HIP_SUCCESS && bytes == 0)
        error = HIP_INVALID_VALUE;
    if (error == HIP_SUCCESS && bytes > device->total_bytes - device->used_bytes)
        error = HIP_OUT_OF_MEMORY;
    if (error == HIP_SUCCESS && !take_pages(&allocation))
        error = HIP_OUT_OF_MEMORY;
    if (error == HIP_SUCCESS) {
        memset(allocation.at, NEVER_WRITTEN, bytes);
        set_shown(&allocation, device == shown);
        device->used_bytes += bytes;
        add_allocation(&allocation);
        *out = allocation.at;
    }
    return hip_leave(error);
}

/* Waits for all work, as the real one does. A failed device takes its memory back, too: who ends
 * would leak it else. */
int hipFree(void *memory)
{
    enum hip_error error = hip_enter(__func__);
    struct allocation *found = NULL;

    if (error == HIP_SUCCESS)
        error = graph_forbid(__func__);
    if (error == HIP_SUCCESS)
        stream_drain_all();
    if (memory != NULL)
        found = remove_allocation(memory, true);
    if (found != NULL) {
        found->device->used_bytes -= found->bytes;
        give_pages(found);
        free(found);
    } else if (error == HIP_SUCCESS && memory != NULL) {
        error = HIP_INVALID_VALUE;
    }
    return hip_leave(error);
}

int hipHostMalloc(void **out, size_t bytes, unsigned flags)
{
    enum hip_error error = hip_enter(__func__);
    struct allocation allocation = {.bytes = bytes};
    void *at = NULL;

    if (error == HIP_SUCCESS)
        error = graph_forbid(__func__);
    if (error == HIP_SUCCESS && posix_memalign(&at, ALIGN_BYTES, bytes) != 0)
        error = HIP_OUT_OF_MEMORY;
    if (error == HIP_SUCCESS) {
        memset(at, NEVER_WRITTEN, bytes);
        allocation.at = at;
        add_allocation(&allocation);
        *out = at;
    }
    return hip_leave(error);
}

int hipHostFree(void *memory)
{
    enum hip_error error = hip_enter(__func__);
    struct allocation *found = NULL;

    if (error == HIP_SUCCESS)
        error = graph_forbid(__func__);
    if (error == HIP_SUCCESS)
        stream_drain_all();
    if (memory != NULL)
        found = remove_allocation(memory, false);
    if (found != NULL) {
        free(found->at);
        free(found);
    } else if (error == HIP_SUCCESS && memory != NULL) {
        error = HIP_INVALID_VALUE;
    }
    return hip_leave(error);
}
