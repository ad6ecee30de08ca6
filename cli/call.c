/* Owns the shape that most commands share: one request, one record or list. */
#include "cli/call.h"

#include "cli/message.h"
#include "cli/output.h"
#include "common/config.h"
#include "common/json.h"
#include "common/mem.h"

#include <event2/event.h>
#include <string.h>

enum { CALL_PRINT_MAX_BYTES = 32 << 20, CALL_SILENCE_S = 2 };

static void on_silence(evutil_socket_t fd, short what, void *owner)
{
    message_progress(owner, "waiting for the supervisor, which does not answer");
}

/* Says on a terminal that a request which is answered at once waits; NULL for one that may take its
 * time. */
static struct event *watch_silence(struct cli *cli, const struct api_request *request)
{
    static const struct timeval SILENCE = {.tv_sec = CALL_SILENCE_S};
    struct event *timer = NULL;

    if (!cli->has_progress || request->timeout_ms != API_ANSWER_MS)
        return NULL;
    timer = evtimer_new(api_base(cli->api), on_silence, cli);
    if (timer != NULL)
        (void)evtimer_add(timer, &SILENCE); /* without it nothing is said */
    return timer;
}

int call_send(struct cli *cli, const struct api_request *request, json_t **out_reply,
              struct err *err)
{
    struct event *silence = watch_silence(cli, request);
    int rc = api_send(cli->api, request, out_reply, &cli->failure, err);

    if (silence != NULL) {
        event_free(silence);
        message_progress_clear(cli);
    }
    return rc;
}

static int call_whole(struct cli *cli, const struct api_request *request, json_t **out_reply,
                      struct err *err)
{
    if (cli_connect(cli, err) < 0 || call_send(cli, request, out_reply, err) < 0)
        return -1;
    if (*out_reply == NULL)
        return err_set(err, ERR_PROTOCOL, "the supervisor's answer is empty");
    return 0;
}

int call_get(struct cli *cli, const char *target, json_t **out_reply, struct err *err)
{
    const struct api_request request = {
        .method = HTTP_GET, .target = target, .timeout_ms = API_ANSWER_MS};

    return call_whole(cli, &request, out_reply, err);
}

int call_post(struct cli *cli, const char *target, const json_t *body, json_t **out_reply,
              struct err *err)
{
    const struct api_request request = {
        .method = HTTP_POST, .target = target, .body = body, .timeout_ms = API_ANSWER_MS};

    return call_whole(cli, &request, out_reply, err);
}

json_t *call_reason_body(struct cli *cli, struct err *err)
{
    const char *reason = args_text(cli->args, OPTION_REASON);
    AUTO_JSON json_t *body = json_object();

    if (reason != NULL && json_object_set_new(body, "reason", json_string(reason)) < 0)
        return err_set_null(err, ERR_USAGE, "--reason is not UTF-8");
    return take_ptr(body);
}

char *call_worker_target(const char *name, const char *suffix, struct err *err)
{
    if (config_name_check(name, ERR_WORKER_NOT_FOUND, err) < 0)
        return err_wrap_null(err, "there is no such worker");
    return xasprintf("/v1/workers/%s%s", name, suffix);
}

char *call_model_target(const char *name, struct err *err)
{
    if (config_name_check(name, ERR_MODEL_NOT_FOUND, err) < 0)
        return err_wrap_null(err, "there is no such model");
    return xasprintf("/v1/models/%s", name);
}

/* What an address of a device may have in it: none of it would have to be escaped. */
static bool is_gpu_name(const char *name)
{
    static const char PREFIX[] = "gpu:";
    static const char ALLOWED[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:_-";

    return strncmp(name, PREFIX, strlen(PREFIX)) == 0 && name[strlen(PREFIX)] != '\0' &&
           strspn(name, ALLOWED) == strlen(name);
}

char *call_breaker_target(const char *name, const char *suffix, struct err *err)
{
    if (!is_gpu_name(name) && config_name_check(name, ERR_WORKER_NOT_FOUND, err) < 0)
        return err_wrap_null(err, "there is no such worker or gpu:ID");
    return xasprintf("/v1/breakers/%s%s", name, suffix);
}

char *call_gpu_target(const char *name, const char *suffix, struct err *err)
{
    if (!is_gpu_name(name))
        return err_set_null(err, ERR_GPU_NOT_FOUND,
                            "there is no GPU %s: its name is gpu:ID, as in rbee gpu ls", name);
    return xasprintf("/v1/gpus/%s%s", name, suffix);
}

static int print_buf(struct cli *cli, struct buf *text, struct err *err)
{
    return output_print(cli, text, err) < 0 ? -1 : EXIT_DONE;
}

int call_print_record(struct cli *cli, enum record_kind kind, const json_t *record, struct err *err)
{
    AUTO_BUF struct buf text = BUF_INIT(CALL_PRINT_MAX_BYTES);

    if (cli->wants_json)
        return output_print_json(cli, record, err) < 0 ? -1 : EXIT_DONE;
    record_print_details(kind, record, &text);
    return print_buf(cli, &text, err);
}

int call_print_list(struct cli *cli, enum record_kind kind, const json_t *reply, const char *field,
                    struct err *err)
{
    const json_t *rows = json_object_get(reply, field);
    AUTO_BUF struct buf text = BUF_INIT(CALL_PRINT_MAX_BYTES);

    if (!json_is_array(rows))
        return err_set(err, ERR_PROTOCOL, "the supervisor's answer has no list \"%s\"", field);
    if (cli->wants_json)
        return output_print_json(cli, reply, err) < 0 ? -1 : EXIT_DONE;
    record_print_table(kind, rows, &text);
    return print_buf(cli, &text, err);
}

int call_wait(struct cli *cli, const char *name, const char *state, uint64_t timeout_ms,
              json_t **out_record, struct err *err)
{
    AUTO_FREE char *suffix = xasprintf("/wait?for=%s", state);
    AUTO_FREE char *target = call_worker_target(name, suffix, err);
    struct api_request request = {.method = HTTP_GET, .target = target, .timeout_ms = timeout_ms};

    if (target == NULL || (cli->api == NULL && cli_connect(cli, err) < 0))
        return -1;
    if (call_send(cli, &request, out_record, err) == 0)
        return 0;
    if (err->kind == ERR_TIMED_OUT && cli->failure == NULL)
        return err_set(err, ERR_TIMED_OUT, "%s was not %s within the time", name, state);
    return -1;
}
