/* Where things lie in JSON that json_parse() has taken: what goes on as it came is cut out of the
 * text, and not written anew from values. Judges nothing: of other text it only never reads past
 * the end. */
#ifndef RBEE_COMMON_JSON_CUT_H
#define RBEE_COMMON_JSON_CUT_H

#include <stdbool.h>
#include <stddef.h>

struct json_text {
    const char *at;
    size_t len;
};

/* "name": value. */
struct json_member {
    struct json_text name; /* without quotes, as it is written: it may have escapes */
    struct json_text value;
    struct json_text whole;
};

/* The members of an object, one after the other: REST is at first the object's text. False: there
 * is none left. */
bool json_cut_member(struct json_text *rest, struct json_member *out);
/* Whether TEXT is written like this, byte for byte. */
bool json_text_is(const struct json_text *text, const char *written);
/* Whether a JSON string may be written like this, with no escapes but those of one letter: \u has
 * rules of its own. TEXT is UTF-8. */
bool json_string_is_simple(const struct json_text *text);
/* The closing quote of the string whose first byte is at TEXT, or END. */
const char *json_string_end(const char *text, const char *end);

#endif
