/* Owns products with weights on a GPU: which kernel takes which rows, and weights of different
 * types apart. */
#include "hip/backend/gpu_backend.h"

#include <assert.h>
#include <string.h>

static_assert((int)GPU_PRODUCT_WEIGHTS == (int)BACKEND_MATMUL_MAX_COUNT, "all weights of an op");
static_assert((int)GPU_STORE == (int)BACKEND_STORE && (int)GPU_ADD == (int)BACKEND_ADD &&
                  (int)GPU_SILU_MUL == (int)BACKEND_SILU_MUL &&
                  (int)GPU_GELU_MUL == (int)BACKEND_GELU_MUL,
              "kernels know epilogues by the same numbers");

/* ---- launches ---- */

/* The smallest that takes ROW_COUNT rows at once; they all give the same. */
static enum gpu_matvec matvec_of(uint32_t row_count)
{
    return row_count <= 1   ? GPU_MATVEC_1
           : row_count <= 2 ? GPU_MATVEC_2
           : row_count <= 4 ? GPU_MATVEC_4
                            : GPU_MATVEC_8;
}

uint32_t gpu_waves_max(const struct gpu_backend *gpu)
{
    return GPU_ROW_THREADS / gpu_context_info(gpu->context)->wave;
}

/* As many waves as have a chunk of the columns each, or as were found to be best. It depends on the
 * weight alone, as the order of sums does. */
static uint32_t matvec_waves(const struct gpu_backend *gpu, const struct args_product *args,
                             const struct gpu_type *type)
{
    struct gpu_format format = gpu_format_of(type->id);
    uint32_t chunks = gpu_chunks(&format, args->weights[0].columns);
    uint32_t most =
        type->tuned[GPU_TUNED_WAVES] != 0 ? type->tuned[GPU_TUNED_WAVES] : gpu_waves_max(gpu);

    return chunks < most ? chunks : most;
}

int gpu_launch_matvec(struct gpu_backend *gpu, const struct gpu_type *type,
                      struct args_product *args, uint32_t row_begin, uint32_t row_count,
                      uint32_t waves, struct err *err)
{
    uint32_t wave = gpu_context_info(gpu->context)->wave;
    bool is_gate = backend_is_gate((enum backend_epilogue)args->epilogue);
    enum gpu_matvec kernel = matvec_of(row_count);
    const uint32_t blocks[3] = {gpu_product_blocks(args, is_gate, wave),
                                gpu_blocks(row_count, 1u << kernel), 1};

    args->row_begin = row_begin;
    args->row_count = row_count;
    return gpu_launch(gpu->context, type->matvec[kernel], blocks, waves * wave, args, err);
}

static uint32_t smallest_of(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t smaller = a < b ? a : b;

    return smaller < c ? smaller : c;
}

static int launch_matmul(struct gpu_backend *gpu, const struct gpu_type *type,
                         struct args_product *args, uint32_t block_rows, struct err *err)
{
    uint32_t wave = gpu_context_info(gpu->context)->wave;
    bool is_gate = backend_is_gate((enum backend_epilogue)args->epilogue);
    uint32_t wanted = gpu_blocks(args->row_count, GPU_MATMUL_ROWS);
    uint32_t waves =
        smallest_of(wanted, gpu_blocks(block_rows, GPU_MATMUL_ROWS), gpu_waves_max(gpu));
    const uint32_t blocks[3] = {gpu_product_blocks(args, is_gate, wave * GPU_MATMUL_TILES),
                                gpu_blocks(wanted, waves), 1};

    return gpu_launch(gpu->context, type->matmul, blocks, waves * wave, args, err);
}

bool gpu_has_mma(const struct gpu_type *type, uint32_t columns)
{
    return type->mma[GPU_MMA_64] != NULL && columns % GPU_GROUP_COLUMNS == 0;
}

static int launch_mma(struct gpu_backend *gpu, const struct gpu_type *type,
                      struct args_product *args, uint32_t block_rows, struct err *err)
{
    bool is_gate = backend_is_gate((enum backend_epilogue)args->epilogue);
    bool is_large = block_rows > GPU_MMA_X_ROWS && args->row_count > GPU_MMA_X_ROWS;
    const uint32_t blocks[3] = {
        gpu_product_blocks(args, is_gate, GPU_MMA_WEIGHT_ROWS),
        gpu_blocks(args->row_count, is_large ? GPU_MMA_X_ROWS_MAX : GPU_MMA_X_ROWS), 1};

    return gpu_launch(gpu->context, type->mma[is_large ? GPU_MMA_128 : GPU_MMA_64], blocks,
                      GPU_MMA_THREADS, args, err);
}

uint32_t gpu_prompt_choices(const struct gpu_backend *gpu, const struct gpu_type *type,
                            uint32_t columns, uint32_t out_rows[GPU_CHOICES_MAX])
{
    uint32_t count = 0;

    if (gpu_has_mma(type, columns)) {
        out_rows[count++] = GPU_MMA_X_ROWS;
        out_rows[count++] = GPU_MMA_X_ROWS_MAX;
        return count;
    }
    for (uint32_t waves = 1; waves <= gpu_waves_max(gpu); waves *= 2)
        out_rows[count++] = waves * GPU_MATMUL_ROWS;
    return count;
}

int gpu_launch_prompts(struct gpu_backend *gpu, const struct gpu_type *type,
                       struct args_product *args, uint32_t row_begin, uint32_t row_count,
                       uint32_t block_rows, struct err *err)
{
    args->row_begin = row_begin;
    args->row_count = row_count;
    return gpu_has_mma(type, args->weights[0].columns)
               ? launch_mma(gpu, type, args, block_rows, err)
               : launch_matmul(gpu, type, args, block_rows, err);
}

/* What was found to be best for prompts; if nothing was, all waves of matmul, and the smaller block
 * of matrix units. */
static uint32_t prompt_rows(const struct gpu_backend *gpu, const struct gpu_type *type)
{
    uint32_t tuned = type->tuned[GPU_TUNED_PROMPT_ROWS];

    return tuned != 0 ? tuned : gpu_waves_max(gpu) * GPU_MATMUL_ROWS;
}

/* Rows that decode, and those of prompts behind them. */
static int launch_product(struct gpu_backend *gpu, const struct gpu_type *type,
                          struct args_product *args, struct err *err)
{
    uint32_t decodes = gpu->step->decode_row_count;
    uint32_t prompts = gpu->step->row_count - decodes;

    if (decodes > 0 &&
        gpu_launch_matvec(gpu, type, args, 0, decodes, matvec_waves(gpu, args, type), err) != 0)
        return -1;
    if (prompts == 0)
        return 0;
    return gpu_launch_prompts(gpu, type, args, decodes, prompts, prompt_rows(gpu, type), err);
}

/* ---- embed ---- */

int gpu_embed(struct backend *backend, const struct backend_embed *op, struct err *err)
{
    struct gpu_backend *gpu = gpu_of(backend);
    struct args_embed args = {
        .tokens = gpu->device_step.tokens, .out = op->out->data, .scale = op->scale};
    uint32_t columns = op->table->matrix.columns;
    const uint32_t blocks[3] = {gpu_blocks(gpu_groups(columns), GPU_EMBED_THREADS),
                                gpu->step->row_count, 1};

    assert(op->out->width == columns);
    for (uint32_t row = 0; row < gpu->step->row_count; row++)
        assert(gpu->step->tokens[row] < op->table->matrix.rows);
    gpu_touch(gpu, op->out);
    if (gpu_weight_planes(gpu, op->table, &args.table, err) != 0)
        return -1;
    return gpu_launch(gpu->context, gpu_type_of(gpu, op->table)->embed, blocks, GPU_EMBED_THREADS,
                      &args, err);
}

/* ---- matmul ---- */

static void check_matmul(const struct backend_matmul *op, uint32_t i)
{
    const struct backend_buffer *out = op->outs[backend_is_gate(op->epilogue) ? 0 : i];

    assert(op->weights[i]->matrix.columns == op->x->width);
    assert(op->weights[i]->matrix.rows == out->width);
    if (op->biases[i] != NULL) {
        assert(!backend_is_gate(op->epilogue));
        assert(op->biases[i]->matrix.columns == out->width);
    }
}

/* x as the kernels of WEIGHT read it. */
static int put_activations(struct gpu_backend *gpu, const struct backend_buffer *x,
                           const struct backend_weight *weight, struct args_product *args,
                           struct err *err)
{
    bool has_prompts = gpu->step->row_count > gpu->step->decode_row_count;
    bool is_in_integers =
        !gpu_is_float_weight(weight) ||
        (has_prompts && gpu_has_mma(gpu_type_of(gpu, weight), weight->matrix.columns));

    args->x = x->data;
    return is_in_integers ? gpu_quantised_of(gpu, x, &args->quantised, err) : 0;
}

static int add_weight(struct gpu_backend *gpu, struct args_product *args,
                      const struct backend_weight *weight, const struct backend_weight *bias,
                      float *out, struct err *err)
{
    uint32_t i = args->weight_count++;

    args->biases[i] = bias != NULL ? bias->floats : NULL;
    args->outs[i] = out;
    return gpu_weight_planes(gpu, weight, &args->weights[i], err);
}

/* The op's weights of the type of weight FIRST in one launch; earlier ones are of other types. */
static int multiply_alike(struct gpu_backend *gpu, const struct backend_matmul *op, uint32_t first,
                          struct err *err)
{
    struct args_product args = {.epilogue = op->epilogue};
    uint32_t type = op->weights[first]->matrix.type;
    bool is_gate = backend_is_gate(op->epilogue);
    struct gpu_planes planes;

    for (uint32_t i = 0; i < first; i++) {
        if (op->weights[i]->matrix.type == type)
            return 0; /* it was in that one's launch */
    }
    /* With its planes the kernels of its type are there, too. */
    if (gpu_weight_planes(gpu, op->weights[first], &planes, err) != 0 ||
        put_activations(gpu, op->x, op->weights[first], &args, err) != 0)
        return -1;
    for (uint32_t i = first; i < op->weight_count; i++) {
        float *out = op->outs[is_gate ? 0 : i]->data;

        if (op->weights[i]->matrix.type == type &&
            add_weight(gpu, &args, op->weights[i], op->biases[i], out, err) != 0)
            return -1;
    }
    if (is_gate && gpu_quantised_beside(gpu, op->outs[0], &args.gated, err) != 0)
        return -1;
    if (launch_product(gpu, gpu_type_of(gpu, op->weights[first]), &args, err) != 0)
        return -1;
    gpu_quantised_made(gpu, op->outs[0], &args.gated);
    return 0;
}

/* Two weights of different types: one product to where the gate goes, one to the work area, and
 * then the gate of both. */
static int multiply_mixed_gate(struct gpu_backend *gpu, const struct backend_matmul *op,
                               struct err *err)
{
    uint32_t width = op->outs[0]->width;
    uint32_t rows = gpu->step->row_count;
    struct args_gate gate = {.first = op->outs[0]->data,
                             .out = op->outs[0]->data,
                             .epilogue = op->epilogue,
                             .width = width};
    const uint32_t blocks[3] = {gpu_blocks(width, GPU_ROW_THREADS), rows, 1};

    for (uint32_t i = 0; i < 2; i++) {
        struct args_product args = {.epilogue = BACKEND_STORE};

        /* Planes that are still to be made need the work area, too: before it is a half. */
        if (gpu_weight_planes(gpu, op->weights[i], &args.weights[0], err) != 0 ||
            gpu_area_reserve(gpu, &gpu->work, (uint64_t)rows * width * sizeof(float), err) != 0 ||
            put_activations(gpu, op->x, op->weights[i], &args, err) != 0 ||
            add_weight(gpu, &args, op->weights[i], NULL,
                       i == 0 ? op->outs[0]->data : gpu->work.memory, err) != 0 ||
            launch_product(gpu, gpu_type_of(gpu, op->weights[i]), &args, err) != 0)
            return -1;
    }
    gate.second = gpu->work.memory;
    return gpu_launch(gpu->context, gpu->kernels.gate, blocks, GPU_ROW_THREADS, &gate, err);
}

int gpu_matmul(struct backend *backend, const struct backend_matmul *op, struct err *err)
{
    struct gpu_backend *gpu = gpu_of(backend);
    bool is_gate = backend_is_gate(op->epilogue);

    for (uint32_t i = 0; i < op->weight_count; i++) {
        check_matmul(op, i);
        gpu_touch(gpu, op->outs[is_gate ? 0 : i]);
    }
    if (is_gate && op->weights[0]->matrix.type != op->weights[1]->matrix.type)
        return multiply_mixed_gate(gpu, op, err);
    for (uint32_t i = 0; i < op->weight_count; i++) {
        if (multiply_alike(gpu, op, i, err) != 0)
            return -1;
    }
    return 0;
}

/* ---- head ---- */

/* The logit rows' norm, side by side, as the kernels of the head's weight read it. */
static int norm_logit_rows(struct gpu_backend *gpu, const struct backend_head *op,
                           struct args_product *out, struct err *err)
{
    uint32_t width = op->x->width;
    uint32_t rows = gpu->step->logit_row_count;
    struct args_norm args = {
        .x = op->x->data,
        .scale = op->scale->floats,
        .rows = gpu->device_step.logit_rows,
        .epsilon = op->epsilon,
        .width = width,
    };
    const uint32_t blocks[3] = {rows, 1, 1};

    if (gpu_is_float_weight(op->weight)) {
        if (gpu_area_reserve(gpu, &gpu->head, (uint64_t)rows * width * sizeof(float), err) != 0)
            return -1;
        args.out = gpu->head.memory;
    } else if (gpu_quantised_place(gpu, rows, width, &args.quantised, err) != 0) {
        return -1;
    }
    out->x = args.out;
    out->quantised = args.quantised;
    return gpu_launch(gpu->context, gpu->kernels.norm, blocks, gpu_row_threads(width), &args, err);
}

/* All of them as rows that decode: few, and so each read of the weight serves them. */
static int launch_logits(struct gpu_backend *gpu, const struct backend_head *op, struct err *err)
{
    uint32_t rows = gpu->step->logit_row_count;
    struct args_product args = {.epilogue = BACKEND_STORE, .softcap = op->softcap};

    assert(op->weight->matrix.columns == op->x->width);
    if (gpu_area_reserve(gpu, &gpu->logits,
                         (uint64_t)rows * op->weight->matrix.rows * sizeof(float), err) != 0 ||
        norm_logit_rows(gpu, op, &args, err) != 0 ||
        add_weight(gpu, &args, op->weight, NULL, gpu->logits.memory, err) != 0)
        return -1;
    return gpu_launch_matvec(gpu, gpu_type_of(gpu, op->weight), &args, 0, rows,
                             matvec_waves(gpu, &args, gpu_type_of(gpu, op->weight)), err);
}

/* BYTES from FROM to OUT, through memory that the device writes by itself. */
static int fetch(struct gpu_backend *gpu, void *out, const void *from, uint64_t bytes,
                 struct err *err)
{
    if (gpu_area_reserve(gpu, &gpu->logits_host, bytes, err) != 0 ||
        gpu_download(gpu->context, gpu->logits_host.memory, from, bytes, err) != 0 ||
        gpu_sync(gpu->context, err) != 0)
        return -1;
    memcpy(out, gpu->logits_host.memory, bytes);
    return 0;
}

int gpu_head(struct backend *backend, const struct backend_head *op, struct err *err)
{
    struct gpu_backend *gpu = gpu_of(backend);
    uint32_t rows = gpu->step->logit_row_count;
    const uint64_t *picked = NULL;

    if (launch_logits(gpu, op, err) != 0)
        return -1;
    if (op->picked_count == 0)
        return fetch(gpu, op->logits, gpu->logits.memory,
                     (uint64_t)rows * op->weight->matrix.rows * sizeof(float), err);
    if (gpu_pick(gpu, op, &picked, err) != 0)
        return -1;
    return fetch(gpu, op->picked, picked, (uint64_t)rows * op->picked_count * sizeof(*picked), err);
}
