/* A client that follows a pull, until its model is on disk. Between pull.c, which fetches, and the
 * client's stream. */
#ifndef RBEE_SUPERVISOR_PULL_FOLLOWER_H
#define RBEE_SUPERVISOR_PULL_FOLLOWER_H

#include "supervisor/api.h"
#include "supervisor/models.h"

#include <jansson.h>
#include <stdbool.h>
#include <sys/queue.h>

struct pull;

struct pull_follower {
    TAILQ_ENTRY(pull_follower) link;
    struct api_held held;
    struct supervisor *supervisor;
    struct http_exchange *exchange;       /* NULL: the client left */
    struct pull *pull;                    /* NULL: it is over, the model is being stored */
    char name[CONFIG_NAME_MAX_BYTES + 1]; /* of the model; "": that of the file, once known */
};

TAILQ_HEAD(pull_follower_list, pull_follower);

/* Begins the stream that answers CALL. */
struct pull_follower *pull_follower_new(struct api_call *call, struct pull *pull, const char *name);
/* EVENT is borrowed. One whose client is slow misses progress, and nothing else. */
void pull_follower_tell(struct pull_follower *follower, const json_t *event);
/* Tells CAUSE, and that is the end of it; out of the list already. */
void pull_follower_fail(struct pull_follower *follower, const struct err *cause);
/* The file at PATH is to be a model of this name; ERR_CONFLICT. */
int pull_follower_check_name(struct pull_follower *follower, const char *path, struct err *err);
/* The model is put and stored, told, and that is the end of it; out of the list already. */
void pull_follower_store(struct pull_follower *follower, const struct model_facts *facts);

#endif
