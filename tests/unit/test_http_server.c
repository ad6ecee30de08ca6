/* Server and client of the HTTP layer in one loop: what an owner may rely on. What strangers can do
 * from outside is tested by tests/http.bats. */
#include "common/attr.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/http/http.h"
#include "common/json.h"
#include "common/token.h"
#include "tests/allocations.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    TEST_LIMIT_S = 120, /* a test that hangs fails */
    REPLY_MAX_BYTES = 1 << 20,
    EVENT_COUNT = 100,
    WARM_UP_COUNT = 100,
    KEEP_ALIVE_COUNT = 100000,
    CLIENT_COUNT = 8,
};

/* ---- what the layer asks of the system, counted ---- */

struct counts {
    unsigned long sends;
};

static struct counts *counts(void)
{
    static struct counts all;

    return &all;
}

/* In place of the C library's, for the whole program. */
ssize_t send(int fd, const void *data, size_t len, int flags)
{
    counts()->sends++;
    return syscall(SYS_sendto, fd, data, len, flags, NULL, 0);
}

/* ---- a service that does as it is told ---- */

struct world {
    struct event_base *base;
    struct http_server *server;
    struct http_client *client;
    struct http_address address;
    char folder[64];
    struct http_exchange *held; /* GET /hold */
    struct http_exchange *kept; /* GET /kept: refused, and the refusal waits */
    unsigned gone_count;        /* clients that left before that */
    unsigned head_count;        /* let in */
    unsigned closed_count;
    unsigned completed_count;
    unsigned drained_count;
    uint64_t retry_after_ms; /* that GET /busy says */
    /* the client's side */
    int status;
    char date[CLOCK_HTTP_DATE_BYTES];     /* of the reply; "" when it has none */
    char retry_after[sizeof("99999999")]; /* likewise */
    struct buf body;
    unsigned ended_count;
    unsigned failed_count;
    struct err failure;    /* the last one */
    unsigned wanted_count; /* calls still to be made, one behind the other */
};

static void service_on_gone(void *owner)
{
    struct world *world = owner;

    world->gone_count++;
    world->kept = NULL;
}

static int service_on_head(struct http_exchange *x, void *owner, struct err *err)
{
    struct world *world = owner;

    assert_null(http_exchange_user(x));
    if (strcmp(http_exchange_head(x)->path, "/busy") == 0) {
        err_fill(err, ERR_BUSY, "not now");
        err->retry_after_ms = world->retry_after_ms;
        return -1;
    }
    if (strcmp(http_exchange_head(x)->path, "/kept") == 0) {
        http_exchange_hold(x, service_on_gone, world);
        world->kept = x;
        return err_set(err, ERR_FORBIDDEN, "not you");
    }
    http_exchange_set_user(x, world);
    world->head_count++;
    return 0;
}

static void service_on_request(struct http_exchange *x, void *owner)
{
    struct world *world = owner;
    const char *path = http_exchange_head(x)->path;

    assert_false(http_exchange_has_begun(x));
    if (strcmp(path, "/hold") == 0)
        world->held = x;
    else
        http_reply(x, 200, "text/plain", "hello", strlen("hello"));
    assert_int_equal(http_exchange_has_begun(x), strcmp(path, "/hold") != 0);
}

static void service_on_closed(struct http_exchange *x, void *owner, bool completed)
{
    struct world *world = owner;

    assert_ptr_equal(http_exchange_user(x), world);
    world->closed_count++;
    world->completed_count += completed;
    if (world->held == x)
        world->held = NULL;
}

static void service_on_drained(struct http_exchange *x, void *owner)
{
    struct world *world = owner;

    assert_true(http_exchange_unsent_bytes(x) < HTTP_UNSENT_LOW_BYTES);
    world->drained_count++;
}

static const struct http_service SERVICE = {
    .on_head = service_on_head,
    .on_request = service_on_request,
    .on_closed = service_on_closed,
    .on_drained = service_on_drained,
};

/* ---- its client ---- */

static void world_send(struct world *world, enum http_method method, const char *path);

static void note_header(const struct http_head *head, const char *name, char *out, size_t size)
{
    const char *value = http_head_find(head, name);

    (void)snprintf(out, size, "%s", value != NULL ? value : ""); /* a longer one is another one */
}

static int call_on_head(struct http_call *call, void *owner, const struct http_head *head,
                        struct err *err)
{
    struct world *world = owner;

    world->status = head->status;
    note_header(head, "Date", world->date, sizeof(world->date));
    note_header(head, "Retry-After", world->retry_after, sizeof(world->retry_after));
    return 0;
}

static void call_on_body(struct http_call *call, void *owner, const char *data, size_t len)
{
    struct world *world = owner;

    assert_int_equal(buf_add(&world->body, data, len), 0);
}

static void call_on_end(struct http_call *call, void *owner, const struct err *failure)
{
    struct world *world = owner;

    world->ended_count++;
    world->failed_count += failure != NULL;
    if (failure != NULL)
        world->failure = *failure;
    if (world->wanted_count > 0) {
        world->wanted_count--;
        world_send(world, HTTP_GET, "/r");
        return;
    }
    (void)event_base_loopbreak(world->base); /* fails only outside of the loop */
}

static const struct http_call_events CALL_EVENTS = {
    .on_head = call_on_head,
    .on_body = call_on_body,
    .on_end = call_on_end,
};

static void world_send(struct world *world, enum http_method method, const char *path)
{
    struct http_request request = {.method = method, .target = path};

    buf_clear(&world->body);
    (void)http_client_send(world->client, &request, &CALL_EVENTS, world); /* on_end tells */
}

/* Everything that became ready is worked on, then nothing is waited for. */
static void world_settle(struct world *world)
{
    for (int i = 0; i < 10; i++)
        (void)event_base_loop(world->base, EVLOOP_NONBLOCK); /* 1: nothing is pending */
}

static int world_setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    struct http_limits limits = HTTP_LIMITS_DEFAULT;
    struct err err = ERR_INIT;
    char text[128];
    int fd = -1;

    assert_non_null(world);
    (void)alarm(TEST_LIMIT_S); /* ends the program; the previous test's alarm is replaced */
    world->base = event_base_new();
    (void)snprintf(world->folder, sizeof(world->folder), "/tmp/rbee-http-XXXXXX");
    assert_non_null(mkdtemp(world->folder));
    (void)snprintf(text, sizeof(text), "unix:%s/s", world->folder);
    assert_int_equal(http_address_parse(text, &world->address, &err), 0);
    assert_int_equal(http_address_listen(&world->address, 0600, &fd, &err), 0);
    world->server = http_server_new(world->base, fd, &limits, &SERVICE, world, &err);
    assert_non_null(world->server);
    world->client = http_client_new(world->base, &world->address, REPLY_MAX_BYTES);
    buf_init(&world->body, 2 * REPLY_MAX_BYTES);
    *state = world;
    return 0;
}

static int world_teardown(void **state)
{
    struct world *world = *state;

    http_client_free(world->client);
    http_server_free(world->server);
    assert_int_equal(world->closed_count, world->head_count); /* once for each, always */
    (void)unlink(world->address.path);                        /* test files */
    (void)rmdir(world->folder);                               /* likewise */
    buf_release(&world->body);
    event_base_free(world->base);
    free(world);
    return 0;
}

/* ---- tests ---- */

static void a_request_is_answered(void **state)
{
    struct world *world = *state;

    world_send(world, HTTP_GET, "/r");
    (void)event_base_dispatch(world->base); /* until on_end */
    assert_int_equal(world->status, 200);
    assert_string_equal(world->body.data, "hello");
    assert_int_equal(world->completed_count, 1);
}

/* The owner writes as tokens come; what it writes in one turn leaves in one system call, and at
 * once. */
static void one_turn_is_one_system_call(void **state)
{
    struct world *world = *state;
    unsigned long before = 0;

    world_send(world, HTTP_GET, "/hold");
    world_settle(world);
    assert_non_null(world->held);
    before = counts()->sends;
    http_stream_begin(world->held, 200, "text/event-stream");
    for (int i = 0; i < EVENT_COUNT; i++)
        http_stream_write(world->held, "data: x\n\n", strlen("data: x\n\n"));
    assert_int_equal(counts()->sends, before); /* nothing leaves from inside the owner's call */
    assert_int_equal(event_base_loop(world->base, EVLOOP_NONBLOCK), 0);
    assert_int_equal(counts()->sends, before + 1);
    world_settle(world);
    assert_int_equal(world->body.len, EVENT_COUNT * strlen("data: x\n\n"));
    for (int i = 0; i < EVENT_COUNT; i++) {
        http_stream_write(world->held, "data: x\n\n", strlen("data: x\n\n"));
        assert_int_equal(event_base_loop(world->base, EVLOOP_NONBLOCK), 0);
    }
    assert_int_equal(counts()->sends, before + 1 + EVENT_COUNT);
    assert_int_equal(world->completed_count, 0);
    http_stream_end(world->held);
    assert_int_equal(world->completed_count, 0); /* nor is anything called back from inside */
    world_settle(world);
    assert_int_equal(world->completed_count, 1);
    assert_int_equal(world->ended_count, 1);
}

static void a_paused_client_stops_the_source(void **state)
{
    struct world *world = *state;
    struct http_request request = {.method = HTTP_GET, .target = "/hold"};
    struct http_call *call = http_client_send(world->client, &request, &CALL_EVENTS, world);
    char piece[4096] = {0};

    world_settle(world);
    http_stream_begin(world->held, 200, "text/event-stream");
    world_settle(world);
    http_call_pause(call);
    while (http_exchange_unsent_bytes(world->held) <= HTTP_UNSENT_HIGH_BYTES) {
        http_stream_write(world->held, piece, sizeof(piece));
        (void)event_base_loop(world->base, EVLOOP_NONBLOCK); /* as above */
    }
    world_settle(world);
    assert_int_equal(world->drained_count, 0);
    assert_true(http_exchange_unsent_bytes(world->held) > HTTP_UNSENT_LOW_BYTES);
    http_call_resume(call);
    world_settle(world);
    assert_int_equal(world->drained_count, 1);
    assert_int_equal(http_exchange_unsent_bytes(world->held), 0);
    http_call_cancel(call);
    world_settle(world);
    assert_null(world->held);
    assert_int_equal(world->completed_count, 0);
}

static void a_refusal_is_an_envelope(void **state)
{
    struct world *world = *state;
    struct err err = ERR_INIT;
    AUTO_JSON json_t *envelope = NULL;

    world_send(world, HTTP_GET, "/busy");
    (void)event_base_dispatch(world->base); /* until on_end */
    assert_int_equal(world->status, 503);
    envelope = json_parse(world->body.data, world->body.len, REPLY_MAX_BYTES, &err);
    assert_non_null(envelope);
    json_error_from_envelope(envelope, &err);
    assert_int_equal(err.kind, ERR_BUSY);
    assert_string_equal(err.message, "not now");
    assert_int_equal(err.retry_after_ms, 0);
    assert_string_equal(world->retry_after, "1");
    assert_int_equal(world->closed_count, 0);
}

/* Complete, but none of it leaves before it is let go; meanwhile it can become another one. */
static void a_reply_that_is_held_waits(void **state)
{
    struct world *world = *state;
    struct err err = ERR_INIT;

    for (int is_withdrawn = 0; is_withdrawn < 2; is_withdrawn++) {
        unsigned ended_count = world->ended_count;

        world_send(world, HTTP_GET, "/kept");
        world_settle(world);
        assert_non_null(world->kept);
        assert_true(http_exchange_has_begun(world->kept));
        assert_int_equal(world->ended_count, ended_count);
        if (is_withdrawn) {
            err_fill(&err, ERR_BUSY, "nobody");
            http_exchange_withdraw(world->kept);
            http_reply_error(world->kept, &err, NULL);
        }
        http_exchange_let_go(world->kept);
        world_settle(world);
        assert_int_equal(world->ended_count, ended_count + 1);
        assert_int_equal(world->status, is_withdrawn ? 503 : 403);
        assert_non_null(strstr(world->body.data, is_withdrawn ? "nobody" : "not you"));
        assert_null(strstr(world->body.data, is_withdrawn ? "not you" : "nobody"));
    }
    assert_int_equal(world->gone_count, 0);
    assert_int_equal(world->failed_count, 0);
}

static void who_holds_a_reply_hears_that_the_client_left(void **state)
{
    struct world *world = *state;
    const struct http_request request = {.method = HTTP_GET, .target = "/kept"};
    struct http_call *call = http_client_send(world->client, &request, &CALL_EVENTS, world);

    world_settle(world);
    assert_non_null(world->kept);
    http_call_cancel(call);
    world_settle(world);
    assert_null(world->kept);
    assert_int_equal(world->gone_count, 1);
}

/* A header of whole seconds, never too early; the envelope has the milliseconds. */
static void a_refusal_says_when_to_come_back(void **state)
{
    static const struct {
        uint64_t ms;
        const char *header;
    } TIMES[] = {{1, "1"}, {1000, "1"}, {1001, "2"}, {299999, "300"}, {3600000, "3600"}};
    struct world *world = *state;

    for (size_t i = 0; i < ARRAY_COUNT(TIMES); i++) {
        struct err err = ERR_INIT;
        AUTO_JSON json_t *envelope = NULL;

        world->retry_after_ms = TIMES[i].ms;
        world_send(world, HTTP_GET, "/busy");
        (void)event_base_dispatch(world->base); /* until on_end */
        assert_string_equal(world->retry_after, TIMES[i].header);
        envelope = json_parse(world->body.data, world->body.len, REPLY_MAX_BYTES, &err);
        json_error_from_envelope(envelope, &err);
        assert_int_equal(err.retry_after_ms, TIMES[i].ms);
    }
}

/* The time at which the reply was made, for replies in one piece, streams and refusals alike. */
static void every_reply_has_a_date(void **state)
{
    static const char *const PATHS[] = {"/r", "/busy", "/hold"};
    struct world *world = *state;

    for (size_t i = 0; i < ARRAY_COUNT(PATHS); i++) {
        struct clock_http_date before = {.wall_s = 0};
        struct clock_http_date after = {.wall_s = 0};
        int64_t from_ms = clock_wall_ms();
        bool is_found = false;

        world_send(world, HTTP_GET, PATHS[i]);
        world_settle(world);
        if (world->held != NULL)
            http_stream_begin(world->held, 200, "text/event-stream");
        world_settle(world);
        (void)clock_http_date_at(&before, from_ms);
        (void)clock_http_date_at(&after, clock_wall_ms());
        for (int64_t s = before.wall_s; s <= after.wall_s; s++)
            is_found |= strcmp(clock_http_date_at(&before, s * 1000), world->date) == 0;
        assert_true(is_found);
    }
}

/* The orderly end of a program: who rests goes, who is in an exchange gets its reply. */
static void stopping_lets_exchanges_end(void **state)
{
    struct world *world = *state;

    world_send(world, HTTP_GET, "/r");
    world_settle(world);
    world_send(world, HTTP_GET, "/hold");
    world_settle(world);
    world_send(world, HTTP_GET, "/r"); /* a second connection, which then rests */
    world_settle(world);
    assert_int_equal(http_server_client_count(world->server), 2);
    http_server_stop_accepting(world->server);
    assert_int_equal(http_server_client_count(world->server), 1);
    buf_clear(&world->body); /* of the call before */
    http_reply(world->held, 200, "text/plain", "last", strlen("last"));
    world_settle(world);
    assert_string_equal(world->body.data, "last");
    assert_int_equal(world->completed_count, 3);
    assert_int_equal(http_server_client_count(world->server), 0);
    world_send(world, HTTP_GET, "/r");
    world_settle(world);
    assert_int_equal(world->failed_count, 1);
}

static void freeing_cuts_exchanges(void **state)
{
    struct world *world = *state;

    world_send(world, HTTP_GET, "/hold");
    world_settle(world);
    http_server_free(world->server);
    world->server = NULL;
    assert_int_equal(world->closed_count, 1);
    assert_int_equal(world->completed_count, 0);
    world_settle(world);
    assert_int_equal(world->failed_count, 1);
}

/* ---- TCP, and a crowd at the door ---- */

/* A client for LISTEN_FD's address instead of the world's own. */
static void world_call_tcp(struct world *world, int listen_fd)
{
    struct sockaddr_in name;
    socklen_t len = sizeof(name);

    assert_int_equal(getsockname(listen_fd, (struct sockaddr *)&name, &len), 0);
    world->address.port = ntohs(name.sin_port);
    http_client_free(world->client);
    world->client = http_client_new(world->base, &world->address, REPLY_MAX_BYTES);
    world_send(world, HTTP_GET, "/r");
    (void)event_base_dispatch(world->base); /* until on_end */
}

static void calls_go_over_tcp(void **state)
{
    struct world *world = *state;
    struct http_limits limits = HTTP_LIMITS_DEFAULT;
    struct http_server *server = NULL;
    struct http_address unix_address = world->address;
    struct err err = ERR_INIT;
    int fd = -1;

    assert_int_equal(http_address_parse("localhost:0", &world->address, &err), 0);
    assert_int_equal(http_address_listen(&world->address, 0, &fd, &err), 0);
    server = http_server_new(world->base, fd, &limits, &SERVICE, world, &err);
    assert_non_null(server);
    world_call_tcp(world, fd);
    assert_string_equal(world->body.data, "hello");
    fd = dup(fd); /* its port stays taken, and nobody listens there */
    http_server_free(server);
    assert_int_equal(shutdown(fd, SHUT_RDWR), 0);
    world_call_tcp(world, fd);
    assert_int_equal(world->failed_count, 1);
    assert_int_equal(world->failure.kind, ERR_UNREACHABLE);
    (void)close(fd); /* a test socket */
    world->address = unix_address;
}

/* A Unix listener whose queue is full answers EAGAIN: the calls wait and are all served. */
static void a_full_queue_is_waited_for(void **state)
{
    struct world *world = *state;
    struct http_limits limits = HTTP_LIMITS_DEFAULT;
    struct err err = ERR_INIT;
    int fd = -1;

    http_server_free(world->server);
    assert_int_equal(unlink(world->address.path), 0);
    assert_int_equal(http_address_listen(&world->address, 0600, &fd, &err), 0);
    assert_int_equal(listen(fd, 0), 0);
    for (int i = 0; i < CLIENT_COUNT; i++)
        world_send(world, HTTP_GET, "/r");
    world_settle(world);
    assert_int_equal(world->ended_count, 0);
    world->server = http_server_new(world->base, fd, &limits, &SERVICE, world, &err);
    assert_non_null(world->server);
    while (world->ended_count < CLIENT_COUNT)
        (void)event_base_dispatch(world->base); /* until some on_end */
    assert_int_equal(world->failed_count, 0);
}

/* 10^5 requests on connections that are kept: none fails, nothing leaks (the sanitizer builds
 * tell), and once warm nothing is allocated for them. */
static void keep_alive_allocates_nothing(void **state)
{
    struct world *world = *state;
    unsigned long before = 0;

    for (int i = 0; i < CLIENT_COUNT; i++)
        world_send(world, HTTP_GET, "/r");
    world->wanted_count = WARM_UP_COUNT;
    while (world->ended_count < WARM_UP_COUNT + CLIENT_COUNT)
        (void)event_base_dispatch(world->base); /* until some on_end */
    before = *allocation_count();
    world->wanted_count = KEEP_ALIVE_COUNT;
    world_send(world, HTTP_GET, "/r");
    while (world->wanted_count > 0)
        (void)event_base_dispatch(world->base); /* as above */
    if (COUNTS_ALLOCATIONS)
        assert_int_equal(*allocation_count(), before);
    world_settle(world);
    assert_int_equal(world->failed_count, 0);
    assert_int_equal(world->ended_count, KEEP_ALIVE_COUNT + WARM_UP_COUNT + CLIENT_COUNT + 1);
    assert_int_equal(world->completed_count, world->ended_count);
}

#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_WORLD(a_reply_that_is_held_waits),
        IN_A_WORLD(who_holds_a_reply_hears_that_the_client_left),
        IN_A_WORLD(a_request_is_answered),
        IN_A_WORLD(one_turn_is_one_system_call),
        IN_A_WORLD(a_paused_client_stops_the_source),
        IN_A_WORLD(a_refusal_is_an_envelope),
        IN_A_WORLD(a_refusal_says_when_to_come_back),
        IN_A_WORLD(every_reply_has_a_date),
        IN_A_WORLD(stopping_lets_exchanges_end),
        IN_A_WORLD(freeing_cuts_exchanges),
        IN_A_WORLD(calls_go_over_tcp),
        IN_A_WORLD(a_full_queue_is_waited_for),
        IN_A_WORLD(keep_alive_allocates_nothing),
    };

    token_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
