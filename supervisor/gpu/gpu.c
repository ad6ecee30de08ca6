/* Owns the table of GPUs and the reading of rbee-gpu's lines. Knows no process and no worker. */
#include "supervisor/gpu/gpu.h"

#include "common/attr.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/units.h"
#include "common/utf8.h"
#include "supervisor/gpu/ability.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char PREFIX[] = "gpu:";

static const struct gpu_ability NOTHING = {.memory_bytes = -1, .foreign_bytes = -1};

static const char *const STATE_NAMES[] = {
    [GPU_UNREADABLE] = "unreadable", [GPU_ACTIVE] = "active", [GPU_ASLEEP] = "asleep"};

const char *gpu_state_name(enum gpu_state state)
{
    return STATE_NAMES[state];
}

/* ---- the table ---- */

static void gpu_forget_uses(struct gpu *gpu)
{
    free(gpu->uses);
    gpu->uses = NULL;
    gpu->use_count = 0;
    gpu->knows_uses = false;
}

static void gpu_free(struct gpu *gpu)
{
    gpu_forget_uses(gpu);
    free(gpu);
}

void gpu_table_release(struct gpu_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        gpu_free(table->gpus[i]);
    table->count = 0;
}

static struct gpu *gpu_by_pci(const struct gpu_table *table, const char *pci)
{
    for (size_t i = 0; i < table->count; i++) {
        if (strcmp(table->gpus[i]->pci, pci) == 0)
            return table->gpus[i];
    }
    return NULL;
}

bool gpu_is_pci(const char *text)
{
    return strlen(text) < GPU_PCI_BYTES && strchr(text, ':') != NULL &&
           strspn(text, "0123456789abcdef:.") == strlen(text);
}

/* Made when it is new; NULL: no address, or too many. */
static struct gpu *gpu_get(struct gpu_table *table, const char *pci)
{
    struct gpu *gpu = gpu_by_pci(table, pci);
    size_t at = table->count;

    if (gpu != NULL || table->count == GPU_MAX_COUNT || !gpu_is_pci(pci))
        return gpu;
    gpu = xcalloc(1, sizeof(*gpu));
    memcpy(gpu->pci, pci, strlen(pci) + 1);
    gpu_figures_init(&gpu->figures);
    gpu->read_ms = -1;
    gpu->ability = NOTHING;
    for (; at > 0 && strcmp(table->gpus[at - 1]->pci, pci) > 0; at--)
        table->gpus[at] = table->gpus[at - 1];
    table->gpus[at] = gpu;
    table->count++;
    return gpu;
}

/* ---- lines ---- */

static void gpu_is_told_of(struct gpu_table *table, struct gpu *gpu)
{
    table->change_count += !gpu->is_told;
    gpu->is_told = true;
    gpu->round = table->round;
}

void gpu_take_text(const json_t *object, const char *field, char *out, size_t size)
{
    const json_t *value = json_object_get(object, field);
    size_t len = json_string_length(value);

    out[0] = '\0';
    if (!json_is_string(value))
        return;
    if (len >= size)
        len = utf8_cut_len(json_string_value(value), size - 1);
    memcpy(out, json_string_value(value), len);
    out[len] = '\0';
    utf8_make_printable(out, strlen(out));
}

static bool take_state(const json_t *line, enum gpu_state *out)
{
    const char *state = json_string_value(json_object_get(line, "state"));

    for (size_t i = 0; state != NULL && i < ARRAY_COUNT(STATE_NAMES); i++) {
        if (strcmp(state, STATE_NAMES[i]) == 0) {
            *out = (enum gpu_state)i;
            return true;
        }
    }
    return false;
}

/* What does not change is kept while it sleeps. */
static void take_facts(struct gpu *gpu, const json_t *line)
{
    gpu_take_text(line, "vendor", gpu->vendor, sizeof(gpu->vendor));
    gpu_take_text(line, "pcie_link", gpu->pcie_link, sizeof(gpu->pcie_link));
    if (gpu->state == GPU_ASLEEP)
        return;
    gpu_take_text(line, "name", gpu->name, sizeof(gpu->name));
    gpu_take_text(line, "uuid", gpu->uuid, sizeof(gpu->uuid));
}

static enum gpu_news take_gpu(struct gpu_table *table, const json_t *line, int64_t now_ms)
{
    const char *pci = json_string_value(json_object_get(line, "gpu"));
    enum gpu_state state = GPU_UNREADABLE;
    struct gpu *gpu = pci != NULL && take_state(line, &state) ? gpu_get(table, pci) : NULL;

    if (gpu == NULL)
        return GPU_NEWS_NONE;
    gpu->state = state;
    take_facts(gpu, line);
    if (state == GPU_ACTIVE)
        gpu_figures_from_json(line, &gpu->figures);
    else
        gpu_figures_init(&gpu->figures);
    gpu->read_ms = now_ms;
    gpu_is_told_of(table, gpu);
    gpu_history_add(&gpu->history, now_ms, &gpu->figures);
    return GPU_NEWS_READ;
}

static bool take_use(const json_t *object, struct gpu_use *out)
{
    struct err ignored = ERR_INIT; /* what is no such number is unknown */
    int64_t pid = 0;
    int64_t group = -1;
    int64_t bytes = -1;

    (void)json_read_integer(object, "pid", 1, INT_MAX, &pid, &ignored);
    (void)json_read_integer(object, "group", 1, INT_MAX, &group, &ignored);
    (void)json_read_integer(object, "memory_bytes", 0, INT64_MAX / 2, &bytes, &ignored);
    if (pid == 0)
        return false;
    *out = (struct gpu_use){.pid = (pid_t)pid, .group = (pid_t)group, .memory_bytes = bytes};
    gpu_take_text(object, "command", out->command, sizeof(out->command));
    return true;
}

static enum gpu_news take_uses(struct gpu_table *table, const json_t *line)
{
    const char *pci = json_string_value(json_object_get(line, "uses"));
    const json_t *list = json_object_get(line, "processes");
    struct gpu *gpu = pci != NULL && json_is_array(list) ? gpu_by_pci(table, pci) : NULL;
    size_t count = json_array_size(list);

    if (gpu == NULL || count > GPU_USE_MAX_COUNT)
        return GPU_NEWS_NONE;
    gpu_forget_uses(gpu);
    gpu->uses = xcalloc(count + 1, sizeof(*gpu->uses));
    for (size_t i = 0; i < count; i++) {
        if (take_use(json_array_get(list, i), &gpu->uses[gpu->use_count]))
            gpu->use_count++;
    }
    gpu->knows_uses = true;
    gpu->uses_round = table->round;
    return GPU_NEWS_READ;
}

/* A card that hangs at its first reading is known by this alone. */
static enum gpu_news take_step(struct gpu_table *table, const json_t *line, char *out_step)
{
    struct gpu *gpu = NULL;

    gpu_take_text(line, "step", out_step, GPU_PCI_BYTES);
    if (out_step[0] == '\0' || strchr(out_step, ' ') != NULL)
        return GPU_NEWS_NONE;
    gpu = gpu_get(table, out_step);
    if (gpu != NULL) {
        gpu_take_text(line, "vendor", gpu->vendor, sizeof(gpu->vendor));
        gpu_is_told_of(table, gpu);
    }
    return GPU_NEWS_STEP;
}

/* Nothing tells of it any more but its past. */
static void gpu_forget_figures(struct gpu *gpu)
{
    gpu->state = GPU_UNREADABLE;
    gpu->pcie_link[0] = '\0';
    gpu_figures_init(&gpu->figures);
    gpu_forget_uses(gpu);
}

/* Those that neither rbee-gpu nor a worker program has told of last are gone. */
static void gpu_table_sweep(struct gpu_table *table)
{
    size_t kept = 0;

    for (size_t i = 0; i < table->count; i++) {
        struct gpu *gpu = table->gpus[i];

        if (gpu->is_told || gpu->ability.is_listed)
            table->gpus[kept++] = gpu;
        else
            gpu_free(gpu);
    }
    table->count = kept;
}

static void end_round(struct gpu_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        struct gpu *gpu = table->gpus[i];

        if (gpu->round != table->round || !gpu->is_told) {
            table->change_count += gpu->is_told;
            /* Whom the kernel showed, and shows no more, has been taken out. */
            gpu->ability.is_listed = gpu->ability.is_listed && !gpu->is_told;
            gpu->is_told = false;
            gpu_forget_figures(gpu);
        }
        if (gpu->uses_round != table->round)
            gpu_forget_uses(gpu);
    }
    gpu_table_sweep(table);
    table->round++;
}

enum gpu_news gpu_table_take(struct gpu_table *table, const char *line, size_t len, int64_t now_ms,
                             char *out_step)
{
    struct err ignored = ERR_INIT;
    AUTO_JSON json_t *object = json_parse(line, len, GPU_LINE_MAX_BYTES, &ignored);

    if (!json_is_object(object))
        return GPU_NEWS_NONE;
    if (json_object_get(object, "step") != NULL)
        return take_step(table, object, out_step);
    if (json_object_get(object, "gpu") != NULL)
        return take_gpu(table, object, now_ms);
    if (json_object_get(object, "uses") != NULL)
        return take_uses(table, object);
    if (!json_is_true(json_object_get(object, "done")))
        return GPU_NEWS_NONE;
    end_round(table);
    return GPU_NEWS_DONE;
}

void gpu_table_fail(struct gpu_table *table, const char *step, int64_t now_ms)
{
    for (size_t i = 0; i < table->count; i++) {
        struct gpu *gpu = table->gpus[i];

        if (step != NULL && strcmp(gpu->pci, step) != 0)
            continue;
        gpu_forget_figures(gpu);
        gpu_history_add(&gpu->history, now_ms, &gpu->figures);
    }
}

void gpu_table_keep(struct gpu_table *table, const char *step)
{
    struct gpu *gpu = gpu_by_pci(table, step);

    if (gpu != NULL)
        gpu->round = table->round;
}

bool gpu_table_is_told(const struct gpu_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        if (table->gpus[i]->is_told)
            return true;
    }
    return false;
}

/* ---- what a worker program tells ---- */

static void gpu_see(struct gpu *gpu, const struct ability_device *device)
{
    int64_t foreign_bytes = gpu->ability.foreign_bytes;

    gpu->ability = device->ability;
    gpu->ability.foreign_bytes = foreign_bytes;
    if (gpu->name[0] == '\0')
        memcpy(gpu->name, device->name, sizeof(gpu->name));
    if (gpu->vendor[0] == '\0')
        memcpy(gpu->vendor, device->vendor, sizeof(gpu->vendor));
}

void gpu_table_see(struct gpu_table *table, const struct ability_answer *answer)
{
    for (size_t i = 0; i < table->count; i++)
        table->gpus[i]->ability.is_listed = false;
    for (size_t i = 0; i < answer->count; i++) {
        struct gpu *gpu = gpu_get(table, answer->devices[i].pci);

        if (gpu != NULL) /* there are not too many */
            gpu_see(gpu, &answer->devices[i]);
    }
    for (size_t i = 0; i < table->count; i++) {
        if (!table->gpus[i]->ability.is_listed)
            table->gpus[i]->ability = NOTHING;
    }
    gpu_table_sweep(table);
}

/* ---- questions ---- */

void gpu_write_name(const struct gpu *gpu, char out[GPU_NAME_BYTES])
{
    (void)snprintf(out, GPU_NAME_BYTES, "%s%s", PREFIX, gpu->pci);
}

/* Most machines have one domain, and people leave it out. */
static bool pci_is_named(const char *pci, const char *name)
{
    static const char DOMAIN[] = "0000:";

    return strcasecmp(name, pci) == 0 || (strncmp(pci, DOMAIN, strlen(DOMAIN)) == 0 &&
                                          strcasecmp(name, pci + strlen(DOMAIN)) == 0);
}

/* What follows the prefix, if it is there. */
static const char *without_prefix(const char *name)
{
    return strncmp(name, PREFIX, strlen(PREFIX)) == 0 ? name + strlen(PREFIX) : name;
}

static bool uuid_is_named(const char *uuid, const char *name)
{
    return uuid[0] != '\0' && strcasecmp(without_prefix(name), uuid) == 0;
}

bool gpu_name_fits(const char *pci, const char *uuid, size_t index, const char *name)
{
    char number[sizeof("gpu:") + UNITS_TEXT_BYTES];

    (void)snprintf(number, sizeof(number), "%s%zu", PREFIX, index);
    return strcmp(name, number) == 0 || pci_is_named(pci, without_prefix(name)) ||
           uuid_is_named(uuid, name);
}

bool gpu_is_named(const struct gpu *gpu, size_t index, const char *name)
{
    return gpu_name_fits(gpu->pci, gpu->uuid, index, name) ||
           uuid_is_named(gpu->ability.uuid, name);
}

struct gpu *gpu_table_find(const struct gpu_table *table, const char *name, size_t *out_index)
{
    for (size_t i = 0; i < table->count; i++) {
        if (!gpu_is_named(table->gpus[i], i, name))
            continue;
        if (out_index != NULL)
            *out_index = i;
        return table->gpus[i];
    }
    return NULL;
}

int64_t gpu_held_bytes(const struct gpu *gpu,
                       bool (*is_ours)(const void *owner, const struct gpu_use *use),
                       const void *owner)
{
    int64_t sum = 0;

    if (!gpu->knows_uses)
        return -1;
    for (size_t i = 0; i < gpu->use_count; i++) {
        if (!is_ours(owner, &gpu->uses[i]))
            continue;
        if (gpu->uses[i].memory_bytes < 0 ||
            __builtin_add_overflow(sum, gpu->uses[i].memory_bytes, &sum))
            return -1;
    }
    return sum;
}
