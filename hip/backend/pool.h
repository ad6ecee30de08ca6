/* Threads that stay: one task function over many small tasks, shared out by an atomic counter, so
 * that a thread whose core is busy elsewhere takes fewer and holds up nobody but for the task it is
 * in. Between runs they spin a short while, then sleep. */
#ifndef RBEE_HIP_BACKEND_POOL_H
#define RBEE_HIP_BACKEND_POOL_H

#include <stdint.h>

struct pool;

struct pool_job {
    /* THREAD is below pool_thread_count(): a place for scratch of its own. */
    void (*task)(void *context, uint32_t task, uint32_t thread);
    void *context;
    uint32_t task_count;
};

/* THREAD_COUNT includes the caller of pool_run: 1 makes no thread at all. Fewer when the system
 * gives no more. ON_START runs once on each new thread; may be NULL. */
struct pool *pool_new(uint32_t thread_count, void (*on_start)(void));
void pool_free(struct pool *pool);
uint32_t pool_thread_count(const struct pool *pool);
/* Calls the task for 0 to task_count - 1, in any order, and returns when all are done. What the
 * caller wrote before is seen by every task, what tasks wrote by the caller afterwards. One run at
 * a time, never from a task. */
void pool_run(struct pool *pool, const struct pool_job *job);
/* Cores this process may run on. */
uint32_t pool_core_count(void);

#endif
