/* Owns the passing on of text. Must not judge it, but for the one form of a token. */
#include "supervisor/native_text.h"

#include "common/json.h"
#include "common/units.h"
#include "common/utf8.h"
#include "supervisor/proxy.h"
#include "supervisor/supervisor.h"

#include <string.h>

enum {
    TOKEN_INDEX_MAX_DIGITS = 18, /* any of them is an integer to jansson */
    US_PER_MS = 1000,
    TEXT_SETTINGS_MAX_BYTES = CONFIG_NAME_MAX_BYTES + 64, /* what the body may grow by */
    DECIMALS = 3, /* of milliseconds that are microseconds */
    /* A double has 15 digits for certain: microseconds above that would be written otherwise. */
    WAIT_MAX_MS = 1000000000,
};

/* ---- tokens ---- */

static bool text_takes(const char **text, const char *end, const char *expected, size_t len)
{
    if ((size_t)(end - *text) < len || memcmp(*text, expected, len) != 0)
        return false;
    *text += len;
    return true;
}
#define TEXT_TAKES(text, end, expected) text_takes(text, end, expected, sizeof(expected) - 1)

/* A whole number, and then the end of the object and of the text. */
static bool text_ends_with_index(const char *text, const char *end)
{
    size_t digits = 0;

    while (text + digits < end && text[digits] >= '0' && text[digits] <= '9')
        digits++;
    return digits > 0 && digits <= TOKEN_INDEX_MAX_DIGITS && (digits == 1 || text[0] != '0') &&
           end - text == (ptrdiff_t)digits + 1 && text[digits] == '}';
}

bool native_text_is_token(const char *text, size_t len, struct json_text *out_piece,
                          bool *out_has_escapes)
{
    const char *end = text + len;
    const char *piece_end = NULL;

    if (!TEXT_TAKES(&text, end, "{\"type\":\"token\",\"t\":\""))
        return false;
    piece_end = json_string_end(text, end);
    *out_piece = (struct json_text){text, (size_t)(piece_end - text)};
    *out_has_escapes = memchr(text, '\\', out_piece->len) != NULL;
    text = piece_end;
    return TEXT_TAKES(&text, end, "\",\"i\":") && text_ends_with_index(text, end) &&
           json_string_is_simple(out_piece) && utf8_is_valid(out_piece->at, out_piece->len);
}

/* ---- what comes before ---- */

bool native_text_is_started(const struct request *request, const char *text, size_t len)
{
    const char *end = text + len;

    return TEXT_TAKES(&text, end, "{\"type\":\"started\",\"id\":\"") &&
           text_takes(&text, end, request->id, strlen(request->id)) &&
           TEXT_TAKES(&text, end, "\",\"model\":\"") &&
           text_takes(&text, end, request->worker->name, strlen(request->worker->name)) &&
           TEXT_TAKES(&text, end, "\"}") && text == end;
}

/* ---- the body ---- */

static bool text_is_ours(const struct json_text *name)
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
    if (text_is_ours(&member->name))
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
    if (failed != 0)
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

/* The worker's timings, but for the two that are ours. */
static bool text_add_timings(struct buf *out, const struct json_text *timings,
                             const struct proxy_waits *waits)
{
    struct json_text rest = *timings;
    struct json_member member;
    bool has_queue = false, has_load = false;

    for (const char *before = "{"; json_cut_member(&rest, &member); before = ",") {
        bool is_queue = json_text_is(&member.name, "queue_ms");
        bool is_load = json_text_is(&member.name, "load_ms");

        has_queue = has_queue || is_queue;
        has_load = has_load || is_load;
        if (buf_add_string(out, before) != 0)
            return false;
        if (!is_queue && !is_load) {
            if (buf_add(out, member.whole.at, member.whole.len) != 0)
                return false;
        } else if (buf_add_string(out, is_queue ? "\"queue_ms\":" : "\"load_ms\":") != 0 ||
                   !text_add_ms(out, is_queue ? waits->queue_ms : waits->load_ms)) {
            return false;
        }
    }
    return has_queue && has_load && buf_add_byte(out, '}') == 0;
}

/* What the answer in one piece has before the rest: the same for every worker, in proxy_whole(). */
static bool text_begin_whole(const struct request *request, struct buf *out)
{
    AUTO_JSON json_t *piece = json_text_lossy(request->reply.data, request->reply.len);
    AUTO_FREE char *text = json_to_text(piece);

    return buf_add_texts(out, "{\"id\":\"", request->id, "\",\"model\":\"", request->worker->name,
                         "\",\"text\":", text) == 0;
}

bool native_text_end(const struct request *request, const struct proxy_waits *waits,
                     const struct json_text *text, struct buf *out)
{
    static const char BEGIN[] = "{\"type\":\"end\",\"stop_reason\":";
    static const char *const NAMES[] = {"stop_reason", "usage", "timings"};
    struct json_text rest = *text;
    struct json_member member;
    size_t count = 0;

    /* rbee-worker's, without blanks: what follows is written in the same way. */
    if (text->len < sizeof(BEGIN) || memcmp(text->at, BEGIN, sizeof(BEGIN) - 1) != 0 ||
        request->wants_logprobs || request->warnings != NULL)
        return false;
    (void)json_cut_member(&rest, &member); /* its type */
    if (!(request->is_stream ? buf_add_string(out, "{\"type\":\"end\"") == 0
                             : text_begin_whole(request, out)))
        return false;
    for (; json_cut_member(&rest, &member); count++) {
        if (count == ARRAY_COUNT(NAMES) || !json_text_is(&member.name, NAMES[count]) ||
            buf_add_texts(out, ",\"", NAMES[count], "\":") != 0)
            return false;
        if (count < ARRAY_COUNT(NAMES) - 1 ? buf_add(out, member.value.at, member.value.len) != 0
                                           : !text_add_timings(out, &member.value, waits))
            return false;
    }
    return count == ARRAY_COUNT(NAMES) && buf_add_byte(out, '}') == 0;
}
