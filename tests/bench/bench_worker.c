/* What the worker itself adds, over its own socket with a client that does nothing else: how much
 * later the first token arrives than it was computed, and how soon the slot is free after a client
 * has left in the middle of a long prompt. Usage: bench_worker BIN-FOLDER TESTS-FOLDER MODEL-NAME
 * MODEL-FILE */
#include "common/attr.h"
#include "common/clock.h"
#include "common/mem.h"
#include "common/spawn.h"
#include "tests/bench/bench.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    ROUNDS = 101,
    LEAVE_ROUNDS = 21,
    REPLY_MAX_BYTES = 1 << 16,
    LONG_PROMPT_WORDS = 4000, /* about as many tokens: far more than one chunk */
};
static const double US_IN_MS = 1000.0;

static void die(const char *what)
{
    (void)fprintf(stderr, "bench_worker: %s: %m\n", what);
    exit(1);
}

/* ---- a client ---- */

static int try_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return -1;
    return take_fd(&fd);
}

static int ask(const char *path, const char *method, const char *target, const char *body)
{
    int fd = try_connect(path);
    AUTO_FREE char *request =
        xasprintf("%s %s HTTP/1.1\r\nHost: w\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
                  method, target, strlen(body), body);

    if (fd < 0)
        die(path);
    if (write(fd, request, strlen(request)) != (ssize_t)strlen(request))
        die("write a request");
    return fd;
}

/* Reads until WANTED has come; REPLY holds everything read so far, with a NUL. */
static void read_until(int fd, char reply[REPLY_MAX_BYTES], const char *wanted)
{
    size_t len = strlen(reply);

    while (strstr(reply, wanted) == NULL) {
        ssize_t got = read(fd, reply + len, REPLY_MAX_BYTES - 1 - len);

        if (got <= 0)
            die(wanted);
        len += (size_t)got;
        reply[len] = '\0';
    }
}

static double number_after(const char *reply, const char *name)
{
    const char *at = strstr(reply, name);

    if (at == NULL)
        die(name);
    return strtod(at + strlen(name), NULL);
}

static bool is_ready(const char *path)
{
    char reply[REPLY_MAX_BYTES] = "";
    AUTO_CLOSE int probe = try_connect(path);
    AUTO_CLOSE int fd = probe < 0 ? -1 : ask(path, "GET", "/ready", "");

    if (fd < 0)
        return false;
    read_until(fd, reply, "}");
    return strstr(reply, " 200 ") != NULL;
}

/* ---- what is measured ---- */

static void bench_first_token(const char *path)
{
    static const char BODY[] =
        "{\"prompt\":\"The capital of France is\",\"raw\":true,\"max_tokens\":4,\"temperature\":0}";
    static double over_ms[ROUNDS];
    static double worker_ms[ROUNDS];

    for (size_t i = 0; i < ROUNDS; i++) {
        char reply[REPLY_MAX_BYTES] = "";
        uint64_t begin_us = clock_monotonic_us();
        AUTO_CLOSE int fd = ask(path, "POST", "/v1/inference", BODY);

        read_until(fd, reply, "\"type\":\"token\"");
        over_ms[i] = (double)(clock_monotonic_us() - begin_us) / US_IN_MS;
        read_until(fd, reply, "[DONE]");
        worker_ms[i] = number_after(reply, "\"first_token_ms\":");
        over_ms[i] -= worker_ms[i];
    }
    printf("first token: computed after %.2f ms, at the client %.3f ms later, connecting and "
           "asking included (medians of %d; worst %.3f)\n",
           bench_median(worker_ms, ROUNDS), bench_median(over_ms, ROUNDS), ROUNDS,
           bench_largest(over_ms, ROUNDS));
}

/* The one that waits tells by its queue_ms how long the slot was held by one that has left. */
static void bench_leaving(const char *path)
{
    static double held_ms[LEAVE_ROUNDS];
    AUTO_FREE char *words = xmalloc(2 * LONG_PROMPT_WORDS + 1);
    AUTO_FREE char *body = NULL;

    for (size_t i = 0; i < LONG_PROMPT_WORDS; i++)
        memcpy(words + 2 * i, "z ", 3);
    body = xasprintf("{\"prompt\":\"%s\",\"raw\":true}", words);
    for (size_t i = 0; i < LEAVE_ROUNDS; i++) {
        char reply[REPLY_MAX_BYTES] = "";
        AUTO_CLOSE int leaving = ask(path, "POST", "/v1/inference", body);
        AUTO_CLOSE int next = -1;

        read_until(leaving, reply, "\"type\":\"started\"");
        (void)close(take_fd(&leaving)); /* that is what is measured */
        next =
            ask(path, "POST", "/v1/inference", "{\"prompt\":\"x\",\"raw\":true,\"max_tokens\":1}");
        reply[0] = '\0';
        read_until(next, reply, "[DONE]");
        held_ms[i] = number_after(reply, "\"queue_ms\":");
    }
    printf("a client leaves in a prompt of %d tokens: the slot is free %.1f ms later "
           "(median of %d; worst %.1f; a chunk is to take 100 ms)\n",
           LONG_PROMPT_WORDS, bench_median(held_ms, LEAVE_ROUNDS), LEAVE_ROUNDS,
           bench_largest(held_ms, LEAVE_ROUNDS));
}

int main(int argc, char **argv)
{
    char folder[] = "/tmp/bw.XXXXXX";
    struct err err = ERR_INIT;
    pid_t pid = 0;

    if (argc < 5)
        return BENCH_SKIPPED;
    if (mkdtemp(folder) == NULL)
        die("make a folder");
    AUTO_FREE char *program = xasprintf("%s/rbee-worker", argv[1]);
    AUTO_FREE char *path = xasprintf("%s/s", folder);
    AUTO_FREE char *listen = xasprintf("unix:%s", path);
    const char *const command[] = {program, "--model", argv[4], "--listen", listen, NULL};

    if (spawn_process(&(struct spawn){.program = program, .argv = command}, &pid, NULL, &err) < 0)
        die(err.message);
    while (!is_ready(path)) {
        /* Asked over and over: a bench has the machine for itself. */
    }
    bench_first_token(path);
    bench_leaving(path);
    (void)kill(pid, SIGTERM); /* it may have died; then the figures are missing anyway */
    (void)waitpid(pid, NULL, 0);
    (void)rmdir(folder);
    return 0;
}
