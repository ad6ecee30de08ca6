/* bench_sampler: how long the host takes to choose a token of a large vocabulary, from all logits
 * and from the candidates that a GPU has picked, and how much either copies over the bus. Processor
 * time of one thread; the median of many, taken in turns. */
#include "common/attr.h"
#include "common/mem.h"
#include "hip/text/candidates.h"
#include "hip/text/sampler.h"
#include "tests/bench/bench.h"
#include "tests/tiny_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 101, SPREAD = 12 };

/* What a GPU picks from at least, and the vocabularies of Llama 2 and 3, Qwen 2 and Gemma. */
static const uint32_t VOCABULARIES[] = {8192, 32000, 128256, 151936, 262144};

static const struct {
    const char *name;
    struct sampler_params params;
} WAYS[] = {
    {"greedy", {.temperature = 0, .top_p = 1, .repeat_penalty = 1}},
    {"default",
     {.temperature = 0.8f, .top_p = 0.95f, .min_p = 0.05f, .repeat_penalty = 1, .top_k = 40}},
};

static double thread_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now); /* cannot fail for our own thread */
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* From the most probable on, as a GPU picks them. */
static void pick(const float *logits, uint32_t vocab_count, uint64_t *out, uint32_t count)
{
    uint64_t rising[CANDIDATES_PICKED_MAX_COUNT];
    uint32_t found = candidates_top(rising, logits, vocab_count, count);

    for (uint32_t i = 0; i < found; i++)
        out[i] = rising[found - 1 - i];
}

/* One token, in microseconds; ends the bench if it is not the one that is EXPECTED. */
static double time_token(struct sampler *sampler, float *logits, const uint64_t *picked,
                         uint32_t *expected)
{
    double start_us = thread_us();
    struct err err = ERR_INIT;
    uint32_t token = 0;
    int failed = logits != NULL ? sampler_pick(sampler, logits, &token, &err)
                                : sampler_pick_from(sampler, picked, &token, &err);
    double took_us = thread_us() - start_us;

    if (logits != NULL)
        *expected = token;
    if (failed != 0 || token != *expected)
        abort();
    return took_us;
}

/* What the host copies once more, out of memory that the device has written. */
static double time_copy(void *to, const void *from, size_t bytes)
{
    double start_us = thread_us();

    memcpy(to, from, bytes);
    return thread_us() - start_us;
}

static void measure(uint32_t vocab_count, const struct sampler_params *params, const char *name)
{
    AUTO_FREE float *logits = xcalloc(vocab_count, sizeof(*logits));
    AUTO_FREE float *copy = xcalloc(vocab_count, sizeof(*copy));
    struct sampler *all = sampler_new(params, vocab_count);
    struct sampler *few = sampler_new(params, vocab_count);
    uint32_t count = sampler_picked_count(few);
    uint64_t picked[CANDIDATES_PICKED_MAX_COUNT];
    double copy_us[ROUNDS];
    double all_us[ROUNDS];
    double few_us[ROUNDS];
    uint64_t seed = 1;

    for (int round = 0; round < ROUNDS; round++) {
        uint32_t token = 0;

        for (uint32_t i = 0; i < vocab_count; i++)
            logits[i] = SPREAD * tiny_uniform(&seed);
        pick(logits, vocab_count, picked, count);
        copy_us[round] = time_copy(copy, logits, vocab_count * sizeof(*logits));
        all_us[round] = time_token(all, copy, NULL, &token);
        few_us[round] = time_token(few, NULL, picked, &token);
    }
    printf("%-8s %7u %10zu %8zu %9.1f %9.1f %9.1f\n", name, vocab_count,
           vocab_count * sizeof(*logits), count * sizeof(*picked), bench_median(copy_us, ROUNDS),
           bench_median(all_us, ROUNDS), bench_median(few_us, ROUNDS));
    sampler_free(all);
    sampler_free(few);
}

int main(void)
{
    printf("%-8s %7s %10s %8s %9s %9s %9s\n", "way", "vocab", "all bytes", "few", "copy us",
           "all us", "few us");
    for (size_t way = 0; way < ARRAY_COUNT(WAYS); way++) {
        for (size_t i = 0; i < ARRAY_COUNT(VOCABULARIES); i++)
            measure(VOCABULARIES[i], &WAYS[way].params, WAYS[way].name);
    }
    return 0;
}
