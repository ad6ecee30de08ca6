/* Owns the search for tokens by their spelling. Must not know which tokens belong in a set. */
#include "hip/text/markup.h"

#include <stdlib.h>
#include <string.h>

static void measure(const struct token_texts *all, const bool *is_member, uint64_t *out_count,
                    uint64_t *out_bytes)
{
    *out_count = 0;
    *out_bytes = 0;
    for (uint32_t i = 0; i < all->count; i++) {
        size_t len = 0;

        if (!is_member[i])
            continue;
        (void)token_texts_at(all, i, &len); /* for its length alone */
        *out_count += 1;
        *out_bytes += len;
    }
}

static int add_token(struct markup *markup, const struct token_texts *all, uint32_t token,
                     struct err *err)
{
    size_t len = 0;
    const char *text = token_texts_at(all, token, &len);

    if (len > MARKUP_MAX_BYTES)
        return err_set(err, ERR_INVALID_MODEL,
                       "token %u is special and has %zu bytes; the limit is %d", token, len,
                       MARKUP_MAX_BYTES);
    markup->tokens[markup->texts.count] = token;
    if (len > 0)
        markup->starts_with[(uint8_t)text[0]] = true;
    return token_texts_add(&markup->texts, text, len, err);
}

/* By their bytes, one that another begins with before that. */
static int compare(const void *left, const void *right, void *owner)
{
    const struct token_texts *texts = owner;
    size_t left_len = 0;
    size_t right_len = 0;
    const char *left_text = token_texts_at(texts, *(const uint32_t *)left, &left_len);
    const char *right_text = token_texts_at(texts, *(const uint32_t *)right, &right_len);
    int order = memcmp(left_text, right_text, left_len < right_len ? left_len : right_len);

    return order != 0 ? order : (left_len > right_len) - (left_len < right_len);
}

int markup_init(struct markup *markup, const struct token_texts *all, const bool *is_member,
                struct err *err)
{
    uint64_t count = 0;
    uint64_t bytes = 0;

    memset(markup, 0, sizeof(*markup));
    measure(all, is_member, &count, &bytes);
    if (token_texts_init(&markup->texts, count, bytes, err) != 0)
        return -1;
    markup->tokens = calloc(count + 1, sizeof(*markup->tokens)); /* never 0 elements */
    markup->sorted = calloc(count + 1, sizeof(*markup->sorted));
    if (markup->tokens == NULL || markup->sorted == NULL) {
        markup_release(markup);
        return err_set(err, ERR_NO_MEMORY, "no memory for %llu special tokens",
                       (unsigned long long)count);
    }
    for (uint32_t i = 0; i < all->count; i++) {
        if (is_member[i] && add_token(markup, all, i, err) != 0) {
            markup_release(markup);
            return -1;
        }
    }
    for (uint32_t i = 0; i < markup->texts.count; i++)
        markup->sorted[i] = i;
    qsort_r(markup->sorted, markup->texts.count, sizeof(*markup->sorted), compare, &markup->texts);
    return 0;
}

void markup_release(struct markup *markup)
{
    token_texts_release(&markup->texts);
    free(markup->tokens);
    free(markup->sorted);
    memset(markup, 0, sizeof(*markup));
}

/* Byte AT of the text at PLACE of the sorted ones; -1 behind its end. */
static int byte_at(const struct markup *markup, uint32_t place, size_t at)
{
    size_t len = 0;
    const char *text = token_texts_at(&markup->texts, markup->sorted[place], &len);

    return at < len ? (uint8_t)text[at] : -1;
}

/* The first place from FIRST to END whose byte AT is not below BYTE; END. */
static uint32_t first_not_below(const struct markup *markup, uint32_t first, uint32_t end,
                                size_t at, int byte)
{
    while (first < end) {
        uint32_t middle = first + (end - first) / 2;

        if (byte_at(markup, middle, at) < byte)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

uint32_t markup_match(const struct markup *markup, const char *text, size_t len, size_t *out_walked)
{
    uint32_t first = 0;
    uint32_t end = markup->texts.count; /* first to end begin with what has been walked */
    uint32_t found = TOKEN_TEXTS_NONE;
    size_t at = 0;

    while (at < len && first < end) {
        int byte = (uint8_t)text[at];

        first = first_not_below(markup, first, end, at, byte);
        end = first_not_below(markup, first, end, at, byte + 1);
        at++;
        if (first < end && byte_at(markup, first, at) < 0)
            found = markup->sorted[first];
    }
    *out_walked = at;
    return found;
}

bool markup_find(const struct markup *markup, const char *text, size_t len, size_t *out_at,
                 size_t *out_len, uint32_t *out_token)
{
    for (size_t at = 0; at < len; at++) {
        size_t walked = 0;
        uint32_t found = TOKEN_TEXTS_NONE;

        if (!markup->starts_with[(uint8_t)text[at]])
            continue;
        found = markup_match(markup, text + at, len - at, &walked);
        if (found == TOKEN_TEXTS_NONE)
            continue;
        (void)token_texts_at(&markup->texts, found, out_len); /* for its length alone */
        *out_at = at;
        *out_token = markup->tokens[found];
        return true;
    }
    return false;
}
