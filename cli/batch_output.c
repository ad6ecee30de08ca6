/* Owns the file of a batch's results. Must not know how they come about. */
#include "cli/batch_output.h"

#include "cli/batch_input.h"
#include "common/io.h"
#include "common/json.h"
#include "common/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

enum {
    BATCH_OUTPUT_MODE = 0666,            /* less the umask, as any program's output */
    BATCH_OUTPUT_MAX_BYTES = 1024 << 20, /* of a file that is gone on with */
    BATCH_RESULT_MAX_BYTES = 32 << 20,   /* of one line there */
};

/* Whether RESULT, of the request of that index, is an answer. ERR_INVALID: it is none of INPUT. */
static int take_result(struct batch_output *output, const json_t *result,
                       const struct batch_input *input, struct err *err)
{
    const json_t *number = json_object_get(result, "index");
    json_int_t index = json_integer_value(number);
    const json_t *id = NULL;
    json_t *told = json_object_get(result, "id");

    if (!json_is_integer(number) || index < 0 || (size_t)index >= input->count)
        return err_set(err, ERR_INVALID, "it is no result of these requests");
    id = batch_input_id(input, (size_t)index);
    if (!(json_is_null(told) && (id == NULL || json_is_null(id))) && !json_equal(told, id))
        return err_set(err, ERR_INVALID, "request %" JSON_INTEGER_FORMAT " has another id here",
                       index);
    if (!json_is_string(json_object_get(result, "text")) || output->is_answered[index])
        return 0;
    output->is_answered[index] = true;
    output->answered_count++;
    return 0;
}

/* Reads the whole lines of TEXT. *OUT_LEN is where they end. */
static int read_results(struct batch_output *output, const struct buf *text,
                        const struct batch_input *input, size_t *out_len, struct err *err)
{
    const char *at = text->data;
    const char *end = text->data + text->len;
    const char *newline = NULL;

    for (size_t number = 1; (newline = memchr(at, '\n', (size_t)(end - at))) != NULL; number++) {
        AUTO_JSON json_t *result =
            json_parse(at, (size_t)(newline - at), BATCH_RESULT_MAX_BYTES, err);

        if (result == NULL || take_result(output, result, input, err) < 0) {
            err->kind = ERR_INVALID;
            return err_wrap(err, "%s, line %zu", output->path, number);
        }
        at = newline + 1;
    }
    *out_len = (size_t)(at - text->data);
    return 0;
}

/* Takes what an earlier run has left, and cuts off the line that it did not finish. */
static int resume(struct batch_output *output, const struct batch_input *input, struct err *err)
{
    AUTO_BUF struct buf text = BUF_INIT(BATCH_OUTPUT_MAX_BYTES);
    size_t whole_len = 0;

    if (io_read_all(output->fd, &text, err) < 0)
        return err_wrap(err, "%s", output->path);
    if (read_results(output, &text, input, &whole_len, err) < 0)
        return -1;
    output->torn_bytes = text.len - whole_len;
    if (output->torn_bytes > 0 && ftruncate(output->fd, (off_t)whole_len) < 0)
        return err_set(err, ERR_OUTPUT, "truncate %s: %m", output->path);
    return 0;
}

static int open_file(struct batch_output *output, bool resumes, struct err *err)
{
    struct stat info;

    output->fd =
        open(output->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, BATCH_OUTPUT_MODE);
    if (output->fd < 0 || fstat(output->fd, &info) < 0)
        return err_set(err, ERR_OUTPUT, "open %s: %m", output->path);
    output->can_resume = S_ISREG(info.st_mode);
    if (!output->can_resume)
        return resumes ? err_set(err, ERR_OUTPUT, "%s is no file to go on with", output->path) : 0;
    if (flock(output->fd, LOCK_EX | LOCK_NB) < 0)
        return err_set(err, ERR_OUTPUT, "%s belongs to another batch that runs", output->path);
    if (!resumes && info.st_size > 0)
        return err_set(err, ERR_OUTPUT, "%s is there already; --resume goes on with it",
                       output->path);
    return 0;
}

int batch_output_open(struct batch_output *output, struct interrupt *interrupt, const char *path,
                      bool resumes, const struct batch_input *input, struct err *err)
{
    *output = (struct batch_output){.path = path, .fd = -1};
    output->is_answered = xcalloc(input->count, sizeof(output->is_answered[0]));
    if (output_open(&output->out, interrupt, NULL, err) < 0)
        return -1;
    if (path == NULL)
        return 0;
    if (open_file(output, resumes, err) < 0)
        return -1;
    return resumes ? resume(output, input, err) : 0;
}

int batch_output_add(struct batch_output *output, const json_t *result, struct err *err)
{
    AUTO_FREE char *text = NULL;
    AUTO_BUF struct buf line = BUF_INIT(BATCH_RESULT_MAX_BYTES);

    if (output->fd < 0)
        return output_json(&output->out, result, err);
    text = json_to_text(result);
    if (buf_add_string(&line, text) < 0 || buf_add_byte(&line, '\n') < 0)
        return err_set(err, ERR_OUTPUT, "a result of more than %d bytes", BATCH_RESULT_MAX_BYTES);
    if (io_write_all(output->fd, line.data, line.len, err) < 0)
        return err_wrap(err, "%s", output->path);
    return 0;
}

int batch_output_close(struct batch_output *output, struct err *err)
{
    if (output->fd < 0)
        return 0;
    if (fsync(output->fd) < 0 && errno != EINVAL && errno != EROFS) /* a pipe has no disk */
        return err_set(err, ERR_OUTPUT, "fsync %s: %m", output->path);
    if (close(take_fd(&output->fd)) < 0)
        return err_set(err, ERR_OUTPUT, "close %s: %m", output->path);
    return 0;
}

void batch_output_release(struct batch_output *output)
{
    output_release(&output->out);
    attr_close(&output->fd);
    free(output->is_answered);
}
