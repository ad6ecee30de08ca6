/* The worker as a server: one loop that owns the socket, the signals and the answers on their way,
 * beside the engine's thread.
 *
 *   LOADING -> READY -> DRAINING -> gone
 *
 * TERM, INT or HUP: no new connections, what runs ends with one error event, then the process
 * leaves with 0. A load is not waited for. */
#ifndef RBEE_HIP_SERVE_H
#define RBEE_HIP_SERVE_H

#include "common/drill.h"
#include "common/err.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct engine;
struct http_exchange;
struct http_server;
struct reply;

TAILQ_HEAD(reply_list, reply);

struct serve_options {
    struct engine *engine; /* borrowed */
    int listen_fd;         /* taken over */
    const char *name;      /* what answers call the model */
    const char *token;     /* NULL: a Unix socket by hand, judged by the peer's uid */
};

struct serve {
    const struct serve_options *options;
    struct engine *engine;
    struct event_base *base;
    struct http_server *http;
    struct event *engine_event;
    struct event *term_event;
    struct event *int_event;
    struct event *hup_event;
    struct event *grace_event;
    struct reply_list replies;
    unsigned exchange_count; /* let in and not yet closed */
    uint64_t started_ms;
    bool is_ready;
    bool is_draining;
    const struct http_exchange *drill_exchange; /* when it has been answered, we end; NULL: none */
    enum drill_kind drill;
};

/* First thing in the program: TERM, INT and HUP wait until serve_run() takes them, so that one that
 * comes early ends the worker as a later one does. */
void serve_block_signals(void);
/* For a program that does not serve. */
void serve_unblock_signals(void);
/* Serves until it is told to stop (0), or the engine has failed (-1 with its error). */
int serve_run(const struct serve_options *options, struct err *err);

/* An answer or an exchange has ended: a draining server may be done. */
void serve_check_drained(struct serve *serve);

#endif
