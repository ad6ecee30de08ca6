/* Hostile text of a worker or a client: what is passed on without jansson is what jansson would
 * have taken, and what is cut out of an object is its members. */
#include "common/json.h"
#include "supervisor/native_text.h"

#include <assert.h>
#include <string.h>

enum { FUZZ_TEXT_MAX_BYTES = 64 * 1024 };

static json_t *fuzz_parse(const char *text, size_t len)
{
    struct err err = ERR_INIT;

    return json_parse(text, len, FUZZ_TEXT_MAX_BYTES, &err);
}

static void fuzz_token(const struct json_text *text, const json_t *json)
{
    struct json_text piece;
    bool has_escapes = false;
    const char *value = json_string_value(json_object_get(json, "t"));

    if (!native_text_is_token(text, &piece, &has_escapes))
        return;
    assert(json_object_size(json) == 3 && value != NULL);
    assert(strcmp(json_string_value(json_object_get(json, "type")), "token") == 0);
    assert(json_is_integer(json_object_get(json, "i")));
    assert(has_escapes || json_text_is(&piece, value));
}

static void fuzz_end(const struct json_text *text, const json_t *json)
{
    static const struct request REQUEST = {.has_started = true};
    struct err err = ERR_INIT;
    struct native_text_end end;
    struct proxy_result read;

    if (!native_text_is_end(text, &end))
        return;
    assert(proxy_read_result(&REQUEST, json, &read, &err) == 0);
    assert(strcmp(read.stop_reason, end.result.stop_reason) == 0);
    assert(read.prompt_tokens == end.result.prompt_tokens);
    assert(read.token_count == end.result.token_count && read.queue_ms == end.result.queue_ms);
}

static void fuzz_members(struct json_text rest, json_t *json)
{
    struct json_member member;
    const char *name = NULL;
    json_t *value = NULL;

    json_object_foreach(json, name, value)
    {
        bool is_there = json_cut_member(&rest, &member);
        AUTO_JSON json_t *cut = is_there ? fuzz_parse(member.value.at, member.value.len) : NULL;

        assert(is_there && json_equal(cut, value));
        assert(memchr(member.name.at, '\\', member.name.len) != NULL ||
               json_text_is(&member.name, name));
    }
    assert(!json_cut_member(&rest, &member));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const char *text = (const char *)data;
    AUTO_JSON json_t *json = len <= FUZZ_TEXT_MAX_BYTES ? fuzz_parse(text, len) : NULL;
    struct json_text rest = {text, len};
    struct json_member member;

    fuzz_token(&rest, json);
    fuzz_end(&rest, json);
    if (json_is_object(json))
        fuzz_members(rest, json);
    else
        while (json_cut_member(&rest, &member))
            assert(member.whole.at + member.whole.len <= text + len);
    return 0;
}
