/* Owns the clients that read logs. Knows nothing of who writes them. */
#include "supervisor/log_stream.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/paths.h"
#include "supervisor/log_tail.h"
#include "supervisor/supervisor.h"

#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

struct log_stream {
    TAILQ_ENTRY(log_stream) link;
    struct api_held held;
    struct supervisor *supervisor;
    struct http_exchange *exchange;
    struct log_tail tail;
    bool has_ended; /* its last bytes leave */
};

void log_streams_init(struct log_streams *streams)
{
    TAILQ_INIT(&streams->streams);
    streams->fd = -1;
    streams->event = NULL;
}

/* ---- lines ---- */

/* Both our programs and worker_output.c begin a line with its time. */
static bool log_line_time(const char *line, size_t len, char out[CLOCK_RFC3339_BYTES],
                          int64_t *out_ms)
{
    const char *blank = memchr(line, ' ', len);

    if (blank == NULL || blank - line >= CLOCK_RFC3339_BYTES)
        return false;
    (void)snprintf(out, CLOCK_RFC3339_BYTES, "%.*s", (int)(blank - line), line);
    return clock_parse_rfc3339(out, out_ms);
}

static json_t *log_line_to_json(const char *line, size_t len)
{
    char at[CLOCK_RFC3339_BYTES];
    int64_t ignored_ms = 0;
    bool has_time = log_line_time(line, len, at, &ignored_ms);
    size_t skip = has_time ? strlen(at) + 1 : 0;

    return json_pack("{s:s, s:o, s:o}", "type", "line", "at",
                     has_time ? json_string(at) : json_null(), "text",
                     json_text_lossy(line + skip, len - skip));
}

/* Calls EACH for the lines of TEXT. */
static void log_each_line(const struct buf *text, void (*each)(void *owner, json_t *line),
                          void *owner)
{
    const char *end = text->data + text->len;
    const char *line = text->data;

    while (line < end) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));

        if (stop == NULL)
            stop = end;
        each(owner, log_line_to_json(line, (size_t)(stop - line)));
        line = stop + 1;
    }
}

/* Takes off what is older than SINCE_MS: a log is in the order of time, but for a clock that was
 * set, and a line without a time goes with the one before it. */
static void log_cut_older(struct buf *text, int64_t since_ms)
{
    const char *line = text->data;
    const char *stop = NULL;
    char ignored[CLOCK_RFC3339_BYTES];
    int64_t at_ms = 0;

    while (since_ms > 0 && (stop = strchr(line, '\n')) != NULL) {
        if (log_line_time(line, (size_t)(stop - line), ignored, &at_ms) && at_ms >= since_ms)
            break;
        line = stop + 1;
    }
    buf_consume(text, (size_t)(line - text->data));
}

static int log_read_past(struct log_tail *tail, const struct log_wish *wish, struct buf *out,
                         bool *out_is_cut, struct err *err)
{
    if (log_tail_last(tail, wish->line_count, out, out_is_cut, err) != 0)
        return -1;
    log_cut_older(out, wish->since_ms);
    return 0;
}

/* ---- once ---- */

static void log_reply_add(void *owner, json_t *line)
{
    (void)json_array_append_new(owner, line);
}

int log_reply(struct api_call *call, const struct log_wish *wish, struct err *err)
{
    AUTO_BUF struct buf text = BUF_INIT(LOG_TAIL_MAX_BYTES);
    AUTO_JSON json_t *body = json_object();
    json_t *lines = json_array();
    struct log_tail tail;
    bool is_cut = false;
    int rc = 0;

    (void)json_object_set_new(body, "lines", lines);
    log_tail_init(&tail, wish->path);
    rc = log_read_past(&tail, wish, &text, &is_cut, err);
    log_tail_release(&tail);
    if (rc != 0)
        return -1;
    log_each_line(&text, log_reply_add, lines);
    (void)json_object_set_new(body, "is_cut", json_boolean(is_cut));
    http_reply_json(call->exchange, 200, body);
    return 0;
}

/* ---- streams ---- */

static void log_streams_unwatch(struct log_streams *streams)
{
    if (streams->event != NULL)
        event_free(streams->event);
    attr_close(&streams->fd);
    log_streams_init(streams);
}

static void log_stream_free(struct log_stream *stream)
{
    struct log_streams *streams = &stream->supervisor->log_streams;

    TAILQ_REMOVE(&streams->streams, stream, link);
    log_tail_release(&stream->tail);
    free(stream);
    if (TAILQ_EMPTY(&streams->streams))
        log_streams_unwatch(streams);
}

static struct log_stream *log_stream_of(struct api_held *held)
{
    return CONTAINER_OF(held, struct log_stream, held);
}

static void log_stream_on_closed(struct api_held *held)
{
    log_stream_free(log_stream_of(held));
}

static void log_stream_send(void *owner, json_t *line)
{
    struct log_stream *stream = owner;
    AUTO_JSON json_t *owned = line;

    http_stream_event(stream->exchange, owned); /* six times a chunk at most */
}

static void log_stream_end(struct log_stream *stream, const struct err *why)
{
    if (err_is_set(why))
        log_stream_send(stream, api_error_event(stream->exchange, why, NULL));
    stream->has_ended = true;
    http_stream_end(stream->exchange);
}

/* Sends what has come, until the client has enough for now. */
static void log_stream_advance(struct log_stream *stream)
{
    struct err err = ERR_INIT;
    int rc = 1;

    while (rc > 0 && !stream->has_ended &&
           http_exchange_unsent_bytes(stream->exchange) <= HTTP_UNSENT_HIGH_BYTES) {
        AUTO_BUF struct buf text = BUF_INIT(LOG_TAIL_CHUNK_BYTES);
        bool has_gap = false;

        rc = log_tail_next(&stream->tail, &text, &has_gap, &err);
        if (rc > 0 && has_gap)
            log_stream_send(stream, json_pack("{s:s}", "type", "gap"));
        log_each_line(&text, log_stream_send, stream);
    }
    if (rc < 0)
        log_stream_end(stream, &err);
}

static void log_stream_on_drained(struct api_held *held)
{
    log_stream_advance(log_stream_of(held));
}

/* What it was does not matter: whoever has nothing new finds that out with one read. */
static void log_streams_on_change(evutil_socket_t fd, short what, void *arg)
{
    struct supervisor *supervisor = arg;
    struct log_stream *stream = NULL;
    char changes[4096] __attribute__((aligned(__alignof__(struct inotify_event))));

    (void)!read(fd, changes, sizeof(changes)); /* more are told in the next turn */
    TAILQ_FOREACH(stream, &supervisor->log_streams.streams, link)
    {
        log_stream_advance(stream);
    }
}

static int log_streams_watch(struct supervisor *supervisor, struct err *err)
{
    struct log_streams *streams = &supervisor->log_streams;
    AUTO_FREE char *logs = paths_join(supervisor->state_dir, "logs");

    if (streams->fd >= 0)
        return 0;
    streams->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (streams->fd < 0 ||
        inotify_add_watch(streams->fd, logs, IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0) {
        (void)err_set(err, ERR_IO, "watch the logs: %m");
        log_streams_unwatch(streams);
        return -1;
    }
    streams->event = event_new(supervisor->base, streams->fd, EV_READ | EV_PERSIST,
                               log_streams_on_change, supervisor);
    (void)event_add(streams->event, NULL); /* fails only without memory */
    return 0;
}

static unsigned log_streams_count(const struct log_streams *streams)
{
    const struct log_stream *stream = NULL;
    unsigned count = 0;

    TAILQ_FOREACH(stream, &streams->streams, link)
    {
        count++;
    }
    return count;
}

/* Watched before it is read: what comes in between is told. */
int log_stream_begin(struct api_call *call, const struct log_wish *wish, struct err *err)
{
    struct supervisor *supervisor = call->supervisor;
    AUTO_BUF struct buf text = BUF_INIT(LOG_TAIL_MAX_BYTES);
    struct log_stream *stream = NULL;
    bool ignored = false; /* whoever follows wants what comes */

    if (log_streams_count(&supervisor->log_streams) >= LOG_STREAM_MAX_COUNT)
        return err_set(err, ERR_BUSY, "%d clients follow logs already", LOG_STREAM_MAX_COUNT);
    if (log_streams_watch(supervisor, err) != 0)
        return -1;
    stream = xcalloc(1, sizeof(*stream));
    stream->held.on_closed = log_stream_on_closed;
    stream->held.on_drained = log_stream_on_drained;
    stream->supervisor = supervisor;
    stream->exchange = call->exchange;
    log_tail_init(&stream->tail, wish->path);
    TAILQ_INSERT_TAIL(&supervisor->log_streams.streams, stream, link);
    if (log_read_past(&stream->tail, wish, &text, &ignored, err) != 0) {
        log_stream_free(stream);
        return -1;
    }
    api_hold(call, &stream->held);
    http_stream_begin(call->exchange, 200, "text/event-stream");
    log_each_line(&text, log_stream_send, stream);
    log_stream_advance(stream);
    return 0;
}

void log_streams_end_revoked(struct supervisor *supervisor)
{
    struct log_stream *stream = NULL;

    TAILQ_FOREACH(stream, &supervisor->log_streams.streams, link)
    {
        struct err err = ERR_INIT;

        if (!stream->has_ended && !api_may_still(stream->exchange, &err))
            log_stream_end(stream, &err);
    }
}

void log_streams_end_all(struct supervisor *supervisor)
{
    struct log_stream *stream = NULL;
    struct err none = ERR_INIT;

    TAILQ_FOREACH(stream, &supervisor->log_streams.streams, link)
    {
        log_stream_advance(stream);
        if (!stream->has_ended)
            log_stream_end(stream, &none);
    }
}
