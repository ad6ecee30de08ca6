/* Owns the form of a log line and its way to stderr. Must not know who logs. */
#include "common/log.h"

#include "common/clock.h"
#include "common/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

/* A line of at most PIPE_BUF (4,096 on Linux) bytes goes into a pipe whole, whoever else writes. */
enum { LOG_LINE_MAX_BYTES = 4096 };

static _Atomic int log_level_shown = LOG_INFO;

static const char *const LEVEL_NAMES[] = {
    [LOG_ERROR] = "error",
    [LOG_WARN] = "warn",
    [LOG_INFO] = "info",
    [LOG_DEBUG] = "debug",
};

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&log_level_shown, (int)level, memory_order_relaxed);
}

bool log_is_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&log_level_shown, memory_order_relaxed);
}

/* Appends TEXT to LINE at LEN, what is not printable as \xNN, and leaves room for the line end.
 * Returns the new length. */
static size_t log_append_escaped(char *line, size_t len, const char *text, size_t text_len)
{
    static const char HEX[] = "0123456789abcdef";
    const size_t end = LOG_LINE_MAX_BYTES - 1;
    size_t at = 0;

    while (at < text_len) {
        uint32_t codepoint = 0;
        size_t step = utf8_decode(text + at, text_len - at, &codepoint);

        if (step > 0 && utf8_is_printable(codepoint)) {
            if (len + step > end)
                return len;
            memcpy(line + len, text + at, step);
            len += step;
            at += step;
            continue;
        }
        for (size_t last = at + (step > 0 ? step : 1); at < last; at++) {
            uint8_t byte = (uint8_t)text[at];

            if (len + sizeof("\\xNN") - 1 > end)
                return len;
            line[len++] = '\\';
            line[len++] = 'x';
            line[len++] = HEX[byte >> 4];
            line[len++] = HEX[byte & 0xf];
        }
    }
    return len;
}

void log_event(enum log_level level, const char *event, const char *format, ...)
{
    char time_text[CLOCK_RFC3339_BYTES];
    char fields[LOG_LINE_MAX_BYTES];
    char line[LOG_LINE_MAX_BYTES];
    int saved_errno = errno;
    va_list args;
    int fields_len = 0;
    size_t len = 0;

    if (!log_is_enabled(level))
        return;
    clock_format_rfc3339(clock_wall_ms(), time_text);
    len = (size_t)snprintf(line, sizeof(line), "%s %s %.64s", time_text, LEVEL_NAMES[level], event);
    va_start(args, format);
    errno = saved_errno;
    fields_len = vsnprintf(fields, sizeof(fields), format, args);
    va_end(args);
    if (fields_len >= (int)sizeof(fields))
        fields_len = (int)utf8_cut_len(fields, sizeof(fields) - 1);
    if (fields_len > 0) {
        line[len++] = ' ';
        len = log_append_escaped(line, len, fields, (size_t)fields_len);
    }
    line[len++] = '\n';
    (void)!write(STDERR_FILENO, line,
                 len); /* a log that cannot be written has no place to say so */
    errno = saved_errno;
}
