/* What goes through between a client and rbee-worker as the text it came as, in the forms that
 * rbee-worker writes: what a request's parts mean is known by then. Whatever has another form is
 * left to be read and written by jansson, with the same outcome. */
#ifndef RBEE_SUPERVISOR_NATIVE_TEXT_H
#define RBEE_SUPERVISOR_NATIVE_TEXT_H

#include "common/buf.h"
#include "common/json_cut.h"

#include <stdbool.h>
#include <stddef.h>

struct request;
struct proxy_waits;

/* {"type":"token","t":"...","i":N}: valid JSON of this form and no other. The text of "t" as it is
 * written is in *out_piece, and whether there are escapes in it. */
bool native_text_is_token(const char *text, size_t len, struct json_text *out_piece,
                          bool *out_has_escapes);
/* {"type":"started","id":"...","model":"..."} of REQUEST, as its client is to read it. */
bool native_text_is_started(const struct request *request, const char *text, size_t len);
/* The body of REQUEST, which has been read, as its worker wants it: without what was meant for us,
 * as a stream, its model by the worker's name. NULL: a field's name has escapes. The caller frees
 * it. */
char *native_text_ask(const struct request *request);
/* The end event TEXT, which json_parse() has taken, as the client of REQUEST is to read it: as a
 * stream's event, or an answer in one piece. False: it has another form. */
bool native_text_end(const struct request *request, const struct proxy_waits *waits,
                     const struct json_text *text, struct buf *out);

#endif
