/* Owns the decision who may call what. Knows nothing of routes. */
#include "supervisor/auth.h"

#include <unistd.h>

/* A Unix peer with our uid, or root, is the admin. Everyone else is nobody: there are no tokens
 * before there is a TCP listener. */
static bool auth_is_admin(const struct http_peer *peer)
{
    return peer->is_unix && (peer->uid == geteuid() || peer->uid == 0);
}

int auth_check(const struct http_peer *peer, enum auth_who who, struct err *err)
{
    switch (who) {
    case AUTH_OPEN:
        return 0;
    case AUTH_INFER:
    case AUTH_ADMIN:
        if (auth_is_admin(peer))
            return 0;
        break;
    }
    return err_set(err, ERR_FORBIDDEN, "uid %u may not do this: the socket belongs to uid %u",
                   peer->is_unix ? (unsigned)peer->uid : (unsigned)-1, (unsigned)geteuid());
}
