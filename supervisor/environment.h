/* The environment of a worker: what it needs of ours, and nothing else. */
#ifndef RBEE_SUPERVISOR_ENVIRONMENT_H
#define RBEE_SUPERVISOR_ENVIRONMENT_H

/* The entries of ENVP (our own) that go on to a worker, NULL-terminated and allocated in one piece;
 * the entries themselves are borrowed. With INSTANCE they begin with RBEE_INSTANCE=INSTANCE, by
 * which the worker's children are known as well; NULL: for a child that is no worker. The caller
 * frees the array. */
const char **environment_for_worker(char *const *envp, const char *instance);

/* The same for rbee-fetch: proxies and locale. */
const char **environment_for_fetch(char *const *envp);

#endif
