/* What would keep this machine from working, each with what mends it: a table of checks
 * (doctor_checks.def), each a function that looks and says what it has found.
 *
 * A finding is OK, a WARNING (it works, but not as it could, or not for ever) or a PROBLEM. What
 * the kernel shows (/dev, /proc, /sys) is looked at below a root of the caller's choice, so that a
 * test can make a machine up. Nothing is changed, nobody is needed, and nothing is started but,
 * where there is a GPU, `rbee-worker --devices`, which has a time limit. */
#ifndef RBEE_CLI_DOCTOR_H
#define RBEE_CLI_DOCTOR_H

#include "common/attr.h"
#include "common/buf.h"

#include <jansson.h>
#include <stdbool.h>

struct cli;
struct config;

enum doctor_level { DOCTOR_OK, DOCTOR_WARNING, DOCTOR_PROBLEM };

struct doctor {
    struct cli *cli;
    const char *root;      /* "" or a folder in front of /dev, /proc, /sys, /etc and /var */
    struct config *config; /* the defaults where the files do not parse */
    const char *check;     /* that is running */
    json_t *findings;      /* [{"check", "level", "message", "fix"}] */
    enum doctor_level worst;
};

#define CHECK(name, function) void function(struct doctor *doctor);
#include "cli/doctor_checks.def"
#undef CHECK

/* ROOT as above, NULL: this machine. */
void doctor_init(struct doctor *doctor, struct cli *cli, const char *root);
void doctor_release(struct doctor *doctor);
/* Runs all checks. */
void doctor_run(struct doctor *doctor);
/* {"state", "checks"}; the caller owns it. */
json_t *doctor_report(const struct doctor *doctor);
const char *doctor_level_name(enum doctor_level level);

/* ---- for checks ---- */

/* FIX: the command or the words that mend it, NULL for none. */
void doctor_say(struct doctor *doctor, enum doctor_level level, const char *fix, const char *format,
                ...) PRINTF_LIKE(4, 5);
/* PATH below the root; the caller frees it. */
char *doctor_path(const struct doctor *doctor, const char *path);
/* There is a card of a maker that models may run on, or the nodes of its driver. */
bool doctor_has_gpu(const struct doctor *doctor);
/* The cards of such makers. */
size_t doctor_card_count(const struct doctor *doctor);
bool doctor_exists(const struct doctor *doctor, const char *path);
/* Appends the file; false, and nothing said, where it cannot be read. */
bool doctor_read(const struct doctor *doctor, const char *path, struct buf *out);

#endif
