/* Owns coming back to a supervisor that went away while it was followed. Must not know what is
 * followed. */
#include "cli/follow.h"

#include "cli/call.h"
#include "cli/message.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/moment.h"

#include <string.h>

enum { FOLLOW_AGAIN_MS = 300 };

struct follower {
    struct cli *cli;
    const struct follow *follow;
    bool has_been_answered; /* from then on a supervisor that is gone is waited for */
    bool is_waiting;        /* and that has been said */
};

static int refuse_error_event(const json_t *event, struct err *err)
{
    AUTO_JSON json_t *envelope = json_pack("{s:O}", "error", event);

    json_error_from_envelope(envelope, err);
    return -1;
}

static int on_event(void *owner, const char *data, size_t len, struct err *err)
{
    struct follower *follower = owner;
    AUTO_JSON json_t *event = json_parse(data, len, API_REPLY_MAX_BYTES, err);
    const char *type = json_string_value(json_object_get(event, "type"));

    if (type == NULL)
        return err_set(err, ERR_PROTOCOL, "the supervisor sent an event that is none");
    follower->has_been_answered = true;
    follower->is_waiting = false;
    if (strcmp(type, "error") == 0)
        return refuse_error_event(event, err);
    return follower->follow->on_event(follower->follow->owner, event, err);
}

/* Waits a little for the supervisor to come back. */
static int await(struct follower *follower, struct err *err)
{
    if (!follower->is_waiting)
        message_note(follower->cli, "the supervisor has gone; waiting for it (Ctrl-C ends this)");
    follower->is_waiting = true;
    return interrupt_rest(&follower->cli->interrupt, FOLLOW_AGAIN_MS, err);
}

/* 0: it has ended, or broken off, and may be begun again. */
static int follow_once(struct follower *follower, struct err *err)
{
    AUTO_FREE char *target = follower->follow->target(follower->follow->owner);
    struct api_request request = {
        .method = HTTP_GET, .target = target, .on_event = on_event, .owner = follower};

    if (call_send(follower->cli, &request, NULL, err) == 0) {
        follower->has_been_answered = true;
        return 0;
    }
    if (err->kind == ERR_STREAM_BROKEN)
        follower->has_been_answered = true;
    else if (!follower->has_been_answered ||
             (err->kind != ERR_UNREACHABLE && err->kind != ERR_BUSY))
        return -1;
    err_clear(err);
    json_decref(take_ptr(follower->cli->failure));
    return 0;
}

int follow_run(struct cli *cli, const struct follow *follow, struct err *err)
{
    struct follower follower = {.cli = cli, .follow = follow};

    do {
        if (follow_once(&follower, err) < 0)
            return -1;
    } while (await(&follower, err) == 0);
    return -1;
}

int follow_read_since(struct cli *cli, int64_t *out_ms, struct err *err)
{
    const char *text = args_text(cli->args, OPTION_SINCE);

    *out_ms = 0;
    if (text == NULL || moment_parse(text, clock_wall_ms(), out_ms, err) == 0)
        return 0;
    return err_wrap(err, "--since");
}
