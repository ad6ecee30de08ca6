/* Owns a worker's output: pipe, log file, last lines. Knows nothing of its life. */
#include "supervisor/worker_output.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { READ_BYTES = 16 << 10 };

static const char FATAL_PREFIX[] = "fatal class=";
static const char FATAL_DEVICE[] = " device=";
static const char FATAL_REASON[] = " reason=";

void worker_output_init(struct worker_output *output, char *log_path)
{
    *output = (struct worker_output){.fd = -1};
    log_file_init(&output->file, log_path);
    buf_init(&output->line, WORKER_OUTPUT_LINE_MAX_BYTES);
}

static void worker_output_forget(struct worker_output *output)
{
    for (size_t i = 0; i < WORKER_OUTPUT_KEEP_COUNT; i++) {
        free(output->kept[i]);
        output->kept[i] = NULL;
    }
    output->kept_next = 0;
}

static void worker_output_keep(struct worker_output *output, const char *line)
{
    free(output->kept[output->kept_next]);
    output->kept[output->kept_next] = xstrdup(line);
    output->kept_next = (output->kept_next + 1) % WORKER_OUTPUT_KEEP_COUNT;
}

/* Programs of ours begin their lines with the time; others get it here. */
static bool worker_output_has_time(const char *line)
{
    char time[CLOCK_RFC3339_BYTES];
    int64_t ignored = 0;

    (void)snprintf(time, sizeof(time), "%.*s", (int)strcspn(line, " "), line);
    return clock_parse_rfc3339(time, &ignored);
}

static void worker_output_end_line(struct worker_output *output)
{
    char time[CLOCK_RFC3339_BYTES];
    AUTO_FREE char *text = NULL;

    clock_format_rfc3339(clock_wall_ms(), time);
    if (worker_output_has_time(output->line.data))
        text = xasprintf("%s\n", output->line.data);
    else
        text = xasprintf("%s %s\n", time, output->line.data);
    log_file_write(&output->file, text, strlen(text));
    worker_output_keep(output, output->line.data);
    buf_clear(&output->line);
}

static void worker_output_take(struct worker_output *output, const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (data[i] == '\n') {
            worker_output_end_line(output);
            continue;
        }
        /* A NUL would end the line early for every reader of text. */
        if (buf_add_byte(&output->line, data[i] == '\0' ? ' ' : data[i]) == 0)
            continue;
        worker_output_end_line(output);
        (void)buf_add_byte(&output->line, data[i]); /* the line is empty now */
    }
}

/* One read a turn of the loop: a worker that floods its log must not starve the others. */
static ssize_t worker_output_read(struct worker_output *output)
{
    char data[READ_BYTES];
    ssize_t len = read(output->fd, data, sizeof(data));

    if (len > 0)
        worker_output_take(output, data, (size_t)len);
    return len;
}

static void worker_output_on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct worker_output *output = arg;

    if (worker_output_read(output) == 0)
        (void)event_del(output->event); /* both ends closed; the exit is noticed by the pidfd */
}

int worker_output_open(struct worker_output *output, struct event_base *base, int *out_fd,
                       struct err *err)
{
    int ends[2];

    worker_output_close(output);
    worker_output_forget(output);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_set(err, ERR_IO, "pipe for a worker's output: %m");
    /* Only our end: the worker's own writes may wait, its log must not get holes. */
    (void)fcntl(ends[0], F_SETFL, O_NONBLOCK); /* cannot fail on a pipe of ours */
    output->fd = ends[0];
    output->event =
        event_new(base, ends[0], EV_READ | EV_PERSIST, worker_output_on_readable, output);
    (void)event_add(output->event, NULL); /* fails only without memory; then lines are lost */
    *out_fd = ends[1];
    return 0;
}

void worker_output_close(struct worker_output *output)
{
    if (output->fd < 0)
        return;
    /* Bounded by what a pipe holds: all writers are dead, or not ours any more. */
    for (int i = 0; i < (1 << 20) / READ_BYTES; i++) {
        ssize_t len = worker_output_read(output);

        if (len == 0 || (len < 0 && errno != EINTR))
            break;
    }
    if (output->line.len > 0)
        worker_output_end_line(output);
    event_free(output->event);
    output->event = NULL;
    (void)close(output->fd); /* the read end: nothing to lose */
    output->fd = -1;
}

void worker_output_release(struct worker_output *output)
{
    worker_output_close(output);
    worker_output_forget(output);
    buf_release(&output->line);
    log_file_release(&output->file);
}

const char *worker_output_fatal_reason(const char *line)
{
    const char *reason = NULL;

    if (strncmp(line, FATAL_PREFIX, strlen(FATAL_PREFIX)) != 0)
        return NULL;
    reason = strstr(line, FATAL_REASON);
    return reason == NULL ? NULL : reason + strlen(FATAL_REASON);
}

/* The newest kept line, AGE 0, and those before it; NULL when there is none so old. */
static const char *worker_output_kept(const struct worker_output *output, size_t age)
{
    size_t index = output->kept_next + WORKER_OUTPUT_KEEP_COUNT - 1 - age;

    return output->kept[index % WORKER_OUTPUT_KEEP_COUNT];
}

static const char *worker_output_fatal_line(const struct worker_output *output)
{
    for (size_t age = 0; age < WORKER_OUTPUT_KEEP_COUNT; age++) {
        const char *line = worker_output_kept(output, age);

        if (line == NULL)
            break;
        if (worker_output_fatal_reason(line) != NULL)
            return line;
    }
    return NULL;
}

/* Up to the next blank; "" where that is more than SIZE takes. */
static void worker_output_take_word(const char *text, char *out, size_t size)
{
    size_t len = strcspn(text, " ");

    if (len >= size)
        len = 0;
    memcpy(out, text, len);
    out[len] = '\0';
}

void worker_output_fatal_class(const struct worker_output *output, char *out, size_t size)
{
    const char *line = worker_output_fatal_line(output);

    worker_output_take_word(line == NULL ? "" : line + strlen(FATAL_PREFIX), out, size);
}

/* Behind the class; what the reason says of devices is for people. */
void worker_output_fatal_device(const struct worker_output *output, char *out, size_t size)
{
    const char *line = worker_output_fatal_line(output);
    const char *rest =
        line == NULL ? "" : line + strcspn(line + strlen(FATAL_PREFIX), " ") + strlen(FATAL_PREFIX);
    bool has_device = strncmp(rest, FATAL_DEVICE, strlen(FATAL_DEVICE)) == 0;

    worker_output_take_word(has_device ? rest + strlen(FATAL_DEVICE) : "", out, size);
}

/* A line of our own log that says how well all is: nobody dies of that. */
static bool worker_output_is_idle_talk(const char *line)
{
    const char *level = strchr(line, ' ');

    return worker_output_has_time(line) && level != NULL &&
           (strncmp(level, " info ", strlen(" info ")) == 0 ||
            strncmp(level, " debug ", strlen(" debug ")) == 0);
}

const char *worker_output_last_words(const struct worker_output *output)
{
    const char *line = worker_output_fatal_line(output);

    if (line != NULL)
        return worker_output_fatal_reason(line);
    for (size_t age = 0; age < WORKER_OUTPUT_KEEP_COUNT; age++) {
        line = worker_output_kept(output, age);
        if (line == NULL)
            break;
        if (!worker_output_is_idle_talk(line))
            return line;
    }
    return "";
}

/* An event with all of them must fit into a row of the store, whatever they are made of: a byte may
 * become six in JSON. */
json_t *worker_output_lines(const struct worker_output *output)
{
    json_t *lines = json_array();

    for (size_t age = WORKER_OUTPUT_KEEP_COUNT; age-- > 0;) {
        const char *line = worker_output_kept(output, age);

        if (line != NULL)
            (void)json_array_append_new(
                lines, json_text_lossy(line, strnlen(line, WORKER_OUTPUT_SHOWN_MAX_BYTES)));
    }
    return lines;
}
