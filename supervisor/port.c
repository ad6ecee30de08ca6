/* Owns what is asked of the kernel about ports. Must not know what listens there. */
#include "supervisor/port.h"

#include "common/attr.h"
#include "common/http/http.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    /* Sockets that listen at one port: a server may have one for each of its processes. */
    PORT_LISTENER_MAX_COUNT = 64,
    PORT_ADDRESS_MAX_BYTES = 33,         /* of /proc/net/tcp6: 128 bits in hex, and the NUL */
    PORT_STATE_LISTEN = 0x0a,            /* TCP_LISTEN of the kernel's net/tcp_states.h */
    PORT_LINK_MAX_BYTES = 64,            /* "socket:[N]" */
    PORT_PATH_MAX_BYTES = NAME_MAX + 16, /* /proc/PID/statm */
};

struct port_listeners {
    unsigned long inodes[PORT_LISTENER_MAX_COUNT];
    size_t count;
    bool has_other_user;
};

int port_pick(uint16_t *out, struct err *err)
{
    const struct http_address any = {.host = "127.0.0.1", .port = 0};
    struct sockaddr_in name = {0};
    socklen_t len = sizeof(name);
    AUTO_CLOSE int fd = -1;

    if (http_address_listen(&any, 0, &fd, err) != 0)
        return -1;
    if (getsockname(fd, (struct sockaddr *)&name, &len) != 0)
        return err_set(err, ERR_IO, "look at a socket: %m");
    *out = ntohs(name.sin_port);
    return 0;
}

/* ---- who listens ---- */

/* Addresses as /proc/net has them: words of 32 bits in the machine's order. */
static bool port_is_reached_by_loopback(const char *address)
{
    char loopback[PORT_ADDRESS_MAX_BYTES];
    char mapped[PORT_ADDRESS_MAX_BYTES];

    (void)snprintf(loopback, sizeof(loopback), "%08X", htonl(INADDR_LOOPBACK));
    (void)snprintf(mapped, sizeof(mapped), "%016d%08X%08X", 0, htonl(0xffff),
                   htonl(INADDR_LOOPBACK));
    return strspn(address, "0") == strlen(address) || strcmp(address, loopback) == 0 ||
           strcmp(address, mapped) == 0;
}

/* One line of /proc/net/tcp, proc(5). */
static void port_read_line(const char *line, uint16_t port, struct port_listeners *out)
{
    char address[PORT_ADDRESS_MAX_BYTES] = "";
    unsigned line_port = 0;
    unsigned state = 0;
    unsigned uid = 0;
    unsigned long inode = 0;

    if (sscanf(line, " %*d: %32[0-9A-F]:%x %*s %x %*s %*s %*s %u %*s %lu", address, &line_port,
               &state, &uid, &inode) != 5 ||
        line_port != port || state != PORT_STATE_LISTEN || !port_is_reached_by_loopback(address))
        return;
    /* Root's command may have become somebody else. */
    if (uid != geteuid() && geteuid() != 0)
        out->has_other_user = true;
    if (out->count < PORT_LISTENER_MAX_COUNT)
        out->inodes[out->count++] = inode;
}

static void port_read_table(const char *path, uint16_t port, struct port_listeners *out)
{
    AUTO_FCLOSE FILE *table = fopen(path, "re");
    AUTO_FREE char *line = NULL;
    size_t capacity = 0;

    while (table != NULL && getline(&line, &capacity, table) > 0)
        port_read_line(line, port, out);
}

/* ---- whose they are ---- */

/* Takes the sockets that the open folder FDS of a process shows out of LISTENERS. */
static void port_cross_out(DIR *fds, struct port_listeners *listeners)
{
    for (const struct dirent *entry = readdir(fds); entry != NULL; entry = readdir(fds)) {
        char target[PORT_LINK_MAX_BYTES] = "";
        unsigned long inode = 0;

        if (readlinkat(dirfd(fds), entry->d_name, target, sizeof(target) - 1) <= 0 ||
            sscanf(target, "socket:[%lu]", &inode) != 1)
            continue;
        for (size_t i = listeners->count; i-- > 0;) {
            if (listeners->inodes[i] == inode)
                listeners->inodes[i] = listeners->inodes[--listeners->count];
        }
    }
}

/* One that ends, or has ended and is not reaped, has no memory any more: the kernel shows what is
 * left of it to root alone, and nothing is. */
static bool port_process_has_memory(const char *pid)
{
    char path[PORT_PATH_MAX_BYTES];
    AUTO_FCLOSE FILE *file = NULL;
    unsigned long pages = 0;

    (void)snprintf(path, sizeof(path), "/proc/%s/statm", pid);
    file = fopen(path, "re");
    return file != NULL && fscanf(file, "%lu", &pages) == 1 && pages > 0;
}

/* The same for a process of the group. False: it hides them. */
static bool port_cross_out_process(const char *pid, struct port_listeners *listeners)
{
    char path[PORT_PATH_MAX_BYTES];
    DIR *fds = NULL;

    (void)snprintf(path, sizeof(path), "/proc/%s/fd", pid);
    fds = opendir(path);
    if (fds == NULL)
        return !port_process_has_memory(pid);
    port_cross_out(fds, listeners);
    (void)closedir(fds); /* it was only read */
    return true;
}

/* Leaves the listeners in LISTENERS that are none of GROUP's. True: one of the group hides what it
 * has. */
static bool port_cross_out_group(pid_t group, struct port_listeners *listeners)
{
    DIR *proc = opendir("/proc");
    bool has_hidden = proc == NULL;

    if (proc == NULL)
        return has_hidden;
    for (const struct dirent *entry = readdir(proc); entry != NULL; entry = readdir(proc)) {
        long pid = strtol(entry->d_name, NULL, 10);

        if (pid > 0 && getpgid((pid_t)pid) == group &&
            !port_cross_out_process(entry->d_name, listeners))
            has_hidden = true;
    }
    (void)closedir(proc); /* it was only read */
    return has_hidden;
}

enum port_holder port_find_holder(uint16_t port, pid_t group)
{
    struct port_listeners listeners = {.count = 0};
    bool has_hidden = false;

    port_read_table("/proc/net/tcp", port, &listeners);
    port_read_table("/proc/net/tcp6", port, &listeners);
    if (listeners.count == 0)
        return PORT_FREE;
    if (listeners.has_other_user)
        return PORT_FOREIGN;
    has_hidden = port_cross_out_group(group, &listeners);
    return listeners.count == 0 || has_hidden ? PORT_OF_GROUP : PORT_FOREIGN;
}
