/* Where the answer goes: stdout, or with -o a file that is replaced when all of it is there.
 *
 * A reader that went away (EPIPE) is no failure to be told: interrupt.signal becomes SIGPIPE, and
 * main() ends the process quietly by it. A signal that comes while the reader is slow ends the wait
 * too. Both are ERR_CANCELLED; everything else is ERR_OUTPUT. */
#ifndef RBEE_CLI_OUTPUT_H
#define RBEE_CLI_OUTPUT_H

#include "cli/args.h"
#include "common/buf.h"
#include "common/err.h"
#include "common/io.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct cli;
struct interrupt;

struct output {
    struct interrupt *interrupt;
    int fd; /* borrowed: stdout's, or the file's */
    bool is_terminal;
    bool ends_in_line; /* nothing was written yet, or a newline last */
    struct io_atomic file;
};

/* The value of an option that names a file to write; NULL, for stdout, without it and for "-". */
const char *output_path(const struct args *args, enum option_id option);
/* Whether PATH (may be NULL) can be opened; nothing of it stays. */
int output_check(const char *path, struct err *err);
/* PATH NULL: stdout. Storage of the caller, to be released after a failure too. */
int output_open(struct output *output, struct interrupt *interrupt, const char *path,
                struct err *err);
/* Text of a model or another stranger: as it is into a pipe or file, made harmless on a terminal.
 */
int output_text(struct output *output, const char *text, size_t len, struct err *err);
/* One line of JSON. */
int output_json(struct output *output, const json_t *value, struct err *err);
/* A newline where the last byte was none. */
int output_end_line(struct output *output, struct err *err);
/* Ends the line on a terminal, puts a file in its place. */
int output_commit(struct output *output, struct err *err);
/* After a failure: an unfinished line on a terminal is ended, so that the message stands alone. */
void output_break_line(struct output *output);
/* Removes a file that was not committed. */
void output_release(struct output *output);
#define OUTPUT_INIT                                                                                \
    {                                                                                              \
        .file = IO_ATOMIC_INIT                                                                     \
    }
#define AUTO_OUTPUT __attribute__((cleanup(output_release)))

/* Whole answers of commands that have only one, on stdout. */
int output_print(struct cli *cli, const struct buf *text, struct err *err);
int output_print_json(struct cli *cli, const json_t *value, struct err *err);

#endif
