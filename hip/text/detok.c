/* Owns the way from bytes to characters. Must not know tokens or stop strings. */
#include "hip/text/detok.h"

#include "common/utf8.h"

#include <assert.h>
#include <string.h>

static const char REPLACEMENT[] = "\xef\xbf\xbd"; /* U+FFFD */

/* Length of the beginning of a character at TEXT, where no whole one is; at least 1. */
static size_t broken_len(const char *text, size_t len)
{
    size_t broken = 1;

    while (broken < len && broken < DETOK_PENDING_MAX_BYTES &&
           utf8_incomplete_tail(text, broken + 1) == broken + 1)
        broken++;
    return broken;
}

/* The first LEN bytes of TEXT, the beginning of a character, do not go on as one. */
static bool is_broken_at(const char *text, size_t text_len, size_t len)
{
    return utf8_incomplete_tail(text, text_len) < text_len && utf8_valid_len(text, text_len) == 0 &&
           broken_len(text, text_len) == len;
}

/* Appends the characters of TEXT; *out_rest_len of its last bytes may still become one. */
static int add_characters(struct buf *out, const char *text, size_t len, size_t *out_rest_len)
{
    size_t rest_len = utf8_incomplete_tail(text, len);
    size_t end = len - rest_len;

    for (size_t at = 0; at < end;) {
        size_t valid = utf8_valid_len(text + at, end - at);

        if (buf_add(out, text + at, valid) != 0)
            return -1;
        at += valid;
        if (at == end)
            break;
        if (buf_add(out, REPLACEMENT, strlen(REPLACEMENT)) != 0)
            return -1;
        at += broken_len(text + at, end - at);
    }
    *out_rest_len = rest_len;
    return 0;
}

int detok_push(struct detok *detok, const char *bytes, size_t len, struct buf *out)
{
    AUTO_BUF struct buf joined = BUF_INIT(detok->pending_len + len);
    const char *text = bytes;
    size_t text_len = len;
    size_t rest_len = 0;

    detok->has_broken = false;
    if (detok->pending_len > 0) {
        if (buf_add(&joined, detok->pending, detok->pending_len) != 0 ||
            buf_add(&joined, bytes, len) != 0)
            return -1;
        text = joined.data;
        text_len = joined.len;
        detok->has_broken = is_broken_at(text, text_len, detok->pending_len);
    }
    if (add_characters(out, text, text_len, &rest_len) != 0)
        return -1;
    assert(rest_len <= sizeof(detok->pending));
    memcpy(detok->pending, text + text_len - rest_len, rest_len);
    detok->pending_len = rest_len;
    return 0;
}

int detok_flush(struct detok *detok, struct buf *out)
{
    if (detok->pending_len == 0)
        return 0;
    detok->pending_len = 0; /* always the beginning of one character: one U+FFFD */
    return buf_add(out, REPLACEMENT, strlen(REPLACEMENT));
}
