/* Owns the writing of replies and streams, and what an owner may ask of an exchange. Knows nothing
 * of how requests come in. */
#include "common/http/server.h"

#include "common/http/sse.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/token.h"
#include "common/units.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>

enum {
    /* Reply storage that an idle connection may keep. */
    EXCHANGE_KEPT_BYTES = 4096,
    EXCHANGE_NO_LENGTH = -1,
    STATUS_CLASS = 100,
    MS_PER_S = 1000,
    /* For errors to retry that say no time: queues and bodies are gone within a second. */
    RETRY_AFTER_DEFAULT_MS = 1000,
    EXCHANGE_GROUPS_USUAL_COUNT = 64, /* of a process; more cost an allocation */
};

/* ---- request ids ---- */

static bool exchange_is_request_id(const char *text)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "._-";
    size_t len = strspn(text, allowed);

    return len > 0 && len <= HTTP_REQUEST_ID_MAX_LEN && text[len] == '\0';
}

void exchange_name(struct http_exchange *x, const struct http_head *head)
{
    const char *given = head == NULL ? NULL : http_head_find(head, "X-Request-Id");

    static_assert(TOKEN_ID_BYTES <= sizeof(x->request_id), "an id of ours fits");
    if (given != NULL && exchange_is_request_id(given))
        memcpy(x->request_id, given, strlen(given) + 1);
    else
        token_new_id('q', x->request_id);
}

const char *http_exchange_request_id(const struct http_exchange *x)
{
    return x->request_id;
}

/* ---- life ---- */

static void exchange_shrink(struct buf *buf)
{
    if (buf->capacity > EXCHANGE_KEPT_BYTES)
        buf_release(buf);
    else
        buf_clear(buf);
}

void exchange_reset(struct http_exchange *x)
{
    exchange_shrink(&x->body);
    exchange_shrink(&x->reply_headers);
    json_decref(x->error_details);
    x->error_details = NULL;
    x->user = NULL;
    x->request_id[0] = '\0';
    x->is_open = false;
    x->is_head_request = false;
    x->is_version_1_0 = false;
    x->has_begun = false;
    x->is_chunked = false;
    x->has_ended = false;
    x->is_over_high = false;
    x->closes = false;
}

void exchange_release(struct http_exchange *x)
{
    buf_release(&x->body);
    buf_release(&x->reply_headers);
    json_decref(x->error_details);
}

/* ---- what the owner may ask ---- */

const struct http_head *http_exchange_head(const struct http_exchange *x)
{
    return x->head;
}

const char *http_exchange_body(const struct http_exchange *x, size_t *out_len)
{
    *out_len = x->body.len;
    return x->body.data;
}

const struct http_peer *http_exchange_peer(const struct http_exchange *x)
{
    return &x->peer;
}

bool http_exchange_peer_has_group(const struct http_exchange *x, gid_t gid)
{
    gid_t few[EXCHANGE_GROUPS_USUAL_COUNT];
    AUTO_FREE gid_t *many = NULL;
    const gid_t *groups = few;
    socklen_t len = sizeof(few);

    if (!x->peer.is_unix)
        return false;
    if (x->peer.gid == gid)
        return true;
    if (getsockopt(x->conn->fd, SOL_SOCKET, SO_PEERGROUPS, few, &len) < 0) {
        if (errno != ERANGE) /* then LEN is what they need; the kernel allows 65,536 */
            return false;
        groups = many = xcalloc(1, len);
        if (getsockopt(x->conn->fd, SOL_SOCKET, SO_PEERGROUPS, many, &len) < 0)
            return false;
    }
    for (size_t i = 0; i < len / sizeof(*groups); i++) {
        if (groups[i] == gid)
            return true;
    }
    return false;
}

uint64_t http_exchange_arrived_us(const struct http_exchange *x)
{
    return x->arrived_us;
}

void http_exchange_set_user(struct http_exchange *x, void *user)
{
    x->user = user;
}

void *http_exchange_user(const struct http_exchange *x)
{
    return x->user;
}

bool http_exchange_has_begun(const struct http_exchange *x)
{
    return x->has_begun;
}

size_t http_exchange_unsent_bytes(const struct http_exchange *x)
{
    return conn_unsent_bytes(x->conn);
}

/* ---- replies ---- */

static const char *exchange_reason(int status)
{
    switch (status) {
#define REASON(code, text)                                                                         \
    case code:                                                                                     \
        return text;
#include "common/http/reasons.def"
#undef REASON
    default:
        return "";
    }
}

static bool exchange_status_has_body(int status)
{
    return status / STATUS_CLASS != 1 && status != 204 && status != 304;
}

void http_reply_header(struct http_exchange *x, const char *name, const char *value)
{
    assert(!x->has_begun);
    /* Foreign text belongs into bodies, where it is escaped; here it could add headers. */
    assert(strpbrk(name, "\r\n: ") == NULL && strpbrk(value, "\r\n") == NULL);
    if (buf_add_texts(&x->reply_headers, name, ": ", value, "\r\n") < 0)
        assert(!"more reply headers than the limit");
}

static void exchange_begin(struct http_exchange *x, int status, const char *content_type,
                           int64_t length)
{
    struct buf *out = &x->conn->out;
    char number[UNITS_TEXT_BYTES];
    int failed = 0;

    assert(!x->has_begun);
    x->has_begun = true;
    x->reply_at = out->len;
    if (status == 400) /* its sender and we may not agree on where the next request begins */
        x->closes = true;
    (void)units_format_whole((uint64_t)status, number);
    failed |= buf_add_texts(out, "HTTP/1.1 ", number, " ", exchange_reason(status),
                            "\r\nDate: ", server_date(x->server), "\r\n");
    if (content_type != NULL)
        failed |= buf_add_texts(out, "Content-Type: ", content_type, "\r\n");
    (void)units_format_whole(length >= 0 ? (uint64_t)length : 0, number);
    if (x->is_chunked)
        failed |= buf_add_string(out, "Transfer-Encoding: chunked\r\n");
    else if (length >= 0 && exchange_status_has_body(status))
        failed |= buf_add_texts(out, "Content-Length: ", number, "\r\n");
    if (x->closes)
        failed |= buf_add_string(out, "Connection: close\r\n");
    failed |= buf_add_texts(out, "X-Request-Id: ", http_exchange_request_id(x), "\r\n");
    failed |= buf_add(out, x->reply_headers.data, x->reply_headers.len);
    failed |= buf_add_string(out, "\r\n");
    conn_flush_later(x->conn, failed != 0);
}

void http_reply(struct http_exchange *x, int status, const char *content_type, const void *body,
                size_t len)
{
    exchange_begin(x, status, content_type, (int64_t)len);
    if (!x->is_head_request && exchange_status_has_body(status))
        conn_write(x->conn, body, len);
    x->has_ended = true;
}

void http_reply_json(struct http_exchange *x, int status, const json_t *body)
{
    AUTO_FREE char *text = json_to_text(body);

    http_reply(x, status, "application/json", text, strlen(text));
}

static bool exchange_has_reply_header(const struct http_exchange *x, const char *name_and_colon)
{
    return strcasestr(x->reply_headers.data, name_and_colon) != NULL;
}

/* In whole seconds, the next one up: whoever comes back must not be too early. */
static void exchange_add_retry_after(struct http_exchange *x, const struct err *error)
{
    uint64_t ms = error->retry_after_ms;
    AUTO_FREE char *seconds = NULL;

    if (ms == 0 && err_is_retryable(error->kind))
        ms = RETRY_AFTER_DEFAULT_MS;
    if (ms == 0 || exchange_has_reply_header(x, "Retry-After:"))
        return;
    seconds = xasprintf("%" PRIu64, ms / MS_PER_S + (ms % MS_PER_S != 0));
    http_reply_header(x, "Retry-After", seconds);
}

void http_reply_details(struct http_exchange *x, json_t *details)
{
    json_decref(x->error_details);
    x->error_details = details;
}

void http_reply_error(struct http_exchange *x, const struct err *error, const json_t *details)
{
    int status = err_http_status(error->kind);
    AUTO_JSON json_t *envelope = json_error_envelope(error, http_exchange_request_id(x),
                                                     details != NULL ? details : x->error_details);

    exchange_add_retry_after(x, error);
    if (status == 401 && !exchange_has_reply_header(x, "WWW-Authenticate:"))
        http_reply_header(x, "WWW-Authenticate", "Bearer");
    http_reply_json(x, status, envelope);
}

/* ---- replies that wait ---- */

void http_exchange_hold(struct http_exchange *x, void (*on_gone)(void *owner), void *owner)
{
    assert(!x->has_begun && x->on_gone == NULL);
    x->on_gone = on_gone;
    x->gone_owner = owner;
    conn_hold(x->conn);
}

void http_exchange_withdraw(struct http_exchange *x)
{
    struct buf *out = &x->conn->out;

    assert(x->on_gone != NULL);
    if (!x->has_begun)
        return;
    out->len = x->reply_at;
    buf_clear(&x->reply_headers);
    x->has_begun = false;
    x->is_chunked = false;
    x->has_ended = false;
}

void http_exchange_let_go(struct http_exchange *x)
{
    assert(x->on_gone != NULL);
    x->on_gone = NULL;
    conn_let_go(x->conn);
}

/* ---- streams ---- */

void http_stream_begin(struct http_exchange *x, int status, const char *content_type)
{
    x->is_chunked = !x->is_version_1_0;
    if (!x->is_chunked)
        x->closes = true; /* only the end of the connection can say where the body ends */
    exchange_begin(x, status, content_type, EXCHANGE_NO_LENGTH);
}

/* The size of a chunk, as each event of a stream has one: printf would be most of what it costs. */
static int exchange_add_chunk_size(struct buf *out, size_t len)
{
    static const char HEX[] = "0123456789abcdef";
    char text[2 * sizeof(len) + 2];
    size_t at = sizeof(text);

    text[--at] = '\n';
    text[--at] = '\r';
    do {
        text[--at] = HEX[len & 0xf];
        len >>= 4;
    } while (len > 0);
    return buf_add(out, text + at, sizeof(text) - at);
}

static bool exchange_takes_chunks(const struct http_exchange *x)
{
    assert(x->has_begun && !x->has_ended);
    return !x->is_head_request;
}

/* BODY of the chunk is in place; FAILED: not all of it. */
static void exchange_end_chunk(struct http_exchange *x, int failed)
{
    if (x->is_chunked)
        failed |= buf_add_string(&x->conn->out, "\r\n");
    conn_flush_later(x->conn, failed != 0);
    if (conn_unsent_bytes(x->conn) > HTTP_UNSENT_HIGH_BYTES)
        x->is_over_high = true;
}

void http_stream_write(struct http_exchange *x, const void *data, size_t len)
{
    struct buf *out = &x->conn->out;
    int failed = 0;

    if (!exchange_takes_chunks(x) || len == 0) /* an empty chunk would be the last one */
        return;
    if (x->is_chunked)
        failed |= exchange_add_chunk_size(out, len);
    exchange_end_chunk(x, failed | buf_add(out, data, len));
}

void http_stream_event_text(struct http_exchange *x, const char *text, size_t len)
{
    struct buf *out = &x->conn->out;
    int failed = 0;

    if (!exchange_takes_chunks(x))
        return;
    if (x->is_chunked)
        failed |= exchange_add_chunk_size(out, SSE_AROUND_BYTES + len);
    exchange_end_chunk(x, failed | sse_append(out, text, len));
}

void http_stream_event(struct http_exchange *x, const json_t *event)
{
    AUTO_FREE char *text = json_to_text(event);
    size_t len = strlen(text);

    if (len <= SSE_EVENT_MAX_BYTES * 2 - SSE_AROUND_BYTES)
        http_stream_event_text(x, text, len);
}

void http_stream_end(struct http_exchange *x)
{
    assert(x->has_begun && !x->has_ended);
    if (x->is_chunked && !x->is_head_request)
        conn_write(x->conn, "0\r\n\r\n", strlen("0\r\n\r\n"));
    else
        conn_flush_later(x->conn, false);
    x->has_ended = true;
}
