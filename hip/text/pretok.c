/* Owns PCRE2: compiles the patterns of pretok.def and walks a text with them. Must not know tokens
 * or merges. */
#include "hip/text/pretok.h"

#include "common/mem.h"
#include "common/utf8.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* PCRE2's own default, set here so that no build of the library changes it. One match of one
     * word needs fewer steps than the word has bytes; texts are 4 MiB at most. */
    MATCH_STEPS_MAX = 10000000,
    MATCH_HEAP_MAX_KIB = 65536,
    /* Words of many characters need more than the 32 KiB the compiled code has by itself. */
    JIT_STACK_FIRST_BYTES = 32 * 1024,
    JIT_STACK_MAX_BYTES = 1024 * 1024,
};

static const struct pretok_row {
    const char *name;
    bool ignores_merges;
    bool adds_bos;
    const char *patterns[PRETOK_STAGE_MAX]; /* unused ones are NULL */
} ROWS[] = {
#define PRETOK(name, ignores_merges, adds_bos, ...) {name, ignores_merges, adds_bos, {__VA_ARGS__}},
#include "hip/text/pretok.def"
#undef PRETOK
};

struct pretok {
    const struct pretok_row *row;
    size_t stage_count;
    pcre2_code *codes[PRETOK_STAGE_MAX];
};

struct pretok_match {
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

static const struct pretok_row *find_row(const char *name, size_t name_len)
{
    for (size_t i = 0; i < ARRAY_COUNT(ROWS); i++) {
        if (strlen(ROWS[i].name) == name_len && memcmp(ROWS[i].name, name, name_len) == 0)
            return &ROWS[i];
    }
    return NULL;
}

static pcre2_code *compile(const char *pattern)
{
    int code = 0;
    PCRE2_SIZE offset = 0;
    pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                                         PCRE2_UTF | PCRE2_UCP, &code, &offset, NULL);

    if (compiled != NULL) {
        /* Where memory may not be executable there is no JIT; the interpreter gives the same. */
        (void)pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);
    }
    return compiled;
}

struct pretok *pretok_new(const char *name, size_t name_len, struct err *err)
{
    const struct pretok_row *row = find_row(name, name_len);
    struct pretok *pretok = NULL;

    if (row == NULL)
        return err_set_null(err, ERR_INVALID_MODEL, "pre-tokenizer '%.*s' is not supported",
                            (int)utf8_cut_len(name, name_len < 64 ? name_len : 64), name);
    pretok = xcalloc(1, sizeof(*pretok));
    pretok->row = row;
    for (size_t i = 0; i < PRETOK_STAGE_MAX && row->patterns[i] != NULL; i++) {
        pretok->codes[i] = compile(row->patterns[i]);
        if (pretok->codes[i] == NULL) {
            pretok_free(pretok);
            return err_set_null(err, ERR_INTERNAL, "PCRE2 refuses pattern %zu of '%s'", i,
                                row->name);
        }
        pretok->stage_count++;
    }
    return pretok;
}

void pretok_free(struct pretok *pretok)
{
    if (pretok == NULL)
        return;
    for (size_t i = 0; i < pretok->stage_count; i++)
        pcre2_code_free(pretok->codes[i]);
    free(pretok);
}

bool pretok_ignores_merges(const struct pretok *pretok)
{
    return pretok->row->ignores_merges;
}

bool pretok_adds_bos(const struct pretok *pretok)
{
    return pretok->row->adds_bos;
}

static void match_free(struct pretok_match *match)
{
    if (match == NULL)
        return;
    pcre2_match_data_free(match->data);
    pcre2_match_context_free(match->context);
    pcre2_jit_stack_free(match->stack);
    free(match);
}

int pretok_cursor_init(struct pretok_cursor *cursor, const struct pretok *pretok, struct err *err)
{
    struct pretok_match *match = xcalloc(1, sizeof(*match));

    memset(cursor, 0, sizeof(*cursor));
    match->data = pcre2_match_data_create(1, NULL);
    match->context = pcre2_match_context_create(NULL);
    match->stack = pcre2_jit_stack_create(JIT_STACK_FIRST_BYTES, JIT_STACK_MAX_BYTES, NULL);
    if (match->data == NULL || match->context == NULL) {
        match_free(match);
        return err_set(err, ERR_NO_MEMORY, "no memory to match patterns");
    }
    (void)pcre2_set_match_limit(match->context, MATCH_STEPS_MAX);
    (void)pcre2_set_heap_limit(match->context, MATCH_HEAP_MAX_KIB);
    if (match->stack != NULL) /* NULL as well in a PCRE2 without JIT */
        pcre2_jit_stack_assign(match->context, NULL, match->stack);
    cursor->pretok = pretok;
    cursor->match = match;
    return 0;
}

void pretok_cursor_release(struct pretok_cursor *cursor)
{
    match_free(cursor->match);
    memset(cursor, 0, sizeof(*cursor));
}

static void stage_begin(struct pretok_stage *stage, const char *text, size_t len)
{
    *stage = (struct pretok_stage){.text = text, .len = len, .at = 0, .pending_len = 0};
}

/* Finds the next match at or after stage->at. False where there is none, or a limit is met. */
static bool stage_match(const struct pretok_match *match, const pcre2_code *code,
                        const struct pretok_stage *stage, size_t *out_start, size_t *out_len)
{
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(match->data);
    int count = pcre2_match(code, (PCRE2_SPTR)stage->text, stage->len, stage->at,
                            PCRE2_NO_UTF_CHECK, match->data, match->context);

    if (count < 0)
        return false;
    assert(ends[1] > ends[0]); /* no pattern of the table matches nothing */
    *out_start = ends[0];
    *out_len = ends[1] - ends[0];
    return true;
}

/* The next piece of a stage: a match, or what lies before one. */
static bool stage_next(struct pretok_cursor *cursor, size_t index, const char **out_text,
                       size_t *out_len)
{
    struct pretok_stage *stage = &cursor->stages[index];
    size_t begin = stage->at;
    size_t match_start = stage->len;
    size_t match_len = 0;

    if (begin == stage->len)
        return false;
    *out_text = stage->text + begin;
    if (stage->pending_len > 0) {
        *out_len = stage->pending_len;
        stage->pending_len = 0;
        stage->at = begin + *out_len;
        return true;
    }
    if (stage_match(cursor->match, cursor->pretok->codes[index], stage, &match_start, &match_len) &&
        match_start == begin) {
        *out_len = match_len;
    } else {
        *out_len = match_start - begin;
        stage->pending_len = match_len;
    }
    stage->at = begin + *out_len;
    return true;
}

/* Length of the bytes at TEXT that belong to no character. */
static size_t invalid_len(const char *text, size_t len)
{
    uint32_t codepoint = 0;
    size_t count = 1;

    while (count < len && utf8_decode(text + count, len - count, &codepoint) == 0)
        count++;
    return count;
}

void pretok_cursor_begin(struct pretok_cursor *cursor, const char *text, size_t len)
{
    cursor->rest = text;
    cursor->rest_len = len;
    for (size_t i = 0; i < PRETOK_STAGE_MAX; i++)
        stage_begin(&cursor->stages[i], text, 0);
}

/* Gives the first stage the next run of characters. Bytes that are none are a word by themselves:
 * *out_word is set for these. False at the end of the text. */
static bool begin_run(struct pretok_cursor *cursor, const char **out_word, size_t *out_len)
{
    size_t run_len = 0;

    if (cursor->rest_len == 0)
        return false;
    run_len = utf8_valid_len(cursor->rest, cursor->rest_len);
    if (run_len > 0) {
        stage_begin(&cursor->stages[0], cursor->rest, run_len);
    } else {
        run_len = invalid_len(cursor->rest, cursor->rest_len);
        *out_word = cursor->rest;
        *out_len = run_len;
    }
    cursor->rest += run_len;
    cursor->rest_len -= run_len;
    return true;
}

bool pretok_cursor_next(struct pretok_cursor *cursor, const char **out_word, size_t *out_len)
{
    size_t last = cursor->pretok->stage_count - 1;
    size_t index = last; /* the finest stage goes on first */
    const char *piece = NULL;
    size_t piece_len = 0;

    for (;;) {
        if (stage_next(cursor, index, &piece, &piece_len)) {
            if (index == last)
                break;
            index++;
            stage_begin(&cursor->stages[index], piece, piece_len);
        } else if (index > 0) {
            index--;
        } else {
            if (!begin_run(cursor, &piece, &piece_len))
                return false;
            if (piece_len > 0)
                break;
        }
    }
    *out_word = piece;
    *out_len = piece_len;
    return true;
}
