/* What can be pulled, as people write it: hf:ORG/REPO, hf:ORG/REPO:QUANT, hf:ORG/REPO/FILE, or an
 * http(s) URL. Pure. */
#ifndef RBEE_SUPERVISOR_PULL_SOURCE_H
#define RBEE_SUPERVISOR_PULL_SOURCE_H

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    PULL_SOURCE_MAX_BYTES = 2048,
    PULL_REPO_MAX_BYTES = 200, /* twice what the hub allows */
    PULL_QUANT_MAX_BYTES = 32,
};

struct pull_source {
    char *text; /* as it was given; two pulls of the same text are one */
    bool is_hub;
    char *repo;  /* "ORG/REPO"; "": it is a URL */
    char *quant; /* "": not given */
    char *file;  /* its path in the repository; "": not given */
    char *shown; /* for records, logs and people: a URL without its query, which may be a secret */
    char *place; /* the folder of its files below that of all models: of no two sources the same,
                    but for those of one repository; two queries of a URL are two sources */
};

/* The caller releases *out; nothing is in it after a failure. ERR_INVALID_FIELD. */
int pull_source_parse(const char *text, struct pull_source *out, struct err *err);
void pull_source_release(struct pull_source *source);

#endif
