/* rbeed: options, configuration, and the news of a start or of a failure to whoever waits for it on
 * --ready-fd. */
#include "common/config.h"
#include "common/io.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/paths.h"
#include "common/token.h"
#include "common/units.h"
#include "supervisor/supervisor.h"

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static const char HELP[] =
    "usage: rbeed [OPTION...]\n"
    "\n"
    "The supervisor of rbee: starts workers, routes requests to them, keeps their state.\n"
    "It stays in the foreground; \"rbee up\" starts it in the background. TERM or INT stop it in\n"
    "order, a second one does not wait for running requests. HUP makes it read tokens and\n"
    "configuration again.\n"
    "\n"
    "  --config FILE   read this configuration instead of the usual ones\n"
    "  --socket PATH   listen on this Unix socket\n"
    "  --ready-fd N    write \"ready\" there once requests are accepted, or \"error CODE "
    "MESSAGE\"\n"
    "  --help          this text\n"
    "  --version       the version\n";

struct main_options {
    const char *config_path;
    const char *socket_path;
    int ready_fd; /* -1: nobody waits */
    bool wants_help;
    bool wants_version;
};

enum { FD_MAX = 1 << 20 };

static int main_read_ready_fd(const char *text, int *out_fd, struct err *err)
{
    int64_t fd = 0;

    if (units_parse_integer(text, 0, FD_MAX, &fd, err) != 0)
        return err_wrap(err, "--ready-fd");
    if (fcntl((int)fd, F_SETFD, FD_CLOEXEC) != 0)
        return err_set(err, ERR_USAGE, "--ready-fd %s: %m", text);
    *out_fd = (int)fd;
    return 0;
}

static int main_read_options(int argc, char **argv, struct main_options *out, struct err *err)
{
    static const struct option OPTIONS[] = {
        {"config", required_argument, NULL, 'c'},   {"socket", required_argument, NULL, 's'},
        {"ready-fd", required_argument, NULL, 'r'}, {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},        {NULL, 0, NULL, 0},
    };
    int option = 0;

    *out = (struct main_options){.ready_fd = -1};
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":", OPTIONS, NULL)) != -1) {
        if (option == 'c')
            out->config_path = optarg;
        else if (option == 's')
            out->socket_path = optarg;
        else if (option == 'h')
            out->wants_help = true;
        else if (option == 'v')
            out->wants_version = true;
        else if (option == ':')
            return err_set(err, ERR_USAGE, "%s needs a value", argv[optind - 1]);
        else if (option != 'r')
            return err_set(err, ERR_USAGE, "unknown option %s; see rbeed --help", argv[optind - 1]);
        else if (main_read_ready_fd(optarg, &out->ready_fd, err) != 0)
            return -1;
    }
    if (optind < argc)
        return err_set(err, ERR_USAGE, "rbeed takes no arguments, not %s", argv[optind]);
    return 0;
}

/* Says LINE to whoever waits, once. It may have lost its patience: then nobody reads. */
static void main_tell(struct main_options *options, const char *line)
{
    struct err ignored = ERR_INIT;

    if (options->ready_fd < 0)
        return;
    (void)io_write_all(options->ready_fd, line, strlen(line), &ignored);
    (void)close(options->ready_fd); /* nothing hangs on it */
    options->ready_fd = -1;
}

static int main_fail(struct main_options *options, const struct err *err)
{
    AUTO_FREE char *line = xasprintf("error %s %s\n", err_wire_code(err->kind), err->message);

    (void)fprintf(stderr, "rbeed: %s\n", err->message); /* nothing to do if that fails */
    main_tell(options, line);
    return err_exit_code(err->kind);
}

static int main_override_socket(struct config *config, const char *path, struct err *err)
{
    AUTO_FREE char *absolute = paths_absolute(path, err); /* as the lock file tells it to others */

    if (absolute == NULL)
        return -1;
    return config_override(config, CONFIG_supervisor_socket, absolute, err);
}

/* Where the trail is wanted can be said without a file; ours goes before the one that is not. */
static int main_read_environment(struct config *config, struct err *err)
{
    static const struct {
        const char *name;
        enum config_key key;
    } VARIABLES[] = {
        {"LLORCH_AUDIT_MODE", CONFIG_audit_mode},
        {"RBEE_AUDIT_MODE", CONFIG_audit_mode},
        {"LLORCH_AUDIT_DIR", CONFIG_audit_dir},
        {"RBEE_AUDIT_DIR", CONFIG_audit_dir},
    };

    for (size_t i = 0; i < ARRAY_COUNT(VARIABLES); i++) {
        const char *value = getenv(VARIABLES[i].name);

        if (value != NULL && value[0] != '\0' &&
            config_override(config, VARIABLES[i].key, value, err) != 0) {
            err->kind = ERR_CONFIG;
            return err_wrap(err, "%s", VARIABLES[i].name);
        }
    }
    return 0;
}

/* Other programs have this variable, too: one that is wrong is no reason not to start. */
static void main_read_hub(struct config *config)
{
    static const char NAME[] = "HF_ENDPOINT";
    const char *value = getenv(NAME);
    struct err err = ERR_INIT;

    if (value != NULL && value[0] != '\0' &&
        config_override(config, CONFIG_pull_endpoint, value, &err) != 0)
        log_event(LOG_WARN, "variable_ignored", "name=%s error=%s", NAME, err.message);
}

static struct config *main_load_config(const struct main_options *options, struct err *err)
{
    struct config *config = config_load(options->config_path, err);

    if (config == NULL)
        return NULL;
    main_read_hub(config);
    if (main_read_environment(config, err) != 0 ||
        (options->socket_path != NULL &&
         main_override_socket(config, options->socket_path, err) != 0)) {
        config_free(config);
        return NULL;
    }
    return config;
}

static int main_run(struct main_options *options, struct err *err)
{
    struct config *config = main_load_config(options, err);
    struct supervisor *supervisor = NULL;
    int result = -1;

    if (config == NULL)
        return -1;
    supervisor = supervisor_new(config, err);
    if (supervisor != NULL) {
        main_tell(options, "ready\n");
        result = supervisor_run(supervisor, err);
    }
    supervisor_free(supervisor);
    config_free(config);
    return result;
}

/* A core would hold what passes through: prompts, answers and tokens. */
static void main_forbid_core(void)
{
    static const struct rlimit NO_CORE = {.rlim_cur = 0, .rlim_max = 0};

    (void)setrlimit(RLIMIT_CORE, &NO_CORE); /* less is always allowed */
}

int main(int argc, char **argv)
{
    struct main_options options;
    struct err err = ERR_INIT;

    json_init();
    io_fill_closed_stdio();
    /* What we make is ours alone, unless a mode says more. */
    (void)umask(0077); /* always succeeds */
    main_forbid_core();
    (void)signal(SIGXFSZ, SIG_IGN); /* always succeeds; a file that may not grow is an error, too */
    (void)signal(SIGPIPE, SIG_IGN); /* always succeeds; a client that left is an error of write() */
    token_init();
    if (main_read_options(argc, argv, &options, &err) != 0)
        return main_fail(&options, &err);
    if (options.wants_help)
        return fputs(HELP, stdout) < 0 || fflush(stdout) != 0;
    if (options.wants_version)
        return printf("rbeed %s\n", RBEE_VERSION) < 0 || fflush(stdout) != 0;
    return main_run(&options, &err) == 0 ? 0 : main_fail(&options, &err);
}
