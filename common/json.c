/* Owns what is asked of JSON before and after jansson: limits, field errors, the error envelope.
 * Must not know what a body means. */
#include "common/json.h"

#include "common/buf.h"
#include "common/json_cut.h"
#include "common/json_lift.h"
#include "common/mem.h"
#include "common/utf8.h"

#include <assert.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    JSON_LIFT_MIN_BYTES = 256,   /* below that it costs what it saves */
    JSON_SHOWN_VALUE_BYTES = 40, /* of a wrong value, in a message */
    HTTP_BAD_REQUEST = 400,
    HTTP_UNAUTHORIZED = 401,
    HTTP_FORBIDDEN = 403,
    HTTP_TOO_MANY_REQUESTS = 429,
    HTTP_INTERNAL_ERROR = 500,
};

#define JSON_RETRY_FIELD "retry_after_ms"

struct json_size {
    size_t depth;  /* deepest nesting of arrays and objects */
    size_t values; /* no fewer than there are: each has a bracket or a comma before it */
};

/* Looks at what is outside strings. The parser is recursive and makes an object of each value: both
 * are counted before it runs. */
static struct json_size json_measure(const char *text, size_t len)
{
    struct json_size size = {.depth = 0, .values = 1};
    const char *end = text + len;
    size_t depth = 0;

    for (; text < end; text++) {
        switch (*text) {
        case '"':
            text = json_string_end(text + 1, end);
            if (text == end)
                return size;
            break;
        case '[':
        case '{':
            depth++;
            size.values++;
            size.depth = depth > size.depth ? depth : size.depth;
            break;
        case ',':
            size.values++;
            break;
        case ']':
        case '}':
            depth -= depth > 0 ? 1 : 0;
            break;
        default:
            break;
        }
    }
    return size;
}

size_t json_count_values(const char *text, size_t len)
{
    return json_measure(text, len).values;
}

void json_init(void)
{
    json_set_alloc_funcs(xmalloc, free);
}

json_t *json_parse(const char *text, size_t len, size_t max_bytes, struct err *err)
{
    static const size_t FLAGS = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY;
    size_t valid_len = 0;
    struct json_size size;
    json_error_t why;
    json_t *json = NULL;

    if (len > max_bytes)
        return err_set_null(err, ERR_BODY_TOO_LARGE, "JSON of %zu bytes, the limit is %zu", len,
                            max_bytes);
    valid_len = utf8_valid_len(text, len);
    if (valid_len < len)
        return err_set_null(err, ERR_INVALID_UTF8, "invalid UTF-8 at byte %zu", valid_len);
    size = json_measure(text, len);
    if (size.depth > JSON_DEPTH_MAX)
        return err_set_null(err, ERR_INVALID_JSON, "JSON is nested deeper than %d", JSON_DEPTH_MAX);
    if (size.values > JSON_VALUE_MAX_COUNT)
        return err_set_null(err, ERR_INVALID_JSON, "JSON of more than %d values",
                            JSON_VALUE_MAX_COUNT);
    json = json_load_lifted(text, len, JSON_LIFT_MIN_BYTES, FLAGS);
    if (json == NULL)
        json = json_loadb(text, len, FLAGS, &why);
    if (json == NULL)
        return err_set_null(err, ERR_INVALID_JSON, "invalid JSON at line %d, column %d: %s",
                            why.line, why.column, why.text);
    return json;
}

static int json_add_piece(const char *piece, size_t len, void *text)
{
    if (buf_add(text, piece, len) < 0)
        mem_give_up();
    return 0;
}

/* 0.005 is to read 0.005 and not 0.0050000000000000001: fifteen digits are what a double keeps of
 * any decimal number (DBL_DIG). */
char *json_to_text(const json_t *json)
{
    AUTO_BUF struct buf text = BUF_INIT(SIZE_MAX - 1);
    int rc = json_dump_callback(json, json_add_piece, &text,
                                JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(DBL_DIG));

    assert(rc == 0); /* every value in the program is finite and UTF-8 */
    return buf_take(&text);
}

/* What VALUE is, for a message. Containers are not shown: they may be large, or a prompt. */
static void json_describe(const json_t *value, char *out, size_t size)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        (void)snprintf(out, size, "an object");
        return;
    case JSON_ARRAY:
        (void)snprintf(out, size, "an array");
        return;
    case JSON_STRING: {
        size_t len = json_string_length(value);
        bool is_cut = len > JSON_SHOWN_VALUE_BYTES;

        len = is_cut ? utf8_cut_len(json_string_value(value), JSON_SHOWN_VALUE_BYTES) : len;
        (void)snprintf(out, size, "\"%.*s%s\"", (int)len, json_string_value(value),
                       is_cut ? "..." : "");
        return;
    }
    case JSON_INTEGER:
        (void)snprintf(out, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return;
    case JSON_REAL:
        (void)snprintf(out, size, "%.15g", json_real_value(value));
        return;
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NULL:
        break;
    }
    (void)snprintf(out, size, "%s",
                   json_is_true(value)    ? "true"
                   : json_is_false(value) ? "false"
                                          : "null");
}

/* "FIELD must be CONSTRAINT, not VALUE" */
static int json_refuse(const char *field, const char *constraint, const json_t *value,
                       struct err *err)
{
    char shown[JSON_SHOWN_VALUE_BYTES + sizeof("\"...\"")];

    json_describe(value, shown, sizeof(shown));
    return err_set(err, ERR_INVALID_FIELD, "%s must be %s, not %s", field, constraint, shown);
}

/* NULL when the field is not there, or null: clients send null for "not set". */
static const json_t *json_get_field(const json_t *object, const char *field)
{
    const json_t *value = json_object_get(object, field);

    return json_is_null(value) ? NULL : value;
}

int json_read_text(const json_t *object, const char *field, const char **out, struct err *err)
{
    const json_t *value = json_get_field(object, field);

    if (value == NULL)
        return 0;
    if (!json_is_string(value))
        return json_refuse(field, "text", value, err);
    if (strlen(json_string_value(value)) != json_string_length(value))
        return err_set(err, ERR_INVALID_FIELD, "%s must not hold a NUL character", field);
    *out = json_string_value(value);
    return 0;
}

int json_read_bool(const json_t *object, const char *field, bool *out, struct err *err)
{
    const json_t *value = json_get_field(object, field);

    if (value == NULL)
        return 0;
    if (!json_is_boolean(value))
        return json_refuse(field, "true or false", value, err);
    *out = json_is_true(value);
    return 0;
}

int json_read_integer(const json_t *object, const char *field, int64_t min, int64_t max,
                      int64_t *out, struct err *err)
{
    const json_t *value = json_get_field(object, field);
    char constraint[80];

    if (value == NULL)
        return 0;
    if (!json_is_integer(value) || json_integer_value(value) < min ||
        json_integer_value(value) > max) {
        (void)snprintf(constraint, sizeof(constraint),
                       "a whole number from %" PRId64 " to %" PRId64, min, max);
        return json_refuse(field, constraint, value, err);
    }
    *out = json_integer_value(value);
    return 0;
}

int json_read_number(const json_t *object, const char *field, double min, double max, double *out,
                     struct err *err)
{
    const json_t *value = json_get_field(object, field);
    char constraint[80];

    if (value == NULL)
        return 0;
    /* The comparison is the one that NaN fails. */
    if (!json_is_number(value) ||
        !(json_number_value(value) >= min && json_number_value(value) <= max)) {
        (void)snprintf(constraint, sizeof(constraint), "a number from %.15g to %.15g", min, max);
        return json_refuse(field, constraint, value, err);
    }
    *out = json_number_value(value);
    return 0;
}

const char *json_shown_text(const json_t *object, const char *field)
{
    const char *text = json_string_value(json_object_get(object, field));

    return text != NULL ? text : "";
}

json_t *json_text_lossy(const char *text, size_t len)
{
    static const char REPLACEMENT[] = "\xef\xbf\xbd"; /* U+FFFD */
    struct buf clean;
    json_t *json = NULL;
    size_t at = 0;

    if (memchr(text, '\0', len) == NULL && utf8_is_valid(text, len))
        return json_stringn_nocheck(text, len);
    buf_init(&clean, len * (sizeof(REPLACEMENT) - 1));
    while (at < len) {
        uint32_t codepoint = 0;
        size_t step = utf8_decode(text + at, len - at, &codepoint);
        bool is_kept = step > 0 && codepoint != 0;
        int rc = is_kept ? buf_add(&clean, text + at, step) : buf_add_string(&clean, REPLACEMENT);

        assert(rc == 0); /* the maximum is three bytes for each */
        at += step > 0 ? step : 1;
    }
    json = json_stringn_nocheck(clean.data, clean.len);
    buf_release(&clean);
    return json;
}

json_t *json_text_or_null(const char *text)
{
    return text == NULL || text[0] == '\0' ? json_null() : json_text_lossy(text, strlen(text));
}

/* The classes that OpenAI's clients know. */
static const char *json_error_type(int http_status)
{
    if (http_status == HTTP_UNAUTHORIZED)
        return "authentication_error";
    if (http_status == HTTP_FORBIDDEN)
        return "permission_error";
    if (http_status == HTTP_TOO_MANY_REQUESTS)
        return "rate_limit_error";
    if (http_status >= HTTP_BAD_REQUEST && http_status < HTTP_INTERNAL_ERROR)
        return "invalid_request_error";
    return "server_error";
}

static void json_error_set_message(json_t *error, const struct err *err)
{
    (void)json_object_set_new(error, "message",
                              json_text_lossy(err->message, strlen(err->message)));
}

static void json_error_set_retry(json_t *error, const struct err *err)
{
    if (err->retry_after_ms > 0)
        (void)json_object_set_new(error, JSON_RETRY_FIELD,
                                  json_integer((json_int_t)err->retry_after_ms));
}

json_t *json_error_envelope(const struct err *err, const char *request_id, const json_t *details)
{
    json_t *error = json_object();
    json_t *envelope = json_object();

    (void)json_object_set_new(error, "code", json_string(err_wire_code(err->kind)));
    (void)json_object_set_new(error, "type",
                              json_string(json_error_type(err_http_status(err->kind))));
    json_error_set_message(error, err);
    (void)json_object_set_new(error, "details",
                              details != NULL ? json_deep_copy(details) : json_object());
    json_error_set_retry(error, err);
    (void)json_object_set_new(error, "request_id",
                              request_id != NULL ? json_text_lossy(request_id, strlen(request_id))
                                                 : json_null());
    (void)json_object_set_new(envelope, "error", error);
    return envelope;
}

json_t *json_error_event(const struct err *err, const char *request_id, const json_t *details)
{
    json_t *event = json_pack("{s:s, s:s}", "type", "error", "code", err_wire_code(err->kind));

    json_error_set_message(event, err);
    if (details != NULL)
        (void)json_object_set_new(event, "details", json_deep_copy(details));
    json_error_set_retry(event, err);
    (void)json_object_set_new(event, "request_id", json_string(request_id));
    return event;
}

void json_error_from_envelope(const json_t *envelope, struct err *out_err)
{
    const json_t *error = json_object_get(envelope, "error");
    json_int_t retry_after_ms = json_integer_value(json_object_get(error, JSON_RETRY_FIELD));
    const char *code = json_string_value(json_object_get(error, "code"));
    const char *message = json_string_value(json_object_get(error, "message"));
    enum err_kind kind = code != NULL ? err_kind_of_wire(code) : ERR_NONE;

    if (code == NULL || message == NULL)
        err_fill(out_err, ERR_PROTOCOL, "the reply is an error without code and message");
    else if (kind == ERR_NONE)
        err_fill(out_err, ERR_PROTOCOL, "unknown error code %.64s: %s", code, message);
    else
        err_fill(out_err, kind, "%s", message);
    if (retry_after_ms > 0) /* the integer of anything else is 0 */
        out_err->retry_after_ms = (uint64_t)retry_after_ms;
}
