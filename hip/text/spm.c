/* Owns the scores and how a text becomes symbols and symbols become tokens. Must not know special
 * tokens, nor how a file writes a vocabulary. */
#include "hip/text/spm.h"

#include "common/mem.h"
#include "common/utf8.h"
#include "hip/text/float_order.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    SPACE_BYTES = sizeof(SPM_SPACE) - 1,
    /* Bytes of a text that are encoded at a time, so that it and the space before it still fit when
     * all of them are spaces. */
    PART_MAX_BYTES = JOINING_MAX_BYTES / SPACE_BYTES - 1,
};

struct spm {
    struct joining_rules rules;
    const struct token_texts *texts;
    uint32_t *ranks; /* [texts->count] by score, the highest first; JOINING_NONE: never joined */
    size_t longest;  /* bytes of the longest text that can be joined */
    uint32_t byte_tokens[256];
    uint32_t unknown_token;
};

/* The highest score has the lowest rank. */
static uint32_t rank_of_score(float score)
{
    assert(!isnan(score));
    return ~float_order(score);
}

/* The token of a text that users may write; VOCAB_NONE. */
static uint32_t find_token(const struct spm *spm, const char *text, size_t len)
{
    uint32_t token =
        len <= spm->longest ? token_texts_find(spm->texts, text, len) : TOKEN_TEXTS_NONE;

    return token == TOKEN_TEXTS_NONE || spm->ranks[token] == JOINING_NONE ? VOCAB_NONE : token;
}

static bool find_pair(const struct joining_rules *rules, const struct joining *joining,
                      uint32_t left, uint32_t *out_rank, uint32_t *out_token)
{
    const struct spm *spm = (const struct spm *)rules; /* its first member */
    uint32_t right = joining->symbols[left].next;
    size_t len = joining_symbol_len(joining, left) + joining_symbol_len(joining, right);
    uint32_t token = find_token(spm, joining->text + left, len);

    if (token == VOCAB_NONE)
        return false;
    *out_rank = spm->ranks[token];
    *out_token = token;
    return true;
}

struct spm *spm_new(const struct spm_source *source, struct err *err)
{
    struct spm *spm = xcalloc(1, sizeof(*spm));
    uint32_t count = source->texts->count;

    spm->rules.find = find_pair;
    spm->texts = source->texts;
    memcpy(spm->byte_tokens, source->byte_tokens, sizeof(spm->byte_tokens));
    spm->unknown_token = source->unknown_token;
    spm->ranks = calloc((size_t)count + 1, sizeof(*spm->ranks)); /* never 0 elements */
    if (spm->ranks == NULL) {
        spm_free(spm);
        return err_set_null(err, ERR_NO_MEMORY, "no memory for the scores of %u tokens", count);
    }
    for (uint32_t i = 0; i < count; i++) {
        size_t len = 0;

        (void)token_texts_at(source->texts, i, &len); /* for its length alone */
        spm->ranks[i] = source->can_join[i] ? rank_of_score(source->scores[i]) : JOINING_NONE;
        if (source->can_join[i] && len > spm->longest)
            spm->longest = len;
    }
    return spm;
}

void spm_free(struct spm *spm)
{
    if (spm == NULL)
        return;
    free(spm->ranks);
    free(spm);
}

void spm_work_init(struct spm_work *work)
{
    joining_init(&work->joining);
    buf_init(&work->text, JOINING_MAX_BYTES);
}

void spm_work_release(struct spm_work *work)
{
    joining_release(&work->joining);
    buf_release(&work->text);
}

static int add_space(struct spm_work *work, struct err *err)
{
    return buf_add(&work->text, SPM_SPACE, SPACE_BYTES) == 0
               ? 0
               : err_set(err, ERR_NO_MEMORY, "no memory for the spaces of a text");
}

/* Appends TEXT to the work's, with its spaces as tokens write them. */
static int write_text(struct spm_work *work, const char *text, size_t len, struct err *err)
{
    while (len > 0) {
        const char *space = memchr(text, ' ', len);
        size_t before = space == NULL ? len : (size_t)(space - text);

        if (buf_add(&work->text, text, before) != 0)
            return err_set(err, ERR_NO_MEMORY, "no memory for a text of %zu bytes", len);
        if (space == NULL)
            return 0;
        if (add_space(work, err) != 0)
            return -1;
        text += before + 1;
        len -= before + 1;
    }
    return 0;
}

/* The symbols of the work's text: characters, and each byte that belongs to none. */
static void begin_joining(const struct spm *spm, struct spm_work *work)
{
    const char *text = work->text.data;
    size_t len = work->text.len;

    joining_begin(&work->joining, text, len);
    for (size_t at = 0; at < len;) {
        uint32_t codepoint = 0;
        size_t char_len = utf8_decode(text + at, len - at, &codepoint);

        if (char_len == 0)
            char_len = 1;
        joining_add(&work->joining, (uint32_t)at, find_token(spm, text + at, char_len));
        at += char_len;
    }
}

static int add_bytes(const struct spm *spm, const char *text, size_t len, struct token_list *out,
                     struct err *err)
{
    for (size_t i = 0; i < len; i++) {
        uint32_t token = spm->byte_tokens[(uint8_t)text[i]];

        if (token == VOCAB_NONE)
            token = spm->unknown_token;
        if (token != VOCAB_NONE && token_list_add(out, token, err) != 0)
            return -1;
    }
    return 0;
}

static int encode_work(const struct spm *spm, struct spm_work *work, struct token_list *out,
                       struct err *err)
{
    const struct joining *joining = &work->joining;

    begin_joining(spm, work);
    joining_run(&work->joining, &spm->rules);
    for (uint32_t at = 0; at != JOINING_NONE; at = joining->symbols[at].next) {
        uint32_t token = joining->symbols[at].token;
        int result = token != VOCAB_NONE ? token_list_add(out, token, err)
                                         : add_bytes(spm, joining->text + at,
                                                     joining_symbol_len(joining, at), out, err);

        if (result != 0)
            return -1;
    }
    return 0;
}

/* Bytes of the next part of a TEXT: all, or up to the last word that begins in it, or as many as
 * there may be, without cutting a character. */
static size_t part_len(const char *text, size_t len)
{
    size_t cut = PART_MAX_BYTES;

    if (len <= PART_MAX_BYTES)
        return len;
    while (cut > 1 && !(text[cut] == ' ' && text[cut - 1] != ' '))
        cut--;
    if (cut > 1)
        return cut;
    return PART_MAX_BYTES - utf8_incomplete_tail(text, PART_MAX_BYTES);
}

int spm_encode(const struct spm *spm, struct spm_work *work, const char *text, size_t len,
               bool adds_space, struct token_list *out, struct err *err)
{
    while (len > 0) {
        size_t part = part_len(text, len);

        buf_clear(&work->text);
        if ((adds_space && add_space(work, err) != 0) || write_text(work, text, part, err) != 0 ||
            encode_work(spm, work, out, err) != 0)
            return -1;
        adds_space = false;
        text += part;
        len -= part;
    }
    return 0;
}
