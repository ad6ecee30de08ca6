/* The two ways in, a Unix socket and a port, and what opens and closes them: one service, one set
 * of tokens, and limits that count for each alone, so that a flood at the port does not lock out
 * who sits at the machine. A port is open while there is a token. */
#ifndef RBEE_SUPERVISOR_DOORS_H
#define RBEE_SUPERVISOR_DOORS_H

#include "common/config.h"
#include "common/err.h"

struct supervisor;

/* Who may come in, before anything else of ours is there: the environment holds a token no longer
 * than that. ERR_CONFIG for tokens, groups and addresses that must not be. */
int doors_prepare(struct supervisor *supervisor, struct err *err);
/* Where the Unix socket is, or will be; the caller frees it. After doors_prepare(). */
char *doors_socket_path(const struct supervisor *supervisor);
int doors_open(struct supervisor *supervisor, struct err *err);
/* Tokens and port as CONFIG, which was read anew, and the tokens' files want them now. On failure
 * nothing has changed. */
int doors_reload(struct supervisor *supervisor, const struct config *config, struct err *err);
void doors_upkeep(struct supervisor *supervisor);
/* No new connections. */
void doors_stop(struct supervisor *supervisor);
unsigned doors_client_count(const struct supervisor *supervisor);
/* Cuts what is still open. */
void doors_close(struct supervisor *supervisor);
/* What a person should know about the port, for STATUS; NULL: nothing. The caller frees it. */
char *doors_warning(const struct supervisor *supervisor);

#endif
