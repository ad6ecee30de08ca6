/* Owns the form of a split model's names. Touches no file. */
#include "common/split_name.h"

#include "common/mem.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

enum {
    SPLIT_DIGITS = 5,
    /* "-00001-of-00003.gguf" */
    SPLIT_TAIL_BYTES = 1 + SPLIT_DIGITS + 4 + SPLIT_DIGITS + (int)sizeof(GGUF_SUFFIX) - 1,
};

static bool read_digits(const char *text, unsigned *out)
{
    unsigned number = 0;

    for (int i = 0; i < SPLIT_DIGITS; i++) {
        if (!isdigit((unsigned char)text[i]))
            return false;
        number = number * 10 + (unsigned)(text[i] - '0');
    }
    *out = number;
    return true;
}

bool split_name_is_gguf(const char *name)
{
    size_t len = strlen(name);

    return len > strlen(GGUF_SUFFIX) &&
           strcasecmp(name + len - strlen(GGUF_SUFFIX), GGUF_SUFFIX) == 0;
}

bool split_name_read(const char *name, struct split_name *out)
{
    size_t len = strlen(name);
    const char *tail = name + len - SPLIT_TAIL_BYTES;
    struct split_name split;

    if (len <= SPLIT_TAIL_BYTES || !split_name_is_gguf(name) || tail[0] != '-' ||
        !read_digits(tail + 1, &split.index) || strncmp(tail + 1 + SPLIT_DIGITS, "-of-", 4) != 0 ||
        !read_digits(tail + 1 + SPLIT_DIGITS + 4, &split.count))
        return false;
    if (split.index < 1 || split.index > split.count || split.count > SPLIT_NAME_COUNT_MAX)
        return false;
    split.stem_len = len - SPLIT_TAIL_BYTES;
    *out = split;
    return true;
}

char *split_name_of(const char *name, const struct split_name *split, unsigned index)
{
    /* The type keeps the case that it has. */
    return xasprintf("%.*s-%05u-of-%05u%s", (int)split->stem_len, name, index, split->count,
                     name + strlen(name) - strlen(GGUF_SUFFIX));
}
