/* What goes through between a client and rbee-worker as the text it came as, in the forms that
 * rbee-worker writes: what a request's parts mean is known by then. Whatever has another form is
 * left to be read and written by jansson, with the same outcome. */
#ifndef RBEE_SUPERVISOR_NATIVE_TEXT_H
#define RBEE_SUPERVISOR_NATIVE_TEXT_H

#include "common/buf.h"
#include "common/json_cut.h"
#include "supervisor/proxy.h"

#include <stdbool.h>
#include <stddef.h>

struct request;

/* Of an end event: what its form leaves open, in order. */
enum native_text_end_part {
    END_STOP_REASON,
    END_PROMPT_TOKENS,
    END_CACHED_TOKENS,
    END_COMPLETION_TOKENS,
    END_QUEUE_MS,
    END_LOAD_MS,
    END_PREFILL_MS,
    END_DECODE_MS,
    END_FIRST_TOKEN_MS,
    NATIVE_TEXT_END_PART_COUNT,
};

/* {"type":"token","t":"...","i":N}: valid JSON of this form and no other. The text of "t" as it is
 * written is in *out_piece, and whether there are escapes in it. */
bool native_text_is_token(const struct json_text *text, struct json_text *out_piece,
                          bool *out_has_escapes);
/* {"type":"started","id":"...","model":"..."} of REQUEST, as its client is to read it. */
bool native_text_is_started(const struct request *request, const struct json_text *text);
/* The end event: its form alone, and then what it means. */
struct native_text_end {
    struct json_text text;
    struct json_text parts[NATIVE_TEXT_END_PART_COUNT];
    struct proxy_result result;
};
bool native_text_is_end(const struct json_text *text, struct native_text_end *out);
/* END as the client of REQUEST is to read it, with what it waited: a stream's event, or an answer
 * in one piece. False: it cannot be written like this. */
bool native_text_write_end(const struct request *request, const struct native_text_end *end,
                           const struct proxy_waits *waits, struct buf *out);
/* A field that is meant for us, and not for the worker. */
bool native_text_is_ours(const struct json_text *name);
/* The body of REQUEST, which has been read, as its worker wants it: without what was meant for us,
 * as a stream, its model by the worker's name. NULL: a field's name has escapes, or the text as it
 * is is longer than the worker takes, which its value need not be. The caller frees it. */
char *native_text_ask(const struct request *request);

#endif
