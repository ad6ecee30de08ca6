/* What is read at a scrape: workers where they are and as they are, breakers of workers and GPUs,
 * and no more series than there may be. */
#include "supervisor/metrics_scrape.h"

#include "common/json.h"
#include "supervisor/supervisor.h"
#include "tests/store_fixture.h"

enum { WORKERS_MAX_COUNT = METRICS_NAMES_MAX_COUNT + 10 };

/* A supervisor with nothing in it but lists and a store. */
struct scene {
    struct supervisor supervisor;
    struct worker *workers; /* WORKERS_MAX_COUNT, not all of them in its list */
    size_t worker_count;
    struct device gpu;
};

static void scene_init(struct scene *scene, struct fixture *fixture)
{
    struct err err = ERR_INIT;

    *scene = (struct scene){.supervisor = {.last_stop_ms = -1}};
    TAILQ_INIT(&scene->supervisor.workers);
    TAILQ_INIT(&scene->supervisor.devices);
    TAILQ_INIT(&scene->supervisor.requests);
    scene->workers = xcalloc(WORKERS_MAX_COUNT, sizeof(*scene->workers));
    fixture->store = store_open(fixture->path, &fixture->report, &err);
    assert_non_null(fixture->store);
    scene->supervisor.store = fixture->store;
    scene->gpu = (struct device){.name = "gpu:0", .is_gpu = true};
    TAILQ_INSERT_TAIL(&scene->supervisor.devices, &scene->gpu, link);
}

static struct worker *scene_add(struct scene *scene, enum life_state state)
{
    struct worker *worker = &scene->workers[scene->worker_count];

    (void)snprintf(worker->name, sizeof(worker->name), "w%zu", scene->worker_count++);
    worker->supervisor = &scene->supervisor;
    worker->state = state;
    TAILQ_INSERT_TAIL(&scene->supervisor.workers, worker, link);
    return worker;
}

/* Samples of NAME whose labels are all of LABELS (NULL: whatever they are): how many, their sum. */
static size_t series(const json_t *metrics, const char *name, json_t *labels, json_int_t *out_sum)
{
    AUTO_JSON json_t *owned = labels;
    const json_t *family = NULL;
    const json_t *sample = NULL;
    size_t count = 0;
    size_t i = 0;
    size_t k = 0;

    *out_sum = 0;
    json_array_foreach(json_object_get(metrics, "metrics"), i, family)
    {
        json_array_foreach(json_object_get(family, "samples"), k, sample)
        {
            if (strcmp(json_string_value(json_object_get(sample, "name")), name) != 0 ||
                (owned != NULL && !json_equal(json_object_get(sample, "labels"), owned)))
                continue;
            *out_sum += json_integer_value(json_object_get(sample, "value"));
            count++;
        }
    }
    return count;
}

static json_t *place(const char *state, const char *backend, const char *device)
{
    return json_pack("{s:s, s:s, s:s}", "state", state, "backend", backend, "device", device);
}

static void assert_value(const json_t *metrics, const char *name, json_t *labels, json_int_t value)
{
    json_int_t sum = 0;

    assert_int_equal(series(metrics, name, labels, &sum), 1);
    assert_int_equal(sum, value);
}

static void workers_are_counted_where_they_are(void **state)
{
    struct scene scene;
    AUTO_JSON json_t *metrics = NULL;
    struct command_line command = {0};

    scene_init(&scene, *state);
    (void)scene_add(&scene, LIFE_READY);
    (void)scene_add(&scene, LIFE_READY);
    (void)snprintf(scene_add(&scene, LIFE_READY)->running.device, WORKER_DEVICE_MAX_BYTES, "gpu:0");
    scene_add(&scene, LIFE_OPEN)->command = &command;
    /* Never started: where it would be. */
    (void)snprintf(scene_add(&scene, LIFE_DOWN)->options.device, WORKER_DEVICE_MAX_BYTES, "gpu:1");
    metrics = metrics_scrape(&scene.supervisor);
    assert_value(metrics, "rbee_hive_workers", place("ready", "cpu", "cpu"), 2);
    assert_value(metrics, "rbee_hive_workers", place("down", "cpu", "cpu"), 0);
    assert_value(metrics, "rbee_hive_workers", place("ready", "gpu", "gpu:0"), 1);
    assert_value(metrics, "rbee_hive_workers", place("open", "command", "cpu"), 1);
    assert_value(metrics, "rbee_hive_workers", place("down", "gpu", "gpu:1"), 1);
    free(scene.workers);
}

static void breakers_have_the_promised_numbers(void **state)
{
    struct scene scene;
    AUTO_JSON json_t *metrics = NULL;

    scene_init(&scene, *state);
    scene_add(&scene, LIFE_DOWN)->recovery.breaker.state = BREAKER_CLOSED;
    scene_add(&scene, LIFE_OPEN)->recovery.breaker.state = BREAKER_OPEN;
    scene_add(&scene, LIFE_OPEN)->recovery.breaker.state = BREAKER_HALF_OPEN;
    scene.gpu.breaker.state = BREAKER_FORCED_OPEN;
    metrics = metrics_scrape(&scene.supervisor);
    for (int i = 0; i < 3; i++)
        assert_value(metrics, "rbee_hive_circuit_breaker_state",
                     json_pack("{s:s, s:s}", "kind", "worker", "name", scene.workers[i].name), i);
    assert_value(metrics, "rbee_hive_circuit_breaker_state",
                 json_pack("{s:s, s:s}", "kind", "device", "name", "gpu:0"), 3);
    free(scene.workers);
}

/* Requests may name as many files and devices as they like. */
static void names_that_are_too_many_have_no_series_and_are_said(void **state)
{
    struct scene scene;
    AUTO_JSON json_t *metrics = NULL;
    json_int_t sum = 0;
    size_t most = METRICS_NAMES_MAX_COUNT;

    scene_init(&scene, *state);
    for (size_t i = 0; i < most + 3; i++)
        (void)snprintf(scene_add(&scene, LIFE_DOWN)->options.device, WORKER_DEVICE_MAX_BYTES,
                       "gpu:%zu", i);
    metrics = metrics_scrape(&scene.supervisor);
    assert_value(metrics, "rbee_hive_metrics_names_left_out", NULL, 3);
    assert_int_equal(series(metrics, "rbee_hive_queue_depth", NULL, &sum), most);
    assert_int_equal(series(metrics, "rbee_hive_circuit_breaker_state", NULL, &sum), most + 1);
    /* Those without a place of their own are in one, and nobody is lost. */
    assert_int_equal(series(metrics, "rbee_hive_workers", NULL, &sum),
                     (most + 1) * LIFE_STATE_COUNT);
    assert_int_equal(sum, most + 3);
    assert_value(metrics, "rbee_hive_workers", place("down", "gpu", "other"), 3);
    free(scene.workers);
}

static void the_last_stop_is_said_when_it_is_known(void **state)
{
    struct scene scene;
    json_int_t ignored = 0;

    scene_init(&scene, *state);
    for (int i = 0; i < 2; i++) {
        AUTO_JSON json_t *metrics = metrics_scrape(&scene.supervisor);

        assert_int_equal(series(metrics, "rbee_hive_shutdown_duration_seconds", NULL, &ignored), i);
        scene.supervisor.last_stop_ms = 250;
    }
    free(scene.workers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(workers_are_counted_where_they_are, set_up, tear_down),
        cmocka_unit_test_setup_teardown(breakers_have_the_promised_numbers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_that_are_too_many_have_no_series_and_are_said, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_last_stop_is_said_when_it_is_known, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
