/* What the HTTP layer costs on a Unix socket: requests a second on a kept connection, and
 * microseconds for each event of a stream, beside a bare epoll loop that answers with the same
 * bytes, measured in turns. Server and client are two threads, so on a busy machine the wall-clock
 * figures are the scheduler's; the CPU time of the server's thread is not. An event has a turn of
 * the loop for itself; where the client falls behind, ours leave together. */
#include "common/attr.h"
#include "common/clock.h"
#include "common/http/http.h"
#include "common/http/sse.h"
#include "common/token.h"
#include "tests/bench/bench.h"

#include <assert.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    ROUNDS = 11,
    REQUESTS = 5000, /* in a round */
    EVENTS = 20000,
    WARM_UP = 500,
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

/* What one round measures. */
struct result {
    double us_per_request;
    double us_per_event;
    double cpu_us_per_request; /* of the server's thread */
    double cpu_us_per_event;
};

struct side {
    int fd;                  /* the server's end: a listening socket, or a connected one */
    uint64_t cpu_us[3];      /* of the server's thread: at its start, at the stream's, at its end */
    char reply[REPLY_BYTES]; /* of the bare server: what ours replies */
    size_t reply_len;
};

static uint64_t thread_cpu_us(void)
{
    struct rusage usage;

    (void)getrusage(RUSAGE_THREAD, &usage); /* cannot fail for oneself */
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * US_PER_S +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* ---- the layer ---- */

struct stream {
    struct http_exchange *x;
    struct event *turn;
    unsigned long left;
};

struct bench_service {
    struct event_base *base;
    struct side *side;
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
    service->side->cpu_us[1] = thread_cpu_us();
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
    struct bench_service service = {.side = side, .stream = {.left = EVENTS}};
    struct http_limits limits = HTTP_LIMITS_DEFAULT;
    struct err err = ERR_INIT;
    struct http_server *server = NULL;

    side->cpu_us[0] = thread_cpu_us();
    service.base = event_base_new();
    service.stream.turn = event_new(service.base, -1, 0, stream_on_turn, &service.stream);
    server = http_server_new(service.base, side->fd, &limits, &SERVICE, &service, &err);
    assert(server != NULL);
    (void)event_base_dispatch(service.base); /* until the stream has ended */
    http_server_free(server);
    event_free(service.stream.turn);
    event_base_free(service.base);
    side->cpu_us[2] = thread_cpu_us();
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
    for (unsigned long i = 0; i < EVENTS; i++) {
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

    side->cpu_us[0] = thread_cpu_us();
    assert(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, side->fd, &event) == 0);
    bare_echo(epoll_fd, side);
    side->cpu_us[1] = thread_cpu_us();
    bare_stream(epoll_fd, side);
    side->cpu_us[2] = thread_cpu_us();
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

static double measure_requests(int fd, size_t reply_len)
{
    uint64_t began_us = 0;

    for (int i = 0; i < WARM_UP; i++)
        round_trip(fd, reply_len);
    began_us = clock_monotonic_us();
    for (int i = 0; i < REQUESTS; i++)
        round_trip(fd, reply_len);
    return (double)(clock_monotonic_us() - began_us) / REQUESTS;
}

static double measure_events(int fd)
{
    char bytes[1 << 16];
    uint64_t began_us = clock_monotonic_us();
    size_t left = (size_t)EVENTS * (sizeof(EVENT_CHUNK) - 1);

    assert(send(fd, STREAM, sizeof(STREAM) - 1, MSG_NOSIGNAL) == sizeof(STREAM) - 1);
    while (left > 0) {
        ssize_t len = recv(fd, bytes, sizeof(bytes), 0);

        assert(len > 0);
        left -= (size_t)len < left ? (size_t)len : left;
    }
    return (double)(clock_monotonic_us() - began_us) / EVENTS;
}

static void fill_cpu(const struct side *side, struct result *result)
{
    result->cpu_us_per_request = (double)(side->cpu_us[1] - side->cpu_us[0]) / (WARM_UP + REQUESTS);
    result->cpu_us_per_event = (double)(side->cpu_us[2] - side->cpu_us[1]) / EVENTS;
}

static int connect_to(const struct http_address *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un name = {.sun_family = AF_UNIX};

    memcpy(name.sun_path, address->path, sizeof(name.sun_path));
    assert(connect(fd, (const struct sockaddr *)&name, sizeof(name)) == 0);
    return fd;
}

static struct result measure_layer(struct side *side)
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
    result.us_per_request = measure_requests(fd, side->reply_len);
    result.us_per_event = measure_events(fd);
    (void)close(fd); /* test files */
    assert(pthread_join(thread, NULL) == 0);
    (void)unlink(address.path); /* likewise */
    (void)rmdir(folder);        /* likewise */
    fill_cpu(side, &result);
    return result;
}

static struct result measure_bare(struct side *side)
{
    struct result result = {0};
    pthread_t thread;
    int pair[2];

    assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    side->fd = pair[1];
    assert(pthread_create(&thread, NULL, run_bare, side) == 0);
    result.us_per_request = measure_requests(pair[0], side->reply_len);
    result.us_per_event = measure_events(pair[0]);
    assert(pthread_join(thread, NULL) == 0);
    (void)close(pair[0]); /* a test socket */
    fill_cpu(side, &result);
    return result;
}

int main(void)
{
    struct side side = {.fd = -1};
    double ours[4][ROUNDS], bare[4][ROUNDS];
    double us[4], bare_us[4];

    token_init();
    for (size_t i = 0; i < ROUNDS; i++) {
        struct result layer = measure_layer(&side), loop = measure_bare(&side);

        ours[0][i] = layer.us_per_request, bare[0][i] = loop.us_per_request;
        ours[1][i] = layer.cpu_us_per_request, bare[1][i] = loop.cpu_us_per_request;
        ours[2][i] = layer.us_per_event, bare[2][i] = loop.us_per_event;
        ours[3][i] = layer.cpu_us_per_event, bare[3][i] = loop.cpu_us_per_event;
    }
    for (size_t i = 0; i < ARRAY_COUNT(us); i++) {
        us[i] = bench_median(ours[i], ROUNDS);
        bare_us[i] = bench_median(bare[i], ROUNDS);
    }
    printf(
        "keep-alive: %.0f requests/s; bare epoll loop: %.0f; ratio %.2f (CPU of the server: %.1f "
        "us and %.1f us, ratio %.2f)\n",
        US_PER_S / us[0], US_PER_S / bare_us[0], us[0] / bare_us[0], us[1], bare_us[1],
        us[1] / bare_us[1]);
    printf(
        "SSE: %.2f us an event; bare epoll loop: %.2f; ratio %.2f (CPU of the server: %.2f us and "
        "%.2f us, ratio %.2f)\n",
        us[2], bare_us[2], us[2] / bare_us[2], us[3], bare_us[3], us[3] / bare_us[3]);
    return 0;
}
