/* Owns what a measuring counts instead of measuring it: medians, and what a token of a model takes.
 * Pure. */
#include "hip/measure.h"
#include "hip/model/load.h"
#include "hip/model/model.h"

#include <stdlib.h>

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

double measure_median(double *values, size_t count)
{
    qsort(values, count, sizeof(*values), compare_doubles);
    return count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

uint32_t measure_times(uint64_t budget_us, uint64_t took_us, uint32_t min, uint32_t max)
{
    uint64_t times = budget_us / (took_us > 0 ? took_us : 1);

    if (times < min)
        return min;
    return times < max ? (uint32_t)times : max;
}

static bool is_matrix(const struct gguf_tensor *tensor)
{
    return tensor != NULL && tensor->dims[1] > 1;
}

struct measure_work measure_work_of(const struct model *model)
{
    struct measure_work work = {0};

    for (size_t i = 0; i < MODEL_TENSOR_COUNT; i++) {
        bool is_looked_up = i == MODEL_TOKEN_EMBD && model->by_role[MODEL_OUTPUT] != NULL;

        if (model->by_role[i] != NULL && !is_looked_up)
            work.token_read_bytes += model->by_role[i]->size_bytes;
    }
    for (uint32_t layer = 0; layer < model->params.layer_count; layer++) {
        for (size_t i = 0; i < LAYER_TENSOR_COUNT; i++) {
            const struct gguf_tensor *tensor = model->layers[layer].by_role[i];

            work.token_read_bytes += tensor != NULL ? tensor->size_bytes : 0;
            work.token_macs += is_matrix(tensor) ? tensor->dims[0] * tensor->dims[1] : 0;
        }
    }
    return work;
}

static void add_type(uint64_t bytes[QUANT_TYPE_MAX + 1], const struct gguf_tensor *tensor)
{
    if (is_matrix(tensor))
        bytes[tensor->type] += tensor->size_bytes;
}

size_t measure_tensor_types(const struct model *model, const char *out_types[QUANT_TYPE_MAX + 1])
{
    uint64_t bytes[QUANT_TYPE_MAX + 1] = {0};
    size_t count = 0;

    for (size_t i = 0; i < MODEL_TENSOR_COUNT; i++)
        add_type(bytes, model->by_role[i]);
    for (uint32_t layer = 0; layer < model->params.layer_count; layer++) {
        for (size_t i = 0; i < LAYER_TENSOR_COUNT; i++)
            add_type(bytes, model->layers[layer].by_role[i]);
    }
    for (;;) {
        uint32_t best = 0;

        for (uint32_t type = 1; type <= QUANT_TYPE_MAX; type++)
            best = bytes[type] > bytes[best] ? type : best;
        if (bytes[best] == 0)
            return count;
        out_types[count++] = quant_info(best)->name;
        bytes[best] = 0;
    }
}
