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
    if (markup->tokens == NULL) {
        markup_release(markup);
        return err_set(err, ERR_NO_MEMORY, "no memory for %llu special tokens",
                       (unsigned long long)count);
    }
    for (uint32_t i = 0; i < all->count; i++) {
        size_t len = 0;
        const char *text = token_texts_at(all, i, &len);

        if (!is_member[i])
            continue;
        markup->tokens[markup->texts.count] = i;
        if (token_texts_add(&markup->texts, text, len, err) != 0) {
            markup_release(markup);
            return -1;
        }
        markup->starts_with[(uint8_t)text[0]] = true;
        if (len > markup->max_len)
            markup->max_len = len;
    }
    return 0;
}

void markup_release(struct markup *markup)
{
    token_texts_release(&markup->texts);
    free(markup->tokens);
    memset(markup, 0, sizeof(*markup));
}

bool markup_find(const struct markup *markup, const char *text, size_t len, size_t *out_at,
                 size_t *out_len, uint32_t *out_token)
{
    for (size_t at = 0; at < len; at++) {
        uint32_t found = TOKEN_TEXTS_NONE;

        if (!markup->starts_with[(uint8_t)text[at]])
            continue;
        found = token_texts_find_prefix(&markup->texts, text + at, len - at, markup->max_len);
        if (found == TOKEN_TEXTS_NONE)
            continue;
        (void)token_texts_at(&markup->texts, found, out_len); /* for its length alone */
        *out_at = at;
        *out_token = markup->tokens[found];
        return true;
    }
    return false;
}
