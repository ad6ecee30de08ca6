/* The HTTP client against a peer that sends what a test scripts: what a caller is told, for good
 * replies and for every way in which a worker can go wrong. */
#include "common/attr.h"
#include "common/buf.h"
#include "common/http/http.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    REPLY_MAX_BYTES = 1 << 20,
    REQUEST_MAX_BYTES = 8 << 20,
    SCRIPT_MAX_COUNT = 8,
    TEST_LIMIT_S = 60, /* a test that hangs fails */
};

/* ---- a peer that plays a script ---- */

enum after { STAYS, CLOSES, RESETS };

/* What it does with one request: sends, then does what comes after. */
struct script {
    const char *reply; /* NULL: nothing */
    enum after after;
    bool by_bytes; /* each byte by itself */
};

struct peer {
    struct event_base *base;
    struct event *accept;
    int listen_fd;
    char folder[64];
    struct http_address address;
    struct script scripts[SCRIPT_MAX_COUNT]; /* of one request each, in order */
    size_t script_count;
    size_t played_count;
    unsigned accepted_count;
    unsigned hang_up_count; /* connections that the client closed */
    bool keeps_request;
    struct buf request; /* the last one */
};

struct peer_link {
    struct peer *peer;
    struct event *io;
    struct event *writable;
    int fd;
    const char *unsent; /* of the reply being sent */
    struct script *script;
};

static void peer_close(struct peer_link *link)
{
    event_free(link->io);
    event_free(link->writable);
    (void)close(link->fd); /* a test socket */
    free(link);
}

static void peer_end_reply(struct peer_link *link)
{
    struct linger none = {.l_onoff = 1, .l_linger = 0};

    if (link->script->after == STAYS)
        return;
    if (link->script->after == RESETS)
        (void)setsockopt(link->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none)); /* TCP alone */
    peer_close(link);
}

static void peer_on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct peer_link *link = arg;

    while (link->unsent != NULL && *link->unsent != '\0') {
        size_t len = link->script->by_bytes ? 1 : strlen(link->unsent);
        ssize_t sent = send(link->fd, link->unsent, len, MSG_NOSIGNAL);

        if (sent < 0 && errno == EAGAIN) {
            assert_int_equal(event_add(link->writable, NULL), 0);
            return;
        }
        if (sent < 0) /* the client has gone, which the other event tells */
            return;
        link->unsent += sent;
    }
    peer_end_reply(link);
}

static void peer_play(struct peer_link *link)
{
    struct peer *peer = link->peer;

    assert_true(peer->played_count < peer->script_count);
    link->script = &peer->scripts[peer->played_count++];
    link->unsent = link->script->reply;
    peer_on_writable(link->fd, EV_WRITE, link);
}

static void peer_on_io(evutil_socket_t fd, short what, void *arg)
{
    struct peer_link *link = arg;
    struct peer *peer = link->peer;
    const char *head_end = NULL;
    const char *length = NULL;
    char bytes[65536];
    ssize_t len = recv((int)fd, bytes, sizeof(bytes), 0);

    if (len <= 0) {
        peer->hang_up_count++;
        peer_close(link);
        return;
    }
    assert_int_equal(buf_add(&peer->request, bytes, (size_t)len), 0);
    head_end = strstr(peer->request.data, "\r\n\r\n");
    length = strstr(peer->request.data, "Content-Length: ");
    if (head_end == NULL ||
        (length != NULL &&
         peer->request.len - (size_t)(head_end + strlen("\r\n\r\n") - peer->request.data) <
             strtoul(length + strlen("Content-Length: "), NULL, 10)))
        return;
    if (!peer->keeps_request)
        buf_clear(&peer->request);
    peer_play(link);
}

static void peer_on_accept(evutil_socket_t listen_fd, short what, void *arg)
{
    struct peer *peer = arg;
    struct peer_link *link = calloc(1, sizeof(*link));

    assert_non_null(link);
    link->peer = peer;
    link->fd = accept4((int)listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(link->fd >= 0);
    link->io = event_new(peer->base, link->fd, EV_READ | EV_PERSIST, peer_on_io, link);
    link->writable = event_new(peer->base, link->fd, EV_WRITE, peer_on_writable, link);
    assert_int_equal(event_add(link->io, NULL), 0);
    peer->accepted_count++;
}

static void peer_init(struct peer *peer, struct event_base *base)
{
    struct err err = ERR_INIT;
    char text[128];

    *peer = (struct peer){.base = base};
    buf_init(&peer->request, REQUEST_MAX_BYTES);
    (void)snprintf(peer->folder, sizeof(peer->folder), "/tmp/rbee-peer-XXXXXX");
    assert_non_null(mkdtemp(peer->folder));
    (void)snprintf(text, sizeof(text), "unix:%s/s", peer->folder);
    assert_int_equal(http_address_parse(text, &peer->address, &err), 0);
    assert_int_equal(http_address_listen(&peer->address, 0600, &peer->listen_fd, &err), 0);
    peer->accept = event_new(base, peer->listen_fd, EV_READ | EV_PERSIST, peer_on_accept, peer);
    assert_int_equal(event_add(peer->accept, NULL), 0);
}

static void peer_add(struct peer *peer, const char *reply, enum after after)
{
    assert_true(peer->script_count < SCRIPT_MAX_COUNT);
    peer->scripts[peer->script_count++] = (struct script){.reply = reply, .after = after};
}

/* ---- a caller that writes down what it is told ---- */

struct caller {
    struct event_base *base;
    struct http_call *call;
    int status;
    struct buf body;
    bool has_ended;
    unsigned end_count;
    struct err failure; /* kind ERR_NONE: complete */
    bool pauses_at_body;
    bool refuses_head;
    bool cancels_at_body;
    struct world *frees_at_end;
    unsigned body_count;
};

struct world {
    struct event_base *base;
    struct peer peer;
    struct caller caller;
    struct http_client *client;
    bool is_alone; /* the next calls are */
};

static int caller_on_head(struct http_call *call, void *owner, const struct http_head *head,
                          struct err *err)
{
    struct caller *caller = owner;

    assert_int_equal(caller->status, 0);
    caller->status = head->status;
    return caller->refuses_head ? err_set(err, ERR_CONFLICT, "not what was wanted") : 0;
}

static void caller_on_body(struct http_call *call, void *owner, const char *data, size_t len)
{
    struct caller *caller = owner;

    assert_false(caller->has_ended);
    assert_int_equal(buf_add(&caller->body, data, len), 0);
    caller->body_count++;
    if (caller->pauses_at_body)
        http_call_pause(call);
    if (caller->cancels_at_body) {
        http_call_cancel(call);
        (void)event_base_loopbreak(caller->base);
    }
}

static void caller_on_end(struct http_call *call, void *owner, const struct err *failure)
{
    struct caller *caller = owner;

    caller->has_ended = true;
    caller->end_count++;
    if (failure != NULL)
        caller->failure = *failure;
    if (caller->frees_at_end != NULL) {
        http_client_free(caller->frees_at_end->client);
        caller->frees_at_end->client = NULL;
    }
    (void)event_base_loopbreak(caller->base);
}

static const struct http_call_events CALLER_EVENTS = {
    .on_head = caller_on_head,
    .on_body = caller_on_body,
    .on_end = caller_on_end,
};

/* ---- both ---- */

static int world_setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    assert_non_null(world);
    (void)alarm(TEST_LIMIT_S); /* ends the program; the previous test's alarm is replaced */
    world->base = event_base_new();
    peer_init(&world->peer, world->base);
    world->client = http_client_new(world->base, &world->peer.address, REPLY_MAX_BYTES);
    world->caller.base = world->base;
    buf_init(&world->caller.body, REQUEST_MAX_BYTES);
    *state = world;
    return 0;
}

/* Everything that became ready is worked on, then nothing is waited for. */
static void world_settle(struct world *world)
{
    for (int i = 0; i < 10; i++)
        (void)event_base_loop(world->base, EVLOOP_NONBLOCK); /* 1: nothing is pending */
}

static int world_teardown(void **state)
{
    struct world *world = *state;

    http_client_free(world->client);
    world_settle(world); /* the peer sees its connections end, and frees them */
    event_free(world->peer.accept);
    (void)close(world->peer.listen_fd);     /* test files */
    (void)unlink(world->peer.address.path); /* likewise */
    (void)rmdir(world->peer.folder);        /* likewise */
    buf_release(&world->peer.request);
    buf_release(&world->caller.body);
    event_base_free(world->base);
    free(world);
    return 0;
}

static void world_send(struct world *world, enum http_method method, const char *body, size_t len)
{
    struct http_header header = {.name = "X-Test", .value = "1"};
    struct http_request request = {.method = method,
                                   .target = "/t",
                                   .headers = &header,
                                   .header_count = 1,
                                   .body = body,
                                   .body_len = len,
                                   .is_alone = world->is_alone};
    struct caller *caller = &world->caller;

    caller->status = 0;
    caller->has_ended = false;
    caller->end_count = 0;
    caller->body_count = 0;
    err_clear(&caller->failure);
    buf_clear(&caller->body);
    caller->call = http_client_send(world->client, &request, &CALLER_EVENTS, caller);
    assert_false(caller->has_ended);
}

static void world_call(struct world *world, enum http_method method)
{
    world_send(world, method, "body", method == HTTP_POST ? strlen("body") : 0);
    (void)event_base_dispatch(world->base); /* until on_end */
    assert_true(world->caller.has_ended);
    world_settle(world);
    assert_int_equal(world->caller.end_count, 1);
}

/* ---- what a reply leads to ---- */

#define OK_HEAD "HTTP/1.1 200 OK\r\n"

/* Every reply, good or bad: how a call with it ends. */
static const struct {
    const char *what;
    const char *reply;
    enum after after;
    enum err_kind kind; /* ERR_NONE: complete */
    const char *body;
} REPLIES[] = {
    {"by length", OK_HEAD "Content-Length: 2\r\n\r\nhi", STAYS, ERR_NONE, "hi"},
    {"empty", OK_HEAD "Content-Length: 0\r\n\r\n", STAYS, ERR_NONE, ""},
    {"204 has no body", "HTTP/1.1 204 No Content\r\n\r\n", STAYS, ERR_NONE, ""},
    {"chunked",
     OK_HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1;e=1\r\n!\r\n0\r\nT: v\r\n\r\n", STAYS,
     ERR_NONE, "hi!"},
    {"to the end", OK_HEAD "\r\nhi", CLOSES, ERR_NONE, "hi"},
    {"1.0 to the end", "HTTP/1.0 200 OK\r\n\r\nhi", CLOSES, ERR_NONE, "hi"},
    {"no reason", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi", STAYS, ERR_NONE, "hi"},
    {"interim", "HTTP/1.1 100 Continue\r\n\r\n" OK_HEAD "Content-Length: 2\r\n\r\nhi", STAYS,
     ERR_NONE, "hi"},
    {"more than said", OK_HEAD "Content-Length: 2\r\n\r\nhithere", STAYS, ERR_NONE, "hi"},

    {"garbage", "\x01\x02\x03\r\n\r\n", STAYS, ERR_PROTOCOL, ""},
    {"another protocol", "220 mail.example ESMTP\r\n", STAYS, ERR_PROTOCOL, ""},
    {"status of four digits", "HTTP/1.1 2000 OK\r\n\r\n", STAYS, ERR_PROTOCOL, ""},
    {"version 2.0", "HTTP/2.0 200 OK\r\n\r\n", STAYS, ERR_PROTOCOL, ""},
    {"two lengths", OK_HEAD "Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi", STAYS, ERR_PROTOCOL,
     ""},
    {"length not a number", OK_HEAD "Content-Length: +2\r\n\r\nhi", STAYS, ERR_PROTOCOL, ""},
    {"length and chunked",
     OK_HEAD "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", STAYS,
     ERR_PROTOCOL, ""},
    {"unknown coding", OK_HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", STAYS,
     ERR_PROTOCOL, ""},
    {"packed body", OK_HEAD "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nhi", STAYS,
     ERR_PROTOCOL, ""},
    {"bare line feeds", "HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", STAYS, ERR_PROTOCOL, ""},
    {"folded header", OK_HEAD "A: b\r\n c\r\nContent-Length: 0\r\n\r\n", STAYS, ERR_PROTOCOL, ""},
    {"chunk size not hex", OK_HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\n", STAYS, ERR_PROTOCOL,
     ""},
    {"chunk longer than said", OK_HEAD "Transfer-Encoding: chunked\r\n\r\n1\r\nhi\r\n", STAYS,
     ERR_PROTOCOL, "h"},
    {"over the cap", OK_HEAD "Content-Length: 1048577\r\n\r\n", STAYS, ERR_PROTOCOL, ""},
    {"upgrade", "HTTP/1.1 101 Switching Protocols\r\n\r\n", STAYS, ERR_PROTOCOL, ""},

    {"ends before the head", "HTTP/1.1 200 OK\r\nContent-", CLOSES, ERR_STREAM_BROKEN, ""},
    {"ends without a byte", NULL, CLOSES, ERR_STREAM_BROKEN, ""},
    {"ends inside the body", OK_HEAD "Content-Length: 5\r\n\r\nhi", CLOSES, ERR_STREAM_BROKEN,
     "hi"},
    {"ends inside a chunk", OK_HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nhi", CLOSES,
     ERR_STREAM_BROKEN, "hi"},
    {"ends between chunks", OK_HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", CLOSES,
     ERR_STREAM_BROKEN, "hi"},
};

static void every_reply_ends_as_it_must(void **state, bool by_bytes)
{
    for (size_t i = 0; i < ARRAY_COUNT(REPLIES); i++) {
        struct world *world = NULL;

        (void)world_setup((void **)&world); /* always 0 */
        print_message("# %s%s\n", REPLIES[i].what, by_bytes ? ", byte by byte" : "");
        peer_add(&world->peer, REPLIES[i].reply, REPLIES[i].after);
        world->peer.scripts[0].by_bytes = by_bytes;
        world_call(world, HTTP_POST);
        assert_int_equal(world->caller.failure.kind, REPLIES[i].kind);
        assert_string_equal(world->caller.body.data, REPLIES[i].body);
        assert_int_equal(world->peer.accepted_count, 1);
        (void)world_teardown((void **)&world); /* always 0 */
    }
}

static void every_reply_ends_as_it_must_whole(void **state)
{
    every_reply_ends_as_it_must(state, false);
}

static void every_reply_ends_as_it_must_in_pieces(void **state)
{
    every_reply_ends_as_it_must(state, true);
}

static void a_reply_to_head_has_no_body(void **state)
{
    struct world *world = *state;

    peer_add(&world->peer, OK_HEAD "Content-Length: 1000\r\n\r\n", STAYS);
    peer_add(&world->peer, OK_HEAD "Content-Length: 2\r\n\r\nhi", STAYS);
    world_call(world, HTTP_HEAD);
    assert_int_equal(world->caller.failure.kind, ERR_NONE);
    world_call(world, HTTP_GET);
    assert_string_equal(world->caller.body.data, "hi");
    assert_int_equal(world->peer.accepted_count, 1);
}

/* A chunked reply of LEN bytes of TYPE. */
static char *make_long_reply(const char *type, size_t len)
{
    struct buf reply;

    buf_init(&reply, 2 * len);
    (void)buf_printf(&reply, OK_HEAD "Content-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n",
                     type);
    for (size_t done = 0; done < len; done += 1024)
        (void)buf_printf(&reply, "400\r\n%01024d\r\n", 0);
    assert_int_equal(buf_add_string(&reply, "0\r\n\r\n"), 0);
    return buf_take(&reply);
}

static void only_streams_have_no_cap(void **state)
{
    struct world *world = *state;
    AUTO_FREE char *plain = make_long_reply("text/plain", 2 * REPLY_MAX_BYTES);
    AUTO_FREE char *stream =
        make_long_reply("text/event-stream; charset=utf-8", 2 * REPLY_MAX_BYTES);

    peer_add(&world->peer, plain, STAYS);
    peer_add(&world->peer, stream, STAYS);
    world_call(world, HTTP_GET);
    assert_int_equal(world->caller.failure.kind, ERR_PROTOCOL);
    assert_true(world->caller.body.len <= REPLY_MAX_BYTES);
    world_call(world, HTTP_GET);
    assert_int_equal(world->caller.failure.kind, ERR_NONE);
    assert_int_equal(world->caller.body.len, 2 * REPLY_MAX_BYTES);
}

/* ---- requests ---- */

static void a_request_is_sent_as_given(void **state)
{
    struct world *world = *state;

    peer_add(&world->peer, NULL, STAYS);
    world->peer.keeps_request = true;
    world_send(world, HTTP_POST, "body", strlen("body"));
    world_settle(world);
    assert_string_equal(world->peer.request.data,
                        "POST /t HTTP/1.1\r\nHost: localhost\r\nX-Test: 1\r\n"
                        "Content-Length: 4\r\n\r\nbody");
    http_call_cancel(world->caller.call);
}

static void a_long_body_arrives(void **state)
{
    struct world *world = *state;
    size_t len = 4 << 20;
    AUTO_FREE char *body = malloc(len);

    assert_non_null(body);
    memset(body, 'b', len);
    peer_add(&world->peer, OK_HEAD "Content-Length: 0\r\n\r\n", STAYS);
    world_send(world, HTTP_POST, body, len);
    (void)event_base_dispatch(world->base); /* until on_end */
    assert_int_equal(world->caller.failure.kind, ERR_NONE);
    assert_int_equal(world->peer.played_count, 1);
}

static void nobody_there_is_unreachable(void **state)
{
    struct world *world = *state;

    assert_int_equal(unlink(world->peer.address.path), 0);
    world_send(world, HTTP_POST, "body", strlen("body"));
    assert_false(world->caller.has_ended);
    (void)event_base_dispatch(world->base); /* until on_end */
    assert_int_equal(world->caller.failure.kind, ERR_UNREACHABLE);
}

/* That we have no descriptor left says nothing of who is called. */
static void no_descriptor_of_our_own_is_no_fault_of_the_other_side(void **state)
{
    struct world *world = *state;
    struct rlimit usual;
    struct rlimit none;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = usual.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    world_send(world, HTTP_POST, "body", strlen("body"));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
    (void)event_base_dispatch(world->base); /* until on_end */
    assert_int_equal(world->caller.failure.kind, ERR_IO);
}

/* ---- connections ---- */

#define EMPTY_REPLY OK_HEAD "Content-Length: 0\r\n\r\n"

static void a_connection_serves_many_calls(void **state)
{
    struct world *world = *state;

    for (int i = 0; i < 4; i++)
        peer_add(&world->peer, EMPTY_REPLY, STAYS);
    for (int i = 0; i < 4; i++)
        world_call(world, i % 2 == 0 ? HTTP_GET : HTTP_POST);
    assert_int_equal(world->peer.accepted_count, 1);
}

static void a_call_that_wants_to_be_alone_gets_and_leaves_no_connection(void **state)
{
    struct world *world = *state;

    for (int i = 0; i < 3; i++)
        peer_add(&world->peer, EMPTY_REPLY, STAYS);
    world_call(world, HTTP_GET); /* it leaves a connection behind */
    world->is_alone = true;
    world_call(world, HTTP_GET);
    assert_int_equal(world->peer.accepted_count, 2);
    world->is_alone = false;
    world_call(world, HTTP_GET); /* on the first one */
    assert_int_equal(world->peer.accepted_count, 2);
}

static void a_connection_that_may_not_be_kept_is_closed(void **state)
{
    static const char *const REPLIES_OF_LAST[] = {
        OK_HEAD "Connection: close\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        EMPTY_REPLY "surplus",
    };
    struct world *world = *state;

    for (size_t i = 0; i < ARRAY_COUNT(REPLIES_OF_LAST); i++) {
        peer_add(&world->peer, REPLIES_OF_LAST[i], STAYS);
        world_call(world, HTTP_GET);
        assert_int_equal(world->caller.failure.kind, ERR_NONE);
        assert_int_equal(world->peer.hang_up_count, i + 1);
    }
}

static void a_resting_connection_that_ends_is_not_used(void **state)
{
    struct world *world = *state;

    peer_add(&world->peer, EMPTY_REPLY, CLOSES);
    peer_add(&world->peer, EMPTY_REPLY, STAYS);
    world_call(world, HTTP_POST);
    world_call(world, HTTP_POST);
    assert_int_equal(world->caller.failure.kind, ERR_NONE);
    assert_int_equal(world->peer.accepted_count, 2);
}

/* The peer has read the request on a connection that rested, and goes without a word. */
static void only_what_is_safe_is_sent_again(void **state)
{
    struct world *world = *state;

    peer_add(&world->peer, EMPTY_REPLY, STAYS);
    peer_add(&world->peer, NULL, CLOSES);
    peer_add(&world->peer, EMPTY_REPLY, STAYS);
    peer_add(&world->peer, NULL, CLOSES);
    world_call(world, HTTP_GET);
    world_call(world, HTTP_GET);
    assert_int_equal(world->caller.failure.kind, ERR_NONE);
    assert_int_equal(world->peer.accepted_count, 2);
    world_call(world, HTTP_POST);
    assert_int_equal(world->caller.failure.kind, ERR_STREAM_BROKEN);
    assert_int_equal(world->peer.accepted_count, 2);
}

static void a_request_is_sent_again_only_once(void **state)
{
    struct world *world = *state;

    peer_add(&world->peer, EMPTY_REPLY, STAYS);
    peer_add(&world->peer, NULL, CLOSES);
    peer_add(&world->peer, NULL, CLOSES);
    world_call(world, HTTP_GET);
    world_call(world, HTTP_GET);
    assert_int_equal(world->caller.failure.kind, ERR_STREAM_BROKEN);
    assert_int_equal(world->peer.played_count, 3);
}

/* ---- what the caller does ---- */

static void a_head_can_be_refused(void **state)
{
    struct world *world = *state;

    world->caller.refuses_head = true;
    peer_add(&world->peer, EMPTY_REPLY, STAYS);
    world_call(world, HTTP_GET);
    assert_int_equal(world->caller.failure.kind, ERR_CONFLICT);
    assert_int_equal(world->peer.hang_up_count, 1);
}

static void cancelling_closes_at_once(void **state)
{
    struct world *world = *state;

    world->caller.cancels_at_body = true;
    peer_add(&world->peer, OK_HEAD "Content-Length: 5\r\n\r\nhi", STAYS);
    world_send(world, HTTP_GET, NULL, 0);
    (void)event_base_dispatch(world->base); /* until it has cancelled */
    assert_int_equal(world->peer.accepted_count, 1);
    world_settle(world);
    assert_int_equal(world->peer.hang_up_count, 1);
    assert_false(world->caller.has_ended);
}

static void cancelling_before_anything_happened(void **state)
{
    struct world *world = *state;

    world_send(world, HTTP_GET, NULL, 0);
    http_call_cancel(world->caller.call);
    world_settle(world);
    assert_int_equal(world->peer.hang_up_count, 1);
    assert_false(world->caller.has_ended);
}

static void a_client_can_be_freed_while_it_calls(void **state)
{
    struct world *world = *state;

    peer_add(&world->peer, OK_HEAD "Content-Length: 5\r\n\r\nhi", STAYS);
    world_send(world, HTTP_GET, NULL, 0);
    world_settle(world);
    assert_string_equal(world->caller.body.data, "hi");
    http_client_free(world->client);
    world->client = NULL;
    world_settle(world);
    assert_int_equal(world->peer.hang_up_count, 1);
    assert_false(world->caller.has_ended);
}

static void a_client_can_be_freed_when_a_call_ends(void **state)
{
    struct world *world = *state;

    world->caller.frees_at_end = world;
    peer_add(&world->peer, EMPTY_REPLY, STAYS);
    world_call(world, HTTP_GET);
    assert_null(world->client);
    assert_int_equal(world->peer.hang_up_count, 1);
}

/* ---- pauses ---- */

static void a_pause_stops_and_goes_on(void **state)
{
    struct world *world = *state;
    AUTO_FREE char *reply = make_long_reply("text/event-stream", 512 * 1024);

    world->caller.pauses_at_body = true;
    peer_add(&world->peer, reply, STAYS);
    world_send(world, HTTP_GET, NULL, 0);
    while (!world->caller.has_ended) {
        unsigned before_count = world->caller.body_count;

        world_settle(world);
        if (world->caller.has_ended)
            break;
        assert_int_equal(world->caller.body_count, before_count + 1);
        http_call_resume(world->caller.call);
        assert_true(world->caller.body_count <= before_count + 1); /* not from inside resume */
    }
    assert_int_equal(world->caller.failure.kind, ERR_NONE);
    assert_int_equal(world->caller.body.len, 512 * 1024);
    world_settle(world);
    assert_int_equal(world->peer.hang_up_count, 0); /* it rests, and serves again */
}

/* A reply that cannot become whole any more: told while the caller pauses. */
static void a_break_is_seen_in_a_pause(void **state)
{
    struct world *world = *state;

    world->caller.pauses_at_body = true;
    peer_add(&world->peer, OK_HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n5\r\nth", CLOSES);
    world_send(world, HTTP_GET, NULL, 0);
    world_settle(world);
    assert_true(world->caller.has_ended);
    assert_int_equal(world->caller.failure.kind, ERR_STREAM_BROKEN);
    assert_string_equal(world->caller.body.data, "hi");
}

static void garbage_is_seen_in_a_pause(void **state)
{
    struct world *world = *state;

    world->caller.pauses_at_body = true;
    peer_add(&world->peer, OK_HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\nzz\r\n", CLOSES);
    world_send(world, HTTP_GET, NULL, 0);
    world_settle(world);
    assert_int_equal(world->caller.failure.kind, ERR_PROTOCOL);
}

/* A whole reply whose sender is gone: nothing is lost, and nothing is told before it is wanted. */
static void a_whole_reply_survives_a_pause(void **state)
{
    struct world *world = *state;
    AUTO_FREE char *reply = make_long_reply("text/event-stream", 32 * 1024);

    world->caller.pauses_at_body = true;
    peer_add(&world->peer, reply, CLOSES);
    world_send(world, HTTP_GET, NULL, 0);
    world_settle(world);
    assert_int_equal(world->caller.body_count, 1);
    assert_false(world->caller.has_ended);
    http_call_resume(world->caller.call);
    world_settle(world);
    assert_int_equal(world->caller.body.len, 32 * 1024);
    if (!world->caller.has_ended) { /* it pauses at each piece */
        http_call_resume(world->caller.call);
        world_settle(world);
    }
    assert_true(world->caller.has_ended);
    assert_int_equal(world->caller.failure.kind, ERR_NONE);
}

/* Paused before the head: that waits, too, with whatever came behind it. */
static void a_pause_before_the_head(void **state)
{
    struct world *world = *state;

    peer_add(&world->peer, OK_HEAD "Content-Length: 2\r\n\r\nhi", CLOSES);
    peer_add(&world->peer, OK_HEAD "Content-Length: 5\r\n\r\nhi", CLOSES);
    for (int i = 0; i < 2; i++) {
        world_send(world, HTTP_GET, NULL, 0);
        http_call_pause(world->caller.call);
        world_settle(world);
        assert_int_equal(world->caller.status, 0);
        assert_false(world->caller.has_ended);
        http_call_resume(world->caller.call);
        world_settle(world);
        assert_int_equal(world->caller.status, 200);
        assert_string_equal(world->caller.body.data, "hi");
        assert_int_equal(world->caller.failure.kind, i == 0 ? ERR_NONE : ERR_STREAM_BROKEN);
    }
}

#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reply_ends_as_it_must_whole),
        cmocka_unit_test(every_reply_ends_as_it_must_in_pieces),
        IN_A_WORLD(a_reply_to_head_has_no_body),
        IN_A_WORLD(only_streams_have_no_cap),
        IN_A_WORLD(a_request_is_sent_as_given),
        IN_A_WORLD(a_long_body_arrives),
        IN_A_WORLD(nobody_there_is_unreachable),
        IN_A_WORLD(no_descriptor_of_our_own_is_no_fault_of_the_other_side),
        IN_A_WORLD(a_connection_serves_many_calls),
        IN_A_WORLD(a_call_that_wants_to_be_alone_gets_and_leaves_no_connection),
        IN_A_WORLD(a_connection_that_may_not_be_kept_is_closed),
        IN_A_WORLD(a_resting_connection_that_ends_is_not_used),
        IN_A_WORLD(only_what_is_safe_is_sent_again),
        IN_A_WORLD(a_request_is_sent_again_only_once),
        IN_A_WORLD(a_head_can_be_refused),
        IN_A_WORLD(cancelling_closes_at_once),
        IN_A_WORLD(cancelling_before_anything_happened),
        IN_A_WORLD(a_client_can_be_freed_while_it_calls),
        IN_A_WORLD(a_client_can_be_freed_when_a_call_ends),
        IN_A_WORLD(a_pause_stops_and_goes_on),
        IN_A_WORLD(a_break_is_seen_in_a_pause),
        IN_A_WORLD(garbage_is_seen_in_a_pause),
        IN_A_WORLD(a_whole_reply_survives_a_pause),
        IN_A_WORLD(a_pause_before_the_head),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
