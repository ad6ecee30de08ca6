/* What must not leave the machine, taken out of texts that do: secrets that we know, what looks
 * like one, and where people's folders lie. */
#ifndef RBEE_CLI_SCRUB_H
#define RBEE_CLI_SCRUB_H

#include "common/buf.h"

#include <jansson.h>
#include <stddef.h>

struct scrub_rule; /* a text, and what stands for it */

struct scrub {
    struct scrub_rule *rules;
    size_t count;
};

/* The home folder, and the secrets of our and others' environment variables. Storage of the caller.
 */
void scrub_init(struct scrub *scrub);
void scrub_release(struct scrub *scrub);
/* From now on TEXT (copied, wiped at the end) becomes INSTEAD (borrowed). Too short a text is
 * passed over: it would be found everywhere. */
void scrub_hide(struct scrub *scrub, const char *text, const char *instead);
/* Appends TEXT without all that. -1: OUT is full. */
int scrub_text(const struct scrub *scrub, const char *text, size_t len, struct buf *out);

/* Takes out of JSON, at any depth, what may be quoted of a worker's own output: it can hold
 * prompts. Of workers of ours their last words stay ("fatal class=..."), which hold none. */
void scrub_quotes(json_t *value);
/* The same for a line of the log: its event and its fields stay, but for those that quote. Appends
 * it. */
void scrub_log_line(const char *line, size_t len, struct buf *out);

#endif
