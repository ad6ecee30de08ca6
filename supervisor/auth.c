/* Owns the decision who may call what. Knows nothing of routes, nor where tokens come from. */
#include "supervisor/auth.h"

#include "common/bearer.h"
#include "common/host_list.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/units.h"

#include <assert.h>
#include <grp.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum {
    AUTH_GROUP_MAX_BYTES = 64 * 1024, /* of a group's record, its members' names among it */
    AUTH_GID_MAX = INT32_MAX,
};

const char *auth_failure_name(enum auth_failure failure)
{
    static const char *const NAMES[AUTH_FAILURE_COUNT] = {
#define AUTH_FAILURE(id, name) [AUTH_FAILED_BY_##id] = name,
#include "supervisor/auth_failure.def"
#undef AUTH_FAILURE
    };

    assert(failure < AUTH_FAILURE_COUNT);
    return NAMES[failure];
}

/* ---- what is in force ---- */

/* A name or a number. Asks the system's user database: at our start, never in the loop. */
static int auth_find_group(struct auth *auth, struct err *err)
{
    const char *name = config_text(auth->config, CONFIG_supervisor_socket_group);
    AUTO_FREE char *storage = NULL;
    struct err no_number = ERR_INIT;
    struct group record;
    struct group *found = NULL;
    int64_t gid = 0;

    if (name[0] == '\0')
        return 0;
    storage = xcalloc(1, AUTH_GROUP_MAX_BYTES);
    if (getgrnam_r(name, &record, storage, AUTH_GROUP_MAX_BYTES, &found) == 0 && found != NULL)
        gid = found->gr_gid;
    else if (units_parse_integer(name, 0, AUTH_GID_MAX, &gid, &no_number) != 0)
        return err_set(err, ERR_CONFIG, "supervisor.socket_group: there is no group \"%.80s\"",
                       name);
    auth->has_group = true;
    auth->group = (gid_t)gid;
    return 0;
}

int auth_init(struct auth *auth, struct err *err)
{
    auth->own_uid = geteuid();
    if (tokens_take_environment(&auth->environment, err) != 0 ||
        tokens_load(&auth->tokens, auth->config, &auth->environment, err) != 0)
        return -1;
    return auth_find_group(auth, err);
}

int auth_check_bind(const struct http_address *address, const struct tokens *tokens,
                    struct err *err)
{
    bool is_strong = tokens_has_any(tokens);

    if (http_address_is_loopback(address))
        return 0;
    for (int role = 0; role < TOKEN_ROLE_COUNT; role++)
        is_strong =
            is_strong && (tokens->of[role].len == 0 || tokens->of[role].len >= TOKEN_MIN_LEN);
    if (is_strong)
        return 0;
    return err_set(err, ERR_CONFIG,
                   "supervisor.listen = %s can be reached from other machines, and %s; make one "
                   "with \"rbee token new\", or listen on 127.0.0.1 (ssh -L brings others there), "
                   "or set listen = off",
                   address->host,
                   tokens_has_any(tokens) ? "a token of less than 16 bytes can be guessed"
                                          : "there is no token");
}

/* OLD and NEW of a role, as fingerprints. */
static void auth_token_changed(enum token_role role, const struct token_known *old,
                               const struct token_known *new)
{
    log_event(LOG_INFO, "token_reloaded", "role=%s old=%s%s new=%s%s source=%s",
              tokens_role_name(role), old->len > 0 ? "token:" : "none", old->fingerprint,
              new->len > 0 ? "token:" : "none", new->fingerprint,
              new->len > 0 ? new->source : "none");
}

bool auth_is_changed(const struct auth *auth, const struct tokens *new, enum token_role role)
{
    const struct token_known *old = &auth->tokens.of[role];

    return old->len != new->of[role].len || !token_hash_equal(&old->hash, &new->of[role].hash);
}

void auth_set_tokens(struct auth *auth, const struct tokens *new)
{
    for (int role = 0; role < TOKEN_ROLE_COUNT; role++) {
        if (auth_is_changed(auth, new, (enum token_role)role))
            auth_token_changed((enum token_role)role, &auth->tokens.of[role], &new->of[role]);
    }
    auth->tokens = *new;
}

/* ---- who calls ---- */

/* A refusal on its way up: FAILURE is what it is counted as. */
static int auth_refuse(enum auth_failure *out, enum auth_failure failure)
{
    *out = failure;
    return -1;
}

static bool auth_is_port(const char *text)
{
    return text[0] == '\0' || (text[0] == ':' && text[1 + strspn(text + 1, "0123456789")] == '\0');
}

/* Whether the host of the LEN bytes at NAME is this machine, seen from itself; or the very address
 * that the configuration says. No name server of a stranger can make a page's name one of them. */
static bool auth_is_own_host(const struct auth *auth, const char *name, size_t len)
{
    struct http_address address = {.is_unix = false};

    if (len >= 2 && name[0] == '[') {
        name++;
        len -= 2;
    }
    if (len == 0 || len >= sizeof(address.host))
        return false;
    memcpy(address.host, name, len);
    if (http_address_is_loopback(&address))
        return true;
    /* "All addresses" is none, but some browsers take it for this machine. */
    return strcasecmp(address.host, auth->address->host) == 0 &&
           strcmp(address.host, "0.0.0.0") != 0 && strcmp(address.host, "::") != 0;
}

/* A page of a stranger's can give its own name our address, and its visitors' browsers then take us
 * for it (DNS rebinding). The name stays in the Host header. */
static bool auth_is_host_good(const struct auth *auth, const char *host)
{
    const char *allowed = config_text(auth->config, CONFIG_supervisor_allowed_hosts);
    size_t len = host == NULL ? 0 : host_list_host_len(host);

    if (host == NULL || !auth_is_port(host + len))
        return false;
    return auth_is_own_host(auth, host, len) || host_list_has(allowed, host, len) ||
           host_list_has(allowed, host, strlen(host));
}

/* Ours is the page whose host is the one that the request names. */
static bool auth_is_origin_ours(const struct auth *auth, const char *origin, const char *host)
{
    const char *authority = strstr(origin, "://");

    if (authority != NULL && strcasecmp(authority + strlen("://"), host) == 0)
        return true;
    return host_list_has(config_text(auth->config, CONFIG_supervisor_allowed_origins), origin,
                         strlen(origin));
}

/* A browser sends one or none; of several each must be good. */
static bool auth_is_origin_good(const struct auth *auth, const struct http_head *head,
                                const char *host)
{
    for (size_t i = 0; i < head->header_count; i++) {
        if (strcasecmp(head->headers[i].name, "Origin") == 0 &&
            !auth_is_origin_ours(auth, head->headers[i].value, host))
            return false;
    }
    return true;
}

static int auth_check_browser(const struct auth *auth, const struct http_head *head,
                              enum auth_failure *out_failure, struct err *err)
{
    const char *host = http_head_find(head, "Host");

    if (!auth_is_host_good(auth, host)) {
        err_fill(err, ERR_MISDIRECTED,
                 "the Host header does not name this machine; supervisor.allowed_hosts takes "
                 "further names");
        return auth_refuse(out_failure, AUTH_FAILED_BY_HOST);
    }
    if (!auth_is_origin_good(auth, head, host)) {
        err_fill(err, ERR_FORBIDDEN,
                 "web pages of other origins may not ask; supervisor.allowed_origins takes some");
        return auth_refuse(out_failure, AUTH_FAILED_BY_ORIGIN);
    }
    return 0;
}

static int auth_check_token(const struct auth *auth, const struct http_head *head,
                            struct auth_caller *out, enum auth_failure *out_failure,
                            struct err *err)
{
    char fingerprint[TOKEN_FINGERPRINT_BYTES];
    const char *token = bearer_find(head, err);
    unsigned roles = 0;

    if (token == NULL)
        return auth_refuse(out_failure, err->kind == ERR_MISSING_API_KEY
                                            ? AUTH_FAILED_BY_MISSING
                                            : AUTH_FAILED_BY_MALFORMED);
    roles = tokens_match(&auth->tokens, token, fingerprint);
    (void)snprintf(out->actor, sizeof(out->actor), "token:%s", fingerprint); /* fits */
    if (roles == 0) {
        err_fill(err, ERR_INVALID_API_KEY, "the token is wrong");
        return auth_refuse(out_failure, AUTH_FAILED_BY_WRONG);
    }
    out->may = (roles & 1u << TOKEN_ROLE_ADMIN) != 0 ? AUTH_ADMIN : AUTH_INFER;
    return 0;
}

void auth_peer_actor(const struct http_peer *peer, char out[AUTH_ACTOR_BYTES])
{
    static const char UID[] = "uid:";
    char number[UNITS_TEXT_BYTES];

    out[0] = '\0';
    if (!peer->is_unix)
        return;
    memcpy(out, UID, sizeof(UID));
    memcpy(out + strlen(UID), number, units_format_whole(peer->uid, number) + 1); /* ten digits */
}

static void auth_read_unix_peer(const struct auth *auth, const struct http_exchange *exchange,
                                struct auth_caller *out)
{
    const struct http_peer *peer = http_exchange_peer(exchange);

    auth_peer_actor(peer, out->actor);
    if (peer->uid == auth->own_uid || peer->uid == 0)
        out->may = AUTH_ADMIN;
    else if (auth->has_group && http_exchange_peer_has_group(exchange, auth->group))
        out->may = AUTH_INFER;
}

static int auth_check_role(const struct auth *auth, const struct auth_caller *caller,
                           enum auth_who who, enum auth_failure *out_failure, struct err *err)
{
    if (caller->may >= who)
        return 0;
    if (caller->may == AUTH_INFER) {
        err_fill(err, ERR_FORBIDDEN, "%s may ask models, and not this", caller->actor);
        return auth_refuse(out_failure, AUTH_FAILED_BY_ROLE);
    }
    err_fill(err, ERR_FORBIDDEN, "%s may not do this: the socket belongs to uid %u", caller->actor,
             (unsigned)auth->own_uid);
    return auth_refuse(out_failure, AUTH_FAILED_BY_PEER);
}

static int auth_decide(const struct auth *auth, const struct http_exchange *exchange,
                       enum auth_who who, struct auth_caller *out, enum auth_failure *out_failure,
                       struct err *err)
{
    const struct http_head *head = http_exchange_head(exchange);
    const struct http_peer *peer = http_exchange_peer(exchange);

    if (peer->is_unix) {
        auth_read_unix_peer(auth, exchange, out);
        return auth_check_role(auth, out, who, out_failure, err);
    }
    if (auth_check_browser(auth, head, out_failure, err) != 0)
        return -1;
    if (who == AUTH_OPEN)
        return 0;
    if (auth_check_token(auth, head, out, out_failure, err) != 0)
        return -1;
    return auth_check_role(auth, out, who, out_failure, err);
}

/* The one place where a caller has been let in or refused: what counts, limits or writes down
 * either begins here. */
int auth_check(struct auth *auth, const struct http_exchange *exchange, enum auth_who who,
               struct auth_caller *out, struct err *err)
{
    enum auth_failure failure = AUTH_FAILED_BY_MISSING;

    *out = (struct auth_caller){.may = AUTH_OPEN};
    if (who == AUTH_METRICS)
        who =
            config_number(auth->config, CONFIG_supervisor_metrics_public) ? AUTH_OPEN : AUTH_INFER;
    if (auth_decide(auth, exchange, who, out, &failure, err) == 0)
        return 0;
    metrics_count(auth->metrics, METRIC_AUTH_FAILURES, failure);
    return -1;
}
