/* SIGHUP: configuration and tokens are read again. */
#ifndef RBEE_SUPERVISOR_RELOAD_H
#define RBEE_SUPERVISOR_RELOAD_H

struct supervisor;

/* What can be changed in a running supervisor is; what cannot is named in the log, and stays. When
 * anything that was read is wrong, nothing changes and the log says why. */
void reload(struct supervisor *supervisor);

#endif
