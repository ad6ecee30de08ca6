/* The answer to POST /v1/inference as it comes: events or one object, written in the form that was
 * asked for. */
#ifndef RBEE_CLI_INFER_ANSWER_H
#define RBEE_CLI_INFER_ANSWER_H

#include "cli/output.h"
#include "common/buf.h"
#include "common/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct cli;
struct progress;

struct infer_answer {
    struct cli *cli;
    struct output *output;
    struct progress *progress; /* until the request has started; NULL: none is shown */
    bool is_ndjson;            /* events go out as they are */
    bool has_told_end;         /* an "end" or "error" event went out */
    size_t token_count;        /* token events so far */
    struct buf *text;          /* borrowed: gets the text as it comes; NULL: nobody keeps it */
    json_t *end;               /* the "end" event, or the whole reply; NULL until then */
};

/* Borrows OUTPUT, which is open; cli_connect() was called. */
void infer_answer_init(struct infer_answer *answer, struct cli *cli, struct output *output);
void infer_answer_release(struct infer_answer *answer);
/* One event of the stream, for api_request.on_event; OWNER is the answer. */
int infer_answer_event(void *owner, const char *data, size_t len, struct err *err);
/* The reply to a request that is not streamed. */
int infer_answer_whole(struct infer_answer *answer, const json_t *reply, struct err *err);
/* After the last event: ERR_STREAM_BROKEN when no end came. */
int infer_answer_check_end(const struct infer_answer *answer, struct err *err);
/* Whether a limit cut the answer; only after an end. */
bool infer_answer_is_cut(const struct infer_answer *answer);
/* --stats: END is an "end" event or a whole reply. */
void infer_answer_say_stats(struct cli *cli, const json_t *end);
/* With ndjson the last line is an "end" or an "error" event, whatever went wrong. */
void infer_answer_tell_failure(struct infer_answer *answer, const struct err *failure);

#endif
