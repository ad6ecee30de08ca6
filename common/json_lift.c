/* Owns the lifting of long strings. Must not judge anything but their inside.
 *
 * Why the outcome is jansson's own: a lifted string has neither quote nor control character in it
 * and no escape but those of one letter, so it is as good a string as the empty one that jansson
 * gets in its place. In a text that jansson takes, what lies between quotes here are the strings
 * there, and an object's members keep their order, so counting finds each again. */
#include "common/json_lift.h"

#include "common/buf.h"
#include "common/json_cut.h"
#include "common/mem.h"

#include <stdint.h>
#include <string.h>

enum { LIFT_MAX_COUNT = 64 };

struct lifted {
    size_t index; /* of all strings of the text that are values */
    struct json_text text;
};

struct lift {
    struct lifted strings[LIFT_MAX_COUNT];
    size_t min_bytes;
    size_t count;
    size_t placed_count;
    size_t seen_count; /* strings that are values, in the text and then again among the values */
    struct buf rest;
};

/* ---- out of the text ---- */

static bool lift_is_name(const char *behind, const char *end)
{
    while (behind < end && strchr(" \t\r\n", *behind) != NULL && *behind != '\0')
        behind++;
    return behind < end && *behind == ':';
}

static bool lift_takes(const struct lift *lift, const struct json_text *string)
{
    return string->len >= lift->min_bytes && lift->count < LIFT_MAX_COUNT &&
           json_string_is_simple(string);
}

/* Copies TEXT without the strings that are lifted. -1: no memory. */
static int lift_read(struct lift *lift, const char *text, const char *end)
{
    const char *copied = text; /* up to here */

    for (text = memchr(text, '"', (size_t)(end - text)); text != NULL;
         text = memchr(text, '"', (size_t)(end - text))) {
        const char *quote = json_string_end(text + 1, end);
        struct json_text string = {text + 1, (size_t)(quote - text - 1)};

        if (quote == end)
            break;
        text = quote + 1;
        if (lift_is_name(text, end))
            continue;
        if (lift_takes(lift, &string)) {
            lift->strings[lift->count++] = (struct lifted){lift->seen_count, string};
            if (buf_add(&lift->rest, copied, (size_t)(string.at - copied)) != 0)
                return -1;
            copied = quote;
        }
        lift->seen_count++;
    }
    return lift->count == 0 ? 0 : buf_add(&lift->rest, copied, (size_t)(end - copied));
}

/* ---- into the values ---- */

/* What the escapes of a simple string stand for; returns the length. */
static size_t lift_unescape(const struct json_text *string, char *out)
{
    static const char LETTERS[] = "bfnrt";
    static const char BYTES[] = "\b\f\n\r\t";
    const char *at = string->at;
    const char *end = at + string->len;
    size_t len = 0;

    while (at < end) {
        const char *escape = memchr(at, '\\', (size_t)(end - at));
        size_t plain_len = (size_t)((escape == NULL ? end : escape) - at);
        const char *letter = NULL;

        memcpy(out + len, at, plain_len);
        len += plain_len;
        at += plain_len;
        if (escape == NULL)
            break;
        letter = strchr(LETTERS, escape[1]);
        out[len++] = letter == NULL ? escape[1] : BYTES[letter - LETTERS];
        at += 2;
    }
    return len;
}

/* 0, or -1: memory is gone, or this is not where the string was. */
static int lift_place(const struct json_text *string, json_t *value)
{
    AUTO_FREE char *text = NULL;

    if (json_string_length(value) != 0)
        return -1;
    if (memchr(string->at, '\\', string->len) == NULL)
        return json_string_setn_nocheck(value, string->at, string->len);
    text = malloc(string->len);
    return text == NULL ? -1 : json_string_setn_nocheck(value, text, lift_unescape(string, text));
}

/* In the order of the text, until all are where they were. */
static int lift_place_all(struct lift *lift, json_t *value)
{
    const char *name = NULL;
    json_t *member = NULL;
    size_t i = 0;
    int rc = 0;

    if (lift->placed_count == lift->count)
        return 0;
    if (json_is_string(value) && lift->seen_count++ == lift->strings[lift->placed_count].index)
        return lift_place(&lift->strings[lift->placed_count++].text, value);
    if (json_is_array(value)) {
        json_array_foreach(value, i, member)
        {
            rc |= lift_place_all(lift, member);
        }
    }
    json_object_foreach(value, name, member)
    {
        rc |= lift_place_all(lift, member);
    }
    return rc;
}

json_t *json_load_lifted(const char *text, size_t len, size_t min_bytes, size_t flags)
{
    struct lift lift; /* of its strings only those that are counted are set */
    json_t *json = NULL;

    if (len <= min_bytes)
        return NULL;
    lift.min_bytes = min_bytes;
    lift.count = lift.placed_count = lift.seen_count = 0;
    buf_init(&lift.rest, SIZE_MAX - 1);
    if (lift_read(&lift, text, text + len) == 0 && lift.count > 0)
        json = json_loadb(lift.rest.data, lift.rest.len, flags, NULL);
    buf_release(&lift.rest);
    lift.seen_count = 0;
    if (json != NULL && (lift_place_all(&lift, json) != 0 || lift.placed_count < lift.count)) {
        json_decref(json);
        json = NULL;
    }
    return json;
}
