/* Owns what people and requests want of a worker: with which options it runs, whether it is to be
 * up, and what they are told when it is not. Whether a start is made decides worker_recovery.c. */
#include "common/clock.h"
#include "common/mem.h"
#include "common/units.h"
#include "supervisor/breaker_text.h"
#include "supervisor/journal.h"
#include "supervisor/supervisor.h"
#include "supervisor/worker.h"

#include <inttypes.h>
#include <string.h>

static int worker_check_number(const struct worker *worker, const char *what, int64_t asked,
                               int64_t running, int64_t effective, struct err *err)
{
    if (asked == 0 || asked == running || asked == effective)
        return 0;
    if (running == 0)
        running = effective;
    if (running == 0)
        return err_set(err, ERR_CONFLICT,
                       "worker %s runs with its own %s, not %" PRId64 ": stop it first",
                       worker->name, what, asked);
    return err_set(err, ERR_CONFLICT,
                   "worker %s runs with %s %" PRId64 ", not %" PRId64 ": stop it first",
                   worker->name, what, running, asked);
}

/* Which process serves next is known, and with which options. */
static bool worker_has_chosen(const struct worker *worker)
{
    return worker->state == LIFE_STARTING || worker->state == LIFE_READY || worker->starts_again;
}

/* ERR_CONFLICT as of worker_check_request_options(). */
static int worker_check_options(const struct worker *worker, const struct worker_options *asked,
                                struct err *err)
{
    static const struct worker_facts NONE = {0}; /* of a process that is still to come */
    const struct worker_options *running =
        worker->starts_again ? &worker->next_running : &worker->running;
    const struct worker_facts *facts = worker->starts_again ? &NONE : &worker->facts;
    const char *device = facts->device[0] != '\0' ? facts->device : running->device;
    bool is_replaced = asked->allow_cpu && !device_name_is_gpu(device);
    const char *kv_type = kv_type_or_default(running->kv_type);

    if (worker_command_check_options(worker, asked, err) != 0)
        return -1;
    if (!worker_has_chosen(worker))
        return 0;
    if (worker_check_number(worker, "context", asked->context_tokens, running->context_tokens,
                            facts->context_tokens, err) != 0 ||
        worker_check_number(worker, "threads", asked->threads, running->threads, 0, err) != 0 ||
        worker_check_number(worker, "slots", asked->slots, running->slots, facts->slots, err) != 0)
        return -1;
    if (asked->kv_type[0] != '\0' && strcmp(asked->kv_type, kv_type) != 0 && !is_replaced)
        return err_set(err, ERR_CONFLICT,
                       "worker %s keeps keys and values as %s, not %s: stop it first", worker->name,
                       kv_type, asked->kv_type);
    if (asked->device[0] != '\0' && !worker_is_on(worker, asked->device) && !is_replaced)
        return err_set(err, ERR_CONFLICT, "worker %s runs on device %s, not %s: stop it first",
                       worker->name, device_name_or_cpu(device), asked->device);
    return 0;
}

static struct worker_options worker_options_over(const struct worker_options *base,
                                                 const struct worker_options *asked)
{
    struct worker_options out = *base;

    if (asked->context_tokens != 0)
        out.context_tokens = asked->context_tokens;
    if (asked->threads != 0)
        out.threads = asked->threads;
    if (asked->slots != 0)
        out.slots = asked->slots;
    if (asked->device[0] != '\0')
        memcpy(out.device, asked->device, sizeof(out.device));
    if (asked->kv_type[0] != '\0')
        memcpy(out.kv_type, asked->kv_type, sizeof(out.kv_type));
    out.allow_cpu = base->allow_cpu || asked->allow_cpu;
    return out;
}

int worker_check_request_options(const struct worker *worker, const struct worker_options *asked,
                                 struct err *err)
{
    const struct worker_options wanted = worker_options_over(&worker->options, asked);
    const char *first = kv_type_or_default("");

    if (worker_check_options(worker, asked, err) != 0)
        return -1;
    if (worker_has_chosen(worker) || strcmp(kv_type_or_default(asked->kv_type), first) == 0 ||
        device_name_is_gpu(wanted.device))
        return 0;
    return err_set(err, ERR_INVALID_FIELD,
                   "kv_type %s takes a GPU, and worker %s is to run on %s: leave it out, or name a "
                   "device",
                   asked->kv_type, worker->name, device_name_or_cpu(wanted.device));
}

void worker_start_again(struct worker *worker, enum recovery_asker asker,
                        const struct worker_options *options)
{
    worker->next_running = *options;
    worker->again_asker = asker;
    worker->starts_again = true;
}

static void worker_start(struct worker *worker, enum recovery_asker asker,
                         const struct worker_options *options)
{
    if (worker->starts_again)
        return; /* who waits for that start has been promised its options */
    if (worker->state == LIFE_DRAINING || worker->state == LIFE_STOPPING) {
        worker_start_again(worker, asker, options);
        return;
    }
    if (life_has_process(worker->state))
        return;
    worker->next_running = *options;
    worker_try_start(worker, asker);
}

int worker_check_startable(const struct worker *worker, struct err *err)
{
    const struct device_set devices = device_set_find(worker->supervisor, worker->options.device);

    if (worker->state == LIFE_LOST) {
        worker_explain(worker, err);
        return -1;
    }
    if (worker->recovery.is_held) {
        worker_explain_held(worker, err);
        return -1;
    }
    if (!recovery_allows(&worker->recovery, RECOVERY_PERSON)) {
        worker_explain_open(worker, err);
        return -1;
    }
    if (device_set_open(&devices) != NULL) {
        device_set_explain(&devices, err);
        return -1;
    }
    return 0;
}

int worker_want_up(struct worker *worker, const struct worker_options *asked, struct err *err)
{
    const struct worker_options before = worker->options;
    bool is_up = worker->state == LIFE_STARTING || worker->state == LIFE_READY;

    if (worker_check_options(worker, asked, err) != 0)
        return -1;
    worker->options = worker_options_over(&worker->options, asked);
    if (!is_up && worker_check_startable(worker, err) != 0) {
        worker->options = before;
        return -1;
    }
    worker->asked_up = worker->wanted_up = true;
    survey_insist(worker->supervisor);
    worker_start(worker, RECOVERY_PERSON, &worker->options);
    worker_arm_deadline(worker); /* it does not stop for idleness any more */
    journal_worker(worker);
    return 0;
}

int worker_restart(struct worker *worker, struct err *err)
{
    static const struct worker_options AS_IT_IS = {0};

    if (!life_has_process(worker->state) || worker->state == LIFE_LOST)
        return worker_want_up(worker, &AS_IT_IS, err);
    if (worker->starts_again)
        return 0; /* one is under way */
    if (worker_check_startable(worker, err) != 0)
        return -1;
    worker_stop(worker, WORKER_STOP_ASKED, worker_drain_ms(worker));
    if (life_has_process(worker->state))
        worker_start_again(worker, RECOVERY_PERSON, &worker->options);
    else
        worker_start(worker, RECOVERY_PERSON, &worker->options);
    return 0;
}

void worker_request_start(struct worker *worker, const struct worker_options *asked)
{
    struct worker_options options = worker_options_over(&worker->options, asked);

    worker_start(worker, RECOVERY_REQUEST, &options);
}

void worker_want_down(struct worker *worker, bool force)
{
    struct err cause = ERR_INIT;

    worker->asked_up = worker->wanted_up = false;
    journal_worker(worker);
    if (!force) {
        worker_stop(worker, WORKER_STOP_ASKED, worker_drain_ms(worker));
        return;
    }
    err_fill(&cause, ERR_WORKER_DRAINING, "worker %s has been stopped by force", worker->name);
    worker->stop_cause = WORKER_STOP_ASKED;
    worker_take_back_restart(worker, &cause);
    worker_lapse(worker);
    worker_step(worker, LIFE_ON_FORCE, &cause);
}

void worker_recheck_model(struct worker *worker)
{
    struct model_stamp now = {0};
    struct err why = ERR_INIT;
    const char *path = worker_path(worker);

    if (worker->state != LIFE_FAILED || path == NULL || model_stamp_of(path, &now, &why) != 0)
        return;
    if (model_stamp_equal(&now, &worker->stamp))
        return;
    recovery_on_model_changed(&worker->recovery);
    err_fill(&why, ERR_WORKER_DOWN, "its model file is another one");
    worker_step(worker, LIFE_ON_MODEL_CHANGED, &why);
    worker_come_to_rest(worker, &why);
}

void worker_view(const struct worker *worker, bool may_start, struct scheduler_view *out)
{
    *out = (struct scheduler_view){
        .state = worker->state,
        .is_probing = worker->recovery.breaker.has_probe,
        .allows_probe = recovery_allows(&worker->recovery, RECOVERY_REQUEST) &&
                        worker->postponed.answer == DEVICE_GO,
        .is_idle_stop =
            worker->stop_cause == WORKER_STOP_IDLE || worker->stop_cause == WORKER_STOP_EVICTED,
        .has_no_room = worker->postponed.answer == DEVICE_NO_ROOM ||
                       worker->postponed.answer == DEVICE_UNKNOWN,
        .starts_again = worker->starts_again,
        .in_flight_count = worker->in_flight_count,
        .slot_count = (unsigned)worker->facts.slots,
        .queued_count = worker->queued_count,
        .queue_max_count = (unsigned)config_number(worker->supervisor->config, CONFIG_limits_queue),
        .may_start = may_start,
    };
}

void worker_explain_held(const struct worker *worker, struct err *out)
{
    err_fill(out, ERR_WORKER_HELD, "worker %s is held%s%s; rbee worker release %s", worker->name,
             worker->held_reason[0] == '\0' ? "" : ": ", worker->held_reason, worker->name);
}

void worker_explain_open(const struct worker *worker, struct err *out)
{
    const struct breaker *breaker = &worker->recovery.breaker;
    const char *colon = worker->last_words[0] == '\0' ? "" : ": ";
    AUTO_FREE char *end = xasprintf("%s%s%s", worker->last_exit, colon, worker->last_words);

    if (breaker->state == BREAKER_CLOSED && worker->devices.count > 0)
        device_set_explain(&worker->devices, out);
    else
        breaker_explain(breaker, worker->name,
                        breaker->state == BREAKER_FORCED_OPEN ? worker->breaker_reason : end, out);
}

/* What comes next, or what a person can do. */
static char *worker_next_step(const struct worker *worker)
{
    int64_t due_ms = worker_recovery_due_ms(worker);
    int64_t left_ms = due_ms - (int64_t)clock_monotonic_ms();
    char left[UNITS_TEXT_BYTES];

    switch (worker->state) {
    case LIFE_FAILED:
        return xasprintf("mend that, then rbee worker start %s", worker->name);
    case LIFE_LOST:
        return xasprintf("it survived KILL and is not gone yet; rbee worker show %s", worker->name);
    case LIFE_WAITING:
        if (due_ms == INT64_MAX) /* for its turn, or for room */
            return xasprintf("it starts by itself; rbee why %s", worker->name);
        units_format_duration(left_ms < 0 ? 0 : (uint64_t)left_ms, left);
        return xasprintf("next try in %s, or now with rbee worker start %s", left, worker->name);
    default:
        return xasprintf("rbee worker start %s", worker->name);
    }
}

static void worker_explain_failed(const struct worker *worker, struct err *out)
{
    bool is_config = worker->recovery.fault == FAULT_CONFIG;
    const char *said = worker->last_words[0] == '\0' ? "" : "; it said: ";
    AUTO_FREE char *next = worker_next_step(worker);

    /* Last words may be long, and are cut first. */
    err_fill(out, is_config ? ERR_WORKER_CONFIG : ERR_WORKER_FAILED, "worker %s is %s: %s; %s%s%s",
             worker->name, life_state_name(worker->state), worker->last_exit, next, said,
             worker->last_words);
}

void worker_explain(const struct worker *worker, struct err *out)
{
    if (worker->recovery.is_held && worker->state != LIFE_LOST)
        worker_explain_held(worker, out);
    else if (worker->state == LIFE_OPEN ||
             (worker->state == LIFE_STARTING && worker->recovery.breaker.has_probe))
        worker_explain_open(worker, out);
    else if (worker->state == LIFE_WAITING && worker_waits_for_room(worker))
        worker_explain_room(worker, out);
    else if (worker->state == LIFE_WAITING && worker->postponed.answer == DEVICE_UNKNOWN)
        worker_explain_place(worker, out);
    else if (worker->state == LIFE_FAILED || worker->state == LIFE_LOST || worker->has_failed)
        worker_explain_failed(worker, out);
    else
        err_fill(out, ERR_WORKER_DOWN, "worker %s is %s: rbee worker start %s", worker->name,
                 life_state_name(worker->state), worker->name);
}
