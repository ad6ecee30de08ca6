/* A log file with a limit: when it is full it becomes NAME.1, that NAME.2, and a new one begins. */
#ifndef RBEE_SUPERVISOR_LOG_FILE_H
#define RBEE_SUPERVISOR_LOG_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LOG_FILE_MAX_BYTES = 10 << 20,
    LOG_FILE_KEEP_COUNT = 3, /* NAME, NAME.1, NAME.2 */
};

struct log_file {
    char *path;
    int fd; /* -1: not open */
    uint64_t size_bytes;
    bool has_failed; /* the last open or write failed, and that has been logged */
};

/* Takes over PATH, allocated. Opens nothing yet. */
void log_file_init(struct log_file *file, char *path);
void log_file_release(struct log_file *file);
/* Appends. A failure is logged once and costs the text, never the caller. */
void log_file_write(struct log_file *file, const void *data, size_t len);
/* For a file that others write to through a copy of its descriptor: makes it the target of FD, and
 * again whenever it had to be turned over. */
void log_file_redirect(struct log_file *file, int fd);

#endif
