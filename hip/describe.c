/* Owns --describe: what a file must have to be worth adding, and the line that says so. */
#include "hip/describe.h"

#include "common/buf.h"
#include "common/io.h"
#include "common/json.h"
#include "hip/backend/backend.h"
#include "hip/engine/runtime.h"
#include "hip/model/model.h"
#include "hip/model/need.h"
#include "hip/text/vocab.h"

#include <string.h>

static void add_bytes(json_t *record, const char *key, uint64_t bytes)
{
    (void)json_object_set_new(record, key, json_integer((json_int_t)bytes));
}

/* What it takes on the CPU unless told otherwise, so that the supervisor knows before it starts a
 * worker; of two devices, what the first and the last take beside layers, and all layers. */
static int describe_need(const struct model *model, json_t *record, struct err *err)
{
    struct session_options options = {
        .context_tokens = runtime_default_context(model),
        .sequence_count = ENGINE_SLOTS_DEFAULT,
        .sequence_bytes = runtime_slot_bytes(model),
    };
    struct backend *backend = backend_new("cpu", 0, err);
    struct session_need need;
    struct session_split_need split;

    if (backend == NULL)
        return -1;
    session_need(model, backend, &options, &need);
    session_split_need(model, backend, &options, &split);
    backend_free(backend);
    add_bytes(record, "fixed_bytes", need.fixed_bytes);
    add_bytes(record, "slot_bytes", need.sequence_bytes);
    add_bytes(record, "token_bytes", need.token_bytes);
    add_bytes(record, "q8_0_token_bytes", need_q8_0_token_bytes(model));
    add_bytes(record, "first_bytes", split.first_bytes);
    add_bytes(record, "last_bytes", split.last_bytes);
    add_bytes(record, "layers_bytes", split.layers_bytes);
    return 0;
}

static int describe_model(const struct model *model, struct err *err)
{
    AUTO_JSON json_t *record = NULL;
    AUTO_FREE char *text = NULL;
    struct vocab *vocab = vocab_new(model_gguf(model), err);

    /* A file whose tokenizer we cannot run would be refused at every start: say it now. */
    if (vocab == NULL)
        return -1;
    vocab_free(vocab);
    record = model_describe(model);
    if (describe_need(model, record, err) != 0)
        return -1;
    text = json_to_text(record);
    if (io_write_all(STDOUT_FILENO, text, strlen(text), err) < 0)
        return -1;
    return io_write_all(STDOUT_FILENO, "\n", 1, err);
}

int describe_run(const char *path, struct err *err)
{
    struct model *model = model_open(path, err);
    int result = 0;

    if (model == NULL)
        return -1;
    result = describe_model(model, err);
    model_free(model);
    return result;
}
