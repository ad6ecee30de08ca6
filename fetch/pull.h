/* A whole pull: which files, each downloaded and looked at, and all given their places when rbeed
 * says that they are a model. */
#ifndef RBEE_FETCH_PULL_H
#define RBEE_FETCH_PULL_H

#include "common/err.h"
#include "fetch/job.h"

/* Tells how it goes and, at the end, {"type":"done","path","files":[{"file","size_bytes","sha256",
 * "is_published"}]}; sha256 is "" where the file was there already and nobody tells its sum. */
int pull_run(const struct job *job, struct err *err);

#endif
