/* What llama.cpp makes of texts: one JSON string a line on stdin, a line of token ids on stdout.
 * Texts are tokenised without BOS and without markup, as users' texts are; with --markup, control
 * tokens spelled out in them count. Linked with libllama, which is never part of rbee; see
 * make_tokenizer_golden.sh. */
#include <jansson.h>
#include <llama.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKEN_MAX_COUNT = 1 << 20 };

static void stay_quiet(enum ggml_log_level level, const char *text, void *owner)
{
    (void)owner;
    if (level == GGML_LOG_LEVEL_ERROR)
        fputs(text, stderr);
}

static int print_tokens(const struct llama_vocab *vocab, const char *line, bool markup)
{
    static llama_token tokens[TOKEN_MAX_COUNT];
    json_t *json = json_loads(line, JSON_DECODE_ANY, NULL);
    int count = 0;

    if (!json_is_string(json))
        return -1;
    count = llama_tokenize(vocab, json_string_value(json), (int)json_string_length(json), tokens,
                           TOKEN_MAX_COUNT, false, markup);
    json_decref(json);
    if (count < 0)
        return -1;
    for (int i = 0; i < count; i++)
        printf("%s%d", i == 0 ? "" : " ", tokens[i]);
    putchar('\n');
    return 0;
}

int main(int argc, char **argv)
{
    bool markup = argc == 3 && strcmp(argv[2], "--markup") == 0;
    struct llama_model_params params = llama_model_default_params();
    struct llama_model *model = NULL;
    char *line = NULL;
    size_t capacity = 0;
    int number = 0;

    if (argc < 2 || (argc == 3 && !markup)) {
        fprintf(stderr, "usage: %s MODEL [--markup] <TEXTS\n", argv[0]);
        return 2;
    }
    llama_log_set(stay_quiet, NULL);
    params.vocab_only = true;
    model = llama_model_load_from_file(argv[1], params);
    if (model == NULL)
        return 1;
    while (getline(&line, &capacity, stdin) > 0) {
        number++;
        if (print_tokens(llama_model_get_vocab(model), line, markup) != 0) {
            fprintf(stderr, "line %d is no JSON string, or too long\n", number);
            return 1;
        }
    }
    free(line);
    llama_model_free(model);
    return 0;
}
