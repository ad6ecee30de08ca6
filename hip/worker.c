/* rbee-worker: one process that runs one model. Owns main(), what the modes are given, and how the
 * process says why it ends; everything else is elsewhere. */
#include "common/err.h"
#include "common/http/http.h"
#include "common/io.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/token.h"
#include "common/token_file.h"
#include "common/utf8.h"
#include "hip/backend/backend.h"
#include "hip/backend/gpu_abort.h"
#include "hip/benchmark.h"
#include "hip/describe.h"
#include "hip/devices.h"
#include "hip/engine/engine.h"
#include "hip/options.h"
#include "hip/prompt.h"
#include "hip/serve.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum fault {
#define FAULT(id, code, class) FAULT_##id,
#include "hip/faults.def"
#undef FAULT
};

static const struct {
    int exit_code;
    const char *class;
} FAULTS[] = {
#define FAULT(id, code, name) [FAULT_##id] = {.exit_code = code, .class = name},
#include "hip/faults.def"
#undef FAULT
};

/* ---- how it ends ---- */

/* As die_of() would say it, for where there is no memory to say it with. */
static const char OUT_OF_MEMORY[] = "fatal class=host_memory reason=out of memory\n";
/* Its own words, where it had any, are in the lines before. */
static const char DRIVER_ABORTED[] = "fatal class=gpu_fault reason=the GPU's driver has aborted\n";

static enum fault fault_of(enum err_kind kind, const char *device)
{
    bool is_gpu = backend_is_gpu(device);

    switch (kind) {
    case ERR_NO_MEMORY:
        return is_gpu ? FAULT_DEVICE_MEMORY : FAULT_HOST_MEMORY;
    case ERR_DEVICE:
        return is_gpu ? FAULT_GPU : FAULT_INTERNAL;
    case ERR_USAGE:
    case ERR_CONFIG:
    case ERR_NO_FILE:
    case ERR_IO:
    case ERR_INVALID_MODEL:
        return FAULT_CONFIG;
    default:
        return FAULT_INTERNAL;
    }
}

/* The last line on stderr, which the supervisor keeps. FAILED: which of two devices; NULL: there is
 * one, or it is not known. What is wrong with the options is the fault of no device. */
static int die_on(const struct err *err, const char *device, const char *failed)
{
    enum fault fault = fault_of(err->kind, failed != NULL ? failed : device);
    bool is_told = failed != NULL && fault != FAULT_CONFIG;
    AUTO_FREE char *line =
        xasprintf("fatal class=%s%s%s reason=%s", FAULTS[fault].class, is_told ? " device=" : "",
                  is_told ? failed : "", err->message);

    utf8_make_printable(line, strlen(line));
    fprintf(stderr, "%s\n", line);
    return FAULTS[fault].exit_code;
}

static int die_of(const struct err *err, const char *device)
{
    return die_on(err, device, NULL);
}

/* A load, or a step on a device that hangs, is not waited for: the kernel takes everything back. */
static void leave_engine(struct engine *engine, int exit_code)
{
    if (!engine_is_idle(engine))
        _exit(exit_code);
    engine_free(engine);
}

static const char *device_of(const struct worker_options *options)
{
    const char *device = options->text[WORKER_OPTION_DEVICE];

    return device != NULL ? device : "cpu";
}

static struct engine_options engine_options_of(const struct worker_options *options,
                                               const char *model_path)
{
    return (struct engine_options){
        .model_path = model_path,
        .device = device_of(options),
        .allow_cpu = options->text[WORKER_OPTION_ALLOW_CPU] != NULL,
        .context_tokens = options->context_tokens,
        .thread_count = options->thread_count,
        .slot_count = options->slot_count,
        .kv_type = options->kv_type,
    };
}

static struct engine *start_engine(const struct worker_options *options, struct err *err)
{
    struct engine_options engine = engine_options_of(options, options->text[WORKER_OPTION_MODEL]);

    return engine_new(&engine, err);
}

/* What --name says, else the model's file name in lower case without its type, as the supervisor
 * names models. A file may be called anything; a label is UTF-8. The caller frees it. */
static char *model_name(const struct worker_options *options, const char *path)
{
    const char *given = options->text[WORKER_OPTION_NAME];
    const char *slash = strrchr(path, '/');
    char *name = xstrdup(given != NULL ? given : slash != NULL ? slash + 1 : path);
    char *dot = strrchr(name, '.');

    if (given == NULL && dot != NULL && dot != name)
        *dot = '\0';
    for (char *letter = name; given == NULL && *letter != '\0'; letter++)
        *letter = (char)tolower((unsigned char)*letter);
    utf8_make_printable(name, strlen(name));
    return name;
}

/* The one asked for may have been replaced: a fault is the fault of the one it ran on. */
static int die_of_engine(const struct err *err, struct engine *engine,
                         const struct worker_options *options)
{
    struct engine_status status;

    engine_read_status(engine, &status);
    return die_on(err, status.device != NULL ? status.device : device_of(options),
                  status.failed_device);
}

/* What failed is what was asked for, or the place the answer went to: no fault of the worker. */
static int tell_failure(struct err *err)
{
    utf8_make_printable(err->message, strlen(err->message));
    fprintf(stderr, "rbee-worker: %s\n", err->message);
    return err_exit_code(err->kind);
}

/* ---- --prompt ---- */

static int run_prompt(const struct worker_options *options, struct err *err, int *out_exit_code)
{
    struct engine *engine = NULL;
    struct engine_status status;
    int result = 0;

    if (prompt_check(options, err) < 0) {
        *out_exit_code = tell_failure(err);
        return 0;
    }
    engine = start_engine(options, err);
    if (engine == NULL)
        return -1;
    result = prompt_run(options, engine, err);
    engine_read_status(engine, &status);
    if (result < 0)
        *out_exit_code =
            status.phase == ENGINE_READY ? tell_failure(err) : die_of_engine(err, engine, options);
    leave_engine(engine, *out_exit_code); /* perhaps the end of the process: all has been said */
    return 0;
}

/* ---- --bench ---- */

/* Whoever asked is told why there is nothing, on stdout too where a program reads that. */
static int tell_bench_failure(const struct worker_options *options, struct err *err)
{
    AUTO_JSON json_t *envelope = json_error_envelope(err, NULL, NULL);
    AUTO_FREE char *text = json_to_text(envelope);

    if (options->text[WORKER_OPTION_JSON] != NULL) {
        puts(text); /* stdout may be what failed: the exit code tells it */
        (void)fflush(stdout);
    }
    return tell_failure(err);
}

static int run_bench(const struct worker_options *options, struct err *err)
{
    const char *path = options->text[WORKER_OPTION_BENCH];
    AUTO_FREE char *name = model_name(options, path);
    struct benchmark_options bench = {
        .engine = engine_options_of(options, path),
        .name = name,
        .wants_json = options->text[WORKER_OPTION_JSON] != NULL,
        .is_quiet = options->text[WORKER_OPTION_QUIET] != NULL,
    };

    return benchmark_run(&bench, err) == 0 ? 0 : tell_bench_failure(options, err);
}

/* ---- serving ---- */

/* Whether somebody listens there: what is left of one that crashed may be removed. */
static bool is_stale_socket(const struct http_address *address)
{
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    struct stat info;

    if (!address->is_unix || lstat(address->path, &info) < 0 || !S_ISSOCK(info.st_mode))
        return false;
    static_assert(sizeof(name.sun_path) == sizeof(address->path), "a socket's path fits");
    memcpy(name.sun_path, address->path, sizeof(name.sun_path));
    return connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0 && errno == ECONNREFUSED;
}

static int listen_by_hand(const struct http_address *address, int *out_fd, struct err *err)
{
    if (is_stale_socket(address))
        (void)unlink(address->path); /* if that fails, listening says why */
    return http_address_listen(address, 0600, out_fd, err);
}

static int check_listen_fd(int fd, struct err *err)
{
    int is_listening = 0;
    socklen_t len = sizeof(is_listening);

    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &len) < 0)
        return err_set(err, ERR_USAGE, "--listen-fd %d: %m", fd);
    if (!is_listening)
        return err_set(err, ERR_USAGE, "--listen-fd %d is not a listening socket", fd);
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        return err_set(err, ERR_INTERNAL, "set up descriptor %d: %m", fd);
    return 0;
}

/* SOCKET_PATH is removed at the end; NULL: the socket is the supervisor's. */
static int serve(const struct worker_options *options, int listen_fd, const char *token,
                 const char *socket_path, int *out_exit_code, struct err *err)
{
    AUTO_FREE char *name = model_name(options, options->text[WORKER_OPTION_MODEL]);
    struct serve_options serving = {
        .listen_fd = listen_fd,
        .name = name,
        .token = token,
        .engine = start_engine(options, err),
    };
    int result = 0;

    if (serving.engine == NULL) {
        (void)close(listen_fd); /* nothing was accepted there */
        return -1;
    }
    result = serve_run(&serving, err);
    if (socket_path != NULL)
        (void)unlink(socket_path); /* someone may have removed it before us */
    if (result == 0)
        leave_engine(serving.engine, 0);
    else /* an engine that has failed is not freed: the process ends with its error */
        *out_exit_code = die_of_engine(err, serving.engine, options);
    return 0;
}

static void free_token(char **token)
{
    if (*token != NULL)
        token_wipe(*token, strlen(*token));
    free(*token);
}

static int serve_supervised(const struct worker_options *options, int *out_exit_code,
                            struct err *err)
{
    __attribute__((cleanup(free_token))) char *token = NULL;
    AUTO_CLOSE int token_fd = options->token_fd;

    if (check_listen_fd(options->listen_fd, err) < 0)
        return -1;
    token = token_file_read_fd(token_fd, err);
    if (token == NULL)
        return err_wrap(err, "--token-fd %d", token_fd);
    return serve(options, options->listen_fd, token, NULL, out_exit_code, err);
}

static int serve_by_hand(const struct worker_options *options, int *out_exit_code, struct err *err)
{
    __attribute__((cleanup(free_token))) char *token = NULL;
    const char *token_path = options->text[WORKER_OPTION_TOKEN_FILE];
    struct http_address address;
    int listen_fd = -1;

    if (http_address_parse(options->text[WORKER_OPTION_LISTEN], &address, err) < 0)
        return err_wrap(err, "--listen");
    if (token_path != NULL) {
        token = token_file_read(token_path, SECRET_FILE_OURS, err);
        if (token == NULL) {
            err->kind = ERR_CONFIG; /* one that is missing, too */
            return -1;
        }
    }
    if (!address.is_unix && token == NULL)
        return err_set(err, ERR_CONFIG,
                       "--listen on a TCP port needs --token-file: anyone on this machine could "
                       "use it; or listen on unix:PATH");
    if (listen_by_hand(&address, &listen_fd, err) < 0)
        return -1;
    log_event(LOG_INFO, "listening", "address=%s", options->text[WORKER_OPTION_LISTEN]);
    return serve(options, listen_fd, token, address.is_unix ? address.path : NULL, out_exit_code,
                 err);
}

/* ---- main ---- */

static int finish_stdout(struct err *err)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        return err_set(err, ERR_OUTPUT, "write: %m");
    return 0;
}

static int run(const struct worker_options *options, struct err *err, int *out_exit_code)
{
    if (options->mode != WORKER_SERVE_BY_HAND && options->mode != WORKER_SERVE_SUPERVISED)
        serve_unblock_signals();
    switch (options->mode) {
    case WORKER_HELP:
        worker_options_print_help();
        return finish_stdout(err);
    case WORKER_VERSION:
        puts("rbee-worker " RBEE_VERSION);
        return finish_stdout(err);
    case WORKER_DESCRIBE:
        return describe_run(options->text[WORKER_OPTION_DESCRIBE], err);
    case WORKER_DEVICES:
        return devices_run(err);
    case WORKER_PROMPT:
        return run_prompt(options, err, out_exit_code);
    case WORKER_BENCH:
        *out_exit_code = run_bench(options, err);
        return 0;
    case WORKER_SERVE_BY_HAND:
        signal(SIGPIPE, SIG_IGN);
        return serve_by_hand(options, out_exit_code, err);
    case WORKER_SERVE_SUPERVISED:
        signal(SIGPIPE, SIG_IGN);
        return serve_supervised(options, out_exit_code, err);
    }
    return err_set(err, ERR_INTERNAL, "no such mode");
}

int main(int argc, char **argv)
{
    struct worker_options options;
    struct err err = ERR_INIT;
    int exit_code = 0;

    serve_block_signals();
    mem_set_end(OUT_OF_MEMORY, FAULTS[FAULT_HOST_MEMORY].exit_code);
    gpu_abort_set_end(DRIVER_ABORTED, FAULTS[FAULT_GPU].exit_code);
    json_init();
    io_fill_closed_stdio();
    token_init();
    if (worker_options_parse(&options, argc, argv, &err) < 0)
        return options.text[WORKER_OPTION_BENCH] != NULL ? tell_bench_failure(&options, &err)
                                                         : die_of(&err, "");
    log_set_level(options.text[WORKER_OPTION_VERBOSE] != NULL ? LOG_DEBUG : LOG_INFO);
    if (run(&options, &err, &exit_code) < 0)
        return err.kind == ERR_OUTPUT ? tell_failure(&err) : die_of(&err, device_of(&options));
    return exit_code;
}
