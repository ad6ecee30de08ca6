/* Owns the order of tokens that wait to be told, and whose each byte of the text is. Must not know
 * who reads it. */
#include "hip/engine/untold.h"

#include "common/inference.h"
#include "common/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static_assert((int)LOGPROBS_TOP_MAX_COUNT >= (int)INFERENCE_LOGPROBS_MAX, "what may be asked for");

struct untold_place {
    uint64_t end;
    bool is_whole;
    uint32_t count; /* of its log-probabilities */
    struct logprob logprobs[1 + LOGPROBS_TOP_MAX_COUNT];
};

struct untold {
    struct logprobs *logprobs;
    uint64_t told; /* bytes of the text whose tokens have been told */
    struct untold_place *places;
    uint32_t capacity;
    uint32_t first; /* the oldest */
    uint32_t count; /* that wait */
};

struct untold *untold_new(uint32_t top_count, uint32_t vocab_count)
{
    struct untold *untold = xcalloc(1, sizeof(*untold));

    untold->logprobs = logprobs_new(top_count, vocab_count);
    return untold;
}

void untold_free(struct untold *untold)
{
    if (untold == NULL)
        return;
    logprobs_free(untold->logprobs);
    free(untold->places);
    free(untold);
}

void untold_keep(struct untold *untold, const float *logits)
{
    logprobs_keep(untold->logprobs, logits);
}

/* Room behind the last place: what has been told makes way when it is half of them, so that each is
 * moved once at most on the average, and there are never more than four times those in use. */
static void untold_make_room(struct untold *untold)
{
    if (untold->first + untold->count < untold->capacity)
        return;
    if (untold->first > 0 && untold->first >= untold->count) {
        memmove(untold->places, untold->places + untold->first,
                untold->count * sizeof(*untold->places));
        untold->first = 0;
        return;
    }
    untold->capacity = untold->capacity == 0 ? 1 : 2 * untold->capacity;
    untold->places = xreallocarray(untold->places, untold->capacity, sizeof(*untold->places));
}

/* What the token before left of a character has turned out to be none: it is that token's. */
static void untold_end_last(struct untold *untold, uint64_t end)
{
    struct untold_place *last = NULL;

    if (untold->count == 0)
        return;
    last = &untold->places[untold->first + untold->count - 1];
    if (last->end == end)
        return;
    last->end = end;
    last->is_whole = true;
}

int untold_add(struct untold *untold, uint32_t token, const struct text_extent *extent,
               struct err *err)
{
    struct untold_place *place = NULL;

    if (untold->count == UNTOLD_MAX_COUNT)
        return err_set(err, ERR_NO_MEMORY, "more than %d tokens wait for the end of a stop string",
                       UNTOLD_MAX_COUNT);
    untold_end_last(untold, extent->begin);
    untold_make_room(untold);
    place = &untold->places[untold->first + untold->count++];
    place->end = extent->end;
    place->is_whole = extent->is_whole;
    place->count = logprobs_read(untold->logprobs, token, place->logprobs);
    return 0;
}

/* All of its text is shown; at the end of a text, some of it. */
static bool untold_is_shown(const struct untold *untold, const struct untold_place *place,
                            uint64_t shown, enum untold_until until)
{
    uint64_t needed = place->is_whole ? place->end : place->end + 1;

    return until == UNTOLD_ENDED || needed <= shown ||
           (until == UNTOLD_STOPPED && untold->told < shown);
}

bool untold_next(struct untold *untold, size_t shown_len, enum untold_until until,
                 struct untold_token *out)
{
    const struct untold_place *place = NULL;
    uint64_t shown = untold->told + shown_len;
    uint64_t end = 0;

    if (untold->count == 0)
        return false;
    place = &untold->places[untold->first];
    if (!untold_is_shown(untold, place, shown, until))
        return false;
    untold->first++;
    untold->count--;
    /* What is left of a character becomes visible at the end, and is the last token's. */
    end = place->end > shown || (until == UNTOLD_ENDED && untold->count == 0) ? shown : place->end;
    assert(end >= untold->told);
    *out = (struct untold_token){.logprobs = place->logprobs,
                                 .count = place->count,
                                 .text_len = (size_t)(end - untold->told)};
    untold->told = end;
    return true;
}
