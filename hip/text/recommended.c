/* Owns the recommendations of model files. Must not know samplers. */
#include "hip/text/recommended.h"

enum bounds { BOUNDS_CLOSED, BOUNDS_OPEN };

static const struct range {
    enum bounds bounds;
    double min;
    double max;
} RANGES[] = {
#define FIELD(field, member, type, bounds, min, max)                                               \
    {BOUNDS_##bounds, (double)(min), (double)(max)},
#include "common/inference_fields.def"
#undef FIELD
};

static bool is_within(enum inference_field field, double value)
{
    const struct range *range = &RANGES[field];

    if (range->bounds == BOUNDS_OPEN && value == range->min)
        return false;
    return value >= range->min && value <= range->max; /* not NaN */
}

static void recommend_NUMBER(const struct gguf *gguf, const char *key, enum inference_field field,
                             double *out)
{
    struct err ignored = ERR_INIT;
    double value = 0;

    if (gguf_has(gguf, key) && gguf_read_f64(gguf, key, &value, &ignored) == 0 &&
        is_within(field, value))
        *out = value;
}

static void recommend_INTEGER(const struct gguf *gguf, const char *key, enum inference_field field,
                              int64_t *out)
{
    struct err ignored = ERR_INIT;
    uint64_t value = 0;

    if (gguf_has(gguf, key) && gguf_read_u64(gguf, key, &value, &ignored) == 0 &&
        is_within(field, (double)value))
        *out = (int64_t)value;
}

void recommended_apply(const struct gguf *gguf, struct inference_request *request)
{
#define RECOMMENDED(key, field, type)                                                              \
    if (!inference_is_given(request, INFERENCE_FIELD_##field))                                     \
        recommend_##type(gguf, key, INFERENCE_FIELD_##field, &request->field);
#include "hip/text/recommended.def"
#undef RECOMMENDED
}
