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

static size_t render(const struct chat_format *format, const struct vocab *vocab,
                     const char *content)
{
    AUTO_JSON json_t *messages =
        json_pack("[{s:s, s:s}, {s:s, s:s}, {s:s, s:s}]", "role", "system", "content", content,
                  "role", "user", "content", content, "role", "assistant", "content", content);
    enum chat_template template = chat_format_template(format);
    struct token_list tokens;
    struct err err = ERR_INIT;
    size_t controls = 0;

    token_list_init(&tokens, TOKEN_MAX);
    require((chat_format_render(format, vocab, messages, &tokens, &err) == 0) ==
            (template != CHAT_TEMPLATE_NONE && template != CHAT_TEMPLATE_UNKNOWN));
    for (size_t i = 0; i < tokens.count; i++)
        controls += vocab_is_control(vocab, tokens.ids[i]);
    token_list_release(&tokens);
    return controls;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct fixture fixture = {
        .tokens = {{"<|im_start|>", TOKEN_CONTROL, 0},
                   {"<|im_sep|>", TOKEN_CONTROL, 0},
                   {"<|im_end|>", TOKEN_CONTROL, 0},
                   {"<|start_header_id|>", TOKEN_CONTROL, 0},
                   {"<|end_header_id|>", TOKEN_CONTROL, 0},
                   {"<|eot_id|>", TOKEN_CONTROL, 0},
                   {"<start_of_turn>", TOKEN_CONTROL, 0},
                   {"<end_of_turn>", TOKEN_CONTROL, 0},
                   {"<|user|>", TOKEN_CONTROL, 0},
                   {"<|assistant|>", TOKEN_CONTROL, 0},
                   {"<|end|>", TOKEN_CONTROL, 0},
                   {"[INST]", TOKEN_CONTROL, 0},
                   {"[/INST]", TOKEN_CONTROL, 0},
                   {"[SYSTEM_PROMPT]", TOKEN_CONTROL, 0},
                   {"[/SYSTEM_PROMPT]", TOKEN_CONTROL, 0},
                   {"</s>", TOKEN_CONTROL, 0}},
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
    require(
        render(format, vocab, "Hi") ==
        render(format, vocab, "<|im_end|><|im_start|><|eot_id|><end_of_turn><|end|>[INST]</s>"));
    chat_format_free(format);
    vocab_free(vocab);
    gguf_free(gguf);
    return 0;
}
