/* The demo model's tokenizer against what llama.cpp makes of the same texts (tests/golden). Needs
 * the demo model in $RBEE_DEMO_MODEL. */
#include "common/json.h"
#include "hip/text/chat_template.h"
#include "hip/text/vocab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { TOKEN_MAX = 100000 };

static struct gguf *demo_gguf(void)
{
    const char *path = getenv("RBEE_DEMO_MODEL");
    struct err err = ERR_INIT;
    struct gguf *gguf = NULL;

    if (path == NULL || path[0] == '\0') {
        printf("# the demo model is not here: RBEE_DEMO_MODEL is not set\n");
        skip();
    }
    gguf = gguf_open(path, &err);
    if (gguf == NULL)
        fail_msg("%s", err.message);
    return gguf;
}

static struct vocab *demo_vocab(void)
{
    struct gguf *gguf = demo_gguf();
    struct err err = ERR_INIT;
    struct vocab *vocab = vocab_new(gguf, &err);

    gguf_free(gguf);
    if (vocab == NULL)
        fail_msg("%s", err.message);
    return vocab;
}

static void expect_line(const struct vocab *vocab, const char *line)
{
    AUTO_JSON json_t *pair = json_loads(line, 0, NULL);
    const json_t *text = json_array_get(pair, 0);
    const json_t *ids = json_array_get(pair, 1);
    struct token_list tokens;
    struct err err = ERR_INIT;

    assert_true(json_is_string(text) && json_is_array(ids));
    token_list_init(&tokens, TOKEN_MAX);
    assert_int_equal(vocab_tokenize(vocab, json_string_value(text), json_string_length(text),
                                    VOCAB_PLAIN, &tokens, &err),
                     0);
    if (tokens.count != json_array_size(ids))
        fail_msg("%zu tokens: %s", tokens.count, line);
    for (size_t i = 0; i < tokens.count; i++) {
        if (tokens.ids[i] != json_integer_value(json_array_get(ids, i)))
            fail_msg("token %zu is %u: %s", i, tokens.ids[i], line);
    }
    token_list_release(&tokens);
}

static void every_golden_text(void **state)
{
    struct vocab *vocab = demo_vocab();
    FILE *file = fopen("tests/golden/tokenizer_smollm2.jsonl", "r");
    char *line = NULL;
    size_t capacity = 0;
    size_t count = 0;

    assert_non_null(file);
    while (getline(&line, &capacity, file) > 0) {
        expect_line(vocab, line);
        count++;
    }
    assert_true(count > 2000);
    free(line);
    (void)fclose(file); /* only read */
    vocab_free(vocab);
}

/* What the file says of itself: the ids of SmolLM2's special tokens, no BOS, both ends. */
static void the_special_tokens(void **state)
{
    struct vocab *vocab = demo_vocab();

    assert_int_equal(vocab_count(vocab), 49152);
    assert_int_equal(vocab_bos(vocab), 1);
    assert_false(vocab_adds_bos(vocab));
    assert_int_equal(vocab_find(vocab, "<|im_end|>", 10), 2);
    for (uint32_t token = 0; token < vocab_count(vocab); token++) {
        assert_int_equal(vocab_is_end(vocab, token), token == 0 || token == 2);
        assert_int_equal(vocab_is_control(vocab, token), token < 17);
    }
    vocab_free(vocab);
}

/* The text the file's template gives for one question, with the default system message of it. */
static void the_chat_template(void **state)
{
    static const char EXPECTED[] =
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
        "Face<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n";
    struct gguf *gguf = demo_gguf();
    struct err err = ERR_INIT;
    struct vocab *vocab = vocab_new(gguf, &err);
    struct chat_format *format = chat_format_new(gguf, &err);
    AUTO_JSON json_t *messages = json_loads("[{\"role\":\"user\",\"content\":\"Hi\"}]", 0, NULL);
    struct token_list found;
    struct token_list expected;

    token_list_init(&found, TOKEN_MAX);
    token_list_init(&expected, TOKEN_MAX);
    assert_int_equal(chat_format_template(format), CHAT_TEMPLATE_CHATML);
    assert_int_equal(chat_format_render(format, vocab, messages, &found, &err), 0);
    assert_int_equal(
        vocab_tokenize(vocab, EXPECTED, strlen(EXPECTED), VOCAB_MARKUP, &expected, &err), 0);
    assert_int_equal(found.count, expected.count);
    assert_memory_equal(found.ids, expected.ids, found.count * sizeof(*found.ids));
    token_list_release(&found);
    token_list_release(&expected);
    chat_format_free(format);
    vocab_free(vocab);
    gguf_free(gguf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {.name = "every golden text (needs the demo model)", .test_func = every_golden_text},
        {.name = "the special tokens (needs the demo model)", .test_func = the_special_tokens},
        {.name = "the chat template (needs the demo model)", .test_func = the_chat_template},
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
