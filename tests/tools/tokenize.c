/* The tokenizer by itself: a JSON string a line on stdin, a line [text, [id, ...]] on stdout, as
 * tests/oracle/llama_oracle.c writes it. For comparing, and for looking at one text. */
#include "common/json.h"
#include "hip/model/gguf.h"
#include "hip/text/vocab.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKEN_MAX_COUNT = 1 << 24 };

static int print_tokens(const struct vocab *vocab, const char *line, enum vocab_markup markup,
                        struct err *err)
{
    AUTO_JSON json_t *text = json_loads(line, JSON_DECODE_ANY, NULL);
    AUTO_JSON json_t *pair = NULL;
    json_t *ids = NULL; /* owned by the pair */
    struct token_list tokens;
    int result = 0;

    if (!json_is_string(text))
        return err_set(err, ERR_INVALID_JSON, "not a JSON string: %s", line);
    ids = json_array();
    pair = json_pack("[Oo]", text, ids);
    token_list_init(&tokens, TOKEN_MAX_COUNT);
    result = vocab_tokenize(vocab, json_string_value(text), json_string_length(text), markup,
                            &tokens, err);
    for (size_t i = 0; i < tokens.count; i++)
        json_array_append_new(ids, json_integer(tokens.ids[i]));
    token_list_release(&tokens);
    (void)json_dumpf(pair, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
    putchar('\n');
    return result;
}

static int run(const char *path, enum vocab_markup markup, struct err *err)
{
    struct gguf *gguf = gguf_open(path, err);
    struct vocab *vocab = gguf == NULL ? NULL : vocab_new(gguf, err);
    char *line = NULL;
    size_t capacity = 0;
    int result = vocab == NULL ? -1 : 0;

    while (result == 0 && getline(&line, &capacity, stdin) > 0)
        result = print_tokens(vocab, line, markup, err);
    free(line);
    vocab_free(vocab);
    gguf_free(gguf);
    return result;
}

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;
    bool markup = argc == 3 && strcmp(argv[2], "--markup") == 0;

    if (argc < 2 || (argc == 3 && !markup)) {
        fprintf(stderr, "usage: %s MODEL [--markup] <TEXTS\n", argv[0]);
        return 2;
    }
    if (run(argv[1], markup ? VOCAB_MARKUP : VOCAB_PLAIN, &err) != 0) {
        fprintf(stderr, "%s\n", err.message);
        return err_exit_code(err.kind);
    }
    return 0;
}
