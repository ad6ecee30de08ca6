/* A log of the supervisor on stdout: the last rows of it, all since a time, and with -f what comes,
 * over restarts of the supervisor. */
#ifndef RBEE_CLI_LOG_VIEW_H
#define RBEE_CLI_LOG_VIEW_H

#include "cli/output.h"
#include "common/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct cli;

enum { LOG_VIEW_LINE_MAX_BYTES = 64 << 10 };

struct log_view {
    struct cli *cli;
    const char *path;   /* of the route */
    const char *list;   /* the field of a reply that has the rows */
    const char *filter; /* name of the query that picks rows; its value needs no escape */
    const char *wanted; /* its value; NULL: all rows */
    /* A row as a line for people, without its end. */
    void (*add_line)(struct buf *out, const json_t *row);
    struct output output;
    bool wants_json;
    int64_t since_ms; /* 0: not given */
    int64_t count;    /* the last so many; -1: all, since since_ms */
    int64_t last_seq; /* -1: none was shown yet */
};

/* The options --since and COUNT: how many without them. */
int log_view_read_options(struct log_view *view, int64_t default_count, struct err *err);
/* Connects and prints; with -f until a signal. Returns the exit code, or -1. */
int log_view_run(struct log_view *view, struct err *err);

#endif
