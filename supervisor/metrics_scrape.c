/* Owns the metrics that are not counted but read from the supervisor when somebody asks. Changes
 * nothing. */
#include "supervisor/metrics_scrape.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/metrics_text.h"
#include "supervisor/doors.h"
#include "supervisor/gpu/record.h"
#include "supervisor/supervisor.h"

#include <string.h>

enum { MS_PER_SECOND = 1000, HEX_BASE = 16, PERCENT = 100 };

/* Both numbers stand in the help text of the gauge. */
static_assert((int)BREAKER_CLOSED == 0 && (int)BREAKER_OPEN == 1 && (int)BREAKER_HALF_OPEN == 2 &&
                  (int)BREAKER_FORCED_OPEN == 3,
              "the values of rbee_hive_circuit_breaker_state are a contract");

#define COUNTER(id, name, label, set, help)
#define HISTOGRAM(id, name, buckets, help)
#define SCRAPED(id, name, type, help)                                                              \
    static void metrics_read_##id(struct supervisor *supervisor, json_t *family);
#include "supervisor/metrics.def"
#undef SCRAPED
#undef COUNTER
#undef HISTOGRAM

static void add_number(json_t *family, json_t *labels, int64_t value)
{
    metrics_sample(family, "", labels, json_integer((json_int_t)value));
}

static void add_alone(json_t *family, int64_t value)
{
    add_number(family, json_object(), value);
}

static void metrics_read_BUILD_INFO(struct supervisor *supervisor, json_t *family)
{
    add_number(family, json_pack("{s:s}", "version", RBEE_VERSION), 1);
}

/* ---- workers ---- */

/* Workers of one backend on one device. */
struct place {
    const char *backend;
    char device[DEVICE_NAMES_MAX_BYTES + 1];
    int64_t counts[LIFE_STATE_COUNT];
};

struct places {
    struct place *places;
    size_t count;
};

static struct place *place_find(const struct places *places, const char *backend,
                                const char *device)
{
    for (size_t i = 0; i < places->count; i++) {
        if (strcmp(places->places[i].backend, backend) == 0 &&
            strcmp(places->places[i].device, device) == 0)
            return &places->places[i];
    }
    return NULL;
}

/* When there are too many, the rest is in one: the sum stays right. */
static struct place *place_get(struct places *places, const struct worker *worker)
{
    const char *backend = "command";
    char name[DEVICE_NAMES_MAX_BYTES + 1];
    const char *device = device_name_or_cpu(worker_shown_device(worker, name));
    struct place *place = NULL;

    if (worker->command == NULL)
        backend = device_name_is_gpu(device) ? "gpu" : "cpu";
    place = place_find(places, backend, device);
    if (place == NULL && places->count >= METRICS_NAMES_MAX_COUNT) {
        device = "other";
        place = place_find(places, backend, device);
    }
    if (place != NULL)
        return place;
    places->places = xgrow(places->places, places->count, sizeof(*places->places));
    place = &places->places[places->count++];
    *place = (struct place){.backend = backend};
    (void)snprintf(place->device, sizeof(place->device), "%s", device);
    return place;
}

static void place_tell(const struct place *place, json_t *family)
{
    for (int state = 0; state < LIFE_STATE_COUNT; state++)
        add_number(family,
                   json_pack("{s:s, s:s, s:s}", "state", life_state_name((enum life_state)state),
                             "backend", place->backend, "device", place->device),
                   place->counts[state]);
}

static void metrics_read_WORKERS(struct supervisor *supervisor, json_t *family)
{
    struct places places = {0};
    const struct worker *worker = NULL;

    TAILQ_FOREACH(worker, &supervisor->workers, link)
    {
        place_get(&places, worker)->counts[worker->state]++;
    }
    for (size_t i = 0; i < places.count; i++)
        place_tell(&places.places[i], family);
    free(places.places);
}

static void metrics_read_RESTART_COUNT(struct supervisor *supervisor, json_t *family)
{
    const struct worker *worker = NULL;
    int64_t count = 0;

    TAILQ_FOREACH(worker, &supervisor->workers, link)
    {
        count += worker->recovery.restart.total;
    }
    add_alone(family, count);
}

static void add_breaker(json_t *family, const char *kind, const char *name,
                        const struct breaker *breaker)
{
    add_number(family, json_pack("{s:s, s:s}", "kind", kind, "name", name),
               (int64_t)breaker->state);
}

static void metrics_read_BREAKER_STATE(struct supervisor *supervisor, json_t *family)
{
    const struct worker *worker = NULL;
    const struct device *device = NULL;
    unsigned left = METRICS_NAMES_MAX_COUNT;

    TAILQ_FOREACH(worker, &supervisor->workers, link)
    {
        if (left == 0)
            break;
        add_breaker(family, "worker", worker->name, &worker->recovery.breaker);
        left--;
    }
    left = METRICS_NAMES_MAX_COUNT;
    TAILQ_FOREACH(device, &supervisor->devices, link)
    {
        if (left == 0)
            break;
        if (device->is_gpu)
            add_breaker(family, "device", device->name, &device->breaker);
        left--;
    }
}

static void metrics_read_NAMES_LEFT_OUT(struct supervisor *supervisor, json_t *family)
{
    const struct worker *worker = NULL;
    const struct device *device = NULL;
    int64_t workers = -METRICS_NAMES_MAX_COUNT;
    int64_t devices = -METRICS_NAMES_MAX_COUNT;

    TAILQ_FOREACH(worker, &supervisor->workers, link)
    {
        workers++;
    }
    TAILQ_FOREACH(device, &supervisor->devices, link)
    {
        devices++;
    }
    add_alone(family, (workers > 0 ? workers : 0) + (devices > 0 ? devices : 0));
}

/* ---- requests ---- */

static void metrics_read_REQUESTS_NOW(struct supervisor *supervisor, json_t *family)
{
    int64_t counts[REQUEST_STATE_COUNT] = {0};
    const struct request *request = NULL;

    TAILQ_FOREACH(request, &supervisor->requests, in_registry)
    {
        counts[request->state]++;
    }
    for (int state = 0; state < REQUEST_STATE_COUNT; state++)
        add_number(family,
                   json_pack("{s:s}", "state", request_state_name((enum request_state)state)),
                   counts[state]);
}

static void metrics_read_QUEUE_DEPTH(struct supervisor *supervisor, json_t *family)
{
    const struct worker *worker = NULL;
    unsigned left = METRICS_NAMES_MAX_COUNT;

    TAILQ_FOREACH(worker, &supervisor->workers, link)
    {
        if (left-- == 0)
            break;
        add_number(family, json_pack("{s:s}", "worker", worker->name), worker->queued_count);
    }
}

/* ---- GPUs ---- */

static void add_gpu_sample(json_t *family, const struct supervisor *supervisor, size_t index,
                           json_t *value)
{
    AUTO_FREE char *id = xasprintf("gpu:%zu", index);

    metrics_sample(family, "",
                   json_pack("{s:s, s:s}", "device", id, "pci_address",
                             supervisor->gpus.table.gpus[index]->pci),
                   value);
}

/* Unknown is no sample: a zero would be a measure. */
static void add_gpu_figure(json_t *family, const struct supervisor *supervisor,
                           enum gpu_figure figure, double unit)
{
    const struct gpu_table *table = &supervisor->gpus.table;

    for (size_t i = 0; i < table->count; i++) {
        if (gpu_figures_knows(&table->gpus[i]->figures, figure))
            add_gpu_sample(family, supervisor, i,
                           json_real(table->gpus[i]->figures.values[figure] / unit));
    }
}

static void metrics_read_GPU_BUSY(struct supervisor *supervisor, json_t *family)
{
    add_gpu_figure(family, supervisor, GPU_FIGURE_BUSY, PERCENT);
}

static void metrics_read_GPU_MEMORY_USED(struct supervisor *supervisor, json_t *family)
{
    add_gpu_figure(family, supervisor, GPU_FIGURE_MEMORY_USED, 1);
}

static void metrics_read_GPU_MEMORY_FOREIGN(struct supervisor *supervisor, json_t *family)
{
    for (size_t i = 0; i < supervisor->gpus.table.count; i++) {
        int64_t bytes = gpu_foreign_bytes(supervisor, supervisor->gpus.table.gpus[i]);

        if (bytes >= 0)
            add_gpu_sample(family, supervisor, i, json_integer(bytes));
    }
}

static void metrics_read_GPU_MEMORY_TOTAL(struct supervisor *supervisor, json_t *family)
{
    add_gpu_figure(family, supervisor, GPU_FIGURE_MEMORY_TOTAL, 1);
}

static void metrics_read_GPU_TEMPERATURE(struct supervisor *supervisor, json_t *family)
{
    add_gpu_figure(family, supervisor, GPU_FIGURE_TEMPERATURE, 1);
}

static void metrics_read_GPU_POWER(struct supervisor *supervisor, json_t *family)
{
    add_gpu_figure(family, supervisor, GPU_FIGURE_POWER, 1);
}

/* ---- the supervisor itself ---- */

static void metrics_read_CLIENTS(struct supervisor *supervisor, json_t *family)
{
    add_alone(family, doors_client_count(supervisor));
}

static void metrics_read_STORE_QUEUED_ROWS(struct supervisor *supervisor, json_t *family)
{
    add_alone(family, (int64_t)store_queued_count(supervisor->store));
}

static void metrics_read_STORE_UP(struct supervisor *supervisor, json_t *family)
{
    add_alone(family, !err_is_set(&supervisor->store_health) && !supervisor->is_journal_refused);
}

static void metrics_read_AUDIT_QUEUE(struct supervisor *supervisor, json_t *family)
{
    add_alone(family, (int64_t)audit_queued_count(supervisor));
}

/* Without a sample where nothing is audited. */
static void metrics_read_AUDIT_HEAD(struct supervisor *supervisor, json_t *family)
{
    struct audit_head head;

    if (!supervisor->audit.is_on)
        return;
    audit_stored_head(supervisor->store, &head);
    add_alone(family, head.seq);
}

/* A label would be a series for each hash, and a number holds 53 bits. */
static void metrics_read_AUDIT_HEAD_HASH(struct supervisor *supervisor, json_t *family)
{
    struct audit_head head;
    char digits[AUDIT_HASH_PREFIX_MIN_BYTES + 1];

    if (!supervisor->audit.is_on)
        return;
    audit_stored_head(supervisor->store, &head);
    (void)snprintf(digits, sizeof(digits), "%.*s", AUDIT_HASH_PREFIX_MIN_BYTES, head.hash);
    add_alone(family, (int64_t)strtoull(digits, NULL, HEX_BASE));
}

/* Without a sample when nothing is known. */
static void metrics_read_SHUTDOWN_DURATION(struct supervisor *supervisor, json_t *family)
{
    int64_t ms = supervisor->last_stop_ms;

    if (supervisor->is_stopping)
        ms = (int64_t)(clock_monotonic_ms() - supervisor->stopping_since_ms);
    if (ms >= 0)
        metrics_sample(family, "", json_object(), json_real((double)ms / MS_PER_SECOND));
}

/* ---- all of it ---- */

static const struct scraped {
    const char *name;
    enum metrics_type type;
    const char *help;
    void (*read)(struct supervisor *supervisor, json_t *family);
} SCRAPES[] = {
#define COUNTER(id, title, label, set, text)
#define HISTOGRAM(id, title, buckets, text)
#define SCRAPED(id, title, kind, text) {title, METRICS_##kind, text, metrics_read_##id},
#include "supervisor/metrics.def"
#undef SCRAPED
#undef COUNTER
#undef HISTOGRAM
};

json_t *metrics_scrape(struct supervisor *supervisor)
{
    json_t *families = json_array();

    for (int i = 0; i < METRIC_COUNTER_COUNT; i++)
        (void)json_array_append_new(
            families, metrics_counter_family(&supervisor->metrics, (enum metric_counter)i));
    for (int i = 0; i < METRIC_HISTOGRAM_COUNT; i++)
        (void)json_array_append_new(
            families, metrics_histogram_family(&supervisor->metrics, (enum metric_histogram)i));
    for (size_t i = 0; i < ARRAY_COUNT(SCRAPES); i++) {
        json_t *family = metrics_family(SCRAPES[i].name, SCRAPES[i].type, SCRAPES[i].help);

        SCRAPES[i].read(supervisor, family);
        (void)json_array_append_new(families, family);
    }
    return json_pack("{s:o}", "metrics", families);
}
