/* Allocation that cannot fail: it ends the process when memory is gone. Only for sizes bounded by
 * our own limits; a size that comes from input is checked against a budget and allocated with
 * malloc, and its failure is an ordinary error. */
#ifndef RBEE_COMMON_MEM_H
#define RBEE_COMMON_MEM_H

#include "common/attr.h"

#include <stddef.h>

/* How the process ends when memory is gone, once at its start: WORDS, a line that outlives it, on
 * stderr, and _exit(CODE). Without it: abort(). */
void mem_set_end(const char *words, int code);

/* What the others do without memory, for who allocates in another way. */
_Noreturn void mem_give_up(void);
void *xmalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *xcalloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
/* Room for COUNT elements of SIZE bytes; the product is checked. */
void *xreallocarray(void *pointer, size_t count, size_t size) __attribute__((returns_nonnull));
/* Room for one more element behind the COUNT that ARRAY holds. It grows by doubling whenever COUNT
 * is a power of two, so an array filled one by one needs no field for its capacity. */
void *xgrow(void *array, size_t count, size_t size);
char *xstrdup(const char *text) __attribute__((malloc, returns_nonnull));
char *xstrndup(const char *text, size_t len) __attribute__((malloc, returns_nonnull));
char *xasprintf(const char *format, ...) PRINTF_LIKE(1, 2) __attribute__((returns_nonnull));

#endif
