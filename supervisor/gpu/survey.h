/* Which GPUs models can run on: asked of `rbee-worker --devices`, because only a worker calls the
 * drivers' libraries, and one that hangs there hangs a process that nobody needs. What it told is
 * kept in the table of GPUs (gpu.h).
 *
 *   PENDING  it is being asked
 *   KNOWN    it has answered
 *   FAILED   it could not be asked, hung, or spoke nonsense; it is asked again after a while,
 *            twice as long each time
 *
 * It is asked when the first start wants a GPU, and anew for the next start after a GPU has failed
 * or rbee-gpu has seen another set of cards. What it refuses is asked again after a while, and
 * whenever a person asks: drivers come up late, and permissions are given. Who waits for a GPU that
 * is missed (one that was usable before, say) asks again as after a failure. */
#ifndef RBEE_SUPERVISOR_GPU_SURVEY_H
#define RBEE_SUPERVISOR_GPU_SURVEY_H

#include "common/err.h"
#include "supervisor/gpu/ability.h"
#include "supervisor/inquiry.h"

#include <stdbool.h>
#include <stdint.h>

struct supervisor;

enum {
    SURVEY_RETRY_FIRST_MS = 10000,
    SURVEY_RETRY_MAX_MS = 600000,
    SURVEY_REFUSAL_KEEP_MS = 10000, /* a GPU that was not there or not usable is looked for again */
};

enum survey_state { SURVEY_PENDING, SURVEY_KNOWN, SURVEY_FAILED };

/* A GPU that was usable once. */
struct survey_seen {
    char pci[GPU_PCI_BYTES];
    char uuid[GPU_TEXT_BYTES];
    size_t index; /* its number then */
};

struct survey {
    struct supervisor *supervisor;
    struct inquiry *inquiry;  /* NULL: none is under way */
    struct inquiry_kind kind; /* with the limit of the last one */
    bool has_answered;
    bool is_old;      /* asked anew before the next start */
    bool is_insisted; /* a person asks: no refusal of before holds */
    int64_t ended_ms; /* the last one */
    int64_t retry_ms; /* the last delay after a failure; 0: it was none */
    bool is_missed;   /* a GPU, by somebody who waits for the next answer */
    int64_t miss_ms;  /* the delay until then; 0: there was none yet */
    struct survey_seen seen[GPU_MAX_COUNT];
    size_t seen_count;
    struct err failure;            /* of the last one; not set: it has answered */
    char reason[GPU_REASON_BYTES]; /* why there is no GPU at all; "" */
    uint64_t cards; /* change_count of the table of GPUs when it was looked at last */
    bool knows_cards;
};

/* Begins one where it must. *out_until_ms, when it may be asked again, is set for FAILED. */
enum survey_state survey_ask(struct supervisor *supervisor, int64_t *out_until_ms);
/* Without beginning one: what was told last holds for what is only shown. */
bool survey_has_answered(const struct supervisor *supervisor);
/* Whether what the last one refused may still be refused without asking again. */
bool survey_refusal_holds(const struct supervisor *supervisor);
/* A GPU has failed, or a refusal is too old: the next start asks again. */
void survey_outdate(struct supervisor *supervisor);
void survey_insist(struct supervisor *supervisor);
/* Whether a GPU of that name was usable in an answer before; "gpu": any. */
bool survey_has_seen(const struct supervisor *supervisor, const char *name);
/* Somebody waits for a GPU that the last answer did not have. Returns when to ask again. */
int64_t survey_miss(struct supervisor *supervisor);
/* A round of rbee-gpu is over. */
void survey_look_at_cards(struct supervisor *supervisor);
/* For who only looks: begins the very first one, where that wakes no card. True: it is under way.
 */
bool survey_is_awaited(struct supervisor *supervisor);
/* Why models cannot run on GPU; "" where they can. */
const char *survey_reason(const struct supervisor *supervisor, const struct gpu *gpu);
/* Why it is not known which GPUs there are. */
void survey_explain(const struct supervisor *supervisor, struct err *out);

#endif
