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
    scene.workers[0].device = other;
    TAILQ_INSERT_TAIL(&scene.supervisor.workers, &scene.workers[0], link);
    device_on_end(scene.gpu, NULL, FAULT_HANG, now_ms());
    scene_see(&scene, 2);
    scene.gpu = device_find(&scene.supervisor, "gpu:0");
    assert_string_equal(scene.gpu->name, "gpu:0000:00:00.0");
    assert_ptr_equal(device_find(&scene.supervisor, "gpu:00:00.0"), scene.gpu);
    assert_ptr_equal(device_get(&scene.supervisor, "gpu:0000:00:00.0"), scene.gpu);
    assert_ptr_equal(scene.workers[0].device, scene.gpu);
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
    worker->device = device_get(&scene.supervisor, "gpu:1");
    assert_true(worker_may_run_on(worker, scene.gpu));
    assert_false(worker_may_run_on(worker, scene.cpu));
    worker->command = &command;
    assert_false(worker_may_run_on(worker, scene.gpu));
    assert_true(worker_may_run_on(worker, worker->device));
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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
