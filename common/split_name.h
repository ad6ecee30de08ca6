/* Names of the files of a split model: "STEM-00002-of-00003.gguf" is the second of three. Pure. */
#ifndef RBEE_COMMON_SPLIT_NAME_H
#define RBEE_COMMON_SPLIT_NAME_H

#include <stdbool.h>
#include <stddef.h>

enum { SPLIT_NAME_COUNT_MAX = 256 }; /* the largest models there are have a tenth of that */

struct split_name {
    size_t stem_len;
    unsigned index; /* from 1 */
    unsigned count;
};

#define GGUF_SUFFIX ".gguf"

/* Whether NAME ends in GGUF_SUFFIX, in whatever case, and has something before it. */
bool split_name_is_gguf(const char *name);
/* NAME may have folders before it. */
bool split_name_read(const char *name, struct split_name *out);
/* The name of part INDEX of the model that NAME is a part of; the caller frees it. */
char *split_name_of(const char *name, const struct split_name *split, unsigned index);

#endif
