/* Owns a listening socket and its links: who is let in, in which phase each is, and what ends it.
 * Replies are exchange.c's. */
#include "common/http/server.h"

#include "common/clock.h"
#include "common/mem.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

enum {
    /* Taken in one turn of the loop, so that a flood of connects does not starve the links. */
    SERVER_ACCEPT_MAX_COUNT = 64,
    /* Over the limit of clients, so many are told so; the rest are closed without a word. */
    SERVER_SURPLUS_MAX_COUNT = 64,
    /* How long no connection is taken after one could not be for want of descriptors. */
    SERVER_ACCEPT_RETRY_US = 100000,
    /* How long a client may take to read its last reply. */
    SERVER_LINGER_MS = 2000,
    /* A reply, or a stream whose owner does not look at HTTP_UNSENT_HIGH_BYTES. */
    SERVER_UNSENT_MAX_BYTES = 16 * 1024 * 1024,
    /* What a client may send behind a running request before it is cut: see link_on_input_full. */
    SERVER_DISCARD_MAX_BYTES = 16 * 1024 * 1024,
    /* First byte of a TLS handshake: a client that speaks https to a plain port. */
    SERVER_TLS_FIRST_BYTE = 0x16,
};

struct http_server {
    struct event_base *base;
    struct event accept;
    struct event accept_retry;
    int listen_fd; /* -1: not accepting any more */
    bool is_unix;
    struct http_limits limits;
    const struct http_service *service;
    void *owner;
    struct link *links;
    unsigned client_count;
    unsigned surplus_count;
    size_t bodies_bytes; /* of all exchanges together */
    struct clock_http_date date;
};

static struct link *link_of(struct conn *conn)
{
    return CONTAINER_OF(conn, struct link, conn);
}

static uint64_t server_in_ms(uint64_t delay_ms)
{
    return clock_monotonic_ms() + delay_ms;
}

const char *server_date(struct http_server *server)
{
    return clock_http_date_at(&server->date, clock_wall_ms());
}

/* ---- the end of exchanges and links ---- */

/* What the exchange held is gone, and its owner knows. */
static void link_end_exchange(struct link *link, bool completed)
{
    struct http_server *server = link->exchange.server;
    bool was_open = link->exchange.is_open;

    link->exchange.is_open = false;
    if (was_open)
        server->service->on_closed(&link->exchange, server->owner, completed);
    server->bodies_bytes -= link->exchange.body.len;
    buf_clear(&link->exchange.body);
}

/* A reply is held for somebody who is not there any more. */
static void link_end_hold(struct link *link)
{
    void (*on_gone)(void *owner) = take_ptr(link->exchange.on_gone);

    if (on_gone != NULL)
        on_gone(link->exchange.gone_owner);
}

static void link_close(struct link *link)
{
    link_end_hold(link);
    link_end_exchange(link, false);
    conn_close(&link->conn);
}

static void link_on_released(struct conn *conn)
{
    struct link *link = link_of(conn);
    struct http_server *server = link->exchange.server;

    if (link->next != NULL)
        link->next->previous = link->previous;
    if (link->previous != NULL)
        link->previous->next = link->next;
    else
        server->links = link->next;
    if (link->is_surplus)
        server->surplus_count--;
    else
        server->client_count--;
    exchange_release(&link->exchange);
    parser_release(&link->parser);
    free(link);
}

/* The last reply is out. Closing now, with bytes of the client unread, would make the kernel send a
 * reset that can overtake the reply; so the client closes first, or time runs out. */
static void link_linger(struct link *link)
{
    link->phase = LINK_LINGER;
    conn_shut_write(&link->conn);
    conn_set_deadline(&link->conn, server_in_ms(SERVER_LINGER_MS));
    conn_offer_input(&link->conn);
}

static void link_rest(struct link *link)
{
    link->phase = LINK_HEAD;
    parser_next_message(&link->parser);
    exchange_reset(&link->exchange);
    conn_set_deadline(&link->conn, server_in_ms(link->exchange.server->limits.idle_time_ms));
    if (link->conn.in.len > 0) /* a pipelined request */
        conn_offer_input(&link->conn);
}

static void link_finish_exchange(struct link *link)
{
    link_end_exchange(link, true);
    if (link->exchange.closes)
        link_linger(link);
    else
        link_rest(link);
}

/* An error reply that ends the connection. */
static void link_refuse(struct link *link, const struct err *error)
{
    struct http_exchange *x = &link->exchange;

    link_end_exchange(link, false);
    link->phase = LINK_RUNNING;
    if (x->request_id[0] == '\0')
        exchange_name(x, NULL);
    x->closes = true;
    http_reply_error(x, error, NULL);
    conn_set_deadline(&link->conn, server_in_ms(x->server->limits.idle_time_ms));
}

/* What came is not even a request. */
static void link_refuse_bytes(struct link *link, const struct err *error)
{
    struct http_exchange *x = &link->exchange;
    const struct http_service *service = x->server->service;

    if (service->on_refused != NULL && !x->is_open) {
        exchange_name(x, NULL);
        service->on_refused(x, x->server->owner, error);
    }
    link_refuse(link, error);
}

/* ---- requests ---- */

static bool link_has_body(const struct link *link)
{
    return link->parser.framing.body != DOOR_BODY_NONE;
}

static int link_check_body_size(const struct link *link, size_t more_bytes, struct err *err)
{
    const struct http_limits *limits = &link->exchange.server->limits;

    if (more_bytes > limits->body_max_bytes - link->exchange.body.len)
        return err_set(err, ERR_BODY_TOO_LARGE, "body of more than %zu bytes",
                       limits->body_max_bytes);
    if (link->exchange.server->bodies_bytes + more_bytes > limits->bodies_max_bytes)
        return err_set(err, ERR_BUSY, "too many request bodies at the same time");
    return 0;
}

/* The service says no: its error is the reply. The connection goes on when nothing of the request
 * is left to be read; but not after a head with two readings, as all that the door calls 400. */
static void link_refuse_politely(struct link *link, const struct err *error)
{
    if (link_has_body(link) || error->kind == ERR_INVALID) {
        link_refuse(link, error);
        return;
    }
    link->phase = LINK_RUNNING;
    http_reply_error(&link->exchange, error, NULL);
}

static void link_begin_exchange(struct link *link)
{
    struct http_exchange *x = &link->exchange;

    x->head = &link->parser.message;
    x->is_head_request = x->head->method == HTTP_HEAD;
    x->is_version_1_0 = link->parser.grammar.http_minor == 0;
    x->closes = !link->parser.framing.keep_alive || x->server->listen_fd < 0;
    exchange_name(x, x->head);
}

static void link_on_head(struct link *link)
{
    struct http_exchange *x = &link->exchange;
    struct http_server *server = x->server;
    const struct door_framing *framing = &link->parser.framing;
    struct err err = ERR_INIT;

    link_begin_exchange(link);
    if (link_check_body_size(link, framing->length, &err) < 0) {
        link_refuse(link, &err);
        return;
    }
    if (server->service->on_head(x, server->owner, &err) < 0) {
        link_refuse_politely(link, &err);
        return;
    }
    x->is_open = true;
    link->phase = LINK_BODY;
    conn_set_deadline(&link->conn, server_in_ms(server->limits.body_time_ms));
    if (framing->expects_continue && link_has_body(link))
        conn_write(&link->conn, "HTTP/1.1 100 Continue\r\n\r\n",
                   strlen("HTTP/1.1 100 Continue\r\n\r\n"));
}

static void link_on_body(struct link *link)
{
    const struct parser_input *piece = &link->parser.piece;
    struct err err = ERR_INIT;

    if (link_check_body_size(link, piece->len, &err) < 0) {
        link_refuse(link, &err);
        return;
    }
    if (buf_add(&link->exchange.body, piece->data, piece->len) < 0) {
        err_fill(&err, ERR_BUSY, "no memory for the body");
        link_refuse(link, &err);
        return;
    }
    link->exchange.server->bodies_bytes += piece->len;
}

static void link_on_request(struct link *link)
{
    struct http_server *server = link->exchange.server;

    link->phase = LINK_RUNNING;
    conn_set_deadline(&link->conn, 0);
    server->service->on_request(&link->exchange, server->owner);
}

/* The first byte of a request starts its clock, which no later byte moves. */
static int link_begin_head(struct link *link, const char *data)
{
    if ((unsigned char)data[0] == SERVER_TLS_FIRST_BYTE) {
        link_close(link);
        return -1;
    }
    link->exchange.arrived_us = clock_monotonic_us();
    conn_set_deadline(&link->conn, server_in_ms(link->exchange.server->limits.head_time_ms));
    return 0;
}

static size_t link_read_request(struct link *link, const char *data, size_t len)
{
    struct parser_input input = {.data = data, .len = len};
    struct err err = ERR_INIT;

    if (len > 0 && !parser_has_begun(&link->parser) && link_begin_head(link, data) < 0)
        return len;
    while (!link->conn.is_closed && (link->phase == LINK_HEAD || link->phase == LINK_BODY)) {
        switch (parser_step(&link->parser, &input, &err)) {
        case PARSER_NEEDS_INPUT:
            return len;
        case PARSER_FOUND_HEAD:
            link_on_head(link);
            break;
        case PARSER_FOUND_BODY:
            link_on_body(link);
            break;
        case PARSER_FOUND_END:
            link_on_request(link);
            break;
        case PARSER_FAILED:
            link_refuse_bytes(link, &err);
            break;
        }
    }
    return len - input.len;
}

/* ---- what the connection tells ---- */

static size_t link_discard(struct link *link, size_t len)
{
    link->discarded_bytes += len;
    if (link->discarded_bytes > SERVER_DISCARD_MAX_BYTES)
        link_close(link);
    return len;
}

/* More is pipelined than is kept, behind a request that still runs. Not reading on would hide the
 * client's end: TCP holds it back behind bytes that have no room. So they are dropped, and the
 * connection ends with this reply; a client that pipelines has to expect that (RFC 9112, 9.3.2). A
 * reply that is written already is another matter: it is about to be taken, or its time runs. */
static void link_on_input_full(struct conn *conn)
{
    struct link *link = link_of(conn);

    if (link->phase != LINK_RUNNING || link->exchange.has_ended)
        return;
    link->exchange.closes = true;
    link->discards = true;
    conn_drop_input(conn);
}

static size_t link_on_input(struct conn *conn, const char *data, size_t len)
{
    struct link *link = link_of(conn);

    switch (link->phase) {
    case LINK_HEAD:
    case LINK_BODY:
        return link_read_request(link, data, len);
    case LINK_RUNNING:
        return link->discards ? link_discard(link, len) : 0; /* else it waits for the reply */
    case LINK_LINGER:
        break;
    }
    return len;
}

static void link_on_hang_up(struct conn *conn, int error)
{
    link_close(link_of(conn));
}

static void link_on_sent(struct conn *conn)
{
    struct link *link = link_of(conn);
    struct http_exchange *x = &link->exchange;
    struct http_server *server = x->server;
    size_t unsent_bytes = conn_unsent_bytes(conn);

    if (link->phase != LINK_RUNNING)
        return;
    /* A client that takes something has its time again. */
    conn_set_deadline(conn, unsent_bytes > 0 ? server_in_ms(server->limits.idle_time_ms) : 0);
    if (x->has_ended && unsent_bytes == 0) {
        link_finish_exchange(link);
        return;
    }
    if (x->is_over_high && unsent_bytes < HTTP_UNSENT_LOW_BYTES) {
        x->is_over_high = false;
        if (!x->has_ended && server->service->on_drained != NULL)
            server->service->on_drained(x, server->owner);
    }
}

static void link_on_deadline(struct conn *conn)
{
    struct link *link = link_of(conn);
    struct err err = ERR_INIT;

    if (link->phase == LINK_BODY || (link->phase == LINK_HEAD && parser_has_begun(&link->parser))) {
        err_fill(&err, ERR_REQUEST_TIMEOUT, "the request took too long to arrive");
        link_refuse(link, &err);
        return;
    }
    link_close(link);
}

static const struct conn_events LINK_EVENTS = {
    .on_input = link_on_input,
    .on_input_full = link_on_input_full,
    .on_hang_up = link_on_hang_up,
    .on_sent = link_on_sent,
    .on_deadline = link_on_deadline,
    .on_released = link_on_released,
};

/* ---- arrivals ---- */

static void link_read_address(struct link *link, int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof(address);
    char *out = link->exchange.peer.address;

    /* One that has left already has none. */
    if (getpeername(fd, (struct sockaddr *)&address, &len) < 0)
        return;
    if (address.ss_family == AF_INET)
        (void)inet_ntop(AF_INET, &((struct sockaddr_in *)&address)->sin_addr, out,
                        HTTP_PEER_ADDRESS_BYTES);
    else if (address.ss_family == AF_INET6)
        (void)inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&address)->sin6_addr, out,
                        HTTP_PEER_ADDRESS_BYTES);
}

static void link_read_peer(struct link *link, int fd)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    link->exchange.peer = (struct http_peer){
        .is_unix = link->exchange.server->is_unix, .uid = (uid_t)-1, .gid = (gid_t)-1, .pid = -1};
    if (!link->exchange.peer.is_unix)
        link_read_address(link, fd);
    /* Nobody, when the kernel does not say: a peer check then refuses. */
    if (!link->exchange.peer.is_unix || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        return;
    link->exchange.peer.uid = peer.uid;
    link->exchange.peer.gid = peer.gid;
    link->exchange.peer.pid = peer.pid;
}

static struct link *server_add_link(struct http_server *server, int fd)
{
    struct link *link = xcalloc(1, sizeof(*link));

    conn_init(&link->conn, server->base, &LINK_EVENTS, SERVER_UNSENT_MAX_BYTES);
    link->conn.leaves_when_half_closed = true;
    parser_init(&link->parser, PARSER_REQUESTS);
    link->exchange.server = server;
    link->exchange.conn = &link->conn;
    link->exchange.head = &link->parser.message;
    buf_init(&link->exchange.body, server->limits.body_max_bytes);
    buf_init(&link->exchange.reply_headers, HTTP_REPLY_HEADERS_MAX_BYTES);
    link_read_peer(link, fd);
    link->next = server->links;
    if (link->next != NULL)
        link->next->previous = link;
    server->links = link;
    conn_adopt(&link->conn, fd);
    return link;
}

static void server_admit(struct http_server *server, int fd)
{
    struct link *link = NULL;

    if (server->client_count < server->limits.client_max_count) {
        server->client_count++;
        link = server_add_link(server, fd);
        conn_set_deadline(&link->conn, server_in_ms(server->limits.head_time_ms));
        return;
    }
    if (server->surplus_count < SERVER_SURPLUS_MAX_COUNT) {
        struct err err = ERR_INIT;

        server->surplus_count++;
        link = server_add_link(server, fd);
        link->is_surplus = true;
        err_fill(&err, ERR_BUSY, "%u clients are connected, the most that are allowed",
                 server->limits.client_max_count);
        link_refuse(link, &err);
        return;
    }
    (void)close(fd); /* a flood: no words for each */
}

/* Out of descriptors or memory: the waiting client would wake the loop for ever. */
static void server_rest_accepting(struct http_server *server)
{
    struct timeval delay = {.tv_usec = SERVER_ACCEPT_RETRY_US};

    (void)event_del(&server->accept); /* it is added */
    if (event_add(&server->accept_retry, &delay) < 0)
        (void)event_add(&server->accept, NULL); /* then it has to spin until there is memory */
}

static void server_on_accept(evutil_socket_t listen_fd, short what, void *arg)
{
    struct http_server *server = arg;

    for (int i = 0; i < SERVER_ACCEPT_MAX_COUNT; i++) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            server_admit(server, fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            server_rest_accepting(server);
            return;
        } else if (errno == EAGAIN) {
            return;
        } /* else that one client is gone already */
    }
}

static void server_on_accept_retry(evutil_socket_t fd, short what, void *arg)
{
    struct http_server *server = arg;

    if (event_add(&server->accept, NULL) < 0)
        server_rest_accepting(server);
}

/* ---- life ---- */

static bool server_is_unix(int listen_fd)
{
    int domain = 0;
    socklen_t len = sizeof(domain);

    return getsockopt(listen_fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX;
}

struct http_server *http_server_new(struct event_base *base, int listen_fd,
                                    const struct http_limits *limits,
                                    const struct http_service *service, void *owner,
                                    struct err *err)
{
    AUTO_CLOSE int fd = listen_fd;
    AUTO_FREE struct http_server *server = xcalloc(1, sizeof(*server));

    /* Handed-over descriptors come in any state; the loop needs this one. */
    if (evutil_make_socket_nonblocking(fd) < 0 || evutil_make_socket_closeonexec(fd) < 0)
        return err_set_null(err, ERR_IO, "prepare a listening socket: %m");
    *server = (struct http_server){.base = base,
                                   .listen_fd = fd,
                                   .is_unix = server_is_unix(fd),
                                   .limits = *limits,
                                   .service = service,
                                   .owner = owner};
    (void)event_assign(&server->accept_retry, base, -1, 0, server_on_accept_retry, server);
    if (event_assign(&server->accept, base, fd, EV_READ | EV_PERSIST, server_on_accept, server) <
            0 ||
        event_add(&server->accept, NULL) < 0)
        return err_set_null(err, ERR_IO, "watch a listening socket: %m");
    (void)take_fd(&fd); /* the server closes it */
    return take_ptr(server);
}

void http_server_stop_accepting(struct http_server *server)
{
    struct link *next = NULL;

    if (server->listen_fd < 0)
        return;
    (void)event_del(&server->accept);       /* may be resting */
    (void)event_del(&server->accept_retry); /* may not be pending */
    (void)close(server->listen_fd);         /* nothing was written to it */
    server->listen_fd = -1;
    for (struct link *link = server->links; link != NULL; link = next) {
        next = link->next;
        link->exchange.closes = true;
        /* A body may take minutes to come, and whoever drains would wait for it. */
        if (link->phase == LINK_BODY ||
            (link->phase == LINK_HEAD && !parser_has_begun(&link->parser)))
            link_close(link);
    }
}

unsigned http_server_client_count(const struct http_server *server)
{
    return server->client_count;
}

void http_server_free(struct http_server *server)
{
    if (server == NULL)
        return;
    http_server_stop_accepting(server);
    while (server->links != NULL) {
        assert(server->links->conn.depth == 0); /* not from one of its own callbacks */
        link_close(server->links);
    }
    free(server);
}
