/* What the HTTP layer costs on a Unix socket: requests a second on a kept connection, and
 * microseconds for each event of a stream, beside a bare epoll loop that answers the same number of
 * bytes with the same bytes, measured in the same run. Server and client are two threads.
 *
 *   bench_http [REQUESTS [EVENTS]]
 */
#include "common/attr.h"
#include "common/clock.h"
#include "common/http/http.h"
#include "common/http/sse.h"
#include "common/token.h"

#include <assert.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    DEFAULT_REQUESTS = 50000,
    DEFAULT_EVENTS = 200000,
    WARM_UP = 1000,
    REPLY_BYTES = 4096,
    US_PER_S = 1000000,
};

static const char REQUEST[] = "POST /r HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: bench\r\n"
                              "Content-Length: 16\r\n\r\n0123456789abcdef";
static const char STREAM[] = "GET /s HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: bench\r\n\r\n";
static const char EVENT[] = "data: {\"type\":\"token\",\"t\":\" word\",\"i\":12345}\n\n";
/* As EVENT leaves the server. */
static const char EVENT_CHUNK[] =
    "2e\r\ndata: {\"type\":\"token\",\"t\":\" word\",\"i\":12345}\n\n\r\n";
static_assert(sizeof(EVENT_CHUNK) - 1 == sizeof("2e\r\n\r\n") - 1 + sizeof(EVENT) - 1 &&
                  sizeof(EVENT) - 1 == 0x2e,
              "the chunk says its size");

struct side {
    int fd; /* the server's end: a listening socket, or a connected one */
    unsigned long event_count;
    char reply[REPLY_BYTES]; /* of the bare server: what ours replies */
    size_t reply_len;
};

/* ---- the layer ---- */

struct stream {
    struct http_exchange *x;
    struct event *turn;
    unsigned long left;
};

struct bench_service {
    struct event_base *base;
    struct stream stream;
};

static int service_on_head(struct http_exchange *x, void *owner, struct err *err)
{
    return 0;
}

/* One event in each turn of the loop: each has a system call of its own, as tokens do. */
static void stream_on_turn(evutil_socket_t fd, short what, void *arg)
{
    struct stream *stream = arg;
    struct timeval at_once = {0};

    if (stream->left == 0) {
        http_stream_end(stream->x);
        return;
    }
    if (http_exchange_unsent_bytes(stream->x) > HTTP_UNSENT_HIGH_BYTES)
        return; /* on_drained goes on */
    stream->left--;
    http_stream_write(stream->x, EVENT, sizeof(EVENT) - 1);
    (void)event_add(stream->turn, &at_once); /* memory is there */
}

static void service_on_request(struct http_exchange *x, void *owner)
{
    struct bench_service *service = owner;

    if (http_exchange_head(x)->method == HTTP_POST) {
        http_reply(x, 200, "application/json", "{\"status\":\"ok\"}",
                   strlen("{\"status\":\"ok\"}"));
        return;
    }
    service->stream.x = x;
    http_stream_begin(x, 200, "text/event-stream");
    event_active(service->stream.turn, 0, 0);
}

static void service_on_closed(struct http_exchange *x, void *owner, bool completed)
{
    struct bench_service *service = owner;

    if (http_exchange_head(x)->method == HTTP_GET)
        (void)event_base_loopbreak(service->base); /* the stream is the last of it */
}

static void service_on_drained(struct http_exchange *x, void *owner)
{
    struct bench_service *service = owner;

    event_active(service->stream.turn, 0, 0);
}

static const struct http_service SERVICE = {
    .on_head = service_on_head,
    .on_request = service_on_request,
    .on_closed = service_on_closed,
    .on_drained = service_on_drained,
};

static void *run_layer(void *arg)
{
    struct side *side = arg;
    struct bench_service service = {.stream = {.left = side->event_count}};
    struct http_limits limits = HTTP_LIMITS_DEFAULT;
    struct err err = ERR_INIT;
    struct http_server *server = NULL;

    service.base = event_base_new();
    service.stream.turn = event_new(service.base, -1, 0, stream_on_turn, &service.stream);
    server = http_server_new(service.base, side->fd, &limits, &SERVICE, &service, &err);
    assert(server != NULL);
    (void)event_base_dispatch(service.base); /* until the stream has ended */
    http_server_free(server);
    event_free(service.stream.turn);
    event_base_free(service.base);
    return NULL;
}

/* ---- the bare loop ---- */

static void bare_echo(int epoll_fd, const struct side *side)
{
    char bytes[REPLY_BYTES];
    struct epoll_event event;

    for (;;) {
        ssize_t len = 0;

        if (epoll_wait(epoll_fd, &event, 1, -1) != 1)
            continue;
        len = recv(side->fd, bytes, sizeof(bytes), 0);
        if (len <= 0 || len == (ssize_t)strlen(STREAM))
            return;
        assert(send(side->fd, side->reply, side->reply_len, MSG_NOSIGNAL) > 0);
    }
}

static void bare_stream(int epoll_fd, const struct side *side)
{
    struct epoll_event event = {.events = EPOLLOUT};

    assert(epoll_ctl(epoll_fd, EPOLL_CTL_MOD, side->fd, &event) == 0);
    for (unsigned long i = 0; i < side->event_count; i++) {
        if (epoll_wait(epoll_fd, &event, 1, -1) != 1)
            continue;
        assert(send(side->fd, EVENT_CHUNK, sizeof(EVENT_CHUNK) - 1, MSG_NOSIGNAL) > 0);
    }
}

static void *run_bare(void *arg)
{
    struct side *side = arg;
    struct epoll_event event = {.events = EPOLLIN};
    AUTO_CLOSE int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

    assert(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, side->fd, &event) == 0);
    bare_echo(epoll_fd, side);
    bare_stream(epoll_fd, side);
    (void)close(side->fd); /* tells the client that this was all */
    return NULL;
}

/* ---- the client of both ---- */

/* One request and its reply of REPLY_LEN bytes. */
static void round_trip(int fd, size_t reply_len)
{
    char bytes[REPLY_BYTES];
    size_t got = 0;

    assert(send(fd, REQUEST, sizeof(REQUEST) - 1, MSG_NOSIGNAL) == sizeof(REQUEST) - 1);
    while (got < reply_len) {
        ssize_t len = recv(fd, bytes, sizeof(bytes), 0);

        assert(len > 0);
        got += (size_t)len;
    }
}

static double measure_requests(int fd, size_t reply_len, unsigned long count)
{
    uint64_t began_us = 0;

    for (int i = 0; i < WARM_UP; i++)
        round_trip(fd, reply_len);
    began_us = clock_monotonic_us();
    for (unsigned long i = 0; i < count; i++)
        round_trip(fd, reply_len);
    return (double)count * US_PER_S / (double)(clock_monotonic_us() - began_us);
}

static double measure_events(int fd, unsigned long count)
{
    char bytes[1 << 16];
    uint64_t began_us = clock_monotonic_us();
    size_t left = count * (sizeof(EVENT_CHUNK) - 1);

    assert(send(fd, STREAM, sizeof(STREAM) - 1, MSG_NOSIGNAL) == sizeof(STREAM) - 1);
    while (left > 0) {
        ssize_t len = recv(fd, bytes, sizeof(bytes), 0);

        assert(len > 0);
        left -= (size_t)len < left ? (size_t)len : left;
    }
    return (double)(clock_monotonic_us() - began_us) / (double)count;
}

static int connect_to(const struct http_address *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct {
        sa_family_t family;
        char path[sizeof(address->path)];
    } name = {.family = AF_UNIX};

    memcpy(name.path, address->path, sizeof(name.path));
    assert(connect(fd, (const struct sockaddr *)&name, sizeof(name)) == 0);
    return fd;
}

struct result {
    double requests_per_s;
    double us_per_event;
};

static struct result measure_layer(struct side *side, unsigned long requests)
{
    char folder[] = "/tmp/rbee-bench-XXXXXX";
    struct http_address address = {.is_unix = true};
    struct result result = {0};
    struct err err = ERR_INIT;
    pthread_t thread;
    ssize_t len = 0;
    int fd = -1;

    assert(mkdtemp(folder) != NULL);
    (void)snprintf(address.path, sizeof(address.path), "%s/s", folder);
    assert(http_address_listen(&address, 0600, &side->fd, &err) == 0);
    fd = connect_to(&address);
    assert(pthread_create(&thread, NULL, run_layer, side) == 0);
    assert(send(fd, REQUEST, sizeof(REQUEST) - 1, MSG_NOSIGNAL) == sizeof(REQUEST) - 1);
    len = recv(fd, side->reply, sizeof(side->reply), 0);
    assert(len > 0);
    side->reply_len = (size_t)len;
    result.requests_per_s = measure_requests(fd, side->reply_len, requests);
    result.us_per_event = measure_events(fd, side->event_count);
    (void)close(fd); /* test files */
    assert(pthread_join(thread, NULL) == 0);
    (void)unlink(address.path); /* likewise */
    (void)rmdir(folder);        /* likewise */
    return result;
}

static struct result measure_bare(struct side *side, unsigned long requests)
{
    struct result result = {0};
    pthread_t thread;
    int pair[2];

    assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    side->fd = pair[1];
    assert(pthread_create(&thread, NULL, run_bare, side) == 0);
    result.requests_per_s = measure_requests(pair[0], side->reply_len, requests);
    result.us_per_event = measure_events(pair[0], side->event_count);
    assert(pthread_join(thread, NULL) == 0);
    (void)close(pair[0]); /* a test socket */
    return result;
}

int main(int argc, char **argv)
{
    unsigned long requests = argc > 1 ? strtoul(argv[1], NULL, 10) : DEFAULT_REQUESTS;
    struct side side = {.event_count = argc > 2 ? strtoul(argv[2], NULL, 10) : DEFAULT_EVENTS};
    struct result layer;
    struct result bare;

    token_init();
    layer = measure_layer(&side, requests);
    bare = measure_bare(&side, requests);
    printf("requests: %.0f/s, bare loop %.0f/s, ratio %.2f\n", layer.requests_per_s,
           bare.requests_per_s, bare.requests_per_s / layer.requests_per_s);
    printf("events: %.2f us each, bare loop %.2f us, ratio %.2f\n", layer.us_per_event,
           bare.us_per_event, layer.us_per_event / bare.us_per_event);
    return 0;
}
