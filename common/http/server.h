/* What server.c (connections) and exchange.c (replies) share. Not for anyone else.
 *
 * A link is one client's connection. Its phases:
 *
 *   HEAD -> BODY -> RUNNING -> (reply complete) -> HEAD ...
 *     any of them -> LINGER (an error reply or the last one is out; input is dropped until the
 *     client closes, so that no reset overtakes the reply) -> closed */
#ifndef RBEE_COMMON_HTTP_SERVER_H
#define RBEE_COMMON_HTTP_SERVER_H

#include "common/buf.h"
#include "common/http/conn.h"
#include "common/http/http.h"
#include "common/http/parser.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HTTP_REQUEST_ID_MAX_LEN = 64,
    HTTP_REPLY_HEADERS_MAX_BYTES = 8 * 1024,
};

enum link_phase { LINK_HEAD, LINK_BODY, LINK_RUNNING, LINK_LINGER };

struct http_exchange {
    struct http_server *server;
    struct conn *conn;
    const struct http_head *head;
    struct http_peer peer;
    void *user;
    uint64_t arrived_us;
    char request_id[HTTP_REQUEST_ID_MAX_LEN + 1];
    struct buf body;
    json_t *error_details;        /* of http_reply_details; NULL: none */
    struct buf reply_headers;     /* "Name: value\r\n" of http_reply_header */
    size_t reply_at;              /* where in conn->out the reply begins, while it is held */
    void (*on_gone)(void *owner); /* who holds it; NULL: nobody does */
    void *gone_owner;
    bool is_open; /* on_head has returned 0: on_closed is owed */
    bool is_head_request;
    bool is_version_1_0;
    bool has_begun;
    bool is_chunked;
    bool has_ended; /* the whole reply has been written */
    bool is_over_high;
    bool closes; /* the connection ends with this reply */
};

struct link {
    struct conn conn;
    struct http_exchange exchange;
    struct parser parser;
    struct link *next;
    struct link *previous;
    enum link_phase phase;
    bool is_surplus; /* beyond the limit: it gets its 503 and no more */
    bool discards;   /* input behind the running request is dropped */
    size_t discarded_bytes;
};

/* The wall time, for a reply's head. Borrowed until the next call. */
const char *server_date(struct http_server *server);

/* Nothing of a request is known, nothing of a reply begun. */
void exchange_reset(struct http_exchange *x);
/* The caller's label from HEAD, if it is one, else an id of ours. HEAD may be NULL. */
void exchange_name(struct http_exchange *x, const struct http_head *head);
void exchange_release(struct http_exchange *x);

#endif
