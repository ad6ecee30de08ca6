/* Routes of the audit trail beside its list (api_events.c): verified, accepted, archived. */
#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/moment.h"
#include "common/paths.h"
#include "common/units.h"
#include "supervisor/audit_json.h"
#include "supervisor/supervisor.h"

#include <inttypes.h>
#include <string.h>

enum { HEAD_TEXT_BYTES = 20 + 1 + KEYED_HASH_TEXT_BYTES }; /* "SEQ:HASH" */

/* A client that waits for the database to have looked at all rows. */
struct audit_reply {
    struct api_held held;
    struct supervisor *supervisor;
    struct http_exchange *exchange;
    struct store_job *job;
    const char *file; /* of an archive; NULL: it is none */
    char *path;
};

static void audit_reply_free(struct audit_reply *reply)
{
    free(reply->path);
    free(reply);
}

/* What it asked for is done all the same: half an archive would be none. */
static void audit_reply_on_closed(struct api_held *held)
{
    struct audit_reply *reply = CONTAINER_OF(held, struct audit_reply, held);

    store_job_cancel(reply->supervisor->store, reply->job);
    audit_reply_free(reply);
}

static void audit_reply_on_verdict(void *owner, const struct audit_verdict *verdict,
                                   const struct err *err)
{
    struct audit_reply *reply = owner;
    AUTO_JSON json_t *body = audit_verdict_to_json(verdict);

    api_release(reply->exchange);
    if (reply->file != NULL) {
        (void)json_object_set_new(body, "file", json_string(reply->file));
        (void)json_object_set_new(body, "archived",
                                  json_integer((json_int_t)verdict->file_row_count));
    }
    if (err_is_set(err))
        api_reply_error(reply->exchange, err, NULL);
    else
        http_reply_json(reply->exchange, 200, body);
    feed_wake(reply->supervisor, FEED_AUDIT); /* it may have written a row */
    audit_reply_free(reply);
}

static struct audit_reply *audit_reply_new(struct api_call *call)
{
    struct audit_reply *reply = xcalloc(1, sizeof(*reply));

    reply->held.on_closed = audit_reply_on_closed;
    reply->supervisor = call->supervisor;
    reply->exchange = call->exchange;
    return reply;
}

static struct audit_waiter audit_reply_waiter(struct audit_reply *reply)
{
    return (struct audit_waiter){audit_reply_on_verdict, reply};
}

/* JOB is what was made of REPLY's waiter; NULL: nothing was. */
static int audit_reply_begin(struct api_call *call, struct audit_reply *reply,
                             struct store_job *job)
{
    reply->job = job;
    if (job == NULL) {
        audit_reply_free(reply);
        return -1;
    }
    api_hold(call, &reply->held);
    return 0;
}

static int audit_check_on(const struct api_call *call, struct err *err)
{
    if (call->supervisor->audit.is_on)
        return 0;
    return err_set(err, ERR_CONFLICT,
                   "there is no audit trail: audit { mode = local } in rbee.conf begins one");
}

/* ---- verify ---- */

/* "SEQ:HASH", of which the first digits of the hash are enough. */
static int audit_read_head(const struct api_call *call, int64_t *out_seq,
                           char out_hash[KEYED_HASH_TEXT_BYTES], struct err *err)
{
    char text[HEAD_TEXT_BYTES];
    char *colon = NULL;
    size_t len = 0;

    if (api_read_query(call, "head", text, sizeof(text), err) != 0)
        return -1;
    if (text[0] == '\0')
        return 0;
    colon = strchr(text, ':');
    if (colon != NULL) {
        *colon = '\0';
        len = strlen(colon + 1);
    }
    if (len < AUDIT_HASH_PREFIX_MIN_BYTES || len >= KEYED_HASH_TEXT_BYTES ||
        strspn(colon + 1, "0123456789abcdef") != len ||
        units_parse_integer(text, 1, INT64_MAX, out_seq, err) != 0)
        return err_set(err, ERR_INVALID_FIELD,
                       "head must be the number of a row and %d to %d digits of its hash, SEQ:HASH",
                       AUDIT_HASH_PREFIX_MIN_BYTES, KEYED_HASH_TEXT_BYTES - 1);
    memcpy(out_hash, colon + 1, len + 1);
    return 0;
}

int api_audit_verify(struct api_call *call, struct err *err)
{
    char hash[KEYED_HASH_TEXT_BYTES] = "";
    int64_t seq = 0;
    struct audit_reply *reply = NULL;

    if (audit_check_on(call, err) != 0 || audit_read_head(call, &seq, hash, err) != 0)
        return -1;
    reply = audit_reply_new(call);
    return audit_reply_begin(
        call, reply,
        audit_verify(call->supervisor->store, seq, hash, audit_reply_waiter(reply), err));
}

/* ---- accept ---- */

int api_audit_accept(struct api_call *call, struct err *err)
{
    AUTO_JSON json_t *body = api_read_object(call, err);
    const char *reason = body == NULL ? NULL : api_read_reason(body, err);
    struct audit_who who;
    struct audit_row row;
    struct audit_reply *reply = NULL;
    AUTO_JSON json_t *details = NULL;
    AUTO_FREE char *text = NULL;

    if (reason == NULL || audit_check_on(call, err) != 0)
        return -1;
    details = json_pack("{s:o}", "reason", json_text_lossy(reason, strlen(reason)));
    text = audit_details_text(json_incref(details));
    who = audit_who_of_call(call);
    audit_fill_row(&who, AUDIT_ACCEPTED, text, &row);
    reply = audit_reply_new(call);
    return audit_reply_begin(
        call, reply, audit_accept(call->supervisor->store, &row, audit_reply_waiter(reply), err));
}

/* ---- archive ---- */

static int audit_read_before(const json_t *body, int64_t *out_ms, struct err *err)
{
    const char *before = NULL;

    if (json_read_text(body, "before", &before, err) != 0)
        return -1;
    if (before == NULL)
        return err_set(err, ERR_INVALID_FIELD, "before must be a time, or how long ago");
    if (moment_parse(before, clock_wall_ms(), out_ms, err) == 0)
        return 0;
    err->kind = ERR_INVALID_FIELD;
    return err_wrap(err, "before");
}

/* The number of its first row, and when it was made: two of them are never alike. */
static void audit_name_file(struct audit_reply *reply)
{
    struct audit_head head;
    AUTO_FREE char *name = NULL;

    audit_stored_head(reply->supervisor->store, &head);
    name = xasprintf("audit-%012" PRId64 "-%" PRId64 ".jsonl", head.first_seq, clock_wall_ms());
    reply->path = paths_join(reply->supervisor->audit.dir, name);
    reply->file = strrchr(reply->path, '/') + 1;
}

int api_audit_archive(struct api_call *call, struct err *err)
{
    AUTO_JSON json_t *body = api_read_object(call, err);
    struct audit_archive archive = {.to_line = audit_row_to_line};
    struct audit_who who;
    struct audit_reply *reply = NULL;
    AUTO_FREE char *text = NULL;
    char before[CLOCK_RFC3339_BYTES];

    if (body == NULL || audit_check_on(call, err) != 0 ||
        audit_read_before(body, &archive.before_ms, err) != 0)
        return -1;
    reply = audit_reply_new(call);
    audit_name_file(reply);
    clock_format_rfc3339(archive.before_ms, before);
    text = audit_details_text(json_pack("{s:s, s:s}", "before", before, "file", reply->file));
    who = audit_who_of_call(call);
    audit_fill_row(&who, AUDIT_ARCHIVED, text, &archive.row);
    archive.path = reply->path;
    return audit_reply_begin(
        call, reply,
        audit_archive(call->supervisor->store, &archive, audit_reply_waiter(reply), err));
}
