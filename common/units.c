/* Owns the notation of durations, sizes and numbers. Pure: nothing here looks at a clock. */
#include "common/units.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { KIB_SHIFT = 10, MIB_SHIFT = 20, GIB_SHIFT = 30, TIB_SHIFT = 40 };

static const uint64_t MS_PER_S = 1000;
static const uint64_t S_PER_MINUTE = 60;
static const uint64_t S_PER_HOUR = 3600;
static const uint64_t S_PER_DAY = 86400;

struct unit {
    const char *suffix;
    uint64_t factor;
};

static const struct unit DURATION_UNITS[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
static const struct unit SIZE_UNITS[] = {
    {"", 1}, {"KiB", 1ull << KIB_SHIFT}, {"MiB", 1ull << MIB_SHIFT}, {"GiB", 1ull << GIB_SHIFT}};

/* Reads digits, then exactly one of UNITS, then the end of the text. */
static bool units_parse(const char *text, const struct unit *units, size_t unit_count,
                        uint64_t *out)
{
    uint64_t number = 0;
    size_t digit_count = strspn(text, "0123456789");

    if (digit_count == 0)
        return false;
    for (size_t i = 0; i < digit_count; i++) {
        if (__builtin_mul_overflow(number, 10u, &number) ||
            __builtin_add_overflow(number, (uint64_t)(text[i] - '0'), &number))
            return false;
    }
    for (size_t i = 0; i < unit_count; i++) {
        if (strcmp(text + digit_count, units[i].suffix) == 0)
            return !__builtin_mul_overflow(number, units[i].factor, out);
    }
    return false;
}

int units_parse_duration(const char *text, uint64_t *out_ms, struct err *err)
{
    uint64_t ms = 0;

    if (strcmp(text, "0") != 0 && strcmp(text, "off") != 0 &&
        !units_parse(text, DURATION_UNITS, ARRAY_COUNT(DURATION_UNITS), &ms))
        return err_set(err, ERR_USAGE, "\"%.40s\" is not a duration like 500ms, 30s, 5m or 1h",
                       text);
    *out_ms = ms;
    return 0;
}

int units_parse_size(const char *text, uint64_t *out_bytes, struct err *err)
{
    uint64_t bytes = 0;

    if (!units_parse(text, SIZE_UNITS, ARRAY_COUNT(SIZE_UNITS), &bytes))
        return err_set(err, ERR_USAGE, "\"%.40s\" is not a size like 4096, 64KiB, 10MiB or 2GiB",
                       text);
    *out_bytes = bytes;
    return 0;
}

int units_parse_integer(const char *text, int64_t min, int64_t max, int64_t *out, struct err *err)
{
    size_t sign_len = text[0] == '-';
    size_t digit_count = strspn(text + sign_len, "0123456789");
    long long number = 0;

    errno = 0;
    number = strtoll(text, NULL, 10);
    if (digit_count == 0 || text[sign_len + digit_count] != '\0')
        return err_set(err, ERR_USAGE, "\"%.40s\" is not a whole number", text);
    if (errno == ERANGE || number < min || number > max)
        return err_set(err, ERR_USAGE, "%.40s is not in %" PRId64 " to %" PRId64, text, min, max);
    *out = number;
    return 0;
}

int units_parse_number(const char *text, double min, double max, double *out, struct err *err)
{
    char *end = NULL;
    double number = 0;

    /* strtod would also take hexadecimal, blanks, "nan" and "inf". */
    if (text[0] == '\0' || text[strspn(text, "0123456789+-.eE")] != '\0')
        return err_set(err, ERR_USAGE, "\"%.40s\" is not a number", text);
    number = strtod(text, &end);
    if (end == text || *end != '\0')
        return err_set(err, ERR_USAGE, "\"%.40s\" is not a number", text);
    if (!isfinite(number) || number < min || number > max)
        return err_set(err, ERR_USAGE, "%.40s is not in %.15g to %.15g", text, min, max);
    *out = number;
    return 0;
}

size_t units_format_whole(uint64_t number, char out[UNITS_TEXT_BYTES])
{
    char digits[UNITS_TEXT_BYTES];
    size_t at = sizeof(digits);

    digits[--at] = '\0';
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    memcpy(out, digits + at, sizeof(digits) - at);
    return sizeof(digits) - at - 1;
}

void units_format_size(uint64_t bytes, char out[UNITS_TEXT_BYTES])
{
    static const struct unit SHOWN[] = {{"TiB", 1ull << TIB_SHIFT},
                                        {"GiB", 1ull << GIB_SHIFT},
                                        {"MiB", 1ull << MIB_SHIFT},
                                        {"KiB", 1ull << KIB_SHIFT}};

    for (size_t i = 0; i < ARRAY_COUNT(SHOWN); i++) {
        if (bytes >= SHOWN[i].factor) {
            (void)snprintf(out, UNITS_TEXT_BYTES, "%.1f %s",
                           (double)bytes / (double)SHOWN[i].factor, SHOWN[i].suffix);
            return;
        }
    }
    (void)snprintf(out, UNITS_TEXT_BYTES, "%" PRIu64 " B", bytes);
}

void units_format_duration(uint64_t ms, char out[UNITS_TEXT_BYTES])
{
    uint64_t s = ms / MS_PER_S;

    if (s == 0)
        (void)snprintf(out, UNITS_TEXT_BYTES, "%" PRIu64 "ms", ms);
    else if (s < S_PER_MINUTE)
        (void)snprintf(out, UNITS_TEXT_BYTES, "%" PRIu64 "s", s);
    else if (s < S_PER_HOUR)
        (void)snprintf(out, UNITS_TEXT_BYTES, "%" PRIu64 "m%02" PRIu64 "s", s / S_PER_MINUTE,
                       s % S_PER_MINUTE);
    else if (s < S_PER_DAY)
        (void)snprintf(out, UNITS_TEXT_BYTES, "%" PRIu64 "h%02" PRIu64 "m", s / S_PER_HOUR,
                       s % S_PER_HOUR / S_PER_MINUTE);
    else
        (void)snprintf(out, UNITS_TEXT_BYTES, "%" PRIu64 "d%" PRIu64 "h", s / S_PER_DAY,
                       s % S_PER_DAY / S_PER_HOUR);
}
