/* Owns the engine's thread: loading, then steps until it is closed. Which requests a step takes is
 * scheduler.c's, what the loop sees is mailbox.c's. */
#include "hip/engine/engine.h"

#include "common/clock.h"
#include "common/mem.h"
#include "hip/engine/mailbox.h"
#include "hip/engine/request.h"
#include "hip/engine/runtime.h"
#include "hip/engine/scheduler.h"
#include "hip/model/model.h"
#include "hip/text/vocab.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

/* Of a drill: a pace that a person sees, far from what counts as a hang. */
enum { ENGINE_SLOW_STEP_US = 250 * 1000 };

struct engine {
    struct mailbox mailbox;
    pthread_t thread;

    unsigned request_count; /* submitted and not yet freed; the loop's */

    /* Of the engine's thread, but for the scheduler's counters. */
    struct engine_options options;
    struct runtime runtime;
    struct scheduler scheduler;

    /* Written by the engine's thread, read by both. */
    _Atomic uint64_t done_bytes;
    _Atomic uint64_t total_bytes;
    /* Before READY or FAILED is stored, `runtime` and `failure` are complete; after, they do not
     * change. */
    _Atomic enum engine_phase phase;
    struct err failure;
    _Atomic uint64_t slow_until_ms; /* by the loop; 0: not slow */
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
    if (runtime_load(&engine->runtime, &engine->options, engine_on_progress, engine, err) < 0)
        return -1;
    engine_set_phase(engine, ENGINE_WARM_UP);
    return scheduler_warm_up(&engine->scheduler, err);
}

static void engine_fail(struct engine *engine, const struct err *error)
{
    /* The analyzer loses the argument. NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
    engine->failure = *error;
    engine_set_phase(engine, ENGINE_FAILED);
}

/* ---- running ---- */

/* What no request survives; NULL when all is well. */
static const struct err *engine_find_end(const struct engine *engine, struct mailbox_orders orders)
{
    static const struct err DRAINING = {.kind = ERR_WORKER_DRAINING,
                                        .message = "the worker is stopping"};

    if (atomic_load(&engine->phase) == ENGINE_FAILED)
        return &engine->failure;
    return orders.is_draining || orders.is_closed ? &DRAINING : NULL;
}

/* The end of a drill's pause; a deadline does not wait for that. */
static uint64_t engine_slow_until_us(const struct engine *engine)
{
    uint64_t until_us = clock_monotonic_us() + ENGINE_SLOW_STEP_US;
    uint64_t deadline_us = scheduler_next_deadline_us(&engine->scheduler);

    return deadline_us < until_us ? deadline_us : until_us;
}

static void engine_run(struct engine *engine)
{
    struct request_list arrived = TAILQ_HEAD_INITIALIZER(arrived);

    for (;;) {
        struct mailbox_orders orders = mailbox_collect(&engine->mailbox, &arrived);
        const struct err *end = engine_find_end(engine, orders);
        struct err err = ERR_INIT;
        bool is_idle = false;

        if (end != NULL)
            scheduler_refuse(&engine->scheduler, &arrived, end);
        else
            scheduler_take(&engine->scheduler, &arrived);
        if (orders.is_closed)
            return;
        if (scheduler_step(&engine->scheduler, &is_idle, &err) < 0)
            engine_fail(engine, &err);
        else if (is_idle)
            mailbox_wait(&engine->mailbox, scheduler_next_deadline_us(&engine->scheduler));
        else if (clock_monotonic_ms() < atomic_load(&engine->slow_until_ms))
            mailbox_wait(&engine->mailbox, engine_slow_until_us(engine));
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
    scheduler_init(&engine->scheduler, &engine->runtime, &engine->mailbox);
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
    scheduler_release(&engine->scheduler);
    mailbox_release(&engine->mailbox);
    free(engine);
}

bool engine_is_idle(struct engine *engine)
{
    enum engine_phase phase = atomic_load(&engine->phase);

    return (phase == ENGINE_READY || phase == ENGINE_FAILED) && engine->request_count == 0;
}

static void engine_read_devices(const struct runtime *runtime, struct engine_status *out)
{
    out->device_count = runtime->device_count;
    for (uint32_t i = 0; i < runtime->device_count; i++)
        out->devices[i] = (struct engine_device){
            .name = runtime->devices[i].name,
            .memory_bytes = session_device_bytes(runtime->session, i),
            .layer_count = session_device_layers(runtime->session, i),
        };
}

void engine_read_status(struct engine *engine, struct engine_status *out)
{
    *out = (struct engine_status){
        .phase = atomic_load(&engine->phase),
        .done_bytes = atomic_load(&engine->done_bytes),
        .total_bytes = atomic_load(&engine->total_bytes),
        .tokens = atomic_load(&engine->scheduler.tokens),
        .prefill_tokens = atomic_load(&engine->scheduler.prefill_tokens),
    };
    if (out->phase == ENGINE_READY || out->phase == ENGINE_FAILED)
        out->device = engine->runtime.device;
    if (out->phase == ENGINE_FAILED)
        out->failed_device = runtime_failed_device(&engine->runtime);
    if (out->phase != ENGINE_READY)
        return;
    engine_read_devices(&engine->runtime, out);
    out->context_tokens = engine->runtime.context_tokens;
    out->slot_count = engine->runtime.slot_count;
    out->memory_bytes = session_memory_bytes(engine->runtime.session);
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
                                     json_t *body, const struct deadline *deadline, void *user)
{
    struct engine_request *submitted = engine_request_new(&engine->mailbox, request, body, user);

    if (deadline != NULL)
        submitted->deadline = *deadline;
    engine->request_count++;
    mailbox_submit(&engine->mailbox, submitted);
    return submitted;
}

void engine_drain(struct engine *engine)
{
    mailbox_drain(&engine->mailbox);
}

void engine_slow_down(struct engine *engine, uint64_t for_ms)
{
    atomic_store(&engine->slow_until_ms, clock_monotonic_ms() + for_ms);
}

const char *engine_token_bytes(const struct engine *engine, uint32_t token, size_t *out_len)
{
    return vocab_piece(engine->runtime.vocab, token, true, out_len);
}

void *engine_request_user(const struct engine_request *request)
{
    return request->user;
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
    engine_request_delete(request);
}
