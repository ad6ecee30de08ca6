/* Owns what graphs are drawn from. Must not know what it measures. */
#include "tui/history.h"

#include "common/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void history_release(struct history *history)
{
    for (size_t i = 0; i < HISTORY_SERIES_MAX_COUNT; i++)
        free(history->series[i]);
    memset(history, 0, sizeof(*history));
}

static struct history_series *find(const struct history *history, const char *name)
{
    for (size_t i = 0; i < HISTORY_SERIES_MAX_COUNT && history->series[i] != NULL; i++) {
        if (strcmp(history->series[i]->name, name) == 0)
            return history->series[i];
    }
    return NULL;
}

static struct history_series *make(struct history *history, const char *name)
{
    for (size_t i = 0; i < HISTORY_SERIES_MAX_COUNT; i++) {
        if (history->series[i] != NULL)
            continue;
        history->series[i] = xcalloc(1, sizeof(*history->series[i]));
        (void)snprintf(history->series[i]->name, HISTORY_NAME_BYTES, "%s", name);
        return history->series[i];
    }
    return NULL;
}

void history_add(struct history *history, const char *name, double value)
{
    struct history_series *series = find(history, name);

    if (series == NULL)
        series = make(history, name);
    if (series == NULL)
        return;
    series->values[series->next] = value;
    series->next = (series->next + 1) % HISTORY_COUNT;
    if (series->count < HISTORY_COUNT)
        series->count++;
}

void history_forget(struct history *history, const char *name)
{
    struct history_series *series = find(history, name);

    if (series != NULL)
        series->count = 0;
}

size_t history_copy(const struct history *history, const char *name, double *out, size_t max)
{
    const struct history_series *series = find(history, name);
    size_t count = series == NULL ? 0 : series->count < max ? series->count : max;

    for (size_t i = 0; i < count; i++)
        out[i] = series->values[(series->next + HISTORY_COUNT - count + i) % HISTORY_COUNT];
    return count;
}
