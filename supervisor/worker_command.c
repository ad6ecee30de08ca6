/* Owns what is special in the process of a worker that is a command of the configuration: its
 * words, its port or socket, the file with its token. Knows nothing of what it says.
 *
 * The program is looked for in the PATH that the worker itself gets, which is rbeed's, and in
 * COMMAND_PATH where there is none; folders of it that are not absolute are passed over, since they
 * would mean rbeed's own. A port is picked here and handed over as a number: until the command
 * listens, anybody may take it. Nobody but a process of its group is asked anything there, and a
 * start that finds its port taken is begun anew with another one. */
#include "common/io.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/spawn.h"
#include "supervisor/environment.h"
#include "supervisor/port.h"
#include "supervisor/supervisor.h"
#include "supervisor/worker.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    COMMAND_TOKEN_MODE = 0600,
    COMMAND_PORT_MAX_BYTES = 6, /* "65535" */
    /* Ports lost one after the other before that counts as a failure: chance does not do it twice.
     */
    COMMAND_PORT_LOSS_MAX_COUNT = 8,
};

static const char COMMAND_PATH[] = "/usr/local/bin:/usr/bin:/bin";

void worker_set_command(struct worker *worker, const char *command, const char *health)
{
    struct err ignored = ERR_INIT; /* the configuration has checked it */

    worker->command = xcalloc(1, sizeof(*worker->command));
    (void)command_line_parse(command, worker->command, &ignored);
    worker->health = xstrdup(health);
    worker->dialect = &DIALECT_OPENAI;
    worker->recovery.has_failed_for_good = false; /* the command may be another by now */
    if (!worker->command->has[COMMAND_PLACE_DEVICE])
        worker->options.device[0] = '\0'; /* where it runs is for the command to know */
}

int worker_command_check_options(const struct worker *worker, const struct worker_options *asked,
                                 struct err *err)
{
    const char *what = NULL;

    if (worker->command == NULL)
        return 0;
    if (asked->context_tokens != 0)
        what = "context";
    else if (asked->threads != 0)
        what = "threads";
    else if (asked->device[0] != '\0' && !worker->command->has[COMMAND_PLACE_DEVICE])
        what = "device";
    else if (asked->kv_type[0] != '\0')
        what = "kv_type";
    if (what == NULL)
        return 0;
    return err_set(err, ERR_INVALID_FIELD,
                   "worker %s runs a command of the configuration, and its %s is set there",
                   worker->name, what);
}

char *worker_command_warning(const struct worker *worker)
{
    if (worker->command == NULL || !worker->command->has[COMMAND_PLACE_PORT] ||
        worker->command->has[COMMAND_PLACE_TOKEN_FILE])
        return NULL;
    return xasprintf("every user of this machine can reach the port of worker %s and ask it: let "
                     "its command take {token_file}, or {socket} in the place of {port}",
                     worker->name);
}

/* ---- the process ---- */

static bool command_is_program(const char *path, bool *out_is_there)
{
    struct stat status;

    *out_is_there = stat(path, &status) == 0 && S_ISREG(status.st_mode);
    return *out_is_there && access(path, X_OK) == 0;
}

static const char *command_path_of(const char *const *envp)
{
    static const char NAME[] = "PATH=";

    for (; *envp != NULL; envp++) {
        if (strncmp(*envp, NAME, sizeof(NAME) - 1) == 0 && (*envp)[sizeof(NAME) - 1] != '\0')
            return *envp + sizeof(NAME) - 1;
    }
    return COMMAND_PATH;
}

/* The first program NAME of PATH. *OUT_REFUSED: one that cannot be executed; the caller frees both.
 */
static char *command_search(const char *name, const char *path, char **out_refused)
{
    for (const char *at = path; *at != '\0';) {
        size_t len = strcspn(at, ":");
        AUTO_FREE char *candidate = xasprintf("%.*s/%s", (int)len, at, name);
        bool is_there = false;

        if (at[0] == '/' && command_is_program(candidate, &is_there))
            return take_ptr(candidate);
        if (is_there && *out_refused == NULL)
            *out_refused = take_ptr(candidate);
        at += len;
        at += *at == ':';
    }
    return NULL;
}

static char *command_find_program(const struct worker *worker, const char *name,
                                  const char *const *envp, struct err *err)
{
    const char *path = command_path_of(envp);
    AUTO_FREE char *refused = NULL;
    char *found = NULL;
    bool is_there = false;

    if (name[0] == '/') {
        if (command_is_program(name, &is_there))
            return xstrdup(name);
        return err_set_null(err, ERR_WORKER_CONFIG, "the program of worker %s, %s, %s",
                            worker->name, name, is_there ? "is not executable" : "is not there");
    }
    found = command_search(name, path, &refused);
    if (found != NULL)
        return found;
    if (refused != NULL)
        return err_set_null(err, ERR_WORKER_CONFIG,
                            "the program of worker %s, %s, is not executable (searched: %s)",
                            worker->name, refused, path);
    return err_set_null(err, ERR_WORKER_CONFIG,
                        "the program of worker %s, %s, is not in the PATH: %s", worker->name, name,
                        path);
}

static int command_write_token(struct worker *worker, struct err *err)
{
    struct worker_process *process = &worker->process;
    AUTO_CLOSE int fd = -1;
    char line[TOKEN_TEXT_BYTES + 1];
    int len = 0;
    int rc = 0;

    if (!worker->command->has[COMMAND_PLACE_TOKEN_FILE])
        return 0;
    token_new(process->token);
    process->token_path = worker_runtime_path(worker->supervisor, process->instance, "token");
    fd = open(process->token_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, COMMAND_TOKEN_MODE);
    if (fd < 0)
        return err_set(err, ERR_IO, "make %s: %m", process->token_path);
    len = snprintf(line, sizeof(line), "%s\n", process->token);
    rc = io_write_all(fd, line, (size_t)len, err);
    token_wipe(line, sizeof(line));
    return rc;
}

static int command_find_address(struct worker *worker, struct http_address *out, struct err *err)
{
    if (worker->command->has[COMMAND_PLACE_SOCKET])
        return worker_socket_address(worker, out, err);
    if (port_pick(&worker->process.port, err) != 0)
        return -1;
    *out = (struct http_address){.host = "127.0.0.1", .port = worker->process.port};
    return 0;
}

static int command_spawn(struct worker *worker, const char *const *argv, struct err *err)
{
    AUTO_FREE const char **envp = environment_for_worker(environ, worker->process.instance);
    AUTO_FREE char *program = command_find_program(worker, argv[0], envp, err);
    AUTO_CLOSE int output_fd = -1;

    if (program == NULL ||
        worker_output_open(&worker->output, worker->supervisor->base, &output_fd, err) != 0)
        return -1;
    if (spawn_process(
            &(struct spawn){.program = program,
                            .argv = argv,
                            .envp = envp,
                            .fds = {{output_fd, STDOUT_FILENO}, {output_fd, STDERR_FILENO}},
                            .fd_count = 2,
                            .new_group = true,
                            .dies_with_parent = true,
                            .no_core = true},
            &worker->process.pid, &worker->process.pidfd, err) == 0)
        return 0;
    /* Its program was there a moment ago: it is one that cannot be run, or its interpreter is
     * missing. */
    if (err->kind == ERR_NO_FILE || err->kind == ERR_CONFIG)
        err->kind = ERR_WORKER_CONFIG;
    return -1;
}

int worker_command_exec(struct worker *worker, const char *path, struct err *err)
{
    struct worker_process *process = &worker->process;
    struct http_address address;
    char port[COMMAND_PORT_MAX_BYTES] = "";
    AUTO_FREE char **argv = NULL;

    if (command_find_address(worker, &address, err) != 0 || command_write_token(worker, err) != 0)
        return -1;
    (void)snprintf(port, sizeof(port), "%u", process->port);
    argv = command_line_fill(worker->command,
                             (const char *const[COMMAND_PLACE_COUNT]){
                                 [COMMAND_PLACE_SOCKET] = process->socket_path,
                                 [COMMAND_PLACE_PORT] = port,
                                 [COMMAND_PLACE_MODEL] = path,
                                 [COMMAND_PLACE_DEVICE] = worker->running.device,
                                 [COMMAND_PLACE_TOKEN_FILE] = process->token_path,
                             },
                             err);
    if (argv == NULL || command_spawn(worker, (const char *const *)argv, err) != 0)
        return -1;
    if (worker->running.slots > 0)
        worker->facts.slots = worker->running.slots;
    process->client = http_client_new(worker->supervisor->base, &address, WORKER_REPLY_MAX_BYTES);
    return 0;
}

/* ---- the port ---- */

static void command_lose_port(struct worker *worker)
{
    struct worker_process *process = &worker->process;

    process->is_port_lost = true;
    process->is_killed = true;
    process->was_judged = true; /* what is said here says more than the KILL */
    free(worker->last_exit);
    worker->last_exit = xasprintf("killed: another program listens at its port %u", process->port);
    metrics_count(&worker->supervisor->metrics, METRIC_WORKER_SIGNALS, METRIC_SIGNAL_KILL);
    audit_worker_killed(worker, worker->last_exit);
    worker_signal(worker, SIGKILL);
}

bool worker_command_listens(struct worker *worker)
{
    struct worker_process *process = &worker->process;

    if (process->port == 0 || process->is_port_ours)
        return true;
    if (process->is_port_lost)
        return false;
    switch (port_find_holder(process->port, process->pid)) {
    case PORT_FREE:
        break;
    case PORT_OF_GROUP:
        process->is_port_ours = true;
        break;
    case PORT_FOREIGN:
        command_lose_port(worker);
        break;
    }
    return process->is_port_ours;
}

static bool command_has_lost_port(const struct worker *worker)
{
    const struct worker_process *process = &worker->process;

    if (worker->state != LIFE_STARTING || process->port == 0 || process->is_port_ours)
        return false;
    return process->is_port_lost || port_find_holder(process->port, process->pid) == PORT_FOREIGN;
}

bool worker_command_start_over(struct worker *worker)
{
    unsigned count = worker->port_loss_count + 1;

    if (!command_has_lost_port(worker) || count > COMMAND_PORT_LOSS_MAX_COUNT)
        return false;
    log_event(LOG_WARN, "worker_port_lost", "name=%s pid=%d port=%u", worker->name,
              (int)worker->process.pid, worker->process.port);
    worker_process_release(worker);
    worker_begin(worker);
    worker->port_loss_count = count;
    return true;
}
