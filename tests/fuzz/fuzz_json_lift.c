/* Hostile JSON: with strings of any length lifted out of it, it is what it is without. */
#include "common/json.h"
#include "common/json_lift.h"
#include "common/utf8.h"

#include <assert.h>

enum { FUZZ_TEXT_MAX_BYTES = 64 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const size_t FLAGS = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY;
    const char *text = (const char *)data;
    struct err err = ERR_INIT;
    AUTO_JSON json_t *parsed = json_parse(text, len, FUZZ_TEXT_MAX_BYTES, &err);
    AUTO_JSON json_t *plain = NULL;
    AUTO_JSON json_t *lifted = NULL;

    if (len > FUZZ_TEXT_MAX_BYTES || !utf8_is_valid(text, len) ||
        json_count_values(text, len) > JSON_DEPTH_MAX)
        return 0;
    plain = json_loadb(text, len, FLAGS, NULL);
    lifted = json_load_lifted(text, len, 0, FLAGS);
    assert(plain == NULL ? parsed == NULL && lifted == NULL : json_equal(plain, parsed));
    assert(lifted == NULL || json_equal(plain, lifted));
    return 0;
}
