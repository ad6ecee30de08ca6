/* The parts of a support bundle: files in a folder of our own, each without prompts and secrets. */
#ifndef RBEE_CLI_BUNDLE_H
#define RBEE_CLI_BUNDLE_H

#include "cli/scrub.h"
#include "common/err.h"

#include <jansson.h>
#include <stdbool.h>

struct cli;

struct bundle {
    struct cli *cli;
    struct scrub scrub;
    char *folder;  /* of the files */
    json_t *names; /* of the files, in order */
    bool has_supervisor;
};

#define PART(function, summary) int function(struct bundle *bundle, struct err *err);
#include "cli/bundle_parts.def"
#undef PART

/* FOLDER, which is there and empty, is borrowed. Storage of the caller. */
void bundle_init(struct bundle *bundle, struct cli *cli, char *folder);
void bundle_release(struct bundle *bundle);
/* Makes all parts. A part that cannot be had says so in its file; -1: the disk, or a signal. */
int bundle_fill(struct bundle *bundle, struct err *err);

/* ---- for parts ---- */

/* A file NAME of TEXT, scrubbed. */
int bundle_add_text(struct bundle *bundle, const char *name, const char *text, size_t len,
                    struct err *err);
int bundle_add_json(struct bundle *bundle, const char *name, const json_t *value, struct err *err);

#endif
