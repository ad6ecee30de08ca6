/* Owns the growth of a bounded run of bytes. */
#include "common/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* What the first allocation takes at least: most replies and lines fit. */
enum { BUF_FIRST_BYTES = 256 };

/* Shared by all threads. */
char buf_nothing[1] = "";

void buf_init(struct buf *buf, size_t max)
{
    assert(max < SIZE_MAX);
    *buf = (struct buf){.data = buf_nothing, .len = 0, .capacity = 0, .max = max};
}

void buf_release(struct buf *buf)
{
    if (buf->capacity > 0)
        free(buf->data);
    buf_init(buf, buf->max);
}

int buf_reserve(struct buf *buf, size_t len)
{
    size_t needed = 0;
    size_t capacity = 0;
    char *grown = NULL;

    if (len > buf->max - buf->len)
        return -1;
    needed = buf->len + len + 1; /* the NUL */
    if (needed <= buf->capacity)
        return 0;
    capacity = buf->capacity <= SIZE_MAX / 2 ? buf->capacity * 2 : SIZE_MAX;
    if (capacity < BUF_FIRST_BYTES)
        capacity = BUF_FIRST_BYTES;
    if (capacity > buf->max + 1)
        capacity = buf->max + 1;
    if (capacity < needed)
        capacity = needed;
    grown = realloc(buf->capacity > 0 ? buf->data : NULL, capacity);
    if (grown == NULL)
        return -1;
    buf->data = grown;
    buf->capacity = capacity;
    buf->data[buf->len] = '\0';
    return 0;
}

static bool buf_has_room(const struct buf *buf, size_t len)
{
    return len <= buf->max - buf->len && len < buf->capacity - buf->len;
}

int buf_add(struct buf *buf, const void *data, size_t len)
{
    if (len == 0)
        return 0;
    if (!buf_has_room(buf, len) && buf_reserve(buf, len) < 0)
        return -1;
    memcpy(buf->data + buf->len, data, len);
    buf->len += len;
    buf->data[buf->len] = '\0';
    return 0;
}

int buf_add_string(struct buf *buf, const char *text)
{
    return buf_add(buf, text, strlen(text));
}

int buf_add_byte(struct buf *buf, char byte)
{
    return buf_add(buf, &byte, 1);
}

int buf_add_each(struct buf *buf, const char *const *texts, size_t count)
{
    size_t before_len = buf->len;

    for (size_t i = 0; i < count; i++) {
        if (buf_add_string(buf, texts[i]) == 0)
            continue;
        buf->len = before_len;
        if (buf->capacity > 0)
            buf->data[buf->len] = '\0';
        return -1;
    }
    return 0;
}

/* Into what room there is; only what is longer is printed a second time. */
int buf_printf(struct buf *buf, const char *format, ...)
{
    size_t room = buf->capacity - buf->len; /* with the NUL's place, where there is any */
    va_list args;
    int len = 0;

    va_start(args, format);
    len = vsnprintf(room > 0 ? buf->data + buf->len : NULL, room, format, args);
    va_end(args);
    if (len > 0 && (size_t)len >= room) {
        if (room > 0)
            buf->data[buf->len] = '\0';
        if (buf_reserve(buf, (size_t)len) < 0)
            return -1;
        va_start(args, format);
        len = vsnprintf(buf->data + buf->len, (size_t)len + 1, format, args);
        va_end(args);
    }
    if (len <= 0)
        return len;
    buf->len += (size_t)len;
    return 0;
}

void buf_consume(struct buf *buf, size_t len)
{
    assert(len <= buf->len);
    if (len == 0)
        return;
    memmove(buf->data, buf->data + len, buf->len - len);
    buf->len -= len;
    buf->data[buf->len] = '\0';
}

void buf_clear(struct buf *buf)
{
    buf_consume(buf, buf->len);
}

char *buf_take(struct buf *buf)
{
    char *taken = NULL;

    /* The caller frees what it gets, and it may not get the shared byte. */
    if (buf->capacity == 0 && (taken = calloc(1, 1)) != NULL)
        return taken;
    if (buf->capacity == 0)
        abort();
    taken = buf->data;
    buf_init(buf, buf->max);
    return taken;
}
