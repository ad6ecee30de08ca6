/* Owns the passing on of text, and the forms in which rbee-worker (hip/reply.c) writes it. Must not
 * judge what has no such form. */
#include "supervisor/native_text.h"

#include "common/json.h"
#include "common/units.h"
#include "common/utf8.h"
#include "supervisor/supervisor.h"

#include <stdlib.h>
#include <string.h>

enum {
    NUMBER_MAX_DIGITS = 15,
    US_PER_MS = 1000,
    TEXT_SETTINGS_MAX_BYTES = CONFIG_NAME_MAX_BYTES + 64, /* what the body may grow by */
    DECIMALS = 3, /* of milliseconds that are microseconds */
    /* A double has 15 digits for certain: microseconds above that would be written otherwise. */
    WAIT_MAX_MS = 1000000000,
};

/* ---- forms ---- */

static size_t text_digits(const char *text, const char *end)
{
    size_t count = 0;

    while (text + count < end && text[count] >= '0' && text[count] <= '9')
        count++;
    return count;
}

/* The length of the number at TEXT, so short that no reader of JSON makes another of it; 0: none.
 */
static size_t text_number_len(const char *text, const char *end, bool may_have_fraction)
{
    size_t len = text_digits(text, end);
    size_t decimals = 0;

    if (len == 0 || len > NUMBER_MAX_DIGITS || (len > 1 && text[0] == '0'))
        return 0;
    if (!may_have_fraction || text + len == end || text[len] != '.')
        return len;
    decimals = text_digits(text + len + 1, end);
    return decimals == 0 || decimals > NUMBER_MAX_DIGITS ? 0 : len + 1 + decimals;
}

static bool text_is_string(const struct json_text *text)
{
    return json_string_is_simple(text) && utf8_is_valid(text->at, text->len);
}

static bool text_take_part(char mark, const char **at, const char *end, struct json_text *out)
{
    bool is_string = mark == '$';
    const char *part_end =
        is_string ? json_string_end(*at, end) : *at + text_number_len(*at, end, mark == '%');

    *out = (struct json_text){*at, (size_t)(part_end - *at)};
    *at = part_end;
    return is_string ? text_is_string(out) : out->len > 0;
}

/* Whether TEXT is FORM, byte for byte, but for what that leaves open: $ what a string holds, # a
 * whole number, % a number that may have a fraction. Each is one of PARTS. */
static bool text_has_form(const struct json_text *text, const char *form, struct json_text *parts)
{
    const char *at = text->at;
    const char *end = at + text->len;

    for (; *form != '\0'; form++) {
        switch (*form) {
        case '#':
        case '$':
        case '%':
            if (!text_take_part(*form, &at, end, parts++))
                return false;
            break;
        default:
            if (at == end || *at++ != *form)
                return false;
            break;
        }
    }
    return at == end;
}

bool native_text_is_token(const struct json_text *text, struct json_text *out_piece,
                          bool *out_has_escapes)
{
    struct json_text parts[2];

    if (!text_has_form(text, "{\"type\":\"token\",\"t\":\"$\",\"i\":#}", parts))
        return false;
    *out_piece = parts[0];
    *out_has_escapes = memchr(out_piece->at, '\\', out_piece->len) != NULL;
    return true;
}

bool native_text_is_started(const struct request *request, const struct json_text *text)
{
    struct json_text parts[2];

    return text_has_form(text, "{\"type\":\"started\",\"id\":\"$\",\"model\":\"$\"}", parts) &&
           json_text_is(&parts[0], request->id) && json_text_is(&parts[1], request->worker->name);
}

/* ---- the body ---- */

bool native_text_is_ours(const struct json_text *name)
{
    static const char *const OURS[] = {"context", "device",    "slots",
                                       "kv_type", "allow_cpu", "start"};

    for (size_t i = 0; i < ARRAY_COUNT(OURS); i++) {
        if (json_text_is(name, OURS[i]))
            return true;
    }
    return false;
}

/* What has another value there, in the place of the client's or at the end. A worker's name needs
 * no escapes (config_name_check). */
struct text_setting {
    const char *name;
    const char *before;
    const char *value;
    const char *after;
    bool is_set;
};

static int text_set(struct buf *out, struct text_setting *setting)
{
    setting->is_set = true;
    return buf_add_texts(out, setting->before, setting->value, setting->after);
}

static int text_add_field(struct buf *out, const struct json_member *member,
                          struct text_setting *settings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (json_text_is(&member->name, settings[i].name))
            return text_set(out, &settings[i]);
    }
    if (native_text_is_ours(&member->name))
        return 0;
    return buf_add(out, member->whole.at, member->whole.len) | buf_add_byte(out, ',');
}

char *native_text_ask(const struct request *request)
{
    struct text_setting settings[] = {
        {.name = "model", .before = "\"model\":\"", request->worker->name, "\","},
        {.name = "stream", .before = "\"stream\":", "true", ","},
    };
    AUTO_BUF struct buf out = BUF_INIT(SIZE_MAX - 1);
    struct json_text rest;
    struct json_member member;
    int failed = 0;

    rest.at = http_exchange_body(request->exchange, &rest.len);
    failed |= buf_reserve(&out, rest.len + TEXT_SETTINGS_MAX_BYTES);
    failed |= buf_add_byte(&out, '{');
    while (json_cut_member(&rest, &member)) {
        if (memchr(member.name.at, '\\', member.name.len) != NULL)
            return NULL;
        failed |= text_add_field(&out, &member, settings, ARRAY_COUNT(settings));
    }
    for (size_t i = 0; i < ARRAY_COUNT(settings); i++)
        failed |= settings[i].is_set ? 0 : text_set(&out, &settings[i]);
    if (failed != 0 || out.len > HTTP_BODY_MAX_BYTES)
        return NULL;
    out.data[out.len - 1] = '}'; /* over the last comma */
    return buf_take(&out);
}

/* ---- the end ---- */

/* As jansson writes the number. */
static bool text_add_ms(struct buf *out, double ms)
{
    char whole[UNITS_TEXT_BYTES];
    char decimals[DECIMALS + 1];
    uint64_t us = 0;
    size_t len = DECIMALS;

    if (!(ms >= 0 && ms < WAIT_MAX_MS))
        return false;
    us = (uint64_t)(ms * US_PER_MS);
    (void)units_format_whole(us / US_PER_MS, whole);
    for (size_t i = DECIMALS; i-- > 0; us /= 10)
        decimals[i] = (char)('0' + us % 10);
    while (len > 1 && decimals[len - 1] == '0')
        len--;
    return buf_add_texts(out, whole, ".") == 0 && buf_add(out, decimals, len) == 0;
}

#define END_BEGIN "{\"type\":\"end\""

bool native_text_is_end(const struct json_text *text, struct native_text_end *out)
{
    static const char FORM[] = END_BEGIN
        ",\"stop_reason\":\"$\",\"usage\":{\"prompt_tokens\":#,\"cached_tokens\":#,"
        "\"completion_tokens\":#},\"timings\":{\"queue_ms\":%,\"load_ms\":%,\"prefill_ms\":%,"
        "\"decode_ms\":%,\"first_token_ms\":%}}";
    const struct json_text *reason = &out->parts[END_STOP_REASON];
    struct proxy_result *result = &out->result;

    out->text = *text;
    if (!text_has_form(text, FORM, out->parts) || reason->len >= sizeof(result->stop_reason) ||
        memchr(reason->at, '\\', reason->len) != NULL)
        return false;
    memcpy(result->stop_reason, reason->at, reason->len);
    result->stop_reason[reason->len] = '\0';
    /* Behind each number is what ends it. */
    result->prompt_tokens = strtoll(out->parts[END_PROMPT_TOKENS].at, NULL, 10);
    result->token_count = strtoll(out->parts[END_COMPLETION_TOKENS].at, NULL, 10);
    result->queue_ms = strtod(out->parts[END_QUEUE_MS].at, NULL);
    return true;
}

/* What the answer in one piece has in place of its type: the same for every worker, in
 * proxy_whole(). */
static bool text_begin_whole(const struct request *request, struct buf *out)
{
    AUTO_JSON json_t *piece = json_text_lossy(request->reply.data, request->reply.len);
    AUTO_FREE char *text = json_to_text(piece);

    return buf_add_texts(out, "{\"id\":\"", request->id, "\",\"model\":\"", request->worker->name,
                         "\",\"text\":", text) == 0;
}

static bool text_add(struct buf *out, const char *from, const char *until)
{
    return buf_add(out, from, (size_t)(until - from)) == 0;
}

bool native_text_write_end(const struct request *request, const struct native_text_end *end,
                           const struct proxy_waits *waits, struct buf *out)
{
    const struct json_text *queue = &end->parts[END_QUEUE_MS];
    const struct json_text *load = &end->parts[END_LOAD_MS];
    const char *rest = end->text.at + strlen(END_BEGIN);

    if (!request->is_stream && (request->wants_logprobs || request->warnings != NULL))
        return false; /* they have a place of their own */
    return (request->is_stream ? text_add(out, end->text.at, rest)
                               : text_begin_whole(request, out)) &&
           text_add(out, rest, queue->at) && text_add_ms(out, waits->queue_ms) &&
           text_add(out, queue->at + queue->len, load->at) && text_add_ms(out, waits->load_ms) &&
           text_add(out, load->at + load->len, end->text.at + end->text.len);
}
