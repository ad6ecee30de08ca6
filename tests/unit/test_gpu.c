/* A GPU's backend by itself, on emulated devices: memory is what was planned and all goes back, a
 * request's numbers do not depend on its neighbours, and what a device cannot do is said. What its
 * ops compute is compared with ref where all devices are: test_backend*.c, test_attention.c,
 * test_forward.c, test_architectures.c. */
#include "hip/model/model.h"

#include "common/attr.h"
#include "hip/backend/gpu_runtime.h"
#include "hip/engine/kv.h"
#include "tests/fault_file.h"
#include "tests/session_rig.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum {
    CONTEXT = 1024, /* several splits of attention */
    SEQUENCES = 4,
    PROMPT = 300,
    DECODED = 3,
};

static const char *const EMULATORS[] = {EMULATOR_32, EMULATOR_64};

static struct session_options options_of(uint32_t context_tokens, enum kv_type kv_type)
{
    return (struct session_options){
        .context_tokens = context_tokens, .sequence_count = SEQUENCES, .kv_type = kv_type};
}

static void open_on(struct rig *rig, const char *device)
{
    struct tiny_model tiny = tiny_model_default();

    tiny.context = 1u << 20;
    tiny.is_untied = true;
    rig_open(rig, &tiny, device);
}

static void begin_on(struct rig *rig, const char *device, enum kv_type kv_type)
{
    struct session_options options = options_of(CONTEXT, kv_type);

    open_on(rig, device);
    rig_begin(rig, &options);
}

/* ---- neighbours ---- */

/* Of the prompt of neighbour I: the first has several splits, too. */
static uint32_t neighbour_tokens(uint32_t i)
{
    return i == 1 ? 270 : 3 * i;
}

/* Logits of DECODED tokens behind a prompt of sequence 0 to OUT [DECODED][vocab_count], in steps
 * that also have NEIGHBOURS sequences that decode and, with a prompt, PROMPT_ROWS rows of one. */
static void answer(struct rig *rig, uint32_t neighbours, uint32_t prompt_rows, float *out)
{
    AUTO_FREE float *logits = calloc((size_t)SEQUENCES * rig->vocab_count, sizeof(*logits));
    struct batch_row rows[SESSION_BATCH_MAX_ROWS];

    for (uint32_t sequence = 0; sequence < SEQUENCES; sequence++)
        kv_table_truncate(session_kv_table(rig->session), sequence, 0);
    rig_step(rig, rows, rig_add_prompt(rows, 0, 0, PROMPT), logits);
    for (uint32_t i = 1; i <= neighbours; i++)
        rig_step(rig, rows, rig_add_prompt(rows, i, 0, neighbour_tokens(i)), logits);
    for (uint32_t step = 0; step < DECODED; step++) {
        uint32_t count = 0;

        rows[count++] = rig_row(0, PROMPT + step, true);
        for (uint32_t i = 1; i <= neighbours; i++)
            rows[count++] = rig_row(i, neighbour_tokens(i) + step, true);
        count += rig_add_prompt(rows + count, SEQUENCES - 1, step * prompt_rows, prompt_rows);
        rig_step(rig, rows, count, logits);
        memcpy(out + (size_t)step * rig->vocab_count, logits, rig->vocab_count * sizeof(*out));
    }
}

static void expect_same_answer(const char *device, enum kv_type kv_type)
{
    static const struct {
        uint32_t neighbours;
        uint32_t prompt_rows;
    } CASES[] = {{1, 0}, {2, 0}, {2, 33}, {0, 5}};
    struct rig rig;
    size_t count = 0;
    AUTO_FREE float *alone = NULL;
    AUTO_FREE float *beside = NULL;

    begin_on(&rig, device, kv_type);
    count = (size_t)DECODED * rig.vocab_count;
    alone = calloc(count, sizeof(*alone));
    beside = calloc(count, sizeof(*beside));
    answer(&rig, 0, 0, alone);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        answer(&rig, CASES[i].neighbours, CASES[i].prompt_rows, beside);
        if (memcmp(alone, beside, count * sizeof(*alone)) != 0)
            fail_msg("%s: other logits in case %zu", device, i);
    }
    rig_release(&rig);
}

static void an_answer_is_the_same_whatever_is_beside_it(void **state)
{
    for (size_t d = 0; d < ARRAY_COUNT(EMULATORS); d++) {
        for (int type = 0; type < KV_TYPE_COUNT; type++)
            expect_same_answer(EMULATORS[d], (enum kv_type)type);
    }
}

/* ---- keys and values as q8_0 ---- */

/* Of answer() on a model of ARCHITECTURE, with a neighbour and rows of a prompt; the caller
 * frees. */
static float *answer_of(const char *device, const char *architecture, enum kv_type kv_type,
                        size_t *out_count)
{
    struct session_options options = options_of(CONTEXT, kv_type);
    struct tiny_model tiny = tiny_model_default();
    float *logits = NULL;
    struct rig rig;

    assert_true(tiny_model_set_architecture(&tiny, architecture));
    tiny.context = CONTEXT;
    rig_open(&rig, &tiny, device);
    rig_begin(&rig, &options);
    *out_count = (size_t)DECODED * rig.vocab_count;
    logits = calloc(*out_count, sizeof(*logits));
    assert_non_null(logits);
    answer(&rig, 1, 3, logits);
    rig_release(&rig);
    return logits;
}

/* Normalised mean square error. */
static double distance(const float *logits, const float *exact, size_t count)
{
    double wrong = 0.0;
    double size = 0.0;

    for (size_t i = 0; i < count; i++) {
        double difference = (double)logits[i] - (double)exact[i];

        wrong += difference * difference;
        size += (double)exact[i] * (double)exact[i];
    }
    return wrong / size;
}

/* Of what is drawn from LOGITS when it should be from EXACT, in nats: the mean over DECODED rows.
 */
static double divergence(const float *logits, const float *exact, size_t count)
{
    size_t width = count / DECODED;
    double sum = 0.0;

    for (size_t at = 0; at < count; at += width) {
        double total = 0.0;
        double exact_total = 0.0;

        for (size_t i = at; i < at + width; i++) {
            total += exp((double)logits[i]);
            exact_total += exp((double)exact[i]);
        }
        for (size_t i = at; i < at + width; i++) {
            double share = exp((double)exact[i]) / exact_total;

            sum += share * log(share * total / exp((double)logits[i]));
        }
    }
    return sum / DECODED;
}

/* What the layers before have made a little different becomes another number where it lay halfway
 * between two: a device comes closer to ref than q8_0 to what it rounds, but not as close as with
 * halves. */
static void logits_with_q8_0_are_those_of_ref(void **state)
{
    static const char *const ARCHITECTURES[] = {"llama", "qwen3"};

    for (size_t a = 0; a < ARRAY_COUNT(ARCHITECTURES); a++) {
        size_t count = 0;
        AUTO_FREE float *exact = answer_of("ref", ARCHITECTURES[a], KV_TYPE_Q8_0, &count);
        AUTO_FREE float *whole = answer_of("ref", ARCHITECTURES[a], KV_TYPE_F16, &count);
        double lost = distance(exact, whole, count);

        if (!(lost > 0.0 && lost < 1e-3 && divergence(exact, whole, count) < 1e-3))
            fail_msg("%s: %g, %g nats", ARCHITECTURES[a], lost, divergence(exact, whole, count));
        for (size_t d = 0; d < ARRAY_COUNT(EMULATORS); d++) {
            AUTO_FREE float *got = answer_of(EMULATORS[d], ARCHITECTURES[a], KV_TYPE_Q8_0, &count);

            if (!(distance(got, exact, count) < lost / 2))
                fail_msg("%s: %g where %g is lost", EMULATORS[d], distance(got, exact, count),
                         lost);
        }
    }
}

/* ---- memory ---- */

/* Whatever a session does, it takes what it said it would: not more, and hardly less. */
static void expect_planned_memory(const char *device, enum kv_type kv_type)
{
    const uint64_t rounding = 64 * 1024; /* of each piece, to 256 bytes */
    struct rig rig;
    struct gpu_context *context = NULL;
    AUTO_FREE float *logits = NULL;
    uint64_t planned = 0;
    uint64_t before = 0;

    begin_on(&rig, device, kv_type);
    context = gpu_backend_context(rig.backend);
    planned = session_memory_bytes(rig.session);
    before = gpu_allocated_bytes(context);
    logits = calloc((size_t)DECODED * rig.vocab_count, sizeof(*logits));
    answer(&rig, 2, 33, logits);
    assert_int_equal(gpu_allocated_bytes(context), before);
    assert_true(gpu_allocated_peak_bytes(context) <= planned);
    assert_true(gpu_allocated_peak_bytes(context) + rounding >= planned);
    rig_release(&rig);
}

static void memory_is_what_was_planned_and_goes_back(void **state)
{
    for (size_t d = 0; d < ARRAY_COUNT(EMULATORS); d++) {
        struct rig rig;

        for (int type = 0; type < KV_TYPE_COUNT; type++)
            expect_planned_memory(EMULATORS[d], (enum kv_type)type);
        open_on(&rig, EMULATORS[d]);
        assert_int_equal(gpu_allocated_bytes(gpu_backend_context(rig.backend)), 0);
        rig_release(&rig);
    }
}

/* To the byte: 34 for 32 numbers of 8 bits and their scale, of heads that are padded to whole
 * groups; 2 each for halves. */
static void a_store_of_q8_0_takes_a_little_more_than_half(void **state)
{
    static const struct {
        uint32_t head_dim;
        uint32_t halves;
        uint32_t numbers;
    } CASES[] = {{128, 256, 136}, {64, 128, 68}, {80, 160, 102}, {20, 48, 34}};
    struct rig rig;

    open_on(&rig, EMULATOR_32);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct backend_kv_shape shape = {
            .layer_count = 3, .block_count = 5, .kv_head_count = 2, .head_dim = CASES[i].head_dim};
        uint64_t heads = 2 * UINT64_C(3) * 5 * 2 * BACKEND_KV_BLOCK_TOKENS;

        assert_int_equal(rig.backend->ops->kv_bytes(rig.backend, &shape), heads * CASES[i].halves);
        shape.kv_type = KV_TYPE_Q8_0;
        assert_int_equal(rig.backend->ops->kv_bytes(rig.backend, &shape), heads * CASES[i].numbers);
    }
    rig_release(&rig);
}

/* Before anything is taken, with what would fit; and that does. */
static void too_long_a_context_is_refused_with_what_would_fit(void **state)
{
    struct session_options options = options_of(1u << 20, KV_TYPE_F16);
    struct err err = ERR_INIT;
    const char *advice = NULL;
    uint32_t fitting = 0;
    struct rig rig;

    open_on(&rig, EMULATOR_32);
    assert_null(session_new(rig.model, rig.backend, &options, &err));
    assert_int_equal(err.kind, ERR_NO_MEMORY);
    assert_int_equal(gpu_allocated_peak_bytes(gpu_backend_context(rig.backend)), 0);
    advice = strstr(err.message, "a context of ");
    assert_non_null(advice);
    advice = strstr(advice + 1, "a context of ");
    assert_non_null(advice);
    assert_int_equal(sscanf(advice, "a context of %u would fit", &fitting), 1);
    options.context_tokens = fitting;
    err_clear(&err);
    rig.session = session_new(rig.model, rig.backend, &options, &err);
    if (rig.session == NULL)
        fail_msg("%s", err.message);
    rig_release(&rig);
}

/* ---- faults ---- */

/* A step without logits has nothing to fail with: the next one says it. */
static void a_device_that_fails_stays_failed(void **state)
{
    AUTO_FREE float *logits = NULL;
    struct batch_row rows[8];
    struct err err = ERR_INIT;
    struct rig rig;

    begin_on(&rig, EMULATOR_64, KV_TYPE_F16);
    logits = calloc(rig.vocab_count, sizeof(*logits));
    rig_step(&rig, rows, rig_add_prompt(rows, 0, 0, 3), logits);
    fault_file_plant(*state);
    (void)rig_add_prompt(rows, 0, 3, 2);
    (void)session_step(rig.session, rows, 2, logits, &err);
    for (int i = 0; i < 2; i++) {
        uint32_t position = kv_table_length(session_kv_table(rig.session), 0);

        err_clear(&err);
        rows[0] = rig_row(0, position, true);
        assert_int_equal(session_step(rig.session, rows, 1, logits, &err), -1);
        assert_int_equal(err.kind, ERR_DEVICE);
    }
    fault_file_remove(*state);
    rig_release(&rig);
}

static int describe_devices(void **state)
{
    return fault_file_begin(state, "Small,0000:03:00.0,0123456789abcdef,67108864");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_the_same_whatever_is_beside_it),
        cmocka_unit_test(logits_with_q8_0_are_those_of_ref),
        cmocka_unit_test(memory_is_what_was_planned_and_goes_back),
        cmocka_unit_test(a_store_of_q8_0_takes_a_little_more_than_half),
        cmocka_unit_test(too_long_a_context_is_refused_with_what_would_fit),
        cmocka_unit_test(a_device_that_fails_stays_failed), /* the last: of that library */
    };

    return cmocka_run_group_tests(tests, describe_devices, fault_file_end);
}
