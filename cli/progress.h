/* While a request waits for a worker that loads: how far it is, on a terminal. Asks the supervisor
 * now and then, on the loop and the client of the request that waits. */
#ifndef RBEE_CLI_PROGRESS_H
#define RBEE_CLI_PROGRESS_H

struct cli;
struct progress;

/* Begins to look; NULL where nobody would see it. Only within cli_connect() and the api's end. */
struct progress *progress_start(struct cli *cli);
/* Ends it and clears the line; accepts NULL. Not from inside a callback of its own. */
void progress_stop(struct progress *progress);

#endif
