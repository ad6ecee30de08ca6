/* How fast a model runs on this machine: the readings, and what they are to be judged by.
 *
 * A shared machine's memory moves by a factor of two within an hour, so each round takes every
 * reading once, the speed at which memory can be read among them, and what counts are medians over
 * the rounds and ratios between readings of one run. */
#ifndef RBEE_HIP_MEASURE_H
#define RBEE_HIP_MEASURE_H

#include "common/err.h"
#include "hip/engine/engine.h"
#include "hip/model/quant.h"

#include <stddef.h>
#include <stdint.h>

struct model;

enum {
    MEASURE_PROMPT_TOKENS = 512,
    MEASURE_BATCH_MAX_COUNT = 6, /* 1, 2, 4, 8, 16, 32 */
    MEASURE_SEQUENCES_MAX = 1 << (MEASURE_BATCH_MAX_COUNT - 1),
    MEASURE_SEQUENCES_CPU = 16, /* unless more are asked for */
};

/* What has to be read and computed for a token. */
struct measure_work {
    uint64_t
        token_read_bytes; /* weights; of an embedding that is not the head only a row is read */
    uint64_t token_macs;  /* multiply-adds of the layers' matrices */
};

struct measure_batch {
    uint32_t sequences;
    double tokens_per_second; /* of all of them together */
};

struct measure_result {
    const char *architecture; /* of a table, as the types are */
    uint64_t parameter_count;
    const char *tensor_types[QUANT_TYPE_MAX + 1]; /* of matrices, the type of most bytes first */
    size_t tensor_type_count;
    const char *device; /* what it really ran on; borrowed from the options */
    uint32_t thread_count;
    uint32_t context_tokens;
    uint32_t round_count;
    uint32_t prompt_tokens;
    struct measure_work work;
    double read_bytes_per_second;
    double prompt_tokens_per_second;
    double first_token_ms; /* from opening the file, whose pages are in memory */
    /* Decoding, first of one sequence alone; as many as the context has room for. */
    struct measure_batch batches[MEASURE_BATCH_MAX_COUNT];
    size_t batch_count;
    uint64_t file_bytes;
    uint64_t kv_bytes;
    uint64_t resident_bytes; /* of the process at the end */
    double token_launches;   /* of kernels, for a token of one sequence; 0: a processor has none */
};

struct measure_options {
    /* Its slot_count: the most sequences together, MEASURE_SEQUENCES_MAX for more; 0: so many on a
     * GPU, MEASURE_SEQUENCES_CPU on a processor. */
    struct engine_options engine;
    uint32_t prompt_tokens; /* less where the context is shorter */
    /* Told what is being measured; may be NULL. */
    void (*on_progress)(void *owner, const char *what);
    void *owner;
};

/* Errors of runtime_load() and session_step(). */
int measure_run(const struct measure_options *options, struct measure_result *out, struct err *err);

/* ---- pure (measure_work.c) ---- */

/* Sorts VALUES; COUNT is at least 1. */
double measure_median(double *values, size_t count);
struct measure_work measure_work_of(const struct model *model);
/* Types of MODEL's matrices, the one of most bytes first; returns how many. */
size_t measure_tensor_types(const struct model *model, const char *out_types[QUANT_TYPE_MAX + 1]);
/* How many times something that took TOOK_US fits BUDGET_US, within [MIN, MAX]. */
uint32_t measure_times(uint64_t budget_us, uint64_t took_us, uint32_t min, uint32_t max);

#endif
