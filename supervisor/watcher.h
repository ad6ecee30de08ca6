/* The supervisor's side of rbee-watch, which outlives us and kills the groups of our workers at the
 * end of the pipe that we hold.
 *
 *   watcher_init      no process yet
 *   watcher_start     starts one; from then on there is always one, or the attempt at the next
 *   watcher_release   tells it to end, and reaps it
 *
 * One that dies is replaced, and the next is told all groups; each that lives shortly doubles the
 * time until the next. That there is none at the moment stops no worker: it is a reason for being
 * degraded. */
#ifndef RBEE_SUPERVISOR_WATCHER_H
#define RBEE_SUPERVISOR_WATCHER_H

#include "common/err.h"
#include "common/watch_record.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct event;
struct event_base;

struct watcher {
    struct event_base *base;
    struct event *retry;
    struct event *exit_event;
    int pidfd;   /* -1: there is none */
    int pipe_fd; /* the write end */
    uint64_t started_ms;
    uint64_t delay_ms;           /* before the last start */
    struct err failure;          /* why there is none */
    struct watch_record *groups; /* what each one is told: an ADD for every live worker */
    size_t group_count;
};

void watcher_init(struct watcher *watcher);
void watcher_start(struct watcher *watcher, struct event_base *base);
/* Accepts one that was never started. Only for when no group is left that is to live on. */
void watcher_release(struct watcher *watcher);

/* PID leads a group, and carries INSTANCE. */
void watcher_add(struct watcher *watcher, pid_t pid, uint64_t start_ticks, const char *instance);
/* The rest of its group has been killed. One that was not added is no failure. */
void watcher_remove(struct watcher *watcher, const char *instance);

/* How long to wait for the next start, after one that had been waited for LAST_MS (0: not at all)
 * lived for LIVED_MS. */
uint64_t watcher_backoff_ms(uint64_t last_ms, uint64_t lived_ms);

#endif
