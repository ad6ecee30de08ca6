/* Owns a socket, its two buffers and its place in the loop. Knows nothing of HTTP. */
#include "common/http/conn.h"

#include "common/clock.h"
#include "common/http/address.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

enum {
    CONN_READ_BYTES = 64 * 1024, /* one read, on the stack */
    CONN_KEPT_BYTES = 16 * 1024, /* storage an empty buffer may keep */
    /* A Unix socket whose listener's queue is full says EAGAIN and gives no event. */
    CONN_CONNECT_RETRY_MS = 5,
};

/* While it does not read: edges only, see conn.h. */
#define CONN_WATCH_EDGES ((short)(EV_READ | EV_WRITE | EV_CLOSED | EV_ET | EV_PERSIST))

static void conn_on_io(evutil_socket_t fd, short what, void *arg);
static void conn_on_timer(evutil_socket_t fd, short what, void *arg);
static void conn_on_deferred(evutil_socket_t fd, short what, void *arg);

void conn_init(struct conn *conn, struct event_base *base, const struct conn_events *events,
               size_t unsent_max_bytes)
{
    *conn = (struct conn){.base = base, .events = events, .fd = -1};
    buf_init(&conn->in, HTTP_PIPELINED_MAX_BYTES);
    buf_init(&conn->out, unsent_max_bytes);
    (void)event_assign(&conn->timer, base, -1, 0, conn_on_timer, conn);       /* cannot fail: */
    (void)event_assign(&conn->deferred, base, -1, 0, conn_on_deferred, conn); /* no fd, no signal */
}

/* ---- in and out of callbacks ---- */

static void conn_release(struct conn *conn)
{
    buf_release(&conn->in);
    buf_release(&conn->out);
    conn->events->on_released(conn);
}

static void conn_enter(struct conn *conn)
{
    conn->depth++;
}

static void conn_leave(struct conn *conn)
{
    assert(conn->depth > 0);
    conn->depth--;
    if (conn->depth == 0 && conn->is_closed)
        conn_release(conn);
}

static void conn_defer(struct conn *conn)
{
    event_active(&conn->deferred, 0, 0);
}

static void conn_hang_up(struct conn *conn, int error)
{
    if (conn->has_hung_up || conn->is_closed)
        return;
    conn->has_hung_up = true;
    conn->events->on_hang_up(conn, error);
}

/* ---- interest ---- */

static bool conn_is_reading(const struct conn *conn)
{
    return !conn->is_paused && conn->in.len < conn->in.max;
}

static short conn_wanted_interest(const struct conn *conn)
{
    if (conn->fd < 0 || conn->has_hung_up)
        return 0;
    if (conn->is_connecting)
        return EV_WRITE | EV_PERSIST;
    if (!conn_is_reading(conn))
        return CONN_WATCH_EDGES;
    return (short)(EV_READ | EV_CLOSED | EV_PERSIST | (conn->is_write_blocked ? EV_WRITE : 0));
}

static void conn_update_interest(struct conn *conn)
{
    short wanted = conn_wanted_interest(conn);

    if (wanted == conn->interest)
        return;
    if (conn->interest != 0)
        (void)event_del(&conn->io); /* it is added, so this cannot fail */
    conn->interest = wanted;
    if (wanted == 0)
        return;
    if (event_assign(&conn->io, conn->base, conn->fd, wanted, conn_on_io, conn) < 0 ||
        event_add(&conn->io, NULL) < 0) {
        conn->interest = 0;
        conn->pending_error = ENOMEM; /* the only reason epoll has for a good descriptor */
        conn_defer(conn);
    }
}

/* ---- opening and closing ---- */

static void conn_set_no_delay(int fd)
{
    int on = 1;

    /* Fails on Unix sockets, which have no delay to begin with. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

void conn_adopt(struct conn *conn, int fd)
{
    assert(conn->fd < 0);
    conn->fd = fd;
    conn_set_no_delay(fd);
    conn_update_interest(conn);
    if (conn_unsent_bytes(conn) > 0)
        conn_flush_later(conn, false);
}

static void conn_try_connect(struct conn *conn)
{
    int fd = http_address_connect(conn->address, &conn->is_connecting);

    if (fd < 0 && errno == EAGAIN) {
        conn_set_deadline(conn, clock_monotonic_ms() + CONN_CONNECT_RETRY_MS);
        return;
    }
    if (fd < 0) {
        conn->pending_error = errno;
        conn_defer(conn);
        return;
    }
    conn_adopt(conn, fd);
}

void conn_connect(struct conn *conn, const struct http_address *address)
{
    assert(conn->fd < 0);
    conn->address = address;
    conn->is_connecting = true;
    conn->has_hung_up = false;
    conn->is_write_broken = false;
    conn->is_write_blocked = false;
    conn_try_connect(conn);
}

/* Whether the connection stands is what the socket's error says. */
static int conn_take_error(struct conn *conn)
{
    int error = 0;
    socklen_t len = sizeof(error);

    if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    return error;
}

static void conn_finish_connect(struct conn *conn)
{
    int error = conn_take_error(conn);

    if (error != 0) {
        conn_hang_up(conn, error);
        return;
    }
    conn->is_connecting = false;
    conn_update_interest(conn);
    conn_flush_later(conn, false);
}

void conn_shut_write(struct conn *conn)
{
    /* Fails when the other side is gone, which is then seen as a hang-up. */
    (void)shutdown(conn->fd, SHUT_WR);
}

void conn_disconnect(struct conn *conn)
{
    if (conn->interest != 0)
        (void)event_del(&conn->io); /* it is added, so this cannot fail */
    conn->interest = 0;
    (void)event_del(&conn->timer);    /* may not be pending */
    (void)event_del(&conn->deferred); /* likewise */
    if (conn->fd >= 0)
        (void)close(conn->fd); /* nothing was promised about what was not sent */
    conn->fd = -1;
    conn->deadline_ms = 0;
    conn->timer_at_ms = 0;
    conn->pending_error = 0;
    conn->wants_flush = false;
    conn->wants_input = false;
    conn->is_connecting = false;
    buf_clear(&conn->in);
}

void conn_close(struct conn *conn)
{
    if (conn->is_closed)
        return;
    conn_disconnect(conn);
    conn->is_closed = true;
    if (conn->depth == 0)
        conn_release(conn);
}

/* ---- writing ---- */

void conn_write(struct conn *conn, const void *data, size_t len)
{
    conn_flush_later(conn, buf_add(&conn->out, data, len) < 0);
}

void conn_flush_later(struct conn *conn, bool has_failed)
{
    if (conn->is_closed)
        return;
    if (has_failed && conn->pending_error == 0)
        conn->pending_error = ENOBUFS;
    conn->wants_flush = true;
    /* Before it is connected there is nothing to flush into; connecting ends with a flush. */
    if (has_failed || (conn->fd >= 0 && !conn->is_connecting && !conn->is_write_blocked))
        conn_defer(conn);
}

size_t conn_unsent_bytes(const struct conn *conn)
{
    return conn->out.len - conn->out_sent_bytes;
}

void conn_hold(struct conn *conn)
{
    conn->is_held = true;
}

void conn_let_go(struct conn *conn)
{
    conn->is_held = false;
    conn_flush_later(conn, false);
}

static void conn_drop_out(struct conn *conn)
{
    if (conn->out.capacity > CONN_KEPT_BYTES)
        buf_release(&conn->out);
    else
        buf_clear(&conn->out);
    conn->out_sent_bytes = 0;
}

void conn_rewind(struct conn *conn)
{
    assert(conn->holds_sent);
    conn->out_sent_bytes = 0;
}

/* The kernel has taken LEN bytes. */
static void conn_account_sent(struct conn *conn, size_t len)
{
    conn->out_sent_bytes += len;
    if (conn->holds_sent)
        return;
    if (conn_unsent_bytes(conn) == 0) {
        conn_drop_out(conn);
    } else if (conn->out_sent_bytes > conn->out.len / 2) {
        /* Moved only when less is left than was sent, so each byte moves at most once. */
        buf_consume(&conn->out, conn->out_sent_bytes);
        conn->out_sent_bytes = 0;
    }
}

void conn_forget_sent(struct conn *conn)
{
    conn->holds_sent = false;
    conn_account_sent(conn, 0);
}

static void conn_flush(struct conn *conn)
{
    bool was_blocked = conn->is_write_blocked;
    ssize_t sent = 0;

    conn->wants_flush = false;
    if (conn->fd < 0 || conn->is_connecting || conn->is_write_broken || conn->is_held)
        return;
    if (conn_unsent_bytes(conn) > 0) {
        do {
            sent = send(conn->fd, conn->out.data + conn->out_sent_bytes, conn_unsent_bytes(conn),
                        MSG_NOSIGNAL);
        } while (sent < 0 && errno == EINTR);
    }
    if (sent < 0 && errno != EAGAIN) {
        conn->is_write_broken = true;
        conn->is_write_blocked = false;
        conn_update_interest(conn);
        if (conn->leaves_when_half_closed)
            conn_hang_up(conn, errno);
        return;
    }
    conn_account_sent(conn, sent > 0 ? (size_t)sent : 0);
    conn->is_write_blocked = conn_unsent_bytes(conn) > 0;
    conn_update_interest(conn);
    if (sent > 0 || !conn->is_write_blocked || !was_blocked)
        conn->events->on_sent(conn);
}

/* ---- reading ---- */

void conn_pause(struct conn *conn)
{
    conn->is_paused = true;
    conn_update_interest(conn);
}

void conn_resume(struct conn *conn)
{
    conn->is_paused = false;
    conn_update_interest(conn);
    conn_offer_input(conn);
}

void conn_offer_input(struct conn *conn)
{
    conn->wants_input = true;
    conn_defer(conn);
}

static void conn_offer_kept(struct conn *conn)
{
    size_t used = 0;

    conn->wants_input = false;
    used = conn->events->on_input(conn, conn->in.data, conn->in.len);
    if (conn->is_closed)
        return;
    assert(used <= conn->in.len);
    buf_consume(&conn->in, used);
    if (conn->in.len == 0 && conn->in.capacity > CONN_KEPT_BYTES)
        buf_release(&conn->in);
    conn_update_interest(conn);
}

void conn_drop_input(struct conn *conn)
{
    buf_release(&conn->in);
    conn_update_interest(conn);
}

static void conn_take(struct conn *conn, const char *bytes, size_t len)
{
    size_t used = 0;

    if (conn->in.len == 0)
        used = conn->events->on_input(conn, bytes, len);
    if (conn->is_closed || used == len)
        return;
    if (buf_add(&conn->in, bytes + used, len - used) < 0) {
        conn->pending_error = ENOMEM; /* it fits: only memory can be missing */
        conn_defer(conn);
    } else if (conn->in.len == conn->in.max && conn->events->on_input_full != NULL) {
        conn->events->on_input_full(conn);
    }
    conn_update_interest(conn);
}

static void conn_read(struct conn *conn)
{
    char bytes[CONN_READ_BYTES];
    size_t room = conn->in.max - conn->in.len;
    ssize_t len = recv(conn->fd, bytes, room < sizeof(bytes) ? room : sizeof(bytes), 0);

    if (len > 0)
        conn_take(conn, bytes, (size_t)len);
    else if (len == 0)
        conn_hang_up(conn, 0);
    else if (errno != EAGAIN && errno != EINTR)
        conn_hang_up(conn, errno);
}

void conn_drain(struct conn *conn, size_t max_bytes)
{
    size_t kept_max = conn->in.max;

    conn->in.max = max_bytes;
    while (conn->in.len < max_bytes && buf_reserve(&conn->in, CONN_READ_BYTES) == 0) {
        ssize_t len = recv(conn->fd, conn->in.data + conn->in.len, CONN_READ_BYTES, 0);

        if (len <= 0)
            break;
        conn->in.len += (size_t)len;
    }
    conn->in.max = kept_max;
}

/* ---- the loop ---- */

static void conn_on_edges(struct conn *conn, short what)
{
    int error = 0;

    if ((what & EV_CLOSED) != 0)
        conn_hang_up(conn, 0);
    else if ((error = conn_take_error(conn)) != 0)
        conn_hang_up(conn, error);
    if (!conn->is_closed && (what & EV_WRITE) != 0 && conn_unsent_bytes(conn) > 0)
        conn_flush(conn);
}

static void conn_on_levels(struct conn *conn, short what)
{
    if ((what & EV_CLOSED) != 0 && conn->leaves_when_half_closed)
        conn_hang_up(conn, 0);
    else if ((what & (EV_READ | EV_CLOSED)) != 0)
        conn_read(conn);
    if (!conn->is_closed && (what & EV_WRITE) != 0)
        conn_flush(conn);
}

static void conn_on_io(evutil_socket_t fd, short what, void *arg)
{
    struct conn *conn = arg;

    conn_enter(conn);
    if (conn->is_connecting)
        conn_finish_connect(conn);
    else if (conn->interest == CONN_WATCH_EDGES)
        conn_on_edges(conn, what);
    else
        conn_on_levels(conn, what);
    conn_leave(conn);
}

static void conn_on_deferred(evutil_socket_t fd, short what, void *arg)
{
    struct conn *conn = arg;
    int error = conn->pending_error;

    conn_enter(conn);
    conn->pending_error = 0;
    if (error != 0)
        conn_hang_up(conn, error);
    if (!conn->is_closed && conn->wants_flush)
        conn_flush(conn);
    if (!conn->is_closed && conn->wants_input)
        conn_offer_kept(conn);
    conn_leave(conn);
}

/* ---- time ---- */

static void conn_arm_timer(struct conn *conn)
{
    uint64_t now_ms = clock_monotonic_ms();
    uint64_t left_ms = conn->deadline_ms > now_ms ? conn->deadline_ms - now_ms : 1;
    struct timeval left = clock_timeval(left_ms);

    if (event_add(&conn->timer, &left) < 0) { /* no memory: a connection without limits is worse */
        conn->pending_error = ENOMEM;
        conn_defer(conn);
        return;
    }
    conn->timer_at_ms = conn->deadline_ms;
}

/* The timer is armed anew only for an earlier time: a connection that works moves its deadline with
 * each request, and one that fires too early just looks again. */
void conn_set_deadline(struct conn *conn, uint64_t at_ms)
{
    conn->deadline_ms = at_ms;
    if (at_ms != 0 && (conn->timer_at_ms == 0 || at_ms < conn->timer_at_ms))
        conn_arm_timer(conn);
}

static void conn_on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct conn *conn = arg;

    conn->timer_at_ms = 0;
    if (conn->deadline_ms == 0)
        return;
    if (clock_monotonic_ms() < conn->deadline_ms) {
        conn_arm_timer(conn);
        return;
    }
    conn->deadline_ms = 0;
    conn_enter(conn);
    if (conn->fd < 0)
        conn_try_connect(conn);
    else
        conn->events->on_deadline(conn);
    conn_leave(conn);
}
