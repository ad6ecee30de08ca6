/* Owns the measuring of a model: which readings, in which order, how many. Knows nothing of how
 * they are shown. */
#include "hip/measure.h"

#include "common/attr.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/io.h"
#include "hip/backend/backend.h"
#include "hip/backend/pool.h"
#include "hip/engine/kv.h"
#include "hip/engine/runtime.h"
#include "hip/memory_read.h"
#include "hip/model/load.h"
#include "hip/model/model.h"
#include "hip/model/need.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    US_A_SECOND = 1000000,
    LOAD_MAX_COUNT = 3,
    LOAD_BUDGET_US = 2 * US_A_SECOND,
    /* Three at least make a median; a model of 100 MB is done within half a minute. */
    ROUND_MIN_COUNT = 3,
    ROUND_MAX_COUNT = 9,
    ROUNDS_BUDGET_US = 12 * US_A_SECOND,
    /* A reading of a fast model must be long beside the slices that a scheduler gives out. */
    DECODE_BUDGET_US = US_A_SECOND / 4,
    DECODE_MIN_STEPS = 4,
    DECODE_MAX_STEPS = KV_BLOCK_TOKENS, /* so that each sequence needs one block */
    STATM_MAX_BYTES = 256,
    PICKED_COUNT = 40, /* top_k by default: common/inference.c */
};

enum reading {
    READING_MEMORY,
    READING_PROMPT,
    READING_DECODE, /* and one more for each larger batch */
    READING_MAX_COUNT = READING_DECODE + MEASURE_BATCH_MAX_COUNT,
};

struct measure {
    const struct measure_options *options;
    struct engine_options engine;
    struct runtime runtime;
    struct memory_read *memory;
    struct step_output output; /* of MEASURE_SEQUENCES_MAX rows */
    uint32_t prompt_tokens;
    size_t batch_count;
    uint32_t decode_steps[MEASURE_BATCH_MAX_COUNT];
    double values[READING_MAX_COUNT][ROUND_MAX_COUNT];
    double token_launches;
};

/* ---- readings ---- */

static double per_second(uint64_t count, uint64_t took_us)
{
    return (double)count * US_A_SECOND / (double)(took_us > 0 ? took_us : 1);
}

static void forget_all(struct measure *measure)
{
    for (uint32_t i = 0; i < measure->engine.slot_count; i++)
        kv_table_truncate(session_kv_table(measure->runtime.session), i, 0);
}

/* Any tokens do: what they are changes nothing about what a step costs. */
static struct batch_row row_at(const struct measure *measure, uint32_t sequence, uint32_t position)
{
    return (struct batch_row){.token = (position * 7 + sequence) % measure->runtime.vocab_count,
                              .position = position,
                              .sequence = sequence};
}

/* Tokens a second. */
static int read_prompt(struct measure *measure, double *out, struct err *err)
{
    struct batch_row rows[SESSION_BATCH_MAX_ROWS];
    uint64_t start_us = clock_monotonic_us();
    uint32_t count = 0;

    for (uint32_t first = 0; first < measure->prompt_tokens; first += count) {
        count = measure->prompt_tokens - first;
        if (count > SESSION_BATCH_MAX_ROWS)
            count = SESSION_BATCH_MAX_ROWS;
        for (uint32_t i = 0; i < count; i++)
            rows[i] = row_at(measure, 0, first + i);
        rows[count - 1].wants_logits = first + count == measure->prompt_tokens;
        if (session_step_into(measure->runtime.session, rows, count, &measure->output, err) != 0)
            return -1;
    }
    *out = per_second(measure->prompt_tokens, clock_monotonic_us() - start_us);
    forget_all(measure);
    return 0;
}

static uint64_t launch_count(const struct measure *measure)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < measure->runtime.device_count; i++) {
        const struct backend *backend = measure->runtime.devices[i].backend;

        count += backend->ops->launch_count == NULL ? 0 : backend->ops->launch_count(backend);
    }
    return count;
}

static int read_decode(struct measure *measure, size_t batch, double *out, struct err *err)
{
    struct batch_row rows[MEASURE_SEQUENCES_MAX];
    uint32_t sequences = 1u << batch;
    uint32_t steps = measure->decode_steps[batch];
    uint64_t launched = launch_count(measure);
    uint64_t start_us = clock_monotonic_us();

    for (uint32_t step = 0; step < steps; step++) {
        for (uint32_t i = 0; i < sequences; i++) {
            rows[i] = row_at(measure, i, step);
            rows[i].wants_logits = true;
            rows[i].is_decode = true;
        }
        if (session_step_into(measure->runtime.session, rows, sequences, &measure->output, err) !=
            0)
            return -1;
    }
    *out = per_second((uint64_t)steps * sequences, clock_monotonic_us() - start_us);
    if (batch == 0)
        measure->token_launches = (double)(launch_count(measure) - launched) / steps;
    forget_all(measure);
    return 0;
}

static int read_device_memory(struct measure *measure, uint32_t device, double *out,
                              struct err *err)
{
    struct backend *backend = measure->runtime.devices[device].backend;

    if (backend->ops->measure_memory != NULL)
        return backend->ops->measure_memory(backend, out, err);
    *out = memory_read_bytes_per_second(measure->memory);
    return 0;
}

/* Of two devices, one after the other reads its layers: the time adds up, not the speed. */
static int read_memory(struct measure *measure, double *out, struct err *err)
{
    double layers_times = 0;

    for (uint32_t i = 0; i < measure->runtime.device_count; i++) {
        double speed = 0;

        if (read_device_memory(measure, i, &speed, err) != 0)
            return -1;
        layers_times += session_device_layers(measure->runtime.session, i) / speed;
    }
    *out = measure->runtime.model->params.layer_count / layers_times;
    return 0;
}

/* Each reading once, to place INDEX. */
static int read_all(struct measure *measure, size_t index, struct err *err)
{
    if (read_memory(measure, &measure->values[READING_MEMORY][index], err) != 0 ||
        read_prompt(measure, &measure->values[READING_PROMPT][index], err) != 0)
        return -1;
    for (size_t batch = 0; batch < measure->batch_count; batch++) {
        if (read_decode(measure, batch, &measure->values[READING_DECODE + batch][index], err) != 0)
            return -1;
    }
    return 0;
}

/* ---- the run ---- */

static void tell(const struct measure *measure, const char *what)
{
    if (measure->options->on_progress != NULL)
        measure->options->on_progress(measure->options->owner, what);
}

/* Steps leave what those of a request leave that says nothing about its sampling. */
static int make_output(struct measure *measure, struct err *err)
{
    runtime_output_release(&measure->output);
    if (runtime_output_init(&measure->runtime, MEASURE_SEQUENCES_MAX, &measure->output, err) != 0)
        return -1;
    measure->output.picked_count = PICKED_COUNT;
    return 0;
}

/* From nothing to the first token, as a worker gets there. */
static int load(struct measure *measure, double *out_ms, struct err *err)
{
    struct runtime *runtime = &measure->runtime;
    uint64_t start_us = clock_monotonic_us();
    uint64_t ignored_us = 0;

    if (runtime_load(runtime, &measure->engine, NULL, NULL, err) != 0)
        return -1;
    measure->engine.device = runtime->device; /* a replacement is told of once */
    if (make_output(measure, err) != 0 ||
        runtime_warm_up(runtime, measure->output.logits, &ignored_us, err) != 0)
        return -1;
    *out_ms = (double)(clock_monotonic_us() - start_us) / 1e3;
    return 0;
}

/* The first load may wait for the disk and is not counted; the last one stays. */
static int load_repeatedly(struct measure *measure, double *out_ms, struct err *err)
{
    double ms[LOAD_MAX_COUNT] = {0};
    double first_ms = 0;
    uint32_t count = 0;

    tell(measure, "loading");
    if (load(measure, &first_ms, err) != 0)
        return -1;
    count = measure_times(LOAD_BUDGET_US, (uint64_t)(first_ms * 1e3), 1, LOAD_MAX_COUNT);
    for (uint32_t i = 0; i < count; i++) {
        runtime_release(&measure->runtime);
        if (load(measure, &ms[i], err) != 0)
            return -1;
    }
    *out_ms = measure_median(ms, count);
    return 0;
}

/* As much of each reading as the context has room for. */
static void choose_sizes(struct measure *measure)
{
    uint32_t context = measure->runtime.context_tokens;
    uint32_t wanted = measure->options->prompt_tokens;
    uint32_t slots = measure->engine.slot_count;
    uint32_t blocks = need_block_count(context);
    uint32_t most = slots < blocks ? slots : blocks;

    measure->prompt_tokens = wanted < context ? wanted : context;
    measure->batch_count = 0;
    while (measure->batch_count < MEASURE_BATCH_MAX_COUNT && 1u << measure->batch_count <= most)
        measure->decode_steps[measure->batch_count++] =
            context < DECODE_MIN_STEPS ? context : DECODE_MIN_STEPS;
}

/* From the speeds of the warm-up round. */
static void choose_steps(struct measure *measure)
{
    uint32_t context = measure->runtime.context_tokens;
    uint32_t most = context < DECODE_MAX_STEPS ? context : DECODE_MAX_STEPS;

    for (size_t batch = 0; batch < measure->batch_count; batch++) {
        double step_us =
            US_A_SECOND * (double)(1u << batch) / measure->values[READING_DECODE + batch][0];

        measure->decode_steps[batch] =
            measure_times(DECODE_BUDGET_US, (uint64_t)step_us, measure->decode_steps[batch], most);
    }
}

/* An odd number: a median is then a reading. */
static uint32_t choose_rounds(const struct measure *measure)
{
    double us = US_A_SECOND * (double)measure->prompt_tokens / measure->values[READING_PROMPT][0];

    for (size_t batch = 0; batch < measure->batch_count; batch++)
        us += US_A_SECOND * (double)measure->decode_steps[batch] * (double)(1u << batch) /
              measure->values[READING_DECODE + batch][0];
    return measure_times(ROUNDS_BUDGET_US, (uint64_t)us, ROUND_MIN_COUNT, ROUND_MAX_COUNT) | 1;
}

static int run_rounds(struct measure *measure, struct measure_result *out, struct err *err)
{
    char what[32];

    choose_sizes(measure);
    tell(measure, "warming up");
    if (read_all(measure, 0, err) != 0)
        return -1;
    choose_steps(measure);
    out->round_count = choose_rounds(measure);
    for (uint32_t round = 0; round < out->round_count; round++) {
        (void)snprintf(what, sizeof(what), "round %u of %u", round + 1, out->round_count);
        tell(measure, what);
        if (read_all(measure, round, err) != 0)
            return -1;
    }
    return 0;
}

/* ---- the result ---- */

/* 0: not known. */
static uint64_t resident_bytes(void)
{
    AUTO_BUF struct buf statm = BUF_INIT(STATM_MAX_BYTES);
    struct err ignored = ERR_INIT;
    unsigned long long pages = 0;

    if (io_read_file("/proc/self/statm", &statm, &ignored) < 0 ||
        sscanf(statm.data, "%*u %llu", &pages) != 1)
        return 0;
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void describe(const struct measure *measure, struct measure_result *out)
{
    const struct model *model = measure->runtime.model;
    json_t *record = model_describe(model);

    out->parameter_count = (uint64_t)json_integer_value(json_object_get(record, "parameters"));
    json_decref(record);
    out->tensor_type_count = measure_tensor_types(model, out->tensor_types);
    out->architecture = model->params.architecture->name;
    out->device = measure->runtime.device;
    out->thread_count = memory_read_thread_count(measure->memory);
    out->context_tokens = measure->runtime.context_tokens;
    out->prompt_tokens = measure->prompt_tokens;
    out->work = measure_work_of(model);
    out->file_bytes = gguf_file_bytes(model->gguf);
    out->kv_bytes = session_kv_bytes(measure->runtime.session);
    out->token_launches = measure->token_launches;
}

static void take_medians(struct measure *measure, struct measure_result *out)
{
    size_t rounds = out->round_count;

    out->read_bytes_per_second = measure_median(measure->values[READING_MEMORY], rounds);
    out->prompt_tokens_per_second = measure_median(measure->values[READING_PROMPT], rounds);
    out->batch_count = measure->batch_count;
    for (size_t batch = 0; batch < measure->batch_count; batch++)
        out->batches[batch] = (struct measure_batch){
            .sequences = 1u << batch,
            .tokens_per_second = measure_median(measure->values[READING_DECODE + batch], rounds)};
}

static void measure_release(struct measure *measure)
{
    memory_read_free(measure->memory);
    runtime_output_release(&measure->output);
    runtime_release(&measure->runtime);
}

/* "ref" computes on one core, whatever is asked for. */
static uint32_t thread_count(const struct measure *measure)
{
    uint32_t asked = measure->engine.thread_count;

    if (strcmp(measure->runtime.device, "ref") == 0)
        return 1;
    return asked != 0 ? asked : pool_core_count();
}

int measure_run(const struct measure_options *options, struct measure_result *out, struct err *err)
{
    __attribute__((cleanup(measure_release))) struct measure measure = {.options = options,
                                                                        .engine = options->engine};
    struct measure_result result = {0};

    if (measure.engine.slot_count == 0)
        measure.engine.slot_count =
            backend_is_gpu(measure.engine.device) ? MEASURE_SEQUENCES_MAX : MEASURE_SEQUENCES_CPU;
    if (measure.engine.slot_count > MEASURE_SEQUENCES_MAX)
        measure.engine.slot_count = MEASURE_SEQUENCES_MAX;
    if (load_repeatedly(&measure, &result.first_token_ms, err) != 0)
        return -1;
    measure.memory = memory_read_new(thread_count(&measure), err);
    if (measure.memory == NULL || run_rounds(&measure, &result, err) != 0)
        return -1;
    describe(&measure, &result);
    take_medians(&measure, &result);
    memory_read_free(take_ptr(measure.memory)); /* no part of what running the model takes */
    result.resident_bytes = resident_bytes();
    *out = result;
    return 0;
}
