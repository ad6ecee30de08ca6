/* One request on one worker: the body there, the events back, as they come. */
#ifndef RBEE_SUPERVISOR_PROXY_H
#define RBEE_SUPERVISOR_PROXY_H

struct request;

/* Sends REQUEST, which is in the running list of its worker, to that worker. What comes of it is
 * told from the loop, never from inside this call. */
void proxy_send(struct request *request);
/* The client takes bytes again. */
void proxy_resume(struct request *request);

#endif
