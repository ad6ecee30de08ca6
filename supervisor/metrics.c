/* Owns what is counted and measured, and the sets that labels have their values from. Knows nothing
 * of who counts, and no form that it leaves us in. */
#include "supervisor/metrics.h"

#include "common/mem.h"
#include "common/metrics_text.h"
#include "supervisor/audit.h"
#include "supervisor/auth.h"
#include "supervisor/breaker.h"
#include "supervisor/fault.h"
#include "supervisor/request.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

enum {
    US_PER_SECOND = 1000000,
    BOUND_MAX_BYTES = 32,
};

/* ---- sets of labels ---- */

static const char *one_name(unsigned member)
{
    return "";
}

static const char *fault_member_name(unsigned member)
{
    return fault_name((enum fault_class)member);
}

static const char *outcome_member_name(unsigned member)
{
    return request_outcome_name((enum request_outcome)member);
}

static const char *phase_name(unsigned member)
{
    return deadline_phase_name((enum deadline_phase)member);
}

static const char *signal_name(unsigned member)
{
    static const char *const NAMES[METRIC_SIGNAL_COUNT] = {"TERM", "KILL"};

    return NAMES[member];
}

static const char *breaker_kind_name(unsigned member)
{
    static const char *const NAMES[METRIC_BREAKER_COUNT] = {"worker", "device"};

    return NAMES[member];
}

static const char *auth_member_name(unsigned member)
{
    return auth_failure_name((enum auth_failure)member);
}

static const char *audit_member_name(unsigned member)
{
    return audit_when_name((enum audit_when)member);
}

struct metric_set {
    unsigned count;
    const char *(*name)(unsigned member);
};

static const struct metric_set SET_ONE = {1, one_name};
static const struct metric_set SET_FAULT = {FAULT_CLASS_COUNT, fault_member_name};
static const struct metric_set SET_OUTCOME = {REQUEST_OUTCOME_COUNT, outcome_member_name};
static const struct metric_set SET_PHASE = {DEADLINE_PHASE_COUNT, phase_name};
static const struct metric_set SET_SIGNAL = {METRIC_SIGNAL_COUNT, signal_name};
static const struct metric_set SET_AUTH = {AUTH_FAILURE_COUNT, auth_member_name};
static const struct metric_set SET_AUDIT = {AUDIT_WHEN_COUNT, audit_member_name};
static const struct metric_set SET_BREAKER = {METRIC_BREAKER_COUNT, breaker_kind_name};

static_assert((int)FAULT_CLASS_COUNT <= (int)METRICS_SET_MAX_COUNT, "the largest set");
static_assert((int)REQUEST_OUTCOME_COUNT <= (int)METRICS_SET_MAX_COUNT, "a small set");

/* ---- buckets ---- */

/* Upper ends in microseconds, rising; 0: no more. */
struct metric_buckets {
    uint64_t ends_us[METRICS_BUCKET_MAX_COUNT + 1];
};

/* From a small model on a GPU to a load of minutes before the first token. */
static const struct metric_buckets BUCKETS_WAIT = {{10000, 25000, 50000, 100000, 250000, 500000,
                                                    1000000, 2500000, 5000000, 10000000, 30000000,
                                                    60000000, 120000000, 300000000}};
/* From a thousand tokens a second to one that pages. */
static const struct metric_buckets BUCKETS_STEP = {{1000, 2500, 5000, 10000, 25000, 50000, 100000,
                                                    250000, 500000, 1000000, 2500000, 5000000,
                                                    10000000}};

/* ---- the table ---- */

struct counter_line {
    const char *name;
    const char *label;
    const struct metric_set *set;
    const char *help;
};

struct histogram_line {
    const char *name;
    const struct metric_buckets *buckets;
    const char *help;
};

#define HISTOGRAM(id, title, buckets, text)
#define SCRAPED(id, title, type, text)
static const struct counter_line COUNTERS[METRIC_COUNTER_COUNT] = {
#define COUNTER(id, title, key, values, text) [METRIC_##id] = {title, key, &SET_##values, text},
#include "supervisor/metrics.def"
#undef COUNTER
};
#undef HISTOGRAM

#define COUNTER(id, title, key, values, text)
static const struct histogram_line HISTOGRAMS[METRIC_HISTOGRAM_COUNT] = {
#define HISTOGRAM(id, title, ends, text) [METRIC_##id] = {title, &BUCKETS_##ends, text},
#include "supervisor/metrics.def"
#undef HISTOGRAM
};
#undef COUNTER
#undef SCRAPED

/* ---- counting ---- */

void metrics_count(struct metrics *metrics, enum metric_counter counter, unsigned member)
{
    assert(member < COUNTERS[counter].set->count);
    metrics->counters[counter][member]++;
}

void metrics_add(struct metrics *metrics, enum metric_counter counter, int64_t amount)
{
    if (amount > 0)
        metrics->counters[counter][0] += (uint64_t)amount;
}

void metrics_observe(struct metrics *metrics, enum metric_histogram histogram, uint64_t us)
{
    const uint64_t *ends_us = HISTOGRAMS[histogram].buckets->ends_us;
    struct metric_histogram_state *state = &metrics->histograms[histogram];
    size_t i = 0;

    while (ends_us[i] != 0 && us > ends_us[i])
        i++;
    state->buckets[i]++;
    state->sum_us += us;
}

/* By its own count, which a breaker that opens and is half open at once has raised as well; what a
 * person opens it leaves out. */
void metrics_count_opening(struct metrics *metrics, enum metric_breaker kind,
                           const struct breaker *before, const struct breaker *now)
{
    if (now->trip_count > before->trip_count ||
        (now->state == BREAKER_FORCED_OPEN && before->state != BREAKER_FORCED_OPEN))
        metrics_count(metrics, METRIC_BREAKER_ACTIVATIONS, kind);
}

/* ---- telling ---- */

json_t *metrics_counter_family(const struct metrics *metrics, enum metric_counter counter)
{
    const struct counter_line *line = &COUNTERS[counter];
    json_t *family = metrics_family(line->name, METRICS_COUNTER, line->help);

    for (unsigned i = 0; i < line->set->count; i++) {
        json_t *labels = json_object();

        if (line->label[0] != '\0')
            (void)json_object_set_new(labels, line->label, json_string(line->set->name(i)));
        metrics_sample(family, "", labels, json_integer((json_int_t)metrics->counters[counter][i]));
    }
    return family;
}

static json_t *bucket_labels(uint64_t end_us)
{
    char bound[BOUND_MAX_BYTES] = "+Inf";

    if (end_us != 0)
        (void)snprintf(bound, sizeof(bound), "%g", (double)end_us / US_PER_SECOND);
    return json_pack("{s:s}", "le", bound);
}

/* Each bucket counts what is below its end, so all the buckets before it as well. */
json_t *metrics_histogram_family(const struct metrics *metrics, enum metric_histogram histogram)
{
    const struct histogram_line *line = &HISTOGRAMS[histogram];
    const struct metric_histogram_state *state = &metrics->histograms[histogram];
    const uint64_t *ends_us = line->buckets->ends_us;
    json_t *family = metrics_family(line->name, METRICS_HISTOGRAM, line->help);
    json_int_t count = 0;
    size_t i = 0;

    do {
        count += (json_int_t)state->buckets[i];
        metrics_sample(family, "_bucket", bucket_labels(ends_us[i]), json_integer(count));
    } while (ends_us[i++] != 0);
    metrics_sample(family, "_sum", json_object(), json_real((double)state->sum_us / US_PER_SECOND));
    metrics_sample(family, "_count", json_object(), json_integer(count));
    return family;
}
