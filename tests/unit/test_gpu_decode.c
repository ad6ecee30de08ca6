/* Steps whose rows all decode, on emulated GPUs: how few launches they take, and that what they
 * make on the way has the bits that other launches give. */
#include "hip/model/model.h"

#include "common/attr.h"
#include "hip/engine/kv.h"
#include "tests/session_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum {
    CONTEXT = 640,
    SEQUENCES = 2,
    SHORT = 40, /* positions of one split of attention, */
    LONG = 260, /* and of several */
    BESIDE = 2,
};

static const char *const EMULATORS[] = {EMULATOR_32, EMULATOR_64};

/* With LONG positions of the first sequence. */
static struct rig rig_of(const struct tiny_model *tiny, const char *device)
{
    const struct session_options options = {.context_tokens = CONTEXT, .sequence_count = SEQUENCES};
    struct batch_row rows[LONG];
    struct rig rig;

    rig_open(&rig, tiny, device);
    rig_begin(&rig, &options);
    rig_step(&rig, rows, rig_add_prompt(rows, 0, 0, LONG), NULL);
    return rig;
}

/* A row that decodes behind the first PAST positions, and PROMPT_ROWS of the other sequence; the
 * row's logits to OUT. How many launches that took. */
static uint64_t decode(struct rig *rig, uint32_t past, uint32_t prompt_rows, float *out)
{
    struct batch_row rows[1 + BESIDE];
    uint64_t before = rig->backend->ops->launch_count(rig->backend);

    kv_table_truncate(session_kv_table(rig->session), 0, past);
    kv_table_truncate(session_kv_table(rig->session), 1, 0);
    rows[0] = rig_row(0, past, true);
    rig_step(rig, rows, 1 + rig_add_prompt(rows + 1, 1, 0, prompt_rows), out);
    return rig->backend->ops->launch_count(rig->backend) - before;
}

/* ---- launches ---- */

/* Behind LONG positions, and behind SHORT ones. */
static void count_launches(const char *device, uint32_t head_dim, uint32_t layers, uint64_t out[2])
{
    struct tiny_model tiny = tiny_model_default();
    AUTO_FREE float *logits = NULL;
    struct rig rig;

    tiny.head_dim = head_dim;
    tiny.layers = layers;
    rig = rig_of(&tiny, device);
    logits = calloc(rig.vocab_count, sizeof(*logits));
    out[0] = decode(&rig, LONG, 0, logits);
    out[1] = decode(&rig, SHORT, 0, logits);
    rig_release(&rig);
}

/* Norm, q k v, rope, attention and its product; norm, gate, down: eight, and one that adds up
 * several splits. Where a head is no whole group, its integers are one more. */
static void a_layer_takes_eight_launches(void **state)
{
    for (size_t d = 0; d < ARRAY_COUNT(EMULATORS); d++) {
        for (uint64_t extra = 0; extra < 2; extra++) {
            uint32_t head_dim = extra == 0 ? 32 : 16;
            uint64_t one[2];
            uint64_t two[2];

            count_launches(EMULATORS[d], head_dim, 1, one);
            count_launches(EMULATORS[d], head_dim, 2, two);
            assert_int_equal(two[0] - one[0], 9 + extra);
            assert_int_equal(two[1] - one[1], 8 + extra);
            assert_int_equal(one[1], 4 + 8 + extra); /* embed, rope; norm and head */
        }
    }
}

/* ---- integers ---- */

static void expect_same_logits(struct rig *rig, uint32_t past)
{
    size_t bytes = rig->vocab_count * sizeof(float);
    AUTO_FREE float *alone = malloc(bytes);
    AUTO_FREE float *beside = malloc(bytes);

    assert_true(alone != NULL && beside != NULL);
    (void)decode(rig, past, 0, alone);
    (void)decode(rig, past, BESIDE, beside);
    assert_memory_equal(alone, beside, bytes);
}

/* Of what attention and the gate store: beside rows of a prompt a launch of its own makes them.
 * Blocks of attention have all heads or not, and waves that end within a head or a row. */
static void integers_are_those_of_a_launch(void **state)
{
    static const struct {
        uint32_t heads;
        uint32_t kv_heads;
        uint32_t head_dim;
        uint32_t feed_forward;
    } CASES[] = {{4, 2, 32, 128}, {9, 1, 32, 160}, {2, 1, 96, 96}};

    for (size_t d = 0; d < ARRAY_COUNT(EMULATORS); d++) {
        for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
            struct tiny_model tiny = tiny_model_default();
            struct rig rig;

            tiny.heads = CASES[i].heads;
            tiny.kv_heads = CASES[i].kv_heads;
            tiny.head_dim = CASES[i].head_dim;
            tiny.feed_forward = CASES[i].feed_forward;
            rig = rig_of(&tiny, EMULATORS[d]);
            expect_same_logits(&rig, LONG);
            expect_same_logits(&rig, SHORT);
            rig_release(&rig);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_layer_takes_eight_launches),
        cmocka_unit_test(integers_are_those_of_a_launch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
