/* Model files: whatever the bytes, they are read or refused, and what is accepted can be asked and
 * run. */
#include "hip/backend/backend.h"
#include "hip/model/model.h"

#include "common/attr.h"

#include <jansson.h>
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

/* One token through the whole of a model that was accepted. */
static void run(const struct model *model)
{
    struct session_options options = {.context_tokens = 1, .sequence_count = 1};
    struct batch_row row = {.wants_logits = true};
    struct err err = ERR_INIT;
    struct backend *backend = backend_new("cpu", 1, &err);
    struct session *session = session_new(model, backend, &options, &err);
    AUTO_FREE float *logits = calloc(model_vocab_count(model), sizeof(*logits));

    if (session != NULL && logits != NULL)
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
    if (gguf != NULL)
        ask(gguf);
    gguf_free(gguf);
    model = model_open_memory(copy, len, &err);
    if (model != NULL) {
        json_decref(model_describe(model));
        run(model);
    }
    model_free(model);
    return 0;
}
