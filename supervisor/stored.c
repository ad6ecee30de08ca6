/* Owns the translation between rows and what restarts and breakers remember. Decides nothing. */
#include "supervisor/stored.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/token.h"
#include "db/events.h"
#include "supervisor/device_set.h"
#include "supervisor/journal.h"
#include "supervisor/life.h"
#include "supervisor/supervisor.h"

#include <string.h>

enum {
    STORED_FAILURES_MAX_COUNT = 4096,
    STORED_DETAILS_MAX_BYTES = 1024, /* of the one event that is read back */
};

static const char WORKER_PREFIX[] = "worker:";

/* ---- time ---- */

int64_t stored_wall_ms(int64_t mono_ms)
{
    if (mono_ms == INT64_MIN)
        return 0;
    return clock_wall_ms() + mono_ms - (int64_t)clock_monotonic_ms();
}

/* The wall clock is believed only where there is nothing better: over a reboot. */
static int64_t stored_mono_ms(int64_t mono_ms, int64_t wall_ms, bool is_same_boot)
{
    if (is_same_boot)
        return mono_ms;
    return (int64_t)clock_monotonic_ms() + wall_ms - clock_wall_ms();
}

static int64_t stored_from_ms(int64_t wall_ms)
{
    return wall_ms == 0 ? INT64_MIN : stored_mono_ms(0, wall_ms, false);
}

/* ---- breakers ---- */

void stored_breaker(const struct breaker *breaker, struct breaker_row *row)
{
    bool is_open = breaker->state == BREAKER_OPEN;

    row->state = breaker_state_name(breaker->state);
    row->cause = breaker_cause_name(breaker->cause);
    row->opened_by = breaker_cause_name(breaker->opened_by);
    row->opened_ms = breaker->state == BREAKER_CLOSED ? 0 : clock_wall_ms();
    row->until_ms = is_open ? breaker->until_ms : 0;
    row->until_wall_ms = is_open ? stored_wall_ms(breaker->until_ms) : 0;
    row->open_time_ms = breaker->open_time_ms;
    row->trip_count = breaker->trip_count;
    row->window_from_ms = stored_wall_ms(breaker->window_from_ms);
    row->flap_from_ms = stored_wall_ms(breaker->flap_from_ms);
    row->probe_is_running = breaker->has_probe;
    row->updated_ms = clock_wall_ms();
}

void stored_restore_breaker(const struct breaker_row *row, const struct breaker_policy *policy,
                            const char *boot_id, struct breaker *out)
{
    bool is_same_boot = strcmp(row->boot_id, boot_id) == 0;
    int64_t now_ms = (int64_t)clock_monotonic_ms();
    struct breaker breaker = *out; /* its failures may be there already */

    if (!breaker_state_of_name(row->state, &breaker.state)) {
        log_event(LOG_ERROR, "breaker_unreadable", "key=%s state=%s", row->key, row->state);
        (void)breaker_trip(out, policy, BREAKER_BY_STORE, now_ms, token_random());
        return;
    }
    breaker.cause = breaker_cause_of_name(row->cause);
    breaker.opened_by = breaker_cause_of_name(row->opened_by);
    breaker.until_ms = stored_mono_ms(row->until_ms, row->until_wall_ms, is_same_boot);
    breaker.open_time_ms = row->open_time_ms;
    breaker.trip_count = row->trip_count;
    breaker.has_probe = row->probe_is_running && breaker.state == BREAKER_HALF_OPEN;
    breaker.window_from_ms = stored_from_ms(row->window_from_ms);
    breaker.flap_from_ms = stored_from_ms(row->flap_from_ms);
    (void)breaker_on_restored(&breaker, policy, !is_same_boot, now_ms, token_random());
    *out = breaker;
}

/* ---- recovery ---- */

void stored_recovery(const struct recovery *recovery, struct worker_row *row)
{
    row->restart_count = recovery->restart.total;
    row->attempt = recovery->restart.attempt;
    row->incident_ms = recovery->restart.is_in_incident ? clock_wall_ms() : 0;
    row->owes_restart = recovery->owes_restart;
    row->next_restart_at_ms = recovery->is_waiting ? recovery->due_ms : 0;
    row->next_restart_wall_ms = recovery->is_waiting ? stored_wall_ms(recovery->due_ms) : 0;
    row->is_degraded = recovery->is_reduced;
    row->is_failed = recovery->has_failed_for_good;
    row->fault = recovery->fault == FAULT_NONE ? "" : fault_name(recovery->fault);
    row->ready_ms = stored_wall_ms(recovery->ready_ms);
}

void stored_restore_recovery(const struct worker_row *row, const char *boot_id,
                             struct recovery *out)
{
    bool is_same_boot = strcmp(row->boot_id, boot_id) == 0;

    out->restart.total = row->restart_count;
    out->restart.attempt = row->attempt;
    out->restart.is_in_incident = row->incident_ms != 0;
    out->owes_restart = row->owes_restart;
    out->is_held = row->held_ms != 0;
    out->is_reduced = row->is_degraded;
    out->fault = fault_of_name(row->fault);
    out->has_failed_for_good = row->is_failed;
    out->is_waiting = row->next_restart_wall_ms != 0 && !out->is_held && !out->has_failed_for_good;
    out->due_ms = stored_mono_ms(row->next_restart_at_ms, row->next_restart_wall_ms, is_same_boot);
}

struct breaker_failure stored_restore_failure(const struct failure_row *row, const char *boot_id)
{
    return (struct breaker_failure){
        .at_ms = stored_mono_ms(row->at_mono_ms, row->at_ms, strcmp(row->boot_id, boot_id) == 0),
        .cycle_ms = row->load_ms + row->wait_ms,
        .fault = fault_of_name(row->class),
    };
}

/* ---- all of it ---- */

static void stored_remember_on(struct supervisor *supervisor, const char *names,
                               const struct breaker_failure *failure)
{
    const struct device_set devices = device_set_get(supervisor, names);

    device_set_remember(&devices, failure);
}

/* Before the breakers' own rows, which say since when failures count. */
static int stored_load_failures(struct supervisor *supervisor, struct err *err)
{
    struct failure_rows rows = {0};

    if (failures_load_last(supervisor->store, STORED_FAILURES_MAX_COUNT, &rows, err) != 0)
        return err_wrap(err, "read the failures");
    for (size_t i = 0; i < rows.count; i++) {
        struct breaker_failure failure = stored_restore_failure(&rows.rows[i], supervisor->boot_id);
        struct worker *worker = worker_find(supervisor, rows.rows[i].worker);

        if (fault_then(failure.fault) == FAULT_THEN_GIVE_UP)
            continue; /* it never counted */
        if (worker != NULL)
            breaker_remember(&worker->recovery.breaker, &failure);
        if (fault_is_of_device(failure.fault))
            stored_remember_on(supervisor, rows.rows[i].device, &failure);
    }
    failure_rows_release(&rows);
    return 0;
}

/* BREAKER as ROW has it, for the event that tells what has become of it since. */
static struct breaker stored_breaker_before(const struct breaker_row *row,
                                            const struct breaker *breaker)
{
    struct breaker before = *breaker;

    (void)breaker_state_of_name(row->state, &before.state); /* unreadable: as it is without a row */
    return before;
}

static void stored_restore_worker(struct supervisor *supervisor, const struct breaker_row *row)
{
    struct worker *worker = worker_find(supervisor, row->key + strlen(WORKER_PREFIX));
    struct breaker before;

    if (worker == NULL)
        return;
    before = stored_breaker_before(row, &worker->recovery.breaker);
    stored_restore_breaker(row, &supervisor->policy.worker.breaker, supervisor->boot_id,
                           &worker->recovery.breaker);
    free(worker->breaker_reason);
    worker->breaker_reason = xstrdup(row->reason);
    if (worker->recovery.breaker.state != before.state)
        journal_worker_breaker(worker, &before);
}

static void stored_restore_row(struct supervisor *supervisor, const struct breaker_row *row)
{
    struct device *device = NULL;
    struct breaker before;

    if (strncmp(row->key, WORKER_PREFIX, strlen(WORKER_PREFIX)) == 0) {
        stored_restore_worker(supervisor, row);
        return;
    }
    device = device_get(supervisor, row->key);
    before = stored_breaker_before(row, &device->breaker);
    stored_restore_breaker(row, &supervisor->policy.device, supervisor->boot_id, &device->breaker);
    free(device->breaker_reason);
    device->breaker_reason = xstrdup(row->reason);
    if (device->breaker.state != before.state)
        journal_device_breaker(device, &before);
    device_arm(device);
}

/* What was known of restarts is gone with the database: nothing starts by itself until a person or
 * a good start says that it may. */
static void stored_distrust_all(struct supervisor *supervisor)
{
    const struct breaker_policy *policy = &supervisor->policy.worker.breaker;
    int64_t now_ms = (int64_t)clock_monotonic_ms();
    struct worker *worker = NULL;

    TAILQ_FOREACH(worker, &supervisor->workers, link)
    {
        struct breaker before = worker->recovery.breaker;

        (void)breaker_trip(&worker->recovery.breaker, policy, BREAKER_BY_STORE, now_ms, 0);
        (void)breaker_half_open(&worker->recovery.breaker, BREAKER_BY_STORE);
        journal_worker_breaker(worker, &before); /* the next supervisor finds a good database */
    }
}

/* A run that ended in order has said so last of all. */
static int stored_load_stop(struct supervisor *supervisor, struct err *err)
{
    struct event_rows rows = {0};
    struct err ignored = ERR_INIT;
    AUTO_JSON json_t *details = NULL;
    const json_t *took_ms = NULL;

    supervisor->last_stop_ms = -1;
    if (events_load_last(supervisor->store, 1, &rows, err) != 0)
        return err_wrap(err, "read the last event");
    if (rows.count == 1 && strcmp(rows.rows[0].kind, STORED_STOPPED_KIND) == 0)
        details = json_parse(rows.rows[0].details, strlen(rows.rows[0].details),
                             STORED_DETAILS_MAX_BYTES, &ignored);
    took_ms = json_object_get(details, "took_ms");
    if (json_is_integer(took_ms) && json_integer_value(took_ms) >= 0)
        supervisor->last_stop_ms = json_integer_value(took_ms);
    event_rows_release(&rows);
    return 0;
}

int stored_load(struct supervisor *supervisor, struct err *err)
{
    if (stored_load_failures(supervisor, err) != 0 || stored_load_stop(supervisor, err) != 0)
        return -1;
    if (breakers_load_all(supervisor->store, &supervisor->stored_breakers, err) != 0)
        return err_wrap(err, "read the breakers");
    return 0;
}

void stored_restore(struct supervisor *supervisor)
{
    struct breaker_rows *rows = &supervisor->stored_breakers;

    if (supervisor->set_aside != NULL)
        stored_distrust_all(supervisor);
    for (size_t i = 0; i < rows->count; i++)
        stored_restore_row(supervisor, &rows->rows[i]);
    breaker_rows_release(rows);
}
