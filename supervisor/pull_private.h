/* What pull_follower.c may ask of pull.c. Nobody else includes this. */
#ifndef RBEE_SUPERVISOR_PULL_PRIVATE_H
#define RBEE_SUPERVISOR_PULL_PRIVATE_H

struct pull;
struct pull_follower;

/* The client of FOLLOWER has left; the pull may end with it. */
void pull_forget(struct pull *pull, struct pull_follower *follower);

#endif
