/* Owns the engine's thread: loading, the order of requests, and the steps. What one request does is
 * request.c's, what the loop sees is mailbox.c's. */
#include "hip/engine/engine.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "hip/engine/mailbox.h"
#include "hip/engine/pace.h"
#include "hip/engine/request.h"
#include "hip/engine/runtime.h"
#include "hip/model/model.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

struct engine {
    struct mailbox mailbox;
    pthread_t thread;

    unsigned request_count; /* submitted and not yet freed; the loop's */

    /* Of the engine's thread. */
    struct engine_options options;
    struct runtime runtime;
    struct pace pace;
    struct request_list waiting;                 /* prepared, in order of arrival */
    struct engine_request *active[ENGINE_SLOTS]; /* the index is the sequence; NULL: free */
    float *logits;                               /* [ENGINE_SLOTS][vocab_count] */

    /* The step that runs: whose rows, in this order. */
    struct batch_row rows[SESSION_BATCH_MAX_ROWS];
    uint32_t row_count;
    uint32_t prompt_rows;
    struct engine_request *stepping[ENGINE_SLOTS];
    unsigned stepping_count;

    /* Written by the engine's thread, read by both. */
    _Atomic uint64_t done_bytes;
    _Atomic uint64_t total_bytes;
    _Atomic uint64_t tokens;
    _Atomic uint64_t prefill_tokens;
    /* Before READY or FAILED is stored, `runtime` and `failure` are complete; after, they do not
     * change. */
    _Atomic enum engine_phase phase;
    struct err failure;
};

/* ---- loading ---- */

static void engine_on_progress(void *owner, uint64_t done_bytes, uint64_t total_bytes)
{
    struct engine *engine = owner;

    atomic_store(&engine->total_bytes, total_bytes);
    atomic_store(&engine->done_bytes, done_bytes);
}

static void engine_set_phase(struct engine *engine, enum engine_phase phase)
{
    atomic_store(&engine->phase, phase);
    mailbox_wake_loop(&engine->mailbox);
}

static int engine_load(struct engine *engine, struct err *err)
{
    uint64_t took_us = 0;
    size_t logits_count = 0;

    if (runtime_load(&engine->runtime, &engine->options, engine_on_progress, engine, err) < 0)
        return -1;
    logits_count = (size_t)ENGINE_SLOTS * engine->runtime.vocab_count;
    engine->logits = calloc(logits_count, sizeof(float));
    if (engine->logits == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for %zu logits", logits_count);
    engine_set_phase(engine, ENGINE_WARM_UP);
    if (runtime_warm_up(&engine->runtime, engine->logits, &took_us, err) < 0)
        return err_wrap(err, "compute the first token");
    pace_init(&engine->pace, took_us);
    return 0;
}

static void engine_fail(struct engine *engine, const struct err *error)
{
    engine->failure = *error;
    engine_set_phase(engine, ENGINE_FAILED);
}

/* ---- the order of requests ---- */

static uint32_t engine_waiting_count(const struct engine *engine)
{
    const struct engine_request *request = NULL;
    uint32_t count = 0;

    TAILQ_FOREACH(request, &engine->waiting, link)
    {
        count++;
    }
    return count;
}

static bool engine_has_free_slot(const struct engine *engine)
{
    for (unsigned i = 0; i < ENGINE_SLOTS; i++) {
        if (engine->active[i] == NULL)
            return true;
    }
    return false;
}

/* A new request is made ready at once, not when its turn comes: who asks for the impossible shall
 * hear it now. */
static void engine_admit(struct engine *engine, struct engine_request *request)
{
    request_prepare(request, &engine->runtime);
    if (request->state == REQUEST_DONE) {
        request_hand_back(request);
        return;
    }
    TAILQ_INSERT_TAIL(&engine->waiting, request, link);
    if (!engine_has_free_slot(engine) || TAILQ_FIRST(&engine->waiting) != request)
        mailbox_deliver(&engine->mailbox, request, ENGINE_EVENT_QUEUED,
                        engine_waiting_count(engine), NULL, 0);
}

static void engine_admit_all(struct engine *engine, struct request_list *arrived)
{
    struct engine_request *request = NULL;

    while ((request = TAILQ_FIRST(arrived)) != NULL) {
        TAILQ_REMOVE(arrived, request, link);
        engine_admit(engine, request);
    }
}

/* Takes REQUEST, which is DONE, out of its slot and tells the loop. */
static void engine_release_slot(struct engine *engine, unsigned slot)
{
    struct engine_request *request = engine->active[slot];

    engine->active[slot] = NULL;
    request_hand_back(request);
}

static void engine_drop_cancelled(struct engine *engine)
{
    struct engine_request *request = TAILQ_FIRST(&engine->waiting);

    while (request != NULL) {
        struct engine_request *next = TAILQ_NEXT(request, link);

        if (atomic_load(&request->is_cancelled)) {
            TAILQ_REMOVE(&engine->waiting, request, link);
            request_end(request, ENGINE_STOP_CANCELLED);
            request_hand_back(request);
        }
        request = next;
    }
    for (unsigned i = 0; i < ENGINE_SLOTS; i++) {
        if (engine->active[i] == NULL || !atomic_load(&engine->active[i]->is_cancelled))
            continue;
        request_end(engine->active[i], ENGINE_STOP_CANCELLED);
        engine_release_slot(engine, i);
    }
}

static void engine_fill_slots(struct engine *engine)
{
    for (unsigned i = 0; i < ENGINE_SLOTS; i++) {
        struct engine_request *request = TAILQ_FIRST(&engine->waiting);

        if (request == NULL)
            return;
        if (engine->active[i] != NULL)
            continue;
        TAILQ_REMOVE(&engine->waiting, request, link);
        session_truncate(engine->runtime.session, i, 0);
        engine->active[i] = request;
        request_begin(request, i);
    }
}

/* Ends everything that is not done with ERROR. */
static void engine_fail_requests(struct engine *engine, const struct err *error)
{
    struct engine_request *request = NULL;

    for (unsigned i = 0; i < ENGINE_SLOTS; i++) {
        if (engine->active[i] == NULL)
            continue;
        request_fail(engine->active[i], error);
        engine_release_slot(engine, i);
    }
    while ((request = TAILQ_FIRST(&engine->waiting)) != NULL) {
        TAILQ_REMOVE(&engine->waiting, request, link);
        request_fail(request, error);
        request_hand_back(request);
    }
}

/* ---- steps ---- */

/* Adds the rows of the requests in STATE, at most LIMIT together, and notes whose they are. */
static uint32_t engine_add_rows(struct engine *engine, enum request_state state, uint32_t limit)
{
    uint32_t count = 0;

    for (unsigned i = 0; i < ENGINE_SLOTS; i++) {
        struct engine_request *request = engine->active[i];
        uint32_t added = 0;

        if (request == NULL || request->state != state)
            continue;
        added = request_add_rows(request, engine->rows + engine->row_count, limit - count);
        if (added == 0)
            continue;
        engine->stepping[engine->stepping_count++] = request;
        engine->row_count += added;
        count += added;
    }
    return count;
}

/* Every request that decodes gets its row, prompts get what the pace allows: streams never stall
 * behind a long prompt. */
static void engine_build_batch(struct engine *engine)
{
    uint32_t budget = engine->pace.rows;

    engine->row_count = 0;
    engine->stepping_count = 0;
    engine_add_rows(engine, REQUEST_DECODE, ENGINE_SLOTS);
    if (budget > SESSION_BATCH_MAX_ROWS - engine->row_count)
        budget = SESSION_BATCH_MAX_ROWS - engine->row_count;
    engine->prompt_rows = engine_add_rows(engine, REQUEST_PREFILL, budget);
}

/* The counters rise before any event of this step can be seen: who has seen a token finds it
 * counted. */
static void engine_count_step(struct engine *engine)
{
    unsigned token_count = 0;

    for (unsigned i = 0; i < engine->stepping_count; i++)
        token_count += request_wants_logits(engine->stepping[i]);
    atomic_fetch_add(&engine->prefill_tokens, engine->prompt_rows);
    atomic_fetch_add(&engine->tokens, token_count);
}

static void engine_advance_all(struct engine *engine)
{
    float *logits = engine->logits;

    engine_count_step(engine);
    for (unsigned i = 0; i < engine->stepping_count; i++) {
        struct engine_request *request = engine->stepping[i];
        bool wants_logits = request_wants_logits(request);

        request_advance(request, &engine->runtime, logits);
        if (wants_logits)
            logits += engine->runtime.vocab_count;
        if (request->state == REQUEST_DONE)
            engine_release_slot(engine, request->sequence);
    }
}

/* Returns false when there was nothing to compute. */
static bool engine_step(struct engine *engine)
{
    uint64_t start_us = clock_monotonic_us();
    struct err err = ERR_INIT;

    engine_build_batch(engine);
    if (engine->row_count == 0)
        return false;
    if (session_step(engine->runtime.session, engine->rows, engine->row_count, engine->logits,
                     &err) < 0) {
        log_event(LOG_ERROR, "step_failed", "reason=%s", err.message);
        /* A device that has failed once does not come back in this process. */
        if (err.kind == ERR_DEVICE)
            engine_fail(engine, &err);
        engine_fail_requests(engine, &err);
        return true;
    }
    if (engine->prompt_rows > 0)
        pace_measure(&engine->pace, engine->row_count, clock_monotonic_us() - start_us);
    engine_advance_all(engine);
    return true;
}

static void engine_run(struct engine *engine)
{
    static const struct err draining = {ERR_WORKER_DRAINING, "the worker is stopping"};
    struct request_list arrived = TAILQ_HEAD_INITIALIZER(arrived);

    for (;;) {
        struct mailbox_orders orders = mailbox_collect(&engine->mailbox, &arrived);
        bool has_failed = atomic_load(&engine->phase) == ENGINE_FAILED;

        if (has_failed)
            TAILQ_CONCAT(&engine->waiting, &arrived, link);
        else
            engine_admit_all(engine, &arrived);
        if (has_failed || orders.is_draining || orders.is_closed)
            engine_fail_requests(engine, has_failed ? &engine->failure : &draining);
        if (orders.is_closed)
            return;
        engine_drop_cancelled(engine);
        engine_fill_slots(engine);
        if (!engine_step(engine))
            mailbox_wait(&engine->mailbox);
    }
}

static void *engine_main(void *argument)
{
    struct engine *engine = argument;
    struct err err = ERR_INIT;

    if (engine_load(engine, &err) < 0)
        engine_fail(engine, &err);
    else
        engine_set_phase(engine, ENGINE_READY);
    engine_run(engine);
    return NULL;
}

/* ---- the loop's side ---- */

/* Signals are the loop's: a thread that computes must not be the one that is interrupted. */
static int engine_start_thread(struct engine *engine, struct err *err)
{
    sigset_t all;
    sigset_t before;
    int failure = 0;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failure = pthread_create(&engine->thread, NULL, engine_main, engine);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure != 0) {
        errno = failure;
        return err_set(err, ERR_INTERNAL, "start the engine's thread: %m");
    }
    return 0;
}

struct engine *engine_new(const struct engine_options *options, struct err *err)
{
    struct engine *engine = xcalloc(1, sizeof(*engine));

    if (mailbox_init(&engine->mailbox, err) < 0) {
        free(engine);
        return NULL;
    }
    engine->options = *options;
    TAILQ_INIT(&engine->waiting);
    if (engine_start_thread(engine, err) < 0) {
        mailbox_release(&engine->mailbox);
        free(engine);
        return NULL;
    }
    return engine;
}

void engine_free(struct engine *engine)
{
    if (engine == NULL)
        return;
    mailbox_close(&engine->mailbox);
    pthread_join(engine->thread, NULL);
    runtime_release(&engine->runtime);
    mailbox_release(&engine->mailbox);
    free(engine->logits);
    free(engine);
}

bool engine_is_idle(struct engine *engine)
{
    enum engine_phase phase = atomic_load(&engine->phase);

    return (phase == ENGINE_READY || phase == ENGINE_FAILED) && engine->request_count == 0;
}

void engine_read_status(struct engine *engine, struct engine_status *out)
{
    *out = (struct engine_status){
        .phase = atomic_load(&engine->phase),
        .done_bytes = atomic_load(&engine->done_bytes),
        .total_bytes = atomic_load(&engine->total_bytes),
        .tokens = atomic_load(&engine->tokens),
        .prefill_tokens = atomic_load(&engine->prefill_tokens),
    };
    if (out->phase != ENGINE_READY)
        return;
    out->context_tokens = engine->runtime.context_tokens;
    out->memory_bytes = session_memory_bytes(engine->runtime.session);
    out->device = engine->runtime.device;
}

void engine_read_failure(struct engine *engine, struct err *out_err)
{
    if (atomic_load(&engine->phase) == ENGINE_FAILED)
        *out_err = engine->failure;
}

int engine_event_fd(const struct engine *engine)
{
    return engine->mailbox.event_fd;
}

void engine_clear_event_fd(struct engine *engine)
{
    mailbox_clear_event_fd(&engine->mailbox);
}

struct engine_request *engine_next_request(struct engine *engine)
{
    return mailbox_next(&engine->mailbox);
}

struct engine_request *engine_submit(struct engine *engine, const struct inference_request *request,
                                     json_t *body, void *user)
{
    struct engine_request *submitted = request_new(&engine->mailbox, request, body, user);

    engine->request_count++;
    mailbox_submit(&engine->mailbox, submitted);
    return submitted;
}

void engine_drain(struct engine *engine)
{
    mailbox_drain(&engine->mailbox);
}

void *engine_request_user(const struct engine_request *request)
{
    return request->user;
}

void engine_request_set_user(struct engine_request *request, void *user)
{
    request->user = user;
}

void engine_request_cancel(struct engine_request *request)
{
    atomic_store(&request->is_cancelled, true);
    mailbox_notify(request->mailbox);
}

struct engine_event *engine_request_take(struct engine_request *request)
{
    return mailbox_take(request->mailbox, request);
}

const struct engine_outcome *engine_request_outcome(const struct engine_request *request)
{
    return &request->outcome;
}

void engine_request_free(struct engine_request *request)
{
    struct engine *engine = CONTAINER_OF(request->mailbox, struct engine, mailbox);

    engine->request_count--;
    request_free(request);
}
