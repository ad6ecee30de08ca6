/* Owns writing to stdout and to the file of -o. Must not know what is written. */
#include "cli/output.h"

#include "cli/cli.h"
#include "common/json.h"
#include "common/terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

enum {
    /* A pipe that poll() calls writable takes so many bytes without blocking (PIPE_BUF). */
    OUTPUT_CHUNK_BYTES = 4096,
    OUTPUT_FILE_MODE = 0666, /* less the umask, as any program's output */
};

const char *output_path(const struct args *args, enum option_id option)
{
    const char *path = args_text(args, option);

    return path != NULL && strcmp(path, "-") != 0 ? path : NULL;
}

int output_check(const char *path, struct err *err)
{
    return path != NULL ? io_atomic_check(path, OUTPUT_FILE_MODE, err) : 0;
}

int output_open(struct output *output, struct interrupt *interrupt, const char *path,
                struct err *err)
{
    *output = (struct output){
        .interrupt = interrupt, .fd = STDOUT_FILENO, .ends_in_line = true, .file = {.fd = -1}};
    if (path != NULL) {
        if (io_atomic_begin(&output->file, path, OUTPUT_FILE_MODE, err) < 0)
            return -1;
        output->fd = output->file.fd;
    }
    output->is_terminal = isatty(output->fd);
    return 0;
}

/* Waits until the reader takes more, or a signal comes: a reader that has stopped must not keep
 * Ctrl-C from ending us. */
static int wait_writable(struct output *output, struct err *err)
{
    struct pollfd fds[] = {{.fd = output->fd, .events = POLLOUT},
                           {.fd = output->interrupt->fd, .events = POLLIN}};

    while (poll(fds, ARRAY_COUNT(fds), -1) < 0) {
        if (errno != EINTR)
            return err_set(err, ERR_OUTPUT, "poll: %m");
    }
    if (fds[1].revents != 0) {
        interrupt_take(output->interrupt);
        return err_set(err, ERR_CANCELLED, "interrupted");
    }
    return 0;
}

static int refuse_write(struct output *output, struct err *err)
{
    if (errno == EPIPE) {
        output->interrupt->signal = SIGPIPE;
        return err_set(err, ERR_CANCELLED, "nobody reads the output");
    }
    if (output->file.path != NULL)
        return err_set(err, ERR_OUTPUT, "write %s: %m", output->file.path);
    return err_set(err, ERR_OUTPUT, "write to stdout: %m");
}

static int write_bytes(struct output *output, const char *data, size_t len, struct err *err)
{
    while (len > 0) {
        ssize_t written = 0;

        if (wait_writable(output, err) < 0)
            return -1;
        written = write(output->fd, data, len < OUTPUT_CHUNK_BYTES ? len : OUTPUT_CHUNK_BYTES);
        if (written < 0 && errno != EAGAIN && errno != EINTR)
            return refuse_write(output, err);
        if (written > 0) {
            output->ends_in_line = data[written - 1] == '\n';
            data += written;
            len -= (size_t)written;
        }
    }
    return 0;
}

int output_text(struct output *output, const char *text, size_t len, struct err *err)
{
    AUTO_BUF struct buf clean = BUF_INIT(TERMINAL_GROWTH_MAX * len);

    if (!output->is_terminal)
        return write_bytes(output, text, len, err);
    if (terminal_clean(&clean, text, len) < 0)
        return err_set(err, ERR_INTERNAL, "no memory for %zu bytes of output", len);
    return write_bytes(output, clean.data, clean.len, err);
}

int output_json(struct output *output, const json_t *value, struct err *err)
{
    AUTO_FREE char *text = json_to_text(value);

    /* JSON escapes the control characters below 32; output_text sees to the others. */
    if (output_text(output, text, strlen(text), err) < 0)
        return -1;
    return write_bytes(output, "\n", 1, err);
}

int output_end_line(struct output *output, struct err *err)
{
    return output->ends_in_line ? 0 : write_bytes(output, "\n", 1, err);
}

int output_commit(struct output *output, struct err *err)
{
    if (output->is_terminal && output_end_line(output, err) < 0)
        return -1;
    return output->file.path != NULL ? io_atomic_commit(&output->file, err) : 0;
}

void output_break_line(struct output *output)
{
    struct err ignored = ERR_INIT; /* the failure before this one is the one to tell */

    if (output->is_terminal && !output->ends_in_line && output->interrupt->signal == 0)
        (void)write_bytes(output, "\n", 1, &ignored);
}

void output_release(struct output *output)
{
    io_atomic_release(&output->file);
}

int output_print(struct cli *cli, const struct buf *text, struct err *err)
{
    AUTO_OUTPUT struct output output = OUTPUT_INIT;

    if (output_open(&output, &cli->interrupt, NULL, err) < 0)
        return -1;
    return write_bytes(&output, text->data, text->len, err);
}

int output_print_json(struct cli *cli, const json_t *value, struct err *err)
{
    AUTO_OUTPUT struct output output = OUTPUT_INIT;

    if (output_open(&output, &cli->interrupt, NULL, err) < 0)
        return -1;
    return output_json(&output, value, err);
}
