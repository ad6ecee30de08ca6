/* Model files: whatever the bytes, they are read or refused, and what is accepted can be asked,
 * decoded and run. */
#include "hip/backend/backend.h"
#include "hip/backend/cpu_kernels.h"
#include "hip/model/model.h"
#include "hip/model/quant.h"

#include "common/attr.h"

#include <jansson.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char *const KEYS[] = {
    "general.architecture", "general.alignment",     "tokenizer.ggml.tokens",
    "llama.block_count",    "tokenizer.ggml.merges", "llama.rope.freq_base",
};

static void ask(const struct gguf *gguf)
{
    for (size_t i = 0; i < ARRAY_COUNT(KEYS); i++) {
        struct err err = ERR_INIT;
        struct gguf_string text;
        uint64_t count = 0;
        double real = 0.0;
        bool flag = false;

        (void)gguf_read_u64(gguf, KEYS[i], &count, &err); /* any outcome but a crash is right */
        (void)gguf_read_f64(gguf, KEYS[i], &real, &err);
        (void)gguf_read_bool(gguf, KEYS[i], &flag, &err);
        if (gguf_array_len(gguf, KEYS[i], GGUF_STRING, &count, &err) != 0)
            continue;
        for (uint64_t j = 0; j < count; j++) {
            text = gguf_array_string(gguf, KEYS[i], j);
            if (text.len > 0 && text.data[text.len - 1] == '\n')
                (void)gguf_has(gguf, "newline"); /* the last byte has been read */
        }
    }
}

static bool decodes_alike(float a, float b)
{
    return a == b || (!isfinite(a) && !isfinite(b));
}

/* Every product of a reader is exact in a float but for its last step, so that all readers agree to
 * the last bit. Memory of its own, so that nothing is read before or behind the row. */
static void decode_row(const struct gguf_tensor *tensor, uint64_t row)
{
    uint32_t count = (uint32_t)tensor->dims[0]; /* a file is no longer than libFuzzer's inputs */
    uint64_t bytes = quant_row_bytes(tensor->type, count);
    AUTO_FREE uint8_t *blocks = malloc(bytes);
    AUTO_FREE float *plain = calloc(count, sizeof(*plain));
    AUTO_FREE float *fast = calloc(count, sizeof(*fast));

    if (blocks == NULL || plain == NULL || fast == NULL)
        return;
    memcpy(blocks, (const char *)tensor->data + row * bytes, bytes);
    quant_decode(tensor->type, blocks, plain, count);
#if defined(__x86_64__)
    if (cpu_has_avx2())
        CPU_KERNELS_AVX2.decode(tensor->type, blocks, fast, count);
    for (uint32_t i = 0; cpu_has_avx2() && i < count; i++) {
        if (!decodes_alike(plain[i], fast[i]))
            abort();
    }
#endif
}

/* The first row and the last of each tensor, of whatever use and type it is. */
static void decode(const struct gguf *gguf)
{
    for (size_t i = 0; i < gguf_tensor_count(gguf); i++) {
        const struct gguf_tensor *tensor = gguf_tensor_at(gguf, i);
        uint64_t rows = tensor->dims[1] * tensor->dims[2] * tensor->dims[3];

        decode_row(tensor, 0);
        decode_row(tensor, rows - 1);
    }
}

/* The whole of a model that was accepted: a prompt of more rows than the CPU takes for few, and one
 * token behind it. */
static void run(const struct model *model)
{
    enum { PROMPT_ROWS = CPU_FEW_ROWS + 1 };
    struct session_options options = {.context_tokens = PROMPT_ROWS + 1, .sequence_count = 1};
    struct batch_row rows[PROMPT_ROWS] = {0};
    struct batch_row row = {.position = PROMPT_ROWS, .wants_logits = true, .is_decode = true};
    struct err err = ERR_INIT;
    struct backend *backend = backend_new("cpu", 1, &err);
    struct session *session = session_new(model, backend, &options, &err);
    AUTO_FREE float *logits = calloc(model_vocab_count(model), sizeof(*logits));

    for (uint32_t i = 0; i < PROMPT_ROWS; i++) {
        rows[i].token = i % model_vocab_count(model);
        rows[i].position = i;
    }
    if (session != NULL && logits != NULL &&
        session_step(session, rows, PROMPT_ROWS, NULL, &err) == 0)
        (void)session_step(session, &row, 1, logits, &err);
    session_free(session);
    backend_free(backend);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    AUTO_FREE void *copy = malloc(len > 0 ? len : 1); /* aligned, and not a byte longer */
    struct err err = ERR_INIT;
    struct gguf *gguf = NULL;
    struct model *model = NULL;

    if (copy == NULL)
        return 0;
    memcpy(copy, data, len);
    gguf = gguf_open_memory(copy, len, &err);
    if (gguf != NULL) {
        ask(gguf);
        decode(gguf);
    }
    gguf_free(gguf);
    model = model_open_memory(copy, len, &err);
    if (model != NULL) {
        json_decref(model_describe(model));
        run(model);
    }
    model_free(model);
    return 0;
}
