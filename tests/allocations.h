/* Counts what one program allocates: in place of the C library's, where nothing else already is. */
#ifndef RBEE_TESTS_ALLOCATIONS_H
#define RBEE_TESTS_ALLOCATIONS_H

#include <stdlib.h>

static inline unsigned long *allocation_count(void)
{
    static unsigned long count;

    return &count;
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) &&                             \
    !defined(__clang__) /* sanitizers have their own */
#define COUNTS_ALLOCATIONS 1
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *pointer, size_t size);

void *malloc(size_t size)
{
    (*allocation_count())++;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    (*allocation_count())++;
    return __libc_calloc(count, size);
}

void *realloc(void *pointer, size_t size)
{
    (*allocation_count())++;
    return __libc_realloc(pointer, size);
}
#else
#define COUNTS_ALLOCATIONS 0
#endif

#endif
