/* Runs the engine on fixed tokens and compares its distributions with those of another:
 *
 *     eval kl DEVICE MODEL GOLDEN.bin POSITIONS    over the partition of golden_logits.h; the first
 *                                                  POSITIONS of them (a sanitizer is slow)
 *     eval full DEVICE MODEL IDS.json LOGITS.f32   over all tokens
 *     eval pair A.f32 B.f32 VOCAB_COUNT            two files of logits, no engine
 *     eval greedy DEVICE MODEL GREEDY.json         texts of `llama_oracle greedy`
 *
 * Prints one line of key=value, or one a text. KL is KL(theirs || ours) in nats, over the
 * positions. Judging the figures is for the tests. */
#include "common/attr.h"
#include "common/buf.h"
#include "common/err.h"
#include "common/io.h"
#include "common/json.h"
#include "common/mem.h"
#include "hip/backend/backend.h"
#include "hip/engine/kv.h"
#include "hip/model/model.h"
#include "tests/oracle/golden_logits.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum {
    EVAL_CONTEXT_TOKENS = 1024,
    EVAL_FILE_MAX_BYTES = 1 << 30,
};

/* ---- the engine ---- */

struct engine {
    struct model *model;
    struct backend *backend;
    struct session *session;
    uint32_t vocab_count;
};

static void engine_release(struct engine *engine)
{
    session_free(engine->session);
    backend_free(engine->backend);
    model_free(engine->model);
}

static int engine_init(struct engine *engine, const char *device, const char *path, struct err *err)
{
    struct session_options options = {.context_tokens = EVAL_CONTEXT_TOKENS, .sequence_count = 1};

    *engine = (struct engine){0};
    engine->model = model_open(path, err);
    if (engine->model == NULL)
        return -1;
    engine->vocab_count = model_vocab_count(engine->model);
    engine->backend = backend_new(device, 0, err);
    if (engine->backend == NULL)
        return -1;
    engine->session = session_new(engine->model, engine->backend, &options, err);
    return engine->session == NULL ? -1 : 0;
}

/* Logits of COUNT tokens from POSITION on: of all of them to OUT[count][vocab], or of the last. */
static int engine_run(struct engine *engine, const uint32_t *tokens, uint32_t count,
                      uint32_t position, bool all, float *out, struct err *err)
{
    struct batch_row rows[SESSION_BATCH_MAX_ROWS];

    if (count > SESSION_BATCH_MAX_ROWS)
        return err_set(err, ERR_USAGE, "more than %d tokens", SESSION_BATCH_MAX_ROWS);
    for (uint32_t i = 0; i < count; i++)
        rows[i] = (struct batch_row){
            .token = tokens[i], .position = position + i, .wants_logits = all || i == count - 1};
    return session_step(engine->session, rows, count, out, err);
}

/* ---- distributions ---- */

/* log-probability of token i = logits[i] - this */
static double log_sum_exp(const float *logits, uint32_t count)
{
    double max = -INFINITY, sum = 0;

    for (uint32_t i = 0; i < count; i++)
        max = fmax(max, logits[i]);
    for (uint32_t i = 0; i < count; i++)
        sum += exp(logits[i] - max);
    return max + log(sum);
}

static uint32_t largest(const float *logits, uint32_t count)
{
    uint32_t best = 0;

    for (uint32_t i = 1; i < count; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}

struct divergence {
    double sum, max;
    uint32_t same_top_count, position_count;
};

static void divergence_add(struct divergence *total, double kl, bool same_top)
{
    total->sum += kl;
    /* A NaN must not hide behind a comparison. */
    if (isnan(kl) || kl > total->max)
        total->max = kl;
    total->same_top_count += same_top;
    total->position_count++;
}

static void divergence_print(const struct divergence *total)
{
    printf("positions=%u mean_kl=%.3e max_kl=%.3e same_top=%u\n", total->position_count,
           total->sum / total->position_count, total->max, total->same_top_count);
}

static double kl_full(const float *theirs, const float *ours, uint32_t count)
{
    double norm_theirs = log_sum_exp(theirs, count), norm_ours = log_sum_exp(ours, count), kl = 0;

    for (uint32_t i = 0; i < count; i++) {
        double log_p = theirs[i] - norm_theirs;
        kl += exp(log_p) * (log_p - (ours[i] - norm_ours));
    }
    return kl;
}

/* Over TOP_COUNT single tokens and all others as one. */
static double kl_partition(const struct golden_entry *entries, uint32_t top_count, float log_rest,
                           const float *ours, uint32_t vocab_count)
{
    double norm = log_sum_exp(ours, vocab_count), kl = 0, ours_top = 0;

    for (uint32_t i = 0; i < top_count; i++) {
        double log_p = entries[i].log_probability, log_q = ours[entries[i].token] - norm;
        kl += exp(log_p) * (log_p - log_q);
        ours_top += exp(log_q);
    }
    return kl + exp(log_rest) * (log_rest - log1p(-fmin(ours_top, 1)));
}

/* ---- commands ---- */

static int read_tokens(const char *path, uint32_t tokens[GOLDEN_POSITION_MAX_COUNT],
                       uint32_t *out_count, struct err *err)
{
    AUTO_BUF struct buf text = BUF_INIT(EVAL_FILE_MAX_BYTES);
    json_t *id;
    size_t i;

    if (io_read_file(path, &text, err) < 0)
        return -1;
    AUTO_JSON json_t *ids = json_parse(text.data, text.len, text.max, err);
    if (ids == NULL)
        return -1;
    if (json_array_size(ids) > GOLDEN_POSITION_MAX_COUNT)
        return err_set(err, ERR_USAGE, "%s: more than %d tokens", path, GOLDEN_POSITION_MAX_COUNT);
    json_array_foreach(ids, i, id) tokens[i] = (uint32_t)json_integer_value(id);
    *out_count = (uint32_t)i;
    return 0;
}

/* A file of logits [position][vocab]. */
static int read_logits(const char *path, struct buf *out, struct err *err)
{
    buf_init(out, EVAL_FILE_MAX_BYTES);
    return io_read_file(path, out, err);
}

static int compare_logits(const float *theirs, const float *ours, uint32_t position_count,
                          uint32_t vocab_count)
{
    struct divergence total = {0};

    for (uint32_t i = 0; i < position_count; i++) {
        const float *p = theirs + (size_t)i * vocab_count, *q = ours + (size_t)i * vocab_count;
        divergence_add(&total, kl_full(p, q, vocab_count),
                       largest(p, vocab_count) == largest(q, vocab_count));
    }
    divergence_print(&total);
    return 0;
}

static int command_pair(char **args, struct err *err)
{
    AUTO_BUF struct buf a = BUF_INIT(0); /* read_logits knows the size */
    AUTO_BUF struct buf b = BUF_INIT(0);
    uint32_t vocab_count = (uint32_t)strtoul(args[2], NULL, 10);

    if (read_logits(args[0], &a, err) < 0 || read_logits(args[1], &b, err) < 0)
        return -1;
    if (a.len != b.len || vocab_count == 0)
        return err_set(err, ERR_USAGE, "the files differ in size");
    return compare_logits((const float *)a.data, (const float *)b.data,
                          (uint32_t)(a.len / sizeof(float) / vocab_count), vocab_count);
}

static int command_full(char **args, struct err *err)
{
    uint32_t tokens[GOLDEN_POSITION_MAX_COUNT], count = 0;
    AUTO_BUF struct buf theirs = BUF_INIT(0);
    __attribute__((cleanup(engine_release))) struct engine engine = {0};

    if (read_logits(args[3], &theirs, err) < 0 || read_tokens(args[2], tokens, &count, err) < 0 ||
        engine_init(&engine, args[0], args[1], err) < 0)
        return -1;
    if (theirs.len != (size_t)count * engine.vocab_count * sizeof(float))
        return err_set(err, ERR_USAGE, "%s has another number of logits", args[3]);
    AUTO_FREE float *ours = xreallocarray(NULL, (size_t)count * engine.vocab_count, sizeof(*ours));
    if (engine_run(&engine, tokens, count, 0, true, ours, err) < 0)
        return -1;
    return compare_logits((const float *)theirs.data, ours, count, engine.vocab_count);
}

/* The parts of a golden file, all inside it. */
struct golden {
    struct golden_header header;
    const uint32_t *tokens;
    const struct golden_entry *entries;
    const float *log_rest;
};

static int golden_read(struct golden *golden, const char *path, struct buf *file, struct err *err)
{
    struct golden_header *header = &golden->header;

    buf_init(file, EVAL_FILE_MAX_BYTES);
    if (io_read_file(path, file, err) < 0)
        return -1;
    if (file->len < sizeof(*header))
        return err_set(err, ERR_USAGE, "%s is too short", path);
    memcpy(header, file->data, sizeof(*header));
    if (memcmp(header->magic, GOLDEN_MAGIC, sizeof(header->magic)) != 0 ||
        header->version != GOLDEN_VERSION || header->position_count > GOLDEN_POSITION_MAX_COUNT ||
        header->top_count < 1 || header->top_count > GOLDEN_TOP_MAX_COUNT)
        return err_set(err, ERR_USAGE, "%s is no golden file of this version", path);
    size_t count = header->position_count;
    if (file->len != sizeof(*header) + count * sizeof(uint32_t) +
                         count * header->top_count * sizeof(struct golden_entry) +
                         count * sizeof(float))
        return err_set(err, ERR_USAGE, "%s has another length than it says", path);
    golden->tokens = (const uint32_t *)(file->data + sizeof(*header));
    golden->entries = (const struct golden_entry *)(golden->tokens + count);
    golden->log_rest = (const float *)(golden->entries + count * header->top_count);
    return 0;
}

static int command_kl(char **args, struct err *err)
{
    AUTO_BUF struct buf file = BUF_INIT(0);
    struct golden golden;
    struct divergence total = {0};
    __attribute__((cleanup(engine_release))) struct engine engine = {0};

    if (golden_read(&golden, args[2], &file, err) < 0 ||
        engine_init(&engine, args[0], args[1], err) < 0)
        return -1;
    if (engine.vocab_count != golden.header.vocab_count)
        return err_set(err, ERR_USAGE, "the model has another vocabulary than %s", args[2]);
    uint32_t count = (uint32_t)strtoul(args[3], NULL, 10), top = golden.header.top_count;
    if (count < 1 || count > golden.header.position_count)
        return err_set(err, ERR_USAGE, "%s has no %s positions", args[2], args[3]);
    AUTO_FREE float *ours = xreallocarray(NULL, (size_t)count * engine.vocab_count, sizeof(*ours));
    if (engine_run(&engine, golden.tokens, count, 0, true, ours, err) < 0)
        return -1;
    for (uint32_t i = 0; i < count; i++) {
        const struct golden_entry *entries = golden.entries + (size_t)i * top;
        const float *q = ours + (size_t)i * engine.vocab_count;
        divergence_add(&total,
                       kl_partition(entries, top, golden.log_rest[i], q, engine.vocab_count),
                       entries[0].token == largest(q, engine.vocab_count));
    }
    divergence_print(&total);
    return 0;
}

/* One text, greedily, as long as it agrees; prints where and how it parts. */
static int compare_text(struct engine *engine, const json_t *text, float *logits, struct err *err)
{
    uint32_t tokens[EVAL_CONTEXT_TOKENS], count = 0, position = 0;
    const json_t *step, *id;
    size_t i;

    kv_table_truncate(session_kv_table(engine->session), 0, 0);
    json_array_foreach(json_object_get(text, "ids"), i, id) tokens[count++] =
        (uint32_t)json_integer_value(id);
    json_array_foreach(json_object_get(text, "steps"), i, step)
    {
        if (engine_run(engine, tokens, count, position, false, logits, err) < 0)
            return -1;
        position += count;
        uint32_t theirs = (uint32_t)json_integer_value(json_array_get(step, 0));
        uint32_t ours = largest(logits, engine->vocab_count);
        if (ours != theirs) {
            double norm = log_sum_exp(logits, engine->vocab_count);
            printf("parts at=%zu theirs=%u ours=%u their_top=%.4f their_second=%.4f "
                   "our_theirs=%.4f our_top=%.4f\n",
                   i, theirs, ours, json_number_value(json_array_get(step, 1)),
                   json_number_value(json_array_get(step, 3)), exp(logits[theirs] - norm),
                   exp(logits[ours] - norm));
            return 0;
        }
        tokens[0] = ours;
        count = 1;
    }
    printf("equal tokens=%zu\n", i);
    return 0;
}

static int command_greedy(char **args, struct err *err)
{
    AUTO_BUF struct buf file = BUF_INIT(EVAL_FILE_MAX_BYTES);
    __attribute__((cleanup(engine_release))) struct engine engine = {0};
    const json_t *text;
    size_t i;

    if (io_read_file(args[2], &file, err) < 0)
        return -1;
    AUTO_JSON json_t *texts = json_parse(file.data, file.len, file.max, err);
    if (texts == NULL || engine_init(&engine, args[0], args[1], err) < 0)
        return -1;
    AUTO_FREE float *logits = xreallocarray(NULL, engine.vocab_count, sizeof(*logits));
    json_array_foreach(texts, i, text)
    {
        if (compare_text(&engine, text, logits, err) < 0)
            return -1;
    }
    return 0;
}

static const struct {
    const char *name;
    int arg_count;
    int (*run)(char **args, struct err *err);
} commands[] = {
    {"kl", 4, command_kl},
    {"full", 4, command_full},
    {"pair", 3, command_pair},
    {"greedy", 3, command_greedy},
};

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;

    for (size_t i = 0; argc >= 2 && i < ARRAY_COUNT(commands); i++) {
        if (strcmp(argv[1], commands[i].name) != 0 || argc - 2 != commands[i].arg_count)
            continue;
        if (commands[i].run(argv + 2, &err) == 0)
            return 0;
        (void)fprintf(stderr, "eval: %s\n", err.message);
        return 1;
    }
    (void)fputs("usage: see the head of tests/tools/eval.c\n", stderr);
    return 2;
}
