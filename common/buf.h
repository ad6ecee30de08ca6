/* A growing run of bytes with a maximum. Growth past the maximum is an ordinary failure that
 * changes nothing, so what a stranger sends can never take more than its budget. The bytes are
 * always followed by a NUL that is not counted: data may be read as a string. */
#ifndef RBEE_COMMON_BUF_H
#define RBEE_COMMON_BUF_H

#include "common/attr.h"

#include <stddef.h>

struct buf {
    char *data;
    size_t len;
    size_t capacity;
    size_t max; /* most bytes it may hold */
};

/* Storage of the caller. Allocates nothing until the first byte; data is "" until then. */
void buf_init(struct buf *buf, size_t max);
/* Frees the bytes; the buf may be used again as after buf_init with the same maximum. */
void buf_release(struct buf *buf);
#define AUTO_BUF __attribute__((cleanup(buf_release)))
/* The same as buf_init, for the line that declares it: an AUTO_BUF is released on every path, also
 * on those before a later buf_init. */
#define BUF_INIT(max_bytes)                                                                        \
    {                                                                                              \
        .data = buf_nothing, .len = 0, .capacity = 0, .max = (max_bytes)                           \
    }
/* The data of every buf that holds nothing; never written. */
extern char buf_nothing[1];

/* Each returns 0, or -1 when the maximum would be passed or memory is gone; then nothing has been
 * added. */
int buf_add(struct buf *buf, const void *data, size_t len);
int buf_add_string(struct buf *buf, const char *text);
int buf_add_byte(struct buf *buf, char byte);
/* Each of the texts, for what is written too often for printf. */
#define buf_add_texts(buf, ...)                                                                    \
    buf_add_each(buf, (const char *const[]){__VA_ARGS__},                                          \
                 ARRAY_COUNT(((const char *const[]){__VA_ARGS__})))
int buf_add_each(struct buf *buf, const char *const *texts, size_t count);
int buf_printf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);
/* Makes room for LEN more bytes at data + len; the caller writes them and raises len itself. */
int buf_reserve(struct buf *buf, size_t len);

/* Drops LEN bytes at the front. */
void buf_consume(struct buf *buf, size_t len);
/* Keeps the storage. */
void buf_clear(struct buf *buf);
/* Hands the bytes over; the caller frees them. The buf is empty afterwards. */
char *buf_take(struct buf *buf);

#endif
