/* Asks llama.cpp (the prebuilt library of the npm package node-llama-cpp) for what our engine is
 * compared with. Built and run by `make oracle` alone; its results are the files of tests/golden/.
 * Nothing of llama.cpp is in this tree, and nothing of ours is linked here.
 *
 *   llama_oracle quantise TYPE MODEL OUT.gguf    the same model with other types of weights: F32
 *                                                   for all, or a mixture of FILE_TYPES
 *   llama_oracle tokenize MODEL [--markup]       a JSON string a line on stdin -> [text, [id, ...]]
 *                                                   a line, without BOS
 *   llama_oracle chat FOLDER                     lines of chats.py on stdin -> the same with
 *                                                   `text`, and `ids` by a vocabulary of there
 *   llama_oracle greedy MODEL N PROMPTS.json     -> JSON: N tokens for each prompt, with the two
 *                                                   most probable tokens of each step
 *   llama_oracle logits MODEL IDS.json OUT.f32   every position's logits, [position][vocab]
 *   llama_oracle golden OUT.f32 IDS.json VOCAB_COUNT OUT.bin [TOP]
 *                                                golden_logits.h of such a file, with the TOP (256)
 *                                                   most probable tokens of each position
 *
 * $LLAMA_BACKENDS is the folder of ggml's CPU libraries. KV is F32 and flash attention off, so that
 * what is left of a difference is the order of additions. */
#include "ggml-backend.h"
#include "llama.h"
#include "tests/oracle/golden_logits.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ORACLE_CONTEXT_TOKENS = 1024,
    ORACLE_TEXT_MAX_BYTES = 1 << 20,
    ORACLE_THREADS = 2,
};

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)fputs("llama_oracle: ", stderr);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
    exit(1);
}

/* ---- llama.cpp ---- */

struct oracle {
    struct llama_model *model;
    const struct llama_vocab *vocab;
    struct llama_context *context;
    int32_t vocab_count;
};

static void log_nothing(enum ggml_log_level level, const char *text, void *user)
{
    (void)user;
    if (level >= GGML_LOG_LEVEL_ERROR && level != GGML_LOG_LEVEL_CONT)
        (void)fputs(text, stderr);
}

static void library_init(void)
{
    const char *backends = getenv("LLAMA_BACKENDS");

    if (backends == NULL)
        die("LLAMA_BACKENDS is not set");
    llama_log_set(log_nothing, NULL);
    ggml_backend_load_all_from_path(backends);
    llama_backend_init();
}

static void oracle_init(struct oracle *oracle, const char *path)
{
    struct llama_model_params model_params = llama_model_default_params();
    struct llama_context_params params = llama_context_default_params();

    library_init();
    model_params.n_gpu_layers = 0;
    oracle->model = llama_model_load_from_file(path, model_params);
    if (oracle->model == NULL)
        die("cannot load %s", path);
    oracle->vocab = llama_model_get_vocab(oracle->model);
    oracle->vocab_count = llama_vocab_n_tokens(oracle->vocab);

    params.n_ctx = ORACLE_CONTEXT_TOKENS;
    params.n_batch = ORACLE_CONTEXT_TOKENS;
    params.n_ubatch = ORACLE_CONTEXT_TOKENS;
    params.n_threads = ORACLE_THREADS;
    params.n_threads_batch = ORACLE_THREADS;
    params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    params.type_k = GGML_TYPE_F32;
    params.type_v = GGML_TYPE_F32;
    oracle->context = llama_init_from_model(oracle->model, params);
    if (oracle->context == NULL)
        die("cannot make a context");
}

/* Runs COUNT tokens from POSITION on; the logits of the last one, or of all, can be read then. */
static void oracle_decode(struct oracle *oracle, const llama_token *tokens, int32_t count,
                          int32_t position, bool all_logits)
{
    struct llama_batch batch = llama_batch_init(count, 0, 1);

    for (int32_t i = 0; i < count; i++) {
        batch.token[i] = tokens[i];
        batch.pos[i] = position + i;
        batch.n_seq_id[i] = 1;
        batch.seq_id[i][0] = 0;
        batch.logits[i] = all_logits || i == count - 1;
    }
    batch.n_tokens = count;
    if (llama_decode(oracle->context, batch) != 0)
        die("llama_decode failed");
    llama_batch_free(batch);
}

static int32_t oracle_tokenize(const struct oracle *oracle, const char *text, size_t len,
                               bool markup, llama_token *out, int32_t max)
{
    int32_t count = llama_tokenize(oracle->vocab, text, (int32_t)len, out, max, true, markup);

    if (count < 0)
        die("the text has more than %d tokens", max);
    return count;
}

/* ---- distributions ---- */

/* log of the sum of exp(logits): log-probability = logit - this. */
static double log_sum_exp(const float *logits, int32_t count)
{
    double max = -INFINITY, sum = 0;

    for (int32_t i = 0; i < count; i++)
        max = fmax(max, logits[i]);
    for (int32_t i = 0; i < count; i++)
        sum += exp(logits[i] - max);
    return max + log(sum);
}

struct ranked {
    float logit;
    uint32_t token;
};

static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;

    if (x->logit != y->logit)
        return x->logit < y->logit ? 1 : -1;
    return x->token < y->token ? -1 : 1;
}

/* All tokens, most probable first; equal ones by id. */
static void rank(const float *logits, int32_t count, struct ranked *out)
{
    for (int32_t i = 0; i < count; i++)
        out[i] = (struct ranked){.logit = logits[i], .token = (uint32_t)i};
    qsort(out, (size_t)count, sizeof(*out), compare_ranked);
}

/* ---- commands ---- */

static json_t *load_json(const char *path)
{
    json_error_t error;
    json_t *value = json_load_file(path, 0, &error);

    if (value == NULL)
        die("%s:%d: %s", path, error.line, error.text);
    return value;
}

static int32_t load_tokens(const char *path, llama_token out[GOLDEN_POSITION_MAX_COUNT])
{
    json_t *ids = load_json(path), *id;
    size_t i;

    if (json_array_size(ids) > GOLDEN_POSITION_MAX_COUNT)
        die("%s: more than %d tokens", path, GOLDEN_POSITION_MAX_COUNT);
    json_array_foreach(ids, i, id) out[i] = (llama_token)json_integer_value(id);
    json_decref(ids);
    return (int32_t)i;
}

/* What llama.cpp calls a type of file is mostly of that type: the head and rows that are no
 * multiple of a block of 256 get another. */
static const struct {
    const char *name;
    enum llama_ftype type;
} FILE_TYPES[] = {
    {"F32", LLAMA_FTYPE_ALL_F32},          {"Q5_0", LLAMA_FTYPE_MOSTLY_Q5_0},
    {"Q5_1", LLAMA_FTYPE_MOSTLY_Q5_1},     {"Q2_K", LLAMA_FTYPE_MOSTLY_Q2_K},
    {"Q3_K_M", LLAMA_FTYPE_MOSTLY_Q3_K_M}, {"Q4_K_M", LLAMA_FTYPE_MOSTLY_Q4_K_M},
    {"Q5_K_M", LLAMA_FTYPE_MOSTLY_Q5_K_M}, {"Q6_K", LLAMA_FTYPE_MOSTLY_Q6_K},
    {"IQ4_NL", LLAMA_FTYPE_MOSTLY_IQ4_NL}, {"IQ4_XS", LLAMA_FTYPE_MOSTLY_IQ4_XS},
};

static int command_quantise(char **args)
{
    struct llama_model_quantize_params params = llama_model_quantize_default_params();
    size_t i = 0;

    while (i < sizeof(FILE_TYPES) / sizeof(FILE_TYPES[0]) &&
           strcmp(FILE_TYPES[i].name, args[0]) != 0)
        i++;
    if (i == sizeof(FILE_TYPES) / sizeof(FILE_TYPES[0]))
        die("no type of file: %s", args[0]);
    library_init();
    params.ftype = FILE_TYPES[i].type;
    params.allow_requantize = true;
    params.nthread = ORACLE_THREADS;
    return llama_model_quantize(args[1], args[2], &params) == 0 ? 0 : 1;
}

/* One line of golden/tokenizer_smollm2.jsonl. */
static void tokenize_line(const struct llama_vocab *vocab, const char *line, bool markup)
{
    static llama_token tokens[ORACLE_TEXT_MAX_BYTES];
    json_t *text = json_loads(line, JSON_DECODE_ANY, NULL);
    json_t *ids = json_array();

    if (!json_is_string(text))
        die("not a JSON string: %s", line);
    int32_t count =
        llama_tokenize(vocab, json_string_value(text), (int32_t)json_string_length(text), tokens,
                       ORACLE_TEXT_MAX_BYTES, false, markup);
    for (int32_t i = 0; i < count; i++)
        json_array_append_new(ids, json_integer(tokens[i]));
    json_t *pair = json_pack("[oo]", text, ids);
    (void)json_dumpf(pair, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
    (void)putchar('\n');
    json_decref(pair);
}

static int command_tokenize(char **args)
{
    bool markup = args[1] != NULL && strcmp(args[1], "--markup") == 0;
    struct llama_model_params params = llama_model_default_params();
    char *line = NULL;
    size_t capacity = 0;

    library_init();
    params.vocab_only = true;
    struct llama_model *model = llama_model_load_from_file(args[0], params);
    if (model == NULL)
        die("cannot load %s", args[0]);
    while (getline(&line, &capacity, stdin) > 0)
        tokenize_line(llama_model_get_vocab(model), line, markup);
    free(line);
    llama_model_free(model);
    return 0;
}

/* The text that the family THEIRS writes for the messages; the caller frees it. */
static char *apply_template(const char *theirs, const json_t *messages)
{
    struct llama_chat_message chat[64];
    size_t count = json_array_size(messages);
    char *text = calloc(1, ORACLE_TEXT_MAX_BYTES);

    if (text == NULL || count > sizeof(chat) / sizeof(chat[0]))
        die("a chat of %zu messages", count);
    for (size_t i = 0; i < count; i++) {
        const json_t *message = json_array_get(messages, i);

        chat[i].role = json_string_value(json_object_get(message, "role"));
        chat[i].content = json_string_value(json_object_get(message, "content"));
    }
    if (llama_chat_apply_template(theirs, chat, count, true, text, ORACLE_TEXT_MAX_BYTES) < 0)
        die("llama.cpp does not know the family %s", theirs);
    return text;
}

static json_t *ids_of(const char *path, const char *text)
{
    static llama_token tokens[ORACLE_TEXT_MAX_BYTES];
    struct llama_model_params params = llama_model_default_params();
    json_t *ids = json_array();

    params.vocab_only = true;
    struct llama_model *model = llama_model_load_from_file(path, params);
    if (model == NULL)
        die("cannot load %s", path);
    int32_t count = llama_tokenize(llama_model_get_vocab(model), text, (int32_t)strlen(text),
                                   tokens, ORACLE_TEXT_MAX_BYTES, true, true);
    for (int32_t i = 0; i < count; i++)
        json_array_append_new(ids, json_integer(tokens[i]));
    llama_model_free(model);
    return ids;
}

static void render_line(const char *folder, const char *line)
{
    json_t *chat = json_loads(line, 0, NULL);
    const char *vocabulary = json_string_value(json_object_get(chat, "vocabulary"));
    char path[4096];
    char *text = apply_template(json_string_value(json_object_get(chat, "theirs")),
                                json_object_get(chat, "messages"));

    json_object_set_new(chat, "text", json_string(text));
    if (vocabulary != NULL) {
        (void)snprintf(path, sizeof(path), "%s/ggml-vocab-%s.gguf", folder, vocabulary);
        json_object_set_new(chat, "ids", ids_of(path, text));
    }
    (void)json_dumpf(chat, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
    (void)putchar('\n');
    json_decref(chat);
    free(text);
}

static int command_chat(char **args)
{
    char *line = NULL;
    size_t capacity = 0;

    library_init();
    while (getline(&line, &capacity, stdin) > 0)
        render_line(args[0], line);
    free(line);
    return 0;
}

/* One step's line: [token, its probability, the second token, its probability]. */
static json_t *describe_step(const float *logits, int32_t vocab_count, struct ranked *ranking)
{
    double norm = log_sum_exp(logits, vocab_count);

    rank(logits, vocab_count, ranking);
    return json_pack("[i,f,i,f]", (int)ranking[0].token, exp(ranking[0].logit - norm),
                     (int)ranking[1].token, exp(ranking[1].logit - norm));
}

/* LIMIT tokens after TEXT, or fewer where the model ends its text. */
static json_t *complete(struct oracle *oracle, const char *text, int32_t limit,
                        struct ranked *ranking)
{
    llama_token tokens[ORACLE_CONTEXT_TOKENS];
    int32_t count =
        oracle_tokenize(oracle, text, strlen(text), false, tokens, ORACLE_CONTEXT_TOKENS);
    json_t *ids = json_array(), *steps = json_array();

    for (int32_t i = 0; i < count; i++)
        json_array_append_new(ids, json_integer(tokens[i]));
    llama_memory_clear(llama_get_memory(oracle->context), true);
    oracle_decode(oracle, tokens, count, 0, false);
    for (int32_t position = count; position < count + limit; position++) {
        json_array_append_new(steps, describe_step(llama_get_logits_ith(oracle->context, -1),
                                                   oracle->vocab_count, ranking));
        llama_token next = (llama_token)ranking[0].token;
        if (llama_vocab_is_eog(oracle->vocab, next))
            break;
        oracle_decode(oracle, &next, 1, position, false);
    }
    return json_pack("{s:s,s:o,s:o}", "prompt", text, "ids", ids, "steps", steps);
}

static int command_greedy(char **args)
{
    struct oracle oracle;
    json_t *prompts = load_json(args[2]), *prompt, *out = json_array();
    int32_t limit = (int32_t)strtol(args[1], NULL, 10);
    size_t i;

    oracle_init(&oracle, args[0]);
    struct ranked *ranking = calloc((size_t)oracle.vocab_count, sizeof(*ranking));
    json_array_foreach(prompts, i, prompt)
        json_array_append_new(out, complete(&oracle, json_string_value(prompt), limit, ranking));
    /* One prompt a line. */
    json_array_foreach(out, i, prompt)
    {
        (void)fputs(i == 0 ? "[" : ",\n", stdout);
        (void)json_dumpf(prompt, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
    }
    (void)puts("]");
    return 0;
}

static int command_logits(char **args)
{
    llama_token tokens[GOLDEN_POSITION_MAX_COUNT];
    int32_t count = load_tokens(args[1], tokens);
    struct oracle oracle;
    FILE *file = fopen(args[2], "wb");

    if (file == NULL)
        die("cannot write %s", args[2]);
    oracle_init(&oracle, args[0]);
    oracle_decode(&oracle, tokens, count, 0, true);
    for (int32_t i = 0; i < count; i++) {
        const float *logits = llama_get_logits_ith(oracle.context, i);
        if (fwrite(logits, sizeof(*logits), (size_t)oracle.vocab_count, file) !=
            (size_t)oracle.vocab_count)
            die("cannot write %s", args[2]);
    }
    if (fclose(file) != 0)
        die("cannot write %s", args[2]);
    printf("%d\n", oracle.vocab_count);
    return 0;
}

/* Reads the next position's logits; writes its TOP entries and returns log_rest. */
static float write_position(FILE *in, int32_t vocab_count, int32_t top, float *logits,
                            struct ranked *ranking, FILE *out)
{
    if (fread(logits, sizeof(*logits), (size_t)vocab_count, in) != (size_t)vocab_count)
        die("the logits end too early");
    double norm = log_sum_exp(logits, vocab_count), rest = 0;

    rank(logits, vocab_count, ranking);
    for (int32_t i = 0; i < top; i++) {
        struct golden_entry entry = {.token = ranking[i].token,
                                     .log_probability = (float)(ranking[i].logit - norm)};
        (void)fwrite(&entry, sizeof(entry), 1, out); /* ferror() is asked at the end */
    }
    for (int32_t i = top; i < vocab_count; i++)
        rest += exp(ranking[i].logit - norm);
    return (float)log(rest);
}

static int command_golden(char **args)
{
    llama_token tokens[GOLDEN_POSITION_MAX_COUNT];
    float log_rest[GOLDEN_POSITION_MAX_COUNT];
    int32_t count = load_tokens(args[1], tokens);
    int32_t vocab_count = (int32_t)strtol(args[2], NULL, 10);
    int32_t top = args[4] != NULL ? (int32_t)strtol(args[4], NULL, 10) : GOLDEN_TOP_MAX_COUNT;
    struct golden_header header = {.magic = GOLDEN_MAGIC,
                                   .version = GOLDEN_VERSION,
                                   .position_count = (uint32_t)count,
                                   .top_count = (uint32_t)top,
                                   .vocab_count = (uint32_t)vocab_count};
    FILE *in = fopen(args[0], "rb"), *out = fopen(args[3], "wb");
    float *logits = calloc((size_t)vocab_count, sizeof(*logits));
    struct ranked *ranking = calloc((size_t)vocab_count, sizeof(*ranking));

    if (top < 1 || top > GOLDEN_TOP_MAX_COUNT || top >= vocab_count)
        die("cannot write %d of %d tokens", top, vocab_count);
    if (in == NULL || out == NULL || logits == NULL || ranking == NULL)
        die("cannot open %s and %s", args[0], args[3]);
    (void)fwrite(&header, sizeof(header), 1, out);
    (void)fwrite(tokens, sizeof(*tokens), (size_t)count, out);
    for (int32_t i = 0; i < count; i++)
        log_rest[i] = write_position(in, vocab_count, top, logits, ranking, out);
    (void)fwrite(log_rest, sizeof(*log_rest), (size_t)count, out);
    if (ferror(out) || fclose(out) != 0)
        die("cannot write %s", args[3]);
    free(logits);
    free(ranking);
    return fclose(in);
}

static const struct {
    const char *name;
    int args_min;
    int (*run)(char **args);
} commands[] = {
    {"quantise", 3, command_quantise}, {"tokenize", 1, command_tokenize},
    {"chat", 1, command_chat},         {"greedy", 3, command_greedy},
    {"logits", 3, command_logits},     {"golden", 4, command_golden},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc >= 2 && i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(argv[1], commands[i].name) == 0 && argc - 2 >= commands[i].args_min)
            return commands[i].run(argv + 2);
    }
    die("usage: see the head of llama_oracle.c");
}
