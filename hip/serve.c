/* Owns the worker's loop: when it starts, what wakes it, how it ends. Knows nothing of routes. */
#include "hip/serve.h"

#include "common/clock.h"
#include "common/http/http.h"
#include "common/log.h"
#include "hip/api.h"
#include "hip/engine/engine.h"
#include "hip/reply.h"

#include <signal.h>
#include <string.h>
#include <sys/time.h>

enum {
    /* What runs ends within one step, about 100 ms. This is for a client that does not take its
     * last event; the supervisor's own patience (life.term_grace) is longer. */
    SERVE_GRACE_S = 3,
};

void serve_check_drained(struct serve *serve)
{
    if (serve->is_draining && serve->exchange_count == 0 && TAILQ_EMPTY(&serve->replies))
        event_base_loopbreak(serve->base);
}

static void serve_drain(struct serve *serve)
{
    static const struct timeval GRACE = {.tv_sec = SERVE_GRACE_S};

    if (serve->is_draining)
        return;
    serve->is_draining = true;
    http_server_stop_accepting(serve->http);
    engine_drain(serve->engine);
    event_add(serve->grace_event, &GRACE);
    serve_check_drained(serve);
}

static void serve_on_signal(evutil_socket_t number, short what, void *owner)
{
    struct serve *serve = owner;

    log_event(LOG_INFO, "worker_stopping", "signal=%s", sigabbrev_np(number));
    serve_drain(serve);
}

static void serve_on_grace(evutil_socket_t fd, short what, void *owner)
{
    struct serve *serve = owner;

    log_event(LOG_WARN, "grace_over", "exchanges=%u", serve->exchange_count);
    event_base_loopbreak(serve->base);
}

static void serve_look_at_phase(struct serve *serve)
{
    struct engine_status status;

    engine_read_status(serve->engine, &status);
    if (status.phase == ENGINE_FAILED) {
        serve_drain(serve);
    } else if (status.phase == ENGINE_READY && !serve->is_ready) {
        serve->is_ready = true;
        log_event(LOG_INFO, "worker_ready",
                  "name=%s device=%s context_tokens=%u memory_bytes=%llu load_ms=%llu",
                  serve->options->name, status.device, status.context_tokens,
                  (unsigned long long)status.memory_bytes,
                  (unsigned long long)(clock_monotonic_ms() - serve->started_ms));
    }
}

static void serve_on_engine(evutil_socket_t fd, short what, void *owner)
{
    struct serve *serve = owner;
    struct engine_request *request = NULL;

    engine_clear_event_fd(serve->engine);
    while ((request = engine_next_request(serve->engine)) != NULL)
        reply_pump(engine_request_user(request));
    serve_look_at_phase(serve);
}

static void serve_fill_stopping(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
}

void serve_block_signals(void)
{
    sigset_t stopping;

    serve_fill_stopping(&stopping);
    sigprocmask(SIG_BLOCK, &stopping, NULL);
}

void serve_unblock_signals(void)
{
    sigset_t stopping;

    serve_fill_stopping(&stopping);
    sigprocmask(SIG_UNBLOCK, &stopping, NULL);
}

/* nohup has been asked for: then a terminal that goes is no reason to stop. */
static bool serve_ignores_hup(void)
{
    struct sigaction old;

    return sigaction(SIGHUP, NULL, &old) == 0 && old.sa_handler == SIG_IGN;
}

static int serve_make_events(struct serve *serve, struct err *err)
{
    struct event_base *base = serve->base;

    serve->engine_event = event_new(base, engine_event_fd(serve->engine), EV_READ | EV_PERSIST,
                                    serve_on_engine, serve);
    serve->term_event = evsignal_new(base, SIGTERM, serve_on_signal, serve);
    serve->int_event = evsignal_new(base, SIGINT, serve_on_signal, serve);
    serve->hup_event = evsignal_new(base, SIGHUP, serve_on_signal, serve);
    serve->grace_event = evtimer_new(base, serve_on_grace, serve);
    if (serve->engine_event == NULL || serve->term_event == NULL || serve->int_event == NULL ||
        serve->hup_event == NULL || serve->grace_event == NULL ||
        event_add(serve->engine_event, NULL) < 0 || event_add(serve->term_event, NULL) < 0 ||
        event_add(serve->int_event, NULL) < 0 ||
        (!serve_ignores_hup() && event_add(serve->hup_event, NULL) < 0))
        return err_set(err, ERR_INTERNAL, "make the loop's events: %m");
    serve_unblock_signals(); /* what came meanwhile is handled now */
    return 0;
}

static int serve_open(struct serve *serve, struct err *err)
{
    static const struct http_limits LIMITS = HTTP_LIMITS_DEFAULT;
    int listen_fd = serve->options->listen_fd;

    serve->base = event_base_new();
    if (serve->base == NULL) {
        (void)close(listen_fd); /* taken over, and never used */
        return err_set(err, ERR_INTERNAL, "make the event loop: %m");
    }
    serve->http = http_server_new(serve->base, listen_fd, &LIMITS, &API_SERVICE, serve, err);
    return serve->http == NULL ? -1 : serve_make_events(serve, err);
}

static void serve_free_event(struct event *event)
{
    if (event != NULL)
        event_free(event);
}

static void serve_release(struct serve *serve)
{
    serve->is_draining = true; /* what closes now starts nothing */
    if (serve->http != NULL)
        http_server_free(serve->http);
    serve_free_event(serve->engine_event);
    serve_free_event(serve->term_event);
    serve_free_event(serve->int_event);
    serve_free_event(serve->hup_event);
    serve_free_event(serve->grace_event);
    if (serve->base != NULL)
        event_base_free(serve->base);
}

int serve_run(const struct serve_options *options, struct err *err)
{
    struct serve serve = {
        .options = options,
        .engine = options->engine,
        .started_ms = clock_monotonic_ms(),
    };
    int result = 0;

    TAILQ_INIT(&serve.replies);
    result = serve_open(&serve, err);
    if (result == 0) {
        event_base_dispatch(serve.base);
        engine_read_failure(serve.engine, err);
        result = err_is_set(err) ? -1 : 0;
    }
    serve_release(&serve);
    return result;
}
