/* Owns the record that --describe prints. */
#include "hip/model/load.h"

#include "common/attr.h"
#include "common/json.h"
#include "hip/model/model.h"
#include "hip/model/quant.h"
#include "hip/text/chat_template.h"

enum { NAME_SHOWN_MAX_BYTES = 256 };

static uint64_t element_count(const struct gguf_tensor *tensor)
{
    return tensor->dims[0] * tensor->dims[1] * tensor->dims[2] * tensor->dims[3];
}

static uint64_t parameter_count(const struct gguf *gguf)
{
    uint64_t count = 0;

    for (size_t i = 0; i < gguf_tensor_count(gguf); i++)
        count += element_count(gguf_tensor_at(gguf, i));
    return count;
}

/* The type that most of the layers' elements have: what people call the file's quantisation, though
 * the embedding is often kept in a finer one. */
static const char *dominant_type(const struct model *model)
{
    uint64_t counts[QUANT_TYPE_MAX + 1] = {0};
    uint32_t best = 0;

    for (uint32_t layer = 0; layer < model->params.layer_count; layer++) {
        for (size_t i = 0; i < LAYER_TENSOR_COUNT; i++) {
            const struct gguf_tensor *tensor = model->layers[layer].by_role[i];

            if (tensor == NULL)
                continue;
            counts[tensor->type] += element_count(tensor);
            if (counts[tensor->type] > counts[best])
                best = tensor->type;
        }
    }
    return quant_info(best)->name;
}

static json_t *given_name(const struct gguf *gguf)
{
    struct err ignored = ERR_INIT;
    struct gguf_string name;

    if (gguf_read_string(gguf, "general.name", &name, &ignored) != 0)
        return json_null();
    return json_text_lossy(name.data,
                           name.len < NAME_SHOWN_MAX_BYTES ? name.len : NAME_SHOWN_MAX_BYTES);
}

json_t *model_describe(const struct model *model)
{
    json_t *record =
        json_pack("{s:o, s:s, s:I, s:s, s:I, s:I, s:s, s:I, s:I}", "name", given_name(model->gguf),
                  "architecture", model->params.architecture->name, "parameters",
                  (json_int_t)parameter_count(model->gguf), "quantisation", dominant_type(model),
                  "size_bytes", (json_int_t)gguf_file_bytes(model->gguf), "context_tokens",
                  (json_int_t)model->params.context_tokens, "template",
                  chat_template_name(chat_template_of(model->gguf)), "layers",
                  (json_int_t)model->params.layer_count, "vocab_tokens",
                  (json_int_t)model->params.vocab_count);

    return record;
}
