/* Streams: what is queued, when it is done; events. */
#include "tests/emulator/engine.h"
#include "tests/emulator/hip.h"
#include "tests/emulator/operations.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    QUEUE_MAX = 1 << 16, /* operations; a full queue makes its filler wait, as a driver's does */
};

struct hip_stream {
    struct hip_stream *next;
    struct hip_device *device;
    struct operations queue;
    size_t done; /* of the queue */
};

struct hip_event {
    struct hip_stream *stream; /* of the last record; NULL: none */
    uint64_t asked;            /* ticket of the last record */
    uint64_t done;             /* of the last that came to pass */
    struct timespec time;
    struct hip_event *next;
};

static struct hip_stream *streams;
static struct hip_event *events; /* a driver knows its own, also those of a device that is lost */
static uint64_t last_ticket;

/* ---- doing it ---- */

static void run_operation(struct hip_stream *stream, const struct operation *operation)
{
    bool is_dead = stream->device->fault != HIP_SUCCESS;

    switch (operation->kind) {
    case OPERATION_COPY:
        if (!is_dead)
            memcpy(operation->to, operation->from, operation->bytes);
        break;
    case OPERATION_FILL:
        if (!is_dead)
            memset(operation->to, operation->value, operation->bytes);
        break;
    case OPERATION_LAUNCH:
        if (hip_launch_faults(stream->device))
            stream->device->fault = HIP_ILLEGAL_ADDRESS;
        else if (!is_dead)
            engine_run(operation->kernel, operation->blocks, operation->threads, operation->args);
        break;
    case OPERATION_RECORD: /* also on a dead device: nobody waits for ever */
        operation->event->done = operation->ticket;
        (void)clock_gettime(CLOCK_MONOTONIC, &operation->event->time);
        break;
    }
}

/* Up to and with the last record of UNTIL; NULL: all. */
static void drain(struct hip_stream *stream, const struct hip_event *until)
{
    if (stream->done == stream->queue.count)
        return;
    memory_show(stream->device);
    while (stream->done < stream->queue.count && (until == NULL || until->done != until->asked))
        run_operation(stream, &stream->queue.at[stream->done++]);
    memory_hide();
    if (stream->done == stream->queue.count) {
        operations_clear(&stream->queue);
        stream->done = 0;
    }
}

void stream_drain_all(void)
{
    for (struct hip_stream *stream = streams; stream != NULL; stream = stream->next)
        drain(stream, NULL);
}

/* As a driver takes it: of the current device. */
static bool is_current(const struct hip_stream *stream)
{
    if (stream->device == hip_current_device())
        return true;
    fprintf(stderr, "gpu emulator: a stream of %s, and the current device is %s\n",
            stream->device->pci, hip_current_device()->pci);
    return false;
}

bool stream_is_there(const struct hip_stream *wanted)
{
    for (const struct hip_stream *stream = streams; stream != NULL; stream = stream->next)
        if (stream == wanted)
            return true;
    fprintf(stderr, "gpu emulator: no stream (the default one is not there to be used)\n");
    return false;
}

static void enqueue(struct hip_stream *stream, const struct operation *operation)
{
    operations_add(&stream->queue, operation);
    if (stream->queue.count >= QUEUE_MAX)
        drain(stream, NULL);
}

enum hip_error stream_add(struct hip_stream *stream, const struct operation *operation)
{
    if (!stream_is_there(stream) || !is_current(stream))
        return HIP_INVALID_HANDLE;
    if (graph_captures(stream))
        return graph_add(operation);
    enqueue(stream, operation);
    return HIP_SUCCESS;
}

int stream_leave(enum hip_error error, struct hip_stream *stream, const struct operation *operation)
{
    if (error == HIP_SUCCESS)
        error = stream_add(stream, operation);
    return hip_leave(error);
}

/* ---- copies ---- */

int hipMemcpyHtoDAsync(void *to, const void *from, size_t bytes, struct hip_stream *stream)
{
    enum hip_error error = hip_enter(__func__);

    if (error == HIP_SUCCESS &&
        (!memory_is_device(__func__, to, bytes) || !memory_is_host(__func__, from, bytes)))
        error = HIP_INVALID_VALUE;
    return stream_leave(
        error, stream,
        &(struct operation){.kind = OPERATION_COPY, .to = to, .from = from, .bytes = bytes});
}

int hipMemcpyDtoHAsync(void *to, const void *from, size_t bytes, struct hip_stream *stream)
{
    enum hip_error error = hip_enter(__func__);

    if (error == HIP_SUCCESS &&
        (!memory_is_device(__func__, from, bytes) || !memory_is_host(__func__, to, bytes)))
        error = HIP_INVALID_VALUE;
    return stream_leave(
        error, stream,
        &(struct operation){.kind = OPERATION_COPY, .to = to, .from = from, .bytes = bytes});
}

int hipMemcpyDtoDAsync(void *to, const void *from, size_t bytes, struct hip_stream *stream)
{
    enum hip_error error = hip_enter(__func__);

    if (error == HIP_SUCCESS &&
        (!memory_is_device(__func__, from, bytes) || !memory_is_device(__func__, to, bytes)))
        error = HIP_INVALID_VALUE;
    return stream_leave(
        error, stream,
        &(struct operation){.kind = OPERATION_COPY, .to = to, .from = from, .bytes = bytes});
}

int hipMemsetD8Async(void *to, unsigned char value, size_t bytes, struct hip_stream *stream)
{
    enum hip_error error = hip_enter(__func__);

    if (error == HIP_SUCCESS && !memory_is_device(__func__, to, bytes))
        error = HIP_INVALID_VALUE;
    return stream_leave(
        error, stream,
        &(struct operation){.kind = OPERATION_FILL, .to = to, .value = value, .bytes = bytes});
}

/* ---- streams ---- */

int hipStreamCreateWithFlags(struct hip_stream **out, unsigned flags)
{
    enum hip_error error = hip_enter(__func__);
    struct hip_stream *stream = NULL;

    if (error == HIP_SUCCESS) {
        stream = memory_or_end(calloc(1, sizeof(*stream)));
        stream->device = hip_current_device();
        stream->next = streams;
        streams = stream;
        *out = stream;
    }
    return hip_leave(error);
}

/* A failed device's, too. */
int hipStreamDestroy(struct hip_stream *stream)
{
    enum hip_error error = hip_enter(__func__);

    if (!stream_is_there(stream))
        return hip_leave(error == HIP_SUCCESS ? HIP_INVALID_HANDLE : error);
    drain(stream, NULL);
    for (struct hip_stream **link = &streams; *link != NULL; link = &(*link)->next)
        if (*link == stream) {
            *link = stream->next;
            break;
        }
    operations_release(&stream->queue);
    free(stream);
    return hip_leave(error);
}

static enum hip_error wait_for(struct hip_stream *stream, const struct hip_event *until)
{
    enum hip_error error = HIP_SUCCESS;

    if (!stream_is_there(stream))
        return HIP_INVALID_HANDLE;
    error = graph_captures(stream) ? graph_forbid("somebody waits") : HIP_SUCCESS;
    if (error != HIP_SUCCESS)
        return error;
    drain(stream, until);
    return stream->device->fault;
}

int hipStreamSynchronize(struct hip_stream *stream)
{
    enum hip_error error = hip_enter(__func__);

    if (error == HIP_SUCCESS)
        error = wait_for(stream, NULL);
    return hip_leave(error);
}

/* ---- events ---- */

int hipEventCreateWithFlags(struct hip_event **out, unsigned flags)
{
    enum hip_error error = hip_enter(__func__);

    if (error == HIP_SUCCESS)
        *out = memory_or_end(calloc(1, sizeof(**out)));
    if (error == HIP_SUCCESS) {
        (*out)->next = events;
        events = *out;
    }
    return hip_leave(error);
}

int hipEventDestroy(struct hip_event *event)
{
    enum hip_error error = hip_enter(__func__);

    if (event->stream != NULL && event->done != event->asked)
        drain(event->stream, event);
    for (struct hip_event **at = &events; *at != NULL; at = &(*at)->next) {
        if (*at == event) {
            *at = event->next;
            break;
        }
    }
    free(event);
    return hip_leave(error);
}

int hipEventRecord(struct hip_event *event, struct hip_stream *stream)
{
    enum hip_error error = hip_enter(__func__);

    if (error == HIP_SUCCESS) {
        event->stream = stream;
        event->asked = ++last_ticket;
    }
    return stream_leave(
        error, stream,
        &(struct operation){.kind = OPERATION_RECORD, .event = event, .ticket = last_ticket});
}

/* Of one that was never recorded: at once. */
int hipEventSynchronize(struct hip_event *event)
{
    enum hip_error error = hip_enter(__func__);

    if (error == HIP_SUCCESS && event->done != event->asked)
        error = wait_for(event->stream, event);
    return hip_leave(error);
}

int hipEventElapsedTime(float *out_ms, struct hip_event *from, struct hip_event *to)
{
    enum hip_error error = hip_enter(__func__);

    if (error == HIP_SUCCESS && (from->asked == 0 || to->asked == 0))
        error = HIP_INVALID_HANDLE;
    else if (error == HIP_SUCCESS && (from->done != from->asked || to->done != to->asked))
        error = HIP_NOT_READY;
    if (error == HIP_SUCCESS)
        *out_ms = (float)((double)(to->time.tv_sec - from->time.tv_sec) * 1e3 +
                          (double)(to->time.tv_nsec - from->time.tv_nsec) / 1e6);
    return hip_leave(error);
}
