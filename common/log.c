/* Owns the form of a log line and its way to stderr. Must not know who logs. */
#include "common/log.h"

#include "common/clock.h"
#include "common/units.h"
#include "common/utf8.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
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

struct log_line {
    char text[LOG_LINE_MAX_BYTES];
    size_t len;
};

static void log_add_text(struct log_line *line, const char *text)
{
    size_t len = strlen(text);

    assert(len < LOG_LINE_MAX_BYTES - line->len);
    memcpy(line->text + line->len, text, len);
    line->len += len;
}

/* How much of LINE may be filled: what is left is for a closing quote and the line's end. */
enum { LOG_FILL_MAX_BYTES = LOG_LINE_MAX_BYTES - 2 };

/* The bytes of the character at TEXT (one, where they are no UTF-8), and whether a line may carry
 * them as they are. */
static size_t log_measure(const char *text, size_t len, bool *out_is_plain)
{
    uint32_t codepoint = 0;
    size_t step = 0;

    if (*text >= ' ' && *text <= '~') { /* nearly all */
        *out_is_plain = *text != '"' && *text != '\\';
        return 1;
    }
    step = utf8_decode(text, len, &codepoint);
    *out_is_plain = step > 0 && utf8_is_printable(codepoint);
    return step > 0 ? step : 1;
}

static bool log_needs_quotes(const char *text, size_t len)
{
    for (size_t at = 0; at < len;) {
        bool is_plain = text[at] > ' ' && text[at] <= '~' && text[at] != '"' && text[at] != '\\';
        size_t step = 1;

        if (!is_plain && text[at] != ' ')
            step = log_measure(text + at, len - at, &is_plain);
        if (!is_plain)
            return true;
        at += step;
    }
    return false;
}

/* One character within quotes; 0 when the line is full. */
static size_t log_escape(char out[static sizeof("\\xNN") * 4], const char *text, size_t step,
                         bool is_plain)
{
    static const char HEX[] = "0123456789abcdef";
    size_t len = 0;

    if (is_plain) {
        memcpy(out, text, step);
        return step;
    }
    if (*text == '"' || *text == '\\') {
        out[0] = '\\';
        out[1] = *text;
        return 2;
    }
    for (size_t i = 0; i < step; i++) {
        /* The step is within the text. NOLINTNEXTLINE(clang-analyzer-core.uninitialized.Assign) */
        uint8_t byte = (uint8_t)text[i];

        out[len++] = '\\';
        out[len++] = 'x';
        out[len++] = HEX[byte >> 4];
        out[len++] = HEX[byte & 0xf];
    }
    return len;
}

static void log_add_quoted(struct log_line *line, const char *text, size_t len)
{
    line->text[line->len++] = '"';
    for (size_t at = 0; at < len;) {
        char escaped[sizeof("\\xNN") * 4];
        bool is_plain = false;
        size_t step = log_measure(text + at, len - at, &is_plain);
        size_t escaped_len = log_escape(escaped, text + at, step, is_plain);

        if (line->len + escaped_len > LOG_FILL_MAX_BYTES)
            break;
        memcpy(line->text + line->len, escaped, escaped_len);
        line->len += escaped_len;
        at += step;
    }
    line->text[line->len++] = '"';
}

static void log_add_value(struct log_line *line, const char *text, size_t len)
{
    size_t room = LOG_FILL_MAX_BYTES - line->len;

    if (log_needs_quotes(text, len)) {
        log_add_quoted(line, text, len);
        return;
    }
    if (len > room)
        len = utf8_cut_len(text, room);
    memcpy(line->text + line->len, text, len);
    line->len += len;
}

/* As snprintf with "%s": most of a line is this. */
static int log_convert_text(char *out, size_t size, const char *text)
{
    size_t len = strlen(text);

    memcpy(out, text, len < size ? len : size - 1);
    return len < LOG_LINE_MAX_BYTES ? (int)len : LOG_LINE_MAX_BYTES;
}

static int log_convert_unsigned(char *out, size_t size, uint64_t number)
{
    char text[UNITS_TEXT_BYTES];

    (void)units_format_whole(number, text);
    return log_convert_text(out, size, text);
}

static int log_convert_signed(char *out, size_t size, int64_t number)
{
    return number < 0 ? snprintf(out, size, "%" PRId64, number)
                      : log_convert_unsigned(out, size, (uint64_t)number);
}

/* Writes what the conversion at FORMAT makes of the next argument; returns its length, as snprintf
 * does, and the conversion's in OUT_USED: 0 for one that is not here. */
static int log_convert(char *out, size_t size, const char *format, va_list *args, size_t *out_used)
{
    static const char *const CONVERSIONS[] = {"%s",  "%m",  "%d",   "%u",  "%ld",
                                              "%lu", "%zu", "%lld", "%llu"};
    size_t which = 0;

    while (which < ARRAY_COUNT(CONVERSIONS) &&
           strncmp(format, CONVERSIONS[which], strlen(CONVERSIONS[which])) != 0)
        which++;
    *out_used = which < ARRAY_COUNT(CONVERSIONS) ? strlen(CONVERSIONS[which]) : 0;
    switch (which) {
    case 0:
        return log_convert_text(out, size, va_arg(*args, const char *));
    case 1:
        return snprintf(out, size, "%m");
    case 2:
        return log_convert_signed(out, size, va_arg(*args, int));
    case 3:
        return log_convert_unsigned(out, size, va_arg(*args, unsigned));
    case 4:
        return log_convert_signed(out, size, va_arg(*args, long));
    case 5:
        return log_convert_unsigned(out, size, va_arg(*args, unsigned long));
    case 6:
        return log_convert_unsigned(out, size, va_arg(*args, size_t));
    case 7:
        return log_convert_signed(out, size, va_arg(*args, long long));
    case 8:
        return log_convert_unsigned(out, size, va_arg(*args, unsigned long long));
    default:
        return 0;
    }
}

/* The value of one field: literal text and conversions up to the next blank of FORMAT, whatever
 * blanks the arguments have. Returns how much of FORMAT it was. */
static size_t log_add_field(struct log_line *line, const char *format, va_list *args,
                            int saved_errno)
{
    char value[LOG_LINE_MAX_BYTES];
    size_t len = 0, at = 0;

    while (format[at] != ' ' && format[at] != '\0') {
        size_t used = 0;
        int added = 0;

        errno = saved_errno; /* of %m */
        if (format[at] == '%')
            added = log_convert(value + len, sizeof(value) - len, format + at, args, &used);
        else if (len + 1 < sizeof(value))
            value[len++] = format[at];
        assert(format[at] != '%' || used > 0); /* tests/tidy.sh looks at the conversions of all */
        if (added >= (int)(sizeof(value) - len))
            added = (int)utf8_cut_len(value + len, sizeof(value) - len - 1);
        len += (size_t)added;
        at += format[at] == '%' ? used : 1;
    }
    log_add_value(line, value, len);
    return at;
}

void log_event(enum log_level level, const char *event, const char *format, ...)
{
    char time_text[CLOCK_RFC3339_BYTES];
    struct log_line line;
    int saved_errno = errno;
    va_list args;

    if (!log_is_enabled(level))
        return;
    clock_format_rfc3339(clock_wall_ms(), time_text);
    line.len = 0;
    log_add_text(&line, time_text);
    line.text[line.len++] = ' ';
    log_add_text(&line, LEVEL_NAMES[level]);
    line.text[line.len++] = ' ';
    log_add_text(&line, event);
    va_start(args, format);
    while (*format != '\0') {
        size_t key_len = strcspn(format, "=") + 1;

        assert(format[key_len - 1] == '=');
        if (line.len + 1 + key_len + sizeof("\"") > LOG_FILL_MAX_BYTES)
            break; /* what is left out is the line's end, not its middle */
        line.text[line.len++] = ' ';
        memcpy(line.text + line.len, format, key_len);
        line.len += key_len;
        format += key_len;
        format += log_add_field(&line, format, &args, saved_errno);
        format += *format == ' ';
    }
    va_end(args);
    line.text[line.len++] = '\n';
    (void)!write(STDERR_FILENO, line.text,
                 line.len); /* a log that cannot be written has no place to say so */
    errno = saved_errno;
}
