/* bench_engine MODEL [DEVICE] [THREADS] [TOKENS]: prompt and decode speed of a model beside the
 * read bandwidth of the machine, taken in turns in one run, because both move by a factor of two
 * within an hour on a shared machine. Prints medians. */
#include "common/attr.h"
#include "common/clock.h"
#include "hip/backend/backend.h"
#include "hip/backend/pool.h"
#include "hip/engine/kv.h"
#include "hip/model/model.h"
#include "tests/bench/bench.h"

#include <stdlib.h>
#include <string.h>

enum {
    ROUNDS = 5,
    CONTEXT = 2048,
    READ_BYTES = 256 * 1024 * 1024, /* far more than any cache */
    READ_CHUNK_BYTES = 1024 * 1024,
    READ_AHEAD_BYTES = 1024,
    US_A_SECOND = 1000000,
    BYTES_A_GIGABYTE = 1000000000,
};

struct bench {
    struct model *model;
    struct backend *backend;
    struct session *session;
    float *logits;
    struct pool *pool;
    char *memory; /* [READ_BYTES] */
    uint64_t sum; /* keeps the reads from being left out */
};

static void read_task(void *context, uint32_t task, uint32_t thread)
{
    struct bench *bench = context;
    const char *from = bench->memory + (size_t)task * READ_CHUNK_BYTES;
    uint64_t sums[8] = {0};

    for (size_t at = 0; at < READ_CHUNK_BYTES; at += sizeof(sums)) {
        uint64_t line[8];

        __builtin_prefetch(from + at + READ_AHEAD_BYTES);
        memcpy(line, from + at, sizeof(line));
        for (int i = 0; i < 8; i++)
            sums[i] += line[i];
    }
    __atomic_fetch_add(
        &bench->sum, sums[0] + sums[1] + sums[2] + sums[3] + sums[4] + sums[5] + sums[6] + sums[7],
        __ATOMIC_RELAXED);
}

/* GB/s */
static double read_speed(struct bench *bench)
{
    struct pool_job job = {
        .task = read_task, .context = bench, .task_count = READ_BYTES / READ_CHUNK_BYTES};
    uint64_t start_us = clock_monotonic_us();

    pool_run(bench->pool, &job);
    return (double)READ_BYTES / (double)(clock_monotonic_us() - start_us) / 1e3;
}

static void step(struct bench *bench, uint32_t first, uint32_t count)
{
    struct batch_row rows[SESSION_BATCH_MAX_ROWS];
    struct err err = ERR_INIT;

    for (uint32_t i = 0; i < count; i++)
        rows[i] = (struct batch_row){.token = (first + i) * 7 % model_vocab_count(bench->model),
                                     .position = first + i,
                                     .wants_logits = i == count - 1};
    if (session_step(bench->session, rows, count, bench->logits, &err) != 0) {
        fprintf(stderr, "bench_engine: %s\n", err.message);
        exit(1);
    }
}

/* Tokens a second of a prompt of COUNT tokens in batches of BATCH. */
static double speed(struct bench *bench, uint32_t count, uint32_t batch)
{
    uint64_t start_us = 0;

    kv_table_truncate(session_kv_table(bench->session), 0, 0);
    start_us = clock_monotonic_us();
    for (uint32_t i = 0; i < count; i += batch)
        step(bench, i, count - i < batch ? count - i : batch);
    return (double)count * US_A_SECOND / (double)(clock_monotonic_us() - start_us);
}

/* What one token reads: all but an embedding that is not the head too. */
static uint64_t bytes_a_token(const struct gguf *gguf)
{
    bool is_untied = gguf_find_tensor(gguf, "output.weight") != NULL;
    uint64_t bytes = 0;

    for (size_t i = 0; i < gguf_tensor_count(gguf); i++)
        bytes += gguf_tensor_at(gguf, i)->size_bytes;
    return bytes - (is_untied ? gguf_find_tensor(gguf, "token_embd.weight")->size_bytes : 0);
}

struct contest {
    const char *device;
    uint32_t threads; /* 0: all */
    uint32_t tokens;  /* decoded a round */
    uint32_t prompt_tokens;
};

static void run(struct bench *bench, const struct contest *contest)
{
    double bandwidth[ROUNDS];
    double decode[ROUNDS];
    double few[ROUNDS];
    double prompt[ROUNDS];
    double reached = 0.0;

    (void)speed(bench, 32, 32); /* the weights are in memory afterwards */
    for (int i = 0; i < ROUNDS; i++) {
        bandwidth[i] = read_speed(bench);
        decode[i] = speed(bench, contest->tokens, 1);
        few[i] = speed(bench, contest->tokens, 4);
        prompt[i] = speed(bench, contest->prompt_tokens, SESSION_BATCH_MAX_ROWS);
    }
    reached = bench_median(decode, ROUNDS) * (double)bytes_a_token(model_gguf(bench->model)) /
              BYTES_A_GIGABYTE;
    printf("%-4s %u threads: decode %6.1f tok/s = %4.1f GB/s = %3.0f %% of the %4.1f GB/s that can "
           "be read; four rows at a time %6.1f; prompt of %u %7.1f tok/s\n",
           contest->device, pool_thread_count(bench->pool), bench_median(decode, ROUNDS), reached,
           100.0 * reached / bench_median(bandwidth, ROUNDS), bench_median(bandwidth, ROUNDS),
           bench_median(few, ROUNDS), contest->prompt_tokens, bench_median(prompt, ROUNDS));
    (void)fflush(stdout); /* the next contest may take long */
}

static void run_contest(struct model *model, const struct contest *contest)
{
    struct session_options options = {.context_tokens = CONTEXT, .sequence_count = 4};
    uint32_t threads = contest->threads != 0 ? contest->threads : pool_core_count();
    struct bench bench = {.model = model};
    struct err err = ERR_INIT;

    bench.backend = backend_new(contest->device, threads, &err);
    if (bench.backend != NULL)
        bench.session = session_new(model, bench.backend, &options, &err);
    bench.logits = malloc(model_vocab_count(model) * sizeof(*bench.logits));
    bench.memory = malloc(READ_BYTES);
    if (bench.session == NULL || bench.logits == NULL || bench.memory == NULL) {
        fprintf(stderr, "bench_engine: %s: %s\n", contest->device, err.message);
        exit(1);
    }
    memset(bench.memory, 1, READ_BYTES);
    bench.pool = pool_new(threads, NULL);
    run(&bench, contest);
    pool_free(bench.pool);
    free(bench.memory);
    free(bench.logits);
    session_free(bench.session);
    backend_free(bench.backend);
}

int main(int argc, char **argv)
{
    static const struct contest CONTESTS[] = {
        {.device = "cpu", .threads = 1, .tokens = 32, .prompt_tokens = 512},
        {.device = "cpu", .threads = 0, .tokens = 32, .prompt_tokens = 512},
        {.device = "ref", .threads = 1, .tokens = 2, .prompt_tokens = 8},
    };
    struct err err = ERR_INIT;
    struct model *model = NULL;

    if (argc < 5)
        return BENCH_SKIPPED;
    model = model_open(argv[4], &err);
    if (model == NULL) {
        fprintf(stderr, "bench_engine: %s\n", err.message);
        return 1;
    }
    for (size_t i = 0; i < ARRAY_COUNT(CONTESTS); i++)
        run_contest(model, &CONTESTS[i]);
    model_free(model);
    return 0;
}
