/* One request on one worker: the body there, the events back, as they come. */
#ifndef RBEE_SUPERVISOR_PROXY_H
#define RBEE_SUPERVISOR_PROXY_H

#include "common/err.h"
#include "supervisor/request.h"

#include <jansson.h>
#include <stddef.h>

/* Sends REQUEST, which is in the running list of its worker, to that worker. What comes of it is
 * told from the loop, never from inside this call. */
void proxy_send(struct request *request);
/* The client takes bytes again. */
void proxy_resume(struct request *request);

/* ---- for the dialects: what the client is told ---- */

/* The answer begins. EVENT is the started event, to which the request's id is added. */
int proxy_start(struct request *request, json_t *event, struct err *err);
/* The same of one that is text already, and has that id. */
int proxy_start_text(struct request *request, const char *text, size_t len, struct err *err);
/* TEXT is a token's event, one line of JSON. */
int proxy_token(struct request *request, const char *text, size_t len, struct err *err);
/* The same for an answer in one piece: TEXT is the token's own. */
int proxy_keep_token(struct request *request, const char *text, size_t len, struct err *err);
/* The answer in one piece, as far as it is the same for every worker: id, model and text. A new
 * reference. */
json_t *proxy_whole(const struct request *request);
void proxy_add_warnings(const struct request *request, json_t *object);
/* A token has come for which there is no event. */
void proxy_count_token(struct request *request);
/* What was spent before the worker saw the request. */
struct proxy_waits {
    double queue_ms; /* with the worker's own, of its timings */
    double load_ms;
};
/* What an end says of its answer. */
struct proxy_result {
    char stop_reason[REQUEST_STOP_REASON_MAX_BYTES + 1];
    int64_t prompt_tokens;
    int64_t token_count;
    double queue_ms; /* at the worker */
};
/* Reads it from an end event or a whole answer: -1 when stop_reason, usage or timings is not there.
 */
int proxy_read_result(const struct request *request, const json_t *end, struct proxy_result *out,
                      struct err *err);
/* The answer is complete; of *out_waits the client is to be told. proxy_finish() or
 * proxy_finish_text() follows. */
int proxy_take_result(struct request *request, const struct proxy_result *result,
                      struct proxy_waits *out_waits, struct err *err);
/* The same, read from END. */
int proxy_take_end(struct request *request, const json_t *end, struct proxy_waits *out_waits,
                   struct err *err);
/* RESULT is the end event of a stream, else the whole answer; WAITS are told in it. */
void proxy_finish(struct request *request, json_t *result, const struct proxy_waits *waits);
/* The same of one that is text already. */
void proxy_finish_text(struct request *request, const char *text, size_t len);
/* One event's JSON; a new reference. NULL with err when it is none. */
json_t *proxy_parse_event(const struct request *request, const char *text, size_t len,
                          struct err *err);
/* The JSON of a reply in one piece; a new reference. NULL when it is none. */
json_t *proxy_parse_reply(const struct request *request);

#endif
