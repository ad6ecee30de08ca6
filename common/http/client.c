/* Owns calls to one address and their connections. A call is a connection with a request on it; one
 * whose reply was complete rests in the client's pool and serves a later call.
 *
 * A request is sent a second time, once, on a fresh connection, when it went out on one that had
 * rested and that ended before any byte of a reply, and
 *   - the kernel had not taken all of it, so that no one can have executed it, or
 *   - its method is idempotent (GET, HEAD, PUT, DELETE, OPTIONS; RFC 9110, 9.2.2).
 * A POST that may have been read is never repeated. */
#include "common/http/address.h"
#include "common/http/conn.h"
#include "common/http/http.h"
#include "common/http/parser.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/units.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

enum {
    CLIENT_IDLE_MAX_COUNT = 64,
    /* Less than the time servers let a connection rest, so that the two do not race. */
    CLIENT_IDLE_MAX_MS = 20000,
    CLIENT_HEAD_MAX_BYTES = 64 * 1024, /* of a request: ours, so this is only a bound */
    CLIENT_INTERIM_MAX_COUNT = 8,      /* 1xx replies before the real one */
    /* More than any socket holds unread: what a paused call takes over when the other side ends. */
    CLIENT_HELD_MAX_BYTES = 64 * 1024 * 1024,
    CLIENT_HELD_KEPT_BYTES = 16 * 1024, /* storage that a resting connection may keep */
    STATUS_CLASS = 100,
};

struct http_call {
    struct conn conn;
    struct http_client *client; /* NULL: it has been freed */
    struct parser parser;
    struct http_call *next;
    struct http_call *previous;
    const struct http_call_events *events;
    void *owner;
    enum http_method method;
    bool is_resting;    /* in the pool, without a request */
    bool is_reused;     /* its connection has served another call */
    bool is_alone;      /* its connection serves no other call */
    bool has_reply;     /* some byte of the reply has come */
    bool is_interim;    /* the head just read is a 1xx */
    bool is_stream;     /* text/event-stream has no cap */
    bool has_ended;     /* the whole reply is parsed, the end not told yet */
    bool is_input_over; /* hung up; conn.in is all that is left */
    int input_error;    /* how it hung up: 0 or an errno */
    unsigned interim_count;
    size_t reply_bytes;
    struct buf held; /* body that was parsed while the owner paused */
    uint64_t rests_since_ms;
};

struct http_client {
    struct event_base *base;
    struct http_address address;
    size_t reply_max_bytes;
    char host[HTTP_HOST_MAX_BYTES];
    struct http_call *calls; /* running and resting */
    unsigned idle_count;
};

static struct http_call *call_of(struct conn *conn)
{
    return CONTAINER_OF(conn, struct http_call, conn);
}

/* ---- ends ---- */

static void call_unlink(struct http_call *call)
{
    if (call->next != NULL)
        call->next->previous = call->previous;
    if (call->previous != NULL)
        call->previous->next = call->next;
    else if (call->client != NULL)
        call->client->calls = call->next;
    call->next = NULL;
    call->previous = NULL;
}

static void call_on_released(struct conn *conn)
{
    struct http_call *call = call_of(conn);

    if (call->is_resting && call->client != NULL)
        call->client->idle_count--;
    call_unlink(call);
    parser_release(&call->parser);
    buf_release(&call->held);
    free(call);
}

/* Only from callbacks of the connection, so that the call is still there while its owner is told.
 */
static void call_fail(struct http_call *call, const struct err *failure)
{
    assert(call->conn.depth > 0);
    if (call->conn.is_closed) /* cancelled */
        return;
    conn_close(&call->conn);
    call->events->on_end(call, call->owner, failure);
}

static bool call_can_rest(const struct http_call *call, size_t surplus_bytes)
{
    return !call->conn.is_closed && !call->is_alone && surplus_bytes == 0 &&
           call->parser.framing.keep_alive && conn_unsent_bytes(&call->conn) == 0 &&
           !call->conn.is_write_broken && !call->is_input_over &&
           call->client->idle_count < CLIENT_IDLE_MAX_COUNT;
}

static void call_rest(struct http_call *call)
{
    call->is_resting = true;
    call->rests_since_ms = clock_monotonic_ms();
    call->client->idle_count++;
    if (call->held.capacity > CLIENT_HELD_KEPT_BYTES)
        buf_release(&call->held);
    if (call->conn.is_paused)
        conn_resume(&call->conn);
}

/* SURPLUS_BYTES of input behind the reply belong to nobody. The owner is told first: it may cancel
 * other calls, make its next one, or free the client. */
static void call_complete(struct http_call *call, size_t surplus_bytes)
{
    call->has_ended = false;
    call->events->on_end(call, call->owner, NULL);
    if (call_can_rest(call, surplus_bytes))
        call_rest(call);
    else
        conn_close(&call->conn);
}

static void call_fail_end(struct http_call *call, struct err *err)
{
    if (call->input_error != 0) {
        errno = call->input_error;
        err_fill(err, ERR_STREAM_BROKEN, "the connection broke: %m");
        call_fail(call, err);
    } else if (parser_finish(&call->parser, err) == PARSER_FOUND_END) {
        call_complete(call, 0);
    } else {
        call_fail(call, err);
    }
}

/* ---- the request ---- */

static bool call_is_idempotent(const struct http_call *call)
{
    return call->method != HTTP_POST && call->method != HTTP_OTHER;
}

static bool call_may_repeat(const struct http_call *call, int error)
{
    /* ENOBUFS: the request itself could not be made whole. */
    return call->is_reused && !call->has_reply && error != ENOBUFS &&
           (call_is_idempotent(call) || conn_unsent_bytes(&call->conn) > 0);
}

static void call_connect(struct http_call *call)
{
    call->is_reused = false;
    conn_connect(&call->conn, &call->client->address);
}

static void call_write_request(struct http_call *call, const struct http_request *request)
{
    struct buf *out = &call->conn.out;
    char length[UNITS_TEXT_BYTES];
    int failed = 0;

    assert(conn_unsent_bytes(&call->conn) == 0);
    out->max = CLIENT_HEAD_MAX_BYTES + request->body_len;
    failed |= buf_add_texts(out, http_method_name(request->method), " ", request->target,
                            " HTTP/1.1\r\nHost: ", call->client->host, "\r\n");
    for (size_t i = 0; i < request->header_count; i++) {
        const struct http_header *header = &request->headers[i];

        /* Foreign text belongs into bodies, where it is escaped; here it could add headers. */
        assert(strpbrk(header->name, "\r\n: ") == NULL && strpbrk(header->value, "\r\n") == NULL);
        failed |= buf_add_texts(out, header->name, ": ", header->value, "\r\n");
    }
    (void)units_format_whole(request->body_len, length);
    if (request->body_len > 0 || request->method == HTTP_POST || request->method == HTTP_PUT)
        failed |= buf_add_texts(out, "Content-Length: ", length, "\r\n");
    failed |= buf_add_string(out, "\r\n");
    failed |= buf_add(out, request->body, request->body_len);
    conn_flush_later(&call->conn, failed != 0);
}

static void call_begin(struct http_call *call, const struct http_request *request)
{
    call->method = request->method;
    call->is_resting = false;
    call->has_reply = false;
    call->is_interim = false;
    call->is_stream = false;
    call->has_ended = false;
    call->is_input_over = false;
    call->input_error = 0;
    call->interim_count = 0;
    call->reply_bytes = 0;
    parser_next_message(&call->parser);
    if (request->method == HTTP_HEAD)
        parser_expect_no_body(&call->parser);
    call->conn.holds_sent = true;
}

/* ---- the reply ---- */

static bool call_says_stream(const struct http_head *head)
{
    const char *type = http_head_find(head, "Content-Type");

    return type != NULL && strncasecmp(type, "text/event-stream", strlen("text/event-stream")) == 0;
}

static int call_count_body(struct http_call *call, uint64_t len, struct err *err)
{
    if (call->is_stream)
        return 0;
    if (len > call->client->reply_max_bytes - call->reply_bytes)
        return err_set(err, ERR_PROTOCOL, "reply of more than %zu bytes",
                       call->client->reply_max_bytes);
    return 0;
}

static int call_check_interim(struct http_call *call, int status, struct err *err)
{
    call->is_interim = true;
    if (status == 101 || ++call->interim_count > CLIENT_INTERIM_MAX_COUNT)
        return err_set(err, ERR_PROTOCOL, "reply refused: status %d where none was asked for",
                       status);
    return 0;
}

static int call_on_head(struct http_call *call, struct err *err)
{
    const struct http_head *head = &call->parser.message;

    if (head->status / STATUS_CLASS == 1)
        return call_check_interim(call, head->status, err);
    call->is_stream = call_says_stream(head);
    if (call_count_body(call, call->parser.framing.length, err) < 0)
        return -1;
    return call->events->on_head(call, call->owner, head, err);
}

static int call_on_body(struct http_call *call, struct err *err)
{
    const struct parser_input *piece = &call->parser.piece;

    if (call_count_body(call, piece->len, err) < 0)
        return -1;
    call->reply_bytes += piece->len;
    call->events->on_body(call, call->owner, piece->data, piece->len);
    return 0;
}

static void call_on_reply_end(struct http_call *call, size_t surplus_bytes)
{
    if (!call->is_interim) {
        call_complete(call, surplus_bytes);
        return;
    }
    call->is_interim = false;
    parser_next_message(&call->parser);
    if (call->method == HTTP_HEAD)
        parser_expect_no_body(&call->parser);
}

static bool call_is_running(const struct http_call *call)
{
    return !call->conn.is_closed && !call->is_resting;
}

static size_t call_read_reply(struct http_call *call, const char *data, size_t len)
{
    struct parser_input input = {.data = data, .len = len};
    struct err err = ERR_INIT;

    while (call_is_running(call) && !call->conn.is_paused) {
        int result = 0;

        switch (parser_step(&call->parser, &input, &err)) {
        case PARSER_NEEDS_INPUT:
            if (call->is_input_over)
                call_fail_end(call, &err);
            return len;
        case PARSER_FOUND_HEAD:
            result = call_on_head(call, &err);
            break;
        case PARSER_FOUND_BODY:
            result = call_on_body(call, &err);
            break;
        case PARSER_FOUND_END:
            call_on_reply_end(call, input.len);
            break;
        case PARSER_FAILED:
            result = -1;
            break;
        }
        if (result < 0)
            call_fail(call, &err);
    }
    return call_is_running(call) ? len - input.len : len;
}

/* What was parsed while the owner paused. */
static void call_deliver_held(struct http_call *call)
{
    if (call->held.len > 0) {
        call->events->on_body(call, call->owner, call->held.data, call->held.len);
        buf_clear(&call->held);
    }
    if (call->has_ended && !call->conn.is_closed && !call->conn.is_paused)
        call_complete(call, 0);
}

static size_t call_on_input(struct conn *conn, const char *data, size_t len)
{
    struct http_call *call = call_of(conn);

    if (call->is_resting) {
        if (len > 0) /* nobody asked for it */
            conn_close(conn);
        return len;
    }
    if (conn->is_paused) /* again, before it was offered */
        return 0;
    if (len > 0 && conn->holds_sent) {
        call->has_reply = true;
        conn_forget_sent(conn);
    }
    call_deliver_held(call);
    return call_is_running(call) ? call_read_reply(call, data, len) : len;
}

/* ---- hang-ups ---- */

/* Parses what is left without telling the owner, who paused: a reply that is whole waits for the
 * owner to go on, one that is not has broken, and that is told now. A head that has not been
 * told yet waits, too. */
static void call_hold_rest(struct http_call *call)
{
    struct parser_input input = {0};
    struct err err = ERR_INIT;
    enum parser_step step = PARSER_FOUND_BODY;

    conn_drain(&call->conn, CLIENT_HELD_MAX_BYTES);
    input = (struct parser_input){.data = call->conn.in.data, .len = call->conn.in.len};
    if (call->parser.state == PARSER_IN_HEAD)
        return;
    while (step == PARSER_FOUND_BODY) {
        step = parser_step(&call->parser, &input, &err);
        if (step == PARSER_FOUND_BODY &&
            (call_count_body(call, call->parser.piece.len, &err) < 0 ||
             buf_add(&call->held, call->parser.piece.data, call->parser.piece.len) < 0))
            step = PARSER_FAILED;
    }
    if (step == PARSER_NEEDS_INPUT && call->input_error == 0)
        step = parser_finish(&call->parser, &err);
    call->has_ended = step == PARSER_FOUND_END;
    buf_consume(&call->conn.in, call->conn.in.len - input.len);
    if (!call->has_ended) {
        if (!err_is_set(&err))
            err_fill(&err, ERR_STREAM_BROKEN, "the connection broke inside the reply");
        call_fail(call, &err);
    }
}

/* Without a descriptor or memory of our own nothing is known of the other side. */
static bool call_is_own_fault(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void call_fail_to_connect(struct http_call *call, int error)
{
    const struct http_address *address = &call->client->address;
    const char *name = address->is_unix ? address->path : call->client->host;
    struct err err = ERR_INIT;

    errno = error;
    if (call_is_own_fault(error))
        err_fill(&err, ERR_IO, "no connection to %s can be made: %m", name);
    else
        err_fill(&err, ERR_UNREACHABLE, "nobody answers at %s: %m", name);
    call_fail(call, &err);
}

static void call_on_hang_up(struct conn *conn, int error)
{
    struct http_call *call = call_of(conn);
    struct err err = ERR_INIT;

    if (call->is_resting) {
        conn_close(conn);
        return;
    }
    if (conn->fd < 0 || conn->is_connecting) {
        call_fail_to_connect(call, error);
        return;
    }
    if (call_may_repeat(call, error)) {
        conn_disconnect(conn);
        conn_rewind(conn);
        call_connect(call);
        return;
    }
    call->is_input_over = true;
    call->input_error = error;
    if (conn->is_paused)
        call_hold_rest(call);
    else if (conn->in.len > 0 || call->held.len > 0)
        conn_offer_input(conn);
    else
        call_fail_end(call, &err);
}

static void call_on_sent(struct conn *conn)
{
}

static void call_on_deadline(struct conn *conn)
{
    assert(!"calls have no deadline of their own");
}

static const struct conn_events CALL_EVENTS = {
    .on_input = call_on_input,
    .on_hang_up = call_on_hang_up,
    .on_sent = call_on_sent,
    .on_deadline = call_on_deadline,
    .on_released = call_on_released,
};

/* ---- the pool and its owner ---- */

static bool call_is_fit(const struct http_call *call)
{
    char byte = 0;

    if (clock_monotonic_ms() - call->rests_since_ms > CLIENT_IDLE_MAX_MS)
        return false;
    /* The other side may have closed it a moment ago, before the loop could tell. */
    return recv(call->conn.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static struct http_call *client_take_resting(struct http_client *client)
{
    struct http_call *next = NULL;

    for (struct http_call *call = client->calls; call != NULL; call = next) {
        next = call->next;
        if (!call->is_resting || call->conn.is_closed)
            continue;
        if (call_is_fit(call)) {
            client->idle_count--;
            return call;
        }
        conn_close(&call->conn);
    }
    return NULL;
}

static struct http_call *client_add_call(struct http_client *client)
{
    struct http_call *call = xcalloc(1, sizeof(*call));

    conn_init(&call->conn, client->base, &CALL_EVENTS, CLIENT_HEAD_MAX_BYTES);
    parser_init(&call->parser, PARSER_REPLIES);
    buf_init(&call->held, CLIENT_HELD_MAX_BYTES);
    call->client = client;
    call->next = client->calls;
    if (call->next != NULL)
        call->next->previous = call;
    client->calls = call;
    return call;
}

struct http_client *http_client_new(struct event_base *base, const struct http_address *address,
                                    size_t reply_max_bytes)
{
    struct http_client *client = xcalloc(1, sizeof(*client));

    client->base = base;
    client->address = *address;
    client->reply_max_bytes = reply_max_bytes;
    http_address_format_host(address, client->host);
    return client;
}

void http_client_free(struct http_client *client)
{
    if (client == NULL)
        return;
    while (client->calls != NULL) {
        struct http_call *call = client->calls;

        call_unlink(call);
        call->client = NULL; /* it may live a little longer than this, when it is in a callback */
        conn_close(&call->conn);
    }
    free(client);
}

struct http_call *http_client_send(struct http_client *client, const struct http_request *request,
                                   const struct http_call_events *events, void *owner)
{
    struct http_call *call = request->is_alone ? NULL : client_take_resting(client);
    bool is_fresh = call == NULL;

    if (is_fresh)
        call = client_add_call(client);
    call->events = events;
    call->owner = owner;
    call->is_reused = !is_fresh;
    call->is_alone = request->is_alone;
    call_begin(call, request);
    call_write_request(call, request);
    if (is_fresh)
        call_connect(call);
    return call;
}

void http_call_pause(struct http_call *call)
{
    conn_pause(&call->conn);
}

void http_call_resume(struct http_call *call)
{
    if (call->conn.is_paused)
        conn_resume(&call->conn);
}

void http_call_cancel(struct http_call *call)
{
    conn_close(&call->conn);
}
