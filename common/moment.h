/* A moment as people write it: RFC 3339, or how long ago. Pure functions. */
#ifndef RBEE_COMMON_MOMENT_H
#define RBEE_COMMON_MOMENT_H

#include "common/err.h"

#include <stdint.h>

/* "2026-11-21T22:51:07Z", with a fraction and with "+01:00" as well; or "10m", which is ten minutes
 * before NOW_MS. Wall time in milliseconds. ERR_USAGE. */
int moment_parse(const char *text, int64_t now_ms, int64_t *out_ms, struct err *err);

#endif
