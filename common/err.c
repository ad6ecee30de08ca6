/* Owns the table of error kinds and the filling of struct err. Knows nothing of logs or replies. */
#include "common/err.h"

#include "common/utf8.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>

enum { RETRY_NO, RETRY_YES };

static const struct {
    const char *wire_code;
    short http_status;
    short exit_code;
    bool is_retryable;
} ERRORS[ERR_KIND_COUNT] = {
#define ERROR(kind, wire, http, exit, retry)                                                       \
    [ERR_##kind] = {.wire_code = wire,                                                             \
                    .http_status = http,                                                           \
                    .exit_code = exit,                                                             \
                    .is_retryable = RETRY_##retry == RETRY_YES},
#include "common/errors.def"
#undef ERROR
};

/* A message that ran over its storage ends in dots, and never in half a character. */
static void err_mark_cut(struct err *err)
{
    size_t keep = ERR_MESSAGE_MAX_BYTES - sizeof("...");

    keep = utf8_cut_len(err->message, keep);
    memcpy(err->message + keep, "...", sizeof("..."));
}

void err_fill(struct err *err, enum err_kind kind, const char *format, ...)
{
    int saved_errno = errno;
    va_list args;
    int len = 0;

    assert(kind > ERR_NONE && kind < ERR_KIND_COUNT);
    err->kind = kind;
    err->retry_after_ms = 0;
    va_start(args, format);
    errno = saved_errno;
    len = vsnprintf(err->message, sizeof(err->message), format, args);
    va_end(args);
    if (len >= (int)sizeof(err->message))
        err_mark_cut(err);
    /* Paths and foreign text come in here; what goes out is one line of UTF-8. */
    utf8_make_printable(err->message, strlen(err->message));
}

void err_prefix(struct err *err, const char *format, ...)
{
    char inner[ERR_MESSAGE_MAX_BYTES];
    va_list args;
    int len = 0;
    int rest = 0;

    memcpy(inner, err->message, sizeof(inner));
    va_start(args, format);
    len = vsnprintf(err->message, sizeof(err->message), format, args);
    va_end(args);
    if (len < (int)sizeof(err->message))
        rest = snprintf(err->message + len, sizeof(err->message) - (size_t)len, ": %s", inner);
    if (len + rest >= (int)sizeof(err->message))
        err_mark_cut(err);
    utf8_make_printable(err->message, strlen(err->message));
}

const char *err_wire_code(enum err_kind kind)
{
    assert(kind > ERR_NONE && kind < ERR_KIND_COUNT);
    return ERRORS[kind].wire_code;
}

int err_http_status(enum err_kind kind)
{
    assert(kind > ERR_NONE && kind < ERR_KIND_COUNT);
    return ERRORS[kind].http_status;
}

int err_exit_code(enum err_kind kind)
{
    assert(kind > ERR_NONE && kind < ERR_KIND_COUNT);
    return ERRORS[kind].exit_code;
}

bool err_is_retryable(enum err_kind kind)
{
    assert(kind > ERR_NONE && kind < ERR_KIND_COUNT);
    return ERRORS[kind].is_retryable;
}

enum err_kind err_kind_of_wire(const char *wire_code)
{
    for (int kind = ERR_NONE + 1; kind < ERR_KIND_COUNT; kind++) {
        if (strcmp(ERRORS[kind].wire_code, wire_code) == 0)
            return (enum err_kind)kind;
    }
    return ERR_NONE;
}
