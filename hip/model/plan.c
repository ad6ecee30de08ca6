/* Owns the choice of a split, and what is said when nothing fits. The sums are need.c's. */
#include "hip/model/plan.h"

#include "hip/model/need.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    MIB_BITS = 20,
    WORDS_BYTES = 256, /* of numbers and a few words, or of the names of two devices with theirs */
};

struct plan {
    const struct model *model;
    const struct session_options *options;
    struct session_device *devices;
    uint32_t device_count;
    uint64_t available[DEVICE_NAMES_MAX_COUNT]; /* [device] */
};

/* A way to split, and what each device takes of it. */
struct split {
    struct layer_range ranges[DEVICE_NAMES_MAX_COUNT];
    struct session_need needs[DEVICE_NAMES_MAX_COUNT];
};

static uint32_t layer_count(const struct plan *plan)
{
    return plan->model->params.layer_count;
}

/* What the first device has of the layers; of one device all. */
static struct split split_at(const struct plan *plan, uint32_t first_count)
{
    struct split split = {
        .ranges = {{.end = first_count}, {.begin = first_count, .end = layer_count(plan)}}};

    for (uint32_t i = 0; i < plan->device_count; i++)
        need_of_stage(plan->model, plan->devices[i].backend, split.ranges[i], plan->options,
                      &split.needs[i]);
    return split;
}

/* The fewest layers that the first device can have, and the most. */
static uint32_t first_min(const struct plan *plan)
{
    return plan->device_count == 1 ? layer_count(plan) : 1;
}

static uint32_t first_max(const struct plan *plan)
{
    return layer_count(plan) + 1 - plan->device_count;
}

/* ---- the choice ---- */

static uint64_t bytes_on(const struct plan *plan, const struct split *split, uint32_t device)
{
    return need_bytes(&split->needs[device], plan->options);
}

/* Of the memory that is free on DEVICE; more than 1 does not fit. */
static double share_of(const struct plan *plan, const struct split *split, uint32_t device)
{
    return plan->available[device] == 0
               ? INFINITY
               : (double)bytes_on(plan, split, device) / (double)plan->available[device];
}

static uint32_t fullest_device(const struct plan *plan, const struct split *split)
{
    uint32_t fullest = 0;

    for (uint32_t i = 1; i < plan->device_count; i++) {
        if (share_of(plan, split, i) > share_of(plan, split, fullest))
            fullest = i;
    }
    return fullest;
}

static double largest_share(const struct plan *plan, const struct split *split)
{
    return share_of(plan, split, fullest_device(plan, split));
}

static struct split choose(const struct plan *plan)
{
    uint32_t first = first_max(plan);
    struct split best = split_at(plan, first);

    while (first-- > first_min(plan)) {
        struct split other = split_at(plan, first);

        if (largest_share(plan, &other) < largest_share(plan, &best))
            best = other;
    }
    return best;
}

/* To the byte, which a share is not. */
static bool fits(const struct plan *plan, const struct split *split)
{
    for (uint32_t i = 0; i < plan->device_count; i++) {
        if (bytes_on(plan, split, i) > plan->available[i])
            return false;
    }
    return true;
}

/* ---- what is said ---- */

/* The longest that has room on every device, however it is split. */
static uint32_t context_that_fits(const struct plan *plan, uint32_t sequence_count)
{
    uint32_t longest = 0;

    for (uint32_t first = first_min(plan); first <= first_max(plan); first++) {
        struct split split = split_at(plan, first);
        uint32_t context = plan->options->context_tokens;

        for (uint32_t i = 0; i < plan->device_count; i++) {
            uint32_t here = need_context_that_fits(&split.needs[i], plan->options, sequence_count,
                                                   plan->available[i]);

            context = here < context ? here : context;
        }
        longest = context > longest ? context : longest;
    }
    return longest;
}

static void write_advice(const struct plan *plan, char out[WORDS_BYTES])
{
    uint32_t tokens = context_that_fits(plan, plan->options->sequence_count);

    if (tokens > 0)
        (void)snprintf(out, WORDS_BYTES, "a context of %" PRIu32 " would fit", tokens);
    else if ((tokens = context_that_fits(plan, 1)) > 0)
        (void)snprintf(out, WORDS_BYTES, "a context of %" PRIu32 " with 1 slot would fit", tokens);
    else
        (void)snprintf(out, WORDS_BYTES, "no context would fit, however short");
}

/* In MiB, upwards. */
static uint64_t mib_of(uint64_t bytes)
{
    uint64_t up = (UINT64_C(1) << MIB_BITS) - 1;

    return (bytes > UINT64_MAX - up ? UINT64_MAX : bytes + up) >> MIB_BITS;
}

/* Of one device without its name: there is no other. */
static void write_lack(const struct plan *plan, const struct split *split, uint32_t device,
                       char out[WORDS_BYTES])
{
    uint64_t needed = bytes_on(plan, split, device);
    uint64_t available = plan->available[device];
    size_t len = 0;

    if (plan->device_count > 1)
        len = (size_t)snprintf(out, WORDS_BYTES, "%.63s: %" PRIu64 " MiB, of which ",
                               plan->devices[device].name, mib_of(needed));
    len += (size_t)snprintf(out + len, WORDS_BYTES - len, "%" PRIu64 " MiB are available",
                            available >> MIB_BITS);
    if (needed > available)
        (void)snprintf(out + len, WORDS_BYTES - len, ", %" PRIu64 " MiB too few",
                       mib_of(needed - available));
}

static int refuse(const struct plan *plan, const struct split *split, struct err *err)
{
    char lacks[DEVICE_NAMES_MAX_COUNT][WORDS_BYTES] = {""};
    char advice[WORDS_BYTES];
    uint64_t needed = 0;

    for (uint32_t i = 0; i < plan->device_count; i++) {
        plan->devices[i].has_failed = i == fullest_device(plan, split);
        if (__builtin_add_overflow(needed, bytes_on(plan, split, i), &needed))
            needed = UINT64_MAX;
        write_lack(plan, split, i, lacks[i]);
    }
    write_advice(plan, advice);
    return err_set(err, ERR_NO_MEMORY,
                   "a context of %" PRIu32 " tokens and %" PRIu32 " slots need %" PRIu64
                   " MiB with the weights; %s%s%s; %s",
                   plan->options->context_tokens, plan->options->sequence_count, mib_of(needed),
                   lacks[0], plan->device_count > 1 ? "; " : "", lacks[1], advice);
}

int plan_layers(const struct model *model, struct session_device *devices, uint32_t device_count,
                const struct session_options *options, struct layer_range *out, struct err *err)
{
    struct plan plan = {
        .model = model, .options = options, .devices = devices, .device_count = device_count};
    struct split split;

    assert(device_count >= 1 && device_count <= DEVICE_NAMES_MAX_COUNT);
    if (device_count > layer_count(&plan))
        return err_set(err, ERR_CONFIG, "%" PRIu32 " devices are more than the model has layers",
                       device_count);
    for (uint32_t i = 0; i < device_count; i++)
        plan.available[i] = devices[i].backend->ops->memory_available(devices[i].backend);
    split = choose(&plan);
    if (!fits(&plan, &split))
        return refuse(&plan, &split, err);
    memcpy(out, split.ranges, device_count * sizeof(*out));
    return 0;
}
