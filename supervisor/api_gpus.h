/* Calls about GPUs that came before it was known what there is. */
#ifndef RBEE_SUPERVISOR_API_GPUS_H
#define RBEE_SUPERVISOR_API_GPUS_H

struct supervisor;

/* Answers those that wait, once it is known. */
void api_gpus_tell(struct supervisor *supervisor);

#endif
