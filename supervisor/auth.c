/* Owns the decision who may call what. Knows nothing of routes. */
#include "supervisor/auth.h"

#include <stdio.h>
#include <unistd.h>

/* A Unix peer with our uid, or root, is the admin. Everyone else is nobody: there are no tokens
 * before there is a TCP listener. */
static bool auth_is_admin(const struct http_peer *peer)
{
    return peer->is_unix && (peer->uid == geteuid() || peer->uid == 0);
}

int auth_check(struct http_exchange *exchange, enum auth_who who, struct auth_caller *out,
               struct err *err)
{
    const struct http_peer *peer = http_exchange_peer(exchange);

    *out = (struct auth_caller){.may = auth_is_admin(peer) ? AUTH_ADMIN : AUTH_OPEN};
    if (peer->is_unix)
        (void)snprintf(out->actor, sizeof(out->actor), "uid:%u", (unsigned)peer->uid);
    if (out->may >= who)
        return 0;
    return err_set(err, ERR_FORBIDDEN, "uid %u may not do this: the socket belongs to uid %u",
                   peer->is_unix ? (unsigned)peer->uid : (unsigned)-1, (unsigned)geteuid());
}
