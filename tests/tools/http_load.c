/* http_load: asks one thing over and over, on kept connections, each the next as soon as it has its
 * answer, and says what that took (tests/bench/bench_proxy.sh).
 *
 *   http_load SOCKET CONNECTIONS REQUESTS BODY-FILE PIDS [HEADER...]
 *
 * SOCKET is a Unix socket's path or an IPv4 ADDRESS:PORT, BODY-FILE what is sent to POST
 * /v1/inference, PIDS a list with commas of whose processor time counts. Prints one line:
 *
 *   REQUESTS-PER-SECOND P50-US P99-US CPU-US-PER-REQUEST MAIN-US-PER-REQUEST BYTES-OF-LAST-ANSWER
 *
 * MAIN is the processes' main threads alone: a loop without the threads that help it.
 * The first request of each connection is not measured. Whatever is not a 200 ends it with 1. */
#include "common/attr.h"
#include "common/clock.h"
#include "common/mem.h"
#include "hip/measure.h"

#include <arpa/inet.h>
#include <assert.h>
#include <dirent.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    BODY_MAX_BYTES = 1 << 20,
    REQUEST_MAX_BYTES = BODY_MAX_BYTES + 4096,
    HEAD_MAX_BYTES = 4096,
    READ_BYTES = 64 * 1024,
    TAIL_BYTES = 5, /* "0\r\n\r\n" */
    NS_PER_US = 1000,
    US_PER_S = 1000000,
};

struct client {
    int fd;
    bool has_head;
    bool is_chunked;
    size_t head_len;
    size_t left;      /* of a body with a length */
    size_t got_bytes; /* of the answer */
    uint64_t sent_us;
    char head[HEAD_MAX_BYTES + 1];
    char tail[TAIL_BYTES]; /* of what has come of a chunked body */
};

struct load {
    const char *socket;
    const char *pids;
    int epoll_fd;
    size_t request_len;
    unsigned client_count;
    size_t wanted;
    size_t sent;
    size_t done;
    size_t last_bytes;
    double *took_us;
    struct client *clients;
    char request[REQUEST_MAX_BYTES];
};

static void die(const char *what, const char *which)
{
    (void)fprintf(stderr, "http_load: %s %s\n", what, which);
    exit(1);
}

/* ---- processor time ---- */

/* Nanoseconds on a core. */
struct cpu {
    uint64_t all_ns;
    uint64_t main_ns; /* of main threads alone */
};

/* Adds those of the threads of PID that live: schedstat's first number. Clock ticks would be as
 * long as a whole round. */
static void cpu_add(struct cpu *cpu, long pid)
{
    char path[512];
    struct dirent *entry = NULL;
    DIR *tasks = NULL;

    (void)snprintf(path, sizeof(path), "/proc/%ld/task", pid);
    tasks = opendir(path);
    if (tasks == NULL)
        die("no process", path);
    while ((entry = readdir(tasks)) != NULL) {
        AUTO_FCLOSE FILE *file = NULL;
        uint64_t ns = 0;

        (void)snprintf(path, sizeof(path), "/proc/%ld/task/%s/schedstat", pid, entry->d_name);
        file = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (file == NULL || fscanf(file, "%" SCNu64, &ns) != 1)
            continue;
        cpu->all_ns += ns;
        cpu->main_ns += strtol(entry->d_name, NULL, 10) == pid ? ns : 0;
    }
    (void)closedir(tasks);
}

static struct cpu cpu_of(const char *pids)
{
    struct cpu cpu = {0};

    while (*pids != '\0') {
        char *end = NULL;

        cpu_add(&cpu, strtol(pids, &end, 10));
        pids = *end == ',' ? end + 1 : end;
    }
    return cpu;
}

/* ---- one client ---- */

static void client_send(struct load *load, struct client *client)
{
    size_t at = 0;

    client->has_head = client->is_chunked = false;
    client->head_len = client->left = client->got_bytes = 0;
    memset(client->tail, 0, TAIL_BYTES);
    client->sent_us = clock_monotonic_us();
    load->sent++;
    while (at <
           load->request_len) { /* it blocks: a request is far smaller than what a socket takes */
        ssize_t sent = send(client->fd, load->request + at, load->request_len - at, MSG_NOSIGNAL);

        if (sent <= 0)
            die("cannot send to", load->socket);
        at += (size_t)sent;
    }
}

/* Takes the head's part of DATA; returns how much that was. */
static size_t client_read_head(struct client *client, const char *data, size_t len)
{
    static const char OK[] = "HTTP/1.1 200 ";
    size_t old_len = client->head_len;
    size_t room = HEAD_MAX_BYTES - old_len;
    const char *end = NULL, *length = NULL;

    memcpy(client->head + old_len, data, len < room ? len : room);
    client->head_len += len < room ? len : room;
    client->head[client->head_len] = '\0';
    end = strstr(client->head, "\r\n\r\n");
    if (end == NULL)
        return len;
    if (strncmp(client->head, OK, strlen(OK)) != 0)
        die("answered with", client->head);
    client->has_head = true;
    length = strcasestr(client->head, "content-length:");
    client->is_chunked = length == NULL || length > end;
    if (!client->is_chunked)
        client->left = strtoul(length + strlen("content-length:"), NULL, 10);
    return (size_t)(end + strlen("\r\n\r\n") - client->head) - old_len;
}

static void client_keep_tail(struct client *client, const char *data, size_t len)
{
    if (len >= TAIL_BYTES) {
        memcpy(client->tail, data + len - TAIL_BYTES, TAIL_BYTES);
        return;
    }
    memmove(client->tail, client->tail + len, TAIL_BYTES - len);
    memcpy(client->tail + TAIL_BYTES - len, data, len);
}

/* Whether the answer is whole now. */
static bool client_take(struct client *client, const char *data, size_t len)
{
    size_t used = 0;

    client->got_bytes += len;
    if (!client->has_head)
        used = client_read_head(client, data, len);
    if (!client->has_head)
        return false;
    if (!client->is_chunked) {
        client->left -= len - used;
        return client->left == 0;
    }
    client_keep_tail(client, data + used, len - used);
    return memcmp(client->tail, "0\r\n\r\n", TAIL_BYTES) == 0;
}

static void client_on_readable(struct load *load, struct client *client)
{
    static char data[READ_BYTES];
    ssize_t got = recv(client->fd, data, sizeof(data), 0);

    if (got <= 0)
        die("lost", load->socket);
    if (!client_take(client, data, (size_t)got))
        return;
    load->last_bytes = client->got_bytes;
    if (load->done < load->wanted)
        load->took_us[load->done] = (double)(clock_monotonic_us() - client->sent_us);
    load->done++;
    if (load->sent < load->wanted)
        client_send(load, client);
}

/* ---- all of them ---- */

static int connect_to_path(const char *path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(name.sun_path, sizeof(name.sun_path), "%s", path);
    return connect(fd, (const struct sockaddr *)&name, sizeof(name)) == 0 ? fd : -1;
}

static int connect_to_port(const char *place)
{
    static const int ONE = 1;
    struct sockaddr_in name = {.sin_family = AF_INET};
    const char *colon = strchr(place, ':');
    AUTO_FREE char *address = colon == NULL ? NULL : xstrndup(place, (size_t)(colon - place));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (address == NULL || inet_pton(AF_INET, address, &name.sin_addr) != 1)
        die("no address of a port:", place);
    name.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &ONE,
                     sizeof(ONE)); /* it is only slower without */
    return connect(fd, (const struct sockaddr *)&name, sizeof(name)) == 0 ? fd : -1;
}

static void load_connect(struct load *load, struct client *client)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};

    client->fd = strchr(load->socket, '/') != NULL ? connect_to_path(load->socket)
                                                   : connect_to_port(load->socket);
    if (client->fd < 0)
        die("cannot connect to", load->socket);
    assert(epoll_ctl(load->epoll_fd, EPOLL_CTL_ADD, client->fd, &event) == 0);
}

/* COUNT requests, the next of a connection as soon as it has the one before. */
static void load_round(struct load *load, size_t count)
{
    struct epoll_event events[64];

    load->wanted = count;
    load->sent = load->done = 0;
    for (unsigned i = 0; i < load->client_count && load->sent < count; i++)
        client_send(load, &load->clients[i]);
    while (load->done < count) {
        int ready = epoll_wait(load->epoll_fd, events, (int)ARRAY_COUNT(events), -1);

        for (int i = 0; i < ready; i++)
            client_on_readable(load, events[i].data.ptr);
    }
}

static void load_fill_request(struct load *load, const char *body_file, char **headers)
{
    static char body[BODY_MAX_BYTES];
    AUTO_FCLOSE FILE *file = fopen(body_file, "r");
    size_t body_len = file == NULL ? 0 : fread(body, 1, sizeof(body), file);
    int len = 0;

    if (body_len == 0 || body_len == sizeof(body))
        die("no body in", body_file);
    len = snprintf(load->request, sizeof(load->request),
                   "POST /v1/inference HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                   "application/json\r\nContent-Length: %zu\r\n",
                   body_len);
    for (; *headers != NULL; headers++)
        len +=
            snprintf(load->request + len, sizeof(load->request) - (size_t)len, "%s\r\n", *headers);
    len += snprintf(load->request + len, sizeof(load->request) - (size_t)len, "\r\n");
    assert((size_t)len + body_len < sizeof(load->request));
    memcpy(load->request + len, body, body_len);
    load->request_len = (size_t)len + body_len;
}

static double load_us_each(const struct load *load, uint64_t ns)
{
    return (double)ns / NS_PER_US / (double)load->done;
}

static void load_report(struct load *load, uint64_t took_us, struct cpu before, struct cpu after)
{
    double p50 = measure_median(load->took_us, load->done); /* sorts */
    double p99 = load->took_us[load->done * 99 / 100];

    printf("%.1f %.1f %.1f %.3f %.3f %zu\n", (double)load->done * US_PER_S / (double)took_us, p50,
           p99, load_us_each(load, after.all_ns - before.all_ns),
           load_us_each(load, after.main_ns - before.main_ns), load->last_bytes);
}

int main(int argc, char **argv)
{
    static struct load load;
    struct cpu before, after;
    uint64_t began_us = 0, took_us = 0;
    size_t count = 0;

    if (argc < 6)
        die("usage:", "http_load SOCKET CONNECTIONS REQUESTS BODY-FILE PIDS [HEADER...]");
    load.socket = argv[1];
    load.client_count = (unsigned)strtoul(argv[2], NULL, 10);
    count = strtoul(argv[3], NULL, 10);
    load.pids = argv[5];
    load_fill_request(&load, argv[4], argv + 6);
    load.took_us = xcalloc(count > load.client_count ? count : load.client_count, sizeof(double));
    load.clients = xcalloc(load.client_count, sizeof(*load.clients));
    load.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < load.client_count; i++)
        load_connect(&load, &load.clients[i]);
    load_round(&load, load.client_count);
    before = cpu_of(load.pids);
    began_us = clock_monotonic_us();
    load_round(&load, count);
    took_us = clock_monotonic_us() - began_us;
    after = cpu_of(load.pids);
    load_report(&load, took_us, before, after);
    return 0;
}
