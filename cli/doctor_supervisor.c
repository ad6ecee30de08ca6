/* Owns the checks of the supervisor: does one run, is it ours, would one have its port. */
#include "cli/api.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/doctor.h"
#include "cli/start.h"
#include "common/config.h"
#include "common/io.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/paths.h"
#include "common/token_file.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DOCTOR_ANSWER_MS = 3000, PROC_STAT_MAX_BYTES = 4096 };

/* Whether PID is stopped, as by Ctrl-Z or SIGSTOP, or by a debugger. */
static bool is_process_stopped(long pid)
{
    AUTO_FREE char *path = xasprintf("/proc/%ld/stat", pid);
    AUTO_BUF struct buf text = BUF_INIT(PROC_STAT_MAX_BYTES);
    struct err ignored = ERR_INIT; /* it has ended */
    const char *behind_name = NULL;

    if (io_read_file(path, &text, &ignored) < 0 || text.len == 0)
        return false;
    behind_name = strrchr(text.data, ')');
    return behind_name != NULL &&
           (strncmp(behind_name, ") T", 3) == 0 || strncmp(behind_name, ") t", 3) == 0);
}

/* A supervisor takes connections and does not answer. The fix asks nothing of it: that would hang.
 */
static void say_it_hangs(struct doctor *doctor, const struct err *why)
{
    bool is_ours = args_text(doctor->cli->args, OPTION_HOST) == NULL;
    long pid = is_ours ? start_holder_pid() : 0;
    AUTO_FREE char *fix = NULL;

    if (pid <= 0) {
        doctor_say(doctor, DOCTOR_PROBLEM, "restart rbeed there", "%s", why->message);
        return;
    }
    if (is_process_stopped(pid)) {
        fix = xasprintf("kill -CONT %ld", pid);
        doctor_say(doctor, DOCTOR_PROBLEM, fix, "the supervisor, process %ld, is stopped", pid);
        return;
    }
    fix = xasprintf("kill -KILL %ld && rbee up", pid);
    doctor_say(doctor, DOCTOR_PROBLEM, fix, "process %ld: %s", pid, why->message);
}

/* Nobody answers. */
static void look_for_remains(struct doctor *doctor, const struct err *why)
{
    AUTO_FREE char *socket_path = paths_socket();
    struct stat info;

    if (start_holder_pid() != 0)
        doctor_say(doctor, DOCTOR_PROBLEM,
                   "cat \"${XDG_STATE_HOME:-$HOME/.local/state}/rbee/rbee.lock\" # its pid",
                   "a supervisor runs and does not answer: %s", why->message);
    else if (stat(socket_path, &info) == 0)
        doctor_say(doctor, DOCTOR_WARNING, "rbee up",
                   "the last supervisor was killed and left its socket, %s; the next one replaces "
                   "it",
                   socket_path);
    else
        doctor_say(doctor, DOCTOR_OK, NULL,
                   "no supervisor runs; the first \"rbee infer\", or \"rbee up\", starts one");
}

/* What a reason of STATUS is about: one of a worker or of a device begins with its name. */
static char *subject_of(const char *reason)
{
    static const char *const BEGINS[] = {"worker ", "the circuit of ", ""};
    size_t i = 0;

    while (i + 1 < ARRAY_COUNT(BEGINS) && strncmp(reason, BEGINS[i], strlen(BEGINS[i])) != 0)
        i++;
    reason += strlen(BEGINS[i]);
    return xstrndup(reason, strcspn(reason, " "));
}

static bool is_worker(const json_t *status, const char *name)
{
    const json_t *worker = NULL;
    size_t index = 0;

    json_array_foreach(json_object_get(status, "workers"), index, worker)
    {
        const char *text = json_string_value(json_object_get(worker, "name"));

        if (text != NULL && strcmp(text, name) == 0)
            return true;
    }
    return false;
}

/* The command that "rbee why NAME" ends with. */
static char *worker_fix(struct cli *cli, const char *name)
{
    struct err ignored = ERR_INIT; /* it has gone since: its name is left to ask for */
    AUTO_FREE char *target = call_worker_target(name, "/why", &ignored);
    const struct api_request request = {
        .method = HTTP_GET, .target = target, .timeout_ms = DOCTOR_ANSWER_MS};
    AUTO_JSON json_t *why = NULL;
    const char *command = NULL;

    if (target != NULL && call_send(cli, &request, &why, &ignored) == 0)
        command = json_string_value(json_object_get(why, "command"));
    json_decref(take_ptr(cli->failure));
    return command != NULL && command[0] != '\0' ? xasprintf("%s # rbee why %s", command, name)
                                                 : xasprintf("rbee why %s", name);
}

/* The caller frees it. */
static char *reason_fix(struct doctor *doctor, const json_t *status, const char *reason)
{
    AUTO_FREE char *subject = subject_of(reason);

    if (is_worker(status, subject))
        return worker_fix(doctor->cli, subject);
    if (strncmp(subject, "gpu:", strlen("gpu:")) == 0)
        return xasprintf("rbee breaker show %s", subject);
    return xstrdup("rbee status");
}

static void say_reasons(struct doctor *doctor, const json_t *status)
{
    const json_t *reason = NULL;
    size_t index = 0;

    json_array_foreach(json_object_get(status, "reasons"), index, reason)
    {
        const char *text = json_is_string(reason) ? json_string_value(reason) : "";
        AUTO_FREE char *fix = reason_fix(doctor, status, text);

        doctor_say(doctor, DOCTOR_WARNING, fix, "%s", text);
    }
}

static void say_warnings(struct doctor *doctor, const json_t *texts)
{
    const json_t *text = NULL;
    size_t index = 0;

    json_array_foreach(texts, index, text)
    {
        if (json_is_string(text))
            doctor_say(doctor, DOCTOR_WARNING, NULL, "%s", json_string_value(text));
    }
}

static void judge_status(struct doctor *doctor, const json_t *status)
{
    const char *version = json_string_value(json_object_get(status, "version"));

    if (version == NULL || strcmp(version, RBEE_VERSION) != 0)
        doctor_say(doctor, DOCTOR_WARNING, "rbee down && rbee up",
                   "the supervisor that runs is of version %s, this is %s",
                   version != NULL ? version : "?", RBEE_VERSION);
    else
        doctor_say(doctor, DOCTOR_OK, NULL, "a supervisor runs, of this version");
    say_reasons(doctor, status);
    say_warnings(doctor, json_object_get(status, "warnings"));
}

void doctor_supervisor(struct doctor *doctor)
{
    static const struct api_request STATUS = {
        .method = HTTP_GET, .target = "/v1/status", .timeout_ms = DOCTOR_ANSWER_MS};
    struct cli *cli = doctor->cli;
    struct err err = ERR_INIT;
    AUTO_JSON json_t *status = NULL;

    if (cli->api == NULL && start_find(cli, &err) < 0) {
        look_for_remains(doctor, &err);
        return;
    }
    if ((cli->api != NULL || cli_connect(cli, &err) == 0) &&
        call_send(cli, &STATUS, &status, &err) == 0)
        judge_status(doctor, status);
    else if (err.kind == ERR_TIMED_OUT)
        say_it_hangs(doctor, &err);
    else
        doctor_say(doctor, DOCTOR_PROBLEM, "rbee status -v", "the supervisor cannot be asked: %s",
                   err.message);
    json_decref(take_ptr(cli->failure)); /* it has been told */
}

/* Whether a supervisor that is started would open its port. */
static bool wants_port(const struct doctor *doctor)
{
    const char *named = config_text(doctor->config, CONFIG_supervisor_token_file);
    AUTO_FREE char *usual = paths_user_token("token");

    return strcmp(config_text(doctor->config, CONFIG_supervisor_listen), "off") != 0 &&
           access(named[0] != '\0' ? named : usual, F_OK) == 0;
}

void doctor_port(struct doctor *doctor)
{
    const char *listen = config_text(doctor->config, CONFIG_supervisor_listen);
    struct http_address address;
    struct err err = ERR_INIT;
    AUTO_FREE char *fix = NULL;
    int fd = -1;

    if (!wants_port(doctor)) {
        doctor_say(doctor, DOCTOR_OK, NULL, "no port is wanted");
    } else if (doctor->cli->api != NULL || start_holder_pid() != 0) {
        doctor_say(doctor, DOCTOR_OK, NULL, "%s is the running supervisor's", listen);
    } else if (http_address_parse(listen, &address, &err) == 0 &&
               http_address_listen(&address, 0, &fd, &err) == 0) {
        doctor_say(doctor, DOCTOR_OK, NULL, "%s is free", listen);
        (void)close(fd); /* it was only tried */
    } else {
        fix = xasprintf("ss -ltnp 'sport = :%u' # or set supervisor.listen", address.port);
        doctor_say(doctor, DOCTOR_PROBLEM, fix, "%s cannot be listened on: %s", listen,
                   err.message);
    }
}
