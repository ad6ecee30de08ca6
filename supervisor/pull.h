/* Models that are being pulled. One pull is one rbee-fetch, whoever asks for the same source
 * follows it, each with a name of its own for the model:
 *
 *   CHOOSING   which file it will be; then names are looked at, and a pull of the same file joined
 *   FETCHING   the files come into their parts, and are looked at
 *   DESCRIBING rbee-worker reads what is to be the model, still as a part
 *   NAMING     the parts get their places
 *
 * and then each follower's model is stored and told. A file has its place only when its sum is
 * right, as far as anybody tells one, and a worker has read it.
 *
 * When the last follower leaves, the pull stops; its parts stay, and the next one goes on from
 * there. Going on without anybody would fill disks and lines of people who believe that they have
 * stopped it; who wants that has nohup. */
#ifndef RBEE_SUPERVISOR_PULL_H
#define RBEE_SUPERVISOR_PULL_H

#include "common/err.h"
#include "supervisor/pull_source.h"

#include <sys/queue.h>

struct api_call;
struct pull;
struct supervisor;

TAILQ_HEAD(pull_list, pull);

enum {
    PULL_MAX_COUNT = 4, /* at a time: more of them make each slower */
    PULL_FOLLOWER_MAX_COUNT = 64,
};

/* Answers CALL with a stream of events that ends with {"type":"model","model":{MODEL record}} or an
 * error. NAME "": that of the file. SOURCE is taken over, also on failure. ERR_BUSY, ERR_CONFLICT.
 */
int pull_follow(struct api_call *call, struct pull_source *source, const char *name,
                struct err *err);
/* Tokens have changed: who may not follow any more is told so, and that is the end. */
void pull_end_revoked(struct supervisor *supervisor);
/* All of them: the supervisor is stopping. */
void pull_end_all(struct supervisor *supervisor);

#endif
