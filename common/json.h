/* What jansson leaves to its user: limits before parsing, and fields read with errors that name
 * the field, its constraint and the value. */
#ifndef RBEE_COMMON_JSON_H
#define RBEE_COMMON_JSON_H

#include "common/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    JSON_DEPTH_MAX = 64,
    /* Ten times what the largest of our own messages has. A value takes about 100 bytes. */
    JSON_VALUE_MAX_COUNT = 100000,
};

/* Once, at the start of a program: where memory is gone inside jansson, it ends as xmalloc() ends
 * it (mem.h). jansson itself does not survive that everywhere. */
void json_init(void);

static inline void json_release(json_t **json)
{
    json_decref(*json);
}
#define AUTO_JSON __attribute__((cleanup(json_release)))

/* Parses one JSON value. Before the parser sees a byte: length against MAX_BYTES
 * (ERR_BODY_TOO_LARGE), UTF-8 (ERR_INVALID_UTF8), nesting against JSON_DEPTH_MAX
 * and values against JSON_VALUE_MAX_COUNT (ERR_INVALID_JSON). Duplicate keys, NaN, \u0000 and
 * trailing text are refused. The caller owns the result; NULL on failure. */
json_t *json_parse(const char *text, size_t len, size_t max_bytes, struct err *err);

/* No fewer values than TEXT has, as json_parse() counts them. */
size_t json_count_values(const char *text, size_t len);
/* Compact text, keys in the order they were set; the caller frees it. Never NULL. JSON is not NULL:
 * a value that could not be made (text that is not UTF-8) must not reach the wire as null. */
char *json_to_text(const json_t *json);

/* Field readers. A missing or null field leaves *out alone and returns 0; one of another type or
 * out of range, or text with a NUL, is ERR_INVALID_FIELD ("temperature must be a number from 0 to
 * 100, not \"hot\""). Text is borrowed from OBJECT. */
int json_read_text(const json_t *object, const char *field, const char **out, struct err *err);
int json_read_bool(const json_t *object, const char *field, bool *out, struct err *err);
int json_read_integer(const json_t *object, const char *field, int64_t min, int64_t max,
                      int64_t *out, struct err *err);
int json_read_number(const json_t *object, const char *field, double min, double max, double *out,
                     struct err *err);

/* The text of FIELD, borrowed; "" when it is missing, null or no text. For what is only shown. */
const char *json_shown_text(const json_t *object, const char *field);

/* Text as a JSON string; bytes that are not UTF-8, and NUL, become U+FFFD (a label must not be lost
 * because of one bad byte, and json_parse at the other end refuses NUL). */
json_t *json_text_lossy(const char *text, size_t len);
/* The same of a text that may be missing: null for "" and for NULL. */
json_t *json_text_or_null(const char *text);

/* {"error":{"code","type","message","details":{},"retry_after_ms","request_id"}}, where type is
 * what OpenAI clients look at, and retry_after_ms is there when ERR says one; the envelope of every
 * failed reply and of --json on stdout. REQUEST_ID may be NULL; DETAILS may be NULL (borrowed). */
json_t *json_error_envelope(const struct err *err, const char *request_id, const json_t *details);
/* {"type":"error","code","message","details","retry_after_ms","request_id"}: the same as the last
 * event of a stream; details are there when there are any (borrowed). */
json_t *json_error_event(const struct err *err, const char *request_id, const json_t *details);
/* Reads an envelope back; ERR_PROTOCOL when it is none. */
void json_error_from_envelope(const json_t *envelope, struct err *out_err);

#endif
