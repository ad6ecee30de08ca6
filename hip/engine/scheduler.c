/* Owns the order of requests and the steps. What one request does with its rows is request.c's; the
 * thread they run on is engine.c's. */
#include "hip/engine/scheduler.h"

#include "common/clock.h"
#include "common/log.h"
#include "hip/engine/request.h"

#include <stdlib.h>

/* ---- the order of requests ---- */

static uint32_t scheduler_waiting_count(const struct scheduler *scheduler)
{
    const struct engine_request *request = NULL;
    uint32_t count = 0;

    TAILQ_FOREACH(request, &scheduler->waiting, link)
    {
        count++;
    }
    return count;
}

static bool scheduler_has_free_slot(const struct scheduler *scheduler)
{
    for (unsigned i = 0; i < ENGINE_SLOTS; i++) {
        if (scheduler->active[i] == NULL)
            return true;
    }
    return false;
}

static void scheduler_admit_one(struct scheduler *scheduler, struct engine_request *request)
{
    if (atomic_load(&request->is_cancelled))
        engine_request_abandon(request);
    else
        engine_request_prepare(request, scheduler->runtime);
    if (request->state == REQUEST_DONE) {
        engine_request_hand_back(request);
        return;
    }
    TAILQ_INSERT_TAIL(&scheduler->waiting, request, link);
    if (!scheduler_has_free_slot(scheduler) || TAILQ_FIRST(&scheduler->waiting) != request)
        mailbox_deliver(scheduler->mailbox, request, ENGINE_EVENT_QUEUED,
                        scheduler_waiting_count(scheduler), NULL, 0);
}

void scheduler_take(struct scheduler *scheduler, struct request_list *arrived)
{
    struct engine_request *request = NULL;

    while ((request = TAILQ_FIRST(arrived)) != NULL) {
        TAILQ_REMOVE(arrived, request, link);
        scheduler_admit_one(scheduler, request);
    }
}

void scheduler_refuse(struct scheduler *scheduler, struct request_list *arrived,
                      const struct err *error)
{
    TAILQ_CONCAT(&scheduler->waiting, arrived, link);
    scheduler_fail_all(scheduler, error);
}

/* Takes REQUEST, which is DONE, out of its slot and tells the loop. */
static void scheduler_release_slot(struct scheduler *scheduler, unsigned slot)
{
    struct engine_request *request = scheduler->active[slot];

    scheduler->active[slot] = NULL;
    engine_request_hand_back(request);
}

static void scheduler_drop_cancelled(struct scheduler *scheduler)
{
    struct engine_request *request = TAILQ_FIRST(&scheduler->waiting);

    while (request != NULL) {
        struct engine_request *next = TAILQ_NEXT(request, link);

        if (atomic_load(&request->is_cancelled)) {
            TAILQ_REMOVE(&scheduler->waiting, request, link);
            engine_request_abandon(request);
            engine_request_hand_back(request);
        }
        request = next;
    }
    for (unsigned i = 0; i < ENGINE_SLOTS; i++) {
        if (scheduler->active[i] == NULL || !atomic_load(&scheduler->active[i]->is_cancelled))
            continue;
        engine_request_abandon(scheduler->active[i]);
        scheduler_release_slot(scheduler, i);
    }
}

static void scheduler_fill_slots(struct scheduler *scheduler)
{
    for (unsigned i = 0; i < ENGINE_SLOTS; i++) {
        struct engine_request *request = TAILQ_FIRST(&scheduler->waiting);

        if (request == NULL)
            return;
        if (scheduler->active[i] != NULL)
            continue;
        TAILQ_REMOVE(&scheduler->waiting, request, link);
        session_truncate(scheduler->runtime->session, i, 0);
        scheduler->active[i] = request;
        engine_request_begin(request, i);
    }
}

void scheduler_fail_all(struct scheduler *scheduler, const struct err *error)
{
    struct engine_request *request = NULL;

    for (unsigned i = 0; i < ENGINE_SLOTS; i++) {
        if (scheduler->active[i] == NULL)
            continue;
        engine_request_fail(scheduler->active[i], error);
        scheduler_release_slot(scheduler, i);
    }
    while ((request = TAILQ_FIRST(&scheduler->waiting)) != NULL) {
        TAILQ_REMOVE(&scheduler->waiting, request, link);
        engine_request_fail(request, error);
        engine_request_hand_back(request);
    }
}

/* ---- steps ---- */

/* Adds the rows of the requests in STATE, at most LIMIT together, and notes whose they are. */
static uint32_t scheduler_add_rows(struct scheduler *scheduler, enum request_state state,
                                   uint32_t limit)
{
    uint32_t count = 0;

    for (unsigned i = 0; i < ENGINE_SLOTS; i++) {
        struct engine_request *request = scheduler->active[i];
        uint32_t added = 0;

        if (request == NULL || request->state != state)
            continue;
        added =
            engine_request_add_rows(request, scheduler->rows + scheduler->row_count, limit - count);
        if (added == 0)
            continue;
        scheduler->stepping[scheduler->stepping_count++] = request;
        scheduler->row_count += added;
        count += added;
    }
    return count;
}

static void scheduler_build_batch(struct scheduler *scheduler)
{
    uint32_t budget = scheduler->pace.rows;

    scheduler->row_count = 0;
    scheduler->stepping_count = 0;
    scheduler_add_rows(scheduler, REQUEST_DECODE, ENGINE_SLOTS);
    if (budget > SESSION_BATCH_MAX_ROWS - scheduler->row_count)
        budget = SESSION_BATCH_MAX_ROWS - scheduler->row_count;
    scheduler->prompt_rows = scheduler_add_rows(scheduler, REQUEST_PREFILL, budget);
}

/* The counters rise before any event of this step can be seen: who has seen a token finds it
 * counted. */
static void scheduler_count_step(struct scheduler *scheduler)
{
    unsigned token_count = 0;

    for (unsigned i = 0; i < scheduler->stepping_count; i++)
        token_count += engine_request_wants_logits(scheduler->stepping[i]);
    atomic_fetch_add(&scheduler->prefill_tokens, scheduler->prompt_rows);
    atomic_fetch_add(&scheduler->tokens, token_count);
}

static void scheduler_advance_all(struct scheduler *scheduler)
{
    float *logits = scheduler->logits;

    scheduler_count_step(scheduler);
    for (unsigned i = 0; i < scheduler->stepping_count; i++) {
        struct engine_request *request = scheduler->stepping[i];
        bool wants_logits = engine_request_wants_logits(request);

        engine_request_advance(request, scheduler->runtime, logits);
        if (wants_logits)
            logits += scheduler->runtime->vocab_count;
        if (request->state == REQUEST_DONE)
            scheduler_release_slot(scheduler, request->sequence);
    }
}

int scheduler_step(struct scheduler *scheduler, bool *out_computed, struct err *err)
{
    uint64_t start_us = clock_monotonic_us();
    struct err failure = ERR_INIT;

    scheduler_drop_cancelled(scheduler);
    scheduler_fill_slots(scheduler);
    scheduler_build_batch(scheduler);
    *out_computed = scheduler->row_count > 0;
    if (scheduler->row_count == 0)
        return 0;
    if (session_step(scheduler->runtime->session, scheduler->rows, scheduler->row_count,
                     scheduler->logits, &failure) < 0) {
        log_event(LOG_ERROR, "step_failed", "reason=%s", failure.message);
        if (failure.kind == ERR_DEVICE)
            return err_set(err, failure.kind, "%s", failure.message);
        scheduler_fail_all(scheduler, &failure);
        return 0;
    }
    if (scheduler->prompt_rows > 0)
        pace_measure(&scheduler->pace, scheduler->row_count, clock_monotonic_us() - start_us);
    scheduler_advance_all(scheduler);
    return 0;
}

/* ---- life ---- */

void scheduler_init(struct scheduler *scheduler, struct runtime *runtime, struct mailbox *mailbox)
{
    scheduler->runtime = runtime;
    scheduler->mailbox = mailbox;
    TAILQ_INIT(&scheduler->waiting);
}

void scheduler_release(struct scheduler *scheduler)
{
    free(scheduler->logits);
}

int scheduler_warm_up(struct scheduler *scheduler, struct err *err)
{
    size_t count = (size_t)ENGINE_SLOTS * scheduler->runtime->vocab_count;
    uint64_t took_us = 0;

    scheduler->logits = calloc(count, sizeof(float));
    if (scheduler->logits == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for %zu logits", count);
    if (runtime_warm_up(scheduler->runtime, scheduler->logits, &took_us, err) < 0)
        return err_wrap(err, "compute the first token");
    pace_init(&scheduler->pace, took_us);
    return 0;
}
