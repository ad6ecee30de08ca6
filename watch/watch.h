/* The whole of rbee-watch but its main(). */
#ifndef RBEE_WATCH_WATCH_H
#define RBEE_WATCH_WATCH_H

#include "common/err.h"

/* Reads records from FD until its end, and then ends the groups that are left. What is no record is
 * ERR_PROTOCOL: then nothing is ended, because nothing that was said can be trusted any more. */
int watch_run(int fd, struct err *err);

#endif
