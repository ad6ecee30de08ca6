/* Owns --prompt: a request made of options, its text on stdout. Knows nothing of HTTP. */
#include "hip/prompt.h"

#include "common/inference.h"
#include "common/io.h"
#include "common/json.h"
#include "common/terminal.h"
#include "common/units.h"
#include "hip/engine/engine.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct prompt {
    struct engine *engine;
    struct engine_request *request; /* NULL before it is submitted */
    int signal_fd;
    int signal; /* the one that came; 0: none */
    bool is_terminal;
    bool ends_in_line; /* nothing was written yet, or a newline last */
};

/* ---- the request ---- */

/* Options that are numbers in the request's body; their ranges are checked where every request's
 * are. */
static const struct {
    enum worker_option option;
    const char *name;
    const char *field;
    bool is_integer;
} NUMBERS[] = {
    {WORKER_OPTION_MAX_TOKENS, "--max-tokens", "max_tokens", true},
    {WORKER_OPTION_TEMPERATURE, "--temp", "temperature", false},
    {WORKER_OPTION_TOP_P, "--top-p", "top_p", false},
    {WORKER_OPTION_TOP_K, "--top-k", "top_k", true},
    {WORKER_OPTION_MIN_P, "--min-p", "min_p", false},
    {WORKER_OPTION_REPEAT_PENALTY, "--repeat-penalty", "repeat_penalty", false},
    {WORKER_OPTION_SEED, "--seed", "seed", true},
};

static int prompt_add_numbers(json_t *body, const struct worker_options *options, struct err *err)
{
    for (size_t i = 0; i < ARRAY_COUNT(NUMBERS); i++) {
        const char *text = options->text[NUMBERS[i].option];
        int64_t integer = 0;
        double number = 0;
        int result = 0;

        if (text == NULL)
            continue;
        if (NUMBERS[i].is_integer)
            result = units_parse_integer(text, INT64_MIN, INT64_MAX, &integer, err);
        else
            result = units_parse_number(text, -1e300, 1e300, &number, err);
        if (result < 0)
            return err_wrap(err, "%s", NUMBERS[i].name);
        json_object_set_new(body, NUMBERS[i].field,
                            NUMBERS[i].is_integer ? json_integer(integer) : json_real(number));
    }
    return 0;
}

static int prompt_add_stops(json_t *body, const struct worker_options *options, struct err *err)
{
    json_t *stops = json_array();

    for (size_t i = 0; i < options->stop_count; i++) {
        if (json_array_append_new(stops, json_string(options->stop[i])) < 0) {
            json_decref(stops);
            return err_set(err, ERR_INVALID_UTF8, "--stop is not valid UTF-8");
        }
    }
    if (options->stop_count > 0)
        json_object_set(body, "stop", stops);
    json_decref(stops);
    return 0;
}

static int prompt_make_body(json_t *body, const struct worker_options *options, struct err *err)
{
    if (json_object_set_new(body, "prompt", json_string(options->text[WORKER_OPTION_PROMPT])) < 0)
        return err_set(err, ERR_INVALID_UTF8, "the prompt is not valid UTF-8");
    json_object_set_new(body, "raw", json_boolean(options->text[WORKER_OPTION_RAW] != NULL));
    if (prompt_add_numbers(body, options, err) < 0)
        return -1;
    return prompt_add_stops(body, options, err);
}

/* *OUT borrows from BODY, an empty object. */
static int prompt_make_request(json_t *body, const struct worker_options *options,
                               struct inference_request *out, struct err *err)
{
    AUTO_JSON json_t *unknown = json_array(); /* we name no field that is */

    if (prompt_make_body(body, options, err) < 0)
        return -1;
    return inference_parse(body, out, unknown, err);
}

int prompt_check(const struct worker_options *options, struct err *err)
{
    struct inference_request asked = {0};
    AUTO_JSON json_t *body = json_object();

    return prompt_make_request(body, options, &asked, err);
}

static int prompt_submit(struct prompt *prompt, const struct worker_options *options,
                         struct err *err)
{
    struct inference_request asked = {0};
    AUTO_JSON json_t *body = json_object();

    if (prompt_make_request(body, options, &asked, err) < 0)
        return -1;
    prompt->request = engine_submit(prompt->engine, &asked, take_ptr(body), NULL, NULL);
    return 0;
}

/* ---- signals ---- */

static int prompt_watch_signals(struct prompt *prompt, struct err *err)
{
    sigset_t watched;

    sigemptyset(&watched);
    sigaddset(&watched, SIGINT);
    sigaddset(&watched, SIGTERM);
    sigprocmask(SIG_BLOCK, &watched, NULL);
    prompt->signal_fd = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
    if (prompt->signal_fd < 0)
        return err_set(err, ERR_INTERNAL, "watch signals: %m");
    return 0;
}

/* Ends the process as the signal would have: a shell in a loop has to see that it was one. */
static _Noreturn void prompt_die(int number)
{
    sigset_t set;

    signal(number, SIG_DFL);
    raise(number);
    sigemptyset(&set);
    sigaddset(&set, number);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    _exit(128 + number); /* not reached: it was pending */
}

/* The first one cancels the request, if it has begun; the next one, or one that comes while the
 * model loads, ends the process at once. */
static void prompt_take_signal(struct prompt *prompt)
{
    struct signalfd_siginfo info;

    if (read(prompt->signal_fd, &info, sizeof(info)) != sizeof(info))
        return;
    if (prompt->request == NULL || prompt->signal != 0)
        prompt_die((int)info.ssi_signo);
    prompt->signal = (int)info.ssi_signo;
    engine_request_cancel(prompt->request);
}

/* ---- running ---- */

/* Returns when the engine has something to tell. */
static int prompt_wait(struct prompt *prompt, struct err *err)
{
    struct pollfd fds[] = {
        {.fd = engine_event_fd(prompt->engine), .events = POLLIN},
        {.fd = prompt->signal_fd, .events = POLLIN},
    };

    while (fds[0].revents == 0) {
        if (poll(fds, ARRAY_COUNT(fds), -1) < 0 && errno != EINTR)
            return err_set(err, ERR_INTERNAL, "wait for the engine: %m");
        if (fds[1].revents != 0)
            prompt_take_signal(prompt);
    }
    engine_clear_event_fd(prompt->engine);
    return 0;
}

static int prompt_wait_until_ready(struct prompt *prompt, struct err *err)
{
    struct engine_status status;

    engine_read_status(prompt->engine, &status);
    while (status.phase == ENGINE_LOAD || status.phase == ENGINE_WARM_UP) {
        if (prompt_wait(prompt, err) < 0)
            return -1;
        engine_read_status(prompt->engine, &status);
    }
    if (status.phase == ENGINE_READY)
        return 0;
    engine_read_failure(prompt->engine, err);
    return -1;
}

static int prompt_write(struct prompt *prompt, const char *text, size_t len, struct err *err)
{
    AUTO_BUF struct buf harmless = BUF_INIT(TERMINAL_GROWTH_MAX * len);

    prompt->ends_in_line = text[len - 1] == '\n';
    if (!prompt->is_terminal)
        return io_write_all(STDOUT_FILENO, text, len, err);
    if (terminal_clean(&harmless, text, len) < 0)
        return err_set(err, ERR_NO_MEMORY, "no memory for %zu bytes of text", len);
    return io_write_all(STDOUT_FILENO, harmless.data, harmless.len, err);
}

static int prompt_finish(struct prompt *prompt, struct err *err)
{
    const struct engine_outcome *outcome = engine_request_outcome(prompt->request);

    if (prompt->is_terminal && !prompt->ends_in_line &&
        io_write_all(STDOUT_FILENO, "\n", 1, err) < 0)
        return -1;
    if (prompt->signal != 0)
        prompt_die(prompt->signal);
    if (!err_is_set(&outcome->error))
        return 0;
    *err = outcome->error;
    return -1;
}

/* Writes what there is. Returns 1 when the terminal event was among it, 0 when not. */
static int prompt_take_events(struct prompt *prompt, struct err *err)
{
    for (;;) {
        AUTO_FREE struct engine_event *event = engine_request_take(prompt->request);

        if (event == NULL)
            return 0;
        if (event->kind == ENGINE_EVENT_END || event->kind == ENGINE_EVENT_ERROR)
            return 1;
        if (event->kind == ENGINE_EVENT_TEXT &&
            prompt_write(prompt, event->text, event->text_len, err) < 0)
            return -1;
    }
}

static int prompt_answer(struct prompt *prompt, struct err *err)
{
    int ended = 0;

    while (ended == 0) {
        if (prompt_wait(prompt, err) < 0)
            return -1;
        ended = prompt_take_events(prompt, err);
    }
    if (ended < 0)
        return -1;
    if (prompt_finish(prompt, err) < 0)
        ended = -1;
    engine_request_free(prompt->request);
    return ended < 0 ? -1 : 0;
}

int prompt_run(const struct worker_options *options, struct engine *engine, struct err *err)
{
    struct prompt prompt = {
        .engine = engine,
        .signal_fd = -1,
        .is_terminal = isatty(STDOUT_FILENO),
        .ends_in_line = true,
    };
    int result = 0;

    if (prompt_watch_signals(&prompt, err) < 0)
        return -1;
    if (prompt_wait_until_ready(&prompt, err) < 0 || prompt_submit(&prompt, options, err) < 0 ||
        prompt_answer(&prompt, err) < 0)
        result = -1;
    (void)close(prompt.signal_fd); /* a signalfd has nothing to lose */
    return result;
}
