/* Owns a conversation and its turns. Must not know where lines come from. */
#include "cli/chat.h"

#include "cli/cli.h"
#include "cli/infer_ask.h"
#include "cli/infer_body.h"
#include "cli/input.h"
#include "cli/message.h"
#include "common/inference.h"
#include "common/json.h"
#include "common/mem.h"

#include <signal.h>
#include <string.h>

int chat_init(struct chat *chat, struct cli *cli, bool is_interactive, struct err *err)
{
    *chat = (struct chat){.cli = cli, .is_interactive = is_interactive, .messages = json_array()};
    if (output_open(&chat->output, &cli->interrupt, NULL, err) < 0)
        return -1;
    chat->body = infer_body_options(cli, err);
    return chat->body == NULL ? -1 : infer_system_message(cli, &chat->system, err);
}

void chat_release(struct chat *chat)
{
    output_release(&chat->output);
    json_decref(chat->body);
    json_decref(chat->system);
    json_decref(chat->messages);
    json_decref(chat->last_end);
    free(chat->last_text);
}

bool chat_take_back(struct chat *chat)
{
    size_t count = json_array_size(chat->messages);

    if (count == 0)
        return false;
    do {
        count--;
        (void)json_array_remove(chat->messages, count);
    } while (count % 2 != 0); /* a turn begins at an even place */
    return true;
}

/* The body of the next request: the options and all that was said. */
static json_t *request_body(const struct chat *chat, struct err *err)
{
    json_t *body = NULL;
    json_t *messages = NULL;
    size_t count = json_array_size(chat->messages) + (chat->system != NULL);

    if (count > INFERENCE_MESSAGE_MAX_COUNT)
        return err_set_null(err, ERR_PROMPT_TOO_LONG,
                            "the conversation has %zu messages, more than %d", count,
                            INFERENCE_MESSAGE_MAX_COUNT);
    body = json_copy(chat->body);
    messages = json_array();
    if (chat->system != NULL)
        (void)json_array_append(messages, chat->system);
    (void)json_array_extend(messages, chat->messages);
    (void)json_object_set_new(body, "messages", messages);
    return body;
}

/* 0: the answer has an end. TEXT gets what came of it in any case. */
static int ask(struct chat *chat, struct buf *text, bool *out_is_cut, struct err *err)
{
    AUTO_JSON json_t *body = request_body(chat, err);
    struct infer_answer answer;
    int rc = 0;

    if (body == NULL)
        return -1;
    json_decref(take_ptr(chat->cli->failure)); /* of an earlier turn */
    infer_answer_init(&answer, chat->cli, &chat->output);
    answer.text = text;
    rc = infer_ask(&answer, body, err);
    if (answer.end != NULL) {
        json_decref(chat->last_end);
        chat->last_end = json_incref(answer.end);
    }
    if (rc == 0)
        *out_is_cut = infer_answer_is_cut(&answer);
    infer_answer_release(&answer);
    return rc;
}

static int keep_answer(struct chat *chat, const struct buf *text, struct err *err)
{
    (void)json_array_append_new(chat->messages,
                                infer_message_new("assistant", text->data, text->len));
    return chat->output.is_terminal ? output_end_line(&chat->output, err) : 0;
}

/* What helps where the text of the error alone would leave its reader alone. */
static void advise(struct chat *chat, const struct err *failure)
{
    if (failure->kind == ERR_PROMPT_TOO_LONG || failure->kind == ERR_BODY_TOO_LARGE)
        message_note(chat->cli,
                     "nothing was forgotten to make room: /clear begins anew, /undo takes "
                     "turns back, and a worker may be started with more --ctx");
}

/* After a turn that failed. 0: the chat goes on. */
static int survive(struct chat *chat, const struct buf *text, struct err *err)
{
    struct interrupt *interrupt = &chat->cli->interrupt;
    bool is_cancelled = interrupt->signal == SIGINT;

    if (is_cancelled && chat->is_interactive) {
        err_clear(err);
        if (interrupt_rearm(interrupt, err) < 0)
            return -1;
        if (text->len > 0)
            return keep_answer(chat, text, err);
        (void)chat_take_back(chat);
        return 0;
    }
    (void)chat_take_back(chat);
    output_break_line(&chat->output);
    if (!chat->is_interactive || interrupt->signal != 0 || err->kind == ERR_OUTPUT) {
        advise(chat, err);
        return -1;
    }
    message_error(chat->cli, err);
    advise(chat, err);
    err_clear(err);
    return 0;
}

int chat_say(struct chat *chat, const char *text, struct err *err)
{
    AUTO_BUF struct buf answer = BUF_INIT(INPUT_MAX_BYTES);
    size_t len = strlen(text);
    bool is_cut = false;

    if (text != chat->last_text) {
        free(chat->last_text);
        chat->last_text = xstrdup(text);
    }
    /* Answers in a pipe are as the model gave them, with a line's end between two of them. */
    if (output_end_line(&chat->output, err) < 0)
        return -1;
    (void)json_array_append_new(chat->messages, infer_message_new("user", chat->last_text, len));
    if (ask(chat, &answer, &is_cut, err) < 0)
        return survive(chat, &answer, err);
    if (keep_answer(chat, &answer, err) < 0)
        return -1;
    if (is_cut)
        message_note(chat->cli, "the answer was cut by its limit of tokens");
    if (args_has(chat->cli->args, OPTION_STATS))
        infer_answer_say_stats(chat->cli, chat->last_end);
    return 0;
}
