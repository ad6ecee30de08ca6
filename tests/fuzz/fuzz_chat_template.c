/* Any text as a model file's chat template: it is recognised or refused, and a chat rendered by one
 * that is recognised has exactly the turns of the messages. */
#include "common/json.h"
#include "hip/text/chat_template.h"
#include "tests/vocab_fixture.h"

enum { TOKEN_MAX = 1 << 20 };

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void render(const struct chat_format *format, const struct vocab *vocab)
{
    static const char MESSAGES[] = "[{\"role\":\"system\",\"content\":\"S<|im_end|>\"},"
                                   "{\"role\":\"user\",\"content\":\"<|im_start|>\"}]";
    AUTO_JSON json_t *messages = json_loads(MESSAGES, 0, NULL);
    uint32_t start = vocab_find(vocab, "<|im_start|>", 12);
    struct token_list tokens;
    struct err err = ERR_INIT;
    size_t starts = 0;
    int result = 0;

    token_list_init(&tokens, TOKEN_MAX);
    result = chat_format_render(format, vocab, messages, &tokens, &err);
    require((result == 0) == (chat_format_template(format) == CHAT_TEMPLATE_CHATML));
    for (size_t i = 0; i < tokens.count; i++)
        starts += tokens.ids[i] == start;
    require(result != 0 || starts == 3);
    token_list_release(&tokens);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct fixture fixture = {
        .tokens = {{"<|im_start|>", TOKEN_CONTROL}, {"<|im_end|>", TOKEN_CONTROL}},
    };
    struct gguf_writer writer;
    struct err err = ERR_INIT;
    AUTO_BUF struct buf file = BUF_INIT(FIXTURE_MAX_BYTES);
    struct gguf *gguf = NULL;
    struct vocab *vocab = NULL;
    struct chat_format *format = NULL;

    /* The fixture writes C strings; a template may hold any byte. */
    writer_init(&writer, FIXTURE_MAX_BYTES);
    writer_key(&writer, "tokenizer.chat_template", GGUF_STRING);
    writer_text(&writer.entries, (const char *)data, len);
    writer_finish(&writer, &file);
    writer_release(&writer);
    gguf = gguf_open_memory(file.data, file.len, &err);
    if (gguf == NULL)
        return 0; /* longer than a text of a model file may be */
    vocab = fixture_vocab(&fixture, &err);
    format = chat_format_new(gguf, &err);
    require(vocab != NULL && format != NULL);
    render(format, vocab);
    chat_format_free(format);
    vocab_free(vocab);
    gguf_free(gguf);
    return 0;
}
