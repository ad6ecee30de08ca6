/* Owns the TCP listener and its servers. Knows nothing of routes or tokens. */
#include "supervisor/tcp.h"

#include "common/attr.h"
#include "common/log.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The port that FD has got: the kernel chooses where 0 was asked for. */
static uint16_t tcp_port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } name = {.any = {.sa_family = AF_UNSPEC}};
    socklen_t len = sizeof(name);

    if (getsockname(fd, &name.any, &len) < 0)
        return 0;
    return ntohs(name.any.sa_family == AF_INET ? name.in.sin_port : name.in6.sin6_port);
}

/* One that was handed over stays open beside its copy: it may be wanted again. */
static int tcp_listen(const struct tcp *tcp, const struct http_address *address, int *out_fd,
                      struct err *err)
{
    if (tcp->handed_fd < 0)
        return http_address_listen(address, 0, out_fd, err);
    *out_fd = fcntl(tcp->handed_fd, F_DUPFD_CLOEXEC, 0);
    return *out_fd < 0 ? err_set(err, ERR_IO, "take over the TCP socket: %m") : 0;
}

static int tcp_open(struct tcp *tcp, const struct http_address *address, struct err *err)
{
    AUTO_CLOSE int fd = -1;
    struct http_server *server = NULL;
    uint16_t port = 0;

    if (tcp_listen(tcp, address, &fd, err) != 0)
        return -1;
    port = tcp_port_of(fd);
    server = http_server_new(tcp->base, take_fd(&fd), &tcp->limits, tcp->service, tcp->owner, err);
    if (server == NULL)
        return -1;
    if (tcp->server != NULL)
        retired_add(&tcp->retired, tcp->server);
    tcp->server = server;
    (void)snprintf(tcp->name, sizeof(tcp->name), /* a numeric address fits */
                   strchr(address->host, ':') != NULL ? "[%s]:%u" : "%s:%u", address->host,
                   (unsigned)port);
    err_clear(&tcp->failure);
    log_event(LOG_INFO, "listening", "address=%s", tcp->name);
    return 0;
}

static void tcp_shut(struct tcp *tcp)
{
    if (tcp->server == NULL)
        return;
    log_event(LOG_INFO, "not_listening", "address=%s", tcp->name);
    retired_add(&tcp->retired, tcp->server);
    tcp->server = NULL;
    tcp->name[0] = '\0';
}

/* Another address, the new one first. Where both have the same port, the old socket stands in the
 * way, and comes back when the new one cannot be had. */
static int tcp_move(struct tcp *tcp, const struct http_address *address, struct err *err)
{
    struct err ignored = ERR_INIT;

    if (tcp_open(tcp, address, err) == 0)
        return 0;
    if (tcp->server == NULL || address->port != tcp->wish.address.port)
        return -1;
    tcp_shut(tcp);
    err_clear(err);
    if (tcp_open(tcp, address, err) == 0)
        return 0;
    (void)tcp_open(tcp, &tcp->wish.address, &ignored); /* else upkeep tries again */
    return -1;
}

static bool tcp_is_same_address(const struct http_address *a, const struct http_address *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

int tcp_apply(struct tcp *tcp, const struct tcp_wish *wish, struct err *err)
{
    struct err failure = ERR_INIT;

    if (!wish->is_on) {
        tcp_shut(tcp);
        err_clear(&tcp->failure);
    } else if (tcp->server == NULL || !tcp_is_same_address(&wish->address, &tcp->wish.address)) {
        if (tcp_move(tcp, &wish->address, &failure) != 0) {
            if (wish->is_required) {
                *err = failure;
                return -1;
            }
            tcp_shut(tcp);
            log_event(LOG_WARN, "not_listening", "error=%s", failure.message);
            tcp->failure = failure;
        }
    }
    tcp->wish = *wish;
    return 0;
}

void tcp_upkeep(struct tcp *tcp)
{
    struct err err = ERR_INIT;

    retired_upkeep(&tcp->retired);
    if (!tcp->wish.is_on || tcp->server != NULL || tcp_open(tcp, &tcp->wish.address, &err) == 0)
        return;
    if (!err_is_set(&tcp->failure))
        log_event(LOG_WARN, "not_listening", "error=%s", err.message);
    tcp->failure = err;
}

void tcp_stop(struct tcp *tcp)
{
    tcp->wish.is_on = false;
    tcp_shut(tcp);
}

unsigned tcp_client_count(const struct tcp *tcp)
{
    return retired_client_count(&tcp->retired) +
           (tcp->server == NULL ? 0 : http_server_client_count(tcp->server));
}

void tcp_close(struct tcp *tcp)
{
    tcp_stop(tcp);
    retired_release(&tcp->retired);
}
