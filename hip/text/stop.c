/* Owns the search for stop strings. Must not know tokens. */
#include "hip/text/stop.h"

#include "common/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void stop_set_init(struct stop_set *set, const char *const *stops, size_t count)
{
    memset(set, 0, sizeof(*set));
    set->texts = xcalloc(count + 1, sizeof(*set->texts)); /* never 0 elements */
    set->lens = xcalloc(count + 1, sizeof(*set->lens));
    set->count = count;
    for (size_t i = 0; i < count; i++) {
        assert(stops[i][0] != '\0'); /* inference_parse refuses an empty one */
        set->texts[i] = xstrdup(stops[i]);
        set->lens[i] = strlen(stops[i]);
    }
}

void stop_set_release(struct stop_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        free(set->texts[i]);
    free(set->texts);
    free(set->lens);
    memset(set, 0, sizeof(*set));
}

/* Length of the longest stop string that ends where TEXT does; 0. */
static size_t stop_ending(const struct stop_set *set, const char *text, size_t len)
{
    size_t longest = 0;

    for (size_t i = 0; i < set->count; i++) {
        size_t stop_len = set->lens[i];

        if (stop_len <= len && stop_len > longest &&
            memcmp(text + len - stop_len, set->texts[i], stop_len) == 0)
            longest = stop_len;
    }
    return longest;
}

bool stop_find(const struct stop_set *set, const char *text, size_t len, size_t from,
               size_t *out_at)
{
    for (size_t end = from + 1; end <= len; end++) {
        size_t stop_len = stop_ending(set, text, end);

        if (stop_len > 0) {
            *out_at = end - stop_len;
            return true;
        }
    }
    return false;
}

size_t stop_held_len(const struct stop_set *set, const char *text, size_t len)
{
    size_t held = 0;

    for (size_t i = 0; i < set->count; i++) {
        size_t most = set->lens[i] - 1 < len ? set->lens[i] - 1 : len;

        for (size_t part = most; part > held; part--) {
            if (memcmp(text + len - part, set->texts[i], part) == 0)
                held = part;
        }
    }
    return held;
}
