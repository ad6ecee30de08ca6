/* Owns the inputs of a step on the device: one upload to buffers that stay. */
#include "hip/backend/gpu_backend.h"

#include "hip/model/model.h"

#include <assert.h>
#include <string.h>

enum {
    INPUT_TOKENS,
    INPUT_POSITIONS,
    INPUT_TABLES,
    INPUT_LOGIT_ROWS,
    INPUT_TILES,
    INPUT_MORE_TILES, /* two words each */
    INPUT_BLOCKS,     /* and all behind it */
    INPUT_COUNT = INPUT_BLOCKS,
};

/* Where the inputs of one kind begin, in words. */
static uint64_t input_at(uint32_t input)
{
    return (uint64_t)input * SESSION_BATCH_MAX_ROWS;
}

uint64_t gpu_inputs_bytes(uint32_t table_count)
{
    return (input_at(INPUT_COUNT) + table_count) * sizeof(uint32_t);
}

/* Blocks of each sequence of the step that its rows see, or write. */
static uint32_t count_blocks(const struct backend_step *step,
                             uint32_t out_counts[SESSION_SEQUENCE_MAX_COUNT])
{
    uint32_t total = 0;

    memset(out_counts, 0, SESSION_SEQUENCE_MAX_COUNT * sizeof(*out_counts));
    for (uint32_t row = 0; row < step->row_count; row++) {
        uint32_t sequence = step->sequences[row];
        uint32_t count = step->positions[row] / BACKEND_KV_BLOCK_TOKENS + 1;

        assert(sequence < SESSION_SEQUENCE_MAX_COUNT && count <= step->blocks_per_sequence);
        if (count > out_counts[sequence]) {
            total += count - out_counts[sequence];
            out_counts[sequence] = count;
        }
    }
    return total;
}

/* Their block ids one behind the other, and for each row where those of its sequence begin. */
static void put_tables(const struct backend_step *step,
                       const uint32_t counts[SESSION_SEQUENCE_MAX_COUNT], uint32_t *words)
{
    uint32_t begins[SESSION_SEQUENCE_MAX_COUNT];
    uint32_t at = 0;

    for (uint32_t sequence = 0; sequence < SESSION_SEQUENCE_MAX_COUNT; sequence++) {
        begins[sequence] = at;
        if (counts[sequence] > 0)
            memcpy(words + input_at(INPUT_BLOCKS) + at,
                   step->block_tables + (uint64_t)sequence * step->blocks_per_sequence,
                   counts[sequence] * sizeof(*words));
        at += counts[sequence];
    }
    for (uint32_t row = 0; row < step->row_count; row++)
        words[input_at(INPUT_TABLES) + row] = begins[step->sequences[row]];
}

/* The rows of prompts in tiles of one sequence, each row's position one more than the one's
 * before. */
static uint32_t put_tiles(const struct backend_step *step, uint32_t *words)
{
    uint32_t count = 0;
    uint32_t first = step->decode_row_count;

    while (first < step->row_count) {
        uint32_t end = first + 1;

        while (end < step->row_count && end - first < GPU_PROMPT_ROWS &&
               step->sequences[end] == step->sequences[first] &&
               step->positions[end] == step->positions[end - 1] + 1)
            end++;
        words[input_at(INPUT_TILES) + 2 * count] = first;
        words[input_at(INPUT_TILES) + 2 * count + 1] = end - first;
        count++;
        first = end;
    }
    return count;
}

static int upload_inputs(struct gpu_backend *gpu, const struct backend_step *step, struct err *err)
{
    uint32_t counts[SESSION_SEQUENCE_MAX_COUNT];
    uint64_t bytes = gpu_inputs_bytes(count_blocks(step, counts));
    uint32_t *words = NULL;

    if (gpu_area_reserve(gpu, &gpu->inputs_host, bytes, err) != 0 ||
        gpu_area_reserve(gpu, &gpu->inputs, bytes, err) != 0)
        return -1;
    words = gpu->inputs_host.memory; /* the last step has been waited for: it is ours */
    memcpy(words + input_at(INPUT_TOKENS), step->tokens, step->row_count * sizeof(*words));
    memcpy(words + input_at(INPUT_POSITIONS), step->positions, step->row_count * sizeof(*words));
    if (step->logit_row_count > 0)
        memcpy(words + input_at(INPUT_LOGIT_ROWS), step->logit_rows,
               step->logit_row_count * sizeof(*words));
    put_tables(step, counts, words);
    gpu->tile_count = put_tiles(step, words);
    return gpu_upload(gpu->context, gpu->inputs.memory, words, bytes, err);
}

int gpu_step_begin(struct backend *backend, const struct backend_step *step, struct err *err)
{
    struct gpu_backend *gpu = gpu_of(backend);
    const uint32_t *words = NULL;

    assert(step->row_count >= 1 && step->row_count <= SESSION_BATCH_MAX_ROWS);
    assert(step->decode_row_count <= step->row_count);
    if (err_is_set(&gpu->failure)) {
        *err = gpu->failure;
        return -1;
    }
    gpu_staging_release(gpu);
    gpu->quantised_of = NULL;
    if (upload_inputs(gpu, step, err) != 0)
        return -1;
    words = gpu->inputs.memory;
    gpu->step = step;
    gpu->longest = 0;
    for (uint32_t row = 0; row < step->row_count; row++) {
        if (step->positions[row] >= gpu->longest)
            gpu->longest = step->positions[row] + 1;
    }
    gpu->device_tiles = words + input_at(INPUT_TILES);
    gpu->device_step = (struct gpu_step){
        .tokens = words + input_at(INPUT_TOKENS),
        .positions = words + input_at(INPUT_POSITIONS),
        .tables = words + input_at(INPUT_TABLES),
        .block_tables = words + input_at(INPUT_BLOCKS),
        .logit_rows = words + input_at(INPUT_LOGIT_ROWS),
    };
    /* The same launches as in the last such step, mostly, and too many for what each does. */
    if (step->decode_row_count == step->row_count)
        gpu_gather_launches(gpu->context);
    return 0;
}

/* Waits: how long a step took is measured, and the inputs of the next go where these lie. */
void gpu_step_end(struct backend *backend)
{
    struct gpu_backend *gpu = gpu_of(backend);

    gpu->step = NULL;
    if (!err_is_set(&gpu->failure))
        (void)gpu_sync(gpu->context, &gpu->failure); /* the next step tells it */
}

void gpu_touch(struct gpu_backend *gpu, const struct backend_buffer *buffer)
{
    if (gpu->quantised_of == buffer)
        gpu->quantised_of = NULL;
}
