/* Whether the files of a model are what they were: their sums, computed anew, beside those that are
 * known. */
#ifndef RBEE_FETCH_VERIFY_H
#define RBEE_FETCH_VERIFY_H

#include "common/err.h"
#include "fetch/job.h"

/* Tells how it goes and, at the end, {"type":"done","is_good","message","files":[{"file",
 * "size_bytes","sha256"}]}, the files as they are now. */
int verify_run(const struct job *job, struct err *err);

#endif
