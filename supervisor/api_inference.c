/* Routes of inference: in, and out again early. */
#include "common/inference.h"

#include "common/json.h"
#include "supervisor/supervisor.h"

static struct deadline api_default_deadline(const struct api_call *call)
{
    const struct deadline_clock clock = api_clock(call->exchange);

    return deadline_after(
        &clock, (uint64_t)config_number(call->supervisor->config, CONFIG_deadline_default));
}

/* Which files are models is an admin's to say, as with POST /v1/models: rbeed can read more than
 * who may only ask. */
static int api_check_model(const struct api_call *call, const char *model, struct err *err)
{
    if (call->caller.may == AUTH_ADMIN || model == NULL || model[0] != '/')
        return 0;
    return err_set(err, ERR_FORBIDDEN, "%s may ask models by their names, and not by a file",
                   call->caller.actor);
}

/* What is wrong with the request itself is answered before it becomes one; from then on it answers
 * for itself. */
int api_inference(struct api_call *call, struct err *err)
{
    AUTO_JSON json_t *body = api_read_object(call, err);
    AUTO_JSON json_t *unknown = json_array();
    struct inference_request parsed;
    struct request *request = NULL;
    struct err refusal = ERR_INIT;

    if (body == NULL || inference_parse(body, &parsed, unknown, err) != 0 ||
        api_check_model(call, parsed.model, err) != 0)
        return -1;
    if (call->supervisor->is_stopping)
        return err_set(err, ERR_BUSY, "the supervisor is stopping");
    if (!deadline_is_set(&call->deadline))
        call->deadline = api_default_deadline(call);
    request = request_new(call, body, &parsed);
    if (resolve_request(request, parsed.model, &refusal) != 0)
        request_fail(request, &refusal);
    return 0;
}

int api_cancel(struct api_call *call, struct err *err)
{
    struct request *request = request_find(call->supervisor, call->parameter);
    struct err cancelled = ERR_INIT;

    if (request != NULL) {
        err_fill(&cancelled, ERR_CANCELLED, "the request was cancelled");
        request_fail(request, &cancelled);
    }
    http_reply(call->exchange, 204, NULL, NULL, 0);
    return 0;
}
