/* What rbee-fetch says to rbeed: one JSON object a line on stdout.
 *
 *   {"type":"chosen","file","why","files":N,"total_bytes":N,"path"}   what is fetched, and its name
 * to be
 *   {"type":"progress","phase":"download"|"check","done_bytes","total_bytes","bytes_per_second"}
 *   {"type":"note","message"}                                         a hitch that is being dealt
 * with
 *   {"type":"fetched","path"}       complete, and what is known of it agrees: it may be looked at
 * there
 *   {"type":"done", …}              the end, as pull.h and verify.h have it
 *   {"type":"error", …}             the end, as json_error_event() has it
 */
#ifndef RBEE_FETCH_TELL_H
#define RBEE_FETCH_TELL_H

#include "common/attr.h"
#include "common/err.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

enum { TELL_SAMPLE_COUNT = 32 };

/* Where a phase was, for the rate. */
struct tell_sample {
    uint64_t at_ms;
    int64_t done_bytes;
};

struct tell {
    const char *phase; /* NULL: none yet */
    struct tell_sample samples[TELL_SAMPLE_COUNT];
    size_t sample_count;
    uint64_t told_ms;
};

/* Takes VALUE over. A reader that is gone ends the process: nobody is left to work for. */
void tell_line(json_t *value);
void tell_note(const char *format, ...) PRINTF_LIKE(1, 2);
void tell_error(const struct err *err);
/* PHASE is a constant. Told five times a second at most, and when DONE_BYTES are all. */
void tell_progress(struct tell *tell, const char *phase, int64_t done_bytes, int64_t total_bytes);

#endif
