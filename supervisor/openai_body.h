/* A request of ours as servers of OpenAI's API take it. Pure. */
#ifndef RBEE_SUPERVISOR_OPENAI_BODY_H
#define RBEE_SUPERVISOR_OPENAI_BODY_H

#include <jansson.h>
#include <stdbool.h>

/* For /v1/chat/completions or, with IS_CHAT false (BODY has a prompt then), /v1/completions: BODY,
 * a checked body of POST /v1/inference, for the model that the server calls MODEL. Only what BODY
 * gives is passed on: what it leaves out is the server's own default. The reply is a stream that
 * ends with usage. A new reference. */
json_t *openai_body(const json_t *body, const char *model, bool is_chat);
/* The same for one token, in one piece. */
json_t *openai_body_of_canary(const char *model, bool is_chat);

#endif
