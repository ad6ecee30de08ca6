/* Owns what can be done in a chat beside talking: the table chat_commands.def. Must not know how a
 * turn is asked. */
#include "cli/chat.h"

#include "cli/cli.h"
#include "cli/infer_answer.h"
#include "cli/infer_body.h"
#include "cli/input.h"
#include "cli/message.h"
#include "cli/model_name.h"
#include "common/io.h"
#include "common/json.h"
#include "common/nearest.h"

#include <string.h>

enum {
    CHAT_NAME_MAX_BYTES = 16,
    CHAT_SAVE_MODE = 0600, /* what people say to a model is theirs */
    CHAT_HELP_COLUMN = 16,
};

#define CHAT_COMMAND(name, function, operand, summary)                                             \
    static int function(struct chat *chat, const char *operand_, struct err *err);
#include "cli/chat_commands.def"
#undef CHAT_COMMAND

static const struct {
    const char *name;
    int (*run)(struct chat *chat, const char *operand, struct err *err); /* operand: "" for none */
    const char *operand;                                                 /* for /help */
    const char *summary;
} COMMANDS[] = {
#define CHAT_COMMAND(name_, function_, operand_, summary_)                                         \
    {.name = name_, .run = function_, .operand = operand_, .summary = summary_},
#include "cli/chat_commands.def"
#undef CHAT_COMMAND
};

static int chat_help(struct chat *chat, const char *operand, struct err *err)
{
    for (size_t i = 0; i < ARRAY_COUNT(COMMANDS); i++) {
        char shown[2 * CHAT_NAME_MAX_BYTES];

        (void)snprintf(shown, sizeof(shown), "/%s %s", COMMANDS[i].name, COMMANDS[i].operand);
        message_plain(chat->cli, "  %-*s %s", CHAT_HELP_COLUMN, shown, COMMANDS[i].summary);
    }
    message_plain(chat->cli, "  %-*s %s", CHAT_HELP_COLUMN, "\"\"\"",
                  "begins and ends a text of several lines");
    message_plain(chat->cli, "  %-*s %s", CHAT_HELP_COLUMN, "//TEXT",
                  "a text that begins with a slash");
    message_plain(chat->cli, "  %-*s %s", CHAT_HELP_COLUMN, "Ctrl-C",
                  "cancels the answer; at the prompt it clears the line");
    return 0;
}

static int chat_clear(struct chat *chat, const char *operand, struct err *err)
{
    message_note(chat->cli, "forgotten: %zu messages", json_array_size(chat->messages));
    (void)json_array_clear(chat->messages);
    return 0;
}

static int chat_undo(struct chat *chat, const char *operand, struct err *err)
{
    if (!chat_take_back(chat))
        return err_set(err, ERR_USAGE, "there is no turn to take back");
    message_note(chat->cli, "taken back; %zu messages are left", json_array_size(chat->messages));
    return 0;
}

static int chat_retry(struct chat *chat, const char *operand, struct err *err)
{
    const json_t *user = NULL;
    size_t count = json_array_size(chat->messages);

    if (chat->last_text == NULL)
        return err_set(err, ERR_USAGE, "nothing has been said yet");
    /* A turn that failed is not there any more. */
    if (count > 0)
        user = json_object_get(json_array_get(chat->messages, (count - 1) / 2 * 2), "content");
    if (user != NULL && strcmp(json_string_value(user), chat->last_text) == 0)
        (void)chat_take_back(chat);
    return chat_say(chat, chat->last_text, err);
}

static int chat_system(struct chat *chat, const char *operand, struct err *err)
{
    if (input_check_text("the system message", operand, strlen(operand), err) < 0)
        return -1;
    json_decref(take_ptr(chat->system));
    if (operand[0] != '\0')
        chat->system = infer_message_new("system", operand, strlen(operand));
    message_note(chat->cli, chat->system != NULL ? "the system message is set"
                                                 : "there is no system message now");
    return 0;
}

static int chat_model(struct chat *chat, const char *operand, struct err *err)
{
    const char *model = NULL;

    if (operand[0] != '\0' && model_name_set(operand, chat->body, err) < 0)
        return -1;
    model = json_string_value(json_object_get(chat->body, "model"));
    message_note(chat->cli, "the model is %s", model != NULL ? model : CHAT_DEFAULT_MODEL);
    return 0;
}

static int write_messages(const char *path, const json_t *messages, struct err *err)
{
    AUTO_IO_ATOMIC struct io_atomic file = IO_ATOMIC_INIT;
    AUTO_JSON json_t *saved = json_pack("{s:O}", "messages", messages);
    AUTO_FREE char *text = json_to_text(saved);

    if (io_atomic_begin(&file, path, CHAT_SAVE_MODE, err) < 0 ||
        io_write_all(file.fd, text, strlen(text), err) < 0 ||
        io_write_all(file.fd, "\n", 1, err) < 0)
        return -1;
    return io_atomic_commit(&file, err);
}

static int chat_save(struct chat *chat, const char *operand, struct err *err)
{
    AUTO_JSON json_t *messages = json_array();

    if (operand[0] == '\0')
        return err_set(err, ERR_USAGE, "/save needs the name of a file");
    if (chat->system != NULL)
        (void)json_array_append(messages, chat->system);
    (void)json_array_extend(messages, chat->messages);
    if (write_messages(operand, messages, err) < 0) {
        if (!chat->is_interactive)
            return -1;
        /* Told here: an output that cannot be written ends a chat where it is the terminal, and
         * with it the conversation, which somebody wants to save under another name now. */
        message_error(chat->cli, err);
        err_clear(err);
        return 0;
    }
    message_note(chat->cli, "%zu messages are in %s", json_array_size(messages), operand);
    return 0;
}

static int chat_stats(struct chat *chat, const char *operand, struct err *err)
{
    if (chat->last_end == NULL)
        return err_set(err, ERR_USAGE, "there has been no answer yet");
    message_always(chat->cli, "%zu messages so far", json_array_size(chat->messages));
    infer_answer_say_stats(chat->cli, chat->last_end);
    return 0;
}

static int chat_quit(struct chat *chat, const char *operand, struct err *err)
{
    chat->must_end = true;
    return 0;
}

static int refuse(const char *name, struct err *err)
{
    const char *names[ARRAY_COUNT(COMMANDS)];
    size_t nearest = 0;

    for (size_t i = 0; i < ARRAY_COUNT(COMMANDS); i++)
        names[i] = COMMANDS[i].name;
    nearest = nearest_find(name, names, ARRAY_COUNT(names));
    if (nearest < ARRAY_COUNT(names))
        return err_set(err, ERR_USAGE, "there is no /%s; did you mean /%s?", name, names[nearest]);
    return err_set(err, ERR_USAGE,
                   "there is no /%s; /help lists them, and // begins a text with a slash", name);
}

int chat_command(struct chat *chat, const char *line, struct err *err)
{
    size_t len = strcspn(line, " \t\n");
    const char *operand = line + len + strspn(line + len, " \t\n");
    char name[CHAT_NAME_MAX_BYTES];

    (void)snprintf(name, sizeof(name), "%.*s", (int)len, line); /* cut: it is none of ours then */
    for (size_t i = 0; i < ARRAY_COUNT(COMMANDS); i++) {
        if (strcmp(COMMANDS[i].name, name) == 0)
            return COMMANDS[i].run(chat, operand, err);
    }
    return refuse(name, err);
}
