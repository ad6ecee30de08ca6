/* Owns the reading of clocks. Must not know what is timed. */
#include "common/clock.h"

#include "common/attr.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    MS_PER_S = 1000,
    US_PER_MS = 1000,
    US_PER_S = 1000000,
    NS_PER_US = 1000,
    NS_PER_MS = 1000000
};

uint64_t clock_monotonic_us(void)
{
    struct timespec now = {0, 0};
    int rc = clock_gettime(CLOCK_MONOTONIC, &now);

    assert(rc == 0);
    return (uint64_t)now.tv_sec * US_PER_S + (uint64_t)now.tv_nsec / NS_PER_US;
}

uint64_t clock_monotonic_ms(void)
{
    return clock_monotonic_us() / US_PER_MS;
}

uint64_t clock_boot_ms(void)
{
    struct timespec now = {0, 0};
    int rc = clock_gettime(CLOCK_BOOTTIME, &now);

    assert(rc == 0);
    return (uint64_t)now.tv_sec * MS_PER_S + (uint64_t)now.tv_nsec / NS_PER_MS;
}

int64_t clock_wall_ms(void)
{
    struct timespec now = {0, 0};
    int rc = clock_gettime(CLOCK_REALTIME, &now);

    assert(rc == 0);
    return (int64_t)now.tv_sec * MS_PER_S + now.tv_nsec / NS_PER_MS;
}

struct timeval clock_timeval(uint64_t ms)
{
    return (struct timeval){.tv_sec = (time_t)(ms / MS_PER_S),
                            .tv_usec = (suseconds_t)(ms % MS_PER_S * US_PER_MS)};
}

/* The nearest time of which the year has four digits, as both formats have it. */
static int64_t clock_clamp_ms(int64_t wall_ms)
{
    /* 9999-12-31T23:59:59.999Z */
    static const int64_t LAST_MS = 253402300799999;

    return wall_ms < 0 ? 0 : wall_ms > LAST_MS ? LAST_MS : wall_ms;
}

static struct tm clock_utc(int64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / MS_PER_S);
    struct tm utc;

    memset(&utc, 0, sizeof(utc));
    (void)gmtime_r(&seconds, &utc); /* fails only for years it cannot count */
    return utc;
}

const char *clock_http_date_at(struct clock_http_date *date, int64_t wall_ms)
{
    int64_t ms = clock_clamp_ms(wall_ms);
    struct tm utc;

    if (date->text[0] != '\0' && date->wall_s == ms / MS_PER_S)
        return date->text;
    utc = clock_utc(ms);
    /* The names are English: no program of ours leaves the C locale. */
    (void)strftime(date->text, sizeof(date->text), "%a, %d %b %Y %H:%M:%S GMT", &utc); /* fits */
    date->wall_s = ms / MS_PER_S;
    return date->text;
}

/* A thread that writes many in the same second makes its date once. */
void clock_format_rfc3339(int64_t wall_ms, char out[CLOCK_RFC3339_BYTES])
{
    static _Thread_local char date[CLOCK_RFC3339_BYTES];
    static _Thread_local int64_t date_s = -1;
    static _Thread_local size_t date_len;
    int64_t ms = clock_clamp_ms(wall_ms);
    int milli = (int)(ms % MS_PER_S);

    if (date_s != ms / MS_PER_S) {
        struct tm utc = clock_utc(ms);

        date_len = strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc);
        date_s = ms / MS_PER_S;
    }
    memcpy(out, date, date_len);
    out += date_len;
    *out++ = '.';
    *out++ = (char)('0' + milli / 100);
    *out++ = (char)('0' + milli / 10 % 10);
    *out++ = (char)('0' + milli % 10);
    memcpy(out, "Z", sizeof("Z"));
}

bool clock_parse_rfc3339(const char *text, int64_t *out_wall_ms)
{
    char again[CLOCK_RFC3339_BYTES];
    struct tm utc;
    const char *rest = NULL;
    int64_t ms = 0;

    memset(&utc, 0, sizeof(utc));
    rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &utc);
    if (rest == NULL || rest[0] != '.' || strspn(rest + 1, "0123456789") != 3)
        return false;
    ms = (int64_t)timegm(&utc) * MS_PER_S + strtol(rest + 1, NULL, 10);
    /* strptime is lenient (blanks, single digits, a 31st of June): only what we write counts. */
    clock_format_rfc3339(ms, again);
    if (strcmp(again, text) != 0)
        return false;
    *out_wall_ms = ms;
    return true;
}

void clock_boot_id(char out[CLOCK_BOOT_ID_BYTES])
{
    AUTO_CLOSE int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, out, CLOCK_BOOT_ID_BYTES - 1);

    if (len <= 0) {
        (void)snprintf(out, CLOCK_BOOT_ID_BYTES, "unknown");
        return;
    }
    out[len] = '\0';
    out[strcspn(out, "\n")] = '\0';
}
