/* One stream socket in the loop: what server and client stand on.
 *
 *   connecting -> open -> (write side shut) -> closed -> on_released
 *
 * - Reads when the owner takes input; what the owner leaves is kept, at most
 *   HTTP_PIPELINED_MAX_BYTES, then reading stops.
 * - A hang-up is seen whether it reads or not. While it reads, level-triggered events tell. While
 * it does not, they would wake the loop for ever (unread bytes stay readable, and libevent reports
 * an error only as readable and writable), so the socket is then watched edge-triggered.
 * - What is written in one turn of the loop leaves in one system call at the end of that turn.
 * - It never calls the owner from inside a call of the owner's, with one exception: conn_close()
 *   outside of a callback calls on_released.
 *
 * The struct is part of its owner, which finds itself with CONTAINER_OF and frees it in
 * on_released. */
#ifndef RBEE_COMMON_HTTP_CONN_H
#define RBEE_COMMON_HTTP_CONN_H

#include "common/buf.h"
#include "common/http/http.h"

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conn;

struct conn_events {
    /* Bytes have come. Returns how many were used; the rest comes again after conn_offer_input().
     */
    size_t (*on_input)(struct conn *conn, const char *data, size_t len);
    /* As much is kept as may be, and reading stops. NULL where that is all right. */
    void (*on_input_full)(struct conn *conn);
    /* The other side is gone: ERROR is 0 for an orderly end, else an errno. Told once. With
     * leaves_when_half_closed this comes before unread input, else after it, or while reading is
     * paused, when conn_drain() gets what there still is. */
    void (*on_hang_up)(struct conn *conn, int error);
    /* Bytes were taken by the kernel, or it has begun to take none; conn_unsent_bytes() says what
     * is left. */
    void (*on_sent)(struct conn *conn);
    void (*on_deadline)(struct conn *conn);
    /* Closed, and no callback of it is running: the memory may go. */
    void (*on_released)(struct conn *conn);
};

struct conn {
    struct event_base *base;
    const struct conn_events *events;
    int fd; /* -1: not connected */
    struct event io;
    struct event timer;
    struct event deferred;
    short interest; /* what io waits for; 0: not in the loop */
    bool leaves_when_half_closed;
    bool is_closed;
    bool is_connecting;
    bool is_paused;       /* by the owner */
    bool is_write_broken; /* what is still to be read may explain why */
    bool is_write_blocked;
    bool has_hung_up;
    bool is_held;    /* nothing is sent for now */
    bool holds_sent; /* keeps what was sent, so that it can be sent again */
    bool wants_flush;
    bool wants_input;
    int pending_error; /* of a connect or of a full buffer: told from the loop */
    unsigned depth;    /* callbacks of it on the stack */
    uint64_t deadline_ms;
    uint64_t timer_at_ms;
    const struct http_address *address; /* of conn_connect */
    struct buf in;
    struct buf out;
    size_t out_sent_bytes;
};

/* UNSENT_MAX_BYTES is a last resort: more than that unsent breaks the connection. */
void conn_init(struct conn *conn, struct event_base *base, const struct conn_events *events,
               size_t unsent_max_bytes);
/* Takes a connected, non-blocking socket over. */
void conn_adopt(struct conn *conn, int fd);
/* Begins to connect to ADDRESS, which outlives the conn; failures come as on_hang_up. What is
 * written meanwhile waits. */
void conn_connect(struct conn *conn, const struct http_address *address);

void conn_write(struct conn *conn, const void *data, size_t len);
/* For text made in place: conn->out is added to, then conn_flush_later() called with whether that
 * failed. */
void conn_flush_later(struct conn *conn, bool has_failed);
size_t conn_unsent_bytes(const struct conn *conn);
/* What is written waits for conn_let_go(). */
void conn_hold(struct conn *conn);
void conn_let_go(struct conn *conn);
/* With holds_sent: everything counts as unsent again. */
void conn_rewind(struct conn *conn);
/* Ends holds_sent and drops what was kept. */
void conn_forget_sent(struct conn *conn);

void conn_pause(struct conn *conn);
void conn_resume(struct conn *conn);
/* Kept input is offered again, from the loop. */
void conn_offer_input(struct conn *conn);
/* Kept input is dropped, and reading goes on. */
void conn_drop_input(struct conn *conn);
/* Reads on to the end of what the kernel holds into conn->in, up to MAX_BYTES. */
void conn_drain(struct conn *conn, size_t max_bytes);

/* on_deadline at AT_MS of the monotonic clock; 0: none. */
void conn_set_deadline(struct conn *conn, uint64_t at_ms);
/* The other side sees an end; input still comes. */
void conn_shut_write(struct conn *conn);
/* Takes the socket out and closes it, keeping the struct usable for conn_connect(). */
void conn_disconnect(struct conn *conn);
/* Closes; on_released follows, at once outside of callbacks. */
void conn_close(struct conn *conn);
#endif
