/* Owns the sending of a question to a worker's process, whatever it is written in. */
#include "supervisor/dialect.h"

#include "common/clock.h"
#include "common/mem.h"
#include "supervisor/supervisor.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { DIALECT_HEADER_MAX_COUNT = 6 };

/* The caller's own word unchanged, and what is left of it on the clock that nobody moves. */
static size_t dialect_add_deadline(const struct deadline *deadline, struct http_header *out,
                                   char wall[DEADLINE_TEXT_BYTES], char left[DEADLINE_TEXT_BYTES])
{
    if (!deadline_is_set(deadline))
        return 0;
    (void)snprintf(wall, DEADLINE_TEXT_BYTES, "%" PRId64, deadline->wall_ms);
    (void)snprintf(left, DEADLINE_TEXT_BYTES, "%" PRIu64,
                   deadline_left_us(deadline, clock_monotonic_us()) / 1000);
    out[0] = (struct http_header){DEADLINE_HEADER, wall};
    out[1] = (struct http_header){DEADLINE_LEFT_HEADER, left};
    return 2;
}

struct http_call *dialect_send(struct worker *worker, struct dialect_ask *ask,
                               const struct http_call_events *events, void *owner)
{
    static const char BEARER[] = "Bearer ";
    char bearer[sizeof(BEARER) + TOKEN_TEXT_BYTES];
    char wall[DEADLINE_TEXT_BYTES];
    char left[DEADLINE_TEXT_BYTES];
    struct http_header headers[DIALECT_HEADER_MAX_COUNT];
    struct http_request http = {.method = ask->method,
                                .target = ask->target,
                                .headers = headers,
                                .body = ask->body,
                                .body_len = ask->body == NULL ? 0 : strlen(ask->body),
                                .is_alone = ask->is_alone};
    struct http_call *call = NULL;

    memcpy(bearer, BEARER, sizeof(BEARER));
    memcpy(bearer + strlen(BEARER), worker->process.token, strlen(worker->process.token) + 1);
    if (worker->process.token[0] != '\0')
        headers[http.header_count++] = (struct http_header){"Authorization", bearer};
    if (ask->body != NULL)
        headers[http.header_count++] = (struct http_header){"Content-Type", "application/json"};
    if (ask->id[0] != '\0')
        headers[http.header_count++] = (struct http_header){"X-Inference-Id", ask->id};
    if (ask->label != NULL)
        headers[http.header_count++] = (struct http_header){"X-Request-Id", ask->label};
    http.header_count +=
        dialect_add_deadline(&ask->deadline, headers + http.header_count, wall, left);
    call = http_client_send(worker->process.client, &http, events, owner);
    token_wipe(bearer, sizeof(bearer));
    free(ask->body);
    *ask = (struct dialect_ask){.body = NULL};
    return call;
}
