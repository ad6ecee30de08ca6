/* Owns what is told about a worker's state. Decides nothing, and does not know how it is asked. */
#include "supervisor/why.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/records.h"
#include "supervisor/breaker_text.h"
#include "supervisor/event_json.h"
#include "supervisor/next_step.h"
#include "supervisor/supervisor.h"

#include <string.h>

enum { CONTEXT_LEAST_TOKENS = 256 }; /* as in worker_recovery.c: fewer are of no use */

void why_past_init(struct why_past *past)
{
    *past = (struct why_past){.transitions = json_array(), .problem = ERR_INIT};
}

void why_past_release(struct why_past *past)
{
    json_decref(past->transitions);
    json_decref(past->stderr_lines);
    json_decref(past->failure);
}

/* ---- from the store ---- */

static json_t *why_time(int64_t wall_ms)
{
    char text[CLOCK_RFC3339_BYTES];

    clock_format_rfc3339(wall_ms, text);
    return json_string(text);
}

/* KILL after TERM is a step of a stop, not a change of state. */
static bool why_is_transition(const json_t *details)
{
    return !json_equal(json_object_get(details, "from"), json_object_get(details, "to"));
}

static void why_past_add_transition(struct why_past *past, const struct event_row *row,
                                    json_t *details)
{
    static const char *const FIELDS[] = {"from", "to", "event", "cause"};
    json_t *transition = json_pack("{s:o}", "at", why_time(row->at_ms));

    for (size_t i = 0; i < ARRAY_COUNT(FIELDS); i++) {
        json_t *value = json_object_get(details, FIELDS[i]);

        (void)json_object_set_new(transition, FIELDS[i],
                                  value == NULL ? json_null() : json_incref(value));
    }
    (void)json_array_insert_new(past->transitions, 0, transition);
}

void why_past_add_events(struct why_past *past, const struct event_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        AUTO_JSON json_t *details = NULL;
        json_t *lines = NULL;

        if (strcmp(rows->rows[i].kind, "worker_state") != 0)
            continue;
        details = event_details(rows->rows[i].details);
        if (why_is_transition(details) &&
            json_array_size(past->transitions) < WHY_TRANSITIONS_MAX_COUNT)
            why_past_add_transition(past, &rows->rows[i], details);
        lines = json_object_get(details, "stderr");
        if (past->stderr_lines == NULL && json_array_size(lines) > 0)
            past->stderr_lines = json_incref(lines);
    }
}

void why_past_add_failures(struct why_past *past, const struct failure_rows *rows)
{
    const struct failure_row *row = rows->rows;

    if (rows->count == 0)
        return;
    past->failure =
        json_pack("{s:o, s:o, s:s, s:o, s:o, s:o, s:b, s:I, s:I}", "at", why_time(row->at_ms),
                  "fault", json_text_or_null(row->class), "fault_meaning",
                  fault_meaning(fault_of_name(row->class)), "exit", json_text_or_null(row->exit),
                  "exit_meaning", json_text_or_null(next_step_exit_meaning(row->exit)),
                  "last_words", json_text_or_null(row->last_words), "is_drill", (int)row->is_drill,
                  "load_ms", (json_int_t)row->load_ms, "wait_ms", (json_int_t)row->wait_ms);
}

/* ---- from the worker ---- */

static void why_set(json_t *record, const char *field, json_t *value)
{
    (void)json_object_set_new(record, field, value);
}

static void why_copy(json_t *record, const json_t *from, const char *field)
{
    (void)json_object_set(record, field, json_object_get(from, field));
}

static json_t *why_limit(int64_t limit)
{
    return limit > 0 ? json_integer(limit) : json_null();
}

/* With less than it was to have, since it ran out of memory. */
static json_t *why_degraded(const struct worker *worker)
{
    if (!worker->recovery.is_reduced)
        return json_null();
    return json_pack("{s:I, s:I, s:o, s:o, s:o}", "context_tokens",
                     (json_int_t)worker->reduced.context_tokens, "slots",
                     (json_int_t)worker->reduced.slots, "tried_context_tokens",
                     why_limit(worker->running.context_tokens), "wanted_context_tokens",
                     why_limit(worker->options.context_tokens), "wanted_slots",
                     why_limit(worker->options.slots));
}

static void why_add_state(const struct worker *worker, json_t *record, const json_t *shown)
{
    int64_t now_ms = (int64_t)clock_monotonic_ms();
    int64_t state_ms = now_ms - worker->state_since_ms;
    const json_t *retry = json_object_get(shown, "next_retry_ms");
    bool is_well = worker->state == LIFE_READY || worker->state == LIFE_STARTING;
    struct err summary = ERR_INIT;

    worker_explain(worker, &summary);
    why_copy(record, shown, "name");
    why_copy(record, shown, "state");
    why_set(record, "since", why_time(clock_wall_ms() - state_ms));
    why_set(record, "state_ms", json_integer(state_ms));
    why_set(record, "summary", is_well ? json_null() : json_text_or_null(summary.message));
    why_copy(record, shown, "waits_for");
    why_copy(record, shown, "next_retry_ms");
    why_set(record, "next_retry_at",
            json_is_null(retry) ? json_null()
                                : why_time(clock_wall_ms() + json_integer_value(retry)));
    why_set(record, "held_since", worker->held_ms == 0 ? json_null() : why_time(worker->held_ms));
    why_set(record, "degraded", why_degraded(worker));
}

static void why_add_counts(const struct worker *worker, json_t *record, const json_t *shown)
{
    const struct recovery_policy *policy = &worker->supervisor->policy.worker;
    const struct breaker *breaker = &worker->recovery.breaker;
    int64_t now_ms = (int64_t)clock_monotonic_ms();

    why_copy(record, shown, "attempt");
    why_set(record, "max_attempts", why_limit(policy->restart.max_attempts));
    why_set(record, "failures", json_integer(breaker_count(breaker, &policy->breaker, now_ms)));
    why_set(record, "failures_limit", why_limit(policy->breaker.failures));
    why_set(record, "window_ms", json_integer(breaker_window_ms(breaker, &policy->breaker)));
}

static void why_add_fault(const struct worker *worker, json_t *record)
{
    enum fault_class fault = worker->recovery.fault;
    bool has_fault = fault != FAULT_NONE;

    why_set(record, "fault", has_fault ? json_string(fault_name(fault)) : json_null());
    why_set(record, "fault_meaning", has_fault ? json_string(fault_meaning(fault)) : json_null());
    why_set(record, "exit", json_text_or_null(worker->last_exit));
    why_set(record, "exit_meaning", json_text_or_null(next_step_exit_meaning(worker->last_exit)));
}

static json_t *why_device_breaker(const struct device *device)
{
    if (device == NULL || !device->is_gpu)
        return json_null();
    return breaker_to_json(&device->breaker, &device->supervisor->policy.device,
                           &(const struct breaker_subject){.kind = "gpu",
                                                           .name = device->name,
                                                           .last_words = "",
                                                           .reason = device->breaker_reason});
}

/* The one of its devices that matters most: that keeps it down, or may have done so; the first. */
static const struct device *why_device(const struct worker *worker)
{
    const struct device_set *devices = &worker->devices;
    const struct device *open = device_set_open(devices);

    for (size_t i = 0; open == NULL && i < devices->count; i++) {
        if (devices->devices[i]->breaker.state != BREAKER_CLOSED)
            open = devices->devices[i];
    }
    return open != NULL || devices->count == 0 ? open : devices->devices[0];
}

/* Of two the one that is not FIRST; NULL: there is one alone. */
static const struct device *why_other_device(const struct worker *worker,
                                             const struct device *first)
{
    for (size_t i = 0; i < worker->devices.count; i++) {
        if (worker->devices.devices[i] != first)
            return worker->devices.devices[i];
    }
    return NULL;
}

static void why_add_breakers(const struct worker *worker, json_t *record)
{
    const struct breaker *breaker = &worker->recovery.breaker;
    const struct device *device = why_device(worker);
    bool is_closed = breaker->state == BREAKER_CLOSED;

    why_set(record, "breaker", worker_breaker_record(worker));
    why_set(record, "breaker_meaning",
            json_text_or_null(is_closed ? "" : breaker_cause_meaning(breaker->opened_by)));
    why_set(record, "device_breaker", why_device_breaker(device));
    why_set(record, "other_device_breaker", why_device_breaker(why_other_device(worker, device)));
}

/* Half of what it ran out of memory with; recovery has halved it already. */
static int64_t why_smaller_context(const struct worker *worker)
{
    return worker->reduced.context_tokens > 0 ? worker->reduced.context_tokens
                                              : CONTEXT_LEAST_TOKENS;
}

static void why_add_next_step(const struct worker *worker, json_t *record, const json_t *shown)
{
    struct next_step step = next_step_find(worker->state, worker->recovery.breaker.state,
                                           worker->recovery.fault, worker->command != NULL);
    const char *model = json_string_value(json_object_get(shown, "model"));
    const struct device *device = why_device(worker);
    char devices[DEVICE_NAMES_MAX_BYTES + 1];
    struct next_step_names names = {
        .name = worker->name,
        .model = model == NULL ? "" : model,
        .device = device == NULL ? "its device" : devices,
        .pid = worker->process.pid,
        .context_tokens = why_smaller_context(worker),
    };
    AUTO_FREE char *command = NULL;
    AUTO_FREE char *advice = NULL;

    /* What is wrong with one of two is to be mended there; else it is about both. */
    if (device != NULL &&
        (device_set_open(&worker->devices) != NULL || device->breaker.state != BREAKER_CLOSED))
        memcpy(devices, device->name, sizeof(device->name));
    else
        device_set_write_name(&worker->devices, devices);
    command = next_step_fill(step.command, &names);
    advice = next_step_fill(step.advice, &names);

    why_set(record, "command", json_text_or_null(command));
    why_set(record, "advice", json_text_or_null(advice));
}

/* What the process that runs has said; else what the last one has. */
static json_t *why_stderr(const struct worker *worker, const struct why_past *past)
{
    json_t *kept = worker_output_lines(&worker->output);

    if (json_array_size(kept) > 0 || past->stderr_lines == NULL)
        return kept;
    json_decref(kept);
    return json_incref(past->stderr_lines);
}

json_t *why_record(struct worker *worker, const struct why_past *past)
{
    json_t *record = json_object();
    json_t *shown = worker_record(worker);

    why_add_state(worker, record, shown);
    why_add_counts(worker, record, shown);
    why_add_fault(worker, record);
    why_add_breakers(worker, record);
    why_add_next_step(worker, record, shown);
    why_set(record, "last_failure",
            past->failure == NULL ? json_null() : json_incref(past->failure));
    why_set(record, "transitions", json_incref(past->transitions));
    why_set(record, "stderr", why_stderr(worker, past));
    why_set(record, "problem", json_text_or_null(past->problem.message));
    why_set(record, "worker", shown);
    record_check(RECORD_WHY, record);
    return record;
}
