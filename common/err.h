/* What went wrong: one kind from errors.def and one sentence for a person.
 *
 * A function that can fail takes `struct err *err` last. The place that sees the failure fills it:
 *
 *     return err_set(err, ERR_IO, "open %s: %m", path);
 *
 * On the way up a caller may put what it was doing in front, with err_wrap(), or pass it on as it
 * is. Only main(), an event loop's handlers and a reply turn an err into text, a log line or an
 * exit code. The struct is plain storage of the caller; nothing in it is allocated. */
#ifndef RBEE_COMMON_ERR_H
#define RBEE_COMMON_ERR_H

#include "common/attr.h"

#include <stdbool.h>
#include <stdint.h>

enum err_kind {
    ERR_NONE,
#define ERROR(kind, wire, http, exit, retry) ERR_##kind,
#include "common/errors.def"
#undef ERROR
    ERR_KIND_COUNT,
};

enum { ERR_MESSAGE_MAX_BYTES = 512 };

struct err {
    enum err_kind kind;
    /* Valid UTF-8, one line, cut with "..." when it would be longer. */
    char message[ERR_MESSAGE_MAX_BYTES];
    /* When trying again makes sense, as far as that is known; 0: not said. Whoever fills the err
     * sets it, after err_set() or err_fill(). */
    uint64_t retry_after_ms;
};

#define ERR_INIT                                                                                   \
    {                                                                                              \
        .kind = ERR_NONE, .message = "", .retry_after_ms = 0                                       \
    }

/* Expression of value -1, so that `return err_set(...)` tells the compiler that the path fails. */
#define err_set(err, kind, ...) (err_fill(err, kind, __VA_ARGS__), -1)
/* As err_set, for functions that return a pointer. */
#define err_set_null(err, kind, ...) (err_fill(err, kind, __VA_ARGS__), NULL)
/* Puts "what: " in front of the message; the rest stays. */
#define err_wrap(err, ...) (err_prefix(err, __VA_ARGS__), -1)
#define err_wrap_null(err, ...) (err_prefix(err, __VA_ARGS__), NULL)

/* %m in FORMAT is the errno at the time of the call. */
void err_fill(struct err *err, enum err_kind kind, const char *format, ...) PRINTF_LIKE(3, 4);
void err_prefix(struct err *err, const char *format, ...) PRINTF_LIKE(2, 3);

static inline void err_clear(struct err *err)
{
    err->kind = ERR_NONE;
    err->message[0] = '\0';
    err->retry_after_ms = 0;
}

static inline bool err_is_set(const struct err *err)
{
    return err->kind != ERR_NONE;
}

/* The columns of errors.def. KIND must be a real kind, not ERR_NONE. */
const char *err_wire_code(enum err_kind kind);
int err_http_status(enum err_kind kind);
int err_exit_code(enum err_kind kind);
bool err_is_retryable(enum err_kind kind);
/* The kind with this wire code; ERR_NONE when there is none. */
enum err_kind err_kind_of_wire(const char *wire_code);

#endif
