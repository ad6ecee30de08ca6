/* Owns the faults that are made on request. Knows nothing of those that come by themselves. */
#include "hip/drill.h"

#include "common/drill.h"
#include "common/http/http.h"
#include "common/json.h"
#include "common/log.h"
#include "hip/engine/engine.h"
#include "hip/serve.h"

#include <stdio.h>
#include <unistd.h>

enum {
    /* Long enough to be seen in a dashboard, too short to be in the way. */
    DRILL_SLOW_MS = 30000,
    DRILL_BODY_MAX_BYTES = 4096,

/* As in faults.def. */
#define FAULT(id, code, name) DRILL_EXIT_##id = code,
#include "hip/faults.def"
#undef FAULT
};

static int drill_read_kind(struct http_exchange *x, enum drill_kind *out, struct err *err)
{
    size_t len = 0;
    const char *text = http_exchange_body(x, &len);
    AUTO_JSON json_t *body = json_parse(text, len, DRILL_BODY_MAX_BYTES, err);
    const char *kind = "";

    if (body == NULL || json_read_text(body, "kind", &kind, err) < 0)
        return -1;
    return drill_of_name(kind, out, err);
}

int drill_start(struct serve *serve, struct http_exchange *x, struct err *err)
{
    enum drill_kind kind = DRILL_SLOW;
    AUTO_JSON json_t *answer = NULL;

    if (drill_read_kind(x, &kind, err) < 0)
        return -1;
    if (kind == DRILL_CRASH || kind == DRILL_HANG)
        return err_set(err, ERR_INVALID_FIELD, "%s is made by a signal", drill_name(kind));
    if (!serve->is_ready || serve->is_draining)
        return err_set(err, ERR_WORKER_LOADING, "the worker is not ready");
    log_event(LOG_WARN, "drill", "kind=%s", drill_name(kind));
    if (kind == DRILL_SLOW) {
        engine_slow_down(serve->engine, DRILL_SLOW_MS);
    } else {
        serve->drill = kind;
        serve->drill_exchange = x;
    }
    answer = json_pack("{s:i}", "for_ms", kind == DRILL_SLOW ? DRILL_SLOW_MS : 0);
    http_reply_json(x, 202, answer);
    return 0;
}

void drill_on_closed(struct serve *serve, const struct http_exchange *x)
{
    if (serve->drill_exchange != x)
        return;
    if (serve->drill == DRILL_OOM) {
        fprintf(stderr, "fatal class=host_memory reason=a drill: as if memory had run out\n");
        _exit(DRILL_EXIT_HOST_MEMORY);
    }
    fprintf(stderr, "fatal class=gpu_fault reason=a drill: as if the GPU had failed\n");
    _exit(DRILL_EXIT_GPU);
}
