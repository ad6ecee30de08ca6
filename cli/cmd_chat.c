/* rbee chat: a conversation. On a terminal with a prompt, else each line of stdin is a turn; what a
 * line may be is the same in both. A turn that fails ends the second kind, with its exit code. */
#include "cli/chat.h"
#include "cli/cli.h"
#include "cli/input.h"
#include "cli/line_input.h"
#include "cli/message.h"
#include "common/paths.h"

#include <string.h>
#include <unistd.h>

#define CHAT_HISTORY_FILE "chat_history"
#define CHAT_PROMPT "> "
#define CHAT_PROMPT_MORE ". "
#define CHAT_QUOTES "\"\"\"" /* around a text of several lines */

static bool ends_block(struct buf *text)
{
    size_t quotes_len = strlen(CHAT_QUOTES);

    if (text->len < quotes_len || strcmp(text->data + text->len - quotes_len, CHAT_QUOTES) != 0)
        return false;
    text->len -= quotes_len;
    text->data[text->len] = '\0';
    return true;
}

/* The rest of a text whose first line, behind its three quotes, is in TEXT: up to a line that ends
 * in three quotes. */
static int read_block(struct line_input *input, struct buf *text, enum line_result *out_result,
                      struct err *err)
{
    AUTO_BUF struct buf line = BUF_INIT(text->max);

    while (!ends_block(text)) {
        if (line_input_read(input, CHAT_PROMPT_MORE, &line, out_result, err) < 0)
            return -1;
        if (*out_result == LINE_END && !line_input_is_terminal(input))
            return err_set(err, ERR_INVALID, "stdin ended inside of " CHAT_QUOTES);
        if (*out_result != LINE_TEXT)
            return 0;
        if ((text->len > 0 && buf_add_byte(text, '\n') < 0) ||
            buf_add(text, line.data, line.len) < 0)
            return err_set(err, ERR_BODY_TOO_LARGE, "a text of more than %zu bytes", text->max);
    }
    return 0;
}

static int read_text(struct line_input *input, struct buf *text, enum line_result *out_result,
                     struct err *err)
{
    if (line_input_read(input, CHAT_PROMPT, text, out_result, err) < 0)
        return -1;
    if (*out_result == LINE_TEXT && strncmp(text->data, CHAT_QUOTES, strlen(CHAT_QUOTES)) == 0) {
        buf_consume(text, strlen(CHAT_QUOTES));
        if (read_block(input, text, out_result, err) < 0)
            return -1;
    }
    return *out_result == LINE_TEXT ? input_check_text("the line", text->data, text->len, err) : 0;
}

static int do_text(struct chat *chat, const char *text, struct err *err)
{
    if (text[strspn(text, " \t\n")] == '\0')
        return 0;
    if (text[0] == '/' && text[1] != '/')
        return chat_command(chat, text + 1, err);
    return chat_say(chat, text[0] == '/' ? text + 1 : text, err);
}

/* A line that is wrong is told to who sits there, and ends a chat where nobody does. */
static int do_line(struct chat *chat, struct line_input *input, enum line_result *out_result,
                   struct err *err)
{
    AUTO_BUF struct buf text = BUF_INIT(INPUT_MAX_BYTES);

    *out_result = LINE_TEXT;
    if (read_text(input, &text, out_result, err) == 0 &&
        (*out_result != LINE_TEXT || do_text(chat, text.data, err) == 0))
        return 0;
    if (!chat->is_interactive || chat->cli->interrupt.signal != 0 || err->kind == ERR_OUTPUT ||
        err->kind == ERR_IO)
        return -1;
    message_error(chat->cli, err);
    err_clear(err);
    return 0;
}

static int run(struct chat *chat, struct line_input *input, struct err *err)
{
    const char *model = json_string_value(json_object_get(chat->body, "model"));
    enum line_result result = LINE_TEXT;

    if (chat->is_interactive)
        message_note(chat->cli, "a chat with %s; /help lists what can be done here, Ctrl-D leaves",
                     model != NULL ? model : CHAT_DEFAULT_MODEL);
    while (result != LINE_END && !chat->must_end) {
        if (do_line(chat, input, &result, err) < 0)
            return -1;
        /* What was typed is left on a line of its own. */
        if (chat->is_interactive && result != LINE_TEXT)
            message_plain(chat->cli, "%s", "");
    }
    return EXIT_DONE;
}

int command_chat(struct cli *cli, struct err *err)
{
    AUTO_FREE char *folder = paths_state_dir();
    AUTO_FREE char *history = paths_join(folder, CHAT_HISTORY_FILE);
    struct line_input *input = NULL;
    struct chat chat;
    int rc = chat_init(&chat, cli, isatty(STDIN_FILENO), err);

    if (rc == 0 && (cli_connect(cli, err) < 0 || interrupt_watch(&cli->interrupt, err) < 0))
        rc = -1;
    if (rc == 0) {
        input = line_input_new(cli, args_has(cli->args, OPTION_NO_HISTORY) ? NULL : history);
        rc = run(&chat, input, err);
        line_input_free(input);
    }
    chat_release(&chat);
    return rc;
}
