/* What `rbee bench` measures, on one core, on all, and on the oracle, which shows what the fast
 * backend is worth. Usage: bench_engine BIN-FOLDER TESTS-FOLDER MODEL-NAME MODEL-FILE */
#include "common/attr.h"
#include "hip/measure.h"
#include "tests/bench/bench.h"

#include <stdio.h>

static const double GIGA = 1e9;

static void print(const struct measure_result *result)
{
    const struct measure_batch *batches = result->batches;
    double decode_bytes = batches[0].tokens_per_second * (double)result->work.token_read_bytes;

    printf("%-4s %u threads: decode %6.1f tok/s = %4.1f GB/s = %3.0f %% of the %4.1f GB/s that can "
           "be read; prompt of %u %7.1f tok/s = %4.0f GMAC/s",
           result->device, result->thread_count, batches[0].tokens_per_second, decode_bytes / GIGA,
           100.0 * decode_bytes / result->read_bytes_per_second,
           result->read_bytes_per_second / GIGA, result->prompt_tokens,
           result->prompt_tokens_per_second,
           result->prompt_tokens_per_second * (double)result->work.token_macs / GIGA);
    for (size_t i = 1; i < result->batch_count; i++)
        printf("; %u together %.1f", batches[i].sequences, batches[i].tokens_per_second);
    printf("\n");
    (void)fflush(stdout); /* the next contest may take long */
}

int main(int argc, char **argv)
{
    static const struct {
        const char *device;
        uint32_t threads; /* 0: all */
        uint32_t prompt_tokens;
        uint32_t slots; /* 0: all */
    } CONTESTS[] = {{"cpu", 1, MEASURE_PROMPT_TOKENS, 0},
                    {"cpu", 0, MEASURE_PROMPT_TOKENS, 0},
                    {"ref", 1, 8, 1}};

    if (argc < 5)
        return BENCH_SKIPPED;
    for (size_t i = 0; i < ARRAY_COUNT(CONTESTS); i++) {
        struct measure_options options = {
            .engine = {.model_path = argv[4],
                       .device = CONTESTS[i].device,
                       .thread_count = CONTESTS[i].threads,
                       .slot_count = CONTESTS[i].slots},
            .prompt_tokens = CONTESTS[i].prompt_tokens,
        };
        struct measure_result result;
        struct err err = ERR_INIT;

        if (measure_run(&options, &result, &err) != 0) {
            fprintf(stderr, "bench_engine: %s: %s\n", options.engine.device, err.message);
            return 1;
        }
        print(&result);
    }
    return 0;
}
