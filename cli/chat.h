/* A conversation: what was said, and the next turn of it.
 *
 * A turn is a line of the user and its answer. One that fails leaves the conversation as it was; of
 * one that Ctrl-C cut, what had come of the answer stays. Nothing is ever dropped in silence: a
 * conversation that no longer fits is refused, with what helps. */
#ifndef RBEE_CLI_CHAT_H
#define RBEE_CLI_CHAT_H

#include "cli/output.h"
#include "common/buf.h"
#include "common/err.h"

#include <jansson.h>
#include <stdbool.h>

struct cli;

#define CHAT_DEFAULT_MODEL "the supervisor's default" /* where none is named */

struct chat {
    struct cli *cli;
    bool is_interactive; /* somebody sits there: a failed turn is told, and the next one may come */
    bool must_end;       /* /quit */
    struct output output;
    json_t *body;     /* the fields of each request but its messages */
    json_t *system;   /* the system message; NULL: none */
    json_t *messages; /* without it: user and assistant in turn, from a user on */
    json_t *last_end; /* of the last answer: usage and timings; NULL: none yet */
    char *last_text;  /* what the user said last, for /retry; NULL: nothing yet */
};

/* Reads the options; CLI need not be connected yet. Storage of the caller, to be released after a
 * failure too. */
int chat_init(struct chat *chat, struct cli *cli, bool is_interactive, struct err *err);
void chat_release(struct chat *chat);
/* One turn. -1 ends the chat. */
int chat_say(struct chat *chat, const char *text, struct err *err);
/* LINE without its slash: a name of chat_commands.def and what stands behind it. ERR_USAGE. */
int chat_command(struct chat *chat, const char *line, struct err *err);
/* Takes back the last turn; false: there is none. */
bool chat_take_back(struct chat *chat);

#endif
