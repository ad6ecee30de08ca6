/* What the chain costs: how much later the first token stands on the stdout of `rbee infer` than
 * the worker had computed it. Measured from the outside, so it is an upper bound: from the start of
 * the command to the first token, less what the worker says it took from the request's arrival to
 * that token; the start of `rbee`, the way there and the way back are all in it. Usage: bench_chain
 * BIN-FOLDER TESTS-FOLDER MODEL-NAME (a supervisor that knows the model runs) */
#include "common/attr.h"
#include "common/json.h"
#include "common/mem.h"
#include "tests/bench/bench.h"

#include <stdio.h>
#include <string.h>

enum { ROUNDS = 41, LINE_MAX_BYTES = 1 << 16 };
static const double US_IN_MS = 1000.0;

struct answer {
    double first_token_ms; /* since the start of the command */
    double last_token_ms;
    double worker_first_ms; /* what the worker says */
    double worker_decode_ms;
    int token_count;
};

static double timing(const json_t *event, const char *name)
{
    return json_number_value(json_object_get(json_object_get(event, "timings"), name));
}

static void on_event(void *owner, const char *line, uint64_t since_start_us)
{
    struct answer *answer = owner;
    struct err err = ERR_INIT;
    AUTO_JSON json_t *event = json_parse(line, strlen(line), LINE_MAX_BYTES, &err);
    const char *type = json_string_value(json_object_get(event, "type"));

    if (type != NULL && strcmp(type, "token") == 0) {
        answer->last_token_ms = (double)since_start_us / US_IN_MS;
        if (answer->token_count++ == 0)
            answer->first_token_ms = answer->last_token_ms;
    } else if (type != NULL && strcmp(type, "end") == 0) {
        answer->worker_first_ms = timing(event, "first_token_ms");
        answer->worker_decode_ms = timing(event, "decode_ms");
    }
}

int main(int argc, char **argv)
{
    static double over_ms[ROUNDS], worker_ms[ROUNDS], stretch[ROUNDS];

    if (argc < 4)
        return BENCH_SKIPPED;
    AUTO_FREE char *rbee = xasprintf("%s/rbee", argv[1]);
    const char *const command[] = {
        rbee, "infer",  "-m", argv[3],           "--raw",      "-n",
        "32", "--temp", "0",  "--stream=ndjson", "--no-stdin", "The capital of France is",
        NULL};
    (void)bench_run(command, NULL, NULL); /* loads the model */
    for (size_t i = 0; i < ROUNDS; i++) {
        struct answer answer = {0};
        (void)bench_run(command, on_event, &answer);
        over_ms[i] = answer.first_token_ms - answer.worker_first_ms;
        worker_ms[i] = answer.worker_first_ms;
        stretch[i] = (answer.last_token_ms - answer.first_token_ms) / answer.worker_decode_ms;
    }
    double largest = bench_largest(over_ms, ROUNDS);
    double over = bench_median(over_ms, ROUNDS), worker = bench_median(worker_ms, ROUNDS);
    printf("first token: %.2f ms in the worker, on stdout at most %.2f ms later, start of rbee "
           "included (medians of %d; worst %.2f; bound 5 ms)\n",
           worker, over, ROUNDS, largest);
    printf(
        "tokens of one answer: through the chain in %.3f of the time the worker took to decode\n",
        bench_median(stretch, ROUNDS));
    return 0;
}
