/* rbee down: let running requests finish, stop everything, and come back when it is gone. */
#include "cli/call.h"
#include "cli/message.h"
#include "cli/output.h"
#include "cli/start.h"
#include "common/json.h"

#include <errno.h>
#include <poll.h>
#include <sys/pidfd.h>

/* Returns when the process of PIDFD has ended. */
static int wait_for_exit(int pidfd, struct err *err)
{
    struct pollfd poller = {.fd = pidfd, .events = POLLIN};

    while (poll(&poller, 1, -1) < 0) {
        if (errno != EINTR)
            return err_set(err, ERR_INTERNAL, "wait for rbeed: %m");
    }
    return 0;
}

static int stop_supervisor(struct cli *cli, struct err *err)
{
    AUTO_JSON json_t *status = NULL;
    AUTO_JSON json_t *body = json_object();
    struct api_request request = {
        .method = HTTP_POST, .target = "/v1/shutdown", .body = body, .timeout_ms = API_ANSWER_MS};
    AUTO_CLOSE int pidfd = -1;
    json_int_t pid = 0;
    size_t running = 0;

    if (call_get(cli, "/v1/status", &status, err) < 0)
        return -1;
    pid = json_integer_value(json_object_get(status, "pid"));
    running = json_array_size(json_object_get(status, "requests"));
    /* Before it is told to go, so that the number cannot be somebody else's by then. Behind a port
     * it may be a number of another machine. */
    if (cli->address.is_unix && (pidfd = pidfd_open((pid_t)pid, 0)) < 0)
        return err_set(err, ERR_PROTOCOL,
                       "the supervisor says its pid is %" JSON_INTEGER_FORMAT ": %m", pid);
    if (args_has(cli->args, OPTION_DRAIN))
        (void)json_object_set_new(
            body, "drain_ms", json_integer((json_int_t)args_duration_ms(cli->args, OPTION_DRAIN)));
    if (call_send(cli, &request, NULL, err) < 0)
        return -1;
    if (pidfd < 0) {
        message_note(cli, "it was told to stop, and does when its requests are done");
        return 0;
    }
    if (running > 0)
        message_note(cli, "waiting for %zu running request%s", running, running == 1 ? "" : "s");
    return wait_for_exit(pidfd, err);
}

int command_down(struct cli *cli, struct err *err)
{
    AUTO_JSON json_t *stopped = json_pack("{s:s}", "state", "stopped");

    if (start_find(cli, err) < 0) {
        if (err->kind != ERR_UNREACHABLE)
            return -1;
        err_clear(err);
        message_note(cli, "no supervisor is running");
    } else if (stop_supervisor(cli, err) < 0) {
        return -1;
    }
    if (cli->wants_json && output_print_json(cli, stopped, err) < 0)
        return -1;
    return EXIT_DONE;
}
