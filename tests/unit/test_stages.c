/* A model whose layers lie on two devices: it says what it says on one, bit for bit, wherever it is
 * cut; each device takes what was planned; the plan is the best there is; and a device that fails
 * is named. */
#include "hip/model/model.h"

#include "common/attr.h"
#include "hip/backend/gpu_runtime.h"
#include "hip/engine/kv.h"
#include "hip/model/need.h"
#include "hip/model/plan.h"
#include "tests/fault_file.h"
#include "tests/session_rig.h"

enum {
    CONTEXT = 96,
    SEQUENCES = 2,
    PROMPT = 40, /* more than a block of the KV store, and than a window */
    DECODED = 2,
    BLOCK = KV_BLOCK_TOKENS,
};

static const struct session_options OPTIONS = {.context_tokens = CONTEXT,
                                               .sequence_count = SEQUENCES};

/* ---- two devices ---- */

/* Two, with as much memory as the test says. */
struct pair {
    struct rig rig; /* on the first */
    const struct backend_ops *own_ops[2];
    struct backend_ops ops[2];
    struct session_device devices[2];
};

static struct {
    const struct backend *backend;
    uint64_t bytes;
} available[2];

static uint64_t tell_available(struct backend *backend)
{
    return available[backend == available[0].backend ? 0 : 1].bytes;
}

static void pair_open(struct pair *pair, const struct tiny_model *tiny, const char *device)
{
    static const char *const NAMES[] = {"gpu:first", "gpu:second"};
    struct err err = ERR_INIT;

    rig_open(&pair->rig, tiny, device);
    pair->devices[0].backend = pair->rig.backend;
    pair->devices[1].backend = device_is_emulated(device)
                                   ? gpu_backend_new_beside(pair->rig.backend, "1", &err)
                                   : backend_new(device, 1, &err);
    if (pair->devices[1].backend == NULL)
        fail_msg("%s", err.message);
    for (size_t i = 0; i < 2; i++) {
        struct backend *backend = pair->devices[i].backend;

        pair->devices[i].name = NAMES[i];
        pair->devices[i].has_failed = false;
        pair->own_ops[i] = backend->ops;
        pair->ops[i] = *backend->ops;
        pair->ops[i].memory_available = tell_available;
        backend->ops = &pair->ops[i];
        available[i].backend = backend;
        available[i].bytes = UINT64_MAX;
    }
}

static void pair_release(struct pair *pair)
{
    session_free(pair->rig.session);
    pair->rig.session = NULL;
    for (size_t i = 0; i < 2; i++)
        pair->devices[i].backend->ops = pair->own_ops[i];
    backend_free(pair->devices[1].backend);
    rig_release(&pair->rig);
}

static uint32_t pair_layer_count(const struct pair *pair)
{
    return pair->rig.model->params.layer_count;
}

/* What DEVICE takes when the first has so many layers. */
static uint64_t bytes_of(const struct pair *pair, uint32_t device, uint32_t first_count)
{
    struct layer_range range = {.end = first_count};
    struct session_need need;

    if (device == 1)
        range = (struct layer_range){.begin = first_count, .end = pair_layer_count(pair)};
    need_of_stage(pair->rig.model, pair->devices[device].backend, range, &OPTIONS, &need);
    return need_bytes(&need, &OPTIONS);
}

/* Both have room for exactly that. */
static void pair_begin(struct pair *pair, uint32_t first_count)
{
    struct err err = ERR_INIT;

    for (uint32_t i = 0; i < 2; i++)
        available[i].bytes = bytes_of(pair, i, first_count);
    pair->rig.session = session_new_over(pair->rig.model, pair->devices, 2, &OPTIONS, &err);
    if (pair->rig.session == NULL)
        fail_msg("%s", err.message);
    assert_int_equal(session_device_layers(pair->rig.session, 0), first_count);
}

/* ---- what it says ---- */

/* Logits of two answers that grow beside each other, behind prompts of which one goes on meanwhile,
 * to OUT [DECODED][SEQUENCES][vocab_count]. */
static void say(struct rig *rig, float *out)
{
    struct batch_row rows[SESSION_BATCH_MAX_ROWS];
    uint32_t said = 0;

    rig_step(rig, rows, rig_add_prompt(rows, 0, 0, PROMPT), out);
    rig_step(rig, rows, rig_add_prompt(rows, 1, 0, 3), out);
    for (uint32_t step = 0; step < DECODED; step++) {
        uint32_t count = 1;

        rows[0] = rig_row(0, PROMPT + step, true);
        count += rig_add_prompt(rows + 1, 1, 3 + 5 * step, 5);
        rows[count - 1].wants_logits = true;
        rig_step(rig, rows, count, out + (size_t)said * rig->vocab_count);
        said += SEQUENCES;
    }
}

static float *logits_new(const struct rig *rig)
{
    return calloc((size_t)DECODED * SEQUENCES * rig->vocab_count, sizeof(float));
}

static void expect_same_in_two(const struct tiny_model *tiny, const char *device,
                               uint32_t first_count)
{
    struct rig one;
    struct pair pair;
    AUTO_FREE float *expected = NULL;
    AUTO_FREE float *got = NULL;

    rig_open(&one, tiny, device);
    rig_begin(&one, &OPTIONS);
    expected = logits_new(&one);
    say(&one, expected);
    pair_open(&pair, tiny, device);
    pair_begin(&pair, first_count);
    got = logits_new(&one);
    say(&pair.rig, got);
    if (memcmp(got, expected, DECODED * SEQUENCES * one.vocab_count * sizeof(*got)) != 0)
        fail_msg("%s on %s: other logits with %u layers on the first device", tiny->architecture,
                 device, first_count);
    pair_release(&pair);
    rig_release(&one);
}

/* Tied and untied heads, and layers that see a window beside such that see all. */
static void wherever_it_is_cut_it_says_what_it_says_on_one_device(void **state)
{
    static const struct {
        const char *device;
        const char *architecture;
        uint32_t first_count;
        bool is_untied;
    } CASES[] = {
        {EMULATOR_32, "llama", 1, true},   {EMULATOR_64, "llama", 1, false},
        {EMULATOR_32, "gemma2", 1, false}, {EMULATOR_64, "gemma2", 2, false},
        {EMULATOR_32, "gemma2", 3, false}, {EMULATOR_64, "gemma3", 6, false},
        {"cpu", "gemma3", 5, false},       {"ref", "qwen3", 1, true},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct tiny_model tiny = tiny_model_default();

        assert_true(tiny_model_set_architecture(&tiny, CASES[i].architecture));
        tiny.is_untied = CASES[i].is_untied;
        expect_same_in_two(&tiny, CASES[i].device, CASES[i].first_count);
    }
}

/* The first has no head to end its step with, and the second does not begin with a launch. */
static void answers_are_a_graph_on_each_device(void **state)
{
    enum { STEPS = 6 }; /* the first is written down, the second captured */
    struct tiny_model tiny = tiny_model_default();
    struct batch_row row;
    struct pair pair;
    AUTO_FREE float *logits = NULL;

    pair_open(&pair, &tiny, EMULATOR_32);
    pair_begin(&pair, 1);
    logits = logits_new(&pair.rig);
    for (uint32_t step = 0; step < STEPS; step++) {
        row = rig_row(0, step, true);
        rig_step(&pair.rig, &row, 1, logits);
    }
    for (uint32_t i = 0; i < 2; i++)
        assert_in_range(gpu_graph_count(gpu_backend_context(pair.devices[i].backend)), STEPS - 2,
                        STEPS);
    pair_release(&pair);
}

/* ---- memory ---- */

static void each_device_takes_what_was_planned(void **state)
{
    const uint64_t rounding = 64 * 1024; /* of each piece, to 256 bytes */
    struct tiny_model tiny = tiny_model_default();
    struct pair pair;
    AUTO_FREE float *logits = NULL;
    uint64_t sum = 0;

    tiny.layers = 3;
    pair_open(&pair, &tiny, EMULATOR_64);
    pair_begin(&pair, 1);
    logits = logits_new(&pair.rig);
    say(&pair.rig, logits);
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t peak = gpu_allocated_peak_bytes(gpu_backend_context(pair.devices[i].backend));
        uint64_t planned = session_device_bytes(pair.rig.session, i);

        assert_in_range(peak, planned - rounding, planned);
        sum += planned;
    }
    assert_int_equal(session_memory_bytes(pair.rig.session), sum);
    pair_release(&pair);
}

static void note_progress(void *owner, uint64_t done_bytes, uint64_t total_bytes)
{
    uint64_t *progress = owner;

    assert_true(done_bytes > progress[0] && done_bytes <= total_bytes);
    progress[0] = done_bytes;
    progress[1] = total_bytes;
}

/* A tied embedding is loaded twice, and counts as often. */
static void progress_is_that_of_both(void **state)
{
    struct tiny_model tiny = tiny_model_default();
    uint64_t progress[2] = {0};
    struct session_options options = OPTIONS;
    struct err err = ERR_INIT;
    struct pair pair;

    pair_open(&pair, &tiny, "cpu");
    options.on_progress = note_progress;
    options.owner = progress;
    pair.rig.session = session_new_over(pair.rig.model, pair.devices, 2, &options, &err);
    assert_non_null(pair.rig.session);
    assert_int_equal(progress[0], progress[1]);
    assert_true(progress[1] > need_weight_bytes(pair.rig.model, need_all_layers(pair.rig.model)));
    pair_release(&pair);
}

/* ---- the plan ---- */

static void plan_open(struct pair *pair)
{
    struct tiny_model tiny = tiny_model_default();

    tiny.layers = 9;
    tiny.fine_type = QUANT_F16; /* of some layers */
    pair_open(pair, &tiny, "ref");
}

/* The layers of the first; 0: it is refused. */
static uint32_t plan(struct pair *pair, uint32_t context_tokens, struct err *err)
{
    struct session_options options = OPTIONS;
    struct layer_range ranges[2];

    options.context_tokens = context_tokens;
    err_clear(err);
    if (plan_layers(pair->rig.model, pair->devices, 2, &options, ranges, err) != 0)
        return 0;
    assert_int_equal(ranges[0].begin, 0);
    assert_int_equal(ranges[0].end, ranges[1].begin);
    assert_int_equal(ranges[1].end, pair_layer_count(pair));
    return ranges[0].end;
}

/* Of the device that gives the larger share, in billionths. */
static uint64_t larger_share(const struct pair *pair, uint32_t first_count)
{
    uint64_t shares[2];

    for (uint32_t i = 0; i < 2; i++)
        shares[i] = (uint64_t)((unsigned __int128)bytes_of(pair, i, first_count) * 1000000000u /
                               available[i].bytes);
    return shares[0] > shares[1] ? shares[0] : shares[1];
}

static bool has_room(const struct pair *pair, uint32_t first_count)
{
    return bytes_of(pair, 0, first_count) <= available[0].bytes &&
           bytes_of(pair, 1, first_count) <= available[1].bytes;
}

/* Among all ways, whatever there is of memory: it fits where one of them does, and then none asks
 * less of the device that gives more of what it has. */
static void no_other_cut_leaves_both_more_room(void **state)
{
    struct err err = ERR_INIT;
    struct pair pair;
    uint64_t seed = 7;
    uint32_t refused = 0;

    plan_open(&pair);
    for (int round = 0; round < 300; round++) {
        uint64_t whole = bytes_of(&pair, 0, pair_layer_count(&pair) - 1);
        uint32_t chosen = 0;
        bool any = false;

        for (size_t i = 0; i < 2; i++)
            available[i].bytes = whole / 2 + tiny_next(&seed) % whole;
        chosen = plan(&pair, CONTEXT, &err);
        for (uint32_t first = 1; first < pair_layer_count(&pair); first++) {
            any = any || has_room(&pair, first);
            if (chosen != 0)
                assert_true(larger_share(&pair, chosen) <= larger_share(&pair, first) + 1);
        }
        assert_int_equal(chosen != 0, any);
        if (chosen != 0)
            assert_true(has_room(&pair, chosen));
        refused += chosen == 0;
    }
    assert_in_range(refused, 10, 290);
    pair_release(&pair);
}

/* The number that stands in the advice; and it fits, and a tenth more does not. The scratch of what
 * was asked for is larger than that of the advice, so a few blocks more might. */
static void expect_advice(struct pair *pair, uint32_t context_tokens)
{
    struct err err = ERR_INIT;
    struct session_options options = OPTIONS;
    struct layer_range ranges[2];
    uint32_t fits = 0;

    assert_int_equal(plan(pair, context_tokens, &err), 0);
    assert_int_equal(err.kind, ERR_NO_MEMORY);
    assert_non_null(strstr(err.message, "gpu:first: "));
    assert_non_null(strstr(err.message, "gpu:second: "));
    assert_non_null(strstr(err.message, " MiB too few"));
    assert_int_equal(
        sscanf(strstr(err.message, "; a context of "), "; a context of %u would fit", &fits), 1);
    assert_int_equal(fits % BLOCK, 0);
    err_clear(&err);
    options.context_tokens = fits;
    assert_int_equal(plan_layers(pair->rig.model, pair->devices, 2, &options, ranges, &err), 0);
    options.context_tokens = fits + fits / 10;
    assert_int_equal(plan_layers(pair->rig.model, pair->devices, 2, &options, ranges, &err), -1);
}

static void who_asks_for_too_much_hears_where_it_lacks_and_what_would_fit(void **state)
{
    enum { LONG = 1 << 20 };
    struct err err = ERR_INIT;
    struct pair pair;

    plan_open(&pair);
    available[0].bytes = 48 << 20;
    available[1].bytes = 32 << 20;
    expect_advice(&pair, LONG);
    available[1].bytes = 1000; /* not even the head */
    available[0].bytes = UINT64_MAX;
    assert_int_equal(plan(&pair, CONTEXT, &err), 0);
    assert_non_null(strstr(err.message, "no context would fit"));
    assert_false(pair.devices[0].has_failed);
    assert_true(pair.devices[1].has_failed);
    pair_release(&pair);
}

static void a_layer_is_not_cut(void **state)
{
    struct tiny_model tiny = tiny_model_default();
    struct err err = ERR_INIT;
    struct pair pair;

    tiny.layers = 1;
    pair_open(&pair, &tiny, "ref");
    assert_int_equal(plan(&pair, CONTEXT, &err), 0);
    assert_int_equal(err.kind, ERR_CONFIG);
    pair_release(&pair);
}

/* ---- devices ---- */

static void one_gpu_is_not_two(void **state)
{
    static const char *const NAMES[] = {"0", "0000:03:00.0", "03:00.0", "GPU-0123456789abcdef", ""};
    struct err err = ERR_INIT;
    struct backend *first = device_open(EMULATOR_32, 1, &err);

    assert_non_null(first);
    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++) {
        err_clear(&err);
        assert_null(gpu_backend_new_beside(first, NAMES[i], &err));
        assert_int_equal(err.kind, ERR_USAGE);
    }
    err_clear(&err);
    assert_null(gpu_backend_new_beside(first, "2", &err));
    assert_int_equal(err.kind, ERR_CONFIG);
    backend_free(first);
}

/* What was computed before stays as it was. */
static void a_device_that_fails_is_named(void **state)
{
    struct tiny_model tiny = tiny_model_default();
    struct batch_row rows[8];
    struct err err = ERR_INIT;
    struct pair pair;
    AUTO_FREE float *logits = NULL;

    pair_open(&pair, &tiny, EMULATOR_32);
    pair_begin(&pair, 1);
    logits = logits_new(&pair.rig);
    rig_step(&pair.rig, rows, rig_add_prompt(rows, 0, 0, 3), logits);
    fault_file_plant(*state);
    rows[0] = rig_row(0, 3, true);
    assert_int_equal(session_step(pair.rig.session, rows, 1, logits, &err), -1);
    assert_int_equal(err.kind, ERR_DEVICE);
    assert_memory_equal(err.message, "gpu:second: ", strlen("gpu:second: "));
    assert_false(pair.devices[0].has_failed);
    assert_true(pair.devices[1].has_failed);
    assert_int_equal(kv_table_length(session_kv_table(pair.rig.session), 0), 3);
    fault_file_remove(*state);
    pair_release(&pair);
}

/* The second of which is the one that faults. */
static int describe_devices(void **state)
{
    return setenv("RBEE_EMULATOR_FAULT_PCI", "0000:04:00.0", 1) +
           fault_file_begin(state, "First,0000:03:00.0,0123456789abcdef,268435456;"
                                   "Second,0000:04:00.0,0123456789abcdee,268435456");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wherever_it_is_cut_it_says_what_it_says_on_one_device),
        cmocka_unit_test(answers_are_a_graph_on_each_device),
        cmocka_unit_test(each_device_takes_what_was_planned),
        cmocka_unit_test(progress_is_that_of_both),
        cmocka_unit_test(no_other_cut_leaves_both_more_room),
        cmocka_unit_test(who_asks_for_too_much_hears_where_it_lacks_and_what_would_fit),
        cmocka_unit_test(a_layer_is_not_cut),
        cmocka_unit_test(one_gpu_is_not_two),
        cmocka_unit_test(a_device_that_fails_is_named), /* the last: of that library */
    };

    return cmocka_run_group_tests(tests, describe_devices, fault_file_end);
}
