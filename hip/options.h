/* The command line of rbee-worker, from worker_options.def: parsed, converted, and checked for what
 * does not go together. */
#ifndef RBEE_HIP_OPTIONS_H
#define RBEE_HIP_OPTIONS_H

#include "common/err.h"
#include "common/inference.h"
#include "common/kv_type.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum worker_option {
#define OPTION(id, name, letter, argument, group, summary) WORKER_OPTION_##id,
#include "hip/worker_options.def"
#undef OPTION
    WORKER_OPTION_COUNT,
};

enum worker_mode {
    WORKER_HELP,
    WORKER_VERSION,
    WORKER_DESCRIBE,
    WORKER_DEVICES,
    WORKER_PROMPT,
    WORKER_BENCH,
    WORKER_SERVE_BY_HAND,
    WORKER_SERVE_SUPERVISED,
};

struct worker_options {
    enum worker_mode mode;
    /* As given, borrowed from argv; NULL: not given, "" for options without an argument. */
    const char *text[WORKER_OPTION_COUNT];
    const char *stop[INFERENCE_STOP_MAX_COUNT];
    size_t stop_count;
    uint32_t context_tokens; /* 0: not given */
    uint32_t thread_count;   /* 0: not given */
    uint32_t slot_count;     /* 0: not given */
    enum kv_type kv_type;
    int listen_fd; /* SUPERVISED */
    int token_fd;  /* SUPERVISED */
};

/* ERR_USAGE names the option. */
int worker_options_parse(struct worker_options *options, int argc, char **argv, struct err *err);
/* The whole help text, on stdout. */
void worker_options_print_help(void);

#endif
