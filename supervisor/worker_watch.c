/* Owns the watch over a worker's process: progress of its load until it is ready, and its exit.
 * Tells worker_step() what happened; decides nothing about it. */
#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "supervisor/supervisor.h"
#include "supervisor/timer.h"
#include "supervisor/worker.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum {
    /* A small model is ready after tens of milliseconds; a large one takes minutes. */
    POLL_FIRST_MS = 5,
    POLL_MAX_MS = 200,
};

/* ---- load ---- */

static void worker_poll_later(struct worker *worker)
{
    uint64_t ms = worker->load.poll_interval_ms;

    timer_arm_after(worker->load.poll_timer, (int64_t)ms);
    worker->load.poll_interval_ms = ms * 2 < POLL_MAX_MS ? ms * 2 : POLL_MAX_MS;
}

static void worker_judge_ready(struct worker *worker, const struct worker_probe_answer *answer)
{
    switch (worker->dialect->take_ready(worker, answer->status, answer->body)) {
    case DIALECT_READY:
        worker_step(worker, LIFE_ON_LOADED, NULL);
        break;
    case DIALECT_GO_ON:
        worker_probe_ask_ready(&worker->load.probe);
        break;
    case DIALECT_NOT_YET:
        log_event(LOG_DEBUG, "worker_not_ready", "name=%s status=%d", worker->name, answer->status);
        worker_poll_later(worker);
        break;
    }
}

static void worker_on_ready_answer(struct worker *worker, const struct worker_probe_answer *answer)
{
    if (answer->failure == NULL)
        worker_judge_ready(worker, answer);
    else
        worker_poll_later(worker); /* its exit, if that is what it is, comes by the pidfd */
}

static void worker_on_poll(evutil_socket_t fd, short what, void *arg)
{
    struct worker *worker = arg;

    if (worker_command_listens(worker))
        worker_probe_ask_ready(&worker->load.probe);
    else
        worker_poll_later(worker);
}

void worker_watch_load_end(struct worker *worker)
{
    struct worker_load *load = &worker->load;

    if (load->poll_timer == NULL)
        return;
    worker_probe_release(&load->probe);
    event_free(load->poll_timer);
    *load = (struct worker_load){.done_bytes = load->done_bytes, .total_bytes = load->total_bytes};
}

uint64_t worker_watch_load_left_ms(const struct worker *worker, struct err *why)
{
    const struct config *config = worker->supervisor->config;
    uint64_t stall_ms = (uint64_t)config_number(config, CONFIG_life_load_stall);
    uint64_t cap_ms = (uint64_t)config_number(config, CONFIG_life_load_timeout);
    uint64_t now_ms = clock_monotonic_ms();
    uint64_t ends_ms = worker->process.spawned_ms + cap_ms;
    uint64_t stalls_ms =
        worker->dialect->tells_progress ? worker->load.progress_ms + stall_ms : ends_ms;
    const char *note = worker->load.note;

    if (now_ms >= ends_ms)
        err_fill(why, ERR_WORKER_FAILED, "worker %s was not ready within %llu ms%s%s", worker->name,
                 (unsigned long long)cap_ms, note[0] == '\0' ? "" : ": ", note);
    else if (now_ms >= stalls_ms)
        err_fill(why, ERR_WORKER_FAILED, "the load of worker %s made no progress for %llu ms",
                 worker->name, (unsigned long long)stall_ms);
    else
        return (ends_ms < stalls_ms ? ends_ms : stalls_ms) - now_ms;
    return 0;
}

/* ---- exit ---- */

static char *worker_exit_text(const struct worker *worker, const siginfo_t *status)
{
    const char *signal_name = sigabbrev_np(status->si_status);

    if (status->si_code == CLD_EXITED)
        return xasprintf("exit %d%s", status->si_status,
                         worker->dialect->exit_meaning(status->si_status));
    if (worker->process.is_killed && status->si_status == SIGKILL)
        return xstrdup("SIGKILL, from the supervisor");
    if (signal_name == NULL)
        return xasprintf("signal %d", status->si_status);
    return xasprintf("SIG%s", signal_name);
}

/* With the one of two devices that it was, where they do not name it. */
static char *worker_words(const struct worker *worker)
{
    const char *words = worker_output_last_words(&worker->output);
    AUTO_JSON json_t *valid = json_text_lossy(words, strlen(words));
    char device[DEVICE_NAME_MAX_BYTES + 1];

    worker_output_fatal_device(&worker->output, device, sizeof(device));
    if (!device_set_has_name(&worker->devices, device) || strstr(words, device) != NULL)
        return xstrdup(json_string_value(valid));
    return xasprintf("%s: %s", device, json_string_value(valid));
}

static void worker_note_exit(struct worker *worker, const siginfo_t *status)
{
    free(worker->last_words);
    worker->last_words = worker_words(worker);
    if (worker->process.was_judged)
        return; /* the reason for our KILL says more than the KILL */
    free(worker->last_exit);
    worker->last_exit = worker_exit_text(worker, status);
    if (worker->stop_cause == WORKER_STOP_EVICTED) {
        AUTO_FREE char *end = worker->last_exit;

        worker->last_exit = xasprintf("evicted for %s: %s", worker->evicted_for, end);
    }
}

/* The kernel counts the processes it has killed for want of memory, in every control group; whose
 * they were it does not say here. */
static int64_t worker_read_oom_kills(void)
{
    static const char KEY[] = "oom_kill ";
    AUTO_FCLOSE FILE *stream = fopen("/proc/vmstat", "re");
    char line[128];

    while (stream != NULL && fgets(line, sizeof(line), stream) != NULL) {
        if (strncmp(line, KEY, strlen(KEY)) == 0)
            return strtoll(line + strlen(KEY), NULL, 10);
    }
    return -1;
}

static bool worker_kernel_saw_oom(const struct worker *worker)
{
    return worker->process.oom_kills >= 0 && worker_read_oom_kills() > worker->process.oom_kills;
}

static enum fault_class worker_fault_of(const struct worker *worker, const siginfo_t *status)
{
    char class[32];
    bool has_exited = status->si_code == CLD_EXITED;

    worker_output_fatal_class(&worker->output, class, sizeof(class));
    return fault_classify(&(struct fault_signs){
        .was_asked = worker->state == LIFE_STOPPING || worker->state == LIFE_LOST,
        .ours = worker->process.fault,
        .was_killed_by_us = worker->process.is_killed,
        .exit_code = has_exited ? worker->dialect->exit_code(status->si_status) : -1,
        .signal = has_exited ? 0 : status->si_status,
        .words_class = class,
        .kernel_saw_oom = worker_kernel_saw_oom(worker),
    });
}

static void worker_exited(struct worker *worker, const siginfo_t *status)
{
    bool was_loading = worker->state == LIFE_STARTING;
    enum fault_class fault = FAULT_NONE;
    struct err cause = ERR_INIT;

    worker_output_close(&worker->output);
    worker_note_exit(worker, status);
    fault = worker_fault_of(worker, status);
    if (fault == FAULT_NONE)
        err_fill(&cause, ERR_WORKER_DRAINING, "worker %s has stopped: %s", worker->name,
                 worker->last_exit);
    else
        err_fill(&cause, fault == FAULT_CONFIG && was_loading ? ERR_WORKER_CONFIG : ERR_WORKER_DIED,
                 "worker %s died%s: %s%s%s", worker->name, was_loading ? " while loading" : "",
                 worker->last_exit, worker->last_words[0] == '\0' ? "" : ": ", worker->last_words);
    worker_ended(worker, fault, &cause);
}

/* The rest of the group dies before the leader is reaped: until then no one else can get its id. */
static void worker_on_exit(evutil_socket_t fd, short what, void *arg)
{
    struct worker *worker = arg;
    siginfo_t status = {0};

    if (waitid(P_PIDFD, (id_t)fd, &status, WEXITED | WNOHANG | WNOWAIT) != 0 || status.si_pid == 0)
        return;
    worker_signal(worker, SIGKILL);
    (void)waitid(P_PIDFD, (id_t)fd, &status, WEXITED); /* it has ended: this does not wait */
    if (!worker_command_start_over(worker))
        worker_exited(worker, &status);
}

void worker_watch_begin(struct worker *worker)
{
    struct event_base *base = worker->supervisor->base;

    worker->load = (struct worker_load){
        .poll_timer = evtimer_new(base, worker_on_poll, worker),
        .poll_interval_ms = POLL_FIRST_MS,
        .progress_ms = clock_monotonic_ms(),
    };
    worker->process.oom_kills = worker_read_oom_kills();
    worker_probe_init(&worker->load.probe, worker, worker_on_ready_answer);
    worker->process.exit_event =
        event_new(base, worker->process.pidfd, EV_READ | EV_PERSIST, worker_on_exit, worker);
    (void)event_add(worker->process.exit_event, NULL); /* fails only without memory */
    worker_poll_later(worker);
}
