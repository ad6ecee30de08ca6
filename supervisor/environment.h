/* The environment of a worker: what it needs of ours, and nothing else. And whom a part of ours is
 * meant for. */
#ifndef RBEE_SUPERVISOR_ENVIRONMENT_H
#define RBEE_SUPERVISOR_ENVIRONMENT_H

#include <stdbool.h>

/* The entries of ENVP (our own) that go on to a worker, NULL-terminated and allocated in one piece;
 * the entries themselves are borrowed. With INSTANCE they begin with RBEE_INSTANCE=INSTANCE, by
 * which the worker's children are known as well; NULL: for a child that is no worker. The caller
 * frees the array. */
const char **environment_for_worker(char *const *envp, const char *instance);

/* The same for rbee-fetch: proxies and locale. */
const char **environment_for_fetch(char *const *envp);

/* Whether the variable NAME has our pid, as LISTEN_PID and WATCHDOG_PID do: else what stands beside
 * it is meant for another process, and was left there. False as well when there is none. */
bool environment_has_our_pid(const char *name);

#endif
