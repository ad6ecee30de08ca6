/* Who a peer is, and what it may do: fail closed.
 *
 * On the Unix socket the kernel says who calls: our uid and root may do everything, members of
 * socket_group may ask models, and no header changes that. On TCP a request must name this machine
 * (Host), must not come from a stranger's web page (Origin), and must bring a token, whose role
 * says what it may. Routes that are open to all look at Host and Origin alone. */
#ifndef RBEE_SUPERVISOR_AUTH_H
#define RBEE_SUPERVISOR_AUTH_H

#include "common/config.h"
#include "common/err.h"
#include "common/http/http.h"
#include "supervisor/metrics.h"
#include "supervisor/tokens.h"

#include <stdbool.h>
#include <sys/types.h>

/* The `who` column of routes.def. */
enum auth_who {
    /* Each may do what those above it may. */
    AUTH_OPEN,  /* anyone who can connect */
    AUTH_INFER, /* may ask models */
    AUTH_ADMIN, /* may change things; may infer too */
    /* Beside them: OPEN, or with `metrics_public = off` INFER. */
    AUTH_METRICS,
};

enum auth_failure {
#define AUTH_FAILURE(id, name) AUTH_FAILED_BY_##id,
#include "supervisor/auth_failure.def"
#undef AUTH_FAILURE
    AUTH_FAILURE_COUNT,
};

enum { AUTH_ACTOR_BYTES = 24 };

/* Who calls, as logs and records have it. */
struct auth_caller {
    enum auth_who may;            /* the most it may do; OPEN, INFER or ADMIN */
    char actor[AUTH_ACTOR_BYTES]; /* "uid:1000", "token:9f86d0" (of a wrong one, too); "": nobody */
};

struct auth {
    /* Set by the owner; all outlive this. */
    const struct config *config;        /* as it is now: allowed_hosts, allowed_origins… */
    const struct http_address *address; /* that we listen on */
    struct metrics *metrics;

    uid_t own_uid; /* the supervisor's, asked for once */
    struct tokens tokens;
    struct token_known environment; /* the token that came in it, which nobody can change now */
    bool has_group;                 /* socket_group */
    gid_t group;
};

const char *auth_failure_name(enum auth_failure failure);

/* Takes the token of the environment, the tokens' files and the group of the socket. ERR_CONFIG. */
int auth_init(struct auth *auth, struct err *err);
/* ERR_CONFIG, with the ways out, unless ADDRESS may be listened on with TOKENS: one that strangers
 * can reach needs tokens that cannot be guessed. */
int auth_check_bind(const struct http_address *address, const struct tokens *tokens,
                    struct err *err);
/* Whether NEW has another token for ROLE than the one that is in force. */
bool auth_is_changed(const struct auth *auth, const struct tokens *new, enum token_role role);
/* NEW is in force from now on. */
void auth_set_tokens(struct auth *auth, const struct tokens *new);

/* What the kernel says of a peer before anything it sends is looked at: "uid:1000", or "". */
void auth_peer_actor(const struct http_peer *peer, char out[AUTH_ACTOR_BYTES]);
/* Decides whether the peer of EXCHANGE may do what WHO may. *OUT is filled as far as it is known,
 * also beside a failure. ERR_MISDIRECTED (421), ERR_MISSING_API_KEY and ERR_INVALID_API_KEY (401),
 * ERR_INVALID (400), ERR_HEAD_TOO_LARGE (431), ERR_FORBIDDEN (403). */
int auth_check(struct auth *auth, const struct http_exchange *exchange, enum auth_who who,
               struct auth_caller *out, struct err *err);

#endif
