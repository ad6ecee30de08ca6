/* What most commands do with the supervisor: ask, and print the record or the list that comes. */
#ifndef RBEE_CLI_CALL_H
#define RBEE_CLI_CALL_H

#include "cli/api.h"
#include "cli/cli.h"
#include "common/records.h"

#include <jansson.h>

/* api_send() on the connection of cli_connect(), which must have been made; what a failed reply
 * says beside its message is kept in cli->failure. */
int call_send(struct cli *cli, const struct api_request *request, json_t **out_reply,
              struct err *err);
/* GET of TARGET, connecting first. */
int call_get(struct cli *cli, const char *target, json_t **out_reply, struct err *err);

/* POST of BODY (NULL: none) to TARGET, connecting first. A reply without a body is ERR_PROTOCOL. */
int call_post(struct cli *cli, const char *target, const json_t *body, json_t **out_reply,
              struct err *err);
/* {"reason": what --reason says}, without it {}; the caller owns it. */
json_t *call_reason_body(struct cli *cli, struct err *err);

/* The targets of worker NAME (with SUFFIX behind it) and of model NAME; the caller frees them. NULL
 * for a text that cannot be a name: then there is none, and no supervisor need be asked. A name has
 * no byte that an address would have to escape. */
char *call_worker_target(const char *name, const char *suffix, struct err *err);
char *call_model_target(const char *name, struct err *err);
/* The same for a breaker: a worker's NAME, or gpu:ID. */
char *call_breaker_target(const char *name, const char *suffix, struct err *err);

/* The same for a GPU: gpu:ID, where ID may be its number, PCI address or UUID. */
char *call_gpu_target(const char *name, const char *suffix, struct err *err);

/* The reply as JSON, or as "name: value" lines. Returns the exit code, or -1. */
int call_print_record(struct cli *cli, enum record_kind kind, const json_t *record,
                      struct err *err);
/* The reply as JSON, or the array in its FIELD as a table. */
int call_print_list(struct cli *cli, enum record_kind kind, const json_t *reply, const char *field,
                    struct err *err);

/* Holds until worker NAME is in STATE ("ready", "idle", "stopped", "closed"), connecting first
 * where nobody has; TIMEOUT_MS 0: for ever. */
int call_wait(struct cli *cli, const char *name, const char *state, uint64_t timeout_ms,
              json_t **out_record, struct err *err);

#endif
