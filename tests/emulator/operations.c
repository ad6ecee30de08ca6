/* Lists of operations: a stream's queue, a graph. */
#include "tests/emulator/operations.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *memory_or_end(void *memory)
{
    if (memory == NULL) {
        fprintf(stderr, "gpu emulator: no memory left\n");
        abort();
    }
    return memory;
}

void operations_add(struct operations *to, const struct operation *operation)
{
    struct operation *added = NULL;

    if (to->count == to->capacity) {
        to->capacity = to->capacity == 0 ? 64 : to->capacity * 2;
        to->at = memory_or_end(realloc(to->at, to->capacity * sizeof(*to->at)));
    }
    added = &to->at[to->count++];
    *added = *operation;
    if (operation->kind == OPERATION_LAUNCH) {
        added->args = memory_or_end(malloc(operation->kernel->args_bytes));
        memcpy(added->args, operation->args, operation->kernel->args_bytes);
    }
}

void operations_clear(struct operations *operations)
{
    for (size_t i = 0; i < operations->count; i++)
        free(operations->at[i].args);
    operations->count = 0;
}

void operations_release(struct operations *operations)
{
    operations_clear(operations);
    free(operations->at);
    *operations = (struct operations){0};
}
