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

/* Queues it if nothing is wrong yet, and ends the call (stream.c). */
int stream_leave(enum hip_error error, struct hip_stream *stream,
                 const struct operation *operation);

#endif
