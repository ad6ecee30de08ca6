/* Launches as graphs, on emulated GPUs: what is computed has the same bits with and without them,
 * also when the driver fails in the middle, and a graph is launched as often as can be. */
#include "hip/model/model.h"

#include "common/attr.h"
#include "hip/backend/gpu_runtime.h"
#include "hip/engine/kv.h"
#include "hip/kernels/args.h"
#include "tests/emulator/emulate.h"
#include "tests/session_rig.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum {
    CONTEXT = 640,
    SEQUENCES = 10,
    FIRST_PROMPT = 254, /* two tokens on, a row has one more split */
    KEPT = 8,           /* GRAPHS_KEPT of gpu_graph.c */
};

static const char *const EMULATORS[] = {EMULATOR_32, EMULATOR_64};

/* ---- a model on a device that fails to order ---- */

/* As RBEE_EMULATOR_FAIL has them, of calls from now on. */
static void order(const char *device, const char *orders)
{
    struct emulator emulator =
        emulator_open("gpu-emulator", strcmp(device, EMULATOR_32) == 0 ? 32 : 64);

    emulator.set_failures(orders);
}

static struct rig rig_of(const char *device, const char *orders)
{
    const struct session_options options = {.context_tokens = CONTEXT, .sequence_count = SEQUENCES};
    struct tiny_model tiny = tiny_model_default();
    struct rig rig;

    rig_open(&rig, &tiny, device);
    rig_begin(&rig, &options);
    order(device, orders);
    return rig;
}

static uint64_t graphs_of(const struct rig *rig)
{
    return gpu_graph_count(gpu_backend_context(rig->backend));
}

/* Each of the first COUNT sequences one token on; its logits to OUT. */
static int decode(struct rig *rig, uint32_t count, float *out, struct err *err)
{
    struct batch_row rows[SEQUENCES];

    for (uint32_t i = 0; i < count; i++)
        rows[i] = rig_row(i, kv_table_length(session_kv_table(rig->session), i), true);
    return session_step(rig->session, rows, count, out, err);
}

/* ---- what is computed ---- */

/* Sequences that decode together, one step behind the other; 0: a prompt comes in between. With
 * FIRST_PROMPT tokens of the first, its third token has another shape. */
static const uint32_t STEPS[] = {1, 1, 1, 1, 0, 1, 2, 2, 2, 1, 3};

enum {
    GRAPHS = 6, /* all but the first of each shape, and the prompt */
    STEP_COUNT = ARRAY_COUNT(STEPS),
};

/* Logits of all steps, [step][sequence][vocab_count]. The caller frees them. */
static float *decode_all(struct rig *rig)
{
    size_t step_size = (size_t)SEQUENCES * rig->vocab_count;
    float *out = calloc(STEP_COUNT * step_size, sizeof(*out));
    struct batch_row rows[FIRST_PROMPT];
    struct err err = ERR_INIT;

    assert_non_null(out);
    rig_step(rig, rows, rig_add_prompt(rows, 0, 0, FIRST_PROMPT), NULL);
    for (size_t i = 0; i < STEP_COUNT; i++) {
        if (STEPS[i] == 0)
            rig_step(rig, rows, rig_add_prompt(rows, SEQUENCES - 1, 0, 3), NULL);
        else if (decode(rig, STEPS[i], out + i * step_size, &err) != 0)
            fail_msg("%s", err.message);
    }
    return out;
}

/* WANTED by a driver that has ORDERS, and launches COUNT graphs. */
static void expect(const char *device, const char *orders, const float *wanted, uint64_t count)
{
    struct rig rig = rig_of(device, orders);
    AUTO_FREE float *found = decode_all(&rig);

    if (memcmp(found, wanted, (size_t)STEP_COUNT * SEQUENCES * rig.vocab_count * sizeof(*found)) !=
        0)
        fail_msg("%s: other logits after %s", device, orders);
    if (graphs_of(&rig) != count)
        fail_msg("%s: %llu graphs after %s", device, (unsigned long long)graphs_of(&rig), orders);
    rig_release(&rig);
}

static float *decode_plainly(const char *device)
{
    float *logits = NULL;
    struct rig rig;

    setenv("RBEE_GPU_GRAPHS", "off", 1);
    rig = rig_of(device, "");
    unsetenv("RBEE_GPU_GRAPHS");
    logits = decode_all(&rig);
    assert_int_equal(graphs_of(&rig), 0);
    rig_release(&rig);
    return logits;
}

/* For the third launch of the second step, which is made while it is captured. */
static char *order_within_capture(const char *device)
{
    struct rig rig = rig_of(device, "");
    AUTO_FREE float *logits = calloc(rig.vocab_count, sizeof(*logits));
    struct batch_row rows[FIRST_PROMPT];
    struct gpu_context *context = gpu_backend_context(rig.backend);
    uint64_t launches = gpu_launch_count(context);
    struct err err = ERR_INIT;

    rig_step(&rig, rows, rig_add_prompt(rows, 0, 0, FIRST_PROMPT), NULL);
    assert_int_equal(decode(&rig, 1, logits, &err), 0);
    launches = gpu_launch_count(context) - launches;
    rig_release(&rig);
    return xasprintf("hipModuleLaunchKernel:%llu:1", (unsigned long long)launches + 3);
}

static void graphs_compute_what_launches_do(void **state)
{
    for (size_t d = 0; d < ARRAY_COUNT(EMULATORS); d++) {
        AUTO_FREE float *wanted = decode_plainly(EMULATORS[d]);

        expect(EMULATORS[d], "", wanted, GRAPHS);
    }
}

/* From then on launches are made one by one. */
static void a_driver_that_fails_has_no_graphs(void **state)
{
    static const struct {
        const char *order;
        uint64_t graphs;
    } CASES[] = {
        {"hipStreamBeginCapture:1:900", 0}, {"hipStreamBeginCapture:2:900", 1},
        {"hipStreamEndCapture:1:901", 0},   {"hipGraphInstantiateWithFlags:2:2", 1},
        {"hipGraphLaunch:1:2", 0},          {"hipGraphLaunch:4:1", 3},
    };
    AUTO_FREE float *wanted = decode_plainly(EMULATOR_64);
    AUTO_FREE char *within = order_within_capture(EMULATOR_64);

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++)
        expect(EMULATOR_64, CASES[i].order, wanted, CASES[i].graphs);
    expect(EMULATOR_64, within, wanted, 0);
}

static void a_fault_of_a_graph_ends_the_device(void **state)
{
    struct rig rig = rig_of(EMULATOR_32, "hipGraphLaunch:2:719");
    AUTO_FREE float *logits = calloc(rig.vocab_count, sizeof(*logits));
    struct err err = ERR_INIT;

    assert_int_equal(decode(&rig, 1, logits, &err), 0);
    assert_int_equal(decode(&rig, 1, logits, &err), 0);
    assert_int_equal(decode(&rig, 1, logits, &err), -1);
    assert_int_equal(err.kind, ERR_DEVICE);
    assert_non_null(strstr(err.message, "hipGraphLaunch: hipErrorLaunchFailure"));
    err_clear(&err);
    assert_int_equal(decode(&rig, 1, logits, &err), -1);
    assert_non_null(strstr(err.message, "has failed before"));
    rig_release(&rig);
}

/* ---- what is kept ---- */

/* Twice each: so many rows from 1 to MOST, in as many rounds. */
static uint64_t graphs_of_rounds(uint32_t most, uint32_t rounds)
{
    struct rig rig = rig_of(EMULATOR_32, "");
    AUTO_FREE float *logits = calloc((size_t)SEQUENCES * rig.vocab_count, sizeof(*logits));
    struct err err = ERR_INIT;
    uint64_t count = 0;

    for (uint32_t round = 0; round < rounds; round++) {
        for (uint32_t rows = 1; rows <= most; rows++) {
            assert_int_equal(decode(&rig, rows, logits, &err), 0);
            assert_int_equal(decode(&rig, rows, logits, &err), 0);
        }
    }
    count = graphs_of(&rig);
    rig_release(&rig);
    return count;
}

static void the_latest_are_kept(void **state)
{
    assert_int_equal(graphs_of_rounds(KEPT, 2), KEPT + 2 * KEPT);
    assert_int_equal(graphs_of_rounds(KEPT + 1, 2), 2 * (KEPT + 1)); /* each pushes one out */
}

/* ---- when launches are made ---- */

enum { WIDTH = 64 };

struct gates {
    struct backend *backend;
    struct gpu_context *context;
    const struct gpu_kernel *kernel;
    float *in;
    float *out;
};

static void upload(struct gates *gates, float value)
{
    struct err err = ERR_INIT;
    float values[WIDTH];

    for (int i = 0; i < WIDTH; i++)
        values[i] = value;
    assert_int_equal(gpu_upload(gates->context, gates->in, values, sizeof(values), &err), 0);
    assert_int_equal(gpu_sync(gates->context, &err), 0);
}

static void launch(struct gates *gates, float *to)
{
    struct args_gate args = {.first = gates->in,
                             .second = gates->in,
                             .out = to,
                             .epilogue = BACKEND_SILU_MUL,
                             .width = WIDTH};
    struct err err = ERR_INIT;

    assert_int_equal(
        gpu_launch(gates->context, gates->kernel, (uint32_t[]){1, 1, 1}, WIDTH, &args, &err), 0);
    args = (struct args_gate){0}; /* it has been copied */
}

static void expect_gate_of(struct gates *gates, const float *of, float value)
{
    struct err err = ERR_INIT;
    float found[WIDTH];

    assert_int_equal(gpu_download(gates->context, found, of, sizeof(found), &err), 0);
    assert_int_equal(gpu_sync(gates->context, &err), 0);
    for (int i = 0; i < WIDTH; i++)
        assert_float_equal(found[i], value * value / (1.0f + expf(-value)), 1e-5f);
}

static void they_come_before_what_comes_after(void **state)
{
    struct err err = ERR_INIT;
    struct gates gates = {.backend = device_open(EMULATOR_64, 1, &err)};
    float *other = NULL;

    assert_non_null(gates.backend);
    gates.context = gpu_backend_context(gates.backend);
    gates.kernel = gpu_find_kernel(gates.context, "gate", &err);
    gates.in = gpu_alloc(gates.context, WIDTH * sizeof(float), &err);
    gates.out = gpu_alloc(gates.context, WIDTH * sizeof(float), &err);
    other = gpu_alloc(gates.context, WIDTH * sizeof(float), &err);
    for (int i = 1; i <= 3; i++) { /* what a graph reads has changed */
        upload(&gates, (float)i);
        gpu_gather_launches(gates.context);
        launch(&gates, gates.out);
        expect_gate_of(&gates, gates.out, (float)i);
        assert_int_equal(gpu_graph_count(gates.context), i - 1);
    }
    gpu_gather_launches(gates.context);
    launch(&gates, gates.out);
    upload(&gates, 7.0f); /* behind it */
    assert_int_equal(gpu_graph_count(gates.context), 3);
    launch(&gates, other); /* what is gathered has ended */
    expect_gate_of(&gates, gates.out, 3.0f);
    gpu_gather_launches(gates.context);
    upload(&gates, 5.0f); /* before all, so that it goes on */
    launch(&gates, other);
    gpu_free(gates.context, gates.out);
    expect_gate_of(&gates, other, 5.0f);
    assert_int_equal(gpu_graph_count(gates.context), 3);
    gpu_free(gates.context, other);
    gpu_free(gates.context, gates.in);
    backend_free(gates.backend);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(graphs_compute_what_launches_do),
        cmocka_unit_test(a_driver_that_fails_has_no_graphs),
        cmocka_unit_test(the_latest_are_kept),
        cmocka_unit_test(they_come_before_what_comes_after),
        cmocka_unit_test(a_fault_of_a_graph_ends_the_device), /* the last: of that library */
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
