/* Owns a device in use: its stream, its memory and what has been allocated of it, its kernels.
 * Knows the drivers only by their tables (gpu_library.h). */
#include "hip/backend/gpu_runtime.h"

#include "common/buf.h"
#include "common/log.h"
#include "common/mem.h"
#include "hip/backend/gpu_code.h"
#include "hip/backend/gpu_graph.h"
#include "hip/backend/gpu_library.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    STREAM_NON_BLOCKING = 1, /* of the device's default stream, in both APIs */
    EVENT_BLOCKING = 1,      /* a thread that waits for it sleeps */
    HOST_DEFAULT = 0,
    JIT_LOG_BYTES = 1024,
    MICROSECONDS_PER_MS = 1000,
};

/* Of the device, or pinned ones of the host. */
struct allocation {
    void *memory;
    uint64_t bytes;
    bool is_pinned;
};

struct gpu_context {
    struct gpu_library *library;
    struct gpu_slot *slot;
    const struct gpu_calls *calls;
    void *stream;
    struct gpu_graphs *graphs; /* NULL: there are none */
    void *module;
    struct gpu_kernel **kernels; /* in the order in which they were wanted */
    size_t kernel_count;
    struct allocation *allocations;
    size_t allocation_count;
    uint64_t allocated_bytes;
    uint64_t peak_bytes;
    uint64_t launch_count;
    uint64_t downloaded_bytes;
    /* What poisoned the native context; nothing works there any more. */
    struct err lost;
};

struct gpu_event {
    void *native;
};

/* ---- every call ---- */

static int context_enter(struct gpu_context *context, struct err *err)
{
    if (err_is_set(&context->lost))
        return err_set(err, ERR_DEVICE, "the GPU at %s has failed before: %.300s",
                       context->slot->info.pci, context->lost.message);
    return gpu_make_current(context->library, context->slot, err);
}

/* The end of each: STATUS is what CALL returned. */
static int context_leave(struct gpu_context *context, int status, enum gpu_call call,
                         struct err *err)
{
    if (status == GPU_STATUS_OK)
        return 0;
    (void)gpu_fail(context->slot->driver, status, call, err); /* -1, as below */
    if (gpu_status_is_fatal(status))
        context->lost = *err;
    return -1;
}

/* The same of a call that is about the stream, or about what is used there: launches that are
 * written down come before it. */
static int context_enter_stream(struct gpu_context *context, struct err *err)
{
    struct gpu_failure failure = {0};
    int status = 0;

    if (context_enter(context, err) < 0)
        return -1;
    status = gpu_graphs_flush(context->graphs, &failure);
    if (context_leave(context, status, failure.call, err) == 0)
        return 0;
    return failure.kernel == NULL ? -1 : err_wrap(err, "kernel %s", failure.kernel->name);
}

/* ---- opening ---- */

static int context_load_module(struct gpu_context *context, const void *image, const char *path,
                               struct err *err)
{
    char log[JIT_LOG_BYTES] = "";
    enum gpu_call failed = GPU_CALL_init;
    int status = context->slot->driver->vendor->load_module(context->calls, image, &context->module,
                                                            log, sizeof(log), &failed);

    log[sizeof(log) - 1] = '\0';
    if (context_leave(context, status, failed, err) == 0)
        return 0;
    context->module = NULL;
    return log[0] == '\0' ? err_wrap(err, "load %s", path)
                          : err_wrap(err, "load %s (%.200s)", path, log);
}

/* What stands in for a driver has its kernels in itself, whatever it is given. */
static int context_load_kernels(struct gpu_context *context, struct err *err)
{
    AUTO_BUF struct buf image = BUF_INIT(GPU_CODE_MAX_BYTES);
    AUTO_FREE char *path = NULL;

    if (context->slot->driver->own_architecture != NULL)
        return context_load_module(context, "emulator", "its own kernels", err);
    path = gpu_code_find(context->slot->info.architecture, err);
    if (path == NULL || gpu_code_read(path, &image, err) < 0)
        return -1;
    log_event(LOG_DEBUG, "gpu_kernels", "architecture=%s file=%s", context->slot->info.architecture,
              path);
    return context_load_module(context, image.data, path, err);
}

static int context_begin(struct gpu_context *context, struct err *err)
{
    uint64_t total = 0;
    int status = context->calls->stream_create(&context->stream, STREAM_NON_BLOCKING);

    if (context_leave(context, status, GPU_CALL_stream_create, err) < 0) {
        context->stream = NULL;
        return -1;
    }
    if (context_load_kernels(context, err) < 0)
        return -1;
    context->graphs = gpu_graphs_new(context->slot->driver, context->stream);
    return gpu_memory(context, &context->slot->info.free_bytes, &total, err);
}

struct gpu_context *gpu_open(struct gpu_library *library, uint32_t index, struct err *err)
{
    struct gpu_slot *slot = &library->devices[index];
    struct gpu_context *context = NULL;

    assert(index < library->device_count);
    if (slot->info.reason[0] != '\0')
        return err_set_null(err, ERR_DEVICE, "gpu:%u (%s) cannot be used: %s", index,
                            slot->info.name, slot->info.reason);
    if (gpu_slot_take(library, slot, err) < 0)
        return err_wrap_null(err, "gpu:%u (%s)", index, slot->info.name);
    context = xcalloc(1, sizeof(*context));
    context->library = library;
    context->slot = slot;
    context->calls = &slot->driver->calls;
    if (context_begin(context, err) == 0)
        return context;
    gpu_close(context);
    return err_wrap_null(err, "gpu:%u (%s)", index, slot->info.name);
}

/* Results of giving back are not looked at: nothing is wanted of it any more. */
static void context_end(struct gpu_context *context)
{
    const struct gpu_calls *calls = context->calls;

    if (context->stream != NULL)
        (void)calls->stream_wait(context->stream);
    for (size_t i = 0; i < context->allocation_count; i++) {
        const struct allocation *left = &context->allocations[i];

        (void)(left->is_pinned ? calls->host_free : calls->free)(left->memory);
    }
    if (context->module != NULL)
        (void)calls->module_unload(context->module);
    if (context->stream != NULL)
        (void)calls->stream_destroy(context->stream);
}

/* Whether a lost one can be given back. AMD's driver may hang in what is asked of it after a fault;
 * the process ends soon. What stands in for a driver does not hang. */
static bool context_may_end(const struct gpu_context *context)
{
    const struct gpu_driver *driver = context->slot->driver;

    return driver->vendor->is_calm_after_fault || driver->own_architecture != NULL;
}

void gpu_close(struct gpu_context *context)
{
    struct err ignored = ERR_INIT;
    bool is_alive = false;

    if (context == NULL)
        return;
    is_alive = context_enter(context, &ignored) == 0 || context_may_end(context);
    err_clear(&ignored);
    if (is_alive) /* a lost one may not be current, beside another */
        (void)gpu_make_current(context->library, context->slot, &ignored);
    gpu_graphs_free(context->graphs, is_alive);
    if (is_alive)
        context_end(context);
    gpu_slot_release(context->library, context->slot);
    for (size_t i = 0; i < context->kernel_count; i++)
        free(context->kernels[i]);
    free(context->kernels);
    free(context->allocations);
    free(context);
}

const struct gpu_info *gpu_context_info(const struct gpu_context *context)
{
    return &context->slot->info;
}

int gpu_memory(struct gpu_context *context, uint64_t *out_free, uint64_t *out_total,
               struct err *err)
{
    size_t free_bytes = 0;
    size_t total_bytes = 0;
    int status = 0;

    if (context_enter(context, err) < 0)
        return -1;
    status = context->calls->memory_info(&free_bytes, &total_bytes);
    if (context_leave(context, status, GPU_CALL_memory_info, err) < 0)
        return -1;
    *out_free = free_bytes;
    *out_total = total_bytes;
    return 0;
}

/* ---- memory ---- */

uint64_t gpu_allocated_bytes(const struct gpu_context *context)
{
    return context->allocated_bytes;
}

uint64_t gpu_allocated_peak_bytes(const struct gpu_context *context)
{
    return context->peak_bytes;
}

static void context_remember(struct gpu_context *context, void *memory, uint64_t bytes,
                             bool is_pinned)
{
    context->allocations =
        xgrow(context->allocations, context->allocation_count, sizeof(*context->allocations));
    context->allocations[context->allocation_count++] =
        (struct allocation){.memory = memory, .bytes = bytes, .is_pinned = is_pinned};
    if (is_pinned)
        return;
    context->allocated_bytes += bytes;
    if (context->allocated_bytes > context->peak_bytes)
        context->peak_bytes = context->allocated_bytes;
}

/* From the end: what was allocated last goes first, mostly. Whether it was pinned. */
static bool context_forget(struct gpu_context *context, const void *memory)
{
    size_t i = context->allocation_count;
    bool is_pinned = false;

    while (i > 0 && context->allocations[i - 1].memory != memory)
        i--;
    assert(i > 0);
    is_pinned = context->allocations[i - 1].is_pinned;
    if (!is_pinned)
        context->allocated_bytes -= context->allocations[i - 1].bytes;
    context->allocations[i - 1] = context->allocations[--context->allocation_count];
    return is_pinned;
}

void *gpu_alloc(struct gpu_context *context, uint64_t bytes, struct err *err)
{
    void *memory = NULL;
    int status = 0;

    assert(bytes > 0);
    if (context_enter(context, err) < 0)
        return NULL;
    status = context->calls->alloc(&memory, bytes);
    if (context_leave(context, status, GPU_CALL_alloc, err) < 0)
        return err_wrap_null(err, "%llu bytes of the GPU at %s, beside %llu of ours",
                             (unsigned long long)bytes, context->slot->info.pci,
                             (unsigned long long)context->allocated_bytes);
    context_remember(context, memory, bytes, false);
    return memory;
}

void gpu_free(struct gpu_context *context, void *memory)
{
    struct err ignored = ERR_INIT;

    if (memory == NULL || context_enter_stream(context, &ignored) < 0)
        return; /* one that is lost gives back all of it at its end, or nothing */
    /* A fault shows at the next call. */
    (void)(context_forget(context, memory) ? context->calls->host_free
                                           : context->calls->free)(memory);
}

void *gpu_pinned_alloc(struct gpu_context *context, uint64_t bytes, struct err *err)
{
    void *memory = NULL;
    int status = 0;

    assert(bytes > 0);
    if (context_enter(context, err) < 0)
        return NULL;
    status = context->calls->host_alloc(&memory, bytes, HOST_DEFAULT);
    if (context_leave(context, status, GPU_CALL_host_alloc, err) < 0)
        return err_wrap_null(err, "pin %llu bytes of this machine's memory",
                             (unsigned long long)bytes);
    context_remember(context, memory, bytes, true);
    return memory;
}

/* ---- the stream ---- */

int gpu_upload(struct gpu_context *context, void *to, const void *from, uint64_t bytes,
               struct err *err)
{
    if (context_enter_stream(context, err) < 0)
        return -1;
    return context_leave(context, context->calls->upload(to, from, bytes, context->stream),
                         GPU_CALL_upload, err);
}

int gpu_download(struct gpu_context *context, void *to, const void *from, uint64_t bytes,
                 struct err *err)
{
    if (context_enter_stream(context, err) < 0)
        return -1;
    context->downloaded_bytes += bytes;
    return context_leave(context, context->calls->download(to, from, bytes, context->stream),
                         GPU_CALL_download, err);
}

uint64_t gpu_downloaded_bytes(const struct gpu_context *context)
{
    return context->downloaded_bytes;
}

int gpu_copy(struct gpu_context *context, void *to, const void *from, uint64_t bytes,
             struct err *err)
{
    if (context_enter_stream(context, err) < 0)
        return -1;
    return context_leave(context, context->calls->copy(to, from, bytes, context->stream),
                         GPU_CALL_copy, err);
}

int gpu_zero(struct gpu_context *context, void *to, uint64_t bytes, struct err *err)
{
    if (context_enter_stream(context, err) < 0)
        return -1;
    return context_leave(context, context->calls->fill(to, 0, bytes, context->stream),
                         GPU_CALL_fill, err);
}

int gpu_sync(struct gpu_context *context, struct err *err)
{
    if (context_enter_stream(context, err) < 0)
        return -1;
    return context_leave(context, context->calls->stream_wait(context->stream),
                         GPU_CALL_stream_wait, err);
}

/* ---- kernels ---- */

static const struct gpu_kernel *context_known_kernel(const struct gpu_context *context,
                                                     const char *name)
{
    for (size_t i = 0; i < context->kernel_count; i++) {
        if (strcmp(context->kernels[i]->name, name) == 0)
            return context->kernels[i];
    }
    return NULL;
}

static const struct gpu_kernel *context_add_kernel(struct gpu_context *context, const char *name,
                                                   void *function)
{
    struct gpu_kernel *kernel = xcalloc(1, sizeof(*kernel));

    assert(strlen(name) < sizeof(kernel->name));
    memcpy(kernel->name, name, strlen(name) + 1);
    kernel->args_bytes = gpu_kernel_args_bytes(name);
    kernel->function = function;
    context->kernels = xgrow(context->kernels, context->kernel_count, sizeof(*context->kernels));
    context->kernels[context->kernel_count++] = kernel;
    return kernel;
}

const struct gpu_kernel *gpu_find_kernel(struct gpu_context *context, const char *name,
                                         struct err *err)
{
    const struct gpu_kernel *known = context_known_kernel(context, name);
    void *function = NULL;
    int status = 0;

    if (known != NULL)
        return known;
    if (context_enter(context, err) < 0)
        return NULL;
    status = context->calls->module_function(&function, context->module, name);
    if (context_leave(context, status, GPU_CALL_module_function, err) < 0)
        return err_wrap_null(err,
                             "the kernels of %s lack %s; those of another version are "
                             "replaced by make kernels and make install",
                             context->slot->info.architecture, name);
    return context_add_kernel(context, name, function);
}

const struct gpu_kernel *gpu_find_optional_kernel(struct gpu_context *context, const char *name)
{
    const struct gpu_kernel *known = context_known_kernel(context, name);
    struct err ignored = ERR_INIT; /* what has really failed is told by the next call */
    void *function = NULL;

    if (known != NULL)
        return known;
    if (context_enter(context, &ignored) < 0 ||
        context->calls->module_function(&function, context->module, name) != 0)
        return NULL;
    return context_add_kernel(context, name, function);
}

int gpu_launch(struct gpu_context *context, const struct gpu_kernel *kernel,
               const uint32_t blocks[3], uint32_t threads, const void *args, struct err *err)
{
    int status = 0;

    assert(blocks[0] > 0 && blocks[1] > 0 && blocks[2] > 0 && threads > 0);
    if (gpu_graphs_add(context->graphs, kernel, blocks, threads, args)) {
        context->launch_count++;
        return 0;
    }
    if (context_enter_stream(context, err) < 0)
        return -1;
    status = gpu_launch_now(context->calls, context->stream, kernel, blocks, threads, args);
    if (context_leave(context, status, GPU_CALL_launch, err) < 0)
        return err_wrap(err, "kernel %s", kernel->name);
    context->launch_count++;
    return 0;
}

void gpu_gather_launches(struct gpu_context *context)
{
    gpu_graphs_begin(context->graphs);
}

uint64_t gpu_graph_count(const struct gpu_context *context)
{
    return gpu_graphs_launch_count(context->graphs);
}

uint64_t gpu_launch_count(const struct gpu_context *context)
{
    return context->launch_count;
}

/* ---- events ---- */

struct gpu_event *gpu_event_new(struct gpu_context *context, struct err *err)
{
    struct gpu_event *event = NULL;
    void *native = NULL;

    if (context_enter(context, err) < 0 ||
        context_leave(context, context->calls->event_create(&native, EVENT_BLOCKING),
                      GPU_CALL_event_create, err) < 0)
        return NULL;
    event = xcalloc(1, sizeof(*event));
    event->native = native;
    return event;
}

void gpu_event_free(struct gpu_context *context, struct gpu_event *event)
{
    struct err ignored = ERR_INIT;

    if (event == NULL)
        return;
    if (context_enter(context, &ignored) == 0)
        (void)context->calls->event_destroy(event->native); /* a fault shows at the next call */
    free(event);
}

int gpu_event_record(struct gpu_context *context, struct gpu_event *event, struct err *err)
{
    if (context_enter_stream(context, err) < 0)
        return -1;
    return context_leave(context, context->calls->event_record(event->native, context->stream),
                         GPU_CALL_event_record, err);
}

int gpu_event_wait(struct gpu_context *context, struct gpu_event *event, struct err *err)
{
    if (context_enter(context, err) < 0)
        return -1;
    return context_leave(context, context->calls->event_wait(event->native), GPU_CALL_event_wait,
                         err);
}

int gpu_event_elapsed_us(struct gpu_context *context, struct gpu_event *from, struct gpu_event *to,
                         double *out_us, struct err *err)
{
    float elapsed_ms = 0;

    if (gpu_event_wait(context, to, err) < 0)
        return -1;
    if (context_leave(context, context->calls->event_elapsed(&elapsed_ms, from->native, to->native),
                      GPU_CALL_event_elapsed, err) < 0)
        return -1;
    *out_us = (double)elapsed_ms * MICROSECONDS_PER_MS;
    return 0;
}
