/* What rbee-fetch is asked to do: one line of JSON on stdin, at most JOB_MAX_BYTES. Who asks is
 * rbeed, which has checked it; it is checked again where it would hurt.
 *
 *   {"kind":"hub","endpoint","repo","quant","file","folder","token_file","token_is_optional",
 *    "stall_ms","retries","retry_base_ms"}
 *   {"kind":"url","endpoint","url","folder", …}          the same for one file
 *   {"kind":"verify","path","files":[{"file","size_bytes","sha256"}]}      [] when none is known
 *
 * After "fetched" another line is waited for: "commit", or "discard"; the end of stdin is neither.
 */
#ifndef RBEE_FETCH_JOB_H
#define RBEE_FETCH_JOB_H

#include "common/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum { JOB_MAX_BYTES = 256 << 10 };

struct job {
    json_t *json; /* all texts are borrowed from it; "" where there is none */
    const char *kind;
    const char *endpoint; /* without a slash at its end */
    const char *repo;
    const char *quant;
    const char *file;
    const char *url;
    const char *folder; /* absolute */
    const char *path;   /* likewise */
    const char *token_file;
    bool token_is_optional; /* nobody has named it: one that cannot be used is none */
    int64_t stall_ms;
    int64_t retries;
    int64_t retry_base_ms;
    const json_t *files;
};

/* Reads one line of stdin. The caller releases *out, after a failure too. */
int job_read(struct job *out, struct err *err);
void job_release(struct job *job);
/* The next line; JOB_END when there is none, or it is unknown. */
enum job_answer { JOB_GO, JOB_COMMIT, JOB_DISCARD, JOB_END };
enum job_answer job_read_answer(void);

#endif
