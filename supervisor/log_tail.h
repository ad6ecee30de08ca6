/* Reading log files that turn over (log_file.h) while they are written: the last lines, and then
 * what comes, each line once. */
#ifndef RBEE_SUPERVISOR_LOG_TAIL_H
#define RBEE_SUPERVISOR_LOG_TAIL_H

#include "common/buf.h"
#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LOG_TAIL_MAX_BYTES = 1 << 20, /* of the past, over all files: read in one piece in the loop */
    LOG_TAIL_CHUNK_BYTES = 32 << 10,
};

/* A place in a log, behind what has been read of it. */
struct log_tail {
    char *path;
    int fd; /* of the file that is read, whatever its name is by now; -1: there is none yet */
    int64_t offset;
};

/* PATH is copied. Nothing is opened yet. */
void log_tail_init(struct log_tail *tail, const char *path);
void log_tail_release(struct log_tail *tail);
/* Appends what there is of the newest LINE_COUNT lines, the oldest first, and goes behind them.
 * *out_is_cut: there are more, but LOG_TAIL_MAX_BYTES are enough. */
int log_tail_last(struct log_tail *tail, size_t line_count, struct buf *out, bool *out_is_cut,
                  struct err *err);
/* Appends whole lines that have come since, LOG_TAIL_CHUNK_BYTES at most. *out_has_gap: lines
 * before them are gone, because the log has turned over more often than it keeps. 1, or 0: nothing
 * is new.
 */
int log_tail_next(struct log_tail *tail, struct buf *out, bool *out_has_gap, struct err *err);

#endif
