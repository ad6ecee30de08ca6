/* What the benches share: starting a program and reading its output with the time of each line, and
 * medians. Every figure is measured beside its yardstick in the same run, in turns, so that a noisy
 * machine disturbs both alike. */
#ifndef RBEE_TESTS_BENCH_BENCH_H
#define RBEE_TESTS_BENCH_BENCH_H

#include <stddef.h>
#include <stdint.h>

enum { BENCH_SKIPPED = 77 }; /* exit status: what it needs is not here */

/* Sorts VALUES. */
double bench_median(double *values, size_t count);
double bench_largest(const double *values, size_t count);

/* Runs ARGV to its end, stdin and stderr from and to /dev/null, and calls ON_LINE (may be NULL) for
 * each line of its stdout with the microseconds since the start. Returns the microseconds until its
 * end; ends the bench when it cannot be started or does not exit with 0. */
uint64_t bench_run(const char *const *argv,
                   void (*on_line)(void *owner, const char *line, uint64_t since_start_us),
                   void *owner);

#endif
