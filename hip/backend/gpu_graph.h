/* Launches, and those of a step of rows that decode as one graph. Written down instead of made,
 * they are compared with what was launched before, and made together: as they stand, or, where the
 * very same have come a second time, as a graph that the driver has taken down (captured). A graph
 * is launched only when each kernel, grid and byte of arguments is what was asked for; so nobody
 * has to say what has changed since.
 *
 * A driver that fails in any of this has no graphs from then on, and launches are made one by one.
 * Included by gpu_runtime.c alone. */
#ifndef RBEE_HIP_BACKEND_GPU_GRAPH_H
#define RBEE_HIP_BACKEND_GPU_GRAPH_H

#include "hip/backend/gpu_library.h"

struct gpu_graphs;

/* What went wrong, where a status says so. */
struct gpu_failure {
    enum gpu_call call;
    const struct gpu_kernel *kernel; /* NULL: of none */
};

/* Bytes of the arguments of the kernel NAME; 0: it is none of ours. */
size_t gpu_kernel_args_bytes(const char *name);
/* A status. */
int gpu_launch_now(const struct gpu_calls *calls, void *stream, const struct gpu_kernel *kernel,
                   const uint32_t blocks[3], uint32_t threads, const void *args);

/* Of one stream. NULL: its driver knows no graphs, or nobody wants them (RBEE_GPU_GRAPHS=off); the
 * others accept that. */
struct gpu_graphs *gpu_graphs_new(const struct gpu_driver *driver, void *stream);
/* IS_ALIVE false: the device has failed, and nothing is asked of it. */
void gpu_graphs_free(struct gpu_graphs *graphs, bool is_alive);
/* Launches are written down from now on, until gpu_graphs_flush(). */
void gpu_graphs_begin(struct gpu_graphs *graphs);
/* ARGS is copied. False: this one has to be made at once, after a flush. */
bool gpu_graphs_add(struct gpu_graphs *graphs, const struct gpu_kernel *kernel,
                    const uint32_t blocks[3], uint32_t threads, const void *args);
/* Makes what is written down. While that is nothing, it goes on. A status. */
int gpu_graphs_flush(struct gpu_graphs *graphs, struct gpu_failure *out);
/* Graphs launched so far. */
uint64_t gpu_graphs_launch_count(const struct gpu_graphs *graphs);

#endif
