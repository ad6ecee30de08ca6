/* The metrics registry: what rbeed has counted and measured since its start. A line of metrics.def
 * is a metric; the one place where the thing happens calls metrics_count() or metrics_observe().
 * Neither allocates nor can fail. What is true now and not counted is read at the scrape:
 * metrics_scrape.h. */
#ifndef RBEE_SUPERVISOR_METRICS_H
#define RBEE_SUPERVISOR_METRICS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct breaker;

enum metric_counter {
#define COUNTER(id, name, label, set, help) METRIC_##id,
#define HISTOGRAM(id, name, buckets, help)
#define SCRAPED(id, name, type, help)
#include "supervisor/metrics.def"
#undef COUNTER
#undef HISTOGRAM
#undef SCRAPED
    METRIC_COUNTER_COUNT,
};

enum metric_histogram {
#define COUNTER(id, name, label, set, help)
#define HISTOGRAM(id, name, buckets, help) METRIC_##id,
#define SCRAPED(id, name, type, help)
#include "supervisor/metrics.def"
#undef COUNTER
#undef HISTOGRAM
#undef SCRAPED
    METRIC_HISTOGRAM_COUNT,
};

/* Members of the sets that are ours alone. */
enum metric_signal { METRIC_SIGNAL_TERM, METRIC_SIGNAL_KILL, METRIC_SIGNAL_COUNT };
enum metric_breaker { METRIC_BREAKER_WORKER, METRIC_BREAKER_DEVICE, METRIC_BREAKER_COUNT };

enum {
    METRICS_SET_MAX_COUNT = 16,    /* members of the largest set of labels */
    METRICS_BUCKET_MAX_COUNT = 16, /* of a histogram, the one without an end not among them */
};

struct metric_histogram_state {
    uint64_t buckets[METRICS_BUCKET_MAX_COUNT + 1]; /* each for itself; the last has no end */
    uint64_t sum_us;
};

/* Empty when all of it is zero. */
struct metrics {
    uint64_t counters[METRIC_COUNTER_COUNT][METRICS_SET_MAX_COUNT];
    struct metric_histogram_state histograms[METRIC_HISTOGRAM_COUNT];
};

/* MEMBER is one of the counter's set; 0 where it has no label. */
void metrics_count(struct metrics *metrics, enum metric_counter counter, unsigned member);
/* Negative amounts, which only a worker that lies can bring, count as 0. */
void metrics_add(struct metrics *metrics, enum metric_counter counter, int64_t amount);
void metrics_observe(struct metrics *metrics, enum metric_histogram histogram, uint64_t us);
/* NOW is what has become of BEFORE: counts its openings, if there was one. */
void metrics_count_opening(struct metrics *metrics, enum metric_breaker kind,
                           const struct breaker *before, const struct breaker *now);

/* One metric as common/metrics_text.h has it; a new reference. */
json_t *metrics_counter_family(const struct metrics *metrics, enum metric_counter counter);
json_t *metrics_histogram_family(const struct metrics *metrics, enum metric_histogram histogram);

#endif
