/* Stop strings: where in a growing text one is complete, and how much of its end might still become
 * one. Texts here are valid UTF-8. */
#ifndef RBEE_HIP_TEXT_STOP_H
#define RBEE_HIP_TEXT_STOP_H

#include <stdbool.h>
#include <stddef.h>

struct stop_set {
    char **texts;
    size_t *lens;
    size_t count;
};

/* Copies STOPS, none of which is empty. */
void stop_set_init(struct stop_set *set, const char *const *stops, size_t count);
void stop_set_release(struct stop_set *set);

/* Is a stop string complete in TEXT? The one that ends first counts, and of those that end at one
 * place the longest: what a reader who stops at once would see, however the text came in pieces.
 * The first FROM bytes are known to hold no end of one. *out_at is where it begins. */
bool stop_find(const struct stop_set *set, const char *text, size_t len, size_t from,
               size_t *out_at);
/* How many of the last bytes of TEXT, which holds no complete stop string, begin one. */
size_t stop_held_len(const struct stop_set *set, const char *text, size_t len);

#endif
