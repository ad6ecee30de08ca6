/* Deadlines of requests: read once from their headers, turned into monotonic time there, and only
 * compared from then on. A wall clock that jumps later changes nothing.
 *
 *   X-Deadline       milliseconds since the Unix epoch, decimal
 *   X-Timeout-Ms     milliseconds from the arrival, decimal; with both the earlier counts
 *   X-Deadline-Left  from the supervisor to a worker: milliseconds left when it was sent */
#ifndef RBEE_COMMON_DEADLINE_H
#define RBEE_COMMON_DEADLINE_H

#include "common/err.h"
#include "common/http/http.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define DEADLINE_HEADER "X-Deadline"
#define DEADLINE_TIMEOUT_HEADER "X-Timeout-Ms"
#define DEADLINE_LEFT_HEADER "X-Deadline-Left"

enum { DEADLINE_NONE_US = 0, DEADLINE_TEXT_BYTES = 24 };

struct deadline {
    uint64_t at_us;  /* monotonic; DEADLINE_NONE_US: none */
    int64_t wall_ms; /* the same for others, as X-Deadline has it: never compared with a clock */
};

/* When a request's head is read. */
struct deadline_clock {
    uint64_t arrived_us; /* monotonic, of its first byte */
    uint64_t now_us;     /* monotonic */
    int64_t wall_ms;     /* at now_us */
};

/* Reads the two headers of a caller; without them *out has none. One that has passed is set and
 * over. ERR_INVALID_DEADLINE: a header that is no such number, that stands twice, or that is more
 * than MAX_MS away (0: no limit). */
int deadline_read(const struct http_head *head, const struct deadline_clock *clock, uint64_t max_ms,
                  struct deadline *out, struct err *err);
/* DEADLINE_LEFT_HEADER, from the arrival; without it *out has none. */
int deadline_read_left(const struct http_head *head, uint64_t arrived_us, struct deadline *out,
                       struct err *err);
/* MS after the arrival: for who said nothing. 0: none. */
struct deadline deadline_after(const struct deadline_clock *clock, uint64_t ms);

static inline bool deadline_is_set(const struct deadline *deadline)
{
    return deadline->at_us != DEADLINE_NONE_US;
}
/* False where there is none. */
bool deadline_is_over(const struct deadline *deadline, uint64_t now_us);
/* 0 when it is over. Of one that is set. */
uint64_t deadline_left_us(const struct deadline *deadline, uint64_t now_us);

/* ---- one that was missed ---- */

enum deadline_phase {
    DEADLINE_ARRIVAL, /* it had passed before there was any work */
    DEADLINE_QUEUE,   /* waiting for a worker, for its turn, or for a restart that is due */
    DEADLINE_LOAD,
    DEADLINE_PREFILL,
    DEADLINE_DECODE,
    DEADLINE_PHASE_COUNT,
};

/* What a request's time went into until it was over. */
struct deadline_spent {
    enum deadline_phase phase; /* in which it ended */
    uint64_t us[DEADLINE_PHASE_COUNT];
};

const char *deadline_phase_name(enum deadline_phase phase);
/* ERR_DEADLINE, with the phase and the times in its message. Returns -1. */
int deadline_fail(const struct deadline_spent *spent, struct err *err);
/* The same, and its details go into the error reply of X, which is still to be made. */
int deadline_refuse(struct http_exchange *x, const struct deadline_spent *spent, struct err *err);
/* {"phase":"prefill","spent_ms":{"queue":0,"load":0,"prefill":250,"decode":0}}: the details of that
 * error. A new reference. */
json_t *deadline_details(const struct deadline_spent *spent);

#endif
