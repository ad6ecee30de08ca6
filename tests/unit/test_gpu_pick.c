/* Steps on an emulated GPU that leave candidates instead of logits: they are those of the logits
 * that the same step gives, tokens drawn from them are the same, and it is what they save that is
 * said. */
#include "hip/model/model.h"

#include "common/attr.h"
#include "common/mem.h"
#include "hip/backend/gpu_backend.h"
#include "hip/engine/kv.h"
#include "hip/text/candidates.h"
#include "hip/text/sampler.h"
#include "tests/session_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum {
    TOKENS = 17001, /* more than GPU_PICKS_FROM_TOKENS, and no whole slices */
    PADDING = 333,
    SEQUENCES = 3,
    ANSWER = 6,
};

static const char *const EMULATORS[] = {EMULATOR_32, EMULATOR_64};

static void begin_on(struct rig *rig, const char *device, uint32_t tokens)
{
    const struct session_options options = {.context_tokens = 128, .sequence_count = SEQUENCES};
    struct tiny_model tiny = tiny_model_default();

    tiny.vocab = tokens;
    tiny.embedding = 32;
    tiny.layers = 1;
    rig_open(rig, &tiny, device);
    rig_begin(rig, &options);
}

/* A row of each sequence at POSITION, which all want logits. */
static void step_at(struct rig *rig, uint32_t position, const uint32_t *tokens,
                    struct step_output *output)
{
    struct batch_row rows[SEQUENCES];
    struct err err = ERR_INIT;

    for (uint32_t i = 0; i < SEQUENCES; i++)
        rows[i] = (struct batch_row){.token = tokens[i],
                                     .position = position,
                                     .sequence = i,
                                     .wants_logits = true,
                                     .is_decode = true};
    if (session_step_into(rig->session, rows, SEQUENCES, output, &err) != 0)
        fail_msg("%s", err.message);
}

static void forget(struct rig *rig)
{
    for (uint32_t i = 0; i < SEQUENCES; i++)
        kv_table_truncate(session_kv_table(rig->session), i, 0);
}

/* ---- a step ---- */

static void expect_candidates(const struct step_output *all, const struct step_output *few,
                              uint32_t vocab_count)
{
    uint64_t rising[CANDIDATES_PICKED_MAX_COUNT];

    for (uint32_t row = 0; row < SEQUENCES; row++) {
        uint32_t count = few->picked_count;

        assert_int_equal(candidates_top(rising, all->logits + (size_t)row * vocab_count,
                                        few->token_count, count),
                         count);
        for (uint32_t i = 0; i < count; i++)
            assert_int_equal(few->picked[(size_t)row * count + i], rising[count - 1 - i]);
    }
}

static void candidates_are_those_of_the_logits(void **state)
{
    static const uint32_t FIRST[SEQUENCES] = {1, 70, 200};
    static const uint32_t COUNTS[] = {1, 7, 40, 64};

    for (size_t i = 0; i < ARRAY_COUNT(EMULATORS) * ARRAY_COUNT(COUNTS); i++) {
        uint64_t picked[SEQUENCES * CANDIDATES_PICKED_MAX_COUNT];
        struct step_output all = {.token_count = TOKENS};
        struct step_output few = {
            .picked = picked, .picked_count = COUNTS[i / 2], .token_count = TOKENS};
        struct rig rig;

        begin_on(&rig, EMULATORS[i % 2], TOKENS + PADDING);
        all.logits = xcalloc((size_t)SEQUENCES * rig.vocab_count, sizeof(float));
        step_at(&rig, 0, FIRST, &all);
        forget(&rig);
        step_at(&rig, 0, FIRST, &few);
        assert_false(all.is_picked);
        assert_true(few.is_picked);
        expect_candidates(&all, &few, rig.vocab_count);
        free(all.logits);
        rig_release(&rig);
    }
}

/* ---- answers ---- */

/* ANSWER tokens of each sequence to OUT, the first of them from all logits, or from candidates. */
static void answer(struct rig *rig, const struct sampler_params *params, bool is_picked,
                   uint32_t out[ANSWER][SEQUENCES])
{
    AUTO_FREE float *logits = xcalloc((size_t)SEQUENCES * rig->vocab_count, sizeof(*logits));
    uint64_t picked[SEQUENCES * CANDIDATES_PICKED_MAX_COUNT];
    struct step_output output = {.logits = logits, .picked = picked, .token_count = TOKENS};
    struct sampler *samplers[SEQUENCES];
    uint32_t tokens[SEQUENCES] = {1, 2, 3};

    for (uint32_t i = 0; i < SEQUENCES; i++)
        samplers[i] = sampler_new(params, TOKENS);
    output.picked_count = is_picked ? sampler_picked_count(samplers[0]) : 0;
    for (uint32_t position = 0; position < ANSWER; position++) {
        step_at(rig, position, tokens, &output);
        assert_int_equal(output.is_picked, is_picked);
        for (uint32_t i = 0; i < SEQUENCES; i++) {
            struct err err = ERR_INIT;

            assert_int_equal(
                is_picked
                    ? sampler_pick_from(samplers[i], picked + i * output.picked_count, &tokens[i],
                                        &err)
                    : sampler_pick(samplers[i], logits + i * rig->vocab_count, &tokens[i], &err),
                0);
        }
        memcpy(out[position], tokens, sizeof(tokens));
    }
    for (uint32_t i = 0; i < SEQUENCES; i++)
        sampler_free(samplers[i]);
    forget(rig);
}

static void answers_are_the_same(void **state)
{
    static const struct sampler_params PARAMS[] = {
        {.temperature = 0, .top_p = 1, .repeat_penalty = 1},
        {.temperature = 0.8f, .top_p = 0.95f, .min_p = 0.05f, .repeat_penalty = 1, .top_k = 40},
        {.temperature = 2, .top_p = 1, .repeat_penalty = 1, .top_k = 64, .seed = 3},
    };

    for (size_t d = 0; d < ARRAY_COUNT(EMULATORS); d++) {
        struct rig rig;

        begin_on(&rig, EMULATORS[d], TOKENS);
        for (size_t i = 0; i < ARRAY_COUNT(PARAMS); i++) {
            uint32_t all[ANSWER][SEQUENCES];
            uint32_t few[ANSWER][SEQUENCES];

            answer(&rig, &PARAMS[i], false, all);
            answer(&rig, &PARAMS[i], true, few);
            assert_memory_equal(all, few, sizeof(all));
        }
        rig_release(&rig);
    }
}

/* ---- what it takes and saves ---- */

/* Bytes that a step with PICKED_COUNT copies from the device. */
static uint64_t bytes_of_step(struct rig *rig, uint32_t picked_count, uint32_t token_count)
{
    static const uint32_t FIRST[SEQUENCES] = {1, 2, 3};
    AUTO_FREE float *logits = xcalloc((size_t)SEQUENCES * rig->vocab_count, sizeof(*logits));
    uint64_t picked[SEQUENCES * CANDIDATES_PICKED_MAX_COUNT];
    struct step_output output = {.logits = logits,
                                 .picked = picked,
                                 .picked_count = picked_count,
                                 .token_count = token_count};
    const struct gpu_context *context = gpu_of(rig->backend)->context;
    uint64_t before = gpu_downloaded_bytes(context);

    step_at(rig, 0, FIRST, &output);
    forget(rig);
    return gpu_downloaded_bytes(context) - before;
}

static void candidates_alone_leave_the_device(void **state)
{
    struct rig rig;
    uint64_t planned = 0;

    begin_on(&rig, EMULATOR_64, TOKENS);
    planned = gpu_allocated_bytes(gpu_of(rig.backend)->context);
    assert_int_equal(bytes_of_step(&rig, 0, TOKENS), SEQUENCES * TOKENS * sizeof(float));
    assert_int_equal(bytes_of_step(&rig, 40, TOKENS), SEQUENCES * 40 * sizeof(uint64_t));
    assert_int_equal(bytes_of_step(&rig, 64, TOKENS), SEQUENCES * 64 * sizeof(uint64_t));
    /* Too few tokens for it to be worth a launch. */
    assert_int_equal(bytes_of_step(&rig, 40, GPU_PICKS_FROM_TOKENS - 1),
                     SEQUENCES * TOKENS * sizeof(float));
    assert_int_equal(gpu_allocated_bytes(gpu_of(rig.backend)->context), planned);
    assert_true(gpu_allocated_peak_bytes(gpu_of(rig.backend)->context) <=
                session_memory_bytes(rig.session));
    rig_release(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(candidates_are_those_of_the_logits),
        cmocka_unit_test(answers_are_the_same),
        cmocka_unit_test(candidates_alone_leave_the_device),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
