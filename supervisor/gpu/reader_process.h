/* One process of rbee-gpu: its start, its pipes, its end. What it says, and what follows when it is
 * gone, is reader.c's. */
#ifndef RBEE_SUPERVISOR_GPU_READER_PROCESS_H
#define RBEE_SUPERVISOR_GPU_READER_PROCESS_H

#include "common/buf.h"
#include "common/err.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

struct event;
struct event_base;
struct reader;

struct reader_process {
    TAILQ_ENTRY(reader_process) link; /* of those that were left behind */
    struct reader *reader;
    int pidfd;
    int command_fd;
    int lines_fd; /* -1: it is not listened to */
    struct event *exit_event;
    struct event *lines_event;
    struct buf line;
    bool is_left_behind;
};

/* NULL with err when it cannot be started. */
struct reader_process *reader_process_new(struct reader *reader, struct event_base *base,
                                          struct err *err);
void reader_process_free(struct reader_process *process);
int reader_process_ask(struct reader_process *process, const struct buf *command, struct err *err);
/* Nothing of it is heard any more, and the end of its stdin ends it; its end is still seen. */
void reader_process_silence(struct reader_process *process);
void reader_process_kill(const struct reader_process *process);
/* Kills and frees it, without waiting long for what does not die: that is the kernel's to reap. */
void reader_process_end(struct reader_process *process);

/* ---- reader.c's ---- */

/* May silence the process: then the rest is not told. */
void reader_on_line(struct reader *reader, const char *line, size_t len);
/* It has been reaped, and is to be freed. */
void reader_on_exit(struct reader *reader, struct reader_process *process, const siginfo_t *status);

#endif
