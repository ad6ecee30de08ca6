/* Owns the reading of a batch's requests. Must not know how they are sent. */
#include "cli/batch_input.h"

#include "cli/cli.h"
#include "cli/infer_body.h"
#include "cli/input.h"
#include "cli/model_name.h"
#include "common/inference.h"
#include "common/io.h"
#include "common/json.h"
#include "common/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

struct batch_line {
    size_t offset; /* in text */
    size_t len;
    json_t *id;     /* NULL: none */
    bool has_model; /* one of its own */
};

static int read_text(struct batch_input *input, const char *path, struct err *err)
{
    bool is_stdin = strcmp(path, "-") == 0;
    AUTO_CLOSE int opened = is_stdin ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat info;

    if (!is_stdin && opened < 0)
        return err_set(err, ERR_NO_FILE, "open %s: %m", path);
    if (!is_stdin && fstat(opened, &info) == 0 && S_ISDIR(info.st_mode))
        return err_set(err, ERR_NO_FILE, "%s is a folder, not a file of requests", path);
    if (io_read_all(is_stdin ? STDIN_FILENO : opened, &input->text, err) < 0)
        return err_wrap(err, "%s", is_stdin ? "stdin" : path);
    return 0;
}

static json_t *parse(const struct batch_input *input, const struct batch_line *line,
                     struct err *err)
{
    return json_parse(input->text.data + line->offset, line->len, INPUT_MAX_BYTES, err);
}

/* The options under what OBJECT, which is taken over, says; not yet the system message. */
static json_t *lay_over_options(const struct batch_input *input, json_t *object)
{
    json_t *body = json_copy(input->options);
    json_t *messages = NULL;
    json_t *prompt = json_object_get(object, "prompt");

    (void)json_object_del(object, "id"); /* ours, not the supervisor's */
    (void)json_object_update(body, object);
    (void)json_object_set_new(body, "stream", json_false());
    /* A prompt that is no text stays one, and is refused as one. */
    if (input->system != NULL && json_is_string(prompt) &&
        json_object_get(object, "messages") == NULL &&
        !json_is_true(json_object_get(object, "raw"))) {
        messages = json_pack(
            "[O,o]", input->system,
            infer_message_new("user", json_string_value(prompt), json_string_length(prompt)));
        (void)json_object_del(body, "prompt");
        (void)json_object_set_new(body, "messages", messages);
    }
    json_decref(object);
    return body;
}

static int check_id(const json_t *object, struct err *err)
{
    const json_t *id = json_object_get(object, "id");

    if (id != NULL && !json_is_string(id) && !json_is_integer(id) && !json_is_null(id))
        return err_set(err, ERR_INVALID_FIELD, "id must be a text or a whole number");
    return 0;
}

/* A path in a line is meant from here; the supervisor runs somewhere else. */
static int resolve_model(json_t *object, struct err *err)
{
    const char *model = json_string_value(json_object_get(object, "model"));

    return model != NULL && model[0] != '\0' ? model_name_set(model, object, err) : 0;
}

/* Fills in what LINE has beside its place. */
static int check_line(const struct batch_input *input, struct batch_line *line, struct err *err)
{
    AUTO_JSON json_t *object = parse(input, line, err);
    AUTO_JSON json_t *id = NULL;
    AUTO_JSON json_t *unknown = json_array();
    AUTO_JSON json_t *body = NULL;
    struct inference_request request;

    if (object == NULL)
        return -1;
    if (!json_is_object(object))
        return err_set(err, ERR_INVALID_JSON, "it is no object");
    if (check_id(object, err) < 0 || resolve_model(object, err) < 0)
        return -1;
    id = json_incref(json_object_get(object, "id"));
    line->has_model = json_object_get(object, "model") != NULL;
    body = lay_over_options(input, take_ptr(object));
    if (inference_parse(body, &request, unknown, err) < 0)
        return -1;
    if (json_array_size(unknown) > 0)
        return err_set(err, ERR_INVALID_FIELD, "there is no field \"%s\"",
                       json_string_value(json_array_get(unknown, 0)));
    line->id = take_ptr(id);
    return 0;
}

static bool is_blank(const char *text, size_t len)
{
    return strspn(text, " \t\r\n") >= len;
}

/* Finds and checks all lines. */
static int split(struct batch_input *input, struct err *err)
{
    size_t number = 0;
    size_t offset = 0;

    while (offset < input->text.len) {
        const char *text = input->text.data + offset;
        const char *newline = memchr(text, '\n', input->text.len - offset);
        size_t len = newline != NULL ? (size_t)(newline - text) : input->text.len - offset;
        struct batch_line line = {.offset = offset, .len = len};

        offset += len + 1;
        number++;
        if (is_blank(text, len))
            continue;
        if (check_line(input, &line, err) < 0) {
            if (err_exit_code(err->kind) != err_exit_code(ERR_INVALID))
                err->kind = ERR_INVALID; /* whatever is wrong, it is this input */
            return err_wrap(err, "line %zu", number);
        }
        input->lines = xgrow(input->lines, input->count, sizeof(line));
        input->lines[input->count++] = line;
    }
    return 0;
}

static int read_options(struct batch_input *input, struct cli *cli, struct err *err)
{
    input->options = infer_body_options(cli, err);
    return input->options == NULL ? -1 : infer_system_message(cli, &input->system, err);
}

int batch_input_read(struct batch_input *input, struct cli *cli, const char *path, struct err *err)
{
    *input = (struct batch_input){0};
    buf_init(&input->text, BATCH_INPUT_MAX_BYTES);
    if (read_options(input, cli, err) < 0 || read_text(input, path, err) < 0)
        return -1;
    if (split(input, err) < 0)
        return err_wrap(err, "%s", strcmp(path, "-") == 0 ? "stdin" : path);
    if (input->count == 0)
        return err_set(err, ERR_INVALID, "there is no request in %s",
                       strcmp(path, "-") == 0 ? "stdin" : path);
    return 0;
}

void batch_input_release(struct batch_input *input)
{
    buf_release(&input->text);
    for (size_t i = 0; i < input->count; i++)
        json_decref(input->lines[i].id);
    free(input->lines);
    json_decref(input->options);
    json_decref(input->system);
}

json_t *batch_input_body(const struct batch_input *input, size_t index)
{
    struct err ignored = ERR_INIT; /* it was checked */
    json_t *object = parse(input, &input->lines[index], &ignored);

    (void)resolve_model(object, &ignored);
    return lay_over_options(input, object);
}

bool batch_input_has_model(const struct batch_input *input, size_t index)
{
    return input->lines[index].has_model;
}

json_t *batch_input_id(const struct batch_input *input, size_t index)
{
    return input->lines[index].id;
}
