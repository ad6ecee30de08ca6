/* "Did you mean": which of a list of names lies nearest to a mistyped one. Pure functions. */
#ifndef RBEE_COMMON_NEAREST_H
#define RBEE_COMMON_NEAREST_H

#include <stdbool.h>
#include <stddef.h>

/* Longer names are compared by their first so many bytes. */
enum { NEAREST_NAME_MAX_BYTES = 64 };

/* Edits (insert, remove, change, swap of neighbours) between two names, upper and lower case alike.
 */
unsigned nearest_distance(const char *a, const char *b);
/* Whether CANDIDATE is near enough to NAME to be worth a mention: a third of the letters differ at
 * most, or one name begins with the other. */
bool nearest_is_close(const char *name, const char *candidate);
/* Index of the closest of CANDIDATES; COUNT when none is close. */
size_t nearest_find(const char *name, const char *const *candidates, size_t count);

#endif
