/* Owns the records of launches, which of them are kept, and the driver's graphs of those. */
#include "hip/backend/gpu_graph.h"

#include "common/buf.h"
#include "common/log.h"
#include "common/mem.h"
#include "hip/kernels/args.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    GRAPHS_KEPT = 8, /* a few counts of rows, of one or two counts of splits each */
    RECORD_MAX_BYTES = 4 * 1024 * 1024,
    CAPTURE_THREAD_LOCAL = 1, /* other threads may do what they like, in both APIs */
};

/* In a record, with the arguments behind it. */
struct launch {
    const struct gpu_kernel *kernel;
    uint32_t blocks[3];
    uint32_t threads;
};

/* What has been launched before. */
struct kept {
    struct buf record; /* empty: none */
    void *graph;
    void *runnable; /* NULL: it came once, and there is no graph of it */
    uint64_t used;
};

struct gpu_graphs {
    const struct gpu_driver *driver;
    void *stream;
    struct buf record;
    bool is_recording;
    bool is_off; /* the driver has failed */
    struct kept kept[GRAPHS_KEPT];
    uint64_t flush_count;
    uint64_t launch_count;
};

/* ---- launches ---- */

size_t gpu_kernel_args_bytes(const char *name)
{
    static const struct {
        const char *name;
        size_t bytes;
    } KERNELS[] = {
#define KERNEL(name, args) {#name, sizeof(struct args)},
#include "hip/kernels/kernels.def"
#undef KERNEL
    };

    for (size_t i = 0; i < ARRAY_COUNT(KERNELS); i++) {
        if (strcmp(KERNELS[i].name, name) == 0)
            return KERNELS[i].bytes;
    }
    return 0;
}

int gpu_launch_now(const struct gpu_calls *calls, void *stream, const struct gpu_kernel *kernel,
                   const uint32_t blocks[3], uint32_t threads, const void *args)
{
    void *arguments[] = {(void *)(uintptr_t)args}; /* the driver only reads them */

    return calls->launch(kernel->function, blocks[0], blocks[1], blocks[2], threads, 1, 1, 0,
                         stream, arguments, NULL);
}

static int launch_all(const struct gpu_graphs *graphs, const struct buf *record,
                      struct gpu_failure *out)
{
    size_t at = 0;

    while (at < record->len) {
        struct launch launch;
        int status = 0;

        memcpy(&launch, record->data + at, sizeof(launch));
        at += sizeof(launch);
        status = gpu_launch_now(&graphs->driver->calls, graphs->stream, launch.kernel,
                                launch.blocks, launch.threads, record->data + at);
        if (status != GPU_STATUS_OK) {
            *out = (struct gpu_failure){.call = GPU_CALL_launch, .kernel = launch.kernel};
            return status;
        }
        at += launch.kernel->args_bytes;
    }
    return GPU_STATUS_OK;
}

/* ---- what is kept ---- */

/* A graph may be on its way still. */
static void kept_release(const struct gpu_graphs *graphs, struct kept *kept, bool is_alive)
{
    const struct gpu_calls *calls = &graphs->driver->calls;

    if (is_alive && (kept->graph != NULL || kept->runnable != NULL)) {
        (void)calls->stream_wait(graphs->stream); /* a fault shows at the next call */
        if (kept->runnable != NULL)
            (void)calls->graph_forget(kept->runnable);
        if (kept->graph != NULL)
            (void)calls->graph_free(kept->graph);
    }
    buf_release(&kept->record);
    kept->graph = NULL;
    kept->runnable = NULL;
    kept->used = 0;
}

static struct kept *find_kept(struct gpu_graphs *graphs)
{
    for (size_t i = 0; i < GRAPHS_KEPT; i++) {
        struct kept *kept = &graphs->kept[i];

        if (kept->record.len == graphs->record.len &&
            memcmp(kept->record.data, graphs->record.data, kept->record.len) == 0)
            return kept;
    }
    return NULL;
}

/* In place of what has not been launched for longest. */
static void keep_record(struct gpu_graphs *graphs)
{
    struct kept *oldest = &graphs->kept[0];

    for (size_t i = 1; i < GRAPHS_KEPT; i++) {
        if (graphs->kept[i].used < oldest->used)
            oldest = &graphs->kept[i];
    }
    kept_release(graphs, oldest, true);
    oldest->record = graphs->record;
    oldest->used = graphs->flush_count;
    buf_init(&graphs->record, RECORD_MAX_BYTES);
}

/* ---- graphs ---- */

static int capture(struct gpu_graphs *graphs, struct kept *kept, struct gpu_failure *out)
{
    const struct gpu_calls *calls = &graphs->driver->calls;
    int status = calls->capture_begin(graphs->stream, CAPTURE_THREAD_LOCAL);
    int ended = 0;

    *out = (struct gpu_failure){.call = GPU_CALL_capture_begin};
    if (status != GPU_STATUS_OK)
        return status;
    status = launch_all(graphs, &kept->record, out);
    if (gpu_status_is_fatal(status))
        return status;
    ended = calls->capture_end(graphs->stream, &kept->graph); /* also of one that has failed */
    if (status != GPU_STATUS_OK)
        return status;
    *out = (struct gpu_failure){.call = GPU_CALL_capture_end};
    if (ended != GPU_STATUS_OK)
        return ended;
    out->call = GPU_CALL_graph_prepare;
    return calls->graph_prepare(&kept->runnable, kept->graph, 0);
}

static int launch_graph(struct gpu_graphs *graphs, struct kept *kept, struct gpu_failure *out)
{
    int status = GPU_STATUS_OK;

    if (kept->runnable == NULL) {
        status = capture(graphs, kept, out);
        if (status != GPU_STATUS_OK) {
            kept->runnable = NULL; /* whatever a failed call left there */
            return status;
        }
    }
    *out = (struct gpu_failure){.call = GPU_CALL_graph_launch};
    status = graphs->driver->calls.graph_launch(kept->runnable, graphs->stream);
    if (status != GPU_STATUS_OK)
        return status;
    kept->used = graphs->flush_count;
    graphs->launch_count++;
    return GPU_STATUS_OK;
}

static void turn_off(struct gpu_graphs *graphs, int status, const struct gpu_failure *failure)
{
    struct err err = ERR_INIT;

    (void)gpu_fail(graphs->driver, status, failure->call, &err); /* -1, as for all */
    log_event(LOG_WARN, "gpu_graphs_off", "reason=%s", err.message);
    graphs->is_off = true;
    for (size_t i = 0; i < GRAPHS_KEPT; i++)
        kept_release(graphs, &graphs->kept[i], true);
}

/* ---- from outside ---- */

struct gpu_graphs *gpu_graphs_new(const struct gpu_driver *driver, void *stream)
{
    const struct gpu_calls *calls = &driver->calls;
    const char *wanted = getenv("RBEE_GPU_GRAPHS");
    struct gpu_graphs *graphs = NULL;

    if (calls->capture_begin == NULL || calls->capture_end == NULL ||
        calls->graph_prepare == NULL || calls->graph_launch == NULL ||
        calls->graph_forget == NULL || calls->graph_free == NULL ||
        (wanted != NULL && strcmp(wanted, "off") == 0))
        return NULL;
    graphs = xcalloc(1, sizeof(*graphs));
    graphs->driver = driver;
    graphs->stream = stream;
    buf_init(&graphs->record, RECORD_MAX_BYTES);
    for (size_t i = 0; i < GRAPHS_KEPT; i++)
        buf_init(&graphs->kept[i].record, RECORD_MAX_BYTES);
    return graphs;
}

void gpu_graphs_free(struct gpu_graphs *graphs, bool is_alive)
{
    if (graphs == NULL)
        return;
    for (size_t i = 0; i < GRAPHS_KEPT; i++)
        kept_release(graphs, &graphs->kept[i], is_alive);
    buf_release(&graphs->record);
    free(graphs);
}

void gpu_graphs_begin(struct gpu_graphs *graphs)
{
    if (graphs == NULL || graphs->is_off)
        return;
    buf_clear(&graphs->record); /* nothing of a step that has failed */
    graphs->is_recording = true;
}

bool gpu_graphs_add(struct gpu_graphs *graphs, const struct gpu_kernel *kernel,
                    const uint32_t blocks[3], uint32_t threads, const void *args)
{
    const struct launch launch = {
        .kernel = kernel, .blocks = {blocks[0], blocks[1], blocks[2]}, .threads = threads};

    if (graphs == NULL || !graphs->is_recording || kernel->args_bytes == 0 ||
        buf_reserve(&graphs->record, sizeof(launch) + kernel->args_bytes) != 0)
        return false;
    (void)buf_add(&graphs->record, &launch, sizeof(launch)); /* there is room */
    (void)buf_add(&graphs->record, args, kernel->args_bytes);
    return true;
}

int gpu_graphs_flush(struct gpu_graphs *graphs, struct gpu_failure *out)
{
    struct kept *kept = NULL;
    int status = 0;

    if (graphs == NULL || !graphs->is_recording || graphs->record.len == 0)
        return GPU_STATUS_OK;
    graphs->is_recording = false;
    graphs->flush_count++;
    kept = find_kept(graphs);
    if (kept != NULL) {
        status = launch_graph(graphs, kept, out);
        if (status == GPU_STATUS_OK || gpu_status_is_fatal(status))
            return status;
        turn_off(graphs, status, out);
    }
    status = launch_all(graphs, &graphs->record, out);
    if (status == GPU_STATUS_OK && !graphs->is_off)
        keep_record(graphs);
    return status;
}

uint64_t gpu_graphs_launch_count(const struct gpu_graphs *graphs)
{
    return graphs == NULL ? 0 : graphs->launch_count;
}
