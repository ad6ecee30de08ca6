/* A driver that gives up ends the process: ROCm's runtime calls abort(), on a thread of its own,
 * when a kernel touches a page that is not there. The process then still says why it ends. */
#ifndef RBEE_HIP_BACKEND_GPU_ABORT_H
#define RBEE_HIP_BACKEND_GPU_ABORT_H

/* Once, at the start of a program: WORDS, a line that outlives it, go to stderr and the exit code
 * is CODE when a driver aborts. Every other abort() ends the process as ever. */
void gpu_abort_set_end(const char *words, int code);
/* The library that FUNCTION is in is a driver's. Does nothing in a program without set_end. */
void gpu_abort_watch(const void *function);

#endif
