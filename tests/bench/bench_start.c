/* How long `rbee --version` takes from its start to its end, beside a C program that does nothing.
 * Usage: bench_start BIN-FOLDER TESTS-FOLDER */
#include "common/attr.h"
#include "common/mem.h"
#include "tests/bench/bench.h"

#include <stdio.h>

enum { ROUNDS = 201 };
static const double US_IN_MS = 1000.0;

int main(int argc, char **argv)
{
    static double rbee_ms[ROUNDS], nothing_ms[ROUNDS];

    if (argc < 3)
        return BENCH_SKIPPED;
    AUTO_FREE char *rbee = xasprintf("%s/rbee", argv[1]);
    AUTO_FREE char *nothing = xasprintf("%s/nothing", argv[2]);
    for (size_t i = 0; i < ROUNDS; i++) {
        rbee_ms[i] =
            (double)bench_run((const char *[]){rbee, "--version", NULL}, NULL, NULL) / US_IN_MS;
        nothing_ms[i] = (double)bench_run((const char *[]){nothing, NULL}, NULL, NULL) / US_IN_MS;
    }
    double ours = bench_median(rbee_ms, ROUNDS), floor = bench_median(nothing_ms, ROUNDS);
    printf("rbee --version: %.2f ms; a C program that does nothing: %.2f ms; ratio %.1f "
           "(medians of %d; bound 3 ms)\n",
           ours, floor, ours / floor, ROUNDS);
    return 0;
}
