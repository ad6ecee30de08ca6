/* Owns the forms of a moment. Reads no clock. */
#include "common/moment.h"

#include "common/units.h"

#include <ctype.h>
#include <string.h>
#include <time.h>

enum {
    MS_PER_S = 1000,
    MS_PER_MINUTE = 60 * MS_PER_S,
    MINUTES_PER_HOUR = 60,
    HOUR_MAX = 23,
    MINUTE_MAX = 59,
    FRACTION_MAX_DIGITS = 9,
};

/* Two digits at TEXT; -1 when they are none, or more than MAX. */
static int moment_two_digits(const char *text, int max)
{
    int value = 0;

    if (!isdigit((unsigned char)text[0]) || !isdigit((unsigned char)text[1]))
        return -1;
    value = (text[0] - '0') * 10 + (text[1] - '0');
    return value > max ? -1 : value;
}

/* ".123456" in milliseconds, what is finer cut off; TEXT is moved behind it. -1: no fraction. */
static int64_t moment_read_fraction(const char **text)
{
    size_t digits = 0;
    int64_t ms = 0;

    if (**text != '.')
        return 0;
    ++*text;
    digits = strspn(*text, "0123456789");
    if (digits == 0 || digits > FRACTION_MAX_DIGITS)
        return -1;
    for (size_t i = 0; i < 3; i++)
        ms = ms * 10 + (i < digits ? (*text)[i] - '0' : 0);
    *text += digits;
    return ms;
}

/* "Z", "+01:00" or "-01:00", and nothing behind it. */
static bool moment_read_zone(const char *text, int64_t *out_ms)
{
    int hours = 0;
    int minutes = 0;

    *out_ms = 0;
    if (strcmp(text, "Z") == 0 || strcmp(text, "z") == 0)
        return true;
    if ((text[0] != '+' && text[0] != '-') || strlen(text) != strlen("+00:00") || text[3] != ':')
        return false;
    hours = moment_two_digits(text + 1, HOUR_MAX);
    minutes = moment_two_digits(text + 4, MINUTE_MAX);
    *out_ms = (int64_t)(hours * MINUTES_PER_HOUR + minutes) * MS_PER_MINUTE;
    if (text[0] == '-')
        *out_ms = -*out_ms;
    return hours >= 0 && minutes >= 0;
}

static bool moment_parse_rfc3339(const char *text, int64_t *out_ms)
{
    char again[sizeof("2026-11-21T22:51:07")];
    struct tm utc;
    const char *rest = NULL;
    int64_t fraction_ms = 0;
    int64_t zone_ms = 0;
    time_t seconds = 0;

    memset(&utc, 0, sizeof(utc));
    rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &utc);
    if (rest == NULL || (size_t)(rest - text) != sizeof(again) - 1)
        return false;
    seconds = timegm(&utc);
    /* strptime is lenient: a 31st of June is no day. */
    if (strftime(again, sizeof(again), "%Y-%m-%dT%H:%M:%S", &utc) == 0 ||
        strncmp(again, text, sizeof(again) - 1) != 0)
        return false;
    fraction_ms = moment_read_fraction(&rest);
    if (fraction_ms < 0 || !moment_read_zone(rest, &zone_ms))
        return false;
    *out_ms = (int64_t)seconds * MS_PER_S + fraction_ms - zone_ms;
    return *out_ms >= 0;
}

int moment_parse(const char *text, int64_t now_ms, int64_t *out_ms, struct err *err)
{
    struct err ignored = ERR_INIT;
    uint64_t ago_ms = 0;

    if (moment_parse_rfc3339(text, out_ms))
        return 0;
    if (units_parse_duration(text, &ago_ms, &ignored) == 0 && ago_ms <= (uint64_t)now_ms) {
        *out_ms = now_ms - (int64_t)ago_ms;
        return 0;
    }
    return err_set(err, ERR_USAGE,
                   "must be a time like 2026-11-21T22:51:07Z, or how long ago, like 10m, not "
                   "\"%.64s\"",
                   text);
}
