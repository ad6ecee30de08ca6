/* The small vocabulary of random models: three control tokens, the 256 bytes, a few merges, and as
 * many unused tokens as are asked for. */
#ifndef RBEE_TESTS_TINY_VOCAB_H
#define RBEE_TESTS_TINY_VOCAB_H

#include "common/attr.h"
#include "common/utf8.h"
#include "tests/gguf_writer.h"

#include <stdio.h>

enum { TINY_CONTROL_COUNT = 3, TINY_BYTE_COUNT = 256 };

static const char *const TINY_CONTROLS[TINY_CONTROL_COUNT] = {"<|endoftext|>", "<|im_start|>",
                                                              "<|im_end|>"};

/* Pairs in the order of their ranks; "_" stands for the byte-level space. Each result is a token,
 * and no two are alike.
 */
static const char *const TINY_MERGES[][2] = {
    {"_", "t"},   {"h", "e"},     {"i", "n"},  {"r", "e"},  {"_", "a"},  {"o", "n"},
    {"e", "r"},   {"_t", "he"},   {"_", "s"},  {"a", "t"},  {"o", "r"},  {"e", "n"},
    {"_", "w"},   {"o", "u"},     {"_", "c"},  {"i", "s"},  {"_a", "n"}, {"_an", "d"},
    {"in", "g"},  {"_", "o"},     {"_o", "f"}, {"a", "l"},  {"_", "i"},  {"_i", "s"},
    {"_", "p"},   {"e", "d"},     {"_t", "o"}, {"_", "m"},  {"l", "l"},  {"e", "l"},
    {"_", "b"},   {"_", "f"},     {"u", "s"},  {"s", "t"},  {"_", "h"},  {"l", "o"},
    {"_h", "el"}, {"_hel", "lo"}, {"w", "or"}, {"l", "d"},  {"0", "0"},  {"1", "0"},
    {"_", "_"},   {"__", "__"},   {"s", "y"},  {"s", "er"}, {"_h", "e"}, {"wor", "ld"},
    {"u", "ser"},
};

/* The character that stands for BYTE in byte-level BPE: printable Latin-1 is itself, the rest
 * follows from U+0100 on (OpenAI's GPT-2 encoder). */
static inline uint32_t tiny_byte_character(uint32_t byte)
{
    uint32_t shifted = 0;

    for (uint32_t b = 0; b <= byte; b++) {
        bool is_itself = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;

        if (b == byte)
            return is_itself ? b : 256 + shifted;
        if (!is_itself)
            shifted++;
    }
    return 0;
}

static inline void tiny_merge_text(const char *piece, struct buf *out)
{
    for (; *piece != '\0'; piece++)
        writer_check(*piece == '_' ? buf_add_string(out, "\xc4\xa0") : buf_add_byte(out, *piece));
}

static inline uint32_t tiny_vocab_count(void)
{
    return TINY_CONTROL_COUNT + TINY_BYTE_COUNT + ARRAY_COUNT(TINY_MERGES);
}

static inline void tiny_add_tokens(struct gguf_writer *writer, uint32_t count)
{
    struct buf text;

    buf_init(&text, 64);
    writer_add_array(writer, "tokenizer.ggml.tokens", GGUF_STRING, count);
    for (size_t i = 0; i < TINY_CONTROL_COUNT; i++)
        writer_text(&writer->entries, TINY_CONTROLS[i], strlen(TINY_CONTROLS[i]));
    for (uint32_t byte = 0; byte < TINY_BYTE_COUNT; byte++) {
        char utf8[4];
        size_t len = utf8_write(tiny_byte_character(byte), utf8);

        writer_text(&writer->entries, utf8, len);
    }
    for (size_t i = 0; i < ARRAY_COUNT(TINY_MERGES); i++) {
        buf_clear(&text);
        tiny_merge_text(TINY_MERGES[i][0], &text);
        tiny_merge_text(TINY_MERGES[i][1], &text);
        writer_text(&writer->entries, text.data, text.len);
    }
    for (uint32_t i = tiny_vocab_count(); i < count; i++) {
        char unused[32];
        int len = snprintf(unused, sizeof(unused), "<|unused %u|>", i);

        writer_text(&writer->entries, unused, (size_t)len);
    }
    buf_release(&text);
}

static inline void tiny_add_merges(struct gguf_writer *writer)
{
    struct buf text;

    buf_init(&text, 64);
    writer_add_array(writer, "tokenizer.ggml.merges", GGUF_STRING, ARRAY_COUNT(TINY_MERGES));
    for (size_t i = 0; i < ARRAY_COUNT(TINY_MERGES); i++) {
        buf_clear(&text);
        tiny_merge_text(TINY_MERGES[i][0], &text);
        writer_check(buf_add_byte(&text, ' '));
        tiny_merge_text(TINY_MERGES[i][1], &text);
        writer_text(&writer->entries, text.data, text.len);
    }
    buf_release(&text);
}

/* COUNT tokens, at least tiny_vocab_count(). */
static inline void tiny_add_vocab(struct gguf_writer *writer, uint32_t count, bool has_template)
{
    enum { NORMAL = 1, CONTROL = 3, UNUSED = 5 }; /* token types of the format */

    writer_add_text(writer, "tokenizer.ggml.model", "gpt2");
    writer_add_text(writer, "tokenizer.ggml.pre", "smollm");
    tiny_add_tokens(writer, count);
    writer_add_array(writer, "tokenizer.ggml.token_type", GGUF_I32, count);
    for (uint32_t i = 0; i < count; i++)
        writer_u32(&writer->entries, i < TINY_CONTROL_COUNT   ? CONTROL
                                     : i < tiny_vocab_count() ? NORMAL
                                                              : UNUSED);
    tiny_add_merges(writer);
    writer_add_u32(writer, "tokenizer.ggml.bos_token_id", 1);
    writer_add_u32(writer, "tokenizer.ggml.eos_token_id", 2);
    writer_add_u32(writer, "tokenizer.ggml.unknown_token_id", 0);
    writer_add_bool(writer, "tokenizer.ggml.add_bos_token", false);
    writer_add_bool(writer, "tokenizer.ggml.add_space_prefix", false);
    if (has_template)
        writer_add_text(writer, "tokenizer.chat_template",
                        "{% for message in messages %}{% if loop.first and messages[0]['role'] != "
                        "'system' %}{{ '<|im_start|>system\nYou are small.<|im_end|>\n' }}"
                        "{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] "
                        "+ '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}"
                        "{{ '<|im_start|>assistant\n' }}{% endif %}");
}

#endif
