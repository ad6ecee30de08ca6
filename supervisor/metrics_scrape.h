/* All metrics as they are now: what was counted, and what is true at this moment. */
#ifndef RBEE_SUPERVISOR_METRICS_SCRAPE_H
#define RBEE_SUPERVISOR_METRICS_SCRAPE_H

#include <jansson.h>

struct supervisor;

enum {
    /* Workers, and devices, that have series of their own. People name workers, and requests may
     * name files and devices: a scrape must not grow with whatever they think of. */
    METRICS_NAMES_MAX_COUNT = 1000,
};

/* {"metrics":[…]} as common/metrics_text.h has it; a new reference. */
json_t *metrics_scrape(struct supervisor *supervisor);

#endif
