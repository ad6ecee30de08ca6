/* TCP ports of 127.0.0.1 for programs that cannot be handed a socket: one that is free, and who has
 * it afterwards. Between the two there is a moment in which anybody may take it. */
#ifndef RBEE_SUPERVISOR_PORT_H
#define RBEE_SUPERVISOR_PORT_H

#include "common/err.h"

#include <stdint.h>
#include <sys/types.h>

enum port_holder {
    PORT_FREE, /* nobody listens there */
    PORT_OF_GROUP,
    PORT_FOREIGN, /* a process outside of the group, or one of another user */
};

/* A port that is free now. ERR_IO. */
int port_pick(uint16_t *out, struct err *err);
/* Who listens where a connection to PORT of 127.0.0.1 ends: found in /proc by the socket's inode. A
 * process of GROUP that hides its descriptors is taken for the one that has it. */
enum port_holder port_find_holder(uint16_t port, pid_t group);

#endif
