/* `rbee-worker --bench FILE`: how fast the file's model runs on this machine. */
#ifndef RBEE_HIP_BENCHMARK_H
#define RBEE_HIP_BENCHMARK_H

#include "common/err.h"
#include "hip/engine/engine.h"

#include <stdbool.h>

struct benchmark_options {
    struct engine_options engine;
    const char *name; /* of the model, for people */
    bool wants_json;  /* one object instead of lines */
    bool is_quiet;    /* no progress */
};

/* Measures and prints. Progress goes to stderr where that is a terminal. Errors of measure_run(),
 * and ERR_OUTPUT; nothing of the result is printed then. */
int benchmark_run(const struct benchmark_options *options, struct err *err);

#endif
