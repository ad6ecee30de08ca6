/* http_echo: a small service on the real HTTP layer, for tests that come from outside. It says on
 * stdout what happens to each exchange, one line each, so that a test waits for events:
 *
 *   listening ADDRESS                           accepting; ADDRESS as given, with the port it got
 *   request METHOD PATH                         on_request
 *   paused                                      a flood waits for its client, for the first time
 *   closed PATH completed=0|1 peak_unsent=N     on_closed
 *
 * Routes: /hello, /echo (the body), /path (what was decoded), /wait (no reply), /gated (replies on
 * a line on stdin), /big?BYTES, /stream?COUNT, /tick (one event, then nothing), /beat?COUNT (events
 * with the monotonic time in microseconds, 2 ms apart), /flood (events for ever, stopping at
 * HTTP_UNSENT_HIGH_BYTES), /deaf_flood (without stopping), /stats; on_head refuses /refuse with 403
 * and /secret with 401. */
#include "common/attr.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/http/http.h"
#include "common/http/sse.h"
#include "common/io.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/token.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    EVENT_BYTES = 1000, /* of /flood and /stream */
    BEAT_US = 2000,
    FLOOD_TURN_EVENTS = 64,       /* written at a time */
    DEAF_FLOOD_BYTES = 300 << 20, /* more than any limit of the layer */
    STATM_MAX_BYTES = 256,
};

struct echo {
    struct event_base *base;
    struct http_server *server;
    struct http_exchange *gated; /* waits for a line on stdin */
    struct http_limits limits;
};

/* What this service keeps for one exchange. */
struct echo_exchange {
    struct http_exchange *x;
    struct event *turn; /* of a flood or a beat: its next events */
    uint64_t beats_left;
    size_t peak_unsent_bytes;
    bool has_paused;
};

static struct echo_exchange *echo_of(struct http_exchange *x)
{
    return http_exchange_user(x);
}

static void say(const char *format, ...) PRINTF_LIKE(1, 2);
static void say(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    (void)fflush(stdout); /* a test that has gone does not care */
}

/* ---- streams ---- */

static void echo_note_unsent(struct echo_exchange *e)
{
    size_t unsent_bytes = http_exchange_unsent_bytes(e->x);

    if (unsent_bytes > e->peak_unsent_bytes)
        e->peak_unsent_bytes = unsent_bytes;
}

static void echo_write_event(struct http_exchange *x)
{
    char text[EVENT_BYTES];
    AUTO_BUF struct buf event = BUF_INIT(2 * EVENT_BYTES);

    memset(text, 'x', sizeof(text));
    (void)sse_append(&event, text, sizeof(text)); /* fits */
    http_stream_write(x, event.data, event.len);
}

static void echo_on_flood_turn(evutil_socket_t fd, short what, void *arg)
{
    struct echo_exchange *e = arg;
    struct timeval soon = {.tv_usec = 1};

    for (int i = 0; i < FLOOD_TURN_EVENTS; i++)
        echo_write_event(e->x);
    echo_note_unsent(e);
    if (http_exchange_unsent_bytes(e->x) <= HTTP_UNSENT_HIGH_BYTES)
        (void)event_add(e->turn, &soon); /* else on_drained goes on */
    else if (!e->has_paused)
        say("paused\n");
    e->has_paused |= http_exchange_unsent_bytes(e->x) > HTTP_UNSENT_HIGH_BYTES;
}

static void echo_flood(struct echo *echo, struct http_exchange *x)
{
    struct echo_exchange *e = echo_of(x);

    http_stream_begin(x, 200, "text/event-stream");
    e->turn = event_new(echo->base, -1, 0, echo_on_flood_turn, e);
    event_active(e->turn, 0, 0);
}

static void echo_on_beat(evutil_socket_t fd, short what, void *arg)
{
    struct echo_exchange *e = arg;
    struct timeval next = {.tv_usec = BEAT_US};
    char text[EVENT_BYTES];

    if (e->beats_left == 0) {
        http_stream_end(e->x);
        return;
    }
    e->beats_left--;
    (void)snprintf(text, sizeof(text), "data: %" PRIu64 "\n\n", clock_monotonic_us()); /* fits */
    http_stream_write(e->x, text, strlen(text));
    (void)event_add(e->turn, &next); /* memory is there */
}

static void echo_beat(struct echo *echo, struct http_exchange *x, uint64_t count)
{
    struct echo_exchange *e = echo_of(x);

    http_stream_begin(x, 200, "text/event-stream");
    e->beats_left = count;
    e->turn = event_new(echo->base, -1, 0, echo_on_beat, e);
    event_active(e->turn, 0, 0);
}

static void echo_deaf_flood(struct http_exchange *x)
{
    http_stream_begin(x, 200, "text/event-stream");
    for (size_t i = 0; i < DEAF_FLOOD_BYTES / EVENT_BYTES; i++)
        echo_write_event(x);
    echo_note_unsent(echo_of(x));
}

static void echo_stream(struct http_exchange *x, uint64_t count)
{
    http_stream_begin(x, 200, "text/event-stream");
    for (uint64_t i = 0; i < count; i++)
        echo_write_event(x);
    http_stream_end(x);
}

static void echo_tick(struct http_exchange *x)
{
    http_stream_begin(x, 200, "text/event-stream");
    http_stream_write(x, "data: tick\n\n", strlen("data: tick\n\n"));
}

/* ---- replies ---- */

static void echo_reply_text(struct http_exchange *x, const char *text)
{
    http_reply(x, 200, "text/plain", text, strlen(text));
}

static void echo_reply_big(struct http_exchange *x, uint64_t len)
{
    AUTO_FREE char *bytes = xmalloc(len + 1);

    memset(bytes, 'b', len);
    http_reply(x, 200, "application/octet-stream", bytes, len);
}

static void echo_reply_stats(struct echo *echo, struct http_exchange *x)
{
    struct err err = ERR_INIT;
    AUTO_BUF struct buf statm = BUF_INIT(STATM_MAX_BYTES);
    AUTO_JSON json_t *stats = NULL;
    unsigned long long resident_pages = 0;

    if (io_read_file("/proc/self/statm", &statm, &err) == 0)
        (void)sscanf(statm.data, "%*u %llu", &resident_pages); /* else 0, which a test notices */
    stats = json_pack("{s:I,s:i}", "resident_bytes",
                      (json_int_t)(resident_pages * (unsigned long long)sysconf(_SC_PAGESIZE)),
                      "clients", (int)http_server_client_count(echo->server));
    http_reply_json(x, 200, stats);
}

static void echo_reply_path(struct http_exchange *x)
{
    const struct http_head *head = http_exchange_head(x);
    const struct http_peer *peer = http_exchange_peer(x);
    AUTO_JSON json_t *what =
        json_pack("{s:s,s:s,s:s,s:b,s:i}", "path", head->path, "query", head->query, "request_id",
                  http_exchange_request_id(x), "is_unix", peer->is_unix, "uid", (int)peer->uid);

    http_reply_json(x, 200, what);
}

/* ---- the service ---- */

static int echo_on_head(struct http_exchange *x, void *owner, struct err *err)
{
    const char *path = http_exchange_head(x)->path;
    struct echo_exchange *e = NULL;

    if (strcmp(path, "/refuse") == 0)
        return err_set(err, ERR_FORBIDDEN, "not this one");
    if (strcmp(path, "/secret") == 0)
        return err_set(err, ERR_MISSING_API_KEY, "who are you");
    e = xcalloc(1, sizeof(*e));
    e->x = x;
    http_exchange_set_user(x, e);
    return 0;
}

static void echo_on_request(struct http_exchange *x, void *owner)
{
    struct echo *echo = owner;
    const struct http_head *head = http_exchange_head(x);
    uint64_t number = strtoull(head->query, NULL, 10);
    struct err err = ERR_INIT;
    size_t len = 0;
    const char *body = http_exchange_body(x, &len);

    say("request %s %s\n", http_method_name(head->method), head->path);
    if (strcmp(head->path, "/hello") == 0)
        echo_reply_text(x, "hello");
    else if (strncmp(head->path, "/path", strlen("/path")) == 0)
        echo_reply_path(x);
    else if (strcmp(head->path, "/echo") == 0)
        http_reply(x, 200, "application/octet-stream", body, len);
    else if (strcmp(head->path, "/big") == 0)
        echo_reply_big(x, number);
    else if (strcmp(head->path, "/stream") == 0)
        echo_stream(x, number);
    else if (strcmp(head->path, "/tick") == 0)
        echo_tick(x);
    else if (strcmp(head->path, "/beat") == 0)
        echo_beat(echo, x, number);
    else if (strcmp(head->path, "/flood") == 0)
        echo_flood(echo, x);
    else if (strcmp(head->path, "/deaf_flood") == 0)
        echo_deaf_flood(x);
    else if (strcmp(head->path, "/stats") == 0)
        echo_reply_stats(echo, x);
    else if (strcmp(head->path, "/gated") == 0)
        echo->gated = x;
    else if (strcmp(head->path, "/wait") != 0) {
        err_fill(&err, ERR_NOT_FOUND, "no route %s", head->path);
        http_reply_error(x, &err, NULL);
    }
}

static void echo_on_closed(struct http_exchange *x, void *owner, bool completed)
{
    struct echo *echo = owner;
    struct echo_exchange *e = echo_of(x);

    if (echo->gated == x)
        echo->gated = NULL;
    say("closed %s completed=%d peak_unsent=%zu\n", http_exchange_head(x)->path, completed,
        e->peak_unsent_bytes);
    if (e->turn != NULL)
        event_free(e->turn);
    free(e);
}

static void echo_on_drained(struct http_exchange *x, void *owner)
{
    if (echo_of(x)->turn != NULL)
        event_active(echo_of(x)->turn, 0, 0);
}

static const struct http_service ECHO_SERVICE = {
    .on_head = echo_on_head,
    .on_request = echo_on_request,
    .on_closed = echo_on_closed,
    .on_drained = echo_on_drained,
};

/* ---- the program ---- */

static void echo_on_stdin(evutil_socket_t fd, short what, void *arg)
{
    struct echo *echo = arg;
    char line[STATM_MAX_BYTES];
    struct http_exchange *x = echo->gated;

    if (read((int)fd, line, sizeof(line)) <= 0) {
        (void)event_base_loopbreak(echo->base); /* the test has gone */
        return;
    }
    echo->gated = NULL;
    if (x != NULL)
        echo_reply_text(x, "open");
}

static void echo_on_term(evutil_socket_t signal_number, short what, void *arg)
{
    struct echo *echo = arg;

    (void)event_base_loopbreak(echo->base); /* fails only outside of the loop */
}

/* OPTION=NUMBER of struct http_limits. */
static int echo_set_limit(struct http_limits *limits, const char *text, struct err *err)
{
    const char *equals = strchr(text, '=');
    uint64_t value = equals == NULL ? 0 : strtoull(equals + 1, NULL, 10);

#define LIMIT(name)                                                                                \
    if (equals != NULL && strncmp(text, #name "=", strlen(#name "=")) == 0) {                      \
        limits->name = value;                                                                      \
        return 0;                                                                                  \
    }
    LIMIT(body_max_bytes)
    LIMIT(bodies_max_bytes)
    LIMIT(client_max_count)
    LIMIT(head_time_ms)
    LIMIT(body_time_ms)
    LIMIT(idle_time_ms)
#undef LIMIT
    return err_set(err, ERR_USAGE, "no limit \"%s\"", text);
}

static void echo_say_address(const struct http_address *address, int fd)
{
    struct sockaddr_in name;
    socklen_t len = sizeof(name);

    if (address->is_unix || getsockname(fd, (struct sockaddr *)&name, &len) < 0)
        say("listening %s\n", address->path);
    else
        say("listening %u\n", ntohs(name.sin_port));
}

static int echo_run(struct echo *echo, const char *address_text, struct err *err)
{
    struct http_address address;
    int fd = -1;
    struct event *input =
        event_new(echo->base, STDIN_FILENO, EV_READ | EV_PERSIST, echo_on_stdin, echo);
    struct event *term = evsignal_new(echo->base, SIGTERM, echo_on_term, echo);

    if (http_address_parse(address_text, &address, err) < 0 ||
        http_address_listen(&address, 0600, &fd, err) < 0)
        return -1;
    echo->server = http_server_new(echo->base, fd, &echo->limits, &ECHO_SERVICE, echo, err);
    if (echo->server == NULL)
        return -1;
    if (event_add(input, NULL) < 0 || event_add(term, NULL) < 0)
        return err_set(err, ERR_IO, "watch stdin and signals: %m");
    echo_say_address(&address, fd);
    (void)event_base_dispatch(echo->base); /* ends by loopbreak */
    http_server_free(echo->server);
    event_free(input);
    event_free(term);
    return 0;
}

int main(int argc, char **argv)
{
    struct echo echo = {.limits = HTTP_LIMITS_DEFAULT};
    struct err err = ERR_INIT;
    int result = 0;

    token_init();
    for (int i = 2; i < argc && result == 0; i++)
        result = echo_set_limit(&echo.limits, argv[i], &err);
    if (argc < 2)
        result = err_set(&err, ERR_USAGE, "usage: http_echo ADDRESS [LIMIT=NUMBER...]");
    echo.base = event_base_new();
    if (result == 0)
        result = echo_run(&echo, argv[1], &err);
    event_base_free(echo.base);
    if (result == 0)
        return 0;
    (void)fprintf(stderr, "http_echo: %s\n", err.message);
    return err_exit_code(err.kind);
}
