/* Numbers over time, for graphs: the last HISTORY_COUNT readings of each of a few series. A series
 * is known by its name, as "tokens_per_second" or "gpu:0 power_watts". */
#ifndef RBEE_TUI_HISTORY_H
#define RBEE_TUI_HISTORY_H

#include <stddef.h>

enum {
    HISTORY_COUNT = 1024, /* two for each column of the widest screen that is likely */
    HISTORY_SERIES_MAX_COUNT = 96,
    HISTORY_NAME_BYTES = 48,
};

struct history_series {
    char name[HISTORY_NAME_BYTES];
    double values[HISTORY_COUNT]; /* a ring; NaN where a reading was not known */
    size_t next;
    size_t count;
};

struct history {
    struct history_series *series[HISTORY_SERIES_MAX_COUNT]; /* ours; NULL behind the last one */
};

/* Storage of the caller, zeroed. */
void history_release(struct history *history);
/* A series that there is no room for is not kept. */
void history_add(struct history *history, const char *name, double value);
/* The series is empty again. */
void history_forget(struct history *history, const char *name);
/* Copies the newest readings, at most MAX, the oldest first; returns how many. */
size_t history_copy(const struct history *history, const char *name, double *out, size_t max);

#endif
