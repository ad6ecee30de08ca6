/* fast_worker: what is behind a proxy while the proxy is measured (tests/bench/bench_proxy.sh). It
 * speaks as much of a worker's API as rbeed asks for, computes nothing and answers from memory, so
 * that next to all of a request's cost is the proxy's.
 *
 *   fast_worker --name N --model PATH --listen-fd 3 --token-fd 4 ...   as rbeed starts a worker
 *   fast_worker --describe PATH                                        likewise
 *   fast_worker --listen PATH                                          behind any other proxy
 *
 * What it answers to POST /v1/inference is in the body, wherever: `"stream":false` a small JSON;
 * `"max_tokens":1` the same as a stream at once; `flood` tokens as fast as they are taken; `hold` a
 * started event and then nothing; else a stream of STREAM_EVENTS tokens, one each TICK_US, as a
 * model gives them. Who leaves in the middle of one is told on stderr as `gone US`, the monotonic
 * microseconds. Trusts its client: this is a bench.
 */
#include "common/attr.h"
#include "common/clock.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    STREAM_EVENTS = 100,
    TICK_US = 1000,
    REQUEST_MAX_BYTES = 64 * 1024,
    FLOOD_TEXT_BYTES = 4096,
    FLOOD_TURN_EVENTS = 16, /* so that others get their turn */
    SLOTS = 1024,
    READY_EVENTS = 64,
    NS_PER_US = 1000,
};

enum conn_mode { CONN_IDLE, CONN_PACED, CONN_FLOOD, CONN_HOLD };

struct conn {
    TAILQ_ENTRY(conn) in_streams;
    int fd;
    enum conn_mode mode;
    unsigned sent_count; /* events of this stream */
    size_t len;          /* of request */
    size_t unsent_from;  /* of the flood's event that was taken in part */
    char request[REQUEST_MAX_BYTES];
};

struct fast_worker {
    int epoll_fd;
    int listen_fd;
    int timer_fd;
    bool is_ticking;
    TAILQ_HEAD(, conn) streams;
    char flood[FLOOD_TEXT_BYTES + 256];
    size_t flood_len;
};

static const char READY[] =
    "{\"phase\":\"ready\",\"tokens\":1,\"prefill_tokens\":1,\"context_tokens\":8192,\"slots\":1024,"
    "\"device\":\"cpu\",\"memory_bytes\":1000000}";
#define RESULT                                                                                     \
    "\"stop_reason\":\"stop\",\"usage\":{\"prompt_tokens\":5,\"cached_tokens\":0,"                 \
    "\"completion_tokens\":100},\"timings\":{\"queue_ms\":0.012,\"load_ms\":0,\"prefill_ms\":"     \
    "12.5,\"decode_ms\":80.2,\"first_token_ms\":13.012}"
static const char WHOLE[] = "{\"id\":\"r-bench\",\"model\":\"fast\",\"text\":\"Paris is a city of "
                            "light.\"," RESULT "}";
enum { STARTED_BYTES = 128 };
static const char END[] = "data: {\"type\":\"end\"," RESULT "}\n\n";
static const char DONE[] = "data: [DONE]\n\n";
static const char TOKEN[] =
    "data: {\"type\":\"token\",\"t\":\"Paris is a city of light.\",\"i\":0}\n\n";
static const char STREAM_HEAD[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                                  "Transfer-Encoding: chunked\r\n\r\n";

/* ---- answers ---- */

static void conn_send(const struct conn *conn, const char *data, size_t len)
{
    /* Small enough for any socket's buffer; a client that is gone is seen by the next read. */
    (void)!send(conn->fd, data, len, MSG_NOSIGNAL);
}

static void conn_send_json(const struct conn *conn, const char *body)
{
    char reply[1024];
    int len = snprintf(reply, sizeof(reply),
                       "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
                       "%zu\r\n\r\n%s",
                       strlen(body), body);

    conn_send(conn, reply, (size_t)len);
}

static int chunk_make(char *out, size_t size, const char *data)
{
    return snprintf(out, size, "%zx\r\n%s\r\n", strlen(data), data);
}

static void conn_send_chunk(const struct conn *conn, const char *data)
{
    char chunk[1024];

    conn_send(conn, chunk, (size_t)chunk_make(chunk, sizeof(chunk), data));
}

static void worker_tick(struct fast_worker *worker, bool on)
{
    struct itimerspec every = {.it_interval.tv_nsec = on ? (long)TICK_US * NS_PER_US : 0,
                               .it_value.tv_nsec = on ? (long)TICK_US * NS_PER_US : 0};

    if (worker->is_ticking != on)
        (void)timerfd_settime(worker->timer_fd, 0, &every, NULL); /* valid values only */
    worker->is_ticking = on;
}

/* With the id that the request came with, as rbee-worker has it. */
static const char *conn_started(const struct conn *conn, char out[STARTED_BYTES])
{
    static const char ID[] = "x-inference-id: ";
    const char *id = strcasestr(conn->request, ID);

    id = id == NULL ? "r-bench" : id + strlen(ID);
    (void)snprintf(out, STARTED_BYTES,
                   "data: {\"type\":\"started\",\"id\":\"%.*s\",\"model\":\"fast\"}\n\n",
                   (int)strcspn(id, "\r"), id);
    return out;
}

static void conn_begin_stream(struct fast_worker *worker, struct conn *conn, enum conn_mode mode)
{
    char started[STARTED_BYTES];

    conn_send(conn, STREAM_HEAD, strlen(STREAM_HEAD));
    conn_send_chunk(conn, conn_started(conn, started));
    conn->mode = mode;
    conn->sent_count = 0;
    conn->unsent_from = 0;
    if (mode == CONN_PACED) {
        TAILQ_INSERT_TAIL(&worker->streams, conn, in_streams);
        worker_tick(worker, true);
    }
    if (mode == CONN_FLOOD) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = conn};

        assert(epoll_ctl(worker->epoll_fd, EPOLL_CTL_MOD, conn->fd, &event) == 0);
    }
}

/* All of a stream in one piece: rbeed asks for one also where its client did not. */
static void conn_send_short_stream(const struct conn *conn)
{
    char started[STARTED_BYTES], text[2048];
    const char *const events[] = {conn_started(conn, started), TOKEN, END, DONE};
    size_t len = strlen(STREAM_HEAD);

    memcpy(text, STREAM_HEAD, len);
    for (size_t i = 0; i < ARRAY_COUNT(events); i++)
        len += (size_t)chunk_make(text + len, sizeof(text) - len, events[i]);
    len += (size_t)snprintf(text + len, sizeof(text) - len, "0\r\n\r\n");
    conn_send(conn, text, len);
}

static void conn_answer(struct fast_worker *worker, struct conn *conn, const char *body)
{
    if (strncmp(conn->request, "GET ", 4) == 0)
        conn_send_json(conn, READY);
    else if (strstr(body, "\"stream\":false") != NULL)
        conn_send_json(conn, WHOLE);
    else if (strstr(body, "\"max_tokens\":1") != NULL)
        conn_send_short_stream(conn);
    else if (strstr(body, "flood") != NULL)
        conn_begin_stream(worker, conn, CONN_FLOOD);
    else if (strstr(body, "hold") != NULL)
        conn_begin_stream(worker, conn, CONN_HOLD);
    else
        conn_begin_stream(worker, conn, CONN_PACED);
}

static void conn_on_tick(struct fast_worker *worker, struct conn *conn)
{
    char event[256];

    if (conn->sent_count < STREAM_EVENTS) {
        (void)snprintf(event, sizeof(event),
                       "data: {\"type\":\"token\",\"t\":\" word\",\"i\":%u}\n\n",
                       conn->sent_count++);
        conn_send_chunk(conn, event);
        return;
    }
    conn_send_chunk(conn, END);
    conn_send_chunk(conn, DONE);
    conn_send(conn, "0\r\n\r\n", strlen("0\r\n\r\n"));
    conn->mode = CONN_IDLE;
    TAILQ_REMOVE(&worker->streams, conn, in_streams);
    worker_tick(worker, !TAILQ_EMPTY(&worker->streams));
}

static void conn_flood(const struct fast_worker *worker, struct conn *conn)
{
    for (int i = 0; i < FLOOD_TURN_EVENTS; i++) {
        size_t left = worker->flood_len - conn->unsent_from;
        ssize_t sent = send(conn->fd, worker->flood + conn->unsent_from, left, MSG_NOSIGNAL);

        if (sent <= 0)
            return;
        conn->unsent_from = (conn->unsent_from + (size_t)sent) % worker->flood_len;
    }
}

/* ---- connections ---- */

static void conn_close(struct fast_worker *worker, struct conn *conn)
{
    if (conn->mode != CONN_IDLE)
        (void)dprintf(STDERR_FILENO, "gone %" PRIu64 "\n", clock_monotonic_us());
    if (conn->mode == CONN_PACED)
        TAILQ_REMOVE(&worker->streams, conn, in_streams);
    (void)close(conn->fd); /* nothing is owed to it */
    free(conn);
}

/* The request's length once it is whole, else 0. */
static size_t conn_request_len(const struct conn *conn, const char **out_body)
{
    static const char LENGTH[] = "content-length:";
    const char *head_end = strstr(conn->request, "\r\n\r\n");
    const char *length = strcasestr(conn->request, LENGTH);
    size_t head_len = 0, body_len = 0;

    if (head_end == NULL)
        return 0;
    head_len = (size_t)(head_end - conn->request) + strlen("\r\n\r\n");
    if (length != NULL && length < head_end)
        body_len = strtoul(length + strlen(LENGTH), NULL, 10);
    *out_body = conn->request + head_len;
    return head_len + body_len <= conn->len ? head_len + body_len : 0;
}

static void conn_on_readable(struct fast_worker *worker, struct conn *conn)
{
    const char *body = NULL;
    ssize_t got = recv(conn->fd, conn->request + conn->len, REQUEST_MAX_BYTES - 1 - conn->len, 0);

    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        conn_close(worker, conn);
        return;
    }
    conn->len += (size_t)got;
    conn->request[conn->len] = '\0';
    if (conn_request_len(conn, &body) == 0)
        return;
    conn->len = 0; /* nobody pipelines here */
    conn_answer(worker, conn, body);
}

static void worker_accept(const struct fast_worker *worker)
{
    int fd = accept4(worker->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct conn *conn = fd < 0 ? NULL : calloc(1, sizeof(*conn));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};

    if (conn == NULL)
        return;
    conn->fd = fd;
    assert(epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0);
}

static void worker_on_tick(struct fast_worker *worker)
{
    uint64_t ticks = 0;
    struct conn *conn = TAILQ_FIRST(&worker->streams);

    (void)!read(worker->timer_fd, &ticks, sizeof(ticks)); /* missed ones are missed */
    while (conn != NULL) {
        struct conn *next = TAILQ_NEXT(conn, in_streams);

        conn_on_tick(worker, conn);
        conn = next;
    }
}

static void worker_watch(const struct fast_worker *worker, const int *fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = (void *)(uintptr_t)fd};

    assert(epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, *fd, &event) == 0);
}

static void worker_run(struct fast_worker *worker)
{
    struct epoll_event events[READY_EVENTS];

    for (;;) {
        int count = epoll_wait(worker->epoll_fd, events, READY_EVENTS, -1);

        for (int i = 0; i < count; i++) {
            struct conn *conn = events[i].data.ptr;

            if (events[i].data.ptr == &worker->listen_fd)
                worker_accept(worker);
            else if (events[i].data.ptr == &worker->timer_fd)
                worker_on_tick(worker);
            else if ((events[i].events & (unsigned)~EPOLLOUT) != 0)
                conn_on_readable(worker, conn);
            else
                conn_flood(worker, conn);
        }
    }
}

/* ---- start ---- */

static void worker_fill_flood(struct fast_worker *worker)
{
    char event[sizeof(worker->flood)], text[FLOOD_TEXT_BYTES + 1];

    memset(text, 'x', FLOOD_TEXT_BYTES);
    text[FLOOD_TEXT_BYTES] = '\0';
    (void)snprintf(event, sizeof(event), "data: {\"type\":\"token\",\"t\":\"%s\",\"i\":0}\n\n",
                   text);
    worker->flood_len = (size_t)chunk_make(worker->flood, sizeof(worker->flood), event);
}

static int listen_at(const char *path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(name.sun_path, sizeof(name.sun_path), "%s", path);
    assert(bind(fd, (const struct sockaddr *)&name, sizeof(name)) == 0);
    assert(listen(fd, SOMAXCONN) == 0);
    return fd;
}

static int describe(const char *path)
{
    printf("{\"name\":\"fast\",\"architecture\":\"fake\",\"parameters\":1000,\"quantisation\":"
           "\"F32\",\"size_bytes\":1,\"context_tokens\":8192,\"vocab\":256,\"layers\":1,"
           "\"template\":\"chatml\"}\n");
    return 0;
}

static const char *option(int argc, char **argv, const char *name)
{
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], name) == 0)
            return argv[i + 1];
    }
    return NULL;
}

int main(int argc, char **argv)
{
    static struct fast_worker worker;
    const char *listen_fd = option(argc, argv, "--listen-fd");
    const char *path = option(argc, argv, "--listen");

    if (option(argc, argv, "--describe") != NULL)
        return describe(option(argc, argv, "--describe"));
    if (listen_fd == NULL && path == NULL)
        return 2;
    worker.listen_fd = path != NULL ? listen_at(path) : (int)strtol(listen_fd, NULL, 10);
    (void)fcntl(worker.listen_fd, F_SETFL, O_NONBLOCK); /* the supervisor's may be so already */
    worker.timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    worker.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    assert(worker.timer_fd >= 0 && worker.epoll_fd >= 0);
    TAILQ_INIT(&worker.streams);
    worker_fill_flood(&worker);
    worker_watch(&worker, &worker.listen_fd);
    worker_watch(&worker, &worker.timer_fd);
    worker_run(&worker);
    return 0;
}
