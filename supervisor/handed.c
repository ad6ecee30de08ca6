/* Owns the reading of LISTEN_FDS. Must not know what is served on the sockets. */
#include "supervisor/handed.h"

#include "common/attr.h"
#include "common/units.h"
#include "supervisor/environment.h"

#include <arpa/inet.h>
#include <assert.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

enum {
    HANDED_FIRST_FD = 3, /* SD_LISTEN_FDS_START */
    HANDED_MAX_COUNT = 2,
};

union handed_name {
    struct sockaddr any;
    struct sockaddr_un un;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

/* How many there are: 0 when the variables are missing, or were left there for another process. */
static int handed_count(int64_t *out, struct err *err)
{
    const char *text = getenv("LISTEN_FDS");

    *out = 0;
    if (text == NULL || !environment_has_our_pid("LISTEN_PID"))
        return 0;
    if (units_parse_integer(text, 0, HANDED_MAX_COUNT, out, err) != 0) {
        err->kind = ERR_CONFIG;
        return err_wrap(err, "LISTEN_FDS");
    }
    return 0;
}

static bool handed_is_listening(int fd)
{
    int type = 0;
    int is_listening = 0;
    socklen_t len = sizeof(type);

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0 || type != SOCK_STREAM)
        return false;
    len = sizeof(is_listening);
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &len) == 0 && is_listening != 0;
}

static int handed_take_unix(struct handed *handed, int fd, const union handed_name *name,
                            socklen_t name_len, struct err *err)
{
    static_assert(sizeof(handed->unix_address.path) >= sizeof(name->un.sun_path), "a path fits");

    if (handed->unix_fd >= 0)
        return err_set(err, ERR_CONFIG, "LISTEN_FDS has a second Unix socket");
    /* Clients look for it by its path. */
    if (name_len <= sizeof(name->un.sun_family) || name->un.sun_path[0] != '/')
        return err_set(err, ERR_CONFIG, "LISTEN_FDS has a Unix socket without a path");
    handed->unix_fd = fd;
    handed->unix_address = (struct http_address){.is_unix = true};
    memcpy(handed->unix_address.path, name->un.sun_path,
           strnlen(name->un.sun_path, sizeof(name->un.sun_path) - 1));
    return 0;
}

static int handed_take_tcp(struct handed *handed, int fd, const union handed_name *name,
                           struct err *err)
{
    struct http_address *address = &handed->tcp_address;
    bool is_v4 = name->any.sa_family == AF_INET;
    const void *bytes = is_v4 ? (const void *)&name->in.sin_addr : &name->in6.sin6_addr;

    if (handed->tcp_fd >= 0)
        return err_set(err, ERR_CONFIG, "LISTEN_FDS has a second TCP socket");
    handed->tcp_fd = fd;
    *address =
        (struct http_address){.port = ntohs(is_v4 ? name->in.sin_port : name->in6.sin6_port)};
    if (inet_ntop(name->any.sa_family, bytes, address->host, sizeof(address->host)) == NULL)
        return err_set(err, ERR_CONFIG, "LISTEN_FDS has a TCP socket without an address: %m");
    return 0;
}

static int handed_take_one(struct handed *handed, int fd, struct err *err)
{
    union handed_name name = {.any = {.sa_family = AF_UNSPEC}};
    socklen_t len = sizeof(name);
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 ||
        fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
        return err_set(err, ERR_CONFIG, "descriptor %d of LISTEN_FDS: %m", fd);
    if (!handed_is_listening(fd) || getsockname(fd, &name.any, &len) != 0)
        return err_set(err, ERR_CONFIG, "descriptor %d of LISTEN_FDS is no listening socket", fd);
    if (name.any.sa_family == AF_UNIX)
        return handed_take_unix(handed, fd, &name, len, err);
    if (name.any.sa_family == AF_INET || name.any.sa_family == AF_INET6)
        return handed_take_tcp(handed, fd, &name, err);
    return err_set(err, ERR_CONFIG, "descriptor %d of LISTEN_FDS is neither a Unix socket nor TCP",
                   fd);
}

int handed_take(struct handed *handed, struct err *err)
{
    int64_t count = 0;
    int rc = 0;

    *handed = (struct handed){.unix_fd = -1, .tcp_fd = -1};
    rc = handed_count(&count, err);
    for (int i = 0; i < (int)count && rc == 0; i++)
        rc = handed_take_one(handed, HANDED_FIRST_FD + i, err);
    (void)unsetenv("LISTEN_PID"); /* fails only for a name that is none */
    (void)unsetenv("LISTEN_FDS");
    (void)unsetenv("LISTEN_FDNAMES");
    return rc;
}

void handed_release(struct handed *handed)
{
    attr_close(&handed->unix_fd);
    attr_close(&handed->tcp_fd);
    handed->unix_fd = handed->tcp_fd = -1;
}
