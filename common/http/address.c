/* Owns addresses: text -> struct -> sockets. Asks no name server: a loop never waits for one. */
#include "common/http/address.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum {
    ADDRESS_BACKLOG = 511, /* the kernel cuts it to net.core.somaxconn */
    ADDRESS_PORT_MAX = 65535,
    ADDRESS_MODE_MASK = 0777,
};

struct address_socket {
    union {
        struct sockaddr any;
        struct sockaddr_un un;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } name;
    socklen_t len;
};

/* ---- text ---- */

static int address_parse_unix(const char *path, struct http_address *out, struct err *err)
{
    if (path[0] == '\0')
        return err_set(err, ERR_USAGE, "an address needs a path after \"unix:\"");
    if (strlen(path) >= sizeof(out->path))
        return err_set(err, ERR_USAGE, "socket path of more than %zu bytes: %s",
                       sizeof(out->path) - 1, path);
    *out = (struct http_address){.is_unix = true};
    memcpy(out->path, path, strlen(path) + 1);
    return 0;
}

static int address_parse_port(const char *text, uint16_t *out, struct err *err)
{
    unsigned port = 0;

    if (text[0] == '\0' || strlen(text) > sizeof("65535") - 1)
        return err_set(err, ERR_USAGE, "not a port: \"%s\"", text);
    for (const char *digit = text; *digit != '\0'; digit++) {
        if (*digit < '0' || *digit > '9')
            return err_set(err, ERR_USAGE, "not a port: \"%s\"", text);
        port = port * 10 + (unsigned)(*digit - '0');
    }
    if (port > ADDRESS_PORT_MAX)
        return err_set(err, ERR_USAGE, "port above %d: %s", ADDRESS_PORT_MAX, text);
    *out = (uint16_t)port;
    return 0;
}

/* Fills NAME from HOST; false when it is neither numeric nor localhost. */
static bool address_resolve(const char *host, uint16_t port, struct address_socket *name)
{
    *name = (struct address_socket){.len = 0};
    if (strcasecmp(host, "localhost") == 0)
        host = "127.0.0.1";
    if (inet_pton(AF_INET, host, &name->name.in.sin_addr) == 1) {
        name->name.in.sin_family = AF_INET;
        name->name.in.sin_port = htons(port);
        name->len = sizeof(name->name.in);
        return true;
    }
    if (inet_pton(AF_INET6, host, &name->name.in6.sin6_addr) == 1) {
        name->name.in6.sin6_family = AF_INET6;
        name->name.in6.sin6_port = htons(port);
        name->len = sizeof(name->name.in6);
        return true;
    }
    return false;
}

static int address_parse_host(const char *text, size_t len, struct http_address *out,
                              struct err *err)
{
    struct address_socket unused;

    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    }
    if (len == 0 || len >= sizeof(out->host))
        return err_set(err, ERR_USAGE, "an address needs a host before the port");
    memcpy(out->host, text, len);
    out->host[len] = '\0';
    if (!address_resolve(out->host, out->port, &unused))
        return err_set(err, ERR_USAGE, "host must be a numeric address or localhost, not \"%s\"",
                       out->host);
    return 0;
}

int http_address_parse(const char *text, struct http_address *out, struct err *err)
{
    struct http_address parsed = {.is_unix = false};
    const char *colon = NULL;
    size_t scheme_len = strlen("http://");

    if (strncmp(text, "unix:", strlen("unix:")) == 0)
        return address_parse_unix(text + strlen("unix:"), out, err);
    if (strncmp(text, "http://", scheme_len) == 0)
        text += scheme_len;
    colon = strrchr(text, ':');
    if (colon == NULL)
        return err_set(err, ERR_USAGE, "an address is unix:PATH or HOST:PORT, not \"%s\"", text);
    if (address_parse_port(colon + 1, &parsed.port, err) < 0 ||
        address_parse_host(text, (size_t)(colon - text), &parsed, err) < 0)
        return -1;
    *out = parsed;
    return 0;
}

void http_address_format_host(const struct http_address *address, char out[HTTP_HOST_MAX_BYTES])
{
    /* All of them fit. */
    if (address->is_unix)
        (void)snprintf(out, HTTP_HOST_MAX_BYTES, "localhost");
    else if (strchr(address->host, ':') != NULL)
        (void)snprintf(out, HTTP_HOST_MAX_BYTES, "[%s]:%u", address->host, address->port);
    else
        (void)snprintf(out, HTTP_HOST_MAX_BYTES, "%s:%u", address->host, address->port);
}

bool http_address_is_loopback(const struct http_address *address)
{
    enum { LOOPBACK_NET = 127 }; /* 127.0.0.0/8 */
    struct address_socket name;

    if (address->is_unix)
        return true;
    if (!address_resolve(address->host, address->port, &name))
        return false;
    if (name.name.any.sa_family == AF_INET)
        return *(const unsigned char *)&name.name.in.sin_addr == LOOPBACK_NET;
    return IN6_IS_ADDR_LOOPBACK(&name.name.in6.sin6_addr);
}

/* ---- sockets ---- */

static int address_fill(const struct http_address *address, struct address_socket *out)
{
    if (!address->is_unix) {
        if (address_resolve(address->host, address->port, out))
            return 0;
        errno = EADDRNOTAVAIL;
        return -1;
    }
    *out = (struct address_socket){.len = sizeof(out->name.un)};
    out->name.un.sun_family = AF_UNIX;
    static_assert(sizeof(address->path) == sizeof(out->name.un.sun_path), "one limit for both");
    memcpy(out->name.un.sun_path, address->path, sizeof(address->path));
    return 0;
}

static int address_open_socket(const struct address_socket *name)
{
    return socket(name->name.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* A Unix socket takes the mode of its descriptor when it is bound, so that there is no moment in
 * which others can connect. */
static int address_bind(int fd, const struct http_address *address,
                        const struct address_socket *name, unsigned mode, struct err *err)
{
    int on = 1;

    if (address->is_unix) {
        if (fchmod(fd, mode & ADDRESS_MODE_MASK) < 0 || bind(fd, &name->name.any, name->len) < 0 ||
            chmod(address->path, mode & ADDRESS_MODE_MASK) < 0)
            return err_set(err, ERR_IO, "listen on %s: %m", address->path);
        return 0;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(fd, &name->name.any, name->len) < 0)
        return err_set(err, ERR_IO, "listen on %s port %u: %m", address->host, address->port);
    return 0;
}

int http_address_listen(const struct http_address *address, unsigned mode, int *out_fd,
                        struct err *err)
{
    struct address_socket name;
    AUTO_CLOSE int fd = -1;

    if (address_fill(address, &name) < 0)
        return err_set(err, ERR_IO, "listen on %s: %m", address->host);
    fd = address_open_socket(&name);
    if (fd < 0)
        return err_set(err, ERR_IO, "make a socket: %m");
    if (address_bind(fd, address, &name, mode, err) < 0)
        return -1;
    if (listen(fd, ADDRESS_BACKLOG) < 0)
        return err_set(err, ERR_IO, "listen: %m");
    *out_fd = take_fd(&fd);
    return 0;
}

int http_address_connect(const struct http_address *address, bool *out_is_connecting)
{
    struct address_socket name;
    int fd = -1;

    if (address_fill(address, &name) < 0)
        return -1;
    fd = address_open_socket(&name);
    if (fd < 0)
        return -1;
    if (connect(fd, &name.name.any, name.len) == 0) {
        *out_is_connecting = false;
        return fd;
    }
    if (errno != EINPROGRESS) {
        int error = errno;

        (void)close(fd); /* never connected */
        errno = error;
        return -1;
    }
    *out_is_connecting = true;
    return fd;
}
