/* Owns the measure of how alike two names are. Knows nothing of what is named. */
#include "common/nearest.h"

#include <ctype.h>
#include <string.h>

static unsigned smaller(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static size_t capped_len(const char *text)
{
    return strnlen(text, NEAREST_NAME_MAX_BYTES);
}

/* Restricted Damerau-Levenshtein distance; three rows of the table are alive at a time. */
unsigned nearest_distance(const char *a, const char *b)
{
    unsigned rows[3][NEAREST_NAME_MAX_BYTES + 1];
    size_t a_len = capped_len(a);
    size_t b_len = capped_len(b);

    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a_len; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i - 1) % 3];
        const unsigned *two_above = rows[(i + 1) % 3];

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            int a_char = tolower((unsigned char)a[i - 1]);
            int b_char = tolower((unsigned char)b[j - 1]);

            row[j] = smaller(above[j], row[j - 1]) + 1;
            row[j] = smaller(row[j], above[j - 1] + (a_char != b_char));
            if (i > 1 && j > 1 && a_char == tolower((unsigned char)b[j - 2]) &&
                b_char == tolower((unsigned char)a[i - 2]))
                row[j] = smaller(row[j], two_above[j - 2] + 1);
        }
    }
    return rows[a_len % 3][b_len];
}

bool nearest_is_close(const char *name, const char *candidate)
{
    size_t name_len = capped_len(name);
    size_t candidate_len = capped_len(candidate);
    size_t shorter = name_len < candidate_len ? name_len : candidate_len;
    size_t longer = name_len < candidate_len ? candidate_len : name_len;

    /* One letter begins too many names to be a hint. */
    if (shorter >= 2 && strncasecmp(name, candidate, shorter) == 0)
        return true;
    return nearest_distance(name, candidate) <= (longer + 2) / 3;
}

size_t nearest_find(const char *name, const char *const *candidates, size_t count)
{
    size_t best = count;
    unsigned best_distance = 0;

    for (size_t i = 0; i < count; i++) {
        unsigned distance = nearest_distance(name, candidates[i]);

        if (nearest_is_close(name, candidates[i]) && (best == count || distance < best_distance)) {
            best = i;
            best_distance = distance;
        }
    }
    return best;
}
