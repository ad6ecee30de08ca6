/* Owns finding and starting rbeed. Must not know what it is wanted for. */
#include "cli/start.h"

#include "cli/api.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/message.h"
#include "common/clock.h"
#include "common/config.h"
#include "common/io.h"
#include "common/mem.h"
#include "common/paths.h"
#include "common/spawn.h"
#include "common/token_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

enum {
    STATE_DIR_MODE = 0700,
    START_LOCK_MODE = 0600,
    /* How long a supervisor that holds the state may take to go, or to be found. Its farewell to
     * slow clients is 2 s. */
    START_CONFLICT_MS = 10000,
    START_LOOK_MS = 100,
    /* Opening a large or damaged database takes seconds; a minute is a hang. */
    START_READY_MS = 60000,
    START_LINE_MAX_BYTES = 1024,
    START_READY_FD = 3, /* its number in rbeed */
    LOCK_TEXT_MAX_BYTES = 4096,
    PROC_LOCKS_MAX_BYTES = 4 << 20, /* 60 bytes for each lock of the machine */
};

#define START_READY_FD_TEXT "3"
#define SYSTEM_SOCKET "/run/rbee/rbee.sock"
#define START_HINT "start it with \"rbee up\""

/* Whether somebody takes connections at ADDRESS. */
static bool is_answering(const struct http_address *address, int *out_errno)
{
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un peer = {.sun_family = AF_UNIX};

    static_assert(sizeof(peer.sun_path) == sizeof(address->path), "a path fits");
    memcpy(peer.sun_path, address->path, sizeof(peer.sun_path));
    /* EAGAIN: there is somebody, with a full queue. */
    if (fd >= 0 && (connect(fd, (const struct sockaddr *)&peer, sizeof(peer)) == 0 ||
                    errno == EAGAIN || errno == EINPROGRESS))
        return true;
    *out_errno = errno;
    return false;
}

/* 0: cli->address is set. A path that cannot be one is passed over: rbeed says why when started. */
static int try_socket(struct cli *cli, const char *path, struct err *err)
{
    AUTO_FREE char *text = xasprintf("unix:%s", path);
    struct http_address address;
    int why = 0;

    if (http_address_parse(text, &address, err) < 0) {
        err->kind = ERR_UNREACHABLE;
        return -1;
    }
    if (!is_answering(&address, &why)) {
        errno = why;
        return err_set(err, ERR_UNREACHABLE, "no supervisor at %s: %m", path);
    }
    cli->address = address;
    message_detail(cli, "the supervisor's socket is %s", path);
    return 0;
}

/* --host: that socket or none. */
static int find_at_host(struct cli *cli, const char *host, struct err *err)
{
    struct http_address address;

    if (strncmp(host, "https:", strlen("https:")) == 0)
        return err_set(
            err, ERR_USAGE,
            "--host cannot be https yet; \"ssh -L 7833:127.0.0.1:7833 MACHINE\" brings a "
            "supervisor to http://127.0.0.1:7833, encrypted");
    if (strncmp(host, "unix:", strlen("unix:")) != 0 &&
        strncmp(host, "http://", strlen("http://")) != 0)
        return err_set(err, ERR_USAGE,
                       "--host must be unix:PATH or http://HOST:PORT, not \"%.64s\"", host);
    if (http_address_parse(host, &address, err) < 0)
        return err_wrap(err, "--host");
    if (address.is_unix)
        return try_socket(cli, address.path, err);
    cli->address = address;
    return 0;
}

/* --config: the socket that it names, if any. -1 with ERR_UNREACHABLE: go on looking. */
static int find_by_config(struct cli *cli, const char *path, struct err *err)
{
    AUTO_CONFIG struct config *config = config_load(path, err);
    const char *socket_path = NULL;

    if (config == NULL)
        return -1;
    socket_path = config_text(config, CONFIG_supervisor_socket);
    if (socket_path[0] == '\0')
        return err_set(err, ERR_UNREACHABLE, "%s names no socket", path);
    return try_socket(cli, socket_path, err);
}

/* The lock file of a supervisor says "pid=N socket=PATH", also when its configuration put the
 * socket somewhere else. It stays when its supervisor goes. */
static int read_lock_file(struct buf *text, struct err *err)
{
    AUTO_FREE char *folder = paths_state_dir();
    AUTO_FREE char *path = paths_join(folder, "rbee.lock");

    if (io_read_file(path, text, err) == 0)
        return 0;
    err->kind = ERR_UNREACHABLE;
    return -1;
}

static int find_by_lock_file(struct cli *cli, struct err *err)
{
    static const char SOCKET_FIELD[] = " socket=";
    AUTO_BUF struct buf text = BUF_INIT(LOCK_TEXT_MAX_BYTES);
    char *socket_path = NULL;

    if (read_lock_file(&text, err) < 0)
        return -1;
    socket_path = text.len > 0 ? strstr(text.data, SOCKET_FIELD) : NULL;
    if (socket_path == NULL)
        return err_set(err, ERR_UNREACHABLE, "the lock file names no socket");
    socket_path += strlen(SOCKET_FIELD);
    socket_path[strcspn(socket_path, "\n")] = '\0';
    return try_socket(cli, socket_path, err);
}

int start_find(struct cli *cli, struct err *err)
{
    const char *host = args_text(cli->args, OPTION_HOST);
    const char *config_path = args_text(cli->args, OPTION_CONFIG);
    AUTO_FREE char *socket_path = paths_socket();
    struct err first = ERR_INIT; /* the usual place is the one to name */
    struct err other = ERR_INIT;

    if (host != NULL)
        return find_at_host(cli, host, err);
    if (config_path != NULL) {
        if (find_by_config(cli, config_path, err) == 0)
            return 0;
        if (err->kind != ERR_UNREACHABLE)
            return -1;
    }
    if (try_socket(cli, socket_path, &first) == 0 || find_by_lock_file(cli, &other) == 0 ||
        try_socket(cli, SYSTEM_SOCKET, &other) == 0)
        return 0;
    return err_set(err, ERR_UNREACHABLE, "%s; " START_HINT, first.message);
}

/* The lock that whoever starts a supervisor holds; waits for it. It lies beside the supervisor's
 * own: two with different runtime folders want the same state. */
static int take_start_lock(int *out_fd, struct err *err)
{
    AUTO_FREE char *folder = paths_state_dir();
    AUTO_FREE char *path = paths_join(folder, "start.lock");
    AUTO_CLOSE int fd = -1;

    if (io_make_folders(folder, STATE_DIR_MODE, err) < 0)
        return -1;
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, START_LOCK_MODE);
    if (fd < 0)
        return err_set(err, ERR_IO, "open %s: %m", path);
    while (flock(fd, LOCK_EX) < 0) {
        if (errno != EINTR)
            return err_set(err, ERR_IO, "lock %s: %m", path);
    }
    *out_fd = take_fd(&fd);
    return 0;
}

/* Reads the one line that rbeed says on its --ready-fd. An end without one: *LINE is empty. */
static int read_ready_line(int fd, struct buf *line, struct err *err)
{
    uint64_t give_up_ms = clock_monotonic_ms() + START_READY_MS;

    while (memchr(line->data, '\n', line->len) == NULL) {
        struct pollfd poller = {.fd = fd, .events = POLLIN};
        uint64_t now_ms = clock_monotonic_ms();
        int ready = now_ms >= give_up_ms ? 0 : poll(&poller, 1, (int)(give_up_ms - now_ms));
        ssize_t got = 0;

        if (ready == 0)
            return err_set(err, ERR_UNREACHABLE, "rbeed was started, but is not ready after %d s",
                           START_READY_MS / 1000);
        if (buf_reserve(line, 1) < 0)
            return err_set(err, ERR_PROTOCOL, "rbeed said a line of more than %zu bytes",
                           line->max);
        got = ready < 0 ? -1 : read(fd, line->data + line->len, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_set(err, ERR_INTERNAL, "read from rbeed: %m");
        if (got == 0)
            return 0;
        line->len++;
        line->data[line->len] = '\0';
    }
    return 0;
}

/* "ready" is 0; "error CODE message" fails with that. */
static int judge_ready_line(char *line, struct err *err)
{
    static const char ERROR_WORD[] = "error ";
    char *code = line + strlen(ERROR_WORD);
    char *message = NULL;
    enum err_kind kind = ERR_NONE;

    line[strcspn(line, "\n")] = '\0';
    if (strcmp(line, "ready") == 0)
        return 0;
    if (strncmp(line, ERROR_WORD, strlen(ERROR_WORD)) == 0 && (message = strchr(code, ' '))) {
        *message++ = '\0';
        kind = err_kind_of_wire(code);
    }
    if (kind == ERR_NONE)
        return err_set(err, ERR_PROTOCOL, "rbeed said \"%.200s\" when it was started", line);
    return err_set(err, kind, "%s", message);
}

/* What rbeed's end says when it said nothing itself. */
static int judge_exit(pid_t pid, struct err *err)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return err_set(err, ERR_INTERNAL, "wait for rbeed: %m");
    }
    if (WIFSIGNALED(status))
        return err_set(err, ERR_INTERNAL, "rbeed was ended by signal %d before it was ready",
                       WTERMSIG(status));
    return err_set(err, ERR_INTERNAL, "rbeed exited with %d before it was ready",
                   WEXITSTATUS(status));
}

/* The file of --config, absolute: rbeed will run in "/". *OUT is NULL without one. */
static int config_for_rbeed(const struct cli *cli, char **out, struct err *err)
{
    const char *config = args_text(cli->args, OPTION_CONFIG);

    *out = config != NULL ? paths_absolute(config, err) : NULL;
    return config != NULL && *out == NULL ? -1 : 0;
}

static int spawn_rbeed(struct cli *cli, pid_t *out_pid, int *out_ready_fd, struct err *err)
{
    AUTO_FREE char *program = paths_sibling_program("rbeed");
    AUTO_FREE char *config = NULL;
    AUTO_CLOSE int read_fd = -1;
    AUTO_CLOSE int write_fd = -1;
    const char *argv[] = {program, "--ready-fd", START_READY_FD_TEXT, NULL, NULL, NULL};
    struct spawn spawn = {.program = program, .argv = argv, .new_session = true};
    int fds[2];

    if (config_for_rbeed(cli, &config, err) < 0)
        return -1;
    /* A service that asks a question is not the one that starts here: its manager is not rbeed's to
     * tell that it is ready. */
    (void)unsetenv("NOTIFY_SOCKET"); /* fails only for a name that is none */
    if (config != NULL) {
        argv[3] = "--config";
        argv[4] = config;
    }
    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_set(err, ERR_INTERNAL, "pipe: %m");
    read_fd = fds[0];
    write_fd = fds[1];
    spawn.fds[spawn.fd_count++] =
        (struct spawn_fd){.parent_fd = write_fd, .child_fd = START_READY_FD};
    if (spawn_process(&spawn, out_pid, NULL, err) < 0) {
        err->kind = ERR_UNREACHABLE; /* a program that is missing is no missing input file */
        return err_wrap(err, "start rbeed");
    }
    *out_ready_fd = take_fd(&read_fd);
    return 0;
}

/* What rbeed would refuse is said here, before anything is started. */
static int check_config(const struct cli *cli, struct err *err)
{
    AUTO_CONFIG struct config *config = config_load(args_text(cli->args, OPTION_CONFIG), err);

    return config != NULL ? 0 : -1;
}

/* One rbeed, until it is ready or has said why not. */
static int start_once(struct cli *cli, struct err *err)
{
    AUTO_CLOSE int ready_fd = -1;
    AUTO_BUF struct buf line = BUF_INIT(START_LINE_MAX_BYTES);
    pid_t pid = 0;

    if (spawn_rbeed(cli, &pid, &ready_fd, err) < 0 || read_ready_line(ready_fd, &line, err) < 0)
        return -1;
    if (line.len == 0)
        return judge_exit(pid, err);
    return judge_ready_line(line.data, err);
}

/* The process that the lock file names, which may have gone; 0: none. */
static long read_lock_pid(void)
{
    AUTO_BUF struct buf text = BUF_INIT(LOCK_TEXT_MAX_BYTES);
    struct err ignored = ERR_INIT;
    long pid = 0;

    if (read_lock_file(&text, &ignored) < 0 || text.len == 0 ||
        sscanf(text.data, "pid=%ld ", &pid) != 1 || pid <= 0)
        return 0;
    return pid;
}

long start_holder_pid(void)
{
    AUTO_BUF struct buf locks = BUF_INIT(PROC_LOCKS_MAX_BYTES);
    struct err ignored = ERR_INIT; /* not known, then */
    long named = read_lock_pid();

    if (named == 0 || io_read_file("/proc/locks", &locks, &ignored) < 0)
        return 0;
    for (char *rest = locks.data, *line = NULL; (line = strsep(&rest, "\n")) != NULL;) {
        long pid = 0;

        /* "2: FLOCK  ADVISORY  WRITE 6842 fe:00:10119877 0 EOF". The number of the file is not that
         * of stat() on every file system; that this process has a lock is enough. */
        if (sscanf(line, "%*d: FLOCK ADVISORY WRITE %ld ", &pid) == 1 && pid == named)
            return pid;
    }
    return 0;
}

/* The process that the lock file names; -1 when there is none that we can see. */
static int open_lock_holder(void)
{
    long pid = read_lock_pid();

    return pid > 0 ? pidfd_open((pid_t)pid, 0) : -1;
}

/* Another supervisor holds the state: it is going, or coming and not to be found yet. True when it
 * answers; false when it has gone, nobody knows who it is, or it is GIVE_UP_MS. */
static bool await_holder(struct cli *cli, uint64_t give_up_ms)
{
    AUTO_CLOSE int pidfd = open_lock_holder();
    struct pollfd poller = {.fd = pidfd, .events = POLLIN};
    struct err nobody = ERR_INIT;
    int ready = 0;

    do {
        if (start_find(cli, &nobody) == 0)
            return true;
        ready = poll(&poller, 1, START_LOOK_MS); /* of -1: just the time */
    } while (pidfd >= 0 && ready <= 0 && clock_monotonic_ms() < give_up_ms);
    return false;
}

int start_supervisor(struct cli *cli, struct err *err)
{
    AUTO_CLOSE int lock_fd = -1;
    struct err nobody = ERR_INIT;
    uint64_t give_up_ms = 0;

    if (take_start_lock(&lock_fd, err) < 0)
        return -1;
    if (start_find(cli, &nobody) == 0)
        return 0;
    if (check_config(cli, err) < 0)
        return -1;
    message_note(cli, "starting rbeed");
    give_up_ms = clock_monotonic_ms() + START_CONFLICT_MS;
    while (start_once(cli, err) < 0) {
        if (err->kind != ERR_CONFLICT || clock_monotonic_ms() >= give_up_ms)
            return -1;
        err_clear(err);
        if (await_holder(cli, give_up_ms))
            return 0;
    }
    return start_find(cli, err);
}

int start_foreground(struct cli *cli, struct err *err)
{
    AUTO_FREE char *program = paths_sibling_program("rbeed");
    AUTO_FREE char *config = NULL;

    if (config_for_rbeed(cli, &config, err) < 0)
        return -1;
    (void)signal(SIGPIPE, SIG_DFL); /* as main() found them; cannot fail */
    (void)signal(SIGXFSZ, SIG_DFL);
    if (config != NULL)
        (void)execlp(program, program, "--config", config, NULL); /* returns only to fail */
    else
        (void)execlp(program, program, NULL);
    return err_set(err, errno == ENOENT ? ERR_NO_FILE : ERR_INTERNAL, "run %s: %m", program);
}

int start_read_token(const struct cli *cli, char **out, struct err *err)
{
    static const struct rlimit NO_CORE = {.rlim_cur = 0, .rlim_max = 0};
    static const char *const NAMES[] = {
#define TOKEN_ROLE(id, name, file, credential, key) file,
#include "common/token_roles.def"
#undef TOKEN_ROLE
    };
    const char *path = args_text(cli->args, OPTION_TOKEN_FILE);

    *out = NULL;
    if (cli->address.is_unix)
        return 0;
    (void)setrlimit(RLIMIT_CORE, &NO_CORE); /* a core would hold it; less is always allowed */
    if (path != NULL) {
        *out = token_file_read(path, SECRET_FILE_OURS, err);
        if (*out == NULL)
            err->kind = ERR_INVALID_API_KEY; /* whatever is wrong with the file */
        return *out != NULL ? 0 : err_wrap(err, "--token-file");
    }
    /* The last role may the most. */
    for (size_t i = ARRAY_COUNT(NAMES);
         i-- > 0 && *out == NULL && http_address_is_loopback(&cli->address);) {
        AUTO_FREE char *own_path = paths_user_token(NAMES[i]);
        struct err ignored = ERR_INIT; /* the supervisor will say that it wants one */

        *out = token_file_read(own_path, SECRET_FILE_OURS, &ignored);
    }
    return 0;
}

static int make_api(struct cli *cli, struct err *err)
{
    char *token = NULL;

    if (start_read_token(cli, &token, err) < 0)
        return -1;
    cli->api = api_new(&cli->address, &cli->interrupt, err);
    if (token == NULL)
        return cli->api != NULL ? 0 : -1;
    if (cli->api != NULL)
        api_set_token(cli->api, token);
    explicit_bzero(token, strlen(token));
    free(token);
    return cli->api != NULL ? 0 : -1;
}

int cli_connect(struct cli *cli, struct err *err)
{
    bool may_start = cli->args->command->needs == COMMAND_NEEDS_STARTED &&
                     !args_has(cli->args, OPTION_NO_START) && !args_has(cli->args, OPTION_HOST);
    bool is_found = cli->address.is_unix || cli->address.port != 0;

    if (!is_found && start_find(cli, err) < 0) {
        if (!may_start || err->kind != ERR_UNREACHABLE)
            return -1;
        err_clear(err);
        if (start_supervisor(cli, err) < 0)
            return -1;
    }
    return make_api(cli, err);
}
