/* Owns what follows the end of a worker's process, and every start: asks recovery.h and the device,
 * and turns their answers into events of the worker's life. Decides nothing that they decide. */
#include "common/clock.h"
#include "common/mem.h"
#include "common/token.h"
#include "supervisor/breaker_text.h"
#include "supervisor/device.h"
#include "supervisor/journal.h"
#include "supervisor/supervisor.h"
#include "supervisor/worker.h"

#include <assert.h>
#include <string.h>

enum { CONTEXT_MIN_TOKENS = 256 }; /* fewer are of no use to anybody */

static int64_t recovery_now_ms(void)
{
    return (int64_t)clock_monotonic_ms();
}

static const struct recovery_policy *worker_policy(const struct worker *worker)
{
    return &worker->supervisor->policy.worker;
}

/* Every transition of the breaker is an event; a probe that has begun is no transition, but is
 * stored, so that a supervisor that dies meanwhile finds it. */
static void worker_breaker_told(struct worker *worker, const struct breaker *before)
{
    const struct breaker *now = &worker->recovery.breaker;

    if (now->state != before->state || now->has_probe != before->has_probe ||
        now->open_time_ms != before->open_time_ms)
        journal_worker_breaker(worker, before);
}

/* ---- an end ---- */

/* What the load took, or has taken so far. */
static int64_t worker_load_ms(const struct worker *worker, int64_t now_ms)
{
    const struct worker_process *process = &worker->process;
    int64_t end_ms = process->ready_ms == 0 ? now_ms : (int64_t)process->ready_ms;

    return process->spawned_ms == 0 ? 0 : end_ms - (int64_t)process->spawned_ms;
}

static enum life_event worker_exit_event(const struct worker *worker)
{
    static const enum life_event EVENTS[] = {
        [RECOVERY_DOWN] = LIFE_ON_EXITED,          [RECOVERY_WAITING] = LIFE_ON_EXITED_RETRY,
        [RECOVERY_OPEN] = LIFE_ON_EXITED_OPEN,     [RECOVERY_HELD] = LIFE_ON_EXITED_HELD,
        [RECOVERY_FAILED] = LIFE_ON_EXITED_FAILED,
    };

    return EVENTS[recovery_rest(&worker->recovery)];
}

/* Half of what it had; what it ran with is known once it was ready, else what it was to be. */
static void worker_reduce(struct worker *worker, enum fault_class fault)
{
    int64_t context_tokens = worker->facts.context_tokens;
    int64_t slots = context_tokens > 0 ? worker->facts.slots : worker->running.slots;

    if (fault_then(fault) != FAULT_THEN_REDUCE || !worker->recovery.is_reduced)
        return;
    if (context_tokens == 0)
        context_tokens = worker->running.context_tokens;
    if (context_tokens == 0)
        context_tokens = model_own_context_tokens(worker_described_need(worker));
    worker->reduced.context_tokens = context_tokens / 2;
    if (context_tokens / 2 < CONTEXT_MIN_TOKENS) /* and no more than it had: a model may have few */
        worker->reduced.context_tokens =
            context_tokens < CONTEXT_MIN_TOKENS ? context_tokens : CONTEXT_MIN_TOKENS;
    worker->reduced.slots = slots / 2 > 1 ? slots / 2 : 1;
}

static void worker_count_failure(const struct worker *worker, enum fault_class fault)
{
    struct metrics *metrics = &worker->supervisor->metrics;

    metrics_count(metrics, METRIC_WORKER_FAILURES, fault);
    if (worker->is_restart && worker->process.ready_ms == 0)
        metrics_count(metrics, METRIC_RESTART_FAILURES, 0);
}

/* The devices that have failed, if it was they. */
static struct device_set worker_blamed(const struct worker *worker)
{
    char name[DEVICE_NAME_MAX_BYTES + 1];

    worker_output_fatal_device(&worker->output, name, sizeof(name));
    return device_set_blamed(&worker->devices, name);
}

void worker_ended(struct worker *worker, enum fault_class fault, const struct err *cause)
{
    const struct device_set blamed = worker_blamed(worker);
    struct breaker before = worker->recovery.breaker;
    int64_t now_ms = recovery_now_ms();
    int64_t load_ms = worker_load_ms(worker, now_ms);
    bool was_lost = worker->state == LIFE_LOST;

    worker->failed_wait_ms = worker->recovery.delay_ms;
    if (worker->state == LIFE_READY) /* news of an end may overtake the timer */
        recovery_tick(&worker->recovery, worker_policy(worker), now_ms);
    if (was_lost)
        device_set_on_found(&worker->devices);
    if (fault == FAULT_NONE) {
        recovery_on_end(&worker->recovery, worker_policy(worker), now_ms, token_random());
    } else {
        recovery_on_fault(&worker->recovery, worker_policy(worker), fault, load_ms, now_ms,
                          token_random());
        journal_failure(worker, &blamed, fault, load_ms, now_ms);
        worker_count_failure(worker, fault);
        worker->has_failed = true;
        worker_reduce(worker, fault);
        /* A stop is under way that it only came before: nobody wants it back. */
        if (worker->state == LIFE_DRAINING && worker->recovery.is_waiting)
            recovery_on_lapse(&worker->recovery);
    }
    worker_breaker_told(worker, &before);
    device_set_on_end(&worker->devices, &blamed, worker, fault, now_ms);
    worker_step(worker, worker_exit_event(worker), cause);
    /* Who wanted it up while it was lost has waited for this. */
    if (was_lost && worker->state == LIFE_DOWN)
        worker_come_to_rest(worker, cause);
}

/* ---- a start ---- */

void worker_postpone(struct worker *worker, enum recovery_asker asker, enum device_answer answer,
                     int64_t until_ms, const struct err *why)
{
    worker->postponed.answer = answer;
    worker->postponed.asker = asker;
    worker->postponed.until_ms = until_ms;
    worker->postponed.turn = ++worker->supervisor->postponed_count;
    if (worker_waits_for_room(worker) && worker->postponed.room.turn == 0)
        worker->postponed.room.turn = worker->postponed.turn;
    worker_step(worker, LIFE_ON_POSTPONED, why);
    worker_arm_deadline(worker);
}

static void worker_start_on(struct worker *worker, const struct device_set *devices,
                            enum recovery_asker asker)
{
    static const enum life_event EVENTS[] = {
        [RECOVERY_PERSON] = LIFE_ON_START,
        [RECOVERY_REQUEST] = LIFE_ON_REQUESTED,
        [RECOVERY_OURSELVES] = LIFE_ON_RESTART,
    };
    struct breaker before = worker->recovery.breaker;
    int64_t restart_count = worker->recovery.restart.total;

    worker->devices = *devices;
    worker->postponed = (struct worker_postponed){0};
    recovery_on_start(&worker->recovery, asker);
    worker->is_restart = worker->recovery.restart.total != restart_count;
    if (worker->is_restart) {
        metrics_count(&worker->supervisor->metrics, METRIC_WORKER_RESTARTS, worker->recovery.fault);
        audit_worker_restart(worker);
    }
    device_set_on_start(&worker->devices, worker, recovery_now_ms());
    worker_breaker_told(worker, &before);
    worker_step(worker, EVENTS[asker], NULL);
}

void worker_put_off(struct worker *worker, enum recovery_asker asker, enum device_answer answer,
                    int64_t until_ms, const struct err *why)
{
    if (worker->wanted_up) {
        worker_postpone(worker, asker, answer, until_ms, why);
        request_fail_waiting(worker, why);
        waiter_check(worker);
        return;
    }
    worker_lapse(worker);
    worker_step(worker, LIFE_ON_LAPSED, why);
    request_fail_waiting(worker, why); /* of one that was down before, or open */
}

/* A device that is its own is a fault of its configuration, which its start finds; what a request
 * wants beyond that fails the request alone. */
static void worker_refuse_place(struct worker *worker, enum recovery_asker asker,
                                const struct err *why)
{
    struct device_set devices = {0};
    struct device_names names;

    if (strcmp(worker->next_running.device, worker->options.device) != 0) {
        worker_lapse(worker);
        worker_step(worker, LIFE_ON_LAPSED, why);
        request_fail_waiting(worker, why); /* of one that was down before, or open */
        if (worker->state == LIFE_DOWN && worker->wanted_up)
            worker_come_to_rest(worker, why);
        return;
    }
    /* Of two one may be a GPU that others use, and that has not been asked: a start that ends
     * before it is made is none of its business. */
    device_names_split(worker->options.device, &names);
    if (names.count == 1)
        devices = device_set_get(worker->supervisor, worker->options.device);
    worker_start_on(worker, &devices, asker);
}

static void worker_try_on(struct worker *worker, const struct device_set *devices,
                          enum recovery_asker asker)
{
    struct err why = ERR_INIT;
    int64_t until_ms = INT64_MAX;
    enum device_answer answer = device_set_ask(devices, recovery_now_ms(), &until_ms);

    worker->devices = *devices;
    switch (answer) {
    case DEVICE_GO:
        if (worker_room_take(worker, asker))
            worker_start_on(worker, devices, asker);
        break;
    case DEVICE_OPEN:
        device_set_explain(devices, &why);
        worker->postponed =
            (struct worker_postponed){.answer = DEVICE_OPEN, .asker = asker, .until_ms = INT64_MAX};
        worker_step(worker, LIFE_ON_TRIPPED, &why);
        break;
    case DEVICE_STORM:
        err_fill(&why, ERR_BUSY, "too many starts on its device: it waits for its turn");
        worker_room_plan(worker);
        worker_postpone(worker, asker, answer, until_ms, &why);
        break;
    case DEVICE_LOADING:
        err_fill(&why, ERR_BUSY, "another model is loading on its device");
        worker_room_plan(worker);
        worker_postpone(worker, asker, answer, until_ms, &why);
        break;
    case DEVICE_ROOM:
    case DEVICE_NO_ROOM:
    case DEVICE_PENDING:
    case DEVICE_UNKNOWN:
        break; /* worker_room_take()'s answers, and worker_place()'s */
    }
}

static void worker_try_place(struct worker *worker, enum recovery_asker asker)
{
    struct device_set devices;
    struct err why = ERR_INIT;
    int64_t until_ms = INT64_MAX;

    switch (worker_place(worker, asker, &devices, &until_ms, &why)) {
    case WORKER_PLACE_FOUND:
        worker_try_on(worker, &devices, asker);
        break;
    case WORKER_PLACE_PENDING:
        err_fill(&why, ERR_BUSY, "which GPUs there are is being asked");
        worker_postpone(worker, asker, DEVICE_PENDING, INT64_MAX, &why);
        break;
    case WORKER_PLACE_UNKNOWN:
        worker_put_off(worker, asker, DEVICE_UNKNOWN, until_ms, &why);
        break;
    case WORKER_PLACE_REFUSED:
        worker_refuse_place(worker, asker, &why);
        break;
    }
}

/* Who waits for a start that does not come by itself is told so. */
static void worker_refuse_waiting(struct worker *worker)
{
    struct err why = ERR_INIT;

    if (worker_may_come(worker) || worker->queued_count == 0)
        return;
    worker_explain(worker, &why);
    request_fail_waiting(worker, &why);
}

/* A person's start begins a new incident, whether it can be made at once or not. */
static void worker_forgive(struct worker *worker)
{
    struct err why = ERR_INIT;

    recovery_on_person(&worker->recovery);
    err_fill(&why, ERR_WORKER_DOWN, "a person starts it");
    if (worker->state == LIFE_FAILED)
        worker_step(worker, LIFE_ON_RESET, &why);
}

void worker_try_start(struct worker *worker, enum recovery_asker asker)
{
    if (!worker->supervisor->is_stopping && !life_has_process(worker->state) &&
        recovery_allows(&worker->recovery, asker)) {
        if (asker == RECOVERY_PERSON)
            worker_forgive(worker);
        worker_try_place(worker, asker);
    }
    worker_refuse_waiting(worker);
}

bool worker_may_come(const struct worker *worker)
{
    switch (worker->state) {
    case LIFE_STARTING:
    case LIFE_READY:
        return true;
    case LIFE_WAITING:
        return worker->postponed.answer != DEVICE_NO_ROOM &&
               worker->postponed.answer != DEVICE_UNKNOWN;
    case LIFE_DRAINING:
    case LIFE_STOPPING:
    case LIFE_DOWN: /* between the two processes of a restart, too */
        return worker->starts_again;
    case LIFE_OPEN: /* its probe waits for its turn */
        return worker->postponed.answer == DEVICE_STORM ||
               worker->postponed.answer == DEVICE_LOADING ||
               worker->postponed.answer == DEVICE_PENDING ||
               worker->postponed.answer == DEVICE_ROOM;
    case LIFE_HELD:
    case LIFE_FAILED:
    case LIFE_LOST:
    case LIFE_STATE_COUNT:
        break;
    }
    return false;
}

/* ---- rest ---- */

/* What the store has forgotten starts for a person or a request alone, until it has proved good. */
bool worker_probes_by_itself(const struct worker *worker)
{
    return worker->wanted_up && worker->recovery.breaker.opened_by != BREAKER_BY_STORE;
}

/* From state down to the way it rests in, and on if it is wanted up. */
void worker_come_to_rest(struct worker *worker, const struct err *cause)
{
    static const enum life_event EVENTS[] = {
        [RECOVERY_WAITING] = LIFE_ON_POSTPONED,
        [RECOVERY_OPEN] = LIFE_ON_TRIPPED,
        [RECOVERY_HELD] = LIFE_ON_HOLD,
        [RECOVERY_FAILED] = LIFE_ON_WAS_FAILED,
    };
    enum recovery_rest rest = recovery_rest(&worker->recovery);

    if (rest != RECOVERY_DOWN)
        worker_step(worker, EVENTS[rest], cause);
    if (worker_probes_by_itself(worker) && rest != RECOVERY_WAITING) {
        worker->next_running = worker->options;
        worker_try_start(worker, RECOVERY_OURSELVES);
    } else if (worker->queued_count > 0) {
        worker_try_start(worker, RECOVERY_REQUEST);
    }
}

/* ---- time ---- */

static bool worker_is_wanted(const struct worker *worker)
{
    return worker->wanted_up || worker->queued_count > 0 ||
           (worker->postponed.answer != DEVICE_GO && worker->postponed.asker == RECOVERY_PERSON);
}

static int64_t worker_earlier(int64_t a_ms, int64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

/* A breaker that is half open waits for a request, unless the worker is wanted up. */
static int64_t worker_open_due_ms(const struct worker *worker)
{
    const struct breaker *breaker = &worker->recovery.breaker;

    if (breaker->state == BREAKER_OPEN)
        return breaker->until_ms;
    if (worker->postponed.answer != DEVICE_GO)
        return worker->postponed.until_ms;
    if (breaker->state == BREAKER_HALF_OPEN && worker_probes_by_itself(worker))
        return recovery_now_ms();
    return INT64_MAX;
}

/* What its device hears of a worker that is ready for long: the end of a probe, and that the next
 * opening is a first one again. */
static int64_t worker_one_device_due_ms(const struct worker *worker, const struct device *device)
{
    if (device->probe == worker)
        return worker->recovery.ready_ms + worker->supervisor->policy.device.probe_stable_ms;
    if (device->breaker.state == BREAKER_CLOSED && device->breaker.open_time_ms > 0)
        return worker->recovery.ready_ms + worker_policy(worker)->restart.stable_after_ms;
    return INT64_MAX;
}

static int64_t worker_device_due_ms(const struct worker *worker)
{
    int64_t due_ms = INT64_MAX;

    for (size_t i = 0; i < worker->devices.count; i++)
        due_ms =
            worker_earlier(due_ms, worker_one_device_due_ms(worker, worker->devices.devices[i]));
    return due_ms;
}

int64_t worker_recovery_due_ms(const struct worker *worker)
{
    int64_t next_ms = recovery_next_ms(&worker->recovery, worker_policy(worker));

    switch (worker->state) {
    case LIFE_WAITING:
        return worker->postponed.answer == DEVICE_GO ? next_ms : worker->postponed.until_ms;
    case LIFE_OPEN:
        return worker_open_due_ms(worker);
    case LIFE_READY:
        return worker_earlier(next_ms, worker_device_due_ms(worker));
    default:
        return INT64_MAX;
    }
}

static void worker_ready_for_a_while(struct worker *worker, int64_t now_ms)
{
    int64_t ready_for_ms = now_ms - worker->recovery.ready_ms;

    if (ready_for_ms >= worker->supervisor->policy.device.probe_stable_ms)
        device_set_on_probe_stable(&worker->devices, worker, now_ms);
    if (ready_for_ms >= worker_policy(worker)->restart.stable_after_ms)
        device_set_on_stable(&worker->devices);
}

/* The restart that is due, if anybody still wants it: a worker that only requests want is down
 * until the next one comes, with its attempts. */
void worker_restart_due(struct worker *worker)
{
    struct err why = ERR_INIT;
    bool is_wanted = worker_is_wanted(worker);
    enum recovery_asker asker =
        worker->postponed.answer == DEVICE_GO ? RECOVERY_OURSELVES : worker->postponed.asker;

    /* It keeps its place in the line for room. */
    worker->postponed = (struct worker_postponed){.room = worker->postponed.room};
    if (is_wanted) {
        worker_try_start(worker, asker);
        return;
    }
    worker->postponed = (struct worker_postponed){0};
    if (worker->state == LIFE_OPEN)
        return; /* the next request asks for its probe */
    recovery_on_lapse(&worker->recovery);
    err_fill(&why, ERR_WORKER_DOWN, "nobody waits for it: the next request starts it");
    worker_step(worker, LIFE_ON_LAPSED, &why);
    worker_come_to_rest(worker, &why);
}

void worker_lapse(struct worker *worker)
{
    recovery_on_lapse(&worker->recovery);
    if (worker->postponed.answer != DEVICE_OPEN) /* that goes on keeping it down */
        worker->postponed = (struct worker_postponed){0};
    if (worker->state == LIFE_OPEN)
        worker_refuse_waiting(worker); /* for a probe that was to follow another's load */
}

/* The one start of a half-open breaker, which its device did not let go. */
static bool worker_start_is_put_off(const struct worker *worker)
{
    return worker->state == LIFE_OPEN && worker->postponed.answer != DEVICE_GO;
}

void worker_recovery_on_due(struct worker *worker)
{
    struct restart restart = worker->recovery.restart;
    struct breaker before = worker->recovery.breaker;
    int64_t now_ms = recovery_now_ms();
    bool is_due = worker_recovery_due_ms(worker) <= now_ms;

    recovery_tick(&worker->recovery, worker_policy(worker), now_ms);
    worker_breaker_told(worker, &before);
    if (before.state != worker->recovery.breaker.state)
        waiter_check(worker); /* for its circuit to close, which is no step of its life */
    if (restart.attempt != worker->recovery.restart.attempt)
        journal_worker(worker);
    if (worker->state == LIFE_READY)
        worker_ready_for_a_while(worker, now_ms);
    else if (is_due && (worker->state == LIFE_WAITING || worker_start_is_put_off(worker)))
        worker_restart_due(worker);
    else if (worker->state == LIFE_OPEN && worker_probes_by_itself(worker))
        worker_try_start(worker, RECOVERY_OURSELVES);
}

/* ---- the device ---- */

/* When its own circuit is closed, only the device's kept it open. */
static void worker_device_is_usable(struct worker *worker, const struct device *device)
{
    struct err why = ERR_INIT;

    worker->postponed = (struct worker_postponed){0};
    if (worker->recovery.breaker.state != BREAKER_CLOSED) {
        worker_arm_deadline(worker); /* it is half open, and its probe may be made now */
        return;
    }
    err_fill(&why, ERR_WORKER_DOWN, "%s takes starts again", device->name);
    worker_step(worker, LIFE_ON_RESET, &why);
    worker_come_to_rest(worker, &why);
}

static bool worker_waits_for_load(const struct worker *worker)
{
    return (worker->state == LIFE_WAITING || worker->state == LIFE_OPEN) &&
           worker->postponed.answer == DEVICE_LOADING;
}

/* Whether the load that it waits for is over, on each of its devices. */
static bool worker_load_may_follow(const struct worker *worker)
{
    int64_t ignored_ms = 0;

    return worker_waits_for_load(worker) &&
           device_set_ask(&worker->devices, recovery_now_ms(), &ignored_ms) != DEVICE_LOADING;
}

/* The one that has waited longest for a load to end. */
static struct worker *worker_next_postponed(const struct supervisor *supervisor,
                                            const struct device *device)
{
    struct worker *worker = NULL;
    struct worker *first = NULL;

    TAILQ_FOREACH(worker, &supervisor->workers, link)
    {
        if (device_set_has(&worker->devices, device) && worker_load_may_follow(worker) &&
            (first == NULL || worker->postponed.turn < first->postponed.turn))
            first = worker;
    }
    return first;
}

/* It is kept down by the device, or by the last of the GPUs it might have chosen; the other one of
 * two may keep it down as well. */
static bool worker_waits_for_device(const struct worker *worker, const struct device *device)
{
    return worker->state == LIFE_OPEN && worker->postponed.answer == DEVICE_OPEN &&
           worker_may_run_on(worker, device) &&
           (worker_chooses_gpu(worker) || device_set_open(&worker->devices) == NULL);
}

/* What they wait for on DEVICE does not come any more: each finds it open, and says so to who
 * waits. */
static void worker_refuse_postponed(struct supervisor *supervisor, const struct device *device)
{
    struct worker *worker = NULL;

    TAILQ_FOREACH(worker, &supervisor->workers, link)
    {
        bool is_resting = worker->state == LIFE_WAITING || worker->state == LIFE_OPEN;

        if (device_set_has(&worker->devices, device) && is_resting &&
            worker->postponed.answer != DEVICE_GO && worker->postponed.answer != DEVICE_OPEN)
            worker_restart_due(worker);
    }
}

void worker_device_changed(struct supervisor *supervisor, struct device *device)
{
    struct worker *worker = NULL;
    int64_t ignored_ms = 0;

    if (supervisor->is_stopping)
        return;
    if (device_ask(device, recovery_now_ms(), &ignored_ms) == DEVICE_OPEN) {
        worker_refuse_postponed(supervisor, device);
        return;
    }
    TAILQ_FOREACH(worker, &supervisor->workers, link)
    {
        if (worker_waits_for_device(worker, device))
            worker_device_is_usable(worker, device);
    }
    /* Each either starts, and the next waits for its load, or is down or waits for something else.
     */
    while (device->loading == NULL && (worker = worker_next_postponed(supervisor, device)) != NULL)
        worker_restart_due(worker);
}
