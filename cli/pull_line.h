/* The one line that says how far a download is, as wide as there is room. Pure. */
#ifndef RBEE_CLI_PULL_LINE_H
#define RBEE_CLI_PULL_LINE_H

#include <stdint.h>

enum {
    PULL_LINE_MAX_BYTES = 512,
    PULL_LINE_NAME_MAX_BYTES = 64, /* what is longer is cut: it is on stdout in the end */
};

struct pull_line {
    const char *what; /* "check" or the like in front; "": the file is coming */
    const char *file;
    int64_t done_bytes;
    int64_t total_bytes; /* 0 or less: not known */
    int64_t bytes_per_second;
};

/* At most COLUMNS wide. What does not fit goes, the least wanted first: the file, the sizes, the
 * bar, the rate, the time that is left. */
void pull_line_format(const struct pull_line *line, unsigned columns,
                      char out[PULL_LINE_MAX_BYTES]);

#endif
