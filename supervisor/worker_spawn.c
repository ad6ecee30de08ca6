/* Owns the making of a worker's process: socket, token, arguments, environment. Knows nothing of
 * what happens to it afterwards. */
#include "common/clock.h"
#include "common/http/http.h"
#include "common/mem.h"
#include "common/paths.h"
#include "common/process.h"
#include "common/spawn.h"
#include "supervisor/environment.h"
#include "supervisor/journal.h"
#include "supervisor/supervisor.h"
#include "supervisor/worker.h"

#include <assert.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Descriptors as ARCHITECTURE.md, "Spawn", has them. */
enum { WORKER_LISTEN_FD = 3, WORKER_TOKEN_FD = 4 };

enum {
    WORKER_SOCKET_MODE = 0600,
    WORKER_ARGUMENT_MAX_COUNT = 32,
    WORKER_NUMBER_MAX_BYTES = 24,
};

struct worker_arguments {
    const char *argv[WORKER_ARGUMENT_MAX_COUNT];
    size_t count;
    char numbers[4][WORKER_NUMBER_MAX_BYTES];
    size_t number_count;
};

static void worker_add_text(struct worker_arguments *arguments, const char *flag, const char *value)
{
    arguments->argv[arguments->count++] = flag;
    arguments->argv[arguments->count++] = value;
}

static void worker_add_number(struct worker_arguments *arguments, const char *flag, int64_t value)
{
    char *text = arguments->numbers[arguments->number_count++];

    (void)snprintf(text, WORKER_NUMBER_MAX_BYTES, "%" PRId64, value);
    worker_add_text(arguments, flag, text);
}

static void worker_fill_arguments(const struct worker *worker, const char *path,
                                  struct worker_arguments *arguments)
{
    const struct worker_options *options = &worker->running;

    arguments->argv[arguments->count++] = worker->supervisor->worker_program;
    worker_add_text(arguments, "--name", worker->name);
    worker_add_text(arguments, "--model", path);
    worker_add_text(arguments, "--instance", worker->process.instance);
    worker_add_text(arguments, "--listen-fd", "3");
    worker_add_text(arguments, "--token-fd", "4");
    if (options->device[0] != '\0')
        worker_add_text(arguments, "--device", options->device);
    if (options->context_tokens > 0)
        worker_add_number(arguments, "--context", options->context_tokens);
    if (options->threads > 0)
        worker_add_number(arguments, "--threads", options->threads);
    if (options->slots > 0)
        worker_add_number(arguments, "--slots", options->slots);
    if (options->kv_type[0] != '\0')
        worker_add_text(arguments, "--kv-type", options->kv_type);
    if (options->allow_cpu)
        arguments->argv[arguments->count++] = "--allow-cpu";
    arguments->argv[arguments->count] = NULL;
}

char *worker_runtime_path(const struct supervisor *supervisor, const char *instance,
                          const char *type)
{
    AUTO_FREE char *name = xasprintf("%s.%s", instance, type);

    return paths_join(supervisor->runtime_dir, name);
}

/* A socket of its own for each process: no other one can answer in its place. */
int worker_socket_address(struct worker *worker, struct http_address *out, struct err *err)
{
    AUTO_FREE char *path =
        worker_runtime_path(worker->supervisor, worker->process.instance, "sock");

    *out = (struct http_address){.is_unix = true};
    if (strlen(path) >= sizeof(out->path))
        return err_set(err, ERR_CONFIG, "the runtime folder's path is too long for sockets: %s",
                       path);
    memcpy(out->path, path, strlen(path) + 1);
    worker->process.socket_path = take_ptr(path);
    return 0;
}

static int worker_listen(struct worker *worker, struct http_address *address, int *out_fd,
                         struct err *err)
{
    if (worker_socket_address(worker, address, err) != 0)
        return -1;
    if (http_address_listen(address, WORKER_SOCKET_MODE, out_fd, err) != 0)
        return -1;
    worker->process.socket_fd = open(address->path, O_PATH | O_CLOEXEC);
    if (worker->process.socket_fd < 0)
        return err_set(err, ERR_IO, "open %s: %m", address->path);
    return 0;
}

/* By the descriptor and not by the name: runtime folders are cleared by others (a logout, a tidying
 * program), and a worker lives longer than that. */
static struct http_client *worker_new_client(const struct worker *worker)
{
    struct http_address address = {.is_unix = true};

    (void)snprintf(address.path, sizeof(address.path), "/proc/self/fd/%d",
                   worker->process.socket_fd);
    return http_client_new(worker->supervisor->base, &address, WORKER_REPLY_MAX_BYTES);
}

/* The token fits into the pipe whole, so this never waits. */
static int worker_hand_over_token(struct worker *worker, int *out_fd, struct err *err)
{
    char line[TOKEN_TEXT_BYTES + 1];
    int len = snprintf(line, sizeof(line), "%s\n", worker->process.token);
    int ends[2];
    ssize_t written = 0;

    if (pipe2(ends, O_CLOEXEC) != 0) {
        token_wipe(line, sizeof(line));
        return err_set(err, ERR_IO, "pipe for a worker's token: %m");
    }
    written = write(ends[1], line, (size_t)len);
    (void)close(ends[1]); /* the token is followed by its end */
    token_wipe(line, sizeof(line));
    *out_fd = ends[0];
    if (written != len)
        return err_set(err, ERR_IO, "write a worker's token: %m");
    return 0;
}

static int worker_exec(struct worker *worker, const char *path, struct err *err)
{
    struct worker_arguments arguments = {.count = 0};
    struct http_address address;
    AUTO_FREE const char **envp = environment_for_worker(environ, worker->process.instance);
    AUTO_CLOSE int listen_fd = -1;
    AUTO_CLOSE int token_fd = -1;
    AUTO_CLOSE int output_fd = -1;

    token_new(worker->process.token);
    if (worker_listen(worker, &address, &listen_fd, err) != 0 ||
        worker_hand_over_token(worker, &token_fd, err) != 0 ||
        worker_output_open(&worker->output, worker->supervisor->base, &output_fd, err) != 0)
        return -1;
    worker_fill_arguments(worker, path, &arguments);
    if (spawn_process(&(struct spawn){.program = worker->supervisor->worker_program,
                                      .argv = arguments.argv,
                                      .envp = envp,
                                      .fds = {{output_fd, STDOUT_FILENO},
                                              {output_fd, STDERR_FILENO},
                                              {listen_fd, WORKER_LISTEN_FD},
                                              {token_fd, WORKER_TOKEN_FD}},
                                      .fd_count = 4,
                                      .new_group = true,
                                      .dies_with_parent = true,
                                      .no_core = true},
                      &worker->process.pid, &worker->process.pidfd, err) != 0)
        return -1;
    worker->process.client = worker_new_client(worker);
    return 0;
}

int worker_spawn_prepare(struct worker *worker, struct err *err)
{
    const char *path = worker_path(worker);

    worker->process.spawned_ms = clock_monotonic_ms();
    worker->load.progress_ms = worker->process.spawned_ms;

    if (path == NULL)
        return err_set(err, ERR_MODEL_NOT_FOUND, "worker %s needs model %s, which is not there",
                       worker->name, worker->model);
    if (path[0] != '\0' && model_stamp_of(path, &worker->stamp, err) != 0)
        return -1;
    token_new_id('w', worker->process.instance);
    worker->port_loss_count = 0;
    worker->facts = (struct worker_facts){.slots = 1};
    memset(worker->rate_tokens, 0, sizeof(worker->rate_tokens));
    return 0;
}

int worker_spawn(struct worker *worker, struct err *err)
{
    const char *path = worker_path(worker);

    if (path == NULL) /* removed while the row was on its way */
        return err_set(err, ERR_MODEL_NOT_FOUND, "worker %s needs model %s, which is not there",
                       worker->name, worker->model);
    if ((worker->command == NULL ? worker_exec(worker, path, err)
                                 : worker_command_exec(worker, path, err)) != 0) {
        worker_process_release(worker);
        return -1;
    }
    metrics_count(&worker->supervisor->metrics, METRIC_WORKER_SPAWNS, 0);
    worker->process.start_ticks = process_start_ticks(worker->process.pid);
    watcher_add(&worker->supervisor->watcher, worker->process.pid, worker->process.start_ticks,
                worker->process.instance);
    worker->process.spawned_ms = clock_monotonic_ms();
    return 0;
}

void worker_process_release(struct worker *worker)
{
    struct worker_process *process = &worker->process;

    assert(TAILQ_EMPTY(&worker->in_flight)); /* their calls are the client's, and go with it */
    worker_drill_end(worker);
    worker_live_end(worker);
    watcher_remove(&worker->supervisor->watcher, process->instance);
    worker_watch_load_end(worker);
    worker_output_close(&worker->output);
    if (process->client != NULL)
        http_client_free(process->client);
    if (process->exit_event != NULL)
        event_free(process->exit_event);
    if (process->pidfd >= 0)
        (void)close(process->pidfd); /* reaped already */
    if (process->socket_fd >= 0)
        (void)close(process->socket_fd); /* nothing was written to it */
    if (process->socket_path != NULL)
        (void)unlink(process->socket_path); /* it may never have been made */
    free(process->socket_path);
    if (process->token_path != NULL)
        (void)unlink(process->token_path); /* the command may have removed it */
    free(process->token_path);
    token_wipe(process->token, sizeof(process->token));
    *process = (struct worker_process){.pidfd = -1, .socket_fd = -1};
    worker->facts = (struct worker_facts){0};
}
