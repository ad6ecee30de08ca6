/* Owns the threads of the CPU backend. Knows nothing of what they compute.
 *
 * On a core that is shared the system takes a thread away in the middle of a task, and everybody
 * waits for that task until the neighbour has had its turn. So a thread offers its core between two
 * tasks, before its turn is over: where nobody wants it that is one short system call, else the
 * neighbour runs while the others take the tasks.
 *
 * `generation` is odd while a job is open and even while none is. A thread that has seen a new odd
 * value counts itself in (active), looks again whether the job is still open, and takes tasks until
 * the counter has run out. pool_run() closes the job and waits until nobody is counted in: a thread
 * that comes late finds it closed, so nobody ever waits for a thread that has not begun. */
#include "hip/backend/pool.h"

#include "common/clock.h"
#include "common/mem.h"

#include <assert.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    CACHE_LINE_BYTES = 64,
    /* Pauses before a thread sleeps: some tens of microseconds, longer than the gap between two ops
     * of a step and much shorter than anything a neighbour would notice. */
    SPIN_COUNT = 2000,
    /* Less than the shortest turn that Linux gives (3 ms, sched_base_slice_ns or before that
     * sched_min_granularity_ns, on two cores). */
    TURN_US = 1000,
};

struct pool_thread {
    struct pool *pool;
    uint32_t index;
    pthread_t thread;
};

struct pool {
    uint32_t thread_count;       /* with the caller of pool_run */
    struct pool_thread *threads; /* [thread_count]; 0 is not used */
    void (*on_start)(void);
    struct pool_job job; /* written while none is open and nobody is counted in */
    _Alignas(CACHE_LINE_BYTES) _Atomic uint32_t generation;
    _Alignas(CACHE_LINE_BYTES) _Atomic uint32_t next_task;
    _Alignas(CACHE_LINE_BYTES) _Atomic uint32_t active;
    _Atomic uint32_t sleepers;  /* threads that wait for a generation */
    _Atomic bool caller_sleeps; /* waits for active to become 0 */
    _Atomic bool is_stopping;
};

static void pause_briefly(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void futex_sleep(_Atomic uint32_t *word, uint32_t while_value)
{
    /* Any return is a reason to look again: woken, changed meanwhile, a signal. */
    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, while_value, NULL, NULL, 0);
}

static void futex_wake_all(_Atomic uint32_t *word)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

/* Until there are none, or UNTIL_US. */
static void take_tasks(struct pool *pool, uint32_t thread, uint64_t until_us)
{
    do {
        uint32_t task = atomic_fetch_add(&pool->next_task, 1);

        if (task >= pool->job.task_count)
            return;
        pool->job.task(pool->job.context, task, thread);
    } while (clock_monotonic_us() < until_us);
}

static bool is_open(uint32_t generation)
{
    return generation % 2 == 1;
}

/* The next open generation after SEEN; SEEN again when the pool stops. */
static uint32_t wait_for_job(struct pool *pool, uint32_t seen)
{
    for (uint32_t spins = 0;; spins++) {
        uint32_t generation = atomic_load(&pool->generation);

        if (atomic_load(&pool->is_stopping))
            return seen;
        if (generation != seen && is_open(generation))
            return generation;
        if (spins < SPIN_COUNT) {
            pause_briefly();
            continue;
        }
        atomic_fetch_add(&pool->sleepers, 1);
        futex_sleep(&pool->generation, generation);
        atomic_fetch_sub(&pool->sleepers, 1);
        spins = 0;
    }
}

static void *thread_main(void *argument)
{
    struct pool_thread *self = argument;
    struct pool *pool = self->pool;
    uint64_t turn_end_us = clock_monotonic_us() + TURN_US;
    uint32_t seen = 0;

    if (pool->on_start != NULL)
        pool->on_start();
    for (;;) {
        uint32_t generation = wait_for_job(pool, seen);

        if (generation == seen)
            return NULL;
        atomic_fetch_add(&pool->active, 1);
        seen = atomic_load(&pool->generation);
        if (is_open(seen))
            take_tasks(pool, self->index, turn_end_us);
        if (atomic_fetch_sub(&pool->active, 1) == 1 && atomic_load(&pool->caller_sleeps))
            futex_wake_all(&pool->active);
        if (clock_monotonic_us() >= turn_end_us) {
            (void)sched_yield(); /* cannot fail on Linux */
            turn_end_us = clock_monotonic_us() + TURN_US;
            seen = 0; /* the job may still be open */
        }
    }
}

/* With every signal blocked: they are for the threads that have a loop. */
static bool start_thread(struct pool *pool, uint32_t index)
{
    struct pool_thread *thread = &pool->threads[index];
    sigset_t all;
    sigset_t before;
    int result = 0;

    thread->pool = pool;
    thread->index = index;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    result = pthread_create(&thread->thread, NULL, thread_main, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result == 0;
}

struct pool *pool_new(uint32_t thread_count, void (*on_start)(void))
{
    struct pool *pool = aligned_alloc(CACHE_LINE_BYTES, sizeof(*pool));

    assert(thread_count >= 1 && pool != NULL);
    *pool = (struct pool){.thread_count = 1, .on_start = on_start};
    pool->threads = xcalloc(thread_count, sizeof(*pool->threads));
    while (pool->thread_count < thread_count && start_thread(pool, pool->thread_count))
        pool->thread_count++;
    return pool;
}

void pool_free(struct pool *pool)
{
    if (pool == NULL)
        return;
    atomic_store(&pool->is_stopping, true);
    atomic_fetch_add(&pool->generation, 2); /* whoever is about to sleep sees a change */
    futex_wake_all(&pool->generation);
    for (uint32_t i = 1; i < pool->thread_count; i++)
        pthread_join(pool->threads[i].thread, NULL);
    free(pool->threads);
    free(pool);
}

uint32_t pool_thread_count(const struct pool *pool)
{
    return pool->thread_count;
}

static void wait_until_idle(struct pool *pool)
{
    for (uint32_t spins = 0; atomic_load(&pool->active) != 0; spins++) {
        uint32_t active = 0;

        if (spins < SPIN_COUNT) {
            pause_briefly();
            continue;
        }
        atomic_store(&pool->caller_sleeps, true);
        active = atomic_load(&pool->active);
        if (active != 0)
            futex_sleep(&pool->active, active);
        atomic_store(&pool->caller_sleeps, false);
    }
}

void pool_run(struct pool *pool, const struct pool_job *job)
{
    if (pool->thread_count == 1 || job->task_count == 1) {
        for (uint32_t task = 0; task < job->task_count; task++)
            job->task(job->context, task, 0);
        return;
    }
    pool->job = *job;
    atomic_store(&pool->next_task, 0);
    atomic_fetch_add(&pool->generation, 1);
    if (atomic_load(&pool->sleepers) != 0)
        futex_wake_all(&pool->generation);
    take_tasks(pool, 0, UINT64_MAX);
    atomic_fetch_add(&pool->generation, 1);
    wait_until_idle(pool);
}

uint32_t pool_core_count(void)
{
    cpu_set_t cores;

    if (sched_getaffinity(0, sizeof(cores), &cores) != 0)
        return 1; /* more cores than the set holds: they can be asked for by number */
    return (uint32_t)CPU_COUNT(&cores);
}
