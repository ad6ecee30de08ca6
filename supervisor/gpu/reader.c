/* Owns when GPUs are looked for and read, and what follows when a reading hangs. What a line says
 * is gpu.c's. */
#include "supervisor/gpu/reader.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/paths.h"
#include "supervisor/api_gpus.h"
#include "supervisor/gpu/reader_process.h"
#include "supervisor/gpu/root_hook.h"
#include "supervisor/supervisor.h"
#include "supervisor/timer.h"

#include <assert.h>
#include <event2/event.h>
#include <string.h>
#include <unistd.h>

enum { COMMAND_MAX_BYTES = 2000 /* less than gpu/round.h takes */ };

static_assert(sizeof("walk ") + READER_SKIP_MAX_COUNT * GPU_PCI_BYTES + 1 <= COMMAND_MAX_BYTES,
              "every step may be left out");

static void reader_begin(struct reader *reader);

static void reader_tell(struct reader *reader)
{
    api_gpus_tell(reader->supervisor);
    survey_look_at_cards(reader->supervisor);
}

/* ---- what is left out ---- */

static struct reader_skip *reader_find_skip(struct reader *reader, const char *step)
{
    for (size_t i = 0; i < reader->skip_count; i++) {
        if (strcmp(reader->skips[i].step, step) == 0)
            return &reader->skips[i];
    }
    return NULL;
}

static bool reader_skips(const struct reader_skip *skip, int64_t now_ms)
{
    return skip->stuck != NULL || now_ms < skip->until_ms;
}

static void reader_forget_skip(struct reader *reader, const char *step)
{
    struct reader_skip *skip = reader_find_skip(reader, step);

    if (skip != NULL)
        *skip = reader->skips[--reader->skip_count];
}

/* What comes when there is no place for one more is left out by nobody, and hangs again: there is
 * a place for each card. */
static void reader_add_skip(struct reader *reader, const char *step, struct reader_process *stuck)
{
    int64_t now_ms = (int64_t)clock_monotonic_ms();
    struct reader_skip *skip = reader_find_skip(reader, step);

    if (skip == NULL && reader->skip_count == READER_SKIP_MAX_COUNT)
        return;
    if (skip == NULL) {
        skip = &reader->skips[reader->skip_count++];
        *skip = (struct reader_skip){.delay_ms = READER_SKIP_FIRST_MS / 2};
        memcpy(skip->step, step, strlen(step) + 1);
    }
    skip->delay_ms *= 2;
    if (skip->delay_ms > READER_SKIP_MAX_MS)
        skip->delay_ms = READER_SKIP_MAX_MS;
    skip->until_ms = now_ms + skip->delay_ms;
    skip->stuck = stuck;
    gpu_table_fail(&reader->table, step, now_ms);
    log_event(LOG_WARN, "gpu_unreadable", "step=%s again_ms=%lld", step, (long long)skip->delay_ms);
}

/* ---- the end of a process ---- */

static void reader_retry_later(struct reader *reader)
{
    int64_t ms = reader->retry_ms == 0 ? READER_RETRY_FIRST_MS : reader->retry_ms * 2;

    reader->retry_ms = ms < READER_RETRY_MAX_MS ? ms : READER_RETRY_MAX_MS;
    reader->state = READER_OFF;
    reader->has_looked = true;
    log_event(LOG_WARN, "gpu_reader_gone", "error=%s again_ms=%lld", reader->failure.message,
              (long long)reader->retry_ms);
    gpu_table_fail(&reader->table, NULL, (int64_t)clock_monotonic_ms());
    timer_arm_after(reader->timer, reader->retry_ms);
    reader_tell(reader);
}

/* The step it was in is what it died of, or hangs in. */
static void reader_blame(struct reader *reader, struct reader_process *stuck)
{
    if (reader->state == READER_READING && reader->step[0] != '\0') {
        reader_add_skip(reader, reader->step, stuck);
        reader_begin(reader);
        return;
    }
    reader_retry_later(reader);
}

static void reader_leave_behind(struct reader *reader, struct reader_process *process)
{
    reader_process_silence(process);
    process->is_left_behind = true;
    TAILQ_INSERT_TAIL(&reader->left_behind, process, link);
    reader->process = NULL;
}

static void reader_forget_stuck(struct reader *reader, const struct reader_process *process)
{
    for (size_t i = 0; i < reader->skip_count; i++) {
        if (reader->skips[i].stuck == process)
            reader->skips[i].stuck = NULL;
    }
}

void reader_on_exit(struct reader *reader, struct reader_process *process, const siginfo_t *status)
{
    if (process->is_left_behind) {
        TAILQ_REMOVE(&reader->left_behind, process, link);
        reader_forget_stuck(reader, process);
        if (reader->stuck_at_start == process)
            reader->stuck_at_start = NULL;
        reader_process_free(process);
        return;
    }
    err_fill(&reader->failure, ERR_INTERNAL, "rbee-gpu ended with %s %d",
             status->si_code == CLD_EXITED ? "exit" : "signal", status->si_status);
    reader->process = NULL;
    reader_process_free(process);
    reader_blame(reader, NULL);
}

static void reader_on_hang(struct reader *reader)
{
    struct reader_process *process = reader->process;

    err_fill(&reader->failure, ERR_TIMED_OUT, "rbee-gpu has not answered for %d s",
             READER_STEP_MS / 1000);
    reader_process_kill(process);
    reader_leave_behind(reader, process);
    if (reader->step[0] == '\0')
        reader->stuck_at_start = process;
    reader_blame(reader, process);
}

/* ---- rounds ---- */

static bool reader_is_to_walk(struct reader *reader, int64_t now_ms)
{
    if (reader->walk_ms != 0 && now_ms - reader->walk_ms < READER_WALK_MS)
        return false;
    reader->walk_ms = now_ms;
    return true;
}

/* "walk STEP STEP\n" */
static int reader_ask_round(struct reader *reader, struct err *err)
{
    int64_t now_ms = (int64_t)clock_monotonic_ms();
    AUTO_BUF struct buf command = BUF_INIT(COMMAND_MAX_BYTES);

    if (reader_is_to_walk(reader, now_ms))
        (void)buf_add_string(&command, "walk "); /* fits, as each of them */
    for (size_t i = 0; i < reader->skip_count; i++) {
        if (!reader_skips(&reader->skips[i], now_ms))
            continue;
        (void)buf_printf(&command, "%s ", reader->skips[i].step); /* as above */
        gpu_table_keep(&reader->table, reader->skips[i].step);
    }
    (void)buf_add_byte(&command, '\n'); /* as above */
    if (reader_process_ask(reader->process, &command, err) != 0)
        return -1;
    reader->state = READER_READING;
    reader->step[0] = '\0';
    reader->round_ms = now_ms;
    timer_arm_after(reader->timer, READER_STEP_MS);
    return 0;
}

static void reader_begin(struct reader *reader)
{
    if (reader->stuck_at_start != NULL) { /* the next one would end there, too, and the next */
        err_fill(&reader->failure, ERR_TIMED_OUT, "an rbee-gpu that was killed is still there");
        reader_retry_later(reader);
        return;
    }
    reader->walk_ms = 0;
    reader->process = reader_process_new(reader, reader->supervisor->base, &reader->failure);
    if (reader->process == NULL || reader_ask_round(reader, &reader->failure) != 0) {
        if (reader->process != NULL) {
            reader_process_kill(reader->process);
            reader_leave_behind(reader, reader->process);
        }
        reader_retry_later(reader);
    }
}

static bool reader_is_used(const struct reader *reader)
{
    const struct worker *worker = NULL;

    TAILQ_FOREACH(worker, &reader->supervisor->workers, link)
    {
        if (device_set_is_gpu(&worker->devices) && life_has_process(worker->state))
            return true;
    }
    return false;
}

static int64_t reader_interval_ms(const struct reader *reader)
{
    int64_t now_ms = (int64_t)clock_monotonic_ms();

    if (reader->asked_ms > 0 && now_ms - reader->asked_ms < READER_WATCHED_FOR_MS)
        return READER_WATCHED_MS;
    return reader_is_used(reader) ? READER_USED_MS : READER_QUIET_MS;
}

/* No card: no process, until the next look. */
static void reader_rest_without_cards(struct reader *reader)
{
    reader_leave_behind(reader, reader->process); /* the end of its stdin ends it */
    reader->state = READER_OFF;
    timer_arm_after(reader->timer, READER_LOOK_AGAIN_MS);
}

static void reader_on_done(struct reader *reader)
{
    reader->has_looked = true;
    reader->retry_ms = 0;
    reader->step[0] = '\0';
    err_clear(&reader->failure);
    if (!gpu_table_is_told(&reader->table)) {
        reader_rest_without_cards(reader);
    } else {
        reader->state = READER_RESTING;
        timer_arm_at(reader->timer, reader->round_ms + reader_interval_ms(reader));
    }
    reader_tell(reader);
}

void reader_on_line(struct reader *reader, const char *line, size_t len)
{
    if (reader->state != READER_READING)
        return; /* nobody asked */
    timer_arm_after(reader->timer, READER_STEP_MS);
    switch (
        gpu_table_take(&reader->table, line, len, (int64_t)clock_monotonic_ms(), reader->step)) {
    case GPU_NEWS_DONE:
        reader_on_done(reader);
        break;
    case GPU_NEWS_READ:
        if (reader->step[0] != '\0')
            reader_forget_skip(reader, reader->step);
        break;
    case GPU_NEWS_STEP:
    case GPU_NEWS_NONE:
        break;
    }
}

/* ---- looks ---- */

/* Whether a driver that is read is loaded; asks no driver. */
static bool reader_has_driver(void)
{
    static const char *const DRIVERS[] = {"sys/module/amdgpu", "sys/module/nvidia"};

    for (size_t i = 0; i < ARRAY_COUNT(DRIVERS); i++) {
        AUTO_FREE char *path = paths_join(gpu_root(), DRIVERS[i]);

        if (access(path, F_OK) == 0)
            return true;
    }
    return false;
}

static void reader_look(struct reader *reader)
{
    if (reader_has_driver()) {
        reader_begin(reader);
        return;
    }
    reader->has_looked = true;
    timer_arm_after(reader->timer, READER_LOOK_MS);
    reader_tell(reader);
}

static void reader_on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct reader *reader = arg;

    switch (reader->state) {
    case READER_OFF:
        reader_look(reader);
        break;
    case READER_RESTING:
        if (reader_ask_round(reader, &reader->failure) != 0) {
            reader_process_kill(reader->process);
            reader_leave_behind(reader, reader->process);
            reader_retry_later(reader);
        }
        break;
    case READER_READING:
        reader_on_hang(reader);
        break;
    }
}

void reader_asked(struct reader *reader)
{
    reader->asked_ms = (int64_t)clock_monotonic_ms();
    if (reader->state == READER_RESTING)
        timer_arm_at(reader->timer, reader->round_ms + READER_WATCHED_MS);
}

char *reader_warning(const struct reader *reader)
{
    if (reader->state != READER_OFF || !err_is_set(&reader->failure))
        return NULL;
    return xasprintf("GPUs are not read: %s", reader->failure.message);
}

/* ---- beginning and end ---- */

void reader_init(struct reader *reader)
{
    *reader = (struct reader){.state = READER_OFF};
    TAILQ_INIT(&reader->left_behind);
    TAILQ_INIT(&reader->waiters);
}

void reader_start(struct reader *reader, struct supervisor *supervisor)
{
    reader->supervisor = supervisor;
    reader->timer = evtimer_new(supervisor->base, reader_on_timer, reader);
    reader_look(reader);
}

void reader_release(struct reader *reader)
{
    if (reader->process != NULL)
        reader_process_end(reader->process);
    reader->process = NULL;
    while (!TAILQ_EMPTY(&reader->left_behind)) {
        struct reader_process *process = TAILQ_FIRST(&reader->left_behind);

        TAILQ_REMOVE(&reader->left_behind, process, link);
        reader_process_end(process);
    }
    if (reader->timer != NULL)
        event_free(reader->timer);
    reader->timer = NULL;
    gpu_table_release(&reader->table);
}
