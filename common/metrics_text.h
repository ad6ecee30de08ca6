/* Metrics on their way out: as JSON, and as the text that Prometheus reads (exposition format
 * 0.0.4, https://prometheus.io/docs/instrumenting/exposition_formats/).
 *
 * {"metrics":[FAMILY…]}, a family is
 * {"name","type","help","samples":[{"name","labels":{},"value"}]}; a label's value is text, a
 * sample's value a number. */
#ifndef RBEE_COMMON_METRICS_TEXT_H
#define RBEE_COMMON_METRICS_TEXT_H

#include "common/buf.h"
#include "common/err.h"

#include <jansson.h>

/* The content type of that text. */
#define METRICS_TEXT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Far above what METRICS_NAMES_MAX_COUNT names make. */
enum { METRICS_TEXT_MAX_BYTES = 8 << 20 };

enum metrics_type { METRICS_COUNTER, METRICS_GAUGE, METRICS_HISTOGRAM, METRICS_UNTYPED };

/* A family without samples; a new reference. */
json_t *metrics_family(const char *name, enum metrics_type type, const char *help);
/* Adds a sample named like its family with SUFFIX behind it; takes over LABELS and VALUE. */
void metrics_sample(json_t *family, const char *suffix, json_t *labels, json_t *value);

/* Appends METRICS, the whole object, as text. ERR_PROTOCOL when it is none: nothing of it is
 * believed, since it may come from another program. */
int metrics_print(const json_t *metrics, struct buf *out, struct err *err);

#endif
