/* Each architecture that runs against its formulas written out once more (tests/plain_forward.h),
 * with everything a file of it may say; each planted fault of the formulas has to be seen; and what
 * a file asks for beyond that is refused by name. */
#include "hip/model/model.h"

#include "common/attr.h"
#include "hip/backend/backend.h"
#include "tests/devices.h"
#include "tests/plain_forward.h"
#include "tests/refused_model.h"

enum { FILE_MAX_BYTES = 64 * 1024 * 1024, POSITIONS = 60, CONTEXT = 128 };

/* Of logits, normalised mean square: what floats are from doubles, and halves in the KV store; and
 * products as integers, of weights without order, whose errors these models do not average out. */
static const double REF_BOUND = 1e-9;
static const double CPU_BOUND_A_LAYER = 2e-5;
/* A fault has to be far beyond that. */
static const double FAULT_MIN = 1e-3;

struct rig {
    struct buf file;
    struct model *model;
    uint32_t tokens[POSITIONS];
    uint32_t vocab_count;
};

static void rig_init(struct rig *rig, const struct tiny_model *tiny)
{
    struct err err = ERR_INIT;

    buf_init(&rig->file, FILE_MAX_BYTES);
    tiny_model_build(tiny, &rig->file);
    rig->model = model_open_memory(rig->file.data, rig->file.len, &err);
    if (rig->model == NULL)
        fail_msg("%s", err.message);
    rig->vocab_count = model_vocab_count(rig->model);
    for (uint32_t i = 0; i < POSITIONS; i++)
        rig->tokens[i] = (i * 31 + 5) % 256;
}

static void rig_release(struct rig *rig)
{
    model_free(rig->model);
    buf_release(&rig->file);
}

/* The last position's logits on DEVICE, computed in steps of ROWS. The caller frees. */
static float *logits_on(const struct rig *rig, const char *device, uint32_t rows)
{
    struct session_options options = {.context_tokens = CONTEXT, .sequence_count = 1};
    struct err err = ERR_INIT;
    struct backend *backend = device_open(device, 2, &err);
    struct session *session = session_new(rig->model, backend, &options, &err);
    float *logits = calloc(rig->vocab_count, sizeof(*logits));

    assert_non_null(session);
    assert_non_null(logits);
    for (uint32_t at = 0; at < POSITIONS; at += rows) {
        struct batch_row batch[POSITIONS];
        uint32_t count = POSITIONS - at < rows ? POSITIONS - at : rows;

        for (uint32_t i = 0; i < count; i++)
            batch[i] = (struct batch_row){
                .token = rig->tokens[at + i], .position = at + i, .wants_logits = i == count - 1};
        assert_int_equal(session_step(session, batch, count, logits, &err), 0);
    }
    session_free(session);
    backend_free(backend);
    return logits;
}

static double *logits_by_formula(const struct rig *rig, const struct tiny_model *tiny,
                                 enum plain_fault fault)
{
    struct plain_forward plain = {
        .gguf = model_gguf(rig->model), .tiny = tiny, .fault = fault, .positions = POSITIONS};
    double *logits = calloc(rig->vocab_count, sizeof(*logits));

    assert_non_null(logits);
    plain_forward_run(&plain, rig->tokens, logits);
    return logits;
}

static double distance(const float *logits, const double *exact, uint32_t count)
{
    double wrong = 0.0;
    double size = 0.0;

    for (uint32_t i = 0; i < count; i++) {
        wrong += ((double)logits[i] - exact[i]) * ((double)logits[i] - exact[i]);
        size += exact[i] * exact[i];
    }
    return wrong / size;
}

static const char *const DEVICES[] = {"ref", "cpu", "cpu-plain", EMULATOR_32, EMULATOR_64};

/* On the first DEVICE_COUNT of DEVICES. */
static void expect_agreement_on(size_t device_count, const struct tiny_model *tiny,
                                const char *what)
{
    AUTO_FREE double *exact = NULL;
    struct rig rig;

    rig_init(&rig, tiny);
    exact = logits_by_formula(&rig, tiny, PLAIN_RIGHT);
    for (size_t i = 0; i < device_count; i++) {
        AUTO_FREE float *logits = logits_on(&rig, DEVICES[i], POSITIONS);
        double found = distance(logits, exact, rig.vocab_count);
        double bound = i == 0 ? REF_BOUND : CPU_BOUND_A_LAYER * tiny->layers;

        if (!(found <= bound))
            fail_msg("%s %s on %s: %g", tiny->architecture, what, DEVICES[i], found);
    }
    rig_release(&rig);
}

static void expect_agreement(const struct tiny_model *tiny, const char *what)
{
    expect_agreement_on(ARRAY_COUNT(DEVICES), tiny, what);
}

static struct tiny_model tiny_of(const char *architecture)
{
    struct tiny_model tiny = tiny_model_default();

    assert_true(tiny_model_set_architecture(&tiny, architecture));
    return tiny;
}

static void each_architecture_is_its_formulas(void **state)
{
    static const char *const NAMES[] = {"llama", "qwen2", "qwen3", "gemma2", "gemma3"};

    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++) {
        struct tiny_model tiny = tiny_of(NAMES[i]);

        expect_agreement(&tiny, "as it is");
        tiny.is_untied = true;
        tiny.kv_heads = 1;
        tiny.head_dim = tiny.rope_dims = 24; /* heads * head_dim is not the embedding */
        tiny.type = QUANT_F32;
        expect_agreement(&tiny, "untied, with heads of 24");
        tiny.rope_dims = 12;
        expect_agreement(&tiny, "turned in part");
    }
}

static void biases_of_a_llama_are_added(void **state)
{
    struct tiny_model tiny = tiny_of("llama");

    tiny.has_qkv_bias = true;
    expect_agreement(&tiny, "with biases");
}

/* Base and original context are chosen for a ramp over all eight pairs. */
static struct tiny_model yarn_model(void)
{
    struct tiny_model tiny = tiny_of("qwen3");

    tiny.rope_type = "yarn";
    tiny.rope_base = 100.0f;
    tiny.rope_factor = 4.0f;
    tiny.original_context = 300;
    return tiny;
}

static void every_scaling_of_rope_is_its_formula(void **state)
{
    struct tiny_model tiny = tiny_of("llama");

    tiny.has_rope_freqs = true;
    expect_agreement(&tiny, "with factors of each pair");
    tiny.rope_type = "linear";
    tiny.rope_factor = 3.0f;
    tiny.rope_attn_factor = 1.3f;
    expect_agreement(&tiny, "scaled by all of them");
    tiny = yarn_model();
    expect_agreement(&tiny, "with YaRN");
    tiny.rope_attn_factor = 0.8f;
    expect_agreement(&tiny, "with YaRN and a factor");
    tiny = tiny_of("gemma3");
    tiny.rope_factor = 8.0f;
    expect_agreement(&tiny, "with a factor for layers that see all");
    tiny.window_rope_base = 500.0f;
    expect_agreement(&tiny, "with a base of windows");
    tiny = tiny_of("gemma2");
    tiny.rope_factor = 2.0f;
    tiny.window_rope_base = 500.0f;
    expect_agreement(&tiny, "with a base of windows");
}

static void windows_are_where_the_file_says(void **state)
{
    struct tiny_model tiny = tiny_of("gemma3");

    tiny.window_period = 3;
    expect_agreement(&tiny, "with each third layer");
    tiny.window_period = 6;
    tiny.lists_windows = true;
    expect_agreement(&tiny, "with a list of layers");
    tiny.window_period = 1;
    tiny.lists_windows = false;
    expect_agreement(&tiny, "with a window in no layer");
    tiny.window_period = 0;
    tiny.window = 0;
    expect_agreement(&tiny, "without windows");
    tiny.window = 1;
    expect_agreement(&tiny, "with windows of one token");
}

static void softcaps_are_where_the_file_says(void **state)
{
    struct tiny_model tiny = tiny_of("gemma2");

    tiny.attention_softcap = 0.9f;
    tiny.logit_softcap = 2.0f;
    expect_agreement(&tiny, "with small caps");
    tiny = tiny_of("gemma3");
    tiny.logit_softcap = 3.0f;
    expect_agreement(&tiny, "with a cap of logits");
}

/* The largest of a family scales attention by another width, which no key of its file says. */
static struct tiny_model wide_model(const char *architecture, uint32_t layers)
{
    struct tiny_model tiny = tiny_of(architecture);

    tiny.layers = layers;
    tiny.head_dim = tiny.rope_dims = 32;
    return tiny;
}

/* On ref: half-precision keys and values grow apart over so many random layers. */
static void the_widest_gemmas_scale_attention_otherwise(void **state)
{
    struct tiny_model gemma2 = wide_model("gemma2", 46);
    struct tiny_model gemma3 = wide_model("gemma3", 62);

    expect_agreement_on(1, &gemma2, "of 46 layers");
    expect_agreement_on(1, &gemma3, "of 62 layers");
}

static void a_planted_fault_of_the_formulas_is_seen(void **state)
{
    struct tiny_model llama = tiny_of("llama");
    struct tiny_model qwen2 = tiny_of("qwen2");
    struct tiny_model yarn = yarn_model();
    struct tiny_model gemma2 = tiny_of("gemma2");
    struct tiny_model gemma3 = tiny_of("gemma3");
    struct tiny_model wide = wide_model("gemma3", 62);
    const struct {
        const struct tiny_model *tiny;
        enum plain_fault fault;
    } faults[] = {
        {&llama, PLAIN_ROPE_KIND},      {&qwen2, PLAIN_ROPE_KIND},      {&gemma3, PLAIN_NO_WINDOW},
        {&gemma3, PLAIN_WINDOW_BY_ONE}, {&gemma2, PLAIN_WINDOW_LAYERS}, {&gemma3, PLAIN_ONE_BASE},
        {&yarn, PLAIN_NO_MAGNITUDE},    {&yarn, PLAIN_NO_RAMP},         {&gemma2, PLAIN_NO_SOFTCAP},
        {&gemma3, PLAIN_SILU},          {&wide, PLAIN_HEAD_SCALE},
    };

    gemma2.attention_softcap = 2.0f;
    for (size_t i = 0; i < ARRAY_COUNT(faults); i++) {
        AUTO_FREE double *wrong = NULL;
        AUTO_FREE float *logits = NULL;
        struct rig rig;

        rig_init(&rig, faults[i].tiny);
        wrong = logits_by_formula(&rig, faults[i].tiny, faults[i].fault);
        logits = logits_on(&rig, "ref", POSITIONS);
        if (!(distance(logits, wrong, rig.vocab_count) > FAULT_MIN))
            fail_msg("fault %d: %g", faults[i].fault, distance(logits, wrong, rig.vocab_count));
        rig_release(&rig);
    }
}

/* Bit for bit, as for a llama: windows and norms of heads change nothing about that. */
static void every_split_of_a_prompt_gives_the_same_logits(void **state)
{
    static const char *const NAMES[] = {"qwen2", "qwen3", "gemma2", "gemma3"};
    static const uint32_t SPLITS[] = {1, 2, 3, 7, 8, 9, 31, 33};

    for (size_t i = 0; i < ARRAY_COUNT(NAMES) * 2; i++) {
        const char *device = i % 2 == 0 ? "cpu" : "cpu-plain";
        struct tiny_model tiny = tiny_of(NAMES[i / 2]);
        AUTO_FREE float *whole = NULL;
        struct rig rig;

        rig_init(&rig, &tiny);
        whole = logits_on(&rig, device, POSITIONS);
        for (size_t s = 0; s < ARRAY_COUNT(SPLITS); s++) {
            AUTO_FREE float *split = logits_on(&rig, device, SPLITS[s]);

            if (memcmp(split, whole, rig.vocab_count * sizeof(*whole)) != 0)
                fail_msg("%s of %s: steps of %u give other logits", device, tiny.architecture,
                         SPLITS[s]);
        }
        rig_release(&rig);
    }
}

/* ---- what is refused ---- */

static void what_an_architecture_has_is_required_of_its_files(void **state)
{
    struct tiny_model tiny = tiny_of("qwen2");

    tiny.has_qkv_bias = false;
    expect_refused(&tiny, "the tensor blk.0.attn_q.bias is missing");
    tiny = tiny_of("qwen3");
    tiny.has_qk_norm = false;
    expect_refused(&tiny, "the tensor blk.0.attn_q_norm.weight is missing");
    tiny = tiny_of("gemma3");
    tiny.has_post_norm = false;
    expect_refused(&tiny, "the tensor blk.0.post_attention_norm.weight is missing");
}

static void what_it_does_not_have_is_refused_by_name(void **state)
{
    struct tiny_model tiny = tiny_of("llama");

    tiny.window = 16;
    expect_refused(&tiny, "a sliding attention window (llama.attention.sliding_window) is not");
    tiny = tiny_of("llama");
    tiny.has_qk_norm = true;
    expect_refused(&tiny, "the tensor blk.0.attn_q_norm.weight means nothing to this version's");
    tiny = tiny_of("qwen3");
    tiny.has_qkv_bias = true;
    expect_refused(&tiny, "the tensor blk.0.attn_q.bias means nothing to this version's qwen3");
    tiny = tiny_of("qwen2");
    tiny.has_rope_freqs = true;
    expect_refused(&tiny, "the tensor rope_freqs.weight means nothing to this version's qwen2");
    tiny = tiny_of("qwen2");
    tiny.logit_softcap = 30.0f;
    expect_refused(&tiny, "(qwen2.final_logit_softcapping) is not supported");
    tiny = tiny_of("gemma3");
    tiny.attention_softcap = 50.0f;
    expect_refused(&tiny, "(gemma3.attn_logit_softcapping) is not supported");
    tiny = tiny_of("gemma3");
    tiny.window_period = 3;
    tiny.lists_windows = true;
    expect_refused(&tiny, "windows in other layers than gemma3 has are not supported");
    tiny = tiny_of("gemma2");
    tiny.logit_softcap = -1.0f;
    expect_refused(&tiny, "gemma2.final_logit_softcapping is -1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_architecture_is_its_formulas),
        cmocka_unit_test(biases_of_a_llama_are_added),
        cmocka_unit_test(every_scaling_of_rope_is_its_formula),
        cmocka_unit_test(windows_are_where_the_file_says),
        cmocka_unit_test(softcaps_are_where_the_file_says),
        cmocka_unit_test(the_widest_gemmas_scale_attention_otherwise),
        cmocka_unit_test(a_planted_fault_of_the_formulas_is_seen),
        cmocka_unit_test(every_split_of_a_prompt_gives_the_same_logits),
        cmocka_unit_test(what_an_architecture_has_is_required_of_its_files),
        cmocka_unit_test(what_it_does_not_have_is_refused_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
