/* Owns what happens when memory for our own bounded needs is gone: the process ends at once, with
 * a line that needs no memory. */
#include "common/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <string.h>

static const char *last_words = "fatal: out of memory\n";
static int exit_code; /* 0: abort */

void mem_give_up(void)
{
    (void)!write(STDERR_FILENO, last_words, strlen(last_words)); /* nobody is left to tell */
    if (exit_code != 0)
        _exit(exit_code);
    abort();
}

void mem_set_end(const char *words, int code)
{
    last_words = words;
    exit_code = code;
}

void *xmalloc(size_t size)
{
    void *pointer = malloc(size > 0 ? size : 1);

    if (pointer == NULL)
        mem_give_up();
    return pointer;
}

void *xcalloc(size_t count, size_t size)
{
    void *pointer = calloc(count > 0 ? count : 1, size > 0 ? size : 1);

    if (pointer == NULL)
        mem_give_up();
    return pointer;
}

void *xreallocarray(void *pointer, size_t count, size_t size)
{
    void *grown = reallocarray(pointer, count > 0 ? count : 1, size > 0 ? size : 1);

    if (grown == NULL)
        mem_give_up();
    return grown;
}

void *xgrow(void *array, size_t count, size_t size)
{
    if ((count & (count - 1)) != 0)
        return array;
    return xreallocarray(array, count > 0 ? 2 * count : 1, size);
}

char *xstrdup(const char *text)
{
    return xstrndup(text, strlen(text));
}

char *xstrndup(const char *text, size_t len)
{
    size_t used = strnlen(text, len);
    char *copy = xmalloc(used + 1);

    memcpy(copy, text, used);
    copy[used] = '\0';
    return copy;
}

char *xasprintf(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    int len = 0;

    va_start(args, format);
    len = vasprintf(&text, format, args);
    va_end(args);
    if (len < 0)
        mem_give_up();
    return text;
}
