/* Owns the checks of the supervisor: does one run, is it ours, would one have its port. */
#include "cli/api.h"
#include "cli/call.h"
#include "cli/cli.h"
#include "cli/doctor.h"
#include "cli/start.h"
#include "common/config.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/paths.h"
#include "common/token_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DOCTOR_ANSWER_MS = 3000 };

/* Whether a process holds the lock of the state. */
static bool is_state_held(void)
{
    AUTO_FREE char *folder = paths_state_dir();
    AUTO_FREE char *path = paths_join(folder, "rbee.lock");
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

/* Nobody answers. */
static void look_for_remains(struct doctor *doctor, const struct err *why)
{
    AUTO_FREE char *socket_path = paths_socket();
    struct stat info;

    if (is_state_held())
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

static void say_texts(struct doctor *doctor, const json_t *texts, const char *fix)
{
    const json_t *text = NULL;
    size_t index = 0;

    json_array_foreach(texts, index, text)
    {
        if (json_is_string(text))
            doctor_say(doctor, DOCTOR_WARNING, fix, "%s", json_string_value(text));
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
    say_texts(doctor, json_object_get(status, "reasons"), "rbee status");
    say_texts(doctor, json_object_get(status, "warnings"), NULL);
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
    } else if (doctor->cli->api != NULL || is_state_held()) {
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
