/* Owns loading: in which order, with which defaults, and what is refused. Knows nothing of requests
 * or threads. */
#include "hip/engine/runtime.h"

#include "common/clock.h"
#include "common/device_name.h"
#include "common/log.h"
#include "common/mem.h"
#include "hip/backend/backend.h"
#include "hip/engine/kv.h"
#include "hip/model/model.h"
#include "hip/text/candidates.h"
#include "hip/text/chat_template.h"
#include "hip/text/logprobs.h"
#include "hip/text/sampler.h"
#include "hip/text/vocab.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- devices ---- */

static void runtime_close_devices(struct runtime *runtime)
{
    for (uint32_t i = 0; i < runtime->device_count; i++)
        backend_free(runtime->devices[i].backend);
    free(runtime->device_names);
    runtime->device_names = NULL;
    runtime->device_count = 0;
}

/* One, or two with a comma between them. */
static int runtime_name_devices(struct runtime *runtime, const char *names, struct err *err)
{
    char *second = NULL;

    runtime->device = names;
    runtime->device_names = xstrdup(names);
    runtime->devices[0] = (struct session_device){.name = runtime->device_names};
    runtime->device_count = 1;
    second = strchr(runtime->device_names, ',');
    if (second == NULL)
        return 0;
    *second++ = '\0';
    if (strchr(second, ',') != NULL)
        return err_set(err, ERR_USAGE, "device %.200s: there can be two at most", names);
    if (names[0] == ',' || second[0] == '\0')
        return err_set(err, ERR_USAGE, "device %.200s: one is missing", names);
    if (strcmp(runtime->devices[0].name, second) == 0)
        return err_set(err, ERR_USAGE, "device %.200s: it is the same twice", names);
    runtime->devices[runtime->device_count++] = (struct session_device){.name = second};
    return 0;
}

static int runtime_open_device(struct runtime *runtime, struct session_device *device,
                               uint32_t thread_count, struct err *err)
{
    struct backend *other = device == runtime->devices ? NULL : runtime->devices[0].backend;

    device->backend = backend_new_beside(device->name, thread_count, other, err);
    if (device->backend != NULL)
        return 0;
    device->has_failed = true;
    if (!backend_is_gpu(device->name) && err->kind == ERR_DEVICE)
        err->kind = ERR_CONFIG; /* nothing has broken: what was asked for does not exist */
    return runtime->device_count == 1 ? -1 : err_wrap(err, "%s", device->name);
}

static int runtime_open_devices(struct runtime *runtime, const char *names, uint32_t thread_count,
                                struct err *err)
{
    if (runtime_name_devices(runtime, names, err) < 0)
        return -1;
    for (uint32_t i = 0; i < runtime->device_count; i++) {
        if (runtime_open_device(runtime, &runtime->devices[i], thread_count, err) < 0)
            return -1;
    }
    return 0;
}

/* A GPU that was wanted cannot be used: what to do instead is for who asked to say. */
static int runtime_replace_devices(struct runtime *runtime, const struct engine_options *options,
                                   struct err *err)
{
    struct err reason = *err;

    if (!options->allow_cpu)
        return err_set(err, ERR_CONFIG,
                       "device %s cannot be used: %s; --allow-cpu runs on the CPU "
                       "instead",
                       options->device, reason.message);
    log_event(LOG_WARN, "device_replaced", "wanted=%s used=cpu kv_type=f16 reason=%s",
              options->device, reason.message);
    err_clear(err);
    runtime->kv_type = KV_TYPE_F16; /* that the CPU can */
    runtime_close_devices(runtime);
    return runtime_open_devices(runtime, DEVICE_NAME_CPU, options->thread_count, err);
}

static int runtime_find_devices(struct runtime *runtime, const struct engine_options *options,
                                struct err *err)
{
    const char *failed = NULL;

    if (runtime_open_devices(runtime, options->device, options->thread_count, err) == 0)
        return 0;
    for (uint32_t i = 0; i < runtime->device_count; i++) {
        if (runtime->devices[i].has_failed)
            failed = runtime->devices[i].name;
    }
    return failed != NULL && backend_is_gpu(failed) && err->kind == ERR_CONFIG
               ? runtime_replace_devices(runtime, options, err)
               : -1;
}

const char *runtime_failed_device(const struct runtime *runtime)
{
    for (uint32_t i = 0; i < runtime->device_count && runtime->device_count > 1; i++) {
        if (runtime->devices[i].has_failed)
            return runtime->devices[i].name;
    }
    return NULL;
}

static int runtime_check_kv_type(const struct runtime *runtime, struct err *err)
{
    for (uint32_t i = 0; i < runtime->device_count; i++) {
        const struct session_device *device = &runtime->devices[i];

        if (backend_check_kv_type(device->backend, device->name, runtime->kv_type, err) != 0)
            return -1;
    }
    return 0;
}

/* ---- loading ---- */

uint32_t runtime_default_context(const struct model *model)
{
    uint32_t model_tokens = model_context_tokens(model);

    return model_tokens < ENGINE_CONTEXT_DEFAULT_TOKENS ? model_tokens
                                                        : ENGINE_CONTEXT_DEFAULT_TOKENS;
}

static int runtime_choose_context(struct runtime *runtime, uint32_t wanted_tokens, struct err *err)
{
    uint32_t model_tokens = model_context_tokens(runtime->model);

    if (wanted_tokens > model_tokens)
        return err_set(err, ERR_CONFIG,
                       "a context of %" PRIu32 " is more than the model's %" PRIu32, wanted_tokens,
                       model_tokens);
    runtime->context_tokens =
        wanted_tokens > 0 ? wanted_tokens : runtime_default_context(runtime->model);
    return 0;
}

uint64_t runtime_slot_bytes(const struct model *model)
{
    return (uint64_t)model_vocab_count(model) *
           (sizeof(float) + sampler_token_bytes() + logprobs_token_bytes());
}

int runtime_load(struct runtime *runtime, const struct engine_options *options,
                 void (*on_progress)(void *owner, uint64_t done_bytes, uint64_t total_bytes),
                 void *owner, struct err *err)
{
    struct session_options session = {.on_progress = on_progress, .owner = owner};

    /* What can be refused without reading the file comes first. */
    runtime->kv_type = options->kv_type;
    if (runtime_find_devices(runtime, options, err) < 0)
        return -1;
    if (runtime_check_kv_type(runtime, err) < 0)
        return -1;
    runtime->model = model_open(options->model_path, err);
    if (runtime->model == NULL)
        return -1;
    runtime->vocab_count = model_vocab_count(runtime->model);
    if (runtime_choose_context(runtime, options->context_tokens, err) < 0)
        return -1;
    runtime->vocab = vocab_new(model_gguf(runtime->model), err);
    if (runtime->vocab == NULL)
        return -1;
    runtime->format = chat_format_new(model_gguf(runtime->model), err);
    if (runtime->format == NULL)
        return -1;
    runtime->slot_count = options->slot_count > 0 ? options->slot_count : ENGINE_SLOTS_DEFAULT;
    session.context_tokens = runtime->context_tokens;
    session.sequence_count = runtime->slot_count;
    session.kv_type = runtime->kv_type;
    session.sequence_bytes = runtime_slot_bytes(runtime->model);
    runtime->session =
        session_new_over(runtime->model, runtime->devices, runtime->device_count, &session, err);
    return runtime->session == NULL ? -1 : 0;
}

void runtime_release(struct runtime *runtime)
{
    session_free(runtime->session);
    chat_format_free(runtime->format);
    vocab_free(runtime->vocab);
    model_free(runtime->model);
    runtime_close_devices(runtime);
    *runtime = (struct runtime){0};
}

int runtime_output_init(const struct runtime *runtime, uint32_t row_count, struct step_output *out,
                        struct err *err)
{
    size_t count = (size_t)row_count * runtime->vocab_count;
    float *logits = NULL;

    assert(count > 0); /* load.c refuses a model without tokens */
    logits = calloc(count, sizeof(*logits));
    if (logits == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for %zu logits", count);
    *out = (struct step_output){
        .logits = logits,
        /* Bounded: at most ENGINE_SLOTS_MAX_COUNT rows. */
        .picked = xcalloc((size_t)row_count * CANDIDATES_PICKED_MAX_COUNT, sizeof(*out->picked)),
        .token_count = vocab_count(runtime->vocab),
    };
    return 0;
}

void runtime_output_release(struct step_output *output)
{
    free(output->logits);
    free(output->picked);
    *output = (struct step_output){0};
}

/* As the sampler sees them: -INFINITY is a token that is never taken, if another one can be. */
static int check_logits(const float *logits, uint32_t count, struct err *err)
{
    uint32_t finite_count = 0;

    for (uint32_t i = 0; i < count; i++) {
        if (isnan(logits[i]) || logits[i] == INFINITY)
            return err_set(err, ERR_INVALID_MODEL,
                           "the model computes no numbers: the logit of token %" PRIu32 " is %g", i,
                           (double)logits[i]);
        finite_count += isfinite(logits[i]) ? 1 : 0;
    }
    if (finite_count == 0)
        return err_set(err, ERR_INVALID_MODEL,
                       "the model computes no numbers: no logit of %" PRIu32 " is finite", count);
    return 0;
}

int runtime_warm_up(struct runtime *runtime, float *logits, uint64_t *out_us, struct err *err)
{
    uint32_t bos = vocab_bos(runtime->vocab);
    struct batch_row row = {.token = bos < runtime->vocab_count ? bos : 0, .wants_logits = true};
    uint64_t start_us = clock_monotonic_us();

    if (session_step(runtime->session, &row, 1, logits, err) < 0)
        return -1;
    *out_us = clock_monotonic_us() - start_us;
    kv_table_truncate(session_kv_table(runtime->session), 0, 0);
    return check_logits(logits, runtime->vocab_count, err);
}
