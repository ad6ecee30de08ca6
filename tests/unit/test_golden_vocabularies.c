/* Every golden tokenisation that llama.cpp keeps beside its vocabulary files. They are fetched when
 * the tests run (scripts/golden_vocabularies.sh) and lie in $RBEE_GOLDEN_VOCABULARIES: a file
 * ggml-vocab-NAME.gguf, its texts in .inp, and in .out a line of token ids for each of them. */
#include "common/buf.h"
#include "hip/text/vocab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { FILE_MAX_BYTES = 16 << 20, TOKEN_MAX = 1 << 20, PATH_MAX_BYTES = 4096 };

/* Fewer cases than this is a file that was not read to its end; there are 46 or more in each. */
enum { FEWEST_CASES = 40 };

static const char SEPARATOR[] = "\n__ggml_vocab_test__\n";

static const char *golden_folder(void)
{
    const char *folder = getenv("RBEE_GOLDEN_VOCABULARIES");

    if (folder == NULL || folder[0] == '\0') {
        printf("# golden vocabularies are not here: RBEE_GOLDEN_VOCABULARIES is not set\n");
        skip();
    }
    return folder;
}

static bool file_exists(const char *path)
{
    FILE *file = fopen(path, "r");

    if (file != NULL)
        (void)fclose(file); /* only opened */
    return file != NULL;
}

/* The file of NAME with this ending, NUL behind it. */
static void read_golden(const char *name, const char *ending, struct buf *out)
{
    char path[PATH_MAX_BYTES];
    char part[4096];
    FILE *file = NULL;
    size_t len = 0;

    assert_true((size_t)snprintf(path, sizeof(path), "%s/ggml-vocab-%s.gguf%s", golden_folder(),
                                 name, ending) < sizeof(path));
    file = fopen(path, "r");
    assert_non_null(file);
    while ((len = fread(part, 1, sizeof(part), file)) > 0)
        assert_int_equal(buf_add(out, part, len), 0);
    (void)fclose(file); /* only read */
    assert_int_equal(buf_add_byte(out, '\0'), 0);
}

/* Skips, by name, where the set does not have this vocabulary. */
static struct vocab *golden_vocab(const char *name)
{
    char path[PATH_MAX_BYTES];
    struct err err = ERR_INIT;
    struct gguf *gguf = NULL;
    struct vocab *vocab = NULL;

    assert_true((size_t)snprintf(path, sizeof(path), "%s/ggml-vocab-%s.gguf", golden_folder(),
                                 name) < sizeof(path));
    if (!file_exists(path)) {
        printf("# the set of golden vocabularies has no %s\n", name);
        skip();
    }
    gguf = gguf_open(path, &err);
    if (gguf == NULL)
        fail_msg("%s", err.message);
    vocab = vocab_new(gguf, &err);
    gguf_free(gguf);
    if (vocab == NULL)
        fail_msg("%s", err.message);
    return vocab;
}

static void expect_line(const struct vocab *vocab, const char *text, size_t len, const char *line)
{
    struct token_list tokens;
    struct err err = ERR_INIT;

    token_list_init(&tokens, TOKEN_MAX);
    assert_int_equal(vocab_tokenize(vocab, text, len, VOCAB_PLAIN, &tokens, &err), 0);
    for (size_t i = 0; i < tokens.count; i++) {
        char *end = NULL;
        unsigned long expected = strtoul(line, &end, 10);

        if (end == line || expected != tokens.ids[i])
            fail_msg("token %zu of '%.*s' is %u, not %.12s", i, (int)len, text, tokens.ids[i],
                     line);
        line = end;
    }
    if (line[strspn(line, " ")] != '\0')
        fail_msg("there are only %zu tokens of '%.*s'", tokens.count, (int)len, text);
    token_list_release(&tokens);
}

/* The name is the test's initial state. */
static void every_case(void **state)
{
    const char *name = *state;
    struct vocab *vocab = golden_vocab(name);
    AUTO_BUF struct buf texts = BUF_INIT(FILE_MAX_BYTES);
    AUTO_BUF struct buf lines = BUF_INIT(FILE_MAX_BYTES);
    char *rest = NULL;
    const char *text = NULL;
    int count = 0;

    read_golden(name, ".inp", &texts);
    read_golden(name, ".out", &lines);
    rest = lines.data;
    text = texts.data;
    while (text != NULL) {
        const char *end = strstr(text, SEPARATOR);
        const char *line = strsep(&rest, "\n");

        assert_non_null(line);
        expect_line(vocab, text, end == NULL ? strlen(text) : (size_t)(end - text), line);
        text = end == NULL ? NULL : end + strlen(SEPARATOR);
        count++;
    }
    assert_true(count >= FEWEST_CASES);
    vocab_free(vocab);
}

#define GOLDEN(vocabulary, why_skipped)                                                            \
    {                                                                                              \
        .name = "every golden case of " vocabulary " (" why_skipped ")", .test_func = every_case,  \
        .initial_state = (void *)(uintptr_t)(vocabulary)                                           \
    }
#define FETCHED(vocabulary) GOLDEN(vocabulary, "needs npm and a registry")

int main(void)
{
    const struct CMUnitTest tests[] = {
        FETCHED("llama-spm"),
        FETCHED("phi-3"),
        GOLDEN("gemma", "the set that is fetched has none"),
        FETCHED("gpt-2"),
        FETCHED("llama-bpe"),
        FETCHED("qwen2"),
        FETCHED("qwen35"),
        FETCHED("starcoder"),
        FETCHED("deepseek-llm"),
        FETCHED("deepseek-coder"),
        FETCHED("falcon"),
        FETCHED("command-r"),
        FETCHED("mpt"),
        FETCHED("refact"),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
