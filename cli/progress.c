/* Owns the line that says how far a model is loaded. Must not know what it is loaded for. */
#include "cli/progress.h"

#include "cli/api.h"
#include "cli/cli.h"
#include "cli/message.h"
#include "common/buf.h"
#include "common/json.h"
#include "common/mem.h"

#include <event2/event.h>
#include <string.h>

enum {
    PROGRESS_INTERVAL_US = 200000, /* a line that changes five times a second can be read */
    PROGRESS_REPLY_MAX_BYTES = 1 << 20,
    PERCENT = 100,
};

struct progress {
    struct cli *cli;
    struct event *timer;
    struct http_call *call; /* NULL: none on its way */
    struct buf reply;
};

/* The first worker that loads: one a device at a time does. */
static const json_t *find_loading(const json_t *workers)
{
    const json_t *worker = NULL;
    size_t index = 0;

    json_array_foreach(workers, index, worker)
    {
        const char *state = json_string_value(json_object_get(worker, "state"));

        if (state != NULL && strcmp(state, "starting") == 0)
            return worker;
    }
    return NULL;
}

static void show(struct progress *progress, const json_t *workers)
{
    const json_t *worker = find_loading(workers);
    const char *name = json_string_value(json_object_get(worker, "name"));
    double done = json_number_value(json_object_get(worker, "load_done_bytes"));
    double total = json_number_value(json_object_get(worker, "load_total_bytes"));

    if (name != NULL && total > 0)
        message_progress(progress->cli, "loading %s %.0f %%", name, done / total * PERCENT);
    else if (name != NULL)
        message_progress(progress->cli, "starting %s", name);
}

static int on_head(struct http_call *call, void *owner, const struct http_head *head,
                   struct err *err)
{
    return 0;
}

static void on_body(struct http_call *call, void *owner, const char *data, size_t len)
{
    struct progress *progress = owner;

    (void)buf_add(&progress->reply, data, len); /* a reply that is cut is no JSON: nothing shown */
}

static void on_end(struct http_call *call, void *owner, const struct err *failure)
{
    struct progress *progress = owner;
    struct err ignored = ERR_INIT; /* the request itself will say what is wrong */
    AUTO_JSON json_t *reply = NULL;

    progress->call = NULL;
    if (failure != NULL)
        return;
    reply =
        json_parse(progress->reply.data, progress->reply.len, PROGRESS_REPLY_MAX_BYTES, &ignored);
    show(progress, json_object_get(reply, "workers"));
}

static void on_timer(evutil_socket_t fd, short what, void *owner)
{
    static const struct http_call_events EVENTS = {
        .on_head = on_head, .on_body = on_body, .on_end = on_end};
    struct progress *progress = owner;

    if (progress->call != NULL)
        return;
    buf_clear(&progress->reply);
    progress->call = api_get_beside(progress->cli->api, "/v1/workers", &EVENTS, progress);
}

struct progress *progress_start(struct cli *cli)
{
    static const struct timeval INTERVAL = {.tv_usec = PROGRESS_INTERVAL_US};
    struct progress *progress = NULL;

    if (!cli->has_progress)
        return NULL;
    progress = xcalloc(1, sizeof(*progress));
    progress->cli = cli;
    buf_init(&progress->reply, PROGRESS_REPLY_MAX_BYTES);
    progress->timer = event_new(api_base(cli->api), -1, EV_PERSIST, on_timer, progress);
    if (progress->timer != NULL)
        (void)event_add(progress->timer, &INTERVAL); /* without it nothing is shown */
    return progress;
}

void progress_stop(struct progress *progress)
{
    if (progress == NULL)
        return;
    if (progress->call != NULL)
        http_call_cancel(progress->call);
    if (progress->timer != NULL)
        event_free(progress->timer);
    message_progress_clear(progress->cli);
    buf_release(&progress->reply);
    free(progress);
}
