/* What a stream has to do, one after the other. */
#ifndef RBEE_TESTS_EMULATOR_OPERATIONS_H
#define RBEE_TESTS_EMULATOR_OPERATIONS_H

#include "tests/emulator/hip.h"
#include "tests/emulator/kernel_table.h"

enum operation_kind { OPERATION_COPY, OPERATION_FILL, OPERATION_LAUNCH, OPERATION_RECORD };

struct operation {
    enum operation_kind kind;
    void *to;
    const void *from;
    size_t bytes;
    int value;
    const struct emulated_kernel *kernel;
    uint32_t blocks[3];
    uint32_t threads;
    void *args; /* its own */
    struct hip_event *event;
    uint64_t ticket; /* of the record */
};

struct operations {
    struct operation *at;
    size_t count;
    size_t capacity;
};

/* The arguments of a launch are copied. */
void operations_add(struct operations *to, const struct operation *operation);
void operations_clear(struct operations *operations);
void operations_release(struct operations *operations);
/* MEMORY; the process ends where it is NULL. */
void *memory_or_end(void *memory);

/* ---- stream.c ---- */

/* Says so on stderr if not. */
bool stream_is_there(const struct hip_stream *stream);
/* Queues it, or writes it down where the stream is captured. */
enum hip_error stream_add(struct hip_stream *stream, const struct operation *operation);
/* The same if nothing is wrong yet, and ends the call. */
int stream_leave(enum hip_error error, struct hip_stream *stream,
                 const struct operation *operation);

/* ---- graph.c ---- */

bool graph_captures(const struct hip_stream *stream);
/* Writes it down. */
enum hip_error graph_add(const struct operation *operation);

#endif
