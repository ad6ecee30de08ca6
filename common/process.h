/* Processes that are not our children, as /proc shows them. An instance is the id that rbeed gives
 * each worker process: an argument of its command line, and a variable of its environment, which
 * its children inherit. It cannot be guessed, so who carries it belongs to that worker. */
#ifndef RBEE_COMMON_PROCESS_H
#define RBEE_COMMON_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROCESS_INSTANCE_VARIABLE "RBEE_INSTANCE"
enum { PROCESS_INSTANCE_MAX_BYTES = 64 }; /* more than any of ours has */

/* Sends to the whole group of a pidfd's process, also when that process, its leader, is gone. From
 * Linux 6.9 on; older kernels refuse it with EINVAL. */
#ifndef PIDFD_SIGNAL_PROCESS_GROUP
#define PIDFD_SIGNAL_PROCESS_GROUP (1U << 2)
#endif

struct process_facts {
    pid_t group_id;
    uint64_t start_ticks; /* field 22 of /proc/PID/stat: with the pid and the boot it names one
                             process */
};

/* -1: there is no such process. */
int process_look(pid_t pid, struct process_facts *out);
/* 0: there is no such process. */
uint64_t process_start_ticks(pid_t pid);
/* Whether one of the arguments of PID is TEXT. */
bool process_has_argument(pid_t pid, const char *text);
/* PID is there and shows no environment at all: its program is just being loaded (the kernel lets
 * go of who started it before there is any), or it has ended and is not reaped, or it has none. */
bool process_shows_nothing(pid_t pid);
/* The instance that PID was born with in its environment; false when there is none, or it may not
 * be looked at. */
bool process_read_instance(pid_t pid, char out[PROCESS_INSTANCE_MAX_BYTES]);
bool process_has_instance(pid_t pid, const char *instance);

/* Whether the process is one to be ended. PID is held while this is asked: what it is told to end
 * is what it has looked at, or nothing. */
typedef bool process_match(void *owner, pid_t pid);

/* Kills the processes of our user, ourselves excepted, for which IS_OURS says so, and waits until
 * they are gone; those that they have made meanwhile, too. False: not all were within LIMIT_MS. */
bool process_end_all(process_match *is_ours, void *owner, uint64_t limit_ms);
/* Whether the process of PIDFD has ended, or does until ENDS_MS of the monotonic clock. */
bool process_await(int pidfd, uint64_t ends_ms);

#endif
