/* What the supervisor said last: replies of its API, joined, and never trusted to have the form
 * they should have. Requests and breakers carry fields of the worker they belong to, so that a row
 * of one view can show them:
 *
 *   requests[]  model, device, pid     of the worker that has it
 *   breakers[]  model, pid             of the worker it belongs to
 */
#ifndef RBEE_TUI_SNAPSHOT_H
#define RBEE_TUI_SNAPSHOT_H

#include "common/err.h"

#include <jansson.h>
#include <stdint.h>

enum snapshot_part { SNAPSHOT_STATUS, SNAPSHOT_GPUS, SNAPSHOT_BREAKERS, SNAPSHOT_PART_COUNT };

struct snapshot {
    json_t *parts[SNAPSHOT_PART_COUNT]; /* whole replies; NULL: none yet */
    uint64_t at_ms;                     /* monotonic, of the status; 0: none yet */
};

/* Storage of the caller, zeroed. */
void snapshot_release(struct snapshot *snapshot);
/* The route of PART. */
const char *snapshot_target(enum snapshot_part part);
/* Takes over a reference to REPLY, in any case. ERR_PROTOCOL: it has not the form of that part; the
 * snapshot stays as it was. */
int snapshot_take(struct snapshot *snapshot, enum snapshot_part part, json_t *reply,
                  uint64_t now_ms, struct err *err);
/* The list NAME ("workers", "requests", "gpus", "breakers") of objects, borrowed; NULL: none. */
const json_t *snapshot_rows(const struct snapshot *snapshot, const char *name);
/* The row of a list whose name (or, where it has one, id) is KEY; NULL: there is none. */
const json_t *snapshot_find(const struct snapshot *snapshot, const char *list, const char *key);
/* What such a row is known by. */
const char *snapshot_key(const json_t *row);
/* The sum of a field over all rows that know it. */
double snapshot_sum(const json_t *rows, const char *field);
/* How many rows have VALUE in FIELD. */
size_t snapshot_count(const json_t *rows, const char *field, const char *value);
/* All of it in one object, the caller's: `rbee top --json`. */
json_t *snapshot_to_json(const struct snapshot *snapshot);

#endif
