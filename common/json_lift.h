/* jansson reads a string a byte at a time, through several calls for each. A prompt is one long
 * string: it is lifted out of the text before jansson reads that, and put into the value it has
 * made. What is JSON stays jansson's to say; this knows of strings what one must know to find
 * their ends. */
#ifndef RBEE_COMMON_JSON_LIFT_H
#define RBEE_COMMON_JSON_LIFT_H

#include <jansson.h>
#include <stddef.h>

/* TEXT, which is UTF-8 and nested no deeper than JSON_DEPTH_MAX, as json_loadb() reads it with
 * FLAGS; strings of at least MIN_BYTES are lifted. A new reference. NULL: there was none, or the
 * rest is no JSON, and jansson has to say what is wrong with it. */
json_t *json_load_lifted(const char *text, size_t len, size_t min_bytes, size_t flags);

#endif
