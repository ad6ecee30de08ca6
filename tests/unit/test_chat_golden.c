/* What llama.cpp writes for each family of chat templates (tests/golden/chat_templates.jsonl, made
 * by tests/oracle/chats.py), and which tokens it makes of that with a vocabulary of that family. */
#include "common/json.h"
#include "common/mem.h"
#include "hip/text/chat_template.h"
#include "tests/vocab_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { TOKEN_MAX = 100000, PATH_MAX_BYTES = 4096 };

static const char GOLDEN[] = "tests/golden/chat_templates.jsonl";

/* Every mark that a family writes, a BOS that is none of them, and two tokens that only text which
 * is cut across a mark's end would be made of. */
static struct fixture marks_fixture(const char *chat_template)
{
    return (struct fixture){
        .pre = "llama-bpe",
        .chat_template = chat_template,
        .tokens = {{"<s>", TOKEN_CONTROL, 0},
                   {"</s>", TOKEN_CONTROL, 0},
                   {"<|im_start|>", TOKEN_CONTROL, 0},
                   {"<|im_sep|>", TOKEN_CONTROL, 0},
                   {"<|im_end|>", TOKEN_CONTROL, 0},
                   {"<|start_header_id|>", TOKEN_CONTROL, 0},
                   {"<|end_header_id|>", TOKEN_CONTROL, 0},
                   {"<|eot_id|>", TOKEN_CONTROL, 0},
                   {"<start_of_turn>", TOKEN_CONTROL, 0},
                   {"<end_of_turn>", TOKEN_CONTROL, 0},
                   {"<|system|>", TOKEN_CONTROL, 0},
                   {"<|user|>", TOKEN_CONTROL, 0},
                   {"<|assistant|>", TOKEN_CONTROL, 0},
                   {"<|end|>", TOKEN_CONTROL, 0},
                   {"[INST]", TOKEN_CONTROL, 0},
                   {"[/INST]", TOKEN_CONTROL, 0},
                   {"[SYSTEM_PROMPT]", TOKEN_CONTROL, 0},
                   {"[/SYSTEM_PROMPT]", TOKEN_CONTROL, 0},
                   {"\xc4\x8a\xc4\x8a", TOKEN_NORMAL, 0}, /* two line ends */
                   {"^^", TOKEN_NORMAL, 0}},
        .merges = {"\xc4\x8a \xc4\x8a", "^ ^"},
        .bos = "<s>",
    };
}

static const char *text_of(const json_t *line, const char *field)
{
    return json_string_value(json_object_get(line, field));
}

static struct chat_format *format_of(const struct gguf *gguf, const json_t *line)
{
    struct err err = ERR_INIT;
    struct chat_format *format = chat_format_new(gguf, &err);

    assert_non_null(format);
    assert_string_equal(chat_template_name(chat_format_template(format)), text_of(line, "family"));
    return format;
}

static void render(const struct chat_format *format, const struct vocab *vocab, const json_t *line,
                   struct token_list *out)
{
    struct err err = ERR_INIT;

    token_list_init(out, TOKEN_MAX);
    if (chat_format_render(format, vocab, json_object_get(line, "messages"), out, &err) != 0)
        fail_msg("%s", err.message);
}

/* The tokens are those of llama.cpp's text, and before them a BOS where the template has one. */
static void expect_text(const json_t *line)
{
    struct fixture fixture = marks_fixture(text_of(line, "template"));
    const char *text = text_of(line, "text");
    AUTO_BUF struct buf file = BUF_INIT(FIXTURE_MAX_BYTES);
    struct err err = ERR_INIT;
    struct token_list found;
    struct token_list expected;
    struct gguf *gguf = NULL;
    struct vocab *vocab = NULL;
    struct chat_format *format = NULL;

    fixture_write(&fixture, &file);
    gguf = gguf_open_memory(file.data, file.len, &err);
    assert_non_null(gguf);
    /* llama-bpe adds a BOS by itself: every family's prompt begins with one. */
    vocab = vocab_new(gguf, &err);
    assert_non_null(vocab);
    format = format_of(gguf, line);
    render(format, vocab, line, &found);
    token_list_init(&expected, TOKEN_MAX);
    assert_int_equal(token_list_add(&expected, vocab_bos(vocab), &err), 0);
    assert_int_equal(vocab_tokenize(vocab, text, strlen(text), VOCAB_MARKUP, &expected, &err), 0);
    if (found.count != expected.count ||
        memcmp(found.ids, expected.ids, found.count * sizeof(*found.ids)) != 0)
        fail_msg("%s: not the tokens of '%s'", text_of(line, "family"), text);
    token_list_release(&found);
    token_list_release(&expected);
    chat_format_free(format);
    vocab_free(vocab);
    gguf_free(gguf);
}

static size_t count_controls(const struct vocab *vocab, const struct token_list *tokens)
{
    size_t count = 0;

    for (size_t i = 0; i < tokens->count; i++)
        count += vocab_is_control(vocab, tokens->ids[i]);
    return count;
}

/* As many control tokens as in the conversation itself, when all of its messages hold every mark.
 */
static void expect_no_marks_of_users(const json_t *line)
{
    static const char MARKS[] =
        "<s></s><|im_start|><|im_sep|><|im_end|><|start_header_id|><|end_header_id|><|eot_id|>"
        "<start_of_turn><end_of_turn><|system|><|user|><|assistant|><|end|>[INST][/INST]"
        "[SYSTEM_PROMPT][/SYSTEM_PROMPT]";
    struct fixture fixture = marks_fixture(text_of(line, "template"));
    AUTO_BUF struct buf file = BUF_INIT(FIXTURE_MAX_BYTES);
    AUTO_JSON json_t *marked = json_deep_copy(line);
    struct err err = ERR_INIT;
    struct token_list plain;
    struct token_list found;
    struct gguf *gguf = NULL;
    struct vocab *vocab = NULL;
    struct chat_format *format = NULL;
    json_t *message = NULL;
    size_t i = 0;

    json_array_foreach(json_object_get(marked, "messages"), i, message)
        json_object_set_new(message, "content", json_string(MARKS));
    fixture_write(&fixture, &file);
    gguf = gguf_open_memory(file.data, file.len, &err);
    vocab = vocab_new(gguf, &err);
    assert_non_null(vocab);
    format = format_of(gguf, line);
    render(format, vocab, line, &plain);
    render(format, vocab, marked, &found);
    assert_int_equal(count_controls(vocab, &found), count_controls(vocab, &plain));
    token_list_release(&plain);
    token_list_release(&found);
    chat_format_free(format);
    vocab_free(vocab);
    gguf_free(gguf);
}

/* Calls DO for each line of the golden file; returns how many there are. */
static size_t for_each_line(void (*do_line)(const json_t *line))
{
    FILE *file = fopen(GOLDEN, "r");
    char *text = NULL;
    size_t capacity = 0;
    size_t count = 0;

    assert_non_null(file);
    while (getline(&text, &capacity, file) > 0) {
        AUTO_JSON json_t *line = json_loads(text, 0, NULL);

        assert_true(json_is_object(line));
        do_line(line);
        count++;
    }
    free(text);
    (void)fclose(file); /* only read */
    return count;
}

static void every_family_writes_what_llama_does(void **state)
{
    assert_true(for_each_line(expect_text) >= 7 * (CHAT_TEMPLATE_COUNT - 2));
}

/* Whatever the family, a message that spells its turns is a message. */
static void users_cannot_write_turns(void **state)
{
    (void)for_each_line(expect_no_marks_of_users); /* counted by the other test */
}

static void expect_ids(const json_t *line)
{
    const char *name = text_of(line, "vocabulary");
    const json_t *ids = json_object_get(line, "ids");
    struct fixture fixture = marks_fixture(text_of(line, "template"));
    AUTO_BUF struct buf file = BUF_INIT(FIXTURE_MAX_BYTES);
    char path[PATH_MAX_BYTES];
    struct err err = ERR_INIT;
    struct token_list found;
    struct gguf *gguf = NULL;
    struct gguf *with_template = NULL;
    struct vocab *vocab = NULL;
    struct chat_format *format = NULL;

    if (name == NULL)
        return;
    assert_true((size_t)snprintf(path, sizeof(path), "%s/ggml-vocab-%s.gguf",
                                 getenv("RBEE_GOLDEN_VOCABULARIES"), name) < sizeof(path));
    gguf = gguf_open(path, &err);
    if (gguf == NULL)
        fail_msg("%s", err.message);
    vocab = vocab_new(gguf, &err);
    fixture_write(&fixture, &file);
    with_template = gguf_open_memory(file.data, file.len, &err);
    assert_true(vocab != NULL && with_template != NULL);
    format = format_of(with_template, line);
    render(format, vocab, line, &found);
    assert_int_equal(found.count, json_array_size(ids));
    for (size_t i = 0; i < found.count; i++)
        assert_int_equal(found.ids[i], json_integer_value(json_array_get(ids, i)));
    token_list_release(&found);
    chat_format_free(format);
    gguf_free(with_template);
    vocab_free(vocab);
    gguf_free(gguf);
}

static void every_family_has_llamas_tokens(void **state)
{
    const char *folder = getenv("RBEE_GOLDEN_VOCABULARIES");

    if (folder == NULL || folder[0] == '\0') {
        printf("# golden vocabularies are not here: RBEE_GOLDEN_VOCABULARIES is not set\n");
        skip();
    }
    (void)for_each_line(expect_ids); /* counted by the other test */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_family_writes_what_llama_does),
        cmocka_unit_test(users_cannot_write_turns),
        {.name = "every family has llama.cpp's tokens (needs npm and a registry)",
         .test_func = every_family_has_llamas_tokens},
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
