/* The supervisor: everything rbeed owns, on one loop.
 *
 *   supervisor_new    lock, store, models, workers, socket       refuses when another one is there
 *   supervisor_run    until a stop that was asked for is complete
 *   supervisor_free   closes the store (what is queued is written), removes the socket, unlocks
 *
 * A stop: new requests are refused, all workers drain at the same time, then TERM, then KILL; the
 * loop ends when the last process is gone or has survived KILL. */
#ifndef RBEE_SUPERVISOR_SUPERVISOR_H
#define RBEE_SUPERVISOR_SUPERVISOR_H

#include "common/clock.h"
#include "common/config.h"
#include "common/err.h"
#include "db/breakers.h"
#include "db/store.h"
#include "supervisor/audit.h"
#include "supervisor/auth.h"
#include "supervisor/clock_mover_hook.h"
#include "supervisor/describe.h"
#include "supervisor/device.h"
#include "supervisor/feed.h"
#include "supervisor/fetch_child.h"
#include "supervisor/gpu/reader.h"
#include "supervisor/gpu/survey.h"
#include "supervisor/handed.h"
#include "supervisor/inquiry.h"
#include "supervisor/listener.h"
#include "supervisor/lock.h"
#include "supervisor/log_file.h"
#include "supervisor/log_stream.h"
#include "supervisor/metrics.h"
#include "supervisor/models.h"
#include "supervisor/notify.h"
#include "supervisor/policy.h"
#include "supervisor/pull.h"
#include "supervisor/request.h"
#include "supervisor/resolve.h"
#include "supervisor/shown.h"
#include "supervisor/tcp.h"
#include "supervisor/verify.h"
#include "supervisor/waiter.h"
#include "supervisor/watcher.h"
#include "supervisor/worker.h"

#include <stdbool.h>
#include <stdint.h>

struct event;
struct event_base;

enum { SUPERVISOR_SIGNAL_COUNT = 3 };

struct supervisor {
    struct event_base *base;
    struct config *config; /* borrowed from main() */
    char *state_dir;
    char *runtime_dir;
    char *worker_program;
    char boot_id[CLOCK_BOOT_ID_BYTES];
    struct lock lock;
    struct log_file own_log; /* path NULL: we log to the stderr we were given */

    struct store *store;
    struct event *store_event;
    struct err store_health; /* why the disk takes nothing; ERR_NONE: it does */
    char *set_aside;         /* name of the file that was corrupt at our start; NULL: none was */
    bool is_journal_refused; /* a row could not even be queued; said once */

    struct audit audit;
    struct policy policy;
    struct metrics metrics;
    struct breaker_rows stored_breakers; /* until stored_restore() */
    struct notify notify;
    struct handed handed;
    struct listener listener;
    struct tcp tcp;
    struct auth auth;
    struct device_list devices;
    uint64_t postponed_count; /* starts that had to wait for their device, ever */
    struct model_list models;
    struct worker_list workers;
    struct reader gpus;
    struct survey survey;   /* of what can be done with them */
    struct watcher watcher; /* of the workers' processes, should we die */
    struct request_list requests;
    struct waiter_list waiters;
    struct shown_list shown;
    struct feed_list feeds;
    struct log_streams log_streams;
    struct inquiry_list inquiries;
    struct describe_list describes;
    struct fetch_child_list fetch_children;
    struct pull_list pulls;
    struct verify_list verifies;

    struct event *signals[SUPERVISOR_SIGNAL_COUNT];
    struct event *upkeep;            /* now and then: socket still there, log not too long */
    struct event *farewell;          /* the last replies leave */
    struct clock_mover *clock_mover; /* NULL but where a test moves the clock */
    uint64_t started_ms;
    bool is_stopping;
    uint64_t stopping_since_ms;
    int64_t last_stop_ms;      /* what the stop of the last run took; -1: not known */
    uint64_t farewell_ends_ms; /* 0: workers are still there */
};

/* CONFIG is borrowed. A process whose stderr is /dev/null logs to STATE/logs/rbeed.log. */
struct supervisor *supervisor_new(struct config *config, struct err *err);
int supervisor_run(struct supervisor *supervisor, struct err *err);
/* Accepts NULL and one that supervisor_new did not finish. */
void supervisor_free(struct supervisor *supervisor);

/* Begins the stop; what runs may finish within DRAIN_MS. A second call can only shorten that. */
void supervisor_stop(struct supervisor *supervisor, uint64_t drain_ms);
/* A worker has changed its state, or what it has to do. */
void supervisor_worker_changed(struct supervisor *supervisor, struct worker *worker);
/* The STATUS record; a new reference. */
json_t *supervisor_record(struct supervisor *supervisor);

#endif
