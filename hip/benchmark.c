/* Owns --bench: the words and the JSON of what measure.h measures. */
#include "hip/benchmark.h"

#include "common/buf.h"
#include "common/io.h"
#include "common/json.h"
#include "common/units.h"
#include "hip/measure.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_MAX_BYTES = 64 * 1024 };

static const double GIGA = 1e9;
static const double MEGA = 1e6;

#define LINE_CLEAR "\r\033[K"

/* What decoding reads a second, and its share of what can be read. */
static double decode_bytes_per_second(const struct measure_result *result)
{
    return result->batches[0].tokens_per_second * (double)result->work.token_read_bytes;
}

static double decode_share(const struct measure_result *result)
{
    return decode_bytes_per_second(result) / result->read_bytes_per_second;
}

static double prompt_macs_per_second(const struct measure_result *result)
{
    return result->prompt_tokens_per_second * (double)result->work.token_macs;
}

static double times_one(const struct measure_result *result, size_t batch)
{
    return result->batches[batch].tokens_per_second / result->batches[0].tokens_per_second;
}

/* ---- JSON ---- */

static json_t *list_types(const struct measure_result *result)
{
    json_t *types = json_array();

    for (size_t i = 0; i < result->tensor_type_count; i++)
        (void)json_array_append_new(types, json_string(result->tensor_types[i]));
    return types;
}

static json_t *list_batches(const struct measure_result *result)
{
    json_t *batches = json_array();

    for (size_t i = 0; i < result->batch_count; i++)
        (void)json_array_append_new(batches, json_pack("{s:I,s:f,s:f}", "sequences",
                                                       (json_int_t)result->batches[i].sequences,
                                                       "tokens_per_second",
                                                       result->batches[i].tokens_per_second,
                                                       "times_one", times_one(result, i)));
    return batches;
}

static json_t *integer(uint64_t value)
{
    return json_integer((json_int_t)value);
}

/* A contract: what is here stays under its name. */
static json_t *record_of(const struct benchmark_options *options,
                         const struct measure_result *result)
{
    const struct {
        const char *name;
        json_t *value;
    } fields[] = {
        {"model", json_text_lossy(options->name, strlen(options->name))},
        {"architecture", json_string(result->architecture)},
        {"parameters", integer(result->parameter_count)},
        {"tensor_types", list_types(result)},
        {"device", json_string(result->device)},
        {"threads", integer(result->thread_count)},
        {"context_tokens", integer(result->context_tokens)},
        {"rounds", integer(result->round_count)},
        {"read_bytes_per_second", json_real(result->read_bytes_per_second)},
        {"decode_tokens_per_second", json_real(result->batches[0].tokens_per_second)},
        {"decode_bytes_per_token", integer(result->work.token_read_bytes)},
        {"decode_bytes_per_second", json_real(decode_bytes_per_second(result))},
        {"decode_share_of_read", json_real(decode_share(result))},
        {"prefill_tokens", integer(result->prompt_tokens)},
        {"prefill_tokens_per_second", json_real(result->prompt_tokens_per_second)},
        {"prefill_macs_per_token", integer(result->work.token_macs)},
        {"prefill_macs_per_second", json_real(prompt_macs_per_second(result))},
        {"first_token_ms", json_real(result->first_token_ms)},
        {"batches", list_batches(result)},
        {"resident_bytes", integer(result->resident_bytes)},
        {"file_bytes", integer(result->file_bytes)},
        {"kv_bytes", integer(result->kv_bytes)},
        {"launches_per_token",
         result->token_launches > 0 ? json_real(result->token_launches) : json_null()},
    };
    json_t *record = json_object();

    for (size_t i = 0; i < ARRAY_COUNT(fields); i++)
        (void)json_object_set_new(record, fields[i].name, fields[i].value);
    return record;
}

/* ---- lines ---- */

/* Its maximum is far above all that is added to it. */
#define ADD(buf, ...) (void)buf_printf(buf, __VA_ARGS__)

static void add_model(struct buf *text, const struct benchmark_options *options,
                      const struct measure_result *result)
{
    ADD(text, "model     %s: %s, %.0f million parameters", options->name, result->architecture,
        (double)result->parameter_count / MEGA);
    for (size_t i = 0; i < result->tensor_type_count; i++)
        ADD(text, ", %s", result->tensor_types[i]);
    ADD(text, "\ndevice    %s, %u thread%s, context of %u tokens; medians of %u rounds\n",
        result->device, result->thread_count, result->thread_count == 1 ? "" : "s",
        result->context_tokens, result->round_count);
}

static void add_speeds(struct buf *text, const struct measure_result *result)
{
    ADD(text, "memory    %8.1f GB/s can be read\n", result->read_bytes_per_second / GIGA);
    ADD(text, "decode    %8.1f tokens/s, %.1f GB/s, %.0f %% of what can be read\n",
        result->batches[0].tokens_per_second, decode_bytes_per_second(result) / GIGA,
        100.0 * decode_share(result));
    ADD(text, "prompt    %8.1f tokens/s, %.0f GMAC/s, of %u tokens\n",
        result->prompt_tokens_per_second, prompt_macs_per_second(result) / GIGA,
        result->prompt_tokens);
    ADD(text, "start     %8.0f ms from opening the file to the first token\n",
        result->first_token_ms);
    for (size_t i = 1; i < result->batch_count; i++)
        ADD(text, "batch %-3u %8.1f tokens/s, %.2f times one\n", result->batches[i].sequences,
            result->batches[i].tokens_per_second, times_one(result, i));
}

static void add_memory(struct buf *text, const struct measure_result *result)
{
    char resident[UNITS_TEXT_BYTES];
    char file[UNITS_TEXT_BYTES];
    char kv[UNITS_TEXT_BYTES];

    if (result->token_launches > 0)
        ADD(text, "launches  %8.1f of kernels for a token\n", result->token_launches);
    units_format_size(result->resident_bytes, resident);
    units_format_size(result->file_bytes, file);
    units_format_size(result->kv_bytes, kv);
    ADD(text, "resident  %s; the file has %s, the context %s\n", resident, file, kv);
}

/* ---- the mode ---- */

static void show_progress(void *owner, const char *what)
{
    (void)owner;
    (void)fprintf(stderr, LINE_CLEAR "%s", what); /* lost progress is no failure */
    (void)fflush(stderr);
}

static int print(const struct benchmark_options *options, const struct measure_result *result,
                 struct err *err)
{
    AUTO_BUF struct buf text = BUF_INIT(TEXT_MAX_BYTES);
    AUTO_JSON json_t *record = record_of(options, result);
    AUTO_FREE char *json = json_to_text(record);

    if (options->wants_json) {
        ADD(&text, "%s\n", json);
    } else {
        add_model(&text, options, result);
        add_speeds(&text, result);
        add_memory(&text, result);
    }
    return io_write_all(STDOUT_FILENO, text.data, text.len, err);
}

int benchmark_run(const struct benchmark_options *options, struct err *err)
{
    bool has_progress = !options->is_quiet && isatty(STDERR_FILENO);
    struct measure_options measure = {
        .engine = options->engine,
        .prompt_tokens = MEASURE_PROMPT_TOKENS,
        .on_progress = has_progress ? show_progress : NULL,
    };
    struct measure_result result;
    int status = measure_run(&measure, &result, err);

    if (has_progress)
        (void)fprintf(stderr, LINE_CLEAR); /* lost progress is no failure */
    return status == 0 ? print(options, &result, err) : -1;
}
