/* The supervisor's side of rbee-gpu, which reads the GPUs (gpu/round.h). A driver that is wedged
 * keeps its reader in the kernel: only a process of its own can be left behind there.
 *
 *   OFF      no driver of a GPU is loaded, or the last look found no card: no process. The next
 *            look is two questions to the file system.
 *   RESTING  a process is there and waits for the next round
 *   READING  it reads; each line it writes is a sign of life
 *
 * A round begins every READER_WATCHED_MS while somebody looks, every READER_USED_MS while a worker
 * is on a GPU, else every READER_QUIET_MS: longer than drivers wait before they let an unused card
 * fall asleep, which reading it puts off.
 *
 * A step (one card, or the walk through processes) that takes longer than READER_STEP_MS, or in
 * which the reader dies, is left out for a while that doubles each time, and its card is
 * unreadable; the others are read by the next process at once. A reader that does not even die is
 * left behind, and its step stays out for as long: there is never more than one for each. */
#ifndef RBEE_SUPERVISOR_GPU_READER_H
#define RBEE_SUPERVISOR_GPU_READER_H

#include "common/err.h"
#include "supervisor/gpu/gpu.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct event;
struct supervisor;
struct reader_process;

enum {
    READER_WATCHED_MS = 1000,
    READER_USED_MS = 5000,
    READER_QUIET_MS = 15000,
    READER_WATCHED_FOR_MS = 10000, /* after a question */
    READER_WALK_MS = 5000, /* processes are looked for no more often: that costs most of a round */
    /* NVML takes seconds to wake up a server's cards. */
    READER_STEP_MS = 10000,
    READER_LOOK_MS = 60000,        /* for a driver that has been loaded */
    READER_LOOK_AGAIN_MS = 600000, /* for a card, where there is a driver */
    READER_SKIP_FIRST_MS = 30000,  /* a step is left out */
    READER_SKIP_MAX_MS = 1800000,
    READER_SKIP_MAX_COUNT = GPU_MAX_COUNT + 1, /* and the walk through processes */
    READER_RETRY_FIRST_MS = 1000, /* it could not be started, or died for no step's sake */
    READER_RETRY_MAX_MS = 600000,
};

/* A step that is left out. */
struct reader_skip {
    char step[GPU_PCI_BYTES];
    int64_t delay_ms;
    int64_t until_ms;
    struct reader_process *stuck; /* was killed in it and is not gone; NULL: none */
};

enum reader_state { READER_OFF, READER_RESTING, READER_READING };

TAILQ_HEAD(reader_process_list, reader_process);
struct gpu_waiter;
TAILQ_HEAD(gpu_waiter_list, gpu_waiter);

struct reader {
    struct supervisor *supervisor;
    struct gpu_table table;
    enum reader_state state;
    struct event *timer;            /* of the state: a look, a round, the limit of a step */
    struct reader_process *process; /* NULL: none */
    struct reader_process_list left_behind;
    /* One of these that was killed before it had named a step: until it is gone, none is started.
     */
    struct reader_process *stuck_at_start;
    char step[GPU_PCI_BYTES]; /* READING: what it is in; "" */
    struct reader_skip skips[READER_SKIP_MAX_COUNT];
    size_t skip_count;
    int64_t round_ms;   /* when the last round began */
    int64_t walk_ms;    /* the last one that looked for processes; 0: this process has not */
    int64_t asked_ms;   /* when somebody looked last */
    int64_t retry_ms;   /* the last delay of a process that was of no use; 0: it was */
    bool has_looked;    /* what there is is known: the first round is over, or there is none */
    struct err failure; /* why nothing is read */
    struct gpu_waiter_list waiters; /* calls that came before that */
};

/* Before anything else of it. */
void reader_init(struct reader *reader);
void reader_start(struct reader *reader, struct supervisor *supervisor);
/* Kills what is left, without waiting for what does not die. Accepts one that was never started. */
void reader_release(struct reader *reader);

/* Why GPUs are not read at all; NULL: they are, or there is none. The caller frees it. */
char *reader_warning(const struct reader *reader);

/* Somebody looks: rounds come faster for a while. */
void reader_asked(struct reader *reader);

#endif
