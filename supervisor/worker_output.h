/* What a worker writes to stdout and stderr: line by line to its log file, the last lines kept for
 * whoever asks why it died. */
#ifndef RBEE_SUPERVISOR_WORKER_OUTPUT_H
#define RBEE_SUPERVISOR_WORKER_OUTPUT_H

#include "common/buf.h"
#include "common/err.h"
#include "supervisor/log_file.h"

#include <jansson.h>

struct event;
struct event_base;

enum {
    WORKER_OUTPUT_KEEP_COUNT = 20,           /* lines that a record and an event show */
    WORKER_OUTPUT_SHOWN_MAX_BYTES = 1 << 10, /* of each of them */
    WORKER_OUTPUT_LINE_MAX_BYTES = 8 << 10,  /* a longer line is cut into several */
};

struct worker_output {
    struct log_file file;
    int fd; /* read end of the worker's stdout and stderr; -1: none */
    struct event *event;
    struct buf line; /* the one that has begun */
    char *kept[WORKER_OUTPUT_KEEP_COUNT];
    size_t kept_next; /* where the next goes; the oldest when all are full */
};

/* Takes over LOG_PATH, allocated. */
void worker_output_init(struct worker_output *output, char *log_path);
void worker_output_release(struct worker_output *output);
/* Begins a new process: forgets the kept lines and makes the pipe. *out_fd is the end for the
 * worker; the caller closes it after the spawn. */
int worker_output_open(struct worker_output *output, struct event_base *base, int *out_fd,
                       struct err *err);
/* The process is gone: reads what it left and closes. */
void worker_output_close(struct worker_output *output);
/* The reason of its `fatal` line, or the last line that is no news of all being well; "" when there
 * is none. Borrowed until the next line comes. */
const char *worker_output_last_words(const struct worker_output *output);
/* The kept lines, the oldest first; a new reference. */
json_t *worker_output_lines(const struct worker_output *output);
/* CLASS of its line "fatal class=CLASS reason=..."; "" when it wrote none, or one that is longer.
 */
void worker_output_fatal_class(const struct worker_output *output, char *out, size_t size);
/* NAME of its line "fatal class=CLASS device=NAME reason=...", which is so of one that runs on two;
 * "" as above. */
void worker_output_fatal_device(const struct worker_output *output, char *out, size_t size);
/* The part of LINE after "fatal class=... reason="; NULL when it is no such line. */
const char *worker_output_fatal_reason(const char *line);

#endif
