/* Owns the watch over a ready worker: when it is asked, what its answers say, and its end when it
 * hangs. What is a hang is decided in liveness.c. */
#include "supervisor/worker_live.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "supervisor/supervisor.h"
#include "supervisor/timer.h"
#include "supervisor/worker.h"

#include <event2/event.h>
#include <inttypes.h>
#include <string.h>

enum {
    /* While time counts against a worker we look at the clock this often, so that a time in which
     * we ourselves did not run (stopped, frozen) is noticed as such. */
    WAKE_MS = 500,
    /* A timer that comes so much later than it was set for says that. */
    LATE_MS = 250,
    US_PER_MS = 1000,
};

/* ---- answers ---- */

/* A prompt that is being computed shows nowhere in a program without counters: until the first
 * token has come an answer must do, but for no longer than a load may take. */
static bool worker_may_be_reading(const struct worker *worker)
{
    int64_t limit_us =
        config_number(worker->supervisor->config, CONFIG_life_load_timeout) * US_PER_MS;
    const struct request *request = NULL;

    TAILQ_FOREACH(request, &worker->in_flight, in_worker)
    {
        if (request->token_count == 0 &&
            (int64_t)(clock_monotonic_us() - request->dispatched_us) < limit_us)
            return true;
    }
    return false;
}

/* Seldom, and less and less often. */
static void worker_tell_canary(struct worker *worker, const struct liveness_counters *counters)
{
    if (!worker->live.tells_canary)
        return;
    worker->live.tells_canary = false;
    log_event(LOG_INFO, "canary",
              "name=%s tokens=%" PRId64 " prefill_tokens=%" PRId64 " next_ms=%" PRIu64,
              worker->name, counters->tokens, counters->prefill_tokens,
              worker->live.liveness.canary_interval_ms);
}

static void worker_on_counters(struct worker *worker, const struct worker_probe_answer *answer)
{
    struct liveness *liveness = &worker->live.liveness;
    struct liveness_counters counters;
    uint64_t now_ms = clock_monotonic_ms();

    if (answer->failure != NULL && answer->failure->kind == ERR_UNREACHABLE) {
        liveness_refused(liveness, now_ms);
    } else if (answer->failure != NULL && answer->failure->kind == ERR_IO) {
        liveness_missed(liveness, now_ms);
    } else if (answer->status == 200 && worker->dialect->read_counters == NULL) {
        liveness_answered(liveness, worker_may_be_reading(worker), now_ms);
        worker_tell_canary(worker, &liveness->counters);
    } else if (answer->status == 200 && worker->dialect->read_counters(answer->body, &counters)) {
        liveness_read(liveness, &counters, now_ms);
        worker_tell_canary(worker, &counters);
    } else {
        liveness_nonsense(liveness, now_ms);
    }
    worker_live_arm(worker);
}

static bool worker_has_token(const struct worker *worker, const struct worker_probe_answer *answer)
{
    struct err ignored = ERR_INIT;

    return answer->failure == NULL &&
           worker->dialect->take_canary(worker, answer->status, answer->body, &ignored) == 0;
}

static void worker_on_canary(struct worker *worker, const struct worker_probe_answer *answer)
{
    struct liveness *liveness = &worker->live.liveness;
    uint64_t now_ms = clock_monotonic_ms();

    if (worker_has_token(worker, answer)) {
        worker->live.tells_canary = true;
        liveness_canary_done(liveness, now_ms);
    } else if (answer->failure != NULL && answer->failure->kind == ERR_UNREACHABLE) {
        liveness_canary_withdrawn(liveness, now_ms);
        liveness_refused(liveness, now_ms);
    } else if (answer->failure != NULL && answer->failure->kind == ERR_IO) {
        liveness_canary_withdrawn(liveness, now_ms);
    } else {
        liveness_canary_failed(liveness, now_ms);
    }
    worker_live_arm(worker);
}

/* ---- what is due ---- */

/* A token would wake the card, and a person pays for that. */
static bool worker_card_sleeps(const struct worker *worker)
{
    return device_set_is_asleep(&worker->devices);
}

static void worker_send_canary(struct worker *worker)
{
    if (worker_card_sleeps(worker))
        liveness_canary_put_off(&worker->live.liveness, clock_monotonic_ms());
    else
        worker_probe_ask_token(&worker->live.canary);
}

static void worker_is_hung(struct worker *worker)
{
    char reason[LIVENESS_REASON_BYTES];
    struct err why = ERR_INIT;
    AUTO_FREE char *exit = NULL;

    liveness_describe(&worker->live.liveness, reason);
    exit = xasprintf("killed: it %s", reason);
    err_fill(&why, ERR_WORKER_DIED, "worker %s hung and was killed: it %s", worker->name, reason);
    worker_judge(worker, FAULT_HANG, exit);
    worker_step(worker, LIFE_ON_HUNG, &why);
}

/* I/O that was waiting has been read before a timer is run, so what came while we did not run
 * counts. */
static void worker_on_live_timer(evutil_socket_t fd, short what, void *arg)
{
    struct worker *worker = arg;
    struct worker_live *live = &worker->live;
    uint64_t now_ms = clock_monotonic_ms();
    uint64_t boot_ms = clock_boot_ms();

    if (boot_ms > live->armed_for_ms + LATE_MS)
        liveness_overslept(&live->liveness, boot_ms - live->armed_for_ms, now_ms);
    switch (liveness_take(&live->liveness, now_ms)) {
    case LIVENESS_WAIT:
        break;
    case LIVENESS_PROBE:
        worker_probe_ask_alive(&live->ready);
        break;
    case LIVENESS_CANARY:
        worker_send_canary(worker);
        break;
    case LIVENESS_HUNG:
        worker_is_hung(worker);
        return; /* the watch is over */
    }
    worker_live_arm(worker);
}

void worker_live_arm(struct worker *worker)
{
    struct worker_live *live = &worker->live;
    uint64_t now_ms = clock_monotonic_ms();
    uint64_t due_ms = 0;

    if (live->timer == NULL)
        return;
    due_ms = liveness_due_ms(&live->liveness);
    if (liveness_owes(&live->liveness) && due_ms > now_ms + WAKE_MS)
        due_ms = now_ms + WAKE_MS;
    live->armed_for_ms = clock_boot_ms() + (due_ms > now_ms ? due_ms - now_ms : 0);
    timer_arm_at(live->timer, due_ms == LIVENESS_NEVER ? INT64_MAX : (int64_t)due_ms);
}

/* ---- what the others tell ---- */

static enum liveness_load worker_live_load(const struct worker *worker)
{
    const struct request *request = NULL;

    if (worker->in_flight_count == 0)
        return worker->queued_count == 0 ? LIVENESS_IDLE : LIVENESS_HELD;
    TAILQ_FOREACH(request, &worker->in_flight, in_worker)
    {
        if (!request->is_paused)
            return LIVENESS_BUSY;
    }
    return LIVENESS_HELD;
}

void worker_live_load_changed(struct worker *worker)
{
    struct worker_live *live = &worker->live;
    enum liveness_load load = worker_live_load(worker);
    uint64_t now_ms = clock_monotonic_ms();

    if (live->timer == NULL)
        return;
    if (load != LIVENESS_IDLE && live->liveness.is_canary_out) {
        worker_probe_cancel(&live->canary);
        liveness_canary_withdrawn(&live->liveness, now_ms);
    }
    liveness_set_load(&live->liveness, load, now_ms);
    worker_live_arm(worker);
}

/* The timer is left as it is: it comes too early then, and is set anew. */
void worker_live_progress(struct worker *worker)
{
    if (worker->live.timer != NULL)
        liveness_progress(&worker->live.liveness, clock_monotonic_ms());
}

void worker_live_call_failed(struct worker *worker, const struct err *failure)
{
    if (worker->live.timer == NULL || failure->kind != ERR_UNREACHABLE)
        return;
    worker_probe_cancel(&worker->live.ready);
    liveness_refused(&worker->live.liveness, clock_monotonic_ms());
    worker_live_arm(worker);
}

/* ---- begin and end ---- */

/* The first token is the first step that was seen. Where the weights came from a slow disk with it,
 * it says too much, and a hang is found later than it might be. */
static uint64_t worker_first_step_ms(const struct worker *worker, uint64_t now_ms)
{
    return worker->load.warm_up_ms == 0 ? 0 : now_ms - worker->load.warm_up_ms;
}

void worker_live_begin(struct worker *worker)
{
    const struct config *config = worker->supervisor->config;
    struct worker_live *live = &worker->live;
    uint64_t now_ms = clock_monotonic_ms();
    struct liveness_limits limits = {
        .progress_ms = (uint64_t)config_number(config, CONFIG_life_progress_timeout),
        .canary_ms = (uint64_t)config_number(config, CONFIG_life_canary),
        .canary_max_ms = (uint64_t)config_number(config, CONFIG_life_canary_max),
        .has_counters = worker->dialect->read_counters != NULL,
    };

    live->timer = evtimer_new(worker->supervisor->base, worker_on_live_timer, worker);
    worker_probe_init(&live->ready, worker, worker_on_counters);
    worker_probe_init(&live->canary, worker, worker_on_canary);
    liveness_begin(&live->liveness, &limits, worker_first_step_ms(worker, now_ms),
                   &worker->facts.counters, now_ms);
    worker_live_load_changed(worker);
}

void worker_live_end(struct worker *worker)
{
    struct worker_live *live = &worker->live;

    if (live->timer == NULL)
        return;
    worker_probe_release(&live->ready);
    worker_probe_release(&live->canary);
    event_free(live->timer);
    *live = (struct worker_live){0};
}
