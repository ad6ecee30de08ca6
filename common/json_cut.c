/* Owns the finding of members in the text of an object. Knows no values. */
#include "common/json_cut.h"

#include <stdint.h>
#include <string.h>

/* Looks at no byte twice for the same. */
const char *json_string_end(const char *text, const char *end)
{
    const char *quote = memchr(text, '"', (size_t)(end - text));
    const char *escape = NULL;

    while (quote != NULL && (escape = memchr(text, '\\', (size_t)(quote - text))) != NULL) {
        text = escape + 2; /* an escaped byte ends no string */
        if (text > quote)
            quote = memchr(text, '"', (size_t)(end - text));
    }
    return quote == NULL ? end : quote;
}

/* Eight at a time: prompts are looked at here. */
static bool json_has_control_character(const char *text, size_t len)
{
    static const uint64_t ONES = 0x0101010101010101u;
    static const uint64_t HIGH_BITS = 0x8080808080808080u;
    uint64_t eight = 0;

    for (; len >= sizeof(eight); text += sizeof(eight), len -= sizeof(eight)) {
        memcpy(&eight, text, sizeof(eight));
        if (((eight - ONES * ' ') & ~eight & HIGH_BITS) != 0)
            return true;
    }
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] < ' ')
            return true;
    }
    return false;
}

bool json_string_is_simple(const struct json_text *text)
{
    const char *at = text->at;
    const char *end = at + text->len;

    if (json_has_control_character(at, text->len))
        return false;
    while ((at = memchr(at, '\\', (size_t)(end - at))) != NULL) {
        if (at + 1 == end || at[1] == '\0' || strchr("\"\\/bfnrt", at[1]) == NULL)
            return false;
        at += 2;
    }
    return true;
}

static bool json_is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Behind the value at TEXT. */
static const char *json_value_end(const char *text, const char *end)
{
    size_t depth = 0;

    for (; text < end; text++) {
        if (*text == '"') {
            text = json_string_end(text + 1, end);
            if (text == end)
                return end;
        } else if (*text == '[' || *text == '{') {
            depth++;
        } else if (*text == ']' || *text == '}') {
            if (depth == 0)
                return text;
            depth--;
        } else if (depth == 0 && (*text == ',' || json_is_blank(*text))) {
            return text;
        }
    }
    return end;
}

static const char *json_skip(const char *text, const char *end, const char *skipped)
{
    while (text < end && (json_is_blank(*text) || strchr(skipped, *text) != NULL))
        text++;
    return text;
}

bool json_cut_member(struct json_text *rest, struct json_member *out)
{
    const char *end = rest->at + rest->len;
    const char *name = json_skip(rest->at, end, "{,");
    const char *name_end = NULL;
    const char *value = NULL;
    const char *value_end = NULL;

    if (name == end || *name != '"')
        return false;
    name_end = json_string_end(name + 1, end);
    if (name_end == end)
        return false;
    value = json_skip(name_end + 1, end, ":");
    value_end = json_value_end(value, end);
    *out = (struct json_member){
        .name = {name + 1, (size_t)(name_end - name - 1)},
        .value = {value, (size_t)(value_end - value)},
        .whole = {name, (size_t)(value_end - name)},
    };
    *rest = (struct json_text){value_end, (size_t)(end - value_end)};
    return true;
}

bool json_text_is(const struct json_text *text, const char *written)
{
    return strlen(written) == text->len && memcmp(text->at, written, text->len) == 0;
}
