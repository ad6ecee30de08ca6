/* HTTP/1.1 for programs that run on one libevent loop: server and client on one connection layer,
 * llhttp for the grammar, the door (door.h) for the policy.
 *
 *   bytes -> conn (reads, writes, hang-ups, deadlines) -> parser (llhttp + door) -> head, body
 *
 * A server turns each request into one exchange. Its life:
 *
 *   head read and let in by the door     service.on_head      may refuse: the body is not read
 *   body complete                        service.on_request   reply now or later
 *   reply complete, or the client left   service.on_closed    exactly once for each on_head that
 *                                                             returned 0; the exchange dies with it
 *
 * A client that leaves is seen at once in every phase, also while its request waits and nothing is
 * written: the hang-up event stays armed when reading is paused. A half-closed connection counts as
 * left (ARCHITECTURE.md says why). What a client pipelines waits for the reply; more than
 * HTTP_PIPELINED_MAX_BYTES behind a request that runs is dropped, and the connection then ends with
 * the reply. Nothing here blocks, and nothing is called back from inside a call the owner makes:
 * what http_reply_* and http_stream_* find out is reported from the loop. */
#ifndef RBEE_COMMON_HTTP_HTTP_H
#define RBEE_COMMON_HTTP_HTTP_H

#include "common/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct event_base;

enum {
    HTTP_HEADER_MAX_COUNT = 64,
    HTTP_HEAD_MAX_BYTES = 16 * 1024,
    HTTP_TARGET_MAX_BYTES = 8 * 1024,
    HTTP_UNSENT_HIGH_BYTES = 256 * 1024,  /* above: stop reading the source of this stream */
    HTTP_UNSENT_LOW_BYTES = 64 * 1024,    /* below: go on */
    HTTP_PIPELINED_MAX_BYTES = 64 * 1024, /* input kept while a request runs */
};

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_OTHER
};

struct http_header {
    const char *name; /* as sent; compare with http_head_find */
    const char *value;
};

/* A request's or reply's head. Text is borrowed from the connection. */
struct http_head {
    enum http_method method; /* of a request */
    const char *path;        /* of a request: before "?", percent-decoded, no dot segments */
    const char *query;       /* after "?", as sent; "" when none */
    int status;              /* of a reply */
    struct http_header headers[HTTP_HEADER_MAX_COUNT];
    size_t header_count;
};

/* Whether a header's NAME is WANTED, in whatever case. Most are not by their first letter. */
bool http_name_is(const char *name, const char *wanted);
/* The value of the header NAME (case-insensitive), NULL when there is none. */
const char *http_head_find(const struct http_head *head, const char *name);
const char *http_method_name(enum http_method method);

/* Where a server listens or a client connects. */
struct http_address {
    bool is_unix;
    char path[108]; /* of a Unix socket */
    char host[256]; /* numeric address or localhost; a loop never waits for DNS */
    uint16_t port;
};
/* "unix:PATH", "http://HOST:PORT" or "HOST:PORT". ERR_USAGE. */
int http_address_parse(const char *text, struct http_address *out, struct err *err);
/* Whether only this machine's own users can reach it. */
bool http_address_is_loopback(const struct http_address *address);
/* A listening, non-blocking, CLOEXEC descriptor; a Unix socket gets MODE, and a stale one in its
 * place is the caller's to remove. ERR_IO. */
int http_address_listen(const struct http_address *address, unsigned mode, int *out_fd,
                        struct err *err);

/* ---- server ---- */

struct http_limits {
    size_t body_max_bytes;   /* one body: 413 */
    size_t bodies_max_bytes; /* all bodies that are being read or held: 503 with Retry-After */
    unsigned client_max_count;
    uint64_t head_time_ms; /* absolute, from the first byte (or the connect) */
    uint64_t body_time_ms; /* absolute, from the end of the head */
    uint64_t idle_time_ms; /* between requests, and for a client that takes no bytes */
};
/* What rbee-worker takes, and rbeed unless its settings say otherwise. */
enum { HTTP_BODY_MAX_BYTES = 4 << 20 };
#define HTTP_LIMITS_DEFAULT                                                                        \
    {                                                                                              \
        .body_max_bytes = HTTP_BODY_MAX_BYTES, .bodies_max_bytes = 64 << 20,                       \
        .client_max_count = 512, .head_time_ms = 10000, .body_time_ms = 30000,                     \
        .idle_time_ms = 60000                                                                      \
    }

enum { HTTP_PEER_ADDRESS_BYTES = 46 }; /* the longest IPv6 address and its NUL */

struct http_peer {
    bool is_unix;
    char address[HTTP_PEER_ADDRESS_BYTES]; /* of a TCP peer, numeric, without its port; else "" */
    uid_t uid;                             /* SO_PEERCRED, of a Unix peer */
    gid_t gid;
    pid_t pid;
};

struct http_exchange;

struct http_service {
    /* The head is there. 0: read the body and go on to on_request. -1 with err: that error is the
     * reply (err's status and envelope), the body is not read, on_closed is not called. */
    int (*on_head)(struct http_exchange *x, void *owner, struct err *err);
    /* What came was no request, or one that the door does not let in: ERR is about to be the reply.
     * May be NULL. */
    void (*on_refused)(struct http_exchange *x, void *owner, const struct err *err);
    /* The body is there. The reply may be made now or at any later time. */
    void (*on_request)(struct http_exchange *x, void *owner);
    /* COMPLETED: the reply's last byte has been handed to the kernel. Otherwise the client left, or
     * was too slow. The exchange is gone when this returns. */
    void (*on_closed)(struct http_exchange *x, void *owner, bool completed);
    /* A stream that had more than HTTP_UNSENT_HIGH_BYTES unsent has fallen below
     * HTTP_UNSENT_LOW_BYTES. May be NULL for services that never stream. */
    void (*on_drained)(struct http_exchange *x, void *owner);
};

struct http_server;

/* Serves on LISTEN_FD, which it takes over and closes. SERVICE and OWNER must outlive it. */
struct http_server *http_server_new(struct event_base *base, int listen_fd,
                                    const struct http_limits *limits,
                                    const struct http_service *service, void *owner,
                                    struct err *err);
/* No new connections; the ones that rest are closed, those in an exchange end with it. */
void http_server_stop_accepting(struct http_server *server);
unsigned http_server_client_count(const struct http_server *server);
/* Cuts what is still open (on_closed is called) and frees. Not from inside one of its callbacks. */
void http_server_free(struct http_server *server);

const struct http_head *http_exchange_head(const struct http_exchange *x);
const char *http_exchange_body(const struct http_exchange *x, size_t *out_len);
const struct http_peer *http_exchange_peer(const struct http_exchange *x);
/* Whether the process behind a Unix socket is in group GID, as the kernel knew when it connected;
 * false for a TCP peer. */
bool http_exchange_peer_has_group(const struct http_exchange *x, gid_t gid);
uint64_t http_exchange_arrived_us(const struct http_exchange *x); /* monotonic */
/* One pointer for the owner; NULL at first. */
void http_exchange_set_user(struct http_exchange *x, void *user);
void *http_exchange_user(const struct http_exchange *x);
/* The caller's X-Request-Id when it is 1-64 of [A-Za-z0-9._-], else one made here. Also sent back
 * as a header with every reply, and in every error envelope. */
const char *http_exchange_request_id(const struct http_exchange *x);

/* Nothing of the reply leaves before http_exchange_let_go(), also when it is complete; before it is
 * begun. In on_head and on_refused, too. ON_GONE, on the loop: the client has left before that. */
void http_exchange_hold(struct http_exchange *x, void (*on_gone)(void *owner), void *owner);
/* Of one that is held: takes a reply that was begun back, so that another can be made. */
void http_exchange_withdraw(struct http_exchange *x);
void http_exchange_let_go(struct http_exchange *x);

/* Adds a header to the reply; before the reply is begun. A value with a line end is a bug, and ends
 * the process: text of strangers belongs into bodies. */
void http_reply_header(struct http_exchange *x, const char *name, const char *value);
/* Whole replies, with Date and X-Request-Id as all have. BODY is copied; a HEAD request gets the
 * head alone. */
void http_reply(struct http_exchange *x, int status, const char *content_type, const void *body,
                size_t len);
void http_reply_json(struct http_exchange *x, int status, const json_t *body);
/* Details of an error reply that is made without any, as after on_head's -1. Takes DETAILS over. */
void http_reply_details(struct http_exchange *x, json_t *details);
/* The envelope of json.h with err's status; DETAILS may be NULL. Adds Retry-After with err's time
 * in seconds, rounded up (1 where it says none and the kind is one to retry), and
 * WWW-Authenticate: Bearer on 401, unless such a header was added; Allow is the caller's. */
void http_reply_error(struct http_exchange *x, const struct err *error, const json_t *details);

/* Streams (SSE): begin, any number of writes, end. Bytes written in one loop turn leave in one
 * system call. Chunked on 1.1, to the end of the connection on 1.0. */
void http_stream_begin(struct http_exchange *x, int status, const char *content_type);
void http_stream_write(struct http_exchange *x, const void *data, size_t len);
/* One event of text/event-stream. The caller keeps EVENT far below SSE_EVENT_MAX_BYTES: a larger
 * one is not sent. */
void http_stream_event(struct http_exchange *x, const json_t *event);
/* The same of one that is text already, one line. */
void http_stream_event_text(struct http_exchange *x, const char *text, size_t len);
void http_stream_end(struct http_exchange *x);
bool http_exchange_has_begun(const struct http_exchange *x); /* some reply has been begun */
size_t http_exchange_unsent_bytes(const struct http_exchange *x);

/* ---- client ---- */

struct http_client; /* one address and its idle keep-alive connections */
struct http_call;   /* one request on its way */

struct http_request {
    enum http_method method;
    const char *target;                /* path and query */
    const struct http_header *headers; /* beside Host, Content-Length and Connection */
    size_t header_count;
    const void *body;
    size_t body_len;
    bool is_alone; /* on a connection of its own: whether one can be made is part of the question */
};

struct http_call_events {
    /* The reply's head. -1 with err: the call ends with that error. */
    int (*on_head)(struct http_call *call, void *owner, const struct http_head *head,
                   struct err *err);
    void (*on_body)(struct http_call *call, void *owner, const char *data, size_t len);
    /* Exactly once, unless the call was cancelled. FAILURE NULL: the reply is complete.
     * ERR_UNREACHABLE: no connection, nothing was sent. ERR_IO: none can be made from here (no
     * descriptors, no memory). ERR_STREAM_BROKEN: it broke off.
     * ERR_PROTOCOL: not HTTP, or refused by the door. The call is gone when this returns. */
    void (*on_end)(struct http_call *call, void *owner, const struct err *failure);
};

/* REPLY_MAX_BYTES caps a reply that is not a stream (text/event-stream has no cap; its events
 * have, in sse.h). Connecting and the head of the reply have no time limit here: the owner cancels.
 */
struct http_client *http_client_new(struct event_base *base, const struct http_address *address,
                                    size_t reply_max_bytes);
/* Cancels what runs (no on_end) and closes. */
void http_client_free(struct http_client *client);
/* Copies REQUEST; never calls back before it returns. Cannot fail: what fails is told to on_end. On
 * a connection that has rested and turns out closed, the request goes out once more where no one
 * can have executed it, or its method is idempotent (client.c has the rule). */
struct http_call *http_client_send(struct http_client *client, const struct http_request *request,
                                   const struct http_call_events *events, void *owner);
/* Stops and goes on reading. A reply that can not become whole any more, because the other side is
 * gone, is told while paused; one that is whole waits. (TCP holds an end back behind bytes for
 * which there is no room; on a Unix socket nothing is held back.) */
void http_call_pause(struct http_call *call);
void http_call_resume(struct http_call *call);
/* Closes the connection: the other side sees it at once. No callback; the call is gone. */
void http_call_cancel(struct http_call *call);

#endif
