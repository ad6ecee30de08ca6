/* Routes about the supervisor itself. */
#include "common/json.h"
#include "supervisor/supervisor.h"

enum { DRAIN_MAX_MS = 3600 * 1000 }; /* as the key life.drain */

static void api_reply_status(struct api_call *call, const char *status)
{
    AUTO_JSON json_t *body = json_pack("{s:s}", "status", status);

    http_reply_json(call->exchange, 200, body);
}

int api_health(struct api_call *call, struct err *err)
{
    api_reply_status(call, "ok");
    return 0;
}

int api_ready(struct api_call *call, struct err *err)
{
    if (call->supervisor->is_stopping)
        return err_set(err, ERR_BUSY, "the supervisor is stopping");
    api_reply_status(call, "ready");
    return 0;
}

int api_status(struct api_call *call, struct err *err)
{
    AUTO_JSON json_t *record = supervisor_record(call->supervisor);

    shown_reply(call, record);
    return 0;
}

int api_shutdown(struct api_call *call, struct err *err)
{
    AUTO_JSON json_t *body = api_read_object(call, err);
    int64_t drain_ms = config_number(call->supervisor->config, CONFIG_life_drain);

    if (body == NULL || json_read_integer(body, "drain_ms", 0, DRAIN_MAX_MS, &drain_ms, err) != 0)
        return -1;
    supervisor_stop(call->supervisor, (uint64_t)drain_ms);
    http_reply_json(call->exchange, 202, body);
    return 0;
}
