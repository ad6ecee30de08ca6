/* What the worker itself adds, over its own socket with a client that does nothing else: how much
 * later the first token arrives than it was computed, how soon the slot is free after a client has
 * left in the middle of a long prompt, how long the tokens of streams are apart beside a long
 * prompt, and what several streams together get. Usage: bench_worker BIN-FOLDER TESTS-FOLDER
 * MODEL-NAME MODEL-FILE */
#include "common/attr.h"
#include "common/clock.h"
#include "common/mem.h"
#include "common/spawn.h"
#include "tests/bench/bench.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    ROUNDS = 51,
    LEAVE_ROUNDS = 21,
    REPLY_MAX_BYTES = 1 << 16,
    LONG_PROMPT_WORDS = 4000, /* about as many tokens: far more than one chunk */
    STREAMS_MAX = 16,
    STREAMS_BESIDE = 3,
    GAPS_MAX = 1 << 16,
    GAPS_ALONE = 300, /* of all streams together */
    /* Three streams of so many tokens and the long prompt fit the context of 8,192: with more, one
     * would have to give way and be computed again. */
    STREAM_TOKENS = 1024,
    BATCH_TOKENS = 64,
    TEXT_MAX_BYTES = 512,
    READY_LOOK_MS = 20,
    BESIDE_MAX_S = 75, /* a slow machine has shown by then how long gaps are */
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
        "{\"prompt\":\"The capital of France is\",\"raw\":true,\"max_tokens\":2,\"temperature\":0}";
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

/* Begins with NUMBER, so that nothing of it has been computed for another one. */
static char *long_prompt(size_t number)
{
    AUTO_FREE char *words = xmalloc(2 * LONG_PROMPT_WORDS + 1);

    for (size_t i = 0; i < LONG_PROMPT_WORDS; i++)
        memcpy(words + 2 * i, "z ", 3);
    return xasprintf("{\"prompt\":\"%zu %s\",\"raw\":true,\"max_tokens\":1}", number, words);
}

/* The one that waits tells by its queue_ms how long the slot was held by one that has left. */
static void bench_leaving(const char *path)
{
    static double held_ms[LEAVE_ROUNDS];

    for (size_t i = 0; i < LEAVE_ROUNDS; i++) {
        char reply[REPLY_MAX_BYTES] = "";
        AUTO_FREE char *body = long_prompt(i);
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

/* ---- streams ---- */

struct stream {
    int fd;
    char tail[TEXT_MAX_BYTES]; /* what has come and was not yet a whole line */
    size_t tail_len;
    uint64_t last_us;
    unsigned token_count;
    bool is_over;
};

/* A text that goes on for as long as it is asked to. */
static struct stream stream_open(const char *path, size_t number, unsigned max_tokens)
{
    AUTO_FREE char *body =
        xasprintf("{\"prompt\":\"Stream %zu: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,\",\"raw\":true,"
                  "\"temperature\":0,\"max_tokens\":%u}",
                  number, max_tokens);

    return (struct stream){.fd = ask(path, "POST", "/v1/inference", body)};
}

/* Reads what has come; each token that follows another one is a gap, appended to GAPS_MS. */
static void stream_read(struct stream *stream, double *gaps_ms, size_t *gap_count)
{
    ssize_t got = read(stream->fd, stream->tail + stream->tail_len,
                       sizeof(stream->tail) - 1 - stream->tail_len);
    char *line = stream->tail;
    char *end = NULL;

    if (got <= 0)
        die("a stream broke off");
    stream->tail_len += (size_t)got;
    stream->tail[stream->tail_len] = '\0';
    for (; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        uint64_t now_us = clock_monotonic_us();

        *end = '\0';
        stream->is_over = stream->is_over || strstr(line, "[DONE]") != NULL;
        if (strstr(line, "\"type\":\"token\"") == NULL)
            continue;
        if (stream->last_us > 0 && *gap_count < GAPS_MAX)
            gaps_ms[(*gap_count)++] = (double)(now_us - stream->last_us) / US_IN_MS;
        stream->last_us = now_us;
        stream->token_count++;
    }
    stream->tail_len = strlen(line);
    memmove(stream->tail, line, stream->tail_len);
    if (stream->tail_len == sizeof(stream->tail) - 1)
        die("a line is too long");
}

/* Waits for the next bytes of some stream, and reads them. */
static void streams_read(struct stream *streams, size_t count, double *gaps_ms, size_t *gap_count)
{
    struct pollfd fds[STREAMS_MAX + 1];

    for (size_t i = 0; i < count; i++)
        fds[i] = (struct pollfd){.fd = streams[i].is_over ? -1 : streams[i].fd, .events = POLLIN};
    if (poll(fds, (nfds_t)count, -1) < 0)
        die("poll");
    for (size_t i = 0; i < count; i++) {
        if (fds[i].revents != 0)
            stream_read(&streams[i], gaps_ms, gap_count);
    }
}

/* What three streams have waited for their tokens. */
struct gaps {
    double ms[GAPS_MAX];
    size_t count;
};

static void gaps_print(struct gaps *gaps, const char *when)
{
    printf("%d streams %s: a token every %.1f ms (median of %zu; worst %.1f)\n", STREAMS_BESIDE,
           when, bench_median(gaps->ms, gaps->count), gaps->count,
           bench_largest(gaps->ms, gaps->count));
}

/* The next tokens of the streams; the place of one that has ended goes to one more like it. */
static void streams_go_on(const char *path, struct stream *streams, size_t count, struct gaps *gaps)
{
    streams_read(streams, count, gaps->ms, &gaps->count);
    for (size_t i = 0; i < STREAMS_BESIDE; i++) {
        if (!streams[i].is_over)
            continue;
        (void)close(streams[i].fd); /* it has been read */
        streams[i] = stream_open(path, i, STREAM_TOKENS);
    }
}

static double seconds_since(uint64_t begin_us)
{
    return (double)(clock_monotonic_us() - begin_us) / US_IN_MS / US_IN_MS;
}

/* The gaps of three streams: beside a long prompt that comes in, and without one, half of those
 * before it and half behind, because the gaps of longer texts are longer. */
static void bench_beside_a_prompt(const char *path)
{
    static struct gaps alone;
    static struct gaps beside;
    struct stream streams[STREAMS_BESIDE + 1];
    struct stream *prompt = &streams[STREAMS_BESIDE];
    AUTO_FREE char *body = long_prompt(LEAVE_ROUNDS);
    uint64_t begin_us = 0;
    double usual_ms = 0;

    for (size_t i = 0; i < STREAMS_BESIDE; i++)
        streams[i] = stream_open(path, i, STREAM_TOKENS);
    while (alone.count < GAPS_ALONE / 2)
        streams_go_on(path, streams, STREAMS_BESIDE, &alone);
    gaps_print(&alone, "alone");
    begin_us = clock_monotonic_us();
    *prompt = (struct stream){.fd = ask(path, "POST", "/v1/inference", body)};
    while (!prompt->is_over && seconds_since(begin_us) < BESIDE_MAX_S)
        streams_go_on(path, streams, STREAMS_BESIDE + 1, &beside);
    printf("a prompt of %d tokens comes in beside them: %s %.1f s\n", LONG_PROMPT_WORDS,
           prompt->is_over ? "done after" : "the rest is not waited for after",
           seconds_since(begin_us));
    (void)close(prompt->fd); /* it has been read, or is cancelled by this */
    gaps_print(&beside, "beside it");
    while (alone.count < GAPS_ALONE)
        streams_go_on(path, streams, STREAMS_BESIDE, &alone);
    gaps_print(&alone, "before and after it");
    usual_ms = bench_median(alone.ms, alone.count);
    printf("beside it a gap is %.2f times the usual one (median; worst %.2f; bound 2)\n",
           bench_median(beside.ms, beside.count) / usual_ms,
           bench_largest(beside.ms, beside.count) / usual_ms);
    for (size_t i = 0; i < STREAMS_BESIDE; i++)
        (void)close(streams[i].fd); /* they have been read */
}

/* Tokens a second of COUNT streams together, from the first token to the end of the last. */
static double speed_of(const char *path, size_t count)
{
    static struct gaps gaps;
    struct stream streams[STREAMS_MAX];
    size_t over = 0;
    unsigned tokens = 0;
    uint64_t begin_us = 0;

    gaps.count = 0;
    for (size_t i = 0; i < count; i++)
        streams[i] = stream_open(path, i, BATCH_TOKENS);
    while (over < count) {
        streams_read(streams, count, gaps.ms, &gaps.count);
        if (begin_us == 0 && gaps.count > 0)
            begin_us = clock_monotonic_us();
        over = 0;
        for (size_t i = 0; i < count; i++)
            over += streams[i].is_over ? 1 : 0;
    }
    for (size_t i = 0; i < count; i++) {
        tokens += streams[i].token_count;
        (void)close(streams[i].fd); /* they have been read */
    }
    return (double)tokens / seconds_since(begin_us);
}

static void bench_batches(const char *path)
{
    double alone = 0;

    for (size_t count = 1; count <= STREAMS_MAX; count *= 2) {
        double speed = speed_of(path, count);

        if (count == 1)
            alone = speed;
        printf("%2zu stream%s together: %.0f tokens a second, %.2f times one\n", count,
               count == 1 ? "" : "s", speed, speed / alone);
    }
}

/* ---- the worker ---- */

struct bench_worker {
    char folder[sizeof("/tmp/bw.XXXXXX")];
    char *path;
    pid_t pid;
    int pidfd;
};

/* Asks now and then, so that asking takes nothing from the load. */
static void worker_await(const struct bench_worker *worker)
{
    struct pollfd end = {.fd = worker->pidfd, .events = POLLIN};

    while (!is_ready(worker->path)) {
        if (poll(&end, 1, READY_LOOK_MS) > 0)
            die("the worker has ended");
    }
}

static void worker_start(struct bench_worker *worker, char **argv, const char *slots)
{
    struct err err = ERR_INIT;
    AUTO_FREE char *program = xasprintf("%s/rbee-worker", argv[1]);
    AUTO_FREE char *listen = NULL;

    *worker = (struct bench_worker){.folder = "/tmp/bw.XXXXXX"};
    if (mkdtemp(worker->folder) == NULL)
        die("make a folder");
    worker->path = xasprintf("%s/s", worker->folder);
    listen = xasprintf("unix:%s", worker->path);
    const char *const command[] = {program, "--model", argv[4], "--listen",
                                   listen,  "--slots", slots,   NULL};

    if (spawn_process(
            &(struct spawn){.program = program, .argv = command, .dies_with_parent = true},
            &worker->pid, &worker->pidfd, &err) < 0)
        die(err.message);
    worker_await(worker);
}

static void worker_stop(struct bench_worker *worker)
{
    (void)kill(worker->pid, SIGTERM); /* it may have died; then the figures are missing anyway */
    (void)waitpid(worker->pid, NULL, 0);
    (void)close(worker->pidfd); /* it has nothing to lose */
    (void)rmdir(worker->folder);
    free(worker->path);
}

int main(int argc, char **argv)
{
    struct bench_worker worker;

    if (argc < 5)
        return BENCH_SKIPPED;
    (void)setvbuf(stdout, NULL, _IOLBF, 0); /* each figure as soon as it is there */
    worker_start(&worker, argv, "1");
    bench_first_token(worker.path);
    bench_leaving(worker.path);
    worker_stop(&worker);
    worker_start(&worker, argv, "16");
    bench_beside_a_prompt(worker.path);
    bench_batches(worker.path);
    worker_stop(&worker);
    return 0;
}
