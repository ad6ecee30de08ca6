/* The logs of workers, and our own, to clients: what there is, and with follow what comes.
 *
 * A stream is a place in a file (log_tail.h). The kernel tells when something in the folder of logs
 * changes (inotify), whoever writes it: workers' logs are written by worker_output.h, our own by
 * everything that logs. A slow client costs no memory: its place stays where it is. */
#ifndef RBEE_SUPERVISOR_LOG_STREAM_H
#define RBEE_SUPERVISOR_LOG_STREAM_H

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct api_call;
struct event;
struct log_stream;
struct supervisor;

enum {
    LOG_STREAM_MAX_COUNT = 32,
    LOG_STREAM_MAX_LINES = 10000, /* of the past */
};

TAILQ_HEAD(log_stream_list, log_stream);

struct log_streams {
    struct log_stream_list streams;
    int fd; /* of inotify, while there are streams; -1 */
    struct event *event;
};

struct log_wish {
    const char *path;
    size_t line_count; /* of the past, the newest */
    int64_t since_ms;  /* wall time; 0: whatever their time */
};

void log_streams_init(struct log_streams *streams);
/* Lines are objects {"type":"line","at","text"}; at is null where a line does not say its time.
 * Answers CALL with {"lines":[…],"is_cut"}; is_cut: older ones that were asked for are left off. */
int log_reply(struct api_call *call, const struct log_wish *wish, struct err *err);
/* Answers CALL with a stream of lines; {"type":"gap"} stands where some are gone. ERR_BUSY, ERR_IO.
 */
int log_stream_begin(struct api_call *call, const struct log_wish *wish, struct err *err);
/* Tokens have changed: who may not follow any more is told so, and that is the end. */
void log_streams_end_revoked(struct supervisor *supervisor);
void log_streams_end_all(struct supervisor *supervisor);

#endif
