/* Graphs: what a stream is asked to do while it is captured is written down and not done, and done
 * as often as the graph is launched. One stream at a time is captured. */
#include "tests/emulator/operations.h"

#include <stdio.h>
#include <stdlib.h>

enum { CAPTURE_MODES = 3 }; /* global, of the thread, relaxed: all are as the first here */

struct hip_graph {
    struct operations operations;
};

struct hip_runnable {
    struct operations operations;
};

static struct hip_stream *captured; /* NULL: none */
static struct operations written;
static bool is_spoilt;

bool graph_captures(const struct hip_stream *stream)
{
    return captured != NULL && captured == stream;
}

enum hip_error graph_add(const struct operation *operation)
{
    if (operation->kind == OPERATION_RECORD)
        return graph_forbid("an event");
    operations_add(&written, operation);
    return HIP_SUCCESS;
}

enum hip_error graph_forbid(const char *what)
{
    if (captured == NULL)
        return HIP_SUCCESS;
    fprintf(stderr, "gpu emulator: %s while a stream is captured\n", what);
    is_spoilt = true;
    return HIP_CAPTURE_UNSUPPORTED;
}

int hipStreamBeginCapture(struct hip_stream *stream, int mode)
{
    enum hip_error error = hip_enter(__func__);

    if (error == HIP_SUCCESS && (mode < 0 || mode >= CAPTURE_MODES))
        error = HIP_INVALID_VALUE;
    if (error == HIP_SUCCESS && !stream_is_there(stream))
        error = HIP_INVALID_HANDLE;
    if (error == HIP_SUCCESS)
        error = graph_forbid("another capture");
    if (error == HIP_SUCCESS)
        captured = stream;
    return hip_leave(error);
}

/* Also where it fails, what was written down is gone. */
int hipStreamEndCapture(struct hip_stream *stream, struct hip_graph **out)
{
    enum hip_error error = hip_enter(__func__);

    *out = NULL;
    if (error == HIP_SUCCESS && !graph_captures(stream))
        error = HIP_ILLEGAL_STATE;
    if (error == HIP_SUCCESS && is_spoilt)
        error = HIP_CAPTURE_INVALIDATED;
    if (error == HIP_SUCCESS) {
        *out = memory_or_end(calloc(1, sizeof(**out)));
        (*out)->operations = written;
        written = (struct operations){0};
    }
    if (graph_captures(stream)) {
        operations_release(&written);
        captured = NULL;
        is_spoilt = false;
    }
    return hip_leave(error);
}

int hipGraphInstantiateWithFlags(struct hip_runnable **out, struct hip_graph *graph,
                                 unsigned long long flags)
{
    enum hip_error error = hip_enter(__func__);

    if (error == HIP_SUCCESS && (graph == NULL || flags != 0))
        error = HIP_INVALID_VALUE;
    if (error == HIP_SUCCESS)
        error = graph_forbid("a graph is made ready");
    if (error == HIP_SUCCESS) {
        *out = memory_or_end(calloc(1, sizeof(**out)));
        for (size_t i = 0; i < graph->operations.count; i++)
            operations_add(&(*out)->operations, &graph->operations.at[i]);
    }
    return hip_leave(error);
}

int hipGraphLaunch(struct hip_runnable *runnable, struct hip_stream *stream)
{
    enum hip_error error = hip_enter(__func__);

    if (error == HIP_SUCCESS && runnable == NULL)
        error = HIP_INVALID_VALUE;
    if (error == HIP_SUCCESS)
        error = graph_forbid("a graph is launched");
    for (size_t i = 0; error == HIP_SUCCESS && i < runnable->operations.count; i++)
        error = stream_add(stream, &runnable->operations.at[i]);
    return hip_leave(error);
}

/* A failed device's, too, here and below. */
int hipGraphExecDestroy(struct hip_runnable *runnable)
{
    enum hip_error error = hip_enter(__func__);

    operations_release(&runnable->operations);
    free(runnable);
    return hip_leave(error);
}

int hipGraphDestroy(struct hip_graph *graph)
{
    enum hip_error error = hip_enter(__func__);

    operations_release(&graph->operations);
    free(graph);
    return hip_leave(error);
}
