/* Owns what holds for two devices at once. Decides nothing that a device decides. */
#include "supervisor/device_set.h"

#include "common/clock.h"
#include "supervisor/supervisor.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* ---- the set ---- */

struct device_set device_set_of(struct device *device)
{
    return (struct device_set){.devices = {device}, .count = 1};
}

bool device_set_has(const struct device_set *set, const struct device *device)
{
    for (size_t i = 0; i < set->count; i++) {
        if (set->devices[i] == device)
            return true;
    }
    return false;
}

static struct device *device_set_called(const struct device_set *set, const char *name)
{
    for (size_t i = 0; i < set->count; i++) {
        if (strcmp(set->devices[i]->name, name) == 0)
            return set->devices[i];
    }
    return NULL;
}

bool device_set_has_name(const struct device_set *set, const char *name)
{
    return device_set_called(set, name) != NULL;
}

void device_set_add(struct device_set *set, struct device *device)
{
    if (device_set_has(set, device))
        return;
    assert(set->count < DEVICE_SET_MAX_COUNT);
    set->devices[set->count++] = device;
}

void device_set_replace(struct device_set *set, const struct device *old, struct device *device)
{
    struct device_set all = *set;

    set->count = 0;
    for (size_t i = 0; i < all.count; i++)
        device_set_add(set, all.devices[i] == old ? device : all.devices[i]);
}

bool device_set_equals(const struct device_set *a, const struct device_set *b)
{
    for (size_t i = 0; i < a->count; i++) {
        if (!device_set_has(b, a->devices[i]))
            return false;
    }
    return a->count == b->count;
}

bool device_set_is_gpu(const struct device_set *set)
{
    return set->count > 0 && set->devices[0]->is_gpu;
}

struct device_set device_set_get(struct supervisor *supervisor, const char *text)
{
    struct device_set set = {0};
    struct device_names names;

    device_names_split(device_name_or_cpu(text), &names);
    for (size_t i = 0; i < names.count; i++)
        device_set_add(&set, device_get(supervisor, names.names[i]));
    return set;
}

struct device_set device_set_find(struct supervisor *supervisor, const char *text)
{
    struct device_set set = {0};
    struct device_names names;

    device_names_split(device_name_or_cpu(text), &names);
    for (size_t i = 0; i < names.count; i++) {
        struct device *device = device_find(supervisor, names.names[i]);

        if (device != NULL)
            device_set_add(&set, device);
    }
    return set;
}

struct device_set device_set_find_all(struct supervisor *supervisor, const char *text)
{
    struct device_set set = device_set_find(supervisor, text);
    struct device_names names;

    device_names_split(device_name_or_cpu(text), &names);
    return set.count == names.count ? set : (struct device_set){0};
}

void device_set_write_name(const struct device_set *set, char out[DEVICE_NAMES_MAX_BYTES + 1])
{
    size_t len = 0;

    out[0] = '\0';
    for (size_t i = 0; i < set->count; i++)
        len += (size_t)snprintf(out + len, DEVICE_NAMES_MAX_BYTES + 1 - len, "%s%s",
                                i == 0 ? "" : ",", set->devices[i]->name);
}

/* ---- questions ---- */

/* A breaker comes first, since it may keep the start for longest; of two times the later. */
enum device_answer device_set_ask(const struct device_set *set, int64_t now_ms,
                                  int64_t *out_until_ms)
{
    static const int WEIGHTS[] = {
        [DEVICE_GO] = 0, [DEVICE_LOADING] = 1, [DEVICE_STORM] = 2, [DEVICE_OPEN] = 3};
    enum device_answer worst = DEVICE_GO;
    int64_t worst_ms = 0;

    for (size_t i = 0; i < set->count; i++) {
        int64_t until_ms = 0;
        enum device_answer answer = device_ask(set->devices[i], now_ms, &until_ms);

        if (WEIGHTS[answer] < WEIGHTS[worst] || (answer == worst && until_ms <= worst_ms))
            continue;
        worst = answer;
        worst_ms = until_ms;
    }
    if (worst == DEVICE_STORM || worst == DEVICE_OPEN)
        *out_until_ms = worst_ms;
    return worst;
}

const struct device *device_set_open(const struct device_set *set)
{
    int64_t now_ms = (int64_t)clock_monotonic_ms();
    int64_t ignored_ms = 0;

    for (size_t i = 0; i < set->count; i++) {
        if (device_ask(set->devices[i], now_ms, &ignored_ms) == DEVICE_OPEN)
            return set->devices[i];
    }
    return NULL;
}

void device_set_explain(const struct device_set *set, struct err *out)
{
    const struct device *open = device_set_open(set);

    device_explain(open != NULL ? open : set->devices[0], out);
}

bool device_set_is_asleep(const struct device_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        if (device_is_asleep(set->devices[i]))
            return true;
    }
    return false;
}

/* ---- news ---- */

void device_set_remember(const struct device_set *set, const struct breaker_failure *failure)
{
    for (size_t i = 0; i < set->count; i++)
        device_remember(set->devices[i], failure);
}

void device_set_on_start(const struct device_set *set, struct worker *worker, int64_t now_ms)
{
    for (size_t i = 0; i < set->count; i++)
        device_on_start(set->devices[i], worker, now_ms);
}

void device_set_on_load_end(const struct device_set *set, const struct worker *worker)
{
    for (size_t i = 0; i < set->count; i++)
        device_on_load_end(set->devices[i], worker);
}

struct device_set device_set_blamed(const struct device_set *set, const char *name)
{
    struct device *device = device_set_called(set, name);

    return device == NULL ? *set : device_set_of(device);
}

void device_set_on_end(const struct device_set *set, const struct device_set *blamed,
                       const struct worker *worker, enum fault_class fault, int64_t now_ms)
{
    for (size_t i = 0; i < set->count; i++)
        device_on_end(set->devices[i], worker,
                      device_set_has(blamed, set->devices[i]) ? fault : FAULT_NONE, now_ms);
}

void device_set_on_probe_stable(const struct device_set *set, const struct worker *worker,
                                int64_t now_ms)
{
    for (size_t i = 0; i < set->count; i++)
        device_on_probe_stable(set->devices[i], worker, now_ms);
}

void device_set_on_stable(const struct device_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        device_on_stable(set->devices[i]);
}

void device_set_on_lost(const struct device_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        device_on_lost(set->devices[i]);
}

void device_set_on_found(const struct device_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        device_on_found(set->devices[i]);
}
