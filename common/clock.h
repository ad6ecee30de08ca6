/* The only reader of clocks. Monotonic time is what everything compares; wall time is for people
 * and for the database. */
#ifndef RBEE_COMMON_CLOCK_H
#define RBEE_COMMON_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>

/* CLOCK_BOOTTIME-independent: CLOCK_MONOTONIC. */
uint64_t clock_monotonic_ms(void);
uint64_t clock_monotonic_us(void);
/* Time since boot, in which the machine slept included. Nothing is due by it: it tells how late we
 * are, which is no matter of the clock that things are due by. */
uint64_t clock_boot_ms(void);
/* Milliseconds since the Unix epoch. */
int64_t clock_wall_ms(void);

/* A span as libevent's timers take it. */
struct timeval clock_timeval(uint64_t ms);

enum {
    CLOCK_RFC3339_BYTES = 32,
    CLOCK_RFC3339_TIME_INDEX = 11, /* of the time of day in it */
    CLOCK_RFC3339_TIME_LEN = 8,
};
/* "2026-11-21T22:51:07.123Z" */
void clock_format_rfc3339(int64_t wall_ms, char out[CLOCK_RFC3339_BYTES]);
/* Reads what clock_format_rfc3339 writes, nothing else. */
bool clock_parse_rfc3339(const char *text, int64_t *out_wall_ms);

/* A time as HTTP has it, and the second it stands for. */
enum { CLOCK_HTTP_DATE_BYTES = 32 };
struct clock_http_date {
    int64_t wall_s;
    char text[CLOCK_HTTP_DATE_BYTES]; /* "" at first */
};
/* "Sat, 21 Nov 2026 22:51:07 GMT" (RFC 9110, 5.6.7), made anew only when DATE is of another second.
 * Borrowed from DATE. */
const char *clock_http_date_at(struct clock_http_date *date, int64_t wall_ms);

enum { CLOCK_BOOT_ID_BYTES = 40 };
/* The kernel's boot id; "unknown" where /proc has none. */
void clock_boot_id(char out[CLOCK_BOOT_ID_BYTES]);

#endif
