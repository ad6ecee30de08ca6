/* What a device does when a process on it survives KILL, or reports faults: who may start there,
 * and when again. The kernel is this test: a worker here is a name. */
#include "supervisor/device.h"

#include "common/clock.h"
#include "supervisor/supervisor.h"
#include "tests/store_fixture.h"

#include <event2/event.h>
#include <stdio.h>

enum { OPEN_MS = 300000 };

/* A supervisor with nothing in it but lists, a store and the default numbers of its devices. */
struct scene {
    struct supervisor supervisor;
    struct worker workers[2];
    struct device *gpu;
    struct device *cpu;
};

static void scene_init(struct scene *scene, struct fixture *fixture)
{
    *scene = (struct scene){.supervisor = {.policy = {.device = {.failures = 5,
                                                                 .window_ms = OPEN_MS,
                                                                 .open_time_ms = OPEN_MS,
                                                                 .open_max_ms = OPEN_MS,
                                                                 .probe_stable_ms = 60000,
                                                                 .gpu_faults = 2}}}};
    TAILQ_INIT(&scene->supervisor.workers);
    TAILQ_INIT(&scene->supervisor.devices);
    scene->supervisor.base = event_base_new();
    open_store(fixture);
    start_store(fixture);
    scene->supervisor.store = fixture->store;
    scene->gpu = device_get(&scene->supervisor, "gpu:0");
    scene->cpu = device_get(&scene->supervisor, "");
}

static void scene_release(struct scene *scene)
{
    devices_release(&scene->supervisor);
    event_base_free(scene->supervisor.base);
}

static int64_t now_ms(void)
{
    return (int64_t)clock_monotonic_ms();
}

static enum device_answer ask(const struct device *device)
{
    int64_t until_ms = 0;

    return device_ask(device, now_ms(), &until_ms);
}

static void begin(struct device *device, struct worker *worker)
{
    assert_int_equal(ask(device), DEVICE_GO);
    device_on_start(device, worker, now_ms());
    device_on_load_end(device, worker);
}

/* Lost until the last process is gone, however many there are; then exactly one start, and the next
 * ones when it has been stable. */
static void a_lost_process_keeps_its_gpu_from_starts(void **state)
{
    struct scene scene;

    scene_init(&scene, *state);
    begin(scene.gpu, &scene.workers[0]);
    begin(scene.gpu, &scene.workers[1]);
    device_on_lost(scene.gpu);
    device_on_lost(scene.gpu);
    assert_int_equal(ask(scene.gpu), DEVICE_OPEN);
    assert_int_equal(ask(scene.cpu), DEVICE_GO);
    device_on_found(scene.gpu);
    device_on_end(scene.gpu, &scene.workers[0], FAULT_NONE, now_ms());
    assert_int_equal(ask(scene.gpu), DEVICE_OPEN);
    device_on_found(scene.gpu);
    device_on_end(scene.gpu, &scene.workers[1], FAULT_NONE, now_ms());
    assert_int_equal(scene.gpu->breaker.state, BREAKER_HALF_OPEN);
    begin(scene.gpu, &scene.workers[0]);
    assert_int_equal(ask(scene.gpu), DEVICE_OPEN);
    device_on_probe_stable(scene.gpu, &scene.workers[0], now_ms());
    assert_int_equal(scene.gpu->breaker.state, BREAKER_CLOSED);
    assert_int_equal(ask(scene.gpu), DEVICE_GO);
    scene_release(&scene);
}

/* GPUs of which a worker program tells: N of them, from 0000:00:00.0 on. */
static void scene_see(struct scene *scene, size_t count)
{
    struct ability_answer answer = {.count = count};

    for (size_t i = 0; i < count; i++) {
        (void)snprintf(answer.devices[i].pci, GPU_PCI_BYTES, "0000:%02zx:00.0", i);
        answer.devices[i].ability = (struct gpu_ability){.is_listed = true, .is_usable = true};
    }
    gpu_table_see(&scene->supervisor.gpus.table, &answer);
    devices_adopt(&scene->supervisor);
}

/* Whatever it was called before it was known: its breaker is not forgotten, and there is one. */
static void a_gpu_has_one_device_whatever_it_is_called(void **state)
{
    struct scene scene;
    struct device *other = NULL;

    scene_init(&scene, *state);
    other = device_get(&scene.supervisor, "gpu:00:00.0"); /* of the same GPU, as it turns out */
    device_force_open(other, "smoke");
    scene.workers[0].devices = device_set_of(other);
    TAILQ_INSERT_TAIL(&scene.supervisor.workers, &scene.workers[0], link);
    device_on_end(scene.gpu, NULL, FAULT_HANG, now_ms());
    scene_see(&scene, 2);
    scene.gpu = device_find(&scene.supervisor, "gpu:0");
    assert_string_equal(scene.gpu->name, "gpu:0000:00:00.0");
    assert_ptr_equal(device_find(&scene.supervisor, "gpu:00:00.0"), scene.gpu);
    assert_ptr_equal(device_get(&scene.supervisor, "gpu:0000:00:00.0"), scene.gpu);
    assert_ptr_equal(scene.workers[0].devices.devices[0], scene.gpu);
    assert_int_equal(scene.gpu->breaker.state, BREAKER_FORCED_OPEN);
    assert_string_equal(scene.gpu->breaker_reason, "smoke");
    assert_int_equal(scene.gpu->breaker.failure_count, 1);
    /* The other one is known without a worker, and is another one. */
    other = device_find(&scene.supervisor, "gpu:1");
    assert_non_null(other);
    assert_int_equal(ask(other), DEVICE_GO);
    assert_ptr_equal(device_find(&scene.supervisor, "cpu"), scene.cpu);
    gpu_table_release(&scene.supervisor.gpus.table);
    scene_release(&scene);
}

/* Who may choose may run on each GPU; a command called as if it might runs where it was put. */
static void only_who_chooses_may_run_on_any_gpu(void **state)
{
    struct command_line command = {0};
    struct worker *worker = NULL;
    struct scene scene;

    scene_init(&scene, *state);
    worker = &scene.workers[0];
    (void)snprintf(worker->next_running.device, sizeof(worker->next_running.device), "gpu");
    worker->devices = device_set_get(&scene.supervisor, "gpu:1");
    assert_true(worker_may_run_on(worker, scene.gpu));
    assert_false(worker_may_run_on(worker, scene.cpu));
    worker->command = &command;
    assert_false(worker_may_run_on(worker, scene.gpu));
    assert_true(worker_may_run_on(worker, worker->devices.devices[0]));
    worker->command = NULL;
    (void)snprintf(worker->next_running.device, sizeof(worker->next_running.device), "gpu:1");
    assert_false(worker_may_run_on(worker, scene.gpu));
    scene_release(&scene);
}

static void the_cpu_is_never_lost(void **state)
{
    struct scene scene;

    scene_init(&scene, *state);
    begin(scene.cpu, &scene.workers[0]);
    device_on_lost(scene.cpu);
    assert_int_equal(ask(scene.cpu), DEVICE_GO);
    device_on_found(scene.cpu);
    assert_int_equal(scene.cpu->breaker.state, BREAKER_CLOSED);
    scene_release(&scene);
}

/* What a worker does wrong is its own; what its GPU does wrong counts there, whose worker it is. */
static void only_faults_of_a_device_count_there(void **state)
{
    struct scene scene;

    scene_init(&scene, *state);
    for (int fault = FAULT_NONE + 1; fault < FAULT_CLASS_COUNT; fault++) {
        if (fault_is_of_device((enum fault_class)fault))
            continue;
        for (int i = 0; i < 2 * BREAKER_FAILURES_MAX_COUNT; i++)
            device_on_end(scene.gpu, &scene.workers[0], (enum fault_class)fault, now_ms());
    }
    assert_int_equal(ask(scene.gpu), DEVICE_GO);
    device_on_end(scene.cpu, &scene.workers[0], FAULT_GPU_FAULT, now_ms());
    device_on_end(scene.cpu, &scene.workers[0], FAULT_GPU_FAULT, now_ms());
    assert_int_equal(ask(scene.cpu), DEVICE_GO);
    device_on_end(scene.gpu, &scene.workers[0], FAULT_GPU_FAULT, now_ms());
    assert_int_equal(ask(scene.gpu), DEVICE_GO);
    device_on_end(scene.gpu, &scene.workers[1], FAULT_GPU_FAULT, now_ms());
    assert_int_equal(ask(scene.gpu), DEVICE_OPEN);
    scene_release(&scene);
}

/* ---- two at once ---- */

static enum device_answer ask_both(const struct device_set *set)
{
    int64_t until_ms = 0;

    return device_set_ask(set, now_ms(), &until_ms);
}

/* One of the two is enough to keep a start from being made; a breaker says so before a load does.
 */
static void two_take_a_start_when_both_do(void **state)
{
    struct scene scene;
    struct device_set both;
    struct device_set other;

    scene_init(&scene, *state);
    both = device_set_get(&scene.supervisor, "gpu:0,gpu:1");
    other = device_set_get(&scene.supervisor, "gpu:1");
    assert_int_equal(both.count, 2);
    assert_ptr_equal(both.devices[0], scene.gpu);
    assert_int_equal(ask_both(&both), DEVICE_GO);
    device_on_start(both.devices[1], &scene.workers[0], now_ms());
    assert_int_equal(ask_both(&both), DEVICE_LOADING);
    assert_null(device_set_open(&both));
    device_force_open(scene.gpu, "smoke");
    assert_int_equal(ask_both(&both), DEVICE_OPEN);
    assert_ptr_equal(device_set_open(&both), scene.gpu);
    device_on_load_end(both.devices[1], &scene.workers[0]);
    assert_int_equal(ask_both(&other), DEVICE_GO);
    device_reset(scene.gpu);
    device_set_on_lost(&other);
    assert_int_equal(ask_both(&both), DEVICE_OPEN);
    assert_ptr_equal(device_set_open(&both), both.devices[1]);
    scene_release(&scene);
}

/* A load holds both, and both are free after it. */
static void a_load_on_two_keeps_others_from_each(void **state)
{
    struct scene scene;
    struct device_set both;

    scene_init(&scene, *state);
    both = device_set_get(&scene.supervisor, "gpu:0,gpu:1");
    device_set_on_start(&both, &scene.workers[0], now_ms());
    assert_int_equal(ask(both.devices[0]), DEVICE_LOADING);
    assert_int_equal(ask(both.devices[1]), DEVICE_LOADING);
    device_set_on_load_end(&both, &scene.workers[1]);
    assert_int_equal(ask(both.devices[1]), DEVICE_LOADING);
    device_set_on_load_end(&both, &scene.workers[0]);
    assert_int_equal(ask(both.devices[0]), DEVICE_GO);
    assert_int_equal(ask(both.devices[1]), DEVICE_GO);
    scene_release(&scene);
}

/* The one that the worker named; where it named none, or one that is none of them, both. */
static void a_fault_counts_for_the_one_that_is_named(void **state)
{
    static const struct {
        const char *name;
        enum device_answer first;
        enum device_answer second;
    } CASES[] = {
        {"gpu:0", DEVICE_OPEN, DEVICE_GO},
        {"gpu:1", DEVICE_GO, DEVICE_OPEN},
        {"", DEVICE_OPEN, DEVICE_OPEN},
        {"gpu:7", DEVICE_OPEN, DEVICE_OPEN},
    };

    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct scene scene;
        struct device_set both;
        struct device_set blamed;

        scene_init(&scene, *state);
        both = device_set_get(&scene.supervisor, "gpu:0,gpu:1");
        blamed = device_set_blamed(&both, CASES[i].name);
        for (unsigned n = 0; n < scene.supervisor.policy.device.gpu_faults; n++)
            device_set_on_end(&both, &blamed, &scene.workers[0], FAULT_GPU_FAULT, now_ms());
        assert_int_equal(ask(both.devices[0]), CASES[i].first);
        assert_int_equal(ask(both.devices[1]), CASES[i].second);
        scene_release(&scene);
        if (i + 1 < ARRAY_COUNT(CASES)) {
            (void)tear_down(state);
            (void)set_up(state);
        }
    }
}

/* A probe of both that fails by one of them has shown nothing of the other. */
static void a_fault_of_the_other_is_no_verdict_on_a_probe(void **state)
{
    struct scene scene;
    struct device_set both;
    struct device_set blamed;

    scene_init(&scene, *state);
    both = device_set_get(&scene.supervisor, "gpu:0,gpu:1");
    device_set_on_lost(&both);
    device_set_on_found(&both);
    assert_int_equal(both.devices[0]->breaker.state, BREAKER_HALF_OPEN);
    assert_int_equal(ask_both(&both), DEVICE_GO);
    device_set_on_start(&both, &scene.workers[0], now_ms());
    assert_int_equal(ask_both(&both), DEVICE_OPEN);
    blamed = device_set_blamed(&both, "gpu:1");
    device_set_on_end(&both, &blamed, &scene.workers[0], FAULT_GPU_FAULT, now_ms());
    assert_int_equal(ask_both(&both), DEVICE_OPEN);
    assert_int_equal(both.devices[0]->breaker.state, BREAKER_OPEN); /* as before the probe */
    assert_int_equal(both.devices[0]->breaker.failure_count, 0);
    assert_int_equal(both.devices[1]->breaker.failure_count, 1);
    scene_release(&scene);
}

/* Two names that turn out to be one GPU's leave one device. */
static void a_set_has_no_device_twice(void **state)
{
    struct scene scene;
    struct worker *worker = NULL;
    char name[DEVICE_NAMES_MAX_BYTES + 1];

    scene_init(&scene, *state);
    worker = &scene.workers[0];
    worker->devices = device_set_get(&scene.supervisor, "gpu:0,gpu:00:00.0");
    assert_int_equal(worker->devices.count, 2);
    device_set_write_name(&worker->devices, name);
    assert_string_equal(name, "gpu:0,gpu:00:00.0");
    TAILQ_INSERT_TAIL(&scene.supervisor.workers, worker, link);
    scene_see(&scene, 2);
    assert_int_equal(worker->devices.count, 1);
    device_set_write_name(&worker->devices, name);
    assert_string_equal(name, "gpu:0000:00:00.0");
    worker->devices = device_set_get(&scene.supervisor, "gpu:1,gpu:0");
    device_set_write_name(&worker->devices, name);
    assert_string_equal(name, "gpu:0000:01:00.0,gpu:0000:00:00.0");
    worker->devices = device_set_find(&scene.supervisor, "gpu:1,gpu:9");
    assert_int_equal(worker->devices.count, 1);
    gpu_table_release(&scene.supervisor.gpus.table);
    scene_release(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_lost_process_keeps_its_gpu_from_starts, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(only_who_chooses_may_run_on_any_gpu, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_cpu_is_never_lost, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_gpu_has_one_device_whatever_it_is_called, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(only_faults_of_a_device_count_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(two_take_a_start_when_both_do, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_load_on_two_keeps_others_from_each, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_fault_counts_for_the_one_that_is_named, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_fault_of_the_other_is_no_verdict_on_a_probe, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_set_has_no_device_twice, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
