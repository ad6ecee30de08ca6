/* Ownership in local variables: a variable marked AUTO_x is released when it goes out of scope,
 * on every path; take_x() hands what it holds over and leaves it empty. */
#ifndef RBEE_COMMON_ATTR_H
#define RBEE_COMMON_ATTR_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PRINTF_LIKE(format_index, first_arg_index)                                                 \
    __attribute__((format(printf, format_index, first_arg_index)))
#define ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))
/* The struct of TYPE whose field MEMBER lies at POINTER. */
#define CONTAINER_OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

static inline void attr_free(void *pointer_to_pointer)
{
    free(*(void **)pointer_to_pointer);
}

static inline void attr_close(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd); /* nothing was promised about what it held */
}

static inline void attr_fclose(FILE **file)
{
    if (*file != NULL)
        (void)fclose(*file); /* writers close by hand and look at the result */
}

static inline int take_fd(int *fd)
{
    int taken = *fd;

    *fd = -1;
    return taken;
}

#define AUTO_FREE __attribute__((cleanup(attr_free)))
#define AUTO_CLOSE __attribute__((cleanup(attr_close)))
#define AUTO_FCLOSE __attribute__((cleanup(attr_fclose)))

/* Moves an owned pointer out of an AUTO_x variable. */
#define take_ptr(variable)                                                                         \
    ({                                                                                             \
        __typeof__(variable) taken_ = (variable);                                                  \
        (variable) = NULL;                                                                         \
        taken_;                                                                                    \
    })

#endif
